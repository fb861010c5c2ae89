-- The newest row of each signal as it is defined now, in its last revision.
with newest as (
    -- Withdrawn versions are in the log only.
    select *
    from {{ ref('signal_candidates') }}
    qualify row_number() over (partition by signal_id, metric_id, metal, region order by as_of_ts desc nulls last) = 1
)

select signals.*
from {{ ref('signals') }} as signals
inner join newest
    on
        signals.signal_id = newest.signal_id
        and signals.signal_version = newest.signal_version
        and signals.metal = newest.metal
        and signals.region = newest.region
        and signals.as_of_ts = newest.as_of_ts
qualify row_number() over (
    partition by signals.signal_id, signals.signal_version, signals.metal, signals.region
    order by signals.revision_no desc nulls last
) = 1
