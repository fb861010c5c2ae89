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
    shanghai_obs_date,
    shanghai_t,
    visible_all_t,
    case when visible_all_t is not null then 'OFF_WARRANT + REGISTERED + SHFE' end as visible_all_definition,
    case
        when visible_all_t is null then null
        when visible_all_lowest_since is null then 'RECORD'
        else cast(visible_all_lowest_since as {{ type_text() }})
    end as visible_all_lowest_since,
    vintage_no,
    source,
    knowledge_basis,
    visible_all_licence as licence_class
from {{ ref('int_visible_known') }}
where release_ts = known_from
qualify row_number() over (partition by metal, period_end order by vintage_no desc nulls last) = 1
