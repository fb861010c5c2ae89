"""The published tables of `marts`: columns, units, keys and ranges. dbt contracts and comments come from here."""

from __future__ import annotations

import numpy as np
import pandas as pd
from pandera.typing import Series

from schemas.base import BASES, LICENCES, UTC, Mart, Table, column


class PriceDaily(Table):
    """Prices by trading day, with the states that the desk reads off them."""

    metal: Series[str] = column("Metal, by its chemical symbol in capitals", "")
    obs_date: Series[pd.Timestamp] = column("Trading day", "")
    cash_usd_t: Series[float] = column("Cash settlement price (C)", "USD/t", nullable=True, gt=0)
    m3_usd_t: Series[float] = column("Three-month price (F)", "USD/t", nullable=True, gt=0)
    cash_3m_spread_usd_t: Series[float] = column("C - F; positive is backwardation", "USD/t", nullable=True)
    m3_yoy: Series[float] = column(
        "F / last F on or before the day a year before, at most yoy_max_staleness_days older, - 1",
        "ratio",
        nullable=True,
    )
    m3_yoy_base_date: Series[pd.Timestamp] = column("Day of that base price", "", nullable=True)
    level_state_5of5: Series[str] = column(
        "Level machine, 5 of 5 (level_k of level_m): ABOVE, INSIDE or BELOW",
        "",
        nullable=True,
        isin=["ABOVE", "INSIDE", "BELOW"],
    )
    level_state_3of5: Series[str] = column(
        "Level machine, 3 of 5 (level_alt_k of level_alt_m): ABOVE, INSIDE or BELOW",
        "",
        nullable=True,
        isin=["ABOVE", "INSIDE", "BELOW"],
    )
    backwardation_sustained: Series[bool] = column(
        "Spread above 0 on at least bw_k of the last bw_m days, the latest included", ""
    )
    knowledge_ts: Series[UTC] = column("When this vintage could be known", "UTC")
    knowledge_ts_max: Series[UTC] = column(
        "When the last of all prices that the states and the change rest on could be known", "UTC"
    )
    knowledge_basis: Series[str] = column("Where knowledge_ts comes from", "", isin=list(BASES))
    vintage_no: Series[np.int32] = column("Number of the vintage shown, the last one known", "count", ge=1)
    source: Series[str] = column("Where it was read", "")
    licence_class: Series[str] = column("May it be passed on", "", isin=list(LICENCES))


class CurveDaily(Table):
    """The forward curve at each decision time: spread, carry and yield."""

    metal: Series[str] = column("Metal, by its chemical symbol in capitals", "")
    as_of_date: Series[pd.Timestamp] = column("London business day", "")
    as_of_ts: Series[UTC] = column("Decision time: 18:00 London of as_of_date", "UTC")
    price_obs_date: Series[pd.Timestamp] = column("Trading day of the prices", "", nullable=True)
    rate_obs_date: Series[pd.Timestamp] = column("Day of the rate", "", nullable=True)
    price_age_days: Series[pd.Int32Dtype] = column("Days from price_obs_date to as_of_date", "days", nullable=True)
    cash_usd_t: Series[float] = column("Cash settlement price (C)", "USD/t", nullable=True, gt=0)
    m3_usd_t: Series[float] = column("Three-month price (F)", "USD/t", nullable=True, gt=0)
    days_cash_to_3m: Series[pd.Int32Dtype] = column(
        "Calendar days from the cash to the three-month prompt (D)", "days", nullable=True, ge=80, le=100
    )
    cash_3m_spread_usd_t: Series[float] = column("C - F; positive is backwardation", "USD/t", nullable=True)
    basis_ann: Series[float] = column("(C - F) / C * 365 / D", "1/yr", nullable=True)
    rate: Series[float] = column(
        "SOFR as a fraction (r), missing when older than max_age_days_rate", "1/yr", nullable=True
    )
    full_carry_usd_t: Series[float] = column("C * (r + financing_spread) * D / 360 + rent * D", "USD/t", nullable=True)
    contango_share_of_full_carry: Series[float] = column(
        "(F - C) / full carry: 1 full carry, 0 flat, below 0 backwardation", "ratio", nullable=True
    )
    carry_tightness: Series[float] = column("1 - contango share of full carry", "ratio", nullable=True)
    conv_yield_ann: Series[float] = column("(C - F + full carry) / C * 365 / D", "1/yr", nullable=True)
    quoted_cash_3m_usd_t: Series[float] = column(
        "Cash against three months as quoted or extracted from the quotes", "USD/t", nullable=True
    )
    quoted_tom_next_usd_t: Series[float] = column("Tomorrow against the next day as quoted", "USD/t", nullable=True)
    quoted_m3_m15_usd_t: Series[float] = column("Three against fifteen months as quoted", "USD/t", nullable=True)
    quoted_dec_dec_usd_t: Series[float] = column("December against the next December as quoted", "USD/t", nullable=True)
    quoted_spread_disagrees: Series[pd.BooleanDtype] = column(
        "The quoted spread of the same day is more than a tick from C - F", "", nullable=True
    )
    knowledge_ts_max: Series[UTC] = column("When the last of the inputs could be known", "UTC", nullable=True)
    knowledge_basis: Series[str] = column("Worst knowledge basis of the inputs", "", nullable=True, isin=list(BASES))
    licence_class: Series[str] = column("Worst licence class of the inputs", "", nullable=True, isin=list(LICENCES))


class InventoryDaily(Table):
    """Registered stock at each decision time."""

    metal: Series[str] = column("Metal, by its chemical symbol in capitals", "")
    as_of_date: Series[pd.Timestamp] = column("London business day", "")
    as_of_ts: Series[UTC] = column("Decision time: 18:00 London of as_of_date", "UTC")
    stock_obs_date: Series[pd.Timestamp] = column("Day of the latest stock known", "", nullable=True)
    cancelled_obs_date: Series[pd.Timestamp] = column("Latest day that reports cancelled warrants", "", nullable=True)
    stock_age_days: Series[pd.Int32Dtype] = column("Days from stock_obs_date to as_of_date", "days", nullable=True)
    cancelled_age_days: Series[pd.Int32Dtype] = column(
        "Days from cancelled_obs_date to as_of_date", "days", nullable=True
    )
    total_t: Series[float] = column("Registered stock: live plus cancelled warrants", "t", nullable=True, ge=0)
    live_t: Series[float] = column("total - cancelled, where the latest day reports both", "t", nullable=True, ge=0)
    cancelled_t: Series[float] = column("Cancelled warrants of cancelled_obs_date", "t", nullable=True, ge=0)
    cancelled_ratio: Series[float] = column(
        "cancelled / total of cancelled_obs_date; missing where total is 0", "ratio", nullable=True, ge=0, le=1
    )
    stock_days: Series[float] = column("total / (yearly consumption / 365)", "days", nullable=True)
    stock_log_chg: Series[float] = column(
        "ln(S_t / S_t-n), n = stock_chg_obs stock observations back", "ln", nullable=True
    )
    knowledge_ts_max: Series[UTC] = column("When the last of the inputs could be known", "UTC", nullable=True)
    knowledge_basis: Series[str] = column("Worst knowledge basis of the inputs", "", nullable=True, isin=list(BASES))
    licence_class: Series[str] = column("Worst licence class of the inputs", "", nullable=True, isin=list(LICENCES))


class InventoryVisibleMonthly(Table):
    """Visible stock by month-end: off-warrant plus registered."""

    metal: Series[str] = column("Metal, by its chemical symbol in capitals", "")
    period_end: Series[pd.Timestamp] = column("Month-end business day", "")
    knowledge_ts: Series[UTC] = column("When this vintage could be known", "UTC")
    offwarrant_t: Series[float] = column('Off-warrant ("shadow") stock', "t", ge=0)
    registered_t: Series[float] = column("Registered stock of the same day", "t", ge=0)
    visible_t: Series[float] = column("offwarrant + registered", "t", ge=0)
    offwarrant_yoy: Series[float] = column("Off-warrant / 12 months before - 1", "ratio", nullable=True)
    visible_yoy: Series[float] = column("Visible / 12 months before - 1", "ratio", nullable=True)
    lowest_since: Series[str] = column("Last earlier month-end with visible stock as low, or RECORD", "")
    is_record_low: Series[bool] = column("No earlier month known was as low", "")
    vintage_no: Series[np.int32] = column("Number of the vintage shown, the last one known", "count", ge=1)
    source: Series[str] = column("Where it was read", "")
    knowledge_basis: Series[str] = column("Where knowledge_ts comes from", "", isin=list(BASES))
    licence_class: Series[str] = column("May it be passed on", "", isin=list(LICENCES))


class ExportsMonthly(Table):
    """Exports by period and vintage."""

    metal: Series[str] = column("Metal, by its chemical symbol in capitals", "")
    country: Series[str] = column("Exporter, ISO 3166 alpha-2", "")
    period_end: Series[pd.Timestamp] = column("Last day of the period", "")
    vintage_no: Series[np.int32] = column("1 for the first release of the period, then counted up", "count", ge=1)
    period_months: Series[np.int32] = column("Months in the period: 2 for the January-February pool", "months")
    exports_kt: Series[float] = column("Exported quantity", "kt", ge=0)
    exports_yoy: Series[float] = column(
        "Against the same period a year before, a pool against a pool", "ratio", nullable=True
    )
    exports_yoy_3m: Series[float] = column(
        "Latest periods covering 3 months or more / the same periods a year before - 1", "ratio", nullable=True
    )
    exports_ytd_yoy: Series[float] = column("Year to date / year to date a year before - 1", "ratio", nullable=True)
    score_exports_yoy_3m: Series[float] = column(
        "1 - mid-rank of exports_yoy_3m among the periods known at the release, for the latest one",
        "score",
        nullable=True,
        ge=0,
        le=1,
    )
    n_hist: Series[pd.Int32Dtype] = column("Periods that were ranked", "count", nullable=True)
    knowledge_ts: Series[UTC] = column("When this vintage could be known", "UTC")
    knowledge_basis: Series[str] = column("Where knowledge_ts comes from", "", isin=list(BASES))
    source: Series[str] = column("Where it was read", "")
    licence_class: Series[str] = column("May it be passed on", "", isin=list(LICENCES))


class PowerDaily(Table):
    """Day-ahead power by zone and delivery day."""

    zone: Series[str] = column("Bidding zone", "")
    delivery_date: Series[pd.Timestamp] = column("Local delivery day", "")
    resolution_min: Series[np.int32] = column("Length of a market time unit", "min")
    n_mtu: Series[np.int32] = column("Market time units in the day", "count", ge=1, le=100)
    n_points: Series[np.int32] = column("Points that were published; the others repeat", "count")
    mean_eur_mwh: Series[float] = column(
        "Mean over market time units, repeats filled (curve type A03)", "EUR/MWh", nullable=True
    )
    naive_mean_of_points_eur_mwh: Series[float] = column(
        "Mean of the published points alone, to show the error of not filling", "EUR/MWh", nullable=True
    )
    fx_obs_date: Series[pd.Timestamp] = column("Day of the exchange rate", "", nullable=True)
    eurusd: Series[float] = column("Reference rate known when the auction was published", "USD/EUR", nullable=True)
    mean_usd_mwh: Series[float] = column("mean_eur_mwh * eurusd", "USD/MWh", nullable=True)
    power_cost_usd_t: Series[float] = column("mean_usd_mwh * mwh_per_t", "USD/t", nullable=True)
    share_above_115usd: Series[float] = column(
        "Share of market time units above power_line_high_usd_mwh, a reference line from the press",
        "ratio",
        nullable=True,
        ge=0,
        le=1,
    )
    share_below_40usd: Series[float] = column(
        "Share of market time units below power_line_low_usd_mwh, a reference line from the press",
        "ratio",
        nullable=True,
        ge=0,
        le=1,
    )
    knowledge_ts: Series[UTC] = column("When the auction result could be known: before its day", "UTC")
    source: Series[str] = column("Where it was read", "")
    knowledge_basis: Series[str] = column("Where knowledge_ts comes from", "", isin=list(BASES))
    licence_class: Series[str] = column("Worst licence class of the inputs", "", isin=list(LICENCES))


class ArbitrageDaily(Table):
    """What moving metal between China and the world pays, at each decision time."""

    metal: Series[str] = column("Metal, by its chemical symbol in capitals", "")
    as_of_date: Series[pd.Timestamp] = column("London business day", "")
    as_of_ts: Series[UTC] = column("Decision time: 18:00 London of as_of_date", "UTC")
    arb_obs_date: Series[pd.Timestamp] = column("Day of the Shanghai price and the premia", "")
    price_obs_date: Series[pd.Timestamp] = column("Day of the three-month price", "", nullable=True)
    shfe_cny_t: Series[float] = column("Shanghai price, VAT included (SHFE)", "CNY/t", nullable=True)
    lme_usd_t: Series[float] = column("Three-month price (LME)", "USD/t", nullable=True)
    cif_premium_usd_t: Series[float] = column("Premium of metal delivered to China", "USD/t", nullable=True)
    usdcny: Series[float] = column("Exchange rate (FX)", "CNY/USD", nullable=True)
    dest_premium_usd_t: Series[float] = column("Premium where the semis go", "USD/t", nullable=True)
    freight_usd_t: Series[float] = column("Freight to there", "USD/t", nullable=True)
    vat: Series[float] = column("Value added tax in force on as_of_date", "ratio", nullable=True)
    import_duty: Series[float] = column("Import duty in force", "ratio", nullable=True)
    semis_rebate: Series[float] = column("VAT rebate on exports of semis in force", "ratio", nullable=True)
    port_cny_t: Series[float] = column("Port and handling, an assumption", "CNY/t")
    import_arb_cny_t: Series[float] = column(
        "SHFE - [(LME + CIF premium) * FX * (1 + duty) * (1 + VAT) + port]; positive pulls metal into China",
        "CNY/t",
        nullable=True,
    )
    shfe_lme_ratio: Series[float] = column("SHFE / LME", "CNY/USD", nullable=True)
    semis_export_arb_usd_t: Series[float] = column(
        "(LME + destination premium - freight) - (SHFE - SHFE / (1 + VAT) * rebate) / FX; positive: export pays",
        "USD/t",
        nullable=True,
    )
    export_window: Series[str] = column(
        "SHUT when exporting semis has not paid on arb_shut_days decision days in a row",
        "",
        nullable=True,
        isin=["OPEN", "SHUT"],
    )
    knowledge_ts_max: Series[UTC] = column("When the last of the inputs could be known", "UTC", nullable=True)
    knowledge_basis: Series[str] = column("Worst knowledge basis of the inputs", "", nullable=True, isin=list(BASES))
    licence_class: Series[str] = column("Worst licence class of the inputs", "", nullable=True, isin=list(LICENCES))


class SmelterMarginDaily(Table):
    """What a smelter on day-ahead power earns and pays in each zone, at each decision time. Other cash cost is an
    ASSUMPTION."""

    metal: Series[str] = column("Metal, by its chemical symbol in capitals", "")
    zone: Series[str] = column("Bidding zone of the power", "")
    as_of_date: Series[pd.Timestamp] = column("London business day", "")
    as_of_ts: Series[UTC] = column("Decision time: 18:00 London of as_of_date", "UTC")
    price_obs_date: Series[pd.Timestamp] = column("Trading day of the price", "", nullable=True)
    cost_obs_date: Series[pd.Timestamp] = column("Day of alumina and premium", "", nullable=True)
    power_delivery_date: Series[pd.Timestamp] = column("Delivery day of the power, not after as_of_date", "")
    cash_usd_t: Series[float] = column("Cash settlement price (C)", "USD/t", nullable=True)
    premium_usd_t: Series[float] = column("Physical premium over the exchange", "USD/t", nullable=True)
    alumina_usd_t: Series[float] = column("Alumina price", "USD/t alumina", nullable=True)
    mwh_per_t: Series[float] = column("Power use of a smelter (e)", "MWh/t")
    alumina_t_per_t: Series[float] = column("Alumina use", "t/t", nullable=True)
    other_cash_usd_t: Series[float] = column("Other cash cost, an ASSUMPTION", "USD/t", nullable=True)
    other_cash_status: Series[str] = column(
        "Whether other cash cost is a fact or an assumption", "", nullable=True, isin=["FACT", "ASSUMPTION"]
    )
    power_usd_mwh: Series[float] = column("Mean day-ahead power of power_delivery_date", "USD/MWh", nullable=True)
    power_cost_usd_t: Series[float] = column("power_usd_mwh * e", "USD/t", nullable=True)
    cash_cost_usd_t: Series[float] = column(
        "power cost + alumina_t_per_t * alumina + other cash cost (ASSUMPTION)", "USD/t", nullable=True
    )
    power_share_of_cost: Series[float] = column("power cost / cash cost", "ratio", nullable=True)
    margin_usd_t: Series[float] = column(
        "C + premium - cash cost; rests on other cash cost (ASSUMPTION)", "USD/t", nullable=True
    )
    breakeven_power_usd_mwh: Series[float] = column(
        "(C + premium - alumina_t_per_t * alumina - other cash cost (ASSUMPTION)) / e", "USD/MWh", nullable=True
    )
    headroom_usd_mwh: Series[float] = column("Break-even power - power_usd_mwh", "USD/MWh", nullable=True)
    curtailment_state: Series[str] = column(
        "CURTAILMENT_RISK when headroom was below 0 on curtailment_days decision days in a row",
        "",
        nullable=True,
        isin=["CURTAILMENT_RISK", "NONE"],
    )
    power_usd_mwh_30d: Series[float] = column(
        "Mean of the daily means of the last power_mean_days delivery days; missing below power_mean_min_days of them",
        "USD/MWh",
        nullable=True,
    )
    n_power_days_30d: Series[np.int32] = column("Delivery days in that mean", "count")
    score_power: Series[float] = column(
        "Mid-rank of power_usd_mwh_30d in its trailing window, higher is dearer", "score", nullable=True, ge=0, le=1
    )
    score_headroom: Series[float] = column(
        "1 - mid-rank of headroom in its trailing window, higher is thinner", "score", nullable=True, ge=0, le=1
    )
    supply_stress: Series[float] = column(
        "100 * mean of score_power and score_headroom; beside the tightness index, not in it",
        "index points",
        nullable=True,
        ge=0,
        le=100,
    )
    n_hist: Series[np.int32] = column("Values in the ranking windows, the lower number of the two", "count")
    knowledge_ts_max: Series[UTC] = column("When the last of the inputs could be known", "UTC", nullable=True)
    knowledge_basis: Series[str] = column("Worst knowledge basis of the inputs", "", nullable=True, isin=list(BASES))
    licence_class: Series[str] = column("Worst licence class of the inputs", "", nullable=True, isin=list(LICENCES))


class SupplyMonthly(Table):
    """Output by country and period, as known now."""

    metal: Series[str] = column("Metal, by its chemical symbol in capitals", "")
    country: Series[str] = column("Producer, ISO 3166 alpha-2", "")
    period_end: Series[pd.Timestamp] = column("Last day of the period", "")
    period_months: Series[np.int32] = column("Months in the period: 2 for the January-February pool", "months")
    n_days: Series[np.int32] = column("Days in the period", "days")
    production_kt: Series[float] = column("Output", "kt", ge=0)
    annualised_kt: Series[float] = column("Output / days * 365", "kt/yr")
    cap_kt: Series[float] = column("Cap on the country's capacity, where it has one", "kt/yr", nullable=True)
    cap_utilisation: Series[float] = column("annualised / cap", "ratio", nullable=True)
    production_yoy: Series[float] = column("Against the same period a year before - 1", "ratio", nullable=True)
    knowledge_ts: Series[UTC] = column("When this vintage could be known", "UTC")
    knowledge_ts_max: Series[UTC] = column("When it and its base of a year before could be known", "UTC")
    vintage_no: Series[np.int32] = column("Number of the vintage shown, the last one known", "count", ge=1)
    is_suspect: Series[bool] = column("Published twice under one number with different values", "")
    source: Series[str] = column("Where it was read", "")
    knowledge_basis: Series[str] = column("Where knowledge_ts comes from", "", isin=list(BASES))
    licence_class: Series[str] = column("May it be passed on", "", isin=list(LICENCES))


class EquityDaily(Table):
    """Closes of producers' shares, as known now."""

    ticker: Series[str] = column("Ticker", "")
    obs_date: Series[pd.Timestamp] = column("Trading day", "")
    close_usd: Series[float] = column("Close, as traded", "USD", gt=0)
    high_252_usd: Series[float] = column("Highest of the last near_high_obs closes, this one included", "USD")
    n_closes: Series[np.int32] = column("Closes that the high is taken of", "count")
    near_high: Series[float] = column("close / high", "ratio", gt=0, le=1)
    knowledge_ts: Series[UTC] = column("When this vintage could be known", "UTC")
    knowledge_ts_max: Series[UTC] = column("When the last of the closes of the year could be known", "UTC")
    vintage_no: Series[np.int32] = column("Number of the vintage shown, the last one known", "count", ge=1)
    source: Series[str] = column("Where it was read", "")
    knowledge_basis: Series[str] = column("Where knowledge_ts comes from", "", isin=list(BASES))
    licence_class: Series[str] = column("May it be passed on", "", isin=list(LICENCES))


class EventCalendar(Table):
    """Watched events at each decision time, by the date that was known then."""

    event_id: Series[str] = column("Stable name", "")
    as_of_date: Series[pd.Timestamp] = column("London business day", "")
    as_of_ts: Series[UTC] = column("Decision time: 18:00 London of as_of_date", "UTC")
    title: Series[str] = column("What happens", "")
    event_date: Series[pd.Timestamp] = column("Day of the event", "")
    days_to_event: Series[np.int32] = column("event_date - as_of_date; below 0 afterwards", "days")
    state: Series[str] = column(
        "ACTIVE from event_before_days before to event_after_days after", "", isin=["AHEAD", "ACTIVE", "PAST"]
    )
    known_since: Series[pd.Timestamp] = column("Day from which this date was known", "")
    status: Series[str] = column("Is the date a fact or an assumption", "", isin=["FACT", "ASSUMPTION"])


class IndicatorRanksDaily(Table):
    """Each component of the index with its ranks over several windows and its robust z."""

    metal: Series[str] = column("Metal, by its chemical symbol in capitals", "")
    indicator: Series[str] = column("Component of the index", "")
    as_of_date: Series[pd.Timestamp] = column("London business day", "")
    as_of_ts: Series[UTC] = column("Decision time: 18:00 London of as_of_date", "UTC")
    family: Series[str] = column("Family of the component", "", isin=["CURVE", "INVENTORY", "FLOW"])
    region: Series[str] = column("Country of the series, or GLOBAL", "")
    sign: Series[np.int32] = column("+1 where higher is tighter, -1 where lower is", "sign", isin=[-1, 1])
    weight: Series[float] = column("Weight of the family in the index", "ratio")
    value: Series[float] = column("The indicator; missing when older than its max_age_days", "its own", nullable=True)
    percentile: Series[float] = column(
        "Mid-rank over rank_window: (below + half of the equal) / n", "ratio", nullable=True, ge=0, le=1
    )
    score: Series[float] = column(
        "The percentile, or 1 - percentile where lower is tighter", "score", nullable=True, ge=0, le=1
    )
    n_hist: Series[np.int32] = column("Values in the ranking window", "count")
    rank_2y: Series[float] = column("The percentile over 2 years", "ratio", nullable=True, ge=0, le=1)
    rank_5y: Series[float] = column("The percentile over 5 years", "ratio", nullable=True, ge=0, le=1)
    rank_10y: Series[float] = column("The percentile over 10 years", "ratio", nullable=True, ge=0, le=1)
    rank_sensitivity: Series[float] = column("Highest less lowest of the three", "ratio", nullable=True, ge=0, le=1)
    median: Series[float] = column("Median over rank_window", "its own", nullable=True)
    mad: Series[float] = column("Median absolute deviation over rank_window", "its own", nullable=True)
    robust_z: Series[float] = column(
        "(value - median) / (1.4826 * MAD), cut off at z_cap; missing where MAD is 0; for display",
        "robust z",
        nullable=True,
    )
    ranked_from: Series[pd.Timestamp] = column("First day or period in the ranking window", "", nullable=True)
    is_break: Series[bool] = column("The window spans a day on which the series changed its meaning", "")
    break_ids: Series[str] = column("Which ones, of series_breaks.csv", "", nullable=True)


class TightnessDaily(Table):
    """The wide row of each decision time: what was known by then, the index and the regime."""

    metal: Series[str] = column("Metal, by its chemical symbol in capitals", "")
    as_of_date: Series[pd.Timestamp] = column("London business day", "")
    as_of_ts: Series[UTC] = column("Decision time: 18:00 London of as_of_date", "UTC")
    price_obs_date: Series[pd.Timestamp] = column("Trading day of the prices", "", nullable=True)
    stock_obs_date: Series[pd.Timestamp] = column("Day of the stock", "", nullable=True)
    rate_obs_date: Series[pd.Timestamp] = column("Day of the rate", "", nullable=True)
    exports_period_end: Series[pd.Timestamp] = column("End of the latest export period known", "", nullable=True)
    offwarrant_period_end: Series[pd.Timestamp] = column(
        "Latest month-end of off-warrant stock known", "", nullable=True
    )
    cash_usd_t: Series[float] = column("Cash settlement price (C)", "USD/t", nullable=True, gt=0)
    m3_usd_t: Series[float] = column("Three-month price (F)", "USD/t", nullable=True, gt=0)
    days_cash_to_3m: Series[pd.Int32Dtype] = column(
        "Calendar days from the cash to the three-month prompt (D)", "days", nullable=True, ge=80, le=100
    )
    cash_3m_spread_usd_t: Series[float] = column("C - F; positive is backwardation", "USD/t", nullable=True)
    basis_ann: Series[float] = column("(C - F) / C * 365 / D", "1/yr", nullable=True)
    rate: Series[float] = column("SOFR as a fraction (r)", "1/yr", nullable=True)
    full_carry_usd_t: Series[float] = column("C * (r + financing_spread) * D / 360 + rent * D", "USD/t", nullable=True)
    contango_share_of_full_carry: Series[float] = column("(F - C) / full carry", "ratio", nullable=True)
    carry_tightness: Series[float] = column("1 - contango share of full carry", "ratio", nullable=True)
    conv_yield_ann: Series[float] = column("(C - F + full carry) / C * 365 / D", "1/yr", nullable=True)
    total_t: Series[float] = column("Registered stock", "t", nullable=True, ge=0)
    live_t: Series[float] = column("total - cancelled", "t", nullable=True, ge=0)
    cancelled_ratio: Series[float] = column("cancelled / total", "ratio", nullable=True, ge=0, le=1)
    stock_days: Series[float] = column("total / (yearly consumption / 365)", "days", nullable=True)
    stock_log_chg: Series[float] = column("ln(S_t / S_t-n)", "ln", nullable=True)
    exports_yoy: Series[float] = column("Latest export period against a year before", "ratio", nullable=True)
    exports_yoy_3m: Series[float] = column(
        "Latest periods covering 3 months or more against a year before", "ratio", nullable=True
    )
    exports_ytd_yoy: Series[float] = column("Year to date against a year before", "ratio", nullable=True)
    offwarrant_yoy: Series[float] = column("Off-warrant stock against 12 months before", "ratio", nullable=True)
    visible_t: Series[float] = column("Off-warrant plus registered stock at the month-end", "t", nullable=True, ge=0)
    score_carry_tightness: Series[float] = column(
        "Mid-rank of carry_tightness in its trailing window, higher is tighter", "score", nullable=True, ge=0, le=1
    )
    score_cancelled_ratio: Series[float] = column(
        "Mid-rank of cancelled_ratio in its trailing window, higher is tighter", "score", nullable=True, ge=0, le=1
    )
    score_stock_days: Series[float] = column(
        "Mid-rank of stock_days in its trailing window, higher is tighter", "score", nullable=True, ge=0, le=1
    )
    score_stock_log_chg: Series[float] = column(
        "Mid-rank of stock_log_chg in its trailing window, higher is tighter", "score", nullable=True, ge=0, le=1
    )
    score_exports_yoy_3m: Series[float] = column(
        "Mid-rank of exports_yoy_3m in its trailing window, higher is tighter", "score", nullable=True, ge=0, le=1
    )
    family_curve: Series[float] = column("Mean of the available CURVE scores", "score", nullable=True, ge=0, le=1)
    family_inventory: Series[float] = column(
        "Mean of the available INVENTORY scores", "score", nullable=True, ge=0, le=1
    )
    family_flow: Series[float] = column("Mean of the available FLOW scores", "score", nullable=True, ge=0, le=1)
    contrib_curve: Series[float] = column("What CURVE adds to the index", "index points", nullable=True)
    contrib_inventory: Series[float] = column("What INVENTORY adds to the index", "index points", nullable=True)
    contrib_flow: Series[float] = column("What FLOW adds to the index", "index points", nullable=True)
    coverage: Series[float] = column("Weight of the families that are there", "ratio", ge=0, le=1)
    n_components: Series[np.int32] = column("Scores that are there", "count")
    tightness_index: Series[float] = column(
        "100 * sum(weight * family) / sum(weight); missing below min_coverage",
        "index points",
        nullable=True,
        ge=0,
        le=100,
    )
    regime: Series[str] = column(
        "LOOSE, NEUTRAL, TIGHT, SQUEEZE or UNKNOWN", "", isin=["LOOSE", "NEUTRAL", "TIGHT", "SQUEEZE", "UNKNOWN"]
    )
    regime_status: Series[str] = column("OK, STALE, UNKNOWN or WARMUP", "", isin=["OK", "STALE", "UNKNOWN", "WARMUP"])
    knowledge_ts_max: Series[UTC] = column(
        "When the last of the inputs could be known; never after as_of_ts", "UTC", nullable=True
    )
    knowledge_basis: Series[str] = column("Worst knowledge basis of the inputs", "", nullable=True, isin=list(BASES))
    licence_class: Series[str] = column("Worst licence class of the inputs", "", nullable=True, isin=list(LICENCES))


MARTS: dict[str, Mart] = {
    "price_daily": Mart(
        PriceDaily,
        "marts",
        "Prices by trading day, with the states that the desk reads off them",
        key=("metal", "obs_date"),
    ),
    "curve_daily": Mart(
        CurveDaily,
        "marts",
        "The forward curve at each decision time: spread, carry and yield",
        key=("metal", "as_of_date"),
    ),
    "inventory_daily": Mart(
        InventoryDaily, "marts", "Registered stock at each decision time", key=("metal", "as_of_date")
    ),
    "inventory_visible_monthly": Mart(
        InventoryVisibleMonthly,
        "marts",
        "Visible stock by month-end: off-warrant plus registered",
        key=("metal", "period_end"),
        cadence="monthly",
    ),
    "exports_monthly": Mart(
        ExportsMonthly,
        "marts",
        "Exports by period and vintage",
        key=("metal", "country", "period_end", "vintage_no"),
        cadence="monthly",
    ),
    "power_daily": Mart(PowerDaily, "marts", "Day-ahead power by zone and delivery day", key=("zone", "delivery_date")),
    "arbitrage_daily": Mart(
        ArbitrageDaily,
        "marts",
        "What moving metal between China and the world pays, at each decision time",
        key=("metal", "as_of_date"),
    ),
    "smelter_margin_daily": Mart(
        SmelterMarginDaily,
        "marts",
        "Smelter cost, margin and break-even power by zone, at each decision time; other cash cost is an ASSUMPTION",
        key=("metal", "zone", "as_of_date"),
    ),
    "supply_monthly": Mart(
        SupplyMonthly,
        "marts",
        "Output by country and period, as known now",
        key=("metal", "country", "period_end"),
        cadence="monthly",
    ),
    "equity_daily": Mart(EquityDaily, "marts", "Closes of producers' shares, as known now", key=("ticker", "obs_date")),
    "event_calendar": Mart(
        EventCalendar, "marts", "Watched events at each decision time", key=("event_id", "as_of_date")
    ),
    "indicator_ranks_daily": Mart(
        IndicatorRanksDaily,
        "marts",
        "Each component of the index with its ranks over several windows and its robust z",
        key=("metal", "indicator", "as_of_date"),
    ),
    "tightness_daily": Mart(
        TightnessDaily,
        "marts",
        "The wide row of each decision time: what was known by then, the index and the regime",
        key=("metal", "as_of_date"),
    ),
}
