{# One row for each metal and decision day: the latest alumina price and premium known then. Values older than 45 days
   are not carried forward. #}
{% macro costs_asof() -%}
select * from (
    {{ known_at(
        ref('int_as_of_dates'), ref('stg_costs'), 'obs_date', 45, by=['metal'],
        columns=['alumina_usd_t', 'premium_usd_t'],
    ) }}
) as known
where recency = 1
{%- endmacro %}
