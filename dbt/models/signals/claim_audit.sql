-- Every claim held against what was known at each decision time, from its first day of audit to its horizon. The
-- evidence is the observation that the claim speaks of, or the latest one; where that is not public yet, the latest one
-- stands there to show what is known.
with claims as (
    select
        claim_id, metal, claim_text, source_doc, claim_date, metric_id, entity, definition, operator, threshold,
        threshold_high, tolerance, period_from, period_to, horizon_end, valid_from
    from {{ reference('claims') }}
),

units as (
    {% for metric_id, metric in metric_registry().items() -%}
    select '{{ metric_id }}' as metric_id, '{{ metric.unit }}' as unit
    {% if not loop.last %}union all{% endif %}
    {% endfor %}
),

-- For a claim about a period: the latest one of it that was known at each decision time, as it was known then.
meant as (
    select
        claims.claim_id,
        dates.as_of_date,
        vals.value,
        vals.period_end as obs_end,
        vals.value_known_from as known
    from claims
    inner join {{ ref('int_as_of_dates') }} as dates on claims.metal = dates.metal
    inner join {{ ref('int_period_values') }} as vals
        on
            claims.metal = vals.metal
            and claims.metric_id = vals.metric_id
            and claims.entity = vals.entity
            and vals.period_end between claims.period_from and claims.period_to
            and dates.as_of_ts >= vals.known_from
            and dates.as_of_ts < vals.known_to
    where vals.value is not null
    qualify row_number() over (
        partition by claims.claim_id, dates.as_of_date order by vals.period_end desc nulls last
    ) = 1
),

-- What each decision time saw of the metric, and whether a claim without a period, or about one that is seen, means it.
seen as (
    select
        claims.claim_id,
        dates.as_of_date,
        dates.as_of_ts,
        metrics.value,
        metrics.obs_end,
        metrics.known,
        case when metrics.value is not null then dates.as_of_date end as seen_on,
        case
            when metrics.value is null then null
            when claims.period_from is null or metrics.obs_end between claims.period_from and claims.period_to
                then dates.as_of_date
        end as meant_on
    from claims
    inner join {{ ref('int_as_of_dates') }} as dates on claims.metal = dates.metal
    left join {{ ref('metrics') }} as metrics
        on
            claims.metal = metrics.metal
            and claims.metric_id = metrics.metric_id
            and claims.entity = metrics.entity
            and dates.as_of_date = metrics.as_of_date
),

-- The last sight of it until then; where there is none yet, the last sight of the metric.
last_seen as (
    select
        claim_id,
        as_of_date,
        as_of_ts,
        seen_on is not null as is_current,
        max(meant_on) over so_far is not null as is_meant,
        {% for x in ['value', 'obs_end', 'known'] -%}
        coalesce(max_by({{ x }}, meant_on) over so_far, max_by({{ x }}, seen_on) over so_far) as {{ x }}
        {%- if not loop.last %},{% endif %}
        {% endfor %}
    from seen
    window so_far as (
        partition by claim_id order by as_of_date asc nulls last rows between unbounded preceding and current row
    )
),

evidence as (
    select
        last_seen.claim_id,
        last_seen.as_of_date,
        last_seen.as_of_ts,
        last_seen.is_current,
        meant.claim_id is not null or last_seen.is_meant as is_meant,
        {% for x in ['value', 'obs_end', 'known'] -%}
        case when meant.claim_id is not null then meant.{{ x }} else last_seen.{{ x }} end as {{ x }}
        {%- if not loop.last %},{% endif %}
        {% endfor %}
    from last_seen
    left join meant on last_seen.claim_id = meant.claim_id and last_seen.as_of_date = meant.as_of_date
),

held as (
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
            when not evidence.is_meant then 'DATA_NOT_YET_PUBLIC'
            else {{ verdict('evidence.value', 'claims') }}
        end as status,
        case
            when claims.metric_id = '' then 'the claim names nothing that can be measured'
            when evidence.value is null then 'no data: nothing of this metric and series is known'
            when claims.period_from is null and not evidence.is_current
                then 'the metric has no value now; shown is the last one that it had'
            when not evidence.is_meant
                then 'the period that the claim speaks of is not public yet; shown is the latest one'
        end as remark
    from claims
    inner join evidence
        on
            claims.claim_id = evidence.claim_id
            and evidence.as_of_date between claims.valid_from and claims.horizon_end
    left join units on claims.metric_id = units.metric_id
)

select
    claim_id,
    metal,
    as_of_ts,
    as_of_date,
    claim_text,
    source_doc,
    claim_date,
    nullif(metric_id, '') as metric_id,
    entity,
    definition,
    nullif(operator, '') as operator,
    threshold,
    threshold_high,
    tolerance,
    unit,
    status,
    evidence_value,
    evidence_obs_date,
    evidence_knowledge_ts,
    coalesce(remark, {{ explain_verdict() }}) as explanation,
    horizon_end
from held
