{# One row for each metal, zone and decision day: revenue and cost of a smelter per tonne on day-ahead power, as known
   then, with its break-even power price and the headroom. #}
{% macro smelter_costs() -%}
with power as (
    select
        metal,
        zone,
        as_of_date,
        max(delivery_date) filter (where recency = 1) as power_delivery_date,
        max(mean_usd_mwh) filter (where recency = 1) as power_usd_mwh,
        max(known_from) as known_from,
        {{ worst_basis_of_group() }} as knowledge_basis,
        {{ worst_licence_of_group() }} as licence_class,
        count(*) as n_power_days,
        {{ ordered_mean('mean_usd_mwh', 'delivery_date') }} as mean_of_days_usd_mwh
    from {{ ref('int_power_recent') }}
    group by metal, zone, as_of_date
),

inputs as (
    select
        curve.metal,
        power.zone,
        curve.as_of_date,
        curve.as_of_ts,
        curve.price_obs_date,
        costs.obs_date as cost_obs_date,
        power.power_delivery_date,
        curve.cash_usd_t,
        costs.premium_usd_t,
        costs.alumina_usd_t,
        p.mwh_per_t,
        p.alumina_t_per_t,
        p.other_cash_usd_t,
        p.other_cash_status,
        -- Power older than a week is not carried.
        case when {{ days_between('curve.as_of_date', 'power.power_delivery_date') }} <= 7 then power.power_usd_mwh end
            as power_usd_mwh,
        cast(power.n_power_days as integer) as n_power_days,
        case when power.n_power_days >= p.power_mean_min_days then power.mean_of_days_usd_mwh end
            as power_mean_30d_usd_mwh,
        {{ latest(['curve.knowledge_ts_max', 'costs.known_from', 'power.known_from']) }} as knowledge_ts_max,
        {{ worst_basis(['curve.knowledge_basis', 'costs.knowledge_basis', 'power.knowledge_basis']) }}
            as knowledge_basis,
        {{ worst_licence(['curve.licence_class', 'costs.licence_class', 'power.licence_class']) }} as licence_class
    from power
    inner join {{ ref('int_curve_daily') }} as curve
        on power.metal = curve.metal and power.as_of_date = curve.as_of_date
    inner join {{ ref('int_parameters') }} as p on power.metal = p.metal and power.as_of_date = p.calendar_date
    left join ({{ costs_asof() }}) as costs
        on power.metal = costs.metal and power.as_of_date = costs.as_of_date
),

costed as (
    select
        *,
        {{ power_cost('power_usd_mwh', 'mwh_per_t') }} as power_cost_usd_t,
        {{ breakeven_power(
            'cash_usd_t', 'premium_usd_t', 'alumina_usd_t', 'alumina_t_per_t', 'other_cash_usd_t', 'mwh_per_t'
        ) }} as breakeven_power_usd_mwh
    from inputs
)

select
    *,
    {{ cash_cost('power_cost_usd_t', 'alumina_usd_t', 'alumina_t_per_t', 'other_cash_usd_t') }} as cash_cost_usd_t,
    breakeven_power_usd_mwh - power_usd_mwh as headroom_usd_mwh
from costed
{%- endmacro %}
