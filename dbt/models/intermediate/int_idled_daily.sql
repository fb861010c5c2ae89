-- Idled smelter capacity by region at each decision time, from the register as it held then, and its change over a
-- month.
with spine as (
    select dates.metal, dates.as_of_date, dates.as_of_ts, p.idled_event_days
    from {{ ref('int_as_of_dates') }} as dates
    inner join {{ ref('int_parameters') }} as p on dates.metal = p.metal and dates.as_of_date = p.calendar_date
),

-- Each row of the register holds until the plant's next one.
plants as (
    select
        metal,
        region,
        plant,
        idled_kt,
        capacity_kt,
        valid_from,
        lead(valid_from) over (partition by metal, plant order by valid_from asc nulls last) as valid_to
    from {{ reference('smelters') }}
),

now_and_before as (
    select metal, as_of_date, as_of_ts, as_of_date as on_date, true as is_now
    from spine
    union all
    select metal, as_of_date, as_of_ts, {{ days_before('as_of_date', 'idled_event_days') }} as on_date, false as is_now
    from spine
),

sums as (
    select
        days.metal,
        plants.region,
        days.as_of_date,
        days.as_of_ts,
        {{ ordered_sum('case when days.is_now then plants.idled_kt end', 'plants.plant') }} as idled_kt,
        {{ ordered_sum('case when not days.is_now then plants.idled_kt end', 'plants.plant') }} as idled_before_kt,
        max(case when days.is_now then plants.valid_from end) as last_change
    from now_and_before as days
    inner join plants
        on
            days.metal = plants.metal
            and days.on_date >= plants.valid_from
            and days.on_date < coalesce(plants.valid_to, cast('9999-12-31' as date))
    group by days.metal, plants.region, days.as_of_date, days.as_of_ts
)

select
    *,
    idled_kt - idled_before_kt as idled_chg_kt
from sums
