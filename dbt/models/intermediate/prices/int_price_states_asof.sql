{{ config(materialized='by_decision_time') }}
with latest_prices as (
    select recent.*, p.yoy_max_staleness_days
    from {{ ref('int_price_recent') }} as recent
    inner join {{ ref('int_parameters') }} as p
        on recent.metal = p.metal and recent.as_of_date = p.calendar_date
    where recent.series = 'm3' and recent.recency = 1
),

-- Suspect prices since when they are, with their values: a corrected price is not suspect.
suspects as (
    select metal, obs_date, value, min(as_of_date) as suspect_from
    from {{ ref('int_suspect_prices') }}
    group by metal, obs_date, value
),

recent_prices as (
    select recent.*, suspects.obs_date is not null as is_suspect
    from {{ ref('int_price_recent') }} as recent
    left join {{ built_rows(ref('int_suspect_prices')) }} as suspects
        on
            recent.metal = suspects.metal
            and recent.as_of_date = suspects.as_of_date
            and recent.obs_date = suspects.obs_date
),

crossings as (
    select
        recent.metal,
        recent.as_of_date,
        {% for variant, k, m in level_variants() -%}
        coalesce(bool_or(recent.is_suspect) filter (where recent.recency <= p.{{ m }}), false)
            as is_suspect_{{ variant }},
        {% endfor -%}
        max(recent.known_from) filter (where recent.recency <= greatest(p.level_m, p.level_alt_m)) as known_from,
        {{ level_moves('recent.value', 'recent.recency') }}
    from recent_prices as recent
    inner join {{ ref('int_parameters') }} as p
        on recent.metal = p.metal and recent.as_of_date = p.calendar_date
    where recent.series = 'm3'
    group by recent.metal, recent.as_of_date
),

backwardation as (
    select
        recent.metal,
        recent.as_of_date,
        count(*) filter (where recent.recency <= p.bw_m) >= max(p.bw_m)
        and count(*) filter (where recent.recency <= p.bw_m and recent.value > 0) >= max(p.bw_k)
        and count(*) filter (where recent.recency = 1 and recent.value > 0) = 1 as is_sustained,
        count(*) filter (where recent.recency <= p.bw_m) >= max(p.bw_m)
        and count(*) filter (where recent.recency <= p.bw_m and recent.value <= 0) >= max(p.bw_k)
        and count(*) filter (where recent.recency = 1 and recent.value <= 0) = 1 as is_left,
        coalesce(bool_or(recent.is_suspect) filter (where recent.recency <= p.bw_m), false) as is_suspect,
        coalesce(bool_or(recent.is_suspect) filter (where recent.recency = 1), false) as is_spread_suspect,
        max(recent.value) filter (where recent.recency = 1) as spread_usd_t,
        max(recent.obs_date) filter (where recent.recency = 1) as spread_obs_date,
        max(recent.known_from) filter (where recent.recency = 1) as spread_known_from,
        max(recent.known_from) filter (where recent.recency <= p.bw_m) as known_from,
        case when count(*) filter (where recent.recency <= p.bw_window) >= max(p.bw_window) then
            count(*) filter (where recent.recency <= p.bw_window and recent.value > 0 and not recent.is_suspect)
        end as n_backwardation,
        max(recent.known_from) filter (where recent.recency <= p.bw_window) as n_backwardation_known_from
    from recent_prices as recent
    inner join {{ ref('int_parameters') }} as p
        on recent.metal = p.metal and recent.as_of_date = p.calendar_date
    where recent.series = 'spread'
    group by recent.metal, recent.as_of_date
),

moves as (
    select
        spine.metal,
        spine.as_of_date,
        case when crossings.metal is null then 1 else 0 end as is_gap,
        crossings.has_levels,
        {% for variant, k, m in level_variants() -%}
        {% for crossing, test in level_crossings('') -%}
        crossings.{{ crossing }}_{{ variant }},
        {% endfor -%}
        {% endfor -%}
        backwardation.is_sustained,
        backwardation.is_left,
        {{ latest(['crossings.known_from', 'backwardation.known_from']) }} as known_from
    from {{ ref('int_as_of_dates') }} as spine
    left join crossings on spine.metal = crossings.metal and spine.as_of_date = crossings.as_of_date
    left join backwardation on spine.metal = backwardation.metal and spine.as_of_date = backwardation.as_of_date
    {% if is_partial() -%}
    -- The states of the last kept row stand for all moves until then: as if they had been entered on it.
    union all
    select
        metal,
        as_of_date,
        0 as is_gap,
        level_state_5of5 is not null as has_levels,
        {% for variant, k, m in level_variants() -%}
        coalesce(level_state_{{ variant }} = 'ABOVE', false) as above_up_{{ variant }},
        false as below_up_{{ variant }},
        false as above_down_{{ variant }},
        coalesce(level_state_{{ variant }} = 'BELOW', false) as below_down_{{ variant }},
        {% endfor -%}
        last_spread_state in ('BACKWARDATION', 'UNWOUND') as is_sustained,
        last_spread_state = 'UNWOUND' as is_left,
        states_known_from as known_from
    from {{ kept_rows(this, ['metal'], 1) }} as kept
    {%- endif %}
),

-- Runs of decision times with a price known: a market without one (none in 45 days) starts its level machine again.
runs as (
    select
        *,
        row_number() over (partition by metal order by as_of_date asc nulls last) as n,
        sum(is_gap) over (partition by metal order by as_of_date asc nulls last) as run
    from moves
),

states as (
    select
        metal,
        as_of_date,
        is_sustained,
        {% for variant, k, m in level_variants() -%}
        case when has_levels then {{ level_state(
            'above_up_' ~ variant, 'below_up_' ~ variant, 'above_down_' ~ variant, 'below_down_' ~ variant, 'n',
            'so_far'
        ) }} end as level_state_{{ variant }},
        {% endfor -%}
        case
            when max(case when is_sustained then n end) over so_far
            > coalesce(max(case when is_left then n end) over so_far, 0) then 'BACKWARDATION'
            when max(case when is_sustained then n end) over so_far is not null then 'UNWOUND'
            else 'CONTANGO'
        end as last_spread_state,
        -- A state depends on all crossings of its run, so the latest of their knowledge times counts.
        max(known_from) over so_far as states_known_from
    from runs
    window so_far as (
        partition by metal, run order by as_of_date asc nulls last rows between unbounded preceding and current row
    )
),

-- The last price on or before the same day a year earlier, at most yoy_max_staleness_days older, as known then.
year_ago as (
    select
        candidates.metal,
        candidates.as_of_date,
        prices.obs_date as base_date,
        prices.m3_usd_t as base_usd_t,
        coalesce(suspects.suspect_from <= candidates.as_of_date, false) as is_suspect,
        prices.known_from,
        prices.knowledge_basis,
        prices.licence_class
    from (
        select latest_prices.*, {{ numbers_to('yoy_max_staleness_days') }} as days_back
        from latest_prices
    ) as candidates
    inner join {{ ref('stg_prices') }} as prices
        on
            candidates.metal = prices.metal
            and {{ days_before(months_before('candidates.obs_date', 12), 'candidates.days_back') }} = prices.obs_date
            and candidates.as_of_ts >= prices.known_from
            and candidates.as_of_ts < prices.known_to
    left join suspects
        on prices.metal = suspects.metal and prices.obs_date = suspects.obs_date and prices.m3_usd_t = suspects.value
    where prices.m3_usd_t is not null
    qualify row_number() over (
        partition by candidates.metal, candidates.as_of_date order by prices.obs_date desc nulls last
    ) = 1
)

select
    states.metal,
    states.as_of_date,
    latest_prices.obs_date as m3_obs_date,
    latest_prices.value as m3_usd_t,
    {{ yoy('latest_prices.value', 'year_ago.base_usd_t') }} as m3_yoy,
    year_ago.base_date as m3_yoy_base_date,
    {% for variant, k, m in level_variants() -%}
    states.level_state_{{ variant }},
    crossings.is_suspect_{{ variant }},
    {% endfor -%}
    year_ago.is_suspect as is_yoy_suspect,
    backwardation.is_suspect as is_backwardation_suspect,
    backwardation.is_spread_suspect,
    backwardation.spread_obs_date,
    backwardation.spread_usd_t,
    backwardation.spread_known_from,
    backwardation.n_backwardation,
    backwardation.n_backwardation_known_from,
    latest_prices.known_from as m3_known_from,
    states.is_sustained as backwardation_sustained,
    case when backwardation.spread_usd_t is not null then states.last_spread_state end as spread_state,
    states.last_spread_state,
    case when states.level_state_5of5 = 'BELOW' then 1 when states.level_state_5of5 is not null then 0 end as is_below,
    case when backwardation.spread_usd_t <= 0 then 1 when backwardation.spread_usd_t > 0 then 0 end
        as is_not_backwardated,
    {{ latest(['latest_prices.known_from', 'year_ago.known_from']) }} as yoy_known_from,
    states.states_known_from,
    {{ worst_basis(['latest_prices.knowledge_basis', 'year_ago.knowledge_basis']) }} as knowledge_basis,
    {{ worst_licence(['latest_prices.licence_class', 'year_ago.licence_class']) }} as licence_class
from {{ ref('int_as_of_dates') }} as spine
inner join states on spine.metal = states.metal and spine.as_of_date = states.as_of_date
left join crossings on spine.metal = crossings.metal and spine.as_of_date = crossings.as_of_date
left join latest_prices on spine.metal = latest_prices.metal and spine.as_of_date = latest_prices.as_of_date
left join year_ago on spine.metal = year_ago.metal and spine.as_of_date = year_ago.as_of_date
left join backwardation on spine.metal = backwardation.metal and spine.as_of_date = backwardation.as_of_date
