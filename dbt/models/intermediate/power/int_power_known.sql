with days as (
    select
        zone,
        delivery_date,
        release_ts,
        resolution,
        resolution_min,
        max(n_positions) as n_mtu,
        count(*) as n_points,
        sum(n_units) as n_units,
        max(source) as source,
        {{ worst_basis_of_group() }} as knowledge_basis,
        {{ worst_licence_of_group() }} as licence_class
    from {{ ref('int_power_points') }}
    group by zone, delivery_date, release_ts, resolution, resolution_min
    -- Of two resolutions of a day the finer one counts.
    qualify row_number() over (
        partition by zone, delivery_date, release_ts order by resolution_min asc nulls last
    ) = 1
),

rates as (
    select
        candidates.zone,
        candidates.delivery_date,
        candidates.release_ts,
        fx.rate as eurusd,
        fx.obs_date as fx_obs_date,
        fx.knowledge_basis,
        fx.licence_class
    from (
        select zone, delivery_date, release_ts, {{ numbers_to(10) }} as days_back
        from days
    ) as candidates
    inner join {{ ref('stg_fx') }} as fx
        on
            {{ days_before('candidates.delivery_date', 'candidates.days_back') }} = fx.obs_date
            and candidates.release_ts >= fx.known_from
            and candidates.release_ts < fx.known_to
    where fx.pair = 'EURUSD'
    qualify row_number() over (
        partition by candidates.zone, candidates.delivery_date, candidates.release_ts
        order by fx.obs_date desc nulls last
    ) = 1
),

-- Parameters of the metal whose smelters use power; the first one where there are several.
smelter_parameters as (
    select metal, calendar_date, mwh_per_t, power_line_high_usd_mwh, power_line_low_usd_mwh
    from {{ ref('int_parameters') }}
    where mwh_per_t is not null
    qualify row_number() over (partition by calendar_date order by metal asc nulls last) = 1
),

means as (
    select
        points.zone,
        points.delivery_date,
        points.release_ts,
        {{ ordered_sum('points.price_eur_mwh * points.n_units', 'points.position') }}
        / max(points.n_positions) as mean_eur_mwh,
        {{ ordered_mean('points.price_eur_mwh', 'points.position') }} as naive_mean_of_points_eur_mwh,
        {{ share_beyond(
            'points.price_eur_mwh * rates.eurusd', '>', 'p.power_line_high_usd_mwh', 'points.n_units',
            'max(points.n_positions)'
        ) }} as share_above,
        {{ share_beyond(
            'points.price_eur_mwh * rates.eurusd', '<', 'p.power_line_low_usd_mwh', 'points.n_units',
            'max(points.n_positions)'
        ) }} as share_below
    from {{ ref('int_power_points') }} as points
    inner join days
        on
            points.zone = days.zone
            and points.delivery_date = days.delivery_date
            and points.release_ts = days.release_ts
            and points.resolution = days.resolution
    inner join smelter_parameters as p on points.delivery_date = p.calendar_date
    left join rates
        on
            points.zone = rates.zone
            and points.delivery_date = rates.delivery_date
            and points.release_ts = rates.release_ts
    -- A day whose first units are missing has no earlier point to repeat, and no mean.
    where days.n_units = days.n_mtu
    group by points.zone, points.delivery_date, points.release_ts
)

select
    days.zone,
    days.delivery_date,
    days.release_ts as known_from,
    coalesce(
        lead(days.release_ts) over (
            partition by days.zone, days.delivery_date order by days.release_ts asc nulls last
        ), {{ far_future() }}
    ) as known_to,
    days.resolution_min,
    days.n_mtu,
    days.n_points,
    means.mean_eur_mwh,
    means.naive_mean_of_points_eur_mwh,
    rates.fx_obs_date,
    rates.eurusd,
    means.mean_eur_mwh * rates.eurusd as mean_usd_mwh,
    {{ power_cost('means.mean_eur_mwh * rates.eurusd', 'p.mwh_per_t') }} as power_cost_usd_t,
    case when rates.eurusd is not null then means.share_above end as share_above_115usd,
    case when rates.eurusd is not null then means.share_below end as share_below_40usd,
    days.source,
    {{ worst_basis(['days.knowledge_basis', 'rates.knowledge_basis']) }} as knowledge_basis,
    {{ worst_licence(['days.licence_class', 'rates.licence_class']) }} as licence_class
from days
inner join smelter_parameters as p on days.delivery_date = p.calendar_date
left join means
    on
        days.zone = means.zone
        and days.delivery_date = means.delivery_date
        and days.release_ts = means.release_ts
left join rates
    on
        days.zone = rates.zone
        and days.delivery_date = rates.delivery_date
        and days.release_ts = rates.release_ts
