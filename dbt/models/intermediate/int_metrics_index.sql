-- What signals say of the index and its regime.
{% set known = {
    'value': 'tightness_index', 'obs_end': 'as_of_date', 'known': 'knowledge_ts_max', 'basis': 'knowledge_basis',
    'licence': 'licence_class', 'coverage': 'coverage', 'n_components': 'n_components',
} %}
with tightness as (
    select * from {{ ref('tightness_daily') }}
)

{{ metric_rows('tightness', [
    dict(known, metric='tightness_index'),
    dict(known, metric='regime', state="case when regime <> 'UNKNOWN' then regime end", status='regime_status'),
]) }}
