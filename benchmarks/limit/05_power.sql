-- Power and smelters: marts.power_daily, marts.smelter_margin_daily.
create temp table power_days as
    with releases as (
        select release.*, fx.rate as eurusd, fx.obs_date as fx_obs_date, fx.basis as fx_basis, fx.licence as fx_licence
        from (select distinct zone, delivery_date, known_from as release_ts from power) as release
        asof left join (
            from fx qualify obs_date = max(obs_date) over (order by known_from)
        ) as fx on release.release_ts >= fx.known_from
    ),
    points as (
        select
            release.*, point.resolution, n_positions, price_eur_mwh, point.position, source, basis, licence,
            case when delivery_date - fx_obs_date <= 10 then price_eur_mwh * eurusd end as price_usd_mwh,
            lead(point.position, 1, n_positions + 1) over (
                partition by release.zone, release.delivery_date, release_ts, resolution order by point.position
            ) - point.position as n_units
        from releases as release
        join power as point using (zone, delivery_date)
        where release_ts >= point.known_from and release_ts < point.known_to
    ),
    days as (
        select
            zone, delivery_date, release_ts, substr(resolution, 3, 2)::integer as resolution_min,
            max(n_positions) as n_mtu, count(*) as n_points, sum(n_units) = n_mtu as is_whole,
            sum(price_eur_mwh * n_units order by position) / n_mtu as mean_eur_mwh,
            sum(price_eur_mwh order by position) / n_points as naive_mean,
            sum(case when price_usd_mwh > power_line_high_usd_mwh then n_units else 0 end) / n_mtu as above,
            sum(case when price_usd_mwh < power_line_low_usd_mwh then n_units else 0 end) / n_mtu as below,
            any_value(fx_obs_date) filter (where price_usd_mwh is not null) as rate_date,
            any_value(eurusd) filter (where price_usd_mwh is not null) as rate,
            max(source) as source,
            least(min(basis), any_value(fx_basis) filter (where price_usd_mwh is not null)) as basis,
            least(min(licence), any_value(fx_licence) filter (where price_usd_mwh is not null)) as licence
        from points, p
        group by zone, delivery_date, release_ts, resolution
        -- Of two resolutions the finer one, of several releases the last one.
        qualify row_number() over (partition by zone, delivery_date order by release_ts desc, resolution_min) = 1
    )
    select
        zone, delivery_date, resolution_min, n_mtu::integer as n_mtu, n_points::integer as n_points,
        case when is_whole then mean_eur_mwh end as mean_eur_mwh,
        case when is_whole then naive_mean end as naive_mean_of_points_eur_mwh,
        rate_date as fx_obs_date, rate as eurusd,
        case when is_whole then days.mean_eur_mwh * rate end as mean_usd_mwh,
        mean_usd_mwh * dated.mwh_per_t as power_cost_usd_t,
        case when is_whole and rate is not null then above end as share_above_115usd,
        case when is_whole and rate is not null then below end as share_below_40usd,
        release_ts as knowledge_ts, source, basis as knowledge_basis, licence
    from days
    join dated on delivery_date = dated.calendar_date;

create or replace table marts.power_daily as
    select * exclude (licence), licence::varchar as licence_class from power_days;

-- The last month of power on each day, by days: an auction is known before its day.
create temp table power_recent as
    with known as (from power_days where mean_usd_mwh is not null),
    days as (
        select zone, unnest(range(min(delivery_date), getvariable('as_of')::date + 1, interval 1 day))::date as day
        from known
        group by zone
    )
    select
        days.zone, day as as_of_date,
        last_value(delivery_date ignore nulls) over w as power_delivery_date,
        last_value(mean_usd_mwh ignore nulls) over w as mean_usd_mwh,
        last_value(share_above_115usd ignore nulls) over w as share_above_115usd,
        list(mean_usd_mwh) filter (mean_usd_mwh is not null) over w as means,
        max(knowledge_ts) over w as known, min(knowledge_basis) over w as basis, min(licence) over w as licence
    from days
    left join known on days.zone = known.zone and day = delivery_date
    window w as (
        partition by days.zone order by day
        rows between (select power_mean_days::int - 1 from p) preceding and current row
    );

create temp table smelters as
    with parameters as (
        select *, (
            select max_by(status, metal) from of_metal('parameters') where name = 'other_cash_usd_t'
        ) as other_cash_status
        from p
    ),
    costed as (
        select
            curve.metal, power.zone, curve.as_of_date, curve.as_of_ts, curve.price_obs_date,
            cost.obs_date as cost_obs_date, power.power_delivery_date, curve.cash_usd_t, cost.premium_usd_t,
            cost.alumina_usd_t, dated.mwh_per_t, alumina_t_per_t, other_cash_usd_t, other_cash_status,
            case when curve.as_of_date - power.power_delivery_date <= 7 then power.mean_usd_mwh end as power_usd_mwh,
            power_usd_mwh * dated.mwh_per_t as power_cost_usd_t,
            power_cost_usd_t + alumina_t_per_t * alumina_usd_t + other_cash_usd_t as cash_cost_usd_t,
            power_cost_usd_t / nullif(cash_cost_usd_t, 0) as power_share_of_cost,
            cash_usd_t + premium_usd_t - cash_cost_usd_t as margin_usd_t,
            (cash_usd_t + premium_usd_t - alumina_t_per_t * alumina_usd_t - other_cash_usd_t) / nullif(dated.mwh_per_t, 0)
                as breakeven_power_usd_mwh,
            breakeven_power_usd_mwh - power_usd_mwh as headroom_usd_mwh,
            len(power.means)::integer as n_power_days_30d,
            case when n_power_days_30d >= power_mean_min_days then list_sum(power.means) / n_power_days_30d end
                as power_usd_mwh_30d,
            greatest(curve.knowledge_ts_max, cost.known, power.known) as knowledge_ts_max,
            least(curve.knowledge_basis, cost.basis, power.basis) as knowledge_basis,
            least(curve.licence_class::licence, cost.licence, power.licence)::varchar as licence_class,
            power.known as power_known, power.share_above_115usd, rank_min_periods, curtailment_days
        from marts.curve_daily as curve
        cross join parameters
        join dated on curve.as_of_date = dated.calendar_date
        join power_recent as power on curve.as_of_date = power.as_of_date and len(power.means) > 0
        left join newest('costs', 45) as cost on curve.as_of_date = cost.as_of_date
    ),
    ranked as (
        select
            *,
            count(power_usd_mwh_30d) over w as n_power, count(headroom_usd_mwh) over w as n_headroom,
            n_power + rank(order by power_usd_mwh_30d nulls last) over w
            - rank(order by power_usd_mwh_30d desc nulls last) over w as places_power,
            n_headroom + rank(order by headroom_usd_mwh nulls last) over w
            - rank(order by headroom_usd_mwh desc nulls last) over w as places_headroom,
            count_if(headroom_usd_mwh < 0) over short as n_under_water, count(headroom_usd_mwh) over short as n_short
        from costed
        window
            w as (
                partition by zone order by as_of_date
                rows between (select rank_window::int - 1 from p) preceding and current row
            ),
            short as (
                partition by zone order by as_of_date
                rows between (select curtailment_days::int - 1 from p) preceding and current row
            )
    )
    select
        *,
        case
            when n_under_water >= curtailment_days then 'CURTAILMENT_RISK'
            when n_short > n_under_water then 'NONE'
        end as curtailment_state,
        case when power_usd_mwh_30d is not null and n_power >= rank_min_periods then places_power / 2 / n_power end
            as score_power,
        case
            when headroom_usd_mwh is not null and n_headroom >= rank_min_periods
                then 1 - places_headroom / 2 / n_headroom
        end as score_headroom,
        100 * (score_power + score_headroom) / 2 as supply_stress,
        least(n_power, n_headroom)::integer as n_hist
    from ranked;

create or replace table marts.smelter_margin_daily as
    select
        metal, zone, as_of_date, as_of_ts, price_obs_date, cost_obs_date, power_delivery_date, cash_usd_t,
        premium_usd_t, alumina_usd_t, mwh_per_t, alumina_t_per_t, other_cash_usd_t, other_cash_status, power_usd_mwh,
        power_cost_usd_t, cash_cost_usd_t, power_share_of_cost, margin_usd_t, breakeven_power_usd_mwh,
        headroom_usd_mwh, curtailment_state, power_usd_mwh_30d, n_power_days_30d, score_power, score_headroom,
        supply_stress, n_hist, knowledge_ts_max, knowledge_basis, licence_class
    from smelters;
