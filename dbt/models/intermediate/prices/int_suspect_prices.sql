{{ config(materialized='by_decision_time') }}
with neighbours as (
    select
        recent.metal,
        recent.as_of_date,
        recent.obs_date,
        recent.value,
        p.price_reversal,
        lag(recent.value) over one_market as value_before,
        lead(recent.value) over one_market as value_after
    from {{ ref('int_price_recent') }} as recent
    inner join {{ ref('int_parameters') }} as p
        on recent.metal = p.metal and recent.as_of_date = p.calendar_date
    where recent.series = 'm3'
    window one_market as (partition by recent.metal, recent.as_of_date order by recent.obs_date asc nulls last)
)

select metal, as_of_date, obs_date, value
from neighbours
where {{ is_reversed('value', 'value_before', 'value_after', 'price_reversal') }}
