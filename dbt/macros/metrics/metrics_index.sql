{# Metrics of the versions of the index and their regimes: one row for each metal, decision day and metric. #}
{% macro metrics_index() -%}
{% set known = {
    'obs_end': 'greatest(price_obs_date, stock_obs_date)', 'known': 'known', 'basis': 'basis', 'licence': 'licence',
    'coverage': 'index_coverage', 'n_components': 'n_scores', 'is_stale': 'is_stale', 'is_suspect': 'is_suspect',
    'is_break': 'is_break', 'is_partial': 'is_partial',
} %}
{% set version_1 = dict(known, value='tightness_index') %}
{% set version_2 = dict(known, value='tightness_index_v2') %}
with tightness as (
    select
        tightness.*,
        index_daily.version,
        index_daily.coverage as index_coverage,
        index_daily.n_components as n_scores,
        index_daily.is_stale,
        index_daily.is_suspect,
        index_daily.is_break,
        index_daily.is_partial,
        case when index_daily.version = 1 then tightness.knowledge_ts_max else
            {{ latest(['tightness.knowledge_ts_max', 'inputs.knowledge_ts_max']) }}
        end as known,
        case when index_daily.version = 1 then tightness.knowledge_basis else
            {{ worst_basis(['tightness.knowledge_basis', 'inputs.knowledge_basis']) }}
        end as basis,
        case when index_daily.version = 1 then tightness.licence_class else
            {{ worst_licence(['tightness.licence_class', 'inputs.licence_class']) }}
        end as licence
    from {{ built_rows(ref('tightness_daily')) }} as tightness
    inner join {{ built_rows(ref('int_index_daily')) }} as index_daily
        on tightness.metal = index_daily.metal and tightness.as_of_date = index_daily.as_of_date
    left join {{ built_rows(ref('int_index_inputs')) }} as inputs
        on tightness.metal = inputs.metal and tightness.as_of_date = inputs.as_of_date
)

{{ metric_rows('(select * from tightness where version = 1) as tightness_v1', [
    dict(version_1, metric='tightness_index', status="case when regime_status = 'WARMUP' then 'WARMUP' end"),
    dict(version_1, metric='regime', state="case when regime <> 'UNKNOWN' then regime end", status='regime_status'),
]) }}
union all
{{ metric_rows('(select * from tightness where version = 2) as tightness_v2', [
    dict(version_2, metric='tightness_index_v2', status="case when regime_status_v2 = 'WARMUP' then 'WARMUP' end"),
    dict(
        version_2, metric='regime_v2', state="case when regime_v2 <> 'UNKNOWN' then regime_v2 end",
        status='regime_status_v2',
    ),
]) }}
{%- endmacro %}
