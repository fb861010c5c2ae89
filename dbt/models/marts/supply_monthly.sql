-- Output by country and period as known now: as a yearly rate, against a year before, and against the cap.
with latest as (
    select *
    from {{ ref('int_production_known') }}
    where known_to = {{ far_future() }}
)

select
    latest.metal,
    latest.country,
    latest.period_end,
    cast(latest.period_months as integer) as period_months,
    cast(latest.n_days as integer) as n_days,
    latest.production_kt,
    latest.annualised_kt,
    latest.cap_t / 1000 as cap_kt,
    latest.cap_utilisation,
    {{ yoy('latest.production_kt', 'base.production_kt') }} as production_yoy,
    latest.known_from as knowledge_ts,
    {{ latest(['latest.known_from', 'base.known_from']) }} as knowledge_ts_max,
    latest.vintage_no,
    latest.is_suspect,
    latest.source,
    latest.knowledge_basis,
    latest.licence_class
from latest
left join latest as base
    on
        latest.metal = base.metal
        and latest.country = base.country
        and {{ month_index('latest.period_end') }} - 12 = {{ month_index('base.period_end') }}
        and latest.period_months = base.period_months
