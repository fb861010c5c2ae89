-- What signals say of exports, as last released at each decision time, by country.
{% set known = {
    'entity': 'country', 'obs_end': 'period_end', 'known': 'known_from', 'basis': 'knowledge_basis',
    'licence': 'licence_class', 'is_suspect': 'is_suspect',
} %}
with exports as (
    select
        dates.metal,
        dates.as_of_date,
        exports.country,
        exports.period_end,
        exports.exports_yoy,
        exports.exports_yoy_3m,
        exports.exports_ytd_yoy,
        exports.exports_drop_state,
        exports.n_ranked,
        exports.ranked_from,
        exports.is_suspect,
        exports.known_from,
        exports.knowledge_basis,
        exports.licence_class,
        scores.score
    from {{ ref('int_as_of_dates') }} as dates
    inner join {{ ref('int_exports_latest') }} as exports
        on
            dates.metal = exports.metal
            and dates.as_of_ts >= exports.known_from
            and dates.as_of_ts < exports.known_to
    left join {{ ref('int_component_scores') }} as scores
        on
            dates.metal = scores.metal
            and dates.as_of_date = scores.as_of_date
            and exports.country = scores.region
            and scores.indicator = 'exports_yoy_3m'
)

{{ metric_rows('exports', [
    dict(known, metric='exports_yoy', value='exports_yoy'),
    dict(known, metric='exports_yoy_3m', value='exports_yoy_3m', score='score', n_hist='n_ranked',
        window_start='ranked_from'),
    dict(known, metric='exports_ytd_yoy', value='exports_ytd_yoy'),
    dict(known, metric='exports_drop', value='exports_yoy_3m', state='exports_drop_state'),
]) }}
