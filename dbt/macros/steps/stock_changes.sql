{# One row for each metal and decision day, from the changes of registered stock that stock_log_chg spans, as known then:
   whether metal that was only relabelled makes part of a jump among them, the jumps of which this is so or not decided
   yet, and what was newly cancelled (docs/methodology.md#inventories). #}
{% macro stock_changes() -%}
with changes as (
    select
        recent.metal,
        recent.as_of_date,
        recent.as_of_ts,
        recent.obs_date,
        recent.recency,
        recent.total_t - lag(recent.total_t) over by_day as change_t,
        recent.cancelled_t - lag(recent.cancelled_t) over by_day as cancelled_change_t,
        lag(recent.total_t) over by_day as total_before_t,
        -- Warrants that were newly cancelled: metal that left the warehouses had been cancelled before.
        {{ new_cancellations(
            'recent.cancelled_t - lag(recent.cancelled_t) over by_day', 'recent.total_t - lag(recent.total_t) over by_day'
        ) }} as new_cancellations_t
    from {{ ref('int_stocks_recent') }} as recent
    window by_day as (partition by recent.metal, recent.as_of_date order by recent.obs_date asc nulls last)
),

jumps as (
    select changes.*, p.relabel_share
    from changes
    inner join {{ ref('int_parameters') }} as p
        on changes.metal = p.metal and changes.as_of_date = p.calendar_date
    where
        changes.recency <= p.stock_chg_obs
        and changes.change_t <> 0
        and abs(changes.change_t) >= p.relabel_jump * changes.total_before_t
),

-- The part of each jump that went the other way: by cancelled warrants of its day, by off-warrant stock of its month.
parts as (
    select
        jumps.metal,
        jumps.as_of_date,
        jumps.obs_date,
        jumps.change_t,
        jumps.relabel_share,
        -jumps.cancelled_change_t / jumps.change_t as cancelled_part,
        -(off_warrant.offwarrant_t - month_before.offwarrant_t) / jumps.change_t as offwarrant_part
    from jumps
    left join {{ ref('stg_off_warrant') }} as off_warrant
        on
            jumps.metal = off_warrant.metal
            and {{ month_index('jumps.obs_date') }} = {{ month_index('off_warrant.period_end') }}
            and jumps.as_of_ts >= off_warrant.known_from
            and jumps.as_of_ts < off_warrant.known_to
    left join {{ ref('stg_off_warrant') }} as month_before
        on
            jumps.metal = month_before.metal
            and {{ month_index('jumps.obs_date') }} - 1 = {{ month_index('month_before.period_end') }}
            and jumps.as_of_ts >= month_before.known_from
            and jumps.as_of_ts < month_before.known_to
),

verdicts as (
    select
        metal,
        as_of_date,
        obs_date,
        max(change_t) as change_t,
        case
            when bool_or(cancelled_part >= relabel_share) or bool_or(offwarrant_part >= relabel_share) then true
            when bool_and(offwarrant_part is not null) then false
        end as relabelled
    from parts
    group by metal, as_of_date, obs_date
),

relabelling as (
    select
        metal,
        as_of_date,
        case when bool_or(relabelled) then true when bool_and(relabelled is not null) then false end as relabelled,
        {{ ordered_sum('case when relabelled is distinct from false then change_t end', 'obs_date') }} as relabelled_t
    from verdicts
    group by metal, as_of_date
)

select
    changes.metal,
    changes.as_of_date,
    case when max(relabelling.metal) is null then false else bool_or(relabelling.relabelled) end as relabelled,
    coalesce(max(relabelling.relabelled_t), 0) as relabelled_t,
    case when count(changes.new_cancellations_t) = max(p.stock_chg_obs) then
        {{ ordered_sum('changes.new_cancellations_t', 'changes.obs_date') }}
    end as new_cancellations_t
from changes
inner join {{ ref('int_parameters') }} as p on changes.metal = p.metal and changes.as_of_date = p.calendar_date
left join relabelling on changes.metal = relabelling.metal and changes.as_of_date = relabelling.as_of_date
where changes.recency <= p.stock_chg_obs
group by changes.metal, changes.as_of_date
{%- endmacro %}
