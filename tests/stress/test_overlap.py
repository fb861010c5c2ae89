"""`python -m tests.stress.overlap`, which needs minutes, and tests of its comparison."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from pipelines.common.settings import PROJECT
from tests.sandbox import Sandbox
from tests.stress.overlap import most_at_once, published


@pytest.mark.exhaustive
@pytest.mark.xdist_group("overlap")
def test_overlapping_runs_end_like_the_same_runs_in_sequence(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.stress.overlap", str(tmp_path)], cwd=PROJECT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["runs_at_once"] >= 3


def test_the_most_runs_at_one_moment_are_counted() -> None:
    assert most_at_once([]) == 0
    assert most_at_once([(0, 2), (2, 3), (5, 6)]) == 1
    assert most_at_once([(0, 4), (1, 3), (2, 5), (4, 6)]) == 3


@pytest.mark.parametrize(
    ("rows", "is_same"),
    [
        ("select 2 as x, 'another' as run_id union all select 1, 'another'", True),
        ("select 1 as x, 'a run' as run_id union all select 3, 'a run'", False),
        ("select 1 as x, 'a run' as run_id", False),
    ],
)
def test_tables_are_compared_without_order_and_without_the_run(tmp_path: Path, rows: str, is_same: bool) -> None:
    found = []
    for name, query in (("a", "select 1 as x, 'a run' as run_id union all select 2, 'a run'"), ("b", rows)):
        sandbox = Sandbox(tmp_path / name, "demo", "2026-01-14T20:00:00Z")
        folder = sandbox.data / "published" / "parquet" / "marts"
        folder.mkdir(parents=True)
        duckdb.execute(f"copy ({query}) to '{folder}/price_daily.parquet' (format parquet)")
        found.append(published(sandbox))
    assert (found[0] == found[1]) == is_same
