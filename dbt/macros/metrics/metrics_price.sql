{# Metrics of price and spread: one row for each metal, decision day and metric. #}
{% macro metrics_price() -%}
{% set known = {'obs_end': 'm3_obs_date', 'basis': 'knowledge_basis', 'licence': 'licence_class'} %}
{% set of_spread = dict(known, obs_end='spread_obs_date', known='states_known_from', value='spread_usd_t') %}
{% set in_window = ['spreads.metal, spreads.ranked_on', 'spreads.as_of_date asc nulls last', 'p.rank_window'] %}
with spreads as (
    select metal, 'spread_usd_t' as indicator, as_of_date, spread_obs_date as obs_end, spread_usd_t as value
    from {{ window_rows(ref('int_price_states_asof'), ['metal'], longest('rank_window')) }} as states_asof
),

ranked as (
    select
        spreads.metal,
        spreads.as_of_date,
        {{ mid_rank('spreads.ranked_value', *in_window) }} as spread_rank,
        {{ over_last('count', 'spreads.ranked_value', *in_window) }} as n_spreads,
        {{ over_last('min', 'case when spreads.ranked_value is not null then spreads.as_of_date end', *in_window) }}
            as ranked_from,
        p.rank_min_periods
    from {{ ranked_values('spreads') }} as spreads
    inner join {{ ref('int_parameters') }} as p
        on spreads.metal = p.metal and spreads.as_of_date = p.calendar_date
    qualify spreads.is_ranked_here
),

states as (
    select
        latest.*,
        ranked.n_spreads,
        ranked.ranked_from,
        case when ranked.n_spreads >= ranked.rank_min_periods then ranked.spread_rank end as spread_rank
    from {{ built_rows(ref('int_price_states_asof')) }} as latest
    inner join ranked on latest.metal = ranked.metal and latest.as_of_date = ranked.as_of_date
)

{{ metric_rows('states', [
    dict(known, metric='m3_usd_t', value='m3_usd_t', known='m3_known_from'),
    dict(known, metric='px_yoy', value='m3_yoy', window_start='m3_yoy_base_date', known='yoy_known_from',
        is_suspect='is_yoy_suspect'),
    dict(known, metric='level_state_5of5', value='case when level_state_5of5 is not null then m3_usd_t end',
        state='level_state_5of5', known='states_known_from', is_suspect='is_suspect_5of5'),
    dict(known, metric='level_state_3of5', value='case when level_state_3of5 is not null then m3_usd_t end',
        state='level_state_3of5', known='states_known_from', is_suspect='is_suspect_3of5'),
    dict(of_spread, metric='cash_3m_spread', known='spread_known_from', is_suspect='is_spread_suspect'),
    dict(of_spread, metric='backwardation_days', value='n_backwardation', known='n_backwardation_known_from'),
    dict(of_spread, metric='spread_rank', value='spread_rank', known='spread_known_from', n_hist='n_spreads',
        window_start='ranked_from'),
    dict(of_spread, metric='backwardation_sustained', is_suspect='is_backwardation_suspect', state="case
        when backwardation_sustained then 'ON' when not backwardation_sustained then 'OFF' end"),
    dict(of_spread, metric='spread_unwind', is_suspect='is_backwardation_suspect', state='spread_state'),
    dict(of_spread, metric='thesis_broken', value='is_below + is_not_backwardated',
        is_suspect='is_suspect_5of5 or is_spread_suspect', state="case
        when is_below + is_not_backwardated = 2 then 'ON' when is_below + is_not_backwardated < 2 then 'OFF' end"),
]) }}
{%- endmacro %}
