"""Runs that overlap with another run or get a signal: nothing is lost, and the next run continues."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sandbox import Sandbox, assert_same_rows

from tests.stress.crash import torn

NOW = "2026-01-20T20:00:00Z"
MONTHS = ("2026-01", "2026-01")
DATASETS = ["prices", "stocks"]
pytestmark = pytest.mark.slow


def begin(sandbox: Sandbox, **more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "pipelines.cli.app", "run", "--from", MONTHS[0]],
        env=sandbox.environment() | more,
        cwd=sandbox.root,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 200
    while not path.exists() and process.poll() is None and time.monotonic() < end:
        time.sleep(0.01)


def test_two_runs_at_once_both_succeed(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path, "drop", NOW)
    sandbox.drop_month()
    sandbox.reference()
    runs = [begin(sandbox), begin(sandbox)]
    ended = [process.communicate(timeout=900) for process in runs]
    assert [process.returncode for process in runs] == [0, 0], ended
    assert torn(sandbox.data, had_release=True) == []
    assert len(list((sandbox.data / "published" / "releases").iterdir())) == 1
    clean = Sandbox(tmp_path / "clean", "drop", NOW)
    clean.drop_month()
    clean.ingest(MONTHS, DATASETS)
    assert_same_rows(sandbox.rows(DATASETS), clean.rows(DATASETS))


def test_a_run_that_may_not_wait_names_the_writer(drop_market: Sandbox, tmp_path: Path) -> None:
    sandbox = drop_market.copy(tmp_path)
    with sandbox.open().writing():
        code, _, errors = sandbox.call("run", "--from", MONTHS[0], TIGHTNESS_LOCK_TIMEOUT_S="0")
    assert code == 1
    assert any(f"another run (pid {os.getpid()}" in line and "is writing" in line for line in errors), errors
    assert sandbox.published() == drop_market.published()


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.exhaustive)])
def test_a_signal_ends_a_run_in_one_line_and_the_next_run_goes_on(
    drop_market: Sandbox, tmp_path: Path, number: signal.Signals
) -> None:
    sandbox = drop_market.copy(tmp_path)
    sandbox.drop_month(stock=450_000.0)
    later = sandbox.at("2026-01-21T20:00:00Z")
    process = begin(later)
    wait_for(sandbox.data / "warehouse" / ".writer.json", process)
    time.sleep(1)
    process.send_signal(number)
    printed, errors = process.communicate(timeout=600)
    assert process.returncode == 1, errors
    assert "stopped by a signal: the last release stays, run again to continue" in errors
    assert "Traceback" not in printed + errors
    assert sandbox.published() == drop_market.published()
    assert torn(sandbox.data, had_release=True) == []
    assert not later.run(MONTHS).unchanged
