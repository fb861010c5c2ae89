"""Killed runs, a short version of `python -m tests.stress.crash`; and that its checks find each kind of damage."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from sandbox import Sandbox

from pipelines.common.settings import PROJECT
from tests.stress.crash import plan, state, torn

pytestmark = pytest.mark.slow
EACH_PHASE = 46  # a seed whose first four kills fall into all four phases of a run


@pytest.mark.parametrize(
    ("kills", "seed"),
    [
        (4, EACH_PHASE),
        pytest.param(6, 6, marks=pytest.mark.exhaustive),
        pytest.param(20, 1, marks=pytest.mark.exhaustive),
    ],
)
def test_kills_leave_nothing_torn_and_every_recovery_equals_a_clean_run(kills: int, seed: int) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.stress.crash", "--kills", f"{kills}", "--seed", f"{seed}"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=7200,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{kills} kills in" in done.stdout
    assert "torn or missing files after a kill: 0" in done.stdout


def test_the_short_version_kills_in_each_phase_and_in_a_recovery() -> None:
    """Two workers, each with two of the kills: cases 0, and 1 and 3."""
    cases = [plan(EACH_PHASE, number) for number in (0, 1, 3)]
    killed = [moments[: 2 if number == 0 else 1] for number, (_, moments) in zip((0, 1, 3), cases, strict=True)]
    assert [[moment.phase for moment in moments] for moments in killed] == [
        ["ingest", "write"],
        ["models"],
        ["current"],
    ]
    assert {scenario.name for scenario, _ in cases} == {"full", "changed drop", "built, not published"}


def test_a_seed_always_means_the_same_kills() -> None:
    assert [plan(1, n) for n in range(20)] == [plan(1, n) for n in range(20)]
    assert {len(plan(1, n)[1]) for n in range(40)} == {1, 2, 3, 4, 5}


@pytest.fixture(scope="module")
def published(drop_market: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Sandbox:
    """A month of a user's files, archived and published."""
    sandbox = drop_market.copy(tmp_path_factory.mktemp("published"))
    for payload in sandbox.open().dropped()[0]:
        sandbox.open().archive.put(payload)
    return sandbox


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "half a database": (
        lambda data: cut(data / "published/tightness.duckdb"),
        "tightness.duckdb is the file of no release",
    ),
    "no database": (
        lambda data: (data / "published/tightness.duckdb").unlink(),
        "published tightness.duckdb is missing",
    ),
    "half a manifest": (lambda data: cut(data / "published/manifest.json"), "manifest.json is torn"),
    "half a copy": (
        lambda data: cut(next((data / "published/parquet/marts").glob("*.parquet"))),
        "is the file of no release",
    ),
    "half a release": (
        lambda data: cut(next(data.glob("published/releases/*/tightness.duckdb"))),
        "tightness.duckdb is torn",
    ),
    "half a lake file": (lambda data: cut(next(data.glob("lake/prices/[0-9]*.parquet"))), "does not open"),
    "half a payload": (lambda data: cut(next(data.glob("raw/drop/??/*"))), "does not have the hash of its name"),
    "half a ledger": (lambda data: cut(next(data.glob("lake/prices/_ingested.json"))), "_ingested.json is torn"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_checks_after_a_kill_find_each_kind_of_damage(published: Sandbox, tmp_path: Path, fault: str) -> None:
    data = published.copy(tmp_path).data
    assert torn(data, had_release=True) == []
    spoil, message = FAULTS[fault]
    spoil(data)
    found = torn(data, had_release=True)
    assert any(message in problem for problem in found), found


def test_the_comparison_finds_a_missing_row(published: Sandbox, tmp_path: Path) -> None:
    data, wanted = published.copy(tmp_path).data, state(published.data)
    assert state(data) == wanted
    path = next(data.glob("lake/prices/[0-9]*.parquet"))
    pd.read_parquet(path).iloc[1:].to_parquet(path)
    differs = {name for name, value in state(data).items() if wanted[name] != value}
    assert differs == {"lake prices"}
