{{ config(materialized='ephemeral') }}
{% set known = {
    'value': 'tightness_index', 'obs_end': 'greatest(price_obs_date, stock_obs_date)', 'known': 'knowledge_ts_max', 'basis': 'knowledge_basis',
    'licence': 'licence_class', 'coverage': 'completeness', 'n_components': 'n_components', 'is_suspect': 'is_suspect',
    'is_stale': 'is_rate_stale and score_carry_tightness is not null',
} %}
with expected as (
    select metal, as_of_date, count(*) as n_expected
    from {{ ref('int_components') }}
    group by metal, as_of_date
),

tightness as (
    select
        tightness.*,
        -- A family counts in full even where one of its components is missing: the share of components shows that.
        least(tightness.coverage, tightness.n_components / cast(expected.n_expected as double)) as completeness,
        exports.is_suspect and tightness.score_exports_yoy_3m is not null as is_suspect
    from {{ built_rows(ref('tightness_daily')) }} as tightness
    inner join expected on tightness.metal = expected.metal and tightness.as_of_date = expected.as_of_date
    left join {{ ref('int_components') }} as flow
        on
            tightness.metal = flow.metal
            and tightness.as_of_date = flow.as_of_date
            and flow.indicator = 'exports_yoy_3m'
    left join {{ ref('int_exports_asof') }} as exports
        on
            flow.metal = exports.metal
            and flow.region = exports.country
            and flow.as_of_date = exports.as_of_date
)

{{ metric_rows('tightness', [
    dict(known, metric='tightness_index'),
    dict(known, metric='regime', state="case when regime <> 'UNKNOWN' then regime end", status='regime_status'),
]) }}
