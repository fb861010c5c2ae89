{# A day's stock is reported at 09:00 on the next business day, and publishers list it under the day of the report. A
   user's file has the day of the close (docs/methodology.md#inventories). #}
{% set dated -%}
(
    select
        {% for column in datasets()['stocks'].columns if column != 'obs_date' -%}
        reports.{{ column }},
        {% endfor -%}
        case when reports.source = 'drop' then reports.obs_date else calendar.previous_business_day end as obs_date,
        reports.knowledge_ts,
        reports.vintage_no,
        reports.ingest_ts,
        reports.payload_sha256,
        reports.is_suspect,
        reports.source,
        reports.knowledge_basis,
        reports.licence_class
    from {{ lake('stocks') }} as reports
    left join {{ reference('trading_calendar') }} as calendar on reports.obs_date = calendar.calendar_date
)
{%- endset %}
{{ vintages('stocks', relation=dated) }}
