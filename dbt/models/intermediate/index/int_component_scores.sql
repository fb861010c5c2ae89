{{ config(materialized='by_decision_time') }}
{% set columns -%}
metal, as_of_date, family, indicator, region, is_monthly, sign, weight, obs_date, value
{%- endset %}
with component_values as (
    select {{ columns }}, native_percentile, n_ranked, ranked_from
    from {{ ref('int_component_values') }}
    {% if is_partial() -%}
    union all
    select {{ columns }}, cast(null as double), cast(null as bigint), cast(null as date)
    from {{ kept_rows(this, ['metal', 'indicator'], longest('rank_window'), 'not is_monthly') }} as kept
    {%- endif %}
),

ranked as (
    select
        component.metal,
        component.as_of_date,
        component.family,
        component.indicator,
        component.region,
        component.is_monthly,
        component.sign,
        component.weight,
        component.obs_date,
        component.value,
        component.is_ranked_here,
        case
            when component.is_monthly then component.native_percentile
            else {{ mid_rank(
                'component.ranked_value', 'component.metal, component.indicator, component.ranked_on',
                'component.as_of_date asc nulls last', 'p.rank_window'
            ) }}
        end as percentile,
        case
            when component.is_monthly then component.n_ranked
            else count(component.ranked_value) over in_window
        end as n_hist,
        case
            when component.is_monthly then component.ranked_from
            else min(case when component.ranked_value is not null then component.as_of_date end) over in_window
        end as ranked_from,
        case when component.is_monthly then p.rank_min_periods_monthly else p.rank_min_periods end as min_periods
    from {{ ranked_values('component_values') }} as component
    inner join {{ ref('int_parameters') }} as p
        on component.metal = p.metal and component.as_of_date = p.calendar_date
    window in_window as (
        partition by component.metal, component.indicator, component.ranked_on
        order by component.as_of_date asc nulls last {{ last_rows('p.rank_window') }}
    )
)

select
    metal,
    as_of_date,
    family,
    indicator,
    region,
    is_monthly,
    sign,
    weight,
    obs_date,
    value,
    cast(n_hist as integer) as n_hist,
    ranked_from,
    case when n_hist >= min_periods then percentile end as percentile,
    case when n_hist >= min_periods then case when sign > 0 then percentile else 1 - percentile end end as score
from ranked
where is_ranked_here
