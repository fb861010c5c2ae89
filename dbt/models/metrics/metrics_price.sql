{{ config(materialized='ephemeral') }}
{% set known = {'obs_end': 'm3_obs_date', 'basis': 'knowledge_basis', 'licence': 'licence_class'} %}
{% set of_spread = dict(known, obs_end='spread_obs_date', known='states_known_from', value='spread_usd_t') %}
with states as (
    select * from {{ built_rows(ref('int_price_states_asof')) }}
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
    dict(of_spread, metric='backwardation_sustained', is_suspect='is_backwardation_suspect', state="case
        when backwardation_sustained then 'ON' when not backwardation_sustained then 'OFF' end"),
    dict(of_spread, metric='spread_unwind', is_suspect='is_backwardation_suspect', state='spread_state'),
    dict(of_spread, metric='thesis_broken', value='is_below + is_not_backwardated',
        is_suspect='is_suspect_5of5 or is_spread_suspect', state="case
        when is_below + is_not_backwardated = 2 then 'ON' when is_below + is_not_backwardated < 2 then 'OFF' end"),
]) }}
