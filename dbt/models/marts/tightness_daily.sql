{{ config(materialized='by_decision_time') }}
{% set quality_flags = quality_flags({
    'MISSING': "index_daily.tightness_index is null and regimes.regime_status <> 'WARMUP'",
    'STALE': 'index_daily.is_stale',
    'WARMUP': "regimes.regime_status = 'WARMUP'",
    'SUSPECT': 'index_daily.tightness_index is not null and index_daily.is_suspect',
    'BREAK': 'index_daily.tightness_index is not null and index_daily.is_break',
    'PARTIAL': 'index_daily.is_partial',
}) %}
-- The wide row of each decision time: the inputs known by then, scores, index and regime.
with scores as (
    select
        metal,
        as_of_date,
        {{ pivoted(published_indicators(), 'indicator', 'score', 'score_') }}
    from {{ built_rows(ref('int_component_scores')) }}
    where version = 1
    group by metal, as_of_date
),

families as (
    select
        metal,
        as_of_date,
        {{ pivoted(published_families(), 'family', 'family_score', 'family_') }},
        {{ pivoted(published_families(), 'family', 'contribution', 'contrib_') }}
    from {{ built_rows(ref('int_index_families')) }} as built
    where version = 1
    group by metal, as_of_date
),

families_v2 as (
    select
        metal,
        as_of_date,
        {{ pivoted(published_families_v2(), 'family', 'family_score', 'family_', '_v2') }},
        {{ pivoted(published_families_v2(), 'family', 'contribution', 'contrib_', '_v2') }},
        {{ pivoted(
            published_families_v2(), 'family',
            'case when contribution is not null then weight / coverage end', 'weight_', '_v2',
        ) }}
    from {{ built_rows(ref('int_index_families')) }} as built
    where version = 2
    group by metal, as_of_date
)

select
    spine.metal,
    spine.as_of_date,
    spine.as_of_ts,
    curve.price_obs_date,
    inventory.stock_obs_date,
    curve.rate_obs_date,
    curve.rate_id,
    curve.is_rate_stale,
    exports.period_end as exports_period_end,
    visible.period_end as offwarrant_period_end,
    curve.cash_usd_t,
    curve.m3_usd_t,
    curve.days_cash_to_3m,
    curve.cash_3m_spread_usd_t,
    curve.basis_ann,
    curve.rate,
    curve.full_carry_usd_t,
    curve.contango_share_of_full_carry,
    curve.carry_tightness,
    curve.conv_yield_ann,
    inventory.total_t,
    inventory.live_t,
    inventory.cancelled_ratio,
    inventory.stock_days,
    inventory.stock_log_chg,
    exports.exports_yoy,
    exports.exports_yoy_3m,
    exports.exports_ytd_yoy,
    visible.offwarrant_yoy,
    visible.visible_t,
    {% for indicator in published_indicators() -%}
    scores.score_{{ indicator }},
    {% endfor -%}
    {% for prefix in ['family', 'contrib'] -%}
    {% for family in published_families() -%}
    families.{{ prefix }}_{{ family }},
    {% endfor -%}
    {% endfor -%}
    index_daily.coverage,
    index_daily.n_components,
    index_daily.tightness_index,
    regimes.regime,
    regimes.regime_status,
    {{ worst_flag(quality_flags) }} as quality,
    {{ quality_flags }} as quality_flags,
    {% for prefix in ['family', 'contrib', 'weight'] -%}
    {% for family in published_families_v2() -%}
    families_v2.{{ prefix }}_{{ family }}_v2,
    {% endfor -%}
    {% endfor -%}
    index_v2.coverage as coverage_v2,
    index_v2.tightness_index as tightness_index_v2,
    regimes_v2.smoothed as smoothed_index_v2,
    regimes_v2.regime as regime_v2,
    regimes_v2.regime_status as regime_status_v2,
    {{ latest([
        'curve.knowledge_ts_max', 'inventory.knowledge_ts_max', 'exports.known_from', 'visible.known_from'
    ]) }} as knowledge_ts_max,
    {{ worst_basis([
        'curve.knowledge_basis', 'inventory.knowledge_basis', 'exports.knowledge_basis', 'visible.knowledge_basis'
    ]) }} as knowledge_basis,
    {{ worst_licence([
        'curve.licence_class', 'inventory.licence_class', 'exports.licence_class', 'visible.licence_class'
    ]) }} as licence_class
from {{ ref('int_as_of_dates') }} as spine
inner join {{ ref('int_curve_daily') }} as curve
    on spine.metal = curve.metal and spine.as_of_date = curve.as_of_date
inner join {{ ref('int_inventory_daily') }} as inventory
    on spine.metal = inventory.metal and spine.as_of_date = inventory.as_of_date
-- The country whose exports are a component of the metal's index.
left join {{ ref('int_components') }} as flow
    on
        spine.metal = flow.metal
        and spine.as_of_date = flow.as_of_date
        and flow.version = 1
        and flow.indicator = 'exports_yoy_3m'
left join {{ ref('int_exports_asof') }} as exports
    on
        flow.metal = exports.metal
        and flow.region = exports.country
        and flow.as_of_date = exports.as_of_date
left join ({{ visible_asof() }}) as visible
    on spine.metal = visible.metal and spine.as_of_date = visible.as_of_date
left join scores on spine.metal = scores.metal and spine.as_of_date = scores.as_of_date
left join families on spine.metal = families.metal and spine.as_of_date = families.as_of_date
left join {{ built_rows(ref('int_index_daily')) }} as index_daily
    on spine.metal = index_daily.metal and spine.as_of_date = index_daily.as_of_date and index_daily.version = 1
left join {{ ref('int_regime_daily') }} as regimes
    on spine.metal = regimes.metal and spine.as_of_date = regimes.as_of_date and regimes.version = 1
left join families_v2 on spine.metal = families_v2.metal and spine.as_of_date = families_v2.as_of_date
left join {{ built_rows(ref('int_index_daily')) }} as index_v2
    on spine.metal = index_v2.metal and spine.as_of_date = index_v2.as_of_date and index_v2.version = 2
left join {{ ref('int_regime_daily') }} as regimes_v2
    on spine.metal = regimes_v2.metal and spine.as_of_date = regimes_v2.as_of_date and regimes_v2.version = 2
