-- Signals: signals.signal_dictionary, signals, signals_latest, signals_wide_daily, signal_contributions.
-- The first build: every row of the log is a first revision.
-- The parameters of each metric from each day on, on which one of any metric changes.
create temp table parameters_used as
    with steps as (
        select name, metal, valid_from, value::varchar as value, unit, status
        from of_metal('parameters')
        union all
        select
            'index_components', metal, valid_from,
            string_agg(concat_ws(' ', indicator, region, sign, weight, max_age_days), ', ' order by indicator),
            'indicator region sign weight max_age_days', max(status)
        from component
        group by metal, valid_from
        union all
        select
            'index_components_v2', metal, valid_from,
            string_agg(concat_ws(' ', indicator, region, sign, weight, max_age_days), ', ' order by indicator),
            'indicator region sign weight max_age_days', max(status)
        from component_v2
        group by metal, valid_from
        union all
        select
            'component_' || indicator, metal, valid_from, concat_ws(' ', region, sign, max_age_days),
            'region sign max_age_days', status
        from component
    ),
    in_force as (
        select metric_id, day, steps.*
        from (select metric_id, unnest(parameters) as name from registry) as registered
        join steps using (name)
        join (select distinct valid_from as day from steps) as days on valid_from <= day
        -- A metal's own value takes precedence: '*' sorts before letters.
        qualify row_number() over (partition by metric_id, day, name order by metal desc, valid_from desc) = 1
    )
    select
        metric_id, day,
        string_agg(name || '=' || value, ';' order by name) as pairs,
        string_agg(concat(name, ' = ', value, ' ', unit, ' (', status, ')'), '; ' order by name) as parameters
    from in_force
    group by metric_id, day;

create temp table definitions as
    with used as (
        select metric_id, max_by(pairs, day) as pairs, max_by(parameters, day) as parameters
        from parameters_used
        where day <= getvariable('as_of')::date
        group by metric_id
    )
    select
        signal.* replace (signal.metric_id::metric as metric_id), row_number() over ()::utinyint as s,
        string_split(tight_states, ' ') as tight, string_split(loose_states, ' ') as loose,
        registry.formula, registry.states, used.parameters,
        md5(signal_version || coalesce(pairs, '')) as params_hash
    from of_metal('signal_definitions') as signal
    join registry using (metric_id)
    left join used using (metric_id);

create temp table hashes as
    select s, day, md5(signal_version || coalesce(pairs, '')) as params_hash
    from definitions
    join parameters_used using (metric_id);

create or replace table signals.signal_dictionary as
    select
        signal_id, signal_version, valid_from, metal, region, kind, metric_id::varchar as metric_id, entity, unit,
        sign::integer as sign, description, formula, states, tight_states, loose_states,
        max_age_days::integer as max_age_days, parameters, params_hash, status, source
    from definitions;

create temp table valued as
    with scores as (
        select as_of_date, indicator::metric as metric_id, if(region = 'GLOBAL', '', region) as entity, score,
            n_hist as n_ranked, ranked_from, is_stale as is_scored_stale, is_suspect as is_scored_suspect
        from marts.indicator_ranks_daily
        join (select as_of_date, indicator, is_stale, is_suspect from component_ranks) using (as_of_date, indicator)
        where version = 1
    ),
    breaks as (
        select distinct as_of_date, metric_id, entity, true as is_break
        from metrics
        join (select metric_id::metric as metric_id, valid_from, break_date from of_metal('series_breaks')) as days
            using (metric_id)
        left join scores using (as_of_date, metric_id, entity)
        where as_of_date >= valid_from and coalesce(window_start, ranked_from) < break_date and obs_end >= break_date
    )
    select
        s, as_of_date, as_of_ts, score, n_ranked,
        metrics.status = 'WARMUP' as is_warmup, metrics.status = 'STALE' as is_kept,
        metrics.* exclude (as_of_date, metric_id, entity, window_start, status) replace (
            coalesce(is_stale, is_scored_stale) as is_stale, coalesce(is_suspect, is_scored_suspect) as is_suspect,
            coalesce(metrics.is_break, breaks.is_break) as is_break
        )
    from definitions
    join spine on as_of_date >= valid_from
    left join metrics using (as_of_date, metric_id, entity)
    left join scores using (as_of_date, metric_id, entity)
    left join breaks using (as_of_date, metric_id, entity);

-- Windows over few columns: the wide rows are joined, not sorted.
create temp table counted as
    select s, as_of_date, count(value) over w as n, state, lag(state ignore nulls) over w as prev_state
    from valued
    window w as (partition by s order by as_of_date);
create temp table stated as
    select
        s, as_of_date, prev_state, coalesce(state <> prev_state, false) as is_transition,
        max(case when prev_state is null or is_transition then as_of_date end)
            over (partition by s order by as_of_date) as state_since
    from counted
    where state is not null;

create or replace table signals.signals as
    select
        signal_id, signal_version, metal, region, as_of_ts, as_of_date, 1 as revision_no,
        'first publication' as revision_reason, kind, value, unit, score, valued.state,
        (case
            when score is not null then sign(score - 0.5)
            when list_contains(tight, valued.state) then 1
            when list_contains(loose, valued.state) then -1
            when valued.state is not null or kind <> 'LEVEL' then 0
            when unit = 'index points' then coalesce(sign(value - 50), 0)
            when unit in ('ratio', 'ln', 'USD/t', 'CNY/t') then coalesce(sign(value), 0) * sign
            else 0
        end)::integer as direction,
        stated.prev_state, state_since, coalesce(is_transition, false) as is_transition, coverage,
        coalesce(n_hist, n_ranked, n)::integer as n_hist,
        coalesce(n_components, if(value is null, 0, 1)) as n_components,
        obs_end as obs_end_max, known as knowledge_ts_max, (as_of_date - obs_end)::integer as staleness_days,
        split_part(quality_flags, ' ', 1) as quality,
        quality_flags,
        basis as knowledge_basis, licence::varchar as licence_class,
        coalesce(hashes.params_hash, definitions.params_hash) as params_hash,
        md5(concat_ws('|', obs_end, known, coalesce(n_hist, n_ranked, n), value, valued.state)) as inputs_hash,
        getvariable('code_version') as code_version, getvariable('run_id') as run_id,
        getvariable('as_of') as computed_ts
    from valued
    join definitions using (s)
    asof left join hashes on definitions.s = hashes.s and valued.as_of_date >= hashes.day
    join counted using (s, as_of_date)
    left join stated using (s, as_of_date)
    cross join lateral (
        select flags(
            value is null and not coalesce(is_warmup or is_kept, false),
            as_of_date - obs_end > max_age_days or is_stale or is_kept,
            is_warmup or value is not null and case
                when kind in ('STATE', 'EVENT') then valued.state is null
                when kind = 'SCORE'
                    then score is null and as_of_date - obs_end <= max_age_days and not coalesce(is_suspect, false)
            end,
            value is not null and is_suspect, value is not null and is_break, is_partial
        ) as quality_flags
    );

create or replace table signals.signals_latest as
    from signals.signals qualify as_of_ts = max(as_of_ts) over (partition by signal_id, signal_version);

create or replace table signals.signals_wide_daily as
    with named as (
        select as_of_date, name, state, if(part = 'score', score, value) as number
        from signals.signals
        join definitions using (signal_id, signal_version)
        join (
            select name, part, metric, getvariable('metal') || '.' || signal as signal_id
            from (values {wide_names}) as wide (name, signal, part, metric)
        ) as wide using (signal_id)
        where wide.metric in ('', metric_id::varchar)
    ),
    numbers as (
        pivot (select as_of_date, name, number from named)
        on name in ({wide_numbers}) using max(number) group by as_of_date
    ),
    states as (
        pivot (select as_of_date, name, state from named)
        on name in ({wide_states}) using max(state) group by as_of_date
    )
    select metal, as_of_date, as_of_ts, {wide_columns}, knowledge_ts_max, licence_class::varchar as licence_class
    from spine
    join (
        select as_of_date, max(known) as knowledge_ts_max, min(licence) as licence_class from valued group by as_of_date
    ) using (as_of_date)
    join numbers using (as_of_date)
    join states using (as_of_date);

create or replace table signals.signal_contributions as
    with parts as (
        select
            as_of_date,
            unnest(if(
                version = 1, ['tightness_index', 'regime'], ['tightness_index_v2', 'regime_v2']
            ))::metric as metric_id,
            '' as entity, indicator as component, family, value, score, weight, contribution
        from marts.indicator_ranks_daily
        where score is not null
        union all
        select as_of_date, 'supply_stress', zone, unnest(['power_mean_30d', 'headroom']), 'SUPPLY',
            unnest([power_usd_mwh_30d, headroom_usd_mwh]), unnest([score_power, score_headroom]), 0.5,
            unnest([50 * score_power, 50 * score_headroom])
        from smelters
        union all
        select as_of_date, 'thesis_broken', '', unnest(['level_state_5of5', 'cash_3m_spread']), null,
            unnest([m3_usd_t, spread_usd_t]), null, null, unnest([is_below, is_not_backwardated])
        from price_states
    )
    select
        signal_id, signal_version, metal, region, as_of_ts, as_of_date, component, family, parts.value, parts.score,
        weight, contribution, unit
    from valued
    join definitions using (s)
    join parts using (as_of_date, metric_id, entity)
    where valued.value is not null
    union all
    select signal_id, signal_version, metal, region, as_of_ts, as_of_date, metric_id::varchar, null, value, score,
        null, value, unit
    from valued
    join definitions using (s)
    where value is not null and metric_id not in (
            'tightness_index', 'regime', 'tightness_index_v2', 'regime_v2', 'supply_stress', 'thesis_broken'
        );
