{{ config(materialized='by_decision_time') }}
-- Watched events at each decision time: days until the event, by the date known then.
with spine as (
    select distinct as_of_date, as_of_ts
    from {{ ref('int_as_of_dates') }}
),

known as (
    select
        events.event_id,
        events.title,
        events.event_date,
        events.status,
        events.valid_from,
        spine.as_of_date,
        spine.as_of_ts
    from spine
    inner join {{ reference('events') }} as events on spine.as_of_date >= events.valid_from
    qualify row_number() over (
        partition by events.event_id, spine.as_of_date
        order by events.valid_from desc nulls last, events.metal asc nulls last
    ) = 1
),

-- The window around an event is the same for all metals.
windows as (
    select calendar_date, max(event_before_days) as event_before_days, max(event_after_days) as event_after_days
    from {{ ref('int_parameters') }}
    group by calendar_date
)

select
    known.event_id,
    known.as_of_date,
    known.as_of_ts,
    known.title,
    known.event_date,
    cast({{ days_to_event('known.event_date', 'known.as_of_date') }} as integer) as days_to_event,
    case
        when {{ days_to_event('known.event_date', 'known.as_of_date') }} > windows.event_before_days then 'AHEAD'
        when {{ days_to_event('known.event_date', 'known.as_of_date') }} >= -windows.event_after_days then 'ACTIVE'
        else 'PAST'
    end as state,
    known.valid_from as known_since,
    known.status
from known
inner join windows on known.as_of_date = windows.calendar_date
