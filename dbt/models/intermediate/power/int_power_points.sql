with releases as (
    select distinct zone, delivery_date, known_from as release_ts
    from {{ ref('stg_power') }}
)

select
    releases.zone,
    releases.delivery_date,
    releases.release_ts,
    points.resolution,
    cast(substr(points.resolution, 3, 2) as integer) as resolution_min,
    points.n_positions,
    points.position,
    points.price_eur_mwh,
    coalesce(
        lead(points.position) over (
            partition by releases.zone, releases.delivery_date, releases.release_ts, points.resolution
            order by points.position asc nulls last
        ),
        points.n_positions + 1
    ) - points.position as n_units,
    points.known_from,
    points.source,
    points.knowledge_basis,
    points.licence_class
from releases
inner join {{ ref('stg_power') }} as points
    on
        releases.zone = points.zone
        and releases.delivery_date = points.delivery_date
        and releases.release_ts >= points.known_from
        and releases.release_ts < points.known_to
