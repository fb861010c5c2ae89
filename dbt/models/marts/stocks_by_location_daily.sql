{{ config(materialized='by_decision_time') }}
-- Registered stock by place at each decision time: how much of it is in one place, and how long cancelled metal waits
-- there. The places are those of the newest day known.
with spine as (
    select dates.*, p.load_out_days
    from {{ ref('int_as_of_dates') }} as dates
    inner join {{ ref('int_parameters') }} as p on dates.metal = p.metal and dates.as_of_date = p.calendar_date
),

places as (
    select
        metal,
        as_of_date,
        as_of_ts,
        location,
        max(obs_date) as obs_date,
        max_by(live_t + cancelled_t, obs_date) as total_t,
        max_by(cancelled_t, obs_date) as cancelled_t,
        {{ ordered_mean('out_t', 'obs_date') }} as load_out_t_day,
        max(known_from) as known_from,
        {{ worst_basis_of_group() }} as knowledge_basis,
        {{ worst_licence_of_group() }} as licence_class
    from (
        {{ known_at(
            'spine', ref('stg_stocks_by_location'), 'obs_date', 's.load_out_days', by=['metal'],
            columns=['location', 'live_t', 'cancelled_t', 'out_t'],
        ) }}
    ) as known
    group by metal, as_of_date, as_of_ts, location
),

ranked as (
    select
        *,
        {% for column in ['total_t', 'cancelled_t'] -%}
        row_number() over (
            partition by metal, as_of_date order by {{ column }} desc nulls last, location asc nulls last
        ) as by_{{ column }}{% if not loop.last %},{% endif %}
        {% endfor %}
    from (
        select *, max(obs_date) over (partition by metal, as_of_date) as newest_date
        from places
    ) as dated
    where obs_date = newest_date
),

sums as (
    select
        metal,
        as_of_date,
        as_of_ts,
        max(obs_date) as place_obs_date,
        count(*) as n_places,
        {{ ordered_sum('total_t', 'location') }} as total_t,
        {{ ordered_sum('total_t * total_t', 'location') }} as total_of_squares,
        max(total_t) as largest_t,
        max(location) filter (where by_total_t = 1) as largest_place,
        max(cancelled_t) as queue_cancelled_t,
        max(location) filter (where by_cancelled_t = 1) as queue_place,
        max(load_out_t_day) filter (where by_cancelled_t = 1) as load_out_t_day,
        max(known_from) as knowledge_ts_max,
        {{ worst_basis_of_group() }} as knowledge_basis,
        {{ worst_licence_of_group() }} as licence_class
    from ranked
    group by metal, as_of_date, as_of_ts
)

select
    metal,
    as_of_date,
    as_of_ts,
    place_obs_date,
    cast({{ days_between('as_of_date', 'place_obs_date') }} as integer) as place_age_days,
    cast(n_places as integer) as n_places,
    total_t,
    largest_place,
    {{ ratio('largest_t', 'total_t') }} as largest_share,
    {{ ratio('total_of_squares', 'total_t * total_t') }} as herfindahl,
    queue_place,
    queue_cancelled_t,
    load_out_t_day,
    {{ queue_days('queue_cancelled_t', 'load_out_t_day') }} as queue_days,
    knowledge_ts_max,
    knowledge_basis,
    licence_class
from sums
