{{ config(materialized='by_decision_time') }}
-- Every claim tested against what was known at each decision time, from its valid_from to its horizon. The evidence is
-- the observation of the claim's period, or the latest one for a claim without a period. Where the period is not public
-- yet, the latest observation is shown.
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

-- The observations of the periods that claims are about: few, so they are joined to days afterwards.
observations as (
    select
        claims.claim_id,
        claims.metal,
        known.period_end,
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

-- The last such value until then; before the first one, the last value of the metric.
last_values as (
    select
        claim_id,
        as_of_date,
        as_of_ts,
        valued_on is not null as is_current,
        max(in_period_on) over so_far is not null as is_in_period,
        {% for x in ['value', 'obs_end', 'known'] -%}
        coalesce(max_by({{ x }}, in_period_on) over so_far, max_by({{ x }}, valued_on) over so_far) as {{ x }}
        {%- if not loop.last %},{% endif %}
        {% endfor %}
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
        {% for x in ['value', 'obs_end', 'known'] -%}
        case when period_values.claim_id is not null then period_values.{{ x }} else last_values.{{ x }} end as {{ x }}
        {%- if not loop.last %},{% endif %}
        {% endfor %}
    from last_values
    left join period_values
        on last_values.claim_id = period_values.claim_id and last_values.as_of_date = period_values.as_of_date
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
        end as status,
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
from verdicts
