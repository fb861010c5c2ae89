{# Metrics of producers' shares and of dated events: one row for each metal, decision day, metric and ticker or event.
   #}
{% macro metrics_market() -%}
with equities as (
    select equity.*, p.near_high_obs, p.near_high_ratio, {{ near_high('equity.close_usd', 'equity.high_usd') }} as ratio
    from ({{ equity_asof() }}) as equity
    inner join {{ ref('int_parameters') }} as p on equity.metal = p.metal and equity.as_of_date = p.calendar_date
),

events as (
    select distinct dates.metal, calendar.*
    from ({{ events_asof() }}) as calendar
    inner join {{ reference('events') }} as named
        on calendar.event_id = named.event_id and calendar.as_of_date >= named.valid_from
    -- Only events that a signal or claim is about.
    inner join (
        select entity from {{ reference('signal_definitions') }}
        union
        select entity from {{ reference('claims') }}
    ) as used on calendar.event_id = used.entity
    inner join {{ ref('int_as_of_dates') }} as dates
        on calendar.as_of_date = dates.as_of_date and named.metal in (dates.metal, '*')
)

{{ metric_rows('equities', [{
    'metric': 'near_high', 'entity': 'ticker', 'value': 'ratio', 'n_hist': 'n_closes', 'window_start': 'first_obs_date',
    'obs_end': 'obs_date', 'known': 'known_from', 'basis': 'knowledge_basis', 'licence': 'licence_class',
    'state': "case
        when n_closes < near_high_obs then null
        when ratio >= near_high_ratio then 'NEAR_HIGH' else 'BELOW' end",
}]) }}
union all
{{ metric_rows('events', [
    {
        'metric': 'days_to_event', 'entity': 'event_id', 'value': 'days_to_event', 'state': 'state',
        'obs_end': 'as_of_date', 'known': 'cast(known_since as ' ~ type_instant() ~ ')', 'basis': "'CALENDAR'", 'licence': "'OPEN'",
    },
    {
        'metric': 'event_month', 'entity': 'event_id', 'value': year_month('event_date'),
        'obs_end': 'as_of_date', 'known': 'cast(known_since as ' ~ type_instant() ~ ')', 'basis': "'CALENDAR'", 'licence': "'OPEN'",
    },
]) }}
{%- endmacro %}
