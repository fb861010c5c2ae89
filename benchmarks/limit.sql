-- marts.tightness_daily as one plain DuckDB script, with which the dbt project is compared.
-- Assumed here but not there: one metal, one exporting country, one value of each parameter for all days, observations
-- that become known in the order of their days. The session sets lake and reference (folders) and as_of.
set TimeZone = 'UTC';

create temp macro reference(name) as table
    from read_parquet(getvariable('reference') || '/' || name || '.parquet');

create temp macro lake(dataset) as table
    from read_parquet(getvariable('lake') || '/' || dataset || '/*.parquet', hive_partitioning = false)
    where knowledge_ts <= getvariable('as_of');

-- The vintages of a series, each with the end of its validity; a dropped month overrides all other sources.
create temp macro vintages(series) as table
    with captured as (
        select *, max(source = 'drop') over (partition by date_trunc('month', obs_end)) as is_dropped
        from query_table(series)
    ),
    distinct_vintages as (
        from captured
        where (source = 'drop') = is_dropped
        qualify row_number() over (
            partition by obs_end, knowledge_ts order by vintage_no desc, ingest_ts desc, payload_sha256
        ) = 1
    )
    select *, lead(knowledge_ts, 1, 'infinity') over (partition by obs_end order by knowledge_ts) as known_to
    from distinct_vintages;

create temp table p as pivot (select name, value from reference('parameters')) on name using max(value);
create temp table component as from reference('index_components');
create temp table calendar as from reference('trading_calendar');
create temp table lake_prices as from lake('prices');
create temp table lake_stocks as from lake('stocks');
create temp table lake_rates as from lake('rates');
create temp table lake_off_warrant as from lake('off_warrant');
create temp table lake_exports as from lake('exports') where country = 'CN';
create temp table prices as from vintages('lake_prices');
create temp table stocks as select *, dense_rank() over (order by obs_date) as n from vintages('lake_stocks');
create temp table cancelled as from stocks where cancelled_t is not null;
create temp table rates as from vintages('lake_rates');
create temp table off_warrant as from vintages('lake_off_warrant');
create temp table exports as from vintages('lake_exports');

create temp table spine as
    select calendar_date as as_of_date, as_of_ts
    from calendar
    where is_business_day and as_of_ts <= getvariable('as_of')
        and as_of_ts >= (select min(knowledge_ts) from prices);

-- The newest observation known at each decision time, with a maximum age in days.
create temp macro newest(observations, days) as table
    select spine.*, known.* exclude (known_to, is_dropped)
    from spine
    asof join (
        from query_table(observations)
        qualify obs_end = max(obs_end) over (order by knowledge_ts)  -- peers included: the newest of a release
    ) as known on spine.as_of_ts >= known.knowledge_ts
    where spine.as_of_date - known.obs_end <= days;

-- Exports as known after each release. Frames count months, so that a figure for two months counts as two.
create temp table exports_known as
    with known as (
        select release.knowledge_ts as release_ts, exports.*, year(period_end) * 12 + month(period_end) as month_no
        from (select distinct knowledge_ts from exports) as release
        join exports on release.knowledge_ts >= exports.knowledge_ts and release.knowledge_ts < exports.known_to
    ),
    based as (
        select *, max(exports_kt) over (
            partition by release_ts, period_months order by month_no range between 12 preceding and 12 preceding
        ) as base_kt
        from known
    ),
    changed as (
        select
            release_ts, period_end, knowledge_basis, licence_class,
            exports_kt / nullif(base_kt, 0) - 1 as exports_yoy,
            case
                when sum(period_months) over quarter >= 3 and count(base_kt) over quarter = count(*) over quarter
                    and sum(period_months) over quarter = month_no - min(month_no - period_months) over quarter
                    then sum(exports_kt) over quarter / nullif(sum(base_kt) over quarter, 0) - 1
            end as exports_yoy_3m,
            case
                when sum(period_months) filter (base_kt is not null) over so_far = month(period_end)
                    then sum(exports_kt) over so_far / nullif(sum(base_kt) over so_far, 0) - 1
            end as exports_ytd_yoy
        from based
        window
            quarter as (partition by release_ts order by month_no range between 2 preceding and current row),
            so_far as (partition by release_ts, year(period_end) order by month_no)
    ),
    releases as (
        select
            unnest(max_by(changed, period_end)),
            list(exports_yoy_3m order by period_end desc)[:(select rank_window_monthly::int from p)] as history
        from changed
        group by release_ts
    )
    select
        * exclude (history),
        len(list_filter(history, lambda x: x is not null)) as n,
        len(list_filter(history, lambda x: x < exports_yoy_3m)) as n_below,
        len(list_filter(history, lambda x: x = exports_yoy_3m)) as n_equal
    from releases;

create temp table visible_known as
    select
        release.knowledge_ts as release_ts, latest.period_end, latest.knowledge_basis, latest.licence_class,
        latest.offwarrant_t + latest.registered_month_end_t as visible_t,
        latest.offwarrant_t / nullif(base.offwarrant_t, 0) - 1 as offwarrant_yoy
    from (select distinct knowledge_ts from off_warrant) as release
    join off_warrant as latest
        on release.knowledge_ts >= latest.knowledge_ts and release.knowledge_ts < latest.known_to
    left join off_warrant as base
        on release.knowledge_ts >= base.knowledge_ts and release.knowledge_ts < base.known_to
            and date_trunc('month', latest.period_end) - interval 12 month = date_trunc('month', base.period_end)
    qualify latest.period_end = max(latest.period_end) over (partition by release.knowledge_ts);

create temp table known as
    with quoted as (
        select
            price.*,
            coalesce(price.days_cash_to_3m, calendar.days_cash_to_3m) as d,
            cash_usd_t - m3_usd_t as spread
        from newest('prices', 45) as price
        join calendar on price.obs_date = calendar.calendar_date
    ),
    earlier as (
        select latest.as_of_date, before.* exclude (n)
        from newest('stocks', 55) as latest
        asof join stocks as before
            on latest.n - (select stock_chg_obs from p) = before.n and latest.as_of_ts >= before.knowledge_ts
        where latest.as_of_date - before.obs_date <= 55
    ),
    carried as (
        select
            spine.*,
            quoted.* exclude (as_of_date, as_of_ts, days_cash_to_3m),
            rate.obs_date as rate_obs_date,
            case when spine.as_of_date - rate.obs_date <= max_age_days_rate then rate.sofr_pct / 100 end as r,
            cash_usd_t * (r + financing_spread) * d / day_count + rent_usd_t_day * d as full_carry,
            rate.knowledge_ts as rate_known,
            rate.knowledge_basis as rate_basis,
            rate.licence_class as rate_licence
        from spine
        cross join p
        left join quoted using (as_of_date)
        left join newest('rates', 45) as rate using (as_of_date)
    )
    select
        'AL' as metal,
        price.as_of_date,
        price.as_of_ts,
        price.obs_date as price_obs_date,
        stock.obs_date as stock_obs_date,
        price.rate_obs_date,
        export.period_end as exports_period_end,
        visible.period_end as offwarrant_period_end,
        price.cash_usd_t,
        price.m3_usd_t,
        price.d::integer as days_cash_to_3m,
        price.spread as cash_3m_spread_usd_t,
        price.spread / nullif(price.cash_usd_t, 0) * 365 / price.d as basis_ann,
        price.r as rate,
        price.full_carry as full_carry_usd_t,
        -price.spread / nullif(price.full_carry, 0) as contango_share_of_full_carry,
        1 - contango_share_of_full_carry as carry_tightness,
        (price.spread + price.full_carry) / nullif(price.cash_usd_t, 0) * 365 / price.d as conv_yield_ann,
        stock.total_t,
        case when part.obs_date = stock.obs_date then stock.total_t - part.cancelled_t end as live_t,
        part.cancelled_t / nullif(part.total_t, 0) as cancelled_ratio,
        stock.total_t / (consumption_t_per_year / 365) as stock_days,
        case when stock.total_t > 0 and earlier.total_t > 0 then ln(stock.total_t / earlier.total_t) end
            as stock_log_chg,
        export.exports_yoy,
        export.exports_yoy_3m,
        export.exports_ytd_yoy,
        visible.offwarrant_yoy,
        visible.visible_t,
        case
            when export.n >= rank_min_periods_monthly
                and price.as_of_date - export.period_end <= (
                    select max_age_days from component where indicator = 'exports_yoy_3m'
                )
                and export.exports_yoy_3m is not null
                then 1 - (export.n_below + export.n_equal / 2) / export.n
        end as score_exports_yoy_3m,
        part.obs_date as cancelled_obs_date,
        greatest(
            price.knowledge_ts, price.rate_known, stock.knowledge_ts, part.knowledge_ts, earlier.knowledge_ts,
            export.release_ts, visible.release_ts
        ) as knowledge_ts_max,
        -- ASSUMED, CALENDAR, OBSERVED: the alphabetical order is worst first.
        least(
            price.knowledge_basis, price.rate_basis, stock.knowledge_basis, part.knowledge_basis,
            earlier.knowledge_basis, export.knowledge_basis, visible.knowledge_basis
        ) as knowledge_basis,
        list_extract(['OPEN', 'BYO', 'RESTRICTED'], list_max([
            list_position(['OPEN', 'BYO', 'RESTRICTED'], licence) for licence in [
                price.licence_class, price.rate_licence, stock.licence_class, part.licence_class,
                earlier.licence_class, export.licence_class, visible.licence_class
            ]
        ])) as licence_class
    from carried as price
    cross join p
    left join newest('stocks', 55) as stock using (as_of_date)
    left join newest('cancelled', 55) as part using (as_of_date)
    left join earlier using (as_of_date)
    asof left join exports_known as export on price.as_of_ts >= export.release_ts
    asof left join visible_known as visible on price.as_of_ts >= visible.release_ts;

-- Mid-distribution percentile: the values below plus half of the equal ones are (n + rank from below - rank from above)
-- over 2, of the n in the window.
create temp table scores as
    with fresh as (
        select as_of_date, indicator, sign, case when as_of_date - obs_date <= max_age_days then value end as x
        from known
        cross join lateral (
            values
                ('carry_tightness', carry_tightness, price_obs_date),
                ('cancelled_ratio', cancelled_ratio, cancelled_obs_date),
                ('stock_days', stock_days, stock_obs_date),
                ('stock_log_chg', stock_log_chg, stock_obs_date)
        ) as given (indicator, value, obs_date)
        join component using (indicator)
    ),
    ranked as (
        select
            as_of_date, indicator, sign, x, count(x) over w as n,
            (n + rank(order by x nulls last) over w - rank(order by x desc nulls last) over w) / 2 / n as percentile
        from fresh
        window w as (
            partition by indicator order by as_of_date
            rows between (select rank_window::int - 1 from p) preceding and current row
        )
    )
    pivot (
        select as_of_date, indicator, case when sign > 0 then percentile else 1 - percentile end as score
        from ranked
        where x is not null and n >= (select rank_min_periods from p)
    )
    on indicator in ('carry_tightness', 'cancelled_ratio', 'stock_days', 'stock_log_chg')
    using max(score) group by as_of_date;

create temp table indexed as
    with weights as (pivot component on family in ('CURVE', 'INVENTORY', 'FLOW') using max(weight) group by metal),
    families as (
        select
            as_of_date, known.score_exports_yoy_3m,
            scores.carry_tightness as score_carry_tightness,
            scores.cancelled_ratio as score_cancelled_ratio,
            scores.stock_days as score_stock_days,
            scores.stock_log_chg as score_stock_log_chg,
            score_carry_tightness as family_curve,
            list_avg([score_cancelled_ratio, score_stock_days, score_stock_log_chg]) as family_inventory,
            known.score_exports_yoy_3m as family_flow,
            [curve * family_curve, inventory * family_inventory, flow * family_flow] as weighted,
            round(list_sum([
                if(family_curve is null, 0, curve), if(family_inventory is null, 0, inventory),
                if(family_flow is null, 0, flow)
            ]), 9) as coverage,
            case when coverage >= min_coverage then coverage end as weight
        from known
        cross join weights
        cross join p
        left join scores using (as_of_date)
    )
    select
        * exclude (weighted, weight),
        100 * weighted[1] / weight as contrib_curve,
        100 * weighted[2] / weight as contrib_inventory,
        100 * weighted[3] / weight as contrib_flow,
        list_count([
            score_carry_tightness, score_cancelled_ratio, score_stock_days, score_stock_log_chg, score_exports_yoy_3m
        ])::integer as n_components,
        100 * list_sum(weighted) / weight as tightness_index
    from families;

-- The next state for a value in a state, with hysteresis: 1 LOOSE, 2 NEUTRAL, 3 TIGHT, 4 SQUEEZE.
create temp macro regime_at(x, state, p) as case
    when x >= p.enter_squeeze or state = 4 and x >= p.exit_squeeze then 4
    when x >= p.enter_tight or state >= 3 and x >= p.exit_tight then 3
    when x <= p.enter_loose or state = 1 and x <= p.exit_loose then 1
    else 2
end;

create temp table regimes as
    with numbered as (
        select as_of_date, tightness_index as x, row_number() over (order by as_of_date) as n from indexed
    ),
    gaps as (  -- for how many days the index has been missing; NULL before the first value
        select
            *, count(x) over (order by n) as n_values,
            n - max(case when x is not null then n end) over (order by n) as gap
        from numbered
    ),
    starts as (  -- the first value, and the first after a long gap, have no previous state
        select *, coalesce(lag(gap) over (order by n) > regime_max_gap, true) as is_start from gaps, p
    ),
    days as (
        select n, is_start, [regime_at(x, if(is_start, 2, state), p) for state in [1, 2, 3, 4]] as leads
        from starts, p
        where x is not null
    ),
    -- met: the next state of the last day, and on how many days in a row; past: the states so far, a digit each.
    folded as (
        select list_reduce(
            (select list(days order by n) from days),
            lambda a, d: {
                'state': if(
                    d.is_start or if(d.leads[a.state] = a.met, a.times + 1, 1) >= regime_confirm,
                    d.leads[a.state], a.state
                ),
                'met': d.leads[a.state],
                'times': if(d.leads[a.state] = a.met, a.times + 1, 1),
                'past': a.past || a.state
            },
            {'state': 2, 'met': 0, 'times': 0, 'past': ''}
        ) as result
        from p
    )
    select
        as_of_date,
        case
            when gap <= regime_max_gap
                then ['LOOSE', 'NEUTRAL', 'TIGHT', 'SQUEEZE'][(result.past || result.state)[n_values + 1]::int]
            else 'UNKNOWN'
        end as regime,
        case
            when gap = 0 then 'OK'
            when gap is null then 'WARMUP'
            when gap > regime_max_gap then 'UNKNOWN'
            else 'STALE'
        end as regime_status
    from gaps, folded, p;

create schema if not exists marts;
create or replace table marts.tightness_daily as
    select
        known.* exclude (
            score_exports_yoy_3m, cancelled_obs_date, knowledge_ts_max, knowledge_basis, licence_class
        ),
        score_carry_tightness, score_cancelled_ratio, score_stock_days, score_stock_log_chg,
        indexed.score_exports_yoy_3m, family_curve, family_inventory, family_flow,
        contrib_curve, contrib_inventory, contrib_flow, coverage, n_components, tightness_index,
        regime, regime_status, knowledge_ts_max, knowledge_basis, licence_class
    from known
    join indexed using (as_of_date)
    join regimes using (as_of_date);
