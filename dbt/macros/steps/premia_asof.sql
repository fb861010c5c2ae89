{# One row for each metal, region (of those that are named) and decision day: the newest premium known then, of the 45
   days before. #}
{% macro premia_asof(regions) -%}
select * from (
    {{ known_at(
        '(
            select dates.*, regions.region
            from ' ~ ref('int_as_of_dates') ~ ' as dates
            inner join (
                select distinct metal, region from ' ~ ref('stg_premia') ~ " where region in ('"
                ~ regions | join("', '") ~ "')
            ) as regions on dates.metal = regions.metal
        )",
        ref('stg_premia'), 'obs_date', 45, by=['metal', 'region'], columns=['usd_t'],
    ) }}
) as known
where recency = 1
{%- endmacro %}
