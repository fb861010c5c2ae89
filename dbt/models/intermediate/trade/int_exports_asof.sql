select
    dates.metal,
    dates.as_of_date,
    latest.country,
    latest.period_end,
    {{ days_between('dates.as_of_date', 'latest.period_end') }} as period_age_days,
    latest.exports_yoy,
    latest.exports_yoy_3m,
    latest.exports_ytd_yoy,
    latest.exports_yoy_3m_percentile,
    latest.exports_yoy_3m_expanding_percentile,
    latest.n_ranked,
    latest.ranked_from,
    latest.median,
    latest.mad,
    {% for years in rank_years() -%}
    latest.rank_{{ years }}y,
    {% endfor -%}
    latest.is_suspect,
    latest.is_ytd_suspect,
    latest.known_from,
    latest.knowledge_basis,
    latest.licence_class
from {{ ref('int_as_of_dates') }} as dates
inner join {{ ref('int_exports_latest') }} as latest
    on
        dates.metal = latest.metal
        and dates.as_of_ts >= latest.known_from
        and dates.as_of_ts < latest.known_to
