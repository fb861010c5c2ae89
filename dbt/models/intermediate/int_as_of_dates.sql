-- London business days of each metal from its first price to the last decision time that has passed.
with first_prices as (
    select metal, min(obs_date) as first_date
    from {{ ref('stg_prices') }}
    group by metal
)

select first_prices.metal, calendar.calendar_date as as_of_date, calendar.as_of_ts
from first_prices
inner join {{ reference('trading_calendar') }} as calendar
    on calendar.calendar_date >= first_prices.first_date
where calendar.is_business_day and calendar.as_of_ts <= {{ as_of() }}
