-- Ranks, index, regime and scarcity: marts.indicator_ranks_daily, marts.tightness_daily, marts.scarcity_daily.

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

create or replace table marts.indicator_ranks_daily as
    select
        spine.metal, version::integer as version, ranks.indicator, spine.as_of_date, spine.as_of_ts, family, region, sign::integer as sign, weight,
        value, percentile, case when sign > 0 then percentile else 1 - percentile end as score, n_hist,
        rank_2y, rank_5y, rank_10y,
        greatest(rank_2y, rank_5y, rank_10y) - least(rank_2y, rank_5y, rank_10y) as rank_sensitivity,
        median, mad,
        case when mad > 0 then greatest(-z_cap, least(z_cap, (value - median) / (1.4826 * mad))) end as robust_z,
        ranked_from, break_ids is not null as is_break, break_ids
    from component_ranks as ranks
    join spine using (as_of_date)
    join component using (indicator)
    cross join p
    left join (
        select as_of_date, indicator, string_agg(break_id, ' ' order by break_id) as break_ids
        from component_ranks
        join of_metal('series_breaks') as days on indicator = metric_id
            and as_of_date >= days.valid_from and obs_end >= break_date and ranked_from < break_date
        group by as_of_date, indicator
    ) as breaks using (as_of_date, indicator);

create temp table indexed as
    with weights as (
        pivot component on family in ('CURVE', 'INVENTORY', 'FLOW') using max(weight) group by metal
    ),
    scores as (
        pivot (select as_of_date, indicator, score from marts.indicator_ranks_daily)
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
        group by as_of_date
    ) as facts using (as_of_date);

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
    left join exports_asof as export on spine.as_of_date = export.as_of_date
        and export.country = (select region from component where indicator = 'exports_yoy_3m')
    left join visible_latest as visible on spine.as_of_date = visible.as_of_date
    cross join lateral (
        select flags(
            tightness_index is null and regime_status <> 'WARMUP', is_stale, regime_status = 'WARMUP',
            tightness_index is not null and indexed.is_suspect, tightness_index is not null and is_break, is_partial
        ) as quality_flags
    );

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
