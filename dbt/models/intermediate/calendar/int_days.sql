{{ config(materialized='ephemeral') }}
select metals.metal, calendar.calendar_date
from {{ reference('metals') }} as metals
inner join {{ reference('trading_calendar') }} as calendar
    on
        metals.valid_from <= calendar.calendar_date
        and calendar.calendar_date <= {{ days_before('cast(' ~ as_of() ~ ' as date)', -2) }}
