-- What signals say of registered stock.
{% set known = {
    'obs_end': 'stock_obs_date', 'known': 'knowledge_ts_max', 'basis': 'knowledge_basis', 'licence': 'licence_class',
} %}
{% set indicators = ['cancelled_ratio', 'stock_days', 'stock_log_chg'] %}
with scores as (
    select
        metal,
        as_of_date,
        {% for name in indicators -%}
        max(score) filter (where indicator = '{{ name }}') as score_{{ name }},
        max(n_hist) filter (where indicator = '{{ name }}') as n_hist_{{ name }},
        max(ranked_from) filter (where indicator = '{{ name }}') as from_{{ name }}
        {%- if not loop.last %},{% endif %}
        {% endfor %}
    from {{ ref('int_component_scores') }}
    group by metal, as_of_date
),

inventory as (
    select
        inventory.*,
        unwind.state as unwind_state,
        {{ latest(['inventory.knowledge_ts_max', 'unwind.known_from']) }} as unwind_known,
        {% for name in indicators -%}
        scores.score_{{ name }},
        scores.n_hist_{{ name }},
        scores.from_{{ name }}{% if not loop.last %},{% endif %}
        {% endfor %}
    from {{ ref('inventory_daily') }} as inventory
    left join scores on inventory.metal = scores.metal and inventory.as_of_date = scores.as_of_date
    left join {{ ref('int_stock_unwind') }} as unwind
        on inventory.metal = unwind.metal and inventory.as_of_date = unwind.as_of_date
)

{{ metric_rows('inventory', [
    dict(known, metric='cancelled_ratio', value='cancelled_ratio', score='score_cancelled_ratio',
        n_hist='n_hist_cancelled_ratio', window_start='from_cancelled_ratio', obs_end='cancelled_obs_date'),
    dict(known, metric='stock_days', value='stock_days', score='score_stock_days', n_hist='n_hist_stock_days',
        window_start='from_stock_days'),
    dict(known, metric='stock_log_chg', value='stock_log_chg', score='score_stock_log_chg',
        n_hist='n_hist_stock_log_chg', window_start='from_stock_log_chg'),
    dict(known, metric='stock_unwind', value='stock_log_chg', state='unwind_state', known='unwind_known'),
]) }}
