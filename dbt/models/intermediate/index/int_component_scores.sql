{{ config(materialized='by_decision_time') }}
{% set columns -%}
metal, as_of_date, version, family, indicator, region, is_monthly, sign, weight, value
{%- endset %}
{% set in_window = [
    'component.metal, component.version, component.indicator, component.ranked_on',
    'component.as_of_date asc nulls last', 'p.rank_window'
] %}
with component_values as (
    select {{ columns }}, obs_end, is_stale, is_suspect, native_percentile, n_ranked, ranked_from
    from {{ ref('int_component_values') }}
    {% if is_partial() -%}
    union all
    select {{ columns }}, obs_end, is_stale, is_suspect, cast(null as double), cast(null as bigint), cast(null as date)
    from {{ kept_rows(this, ['metal', 'version', 'indicator'], longest('rank_window'), 'not is_monthly') }} as kept
    {%- endif %}
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
        case
            when component.is_monthly then component.native_percentile
            else {{ mid_rank('component.ranked_value', *in_window) }}
        end as percentile,
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
        case when component.is_monthly then p.rank_min_periods_monthly else p.rank_min_periods end as min_periods
    from {{ ranked_values('component_values') }} as component
    inner join {{ ref('int_parameters') }} as p
        on component.metal = p.metal and component.as_of_date = p.calendar_date
),

-- Breaks of the series inside the ranking window.
breaks as (
    select
        ranked.metal,
        ranked.as_of_date,
        ranked.version,
        ranked.indicator,
        {{ joined('days.break_id', ' ', 'days.break_id') }} as break_ids
    from ranked
    inner join {{ reference('series_breaks') }} as days
        on
            days.metal in (ranked.metal, '*')
            and ranked.indicator = days.metric_id
            and {{ spans_break('days', 'ranked.as_of_date', 'ranked.ranked_from', 'ranked.obs_end') }}
    where ranked.is_ranked_here
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
    case when ranked.n_hist >= ranked.min_periods then ranked.percentile end as percentile,
    case
        when ranked.n_hist >= ranked.min_periods
            then case when ranked.sign > 0 then ranked.percentile else 1 - ranked.percentile end
    end as score
from ranked
left join breaks
    on
        ranked.metal = breaks.metal
        and ranked.as_of_date = breaks.as_of_date
        and ranked.version = breaks.version
        and ranked.indicator = breaks.indicator
where ranked.is_ranked_here
