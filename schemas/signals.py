"""The published tables of `signals`: columns, units, keys and ranges. dbt contracts and comments come from here."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd
import pandera.pandas as pa
from pandera.typing import Series

from schemas.base import BASES, LICENCES, UTC, Mart, Table, column

OWN: Final = "see unit"  # the row itself says in which unit


def wide(signal: str, part: str, unit: str = "") -> Any:
    """A column of the wide table: the value, state or score of a signal, named without its metal."""
    checks: dict[str, Any] = {"ge": 0, "le": 1} if part == "score" else {}
    return pa.Field(
        description=f"{part.capitalize()} of signal <metal>.{signal}",
        metadata={"unit": unit, "signal": signal, "part": part},
        nullable=True,
        **checks,
    )


def wide_columns() -> list[tuple[str, str, str]]:
    """The wide table's columns that come from signals: name, signal without its metal, part of it."""
    columns = SignalsWideDaily.to_schema().columns.items()
    given = [(name, column.metadata or {}) for name, column in columns]
    return [(name, about["signal"], about["part"]) for name, about in given if "signal" in about]


class Signals(Table):
    """The log of published signals: append-only, with revisions."""

    signal_id: Series[str] = column("Stable name of the signal", "")
    signal_version: Series[str] = column("Formula = major, default parameter = minor", "")
    metal: Series[str] = column("Metal, by its chemical symbol in capitals", "")
    region: Series[str] = column("Country, or GLOBAL", "")
    as_of_ts: Series[UTC] = column("Decision time", "UTC")
    as_of_date: Series[pd.Timestamp] = column("London business day", "")
    revision_no: Series[np.int32] = column("1 for the first publication of the row, then counted up", "count", ge=1)
    revision_reason: Series[str] = column("Why this revision was added", "")
    kind: Series[str] = column("LEVEL, SCORE, STATE or EVENT", "", isin=["LEVEL", "SCORE", "STATE", "EVENT"])
    value: Series[float] = column("The value", OWN, nullable=True)
    unit: Series[str] = column("Unit of value", "")
    score: Series[float] = column("Mid-rank, higher is tighter", "score", nullable=True, ge=0, le=1)
    state: Series[str] = column("The state, for kinds STATE and EVENT", "", nullable=True)
    direction: Series[np.int32] = column(
        "+1 tighter, -1 looser, 0 neither; not an advice to buy or sell", "sign", isin=[-1, 0, 1]
    )
    prev_state: Series[str] = column("State before the present one or before this day", "", nullable=True)
    state_since: Series[pd.Timestamp] = column("First day of the present state", "", nullable=True)
    is_transition: Series[bool] = column("The state changed on this day", "")
    coverage: Series[float] = column(
        "Weight of the families that are there, for the index and regime", "ratio", nullable=True, ge=0, le=1
    )
    n_hist: Series[np.int32] = column("Observations in the ranking window or the history so far", "count")
    n_components: Series[np.int32] = column("Components that are there", "count")
    obs_end_max: Series[pd.Timestamp] = column("End of the latest observation used", "", nullable=True)
    knowledge_ts_max: Series[UTC] = column(
        "When the last of the inputs could be known; never after as_of_ts", "UTC", nullable=True
    )
    staleness_days: Series[pd.Int32Dtype] = column("Days from obs_end_max to as_of_date", "days", nullable=True)
    quality: Series[str] = column(
        "OK, STALE, PARTIAL, WARMUP, BREAK, SUSPECT or MISSING",
        "",
        isin=["OK", "STALE", "PARTIAL", "WARMUP", "BREAK", "SUSPECT", "MISSING"],
    )
    knowledge_basis: Series[str] = column("Worst knowledge basis of the inputs", "", nullable=True, isin=list(BASES))
    licence_class: Series[str] = column("Worst licence class of the inputs", "", nullable=True, isin=list(LICENCES))
    params_hash: Series[str] = column("Hash of the parameters that held", "")
    inputs_hash: Series[str] = column("Hash of the values and times that the row rests on", "")
    code_version: Series[str] = column("Version that computed the row", "")
    run_id: Series[str] = column("Run that added the row", "")
    computed_ts: Series[UTC] = column("Clock of that run", "UTC")


class SignalsLatest(Signals):
    """The newest row of each signal."""


class SignalTransitions(Table):
    """Every change of state that was published, once."""

    transition_id: Series[str] = column(
        "Key that stays the same whatever is run again: for alerts that go out once", ""
    )
    signal_id: Series[str] = column("Signal, or CLAIM. and the claim whose verdict changed", "")
    signal_version: Series[str] = column("Version of the signal", "")
    metal: Series[str] = column("Metal, by its chemical symbol in capitals", "")
    region: Series[str] = column("Country or region, or GLOBAL", "")
    as_of_ts: Series[UTC] = column("Decision time of the change", "UTC")
    as_of_date: Series[pd.Timestamp] = column("London business day of the change", "")
    prev_state: Series[str] = column("State before", "")
    state: Series[str] = column("State from then on", "")
    value: Series[float] = column("Value of the signal then", OWN, nullable=True)
    unit: Series[str] = column("Unit of value", "", nullable=True)
    direction: Series[np.int32] = column("+1 tighter, -1 looser, 0 neither", "sign", isin=[-1, 0, 1])
    quality: Series[str] = column("Quality of the signal then", "")
    revision_no: Series[np.int32] = column("First revision of the row that said so", "count", ge=1)
    knowledge_ts_max: Series[UTC] = column("When the last of the inputs could be known", "UTC", nullable=True)


class SignalContributions(Table):
    """What each signal's value is made of; the contributions add up to it."""

    signal_id: Series[str] = column("Signal", "")
    signal_version: Series[str] = column("Version of the signal", "")
    metal: Series[str] = column("Metal, by its chemical symbol in capitals", "")
    region: Series[str] = column("Country or region, or GLOBAL", "")
    as_of_ts: Series[UTC] = column("Decision time", "UTC")
    as_of_date: Series[pd.Timestamp] = column("London business day", "")
    component: Series[str] = column("Metric that contributes", "")
    family: Series[str] = column("Its family in the index", "", nullable=True)
    value: Series[float] = column("Value of the component", "its own", nullable=True)
    score: Series[float] = column("Its score, higher is tighter", "score", nullable=True, ge=0, le=1)
    weight: Series[float] = column("Weight of its family, or its own", "ratio", nullable=True)
    contribution: Series[float] = column("What it adds to the signal's value", OWN, nullable=True)
    unit: Series[str] = column("Unit of contribution", "")


class SignalDictionary(Table):
    """What each published signal means, version by version."""

    signal_id: Series[str] = column("Stable name of the signal", "")
    signal_version: Series[str] = column("Formula = major, default parameter = minor", "")
    valid_from: Series[pd.Timestamp] = column("First day of this version", "")
    metal: Series[str] = column("Metal, by its chemical symbol in capitals", "")
    region: Series[str] = column("Country or region that it speaks of, or GLOBAL", "")
    kind: Series[str] = column("LEVEL, SCORE, STATE or EVENT", "", isin=["LEVEL", "SCORE", "STATE", "EVENT"])
    metric_id: Series[str] = column("Metric that it publishes", "")
    entity: Series[str] = column("Series of the metric: country, region, zone, ticker or event", "")
    unit: Series[str] = column("Unit of value", "")
    sign: Series[np.int32] = column(
        "+1 where a higher value is tighter, -1 where a lower one is", "sign", isin=[-1, 0, 1]
    )
    description: Series[str] = column("What it says", "")
    formula: Series[str] = column("How value and state are computed", "")
    states: Series[str] = column("States that it may be in", "")
    tight_states: Series[str] = column("Those that mean tighter", "")
    loose_states: Series[str] = column("Those that mean looser", "")
    max_age_days: Series[np.int32] = column("Older than this it is STALE", "days")
    parameters: Series[str] = column("Parameters with value, unit and whether fact or assumption", "", nullable=True)
    params_hash: Series[str] = column("Hash of version and parameters, as on the signal's rows", "")
    status: Series[str] = column("Is the definition a fact or an assumption", "", isin=["FACT", "ASSUMPTION"])
    source: Series[str] = column("Where the definition comes from", "")


class ClaimAudit(Table):
    """Written claims held against what was known at each decision time."""

    claim_id: Series[str] = column("Stable name of the claim", "")
    metal: Series[str] = column("Metal, by its chemical symbol in capitals", "")
    as_of_ts: Series[UTC] = column("Decision time of the verdict", "UTC")
    as_of_date: Series[pd.Timestamp] = column("London business day", "")
    claim_text: Series[str] = column("What was claimed", "")
    source_doc: Series[str] = column("Where it stood", "")
    claim_date: Series[pd.Timestamp] = column("Day of the claim", "")
    metric_id: Series[str] = column("Metric that it is held against", "", nullable=True)
    entity: Series[str] = column("Series of the metric", "")
    definition: Series[str] = column("How the claim is understood", "")
    operator: Series[str] = column("How the value is held against the threshold", "", nullable=True)
    threshold: Series[float] = column("Claimed value", OWN, nullable=True)
    threshold_high: Series[float] = column("Upper end, for BETWEEN", OWN, nullable=True)
    tolerance: Series[float] = column("How far off it may be", OWN, nullable=True)
    unit: Series[str] = column("Unit of threshold and evidence", "", nullable=True)
    status: Series[str] = column(
        "The verdict",
        "",
        isin=["SUPPORTED", "CONTRADICTED", "PARTIAL", "NOT_TESTABLE", "DATA_NOT_YET_PUBLIC"],
    )
    evidence_value: Series[float] = column("What the data said", OWN, nullable=True)
    evidence_obs_date: Series[pd.Timestamp] = column("Day or period that it speaks of", "", nullable=True)
    evidence_knowledge_ts: Series[UTC] = column("When it could be known", "UTC", nullable=True)
    explanation: Series[str] = column("The verdict in words, with its numbers", "")
    horizon_end: Series[pd.Timestamp] = column("Last day on which the claim is held against the data", "")


class SignalsWideDaily(Table):
    """One row a day, one column a metric."""

    metal: Series[str] = column("Metal, by its chemical symbol in capitals", "")
    as_of_date: Series[pd.Timestamp] = column("London business day", "")
    as_of_ts: Series[UTC] = column("Decision time", "UTC")
    price_yoy: Series[float] = wide("PRICE.YOY", "value", "ratio")
    price_level_5of5: Series[str] = wide("PRICE.LEVEL_5OF5", "state", "")
    price_level_3of5: Series[str] = wide("PRICE.LEVEL_3OF5", "state", "")
    thesis_broken: Series[str] = wide("PRICE.THESIS_BROKEN", "state", "")
    cash_3m_spread_usd_t: Series[float] = wide("CURVE.CASH_3M_SPREAD", "value", "USD/t")
    backwardation: Series[str] = wide("CURVE.BACKWARDATION", "state", "")
    spread_unwind: Series[str] = wide("CURVE.SPREAD_UNWIND", "state", "")
    carry_tightness: Series[float] = wide("CURVE.CARRY_TIGHTNESS", "value", "ratio")
    carry_tightness_score: Series[float] = wide("CURVE.CARRY_TIGHTNESS", "score", "score")
    cancelled_ratio: Series[float] = wide("INVENTORY.CANCELLED_RATIO", "value", "ratio")
    cancelled_ratio_score: Series[float] = wide("INVENTORY.CANCELLED_RATIO", "score", "score")
    stock_days: Series[float] = wide("INVENTORY.STOCK_DAYS", "value", "days")
    stock_days_score: Series[float] = wide("INVENTORY.STOCK_DAYS", "score", "score")
    stock_log_chg: Series[float] = wide("INVENTORY.STOCK_LOG_CHG", "value", "ln")
    stock_log_chg_score: Series[float] = wide("INVENTORY.STOCK_LOG_CHG", "score", "score")
    stock_unwind: Series[str] = wide("INVENTORY.STOCK_UNWIND", "state", "")
    visible_t: Series[float] = wide("INVENTORY.VISIBLE", "value", "t")
    visible_low: Series[str] = wide("INVENTORY.VISIBLE_LOW", "state", "")
    off_warrant_yoy: Series[float] = wide("INVENTORY.OFF_WARRANT_YOY", "value", "ratio")
    off_warrant_drain: Series[str] = wide("INVENTORY.OFF_WARRANT_DRAIN", "state", "")
    cn_exports_yoy_3m: Series[float] = wide("FLOW.CN_EXPORTS_YOY_3M", "value", "ratio")
    cn_exports_yoy_3m_score: Series[float] = wide("FLOW.CN_EXPORTS_YOY_3M", "score", "score")
    cn_exports_ytd_yoy: Series[float] = wide("FLOW.CN_EXPORTS_YTD_YOY", "value", "ratio")
    cn_exports_drop: Series[str] = wide("FLOW.CN_EXPORTS_DROP", "state", "")
    cn_import_arb_cny_t: Series[float] = wide("FLOW.CN_IMPORT_ARB", "value", "CNY/t")
    cn_semis_export_arb_usd_t: Series[float] = wide("FLOW.CN_SEMIS_EXPORT_ARB", "value", "USD/t")
    cn_export_window: Series[str] = wide("FLOW.CN_EXPORT_WINDOW", "state", "")
    cn_cap_utilisation: Series[float] = wide("SUPPLY.CN_CAP_UTILISATION", "value", "ratio")
    cn_cap_state: Series[str] = wide("SUPPLY.CN_CAP_UTILISATION", "state", "")
    europe_idled_kt: Series[float] = wide("SUPPLY.EUROPE_IDLED", "value", "kt/yr")
    europe_idled_event: Series[str] = wide("SUPPLY.EUROPE_IDLED_EVENT", "state", "")
    power_de_lu_mean_30d_usd_mwh: Series[float] = wide("POWER.DE_LU_MEAN_30D", "value", "USD/MWh")
    smelter_de_lu_margin_usd_t: Series[float] = wide("SMELTER.DE_LU_MARGIN", "value", "USD/t")
    smelter_de_lu_breakeven_power_usd_mwh: Series[float] = wide("SMELTER.DE_LU_BREAKEVEN_POWER", "value", "USD/MWh")
    smelter_de_lu_curtailment_risk: Series[str] = wide("SMELTER.DE_LU_CURTAILMENT_RISK", "state", "")
    supply_de_lu_stress: Series[float] = wide("SUPPLY.DE_LU_STRESS", "value", "index points")
    power_fr_mean_30d_usd_mwh: Series[float] = wide("POWER.FR_MEAN_30D", "value", "USD/MWh")
    smelter_fr_margin_usd_t: Series[float] = wide("SMELTER.FR_MARGIN", "value", "USD/t")
    smelter_fr_breakeven_power_usd_mwh: Series[float] = wide("SMELTER.FR_BREAKEVEN_POWER", "value", "USD/MWh")
    smelter_fr_curtailment_risk: Series[str] = wide("SMELTER.FR_CURTAILMENT_RISK", "state", "")
    supply_fr_stress: Series[float] = wide("SUPPLY.FR_STRESS", "value", "index points")
    aa_near_high: Series[float] = wide("EQUITY.AA_NEAR_HIGH", "value", "ratio")
    usmca_review_days: Series[float] = wide("EVENT.USMCA_REVIEW", "value", "days")
    tightness_index: Series[float] = wide("TIGHTNESS.INDEX", "value", "index points")
    regime: Series[str] = wide("TIGHTNESS.REGIME", "state", "")
    knowledge_ts_max: Series[UTC] = column("When the last of the inputs could be known", "UTC", nullable=True)
    licence_class: Series[str] = column("Worst licence class of the inputs", "", nullable=True, isin=list(LICENCES))


SIGNALS: dict[str, Mart] = {
    "signals": Mart(
        Signals,
        "signals",
        "The log of published signals: append-only, with revisions",
        key=("signal_id", "signal_version", "metal", "region", "as_of_ts", "revision_no"),
    ),
    "signals_latest": Mart(
        SignalsLatest, "signals", "The newest row of each signal", key=("signal_id", "metal", "region")
    ),
    "signals_wide_daily": Mart(
        SignalsWideDaily, "signals", "One row a day, one column a metric", key=("metal", "as_of_date")
    ),
    "signal_transitions": Mart(
        SignalTransitions,
        "signals",
        "Every change of state that was published, once",
        key=("transition_id",),
        cadence="on-change",
    ),
    "signal_contributions": Mart(
        SignalContributions,
        "signals",
        "What each signal's value is made of; the contributions add up to it",
        key=("signal_id", "metal", "region", "as_of_ts", "component"),
    ),
    "signal_dictionary": Mart(
        SignalDictionary,
        "signals",
        "What each published signal means, version by version",
        key=("signal_id", "valid_from"),
        cadence="on-change",
    ),
    "claim_audit": Mart(
        ClaimAudit,
        "signals",
        "Written claims held against what was known at each decision time",
        key=("claim_id", "as_of_ts"),
    ),
}
