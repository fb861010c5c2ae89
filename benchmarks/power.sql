-- marts.power_daily as one plain DuckDB query, with which the dbt project is compared.
-- Assumed here but not there: no drop files, one metal with smelters, one value of each line for all days.
-- The session sets lake and reference (folders), as_of, and the first and last delivery day.
with p as (
    pivot (select name, value from read_parquet(getvariable('reference') || '/parameters.parquet'))
    on name in ('power_line_high_usd_mwh', 'power_line_low_usd_mwh') using max(value)
),
points as (  -- of several vintages of a position the latest
    select
        *,
        lead(position) over (
            partition by zone, delivery_date, resolution order by position, knowledge_ts
        ) as next_position
    from read_parquet(getvariable('lake') || '/power/*.parquet', hive_partitioning = false)
    where knowledge_ts <= getvariable('as_of')
        and delivery_date between getvariable('first_day') and getvariable('last_day')
    qualify next_position is distinct from position
),
days as (  -- of several resolutions the finest
    select
        zone, delivery_date,
        substr(resolution, 3, 2)::integer as resolution_min,
        max(n_positions)::integer as n_mtu,
        count(*)::integer as n_points,
        min(position) = 1 as is_whole,
        list({
            'price': price_eur_mwh, 'units': coalesce(next_position, n_positions + 1) - position
        } order by position) as prices,
        max(knowledge_ts) as knowledge_ts,
        max(source) as source,
        min(knowledge_basis) as knowledge_basis,
        max(licence_class) as licence_class
    from points
    group by zone, delivery_date, resolution
    qualify resolution_min = min(resolution_min) over (partition by zone, delivery_date)
),
converted as (
    select days.*, fx.obs_date as fx_obs_date, fx.rate as eurusd
    from days
    left join read_parquet(getvariable('lake') || '/fx/*.parquet', hive_partitioning = false) as fx
        on fx.pair = 'EURUSD' and fx.obs_date between days.delivery_date - 10 and days.delivery_date
            and fx.knowledge_ts <= days.knowledge_ts
    qualify row_number() over (
        partition by zone, delivery_date order by fx.obs_date desc nulls last, fx.knowledge_ts desc
    ) = 1
)
select
    zone,
    delivery_date,
    resolution_min,
    n_mtu,
    n_points,
    if(is_whole, list_sum([x.price * x.units for x in prices]) / n_mtu, null) as mean_eur_mwh,
    if(is_whole, list_avg([x.price for x in prices]), null) as naive_mean_of_points_eur_mwh,
    fx_obs_date,
    eurusd,
    mean_eur_mwh * eurusd as mean_usd_mwh,
    mean_eur_mwh * eurusd * mwh_per_t as power_cost_usd_t,
    if(is_whole and eurusd is not null, coalesce(list_sum([
        x.units for x in prices if x.price * eurusd > power_line_high_usd_mwh
    ]), 0) / n_mtu, null) as share_above_115usd,
    if(is_whole and eurusd is not null, coalesce(list_sum([
        x.units for x in prices if x.price * eurusd < power_line_low_usd_mwh
    ]), 0) / n_mtu, null) as share_below_40usd,
    knowledge_ts,
    source,
    knowledge_basis,
    licence_class
from converted
asof join (
    select value as mwh_per_t, valid_from
    from read_parquet(getvariable('reference') || '/parameters.parquet')
    where name = 'mwh_per_t'
) as energy on converted.delivery_date >= energy.valid_from
cross join p;
