-- Day-ahead power by zone and delivery day, as known now.
select
    zone,
    delivery_date,
    resolution_min,
    cast(n_mtu as integer) as n_mtu,
    cast(n_points as integer) as n_points,
    mean_eur_mwh,
    naive_mean_of_points_eur_mwh,
    fx_obs_date,
    eurusd,
    mean_usd_mwh,
    power_cost_usd_t,
    share_above_115usd,
    share_below_40usd,
    known_from as knowledge_ts,
    source,
    knowledge_basis,
    licence_class
from {{ ref('int_power_known') }}
-- The latest vintage of each day.
where known_to = {{ far_future() }}
