-- Visible stock by month-end: the latest vintage of each, compared with the months known at its release.
select
    metal,
    period_end,
    known_from as knowledge_ts,
    offwarrant_t,
    registered_t,
    visible_t,
    offwarrant_yoy,
    visible_yoy,
    case when lowest_since is null then 'RECORD' else cast(lowest_since as {{ type_text() }}) end as lowest_since,
    lowest_since is null as is_record_low,
    vintage_no,
    source,
    knowledge_basis,
    licence_class
from {{ ref('int_visible_known') }}
where release_ts = known_from
qualify row_number() over (partition by metal, period_end order by vintage_no desc nulls last) = 1
