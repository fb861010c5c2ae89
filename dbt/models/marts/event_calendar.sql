{{ config(materialized='by_decision_time') }}
-- Watched events that are near at each decision time: days until the event, by the date known then.
select
    event_id,
    as_of_date,
    as_of_ts,
    title,
    event_kind,
    event_date,
    days_to_event,
    state,
    known_since,
    status,
    source
from ({{ events_asof() }}) as events
where is_near
