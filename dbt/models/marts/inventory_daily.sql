-- Registered stock at each decision time. Cancelled warrants may be reported less often than the total: their ratio
-- comes from the last day that reports both, and says which.
{% set back = '15 + 2 * s.stock_chg_obs' %}
with spine as (
    select
        dates.metal,
        dates.as_of_date,
        dates.as_of_ts,
        p.stock_chg_obs,
        p.consumption_t_per_year
    from {{ ref('int_as_of_dates') }} as dates
    inner join {{ ref('int_parameters') }} as p on dates.metal = p.metal and dates.as_of_date = p.calendar_date
),

stocks as (
    {{ known_at('spine', ref('stg_stocks'), 'obs_date', back, by=['metal'], columns=['total_t']) }}
),

with_cancelled as (
    select * from (
        {{ known_at(
            'spine', ref('stg_stocks'), 'obs_date', back, by=['metal'], columns=['total_t', 'cancelled_t'],
            having='obs.cancelled_t is not null',
        ) }}
    ) as known
    where recency = 1
)

select
    spine.metal,
    spine.as_of_date,
    spine.as_of_ts,
    latest.obs_date as stock_obs_date,
    cancelled.obs_date as cancelled_obs_date,
    cast({{ days_between('spine.as_of_date', 'latest.obs_date') }} as integer) as stock_age_days,
    cast({{ days_between('spine.as_of_date', 'cancelled.obs_date') }} as integer) as cancelled_age_days,
    latest.total_t,
    case when cancelled.obs_date = latest.obs_date then latest.total_t - cancelled.cancelled_t end as live_t,
    cancelled.cancelled_t,
    {{ ratio('cancelled.cancelled_t', 'cancelled.total_t') }} as cancelled_ratio,
    latest.total_t / (spine.consumption_t_per_year / 365) as stock_days,
    case when latest.total_t > 0 and earlier.total_t > 0 then ln(latest.total_t / earlier.total_t) end as stock_log_chg,
    {{ latest(['latest.known_from', 'cancelled.known_from', 'earlier.known_from']) }} as knowledge_ts_max,
    {{ worst_basis(['latest.knowledge_basis', 'cancelled.knowledge_basis', 'earlier.knowledge_basis']) }}
        as knowledge_basis,
    {{ worst_licence(['latest.licence_class', 'cancelled.licence_class', 'earlier.licence_class']) }} as licence_class
from spine
left join stocks as latest
    on spine.metal = latest.metal and spine.as_of_date = latest.as_of_date and latest.recency = 1
left join stocks as earlier
    on
        spine.metal = earlier.metal
        and spine.as_of_date = earlier.as_of_date
        and earlier.recency = spine.stock_chg_obs + 1
left join with_cancelled as cancelled
    on spine.metal = cancelled.metal and spine.as_of_date = cancelled.as_of_date
