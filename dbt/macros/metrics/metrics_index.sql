{# Metrics of the index and its regime: one row for each metal, decision day and metric. #}
{% macro metrics_index() -%}
{% set known = {
    'value': 'tightness_index', 'obs_end': 'greatest(price_obs_date, stock_obs_date)', 'known': 'knowledge_ts_max', 'basis': 'knowledge_basis',
    'licence': 'licence_class', 'coverage': 'coverage', 'n_components': 'n_components', 'is_stale': 'is_stale',
    'is_suspect': 'is_suspect', 'is_break': 'is_break', 'is_partial': 'is_partial',
} %}
with tightness as (
    select
        tightness.*,
        index_daily.is_stale,
        index_daily.is_suspect,
        index_daily.is_break,
        index_daily.is_partial
    from {{ built_rows(ref('tightness_daily')) }} as tightness
    inner join {{ ref('int_index_daily') }} as index_daily
        on
            tightness.metal = index_daily.metal
            and tightness.as_of_date = index_daily.as_of_date
            and index_daily.version = 1
)

{{ metric_rows('tightness', [
    dict(known, metric='tightness_index', status="case when regime_status = 'WARMUP' then 'WARMUP' end"),
    dict(known, metric='regime', state="case when regime <> 'UNKNOWN' then regime end", status='regime_status'),
]) }}
{%- endmacro %}
