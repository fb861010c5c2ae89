"""Reference tables: every fact and assumption with its source, status and the day from which it holds.

Files are CSV in the reference folder (CONTRACT section 5). A parameter is changed by adding a row with a later
`valid_from`; results before that day stay as they were.
"""

from __future__ import annotations

import pandas as pd
import pandera.pandas as pa
from pandera.typing import Series

from schemas.base import column

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
    comtrade_code: Series[int] = column("Reporter code at UN Comtrade (M49)", ge=1, le=999)
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
    value: Series[float] = column("Value in the unit beside it")
    unit: Series[str] = column("Unit")

    @pa.dataframe_check(name="one_value_at_a_time", error="name, metal and valid_from stand twice")
    def one_value_at_a_time(cls, df: pd.DataFrame) -> pd.Series:
        return ~df.duplicated(["name", "metal", "valid_from"], keep=False)


class IndexComponents(Reference):
    """What the tightness index is made of. `weight` is the family's and stands on each of its rows."""

    metal: Series[str] = column("Metal", str_matches="^[A-Z]{2}$")
    family: Series[str] = column("Family of the component", isin=["CURVE", "INVENTORY", "FLOW"])
    indicator: Series[str] = column("Indicator that is ranked")
    region: Series[str] = column("Country of the series, or GLOBAL")
    sign: Series[int] = column("+1 where higher is tighter, -1 where lower is", isin=[-1, 1])
    weight: Series[float] = column("Weight of the family in the index", "ratio", gt=0, le=1)
    max_age_days: Series[int] = column("Older than this it is missing", "days", gt=0)

    @pa.dataframe_check(name="weights_sum_to_one", error="the weights of a metal's families do not sum to 1")
    def weights_sum_to_one(cls, df: pd.DataFrame) -> pd.Series:
        families = df.drop_duplicates(["metal", "family", "weight"])
        total = families.groupby("metal")["weight"].sum()
        return (df["metal"].map(total) - 1).abs() < 1e-9


class ReleaseCalendar(Reference):
    """When a source tier publishes a period. Status FACT gives the basis CALENDAR, ASSUMPTION gives ASSUMED."""

    dataset: Series[str] = column("Dataset")
    data_source: Series[str] = column("Source module, drop, or * for all others")
    rule: Series[str] = column(
        "How the day is found from the end of the period",
        isin=["DAYS_AFTER", "BUSINESS_DAYS_AFTER", "DAY_OF_MONTH", "BUSINESS_DAY_OF_MONTH"],
    )
    n: Series[int] = column("Days after, or day of the month", "days", ge=-1, le=366)
    months_after: Series[int] = column("Months after the period, for the rules that name a day of a month", ge=0, le=12)
    calendar: Series[str] = column("Whose business days", isin=["LONDON", "NEW_YORK", "TARGET", "WEEKDAYS"])
    timezone: Series[str] = column("Time zone of the release")
    local_time: Series[str] = column("Time of the release", str_matches="^[0-2][0-9]:[0-5][0-9]$")


class SignalDefinitions(Reference):
    """The published signals: which metric, which version, which sign."""

    signal_id: Series[str] = column("Stable name, METAL.FAMILY.NAME", str_matches=r"^[A-Z]{2}(\.[A-Z0-9_]+)+$")
    signal_version: Series[str] = column("Formula = major, default parameter = minor", str_matches=r"^\d+\.\d+\.\d+$")
    metal: Series[str] = column("Metal", str_matches="^[A-Z]{2}$")
    region: Series[str] = column("Country, or GLOBAL")
    kind: Series[str] = column("Kind of signal", isin=["LEVEL", "SCORE", "STATE", "EVENT"])
    metric_id: Series[str] = column("Column of the daily marts that it publishes")
    unit: Series[str] = column("Unit of the value")
    sign: Series[int] = column(
        "+1 where a higher value is tighter, -1 where a lower one is, 0 where neither", isin=[-1, 0, 1]
    )
    max_age_days: Series[int] = column("Older than this it is STALE", "days", gt=0)
    description: Series[str] = column("What it says")


REFERENCE: dict[str, type[Reference]] = {
    "metals": Metals,
    "power_zones": PowerZones,
    "exporters": Exporters,
    "equities": ProducerShares,
    "parameters": Parameters,
    "index_components": IndexComponents,
    "release_calendar": ReleaseCalendar,
    "signal_definitions": SignalDefinitions,
}

# Every parameter that the formulas read; each metal needs a value of its own or the one for all.
PARAMETERS: dict[str, str] = {
    "day_count": "days",
    "rent_usd_t_day": "USD/t/day",
    "financing_spread": "fraction per year",
    "consumption_t_per_year": "t/yr",
    "stock_chg_obs": "observations",
    "yoy_max_staleness_days": "days",
    "tick_usd_t": "USD/t",
    "level_up": "USD/t",
    "level_down": "USD/t",
    "level_k": "observations",
    "level_m": "observations",
    "level_alt_k": "observations",
    "level_alt_m": "observations",
    "level_buffer": "ratio",
    "bw_k": "observations",
    "bw_m": "observations",
    "rank_min_periods": "observations",
    "rank_min_periods_monthly": "observations",
    "rank_window": "observations",
    "rank_window_monthly": "observations",
    "min_coverage": "ratio",
    "enter_tight": "index points",
    "exit_tight": "index points",
    "enter_squeeze": "index points",
    "exit_squeeze": "index points",
    "enter_loose": "index points",
    "exit_loose": "index points",
    "regime_confirm": "observations",
    "regime_max_gap": "observations",
    "max_age_days_rate": "days",
    "max_age_days_off_warrant": "days",
    "mwh_per_t": "MWh/t",
    "power_line_high_usd_mwh": "USD/MWh",
    "power_line_low_usd_mwh": "USD/MWh",
}
