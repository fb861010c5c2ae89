"""The published tables of `signals`: columns and keys. dbt contracts and comments are generated from here."""

from __future__ import annotations

from typing import Any

from schemas.base import Mart, Table, field
from schemas.marts import WORST_FLAG


def wide(signal: str, part: str, unit: str = "", metric: str = "") -> Any:
    """A column of the wide table: value, state or score of a signal, which is named without its metal.

    `metric`: of a signal that has versions on several metrics.
    """
    checks: dict[str, Any] = {"ge": 0, "le": 1} if part == "score" else {"ge": None, "le": None, "isin": None}
    return field(
        f"{part.capitalize()} of signal METAL.{signal}",
        unit,
        dtype=str if part == "state" else float,
        nullable=True,
        metadata={"signal": signal, "part": part, "metric": metric},
        **checks,
    )


def wide_columns() -> list[tuple[str, str, str, str]]:
    """The wide table's columns that come from signals: name, signal without its metal, part of it, and metric or ''."""
    columns = SignalsWideDaily.to_schema().columns.items()
    given = [(name, column.metadata or {}) for name, column in columns]
    return [(name, about["signal"], about["part"], about["metric"]) for name, about in given if "signal" in about]


class Signals(Table):
    """The append-only log of published signals, with revisions."""

    __columns__ = (
        "signal_id signal_version metal region as_of_ts as_of_date revision_no revision_reason kind value? unit score? "
        "state? direction prev_state? state_since? is_transition coverage? n_hist n_components obs_end_max? "
        "knowledge_ts_max? staleness_days? quality quality_flags knowledge_basis? licence_class? params_hash "
        "inputs_hash code_version run_id computed_ts"
    )
    coverage = field("Sum of the weights of the available families, for the index and the regime")
    n_hist = field("Number of observations in the ranking window, or in the history so far")


class SignalsLatest(Signals):
    """The newest row of each signal."""


class SignalTransitions(Table):
    """Every published change of state, once; append-only."""

    __columns__ = (
        "transition_id signal_id signal_version metal region as_of_ts as_of_date prev_state state value? unit? "
        "direction quality quality_flags revision_no knowledge_ts_max?"
    )
    signal_id = field("Identifier of the signal, or CLAIM. and the claim_id for a changed verdict")
    prev_state = field("State before the change")
    state = field("State after the change")
    value = field("Value of the signal at the change")
    quality = field("Quality of the signal at the change", isin=None)
    revision_no = field("First revision of the signal's row that has the change")


class SignalContributions(Table):
    """The components of each signal's value; the contributions add up to it."""

    __columns__ = (
        "signal_id signal_version metal region as_of_ts as_of_date component family? value? score? weight? "
        "contribution? unit"
    )
    family = field("Family of the component; missing where it has none", isin=None)
    value = field("Value of the component", "see component")
    score = field("Score of the component, oriented so that higher is tighter")
    weight = field("Weight of the component's family, or of the component itself")
    unit = field("Unit of contribution")


class SignalDictionary(Table):
    """Definition of each published signal, version by version."""

    __columns__ = (
        "signal_id signal_version valid_from metal region kind metric_id entity unit sign description formula states "
        "tight_states loose_states max_age_days parameters? params_hash status source"
    )
    valid_from = field("First day of this version")
    sign = field("+1 where a higher value is tighter, -1 where a lower one is, 0 where neither", isin=[-1, 0, 1])
    params_hash = field("Hash of the version and its parameters, as in the signal's rows")
    status = field("Whether the definition is a FACT or an ASSUMPTION")
    source = field("Document with the definition")


class ClaimAudit(Table):
    """Written claims, each tested at every decision time against what was known then."""

    __columns__ = (
        "claim_id metal as_of_ts as_of_date claim_text source_doc claim_date metric_id? entity definition operator? "
        "threshold? threshold_high? tolerance? unit? status evidence_value? evidence_obs_date? evidence_knowledge_ts? "
        "explanation status_at_claim? evidence_value_at_claim? horizon_end"
    )
    metric_id = field("Metric that the claim is tested on; missing for a claim that cannot be tested")
    unit = field("Unit of threshold, tolerance and evidence_value")
    status = field(
        "Verdict on the claim by what was known at as_of_ts",
        isin=["SUPPORTED", "CONTRADICTED", "PARTIAL", "NOT_TESTABLE", "DATA_NOT_YET_PUBLIC"],
    )


class SignalsWideDaily(Table):
    """The signals of each decision day in one row: one column for each value, state or score."""

    __columns__ = "metal as_of_date as_of_ts"
    price_yoy = wide("PRICE.YOY", "value", "ratio")
    price_level_5of5 = wide("PRICE.LEVEL_5OF5", "state")
    price_level_3of5 = wide("PRICE.LEVEL_3OF5", "state")
    thesis_broken = wide("PRICE.THESIS_BROKEN", "state")
    cash_3m_spread_usd_t = wide("CURVE.CASH_3M_SPREAD", "value", "USD/t")
    backwardation = wide("CURVE.BACKWARDATION", "state")
    spread_unwind = wide("CURVE.SPREAD_UNWIND", "state")
    carry_tightness = wide("CURVE.CARRY_TIGHTNESS", "value", "ratio")
    carry_tightness_score = wide("CURVE.CARRY_TIGHTNESS", "score", "score")
    tom_next_usd_t = wide("CURVE.TOM_NEXT", "value", "USD/t")
    m3_m15_usd_t = wide("CURVE.M3_M15", "value", "USD/t")
    cancelled_ratio = wide("INVENTORY.CANCELLED_RATIO", "value", "ratio")
    cancelled_ratio_score = wide("INVENTORY.CANCELLED_RATIO", "score", "score")
    stock_days = wide("INVENTORY.STOCK_DAYS", "value", "days")
    stock_days_score = wide("INVENTORY.STOCK_DAYS", "score", "score")
    stock_log_chg = wide("INVENTORY.STOCK_LOG_CHG", "value", "ln")
    stock_log_chg_score = wide("INVENTORY.STOCK_LOG_CHG", "score", "score")
    stock_unwind = wide("INVENTORY.STOCK_UNWIND", "state")
    visible_t = wide("INVENTORY.VISIBLE", "value", "t")
    visible_low = wide("INVENTORY.VISIBLE_LOW", "state")
    off_warrant_yoy = wide("INVENTORY.OFF_WARRANT_YOY", "value", "ratio")
    off_warrant_drain = wide("INVENTORY.OFF_WARRANT_DRAIN", "state")
    visible_all_t = wide("INVENTORY.VISIBLE_ALL", "value", "t")
    visible_all_low = wide("INVENTORY.VISIBLE_ALL_LOW", "state")
    shfe_stock_t = wide("INVENTORY.SHFE_STOCK", "value", "t")
    place_concentration = wide("INVENTORY.PLACE_CONCENTRATION", "value", "ratio")
    queue_days = wide("INVENTORY.QUEUE_DAYS", "value", "days")
    comex_net = wide("POSITIONS.COMEX_NET", "value", "contracts")
    comex_net_percentile = wide("POSITIONS.COMEX_NET_PERCENTILE", "value", "ratio")
    us_parity_gap_usd_t = wide("FLOW.US_PARITY_GAP", "value", "USD/t")
    cn_exports_yoy_3m = wide("FLOW.CN_EXPORTS_YOY_3M", "value", "ratio")
    cn_exports_yoy_3m_score = wide("FLOW.CN_EXPORTS_YOY_3M", "score", "score")
    cn_exports_ytd_yoy = wide("FLOW.CN_EXPORTS_YTD_YOY", "value", "ratio")
    cn_exports_drop = wide("FLOW.CN_EXPORTS_DROP", "state")
    cn_import_arb_cny_t = wide("FLOW.CN_IMPORT_ARB", "value", "CNY/t")
    cn_semis_export_arb_usd_t = wide("FLOW.CN_SEMIS_EXPORT_ARB", "value", "USD/t")
    cn_export_window = wide("FLOW.CN_EXPORT_WINDOW", "state")
    cn_cap_utilisation = wide("SUPPLY.CN_CAP_UTILISATION", "value", "ratio")
    cn_cap_state = wide("SUPPLY.CN_CAP_UTILISATION", "state")
    europe_idled_kt = wide("SUPPLY.EUROPE_IDLED", "value", "kt/yr")
    europe_idled_event = wide("SUPPLY.EUROPE_IDLED_EVENT", "state")
    power_de_lu_mean_30d_usd_mwh = wide("POWER.DE_LU_MEAN_30D", "value", "USD/MWh")
    smelter_de_lu_margin_usd_t = wide("SMELTER.DE_LU_MARGIN", "value", "USD/t")
    smelter_de_lu_breakeven_power_usd_mwh = wide("SMELTER.DE_LU_BREAKEVEN_POWER", "value", "USD/MWh")
    smelter_de_lu_curtailment_risk = wide("SMELTER.DE_LU_CURTAILMENT_RISK", "state")
    supply_de_lu_stress = wide("SUPPLY.DE_LU_STRESS", "value", "index points")
    power_fr_mean_30d_usd_mwh = wide("POWER.FR_MEAN_30D", "value", "USD/MWh")
    smelter_fr_margin_usd_t = wide("SMELTER.FR_MARGIN", "value", "USD/t")
    smelter_fr_breakeven_power_usd_mwh = wide("SMELTER.FR_BREAKEVEN_POWER", "value", "USD/MWh")
    smelter_fr_curtailment_risk = wide("SMELTER.FR_CURTAILMENT_RISK", "state")
    supply_fr_stress = wide("SUPPLY.FR_STRESS", "value", "index points")
    aa_near_high = wide("EQUITY.AA_NEAR_HIGH", "value", "ratio")
    usmca_review_days = wide("EVENT.USMCA_REVIEW", "value", "days")
    tightness_index = wide("TIGHTNESS.INDEX", "value", "index points", metric="tightness_index")
    regime = wide("TIGHTNESS.REGIME", "state", metric="regime")
    tightness_index_v2 = wide("TIGHTNESS.INDEX", "value", "index points", metric="tightness_index_v2")
    regime_v2 = wide("TIGHTNESS.REGIME", "state", metric="regime_v2")
    knowledge_ts_max = field(nullable=True)
    licence_class = field(nullable=True)


SIGNALS: dict[str, Mart] = {
    "signals": Mart(
        Signals, "signals", key=("signal_id", "signal_version", "metal", "region", "as_of_ts", "revision_no"),
        rules=(
            WORST_FLAG,
            # A signal without a value, or a state signal without a state, does not have quality OK.
            "quality <> 'OK' or (value is not null and (kind not in ('STATE', 'EVENT') or state is not null))",
        ),
    ),
    "signals_latest": Mart(SignalsLatest, "signals", key=("signal_id", "signal_version", "metal", "region")),
    "signals_wide_daily": Mart(SignalsWideDaily, "signals", key=("metal", "as_of_date")),
    "signal_transitions": Mart(SignalTransitions, "signals", key=("transition_id",), cadence="on-change"),
    "signal_contributions": Mart(
        SignalContributions, "signals",
        key=("signal_id", "signal_version", "metal", "region", "as_of_ts", "component"),
    ),
    "signal_dictionary": Mart(
        SignalDictionary, "signals", key=("signal_id", "signal_version", "valid_from"), cadence="on-change",
    ),
    "claim_audit": Mart(ClaimAudit, "signals", key=("claim_id", "as_of_ts")),
}  # fmt: skip
