-- marts.power_daily as one plain DuckDB query, with which the dbt project is compared.
-- Assumed here but not there: no drop files, one value of each parameter for all days, one basis and licence class.
-- The session sets lake and reference (folders) and as_of.
set TimeZone = 'UTC';
create schema marts;
create table marts.power_daily as
    with p as (
        pivot (select name, value from read_parquet(getvariable('reference') || '/parameters.parquet'))
        on name in ('mwh_per_t', 'power_line_high_usd_mwh', 'power_line_low_usd_mwh') using max(value)
    ),
    rates as (
        select obs_date, rate, knowledge_ts
        from read_parquet(getvariable('lake') || '/fx/*.parquet', hive_partitioning = false)
        where pair = 'EURUSD' and knowledge_ts <= getvariable('as_of')
    ),
    latest as (
        from read_parquet(getvariable('lake') || '/power/*.parquet', hive_partitioning = false)
        where knowledge_ts <= getvariable('as_of')
        qualify row_number() over (
            partition by zone, delivery_date, resolution, position order by knowledge_ts desc, vintage_no desc
        ) = 1
    ),
    finest as (
        select *, substr(resolution, 3, 2)::integer as resolution_min
        from latest
        qualify resolution_min = min(resolution_min) over (partition by zone, delivery_date)
    ),
    points as (
        select
            *,
            lead(position, 1, n_positions + 1) over (partition by zone, delivery_date order by position) - position
                as units
        from finest
    ),
    days as (
        select
            zone, delivery_date,
            max(resolution_min) as resolution_min,
            max(n_positions)::integer as n_mtu,
            count(*)::integer as n_points,
            case when min(position) = 1 then avg(price_eur_mwh) end as naive_mean_of_points_eur_mwh,
            case when min(position) = 1 then sum(price_eur_mwh * units) end as total,
            max(knowledge_ts) as knowledge_ts,
            max(source) as source,
            min(knowledge_basis) as knowledge_basis,
            max(licence_class) as licence_class
        from points
        group by zone, delivery_date
    ),
    converted as (
        select days.*, rates.obs_date as fx_obs_date, rates.rate as eurusd
        from days
        left join rates
            on rates.obs_date between days.delivery_date - 10 and days.delivery_date
                and rates.knowledge_ts <= days.knowledge_ts
        qualify row_number() over (partition by zone, delivery_date order by rates.obs_date desc nulls last) = 1
    ),
    shares as (
        select
            zone, delivery_date,
            sum(if(price_eur_mwh * eurusd > power_line_high_usd_mwh, units, 0)) as above,
            sum(if(price_eur_mwh * eurusd < power_line_low_usd_mwh, units, 0)) as below
        from points
        join converted using (zone, delivery_date)
        cross join p
        where total is not null and eurusd is not null  -- otherwise there are no shares
        group by zone, delivery_date
    )
    select
        zone,
        delivery_date,
        resolution_min,
        n_mtu,
        n_points,
        total / n_mtu as mean_eur_mwh,
        naive_mean_of_points_eur_mwh,
        fx_obs_date,
        eurusd,
        total / n_mtu * eurusd as mean_usd_mwh,
        total / n_mtu * eurusd * mwh_per_t as power_cost_usd_t,
        above / n_mtu as share_above_115usd,
        below / n_mtu as share_below_40usd,
        knowledge_ts,
        source,
        knowledge_basis,
        licence_class
    from converted
    left join shares using (zone, delivery_date)
    cross join p;
