-- Convenience yield against the logarithm of stock in days: at each decision time a regression on all decision days so
-- far, as they were known then. Built whole: every row rests on all before it.
{% set so_far %}
over (
    partition by metal order by as_of_date asc nulls last rows between unbounded preceding and current row
)
{% endset %}
with pairs as (
    select
        metal,
        as_of_date,
        as_of_ts,
        conv_yield_ann,
        {{ ln_stock_days('stock_days') }} as ln_stock_days,
        knowledge_ts_max,
        licence_class
    from {{ ref('tightness_daily') }}
    where conv_yield_ann is not null and stock_days > 0
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
        when
            count(residual) over (
                partition by metal order by as_of_date asc nulls last {{ last_rows('rank_window') }}
            ) >= rank_min_periods
            then {{ mid_rank('residual', 'metal', 'as_of_date asc nulls last', 'rank_window') }}
    end as residual_score,
    max(knowledge_ts_max) {{ so_far }} as knowledge_ts_max,
    licence_class
from residuals
