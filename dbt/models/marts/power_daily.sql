-- Day-ahead power by zone and delivery day. In USD at the last reference rate known when the auction was published:
-- power is known before its day, so that rate is an older one.
{% set back = 10 %}
with days as (
    select
        zone,
        delivery_date,
        resolution,
        resolution_min,
        max(n_positions) as n_mtu,
        count(*) as n_points,
        sum(n_units) as n_units,
        max(known_from) as knowledge_ts,
        max(source) as source,
        max(knowledge_basis) as knowledge_basis,
        max(licence_class) as licence_class
    from {{ ref('int_power_points') }}
    group by zone, delivery_date, resolution, resolution_min
    -- Where a day is there at two resolutions, the finer one is the market's.
    qualify row_number() over (partition by zone, delivery_date order by resolution_min asc nulls last) = 1
),

rates as (
    select looked.zone, looked.delivery_date, fx.rate as eurusd, fx.obs_date as fx_obs_date, fx.licence_class
    from (
        select zone, delivery_date, knowledge_ts, {{ numbers_to(back) }} as days_back
        from days
    ) as looked
    inner join {{ ref('stg_fx') }} as fx
        on
            {{ days_before('looked.delivery_date', 'looked.days_back') }} = fx.obs_date
            and looked.knowledge_ts >= fx.known_from
            and looked.knowledge_ts < fx.known_to
    where fx.pair = 'EURUSD'
    qualify row_number() over (partition by looked.zone, looked.delivery_date order by fx.obs_date desc nulls last) = 1
),

-- The metal whose smelters are meant: the one with a power use of its own.
smelting as (
    select calendar_date, mwh_per_t, power_line_high_usd_mwh, power_line_low_usd_mwh
    from {{ ref('int_parameters') }}
    where mwh_per_t is not null
    qualify row_number() over (partition by calendar_date order by metal asc nulls last) = 1
),

means as (
    select
        points.zone,
        points.delivery_date,
        {{ ordered_sum('points.price_eur_mwh * points.n_units', 'points.position') }}
        / max(points.n_positions) as mean_eur_mwh,
        {{ ordered_mean('points.price_eur_mwh', 'points.position') }} as naive_mean_of_points_eur_mwh,
        sum(case when points.price_eur_mwh * rates.eurusd > p.power_line_high_usd_mwh then points.n_units else 0 end)
        / cast(max(points.n_positions) as double) as share_above,
        sum(case when points.price_eur_mwh * rates.eurusd < p.power_line_low_usd_mwh then points.n_units else 0 end)
        / cast(max(points.n_positions) as double) as share_below
    from {{ ref('int_power_points') }} as points
    inner join days
        on
            points.zone = days.zone
            and points.delivery_date = days.delivery_date
            and points.resolution = days.resolution
    inner join smelting as p on points.delivery_date = p.calendar_date
    left join rates on points.zone = rates.zone and points.delivery_date = rates.delivery_date
    -- A day whose first units are missing has nothing to repeat: no mean is better than a wrong one.
    where days.n_units = days.n_mtu
    group by points.zone, points.delivery_date
)

select
    days.zone,
    days.delivery_date,
    days.resolution_min,
    cast(days.n_mtu as integer) as n_mtu,
    cast(days.n_points as integer) as n_points,
    means.mean_eur_mwh,
    means.naive_mean_of_points_eur_mwh,
    rates.fx_obs_date,
    rates.eurusd,
    means.mean_eur_mwh * rates.eurusd as mean_usd_mwh,
    means.mean_eur_mwh * rates.eurusd * p.mwh_per_t as power_cost_usd_t,
    case when rates.eurusd is not null then means.share_above end as share_above_115usd,
    case when rates.eurusd is not null then means.share_below end as share_below_40usd,
    days.knowledge_ts,
    days.source,
    days.knowledge_basis,
    {{ worst_licence(['days.licence_class', 'rates.licence_class']) }} as licence_class
from days
inner join smelting as p on days.delivery_date = p.calendar_date
left join means on days.zone = means.zone and days.delivery_date = means.delivery_date
left join rates on days.zone = rates.zone and days.delivery_date = rates.delivery_date
