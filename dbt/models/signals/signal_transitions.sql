{{ config(materialized='by_decision_time') }}
-- Append-only: every published change of a state, once, even if later reversed. The key does not depend on the run, so
-- that an alert is sent once. Changes of a claim's verdict are included.
with signal_changes as (
    select
        signal_id,
        signal_version,
        metal,
        region,
        as_of_ts,
        as_of_date,
        prev_state,
        state,
        value,
        unit,
        direction,
        quality,
        quality_flags,
        revision_no,
        knowledge_ts_max
    from {{ built_rows(ref('signals')) }}
    where is_transition
),

verdicts as (
    select
        *,
        lag(status) over (partition by claim_id order by as_of_ts asc nulls last) as prev_status
    from {{ window_rows(ref('claim_audit'), ['claim_id'], 1) }}
),

claim_changes as (
    select
        'CLAIM.' || claim_id as signal_id,
        '1.0.0' as signal_version,
        metal,
        'GLOBAL' as region,
        as_of_ts,
        as_of_date,
        prev_status as prev_state,
        status as state,
        evidence_value as value,
        unit,
        0 as direction,
        'OK' as quality,
        'OK' as quality_flags,
        1 as revision_no,
        evidence_knowledge_ts as knowledge_ts_max
    from verdicts
    -- From the day after the claim on.
    where prev_status <> status and as_of_date > claim_date
),

changes as (
    select * from signal_changes
    union all
    select * from claim_changes
)

select
    md5(concat_ws(
        '|', signal_id, signal_version, metal, region,
        cast({{ epoch_seconds('as_of_ts') }} as {{ type_text() }}), prev_state, state
    )) as transition_id,
    signal_id,
    signal_version,
    metal,
    region,
    as_of_ts,
    as_of_date,
    prev_state,
    state,
    value,
    unit,
    direction,
    quality,
    quality_flags,
    cast(revision_no as integer) as revision_no,
    knowledge_ts_max
from changes
qualify row_number() over (
    partition by signal_id, signal_version, metal, region, as_of_ts, prev_state, state
    order by revision_no asc nulls last
) = 1
