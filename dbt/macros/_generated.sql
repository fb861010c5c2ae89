{# Generated from schemas/ by `make docs`: do not edit. #}
{% macro dataset(name) -%} {{ return({
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
        "entity": "metal",
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
            "obs_date"
        ],
        "period": "obs_date",
        "entity": "",
        "columns": [
            "obs_date",
            "sofr_pct"
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
        "entity": "metal",
        "columns": [
            "metal",
            "benchmark",
            "period_end",
            "mean_usd_t"
        ]
    }
}[name]) }} {%- endmacro %}

{% macro parameter_names() -%} {{ return([
    "day_count",
    "rent_usd_t_day",
    "financing_spread",
    "consumption_t_per_year",
    "stock_chg_obs",
    "yoy_max_staleness_days",
    "tick_usd_t",
    "level_up",
    "level_down",
    "level_k",
    "level_m",
    "level_alt_k",
    "level_alt_m",
    "level_buffer",
    "bw_k",
    "bw_m",
    "rank_min_periods",
    "rank_min_periods_monthly",
    "rank_window",
    "rank_window_monthly",
    "min_coverage",
    "enter_tight",
    "exit_tight",
    "enter_squeeze",
    "exit_squeeze",
    "enter_loose",
    "exit_loose",
    "regime_confirm",
    "regime_max_gap",
    "max_age_days_rate",
    "max_age_days_off_warrant",
    "mwh_per_t",
    "power_line_high_usd_mwh",
    "power_line_low_usd_mwh"
]) }} {%- endmacro %}
