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

-- The sums change on the days on which a row of the register begins.
sums as (
    select
        changes.metal,
        plants.entity,
        changes.valid_from,
        coalesce(
            lead(changes.valid_from) over (
                partition by changes.metal, plants.entity order by changes.valid_from asc nulls last
            ),
            cast('9999-12-31' as date)
        ) as valid_to,
        {{ ordered_sum(
            'case when changes.valid_from < plants.valid_to then plants.idled_kt else 0 end', 'plants.plant'
        ) }} as idled_kt,
        -- A row is known from its valid_from on; that it has ended, from the valid_from of the plant's next row.
        max(case when changes.valid_from >= plants.valid_to then plants.valid_to else plants.valid_from end)
            as last_change,
        min(case when changes.valid_from < plants.valid_to and plants.idled_kt > 0 then plants.review_by end)
            as review_by
    from (select distinct metal, valid_from from register) as changes
    inner join plants on changes.metal = plants.metal and changes.valid_from >= plants.valid_from
    group by changes.metal, plants.entity, changes.valid_from
)

select
    spine.metal,
    sums.entity,
    spine.as_of_date,
    spine.as_of_ts,
    sums.idled_kt,
    sums.last_change,
    sums.review_by,
    sums.idled_kt - coalesce(before.idled_kt, 0) as idled_chg_kt
from spine
inner join sums
    on spine.metal = sums.metal and spine.as_of_date >= sums.valid_from and spine.as_of_date < sums.valid_to
left join sums as before
    on
        sums.metal = before.metal
        and sums.entity = before.entity
        and spine.before_date >= before.valid_from
        and spine.before_date < before.valid_to
{%- endmacro %}
