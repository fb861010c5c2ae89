with daily as (
    {% for indicator, source in daily_indicators().items() -%}
    select
        metal,
        as_of_date,
        'GLOBAL' as region,
        '{{ indicator }}' as indicator,
        {{ indicator }} as value,
        {{ source.age_days }} as age_days,
        {{ source.is_stale }} as is_stale,
        {{ source.is_suspect }} as is_suspect
    from {{ ref('int_' ~ source.table) }}
    {% if not loop.last %}union all{% endif %}
    {% endfor %}
),

all_values as (
    select
        *,
        cast(null as double) as native_percentile,
        cast(null as double) as native_expanding_percentile,
        cast(null as bigint) as n_ranked,
        cast(null as date) as ranked_from,
        false as is_monthly
    from daily
    union all
    select
        metal,
        as_of_date,
        country as region,
        'exports_yoy_3m' as indicator,
        exports_yoy_3m as value,
        period_age_days as age_days,
        false as is_stale,
        is_suspect,
        exports_yoy_3m_percentile as native_percentile,
        exports_yoy_3m_expanding_percentile as native_expanding_percentile,
        n_ranked,
        ranked_from,
        true as is_monthly
    from {{ ref('int_exports_asof') }}
)

select
    components.metal,
    components.as_of_date,
    components.version,
    components.indicator,
    components.family,
    components.region,
    components.sign,
    components.weight,
    case when all_values.age_days <= components.max_age_days then all_values.value end as value,
    case when all_values.age_days <= components.max_age_days then all_values.native_percentile end as native_percentile,
    case when all_values.age_days <= components.max_age_days then all_values.native_expanding_percentile end
        as native_expanding_percentile,
    {{ days_before('components.as_of_date', 'all_values.age_days') }} as obs_end,
    all_values.is_stale,
    all_values.is_suspect,
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
