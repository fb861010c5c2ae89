with positions as (
    select
        contracts.metal,
        positions.*,
        {{ managed_net('positions.managed_long', 'positions.managed_short') }} as managed_net,
        {{ net_share(managed_net('positions.managed_long', 'positions.managed_short'), 'positions.open_interest') }}
            as net_share
    from {{ ref('stg_positions') }} as positions
    inner join {{ reference('contracts') }} as contracts
        on positions.contract = contracts.contract and positions.obs_date >= contracts.valid_from
),

-- Each vintage among the weeks before it, as they were known when it became known.
ranked as (
    select
        positions.contract,
        positions.obs_date,
        positions.known_from,
        p.rank_min_periods_weekly,
        count(earlier.net_share) as n_ranked,
        {{ mid_rank_of_group('positions.net_share', 'earlier.net_share') }} as percentile
    from positions
    inner join {{ ref('int_parameters') }} as p
        on positions.metal = p.metal and positions.obs_date = p.calendar_date
    inner join positions as earlier
        on
            positions.contract = earlier.contract
            and positions.obs_date >= earlier.obs_date
            and {{ months_before('positions.obs_date', 'p.rank_months_weekly') }} < earlier.obs_date
            and positions.known_from >= earlier.known_from
            and positions.known_from < earlier.known_to
    group by
        positions.contract, positions.obs_date, positions.known_from, positions.net_share, p.rank_min_periods_weekly
)

select
    positions.*,
    cast(ranked.n_ranked as integer) as n_ranked,
    case when ranked.n_ranked >= ranked.rank_min_periods_weekly then ranked.percentile end as net_percentile
from positions
inner join ranked
    on
        positions.contract = ranked.contract
        and positions.obs_date = ranked.obs_date
        and positions.known_from = ranked.known_from
