"""After a kill: a dead run is ended and gives its place in the writer's pool back, a living one keeps it."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import dagster as dg
import pytest

from pipelines.instance import alive, end_dead_runs, open_instance
from pipelines.warehouse.lock import writer_lock

POOL = "duckdb_writer"

HOLDER = """
import os, sys, time
from pipelines.instance import alive, prepare_home
prepare_home()
with alive(sys.argv[1]):
    print("alive", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dg.DagsterInstance:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster"))
    return open_instance()


def begun(instance: dg.DagsterInstance) -> str:
    """A run that is in the pool, as the event log knows it."""
    run = instance.create_run_for_job(
        dg.GraphDefinition("nothing", node_defs=[]).to_job(), status=dg.DagsterRunStatus.STARTED
    )
    storage = instance.event_log_storage
    storage.initialize_concurrency_limit_to_default(POOL)
    claimed = storage.claim_concurrency_slot(POOL, run.run_id, "models")
    assert claimed.is_claimed == (len(storage.get_concurrency_info(POOL).active_run_ids) == 1)
    return run.run_id


def in_pool(instance: dg.DagsterInstance) -> set[str]:
    return set(instance.event_log_storage.get_concurrency_info(POOL).active_run_ids)


def test_a_killed_run_is_ended_and_leaves_the_pool(instance: dg.DagsterInstance) -> None:
    run_id = begun(instance)
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, run_id], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None and holder.stdout.readline() == "alive\n"
    end_dead_runs(instance)
    assert in_pool(instance) == {run_id}, "it lives"

    holder.kill()
    holder.wait()
    holder.stdout.close()
    end_dead_runs(instance)
    assert in_pool(instance) == set()
    run = instance.get_run_by_id(run_id)
    assert run is not None and run.status == dg.DagsterRunStatus.FAILURE
    end_dead_runs(instance)  # once is enough


def test_a_run_that_ends_leaves_no_mark(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    with alive("one"):
        assert [path.name for path in (tmp_path / "dagster" / "alive").iterdir()] == ["one.lock"]
    assert list((tmp_path / "dagster" / "alive").iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_who_writes_is_interrupted_when_it_has_ended(tmp_path: Path, number: signal.Signals) -> None:
    seen: list[str] = []

    def handler(given: int, _: object) -> None:
        seen.append(signal.Signals(given).name)
        raise InterruptedError

    before = signal.signal(number, handler)
    try:
        with pytest.raises(InterruptedError), writer_lock(tmp_path, 0):
            signal.raise_signal(number)
            time.sleep(0.01)
            seen.append("written")
    finally:
        signal.signal(number, before)
    assert seen == ["written", number.name]
    with writer_lock(tmp_path, 0):
        pass  # and the lock is free
