with releases as (
    select distinct metal, known_from as release_ts
    from {{ ref('stg_off_warrant') }}
),

known as (
    select
        releases.metal,
        releases.release_ts,
        stock.period_end,
        {{ month_index('stock.period_end') }} as month_no,
        stock.offwarrant_t,
        stock.registered_month_end_t as registered_t,
        {{ visible_t('stock.offwarrant_t', 'stock.registered_month_end_t') }} as visible_t,
        stock.known_from,
        stock.vintage_no,
        stock.source,
        stock.knowledge_basis,
        stock.licence_class
    from releases
    inner join {{ ref('stg_off_warrant') }} as stock
        on
            releases.metal = stock.metal
            and releases.release_ts >= stock.known_from
            and releases.release_ts < stock.known_to
    -- One row for each month: the later day where two are given.
    qualify row_number() over (
        partition by releases.metal, releases.release_ts, year(stock.period_end), month(stock.period_end)
        order by stock.period_end desc nulls last
    ) = 1
),

earlier_lows as (
    select known.metal, known.release_ts, known.period_end, max(earlier.period_end) as lowest_since
    from known
    inner join known as earlier
        on
            known.metal = earlier.metal
            and known.release_ts = earlier.release_ts
            and known.period_end > earlier.period_end
            and known.visible_t >= earlier.visible_t
    group by known.metal, known.release_ts, known.period_end
)

select
    known.*,
    {{ yoy('known.offwarrant_t', 'base.offwarrant_t') }} as offwarrant_yoy,
    {{ yoy('known.visible_t', 'base.visible_t') }} as visible_yoy,
    earlier_lows.lowest_since,
    base.period_end as base_period_end,
    base.known_from as base_known_from,
    min(known.period_end) over (partition by known.metal, known.release_ts) as first_period_end,
    row_number() over (
        partition by known.metal, known.release_ts order by known.period_end desc nulls last
    ) as recency
from known
left join known as base
    on
        known.metal = base.metal
        and known.release_ts = base.release_ts
        and known.month_no - 12 = base.month_no
left join earlier_lows
    on
        known.metal = earlier_lows.metal
        and known.release_ts = earlier_lows.release_ts
        and known.period_end = earlier_lows.period_end
