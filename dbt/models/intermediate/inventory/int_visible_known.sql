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

-- Shanghai's last report up to two weeks before each month-end, as known at the release.
shanghai as (
    select * from (
        {{ known_at(
            '(select metal, release_ts, release_ts as as_of_ts, period_end as as_of_date from known)',
            ref('stg_exchange_stocks'), 'obs_date', 14, by=['metal'], columns=['total_t'], keep=['release_ts'],
            condition="obs.exchange = 'SHFE' and obs.product = 'METAL'",
        ) }}
    ) as reports
    where recency = 1
),

with_shanghai as (
    select
        known.*,
        shanghai.obs_date as shanghai_obs_date,
        shanghai.total_t as shanghai_t,
        {{ visible_all_t('known.visible_t', 'shanghai.total_t') }} as visible_all_t,
        {{ worst_basis(['known.knowledge_basis', 'shanghai.knowledge_basis']) }} as visible_all_basis,
        {{ worst_licence(['known.licence_class', 'shanghai.licence_class']) }} as visible_all_licence
    from known
    left join shanghai
        on
            known.metal = shanghai.metal
            and known.release_ts = shanghai.release_ts
            and known.period_end = shanghai.as_of_date
),

earlier_lows as (
    select
        known.metal,
        known.release_ts,
        known.period_end,
        {% for stock in ['visible', 'visible_all'] -%}
        max(case when known.{{ stock }}_t >= earlier.{{ stock }}_t then earlier.period_end end)
            as {{ stock }}_lowest_since
        {%- if not loop.last %},{% endif %}
        {% endfor %}
    from with_shanghai as known
    inner join with_shanghai as earlier
        on
            known.metal = earlier.metal
            and known.release_ts = earlier.release_ts
            and known.period_end > earlier.period_end
            and (known.visible_t >= earlier.visible_t or known.visible_all_t >= earlier.visible_all_t)
    group by known.metal, known.release_ts, known.period_end
)

select
    known.*,
    {{ yoy('known.offwarrant_t', 'base.offwarrant_t') }} as offwarrant_yoy,
    {{ yoy('known.visible_t', 'base.visible_t') }} as visible_yoy,
    earlier_lows.visible_lowest_since as lowest_since,
    earlier_lows.visible_all_lowest_since,
    base.period_end as base_period_end,
    base.known_from as base_known_from,
    min(known.period_end) over (partition by known.metal, known.release_ts) as first_period_end,
    min(case when known.visible_all_t is not null then known.period_end end) over (
        partition by known.metal, known.release_ts
    ) as visible_all_first_period_end,
    row_number() over (
        partition by known.metal, known.release_ts order by known.period_end desc nulls last
    ) as recency
from with_shanghai as known
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
