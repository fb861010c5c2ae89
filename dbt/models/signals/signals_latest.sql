-- The newest row of each signal, in its newest version and revision.
select *
from {{ ref('signals') }}
qualify row_number() over (
    partition by signal_id, metal, region
    order by
        as_of_ts desc nulls last, {{ version_order('signal_version') }} desc nulls last, revision_no desc nulls last
) = 1
