{% set last_days = ['spreads.metal', 'spreads.obs_date asc nulls last', 'p.bw_m'] %}
-- Prices by trading day as known now, with their states. States run over trading days; a gap of more than 45 days
-- starts them again. (States as known at each decision time are in the signals.)
with prices as (
    select *
    from {{ ref('stg_prices') }}
    where known_to = {{ far_future() }}
),

m3_gaps as (
    select
        metal,
        obs_date,
        m3_usd_t,
        known_from,
        case when {{ days_between(
            'obs_date', 'lag(obs_date) over (partition by metal order by obs_date asc nulls last)'
        ) }} > 45 then 1 else 0 end as is_after_gap
    from prices
    where m3_usd_t is not null
),

m3_runs as (
    select
        *,
        sum(is_after_gap) over (partition by metal order by obs_date asc nulls last) as run,
        row_number() over (partition by metal order by obs_date asc nulls last) as n
    from m3_gaps
),

suspects as (
    select
        m3.metal,
        m3.obs_date,
        abs(m3.m3_usd_t / lag(m3.m3_usd_t) over run_of_prices - 1) > p.price_reversal as is_jump,
        coalesce({{ is_reversed(
            'm3.m3_usd_t', 'lag(m3.m3_usd_t) over run_of_prices', 'lead(m3.m3_usd_t) over run_of_prices',
            'p.price_reversal'
        ) }}, false) as is_suspect,
        lead(m3.known_from) over run_of_prices as next_known_from
    from m3_runs as m3
    inner join {{ ref('int_parameters') }} as p
        on m3.metal = p.metal and m3.obs_date = p.calendar_date
    window run_of_prices as (partition by m3.metal, m3.run order by m3.obs_date asc nulls last)
),

-- Each price with those before it that its states look at, this one included.
recent as (
    select later.metal, later.obs_date, later.run, later.n, later.back + 1 as recency, m3_runs.m3_usd_t
    from (
        select m3.*, {{ numbers_to('greatest(p.level_m, p.level_alt_m) - 1') }} as back
        from m3_runs as m3
        inner join {{ ref('int_parameters') }} as p
            on m3.metal = p.metal and m3.obs_date = p.calendar_date
    ) as later
    inner join m3_runs
        on later.metal = m3_runs.metal and later.run = m3_runs.run and later.n - later.back = m3_runs.n
),

crossings as (
    select
        recent.metal,
        recent.obs_date,
        recent.run,
        recent.n,
        {{ level_moves('recent.m3_usd_t', 'recent.recency') }}
    from recent
    inner join {{ ref('int_parameters') }} as p
        on recent.metal = p.metal and recent.obs_date = p.calendar_date
    group by recent.metal, recent.obs_date, recent.run, recent.n
),

levels as (
    select
        metal,
        obs_date,
        {% for variant, k, m in level_variants() -%}
        case when has_levels then {{ level_state(
            'above_up_' ~ variant, 'below_up_' ~ variant, 'above_down_' ~ variant, 'below_down_' ~ variant, 'n',
            '(partition by metal, run order by obs_date asc nulls last)'
        ) }} end as level_state_{{ variant }}{% if not loop.last %},{% endif %}
        {% endfor %}
    from crossings
),

backwardation as (
    select
        spreads.metal,
        spreads.obs_date,
        spreads.spread_usd_t > 0
        and {{ over_last('count', '1', *last_days) }} >= p.bw_m
        and {{ over_last('count', 'case when spreads.spread_usd_t > 0 then 1 end', *last_days) }} >= p.bw_k
            as is_sustained
    from (
        select metal, obs_date, cash_usd_t - m3_usd_t as spread_usd_t
        from prices
        where cash_usd_t is not null and m3_usd_t is not null
    ) as spreads
    inner join {{ ref('int_parameters') }} as p
        on spreads.metal = p.metal and spreads.obs_date = p.calendar_date
),

year_ago as (
    select
        candidates.metal,
        candidates.obs_date,
        base.obs_date as base_date,
        base.m3_usd_t as base_usd_t,
        base.known_from
    from (
        select prices.metal, prices.obs_date, {{ numbers_to('p.yoy_max_staleness_days') }} as days_back
        from prices
        inner join {{ ref('int_parameters') }} as p
            on prices.metal = p.metal and prices.obs_date = p.calendar_date
    ) as candidates
    inner join prices as base
        on
            candidates.metal = base.metal
            and {{ days_before(months_before('candidates.obs_date', 12), 'candidates.days_back') }} = base.obs_date
    where base.m3_usd_t is not null
    qualify row_number() over (
        partition by candidates.metal, candidates.obs_date order by base.obs_date desc nulls last
    ) = 1
)

select
    prices.metal,
    prices.obs_date,
    prices.cash_usd_t,
    prices.m3_usd_t,
    {{ cash_3m_spread('prices.cash_usd_t', 'prices.m3_usd_t') }} as cash_3m_spread_usd_t,
    {{ yoy('prices.m3_usd_t', 'year_ago.base_usd_t') }} as m3_yoy,
    year_ago.base_date as m3_yoy_base_date,
    levels.level_state_5of5,
    levels.level_state_3of5,
    coalesce(backwardation.is_sustained, false) as backwardation_sustained,
    coalesce(suspects.is_suspect, false) as is_suspect,
    prices.known_from as knowledge_ts,
    -- States depend on all prices before them, so the latest of their knowledge times counts.
    {{ latest([
        'max(prices.known_from) over (partition by prices.metal order by prices.obs_date asc nulls last)',
        'year_ago.known_from',
        'case when suspects.is_jump then suspects.next_known_from end',
    ]) }} as knowledge_ts_max,
    prices.knowledge_basis,
    prices.vintage_no,
    prices.source,
    prices.licence_class
from prices
left join year_ago on prices.metal = year_ago.metal and prices.obs_date = year_ago.obs_date
left join suspects on prices.metal = suspects.metal and prices.obs_date = suspects.obs_date
left join levels on prices.metal = levels.metal and prices.obs_date = levels.obs_date
left join backwardation on prices.metal = backwardation.metal and prices.obs_date = backwardation.obs_date
