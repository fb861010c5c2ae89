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

with_cancelled as (
    select * from (
        {{ known_at(
            'spine', ref('stg_stocks'), 'obs_date', '15 + 2 * s.stock_chg_obs', by=['metal'], columns=['total_t', 'cancelled_t'],
            condition='obs.cancelled_t is not null',
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
    case when cancelled.obs_date = latest.obs_date then {{ live_t('latest.total_t', 'cancelled.cancelled_t') }} end
        as live_t,
    cancelled.cancelled_t,
    {{ cancelled_ratio('cancelled.cancelled_t', 'cancelled.total_t') }} as cancelled_ratio,
    {{ stock_days('latest.total_t', 'spine.consumption_t_per_year') }} as stock_days,
    {{ stock_log_chg('latest.total_t', 'earlier.total_t') }} as stock_log_chg,
    case when {{ stock_log_chg('latest.total_t', 'earlier.total_t') }} is not null then changes.relabelled end
        as relabelled,
    {{ stock_log_chg('(latest.total_t - changes.relabelled_t)', 'earlier.total_t') }} as stock_log_chg_net,
    case when earlier.total_t > 0 then changes.new_cancellations_t / earlier.total_t end as new_cancellations,
    case when latest.total_t is not null then coalesce(changes.relabelled_t, 0) end as relabelled_t,
    {{ latest(['latest.known_from', 'cancelled.known_from', 'earlier.known_from']) }} as knowledge_ts_max,
    {{ worst_basis(['latest.knowledge_basis', 'cancelled.knowledge_basis', 'earlier.knowledge_basis']) }}
        as knowledge_basis,
    {{ worst_licence(['latest.licence_class', 'cancelled.licence_class', 'earlier.licence_class']) }} as licence_class
from spine
left join {{ ref('int_stocks_recent') }} as latest
    on
        spine.metal = latest.metal
        and spine.as_of_date = latest.as_of_date
        and latest.recency = 1
        -- Carry limit in days: the change below looks back no further.
        and {{ days_between('spine.as_of_date', 'latest.obs_date') }} <= 15 + 2 * spine.stock_chg_obs
left join {{ ref('int_stocks_recent') }} as earlier
    on
        spine.metal = earlier.metal
        and spine.as_of_date = earlier.as_of_date
        and earlier.recency = spine.stock_chg_obs + 1
        and {{ days_between('spine.as_of_date', 'earlier.obs_date') }} <= 15 + 2 * spine.stock_chg_obs
left join ({{ stock_changes() }}) as changes
    on spine.metal = changes.metal and spine.as_of_date = changes.as_of_date
left join with_cancelled as cancelled
    on spine.metal = cancelled.metal and spine.as_of_date = cancelled.as_of_date
