{{ config(materialized='by_decision_time') }}
-- The parts of each signal's value, which add up to it. The index and its regime by component, supply stress by its two
-- scores, thesis_broken by its two conditions; every other signal has one part, its metric.
with signals as (
    select
        signal_id, signal_version, metal, region, as_of_ts, as_of_date, metric_id, entity, value, score, unit
    from {{ built_rows(ref('signal_candidates')) }}
    where value is not null
),

index_parts as (
    select
        scores.metal,
        scores.as_of_date,
        scores.version,
        scores.family,
        scores.indicator as component,
        scores.value,
        scores.score,
        scores.weight,
        100 * scores.weight / totals.coverage * scores.score
        / count(scores.score) over (
            partition by scores.metal, scores.as_of_date, scores.version, scores.family
        ) as contribution
    from {{ built_rows(ref('int_component_scores')) }} as scores
    inner join {{ built_rows(ref('int_index_daily')) }} as totals
        on
            scores.metal = totals.metal
            and scores.as_of_date = totals.as_of_date
            and scores.version = totals.version
    where scores.score is not null
),

stress_parts as (
    select
        metal, zone, as_of_date, 'power_mean_30d' as component, power_usd_mwh_30d as value, score_power as score
    from {{ built_rows(ref('smelter_margin_daily')) }}
    union all
    select metal, zone, as_of_date, 'headroom' as component, headroom_usd_mwh as value, score_headroom as score
    from {{ built_rows(ref('smelter_margin_daily')) }}
),

thesis_parts as (
    select metal, as_of_date, 'level_state_5of5' as component, m3_usd_t as value, is_below as contribution
    from {{ built_rows(ref('int_price_states_asof')) }}
    union all
    select metal, as_of_date, 'cash_3m_spread' as component, spread_usd_t as value, is_not_backwardated as contribution
    from {{ built_rows(ref('int_price_states_asof')) }}
),

parts as (
    select
        signals.signal_id, signals.signal_version, signals.metal, signals.region, signals.as_of_ts, signals.as_of_date,
        parts.component, parts.family, parts.value, parts.score, parts.weight, parts.contribution, signals.unit
    from signals
    inner join index_parts as parts on signals.metal = parts.metal and signals.as_of_date = parts.as_of_date
    where
        {{ version_of('signals.metric_id') }} = parts.version
    union all
    select
        signals.signal_id, signals.signal_version, signals.metal, signals.region, signals.as_of_ts, signals.as_of_date,
        parts.component, 'SUPPLY' as family, parts.value, parts.score, 0.5 as weight,
        50 * parts.score as contribution, signals.unit
    from signals
    inner join stress_parts as parts
        on signals.metal = parts.metal and signals.as_of_date = parts.as_of_date and signals.entity = parts.zone
    where signals.metric_id = 'supply_stress'
    union all
    select
        signals.signal_id, signals.signal_version, signals.metal, signals.region, signals.as_of_ts, signals.as_of_date,
        parts.component, cast(null as {{ type_text() }}) as family, parts.value, cast(null as double) as score,
        cast(null as double) as weight, parts.contribution, signals.unit
    from signals
    inner join thesis_parts as parts on signals.metal = parts.metal and signals.as_of_date = parts.as_of_date
    where signals.metric_id = 'thesis_broken'
    union all
    select
        signal_id, signal_version, metal, region, as_of_ts, as_of_date, metric_id as component,
        cast(null as {{ type_text() }}) as family, value, score, cast(null as double) as weight,
        value as contribution, unit
    from signals
    where {{ version_of('metric_id') }} is null and metric_id not in ('supply_stress', 'thesis_broken')
)

select
    signal_id,
    signal_version,
    metal,
    region,
    as_of_ts,
    as_of_date,
    component,
    family,
    value,
    score,
    weight,
    cast(contribution as double) as contribution,
    unit
from parts
