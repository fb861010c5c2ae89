{{ config(materialized='by_decision_time') }}
-- Value of a tonne in the United States against the cost of importing one, at each decision time. The tariff is that of
-- the day.
with premia as (
    select
        metal,
        as_of_date,
        {% for name, region in [('midwest', 'US_MIDWEST'), ('unpaid', 'EU_DUTY_UNPAID')] -%}
        max(usd_t) filter (where region = '{{ region }}') as {{ name }}_premium_usd_t,
        max(obs_date) filter (where region = '{{ region }}') as {{ name }}_obs_date,
        {% endfor -%}
        max(known_from) as known_from,
        {{ worst_basis_of_group() }} as knowledge_basis,
        {{ worst_licence_of_group() }} as licence_class
    from ({{ premia_asof(['US_MIDWEST', 'EU_DUTY_UNPAID']) }}) as known
    group by metal, as_of_date
),

inputs as (
    select
        premia.metal,
        premia.as_of_date,
        curve.as_of_ts,
        curve.price_obs_date,
        premia.midwest_obs_date,
        premia.unpaid_obs_date,
        curve.cash_usd_t,
        premia.midwest_premium_usd_t,
        premia.unpaid_premium_usd_t,
        p.us_freight_usd_t,
        taxes.section_232,
        {{ us_replacement(
            'curve.cash_usd_t', 'premia.unpaid_premium_usd_t', 'p.us_freight_usd_t', 'taxes.section_232'
        ) }} as replacement_usd_t,
        curve.cash_usd_t + premia.midwest_premium_usd_t as us_price_usd_t,
        {{ latest(['premia.known_from', 'curve.knowledge_ts_max']) }} as knowledge_ts_max,
        {{ worst_basis(['premia.knowledge_basis', 'curve.knowledge_basis']) }} as knowledge_basis,
        {{ worst_licence(['premia.licence_class', 'curve.licence_class']) }} as licence_class
    from premia
    inner join {{ ref('int_parameters') }} as p on premia.metal = p.metal and premia.as_of_date = p.calendar_date
    inner join {{ ref('int_curve_daily') }} as curve
        on premia.metal = curve.metal and premia.as_of_date = curve.as_of_date
    left join {{ ref('int_taxes') }} as taxes
        on premia.metal = taxes.metal and premia.as_of_date = taxes.calendar_date
)

select
    metal,
    as_of_date,
    as_of_ts,
    price_obs_date,
    midwest_obs_date,
    unpaid_obs_date,
    cash_usd_t,
    midwest_premium_usd_t,
    unpaid_premium_usd_t,
    us_freight_usd_t,
    section_232,
    replacement_usd_t,
    us_price_usd_t,
    us_price_usd_t - replacement_usd_t as parity_gap_usd_t,
    knowledge_ts_max,
    knowledge_basis,
    licence_class
from inputs
