{{ config(materialized='by_decision_time') }}
-- Every claim tested against what was known at each decision time, from its valid_from to its horizon. The evidence is
-- the observation of the claim's period, or the latest one for a claim without a period. Where the period is not public
-- yet, the latest observation is shown. A verdict is at most PARTIAL where the evidence compares across a break of its
-- series, or is older than the claim's max_age_days.
with claims as (
    select
        claim_id, metal, claim_text, source_doc, claim_date, metric_id, entity, definition, operator, threshold,
        threshold_high, tolerance, max_age_days, period_from, period_to, horizon_end, valid_from
    from {{ reference('claims') }}
),

units as (
    {% for metric_id, metric in metric_registry().items() -%}
    select '{{ metric_id }}' as metric_id, '{{ metric.unit }}' as unit
    {% if not loop.last %}union all{% endif %}
    {% endfor %}
),

-- The observations of the periods that claims are about: few, so they are joined to days afterwards.
observations as (
    select
        claims.claim_id,
        claims.metal,
        known.period_end,
        known.window_start,
        known.known_from,
        known.known_to,
        known.value,
        known.value_known_from
    from claims
    inner join ({{ period_values() }}) as known
        on
            claims.metal = known.metal
            and claims.metric_id = known.metric_id
            and claims.entity = known.entity
            and known.period_end between claims.period_from and claims.period_to
    where known.value is not null
),

-- The latest of them that was known at each decision time.
period_values as (
    select
        observations.claim_id,
        dates.as_of_date,
        observations.value,
        observations.period_end as obs_end,
        observations.window_start,
        observations.value_known_from as known
    from observations
    inner join {{ ref('int_as_of_dates') }} as dates
        on
            observations.metal = dates.metal
            and dates.as_of_ts >= observations.known_from
            and dates.as_of_ts < observations.known_to
    qualify row_number() over (
        partition by observations.claim_id, dates.as_of_date order by observations.period_end desc nulls last
    ) = 1
),

-- The value of the metric at each decision time, and whether it is of the claim's period.
metric_values as (
    select
        claims.claim_id,
        dates.as_of_date,
        dates.as_of_ts,
        metrics.value,
        metrics.obs_end,
        coalesce(metrics.window_start, metrics.obs_end) as window_start,
        metrics.known,
        case when metrics.value is not null then dates.as_of_date end as valued_on,
        case
            when metrics.value is null then null
            when claims.period_from is null or metrics.obs_end between claims.period_from and claims.period_to
                then dates.as_of_date
        end as in_period_on
    from claims
    inner join {{ ref('int_as_of_dates') }} as dates on claims.metal = dates.metal
    left join {{ built_rows(ref('metrics')) }} as metrics
        on
            claims.metal = metrics.metal
            and claims.metric_id = metrics.metric_id
            and claims.entity = metrics.entity
            and dates.as_of_date = metrics.as_of_date
    {% if is_partial() -%}
    -- The last value and the last one of the claim's period before the rows of this build.
    union all
    select *
    from (
        select
            claims.claim_id,
            kept.as_of_date,
            cast(null as {{ type_instant() }}) as as_of_ts,
            kept.value,
            kept.obs_end,
            coalesce(kept.window_start, kept.obs_end) as window_start,
            kept.known,
            kept.as_of_date as valued_on,
            case
                when claims.period_from is null or kept.obs_end between claims.period_from and claims.period_to
                    then kept.as_of_date
            end as in_period_on
        from claims
        inner join {{ kept_rows(ref('metrics'), condition='value is not null') }} as kept
            on
                claims.metal = kept.metal
                and claims.metric_id = kept.metric_id
                and claims.entity = kept.entity
    ) as kept_values
    qualify
        valued_on = max(valued_on) over (partition by claim_id)
        or in_period_on = max(in_period_on) over (partition by claim_id)
    {%- endif %}
),

-- The day of the last such value until then; before the first one, of the last value of the metric.
last_values as (
    select
        claim_id,
        as_of_date,
        as_of_ts,
        valued_on is not null as is_current,
        max(in_period_on) over so_far is not null as is_in_period,
        coalesce(max(in_period_on) over so_far, max(valued_on) over so_far) as last_on
    from metric_values
    window so_far as (
        partition by claim_id order by as_of_date asc nulls last rows between unbounded preceding and current row
    )
),

evidence as (
    select
        last_values.claim_id,
        last_values.as_of_date,
        last_values.as_of_ts,
        last_values.is_current,
        period_values.claim_id is not null or last_values.is_in_period as is_in_period,
        {% for x in ['value', 'obs_end', 'window_start', 'known'] -%}
        case when period_values.claim_id is not null then period_values.{{ x }} else last.{{ x }} end as {{ x }}
        {%- if not loop.last %},{% endif %}
        {% endfor %}
    from last_values
    left join metric_values as last
        on last_values.claim_id = last.claim_id and last_values.last_on = last.as_of_date
    left join period_values
        on last_values.claim_id = period_values.claim_id and last_values.as_of_date = period_values.as_of_date
),

breaks as (
    select evidence.claim_id, evidence.as_of_date, max(series.break_date) as break_date
    from evidence
    inner join claims on evidence.claim_id = claims.claim_id
    inner join {{ reference('series_breaks') }} as series
        on
            series.metal in (claims.metal, '*')
            and claims.metric_id = series.metric_id
            and evidence.as_of_date >= series.valid_from
            and evidence.window_start < series.break_date
            and evidence.obs_end >= series.break_date
    group by evidence.claim_id, evidence.as_of_date
),

verdicts as (
    select
        claims.*,
        units.unit,
        evidence.as_of_date,
        evidence.as_of_ts,
        evidence.value as evidence_value,
        evidence.obs_end as evidence_obs_date,
        evidence.known as evidence_knowledge_ts,
        case
            when claims.metric_id = '' or evidence.value is null then 'NOT_TESTABLE'
            when claims.period_from is null and not evidence.is_current then 'NOT_TESTABLE'
            when not evidence.is_in_period then 'DATA_NOT_YET_PUBLIC'
            else {{ verdict('evidence.value', 'claims') }}
        end as verdict,
        concat_ws(
            '; ',
            'at most PARTIAL: compared across the break of the series on '
            || cast(breaks.break_date as {{ type_text() }}),
            case when {{ days_between('evidence.as_of_date', 'evidence.obs_end') }} > claims.max_age_days then
                'at most PARTIAL: no later evidence than of ' || cast(evidence.obs_end as {{ type_text() }})
            end
        ) as limits,
        case
            when claims.metric_id = '' then 'the claim names nothing that can be measured'
            when evidence.value is null then 'no data: nothing of this metric and series is known'
            when claims.period_from is null and not evidence.is_current
                then 'the metric has no value now; shown is the last one that it had'
            when not evidence.is_in_period
                then 'the period that the claim speaks of is not public yet; shown is the latest one'
        end as remark
    from claims
    inner join evidence
        on
            claims.claim_id = evidence.claim_id
            and evidence.as_of_date between claims.valid_from and claims.horizon_end
    left join units on claims.metric_id = units.metric_id
    left join breaks on evidence.claim_id = breaks.claim_id and evidence.as_of_date = breaks.as_of_date
),

judged as (
    select *, case when verdict = 'SUPPORTED' and limits <> '' then 'PARTIAL' else verdict end as status
    from verdicts
),

-- The verdict on the day of the claim.
at_claim as (
    select claims.claim_id, claims.claim_date, audited.status, audited.evidence_value
    from claims
    inner join (
        select claim_id, as_of_date, status, evidence_value
        from judged
        {% if is_partial() -%}
        union all
        select claim_id, as_of_date, status, evidence_value
        from {{ kept_rows(this) }} as kept
        {%- endif %}
    ) as audited on claims.claim_id = audited.claim_id and claims.claim_date >= audited.as_of_date
    qualify row_number() over (partition by claims.claim_id order by audited.as_of_date desc nulls last) = 1
)

select
    judged.claim_id,
    judged.metal,
    judged.as_of_ts,
    judged.as_of_date,
    judged.claim_text,
    judged.source_doc,
    judged.claim_date,
    nullif(judged.metric_id, '') as metric_id,
    judged.entity,
    judged.definition,
    nullif(judged.operator, '') as operator,
    judged.threshold,
    judged.threshold_high,
    judged.tolerance,
    judged.unit,
    judged.status,
    judged.evidence_value,
    judged.evidence_obs_date,
    judged.evidence_knowledge_ts,
    coalesce(judged.remark, concat_ws('; ', {{ explain_verdict('judged') }}, nullif(judged.limits, ''))) as explanation,
    at_claim.status as status_at_claim,
    at_claim.evidence_value as evidence_value_at_claim,
    judged.horizon_end
from judged
left join at_claim on judged.claim_id = at_claim.claim_id and judged.as_of_date >= at_claim.claim_date
