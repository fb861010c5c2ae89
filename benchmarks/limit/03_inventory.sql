-- Stock: marts.inventory_daily, marts.inventory_visible_monthly, marts.exchange_stocks_weekly,
-- marts.stocks_by_location_daily.
create temp table cancelled as from stocks where cancelled_t is not null;

-- The changes that stock_log_chg spans.
create temp table stock_changes as
        select
            *, lag(total_t) over w as total_before, lag(cancelled_t) over w as cancelled_before,
            greatest(0, cancelled_t - cancelled_before + greatest(0, total_before - total_t)) as newly_cancelled
        from before(
            'stocks', (select 15 + 2 * stock_chg_obs from p), (select range(stock_chg_obs::int + 1) from p)
        )
        window w as (partition by as_of_date order by obs_date);

-- Jumps among them, and what went the other way.
create temp table relabelled as
    with parts as (
        select
            recent.as_of_date, total_t - total_before as moved,
            -(recent.cancelled_t - cancelled_before) / (total_t - total_before) as cancelled_part,
            -(off.offwarrant_t - month_before.offwarrant_t) / (total_t - total_before) as offwarrant_part,
            relabel_share
        from stock_changes as recent
        join spine using (as_of_date)
        join p on total_t <> total_before and abs(total_t - total_before) >= relabel_jump * total_before
        left join off_warrant as off
            on date_trunc('month', recent.obs_date) = date_trunc('month', off.period_end)
                and as_of_ts between off.known_from and off.known_to - interval 1 microsecond
        left join off_warrant as month_before
            on date_trunc('month', recent.obs_date) - interval 1 month = date_trunc('month', month_before.period_end)
                and as_of_ts between month_before.known_from and month_before.known_to - interval 1 microsecond
    )
    select
        as_of_date, true as has_jump,
        case
            when count_if(greatest(cancelled_part, offwarrant_part) >= relabel_share) > 0 then true
            when bool_and(offwarrant_part is not null) then false
        end as is_so,
        sum(moved) filter (
            where coalesce(greatest(cancelled_part, offwarrant_part) >= relabel_share, false) or offwarrant_part is null
        ) as moved_t
    from parts
    group by as_of_date;

create or replace table marts.inventory_daily as
    select
        spine.*,
        stock.obs_date as stock_obs_date, part.obs_date as cancelled_obs_date,
        (spine.as_of_date - stock.obs_date)::integer as stock_age_days,
        (spine.as_of_date - part.obs_date)::integer as cancelled_age_days,
        stock.total_t,
        case when part.obs_date = stock.obs_date then stock.total_t - part.cancelled_t end as live_t,
        part.cancelled_t,
        part.cancelled_t / nullif(part.total_t, 0) as cancelled_ratio,
        stock.total_t / (dated.consumption_t_per_year / 365) as stock_days,
        case when stock.total_t > 0 and earlier.total_t > 0 then ln(stock.total_t / earlier.total_t) end
            as stock_log_chg,
        case when stock_log_chg is not null then if(has_jump, is_so, false) end as relabelled,
        case when stock.total_t - coalesce(moved_t, 0) > 0 and earlier.total_t > 0
            then ln((stock.total_t - coalesce(moved_t, 0)) / earlier.total_t)
        end as stock_log_chg_net,
        case when earlier.total_t > 0 and n_cancelled = stock_chg_obs then cancelled.newly_t / earlier.total_t end
            as new_cancellations,
        case when stock.total_t is not null then coalesce(moved_t, 0) end as relabelled_t,
        greatest(stock.known, part.known, earlier.known_from) as knowledge_ts_max,
        least(stock.basis, part.basis, earlier.basis) as knowledge_basis,
        least(stock.licence, part.licence, earlier.licence)::varchar as licence_class
    from spine
    cross join p
    join dated on spine.as_of_date = dated.calendar_date
    left join newest('stocks', (select 15 + 2 * stock_chg_obs from p)) as stock using (as_of_date)
    left join newest('cancelled', (select 15 + 2 * stock_chg_obs from p)) as part using (as_of_date)
    left join before('stocks', (select 15 + 2 * stock_chg_obs from p), (select [stock_chg_obs::int] from p))
        as earlier using (as_of_date)
    left join relabelled using (as_of_date)
    left join (
        select
            as_of_date, sum(newly_cancelled) as newly_t,
            count(newly_cancelled) filter (where cancelled_before is not null and cancelled_t is not null) as n_cancelled
        from (from stock_changes where cancelled_before is not null and cancelled_t is not null)
        group by as_of_date
    ) as cancelled using (as_of_date);

create temp table stock_unwinds as
    with recent as (
        from before(
            'stocks', (select 15 + 2 * (stock_chg_obs + stock_unwind_k) from p),
            (
                select range(stock_unwind_k::int) || range(stock_chg_obs::int, (stock_chg_obs + stock_unwind_k)::int)
                from p
            )
        )
    ),
    changes as (
        select
            late.as_of_date, stock_unwind_k, greatest(late.known_from, early.known_from) as known,
            case when late.total_t > 0 and early.total_t > 0 then ln(late.total_t / early.total_t) end
            >= stock_unwind_ln as is_up
        from recent as late
        join recent as early on late.as_of_date = early.as_of_date
        join p on late.place + stock_chg_obs = early.place and late.place < stock_unwind_k
    )
    select
        as_of_date, max(known) as known,
        case
            when count_if(is_up) >= any_value(stock_unwind_k) then 'ON'
            when not bool_and(is_up) then 'OFF'
        end as state
    from changes
    group by as_of_date;

-- Visible stock by month as known after each release.
create temp table visible as
    with known as (
        select
            release.known_from as release_ts, stock.*, year(period_end) * 12 + month(period_end) as month_no,
            offwarrant_t + registered_month_end_t as visible_t
        from (select distinct known_from from off_warrant) as release
        join off_warrant as stock on release.known_from >= stock.known_from and release.known_from < stock.known_to
    ),
    shanghai as (
        select
            release_ts, period_end, unnest(max_by({
                'shanghai_obs_date': obs_date, 'shanghai_t': total_t, 'shanghai_basis': report.basis,
                'shanghai_licence': report.licence
            }, obs_date))
        from known
        join exchange_stocks as report
            on exchange = 'SHFE' and product = 'METAL' and obs_date between period_end - 14 and period_end
                and release_ts >= report.known_from and release_ts < report.known_to
        group by release_ts, period_end
    ),
    with_shanghai as (
        select
            *, visible_t + shanghai_t as visible_all_t, least(basis, shanghai_basis) as all_basis,
            least(licence, shanghai_licence) as all_licence
        from known
        left join shanghai using (release_ts, period_end)
    )
    select
        known.*,
        known.offwarrant_t / nullif(base.offwarrant_t, 0) - 1 as offwarrant_yoy,
        known.visible_t / nullif(base.visible_t, 0) - 1 as visible_yoy,
        base.period_end as base_period_end,
        greatest(known.known_from, base.known_from) as change_known,
        (
            select max(period_end) from with_shanghai as low
            where low.release_ts = known.release_ts and low.period_end < known.period_end
                and low.visible_t <= known.visible_t
        ) as lowest_since,
        (
            select max(period_end) from with_shanghai as low
            where low.release_ts = known.release_ts and low.period_end < known.period_end
                and low.visible_all_t <= known.visible_all_t
        ) as all_lowest_since,
        min(known.period_end) over (partition by known.release_ts) as first_period_end,
        min(known.period_end) filter (visible_all_t is not null) over (partition by known.release_ts)
            as all_first_period_end,
        known.period_end = max(known.period_end) over (partition by known.release_ts) as is_latest
    from with_shanghai as known
    left join known as base on known.release_ts = base.release_ts and known.month_no - 12 = base.month_no;

create or replace table marts.inventory_visible_monthly as
    select
        metal, period_end, known_from as knowledge_ts, offwarrant_t, registered_month_end_t as registered_t, visible_t,
        offwarrant_yoy, visible_yoy, coalesce(lowest_since::varchar, 'RECORD') as lowest_since,
        lowest_since is null as is_record_low, shanghai_obs_date, shanghai_t, visible_all_t,
        if(visible_all_t is null, null, 'OFF_WARRANT + REGISTERED + SHFE') as visible_all_definition,
        if(visible_all_t is null, null, coalesce(all_lowest_since::varchar, 'RECORD')) as visible_all_lowest_since,
        vintage_no, source, basis as knowledge_basis, all_licence::varchar as licence_class
    from visible
    where release_ts = known_from
    qualify vintage_no = max(vintage_no) over (partition by period_end);

create temp table visible_latest as
    select spine.as_of_date, visible.*
    from spine
    asof join (from visible where is_latest) as visible on spine.as_of_ts >= visible.release_ts;

-- Each report with the last one of an earlier week, as known when it became known.
create or replace table marts.exchange_stocks_weekly as
    with based as (
        select report.*, base.obs_date as base_obs_date, report.total_t - base.total_t as total_chg_t
        from exchange_stocks as report
        left join exchange_stocks as base
            on report.exchange = base.exchange and report.product = base.product
                and base.obs_date >= date_trunc('week', report.obs_date) - interval 22 days
                and base.obs_date < date_trunc('week', report.obs_date)
                and report.known_from >= base.known_from and report.known_from < base.known_to
        where report.known_to = 'infinity'
        qualify base.obs_date is not distinct from max(base.obs_date) over (
            partition by report.exchange, report.product, report.obs_date
        )
    )
    select
        metal, exchange, product, obs_date, total_t, on_warrant_t, base_obs_date, total_chg_t, known_from as knowledge_ts,
        vintage_no, source, basis as knowledge_basis, licence::varchar as licence_class
    from based
    qualify obs_date = max(obs_date) over (partition by exchange, product, date_trunc('week', obs_date));

create temp table metal_stocks as from exchange_stocks where product = 'METAL';

create or replace table marts.stocks_by_location_daily as
    with days as (
        select spine.*, load_out_days, list_max(list(distinct obs_date)) as newest
        from spine
        cross join p
        join places on obs_date between as_of_date - load_out_days::int and as_of_date
            and as_of_ts >= places.known_from and as_of_ts < places.known_to
        group by all
    ),
    windows as (
        select
            days.*, location, max(obs_date) as last_date, max_by(live_t + cancelled_t, obs_date) as total_t,
            max_by(cancelled_t, obs_date) as cancelled_t, avg(out_t) as load_out, max(known_from) as known,
            min(basis) as basis, min(licence) as licence
        from days
        join places on obs_date between as_of_date - load_out_days::int and as_of_date
            and as_of_ts >= known_from and as_of_ts < known_to
        group by all
    ),
    sums as (
        select
            metal, as_of_date, as_of_ts, newest, count(*) as n, sum(total_t) as total, max(total_t) as largest,
            sum(total_t * total_t) as squares, list(location order by total_t desc, location)[1] as largest_place,
            list({'t': cancelled_t, 'place': location, 'load_out': load_out} order by cancelled_t desc, location)[1] as queue,
            max(known) as known, min(basis) as basis, min(licence) as licence
        from windows
        where last_date = newest
        group by all
    )
    select
        metal, as_of_date, as_of_ts, newest as place_obs_date, (as_of_date - newest)::integer as place_age_days,
        n::integer as n_places, total as total_t, largest_place, largest / nullif(total, 0) as largest_share,
        squares / nullif(total * total, 0) as herfindahl, queue.place as queue_place,
        queue.t as queue_cancelled_t, queue.load_out as load_out_t_day,
        queue.t / nullif(queue.load_out, 0) as queue_days, known as knowledge_ts_max,
        basis as knowledge_basis, licence::varchar as licence_class
    from sums;
