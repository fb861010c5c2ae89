{{ config(materialized='in_slices', sliced_dataset='power', sliced_by='delivery_date') }}

-- The auction's points: those of a day that were known for the same time are one row.
with points as (
    select
        zone,
        delivery_date,
        cast(substr(resolution, 3, 2) as integer) as resolution_min,
        n_positions,
        known_from,
        known_to,
        source,
        knowledge_basis,
        licence_class,
        count(*) as n_points,
        {{ list_of(['position', 'price_eur_mwh']) }} as points
    from {{ ref('stg_power') }}
    where {{ in_slice('delivery_date') }}
    group by
        zone, delivery_date, resolution, n_positions, known_from, known_to, source, knowledge_basis, licence_class
),

-- Each release of a delivery day. Of two resolutions that are known then the finer one counts.
releases as (
    select dates.zone, dates.delivery_date, dates.release_ts, min(known.resolution_min) as resolution_min
    from (select distinct zone, delivery_date, known_from as release_ts from points) as dates
    inner join points as known
        on
            dates.zone = known.zone
            and dates.delivery_date = known.delivery_date
            and dates.release_ts >= known.known_from
            and dates.release_ts < known.known_to
    group by dates.zone, dates.delivery_date, dates.release_ts
),

days as (
    select
        releases.zone,
        releases.delivery_date,
        releases.release_ts,
        releases.resolution_min,
        max(known.n_positions) as n_mtu,
        sum(known.n_points) as n_points,
        {{ sorted_lists('known.points') }} as points,
        max(known.source) as source,
        {{ worst_basis_of_group() }} as knowledge_basis,
        {{ worst_licence_of_group() }} as licence_class
    from releases
    inner join points as known
        on
            releases.zone = known.zone
            and releases.delivery_date = known.delivery_date
            and releases.release_ts >= known.known_from
            and releases.release_ts < known.known_to
            and releases.resolution_min = known.resolution_min
    group by releases.zone, releases.delivery_date, releases.release_ts, releases.resolution_min
),

rates as (
    select
        candidates.delivery_date,
        candidates.release_ts,
        fx.rate as eurusd,
        fx.obs_date as fx_obs_date,
        fx.knowledge_basis,
        fx.licence_class
    from (
        select distinct delivery_date, release_ts, {{ numbers_to(10) }} as days_back
        from releases
    ) as candidates
    inner join {{ ref('stg_fx') }} as fx
        on
            {{ days_before('candidates.delivery_date', 'candidates.days_back') }} = fx.obs_date
            and candidates.release_ts >= fx.known_from
            and candidates.release_ts < fx.known_to
    where fx.pair = 'EURUSD'
    qualify row_number() over (
        partition by candidates.delivery_date, candidates.release_ts order by fx.obs_date desc nulls last
    ) = 1
),

-- Parameters of the metal whose smelters use power; the first one where there are several.
smelter_parameters as (
    select metal, calendar_date, mwh_per_t, power_line_high_usd_mwh, power_line_low_usd_mwh
    from {{ ref('int_parameters') }}
    where mwh_per_t is not null
    qualify row_number() over (partition by calendar_date order by metal asc nulls last) = 1
),

-- Under curve type A03 a missing position repeats the one before, so each point has the number of market time units
-- that it covers. A day whose first units are missing has no earlier point to repeat, and no mean.
converted as (
    select
        days.zone,
        days.delivery_date,
        days.release_ts,
        days.resolution_min,
        days.n_mtu,
        days.n_points,
        {{ covering_units('days.points', 'days.n_mtu') }} as points,
        days.source,
        rates.eurusd,
        rates.fx_obs_date,
        p.mwh_per_t,
        p.power_line_high_usd_mwh,
        p.power_line_low_usd_mwh,
        {{ worst_basis(['days.knowledge_basis', 'rates.knowledge_basis']) }} as knowledge_basis,
        {{ worst_licence(['days.licence_class', 'rates.licence_class']) }} as licence_class
    from days
    inner join smelter_parameters as p on days.delivery_date = p.calendar_date
    left join rates on days.delivery_date = rates.delivery_date and days.release_ts = rates.release_ts
),

priced as (
    select
        *,
        {{ list_total('points', 'x.n_units') }} = n_mtu as is_whole,
        {{ list_total('points', 'x.price_eur_mwh * x.n_units') }} / n_mtu as mean_eur_mwh,
        {{ list_total('points', 'x.price_eur_mwh') }} / n_points as naive_mean_of_points_eur_mwh,
        {{ share_beyond('points', 'x.price_eur_mwh * eurusd > power_line_high_usd_mwh', 'x.n_units', 'n_mtu') }}
            as share_above,
        {{ share_beyond('points', 'x.price_eur_mwh * eurusd < power_line_low_usd_mwh', 'x.n_units', 'n_mtu') }}
            as share_below
    from converted
)

select
    zone,
    delivery_date,
    release_ts as known_from,
    coalesce(
        lead(release_ts) over (partition by zone, delivery_date order by release_ts asc nulls last), {{ far_future() }}
    ) as known_to,
    resolution_min,
    n_mtu,
    n_points,
    case when is_whole then mean_eur_mwh end as mean_eur_mwh,
    case when is_whole then naive_mean_of_points_eur_mwh end as naive_mean_of_points_eur_mwh,
    fx_obs_date,
    eurusd,
    case when is_whole then mean_eur_mwh * eurusd end as mean_usd_mwh,
    case when is_whole then {{ power_cost('mean_eur_mwh * eurusd', 'mwh_per_t') }} end as power_cost_usd_t,
    case when is_whole and eurusd is not null then share_above end as share_above_115usd,
    case when is_whole and eurusd is not null then share_below end as share_below_40usd,
    source,
    knowledge_basis,
    licence_class
from priced
