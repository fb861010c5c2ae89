-- The signals as they would be published today, in the columns of signals.signals; the log takes what is new in them.
with defined as (
    select
        definitions.signal_id,
        definitions.signal_version,
        definitions.metal,
        definitions.region,
        definitions.kind,
        definitions.unit,
        definitions.sign,
        definitions.max_age_days,
        vals.as_of_ts,
        vals.as_of_date,
        vals.value,
        vals.score,
        vals.state,
        vals.obs_end,
        vals.knowledge_ts_max,
        vals.knowledge_basis,
        vals.licence_class,
        vals.coverage,
        vals.n_components,
        vals.regime_status,
        vals.params_hash,
        cast({{ days_between('vals.as_of_date', 'vals.obs_end') }} as integer) as staleness_days,
        coalesce(vals.state, cast(vals.value as varchar)) is not null as is_known,
        coalesce(scores.n_hist, cast(count(coalesce(vals.state, cast(vals.value as varchar))) over (
            partition by definitions.signal_id order by vals.as_of_date asc nulls last
        ) as integer)) as n_hist
    from {{ reference('signal_definitions') }} as definitions
    inner join {{ ref('int_signal_values') }} as vals
        on definitions.metal = vals.metal and definitions.metric_id = vals.metric_id
    left join {{ ref('int_component_scores') }} as scores
        on
            definitions.metal = scores.metal
            and definitions.metric_id = scores.indicator
            and vals.as_of_date = scores.as_of_date
    where definitions.valid_from <= vals.as_of_date
),

-- The state before, and since when the present one holds: a missing state ends nothing.
known_states as (
    select
        *,
        lag(state) over (partition by signal_id order by as_of_date asc nulls last) as prev_state
    from defined
    where state is not null
),

state_runs as (
    select
        signal_id,
        as_of_date,
        prev_state,
        prev_state is not null and prev_state <> state as is_transition,
        max(case when prev_state is null or prev_state <> state then as_of_date end)
            over (partition by signal_id order by as_of_date asc nulls last) as state_since
    from known_states
)

select
    defined.signal_id,
    defined.signal_version,
    defined.metal,
    defined.region,
    defined.as_of_ts,
    defined.as_of_date,
    defined.kind,
    defined.value,
    defined.unit,
    defined.score,
    defined.state,
    -- What the present value says: tighter than the middle of its history, looser, or nothing.
    cast(case
        when defined.score > 0.5 then 1
        when defined.score < 0.5 then -1
        when defined.state in ('ABOVE', 'ON', 'TIGHT', 'SQUEEZE') then 1
        when defined.state in ('BELOW', 'LOOSE') then -1
        when defined.kind = 'LEVEL' and defined.unit = 'index points' and defined.value > 50 then 1
        when defined.kind = 'LEVEL' and defined.unit = 'index points' and defined.value < 50 then -1
        -- A level in tonnes has no neutral point; a change or a spread has: 0.
        when defined.kind = 'LEVEL' and defined.unit in ('ratio', 'USD/t')
            then coalesce(sign(defined.value), 0) * defined.sign
        else 0
    end as integer) as direction,
    state_runs.prev_state,
    state_runs.state_since,
    coalesce(state_runs.is_transition, false) as is_transition,
    defined.coverage,
    defined.n_hist,
    cast(defined.n_components as integer) as n_components,
    defined.obs_end as obs_end_max,
    defined.knowledge_ts_max,
    defined.staleness_days,
    case
        when defined.regime_status in ('WARMUP', 'STALE') then defined.regime_status
        when defined.kind = 'SCORE' and defined.is_known and defined.score is null
            and defined.staleness_days <= defined.max_age_days then 'WARMUP'
        when not defined.is_known and defined.coverage is not null and defined.n_hist = 0 then 'WARMUP'
        when not defined.is_known then 'MISSING'
        when defined.staleness_days > defined.max_age_days then 'STALE'
        when defined.coverage < 1 then 'PARTIAL'
        else 'OK'
    end as quality,
    defined.knowledge_basis,
    defined.licence_class,
    defined.params_hash,
    md5(concat_ws(
        '|', cast(defined.value as varchar), defined.state, cast(defined.score as varchar),
        cast(defined.obs_end as varchar), cast(defined.knowledge_ts_max as varchar)
    )) as inputs_hash
from defined
left join state_runs
    on defined.signal_id = state_runs.signal_id and defined.as_of_date = state_runs.as_of_date
