"""Reference tables: facts and assumptions, each with its source, its status and the first day on which it is in force.

The tables are CSV files in the reference folder. A parameter is changed by adding a row with a later `valid_from`;
results before that day do not change (docs/methodology.md#parameters).
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import pandas as pd
import pandera.pandas as pa

from schemas.base import Model, field
from schemas.evaluation import BENCHMARK_VERSION, BENCHMARKS
from schemas.metrics import METRICS

METAL_OR_ALL = field("Chemical symbol of the metal, or * for all metals", str_matches=r"^([A-Z]{2}|\*)$")


def one_row_for(*columns: str) -> Any:
    """A rule: no two rows have the same values in these columns."""

    @pa.dataframe_check(name="unique", error=f"duplicate {', '.join(columns[:-1])} and {columns[-1]}")
    def check(cls: type[Model], df: pd.DataFrame) -> pd.Series:
        return ~df.duplicated(list(columns), keep=False)

    return check


class Reference(Model):
    """Base of every reference table."""

    __columns__ = "valid_from status source"
    source = field("Document or publisher of the fact, or the reason for the assumption", str_length={"min_value": 3})

    class Config:
        strict = True


class Metals(Reference):
    """Monitored metals and their names in the sources."""

    __columns__ = "metal name lot_t westmetall_code worldbank_column fred_series customs_label hs_codes chinese_name"
    chinese_name = field(required=False)


class PowerZones(Reference):
    """Monitored bidding zones of the power market, requested from `valid_from` on: the first day of their auction."""

    __columns__ = "zone eic timezone data_source"
    zone = field(str_matches=None)
    data_source = field(isin=["energy_charts", "entsoe"])


class Exporters(Reference):
    """Monitored exporting countries, each with one source, so that a series has one definition.

    China's headline table counts unwrought metal and products by its own list, Comtrade sums Harmonised System codes: a
    country with both sources would change its definition from month to month.
    """

    __columns__ = "country name comtrade_code data_source"
    country = field("Exporting country, ISO 3166 alpha-2", unique=True)
    name = field(str_length={"min_value": 2})
    data_source = field(isin=["customs", "comtrade"])

    @pa.dataframe_check(name="customs_is_china", error="data_source customs is for country CN alone")
    def customs_is_china(cls, df: pd.DataFrame) -> pd.Series:
        return (df["data_source"] != "customs") | (df["country"] == "CN")


class ProducerShares(Reference):
    """Monitored shares of producers, requested from the year of `valid_from` on: the first day of trading."""

    __columns__ = "ticker name metal"
    name = field("Company", str_length={"min_value": 2})
    metal = field("Metal that the company produces")


class Contracts(Reference):
    """Futures contracts of a metal whose positions are followed."""

    __columns__ = "contract metal name"
    contract = field(unique=True)
    name = field("Name of the contract", str_length={"min_value": 2})


class Parameters(Reference):
    """Parameters of the formulas; `*` is for every metal that has no row of its own."""

    __columns__ = "name metal value unit"
    name = field("Name of the parameter", str_matches="^[a-z][a-z0-9_]+$")
    metal = METAL_OR_ALL
    value = field("Value of the parameter")

    one_value_at_a_time = one_row_for("name", "metal", "valid_from")


class DailyIndicator(NamedTuple):
    """Place of a daily indicator: its table without the layer's prefix, and the column of its age.

    `is_stale` and `is_suspect` are SQL conditions over the table: an input of the value was carried too long, or is
    suspect. Signals of the indicator, and the index that it is a component of, are flagged by them. `metric`: that
    whose series breaks count, where the indicator itself is none.
    """

    table: str
    age_days: str
    is_stale: str = "false"
    is_suspect: str = "false"
    metric: str = ""


DAILY_INDICATORS: Final = {
    "carry_tightness": DailyIndicator("curve_daily", "price_age_days", is_stale="coalesce(is_rate_stale, false)"),
    "cancelled_ratio": DailyIndicator("inventory_daily", "cancelled_age_days"),
    "stock_days": DailyIndicator("inventory_daily", "stock_age_days"),
    "stock_log_chg": DailyIndicator("inventory_daily", "stock_age_days"),
    "carry_tightness_median": DailyIndicator(
        "index_inputs",
        "price_age_days",
        is_stale="coalesce(is_rate_stale, false)",
        metric="carry_tightness",
    ),
    "live_stock_deviation": DailyIndicator("index_inputs", "stock_age_days", metric="stock_days"),
    "stock_chg_winsorised": DailyIndicator("index_inputs", "stock_age_days", metric="stock_log_chg"),
    "new_cancellations": DailyIndicator("index_inputs", "stock_age_days", metric="cancelled_ratio"),
    "tom_next_usd_t": DailyIndicator("index_inputs", "tom_next_age_days"),
    "m3_m15_usd_t": DailyIndicator("index_inputs", "m3_m15_age_days"),
    "visible_all_deviation": DailyIndicator("index_inputs", "visible_all_age_days", metric="visible_t"),
    "shanghai_stock_days": DailyIndicator("index_inputs", "shanghai_stock_age_days"),
    "premium_us_midwest": DailyIndicator("index_inputs", "premium_us_midwest_age_days"),
    "premium_eu_duty_unpaid": DailyIndicator("index_inputs", "premium_eu_duty_unpaid_age_days"),
    "premium_japan": DailyIndicator("index_inputs", "premium_japan_age_days"),
}
# What can be a component of the index: those of the exchange, and the exports of a country, ranked by release.
INDICATORS = (*DAILY_INDICATORS, "exports_yoy_3m")


class IndexComponents(Reference):
    """Components of the tightness index. `weight` is the weight of the family, repeated in each of its rows.

    A metal's rows of one version and `valid_from` are that whole index from that day on: to change a weight or a
    component, repeat all rows of the version with a later day.
    """

    __columns__ = "metal version family indicator region sign weight max_age_days"
    indicator = field(isin=list(INDICATORS))
    max_age_days = field("Age above which the indicator is missing", "days")

    @pa.dataframe_check(name="weights_sum_to_one", error="the weights of a metal's families do not sum to 1")
    def weights_sum_to_one(cls, df: pd.DataFrame) -> pd.Series:
        families = df.drop_duplicates(["metal", "version", "valid_from", "family", "weight"])
        total = families.groupby(["metal", "version", "valid_from"])["weight"].transform("sum")
        sums = pd.Series(total.to_numpy(), index=pd.MultiIndex.from_frame(families[["metal", "version", "valid_from"]]))
        found = sums[~sums.index.duplicated()].reindex(pd.MultiIndex.from_frame(df[["metal", "version", "valid_from"]]))
        return pd.Series((found - 1).abs().to_numpy() < 1e-9, index=df.index)

    @pa.dataframe_check(name="one_weight_a_family", error="the family has two weights on the same valid_from")
    def one_weight_a_family(cls, df: pd.DataFrame) -> pd.Series:
        return df.groupby(["metal", "version", "valid_from", "family"])["weight"].transform("nunique") == 1

    @pa.dataframe_check(name="region_of_the_indicator", error="region must be GLOBAL, or a country for exports_yoy_3m")
    def region_of_the_indicator(cls, df: pd.DataFrame) -> pd.Series:
        return (df["indicator"] == "exports_yoy_3m") != (df["region"] == "GLOBAL")

    one_component_once = one_row_for("metal", "version", "indicator", "valid_from")


class ReleaseCalendar(Reference):
    """Release times by source tier. Knowledge basis: CALENDAR for status FACT, ASSUMED for ASSUMPTION."""

    __columns__ = "dataset data_source entity rule n months_after calendar timezone local_time"
    data_source = field("Source module, drop for files of the user, or * for all others")
    entity = field("Series that alone has this rule, for example EFFR; empty for all others", required=False)
    timezone = field("IANA time zone of the release")


class SignalDefinitions(Reference):
    """Definitions of the published signals: metric, series and version.

    A row is in force from `valid_from` on, until the signal's next row with the same metric: versions on two metrics,
    such as the versions of the index, are published beside each other.
    """

    __columns__ = (
        "signal_id signal_version metal region kind metric_id entity unit sign tight_states loose_states "
        "max_age_days description"
    )
    metric_id = field(isin=list(METRICS))
    sign = field("+1 where a higher value is tighter, -1 where a lower one is, 0 where neither", isin=[-1, 0, 1])

    @pa.dataframe_check(name="named_after_its_metal", error="signal_id does not begin with metal")
    def named_after_its_metal(cls, df: pd.DataFrame) -> pd.Series:
        return df["signal_id"].str.split(".").str[0] == df["metal"]

    @pa.dataframe_check(name="one_region", error="signal_id has two regions: use another signal_id")
    def one_region(cls, df: pd.DataFrame) -> pd.Series:
        return df.groupby("signal_id")["region"].transform("nunique") == 1

    one_meaning_a_version = one_row_for("signal_id", "signal_version")

    @pa.dataframe_check(name="tight_or_loose", error="a state is both tight and loose")
    def tight_or_loose(cls, df: pd.DataFrame) -> pd.Series:
        pairs = zip(df["tight_states"].str.split(), df["loose_states"].str.split(), strict=True)
        return pd.Series([not set(tight) & set(loose) for tight, loose in pairs], index=df.index)

    one_row_at_a_time = one_row_for("signal_id", "metric_id", "valid_from")

    @pa.dataframe_check(name="unit_of_the_metric", error="unit is not the unit of metric_id")
    def unit_of_the_metric(cls, df: pd.DataFrame) -> pd.Series:
        return df["unit"] == df["metric_id"].map({name: metric.unit for name, metric in METRICS.items()})

    @pa.dataframe_check(
        name="states_of_the_metric", error="tight_states or loose_states has a state that metric_id has not"
    )
    def states_of_the_metric(cls, df: pd.DataFrame) -> pd.Series:
        named = (df["tight_states"] + " " + df["loose_states"]).str.split()
        known = df["metric_id"].map({name: set(metric.states) for name, metric in METRICS.items()})
        return pd.Series([set(n) <= k for n, k in zip(named, known, strict=True)], index=df.index)

    @pa.dataframe_check(name="kind_of_the_metric", error="kind STATE or EVENT needs a metric with states")
    def kind_of_the_metric(cls, df: pd.DataFrame) -> pd.Series:
        has_states = df["metric_id"].isin([name for name, metric in METRICS.items() if metric.states])
        return ~df["kind"].isin(["STATE", "EVENT"]) | has_states


class RateChain(Reference):
    """Overnight rates that count, each for the observation dates from `valid_from` until the next one begins."""

    __columns__ = "rate_id"
    valid_from = field("First observation date from which the rate counts", unique=True)


class SeriesBreaks(Reference):
    """Changed definitions of a series; a comparison across one has the flag BREAK from `valid_from` on."""

    __columns__ = "break_id metal metric_id break_date description"
    break_id = field(unique=True)
    metal = METAL_OR_ALL
    metric_id = field("Metric whose comparisons are affected", isin=list(METRICS))
    description = field("The change")


class Events(Reference):
    """Watched events. A date is known from `valid_from` on; a later row of the same event moves it.

    An event that was not announced has the day on which it was reported as `valid_from`.
    """

    __columns__ = "event_id metal title event_kind event_date"
    metal = METAL_OR_ALL

    one_date_at_a_time = one_row_for("event_id", "metal", "valid_from")


CAUSES = ("POWER_PRICE", "INSOLVENCY", "ACCIDENT")


class Smelters(Reference):
    """Smelter register: capacity and idled capacity by plant, from `valid_from` on: the day on which it was known.

    A restart is a row with less idled capacity, a permanent closure one with a capacity of 0: a closed plant is not
    idled.
    """

    __columns__ = "plant metal country region capacity_kt idled_kt cause review_by?"
    cause = field(isin=[*CAUSES, ""])
    region = field("Region whose idled capacity includes the plant, for example EUROPE")

    @pa.dataframe_check(name="idled_within_capacity", error="idled_kt is more than capacity_kt")
    def idled_within_capacity(cls, df: pd.DataFrame) -> pd.Series:
        return df["idled_kt"] <= df["capacity_kt"]

    @pa.dataframe_check(name="idled_has_cause", error="idled_kt above 0 needs cause and review_by, 0 has no cause")
    def idled_has_cause(cls, df: pd.DataFrame) -> pd.Series:
        is_idled = df["idled_kt"] > 0
        return ((df["cause"] != "") == is_idled) & (df["review_by"].notna() | ~is_idled)

    @pa.dataframe_check(name="review_in_order", error="review_by is before valid_from")
    def review_in_order(cls, df: pd.DataFrame) -> pd.Series:
        return df["review_by"].isna() | (df["review_by"] >= df["valid_from"])

    one_row_a_day = one_row_for("plant", "metal", "valid_from")


class TaxSchedule(Reference):
    """Taxes on imports and exports over time, as fractions."""

    __columns__ = "country metal tax rate"
    metal = METAL_OR_ALL
    rate = field("Tax rate", gt=None, ge=0, le=1)

    one_rate_at_a_time = one_row_for("country", "metal", "tax", "valid_from")


OPERATORS = ("APPROX", "EQ", "GT", "GE", "LT", "LE", "BETWEEN")


class Claims(Reference):
    """Written claims, tested from `valid_from` until `horizon_end` against what was known then.

    A claim without `metric_id` cannot be tested. `period_from` and `period_to` select the tested observation; without
    them it is the latest one known. A statement with several parts that can be measured is a row for each.
    """

    __columns__ = (
        "claim_id metal claim_text source_doc claim_date metric_id entity definition operator threshold? "
        "threshold_high? tolerance? max_age_days? period_from? period_to? horizon_end"
    )
    claim_id = field(unique=True)
    metric_id = field(
        "Metric that the claim is tested on; empty for a claim that cannot be tested", isin=[*METRICS, ""]
    )
    operator = field("Comparison of the evidence with the threshold; empty without a metric", isin=[*OPERATORS, ""])
    threshold = field(unit="see metric")
    threshold_high = field(unit="see metric")
    tolerance = field(unit="see metric")
    max_age_days = field(
        "Age of the evidence above which the verdict is at most PARTIAL; empty for no limit", "days", required=False
    )

    @pa.dataframe_check(
        name="testable_claims_are_complete", error="a claim with metric_id needs operator, threshold and tolerance"
    )
    def testable_claims_are_complete(cls, df: pd.DataFrame) -> pd.Series:
        whole = (df["operator"] != "") & df["threshold"].notna() & df["tolerance"].notna()
        return (df["metric_id"] == "") | whole

    @pa.dataframe_check(name="horizon_in_order", error="horizon_end is before valid_from or claim_date")
    def horizon_in_order(cls, df: pd.DataFrame) -> pd.Series:
        return (df["horizon_end"] >= df["valid_from"]) & (df["horizon_end"] >= df["claim_date"])

    @pa.dataframe_check(
        name="between_has_two_ends", error="operator BETWEEN needs threshold_high, not less than threshold"
    )
    def between_has_two_ends(cls, df: pd.DataFrame) -> pd.Series:
        return (df["operator"] != "BETWEEN") | (df["threshold_high"] >= df["threshold"])

    @pa.dataframe_check(name="period_in_order", error="period_from is after period_to, or one of them is missing")
    def period_in_order(cls, df: pd.DataFrame) -> pd.Series:
        neither = df["period_from"].isna() & df["period_to"].isna()
        return neither | (df["period_from"] <= df["period_to"])


class EvaluationPlan(Reference):
    """Tests of the evaluation, registered before anything was computed. A row may be added, never changed."""

    __columns__ = "signal_id signal_version bucket outcome horizon_obs side is_primary registered_on"
    signal_id = field(
        "Identifier of the signal, or BENCH. and the name of a benchmark",
        str_matches=r"^([A-Z]{2}|BENCH)(\.[A-Z0-9_]+)+$",
    )

    one_test_once = one_row_for("signal_id", "signal_version", "bucket", "outcome", "horizon_obs")

    @pa.dataframe_check(name="one_primary_test", error="the signal has no primary test, or several")
    def one_primary_test(cls, df: pd.DataFrame) -> pd.Series:
        primary = (df["is_primary"] == "true").groupby([df["signal_id"], df["signal_version"]])
        return primary.transform("sum") == 1

    @pa.dataframe_check(name="registered_from_the_first_day", error="valid_from must be registered_on")
    def registered_from_the_first_day(cls, df: pd.DataFrame) -> pd.Series:
        return df["valid_from"] == df["registered_on"]

    @pa.dataframe_check(name="bucket_of_the_benchmark", error="the benchmark, or its state, is unknown")
    def bucket_of_the_benchmark(cls, df: pd.DataFrame) -> pd.Series:
        tests = zip(df["signal_id"], df["signal_version"], df["bucket"], strict=True)
        return pd.Series(
            [
                not signal.startswith("BENCH.")
                or (bucket in BENCHMARKS.get(signal, ()) and version == BENCHMARK_VERSION)
                for signal, version, bucket in tests
            ],
            index=df.index,
        )


REFERENCE: dict[str, type[Reference]] = {
    "metals": Metals,
    "power_zones": PowerZones,
    "exporters": Exporters,
    "equities": ProducerShares,
    "contracts": Contracts,
    "parameters": Parameters,
    "index_components": IndexComponents,
    "release_calendar": ReleaseCalendar,
    "rate_chain": RateChain,
    "series_breaks": SeriesBreaks,
    "signal_definitions": SignalDefinitions,
    "claims": Claims,
    "events": Events,
    "smelters": Smelters,
    "tax_schedule": TaxSchedule,
    "evaluation_plan": EvaluationPlan,
}


class TradingCalendar(Model):
    """Days with London business days, decision times and prompts; computed by the run, not a file."""

    __columns__ = "calendar_date is_business_day previous_business_day as_of_ts cash_prompt m3_prompt days_cash_to_3m"
    as_of_ts = field("Decision time: 18:00 Europe/London")
    days_cash_to_3m = field("Calendar days from cash_prompt to m3_prompt", ge=None, le=None)


# Reference tables of the dbt models: the files, and what the run computes.
REFERENCE_TABLES: dict[str, type[Model]] = {**REFERENCE, "trading_calendar": TradingCalendar}


class Parameter(NamedTuple):
    """Unit and accepted values of a parameter, and the metals that need it."""

    unit: str
    low: float
    high: float
    whole: bool = False
    smelting: bool = False  # only a metal with smelters has it; without it the smelter figures are empty
    shared: bool = False  # tables without a metal use it, so that it is given for all metals at once
    dated: bool = False  # changes from year to year: the project's table has a row for each known change
    begins: bool = False  # did not exist before its first row; without it what rests on it is empty


# All parameters of the formulas; each metal needs a value of its own or the one for all metals.
PARAMETERS: dict[str, Parameter] = {
    "day_count": Parameter("days", 360, 366, whole=True),
    "rent_usd_t_day": Parameter("USD/t/day", 0, 10, dated=True),
    "financing_spread": Parameter("fraction per year", -0.05, 0.5),
    "consumption_t_per_year": Parameter("t/yr", 1, 1e10, dated=True),
    "stock_chg_obs": Parameter("observations", 1, 260, whole=True),
    "yoy_max_staleness_days": Parameter("days", 0, 31, whole=True),
    "tick_usd_t": Parameter("USD/t", 0, 100),
    "price_reversal": Parameter("ratio", 0.01, 10),
    "level_up": Parameter("USD/t", 0, 1e6, begins=True),
    "level_down": Parameter("USD/t", 0, 1e6, begins=True),
    "level_k": Parameter("observations", 1, 30, whole=True),
    "level_m": Parameter("observations", 1, 30, whole=True),
    "level_alt_k": Parameter("observations", 1, 30, whole=True),
    "level_alt_m": Parameter("observations", 1, 30, whole=True),
    "level_buffer": Parameter("ratio", 0, 0.5),
    "bw_k": Parameter("observations", 1, 30, whole=True),
    "bw_m": Parameter("observations", 1, 30, whole=True),
    "bw_window": Parameter("observations", 1, 30, whole=True),
    "rank_min_periods": Parameter("observations", 1, 10_000, whole=True),
    "rank_min_periods_monthly": Parameter("observations", 1, 1_000, whole=True),
    "rank_min_periods_weekly": Parameter("observations", 1, 1_000, whole=True),
    "rank_months_weekly": Parameter("months", 1, 600, whole=True),
    "rank_window": Parameter("observations", 2, 10_000, whole=True),
    "rank_window_monthly": Parameter("observations", 2, 1_000, whole=True),
    "z_cap": Parameter("robust z", 1, 20),
    "min_coverage": Parameter("ratio", 0.01, 1),
    "rank_min_periods_v2": Parameter("observations", 1, 10_000, whole=True),
    "rank_min_periods_monthly_v2": Parameter("observations", 1, 1_000, whole=True),
    "min_coverage_v2": Parameter("ratio", 0.01, 1),
    "median_obs": Parameter("observations", 1, 60, whole=True),
    "season_years": Parameter("years", 1, 20, whole=True),
    "season_min_years": Parameter("years", 1, 20, whole=True),
    "regime_confirm_v2": Parameter("observations", 1, 60, whole=True),
    "regime_half_life_v2": Parameter("observations", 0.1, 260),
    "enter_tight": Parameter("index points", 0, 100),
    "exit_tight": Parameter("index points", 0, 100),
    "enter_squeeze": Parameter("index points", 0, 100),
    "exit_squeeze": Parameter("index points", 0, 100),
    "enter_loose": Parameter("index points", 0, 100),
    "exit_loose": Parameter("index points", 0, 100),
    "regime_confirm": Parameter("observations", 1, 60, whole=True),
    "regime_max_gap": Parameter("observations", 0, 60, whole=True),
    "stale_days_rate": Parameter("days", 1, 45, whole=True),
    "stale_days_spread": Parameter("days", 1, 45, whole=True),
    "max_age_days_rate": Parameter("days", 1, 45, whole=True),
    "relabel_jump": Parameter("ratio", 0.001, 10),
    "relabel_share": Parameter("ratio", 0.001, 1),
    "stock_unwind_ln": Parameter("ln", 0, 2),
    "stock_unwind_k": Parameter("observations", 1, 60, whole=True),
    "load_out_days": Parameter("days", 1, 260, whole=True),
    "us_freight_usd_t": Parameter("USD/t", 0, 1_000),
    "visible_low_age_days": Parameter("days", 1, 10_000, whole=True),
    "offwarrant_drain": Parameter("ratio", -1, 0),
    "exports_drop": Parameter("ratio", -1, 0),
    "exports_drop_prints": Parameter("periods", 1, 12, whole=True),
    "port_cny_t": Parameter("CNY/t", 0, 5_000),
    "arb_shut_days": Parameter("days", 1, 260, whole=True),
    "china_cap_t": Parameter("t/yr", 1, 1e10, smelting=True, begins=True),
    "cap_binding": Parameter("ratio", 0, 2),
    "cap_breach": Parameter("ratio", 0, 2),
    "idled_event_kt": Parameter("kt/yr", 0, 10_000),
    "idled_event_days": Parameter("days", 1, 366, whole=True),
    "mwh_per_t": Parameter("MWh/t", 0.1, 50, smelting=True, dated=True),
    "alumina_t_per_t": Parameter("t/t", 0, 10, smelting=True),
    "other_cash_usd_t": Parameter("USD/t", 0, 10_000, smelting=True),
    "power_line_high_usd_mwh": Parameter("USD/MWh", 0, 5_000, shared=True),
    "power_line_low_usd_mwh": Parameter("USD/MWh", 0, 5_000, shared=True),
    "power_mean_days": Parameter("days", 1, 366, whole=True),
    "power_mean_min_days": Parameter("days", 1, 366, whole=True),
    "curtailment_days": Parameter("days", 1, 260, whole=True),
    "scarcity_min_obs": Parameter("observations", 3, 10_000, whole=True),
    "near_high_obs": Parameter("observations", 2, 2_600, whole=True, shared=True),
    "near_high_ratio": Parameter("ratio", 0, 1),
    "event_before_days": Parameter("days", 0, 366, whole=True, shared=True),
    "event_after_days": Parameter("days", 0, 366, whole=True, shared=True),
    "event_near_before_days": Parameter("days", 0, 3_660, whole=True, shared=True),
    "event_near_after_days": Parameter("days", 0, 3_660, whole=True, shared=True),
}

# Pairs of parameters whose first is never more than the second.
ORDERED: tuple[tuple[str, str], ...] = (
    ("stale_days_rate", "max_age_days_rate"),
    ("level_down", "level_up"),
    ("level_k", "level_m"),
    ("level_alt_k", "level_alt_m"),
    ("bw_k", "bw_m"),
    ("rank_min_periods", "rank_window"),
    ("rank_min_periods_monthly", "rank_window_monthly"),
    ("season_min_years", "season_years"),
    ("exit_tight", "enter_tight"),
    ("enter_tight", "enter_squeeze"),
    ("exit_squeeze", "enter_squeeze"),
    ("enter_loose", "exit_loose"),
    ("exit_loose", "enter_tight"),
    ("cap_binding", "cap_breach"),
    ("power_line_low_usd_mwh", "power_line_high_usd_mwh"),
    ("power_mean_min_days", "power_mean_days"),
    ("event_before_days", "event_near_before_days"),
    ("event_after_days", "event_near_after_days"),
)
