{# Metrics of the forward curve: one row for each metal, decision day and metric. #}
{% macro metrics_curve() -%}
{% set known = {
    'obs_end': 'price_obs_date', 'known': 'knowledge_ts_max', 'basis': 'knowledge_basis', 'licence': 'licence_class',
} %}
with curve as (
    select * from {{ built_rows(ref('curve_daily')) }}
)

{{ metric_rows('curve', [
    dict(known, metric='carry_tightness', value='carry_tightness', is_stale='is_rate_stale'),
]) }}
{%- endmacro %}
