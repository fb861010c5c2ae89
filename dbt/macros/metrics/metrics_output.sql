{# Metrics of output against the cap, from the latest period known: one row for each metal, decision day, metric and
   country. #}
{% macro metrics_output() -%}
{% set known = {
    'entity': 'country', 'obs_end': 'period_end', 'known': 'known_from', 'basis': 'knowledge_basis',
    'licence': 'licence_class', 'is_suspect': 'is_suspect',
} %}
with spine as (
    select dates.*, countries.country
    from {{ ref('int_as_of_dates') }} as dates
    inner join (select distinct metal, country from {{ ref('int_production_known') }}) as countries
        on dates.metal = countries.metal
),

latest_output as (
    select known.*, p.cap_binding, p.cap_breach
    from (
        {{ known_at(
            'spine', ref('int_production_known'), 'period_end', 200, by=['metal', 'country'],
            columns=['cap_utilisation', 'is_suspect'],
        ) }}
    ) as known
    inner join {{ ref('int_parameters') }} as p on known.metal = p.metal and known.as_of_date = p.calendar_date
    where known.recency = 1
)

{{ metric_rows('latest_output', [
    dict(known, metric='cap_utilisation', value='cap_utilisation', state="case
        when cap_utilisation > cap_breach then 'BREACH'
        when cap_utilisation >= cap_binding then 'BINDING'
        when cap_utilisation is not null then 'SLACK' end"),
]) }}
{%- endmacro %}
