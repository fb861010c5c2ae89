with first_prices as (
    select metal, min(known_from) as first_known
    from {{ ref('stg_prices') }}
    group by metal
)

select first_prices.metal, calendar.calendar_date as as_of_date, calendar.as_of_ts
from first_prices
inner join {{ reference('trading_calendar') }} as calendar
    on first_prices.first_known <= calendar.as_of_ts
inner join {{ reference('metals') }} as metals
    on first_prices.metal = metals.metal and calendar.calendar_date >= metals.valid_from
where
    calendar.is_business_day
    and calendar.as_of_ts <= {{ as_of() }}
    and calendar.calendar_date >= {{ first_day_built() }}
