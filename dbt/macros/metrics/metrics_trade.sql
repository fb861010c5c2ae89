{# Metrics of arbitrage between China or the United States and the world: one row for each metal, decision day and
   metric. #}
{% macro metrics_trade() -%}
{% set known = {
    'entity': "'CN'", 'obs_end': 'least(arb_obs_date, price_obs_date)', 'known': 'knowledge_ts_max',
    'basis': 'knowledge_basis', 'licence': 'licence_class',
} %}
with arbitrage as (
    select * from {{ built_rows(ref('arbitrage_daily')) }}
),

us_parity as (
    select * from {{ built_rows(ref('us_parity_daily')) }}
)

{{ metric_rows('arbitrage', [
    dict(known, metric='import_arb', value='import_arb_cny_t'),
    dict(known, metric='semis_export_arb', value='semis_export_arb_usd_t'),
    dict(known, metric='export_window', value='semis_export_arb_usd_t', state='export_window'),
]) }}
union all
{{ metric_rows('us_parity', [
    dict(known, entity="'US'", metric='us_parity_gap', value='parity_gap_usd_t',
        obs_end='least(price_obs_date, midwest_obs_date, unpaid_obs_date)'),
]) }}
{%- endmacro %}
