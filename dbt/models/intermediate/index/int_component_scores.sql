{{ config(materialized='by_decision_time') }}
{% set columns -%}
metal, as_of_date, version, family, indicator, region, is_monthly, sign, weight, value
{%- endset %}
{% set in_window = [
    'component.metal, component.version, component.indicator, component.ranked_on',
    'component.as_of_date asc nulls last', 'p.rank_window'
] %}
with component_values as (
    select
        {{ columns }}, obs_end, is_stale, is_suspect, native_percentile, native_expanding_percentile, n_ranked,
        ranked_from, cast(null as boolean) as was_new
    from {{ ref('int_component_values') }}
    {% if is_partial() -%}
    union all
    select
        {{ columns }}, obs_end, is_stale, is_suspect, cast(null as double), cast(null as double),
        cast(null as bigint), cast(null as date), is_new as was_new
    from {{ kept_rows(
        this, ['metal', 'version', 'indicator'],
        'case when version = 1 then ' ~ longest('rank_window') ~ ' else ' ~ all_rows() ~ ' end', 'not is_monthly'
    ) }} as kept
    {%- endif %}
),

-- In version 2 an observation counts once in a rank, on the first day that it was the newest one known.
observed as (
    select
        *,
        coalesce(was_new, not is_monthly and value is not null and obs_end is distinct from
            {{ ignore_nulls('lag', 'case when value is not null then obs_end end') }} over (
                partition by metal, version, indicator order by as_of_date asc nulls last
            )) as is_new
    from component_values
),

counted as (
    select *, case when version = 1 or is_new then ranked_value end as counted_value
    from {{ ranked_values('observed') }} as valued
),

ranked as (
    select
        component.metal,
        component.as_of_date,
        component.version,
        component.family,
        component.indicator,
        component.region,
        component.is_monthly,
        component.sign,
        component.weight,
        component.value,
        component.obs_end,
        component.is_stale,
        component.is_suspect,
        component.is_ranked_here,
        component.ranked_on,
        component.is_new,
        case
            when component.is_monthly then component.native_percentile
            else {{ mid_rank('component.counted_value', *in_window) }}
        end as percentile,
        case
            when component.is_monthly and component.version > 1 then component.native_expanding_percentile
            when component.is_monthly then null
            else {{ mid_rank(
                'case when component.version > 1 then component.counted_value end', *(in_window[:2] + [all_rows()])
            ) }}
        end as expanding_percentile,
        case
            when component.is_monthly then component.n_ranked
            else {{ over_last('count', 'component.ranked_value', *in_window) }}
        end as n_hist,
        case
            when component.is_monthly then component.ranked_from
            else {{ over_last(
                'min', 'case when component.ranked_value is not null then component.as_of_date end', *in_window
            ) }}
        end as ranked_from,
        case
            when component.is_monthly then {{ of_version('rank_min_periods_monthly', 'component.version') }}
            else {{ of_version('rank_min_periods', 'component.version') }}
        end as min_periods
    from counted as component
    inner join {{ ref('int_parameters') }} as p
        on component.metal = p.metal and component.as_of_date = p.calendar_date
),

-- An observation keeps its ranks while it is the newest one.
carried as (
    select
        *,
        {% for rank in ['percentile', 'expanding_percentile'] -%}
        case when is_monthly or is_new or version = 1 then {{ rank }} when value is not null then
            {{ ignore_nulls('last_value', rank) }} over (
                partition by metal, version, indicator, ranked_on order by as_of_date asc nulls last
                rows between unbounded preceding and current row
            )
        end as kept_{{ rank }}{% if not loop.last %},{% endif %}
        {% endfor %}
    from ranked
),

scored as (
    select
        *,
        case when n_hist >= min_periods then kept_percentile end as window_rank,
        case when n_hist >= min_periods then kept_expanding_percentile end as expanding_rank
    from carried
    where is_ranked_here
),

-- Breaks of the series inside the ranking window.
breaks as (
    select
        ranked.metal,
        ranked.as_of_date,
        ranked.version,
        ranked.indicator,
        {{ joined('days.break_id', ' ', 'days.break_id') }} as break_ids
    from scored as ranked
    inner join {{ reference('series_breaks') }} as days
        on
            days.metal in (ranked.metal, '*')
            and {{ metric_of('ranked.indicator') }} = days.metric_id
            and {{ spans_break('days', 'ranked.as_of_date', 'ranked.ranked_from', 'ranked.obs_end') }}
    group by ranked.metal, ranked.as_of_date, ranked.version, ranked.indicator
)

select
    ranked.metal,
    ranked.as_of_date,
    ranked.version,
    ranked.family,
    ranked.indicator,
    ranked.region,
    ranked.is_monthly,
    ranked.sign,
    ranked.weight,
    ranked.value,
    ranked.obs_end,
    ranked.is_stale,
    ranked.is_suspect,
    cast(ranked.n_hist as integer) as n_hist,
    ranked.ranked_from,
    breaks.break_ids,
    ranked.is_new,
    ranked.window_rank as percentile,
    ranked.expanding_rank as expanding_percentile,
    case when ranked.sign > 0 then {{ rank_of_version() }} else 1 - {{ rank_of_version() }} end as score
from scored as ranked
left join breaks
    on
        ranked.metal = breaks.metal
        and ranked.as_of_date = breaks.as_of_date
        and ranked.version = breaks.version
        and ranked.indicator = breaks.indicator
