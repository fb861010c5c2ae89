{{ config(materialized='by_decision_time') }}
with metric_values as (
    {% for part in [
        'price', 'curve', 'inventory', 'visible', 'flow', 'trade', 'output', 'idled', 'power', 'market', 'index'
    ] -%}
    select * from {{ ref('metrics_' ~ part) }}
    {% if not loop.last %}union all{% endif %}
    {% endfor %}
),

scores as (
    select
        metal,
        as_of_date,
        indicator as metric_id,
        case when region <> 'GLOBAL' then region else '' end as entity,
        score,
        n_hist,
        ranked_from
    from {{ built_rows(ref('int_component_scores')) }}
)

select
    metric_values.metal,
    metric_values.as_of_date,
    metric_values.metric_id,
    metric_values.entity,
    metric_values.value,
    metric_values.state,
    -- Components of the index: score, and the history that it is ranked in.
    scores.score,
    coalesce(metric_values.n_hist, scores.n_hist) as n_hist,
    coalesce(metric_values.window_start, scores.ranked_from) as window_start,
    metric_values.obs_end,
    metric_values.known,
    metric_values.basis,
    metric_values.licence,
    metric_values.coverage,
    metric_values.n_components,
    metric_values.is_suspect,
    metric_values.is_stale,
    metric_values.status
from metric_values
left join scores
    on
        metric_values.metal = scores.metal
        and metric_values.as_of_date = scores.as_of_date
        and metric_values.metric_id = scores.metric_id
        and metric_values.entity = scores.entity
