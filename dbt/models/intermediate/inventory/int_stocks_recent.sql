with spine as (
    select dates.metal, dates.as_of_date, dates.as_of_ts, p.stock_chg_obs, p.stock_unwind_k
    from {{ ref('int_as_of_dates') }} as dates
    inner join {{ ref('int_parameters') }} as p on dates.metal = p.metal and dates.as_of_date = p.calendar_date
)

{{ known_at(
    'spine', ref('stg_stocks'), 'obs_date', '15 + 2 * (s.stock_chg_obs + s.stock_unwind_k)', by=['metal'],
    columns=['total_t', 'cancelled_t'],
) }}
