{{ config(materialized='by_decision_time') }}
{% set inputs -%}
carry_tightness, spread_usd_t, ln_live_days, ln_visible_all_days, stock_log_chg_net
{%- endset %}
{% set last_days = ['days.metal', 'days.as_of_date asc nulls last', 'p.median_obs'] %}
{# Days that a premium and the stock of another exchange are carried. #}
{% set back = 45 %}
-- What version 2 of the index computes, in part from earlier decision times: each as it was known then.
with shanghai as (
    select *
    from (
        {{ known_at(
            ref('int_as_of_dates'), ref('stg_exchange_stocks'), 'obs_date', back, by=['metal'], columns=['total_t'],
            condition="obs.exchange = 'SHFE' and obs.product = 'METAL'",
        ) }}
    ) as known
    where recency = 1
),

spine as (
    select dates.*, regions.region
    from {{ ref('int_as_of_dates') }} as dates
    inner join (select distinct metal, region from {{ ref('stg_premia') }}) as regions on dates.metal = regions.metal
),

premia as (
    select
        metal,
        as_of_date,
        {% for region in premium_regions() -%}
        max(usd_t) filter (where region = '{{ region | upper }}') as {{ region }}_usd_t,
        max({{ days_between('as_of_date', 'obs_date') }}) filter (where region = '{{ region | upper }}')
            as {{ region }}_age_days,
        {% endfor %}
        max(known_from) as known_from,
        {{ worst_basis_of_group() }} as knowledge_basis,
        {{ worst_licence_of_group() }} as licence_class
    from (
        {{ known_at('spine', ref('stg_premia'), 'obs_date', back, by=['metal', 'region'], columns=['usd_t']) }}
    ) as known
    where recency = 1
    group by metal, as_of_date
),

quoted as (
    select
        metal,
        as_of_date,
        {% for spread in ['tom_next', 'm3_m15'] -%}
        max(usd_t) filter (where spread = '{{ spread | upper }}') as {{ spread }}_usd_t,
        max({{ days_between('as_of_date', 'obs_date') }}) filter (where spread = '{{ spread | upper }}')
            as {{ spread }}_age_days{% if not loop.last %},{% endif %}
        {% endfor %}
    from {{ ref('int_spreads_asof') }}
    group by metal, as_of_date
),

today as (
    select
        curve.metal,
        curve.as_of_date,
        curve.carry_tightness,
        curve.cash_3m_spread_usd_t as spread_usd_t,
        curve.price_age_days,
        curve.is_rate_stale,
        inventory.stock_age_days,
        {{ ln_days(
            live_stock_t('inventory.total_t', 'inventory.relabelled_t', 'inventory.cancelled_ratio'),
            'p.consumption_t_per_year',
        ) }} as ln_live_days,
        {{ ln_days(visible_t('visible.visible_t', 'shanghai.total_t'), 'p.consumption_t_per_year') }}
            as ln_visible_all_days,
        cast({{ days_between('curve.as_of_date', 'visible.period_end') }} as integer) as visible_all_age_days,
        {{ stock_days('shanghai.total_t', 'p.consumption_t_per_year') }} as shanghai_stock_days,
        cast({{ days_between('curve.as_of_date', 'shanghai.obs_date') }} as integer) as shanghai_stock_age_days,
        inventory.stock_log_chg_net,
        inventory.new_cancellations,
        {% for spread in ['tom_next', 'm3_m15'] -%}
        quoted.{{ spread }}_usd_t,
        cast(quoted.{{ spread }}_age_days as integer) as {{ spread }}_age_days,
        {% endfor -%}
        {% for region in premium_regions() -%}
        {{ premium_ex_duty(
            'premia.' ~ region ~ '_usd_t', 'curve.cash_usd_t',
            'coalesce(taxes.section_232, 0)' if region == 'us_midwest' else '0',
        ) }} as premium_{{ region }},
        cast(premia.{{ region }}_age_days as integer) as premium_{{ region }}_age_days,
        {% endfor %}
        {{ latest(['shanghai.known_from', 'premia.known_from']) }} as knowledge_ts_max,
        {{ worst_basis(['shanghai.knowledge_basis', 'premia.knowledge_basis']) }} as knowledge_basis,
        {{ worst_licence(['shanghai.licence_class', 'premia.licence_class']) }} as licence_class
    from {{ ref('int_curve_daily') }} as curve
    inner join {{ ref('int_inventory_daily') }} as inventory
        on curve.metal = inventory.metal and curve.as_of_date = inventory.as_of_date
    inner join {{ ref('int_parameters') }} as p on curve.metal = p.metal and curve.as_of_date = p.calendar_date
    left join ({{ visible_asof() }}) as visible
        on curve.metal = visible.metal and curve.as_of_date = visible.as_of_date
    left join shanghai on curve.metal = shanghai.metal and curve.as_of_date = shanghai.as_of_date
    left join premia on curve.metal = premia.metal and curve.as_of_date = premia.as_of_date
    left join {{ ref('int_taxes') }} as taxes
        on curve.metal = taxes.metal and curve.as_of_date = taxes.calendar_date
    left join quoted on curve.metal = quoted.metal and curve.as_of_date = quoted.as_of_date
),

days as (
    select metal, as_of_date, {{ inputs }}
    from today
    {% if is_partial() -%}
    union all
    select metal, as_of_date, {{ inputs }}
    from {{ kept_rows(this) }} as kept
    {%- endif %}
),

-- Medians of the last days, and the bounds of what was known.
windows as (
    select
        days.metal,
        days.as_of_date,
        {{ over_last('median', 'days.carry_tightness', *last_days) }} as carry_tightness_median,
        {{ over_last('median', 'days.spread_usd_t', *last_days) }} as spread_median_usd_t,
        {{ winsorised('days.stock_log_chg_net', 'days.metal', 'days.as_of_date asc nulls last') }}
            as stock_chg_winsorised
    from days
    inner join {{ ref('int_parameters') }} as p on days.metal = p.metal and days.as_of_date = p.calendar_date
),

months as (
    select
        metal,
        year(as_of_date) as of_year,
        month(as_of_date) as of_month,
        {{ ordered_mean('ln_live_days', 'as_of_date') }} as ln_live_days,
        {{ ordered_mean('ln_visible_all_days', 'as_of_date') }} as ln_visible_all_days
    from days
    group by metal, year(as_of_date), month(as_of_date)
),

-- The same calendar month in the years before.
seasons as (
    select
        today.metal,
        today.as_of_date,
        {% for stock in ['ln_live_days', 'ln_visible_all_days'] -%}
        case when count(months.{{ stock }}) >= max(p.season_min_years) then
            {{ ordered_mean('months.' ~ stock, 'months.of_year') }}
        end as {{ stock }}{% if not loop.last %},{% endif %}
        {% endfor %}
    from today
    inner join {{ ref('int_parameters') }} as p on today.metal = p.metal and today.as_of_date = p.calendar_date
    inner join months
        on
            today.metal = months.metal
            and month(today.as_of_date) = months.of_month
            and months.of_year between year(today.as_of_date) - p.season_years and year(today.as_of_date) - 1
    group by today.metal, today.as_of_date
)

select
    today.metal,
    today.as_of_date,
    today.carry_tightness,
    today.spread_usd_t,
    today.ln_live_days,
    today.ln_visible_all_days,
    today.stock_log_chg_net,
    windows.carry_tightness_median,
    windows.spread_median_usd_t,
    today.ln_live_days - seasons.ln_live_days as live_stock_deviation,
    today.ln_visible_all_days - seasons.ln_visible_all_days as visible_all_deviation,
    windows.stock_chg_winsorised,
    today.new_cancellations,
    today.shanghai_stock_days,
    {% for spread in ['tom_next', 'm3_m15'] -%}
    today.{{ spread }}_usd_t,
    today.{{ spread }}_age_days,
    {% endfor -%}
    {% for region in premium_regions() -%}
    today.premium_{{ region }},
    today.premium_{{ region }}_age_days,
    {% endfor -%}
    today.visible_all_age_days,
    today.shanghai_stock_age_days,
    today.price_age_days,
    today.is_rate_stale,
    today.stock_age_days,
    today.knowledge_ts_max,
    today.knowledge_basis,
    today.licence_class
from today
inner join windows on today.metal = windows.metal and today.as_of_date = windows.as_of_date
left join seasons on today.metal = seasons.metal and today.as_of_date = seasons.as_of_date
