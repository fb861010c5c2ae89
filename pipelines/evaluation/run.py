"""An evaluation of a warehouse, made where something that it rests on has changed since the last one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import duckdb
import pandas as pd

from pipelines.common.files import write_atomically
from pipelines.evaluation import tables
from pipelines.evaluation.evaluate import SEED, PlanRow, Report, evaluate, planned
from pipelines.evaluation.samples import read
from pipelines.evaluation.summary import summarise
from pipelines.warehouse.sql import opened

# What an evaluation rests on, in the warehouse.
INPUTS: Final = ("staging.stg_prices", "staging.stg_stocks", "marts.tightness_daily", "signals.signals")
LIBRARIES: Final = ("arch", "numpy", "scipy", "statsmodels")


def run(
    warehouse: Path, record: Path, plan: pd.DataFrame, code_version: str, report: Report = lambda done, total: None
) -> bool:
    """Evaluate the plan and write the tables, unless they rest on the same inputs already. True when written."""
    tests = planned(plan)
    with opened(warehouse) as connection:
        rests_on = _fingerprint(connection, tests, code_version)
        if _recorded(record) == rests_on and tables.are_there(warehouse):
            return False
        metals = sorted({test.signal_id.partition(".")[0] for test in tests} - {"BENCH"})
        horizons = sorted({test.horizon_obs for test in tests})
        samples = cache(lambda cut: read(connection, cut, horizons, SEED))
        rows = evaluate(tests, metals, samples, code_version=code_version, report=report)
        made = {"eval_signal": rows, "eval_summary": summarise(rows, tests, metals, samples, SEED)}
    tables.write(warehouse, made)
    write_atomically(record, lambda temporary: temporary.write_text(json.dumps({"rests_on": rests_on})))
    return True


def _recorded(record: Path) -> str | None:
    with suppress(OSError, ValueError, KeyError):
        return str(json.loads(record.read_text())["rests_on"])
    return None


def _fingerprint(connection: duckdb.DuckDBPyConnection, tests: Sequence[PlanRow], code_version: str) -> str:
    """Hash of everything that the figures follow from."""
    parts: list[Any] = [code_version, SEED, list(map(version, LIBRARIES)), tests]
    for table in INPUTS:
        parts += connection.execute(f"select count(*), sum(hash(t)) from {table} as t").fetchall()
    return hashlib.sha256(repr(parts).encode()).hexdigest()
