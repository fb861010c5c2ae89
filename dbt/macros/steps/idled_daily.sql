{# One row for each metal, region and decision day: idled smelter capacity from the register as valid on that day, and
   its change over idled_event_days. #}
{% macro idled_daily() -%}
with spine as (
    select
        dates.metal,
        dates.as_of_date,
        dates.as_of_ts,
        {{ days_before('dates.as_of_date', 'p.idled_event_days') }} as before_date
    from {{ ref('int_as_of_dates') }} as dates
    inner join {{ ref('int_parameters') }} as p on dates.metal = p.metal and dates.as_of_date = p.calendar_date
),

-- Each row of the register is valid until the plant's next one.
register as (
    select
        metal,
        region,
        cause,
        plant,
        idled_kt,
        review_by,
        valid_from,
        coalesce(
            lead(valid_from) over (partition by metal, plant order by valid_from asc nulls last),
            cast('9999-12-31' as date)
        ) as valid_to
    from {{ reference('smelters') }}
),

-- A region as a whole, and each cause in it.
plants as (
    select *, region as entity
    from register
    union all
    select *, region || '.' || cause as entity
    from register
    where cause <> ''
),

sums as (
    select
        spine.metal,
        plants.entity,
        spine.as_of_date,
        spine.as_of_ts,
        {{ ordered_sum(
            'case when spine.as_of_date < plants.valid_to then plants.idled_kt else 0 end', 'plants.plant'
        ) }} as idled_kt,
        {{ ordered_sum(
            'case when spine.before_date >= plants.valid_from and spine.before_date < plants.valid_to '
            ~ 'then plants.idled_kt else 0 end', 'plants.plant'
        ) }} as idled_before_kt,
        -- A row is known from its valid_from on; that it has ended, from the valid_from of the plant's next row.
        max(case when spine.as_of_date >= plants.valid_to then plants.valid_to else plants.valid_from end)
            as last_change,
        min(case when spine.as_of_date < plants.valid_to and plants.idled_kt > 0 then plants.review_by end) as review_by
    from spine
    inner join plants on spine.metal = plants.metal and spine.as_of_date >= plants.valid_from
    group by spine.metal, plants.entity, spine.as_of_date, spine.as_of_ts
)

select
    *,
    idled_kt - idled_before_kt as idled_chg_kt
from sums
{%- endmacro %}
