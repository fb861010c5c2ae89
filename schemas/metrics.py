"""The metrics that signals publish and claims are tested on, with unit, formula, parameters and states.

A metric has one row for each decision time, metal and entity (country, zone, ticker, event). Formulas are computed in
`dbt/macros/formulas.sql` and explained in docs/methodology.md; the texts here are those of the signal dictionary.
"""

from __future__ import annotations

from typing import Final, NamedTuple

# Parameters from index_components.csv: the whole table, or one row's sign and age limit.
COMPONENTS: Final = "index_components"
COMPONENT: Final = "component_"

LEVEL_5OF5 = ("level_up", "level_down", "level_buffer", "level_k", "level_m")
LEVEL_3OF5 = ("level_up", "level_down", "level_buffer", "level_alt_k", "level_alt_m")
CARRY = ("day_count", "rent_usd_t_day", "financing_spread", "stale_days_rate", "max_age_days_rate")
RANK = ("rank_window", "rank_min_periods")
RANK_MONTHLY = ("rank_window_monthly", "rank_min_periods_monthly")
INDEX = (
    COMPONENTS, *CARRY, "consumption_t_per_year", "stock_chg_obs", *RANK, *RANK_MONTHLY, "min_coverage",
)  # fmt: skip
REGIME = (
    "enter_tight", "exit_tight", "enter_squeeze", "exit_squeeze", "enter_loose", "exit_loose", "regime_confirm",
    "regime_max_gap",
)  # fmt: skip
INDEX_V2 = (
    f"{COMPONENTS}_v2", *CARRY, "consumption_t_per_year", "stock_chg_obs", "relabel_jump", "relabel_share",
    "rank_window", "rank_min_periods_v2", "rank_window_monthly", "rank_min_periods_monthly_v2", "min_coverage_v2",
    "median_obs", "season_years", "season_min_years",
)  # fmt: skip
REGIME_V2 = (
    "enter_tight", "exit_tight", "enter_squeeze", "exit_squeeze", "enter_loose", "exit_loose", "regime_confirm_v2",
    "regime_max_gap", "regime_half_life_v2",
)  # fmt: skip
SMELTER = ("mwh_per_t", "alumina_t_per_t", "other_cash_usd_t")
POWER_MEAN = ("power_mean_days", "power_mean_min_days")


class Metric(NamedTuple):
    """A metric: unit, formula in the signal dictionary, parameters, and possible states."""

    unit: str
    formula: str
    parameters: tuple[str, ...] = ()
    states: tuple[str, ...] = ()


LEVELS = ("ABOVE", "INSIDE", "BELOW")
ON_OFF = ("ON", "OFF")

METRICS: Final[dict[str, Metric]] = {
    # price
    "m3_usd_t": Metric("USD/t", "F, the latest three-month price known"),
    "px_yoy": Metric(
        "ratio", "P / last P on or before 12 calendar months earlier, at most 7 days older, - 1",
        ("yoy_max_staleness_days",),
    ),
    "level_state_5of5": Metric(
        "USD/t", "value F; state ABOVE when the last 5 of 5 F > level_up, BELOW when < level_down; left when sustained "
        "back across the same level", LEVEL_5OF5, LEVELS,
    ),
    "level_state_3of5": Metric("USD/t", "as level_state_5of5 with 3 of 5, the latest included", LEVEL_3OF5, LEVELS),
    # curve
    "cash_3m_spread": Metric("USD/t", "C - F; positive is backwardation"),
    "backwardation_sustained": Metric(
        "USD/t", "value C - F; state ON when C - F > 0 on at least 3 of the last 5, the latest included",
        ("bw_k", "bw_m"), ON_OFF,
    ),
    "backwardation_days": Metric(
        "days", "observations with C - F > 0 among the last bw_window; suspect prices do not count", ("bw_window",),
    ),
    "spread_rank": Metric(
        "ratio", "mid-rank of C - F among those of the last rank_window days; suspect prices do not count", RANK,
    ),
    "quoted_spread": Metric(
        "USD/t", "near leg - far leg of the tenor, as quoted; positive is backwardation", ("stale_days_spread",)
    ),
    "carry_tightness": Metric("ratio", "1 - (F - C) / full carry", (*CARRY, *RANK, f"{COMPONENT}carry_tightness")),
    "spread_unwind": Metric(
        "USD/t", "value C - F; state BACKWARDATION once sustained, UNWOUND once C - F <= 0 on 3 of 5 after it",
        ("bw_k", "bw_m"), ("BACKWARDATION", "UNWOUND", "CONTANGO"),
    ),
    "thesis_broken": Metric(
        "conditions", "conditions met of two: level_state_5of5 = BELOW; C - F <= 0. State ON when both are",
        LEVEL_5OF5, ON_OFF,
    ),
    # positions
    "managed_net": Metric("contracts", "managed_long - managed_short of money managers, spreading left out"),
    "managed_net_percentile": Metric(
        "ratio", "mid-rank of managed_net / open interest among the weeks of the last rank_months_weekly",
        ("rank_months_weekly", "rank_min_periods_weekly"),
    ),
    # inventory
    "cancelled_ratio": Metric("ratio", "cancelled / total", (*RANK, f"{COMPONENT}cancelled_ratio")),
    "stock_days": Metric(
        "days", "total / (annual consumption / 365)", ("consumption_t_per_year", *RANK, f"{COMPONENT}stock_days")
    ),
    "stock_log_chg": Metric(
        "ln", "ln(S_t / S_t-n), n = stock_chg_obs stock observations",
        ("stock_chg_obs", *RANK, f"{COMPONENT}stock_log_chg"),
    ),
    "stock_unwind": Metric(
        "ln", "value ln(S_t / S_t-n); state ON when it was >= stock_unwind_ln on the last stock_unwind_k observations",
        ("stock_chg_obs", "stock_unwind_ln", "stock_unwind_k"), ON_OFF,
    ),
    "visible_t": Metric("t", "off-warrant + registered at the same month-end"),
    "visible_low": Metric(
        "t", "value visible stock; state MULTI_YEAR_LOW when the last month as low lies visible_low_age_days back or "
        "more, RECORD when there is none in a history as long", ("visible_low_age_days",),
        ("RECORD", "MULTI_YEAR_LOW", "OFF"),
    ),
    "visible_all_t": Metric("t", "off-warrant + registered + Shanghai (SHFE) at the same month-end"),
    "visible_all_low": Metric(
        "t", "value off-warrant + registered + Shanghai (SHFE); states as visible_low", ("visible_low_age_days",),
        ("RECORD", "MULTI_YEAR_LOW", "OFF"),
    ),
    "exchange_stock": Metric("t", "stock of another exchange by its own definition, the latest report known"),
    "place_herfindahl": Metric("ratio", "sum of the squared shares of the places in the registered stock"),
    "queue_days": Metric(
        "days", "cancelled / mean load-out of the last load_out_days, at the place with the most cancelled metal",
        ("load_out_days",),
    ),
    "visible_low_age": Metric(
        "days", "month-end less the last earlier one with visible stock as low; missing where there is none"
    ),
    "offwarrant_yoy": Metric("ratio", "off-warrant / 12 months before - 1"),
    "offwarrant_drain": Metric(
        "ratio", "value offwarrant_yoy; state ON when <= offwarrant_drain", ("offwarrant_drain",), ON_OFF
    ),
    # flow
    "exports_yoy": Metric("ratio", "latest period / same period a year earlier - 1; Jan+Feb only as a pool"),
    "exports_yoy_3m": Metric(
        "ratio", "latest periods that cover 3 months or more / the same a year earlier - 1",
        (*RANK_MONTHLY, f"{COMPONENT}exports_yoy_3m"),
    ),
    "exports_ytd_yoy": Metric("ratio", "year to date / year to date a year earlier - 1"),
    "exports_drop": Metric(
        "ratio", "value exports_yoy_3m; state ON when <= exports_drop on the last exports_drop_prints periods",
        ("exports_drop", "exports_drop_prints"), ON_OFF,
    ),
    "import_arb": Metric("CNY/t", "SHFE - [(F + CIF premium) * FX * (1 + duty) * (1 + VAT) + port]", ("port_cny_t",)),
    "semis_export_arb": Metric(
        "USD/t", "(F + destination premium - freight) - (SHFE - SHFE / (1 + VAT) * rebate) / FX"
    ),
    "export_window": Metric(
        "USD/t", "value semis_export_arb; state SHUT when < 0 on the last arb_shut_days decision days",
        ("arb_shut_days",), ("OPEN", "SHUT"),
    ),
    "us_parity_gap": Metric(
        "USD/t", "(C + Midwest premium) - (C + European duty-unpaid premium + freight) * (1 + Section 232 rate); "
        "freight is an ASSUMPTION", ("us_freight_usd_t",),
    ),
    # supply
    "cap_utilisation": Metric(
        "ratio", "output / days of the period * 365 / cap; state BINDING from cap_binding on, BREACH above cap_breach",
        ("china_cap_t", "cap_binding", "cap_breach"), ("SLACK", "BINDING", "BREACH"),
    ),
    "idled_kt": Metric("kt/yr", "sum of idled capacity in the smelter register of the region, or of one cause in it"),
    "idled_event": Metric(
        "kt/yr", "value change of idled_kt over idled_event_days; state IDLED or RESTARTED from idled_event_kt on",
        ("idled_event_kt", "idled_event_days"), ("IDLED", "RESTARTED", "STEADY"),
    ),
    # power and smelters
    "power_cost": Metric("USD/t", "mean over market time units (EUR/MWh) * EURUSD * mwh_per_t", ("mwh_per_t",)),
    "share_above_115usd": Metric(
        "ratio", "share of market time units above the reference line power_line_high_usd_mwh",
        ("power_line_high_usd_mwh",),
    ),
    "power_mean_30d": Metric(
        "USD/MWh", "mean of the daily means of the last power_mean_days; state HIGH from power_line_high_usd_mwh on",
        (*POWER_MEAN, "power_line_high_usd_mwh"), ("HIGH", "NORMAL"),
    ),
    "smelter_margin": Metric(
        "USD/t", "C + premium - (power cost + alumina_t_per_t * alumina + other cash cost); other cash cost is an "
        "ASSUMPTION", SMELTER,
    ),
    "breakeven_power": Metric(
        "USD/MWh", "(C + premium - alumina_t_per_t * alumina - other cash cost) / mwh_per_t; other cash cost is an "
        "ASSUMPTION", SMELTER,
    ),
    "curtailment_risk": Metric(
        "USD/MWh", "value headroom = break-even power - power; state CURTAILMENT_RISK when < 0 on the last "
        "curtailment_days decision days; other cash cost is an ASSUMPTION", (*SMELTER, "curtailment_days"),
        ("CURTAILMENT_RISK", "NONE"),
    ),
    "supply_stress": Metric(
        "index points", "100 * mean of mid-rank(power_mean_30d) and 1 - mid-rank(headroom); beside the index, not in "
        "it; other cash cost is an ASSUMPTION", (*SMELTER, *POWER_MEAN, *RANK),
    ),
    # equities and events
    "near_high": Metric(
        "ratio", "close / highest close of the last 252; state NEAR_HIGH from near_high_ratio on",
        ("near_high_obs", "near_high_ratio"), ("NEAR_HIGH", "BELOW"),
    ),
    "days_to_event": Metric(
        "days", "event date - as-of date; state ACTIVE from event_before_days before to event_after_days after",
        ("event_before_days", "event_after_days"), ("AHEAD", "ACTIVE", "PAST"),
    ),
    "event_month": Metric("yyyymm", "year and month of the event's date, as known then"),
    # index
    "tightness_index": Metric("index points", "100 * sum(weight * family) / sum(weight)", INDEX),
    "regime": Metric(
        "index points", "value the index; state with hysteresis and confirmation", (*INDEX, *REGIME),
        ("LOOSE", "NEUTRAL", "TIGHT", "SQUEEZE"),
    ),
    "tightness_index_v2": Metric(
        "index points", "100 * sum(weight * family) / sum(weight); family: mean of scores, score: mean of the ranks in "
        "rank_window and among all values so far", INDEX_V2,
    ),
    "regime_v2": Metric(
        "index points", "value the index; state of the index smoothed with regime_half_life_v2, with hysteresis and "
        "confirmation; SQUEEZE only while the median spread of the last median_obs days is above 0",
        (*INDEX_V2, *REGIME_V2), ("LOOSE", "NEUTRAL", "TIGHT", "SQUEEZE"),
    ),
}  # fmt: skip
