-- Smelter cost, margin, break-even power and supply stress by zone at each decision time. Supply stress is not part of
-- the tightness index: margins are high because the market is tight.
with ranked as (
    select
        costs.*,
        {% for name, x in [('power', 'costs.power_mean_30d_usd_mwh'), ('headroom', 'costs.headroom_usd_mwh')] -%}
        {{ mid_rank(x, 'costs.metal, costs.zone', 'costs.as_of_date asc nulls last', 'p.rank_window') }}
            as percentile_{{ name }},
        count({{ x }}) over (
            partition by costs.metal, costs.zone order by costs.as_of_date asc nulls last
            {{ last_rows('p.rank_window') }}
        ) as n_{{ name }},
        {% endfor -%}
        p.rank_min_periods,
        p.curtailment_days,
        count(case when costs.headroom_usd_mwh < 0 then 1 end) over (
            partition by costs.metal, costs.zone order by costs.as_of_date asc nulls last
            {{ last_rows('p.curtailment_days') }}
        ) as n_days_under_water,
        count(costs.headroom_usd_mwh) over (
            partition by costs.metal, costs.zone order by costs.as_of_date asc nulls last
            {{ last_rows('p.curtailment_days') }}
        ) as n_days_with_headroom
    from {{ ref('int_smelter_costs') }} as costs
    inner join {{ ref('int_parameters') }} as p on costs.metal = p.metal and costs.as_of_date = p.calendar_date
),

scored as (
    select
        *,
        case when n_power >= rank_min_periods then percentile_power end as score_power,
        case when n_headroom >= rank_min_periods then 1 - percentile_headroom end as score_headroom
    from ranked
)

select
    metal,
    zone,
    as_of_date,
    as_of_ts,
    price_obs_date,
    cost_obs_date,
    power_delivery_date,
    cash_usd_t,
    premium_usd_t,
    alumina_usd_t,
    mwh_per_t,
    alumina_t_per_t,
    other_cash_usd_t,
    other_cash_status,
    power_usd_mwh,
    power_cost_usd_t,
    cash_cost_usd_t,
    {{ ratio('power_cost_usd_t', 'cash_cost_usd_t') }} as power_share_of_cost,
    {{ smelter_margin('cash_usd_t', 'premium_usd_t', 'cash_cost_usd_t') }} as margin_usd_t,
    breakeven_power_usd_mwh,
    headroom_usd_mwh,
    case
        when n_days_under_water >= curtailment_days then 'CURTAILMENT_RISK'
        when n_days_with_headroom > n_days_under_water then 'NONE'
    end as curtailment_state,
    power_mean_30d_usd_mwh as power_usd_mwh_30d,
    n_power_days as n_power_days_30d,
    score_power,
    score_headroom,
    {{ supply_stress('score_power', 'score_headroom') }} as supply_stress,
    cast(least(n_power, n_headroom) as integer) as n_hist,
    knowledge_ts_max,
    knowledge_basis,
    licence_class
from scored
