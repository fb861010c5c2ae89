{# One row for each metal and decision day: the latest month-end of visible stock as known then, from the latest
   release. #}
{% macro visible_asof() -%}
with latest as (
    select
        *,
        coalesce(
            lead(release_ts) over (partition by metal order by release_ts asc nulls last), {{ far_future() }}
        ) as release_to
    from {{ ref('int_visible_known') }}
    where recency = 1
)

select
    dates.metal,
    dates.as_of_date,
    latest.period_end,
    latest.visible_t,
    latest.offwarrant_yoy,
    latest.base_period_end,
    latest.lowest_since,
    latest.first_period_end,
    latest.visible_all_t,
    latest.visible_all_lowest_since,
    latest.visible_all_first_period_end,
    latest.visible_all_basis,
    latest.visible_all_licence,
    latest.release_ts as known_from,
    latest.knowledge_basis,
    latest.licence_class
from {{ ref('int_as_of_dates') }} as dates
inner join latest
    on
        dates.metal = latest.metal
        and dates.as_of_ts >= latest.release_ts
        and dates.as_of_ts < latest.release_to
{%- endmacro %}
