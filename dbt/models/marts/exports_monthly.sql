-- Exports by period and vintage, each with the changes on a year before as known at the release of that vintage.
select
    exports.metal,
    exports.country,
    exports.period_end,
    exports.vintage_no,
    cast(exports.period_months as integer) as period_months,
    exports.exports_kt,
    changes.exports_yoy,
    changes.exports_yoy_3m,
    changes.exports_ytd_yoy,
    1 - latest.exports_yoy_3m_percentile as score_exports_yoy_3m,
    cast(latest.n_ranked as integer) as n_hist,
    exports.known_from as knowledge_ts,
    exports.knowledge_basis,
    exports.source,
    exports.licence_class
from {{ ref('stg_exports') }} as exports
inner join {{ ref('int_exports_changes') }} as changes
    on
        exports.metal = changes.metal
        and exports.country = changes.country
        and exports.period_end = changes.period_end
        and exports.known_from = changes.release_ts
-- The rank is that of the release's latest period; a revision of an older one has none.
left join {{ ref('int_exports_latest') }} as latest
    on
        exports.metal = latest.metal
        and exports.country = latest.country
        and exports.period_end = latest.period_end
        and exports.known_from = latest.known_from
