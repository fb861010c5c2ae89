{# Generated from schemas/ by `make docs`: do not edit. #}
{% macro datasets() -%} {{ return({
    "prices": {
        "key": [
            "metal",
            "obs_date"
        ],
        "period": "obs_date",
        "entity": "metal",
        "columns": [
            "metal",
            "obs_date",
            "cash_usd_t",
            "m3_usd_t",
            "days_cash_to_3m"
        ]
    },
    "stocks": {
        "key": [
            "metal",
            "obs_date"
        ],
        "period": "obs_date",
        "entity": "metal",
        "columns": [
            "metal",
            "obs_date",
            "total_t",
            "cancelled_t"
        ]
    },
    "spreads": {
        "key": [
            "metal",
            "spread",
            "obs_date"
        ],
        "period": "obs_date",
        "entity": "metal, spread",
        "columns": [
            "metal",
            "obs_date",
            "spread",
            "usd_t"
        ]
    },
    "off_warrant": {
        "key": [
            "metal",
            "period_end"
        ],
        "period": "period_end",
        "entity": "metal",
        "columns": [
            "metal",
            "period_end",
            "offwarrant_t",
            "registered_month_end_t"
        ]
    },
    "exports": {
        "key": [
            "metal",
            "country",
            "period_end"
        ],
        "period": "period_end",
        "entity": "metal, country",
        "columns": [
            "metal",
            "country",
            "period_end",
            "period_months",
            "exports_kt",
            "vintage"
        ]
    },
    "rates": {
        "key": [
            "rate_id",
            "obs_date"
        ],
        "period": "obs_date",
        "entity": "rate_id",
        "columns": [
            "rate_id",
            "obs_date",
            "rate_pct"
        ]
    },
    "fx": {
        "key": [
            "pair",
            "obs_date"
        ],
        "period": "obs_date",
        "entity": "pair",
        "columns": [
            "pair",
            "obs_date",
            "rate"
        ]
    },
    "power": {
        "key": [
            "zone",
            "delivery_date",
            "resolution",
            "position"
        ],
        "period": "delivery_date",
        "entity": "zone",
        "columns": [
            "zone",
            "delivery_date",
            "resolution",
            "n_positions",
            "position",
            "price_eur_mwh"
        ]
    },
    "costs": {
        "key": [
            "metal",
            "obs_date"
        ],
        "period": "obs_date",
        "entity": "metal",
        "columns": [
            "metal",
            "obs_date",
            "alumina_usd_t",
            "premium_usd_t"
        ]
    },
    "production": {
        "key": [
            "metal",
            "country",
            "period_end"
        ],
        "period": "period_end",
        "entity": "metal, country",
        "columns": [
            "metal",
            "country",
            "period_end",
            "period_months",
            "production_kt",
            "vintage"
        ]
    },
    "arbitrage": {
        "key": [
            "metal",
            "obs_date"
        ],
        "period": "obs_date",
        "entity": "metal",
        "columns": [
            "metal",
            "obs_date",
            "shfe_cny_t",
            "cif_premium_usd_t",
            "usdcny",
            "dest_premium_usd_t",
            "freight_usd_t"
        ]
    },
    "equities": {
        "key": [
            "ticker",
            "obs_date"
        ],
        "period": "obs_date",
        "entity": "ticker",
        "columns": [
            "ticker",
            "obs_date",
            "close_usd"
        ]
    },
    "benchmark_prices": {
        "key": [
            "metal",
            "benchmark",
            "period_end"
        ],
        "period": "period_end",
        "entity": "metal, benchmark",
        "columns": [
            "metal",
            "benchmark",
            "period_end",
            "mean_usd_t"
        ]
    },
    "benchmark_power": {
        "key": [
            "country",
            "delivery_date"
        ],
        "period": "delivery_date",
        "entity": "country",
        "columns": [
            "country",
            "delivery_date",
            "mean_eur_mwh"
        ]
    },
    "exchange_stocks": {
        "key": [
            "metal",
            "exchange",
            "product",
            "obs_date"
        ],
        "period": "obs_date",
        "entity": "metal, exchange, product",
        "columns": [
            "metal",
            "exchange",
            "product",
            "obs_date",
            "total_t",
            "on_warrant_t"
        ]
    },
    "stocks_by_location": {
        "key": [
            "metal",
            "location",
            "obs_date"
        ],
        "period": "obs_date",
        "entity": "metal, location",
        "columns": [
            "metal",
            "location",
            "obs_date",
            "live_t",
            "cancelled_t",
            "in_t",
            "out_t"
        ]
    },
    "premia": {
        "key": [
            "metal",
            "region",
            "obs_date"
        ],
        "period": "obs_date",
        "entity": "metal, region",
        "columns": [
            "metal",
            "region",
            "obs_date",
            "usd_t"
        ]
    },
    "positions": {
        "key": [
            "contract",
            "obs_date"
        ],
        "period": "obs_date",
        "entity": "contract",
        "columns": [
            "contract",
            "obs_date",
            "managed_long",
            "managed_short",
            "open_interest"
        ]
    }
}) }} {%- endmacro %}

{% macro parameter_names() -%} {{ return([
    "day_count",
    "rent_usd_t_day",
    "financing_spread",
    "consumption_t_per_year",
    "stock_chg_obs",
    "yoy_max_staleness_days",
    "tick_usd_t",
    "price_reversal",
    "level_up",
    "level_down",
    "level_k",
    "level_m",
    "level_alt_k",
    "level_alt_m",
    "level_buffer",
    "bw_k",
    "bw_m",
    "bw_window",
    "rank_min_periods",
    "rank_min_periods_monthly",
    "rank_min_periods_weekly",
    "rank_months_weekly",
    "rank_window",
    "rank_window_monthly",
    "z_cap",
    "min_coverage",
    "rank_min_periods_v2",
    "rank_min_periods_monthly_v2",
    "min_coverage_v2",
    "median_obs",
    "season_years",
    "season_min_years",
    "regime_confirm_v2",
    "regime_half_life_v2",
    "enter_tight",
    "exit_tight",
    "enter_squeeze",
    "exit_squeeze",
    "enter_loose",
    "exit_loose",
    "regime_confirm",
    "regime_max_gap",
    "stale_days_rate",
    "stale_days_spread",
    "max_age_days_rate",
    "relabel_jump",
    "relabel_share",
    "stock_unwind_ln",
    "stock_unwind_k",
    "load_out_days",
    "us_freight_usd_t",
    "visible_low_age_days",
    "offwarrant_drain",
    "exports_drop",
    "exports_drop_prints",
    "port_cny_t",
    "arb_shut_days",
    "china_cap_t",
    "cap_binding",
    "cap_breach",
    "idled_event_kt",
    "idled_event_days",
    "mwh_per_t",
    "alumina_t_per_t",
    "other_cash_usd_t",
    "power_line_high_usd_mwh",
    "power_line_low_usd_mwh",
    "power_mean_days",
    "power_mean_min_days",
    "curtailment_days",
    "scarcity_min_obs",
    "near_high_obs",
    "near_high_ratio",
    "event_before_days",
    "event_after_days",
    "event_near_before_days",
    "event_near_after_days"
]) }} {%- endmacro %}

{% macro metric_registry() -%} {{ return({
    "m3_usd_t": {
        "unit": "USD/t",
        "formula": "F, the latest three-month price known",
        "parameters": [],
        "states": []
    },
    "px_yoy": {
        "unit": "ratio",
        "formula": "P / last P on or before 12 calendar months earlier, at most 7 days older, - 1",
        "parameters": [
            "yoy_max_staleness_days"
        ],
        "states": []
    },
    "level_state_5of5": {
        "unit": "USD/t",
        "formula": "value F; state ABOVE when the last 5 of 5 F > level_up, BELOW when < level_down; left when sustained back across the same level",
        "parameters": [
            "level_up",
            "level_down",
            "level_buffer",
            "level_k",
            "level_m"
        ],
        "states": [
            "ABOVE",
            "INSIDE",
            "BELOW"
        ]
    },
    "level_state_3of5": {
        "unit": "USD/t",
        "formula": "as level_state_5of5 with 3 of 5, the latest included",
        "parameters": [
            "level_up",
            "level_down",
            "level_buffer",
            "level_alt_k",
            "level_alt_m"
        ],
        "states": [
            "ABOVE",
            "INSIDE",
            "BELOW"
        ]
    },
    "cash_3m_spread": {
        "unit": "USD/t",
        "formula": "C - F; positive is backwardation",
        "parameters": [],
        "states": []
    },
    "backwardation_sustained": {
        "unit": "USD/t",
        "formula": "value C - F; state ON when C - F > 0 on at least 3 of the last 5, the latest included",
        "parameters": [
            "bw_k",
            "bw_m"
        ],
        "states": [
            "ON",
            "OFF"
        ]
    },
    "backwardation_days": {
        "unit": "days",
        "formula": "observations with C - F > 0 among the last bw_window; suspect prices do not count",
        "parameters": [
            "bw_window"
        ],
        "states": []
    },
    "spread_rank": {
        "unit": "ratio",
        "formula": "mid-rank of C - F among those of the last rank_window days; suspect prices do not count",
        "parameters": [
            "rank_window",
            "rank_min_periods"
        ],
        "states": []
    },
    "quoted_spread": {
        "unit": "USD/t",
        "formula": "near leg - far leg of the tenor, as quoted; positive is backwardation",
        "parameters": [
            "stale_days_spread"
        ],
        "states": []
    },
    "carry_tightness": {
        "unit": "ratio",
        "formula": "1 - (F - C) / full carry",
        "parameters": [
            "day_count",
            "rent_usd_t_day",
            "financing_spread",
            "stale_days_rate",
            "max_age_days_rate",
            "rank_window",
            "rank_min_periods",
            "component_carry_tightness"
        ],
        "states": []
    },
    "spread_unwind": {
        "unit": "USD/t",
        "formula": "value C - F; state BACKWARDATION once sustained, UNWOUND once C - F <= 0 on 3 of 5 after it",
        "parameters": [
            "bw_k",
            "bw_m"
        ],
        "states": [
            "BACKWARDATION",
            "UNWOUND",
            "CONTANGO"
        ]
    },
    "thesis_broken": {
        "unit": "conditions",
        "formula": "conditions met of two: level_state_5of5 = BELOW; C - F <= 0. State ON when both are",
        "parameters": [
            "level_up",
            "level_down",
            "level_buffer",
            "level_k",
            "level_m"
        ],
        "states": [
            "ON",
            "OFF"
        ]
    },
    "managed_net": {
        "unit": "contracts",
        "formula": "managed_long - managed_short of money managers, spreading left out",
        "parameters": [],
        "states": []
    },
    "managed_net_percentile": {
        "unit": "ratio",
        "formula": "mid-rank of managed_net / open interest among the weeks of the last rank_months_weekly",
        "parameters": [
            "rank_months_weekly",
            "rank_min_periods_weekly"
        ],
        "states": []
    },
    "cancelled_ratio": {
        "unit": "ratio",
        "formula": "cancelled / total",
        "parameters": [
            "rank_window",
            "rank_min_periods",
            "component_cancelled_ratio"
        ],
        "states": []
    },
    "stock_days": {
        "unit": "days",
        "formula": "total / (annual consumption / 365)",
        "parameters": [
            "consumption_t_per_year",
            "rank_window",
            "rank_min_periods",
            "component_stock_days"
        ],
        "states": []
    },
    "stock_log_chg": {
        "unit": "ln",
        "formula": "ln(S_t / S_t-n), n = stock_chg_obs stock observations",
        "parameters": [
            "stock_chg_obs",
            "rank_window",
            "rank_min_periods",
            "component_stock_log_chg"
        ],
        "states": []
    },
    "stock_unwind": {
        "unit": "ln",
        "formula": "value ln(S_t / S_t-n); state ON when it was >= stock_unwind_ln on the last stock_unwind_k observations",
        "parameters": [
            "stock_chg_obs",
            "stock_unwind_ln",
            "stock_unwind_k"
        ],
        "states": [
            "ON",
            "OFF"
        ]
    },
    "visible_t": {
        "unit": "t",
        "formula": "off-warrant + registered at the same month-end",
        "parameters": [],
        "states": []
    },
    "visible_low": {
        "unit": "t",
        "formula": "value visible stock; state MULTI_YEAR_LOW when the last month as low lies visible_low_age_days back or more, RECORD when there is none in a history as long",
        "parameters": [
            "visible_low_age_days"
        ],
        "states": [
            "RECORD",
            "MULTI_YEAR_LOW",
            "OFF"
        ]
    },
    "visible_all_t": {
        "unit": "t",
        "formula": "off-warrant + registered + Shanghai (SHFE) at the same month-end",
        "parameters": [],
        "states": []
    },
    "visible_all_low": {
        "unit": "t",
        "formula": "value off-warrant + registered + Shanghai (SHFE); states as visible_low",
        "parameters": [
            "visible_low_age_days"
        ],
        "states": [
            "RECORD",
            "MULTI_YEAR_LOW",
            "OFF"
        ]
    },
    "exchange_stock": {
        "unit": "t",
        "formula": "stock of another exchange by its own definition, the latest report known",
        "parameters": [],
        "states": []
    },
    "place_herfindahl": {
        "unit": "ratio",
        "formula": "sum of the squared shares of the places in the registered stock",
        "parameters": [],
        "states": []
    },
    "queue_days": {
        "unit": "days",
        "formula": "cancelled / mean load-out of the last load_out_days, at the place with the most cancelled metal",
        "parameters": [
            "load_out_days"
        ],
        "states": []
    },
    "visible_low_age": {
        "unit": "days",
        "formula": "month-end less the last earlier one with visible stock as low; missing where there is none",
        "parameters": [],
        "states": []
    },
    "offwarrant_yoy": {
        "unit": "ratio",
        "formula": "off-warrant / 12 months before - 1",
        "parameters": [],
        "states": []
    },
    "offwarrant_drain": {
        "unit": "ratio",
        "formula": "value offwarrant_yoy; state ON when <= offwarrant_drain",
        "parameters": [
            "offwarrant_drain"
        ],
        "states": [
            "ON",
            "OFF"
        ]
    },
    "exports_yoy": {
        "unit": "ratio",
        "formula": "latest period / same period a year earlier - 1; Jan+Feb only as a pool",
        "parameters": [],
        "states": []
    },
    "exports_yoy_3m": {
        "unit": "ratio",
        "formula": "latest periods that cover 3 months or more / the same a year earlier - 1",
        "parameters": [
            "rank_window_monthly",
            "rank_min_periods_monthly",
            "component_exports_yoy_3m"
        ],
        "states": []
    },
    "exports_ytd_yoy": {
        "unit": "ratio",
        "formula": "year to date / year to date a year earlier - 1",
        "parameters": [],
        "states": []
    },
    "exports_drop": {
        "unit": "ratio",
        "formula": "value exports_yoy_3m; state ON when <= exports_drop on the last exports_drop_prints periods",
        "parameters": [
            "exports_drop",
            "exports_drop_prints"
        ],
        "states": [
            "ON",
            "OFF"
        ]
    },
    "import_arb": {
        "unit": "CNY/t",
        "formula": "SHFE - [(F + CIF premium) * FX * (1 + duty) * (1 + VAT) + port]",
        "parameters": [
            "port_cny_t"
        ],
        "states": []
    },
    "semis_export_arb": {
        "unit": "USD/t",
        "formula": "(F + destination premium - freight) - (SHFE - SHFE / (1 + VAT) * rebate) / FX",
        "parameters": [],
        "states": []
    },
    "export_window": {
        "unit": "USD/t",
        "formula": "value semis_export_arb; state SHUT when < 0 on the last arb_shut_days decision days",
        "parameters": [
            "arb_shut_days"
        ],
        "states": [
            "OPEN",
            "SHUT"
        ]
    },
    "us_parity_gap": {
        "unit": "USD/t",
        "formula": "(C + Midwest premium) - (C + European duty-unpaid premium + freight) * (1 + Section 232 rate); freight is an ASSUMPTION",
        "parameters": [
            "us_freight_usd_t"
        ],
        "states": []
    },
    "cap_utilisation": {
        "unit": "ratio",
        "formula": "output / days of the period * 365 / cap; state BINDING from cap_binding on, BREACH above cap_breach",
        "parameters": [
            "china_cap_t",
            "cap_binding",
            "cap_breach"
        ],
        "states": [
            "SLACK",
            "BINDING",
            "BREACH"
        ]
    },
    "idled_kt": {
        "unit": "kt/yr",
        "formula": "sum of idled capacity in the smelter register of the region, or of one cause in it",
        "parameters": [],
        "states": []
    },
    "idled_event": {
        "unit": "kt/yr",
        "formula": "value change of idled_kt over idled_event_days; state IDLED or RESTARTED from idled_event_kt on",
        "parameters": [
            "idled_event_kt",
            "idled_event_days"
        ],
        "states": [
            "IDLED",
            "RESTARTED",
            "STEADY"
        ]
    },
    "power_cost": {
        "unit": "USD/t",
        "formula": "mean over market time units (EUR/MWh) * EURUSD * mwh_per_t",
        "parameters": [
            "mwh_per_t"
        ],
        "states": []
    },
    "share_above_115usd": {
        "unit": "ratio",
        "formula": "share of market time units above the reference line power_line_high_usd_mwh",
        "parameters": [
            "power_line_high_usd_mwh"
        ],
        "states": []
    },
    "power_mean_30d": {
        "unit": "USD/MWh",
        "formula": "mean of the daily means of the last power_mean_days; state HIGH from power_line_high_usd_mwh on",
        "parameters": [
            "power_mean_days",
            "power_mean_min_days",
            "power_line_high_usd_mwh"
        ],
        "states": [
            "HIGH",
            "NORMAL"
        ]
    },
    "smelter_margin": {
        "unit": "USD/t",
        "formula": "C + premium - (power cost + alumina_t_per_t * alumina + other cash cost); other cash cost is an ASSUMPTION",
        "parameters": [
            "mwh_per_t",
            "alumina_t_per_t",
            "other_cash_usd_t"
        ],
        "states": []
    },
    "breakeven_power": {
        "unit": "USD/MWh",
        "formula": "(C + premium - alumina_t_per_t * alumina - other cash cost) / mwh_per_t; other cash cost is an ASSUMPTION",
        "parameters": [
            "mwh_per_t",
            "alumina_t_per_t",
            "other_cash_usd_t"
        ],
        "states": []
    },
    "curtailment_risk": {
        "unit": "USD/MWh",
        "formula": "value headroom = break-even power - power; state CURTAILMENT_RISK when < 0 on the last curtailment_days decision days; other cash cost is an ASSUMPTION",
        "parameters": [
            "mwh_per_t",
            "alumina_t_per_t",
            "other_cash_usd_t",
            "curtailment_days"
        ],
        "states": [
            "CURTAILMENT_RISK",
            "NONE"
        ]
    },
    "supply_stress": {
        "unit": "index points",
        "formula": "100 * mean of mid-rank(power_mean_30d) and 1 - mid-rank(headroom); beside the index, not in it; other cash cost is an ASSUMPTION",
        "parameters": [
            "mwh_per_t",
            "alumina_t_per_t",
            "other_cash_usd_t",
            "power_mean_days",
            "power_mean_min_days",
            "rank_window",
            "rank_min_periods"
        ],
        "states": []
    },
    "near_high": {
        "unit": "ratio",
        "formula": "close / highest close of the last 252; state NEAR_HIGH from near_high_ratio on",
        "parameters": [
            "near_high_obs",
            "near_high_ratio"
        ],
        "states": [
            "NEAR_HIGH",
            "BELOW"
        ]
    },
    "days_to_event": {
        "unit": "days",
        "formula": "event date - as-of date; state ACTIVE from event_before_days before to event_after_days after",
        "parameters": [
            "event_before_days",
            "event_after_days"
        ],
        "states": [
            "AHEAD",
            "ACTIVE",
            "PAST"
        ]
    },
    "event_month": {
        "unit": "yyyymm",
        "formula": "year and month of the event's date, as known then",
        "parameters": [],
        "states": []
    },
    "tightness_index": {
        "unit": "index points",
        "formula": "100 * sum(weight * family) / sum(weight)",
        "parameters": [
            "index_components",
            "day_count",
            "rent_usd_t_day",
            "financing_spread",
            "stale_days_rate",
            "max_age_days_rate",
            "consumption_t_per_year",
            "stock_chg_obs",
            "rank_window",
            "rank_min_periods",
            "rank_window_monthly",
            "rank_min_periods_monthly",
            "min_coverage"
        ],
        "states": []
    },
    "regime": {
        "unit": "index points",
        "formula": "value the index; state with hysteresis and confirmation",
        "parameters": [
            "index_components",
            "day_count",
            "rent_usd_t_day",
            "financing_spread",
            "stale_days_rate",
            "max_age_days_rate",
            "consumption_t_per_year",
            "stock_chg_obs",
            "rank_window",
            "rank_min_periods",
            "rank_window_monthly",
            "rank_min_periods_monthly",
            "min_coverage",
            "enter_tight",
            "exit_tight",
            "enter_squeeze",
            "exit_squeeze",
            "enter_loose",
            "exit_loose",
            "regime_confirm",
            "regime_max_gap"
        ],
        "states": [
            "LOOSE",
            "NEUTRAL",
            "TIGHT",
            "SQUEEZE"
        ]
    },
    "tightness_index_v2": {
        "unit": "index points",
        "formula": "100 * sum(weight * family) / sum(weight); family: mean of scores, score: mean of the ranks in rank_window and among all values so far",
        "parameters": [
            "index_components_v2",
            "day_count",
            "rent_usd_t_day",
            "financing_spread",
            "stale_days_rate",
            "max_age_days_rate",
            "consumption_t_per_year",
            "stock_chg_obs",
            "relabel_jump",
            "relabel_share",
            "rank_window",
            "rank_min_periods_v2",
            "rank_window_monthly",
            "rank_min_periods_monthly_v2",
            "min_coverage_v2",
            "median_obs",
            "season_years",
            "season_min_years"
        ],
        "states": []
    },
    "regime_v2": {
        "unit": "index points",
        "formula": "value the index; state of the index smoothed with regime_half_life_v2, with hysteresis and confirmation; SQUEEZE only while the median spread of the last median_obs days is above 0",
        "parameters": [
            "index_components_v2",
            "day_count",
            "rent_usd_t_day",
            "financing_spread",
            "stale_days_rate",
            "max_age_days_rate",
            "consumption_t_per_year",
            "stock_chg_obs",
            "relabel_jump",
            "relabel_share",
            "rank_window",
            "rank_min_periods_v2",
            "rank_window_monthly",
            "rank_min_periods_monthly_v2",
            "min_coverage_v2",
            "median_obs",
            "season_years",
            "season_min_years",
            "enter_tight",
            "exit_tight",
            "enter_squeeze",
            "exit_squeeze",
            "enter_loose",
            "exit_loose",
            "regime_confirm_v2",
            "regime_max_gap",
            "regime_half_life_v2"
        ],
        "states": [
            "LOOSE",
            "NEUTRAL",
            "TIGHT",
            "SQUEEZE"
        ]
    }
}) }} {%- endmacro %}

{% macro daily_indicators() -%} {{ return({
    "carry_tightness": {
        "table": "curve_daily",
        "age_days": "price_age_days",
        "is_stale": "coalesce(is_rate_stale, false)",
        "is_suspect": "false",
        "metric": ""
    },
    "cancelled_ratio": {
        "table": "inventory_daily",
        "age_days": "cancelled_age_days",
        "is_stale": "false",
        "is_suspect": "false",
        "metric": ""
    },
    "stock_days": {
        "table": "inventory_daily",
        "age_days": "stock_age_days",
        "is_stale": "false",
        "is_suspect": "false",
        "metric": ""
    },
    "stock_log_chg": {
        "table": "inventory_daily",
        "age_days": "stock_age_days",
        "is_stale": "false",
        "is_suspect": "false",
        "metric": ""
    },
    "carry_tightness_median": {
        "table": "index_inputs",
        "age_days": "price_age_days",
        "is_stale": "coalesce(is_rate_stale, false)",
        "is_suspect": "false",
        "metric": "carry_tightness"
    },
    "live_stock_deviation": {
        "table": "index_inputs",
        "age_days": "stock_age_days",
        "is_stale": "false",
        "is_suspect": "false",
        "metric": "stock_days"
    },
    "stock_chg_winsorised": {
        "table": "index_inputs",
        "age_days": "stock_age_days",
        "is_stale": "false",
        "is_suspect": "false",
        "metric": "stock_log_chg"
    },
    "new_cancellations": {
        "table": "index_inputs",
        "age_days": "stock_age_days",
        "is_stale": "false",
        "is_suspect": "false",
        "metric": "cancelled_ratio"
    },
    "tom_next_usd_t": {
        "table": "index_inputs",
        "age_days": "tom_next_age_days",
        "is_stale": "false",
        "is_suspect": "false",
        "metric": ""
    },
    "m3_m15_usd_t": {
        "table": "index_inputs",
        "age_days": "m3_m15_age_days",
        "is_stale": "false",
        "is_suspect": "false",
        "metric": ""
    },
    "visible_all_deviation": {
        "table": "index_inputs",
        "age_days": "visible_all_age_days",
        "is_stale": "false",
        "is_suspect": "false",
        "metric": "visible_t"
    },
    "shanghai_stock_days": {
        "table": "index_inputs",
        "age_days": "shanghai_stock_age_days",
        "is_stale": "false",
        "is_suspect": "false",
        "metric": ""
    },
    "premium_us_midwest": {
        "table": "index_inputs",
        "age_days": "premium_us_midwest_age_days",
        "is_stale": "false",
        "is_suspect": "false",
        "metric": ""
    },
    "premium_eu_duty_unpaid": {
        "table": "index_inputs",
        "age_days": "premium_eu_duty_unpaid_age_days",
        "is_stale": "false",
        "is_suspect": "false",
        "metric": ""
    },
    "premium_japan": {
        "table": "index_inputs",
        "age_days": "premium_japan_age_days",
        "is_stale": "false",
        "is_suspect": "false",
        "metric": ""
    }
}) }} {%- endmacro %}

{% macro quality_order() -%} {{ return([
    "MISSING",
    "STALE",
    "WARMUP",
    "SUSPECT",
    "BREAK",
    "PARTIAL"
]) }} {%- endmacro %}

{% macro published_indicators() -%} {{ return([
    "carry_tightness",
    "cancelled_ratio",
    "stock_days",
    "stock_log_chg",
    "exports_yoy_3m"
]) }} {%- endmacro %}

{% macro published_families() -%} {{ return([
    "curve",
    "inventory",
    "flow"
]) }} {%- endmacro %}

{% macro published_families_v2() -%} {{ return([
    "curve",
    "stock",
    "flow",
    "physical"
]) }} {%- endmacro %}

{% macro wide_columns() -%} {{ return([
    [
        "price_yoy",
        "PRICE.YOY",
        "value",
        ""
    ],
    [
        "price_level_5of5",
        "PRICE.LEVEL_5OF5",
        "state",
        ""
    ],
    [
        "price_level_3of5",
        "PRICE.LEVEL_3OF5",
        "state",
        ""
    ],
    [
        "thesis_broken",
        "PRICE.THESIS_BROKEN",
        "state",
        ""
    ],
    [
        "cash_3m_spread_usd_t",
        "CURVE.CASH_3M_SPREAD",
        "value",
        ""
    ],
    [
        "backwardation",
        "CURVE.BACKWARDATION",
        "state",
        ""
    ],
    [
        "spread_unwind",
        "CURVE.SPREAD_UNWIND",
        "state",
        ""
    ],
    [
        "carry_tightness",
        "CURVE.CARRY_TIGHTNESS",
        "value",
        ""
    ],
    [
        "carry_tightness_score",
        "CURVE.CARRY_TIGHTNESS",
        "score",
        ""
    ],
    [
        "tom_next_usd_t",
        "CURVE.TOM_NEXT",
        "value",
        ""
    ],
    [
        "m3_m15_usd_t",
        "CURVE.M3_M15",
        "value",
        ""
    ],
    [
        "cancelled_ratio",
        "INVENTORY.CANCELLED_RATIO",
        "value",
        ""
    ],
    [
        "cancelled_ratio_score",
        "INVENTORY.CANCELLED_RATIO",
        "score",
        ""
    ],
    [
        "stock_days",
        "INVENTORY.STOCK_DAYS",
        "value",
        ""
    ],
    [
        "stock_days_score",
        "INVENTORY.STOCK_DAYS",
        "score",
        ""
    ],
    [
        "stock_log_chg",
        "INVENTORY.STOCK_LOG_CHG",
        "value",
        ""
    ],
    [
        "stock_log_chg_score",
        "INVENTORY.STOCK_LOG_CHG",
        "score",
        ""
    ],
    [
        "stock_unwind",
        "INVENTORY.STOCK_UNWIND",
        "state",
        ""
    ],
    [
        "visible_t",
        "INVENTORY.VISIBLE",
        "value",
        ""
    ],
    [
        "visible_low",
        "INVENTORY.VISIBLE_LOW",
        "state",
        ""
    ],
    [
        "off_warrant_yoy",
        "INVENTORY.OFF_WARRANT_YOY",
        "value",
        ""
    ],
    [
        "off_warrant_drain",
        "INVENTORY.OFF_WARRANT_DRAIN",
        "state",
        ""
    ],
    [
        "visible_all_t",
        "INVENTORY.VISIBLE_ALL",
        "value",
        ""
    ],
    [
        "visible_all_low",
        "INVENTORY.VISIBLE_ALL_LOW",
        "state",
        ""
    ],
    [
        "shfe_stock_t",
        "INVENTORY.SHFE_STOCK",
        "value",
        ""
    ],
    [
        "place_concentration",
        "INVENTORY.PLACE_CONCENTRATION",
        "value",
        ""
    ],
    [
        "queue_days",
        "INVENTORY.QUEUE_DAYS",
        "value",
        ""
    ],
    [
        "comex_net",
        "POSITIONS.COMEX_NET",
        "value",
        ""
    ],
    [
        "comex_net_percentile",
        "POSITIONS.COMEX_NET_PERCENTILE",
        "value",
        ""
    ],
    [
        "us_parity_gap_usd_t",
        "FLOW.US_PARITY_GAP",
        "value",
        ""
    ],
    [
        "cn_exports_yoy_3m",
        "FLOW.CN_EXPORTS_YOY_3M",
        "value",
        ""
    ],
    [
        "cn_exports_yoy_3m_score",
        "FLOW.CN_EXPORTS_YOY_3M",
        "score",
        ""
    ],
    [
        "cn_exports_ytd_yoy",
        "FLOW.CN_EXPORTS_YTD_YOY",
        "value",
        ""
    ],
    [
        "cn_exports_drop",
        "FLOW.CN_EXPORTS_DROP",
        "state",
        ""
    ],
    [
        "cn_import_arb_cny_t",
        "FLOW.CN_IMPORT_ARB",
        "value",
        ""
    ],
    [
        "cn_semis_export_arb_usd_t",
        "FLOW.CN_SEMIS_EXPORT_ARB",
        "value",
        ""
    ],
    [
        "cn_export_window",
        "FLOW.CN_EXPORT_WINDOW",
        "state",
        ""
    ],
    [
        "cn_cap_utilisation",
        "SUPPLY.CN_CAP_UTILISATION",
        "value",
        ""
    ],
    [
        "cn_cap_state",
        "SUPPLY.CN_CAP_UTILISATION",
        "state",
        ""
    ],
    [
        "europe_idled_kt",
        "SUPPLY.EUROPE_IDLED",
        "value",
        ""
    ],
    [
        "europe_idled_event",
        "SUPPLY.EUROPE_IDLED_EVENT",
        "state",
        ""
    ],
    [
        "power_de_lu_mean_30d_usd_mwh",
        "POWER.DE_LU_MEAN_30D",
        "value",
        ""
    ],
    [
        "smelter_de_lu_margin_usd_t",
        "SMELTER.DE_LU_MARGIN",
        "value",
        ""
    ],
    [
        "smelter_de_lu_breakeven_power_usd_mwh",
        "SMELTER.DE_LU_BREAKEVEN_POWER",
        "value",
        ""
    ],
    [
        "smelter_de_lu_curtailment_risk",
        "SMELTER.DE_LU_CURTAILMENT_RISK",
        "state",
        ""
    ],
    [
        "supply_de_lu_stress",
        "SUPPLY.DE_LU_STRESS",
        "value",
        ""
    ],
    [
        "power_fr_mean_30d_usd_mwh",
        "POWER.FR_MEAN_30D",
        "value",
        ""
    ],
    [
        "smelter_fr_margin_usd_t",
        "SMELTER.FR_MARGIN",
        "value",
        ""
    ],
    [
        "smelter_fr_breakeven_power_usd_mwh",
        "SMELTER.FR_BREAKEVEN_POWER",
        "value",
        ""
    ],
    [
        "smelter_fr_curtailment_risk",
        "SMELTER.FR_CURTAILMENT_RISK",
        "state",
        ""
    ],
    [
        "supply_fr_stress",
        "SUPPLY.FR_STRESS",
        "value",
        ""
    ],
    [
        "aa_near_high",
        "EQUITY.AA_NEAR_HIGH",
        "value",
        ""
    ],
    [
        "usmca_review_days",
        "EVENT.USMCA_REVIEW",
        "value",
        ""
    ],
    [
        "tightness_index",
        "TIGHTNESS.INDEX",
        "value",
        "tightness_index"
    ],
    [
        "regime",
        "TIGHTNESS.REGIME",
        "state",
        "regime"
    ],
    [
        "tightness_index_v2",
        "TIGHTNESS.INDEX",
        "value",
        "tightness_index_v2"
    ],
    [
        "regime_v2",
        "TIGHTNESS.REGIME",
        "state",
        "regime_v2"
    ]
]) }} {%- endmacro %}
