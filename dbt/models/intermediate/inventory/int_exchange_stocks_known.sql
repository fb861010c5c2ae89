{# Days before its week that the last report of an earlier one may lie: holidays of one or two weeks. #}
{% set back = 21 %}
with reports as (
    select
        *,
        obs_date as report_date,
        known_from as as_of_ts,
        {{ days_before(first_of_week('obs_date'), 1) }} as as_of_date
    from {{ ref('stg_exchange_stocks') }}
),

earlier as (
    select * from (
        {{ known_at(
            'reports', ref('stg_exchange_stocks'), 'obs_date', back, by=['metal', 'exchange', 'product'],
            columns=['total_t'], keep=['report_date', 'vintage_no'],
        ) }}
    ) as known
    where recency = 1
)

select
    stock.*,
    earlier.obs_date as base_obs_date,
    stock.total_t - earlier.total_t as total_chg_t
from {{ ref('stg_exchange_stocks') }} as stock
left join earlier
    on
        stock.metal = earlier.metal
        and stock.exchange = earlier.exchange
        and stock.product = earlier.product
        and stock.obs_date = earlier.report_date
        and stock.vintage_no = earlier.vintage_no
