-- Closes by ticker and day as known now, against the highest of the last year of closes.
with closes as (
    select *
    from {{ ref('stg_equities') }}
    where known_to = {{ far_future() }}
),

-- The window is the same for all metals.
windows as (
    select calendar_date, max(near_high_obs) as near_high_obs
    from {{ ref('int_parameters') }}
    group by calendar_date
)

select
    closes.ticker,
    closes.obs_date,
    closes.close_usd,
    max(closes.close_usd) over last_year as high_252_usd,
    cast(count(closes.close_usd) over last_year as integer) as n_closes,
    {{ near_high('closes.close_usd', 'max(closes.close_usd) over last_year') }} as near_high,
    closes.known_from as knowledge_ts,
    max(closes.known_from) over last_year as knowledge_ts_max,
    closes.vintage_no,
    closes.source,
    closes.knowledge_basis,
    closes.licence_class
from closes
inner join windows as p on closes.obs_date = p.calendar_date
window last_year as (
    partition by closes.ticker order by closes.obs_date asc nulls last {{ last_rows('p.near_high_obs') }}
)
