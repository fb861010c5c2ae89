{# Metrics of registered stock: one row for each metal, decision day and metric. #}
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
)

{{ metric_rows('inventory', [
    dict(known, metric='cancelled_ratio', value='cancelled_ratio', obs_end='cancelled_obs_date'),
    dict(known, metric='stock_days', value='stock_days'),
    dict(known, metric='stock_log_chg', value='stock_log_chg'),
    dict(known, metric='stock_unwind', value='stock_log_chg', state='unwind_state', known='unwind_known'),
]) }}
{%- endmacro %}
