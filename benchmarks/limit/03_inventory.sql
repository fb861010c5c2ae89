-- Registered and visible stock: marts.inventory_daily, marts.inventory_visible_monthly.
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
    )
    select
        known.*,
        known.offwarrant_t / nullif(base.offwarrant_t, 0) - 1 as offwarrant_yoy,
        known.visible_t / nullif(base.visible_t, 0) - 1 as visible_yoy,
        base.period_end as base_period_end,
        greatest(known.known_from, base.known_from) as change_known,
        (
            select max(period_end) from known as low
            where low.release_ts = known.release_ts and low.period_end < known.period_end
                and low.visible_t <= known.visible_t
        ) as lowest_since,
        min(known.period_end) over (partition by known.release_ts) as first_period_end,
        known.period_end = max(known.period_end) over (partition by known.release_ts) as is_latest
    from known
    left join known as base on known.release_ts = base.release_ts and known.month_no - 12 = base.month_no;

create or replace table marts.inventory_visible_monthly as
    select
        metal, period_end, known_from as knowledge_ts, offwarrant_t, registered_month_end_t as registered_t, visible_t,
        offwarrant_yoy, visible_yoy, coalesce(lowest_since::varchar, 'RECORD') as lowest_since,
        lowest_since is null as is_record_low, vintage_no, source,
        basis as knowledge_basis, licence::varchar as licence_class
    from visible
    where release_ts = known_from
    qualify vintage_no = max(vintage_no) over (partition by period_end);

create temp table visible_latest as
    select spine.as_of_date, visible.*
    from spine
    asof join (from visible where is_latest) as visible on spine.as_of_ts >= visible.release_ts;
