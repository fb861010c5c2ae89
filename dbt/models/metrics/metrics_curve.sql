-- What signals say of carry.
{% set known = {
    'obs_end': 'price_obs_date', 'known': 'knowledge_ts_max', 'basis': 'knowledge_basis', 'licence': 'licence_class',
} %}
with curve as (
    select curve.*, scores.score, scores.n_hist, scores.ranked_from
    from {{ ref('curve_daily') }} as curve
    left join {{ ref('int_component_scores') }} as scores
        on
            curve.metal = scores.metal
            and curve.as_of_date = scores.as_of_date
            and scores.indicator = 'carry_tightness'
)

{{ metric_rows('curve', [
    dict(known, metric='carry_tightness', value='carry_tightness', score='score', n_hist='n_hist',
        window_start='ranked_from'),
]) }}
