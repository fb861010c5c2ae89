-- Shares, events and positions: marts.equity_daily, marts.event_calendar, marts.positions_weekly.

-- Closes with the highest of the window before them. Closes are not revised.
create temp table highs as
    select
        closes.*, max(close_usd) over w as high, count(*) over w as n_closes, min(obs_date) over w as first_obs_date,
        max(known_from) over w as window_known, min(basis) over w as window_basis,
        min(licence) over w as window_licence, close_usd / nullif(high, 0) as near_high
    from closes
    where known_to = 'infinity'
    window w as (
        partition by ticker order by obs_date
        rows between (select near_high_obs::int - 1 from p) preceding and current row
    );

create or replace table marts.equity_daily as
    select
        ticker, obs_date, close_usd, high as high_252_usd, n_closes::integer as n_closes, near_high,
        known_from as knowledge_ts, window_known as knowledge_ts_max, vintage_no, source, basis as knowledge_basis,
        licence::varchar as licence_class
    from highs;

create temp table events as
    select distinct on (event_id, as_of_date)
        event_id, as_of_date, as_of_ts, title, event_kind, event_date,
        (event_date - as_of_date)::integer as days_to_event,
        case
            when days_to_event > event_before_days then 'AHEAD'
            when days_to_event >= -event_after_days then 'ACTIVE'
            else 'PAST'
        end as state,
        valid_from as known_since, status, source,
        days_to_event between -event_near_after_days and event_near_before_days as is_near
    from spine
    join reference('events') as events on as_of_date >= valid_from
    cross join p
    order by valid_from desc, events.metal;

create or replace table marts.event_calendar as
    select * exclude (is_near) from events where is_near;

-- Each vintage among the weeks before it, as known when it became known.
create temp table net_positions as
    with net as (
        select *, managed_long - managed_short as managed_net, managed_net / nullif(open_interest, 0) as net_share
        from positions
    ),
    ranked as (
        select
            week.contract, week.obs_date, week.known_from, count(earlier.net_share) as n,
            count_if(earlier.net_share < week.net_share) + count_if(earlier.net_share <= week.net_share) as places
        from net as week
        join net as earlier
            on week.contract = earlier.contract and earlier.obs_date <= week.obs_date
                and earlier.obs_date > (week.obs_date - to_months((select rank_months_weekly::int from p)))::date
                and week.known_from >= earlier.known_from and week.known_from < earlier.known_to
        group by all
    )
    select
        net.*, n::integer as n_ranked,
        case when net_share is not null and n >= (select rank_min_periods_weekly from p) then places / 2 / n end
            as net_percentile
    from net
    join ranked using (contract, obs_date, known_from);

create or replace table marts.positions_weekly as
    select
        metal, contract, obs_date, managed_long::integer as managed_long, managed_short::integer as managed_short,
        managed_net::integer as managed_net, open_interest::integer as open_interest, net_share, net_percentile,
        n_ranked as n_hist, known_from as knowledge_ts, vintage_no, source, basis as knowledge_basis,
        licence::varchar as licence_class
    from net_positions
    where known_to = 'infinity';
