-- Each release of a delivery day, with what its prices in EUR are compared with.
with releases as (
    select distinct zone, delivery_date, known_from as release_ts
    from {{ ref('stg_power') }}
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
        from releases
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

converted as (
    select
        releases.*,
        rates.eurusd,
        rates.fx_obs_date,
        rates.knowledge_basis as fx_basis,
        rates.licence_class as fx_licence,
        p.mwh_per_t,
        p.power_line_high_usd_mwh,
        p.power_line_low_usd_mwh
    from releases
    inner join smelter_parameters as p on releases.delivery_date = p.calendar_date
    left join rates
        on
            releases.zone = rates.zone
            and releases.delivery_date = rates.delivery_date
            and releases.release_ts = rates.release_ts
),

-- The auction's points as known at each release. Under curve type A03 a missing position repeats the one before, so
-- each point has the number of market time units that it covers.
points as (
    select
        converted.zone,
        converted.delivery_date,
        converted.release_ts,
        converted.power_line_high_usd_mwh,
        converted.power_line_low_usd_mwh,
        points.resolution,
        points.n_positions,
        points.position,
        points.price_eur_mwh,
        points.price_eur_mwh * converted.eurusd as price_usd_mwh,
        coalesce(
            lead(points.position) over (
                partition by converted.zone, converted.delivery_date, converted.release_ts, points.resolution
                order by points.position asc nulls last
            ),
            points.n_positions + 1
        ) - points.position as n_units,
        points.source,
        points.knowledge_basis,
        points.licence_class
    from converted
    inner join {{ ref('stg_power') }} as points
        on
            converted.zone = points.zone
            and converted.delivery_date = points.delivery_date
            and converted.release_ts >= points.known_from
            and converted.release_ts < points.known_to
),

days as (
    select
        zone,
        delivery_date,
        release_ts,
        cast(substr(resolution, 3, 2) as integer) as resolution_min,
        max(n_positions) as n_mtu,
        count(*) as n_points,
        -- A day whose first units are missing has no earlier point to repeat, and no mean.
        sum(n_units) = max(n_positions) as is_whole,
        {{ ordered_sum('price_eur_mwh * n_units', 'position') }} / max(n_positions) as mean_eur_mwh,
        {{ ordered_mean('price_eur_mwh', 'position') }} as naive_mean_of_points_eur_mwh,
        {{ share_beyond('price_usd_mwh', '>', 'power_line_high_usd_mwh', 'n_units', 'max(n_positions)') }}
            as share_above,
        {{ share_beyond('price_usd_mwh', '<', 'power_line_low_usd_mwh', 'n_units', 'max(n_positions)') }}
            as share_below,
        max(source) as source,
        {{ worst_basis_of_group() }} as knowledge_basis,
        {{ worst_licence_of_group() }} as licence_class
    from points
    group by zone, delivery_date, release_ts, resolution
    -- Of two resolutions of a day the finer one counts.
    qualify row_number() over (
        partition by zone, delivery_date, release_ts order by cast(substr(resolution, 3, 2) as integer) asc nulls last
    ) = 1
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
    case when days.is_whole then days.mean_eur_mwh end as mean_eur_mwh,
    case when days.is_whole then days.naive_mean_of_points_eur_mwh end as naive_mean_of_points_eur_mwh,
    converted.fx_obs_date,
    converted.eurusd,
    case when days.is_whole then days.mean_eur_mwh * converted.eurusd end as mean_usd_mwh,
    case when days.is_whole then {{ power_cost('days.mean_eur_mwh * converted.eurusd', 'converted.mwh_per_t') }} end
        as power_cost_usd_t,
    case when days.is_whole and converted.eurusd is not null then days.share_above end as share_above_115usd,
    case when days.is_whole and converted.eurusd is not null then days.share_below end as share_below_40usd,
    days.source,
    {{ worst_basis(['days.knowledge_basis', 'converted.fx_basis']) }} as knowledge_basis,
    {{ worst_licence(['days.licence_class', 'converted.fx_licence']) }} as licence_class
from days
inner join converted
    on
        days.zone = converted.zone
        and days.delivery_date = converted.delivery_date
        and days.release_ts = converted.release_ts
