"""Reference tables: every fact and assumption with its source, status and the day from which it holds.

Files are CSV in the reference folder (CONTRACT section 5). A parameter is changed by adding a row with a later
`valid_from`; results before that day stay as they were.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import pandas as pd
import pandera.pandas as pa
from pandera.typing import Series

from schemas.base import UTC, column
from schemas.metrics import METRICS

METAL_OR_ALL = r"^([A-Z]{2}|\*)$"


class Reference(pa.DataFrameModel):
    """What every reference table carries."""

    valid_from: Series[pd.Timestamp] = column("First day on which the row holds", "date")
    status: Series[str] = column("Is it a fact or our assumption", isin=["FACT", "ASSUMPTION"])
    source: Series[str] = column("Who says so", str_length={"min_value": 3})

    class Config:
        coerce = True
        strict = True


class Metals(Reference):
    """The metals that are monitored and their names in the sources."""

    metal: Series[str] = column("Chemical symbol in capitals", str_matches="^[A-Z]{2}$")
    name: Series[str] = column("English name")
    lot_t: Series[float] = column("Exchange lot", "t", gt=0)
    westmetall_code: Series[str] = column("Name in Westmetall's pages, as in LME_Al_cash")
    worldbank_column: Series[str] = column("Column of the World Bank's Pink Sheet")
    fred_series: Series[str] = column("Series of the monthly mean at FRED")
    customs_label: Series[str] = column("Pattern of the commodity's name in China customs table 13")
    hs_codes: Series[str] = column("Harmonised System codes, separated by blanks")
    chinese_name: Series[str] | None = column("Name in Chinese sources; the column may be left out")


class PowerZones(Reference):
    """The bidding zones whose power price is followed."""

    zone: Series[str] = column("Bidding zone")
    eic: Series[str] = column("Energy Identification Code", str_length={"min_value": 16, "max_value": 16})
    timezone: Series[str] = column("Time zone of the delivery day")
    data_source: Series[str] = column("Which source serves it", isin=["energy_charts", "entsoe"])


class Exporters(Reference):
    """The countries whose exports are followed, each from one source, so that two definitions never meet in a series.

    China's headline table counts unwrought metal and products by its own list, Comtrade sums Harmonised System codes: a
    country that came from both would change its definition from month to month.
    """

    country: Series[str] = column("Exporter, ISO 3166 alpha-2", str_matches="^[A-Z]{2}$", unique=True)
    name: Series[str] = column("English name", str_length={"min_value": 2})
    comtrade_code: Series[int] = column("Reporter code at UN Comtrade (M49)", "code", ge=1, le=999)
    data_source: Series[str] = column("Which source serves it", isin=["customs", "comtrade"])

    @pa.dataframe_check(name="customs_is_china", error="data_source customs is China's own: CN alone can have it")
    def customs_is_china(cls, df: pd.DataFrame) -> pd.Series:
        return (df["data_source"] != "customs") | (df["country"] == "CN")


class ProducerShares(Reference):
    """The shares of producers that are followed beside a metal."""

    ticker: Series[str] = column("Ticker, as the source of prices writes it", str_matches="^[A-Z][A-Z0-9.-]{0,11}$")
    name: Series[str] = column("Company", str_length={"min_value": 2})
    metal: Series[str] = column("Metal that it stands for", str_matches="^[A-Z]{2}$")


class Parameters(Reference):
    """Named numbers in the formulas; `*` holds for every metal that has no row of its own."""

    name: Series[str] = column("Parameter name", str_matches="^[a-z][a-z0-9_]+$")
    metal: Series[str] = column("Metal, or * for all", str_matches=METAL_OR_ALL)
    value: Series[float] = column("Value", "see unit")
    unit: Series[str] = column("Unit")

    @pa.dataframe_check(name="one_value_at_a_time", error="name, metal and valid_from stand twice")
    def one_value_at_a_time(cls, df: pd.DataFrame) -> pd.Series:
        return ~df.duplicated(["name", "metal", "valid_from"], keep=False)


class DailyIndicator(NamedTuple):
    """Where an indicator with a value each day is computed: table without its layer's prefix, column of its age."""

    table: str
    age_days: str


DAILY_INDICATORS: Final = {
    "carry_tightness": DailyIndicator("curve_daily", "price_age_days"),
    "cancelled_ratio": DailyIndicator("inventory_daily", "cancelled_age_days"),
    "stock_days": DailyIndicator("inventory_daily", "stock_age_days"),
    "stock_log_chg": DailyIndicator("inventory_daily", "stock_age_days"),
}
# What can be a component of the index: those of the exchange, and the exports of a country, ranked by release.
INDICATORS = (*DAILY_INDICATORS, "exports_yoy_3m")


class IndexComponents(Reference):
    """What the tightness index is made of. `weight` is the family's and stands on each of its rows.

    A metal's rows of one `valid_from` are the whole index from that day on: to change a weight or a component, all
    rows are given again with a later day.
    """

    metal: Series[str] = column("Metal", str_matches="^[A-Z]{2}$")
    family: Series[str] = column("Family of the component", isin=["CURVE", "INVENTORY", "FLOW"])
    indicator: Series[str] = column("Indicator that is ranked", isin=list(INDICATORS))
    region: Series[str] = column("Country of the series, or GLOBAL")
    sign: Series[int] = column("+1 where higher is tighter, -1 where lower is", "sign", isin=[-1, 1])
    weight: Series[float] = column("Weight of the family in the index", "ratio", gt=0, le=1)
    max_age_days: Series[int] = column("Older than this it is missing", "days", gt=0)

    @pa.dataframe_check(name="weights_sum_to_one", error="the weights of a metal's families do not sum to 1")
    def weights_sum_to_one(cls, df: pd.DataFrame) -> pd.Series:
        families = df.drop_duplicates(["metal", "valid_from", "family", "weight"])
        total = families.groupby(["metal", "valid_from"])["weight"].transform("sum")
        sums = pd.Series(total.to_numpy(), index=pd.MultiIndex.from_frame(families[["metal", "valid_from"]]))
        found = sums[~sums.index.duplicated()].reindex(pd.MultiIndex.from_frame(df[["metal", "valid_from"]]))
        return pd.Series((found - 1).abs().to_numpy() < 1e-9, index=df.index)

    @pa.dataframe_check(name="one_weight_a_family", error="the family has two weights on one day")
    def one_weight_a_family(cls, df: pd.DataFrame) -> pd.Series:
        return df.groupby(["metal", "valid_from", "family"])["weight"].transform("nunique") == 1

    @pa.dataframe_check(name="region_of_the_indicator", error="region is GLOBAL, and a country for exports_yoy_3m")
    def region_of_the_indicator(cls, df: pd.DataFrame) -> pd.Series:
        return (df["indicator"] == "exports_yoy_3m") != (df["region"] == "GLOBAL")

    @pa.dataframe_check(name="one_component_once", error="the component stands twice")
    def one_component_once(cls, df: pd.DataFrame) -> pd.Series:
        return ~df.duplicated(["metal", "indicator", "valid_from"], keep=False)


class ReleaseCalendar(Reference):
    """When a source tier publishes a period. Status FACT gives the basis CALENDAR, ASSUMPTION gives ASSUMED."""

    dataset: Series[str] = column("Dataset")
    data_source: Series[str] = column("Source module, drop, or * for all others")
    rule: Series[str] = column(
        "How the day is found from the end of the period",
        isin=["DAYS_AFTER", "BUSINESS_DAYS_AFTER", "DAY_OF_MONTH", "BUSINESS_DAY_OF_MONTH"],
    )
    n: Series[int] = column("Days after, or day of the month", "days", ge=-1, le=366)
    months_after: Series[int] = column(
        "Months after the period, for the rules that name a day of a month", "months", ge=0, le=12
    )
    calendar: Series[str] = column("Whose business days", isin=["LONDON", "NEW_YORK", "TARGET", "WEEKDAYS"])
    timezone: Series[str] = column("Time zone of the release")
    local_time: Series[str] = column("Time of the release", str_matches="^([01][0-9]|2[0-3]):[0-5][0-9]$")


class SignalDefinitions(Reference):
    """The published signals: which metric of which series, in which version. A row holds from `valid_from` on."""

    signal_id: Series[str] = column("Stable name, METAL.FAMILY.NAME", str_matches=r"^[A-Z]{2}(\.[A-Z0-9_]+)+$")
    signal_version: Series[str] = column("Formula = major, default parameter = minor", str_matches=r"^\d+\.\d+\.\d+$")
    metal: Series[str] = column("Metal", str_matches="^[A-Z]{2}$")
    region: Series[str] = column("Country or region that it speaks of, or GLOBAL")
    kind: Series[str] = column("Kind of signal", isin=["LEVEL", "SCORE", "STATE", "EVENT"])
    metric_id: Series[str] = column("Metric that it publishes", isin=list(METRICS))
    entity: Series[str] = column(
        "Series of the metric: country, region, zone, ticker or event; empty where there is one"
    )
    unit: Series[str] = column("Unit of the value, that of the metric")
    sign: Series[int] = column(
        "+1 where a higher value is tighter, -1 where a lower one is, 0 where neither", "sign", isin=[-1, 0, 1]
    )
    tight_states: Series[str] = column("States that mean tighter, separated by blanks")
    loose_states: Series[str] = column("States that mean looser, separated by blanks")
    max_age_days: Series[int] = column("Older than this it is STALE", "days", gt=0)
    description: Series[str] = column("What it says")

    @pa.dataframe_check(name="named_after_its_metal", error="signal_id does not begin with its metal")
    def named_after_its_metal(cls, df: pd.DataFrame) -> pd.Series:
        return df["signal_id"].str.split(".").str[0] == df["metal"]

    @pa.dataframe_check(name="one_region", error="signal_id changes its region: give it another name")
    def one_region(cls, df: pd.DataFrame) -> pd.Series:
        return df.groupby("signal_id")["region"].transform("nunique") == 1

    @pa.dataframe_check(
        name="one_meaning_a_version", error="signal_id and signal_version stand twice: count the version up"
    )
    def one_meaning_a_version(cls, df: pd.DataFrame) -> pd.Series:
        return ~df.duplicated(["signal_id", "signal_version"], keep=False)

    @pa.dataframe_check(name="tight_or_loose", error="a state is both tight and loose")
    def tight_or_loose(cls, df: pd.DataFrame) -> pd.Series:
        pairs = zip(df["tight_states"].str.split(), df["loose_states"].str.split(), strict=True)
        return pd.Series([not set(tight) & set(loose) for tight, loose in pairs], index=df.index)

    @pa.dataframe_check(name="one_row_at_a_time", error="signal_id and valid_from stand twice")
    def one_row_at_a_time(cls, df: pd.DataFrame) -> pd.Series:
        return ~df.duplicated(["signal_id", "valid_from"], keep=False)

    @pa.dataframe_check(name="unit_of_the_metric", error="unit is not that of metric_id")
    def unit_of_the_metric(cls, df: pd.DataFrame) -> pd.Series:
        return df["unit"] == df["metric_id"].map({name: metric.unit for name, metric in METRICS.items()})

    @pa.dataframe_check(name="states_of_the_metric", error="tight_states or loose_states name no state of metric_id")
    def states_of_the_metric(cls, df: pd.DataFrame) -> pd.Series:
        named = (df["tight_states"] + " " + df["loose_states"]).str.split()
        known = df["metric_id"].map({name: set(metric.states) for name, metric in METRICS.items()})
        return pd.Series([set(n) <= k for n, k in zip(named, known, strict=True)], index=df.index)

    @pa.dataframe_check(name="kind_of_the_metric", error="kind STATE or EVENT needs a metric with states")
    def kind_of_the_metric(cls, df: pd.DataFrame) -> pd.Series:
        has_states = df["metric_id"].isin([name for name, metric in METRICS.items() if metric.states])
        return ~df["kind"].isin(["STATE", "EVENT"]) | has_states


class SeriesBreaks(Reference):
    """Days on which a series changed its meaning; what is compared across one is flagged BREAK from `valid_from` on."""

    break_id: Series[str] = column("Stable name", str_matches="^[A-Z0-9_]+$", unique=True)
    metal: Series[str] = column("Metal, or * for all", str_matches=METAL_OR_ALL)
    metric_id: Series[str] = column("Metric whose comparisons it breaks", isin=list(METRICS))
    break_date: Series[pd.Timestamp] = column("First day with the new meaning", "date")
    description: Series[str] = column("What changed")


class Events(Reference):
    """Dated events that are watched. Known from `valid_from` on; a later row of the same event moves its date."""

    event_id: Series[str] = column("Stable name", str_matches="^[A-Z0-9_]+$")
    metal: Series[str] = column("Metal that it matters to, or * for all", str_matches=METAL_OR_ALL)
    title: Series[str] = column("What happens")
    event_date: Series[pd.Timestamp] = column("Day of the event", "date")

    @pa.dataframe_check(name="one_date_at_a_time", error="event_id, metal and valid_from stand twice")
    def one_date_at_a_time(cls, df: pd.DataFrame) -> pd.Series:
        return ~df.duplicated(["event_id", "metal", "valid_from"], keep=False)


class Smelters(Reference):
    """The smelter register: capacity and what of it is idled, by plant, from `valid_from` on."""

    plant: Series[str] = column("Plant")
    metal: Series[str] = column("Metal", str_matches="^[A-Z]{2}$")
    country: Series[str] = column("Country, ISO 3166 alpha-2", str_matches="^[A-Z]{2}$")
    region: Series[str] = column("Region whose idled capacity it counts to, for example EUROPE")
    capacity_kt: Series[float] = column("Yearly capacity; 0 once it is closed for good", "kt/yr", ge=0, le=10_000)
    idled_kt: Series[float] = column("Of it idled", "kt/yr", ge=0, le=10_000)

    @pa.dataframe_check(name="idled_within_capacity", error="idled_kt is more than capacity_kt")
    def idled_within_capacity(cls, df: pd.DataFrame) -> pd.Series:
        return df["idled_kt"] <= df["capacity_kt"]

    @pa.dataframe_check(name="one_row_a_day", error="plant, metal and valid_from stand twice")
    def one_row_a_day(cls, df: pd.DataFrame) -> pd.Series:
        return ~df.duplicated(["plant", "metal", "valid_from"], keep=False)


class TaxSchedule(Reference):
    """Taxes on imports and exports over time, as fractions."""

    country: Series[str] = column("Country, ISO 3166 alpha-2", str_matches="^[A-Z]{2}$")
    metal: Series[str] = column("Metal, or * for all", str_matches=METAL_OR_ALL)
    tax: Series[str] = column(
        "Value added tax, import duty on the metal, or VAT rebate on exports of semis",
        isin=["VAT", "IMPORT_DUTY", "SEMIS_EXPORT_REBATE"],
    )
    rate: Series[float] = column("Rate", "ratio", ge=0, le=1)

    @pa.dataframe_check(name="one_rate_at_a_time", error="country, metal, tax and valid_from stand twice")
    def one_rate_at_a_time(cls, df: pd.DataFrame) -> pd.Series:
        return ~df.duplicated(["country", "metal", "tax", "valid_from"], keep=False)


OPERATORS = ("APPROX", "EQ", "GT", "GE", "LT", "LE", "BETWEEN")


class Claims(Reference):
    """Written claims that are held against the data as known then, from `valid_from` until `horizon_end`.

    A claim without a metric_id cannot be tested. `period_from` and `period_to` say which observation it speaks of;
    without them it is the latest one known.
    """

    claim_id: Series[str] = column("Stable name", str_matches="^[A-Z0-9_]+$", unique=True)
    metal: Series[str] = column("Metal", str_matches="^[A-Z]{2}$")
    claim_text: Series[str] = column("What was claimed")
    source_doc: Series[str] = column("Where it stood", str_length={"min_value": 3})
    claim_date: Series[pd.Timestamp] = column("Day of the claim", "date")
    metric_id: Series[str] = column("Metric that it is held against; empty where it cannot be", isin=[*METRICS, ""])
    entity: Series[str] = column(
        "Series of the metric: country, region, zone, ticker or event; empty where there is one"
    )
    definition: Series[str] = column("How the claim is understood, in words", str_length={"min_value": 3})
    operator: Series[str] = column(
        "How the value is held against the threshold; empty without a metric", isin=[*OPERATORS, ""]
    )
    threshold: Series[float] = column("Claimed value", "the metric's", nullable=True)
    threshold_high: Series[float] = column("Upper end, for BETWEEN", "the metric's", nullable=True)
    tolerance: Series[float] = column(
        "How far off it may be; for APPROX up to three times as far is PARTIAL",
        "the metric's",
        nullable=True,
        ge=0,
    )
    period_from: Series[pd.Timestamp] = column("First day on which the observation may end", "date", nullable=True)
    period_to: Series[pd.Timestamp] = column("Last day on which it may end", "date", nullable=True)
    horizon_end: Series[pd.Timestamp] = column("Last day on which the claim is held against the data", "date")

    @pa.dataframe_check(
        name="testable_claims_are_complete", error="a claim with metric_id needs operator, threshold and tolerance"
    )
    def testable_claims_are_complete(cls, df: pd.DataFrame) -> pd.Series:
        whole = (df["operator"] != "") & df["threshold"].notna() & df["tolerance"].notna()
        return (df["metric_id"] == "") | whole

    @pa.dataframe_check(name="horizon_in_order", error="horizon_end lies before valid_from or claim_date")
    def horizon_in_order(cls, df: pd.DataFrame) -> pd.Series:
        return (df["horizon_end"] >= df["valid_from"]) & (df["horizon_end"] >= df["claim_date"])

    @pa.dataframe_check(name="between_has_two_ends", error="operator BETWEEN needs threshold_high, not below threshold")
    def between_has_two_ends(cls, df: pd.DataFrame) -> pd.Series:
        return (df["operator"] != "BETWEEN") | (df["threshold_high"] >= df["threshold"])

    @pa.dataframe_check(name="period_in_order", error="period_from lies after period_to, or one of them is missing")
    def period_in_order(cls, df: pd.DataFrame) -> pd.Series:
        neither = df["period_from"].isna() & df["period_to"].isna()
        return neither | (df["period_from"] <= df["period_to"])


REFERENCE: dict[str, type[Reference]] = {
    "metals": Metals,
    "power_zones": PowerZones,
    "exporters": Exporters,
    "equities": ProducerShares,
    "parameters": Parameters,
    "index_components": IndexComponents,
    "release_calendar": ReleaseCalendar,
    "series_breaks": SeriesBreaks,
    "signal_definitions": SignalDefinitions,
    "claims": Claims,
    "events": Events,
    "smelters": Smelters,
    "tax_schedule": TaxSchedule,
}


class TradingCalendar(pa.DataFrameModel):
    """Days with London business days, decision times and prompts; computed by the run, not a file"""

    calendar_date: Series[pd.Timestamp] = column("Day, weekends included", "date")
    is_business_day: Series[bool] = column("Is it a business day in London")
    as_of_ts: Series[UTC] = column("Decision time: 18:00 London", "UTC")
    cash_prompt: Series[pd.Timestamp] = column("Prompt of the cash price: two business days on", "date")
    m3_prompt: Series[pd.Timestamp] = column("Prompt of the three-month price", "date")
    days_cash_to_3m: Series[int] = column("Calendar days from the one to the other", "days")


# What the models read as reference tables: the files, and what the run computes.
REFERENCE_TABLES: dict[str, type[pa.DataFrameModel]] = {**REFERENCE, "trading_calendar": TradingCalendar}


class Parameter(NamedTuple):
    """What a parameter may be: its unit, the range of its values, whether it is a whole number, and who needs it."""

    unit: str
    low: float
    high: float
    whole: bool = False
    smelting: bool = False  # only a metal with smelters has it; without it the smelter figures are simply empty
    shared: bool = False  # it shapes tables that know no metal, and so is given for all of them at once


# Every parameter that the formulas read; each metal needs a value of its own or the one for all.
PARAMETERS: dict[str, Parameter] = {
    "day_count": Parameter("days", 360, 366, whole=True),
    "rent_usd_t_day": Parameter("USD/t/day", 0, 10),
    "financing_spread": Parameter("fraction per year", -0.05, 0.5),
    "consumption_t_per_year": Parameter("t/yr", 1, 1e10),
    "stock_chg_obs": Parameter("observations", 1, 260, whole=True),
    "yoy_max_staleness_days": Parameter("days", 0, 31, whole=True),
    "tick_usd_t": Parameter("USD/t", 0, 100),
    "level_up": Parameter("USD/t", 0, 1e6),
    "level_down": Parameter("USD/t", 0, 1e6),
    "level_k": Parameter("observations", 1, 30, whole=True),
    "level_m": Parameter("observations", 1, 30, whole=True),
    "level_alt_k": Parameter("observations", 1, 30, whole=True),
    "level_alt_m": Parameter("observations", 1, 30, whole=True),
    "level_buffer": Parameter("ratio", 0, 0.5),
    "bw_k": Parameter("observations", 1, 30, whole=True),
    "bw_m": Parameter("observations", 1, 30, whole=True),
    "rank_min_periods": Parameter("observations", 1, 10_000, whole=True),
    "rank_min_periods_monthly": Parameter("observations", 1, 1_000, whole=True),
    "rank_window": Parameter("observations", 2, 10_000, whole=True),
    "rank_window_monthly": Parameter("observations", 2, 1_000, whole=True),
    "z_cap": Parameter("robust z", 1, 20),
    "min_coverage": Parameter("ratio", 0.01, 1),
    "enter_tight": Parameter("index points", 0, 100),
    "exit_tight": Parameter("index points", 0, 100),
    "enter_squeeze": Parameter("index points", 0, 100),
    "exit_squeeze": Parameter("index points", 0, 100),
    "enter_loose": Parameter("index points", 0, 100),
    "exit_loose": Parameter("index points", 0, 100),
    "regime_confirm": Parameter("observations", 1, 60, whole=True),
    "regime_max_gap": Parameter("observations", 0, 60, whole=True),
    "max_age_days_rate": Parameter("days", 1, 366, whole=True),
    "stock_unwind_ln": Parameter("ln", 0, 2),
    "stock_unwind_k": Parameter("observations", 1, 60, whole=True),
    "visible_low_age_days": Parameter("days", 1, 10_000, whole=True),
    "offwarrant_drain": Parameter("ratio", -1, 0),
    "exports_drop": Parameter("ratio", -1, 0),
    "exports_drop_prints": Parameter("periods", 1, 12, whole=True),
    "port_cny_t": Parameter("CNY/t", 0, 5_000),
    "arb_shut_days": Parameter("days", 1, 260, whole=True),
    "china_cap_t": Parameter("t/yr", 1, 1e10, smelting=True),
    "cap_binding": Parameter("ratio", 0, 2),
    "cap_breach": Parameter("ratio", 0, 2),
    "idled_event_kt": Parameter("kt/yr", 0, 10_000),
    "idled_event_days": Parameter("days", 1, 366, whole=True),
    "mwh_per_t": Parameter("MWh/t", 0.1, 50, smelting=True),
    "alumina_t_per_t": Parameter("t/t", 0, 10, smelting=True),
    "other_cash_usd_t": Parameter("USD/t", 0, 10_000, smelting=True),
    "power_line_high_usd_mwh": Parameter("USD/MWh", 0, 5_000, shared=True),
    "power_line_low_usd_mwh": Parameter("USD/MWh", 0, 5_000, shared=True),
    "power_mean_days": Parameter("days", 1, 366, whole=True),
    "power_mean_min_days": Parameter("days", 1, 366, whole=True),
    "curtailment_days": Parameter("days", 1, 260, whole=True),
    "near_high_obs": Parameter("observations", 2, 2_600, whole=True, shared=True),
    "near_high_ratio": Parameter("ratio", 0, 1),
    "event_before_days": Parameter("days", 0, 366, whole=True, shared=True),
    "event_after_days": Parameter("days", 0, 366, whole=True, shared=True),
}

# Pairs of which the first may not be more than the second, on any day.
ORDERED: tuple[tuple[str, str], ...] = (
    ("level_down", "level_up"),
    ("level_k", "level_m"),
    ("level_alt_k", "level_alt_m"),
    ("bw_k", "bw_m"),
    ("rank_min_periods", "rank_window"),
    ("rank_min_periods_monthly", "rank_window_monthly"),
    ("exit_tight", "enter_tight"),
    ("enter_tight", "enter_squeeze"),
    ("exit_squeeze", "enter_squeeze"),
    ("enter_loose", "exit_loose"),
    ("exit_loose", "enter_tight"),
    ("cap_binding", "cap_breach"),
    ("power_line_low_usd_mwh", "power_line_high_usd_mwh"),
    ("power_mean_min_days", "power_mean_days"),
)
