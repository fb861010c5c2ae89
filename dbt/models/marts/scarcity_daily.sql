{{ config(materialized='by_decision_time') }}
-- Convenience yield against the logarithm of stock in days: at each decision time a regression on all decision days so
-- far, as they were known then.
{% set in_window = ['metal', 'as_of_date asc nulls last', 'rank_window'] %}
{% set so_far %}
over (
    partition by metal order by as_of_date asc nulls last rows between unbounded preceding and current row
)
{% endset %}
with pairs as (
    select
        curve.metal,
        curve.as_of_date,
        curve.as_of_ts,
        curve.conv_yield_ann,
        {{ ln_stock_days('inventory.stock_days') }} as ln_stock_days,
        {{ latest(['curve.knowledge_ts_max', 'inventory.knowledge_ts_max']) }} as knowledge_ts_max,
        {{ worst_licence(['curve.licence_class', 'inventory.licence_class']) }} as licence_class
    from {{ ref('int_curve_daily') }} as curve
    inner join {{ ref('int_inventory_daily') }} as inventory
        on curve.metal = inventory.metal and curve.as_of_date = inventory.as_of_date
    where curve.conv_yield_ann is not null and inventory.stock_days > 0
    {% if is_partial() -%}
    union all
    select metal, as_of_date, as_of_ts, conv_yield_ann, ln_stock_days, knowledge_ts_max, licence_class
    from {{ kept_rows(this) }} as kept
    {%- endif %}
),

fits as (
    select
        pairs.*,
        cast(count(*) {{ so_far }} as integer) as n,
        regr_slope(conv_yield_ann, ln_stock_days) {{ so_far }} as any_slope,
        regr_intercept(conv_yield_ann, ln_stock_days) {{ so_far }} as any_intercept,
        regr_r2(conv_yield_ann, ln_stock_days) {{ so_far }} as any_r2
    from pairs
),

lines as (
    select
        fits.*,
        p.rank_window,
        p.rank_min_periods,
        case when fits.n >= p.scarcity_min_obs then fits.any_slope end as slope,
        case when fits.n >= p.scarcity_min_obs then fits.any_intercept end as intercept,
        case when fits.n >= p.scarcity_min_obs then fits.any_r2 end as r2
    from fits
    inner join {{ ref('int_parameters') }} as p on fits.metal = p.metal and fits.as_of_date = p.calendar_date
),

residuals as (
    select
        lines.*,
        {{ scarcity_fitted('intercept', 'slope', 'ln_stock_days') }} as fitted,
        {{ scarcity_residual('conv_yield_ann', scarcity_fitted('intercept', 'slope', 'ln_stock_days')) }} as residual
    from lines
)

select
    metal,
    as_of_date,
    as_of_ts,
    conv_yield_ann,
    ln_stock_days,
    n,
    slope,
    intercept,
    r2,
    fitted,
    residual,
    case
        when {{ over_last('count', 'residual', *in_window) }} >= rank_min_periods
            then {{ mid_rank('residual', *in_window) }}
    end as residual_score,
    max(knowledge_ts_max) {{ so_far }} as knowledge_ts_max,
    licence_class
from residuals
