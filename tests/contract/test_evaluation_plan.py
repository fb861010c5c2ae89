"""The plan of the evaluation: rows may be added, under a new day, and are never changed."""

from __future__ import annotations

import hashlib
from typing import Final

import pandas as pd

from pipelines.common.settings import PROJECT
from schemas.evaluation import OUTCOMES

# Hash of the tests that were registered on each day. A new day is a new entry; an entry never changes.
REGISTERED: Final = {"2026-11-30": "5806f222824a61fd"}
COLUMNS: Final = [
    "signal_id", "signal_version", "bucket", "outcome", "horizon_obs", "side", "is_primary", "registered_on",
]  # fmt: skip


def plan() -> pd.DataFrame:
    return pd.read_csv(PROJECT / "data" / "reference" / "evaluation_plan.csv", dtype=str)


def test_registered_tests_do_not_change() -> None:
    found = {
        day: hashlib.sha256("\n".join(sorted(rows[COLUMNS].agg(",".join, axis=1))).encode()).hexdigest()[:16]
        for day, rows in plan().groupby("registered_on")
    }
    assert found == REGISTERED


def test_the_theory_of_storage_is_tested_before_the_price() -> None:
    """Spread, stock and volatility come first, the price last."""
    assert plan()["outcome"].drop_duplicates().tolist() == list(OUTCOMES)
    assert OUTCOMES[-1] == "fwd_m3_log_return"
