-- Ranks, both versions of the index, regimes and scarcity: marts.indicator_ranks_daily, marts.tightness_daily,
-- marts.index_history_daily, marts.scarcity_daily.

-- Mid-distribution percentile: the values below plus half of the equal ones are (n + rank from below - rank from above)
-- over 2, of the n in the window.
create temp table component_ranks as
    with components as (
        select as_of_date, 'carry_tightness' as indicator, carry_tightness as x, price_age_days as age,
            coalesce(is_rate_stale, false) as is_stale
        from marts.curve_daily
        union all
        select as_of_date, 'cancelled_ratio', cancelled_ratio, cancelled_age_days, false from marts.inventory_daily
        union all
        select as_of_date, 'stock_days', stock_days, stock_age_days, false from marts.inventory_daily
        union all
        select as_of_date, 'stock_log_chg', stock_log_chg, stock_age_days, false from marts.inventory_daily
    ),
    given as (
        select as_of_date, indicator, is_stale, as_of_date - age as obs_end, case when age <= max_age_days then x end as value, suspect_from
        from components
        join component using (indicator)
        left join (select obs_date, min(as_of_date) as suspect_from from suspect_prices group by all) as suspects
            on indicator = 'carry_tightness' and as_of_date - age = suspects.obs_date
    ),
    -- Decision times that ranked a value before its price was suspect: they are ranked apart, with the rows up to them.
    early as (
        select distinct day.as_of_date as apart
        from given as wrong
        join given as day on day.as_of_date between wrong.as_of_date and wrong.suspect_from - 1
    ),
    counted as (
        select *, null::date as apart, if(suspect_from is null, value, null) as x from given
        union all
        select given.*, apart, if(suspect_from <= apart, null, value)
        from given
        join early on as_of_date <= apart
        where indicator = 'carry_tightness'
    ),
    ranked as (
        select
            as_of_date, indicator, obs_end, is_stale, false as is_suspect, value, x,
            count(x) over w as n, rank_min_periods as least,
            n + rank(order by x nulls last) over w - rank(order by x desc nulls last) over w as places,
            min(case when x is not null then as_of_date end) over w as ranked_from,
            median(x) over w as median, mad(x) over w as mad,
            count(x) over w2 as n2,
            n2 + rank(order by x nulls last) over w2 - rank(order by x desc nulls last) over w2 as places2,
            count(x) over w5 as n5,
            n5 + rank(order by x nulls last) over w5 - rank(order by x desc nulls last) over w5 as places5,
            count(x) over w10 as n10,
            n10 + rank(order by x nulls last) over w10 - rank(order by x desc nulls last) over w10 as places10
        from counted
        cross join p
        window
            w as (
                partition by indicator, apart order by as_of_date
                rows between (select rank_window::int - 1 from p) preceding and current row
            ),
            w2 as (partition by indicator, apart order by as_of_date rows 503 preceding),
            w5 as (partition by indicator, apart order by as_of_date rows 1259 preceding),
            w10 as (partition by indicator, apart order by as_of_date rows 2519 preceding)
        qualify coalesce(
            apart = as_of_date, indicator <> 'carry_tightness' or as_of_date not in (select early.apart from early)
        )
    )
    select
        as_of_date, indicator, obs_end, is_stale, is_suspect, value, n::integer as n_hist, ranked_from,
        case when x is not null and n >= least then places / 2 / n end as percentile,
        case when value is not null and n >= least then median end as median,
        case when value is not null and n >= least then mad end as mad,
        case when x is not null and n2 >= least then places2 / 2 / n2 end as rank_2y,
        case when x is not null and n5 >= least then places5 / 2 / n5 end as rank_5y,
        case when x is not null and n10 >= least then places10 / 2 / n10 end as rank_10y
    from ranked
    union all by name
    select
        as_of_date, indicator, period_end as obs_end, false as is_stale, is_suspect, n_ranked::integer as n_hist,
        ranked_from,
        case when is_fresh then exports_yoy_3m end as value,
        case when is_fresh then percentile end as percentile,
        case when value is not null then median end as median, case when value is not null then mad end as mad,
        case when value is not null then rank_2y end as rank_2y,
        case when value is not null then rank_5y end as rank_5y,
        case when value is not null then rank_10y end as rank_10y
    from (
        select *, as_of_date - period_end <= max_age_days as is_fresh
        from exports_asof
        join component on indicator = 'exports_yoy_3m' and region = country
    );

-- Version 2: indicators that need earlier decision times.
create temp table inputs_v2 as
    with today as (
        select
            as_of_date, curve.carry_tightness, curve.cash_3m_spread_usd_t as spread, curve.cash_usd_t,
            curve.price_age_days, coalesce(curve.is_rate_stale, false) as is_stale, stock.stock_age_days,
            stock.stock_log_chg_net as net, stock.new_cancellations, visible.period_end,
            consumption_t_per_year / 365 as use_t,
            (stock.total_t - stock.relabelled_t) * (1 - coalesce(stock.cancelled_ratio, 0)) / use_t as live,
            (visible.visible_t + shanghai.total_t) / use_t as whole,
            shanghai.total_t / use_t as shanghai_stock_days, as_of_date - shanghai.obs_date as shanghai_age
        from marts.curve_daily as curve
        join marts.inventory_daily as stock using (as_of_date)
        join dated on as_of_date = calendar_date
        left join visible_latest as visible using (as_of_date)
        left join newest('shanghai', 45) as shanghai using (as_of_date)
    ),
    logs as (
        select *, case when live > 0 then ln(live) end as ln_live, case when whole > 0 then ln(whole) end as ln_whole
        from today
    ),
    months as (
        select year(as_of_date) as y, month(as_of_date) as m, avg(ln_live) as live, avg(ln_whole) as whole
        from logs group by all
    ),
    seasons as (
        select
            as_of_date,
            case when count(months.live) >= any_value(season_min_years) then avg(months.live) end as live,
            case when count(months.whole) >= any_value(season_min_years) then avg(months.whole) end as whole
        from logs
        cross join p
        join months on m = month(as_of_date) and year(as_of_date) - y between 1 and season_years
        group by as_of_date
    )
    select
        logs.* exclude (live, whole),
        median(carry_tightness) over w as carry, median(spread) over w as spread_median,
        ln_live - seasons.live as live_deviation, ln_whole - seasons.whole as whole_deviation,
        greatest(quantile_cont(net, 0.01) over past, least(quantile_cont(net, 0.99) over past, net)) as cut
    from logs
    left join seasons using (as_of_date)
    window
        w as (order by as_of_date rows between (select median_obs::int - 1 from p) preceding and current row),
        past as (order by as_of_date rows unbounded preceding);

create temp table component_ranks_v2 as
    with given as (
        select as_of_date, unnest([
            {'indicator': 'carry_tightness_median', 'x': carry, 'age': price_age_days, 'is_stale': is_stale},
            {'indicator': 'live_stock_deviation', 'x': live_deviation, 'age': stock_age_days, 'is_stale': false},
            {'indicator': 'visible_all_deviation', 'x': whole_deviation, 'age': as_of_date - period_end, 'is_stale': false},
            {'indicator': 'stock_chg_winsorised', 'x': if(net is null, null, cut), 'age': stock_age_days, 'is_stale': false},
            {'indicator': 'new_cancellations', 'x': new_cancellations, 'age': stock_age_days, 'is_stale': false},
            {'indicator': 'shanghai_stock_days', 'x': shanghai_stock_days, 'age': shanghai_age, 'is_stale': false}
        ], recursive := true)
        from inputs_v2
        union all by name
        select as_of_date, lower(spread) || '_usd_t' as indicator, usd_t as x, as_of_date - obs_date as age, false as is_stale
        from (select spine.as_of_date, unnest(['TOM_NEXT', 'M3_M15']) as spread from spine)
        left join newest('quoted_spreads', 45, series := spread) as quote using (as_of_date, spread)
        union all by name
        select
            as_of_date, 'premium_' || lower(region) as indicator, as_of_date - premium.obs_date as age, false as is_stale,
            (cash_usd_t + usd_t) / (1 + if(region = 'US_MIDWEST', coalesce(rate, 0), 0)) - cash_usd_t as x
        from (select spine.as_of_date, unnest(['US_MIDWEST', 'EU_DUTY_UNPAID', 'JAPAN']) as region from spine)
        join inputs_v2 using (as_of_date)
        left join newest('premia', 45, series := region) as premium using (as_of_date, region)
        asof left join (from of_metal('tax_schedule') where country = 'US' and tax = 'SECTION_232') as tax
            on as_of_date >= tax.valid_from
    ),
    valued as (
        select
            given.* exclude (x), as_of_date - age::integer as obs_end, case when age <= max_age_days then x end as value,
            -- An observation counts on the first day that it is there.
            value is not null and obs_end is distinct from lag(if(value is null, null, obs_end) ignore nulls)
                over (partition by indicator order by as_of_date) as is_new,
            if(is_new, value, null) as x
        from given
        join component_v2 using (indicator)
    ),
    ranked as (
        select
            *, count(value) over w as n, count(x) over w as k, count(x) over past as ka,
            k + rank(order by x nulls last) over w - rank(order by x desc nulls last) over w as places,
            ka + rank(order by x nulls last) over past - rank(order by x desc nulls last) over past as places_all,
            min(case when value is not null then as_of_date end) over w as ranked_from,
            median(value) over w as median, mad(value) over w as mad,
            count(value) over w2 as n2,
            n2 + rank(order by value nulls last) over w2 - rank(order by value desc nulls last) over w2 as places2,
            count(value) over w5 as n5,
            n5 + rank(order by value nulls last) over w5 - rank(order by value desc nulls last) over w5 as places5,
            count(value) over w10 as n10,
            n10 + rank(order by value nulls last) over w10 - rank(order by value desc nulls last) over w10 as places10
        from valued
        window
            past as (partition by indicator order by as_of_date rows unbounded preceding),
            w as (
                partition by indicator order by as_of_date
                rows between (select rank_window::int - 1 from p) preceding and current row
            ),
            w2 as (partition by indicator order by as_of_date rows 503 preceding),
            w5 as (partition by indicator order by as_of_date rows 1259 preceding),
            w10 as (partition by indicator order by as_of_date rows 2519 preceding)
    ),
    kept as (
        select
            *, last_value(if(is_new, places / 2 / k, null) ignore nulls) over past as window_rank,
            last_value(if(is_new, places_all / 2 / ka, null) ignore nulls) over past as all_rank
        from ranked
        window past as (partition by indicator order by as_of_date rows unbounded preceding)
    )
    select
        as_of_date, indicator, obs_end, is_stale, false as is_suspect, value, n::integer as n_hist, ranked_from,
        case when value is not null and n >= rank_min_periods_v2 then window_rank end as percentile,
        case when value is not null and n >= rank_min_periods_v2 then all_rank end as expanding_percentile,
        case when value is not null and n >= rank_min_periods then median end as median,
        case when value is not null and n >= rank_min_periods then mad end as mad,
        case when value is not null and n2 >= rank_min_periods then places2 / 2 / n2 end as rank_2y,
        case when value is not null and n5 >= rank_min_periods then places5 / 2 / n5 end as rank_5y,
        case when value is not null and n10 >= rank_min_periods then places10 / 2 / n10 end as rank_10y
    from kept, p
    union all by name
    select
        ranks.* replace (
            case when n_hist >= p.rank_min_periods_monthly_v2 then ranks.percentile end as percentile
        ),
        case when ranks.percentile is not null and n_hist >= p.rank_min_periods_monthly_v2 then export.percentile_all end
            as expanding_percentile
    from component_ranks as ranks
    join exports_asof as export on ranks.as_of_date = export.as_of_date
    cross join p
    where indicator = 'exports_yoy_3m'
        and country = (select region from component_v2 where indicator = 'exports_yoy_3m');

create or replace table marts.indicator_ranks_daily as
    with component_ranks as (
        select 1 as version, *, null::double as expanding_percentile from component_ranks
        union all by name
        select 2 as version, * from component_ranks_v2
    ),
    component as (
        from component union all by name from component_v2
    ),
    metric as (
        from (values
            ('carry_tightness_median', 'carry_tightness'), ('live_stock_deviation', 'stock_days'),
            ('stock_chg_winsorised', 'stock_log_chg'), ('new_cancellations', 'cancelled_ratio'),
            ('visible_all_deviation', 'visible_t')
        ) as names (indicator, metric_id)
    )
    select
        spine.metal, version::integer as version, ranks.indicator, spine.as_of_date, spine.as_of_ts, family, region, sign::integer as sign, weight,
        value, percentile,
        if(version = 1, percentile, (percentile + expanding_percentile) / 2) as mean_rank,
        if(sign > 0, mean_rank, 1 - mean_rank) as score, n_hist, expanding_percentile,
        rank_2y, rank_5y, rank_10y,
        greatest(rank_2y, rank_5y, rank_10y) - least(rank_2y, rank_5y, rank_10y) as rank_sensitivity,
        median, mad,
        case when mad > 0 then greatest(-z_cap, least(z_cap, (value - median) / (1.4826 * mad))) end as robust_z,
        ranked_from, break_ids is not null as is_break, break_ids
    from component_ranks as ranks
    join spine using (as_of_date)
    join component using (version, indicator)
    cross join p
    left join (
        select version, as_of_date, indicator, string_agg(break_id, ' ' order by break_id) as break_ids
        from component_ranks
        left join metric using (indicator)
        join of_metal('series_breaks') as days on coalesce(metric.metric_id, indicator) = days.metric_id
            and as_of_date >= days.valid_from and obs_end >= break_date and ranked_from < break_date
        group by version, as_of_date, indicator
    ) as breaks using (version, as_of_date, indicator);
alter table marts.indicator_ranks_daily drop mean_rank;

create temp table indexed as
    with weights as (
        pivot component on family in ('CURVE', 'INVENTORY', 'FLOW') using max(weight) group by metal
    ),
    scores as (
        pivot (select as_of_date, indicator, score from marts.indicator_ranks_daily where version = 1)
        on indicator in ('carry_tightness', 'cancelled_ratio', 'stock_days', 'stock_log_chg', 'exports_yoy_3m')
        using max(score) group by as_of_date
    ),
    families as (
        select
            as_of_date,
            carry_tightness as score_carry_tightness, cancelled_ratio as score_cancelled_ratio,
            stock_days as score_stock_days, stock_log_chg as score_stock_log_chg,
            exports_yoy_3m as score_exports_yoy_3m,
            carry_tightness as family_curve,
            list_avg([cancelled_ratio, stock_days, stock_log_chg]) as family_inventory,
            exports_yoy_3m as family_flow,
            [curve * family_curve, flow * family_flow, inventory * family_inventory] as weighted,
            round(list_sum([
                if(family_curve is null, 0, curve), if(family_inventory is null, 0, inventory),
                if(family_flow is null, 0, flow)
            ]), 9) as coverage,
            case when coverage >= min_coverage then coverage end as weight
        from scores, weights, p
    )
    select
        families.* exclude (weighted, weight), facts.* exclude (as_of_date),
        100 * weighted[1] / weight as contrib_curve,
        100 * weighted[3] / weight as contrib_inventory,
        100 * weighted[2] / weight as contrib_flow,
        list_count([
            score_carry_tightness, score_cancelled_ratio, score_stock_days, score_stock_log_chg, score_exports_yoy_3m
        ])::integer as n_components,
        100 * list_sum(weighted) / weight as tightness_index
    from families
    -- Of the components that count; a configured one that is missing makes the index partial.
    join (
        select
            as_of_date, count(score) < (select count(*) from component) as is_partial,
            coalesce(bool_or(is_stale) filter (where score is not null), false) as is_stale,
            coalesce(bool_or(is_suspect) filter (where score is not null), false) as is_suspect,
            coalesce(bool_or(is_break) filter (where score is not null), false) as is_break
        from marts.indicator_ranks_daily
        join (select as_of_date, indicator, is_stale, is_suspect from component_ranks) using (as_of_date, indicator)
        where version = 1
        group by as_of_date
    ) as facts using (as_of_date);

create temp table families_v2 as
    select *, round(sum(if(score is null, 0, weight)) over (partition by as_of_date), 9) as coverage
    from (
        select
            as_of_date, family, any_value(weight) as weight,
            sum(score order by indicator) / nullif(count(score), 0) as score
        from marts.indicator_ranks_daily
        where version = 2
        group by as_of_date, family
    );

create temp table indexed_v2 as
    with summed as (
        select
            as_of_date, any_value(coverage) as coverage_v2,
            case when any_value(coverage) >= any_value(min_coverage_v2)
                then 100 * sum(weight * score order by family) / any_value(coverage)
            end as tightness_index_v2,
            max(score) filter (where family = 'CURVE') as family_curve_v2,
            max(score) filter (where family = 'STOCK') as family_stock_v2,
            max(score) filter (where family = 'FLOW') as family_flow_v2,
            max(score) filter (where family = 'PHYSICAL') as family_physical_v2,
            case when any_value(coverage) >= any_value(min_coverage_v2) then 100 * max(weight * score) filter (
                where family = 'CURVE'
            ) / any_value(coverage) end as contrib_curve_v2,
            case when any_value(coverage) >= any_value(min_coverage_v2) then 100 * max(weight * score) filter (
                where family = 'STOCK'
            ) / any_value(coverage) end as contrib_stock_v2,
            case when any_value(coverage) >= any_value(min_coverage_v2) then 100 * max(weight * score) filter (
                where family = 'FLOW'
            ) / any_value(coverage) end as contrib_flow_v2,
            case when any_value(coverage) >= any_value(min_coverage_v2) then 100 * max(weight * score) filter (
                where family = 'PHYSICAL'
            ) / any_value(coverage) end as contrib_physical_v2,
            case when any_value(coverage) >= any_value(min_coverage_v2) then max(weight) filter (
                where family = 'CURVE' and score is not null
            ) / any_value(coverage) end as weight_curve_v2,
            case when any_value(coverage) >= any_value(min_coverage_v2) then max(weight) filter (
                where family = 'STOCK' and score is not null
            ) / any_value(coverage) end as weight_stock_v2,
            case when any_value(coverage) >= any_value(min_coverage_v2) then max(weight) filter (
                where family = 'FLOW' and score is not null
            ) / any_value(coverage) end as weight_flow_v2,
            case when any_value(coverage) >= any_value(min_coverage_v2) then max(weight) filter (
                where family = 'PHYSICAL' and score is not null
            ) / any_value(coverage) end as weight_physical_v2
        from families_v2 cross join p
        group by as_of_date
    )
    select summed.*, facts.* exclude (as_of_date)
    from summed
    join (
        select
            as_of_date, count(score)::integer as n_components, count(score) < (select count(*) from component_v2) as is_partial,
            coalesce(bool_or(is_stale) filter (where score is not null), false) as is_stale,
            coalesce(bool_or(is_suspect) filter (where score is not null), false) as is_suspect,
            coalesce(bool_or(is_break) filter (where score is not null), false) as is_break
        from marts.indicator_ranks_daily
        join (select as_of_date, indicator, is_stale, is_suspect from component_ranks_v2) using (as_of_date, indicator)
        where version = 2
        group by as_of_date
    ) as facts using (as_of_date);

-- What each component contributes, and how this has changed.
create or replace table marts.indicator_ranks_daily as
    with parts as (
        select
            ranks.*, index is not null as has_index,
            case when index is not null
                then 100 * weight / coverage * score / count(score) over (partition by as_of_date, version, family)
            end as contribution
        from marts.indicator_ranks_daily as ranks
        join (
            select 1 as version, as_of_date, coverage, tightness_index as index from indexed
            union all
            select 2, as_of_date, coverage_v2, tightness_index_v2 from indexed_v2
        ) using (version, as_of_date)
    ),
    days as (
        select
            version, as_of_date, has_index and lag(has_index, 1) over w as has_1,
            has_index and lag(has_index, 5) over w as has_5, has_index and lag(has_index, 20) over w as has_20
        from (select distinct version, as_of_date, has_index from parts)
        window w as (partition by version order by as_of_date)
    )
    select
        parts.* exclude (has_index),
        if(has_1, coalesce(contribution, 0) - coalesce(lag(contribution, 1) over w, 0), null) as contribution_chg_1d,
        if(has_5, coalesce(contribution, 0) - coalesce(lag(contribution, 5) over w, 0), null) as contribution_chg_5d,
        if(has_20, coalesce(contribution, 0) - coalesce(lag(contribution, 20) over w, 0), null) as contribution_chg_20d
    from parts
    join days using (version, as_of_date)
    window w as (partition by version, indicator order by as_of_date);

-- The next state for a value in a state, with hysteresis: 1 LOOSE, 2 NEUTRAL, 3 TIGHT, 4 SQUEEZE.
create temp macro regime_at(x, state, p) as case
    when x >= p.enter_squeeze or state = 4 and x >= p.exit_squeeze then 4
    when x >= p.enter_tight or state >= 3 and x >= p.exit_tight then 3
    when x <= p.enter_loose or state = 1 and x <= p.exit_loose then 1
    else 2
end;

-- Quality flags that hold, the worst first.
create temp macro flags(missing, stale, warmup, suspect, broken, partial) as coalesce(nullif(concat_ws(
    ' ', case when missing then 'MISSING' end, case when stale then 'STALE' end, case when warmup then 'WARMUP' end,
    case when suspect then 'SUSPECT' end, case when broken then 'BREAK' end, case when partial then 'PARTIAL' end
), ''), 'OK');

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

create temp table smoothed as
    with days as (
        select *, n - coalesce(max(if(x is null, null, n)) over (order by n), 0) as gap
        from (
            select as_of_date, tightness_index_v2 as x, row_number() over (order by as_of_date) as n from indexed_v2
        )
    ),
    folded as (
        select list_reduce(
            (select list({'x': x, 'gap': gap} order by n) from days),
            lambda a, d: {
                's': case
                    when d.gap > regime_max_gap then null
                    when d.gap > 0 then a.s
                    else d.x + coalesce(power(0.5, 1 / regime_half_life_v2) * (a.s - d.x), 0)
                end,
                'past': a.past || [a.s]
            },
            {'s': null::double, 'past': []::double[]}
        ) as result
        from p
    )
    select as_of_date, x, gap, n, (result.past || [result.s])[n + 1] as smoothed
    from days, folded;

create temp table regimes_v2 as
    with days as (
        select
            n, coalesce(spread_median > 0, false) as is_open, gap,
            [least(regime_at(smoothed, state, p), if(is_open, 4, 3)) for state in [1, 2, 3, 4, 2]] as leads
        from smoothed
        join inputs_v2 using (as_of_date)
        cross join p
    ),
    folded as (
        select list_reduce(
            (select list(days order by n) from days),
            lambda a, d: if(d.gap > regime_max_gap or a.state = 5 and d.gap > 0,
                {'state': 5, 'met': 0, 'times': 0, 'past': a.past || a.state},
                if(d.gap > 0, {
                    'state': least(a.state, if(d.is_open or a.state = 5, 5, 3)), 'met': a.met, 'times': a.times,
                    'past': a.past || a.state
                }, {
                    'state': if(
                        a.state = 5 or if(d.leads[a.state] = a.met, a.times + 1, 1) >= regime_confirm_v2,
                        d.leads[a.state], least(a.state, if(d.is_open, 4, 3))
                    ),
                    'met': d.leads[a.state],
                    'times': if(d.leads[a.state] = a.met, a.times + 1, 1),
                    'past': a.past || a.state
                })
            ),
            {'state': 5, 'met': 0, 'times': 0, 'past': ''}
        ) as result
        from p
    )
    select
        as_of_date, smoothed as smoothed_index_v2,
        ['LOOSE', 'NEUTRAL', 'TIGHT', 'SQUEEZE', 'UNKNOWN'][(result.past || result.state)[n + 1]::int] as regime_v2,
        case
            when gap = 0 then 'OK'
            when count(x) over (order by n) = 0 then 'WARMUP'
            when gap > regime_max_gap then 'UNKNOWN'
            else 'STALE'
        end as regime_status_v2
    from smoothed, folded, p;

create or replace table marts.tightness_daily as
    select
        spine.metal, spine.as_of_date, spine.as_of_ts, curve.price_obs_date, stock.stock_obs_date, curve.rate_obs_date,
        curve.rate_id, curve.is_rate_stale,
        export.period_end as exports_period_end, visible.period_end as offwarrant_period_end,
        curve.cash_usd_t, curve.m3_usd_t, curve.days_cash_to_3m, curve.cash_3m_spread_usd_t, curve.basis_ann,
        curve.rate, curve.full_carry_usd_t, curve.contango_share_of_full_carry, curve.carry_tightness,
        curve.conv_yield_ann, stock.total_t, stock.live_t, stock.cancelled_ratio, stock.stock_days,
        stock.stock_log_chg, export.exports_yoy, export.exports_yoy_3m, export.exports_ytd_yoy,
        visible.offwarrant_yoy, visible.visible_t,
        score_carry_tightness, score_cancelled_ratio, score_stock_days, score_stock_log_chg, score_exports_yoy_3m,
        family_curve, family_inventory, family_flow, contrib_curve, contrib_inventory, contrib_flow,
        coverage, n_components, tightness_index, regime, regime_status,
        split_part(quality_flags, ' ', 1) as quality,
        quality_flags,
        family_curve_v2, family_stock_v2, family_flow_v2, family_physical_v2,
        contrib_curve_v2, contrib_stock_v2, contrib_flow_v2, contrib_physical_v2,
        weight_curve_v2, weight_stock_v2, weight_flow_v2, weight_physical_v2,
        coverage_v2, tightness_index_v2, smoothed_index_v2, regime_v2, regime_status_v2,
        greatest(curve.knowledge_ts_max, stock.knowledge_ts_max, export.release_ts, visible.release_ts)
            as knowledge_ts_max,
        least(curve.knowledge_basis, stock.knowledge_basis, export.basis, visible.basis) as knowledge_basis,
        least(
            curve.licence_class::licence, stock.licence_class::licence, export.licence, visible.licence
        )::varchar as licence_class
    from spine
    join marts.curve_daily as curve using (as_of_date)
    join marts.inventory_daily as stock using (as_of_date)
    join indexed using (as_of_date)
    join regimes using (as_of_date)
    left join (
        select * exclude (n_components, is_partial, is_stale, is_suspect, is_break) from indexed_v2
    ) as second using (as_of_date)
    left join regimes_v2 using (as_of_date)
    left join exports_asof as export on spine.as_of_date = export.as_of_date
        and export.country = (select region from component where indicator = 'exports_yoy_3m')
    left join visible_latest as visible on spine.as_of_date = visible.as_of_date
    cross join lateral (
        select flags(
            tightness_index is null and regime_status <> 'WARMUP', is_stale, regime_status = 'WARMUP',
            tightness_index is not null and indexed.is_suspect, tightness_index is not null and is_break, is_partial
        ) as quality_flags
    );

-- The first principal component of the families: the square of the square … of the covariances of all days before a month.
create temp macro squared(m) as [
    [
        list_sum([m[i][k] * m[k][j] for k in [1, 2, 3, 4]]) / nullif(power(m[1][1] + m[2][2] + m[3][3] + m[4][4], 2), 0)
        for j in [1, 2, 3, 4]
    ]
    for i in [1, 2, 3, 4]
];
create temp table pca as
    with places as (
        select as_of_date, list_position(['CURVE', 'STOCK', 'FLOW', 'PHYSICAL'], family) as i, score, weight
        from families_v2
    ),
    months as (select distinct date_trunc('month', as_of_date)::date as first_day from spine),
    pairs as (
        select
            first_day, a.i, b.i as j,
            case when count(*) >= any_value(rank_min_periods_v2) then covar_pop(a.score, b.score) end as c
        from months
        join places as a on a.as_of_date < first_day
        join places as b on a.as_of_date = b.as_of_date
        cross join p
        where a.score is not null and b.score is not null
        group by first_day, a.i, b.i
    ),
    matrices as (
        select first_day, [
            [coalesce(max(c) filter (where i = 1 and j = 1), 0), coalesce(max(c) filter (where i = 1 and j = 2), 0),
             coalesce(max(c) filter (where i = 1 and j = 3), 0), coalesce(max(c) filter (where i = 1 and j = 4), 0)],
            [coalesce(max(c) filter (where i = 2 and j = 1), 0), coalesce(max(c) filter (where i = 2 and j = 2), 0),
             coalesce(max(c) filter (where i = 2 and j = 3), 0), coalesce(max(c) filter (where i = 2 and j = 4), 0)],
            [coalesce(max(c) filter (where i = 3 and j = 1), 0), coalesce(max(c) filter (where i = 3 and j = 2), 0),
             coalesce(max(c) filter (where i = 3 and j = 3), 0), coalesce(max(c) filter (where i = 3 and j = 4), 0)],
            [coalesce(max(c) filter (where i = 4 and j = 1), 0), coalesce(max(c) filter (where i = 4 and j = 2), 0),
             coalesce(max(c) filter (where i = 4 and j = 3), 0), coalesce(max(c) filter (where i = 4 and j = 4), 0)]
        ] as m
        from pairs
        group by first_day
    ),
    loadings as (
        select first_day, [list_sum(line) for line in list_reduce(range(30), lambda a, k: squared(a), m)] as w
        from matrices
    )
    select
        as_of_date, 50 + 100 * sum(w[i] * (score - 0.5)) / sum(abs(w[i])) as index_pca,
        sum(abs(w[i])) as available, list_sum([abs(x) for x in any_value(w)]) as configured
    from places
    join loadings on date_trunc('month', as_of_date)::date = first_day
    where score is not null
    group by as_of_date
    having available >= (select min_coverage_v2 from p) * configured and available > 0;

create or replace table marts.index_history_daily as
    with given as (
        select as_of_date, unnest([
            {'index_name': 'tightness_index', 'value': tightness_index},
            {'index_name': 'tightness_index_v2', 'value': tightness_index_v2},
            {'index_name': 'index_pca', 'value': index_pca}
        ], recursive := true)
        from marts.tightness_daily
        left join pca using (as_of_date)
    ),
    compared as (
        select
            *, count(value) over past as n,
            n + rank(order by value nulls last) over past - rank(order by value desc nulls last) over past as places,
            value - lag(value, 1) over w as change_1d, value - lag(value, 5) over w as change_5d,
            value - lag(value, 20) over w as change_20d,
            min(value) over w2 as low_2y, max(value) over w2 as high_2y, min(value) over w5 as low_5y,
            max(value) over w5 as high_5y, min(value) over w10 as low_10y, max(value) over w10 as high_10y
        from given
        window
            w as (partition by index_name order by as_of_date),
            past as (partition by index_name order by as_of_date rows unbounded preceding),
            w2 as (partition by index_name order by as_of_date rows 503 preceding),
            w5 as (partition by index_name order by as_of_date rows 1259 preceding),
            w10 as (partition by index_name order by as_of_date rows 2519 preceding)
    )
    select
        metal, index_name, as_of_date, as_of_ts, value, places / 2 / n as percentile, change_1d, change_5d, change_20d,
        low_2y, high_2y, low_5y, high_5y, low_10y, high_10y
    from compared
    join spine using (as_of_date)
    where value is not null;

create or replace table marts.scarcity_daily as
    with pairs as (
        select
            curve.metal, as_of_date, curve.as_of_ts, conv_yield_ann, conv_yield_ann as y, ln(stock_days) as x,
            greatest(curve.knowledge_ts_max, stock.knowledge_ts_max) as knowledge_ts_max,
            least(curve.licence_class::licence, stock.licence_class::licence)::varchar as licence_class
        from marts.curve_daily as curve
        join marts.inventory_daily as stock using (as_of_date)
        where conv_yield_ann is not null and stock_days > 0
    ),
    moments as (
        select
            pairs.*, count(*) over past as m, avg(x) over past as mean_x, avg(y) over past as mean_y,
            covar_pop(y, x) over past as xy, var_pop(x) over past as xx, var_pop(y) over past as yy,
            max(knowledge_ts_max) over past as known
        from pairs
        window past as (partition by metal order by as_of_date rows unbounded preceding)
    ),
    lines as (
        select
            *, case when enough then xy / xx end as slope, case when enough then mean_y - xy / xx * mean_x end as intercept,
            case when enough then xy * xy / (xx * yy) end as r2
        from (select moments.*, m >= scarcity_min_obs as enough from moments cross join p)
    ),
    rests as (select *, intercept + slope * x as fitted, y - intercept - slope * x as residual from lines),
    ranked as (
        select
            *, count(residual) over w as k,
            count(residual) over w + rank(order by residual nulls last) over w
                - rank(order by residual desc nulls last) over w as places
        from rests
        window w as (
            partition by metal order by as_of_date
            rows between (select rank_window::int - 1 from p) preceding and current row
        )
    )
    select
        metal, as_of_date, as_of_ts, conv_yield_ann, x as ln_stock_days, m::integer as n, slope, intercept, r2, fitted,
        residual, case when residual is not null and k >= rank_min_periods then places / 2 / k end as residual_score,
        known as knowledge_ts_max, licence_class
    from ranked cross join p;
