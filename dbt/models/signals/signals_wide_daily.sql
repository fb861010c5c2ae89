-- One row a day and metal, one column a metric: the latest revision of each signal, for charts and spreadsheets.
{% set metrics = [
    ('price_yoy', 'PRICE.YOY', 'value'),
    ('price_level_5of5', 'PRICE.LEVEL_5OF5', 'state'),
    ('price_level_3of5', 'PRICE.LEVEL_3OF5', 'state'),
    ('cash_3m_spread_usd_t', 'CURVE.CASH_3M_SPREAD', 'value'),
    ('backwardation', 'CURVE.BACKWARDATION', 'state'),
    ('carry_tightness', 'CURVE.CARRY_TIGHTNESS', 'value'),
    ('carry_tightness_score', 'CURVE.CARRY_TIGHTNESS', 'score'),
    ('cancelled_ratio', 'INVENTORY.CANCELLED_RATIO', 'value'),
    ('cancelled_ratio_score', 'INVENTORY.CANCELLED_RATIO', 'score'),
    ('stock_days', 'INVENTORY.STOCK_DAYS', 'value'),
    ('stock_days_score', 'INVENTORY.STOCK_DAYS', 'score'),
    ('stock_log_chg', 'INVENTORY.STOCK_LOG_CHG', 'value'),
    ('stock_log_chg_score', 'INVENTORY.STOCK_LOG_CHG', 'score'),
    ('visible_t', 'INVENTORY.VISIBLE', 'value'),
    ('off_warrant_yoy', 'INVENTORY.OFF_WARRANT_YOY', 'value'),
    ('cn_exports_yoy_3m', 'FLOW.CN_EXPORTS_YOY_3M', 'value'),
    ('cn_exports_yoy_3m_score', 'FLOW.CN_EXPORTS_YOY_3M', 'score'),
    ('tightness_index', 'TIGHTNESS.INDEX', 'value'),
    ('regime', 'TIGHTNESS.REGIME', 'state'),
] %}
with latest_revisions as (
    select *
    from {{ ref('signals') }}
    qualify row_number() over (
        partition by signal_id, metal, region, as_of_ts
        order by signal_version desc nulls last, revision_no desc nulls last
    ) = 1
)

select
    metal,
    as_of_date,
    as_of_ts,
    {% for name, signal, column in metrics -%}
    max({{ column }}) filter (where signal_id = metal || '.{{ signal }}') as {{ name }},
    {% endfor -%}
    max(knowledge_ts_max) as knowledge_ts_max,
    {{ worst_licence_of_group() }} as licence_class
from latest_revisions
group by metal, as_of_date, as_of_ts
