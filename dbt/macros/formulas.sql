{# Every formula of docs/methodology.md, once. Units are in the arguments' names.

   C = cash price, F = three-month price (USD/t); D = calendar days between their prompts; rate and financing_spread per
   year as fractions. Mid-rank and robust z are in rank.sql, the level machine in states.sql, the regime in
   int_regime_daily. A divisor of 0 gives NULL (`ratio`), a missing argument too. #}

{# --- curve #}

{% macro cash_3m_spread(cash_usd_t, m3_usd_t) -%} ({{ cash_usd_t }} - {{ m3_usd_t }}) {%- endmacro %}

{% macro basis_ann(spread_usd_t, cash_usd_t, days) -%}
    ({{ ratio(spread_usd_t, cash_usd_t) }} * 365 / {{ days }})
{%- endmacro %}

{% macro full_carry(cash_usd_t, rate, financing_spread, days, day_count, rent_usd_t_day) -%}
    (
        {{ cash_usd_t }} * ({{ rate }} + {{ financing_spread }}) * {{ days }} / {{ day_count }}
        + {{ rent_usd_t_day }} * {{ days }}
    )
{%- endmacro %}

{% macro contango_share_of_full_carry(spread_usd_t, full_carry_usd_t) -%}
    {{ ratio('-' ~ spread_usd_t, full_carry_usd_t) }}
{%- endmacro %}

{% macro carry_tightness(spread_usd_t, full_carry_usd_t) -%}
    (1 - {{ contango_share_of_full_carry(spread_usd_t, full_carry_usd_t) }})
{%- endmacro %}

{% macro conv_yield_ann(spread_usd_t, full_carry_usd_t, cash_usd_t, days) -%}
    ({{ ratio(spread_usd_t ~ ' + ' ~ full_carry_usd_t, cash_usd_t) }} * 365 / {{ days }})
{%- endmacro %}

{# Days between the prompts of a spread that was quoted on a day (docs/methodology.md#prices-and-the-curve). Months, as in
   M3_M15, are counted from that day; a year lies between two Decembers. #}
{% macro spread_days(spread, obs_date, tomorrow_prompt, cash_prompt, days_cash_to_3m) -%}
    case
        when {{ spread }} in ('CASH_TOM', 'TOM_NEXT') then {{ days_between(cash_prompt, tomorrow_prompt) }}
        when {{ spread }} = 'CASH_3M' then {{ days_cash_to_3m }}
        when {{ spread }} = 'DEC_DEC' then {{ days_between(months_before(obs_date, -12), obs_date) }}
        else {{ days_between(_months_on(obs_date, spread, 2), _months_on(obs_date, spread, 1)) }}
    end
{%- endmacro %}
{% macro _months_on(obs_date, spread, leg) -%}
    {{ months_before(obs_date, "-try_cast(substr(split_part(" ~ spread ~ ", '_', " ~ leg ~ "), 2) as integer)") }}
{%- endmacro %}

{# Whether a price lies further beyond both of its neighbours, on one side, than a share of them. #}
{% macro is_reversed(price, before, after, share) -%}
    (
        ({{ price }} > {{ before }} * (1 + {{ share }}) and {{ price }} > {{ after }} * (1 + {{ share }}))
        or ({{ price }} < {{ before }} * (1 - {{ share }}) and {{ price }} < {{ after }} * (1 - {{ share }}))
    )
{%- endmacro %}

{# --- inventory #}

{% macro live_t(total_t, cancelled_t) -%} ({{ total_t }} - {{ cancelled_t }}) {%- endmacro %}

{% macro cancelled_ratio(cancelled_t, total_t) -%} {{ ratio(cancelled_t, total_t) }} {%- endmacro %}

{% macro stock_days(total_t, consumption_t_per_year) -%}
    ({{ total_t }} / ({{ consumption_t_per_year }} / 365))
{%- endmacro %}

{% macro stock_log_chg(total_t, earlier_t) -%}
    case when {{ total_t }} > 0 and {{ earlier_t }} > 0 then ln({{ total_t }} / {{ earlier_t }}) end
{%- endmacro %}

{# Warrants newly cancelled between two stocks: the rise of cancelled warrants, and the metal that left the warehouses. #}
{% macro new_cancellations(cancelled_change_t, total_change_t) -%}
    case when {{ cancelled_change_t }} is not null
        then greatest(0, {{ cancelled_change_t }} + greatest(0, -({{ total_change_t }})))
    end
{%- endmacro %}

{# Stock that buyers can take: registered less cancelled, and less jumps of metal that may only have been relabelled. The
   share of cancelled warrants is that of the last day that reports it; registered stock where none is known. #}
{% macro live_stock_t(total_t, relabelled_t, cancelled_ratio) -%}
    (({{ total_t }} - {{ relabelled_t }}) * (1 - coalesce({{ cancelled_ratio }}, 0)))
{%- endmacro %}

{# Logarithm of a stock in days of consumption; missing without stock. #}
{% macro ln_days(stock_t, consumption_t_per_year) -%}
    case when {{ stock_t }} > 0 then ln({{ stock_days(stock_t, consumption_t_per_year) }}) end
{%- endmacro %}

{% macro visible_t(offwarrant_t, registered_t) -%} ({{ offwarrant_t }} + {{ registered_t }}) {%- endmacro %}

{% macro visible_all_t(visible_t, shanghai_t) -%} ({{ visible_t }} + {{ shanghai_t }}) {%- endmacro %}

{# Days that cancelled metal waits at the rate at which metal leaves a place. #}
{% macro queue_days(cancelled_t, load_out_t_day) -%} {{ ratio(cancelled_t, load_out_t_day) }} {%- endmacro %}

{# --- changes on a year before: px_yoy, offwarrant_yoy, visible_yoy, exports_yoy, exports_yoy_3m, exports_ytd_yoy #}

{% macro yoy(value, base) -%} ({{ ratio(value, base) }} - 1) {%- endmacro %}

{# --- trade with China #}

{% macro import_arb(shfe_cny_t, lme_usd_t, cif_premium_usd_t, usdcny, duty, vat, port_cny_t) -%}
    (
        {{ shfe_cny_t }} - (
            ({{ lme_usd_t }} + {{ cif_premium_usd_t }}) * {{ usdcny }} * (1 + {{ duty }}) * (1 + {{ vat }})
            + {{ port_cny_t }}
        )
    )
{%- endmacro %}

{% macro semis_export_arb(shfe_cny_t, lme_usd_t, dest_premium_usd_t, freight_usd_t, usdcny, vat, rebate) -%}
    (
        ({{ lme_usd_t }} + {{ dest_premium_usd_t }} - {{ freight_usd_t }})
        - ({{ shfe_cny_t }} - {{ shfe_cny_t }} / (1 + {{ vat }}) * {{ rebate }}) / nullif({{ usdcny }}, 0)
    )
{%- endmacro %}

{# Cost of a tonne imported into the United States. #}
{% macro us_replacement(lme_usd_t, unpaid_premium_usd_t, freight_usd_t, section_232) -%}
    (({{ lme_usd_t }} + {{ unpaid_premium_usd_t }} + {{ freight_usd_t }}) * (1 + {{ section_232 }}))
{%- endmacro %}

{# --- positions #}

{% macro managed_net(managed_long, managed_short) -%} ({{ managed_long }} - {{ managed_short }}) {%- endmacro %}

{% macro net_share(managed_net, open_interest) -%} {{ ratio(managed_net, open_interest) }} {%- endmacro %}

{# --- power and smelters #}

{% macro power_cost(power_usd_mwh, mwh_per_t) -%} ({{ power_usd_mwh }} * {{ mwh_per_t }}) {%- endmacro %}

{% macro cash_cost(power_cost_usd_t, alumina_usd_t, alumina_t_per_t, other_cash_usd_t) -%}
    ({{ power_cost_usd_t }} + {{ alumina_t_per_t }} * {{ alumina_usd_t }} + {{ other_cash_usd_t }})
{%- endmacro %}

{% macro smelter_margin(lme_usd_t, premium_usd_t, cash_cost_usd_t) -%}
    ({{ lme_usd_t }} + {{ premium_usd_t }} - {{ cash_cost_usd_t }})
{%- endmacro %}

{% macro breakeven_power(lme_usd_t, premium_usd_t, alumina_usd_t, alumina_t_per_t, other_cash_usd_t, mwh_per_t) -%}
    (
        ({{ lme_usd_t }} + {{ premium_usd_t }} - {{ alumina_t_per_t }} * {{ alumina_usd_t }} - {{ other_cash_usd_t }})
        / nullif({{ mwh_per_t }}, 0)
    )
{%- endmacro %}

{# Share of a day's market time units whose price, in USD, lies beyond a line; `units`: of a point `x`. #}
{% macro share_beyond(points, is_beyond, units, n_units) -%}
    ({{ list_total(points, 'case when ' ~ is_beyond ~ ' then ' ~ units ~ ' else 0 end') }} / cast({{ n_units }} as double))
{%- endmacro %}

{# --- supply #}

{# Output of a period as a yearly rate, in the same unit: per day of the period, times 365. #}
{% macro annualised(output, days) -%} ({{ ratio(output, days) }} * 365) {%- endmacro %}

{% macro cap_utilisation(annualised_kt, cap_t) -%} {{ ratio(annualised_kt ~ ' * 1000', cap_t) }} {%- endmacro %}

{# Mean of the scores of power price and headroom, 0 to 100; higher is more stress. #}
{% macro supply_stress(score_power, score_headroom) -%}
    (100 * ({{ score_power }} + {{ score_headroom }}) / 2)
{%- endmacro %}

{# --- equities and events #}

{% macro near_high(close_usd, high_usd) -%} {{ ratio(close_usd, high_usd) }} {%- endmacro %}

{% macro days_to_event(event_date, as_of_date) -%} {{ days_between(event_date, as_of_date) }} {%- endmacro %}

{# --- scarcity #}

{% macro ln_stock_days(stock_days) -%} ln({{ stock_days }}) {%- endmacro %}

{# Convenience yield that the stock explains, and what it does not explain. #}
{% macro scarcity_fitted(intercept, slope, ln_stock_days) -%}
    ({{ intercept }} + {{ slope }} * {{ ln_stock_days }})
{%- endmacro %}

{% macro scarcity_residual(conv_yield_ann, fitted) -%} ({{ conv_yield_ann }} - {{ fitted }}) {%- endmacro %}

{# --- index, version 2 #}

{# What the buyer pays above the exchange price, without the duty that it includes. #}
{% macro premium_ex_duty(premium_usd_t, cash_usd_t, duty) -%}
    (({{ cash_usd_t }} + {{ premium_usd_t }}) / (1 + {{ duty }}) - {{ cash_usd_t }})
{%- endmacro %}

{# A value cut to the 1st and the 99th percentile of those so far, itself included. #}
{% macro winsorised(x, partition_by, order_by) -%}
    case when {{ x }} is not null then
        greatest(
            {{ over_last('quantile', x, partition_by, order_by, all_rows(), 0.01) }},
            least({{ over_last('quantile', x, partition_by, order_by, all_rows(), 0.99) }}, {{ x }})
        )
    end
{%- endmacro %}
