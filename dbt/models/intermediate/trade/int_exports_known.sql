with releases as (
    select distinct metal, country, known_from as release_ts
    from {{ ref('stg_exports') }}
),

known as (
    select
        releases.metal,
        releases.country,
        releases.release_ts,
        exports.period_end,
        exports.period_months,
        exports.exports_kt,
        {{ month_index('exports.period_end') }} as month_no,
        exports.is_suspect,
        exports.known_from,
        exports.knowledge_basis,
        exports.licence_class
    from releases
    inner join {{ ref('stg_exports') }} as exports
        on
            releases.metal = exports.metal
            and releases.country = exports.country
            and releases.release_ts >= exports.known_from
            and releases.release_ts < exports.known_to
)

select
    known.*,
    base.exports_kt as base_kt,
    known.is_suspect or coalesce(base.is_suspect, false) as rests_on_suspect,
    {{ latest(['known.known_from', 'base.known_from']) }} as change_known_from
from known
left join known as base
    on
        known.metal = base.metal
        and known.country = base.country
        and known.release_ts = base.release_ts
        and known.month_no - 12 = base.month_no
        and known.period_months = base.period_months
