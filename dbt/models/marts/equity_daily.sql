{% set last_year = ['closes.ticker', 'closes.obs_date asc nulls last', 'p.near_high_obs'] %}
{% set high = over_last('max', 'closes.close_usd', *last_year) %}
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
    {{ high }} as high_252_usd,
    cast({{ over_last('count', 'closes.close_usd', *last_year) }} as integer) as n_closes,
    {{ near_high('closes.close_usd', high) }} as near_high,
    closes.known_from as knowledge_ts,
    {{ over_last('max', 'closes.known_from', *last_year) }} as knowledge_ts_max,
    closes.vintage_no,
    closes.source,
    closes.knowledge_basis,
    closes.licence_class
from closes
inner join windows as p on closes.obs_date = p.calendar_date
