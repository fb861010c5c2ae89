-- Claims and changes of state: signals.claim_audit, signals.signal_transitions.
create temp table claims as
    select claim.*, registry.unit
    from of_metal('claims') as claim
    left join registry using (metric_id);

-- For a claim about a period: the latest observation in it as known at each decision time.
create temp table in_period as
    with days as (
        select claim_id, metric_id, entity, period_from, period_to, as_of_date, as_of_ts
        from claims
        join spine on as_of_date between valid_from and horizon_end
        where period_from is not null
    ),
    observed as (
        select
            claim_id, days.as_of_date, stock.period_end as obs_end,
            case metric_id
                when 'visible_t' then stock.visible_t
                when 'visible_low_age' then stock.period_end - stock.lowest_since
                when 'offwarrant_yoy' then stock.offwarrant_yoy
            end as value,
            if(metric_id = 'offwarrant_yoy', stock.change_known, stock.known_from) as known,
            case metric_id
                when 'visible_low_age' then stock.lowest_since
                when 'offwarrant_yoy' then stock.base_period_end
                else stock.period_end
            end as window_start
        from days
        join visible_latest as latest using (as_of_date)
        join visible as stock
            on latest.release_ts = stock.release_ts and stock.period_end between period_from and period_to
        union all
        select
            claim_id, days.as_of_date, change.period_end,
            case metric_id
                when 'exports_yoy' then change.exports_yoy
                when 'exports_yoy_3m' then change.exports_yoy_3m
                when 'exports_ytd_yoy' then change.exports_ytd_yoy
            end,
            case metric_id
                when 'exports_yoy' then change.yoy_known
                when 'exports_yoy_3m' then change.yoy_3m_known
                else change.ytd_known
            end,
            change.period_end
        from days
        join exports_asof as latest on days.as_of_date = latest.as_of_date and entity = latest.country
        join export_changes as change
            on latest.country = change.country and latest.release_ts = change.release_ts
                and change.period_end between period_from and period_to
        union all
        select
            claim_id, as_of_date, price.obs_date,
            case metric_id
                when 'm3_usd_t' then price.m3_usd_t
                when 'cash_3m_spread' then price.cash_usd_t - price.m3_usd_t
                when 'px_yoy' then price.m3_usd_t / nullif(base.m3_usd_t, 0) - 1
            end,
            case metric_id when 'px_yoy' then greatest(price.known_from, base.known_from) else price.known_from end,
            case metric_id when 'px_yoy' then base.obs_date else price.obs_date end
        from days
        join m3 as price on price.obs_date between period_from and period_to
            and as_of_ts >= price.known_from and as_of_ts < price.known_to
        left join year_earlier on price.obs_date = year_earlier.obs_date
        left join m3 as base on base_n = base.n and as_of_ts >= base.known_from and as_of_ts < base.known_to
    )
    select claim_id, as_of_date, unnest(max_by({
        'obs_end': obs_end, 'value': value, 'known': known, 'window_start': window_start
    }, obs_end))
    from observed
    where value is not null
    group by claim_id, as_of_date;

create or replace table signals.claim_audit as
    with so_far as (  -- the last value of the period until then, or the last one of the metric
        select
            claims.*, as_of_date, as_of_ts, value is not null as is_current,
            {
                'value': value, 'obs_end': obs_end, 'known': known, 'window_start': coalesce(window_start, obs_end)
            } as now,
            value is not null and (period_from is null or obs_end between period_from and period_to) as is_meant,
            last_value(case when is_meant then now end ignore nulls) over w as meant,
            last_value(case when is_current then now end ignore nulls) over w as latest
        from claims
        cross join spine
        left join metrics using (as_of_date, metric_id, entity)
        window w as (partition by claim_id order by as_of_date)
    ),
    evidence as (
        select
            so_far.* exclude (now, is_meant, meant, latest),
            coalesce(in_period.value, meant.value, latest.value) as x,
            if(in_period.value is not null, in_period.obs_end, coalesce(meant, latest).obs_end) as obs_end,
            if(in_period.value is not null, in_period.known, coalesce(meant, latest).known) as known,
            if(in_period.value is not null, in_period.window_start, coalesce(meant, latest).window_start)
                as window_start,
            in_period.value is not null or meant is not null as is_public,
            case  -- how far the value is from holding; not above 0: it holds
                when operator in ('APPROX', 'EQ') then abs(x - threshold) - tolerance
                when operator in ('GT', 'GE') then threshold - x
                when operator in ('LT', 'LE') then x - threshold
                when operator = 'BETWEEN' then greatest(threshold - x, x - threshold_high)
            end as missed
        from so_far
        left join in_period using (claim_id, as_of_date)
        where as_of_date between valid_from and horizon_end
    ),
    broken as (
        select claim_id, as_of_date, max(break_date) as break_date
        from evidence
        join of_metal('series_breaks') as days
            on evidence.metric_id = days.metric_id and as_of_date >= days.valid_from
                and window_start < break_date and obs_end >= break_date
        group by claim_id, as_of_date
    ),
    judged as (
        select
            evidence.* exclude (status),
            case
                when metric_id = '' then 'the claim names nothing that can be measured'
                when x is null then 'no data: nothing of this metric and series is known'
                when period_from is null and not is_current
                    then 'the metric has no value now; shown is the last one that it had'
                when not is_public then 'the period that the claim speaks of is not public yet; shown is the latest one'
            end as remark,
            concat_ws(
                '; ', 'at most PARTIAL: compared across the break of the series on ' || break_date,
                case when as_of_date - obs_end > max_age_days
                    then 'at most PARTIAL: no later evidence than of ' || obs_end
                end
            ) as limits,
            case
                when remark is not null
                    then if(x is not null and period_from is not null, 'DATA_NOT_YET_PUBLIC', 'NOT_TESTABLE')
                when missed < 0 or missed = 0 and operator not in ('GT', 'LT')
                    then if(limits = '', 'SUPPORTED', 'PARTIAL')
                when operator = 'APPROX' and missed <= 2 * tolerance and sign(x) = sign(threshold) then 'PARTIAL'
                when operator not in ('APPROX', 'EQ') and tolerance > 0 and missed <= tolerance then 'PARTIAL'
                else 'CONTRADICTED'
            end as status
        from evidence
        left join broken using (claim_id, as_of_date)
    ),
    at_claim as (
        select claim_id, max_by(status, as_of_date) as status, max_by({'x': x}, as_of_date).x as x
        from judged
        where as_of_date <= claim_date
        group by claim_id
    )
    select
        judged.claim_id, metal, as_of_ts, as_of_date, claim_text, source_doc, claim_date,
        nullif(metric_id, '') as metric_id, entity, definition, nullif(operator, '') as operator, threshold,
        threshold_high, tolerance, unit, judged.status, judged.x as evidence_value, obs_end as evidence_obs_date,
        known as evidence_knowledge_ts,
        coalesce(remark, concat_ws('; ', concat_ws(
            ' ', round(judged.x, 4), nullif(unit, ''), 'against',
            case operator
                when 'APPROX' then 'about' when 'EQ' then 'equal to' when 'GT' then 'more than'
                when 'GE' then 'at least' when 'LT' then 'less than' when 'LE' then 'at most'
                when 'BETWEEN' then 'between'
            end,
            threshold, case when operator = 'BETWEEN' then 'and ' || threshold_high end,
            case when tolerance > 0 then '(tolerance ' || tolerance || ')' end
        ), nullif(limits, ''))) as explanation,
        at_claim.status as status_at_claim, at_claim.x as evidence_value_at_claim, horizon_end
    from judged
    left join at_claim on judged.claim_id = at_claim.claim_id and as_of_date >= claim_date;

create or replace table signals.signal_transitions as
    with verdicts as (
        select *, lag(status) over (partition by claim_id order by as_of_ts) as prev_status from signals.claim_audit
    ),
    changes as (
        select signal_id, signal_version, metal, region, as_of_ts, as_of_date, prev_state, state, value, unit,
            direction, quality, quality_flags, revision_no, knowledge_ts_max
        from signals.signals
        where is_transition
        union all
        select 'CLAIM.' || claim_id, '1.0.0', metal, 'GLOBAL', as_of_ts, as_of_date, prev_status, status,
            evidence_value, unit, 0, 'OK', 'OK', 1, evidence_knowledge_ts
        from verdicts
        where prev_status <> status and as_of_date > claim_date
    )
    select
        md5(concat_ws(
            '|', signal_id, signal_version, metal, region, epoch(as_of_ts)::bigint, prev_state, state
        )) as transition_id, *
    from changes;
