-- Shares and events: marts.equity_daily, marts.event_calendar.

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
