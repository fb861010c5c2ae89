{# Metrics of power and of the smelters that use it: one row for each metal, decision day, metric and zone. #}
{% macro metrics_power() -%}
{% set known = {
    'entity': 'zone', 'known': 'knowledge_ts_max', 'basis': 'knowledge_basis', 'licence': 'licence_class',
    'obs_end': 'least(price_obs_date, cost_obs_date, power_delivery_date)',
} %}
{% set of_power = dict(known, obs_end='power_delivery_date', known='power_known') %}
with power as (
    select
        metal,
        zone,
        as_of_date,
        max(known_from) as known_from,
        max(share_above_115usd) filter (where recency = 1) as share_above_115usd
    from {{ ref('int_power_recent') }}
    group by metal, zone, as_of_date
),

smelters as (
    select
        margin.*,
        power.known_from as power_known,
        power.share_above_115usd,
        p.power_line_high_usd_mwh
    from {{ built_rows(ref('smelter_margin_daily')) }} as margin
    inner join power
        on
            margin.metal = power.metal
            and margin.zone = power.zone
            and margin.as_of_date = power.as_of_date
    inner join {{ ref('int_parameters') }} as p on margin.metal = p.metal and margin.as_of_date = p.calendar_date
)

{{ metric_rows('smelters', [
    dict(of_power, metric='power_cost', value='power_cost_usd_t'),
    dict(of_power, metric='share_above_115usd', value='share_above_115usd'),
    dict(of_power, metric='power_mean_30d', value='power_usd_mwh_30d', state="case
        when power_usd_mwh_30d >= power_line_high_usd_mwh then 'HIGH'
        when power_usd_mwh_30d is not null then 'NORMAL' end"),
    dict(known, metric='smelter_margin', value='margin_usd_t'),
    dict(known, metric='breakeven_power', value='breakeven_power_usd_mwh',
        obs_end='least(price_obs_date, cost_obs_date)'),
    dict(known, metric='curtailment_risk', value='headroom_usd_mwh', state='curtailment_state'),
    dict(known, metric='supply_stress', value='supply_stress', n_hist='n_hist', n_components='2'),
]) }}
{%- endmacro %}
