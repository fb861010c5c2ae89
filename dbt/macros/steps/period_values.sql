{# One row for each metal, metric, entity, period and release: the value of the period as known from that release until
   the next one. Claims about a period are tested against it; the daily metrics have the latest period only and miss a
   later revision of an earlier one. #}
{% macro period_values() -%}
with visible as (
    select
        *,
        {{ latest(['known_from', 'base_known_from']) }} as change_known_from,
        {{ days_between('period_end', 'lowest_since') }} as low_age
    from {{ ref('int_visible_known') }}
),

visible_releases as (
    select
        metal,
        release_ts,
        coalesce(
            lead(release_ts) over (partition by metal order by release_ts asc nulls last), {{ far_future() }}
        ) as release_to
    from (select distinct metal, release_ts from visible) as releases
),

exports_releases as (
    select metal, country, known_from as release_ts, known_to as release_to
    from {{ ref('int_exports_latest') }}
),

prices as (
    select * from {{ ref('stg_prices') }}
    where m3_usd_t is not null
),

-- A price and its base may both be revised: every time at which one of them became known.
revision_times as (
    select price.metal, price.obs_date, moments.known_from
    from (
        select distinct prices.metal, prices.obs_date
        from prices
        inner join {{ reference('claims') }} as claims
            on
                prices.metal = claims.metal
                and claims.metric_id = 'px_yoy'
                and prices.obs_date between claims.period_from and claims.period_to
    ) as price
    inner join {{ ref('int_parameters') }} as p on price.metal = p.metal and price.obs_date = p.calendar_date
    inner join prices as moments
        on
            price.metal = moments.metal
            and (
                price.obs_date = moments.obs_date
                or moments.obs_date between
                    {{ days_before(months_before('price.obs_date', 12), 'p.yoy_max_staleness_days') }}
                    and {{ months_before('price.obs_date', 12) }}
            )
    group by price.metal, price.obs_date, moments.known_from
),

price_changes as (
    select
        revision_times.metal,
        revision_times.obs_date,
        revision_times.known_from as moment,
        {{ yoy('price.m3_usd_t', 'base.m3_usd_t') }} as px_yoy,
        base.obs_date as base_date,
        {{ latest(['price.known_from', 'base.known_from']) }} as change_known_from
    from revision_times
    inner join {{ ref('int_parameters') }} as p
        on revision_times.metal = p.metal and revision_times.obs_date = p.calendar_date
    inner join prices as price
        on
            revision_times.metal = price.metal
            and revision_times.obs_date = price.obs_date
            and revision_times.known_from >= price.known_from
            and revision_times.known_from < price.known_to
    inner join prices as base
        on
            revision_times.metal = base.metal
            and base.obs_date between
                {{ days_before(months_before('revision_times.obs_date', 12), 'p.yoy_max_staleness_days') }}
                and {{ months_before('revision_times.obs_date', 12) }}
            and revision_times.known_from >= base.known_from
            and revision_times.known_from < base.known_to
    qualify row_number() over (
        partition by revision_times.metal, revision_times.obs_date, revision_times.known_from
        order by base.obs_date desc nulls last
    ) = 1
)

{% for metric, value, known, window_start in [
    ('visible_t', 'visible_t', 'known_from', 'period_end'), ('visible_low_age', 'low_age', 'known_from', 'lowest_since'),
    ('offwarrant_yoy', 'offwarrant_yoy', 'change_known_from', 'base_period_end'),
] -%}
select
    visible.metal,
    '{{ metric }}' as metric_id,
    '' as entity,
    visible.period_end,
    releases.release_ts as known_from,
    releases.release_to as known_to,
    cast(visible.{{ value }} as double) as value,
    visible.{{ known }} as value_known_from,
    visible.{{ window_start }} as window_start
from visible
inner join visible_releases as releases
    on visible.metal = releases.metal and visible.release_ts = releases.release_ts
union all
{% endfor -%}
{% for metric, known in [
    ('exports_yoy', 'yoy_known_from'), ('exports_yoy_3m', 'yoy_3m_known_from'), ('exports_ytd_yoy', 'ytd_known_from'),
] -%}
select
    changes.metal,
    '{{ metric }}' as metric_id,
    changes.country as entity,
    changes.period_end,
    releases.release_ts as known_from,
    releases.release_to as known_to,
    changes.{{ metric }} as value,
    changes.{{ known }} as value_known_from,
    changes.period_end as window_start
from {{ ref('int_exports_changes') }} as changes
inner join exports_releases as releases
    on
        changes.metal = releases.metal
        and changes.country = releases.country
        and changes.release_ts = releases.release_ts
union all
{% endfor -%}
select
    metal, 'm3_usd_t' as metric_id, '' as entity, obs_date as period_end, known_from, known_to, m3_usd_t as value,
    known_from as value_known_from, obs_date as window_start
from prices
union all
select
    metal, 'cash_3m_spread' as metric_id, '' as entity, obs_date as period_end, known_from, known_to,
    {{ cash_3m_spread('cash_usd_t', 'm3_usd_t') }} as value, known_from as value_known_from,
    obs_date as window_start
from prices
where cash_usd_t is not null
union all
select
    metal, 'px_yoy' as metric_id, '' as entity, obs_date as period_end, moment as known_from,
    coalesce(
        lead(moment) over (partition by metal, obs_date order by moment asc nulls last), {{ far_future() }}
    ) as known_to,
    px_yoy as value, change_known_from as value_known_from, base_date as window_start
from price_changes
{%- endmacro %}
