{{ config(materialized='by_decision_time') }}
with metric_values as (
    {% for part in [
        metrics_price(), metrics_curve(), metrics_positions(), metrics_inventory(), metrics_visible(), metrics_flow(), metrics_trade(),
        metrics_output(), metrics_idled(), metrics_power(), metrics_market(), metrics_index(),
    ] -%}
    select * from ({{ part }}) as part_{{ loop.index }}
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
        ranked_from,
        is_stale,
        is_suspect
    from {{ built_rows(ref('int_component_scores')) }}
    where version = 1
)

select
    metric_values.metal,
    metric_values.as_of_date,
    metric_values.metric_id,
    metric_values.entity,
    metric_values.value,
    metric_values.state,
    -- Components of the index: score, the history that it is ranked in, facts for the quality flags.
    scores.score,
    coalesce(metric_values.n_hist, scores.n_hist) as n_hist,
    coalesce(metric_values.window_start, scores.ranked_from) as window_start,
    metric_values.obs_end,
    metric_values.known,
    metric_values.basis,
    metric_values.licence,
    metric_values.coverage,
    metric_values.n_components,
    coalesce(metric_values.is_stale, scores.is_stale, false) as is_stale,
    coalesce(metric_values.is_suspect, scores.is_suspect, false) as is_suspect,
    coalesce(metric_values.is_break, false) as is_break,
    coalesce(metric_values.is_partial, false) as is_partial,
    metric_values.status
from metric_values
left join scores
    on
        metric_values.metal = scores.metal
        and metric_values.as_of_date = scores.as_of_date
        and metric_values.metric_id = scores.metric_id
        and metric_values.entity = scores.entity
