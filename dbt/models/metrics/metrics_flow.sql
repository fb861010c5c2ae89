-- What signals say of exports, as last released at each decision time, by country.
{% set known = {
    'entity': 'country', 'obs_end': 'period_end', 'known': 'known_from', 'basis': 'knowledge_basis',
    'licence': 'licence_class', 'is_suspect': 'is_suspect',
} %}
with prints as (
    select
        dates.metal,
        dates.as_of_date,
        latest.country,
        case
            when
                count(case when changes.exports_yoy_3m <= p.exports_drop then 1 end) >= max(p.exports_drop_prints)
                then 'ON'
            when count(case when changes.exports_yoy_3m > p.exports_drop then 1 end) > 0 then 'OFF'
        end as exports_drop_state
    from {{ ref('int_as_of_dates') }} as dates
    inner join {{ ref('int_parameters') }} as p on dates.metal = p.metal and dates.as_of_date = p.calendar_date
    inner join {{ ref('int_exports_latest') }} as latest
        on
            dates.metal = latest.metal
            and dates.as_of_ts >= latest.known_from
            and dates.as_of_ts < latest.known_to
    inner join {{ ref('int_exports_changes') }} as changes
        on
            latest.metal = changes.metal
            and latest.country = changes.country
            and latest.known_from = changes.release_ts
            and changes.recency <= p.exports_drop_prints
    group by dates.metal, dates.as_of_date, latest.country
),

exports as (
    select
        dates.metal,
        dates.as_of_date,
        exports.country,
        exports.period_end,
        exports.exports_yoy,
        exports.exports_yoy_3m,
        exports.exports_ytd_yoy,
        prints.exports_drop_state,
        exports.n_ranked,
        exports.ranked_from,
        exports.is_suspect,
        exports.is_ytd_suspect,
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
    inner join prints
        on
            dates.metal = prints.metal
            and dates.as_of_date = prints.as_of_date
            and exports.country = prints.country
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
    dict(known, metric='exports_ytd_yoy', value='exports_ytd_yoy', is_suspect='is_ytd_suspect'),
    dict(known, metric='exports_drop', value='exports_yoy_3m', state='exports_drop_state'),
]) }}
