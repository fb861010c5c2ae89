with dated as (
    select
        dates.metal,
        dates.as_of_date,
        max(components.valid_from) as valid_from
    from {{ ref('int_as_of_dates') }} as dates
    inner join {{ reference('index_components') }} as components
        on dates.metal = components.metal and dates.as_of_date >= components.valid_from
    group by dates.metal, dates.as_of_date
)

select
    dated.metal,
    dated.as_of_date,
    components.family,
    components.indicator,
    components.region,
    components.sign,
    components.weight,
    components.max_age_days
from dated
inner join {{ reference('index_components') }} as components
    on dated.metal = components.metal and dated.valid_from = components.valid_from
