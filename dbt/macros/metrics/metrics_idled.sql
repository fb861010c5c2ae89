{# Metrics of idled smelter capacity: one row for each metal, decision day, metric and region. #}
{% macro metrics_idled() -%}
{% set known = {
    'entity': 'entity', 'obs_end': 'least(as_of_date, review_by)', 'basis': "'ASSUMED'", 'licence': "'OPEN'", 'known': 'cast(last_change as ' ~ type_instant() ~ ')',
} %}
with idled as (
    select idled.*, p.idled_event_kt
    from ({{ idled_daily() }}) as idled
    inner join {{ ref('int_parameters') }} as p on idled.metal = p.metal and idled.as_of_date = p.calendar_date
)

{{ metric_rows('idled', [
    dict(known, metric='idled_kt', value='idled_kt'),
    dict(known, metric='idled_event', value='idled_chg_kt', state="case
        when idled_chg_kt >= idled_event_kt then 'IDLED'
        when idled_chg_kt <= -idled_event_kt then 'RESTARTED'
        when idled_chg_kt is not null then 'STEADY' end"),
]) }}
{%- endmacro %}
