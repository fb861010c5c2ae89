{# Metrics of the forward curve: one row for each metal, decision day, metric and tenor. #}
{% macro metrics_curve() -%}
{% set known = {
    'obs_end': 'price_obs_date', 'known': 'knowledge_ts_max', 'basis': 'knowledge_basis', 'licence': 'licence_class',
} %}
with curve as (
    select * from {{ built_rows(ref('curve_daily')) }}
),

spreads as (
    select * from {{ built_rows(ref('curve_spreads_daily')) }}
)

{{ metric_rows('curve', [
    dict(known, metric='carry_tightness', value='carry_tightness', is_stale='is_rate_stale'),
]) }}
union all
{{ metric_rows('spreads', [
    dict(known, metric='quoted_spread', entity='spread', value='usd_t', obs_end='spread_obs_date', is_stale='is_stale'),
]) }}
{%- endmacro %}
