{{ config(materialized='by_decision_time') }}
-- The versions of the signals, each with the days of its parameters.
with definitions as (
    select
        definitions.signal_id,
        definitions.signal_version,
        definitions.metal,
        definitions.region,
        definitions.kind,
        definitions.metric_id,
        definitions.entity,
        definitions.unit,
        definitions.sign,
        definitions.tight_states,
        definitions.loose_states,
        definitions.max_age_days,
        parameters.params_hash,
        parameters.valid_from,
        parameters.valid_to,
        row_number() over (
            order by definitions.signal_id asc, definitions.signal_version asc, parameters.valid_from asc
        ) as definition_no
    from {{ reference('signal_definitions') }} as definitions
    inner join {{ ref('int_signal_parameters') }} as parameters
        on
            definitions.signal_id = parameters.signal_id
            and definitions.signal_version = parameters.signal_version
            and definitions.valid_from = parameters.defined_from
),

-- What is sorted is kept in memory: the other columns of the definitions follow at the end.
defined as (
    select
        definitions.definition_no,
        definitions.signal_id,
        definitions.signal_version,
        definitions.metal,
        definitions.metric_id,
        definitions.entity,
        dates.as_of_date,
        dates.as_of_ts
    from definitions
    inner join {{ ref('int_as_of_dates') }} as dates
        on
            definitions.metal = dates.metal
            and dates.as_of_date >= definitions.valid_from
            and dates.as_of_date < coalesce(definitions.valid_to, cast('9999-12-31' as date))
),

valued as (
    select
        defined.*,
        metrics.value,
        metrics.score,
        metrics.state,
        metrics.obs_end,
        metrics.known as knowledge_ts_max,
        metrics.basis as knowledge_basis,
        metrics.licence as licence_class,
        metrics.coverage,
        metrics.n_components,
        metrics.status,
        metrics.is_stale,
        metrics.is_suspect,
        breaks.is_break is not null or metrics.is_break as is_break,
        metrics.is_partial,
        cast({{ days_between('defined.as_of_date', 'metrics.obs_end') }} as integer) as staleness_days,
        coalesce(metrics.n_hist, cast(
            {% if is_partial() %}coalesce(kept.n_values, 0) + {% endif %}count(metrics.value) over (
                partition by defined.signal_id, defined.metric_id order by defined.as_of_date asc nulls last
            ) as integer
        )) as n_hist
    from defined
    {% if is_partial() -%}
    left join (
        select signal_id, metric_id, count(value) as n_values
        from {{ kept_rows(this) }} as kept
        group by signal_id, metric_id
    ) as kept on defined.signal_id = kept.signal_id and defined.metric_id = kept.metric_id
    {% endif -%}
    left join {{ built_rows(ref('metrics')) }} as metrics
        on
            defined.metal = metrics.metal
            and defined.as_of_date = metrics.as_of_date
            and defined.metric_id = metrics.metric_id
            and defined.entity = metrics.entity
    -- Values that are compared across a break of their series.
    left join (
        select distinct compared.metal, compared.as_of_date, compared.metric_id, compared.entity, true as is_break
        from {{ built_rows(ref('metrics')) }} as compared
        inner join {{ reference('series_breaks') }} as days
            on
                days.metal in (compared.metal, '*')
                and compared.metric_id = days.metric_id
                and {{ spans_break('days', 'compared.as_of_date', 'compared.window_start', 'compared.obs_end') }}
    ) as breaks
        on
            defined.metal = breaks.metal
            and defined.as_of_date = breaks.as_of_date
            and defined.metric_id = breaks.metric_id
            and defined.entity = breaks.entity
),

flagged as (
    select
        valued.*,
        definitions.region,
        definitions.kind,
        definitions.unit,
        definitions.sign,
        definitions.tight_states,
        definitions.loose_states,
        definitions.params_hash,
        {{ quality_flags({
            'MISSING': "value is null and coalesce(status, '') not in ('WARMUP', 'STALE')",
            'STALE': "staleness_days > max_age_days or is_stale or status = 'STALE'",
            'WARMUP': "status = 'WARMUP' or value is not null and case"
                ~ " when kind in ('STATE', 'EVENT') then state is null"
                ~ " when kind = 'SCORE' then score is null and staleness_days <= max_age_days and not is_suspect end",
            'SUSPECT': 'value is not null and is_suspect',
            'BREAK': 'value is not null and is_break',
            'PARTIAL': 'is_partial',
        }) }} as quality_flags
    from valued
    inner join definitions on valued.definition_no = definitions.definition_no
),

-- The previous state, and the first day of the present one. A missing state does not end a state; a new version starts
-- again.
known_states as (
    select
        *,
        lag(state) over (
            partition by signal_id, signal_version order by as_of_date asc nulls last
        ) as prev_state
    from (
        select signal_id, signal_version, as_of_date, state, cast(null as date) as kept_since
        from valued
        where state is not null
        {% if is_partial() -%}
        union all
        select signal_id, signal_version, as_of_date, state, state_since as kept_since
        from {{ kept_rows(this, ['signal_id', 'signal_version'], 1, 'state is not null') }} as kept
        {%- endif %}
    ) as states
),

state_runs as (
    select
        signal_id,
        signal_version,
        as_of_date,
        prev_state,
        prev_state is not null and prev_state <> state as is_transition,
        max(coalesce(kept_since, case when prev_state is null or prev_state <> state then as_of_date end))
            over (partition by signal_id, signal_version order by as_of_date asc nulls last) as state_since
    from known_states
)

select
    valued.signal_id,
    valued.signal_version,
    valued.metal,
    valued.region,
    valued.as_of_ts,
    valued.as_of_date,
    valued.kind,
    valued.metric_id,
    valued.entity,
    valued.value,
    valued.unit,
    valued.score,
    valued.state,
    -- Tighter than the middle of its history (1), looser (-1), or neither (0).
    cast(case
        when valued.score is not null then sign(valued.score - 0.5)
        when {{ is_listed('valued.state', 'valued.tight_states') }} then 1
        when {{ is_listed('valued.state', 'valued.loose_states') }} then -1
        when valued.state is not null then 0
        when valued.kind = 'LEVEL' and valued.unit = 'index points' then coalesce(sign(valued.value - 50), 0)
        -- A change or a spread is neutral at 0; a level in tonnes has no neutral point.
        when valued.kind = 'LEVEL' and valued.unit in ('ratio', 'ln', 'USD/t', 'CNY/t')
            then coalesce(sign(valued.value), 0) * valued.sign
        else 0
    end as integer) as direction,
    state_runs.prev_state,
    state_runs.state_since,
    coalesce(state_runs.is_transition, false) as is_transition,
    valued.coverage,
    valued.n_hist,
    coalesce(valued.n_components, case when valued.value is null then 0 else 1 end) as n_components,
    valued.obs_end as obs_end_max,
    valued.knowledge_ts_max,
    valued.staleness_days,
    {{ worst_flag('valued.quality_flags') }} as quality,
    valued.quality_flags,
    valued.knowledge_basis,
    valued.licence_class,
    valued.params_hash,
    md5(concat_ws(
        '|', cast(valued.obs_end as {{ type_text() }}), {{ instant_text('valued.knowledge_ts_max') }},
        cast(valued.n_hist as {{ type_text() }}), {{ number_text('valued.value') }}, valued.state
    )) as inputs_hash
from flagged as valued
left join state_runs
    on
        valued.signal_id = state_runs.signal_id
        and valued.signal_version = state_runs.signal_version
        and valued.as_of_date = state_runs.as_of_date
