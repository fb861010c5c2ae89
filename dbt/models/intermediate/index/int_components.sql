with latest_components as (
    select
        dates.metal,
        dates.as_of_date,
        components.version,
        max(components.valid_from) as valid_from
    from {{ ref('int_as_of_dates') }} as dates
    inner join {{ reference('index_components') }} as components
        on dates.metal = components.metal and dates.as_of_date >= components.valid_from
    group by dates.metal, dates.as_of_date, components.version
)

select
    latest_components.metal,
    latest_components.as_of_date,
    latest_components.version,
    components.family,
    components.indicator,
    components.region,
    components.sign,
    components.weight,
    components.max_age_days
from latest_components
inner join {{ reference('index_components') }} as components
    on
        latest_components.metal = components.metal
        and latest_components.version = components.version
        and latest_components.valid_from = components.valid_from
