-- Auction points as known now, each with the number of market time units that it stands for: under curve type A03 a
-- missing position repeats the one before, so a point lasts until the next one.
select
    zone,
    delivery_date,
    resolution,
    cast(substr(resolution, 3, 2) as integer) as resolution_min,
    n_positions,
    position,
    price_eur_mwh,
    coalesce(
        lead(position) over (partition by zone, delivery_date, resolution order by position asc nulls last),
        n_positions + 1
    ) - position as n_units,
    known_from,
    source,
    knowledge_basis,
    licence_class
from {{ ref('stg_power') }}
where known_to = {{ far_future() }}
