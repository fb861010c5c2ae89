-- Every published table as plain DuckDB scripts, run in order, with which the dbt project is compared.
-- Assumed here but not there: one metal; one value of each parameter but those that are dated here, one version of each
-- signal and one list of components for all days; the first vintages of a series become known in the order of their days; power is known
-- before its day; power and closes are not revised; a month has one day of visible stock.
-- The session sets lake and reference (folders), as_of, run_id and code_version.

-- Input: reference tables and vintages. Only this script reads the lake.
set TimeZone = 'UTC';
create schema if not exists marts;
create schema if not exists signals;
create temp type licence as enum ('RESTRICTED', 'BYO', 'OPEN');  -- worst first; bases are so by alphabet

create temp macro reference(name) as table
    from read_parquet(getvariable('reference') || '/' || name || '.parquet');

create temp macro of_metal(name) as table
    from reference(name) where metal in (getvariable('metal'), '*');

create temp macro lake(dataset) as table
    select * exclude (knowledge_ts, knowledge_basis, licence_class),
        knowledge_ts as known_from, knowledge_basis as basis, licence_class::licence as licence
    from read_parquet(
        getvariable('lake') || '/' || dataset || '/*.parquet', hive_partitioning = false, union_by_name = true
    )
    where knowledge_ts <= getvariable('as_of');

create temp table calendar as from reference('trading_calendar');
-- Publishers list the stock of a close under the day of its report; a user's file has the day of the close.
create temp macro day_of_close(source, day) as case
    when source = 'drop' then day
    else (select previous_business_day from calendar where calendar_date = day)
end;

-- The vintages of a dataset, each with the end of its validity. A month in the drop folder overrides other sources from
-- its first row on. series and part: what identifies an observation beside its day. Few observations have several rows.
create temp macro vintages(dataset, series := 0, part := 0, day := null) as table
    with captured as (
        select
            * replace (coalesce(day, obs_end) as obs_end), series as s, part as q,
            date_trunc('month', coalesce(day, obs_end)) as month, source = 'drop' as is_drop,
            'infinity'::timestamptz as next_from
        from lake(dataset)
    ),
    several as (select s, q, obs_end from captured group by all having count(*) > 1),
    dropped as (select s, month, min(known_from) as dropped_from from captured where is_drop group by all),
    vintage as (
        from captured anti join several using (s, q, obs_end)
        union all
        select * replace (
            lead(known_from, 1, next_from) over (partition by s, q, obs_end, is_drop order by known_from) as next_from
        )
        from (
            from captured semi join several using (s, q, obs_end)
            qualify row_number() over (
                partition by s, q, obs_end, is_drop, known_from order by vintage_no desc, ingest_ts desc
            ) = 1
        )
    )
    select
        vintage.* exclude (
            s, q, month, is_drop, next_from, obs_start, obs_end, vintage_no, ingest_ts, payload_sha256, is_suspect
        ),
        least(next_from, case when not is_drop then dropped_from end) as known_to,
        coalesce(is_suspect, false) as is_suspect,
        row_number() over (partition by vintage.s, q, obs_end order by known_from)::integer as vintage_no
    from vintage
    left join dropped on vintage.s = dropped.s and vintage.month = dropped.month
    where is_drop or dropped_from is null or known_from < dropped_from;

create temp table prices as from vintages('prices');
set variable metal = (select distinct metal from prices);  -- an error where there are several
-- Of a metal's value and the one for all metals the first: '*' sorts before letters.
create temp table p as pivot (
    select name, max_by(value, metal) as value from of_metal('parameters') group by name
) on name using max(value);
-- Parameters that change over the years, by day.
create temp table dated as pivot (
    select calendar_date, names.name, value
    from calendar
    cross join (
        select distinct name from of_metal('parameters')
        where name in (
            'consumption_t_per_year', 'rent_usd_t_day', 'mwh_per_t', 'china_cap_t', 'level_up', 'level_down'
        )
    ) as names
    asof join of_metal('parameters') as step on names.name = step.name and calendar_date >= valid_from
) on name using max(value);
create temp table component as from of_metal('index_components') where version = 1;
create temp table component_v2 as from of_metal('index_components') where version = 2;

create temp table quoted_spreads as from vintages('spreads', series := spread);
-- Of each observation date the rate that counts.
create temp table rates as
    from vintages('rates', series := rate_id)
    semi join (
        select rate_id, obs_date
        from (select distinct obs_date from lake('rates'))
        asof join reference('rate_chain') on obs_date >= valid_from
    ) using (rate_id, obs_date);
create temp table fx as from vintages('fx', series := pair) where pair = 'EURUSD';
create temp table stocks as
    select * replace (day_of_close(source, obs_date) as obs_date), dense_rank() over (order by day_of_close(source, obs_date)) as n
    from vintages('stocks', day := day_of_close(source, obs_end));
create temp table premia as from vintages('premia', series := region);
create temp table exchange_stocks as from vintages('exchange_stocks', series := (exchange, product));
create temp table positions as
    select contracts.metal, position.*
    from vintages('positions', series := contract) as position
    join of_metal('contracts') as contracts using (contract)
    where obs_date >= contracts.valid_from;
create temp table places as from vintages('stocks_by_location', series := location);
create temp table off_warrant as from vintages('off_warrant');
create temp table exports as from vintages('exports', series := country);
create temp table production as from vintages('production', series := country);
create temp table costs as from vintages('costs');
create temp table shanghai as from exchange_stocks where exchange = 'SHFE' and product = 'METAL';
create temp table arbitrage as from vintages('arbitrage');
create temp table closes as from vintages('equities', series := ticker);
create temp table power as
    select
        zone, delivery_date, resolution, n_positions, position, price_eur_mwh, known_from, known_to, source, basis,
        licence
    from vintages('power', series := zone, part := (resolution, position));

create temp table spine as
    select metal, calendar_date as as_of_date, as_of_ts
    from calendar
    join of_metal('metals') on calendar_date >= valid_from
    where is_business_day and as_of_ts <= getvariable('as_of')
        and as_of_ts >= (select min(known_from) from prices);

-- The newest observation of each series known at each decision time, with a maximum age in days.
create temp macro newest(observations, days, series := 0) as table
    select spine.*, known.*, known.known_from as known
    from spine
    cross join (select distinct series as entity from query_table(observations)) as names
    asof join (
        select *, series as entity
        from query_table(observations)
        -- Peers included: the newest of a release.
        qualify obs_date = max(obs_date) over (partition by series order by known_from)
    ) as known on names.entity = known.entity and spine.as_of_ts >= known.known_from
    where spine.as_of_date - known.obs_date <= days;

-- The observations that lie a number of places (a list) before the newest one, as known at each decision time.
create temp macro before(observations, days, places) as table
    select latest.as_of_date, latest.n - o.n as place, o.*
    from (select *, n - unnest(places) as wanted from newest(observations, days)) as latest
    join query_table(observations) as o
        on latest.wanted = o.n and latest.as_of_ts >= o.known_from and latest.as_of_ts < o.known_to
    where latest.as_of_date - o.obs_date <= days;
