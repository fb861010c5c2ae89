"""The field registry: one entry for each column name, with its type, meaning, unit and rules.

Models name their columns and override only what differs in them (`schemas.base.field`). Formulas use C for the cash
price, F for the three-month price, D for the days between their prompts, r for the interest rate and e for the power
use of a smelter. A date names a whole day and has no unit; the unit of a moment is UTC.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, Final, NamedTuple

BASES: Final = ("OBSERVED", "CALENDAR", "ASSUMED")  # best first: a computed row carries the worst of its inputs
LICENCES: Final = ("OPEN", "BYO", "RESTRICTED")  # freest first
QUALITIES: Final = ("MISSING", "STALE", "WARMUP", "SUSPECT", "BREAK", "PARTIAL")  # worst first; OK where none holds

OWN_UNIT: Final = "see unit"  # in the row's column `unit`


class Plausible(NamedTuple):
    """Band for the level of a column in one response: the 90th percentile of its absolute values, in the column's unit.

    The bands are wide and hold for every metal: lead at 850 USD/t and tin, nickel and cobalt at a hundred times as much
    are prices. They catch a changed unit, not a market that moved.
    """

    low: float
    high: float
    moves: float = 30.0  # highest ratio of the levels of two successive periods
    rewritten: bool = False  # past values change by a factor, as closes do after a share split


class Field:
    """Meaning of a column name.

    `checks` hold in every table. `accepts` limits what the lake and the reference tables take; the published tables do
    without it. Both are arguments of `pandera.Field`.
    """

    def __init__(
        self,
        dtype: type,
        description: str,
        unit: str = "",
        *,
        accepts: Mapping[str, Any] | None = None,
        plausible: Plausible | None = None,
        **checks: Any,
    ) -> None:
        self.dtype, self.description, self.unit = dtype, description, unit
        self.checks, self.accepts, self.plausible = checks, accepts or {}, plausible


SCORE: Final[dict[str, Any]] = {"ge": 0, "le": 1}
FAMILIES_V2: Final = ("CURVE", "STOCK", "FLOW", "PHYSICAL")  # of version 2 of the index
IDENTIFIER: Final[dict[str, Any]] = {"str_matches": "^[A-Z0-9_]+$"}
COUNTRY: Final[dict[str, Any]] = {"str_matches": "^[A-Z]{2}$"}
VERDICTS: Final = ["SUPPORTED", "REVERSED", "WEAK", "NO_EVIDENCE", "INSUFFICIENT"]  # the most that can be said first
TEXT: Final[dict[str, Any]] = {"str_length": {"min_value": 3}}

FIELDS: Final[dict[str, Field]] = {
    # Series: what an observation is about
    "metal": Field(str, "Chemical symbol of the metal, in capitals", accepts={"str_matches": "^[A-Z]{2}$"}),
    "country": Field(str, "Country, ISO 3166 alpha-2", accepts=COUNTRY),
    "region": Field(str, "Country or region of the series, or GLOBAL"),
    "zone": Field(str, "Bidding zone of the power market", accepts={"str_matches": "^[A-Z]{2}[A-Z0-9-]{0,8}$"}),
    "ticker": Field(
        str, "Ticker of the share, as the price source writes it", accepts={"str_matches": "^[A-Z][A-Z0-9.-]{0,11}$"},
    ),
    "pair": Field(
        str, "Currency pair in six letters; EURUSD is USD for one EUR", accepts={"str_matches": "^[A-Z]{6}$"},
    ),
    "rate_id": Field(
        str, "Overnight rate: SOFR, or EFFR, the effective federal funds rate", isin=["EFFR", "SOFR"],
    ),
    "exchange": Field(str, "Exchange that publishes the stock", isin=["COMEX", "SHFE"]),
    "product": Field(
        str, "The metal itself, its raw material or its cast alloy, each with a contract of its own",
        isin=["METAL", "ALUMINA", "CAST_ALLOY"],
    ),
    "location": Field(str, "Place of the warehouses, as in PORT_KLANG", accepts=IDENTIFIER),
    "contract": Field(
        str, "Futures contract: the market code of the CFTC, six characters with leading zeros",
        accepts={"str_matches": "^[0-9A-Z]{5}[0-9A-Z+]$"},
    ),
    "benchmark": Field(str, "Publisher of the mean price", isin=["WORLD_BANK", "FRED"]),
    # Times
    "obs_date": Field(date, "Trading day"),
    "period_end": Field(date, "Last day of the period"),
    "period_months": Field(
        int, "Months in the period: 1, or 2 for the January-February pool", "months", accepts={"ge": 1, "le": 2},
    ),
    "delivery_date": Field(date, "Local delivery day"),
    "obs_start": Field(date, "First day of the observed period"),
    "obs_end": Field(date, "Last day of the observed period"),
    "as_of_date": Field(date, "As-of date: a London business day"),
    "as_of_ts": Field(datetime, "Decision time: 18:00 Europe/London on the as-of date", "UTC"),
    "knowledge_ts": Field(
        datetime, "Knowledge time: earliest time at which a user of this source tier could know the value", "UTC",
    ),
    "knowledge_ts_max": Field(
        datetime, "Latest knowledge time of the inputs; never after as_of_ts in tables that have it", "UTC",
    ),
    "knowledge_basis": Field(
        str, "Basis of the knowledge time: OBSERVED (captured), CALENDAR (release calendar) or ASSUMED (assumed lag); "
        "the worst of the inputs where there are several", isin=list(BASES),
    ),
    "known_from": Field(datetime, "Time from which this vintage was the latest known", "UTC"),
    "known_to": Field(datetime, "Time until which this vintage was the latest known; far future if it still is", "UTC"),
    "ingest_ts": Field(datetime, "Time at which this project captured the value", "UTC"),
    # Vintages and origin
    "vintage": Field(
        int, "Release number as the publisher states it; used for the order of releases alone", "count", ge=1,
    ),
    "vintage_no": Field(
        int, "Number of the vintage: 1 for the first known value of the observation, then counted up", "count", ge=1,
    ),
    "is_suspect": Field(
        bool, "Whether the publisher stated two different values under one release number: one of them is an error",
    ),
    "source": Field(str, "Source module that provided the value, or drop for a file of the user"),
    "payload_sha256": Field(str, "SHA-256 hash of the archived payload with the value", str_matches="^[0-9a-f]{64}$"),
    "licence_class": Field(
        str, "Redistribution: OPEN, BYO (the user's own data) or RESTRICTED; the strictest of the inputs where there "
        "are several", isin=list(LICENCES),
    ),
    # Prices and the curve
    "cash_usd_t": Field(
        float, "Cash settlement price (C)", "USD/t", gt=0, accepts={"le": 200_000}, plausible=Plausible(500, 200_000),
    ),
    "m3_usd_t": Field(
        float, "Three-month price (F)", "USD/t", gt=0, accepts={"le": 200_000}, plausible=Plausible(500, 200_000),
    ),
    "mean_usd_t": Field(
        float, "Mean cash price of the month", "USD/t", gt=0, accepts={"le": 200_000},
        plausible=Plausible(200, 200_000),
    ),
    "days_cash_to_3m": Field(
        int, "Calendar days from the cash prompt to the three-month prompt (D)", "days", ge=80, le=100,
    ),
    "is_third_wednesday_cash": Field(
        bool, "Whether the cash prompt of price_obs_date is a third Wednesday, on which most positions fall due",
    ),
    "spread": Field(
        str, "Legs of the spread, the near one first: CASH_TOM, TOM_NEXT, CASH_3M, DEC_DEC or two months (M3_M15)",
    ),
    "usd_t": Field(
        float, "Near leg minus far leg; positive is backwardation", "USD/t", accepts={"ge": -20_000, "le": 20_000},
    ),
    "price_obs_date": Field(date, "Trading day of the latest known price"),
    "price_age_days": Field(int, "Days from price_obs_date to as_of_date", "days"),
    "cash_3m_spread_usd_t": Field(float, "C - F; positive is backwardation", "USD/t"),
    "m3_yoy": Field(float, "F / F of m3_yoy_base_date - 1: change of the three-month price over a year", "ratio"),
    "m3_yoy_base_date": Field(
        date, "Last trading day on or before the same day of the year before, at most yoy_max_staleness_days older",
    ),
    "level_state_5of5": Field(
        str, "Three-month price against level_up and level_down, sustained on level_k of level_m days: ABOVE, INSIDE "
        "or BELOW", isin=["ABOVE", "INSIDE", "BELOW"],
    ),
    "level_state_3of5": Field(
        str, "Three-month price against level_up and level_down, sustained on level_alt_k of level_alt_m days: ABOVE, "
        "INSIDE or BELOW", isin=["ABOVE", "INSIDE", "BELOW"],
    ),
    "backwardation_sustained": Field(
        bool, "Whether C - F was above 0 on at least bw_k of the last bw_m trading days, the latest included",
    ),
    "rate_pct": Field(
        float, "Overnight rate", "percent per year", accepts={"ge": -5, "le": 30},
        plausible=Plausible(0, 25, math.inf),
    ),
    "rate_obs_date": Field(date, "US business day of the latest known rate"),
    "is_rate_stale": Field(bool, "Whether the rate is older than stale_days_rate: what rests on it is STALE"),
    "rate": Field(
        float, "Units of the second currency for one unit of the first", "ratio", accepts={"gt": 0, "le": 100_000},
        plausible=Plausible(0.05, 20_000),
    ),
    "basis_ann": Field(float, "(C - F) / C * 365 / D; positive is backwardation", "1/yr"),
    "full_carry_usd_t": Field(
        float, "Cost of financing and storing metal for D days: C * (r + financing_spread) * D / day_count + rent * D",
        "USD/t",
    ),
    "contango_share_of_full_carry": Field(
        float, "(F - C) / full carry: 1 is full carry, 0 a flat curve, below 0 backwardation", "ratio",
    ),
    "carry_tightness": Field(float, "1 - contango share of full carry; higher is tighter", "ratio"),
    "conv_yield_ann": Field(float, "Convenience yield: (C - F + full carry) / C * 365 / D", "1/yr"),
    "quoted_cash_3m_usd_t": Field(
        float, "Cash minus three months, as quoted or extracted from quotes; positive is backwardation", "USD/t",
    ),
    "quoted_tom_next_usd_t": Field(float, "Tomorrow minus the next day, as quoted; positive is backwardation", "USD/t"),
    "quoted_m3_m15_usd_t": Field(float, "Three minus fifteen months, as quoted; positive is backwardation", "USD/t"),
    "quoted_dec_dec_usd_t": Field(
        float, "December minus the next December, as quoted; positive is backwardation", "USD/t",
    ),
    "quoted_spread_disagrees": Field(
        bool, "Whether the quoted cash-to-three-month spread of the same day differs from C - F by more than a tick",
    ),
    "spread_obs_date": Field(date, "Day of the latest known quote of the spread"),
    "spread_age_days": Field(int, "Days from spread_obs_date to as_of_date", "days"),
    "is_stale": Field(bool, "Whether the spread is older than stale_days_spread"),
    "days_between_prompts": Field(int, "Calendar days between the prompts of the two legs", "days", ge=1),
    "yield_ann": Field(float, "usd_t / C * 365 / days_between_prompts; positive is backwardation", "1/yr"),
    "ln_stock_days": Field(float, "Logarithm of the registered stock in days of consumption", "ln"),
    "slope": Field(
        float, "Slope of the convenience yield on ln_stock_days over all decision days so far; below 0 in the theory "
        "of storage", "1/yr",
    ),
    "intercept": Field(float, "Intercept of that regression", "1/yr"),
    "r2": Field(float, "Share of the variance that the regression explains", "ratio", **SCORE),
    "fitted": Field(float, "Convenience yield that the stock explains: intercept + slope * ln_stock_days", "1/yr"),
    "residual": Field(
        float, "conv_yield_ann less fitted; positive is tightness that registered stock does not explain", "1/yr"
    ),
    "residual_score": Field(float, "Mid-rank of residual in its trailing window", "score", **SCORE),
    # Inventories
    "total_t": Field(
        float, "Registered stock: live plus cancelled warrants", "t", ge=0, accepts={"le": 50_000_000},
        plausible=Plausible(0, 20_000_000, 100),
    ),
    "live_t": Field(float, "Live warrants: total - cancelled, where the latest stock day reports both", "t", ge=0),
    "cancelled_t": Field(
        float, "Cancelled warrants: metal booked to leave the warehouse", "t", ge=0,
        plausible=Plausible(0, 20_000_000, math.inf),
    ),
    "cancelled_ratio": Field(
        float, "cancelled / total of the latest day that reports both; missing where total is 0", "ratio", **SCORE,
    ),
    "stock_days": Field(float, "Registered stock in days of consumption: total / (yearly consumption / 365)", "days"),
    "stock_log_chg": Field(
        float, "ln(S_t / S_t-n): change of the registered stock S over n = stock_chg_obs stock observations", "ln",
    ),
    "stock_obs_date": Field(date, "Day of the latest known stock"),
    "stock_log_chg_net": Field(
        float, "stock_log_chg without the jumps of relabelled_t", "ln",
    ),
    "new_cancellations": Field(
        float, "Warrants newly cancelled over stock_chg_obs stock observations / registered stock before them", "ratio",
        ge=0,
    ),
    "relabelled_t": Field(
        float, "Sum of the jumps of registered stock, among the changes of stock_log_chg, of metal that was only "
        "relabelled, or of which this is not decided yet", "t",
    ),
    "relabelled": Field(
        bool, "Whether stock_log_chg has a jump of metal that was only put on warrant or taken off it; missing while "
        "neither cancelled warrants nor off-warrant stock decide",
    ),
    "stock_age_days": Field(int, "Days from stock_obs_date to as_of_date", "days"),
    "cancelled_obs_date": Field(date, "Latest known day with cancelled warrants reported"),
    "cancelled_age_days": Field(int, "Days from cancelled_obs_date to as_of_date", "days"),
    "offwarrant_t": Field(float, 'Off-warrant ("shadow") stock', "t", ge=0, accepts={"le": 50_000_000}),
    "registered_month_end_t": Field(float, "Registered stock on the same day", "t", ge=0, le=50_000_000),
    "on_warrant_t": Field(
        float, "Part of the stock that is on warrant", "t", ge=0, plausible=Plausible(0, 20_000_000, math.inf),
    ),
    "in_t": Field(float, "Metal put into the warehouses on the day", "t", ge=0, accepts={"le": 50_000_000}),
    "out_t": Field(float, "Metal taken out of the warehouses on the day", "t", ge=0, accepts={"le": 50_000_000}),
    "registered_t": Field(float, "Registered stock on the same day", "t", ge=0),
    "visible_t": Field(float, "Visible stock: off-warrant plus registered stock on the same month-end", "t", ge=0),
    "offwarrant_yoy": Field(float, "Off-warrant stock / that of 12 months before - 1", "ratio"),
    "visible_yoy": Field(float, "Visible stock / that of 12 months before - 1", "ratio"),
    "lowest_since": Field(
        str, "Latest earlier month-end with visible stock as low or lower; RECORD where there is none",
    ),
    "is_record_low": Field(bool, "Whether no earlier known month-end has visible stock as low or lower"),
    "shanghai_obs_date": Field(date, "Day of Shanghai's last report up to two weeks before the month-end"),
    "shanghai_t": Field(float, "Stock of the Shanghai exchange (SHFE) of that report", "t", ge=0),
    "visible_all_t": Field(
        float, "visible_t plus shanghai_t: stock of two exchanges by their own definitions, and off-warrant stock", "t",
        ge=0,
    ),
    "visible_all_definition": Field(
        str, "The stocks that visible_all_t is the sum of", isin=["OFF_WARRANT + REGISTERED + SHFE"],
    ),
    "visible_all_lowest_since": Field(
        str, "Latest earlier month-end with visible_all_t as low or lower; RECORD where there is none",
    ),
    "base_obs_date": Field(date, "Day of the last report of an earlier week, at most three weeks before its own week"),
    "total_chg_t": Field(float, "total_t less that of base_obs_date", "t"),
    "place_obs_date": Field(date, "Day of the latest known stock by place"),
    "place_age_days": Field(int, "Days from place_obs_date to as_of_date", "days"),
    "n_places": Field(int, "Places of that day that are known", "count", ge=1),
    "largest_place": Field(str, "Place with the most stock"),
    "largest_share": Field(float, "Its share of the stock", "ratio", **SCORE),
    "herfindahl": Field(float, "Sum of the squared shares of the places: 1 where one place has all", "ratio", **SCORE),
    "queue_place": Field(str, "Place with the most cancelled metal"),
    "queue_cancelled_t": Field(float, "Its cancelled warrants", "t", ge=0),
    "load_out_t_day": Field(
        float, "Mean of its out_t over the days of the last load_out_days that have one", "t/day", ge=0
    ),
    "queue_days": Field(
        float, "queue_cancelled_t / load_out_t_day: stock days of load-out until the cancelled metal has left", "days",
    ),
    "offwarrant_period_end": Field(date, "Latest known month-end of off-warrant stock"),
    # Positioning
    "managed_long": Field(
        int, "Long positions of money managers, spreading left out", "contracts", ge=0, accepts={"le": 100_000_000},
    ),
    "managed_short": Field(
        int, "Short positions of money managers, spreading left out", "contracts", ge=0, accepts={"le": 100_000_000},
    ),
    "open_interest": Field(
        int, "Open contracts of all traders, each counted once", "contracts", ge=0, accepts={"le": 100_000_000},
        plausible=Plausible(0, 50_000_000, math.inf),
    ),
    "managed_net": Field(int, "managed_long - managed_short", "contracts"),
    "net_share": Field(float, "managed_net / open_interest", "ratio"),
    "net_percentile": Field(
        float, "Mid-rank of net_share among the weeks of the last rank_months_weekly, as known at the release", "ratio",
        **SCORE,
    ),
    # Trade flows and output
    "exports_kt": Field(
        float, "Exported quantity", "kt", ge=0, accepts={"le": 100_000}, plausible=Plausible(0, 20_000, 100),
    ),
    "exports_yoy": Field(
        float, "Exports / exports of the same period of the year before - 1; a pool is compared with a pool", "ratio",
    ),
    "exports_yoy_3m": Field(
        float, "Exports of the latest periods that cover 3 months or more / the same periods of the year before - 1",
        "ratio",
    ),
    "exports_ytd_yoy": Field(float, "Exports of the year to date / the same months of the year before - 1", "ratio"),
    "exports_period_end": Field(date, "Last day of the latest known export period"),
    "production_kt": Field(float, "Primary production", "kt", ge=0, accepts={"le": 100_000}),
    "production_yoy": Field(float, "Production / production of the same period of the year before - 1", "ratio"),
    "n_days": Field(int, "Days in the period", "days"),
    "annualised_kt": Field(float, "Production / n_days * 365", "kt/yr"),
    "cap_kt": Field(float, "Cap on the country's capacity; missing where there is none", "kt/yr"),
    "cap_utilisation": Field(float, "annualised_kt / cap_kt", "ratio"),
    # Power
    "resolution": Field(str, "Length of a market time unit", isin=["PT15M", "PT30M", "PT60M"]),
    "resolution_min": Field(int, "Length of a market time unit", "min"),
    "n_positions": Field(int, "Market time units in the delivery day (23 to 25 hours)", "count", ge=1, le=100),
    "position": Field(int, "Number of the market time unit in the day, from 1", "count", ge=1, le=100),
    "price_eur_mwh": Field(
        float, "Auction price; may be negative", "EUR/MWh", accepts={"ge": -1_000, "le": 10_000},
        plausible=Plausible(0.5, 5_000),
    ),
    "n_mtu": Field(int, "Market time units in the day", "count", ge=1, le=100),
    "n_points": Field(int, "Published points; a market time unit without one repeats the one before", "count"),
    "mean_eur_mwh": Field(
        float, "Mean price over all market time units, with omitted points filled in (curve type A03)", "EUR/MWh",
        accepts={"ge": -1_000, "le": 10_000}, plausible=Plausible(0.5, 5_000),
    ),
    "naive_mean_of_points_eur_mwh": Field(
        float, "Mean of the published points alone; the difference to mean_eur_mwh is the error of not filling",
        "EUR/MWh",
    ),
    "fx_obs_date": Field(date, "Fixing day of eurusd"),
    "eurusd": Field(float, "Latest reference rate known when the auction result was published", "USD/EUR"),
    "mean_usd_mwh": Field(float, "mean_eur_mwh * eurusd", "USD/MWh"),
    "share_above_115usd": Field(
        float, "Share of market time units above power_line_high_usd_mwh, a reference line from the press", "ratio",
        **SCORE,
    ),
    "share_below_40usd": Field(
        float, "Share of market time units below power_line_low_usd_mwh, a reference line from the press", "ratio",
        **SCORE,
    ),
    # Smelters
    "alumina_usd_t": Field(float, "Alumina price", "USD/t alumina", accepts={"gt": 0, "le": 5_000}),
    "premium_usd_t": Field(
        float, "Physical premium over the exchange price", "USD/t", accepts={"ge": -1_000, "le": 5_000},
    ),
    "cost_obs_date": Field(date, "Day of the latest known alumina price and premium"),
    "power_delivery_date": Field(date, "Delivery day of power_usd_mwh; not after as_of_date"),
    "mwh_per_t": Field(float, "Power use of a smelter (e)", "MWh/t"),
    "alumina_t_per_t": Field(float, "Alumina use of a smelter", "t/t"),
    "other_cash_usd_t": Field(float, "Other cash cost of a smelter, an ASSUMPTION", "USD/t"),
    "other_cash_status": Field(str, "Whether other_cash_usd_t is a FACT or an ASSUMPTION", isin=["FACT", "ASSUMPTION"]),
    "power_usd_mwh": Field(float, "Mean day-ahead price of power_delivery_date", "USD/MWh"),
    "power_cost_usd_t": Field(float, "Power cost of a tonne: mean day-ahead price * e", "USD/t"),
    "cash_cost_usd_t": Field(
        float, "power_cost_usd_t + alumina_t_per_t * alumina_usd_t + other_cash_usd_t (ASSUMPTION)", "USD/t",
    ),
    "power_share_of_cost": Field(float, "power_cost_usd_t / cash_cost_usd_t", "ratio"),
    "margin_usd_t": Field(float, "C + premium - cash cost; includes other cash cost (ASSUMPTION)", "USD/t"),
    "breakeven_power_usd_mwh": Field(
        float, "Power price at which the margin is 0: (C + premium - alumina_t_per_t * alumina - other cash cost "
        "(ASSUMPTION)) / e", "USD/MWh",
    ),
    "headroom_usd_mwh": Field(float, "Break-even power - power_usd_mwh; below 0 the smelter loses cash", "USD/MWh"),
    "curtailment_state": Field(
        str, "CURTAILMENT_RISK when headroom was below 0 on the last curtailment_days decision days, else NONE",
        isin=["CURTAILMENT_RISK", "NONE"],
    ),
    "power_usd_mwh_30d": Field(
        float, "Mean of the daily means of the last power_mean_days delivery days; missing below power_mean_min_days "
        "of them", "USD/MWh",
    ),
    "n_power_days_30d": Field(int, "Delivery days in power_usd_mwh_30d", "count"),
    "score_power": Field(
        float, "Mid-rank of power_usd_mwh_30d in its trailing window; higher is dearer power", "score", **SCORE,
    ),
    "score_headroom": Field(
        float, "1 - mid-rank of headroom_usd_mwh in its trailing window; higher is less headroom", "score", **SCORE,
    ),
    "supply_stress": Field(
        float, "100 * mean of score_power and score_headroom; not part of the tightness index", "index points", ge=0,
        le=100,
    ),
    # Arbitrage
    "arb_obs_date": Field(date, "Day of the latest known Shanghai price and premiums"),
    "shfe_cny_t": Field(
        float, "Shanghai futures price, value added tax included (SHFE)", "CNY/t", accepts={"gt": 0, "le": 2_000_000},
    ),
    "lme_usd_t": Field(float, "Three-month price (LME)", "USD/t"),
    "cif_premium_usd_t": Field(
        float, "Premium over the exchange price for metal delivered to China, duty unpaid", "USD/t",
        accepts={"ge": -1_000, "le": 5_000},
    ),
    "usdcny": Field(float, "CNY for one USD (FX)", "CNY/USD", accepts={"ge": 1, "le": 20}),
    "dest_premium_usd_t": Field(
        float, "Premium over the exchange price at the destination of exported semis", "USD/t",
        accepts={"ge": -1_000, "le": 5_000},
    ),
    "freight_usd_t": Field(
        float, "Freight from China to the destination of the semis", "USD/t", accepts={"ge": 0, "le": 5_000},
    ),
    "vat": Field(float, "Value added tax in force on as_of_date", "ratio"),
    "import_duty": Field(float, "Import duty in force on as_of_date", "ratio"),
    "semis_rebate": Field(float, "Rebate of value added tax on exports of semis in force on as_of_date", "ratio"),
    "port_cny_t": Field(float, "Port and handling cost, an ASSUMPTION", "CNY/t"),
    "import_arb_cny_t": Field(
        float, "SHFE - [(LME + CIF premium) * FX * (1 + duty) * (1 + VAT) + port]; positive: importing into China pays",
        "CNY/t",
    ),
    "shfe_lme_ratio": Field(float, "SHFE / LME", "CNY/USD"),
    "semis_export_arb_usd_t": Field(
        float, "(LME + destination premium - freight) - (SHFE - SHFE / (1 + VAT) * rebate) / FX; positive: exporting "
        "semis from China pays", "USD/t",
    ),
    "export_window": Field(
        str, "SHUT when exporting semis did not pay on the last arb_shut_days decision days, else OPEN",
        isin=["OPEN", "SHUT"],
    ),
    "midwest_obs_date": Field(date, "Assessment day of midwest_premium_usd_t"),
    "unpaid_obs_date": Field(date, "Assessment day of unpaid_premium_usd_t"),
    "midwest_premium_usd_t": Field(float, "Premium over the exchange price in the Midwest, duty paid", "USD/t"),
    "unpaid_premium_usd_t": Field(float, "Premium over the exchange price in Europe, duty unpaid", "USD/t"),
    "us_freight_usd_t": Field(float, "Freight and handling from Europe to the Midwest, an ASSUMPTION", "USD/t"),
    "section_232": Field(
        float, "Tariff of the United States under Section 232 in force on as_of_date, without exemptions", "ratio",
    ),
    "replacement_usd_t": Field(
        float, "Cost of importing a tonne: (C + unpaid_premium_usd_t + us_freight_usd_t) * (1 + section_232)", "USD/t",
    ),
    "us_price_usd_t": Field(float, "C + midwest_premium_usd_t", "USD/t"),
    "parity_gap_usd_t": Field(
        float, "us_price_usd_t - replacement_usd_t; positive: importing into the United States pays", "USD/t",
    ),
    # Equities and events
    "close_usd": Field(
        float, "Closing price, not adjusted for dividends", "USD", gt=0, accepts={"le": 10_000_000},
        plausible=Plausible(0, 1_000_000, math.inf, rewritten=True),
    ),
    "high_252_usd": Field(float, "Highest of the last near_high_obs closes, this one included", "USD"),
    "n_closes": Field(int, "Number of closes in high_252_usd", "count"),
    "near_high": Field(float, "close_usd / high_252_usd", "ratio", gt=0, le=1),
    "event_id": Field(str, "Stable identifier of the event", accepts=IDENTIFIER),
    "title": Field(str, "Name of the event"),
    "event_kind": Field(
        str, "What the event changes", isin=["EXCHANGE_RULE", "SANCTION", "TARIFF", "TRADE_RULE", "SUPPLY"]
    ),
    "event_date": Field(date, "Day of the event"),
    "days_to_event": Field(int, "event_date - as_of_date; negative after the event", "days"),
    "known_since": Field(date, "Day from which event_date was known"),
    # Ranks, scores, index and regime
    "indicator": Field(str, "Indicator that is a component of the index"),
    "version": Field(int, "Version of the index", "count", isin=[1, 2]),
    "family": Field(
        str, "Family of the component in the index", isin=["CURVE", "INVENTORY", "FLOW", "STOCK", "PHYSICAL"],
    ),
    "sign": Field(int, "+1 where a higher value is tighter, -1 where a lower one is", "sign", isin=[-1, 1]),
    "weight": Field(float, "Weight of the family in the index", "ratio", accepts={"gt": 0, "le": 1}),
    "percentile": Field(
        float, "Mid-rank of value in rank_window: (number below + half of the ties) / n", "ratio", **SCORE,
    ),
    "score": Field(float, "Mid-rank, oriented so that higher is tighter", "score", **SCORE),
    "n_hist": Field(int, "Number of values in the ranking window", "count"),
    "expanding_percentile": Field(
        float, "Mid-rank of value among all of them so far; in version 2 alone", "ratio", **SCORE,
    ),
    "rank_2y": Field(float, "Percentile over 2 years", "ratio", **SCORE),
    "rank_5y": Field(float, "Percentile over 5 years", "ratio", **SCORE),
    "rank_10y": Field(float, "Percentile over 10 years", "ratio", **SCORE),
    "rank_sensitivity": Field(float, "Highest minus lowest of rank_2y, rank_5y and rank_10y", "ratio", **SCORE),
    "median": Field(float, "Median of value in rank_window", "see indicator"),
    "mad": Field(float, "Median absolute deviation (MAD) of value in rank_window", "see indicator"),
    "robust_z": Field(
        float, "(value - median) / (1.4826 * MAD), limited to +/- z_cap; missing where MAD is 0; for display alone",
        "robust z",
    ),
    "ranked_from": Field(date, "First day or period in the ranking window"),
    "is_break": Field(bool, "Whether the definition of the series changed within the ranking window"),
    "break_ids": Field(str, "Identifiers of those changes in series_breaks.csv"),
    **{
        f"score_{indicator}": Field(
            float,
            f"Mid-rank of {indicator} in its trailing window, oriented so that higher is tighter",
            "score",
            **SCORE,
        )
        for indicator in ("carry_tightness", "cancelled_ratio", "stock_days", "stock_log_chg", "exports_yoy_3m")
    },
    **{
        f"family_{family.lower()}": Field(float, f"Mean of the available {family} scores", "score", **SCORE)
        for family in ("CURVE", "INVENTORY", "FLOW")
    },
    **{
        f"contrib_{family.lower()}": Field(float, f"Contribution of {family} to tightness_index", "index points")
        for family in ("CURVE", "INVENTORY", "FLOW")
    },
    "coverage": Field(float, "Sum of the weights of the available families", "ratio", **SCORE),
    "n_components": Field(int, "Number of available components", "count"),
    "tightness_index": Field(
        float, "100 * sum(weight * family score) / sum(weight) over the available families; missing below min_coverage",
        "index points", ge=0, le=100,
    ),
    "regime": Field(
        str, "LOOSE, NEUTRAL, TIGHT, SQUEEZE or UNKNOWN, with hysteresis and confirmation",
        isin=["LOOSE", "NEUTRAL", "TIGHT", "SQUEEZE", "UNKNOWN"],
    ),
    "regime_status": Field(
        str, "Status of the regime: OK, STALE, UNKNOWN or WARMUP", isin=["OK", "STALE", "UNKNOWN", "WARMUP"],
    ),
    **{
        f"family_{family.lower()}_v2": Field(
            float, f"Mean of the available {family} scores, version 2", "score", **SCORE
        )
        for family in FAMILIES_V2
    },
    **{
        f"contrib_{family.lower()}_v2": Field(
            float, f"Contribution of {family} to tightness_index_v2", "index points"
        )
        for family in FAMILIES_V2
    },
    **{
        f"weight_{family.lower()}_v2": Field(
            float, f"Weight of {family} in tightness_index_v2 on the day: its share of the weights of the available "
            "families", "ratio", **SCORE,
        )
        for family in FAMILIES_V2
    },
    "contribution_chg_1d": Field(float, "Change of contribution since the decision day before", "index points"),
    "contribution_chg_5d": Field(float, "Change of contribution since 5 decision days before", "index points"),
    "contribution_chg_20d": Field(float, "Change of contribution since 20 decision days before", "index points"),
    "index_name": Field(
        str, "tightness_index, tightness_index_v2, or index_pca: the first principal component of the families of "
        "version 2, which no signal and no verdict rests on",
        isin=["tightness_index", "tightness_index_v2", "index_pca"],
    ),
    **{
        f"change_{n}d": Field(float, f"Change of value since {n} decision days before", "index points")
        for n in (1, 5, 20)
    },
    **{
        f"{name}_{years}y": Field(float, f"{name.capitalize()}est value of the last {years} years", "index points")
        for name in ("low", "high")
        for years in (2, 5, 10)
    },
    "coverage_v2": Field(float, "Sum of the weights of the available families, version 2", "ratio", **SCORE),
    "tightness_index_v2": Field(
        float, "Version 2 of the index: 100 * sum(weight * family score) / sum(weight) over the available families; "
        "missing below min_coverage_v2", "index points", ge=0, le=100,
    ),
    "smoothed_index_v2": Field(
        float, "tightness_index_v2 smoothed with a half-life of regime_half_life_v2: what regime_v2 follows",
        "index points", ge=0, le=100,
    ),
    "regime_v2": Field(
        str, "Regime of smoothed_index_v2, with hysteresis and confirmation; SQUEEZE only while the median spread of "
        "the last median_obs days is above 0", isin=["LOOSE", "NEUTRAL", "TIGHT", "SQUEEZE", "UNKNOWN"],
    ),
    "regime_status_v2": Field(
        str, "Status of regime_v2: OK, STALE, UNKNOWN or WARMUP", isin=["OK", "STALE", "UNKNOWN", "WARMUP"],
    ),
    # Signals
    "signal_id": Field(
        str, "Stable identifier of the signal: METAL.FAMILY.NAME",
        accepts={"str_matches": r"^[A-Z]{2}(\.[A-Z0-9_]+)+$"},
    ),
    "signal_version": Field(
        str, "Version of the signal: a changed formula raises the major number, a changed default parameter the minor",
        accepts={"str_matches": r"^\d+\.\d+\.\d+$"},
    ),
    "revision_no": Field(
        int, "Number of the revision: 1 for the first publication of the row, then counted up", "count", ge=1,
    ),
    "revision_reason": Field(str, "Reason for this revision"),
    "kind": Field(str, "Kind of the signal", isin=["LEVEL", "SCORE", "STATE", "EVENT"]),
    "value": Field(float, "Value of the signal", OWN_UNIT),
    "unit": Field(str, "Unit of value"),
    "state": Field(str, "State of the signal, for the kinds STATE and EVENT"),
    "prev_state": Field(str, "State before the present one or before this day"),
    "state_since": Field(date, "First day of the present state"),
    "is_transition": Field(bool, "Whether the state changed on this day"),
    "direction": Field(int, "+1 tighter, -1 looser, 0 neither; not advice to buy or sell", "sign", isin=[-1, 0, 1]),
    "obs_end_max": Field(date, "Last day of the latest observation used"),
    "staleness_days": Field(int, "Days from obs_end_max to as_of_date", "days"),
    "quality": Field(
        str, f"Worst of quality_flags: {', '.join(QUALITIES)} (worst first) or OK", isin=[*QUALITIES, "OK"],
    ),
    "quality_flags": Field(
        str, "Every quality flag that holds, worst first, separated by spaces; OK where none does",
    ),
    "params_hash": Field(str, "Hash of the signal's version and of the parameters in force"),
    "inputs_hash": Field(str, "Hash of the values and knowledge times of the inputs"),
    "code_version": Field(str, "Version of the code that computed the row"),
    "run_id": Field(str, "Run that added the row"),
    "computed_ts": Field(datetime, "Clock time of that run", "UTC"),
    "transition_id": Field(str, "Key of the change, the same in every run, so that an alert is sent once"),
    "component": Field(str, "Metric that contributes"),
    "contribution": Field(float, "Contribution to the signal's value", OWN_UNIT),
    "metric_id": Field(str, "Metric that the signal publishes"),
    "entity": Field(str, "Series of the metric: country, region, zone, ticker or event; empty where it has only one"),
    "description": Field(str, "Meaning of the signal"),
    "formula": Field(str, "Computation of value and state"),
    "states": Field(str, "Possible states"),
    "tight_states": Field(str, "States that are tighter, separated by spaces"),
    "loose_states": Field(str, "States that are looser, separated by spaces"),
    "max_age_days": Field(int, "Age in days above which the signal is STALE", "days", accepts={"ge": 0}),
    "parameters": Field(str, "Parameters, each with value, unit and whether it is a FACT or an ASSUMPTION"),
    # Evaluation
    "bucket": Field(str, "State of the signal, or the fixed bin of its score, that is compared with all other dates"),
    "outcome": Field(
        str, "What followed, from the first price after the decision on: change of the spread, of the logarithm of the "
        "stock, volatility, worst fall, logarithmic price change",
        isin=["d_spread", "d_ln_stock", "realised_vol", "max_drawdown", "fwd_m3_log_return"],
    ),
    "horizon_obs": Field(int, "Trading days over which the outcome is measured", "observations", isin=[5, 21, 63]),
    "side": Field(int, "Sign of the difference that the theory predicts, 0 for none", "sign", isin=[-1, 0, 1]),
    "is_primary": Field(str, "Whether it is the signal's primary test", isin=["true", "false"]),
    "registered_on": Field(date, "Day on which the test was added to the plan: later dates are LIVE"),
    "split": Field(
        str, "Dates of the test: DEV until 2018, OOS from 2019 until registered_on, LIVE after it, or ALL",
        isin=["DEV", "OOS", "LIVE", "ALL"],
    ),
    "basis_subset": Field(
        str, "ALL dates, or those whose inputs were OBSERVED at their knowledge time", isin=["ALL", "OBSERVED"]
    ),
    "entry_lag": Field(
        int, "1: the entry is the first price of a day after the decision; 0: the last price of a day up to it, which "
        "nobody could trade", "observations", isin=[0, 1],
    ),
    "n_all": Field(int, "Decision dates with an outcome", "count", ge=0),
    "episodes": Field(int, "Runs of consecutive decision dates in the bucket", "count", ge=0),
    "n_eff": Field(float, "n / horizon_obs: windows that do not overlap", "count", ge=0),
    "mean": Field(float, "Mean outcome in the bucket", "see outcome"),
    "mean_all": Field(float, "Mean outcome of all dates", "see outcome"),
    "diff": Field(float, "Mean outcome in the bucket less that of the other dates", "see outcome"),
    "hac_se": Field(float, "Newey-West standard error of diff, with hac_lags lags", "see outcome", ge=0),
    "hac_lags": Field(int, "Lags of the standard error: one and a half horizons", "observations", ge=1),
    "ci_low": Field(float, "Lower end of the 90 % interval of diff, by stationary bootstrap", "see outcome"),
    "ci_high": Field(float, "Upper end of the 90 % interval of diff, by stationary bootstrap", "see outcome"),
    "hit_rate": Field(float, "Share of outcomes in the bucket with the predicted sign", "ratio", **SCORE),
    "hit_low": Field(float, "Lower end of the Wilson 90 % interval of hit_rate", "ratio"),
    "hit_high": Field(float, "Upper end of the Wilson 90 % interval of hit_rate", "ratio"),
    "base_rate": Field(float, "Share of outcomes of all dates with the predicted sign", "ratio", **SCORE),
    "mde": Field(
        float, "Minimum detectable effect: the difference that a one-sided 5 % test finds four times in five",
        "see outcome", ge=0,
    ),
    "placebo_p": Field(float, "Placebo p-value of the primary test", "ratio", **SCORE),
    "placebo_shifts": Field(int, "Number of shifts", "count", ge=0),
    "p_adj": Field(
        float, "P-value adjusted for the tests of the same outcome and horizon, by step-down maxima of t over common "
        "shifts; missing where the sample is insufficient", "ratio", **SCORE,
    ),
    "n_variants": Field(int, "Tests in the plan with this outcome and horizon", "count", ge=1),
    "is_lag0_only": Field(bool, "Whether the effect is there at entry_lag 0 alone: it could not be traded"),
    "verdict": Field(
        str, "INSUFFICIENT, NO_EVIDENCE, WEAK (before 2019 alone), SUPPORTED or REVERSED (against the predicted sign)",
        isin=VERDICTS,
    ),
    "seed": Field(int, "Seed of shifts, draws and the random chain", "seed"),
    **{
        f"verdict_{outcome}": Field(str, f"Best verdict on {words} out of sample", isin=VERDICTS)
        for outcome, words in {
            "d_spread": "changes of the spread", "d_ln_stock": "changes of the stock", "realised_vol": "volatility",
            "max_drawdown": "falls of the price", "fwd_m3_log_return": "changes of the price",
        }.items()
    },
    **{
        f"beats_{benchmark}_p": Field(
            float, f"P-value of the forecast of the signal being no better than that of {words} (superior predictive "
            "ability)", "ratio", **SCORE,
        )
        for benchmark, words in {
            "constant": "a constant", "mom_252": "the sign of the last 252 trading days' price change",
            "backwardation": "a spread above zero", "markov": "a random chain with the regime's persistence",
        }.items()
    },
    "sentence": Field(str, "The result in words"),
    # Claims
    "claim_id": Field(str, "Stable identifier of the claim", accepts=IDENTIFIER),
    "claim_text": Field(str, "Text of the claim"),
    "source_doc": Field(str, "Document that makes the claim", accepts=TEXT),
    "claim_date": Field(date, "Day of the claim"),
    "definition": Field(str, "Interpretation of the claim that is tested", accepts=TEXT),
    "operator": Field(str, "Comparison of the evidence with the threshold"),
    "threshold": Field(float, "Claimed value", OWN_UNIT),
    "threshold_high": Field(float, "Upper end of the claimed range, for BETWEEN", OWN_UNIT),
    "tolerance": Field(
        float, "Accepted deviation from the threshold; for APPROX, up to three times as much is PARTIAL", OWN_UNIT,
        accepts={"ge": 0},
    ),
    "period_from": Field(date, "First day on which the tested observation may end"),
    "period_to": Field(date, "Last day on which the tested observation may end"),
    "horizon_end": Field(date, "Last day on which the claim is tested"),
    "evidence_value": Field(float, "Value of the metric that was tested", OWN_UNIT),
    "evidence_obs_date": Field(date, "Day or period end of that value"),
    "evidence_knowledge_ts": Field(datetime, "Knowledge time of that value", "UTC"),
    "explanation": Field(str, "The verdict in words, with its numbers"),
    "status_at_claim": Field(str, "Verdict at the last decision time up to the end of claim_date; missing before"),
    "evidence_value_at_claim": Field(float, "Value of the metric that was tested at that decision time", OWN_UNIT),
    # Reference tables
    "valid_from": Field(date, "First day on which the row is in force"),
    "status": Field(str, "Whether the row is a FACT or an ASSUMPTION", isin=["FACT", "ASSUMPTION"]),
    "name": Field(str, "English name"),
    "lot_t": Field(float, "Exchange lot", "t", gt=0),
    "westmetall_code": Field(str, "Name in Westmetall's pages, as in LME_Al_cash"),
    "worldbank_column": Field(str, "Column of the World Bank's Pink Sheet"),
    "fred_series": Field(str, "FRED series of the monthly mean"),
    "customs_label": Field(str, "Regular expression for the commodity's name in China customs table 13"),
    "hs_codes": Field(str, "Harmonised System codes, separated by spaces"),
    "chinese_name": Field(str, "Name in Chinese sources; the column is optional"),
    "eic": Field(str, "Energy Identification Code", str_length={"min_value": 16, "max_value": 16}),
    "timezone": Field(str, "IANA time zone of the delivery day"),
    "data_source": Field(str, "Source module that provides the series"),
    "comtrade_code": Field(int, "Reporter code at UN Comtrade (M49)", "code", ge=1, le=999),
    "dataset": Field(str, "Dataset of the lake"),
    "rule": Field(
        str, "Rule for the release day, counted from the end of the period",
        isin=["DAYS_AFTER", "BUSINESS_DAYS_AFTER", "DAY_OF_MONTH", "BUSINESS_DAY_OF_MONTH"],
    ),
    "n": Field(int, "Days after the period, or day of the month", "days", ge=-1, le=366),
    "months_after": Field(
        int, "Months after the period, for the rules that name a day of a month", "months", ge=0, le=12,
    ),
    "calendar": Field(
        str, "Business-day calendar of the rule", isin=["LONDON", "NEW_YORK", "NYSE", "TARGET", "WEEKDAYS"]
    ),
    "local_time": Field(str, "Local time of the release, HH:MM", str_matches="^([01][0-9]|2[0-3]):[0-5][0-9]$"),
    "break_id": Field(str, "Stable identifier of the change", **IDENTIFIER),
    "break_date": Field(date, "First day with the new definition"),
    "plant": Field(str, "Name of the plant"),
    "capacity_kt": Field(float, "Yearly capacity; 0 after a permanent closure", "kt/yr", ge=0, le=10_000),
    "idled_kt": Field(float, "Idled part of the capacity", "kt/yr", ge=0, le=10_000),
    "cause": Field(str, "Reason why the capacity is idled; empty where none is"),
    "review_by": Field(
        date, "Last day on which the row counts as current without a later one: what rests on it is STALE after it"
    ),
    "tax": Field(
        str, "Value added tax, import duty on the metal, rebate of value added tax on exports of semis, or the tariff "
        "under Section 232",
        isin=["VAT", "IMPORT_DUTY", "SEMIS_EXPORT_REBATE", "SECTION_232"],
    ),
    "calendar_date": Field(date, "Day, weekends included"),
    "is_business_day": Field(bool, "Whether it is a business day in London"),
    "previous_business_day": Field(date, "London business day before it"),
    "cash_prompt": Field(date, "Prompt of the cash price: two business days later"),
    "m3_prompt": Field(date, "Prompt of the three-month price"),
}  # fmt: skip

# Bands that a response is compared with before it is archived.
PLAUSIBLE: Final = {name: about.plausible for name, about in FIELDS.items() if about.plausible}
RESTATED: Final = frozenset(name for name, limits in PLAUSIBLE.items() if limits.rewritten)
