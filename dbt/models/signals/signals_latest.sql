-- The newest row of each signal as it is defined now, in its last revision.
select signals.*
from {{ ref('signals') }} as signals
-- Withdrawn versions are in the log only.
inner join {{ ref('signal_candidates') }} as candidates
    on
        signals.signal_id = candidates.signal_id
        and signals.signal_version = candidates.signal_version
        and signals.metal = candidates.metal
        and signals.region = candidates.region
        and signals.as_of_ts = candidates.as_of_ts
qualify row_number() over (
    partition by signals.signal_id, signals.metal, signals.region
    order by signals.as_of_ts desc nulls last, signals.revision_no desc nulls last
) = 1
