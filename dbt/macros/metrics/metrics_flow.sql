{# Metrics of exports, from the latest release known: one row for each metal, decision day, metric and country. #}
{% macro metrics_flow() -%}
{% set known = {
    'entity': 'country', 'obs_end': 'period_end', 'known': 'known_from', 'basis': 'knowledge_basis',
    'licence': 'licence_class', 'is_suspect': 'is_suspect',
} %}
with latest_changes as (
    select
        latest.metal,
        latest.as_of_date,
        latest.country,
        case
            when
                count(case when changes.exports_yoy_3m <= p.exports_drop then 1 end) >= max(p.exports_drop_prints)
                then 'ON'
            when count(case when changes.exports_yoy_3m > p.exports_drop then 1 end) > 0 then 'OFF'
        end as exports_drop_state
    from {{ ref('int_exports_asof') }} as latest
    inner join {{ ref('int_parameters') }} as p on latest.metal = p.metal and latest.as_of_date = p.calendar_date
    inner join {{ ref('int_exports_changes') }} as changes
        on
            latest.metal = changes.metal
            and latest.country = changes.country
            and latest.known_from = changes.release_ts
            and changes.recency <= p.exports_drop_prints
    group by latest.metal, latest.as_of_date, latest.country
),

exports as (
    select exports.*, latest_changes.exports_drop_state
    from {{ ref('int_exports_asof') }} as exports
    inner join latest_changes
        on
            exports.metal = latest_changes.metal
            and exports.as_of_date = latest_changes.as_of_date
            and exports.country = latest_changes.country
)

{{ metric_rows('exports', [
    dict(known, metric='exports_yoy', value='exports_yoy'),
    dict(known, metric='exports_yoy_3m', value='exports_yoy_3m', n_hist='n_ranked', window_start='ranked_from'),
    dict(known, metric='exports_ytd_yoy', value='exports_ytd_yoy', is_suspect='is_ytd_suspect'),
    dict(known, metric='exports_drop', value='exports_yoy_3m', state='exports_drop_state'),
]) }}
{%- endmacro %}
