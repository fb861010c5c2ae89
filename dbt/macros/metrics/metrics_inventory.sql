{# Metrics of stock: registered, by place, and of other exchanges. One row for each metal, decision day, metric and
   exchange. #}
{% macro metrics_inventory() -%}
{% set known = {
    'obs_end': 'stock_obs_date', 'known': 'knowledge_ts_max', 'basis': 'knowledge_basis', 'licence': 'licence_class',
} %}
with inventory as (
    select
        inventory.*,
        unwind.state as unwind_state,
        {{ latest(['inventory.knowledge_ts_max', 'unwind.known_from']) }} as unwind_known
    from {{ built_rows(ref('inventory_daily')) }} as inventory
    left join ({{ stock_unwind() }}) as unwind
        on inventory.metal = unwind.metal and inventory.as_of_date = unwind.as_of_date
),

places as (
    select * from {{ built_rows(ref('stocks_by_location_daily')) }}
),

exchanges as (
    {{ exchange_stocks_asof() }}
)

{{ metric_rows('inventory', [
    dict(known, metric='cancelled_ratio', value='cancelled_ratio', obs_end='cancelled_obs_date'),
    dict(known, metric='stock_days', value='stock_days'),
    dict(known, metric='stock_log_chg', value='stock_log_chg'),
    dict(known, metric='stock_unwind', value='stock_log_chg', state='unwind_state', known='unwind_known'),
]) }}
union all
{{ metric_rows('places', [
    dict(known, metric='place_herfindahl', value='herfindahl', obs_end='place_obs_date'),
    dict(known, metric='queue_days', value='queue_days', obs_end='place_obs_date'),
]) }}
union all
{{ metric_rows('exchanges', [
    dict(known, metric='exchange_stock', entity='exchange', value='total_t', obs_end='obs_date', known='known_from'),
]) }}
{%- endmacro %}
