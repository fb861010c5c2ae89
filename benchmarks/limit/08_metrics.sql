-- The metrics of each decision time, which signals publish and claims are tested on: a row for each metric and entity.
create temp table registry as
    from (values {metrics}) as registry (metric_id, unit, formula, states, parameters);
create temp type metric as enum (select metric_id from registry);

create temp table metrics (
    as_of_date date, metric_id metric, entity varchar default '', value double, state varchar, n_hist integer,
    window_start date, obs_end date, known timestamptz, basis varchar, licence licence, coverage double,
    n_components integer, is_stale boolean, is_suspect boolean, is_break boolean, is_partial boolean, status varchar
);

insert into metrics by name
    with given as (
        select price_states.*, suspect_from
        from price_states
        left join (select obs_date, min(as_of_date) as suspect_from from suspect_prices group by all) as suspects
            on spread_obs_date = suspects.obs_date
    ),
    -- Decision times before a price was suspect are ranked apart, as in 06_index.sql.
    early as (
        select distinct day.as_of_date as apart
        from given as wrong
        join given as day on day.as_of_date between wrong.as_of_date and wrong.suspect_from - 1
    ),
    counted as (
        select *, null::date as apart, if(suspect_from is null, spread_usd_t, null) as x from given
        union all
        select given.*, apart, if(suspect_from <= apart, null, spread_usd_t)
        from given
        join early on as_of_date <= apart
    )
    select as_of_date, basis, licence, unnest([
        {'metric_id': 'm3_usd_t', 'value': m3_usd_t, 'obs_end': m3_obs_date, 'known': m3_known},
        {
            'metric_id': 'px_yoy', 'value': m3_yoy, 'window_start': base_date, 'obs_end': m3_obs_date,
            'known': yoy_known, 'is_suspect': is_yoy_suspect
        },
        {
            'metric_id': 'level_state_5of5', 'value': if(level_state_5of5 is not null, m3_usd_t, null),
            'state': level_state_5of5, 'obs_end': m3_obs_date, 'known': states_known, 'is_suspect': is_suspect_5of5
        },
        {
            'metric_id': 'level_state_3of5', 'value': if(level_state_3of5 is not null, m3_usd_t, null),
            'state': level_state_3of5, 'obs_end': m3_obs_date, 'known': states_known, 'is_suspect': is_suspect_3of5
        },
        {
            'metric_id': 'cash_3m_spread', 'value': spread_usd_t, 'obs_end': spread_obs_date, 'known': spread_known,
            'is_suspect': is_spread_suspect
        },
        {
            'metric_id': 'backwardation_days', 'value': n_backwardation, 'obs_end': spread_obs_date,
            'known': n_backwardation_known
        },
        {
            'metric_id': 'spread_rank', 'obs_end': spread_obs_date, 'known': spread_known, 'n_hist': n,
            'window_start': ranked_from,
            'value': case when x is not null and n >= rank_min_periods then places / 2 / n end
        },
        {
            'metric_id': 'backwardation_sustained', 'value': spread_usd_t, 'obs_end': spread_obs_date,
            'known': states_known, 'is_suspect': is_backwardation_suspect,
            'state': case backwardation_sustained when true then 'ON' when false then 'OFF' end
        },
        {
            'metric_id': 'spread_unwind', 'value': spread_usd_t, 'state': spread_state, 'obs_end': spread_obs_date,
            'known': states_known, 'is_suspect': is_backwardation_suspect
        },
        {
            'metric_id': 'thesis_broken', 'value': is_below + is_not_backwardated, 'obs_end': spread_obs_date,
            'known': states_known, 'is_suspect': is_suspect_5of5 or is_spread_suspect,
            'state': case is_below + is_not_backwardated when 2 then 'ON' when 1 then 'OFF' when 0 then 'OFF' end
        }
    ], recursive := true)
    from (
        select
            *, count(x) over w as n,
            n + rank(order by x nulls last) over w - rank(order by x desc nulls last) over w as places,
            min(case when x is not null then as_of_date end) over w as ranked_from
        from counted
        window w as (
            partition by apart
            order by as_of_date rows between (select rank_window::int - 1 from p) preceding and current row
        )
        qualify coalesce(apart = as_of_date, as_of_date not in (select early.apart from early))
    ), (select rank_min_periods from p);

insert into metrics by name
    select as_of_date, 'carry_tightness' as metric_id, carry_tightness as value, price_obs_date as obs_end,
        knowledge_ts_max as known, knowledge_basis as basis, licence_class as licence, is_rate_stale as is_stale
    from marts.curve_daily;

insert into metrics by name
    select as_of_date, 'quoted_spread' as metric_id, spread as entity, usd_t as value, spread_obs_date as obs_end,
        knowledge_ts_max as known, knowledge_basis as basis, licence_class as licence, is_stale
    from marts.curve_spreads_daily;

insert into metrics by name
    select as_of_date, knowledge_basis as basis, licence_class as licence, unnest([
        {
            'metric_id': 'cancelled_ratio', 'value': cancelled_ratio, 'obs_end': cancelled_obs_date,
            'known': knowledge_ts_max
        },
        {'metric_id': 'stock_days', 'value': stock_days, 'obs_end': stock_obs_date, 'known': knowledge_ts_max},
        {'metric_id': 'stock_log_chg', 'value': stock_log_chg, 'obs_end': stock_obs_date, 'known': knowledge_ts_max},
        {
            'metric_id': 'stock_unwind', 'value': stock_log_chg, 'state': state, 'obs_end': stock_obs_date,
            'known': greatest(knowledge_ts_max, stock_unwinds.known)
        }
    ], recursive := true)
    from marts.inventory_daily
    left join stock_unwinds using (as_of_date);

insert into metrics by name
    select as_of_date, period_end as obs_end, release_ts as known, basis, licence, unnest([
        {'metric_id': 'visible_t', 'value': visible_t},
        {
            'metric_id': 'visible_low', 'value': visible_t, 'window_start': coalesce(lowest_since, first_period_end),
            'state': case
                when low_age >= visible_low_age_days then if(lowest_since is null, 'RECORD', 'MULTI_YEAR_LOW')
                when lowest_since is not null then 'OFF'
            end
        },
        {'metric_id': 'visible_low_age', 'value': period_end - lowest_since, 'window_start': lowest_since},
        {'metric_id': 'offwarrant_yoy', 'value': offwarrant_yoy, 'window_start': base_period_end},
        {
            'metric_id': 'offwarrant_drain', 'value': offwarrant_yoy, 'window_start': base_period_end,
            'state': if(offwarrant_yoy <= offwarrant_drain, 'ON', if(offwarrant_yoy is null, null, 'OFF'))
        }
    ], recursive := true)
    from (select *, period_end - coalesce(lowest_since, first_period_end) as low_age from visible_latest), p;

insert into metrics by name
    select as_of_date, period_end as obs_end, release_ts as known, all_basis as basis, all_licence as licence, unnest([
        {'metric_id': 'visible_all_t', 'value': visible_all_t},
        {
            'metric_id': 'visible_all_low', 'value': visible_all_t,
            'window_start': coalesce(all_lowest_since, all_first_period_end),
            'state': case
                when low_age >= visible_low_age_days then if(all_lowest_since is null, 'RECORD', 'MULTI_YEAR_LOW')
                when all_lowest_since is not null then 'OFF'
            end
        }
    ], recursive := true)
    from (
        select *, period_end - coalesce(all_lowest_since, all_first_period_end) as low_age from visible_latest
    ), p;

insert into metrics by name
    select as_of_date, place_obs_date as obs_end, knowledge_ts_max as known, knowledge_basis as basis,
        licence_class as licence, unnest([
            {'metric_id': 'place_herfindahl', 'value': herfindahl}, {'metric_id': 'queue_days', 'value': queue_days}
        ], recursive := true)
    from marts.stocks_by_location_daily;

insert into metrics by name
    select as_of_date, 'exchange_stock' as metric_id, entity, total_t as value, obs_date as obs_end, known, basis, licence
    from newest('metal_stocks', 45, series := exchange);

insert into metrics by name
    select as_of_date, entity, obs_date as obs_end, known, basis, licence, unnest([
        {'metric_id': 'managed_net', 'value': managed_net, 'n_hist': null},
        {'metric_id': 'managed_net_percentile', 'value': net_percentile, 'n_hist': n_ranked}
    ], recursive := true)
    from newest('net_positions', 45, series := contract);

insert into metrics by name
    select as_of_date, 'us_parity_gap' as metric_id, 'US' as entity, parity_gap_usd_t as value,
        least(price_obs_date, midwest_obs_date, unpaid_obs_date) as obs_end, knowledge_ts_max as known,
        knowledge_basis as basis, licence_class as licence
    from marts.us_parity_daily;

insert into metrics by name
    select as_of_date, country as entity, period_end as obs_end, release_ts as known, basis, licence, unnest([
        {'metric_id': 'exports_yoy', 'value': exports_yoy, 'is_suspect': is_suspect},
        {
            'metric_id': 'exports_yoy_3m', 'value': exports_yoy_3m, 'is_suspect': is_suspect, 'n_hist': n_ranked,
            'window_start': ranked_from
        },
        {'metric_id': 'exports_ytd_yoy', 'value': exports_ytd_yoy, 'is_suspect': is_ytd_suspect},
        {'metric_id': 'exports_drop', 'value': exports_yoy_3m, 'is_suspect': is_suspect, 'state': drop_state}
    ], recursive := true)
    from exports_asof;

insert into metrics by name
    select as_of_date, 'CN' as entity, least(arb_obs_date, price_obs_date) as obs_end, knowledge_ts_max as known,
        knowledge_basis as basis, licence_class as licence, unnest([
            {'metric_id': 'import_arb', 'value': import_arb_cny_t},
            {'metric_id': 'semis_export_arb', 'value': semis_export_arb_usd_t},
            {'metric_id': 'export_window', 'value': semis_export_arb_usd_t, 'state': export_window}
        ], recursive := true)
    from marts.arbitrage_daily;

insert into metrics by name
    select as_of_date, 'cap_utilisation' as metric_id, country as entity, cap_utilisation as value,
        period_end as obs_end, known, basis, licence, is_suspect,
        case
            when cap_utilisation > cap_breach then 'BREACH'
            when cap_utilisation >= cap_binding then 'BINDING'
            when cap_utilisation is not null then 'SLACK'
        end as state
    from newest('output', 200, series := country), p;

-- Idled capacity of a region, and of each cause in it, changes on few days: a sum after each.
insert into metrics by name
    with register as (
        select *, lead(valid_from, 1, 'infinity') over (partition by plant order by valid_from) as valid_to
        from of_metal('smelters')
    ),
    plants as (
        select *, unnest(if(cause = '', [region], [region, region || '.' || cause])) as entity from register
    ),
    steps as (
        select
            entity, day, coalesce(sum(idled_kt) filter (day < valid_to), 0) as idled_kt,
            min(review_by) filter (day < valid_to and idled_kt > 0) as review_by
        from (select distinct entity, unnest([valid_from, valid_to]) as day from plants) as changes
        join plants using (entity)
        where valid_from <= day
        group by entity, day
    )
    select as_of_date, now.entity, least(as_of_date, now.review_by) as obs_end, now.day::timestamptz as known,
        'ASSUMED' as basis, 'OPEN' as licence, unnest([
            {'metric_id': 'idled_kt', 'value': now.idled_kt},
            {
                'metric_id': 'idled_event', 'value': now.idled_kt - coalesce(earlier.idled_kt, 0),
                'state': case
                    when now.idled_kt - coalesce(earlier.idled_kt, 0) >= idled_event_kt then 'IDLED'
                    when now.idled_kt - coalesce(earlier.idled_kt, 0) <= -idled_event_kt then 'RESTARTED'
                    else 'STEADY'
                end
            }
        ], recursive := true)
    from (from spine, p, (select distinct entity from steps)) as today
    asof join steps as now on today.entity = now.entity and today.as_of_date >= now.day
    asof left join steps as earlier
        on today.entity = earlier.entity and today.as_of_date - today.idled_event_days::int >= earlier.day;

insert into metrics by name
    select as_of_date, zone as entity, knowledge_basis as basis, licence_class as licence, unnest([
        {
            'metric_id': 'power_cost', 'value': power_cost_usd_t, 'obs_end': power_delivery_date, 'known': power_known
        },
        {
            'metric_id': 'share_above_115usd', 'value': share_above_115usd, 'obs_end': power_delivery_date,
            'known': power_known
        },
        {
            'metric_id': 'power_mean_30d', 'value': power_usd_mwh_30d, 'obs_end': power_delivery_date,
            'known': power_known,
            'state': case
                when power_usd_mwh_30d >= power_line_high_usd_mwh then 'HIGH'
                when power_usd_mwh_30d is not null then 'NORMAL'
            end
        },
        {
            'metric_id': 'smelter_margin', 'value': margin_usd_t, 'known': knowledge_ts_max,
            'obs_end': least(price_obs_date, cost_obs_date, power_delivery_date)
        },
        {
            'metric_id': 'breakeven_power', 'value': breakeven_power_usd_mwh, 'known': knowledge_ts_max,
            'obs_end': least(price_obs_date, cost_obs_date)
        },
        {
            'metric_id': 'curtailment_risk', 'value': headroom_usd_mwh, 'known': knowledge_ts_max,
            'obs_end': least(price_obs_date, cost_obs_date, power_delivery_date), 'state': curtailment_state
        },
        {
            'metric_id': 'supply_stress', 'value': supply_stress, 'known': knowledge_ts_max, 'n_hist': n_hist,
            'obs_end': least(price_obs_date, cost_obs_date, power_delivery_date), 'n_components': 2
        }
    ], recursive := true)
    from smelters, (select power_line_high_usd_mwh from p);

insert into metrics by name
    select as_of_date, 'near_high' as metric_id, ticker as entity, near_high as value, n_closes as n_hist,
        first_obs_date as window_start, obs_date as obs_end, window_known as known, window_basis as basis,
        window_licence as licence,
        case
            when n_closes < near_high_obs then null
            when near_high >= near_high_ratio then 'NEAR_HIGH'
            else 'BELOW'
        end as state
    from newest('highs', (select near_high_obs::int * 3 // 2 + 30 from p), series := ticker), p
    where ticker in (select ticker from of_metal('equities'));

insert into metrics by name
    select as_of_date, event_id as entity, as_of_date as obs_end, known_since::timestamptz as known,
        'CALENDAR' as basis, 'OPEN' as licence, unnest([
            {'metric_id': 'days_to_event', 'value': days_to_event, 'state': state},
            {'metric_id': 'event_month', 'value': year(event_date) * 100 + month(event_date)}
        ], recursive := true)
    from events
    where event_id in (select event_id from of_metal('events'))
        and event_id in (select entity from of_metal('signal_definitions') union select entity from of_metal('claims'));

insert into metrics by name
    select as_of_date, tightness_index as value, greatest(price_obs_date, stock_obs_date) as obs_end,
        knowledge_ts_max as known, knowledge_basis as basis, licence_class as licence, n_components, coverage,
        is_stale, is_suspect, is_break, is_partial,
        unnest([
            {'metric_id': 'tightness_index', 'status': if(regime_status = 'WARMUP', 'WARMUP', null)},
            {'metric_id': 'regime', 'state': nullif(regime, 'UNKNOWN'), 'status': regime_status}
        ], recursive := true)
    from marts.tightness_daily
    join (select as_of_date, is_stale, is_suspect, is_break, is_partial from indexed) using (as_of_date);

insert into metrics by name
    select as_of_date, tightness_index_v2 as value, greatest(price_obs_date, stock_obs_date) as obs_end,
        greatest(knowledge_ts_max, shanghai.known, premium.known) as known,
        least(knowledge_basis, shanghai.basis, premium.basis) as basis,
        least(licence_class::licence, shanghai.licence, premium.licence) as licence,
        indexed_v2.n_components, coverage_v2 as coverage, indexed_v2.is_stale, indexed_v2.is_suspect, is_break, is_partial,
        unnest([
            {'metric_id': 'tightness_index_v2', 'status': if(regime_status_v2 = 'WARMUP', 'WARMUP', null)},
            {'metric_id': 'regime_v2', 'state': nullif(regime_v2, 'UNKNOWN'), 'status': regime_status_v2}
        ], recursive := true)
    from marts.tightness_daily
    join (select * exclude (coverage_v2, tightness_index_v2) from indexed_v2) as indexed_v2 using (as_of_date)
    left join newest('shanghai', 45) as shanghai using (as_of_date)
    left join (
        select as_of_date, max(known) as known, min(basis) as basis, min(licence) as licence
        from newest('premia', 45, series := region)
        group by as_of_date
    ) as premium using (as_of_date);
