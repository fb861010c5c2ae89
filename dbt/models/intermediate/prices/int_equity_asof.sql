with spine as (
    select dates.metal, names.ticker, dates.as_of_date, dates.as_of_ts, p.near_high_obs
    from {{ ref('int_as_of_dates') }} as dates
    inner join (
        select metal, ticker, min(valid_from) as valid_from from {{ reference('equities') }} group by metal, ticker
    ) as names
        on dates.metal = names.metal and dates.as_of_date >= names.valid_from
    inner join {{ ref('int_parameters') }} as p on dates.metal = p.metal and dates.as_of_date = p.calendar_date
    -- A ticker without a close has no rows: leave it out of the join.
    where names.ticker in (select ticker from {{ ref('stg_equities') }})
),

closes as (
    {{ known_at(
        'spine', ref('stg_equities'), 'obs_date', 's.near_high_obs * 3 / 2 + 30', by=['ticker'],
        columns=['close_usd'], keep=['metal', 'near_high_obs'],
    ) }}
)

select
    metal,
    ticker,
    as_of_date,
    as_of_ts,
    max(obs_date) as obs_date,
    min(obs_date) as first_obs_date,
    max(close_usd) filter (where recency = 1) as close_usd,
    max(close_usd) as high_usd,
    count(*) as n_closes,
    max(known_from) as known_from,
    {{ worst_basis_of_group() }} as knowledge_basis,
    {{ worst_licence_of_group() }} as licence_class
from closes
where recency <= near_high_obs
group by metal, ticker, as_of_date, as_of_ts
