{# One row for each event and decision day from the day on which the event was known: its date as known then, and whether
   it is near. #}
{% macro events_asof() -%}
with spine as (
    select distinct as_of_date, as_of_ts
    from {{ ref('int_as_of_dates') }}
),

-- Each row of an event is valid until its next one.
events as (
    select
        event_id,
        title,
        event_kind,
        event_date,
        status,
        source,
        valid_from,
        coalesce(
            lead(valid_from) over (partition by event_id order by valid_from asc nulls last, metal desc nulls last),
            cast('9999-12-31' as date)
        ) as valid_to
    from {{ reference('events') }}
),

-- The windows around an event are the same for all metals.
windows as (
    select
        calendar_date,
        {% for name in ['event_before_days', 'event_after_days', 'event_near_before_days', 'event_near_after_days'] -%}
        max({{ name }}) as {{ name }}{% if not loop.last %},{% endif %}
        {% endfor %}
    from {{ ref('int_parameters') }}
    group by calendar_date
),

distances as (
    select
        events.*,
        spine.as_of_date,
        spine.as_of_ts,
        cast({{ days_to_event('events.event_date', 'spine.as_of_date') }} as integer) as days_to_event
    from spine
    inner join events on spine.as_of_date >= events.valid_from and spine.as_of_date < events.valid_to
)

select
    distances.event_id,
    distances.as_of_date,
    distances.as_of_ts,
    distances.title,
    distances.event_kind,
    distances.event_date,
    distances.days_to_event,
    case
        when distances.days_to_event > windows.event_before_days then 'AHEAD'
        when distances.days_to_event >= -windows.event_after_days then 'ACTIVE'
        else 'PAST'
    end as state,
    distances.valid_from as known_since,
    distances.status,
    distances.source,
    distances.days_to_event between -windows.event_near_after_days and windows.event_near_before_days as is_near
from distances
inner join windows on distances.as_of_date = windows.calendar_date
{%- endmacro %}
