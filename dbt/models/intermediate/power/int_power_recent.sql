with spine as (
    select dates.metal, zones.zone, dates.as_of_date, dates.as_of_ts, p.power_mean_days
    from {{ ref('int_as_of_dates') }} as dates
    inner join {{ ref('int_parameters') }} as p on dates.metal = p.metal and dates.as_of_date = p.calendar_date
    cross join (select distinct zone from {{ ref('int_power_known') }}) as zones
    -- Metals without smelters that use power have no rows.
    where p.mwh_per_t is not null
)

{{ known_at(
    'spine', ref('int_power_known'), 'delivery_date', 's.power_mean_days - 1', by=['zone'],
    columns=['mean_usd_mwh', 'power_cost_usd_t', 'share_above_115usd', 'share_below_40usd'],
    condition='obs.mean_usd_mwh is not null', keep=['metal'],
) }}
