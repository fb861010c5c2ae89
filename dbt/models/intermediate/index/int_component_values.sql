-- Every indicator that the index may use, one row a day and indicator: value, age, and for monthly series the rank that
-- they already have. Whatever is older than the component's limit is missing, so that it is neither scored nor ranked.
with daily as (
    select
        metal, as_of_date, 'GLOBAL' as region, 'carry_tightness' as indicator, carry_tightness as value,
        price_age_days as age_days
    from {{ ref('int_curve_daily') }}
    union all
    select metal, as_of_date, 'GLOBAL', 'cancelled_ratio', cancelled_ratio, cancelled_age_days
    from {{ ref('int_inventory_daily') }}
    union all
    select metal, as_of_date, 'GLOBAL', 'stock_days', stock_days, stock_age_days
    from {{ ref('int_inventory_daily') }}
    union all
    select metal, as_of_date, 'GLOBAL', 'stock_log_chg', stock_log_chg, stock_age_days
    from {{ ref('int_inventory_daily') }}
),

monthly as (
    select
        dates.metal,
        dates.as_of_date,
        exports.country as region,
        'exports_yoy_3m' as indicator,
        exports.exports_yoy_3m as value,
        {{ days_between('dates.as_of_date', 'exports.period_end') }} as age_days,
        exports.exports_yoy_3m_percentile as native_percentile,
        exports.n_ranked,
        exports.ranked_from
    from {{ ref('int_as_of_dates') }} as dates
    inner join {{ ref('int_exports_latest') }} as exports
        on
            dates.metal = exports.metal
            and dates.as_of_ts >= exports.known_from
            and dates.as_of_ts < exports.known_to
),

all_values as (
    select
        *,
        cast(null as double) as native_percentile,
        cast(null as bigint) as n_ranked,
        cast(null as date) as ranked_from,
        false as is_monthly
    from daily
    union all
    select *, true as is_monthly from monthly
)

select
    components.metal,
    components.as_of_date,
    components.indicator,
    components.family,
    components.region,
    components.sign,
    components.weight,
    case when all_values.age_days <= components.max_age_days then all_values.value end as value,
    case when all_values.age_days <= components.max_age_days then all_values.native_percentile end as native_percentile,
    all_values.n_ranked,
    all_values.ranked_from,
    all_values.is_monthly
from all_values
inner join {{ ref('int_components') }} as components
    on
        all_values.metal = components.metal
        and all_values.as_of_date = components.as_of_date
        and all_values.indicator = components.indicator
        and all_values.region = components.region
