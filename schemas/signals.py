"""The published tables of `signals`: columns, units, keys and ranges. dbt contracts and comments come from here."""

from __future__ import annotations

import numpy as np
import pandas as pd
from pandera.typing import Series

from schemas.base import BASES, LICENCES, UTC, Mart, Table, column


class Signals(Table):
    """The log of published signals: append-only, with revisions."""

    signal_id: Series[str] = column("Stable name of the signal", "")
    signal_version: Series[str] = column("Formula = major, default parameter = minor", "")
    metal: Series[str] = column("Metal, by its chemical symbol in capitals", "")
    region: Series[str] = column("Country, or GLOBAL", "")
    as_of_ts: Series[UTC] = column("Decision time", "UTC")
    as_of_date: Series[pd.Timestamp] = column("London business day", "")
    revision_no: Series[np.int32] = column("1 for the first publication of the row, then counted up", "", ge=1)
    revision_reason: Series[str] = column("Why this revision was added", "")
    kind: Series[str] = column("LEVEL, SCORE, STATE or EVENT", "", isin=["LEVEL", "SCORE", "STATE", "EVENT"])
    value: Series[float] = column("The value, in unit", "", nullable=True)
    unit: Series[str] = column("Unit of value", "")
    score: Series[float] = column("Mid-rank, higher is tighter", "score", nullable=True, ge=0, le=1)
    state: Series[str] = column("The state, for kind STATE", "", nullable=True)
    direction: Series[np.int32] = column(
        "+1 tighter, -1 looser, 0 neither; not an advice to buy or sell", "", isin=[-1, 0, 1]
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


class SignalsWideDaily(Table):
    """One row a day, one column a metric."""

    metal: Series[str] = column("Metal, by its chemical symbol in capitals", "")
    as_of_date: Series[pd.Timestamp] = column("London business day", "")
    as_of_ts: Series[UTC] = column("Decision time", "UTC")
    price_yoy: Series[float] = column("Signal AL.PRICE.YOY", "ratio", nullable=True)
    price_level_5of5: Series[str] = column("Signal AL.PRICE.LEVEL_5OF5", "", nullable=True)
    price_level_3of5: Series[str] = column("Signal AL.PRICE.LEVEL_3OF5", "", nullable=True)
    cash_3m_spread_usd_t: Series[float] = column("Signal AL.CURVE.CASH_3M_SPREAD", "USD/t", nullable=True)
    backwardation: Series[str] = column("Signal AL.CURVE.BACKWARDATION", "", nullable=True)
    carry_tightness: Series[float] = column("Signal AL.CURVE.CARRY_TIGHTNESS", "ratio", nullable=True)
    carry_tightness_score: Series[float] = column("Its score, higher is tighter", "score", nullable=True, ge=0, le=1)
    cancelled_ratio: Series[float] = column("Signal AL.INVENTORY.CANCELLED_RATIO", "ratio", nullable=True, ge=0, le=1)
    cancelled_ratio_score: Series[float] = column("Its score, higher is tighter", "score", nullable=True, ge=0, le=1)
    stock_days: Series[float] = column("Signal AL.INVENTORY.STOCK_DAYS", "days", nullable=True)
    stock_days_score: Series[float] = column("Its score, higher is tighter", "score", nullable=True, ge=0, le=1)
    stock_log_chg: Series[float] = column("Signal AL.INVENTORY.STOCK_LOG_CHG", "ln", nullable=True)
    stock_log_chg_score: Series[float] = column("Its score, higher is tighter", "score", nullable=True, ge=0, le=1)
    visible_t: Series[float] = column("Signal AL.INVENTORY.VISIBLE", "t", nullable=True, ge=0)
    off_warrant_yoy: Series[float] = column("Signal AL.INVENTORY.OFF_WARRANT_YOY", "ratio", nullable=True)
    cn_exports_yoy_3m: Series[float] = column("Signal AL.FLOW.CN_EXPORTS_YOY_3M", "ratio", nullable=True)
    cn_exports_yoy_3m_score: Series[float] = column("Its score, higher is tighter", "score", nullable=True, ge=0, le=1)
    tightness_index: Series[float] = column("Signal AL.TIGHTNESS.INDEX", "index points", nullable=True, ge=0, le=100)
    regime: Series[str] = column(
        "Signal AL.TIGHTNESS.REGIME", "", nullable=True, isin=["LOOSE", "NEUTRAL", "TIGHT", "SQUEEZE", "UNKNOWN"]
    )
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
}
