-- The latest month-end of visible stock after each release, valid until the next one.
select
    metal,
    release_ts as known_from,
    coalesce(
        lead(release_ts) over (partition by metal order by release_ts asc nulls last), {{ far_future() }}
    ) as known_to,
    period_end,
    visible_t,
    offwarrant_yoy,
    base_period_end,
    lowest_since,
    first_period_end,
    knowledge_basis,
    licence_class
from {{ ref('int_visible_known') }}
where recency = 1
