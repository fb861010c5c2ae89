{{ config(materialized='by_decision_time') }}
{% set by_zone = ['history.metal, history.zone', 'history.as_of_date asc nulls last'] %}
{% set in_window = by_zone + ['p.rank_window'] %}
{% set last_days = by_zone + ['p.curtailment_days'] %}
-- Smelter cost, margin, break-even power and supply stress by zone at each decision time. Supply stress is not part of
-- the tightness index: margins are high because the market is tight.
with smelter_costs as (
    {{ smelter_costs() }}
),

history as (
    select metal, zone, as_of_date, power_mean_30d_usd_mwh, headroom_usd_mwh
    from smelter_costs
    {% if is_partial() -%}
    union all
    select metal, zone, as_of_date, power_usd_mwh_30d, headroom_usd_mwh
    from {{ kept_rows(
        this, ['metal', 'zone'], 'greatest(' ~ longest('rank_window') ~ ', ' ~ longest('curtailment_days') ~ ')'
    ) }} as kept
    {%- endif %}
),

ranked as (
    select
        history.metal,
        history.zone,
        history.as_of_date,
        {% for name, x in [('power', 'history.power_mean_30d_usd_mwh'), ('headroom', 'history.headroom_usd_mwh')] -%}
        {{ mid_rank(x, *in_window) }} as percentile_{{ name }},
        {{ over_last('count', x, *in_window) }} as n_{{ name }},
        {% endfor -%}
        p.rank_min_periods,
        p.curtailment_days,
        {{ over_last('count', 'case when history.headroom_usd_mwh < 0 then 1 end', *last_days) }} as n_days_under_water,
        {{ over_last('count', 'history.headroom_usd_mwh', *last_days) }} as n_days_with_headroom
    from history
    inner join {{ ref('int_parameters') }} as p on history.metal = p.metal and history.as_of_date = p.calendar_date
),

scored as (
    select
        costs.*,
        ranked.n_power,
        ranked.n_headroom,
        ranked.curtailment_days,
        ranked.n_days_under_water,
        ranked.n_days_with_headroom,
        case when ranked.n_power >= ranked.rank_min_periods then ranked.percentile_power end as score_power,
        case when ranked.n_headroom >= ranked.rank_min_periods then 1 - ranked.percentile_headroom end
            as score_headroom
    from smelter_costs as costs
    inner join ranked
        on
            costs.metal = ranked.metal
            and costs.zone = ranked.zone
            and costs.as_of_date = ranked.as_of_date
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
