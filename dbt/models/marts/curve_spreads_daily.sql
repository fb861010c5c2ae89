{{ config(materialized='by_decision_time') }}
-- Every quoted spread at each decision time, the newest known then, with its yield on the cash price.
with quoted as (
    select
        spreads.*,
        {{ spread_days(
            'spreads.spread', 'spreads.obs_date', 'cash.previous_business_day', 'calendar.cash_prompt',
            'calendar.days_cash_to_3m'
        ) }} as days_between_prompts,
        {{ days_between('spreads.as_of_date', 'spreads.obs_date') }} as spread_age_days
    from {{ ref('int_spreads_asof') }} as spreads
    inner join {{ reference('trading_calendar') }} as calendar on spreads.obs_date = calendar.calendar_date
    -- The business day before the cash prompt is the prompt of tomorrow.
    inner join {{ reference('trading_calendar') }} as cash on calendar.cash_prompt = cash.calendar_date
)

select
    quoted.metal,
    quoted.spread,
    quoted.as_of_date,
    quoted.as_of_ts,
    quoted.obs_date as spread_obs_date,
    cast(quoted.spread_age_days as integer) as spread_age_days,
    quoted.spread_age_days > p.stale_days_spread as is_stale,
    quoted.usd_t,
    cast(quoted.days_between_prompts as integer) as days_between_prompts,
    curve.price_obs_date,
    curve.cash_usd_t,
    {{ basis_ann('quoted.usd_t', 'curve.cash_usd_t', 'quoted.days_between_prompts') }} as yield_ann,
    {{ latest(['quoted.known_from', 'curve.knowledge_ts_max']) }} as knowledge_ts_max,
    {{ worst_basis(['quoted.knowledge_basis', 'curve.knowledge_basis']) }} as knowledge_basis,
    {{ worst_licence(['quoted.licence_class', 'curve.licence_class']) }} as licence_class
from quoted
inner join {{ ref('int_parameters') }} as p on quoted.metal = p.metal and quoted.as_of_date = p.calendar_date
inner join {{ ref('int_curve_daily') }} as curve
    on quoted.metal = curve.metal and quoted.as_of_date = curve.as_of_date
