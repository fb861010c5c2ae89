"""Concurrent and killed processes (SIGKILL): publications, writes to the lake, locks and requests."""

from __future__ import annotations

import itertools
import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pipelines.common.settings import PROJECT
from pipelines.lake.store import Lake
from pipelines.sources.base import Access
from pipelines.transports.rate_limit import RateLimiter
from pipelines.warehouse.lock import WriterBusyError, writer_lock
from tests.lake_rows import observed
from tests.small_release import TWO_DAYS, warehouse

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("processes"),
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs POSIX processes"),
]


def python(code: str, *arguments: object) -> list[str]:
    """The command of a program that finds the helpers of the tests."""
    found = f"import sys; sys.path.insert(0, {str(PROJECT)!r})\n"
    return [sys.executable, "-c", found + code, *map(str, arguments)]


# --- publication

PUBLISH_AND_DIE = """
import json, os, shutil, signal
from pathlib import Path
from tests.small_release import opened, release
from pipelines.publish.manifest import read_manifest
import pyarrow.parquet as pq

published, old, new = map(Path, sys.argv[1:])
start = published.with_name("start")

def in_child(work):  # no database is open in the parent, so a fork is safe
    pid = os.fork()
    if pid == 0:
        try:
            work()
        except BaseException as error:
            print(repr(error), file=sys.stderr)
            os._exit(1)
        sys.stdout.flush()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

def publish_and_die(step):
    calls = iter(range(1, step))
    for module, name in ((os, "replace"), (os, "rename"), (os, "rmdir"), (os, "link"), (shutil, "copyfile")):
        def dying(*args, _name=name, _real=getattr(module, name), **kwargs):
            if next(calls, None) is None:
                if _name == "copyfile":  # half of the file is written
                    Path(args[1]).write_bytes(Path(args[0]).read_bytes()[:1000])
                os.kill(os.getpid(), signal.SIGKILL)
            return _real(*args, **kwargs)
        setattr(module, name, dying)
    release(new, published, keep=1)

def report():
    manifest = read_manifest(published / "manifest.json")
    kept = published / "releases" / manifest["release_id"] / "tightness.duckdb"
    with opened(published / "tightness.duckdb") as con:
        con.execute(f"attach '{kept}' as kept (read_only)")
        (database, kept), = con.execute(
            "select (select count(*) from marts.price_daily), (select count(*) from kept.marts.price_daily)"
        ).fetchall()
    print(json.dumps({
        "manifest": manifest["tables"]["marts.price_daily"]["rows"],
        "parquet": pq.read_metadata(published / "parquet" / "marts" / "price_daily.parquet").num_rows,
        "database": database,
        "kept": kept,
    }))

assert in_child(lambda: release(old, start)) == 0
step, code = 0, -signal.SIGKILL
while code == -signal.SIGKILL:
    step += 1
    shutil.rmtree(published, ignore_errors=True)
    shutil.copytree(start, published)
    code = in_child(lambda: publish_and_die(step))
    assert in_child(report) == 0, f"after a kill at step {step}"
    if code == -signal.SIGKILL and step in (1, 3):  # the next run finishes what the killed one left
        assert in_child(lambda: release(new, published)) == 0
        assert not list(published.glob(".tmp-*"))
sys.exit(code)
"""


def test_a_kill_at_any_step_of_a_publication_shows_the_old_release_or_the_new_one(tmp_path: Path) -> None:
    old = warehouse(tmp_path / "old.duckdb", TWO_DAYS)
    new = warehouse(tmp_path / "new.duckdb", TWO_DAYS | {"2026-01-14": 1.0})
    done = subprocess.run(
        python(PUBLISH_AND_DIE, tmp_path / "published", old, new), capture_output=True, text=True, cwd=PROJECT
    )
    assert done.returncode == 0, done.stderr
    states = [json.loads(line) for line in done.stdout.splitlines()]

    for state in states:
        # The manifest is replaced last: it never names rows that the database does not hold yet.
        assert (state["manifest"], state["database"], state["parquet"]) in [(2, 2, 2), (2, 2, 3), (2, 3, 3), (3, 3, 3)]
        assert state["kept"] == state["manifest"]
    assert len(states) > 10  # each round but the last ended at another step
    assert {(s["manifest"], s["database"]) for s in states} == {(2, 2), (2, 3), (3, 3)}  # each window was hit


# --- the warehouse's lock

HOLD = """
import time
from pathlib import Path
from pipelines.warehouse.lock import writer_lock
with writer_lock(Path(sys.argv[1]), 5):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_writer_gets_the_holder_of_the_lock_until_that_process_is_killed(tmp_path: Path) -> None:
    with subprocess.Popen(python(HOLD, tmp_path), stdout=subprocess.PIPE, text=True, cwd=PROJECT) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "held\n"
            message = rf"another run \(pid {holder.pid}, since 20.*Z\) is writing"
            with pytest.raises(WriterBusyError, match=message), writer_lock(tmp_path, 0.1):
                pytest.fail("two writers")
        finally:
            holder.send_signal(signal.SIGKILL)
        holder.wait()
    with writer_lock(tmp_path, 0):
        holder_file = json.loads((tmp_path / "warehouse" / ".writer.json").read_text())
        assert holder_file["pid"] == os.getpid()


# --- the lake

WRITER = """
from datetime import UTC, datetime, timedelta
from pathlib import Path
from pipelines.lake.store import Lake
from tests.lake_rows import observed
lake, months, value = Lake(Path(sys.argv[1])), sys.argv[2].split(","), int(sys.argv[3])
print("ready", flush=True)
for n in range(200 if value < 0 else 1):
    rows = [(f"{month}-{day:02d}", abs(value) + n, None) for month in months for day in range(1, 29)]
    captured = datetime(2026, 3, 1, tzinfo=UTC) + timedelta(seconds=abs(value) + n)
    lake.append("stocks", observed(rows), ingest_ts=captured)
"""


def made(root: Path) -> Lake:
    lake = Lake(root)
    lake.ensure()
    return lake


def writer(lake: Lake, months: list[str], value: int) -> subprocess.Popen[bytes]:
    """A process that appends a figure for every day of the months: once, or 200 times for a negative `value`."""
    return subprocess.Popen(python(WRITER, lake.root, ",".join(months), value), stdout=subprocess.PIPE)


def test_writers_of_different_months_and_of_the_same_lose_nothing(tmp_path: Path) -> None:
    lake = made(tmp_path / "lake")
    year = [f"2025-{month:02d}" for month in range(1, 13)]
    writers = [writer(lake, [*year[:6], "2025-12"], 1), writer(lake, year[6:], 2)]
    assert [process.wait(timeout=60) for process in writers] == [0, 0]
    rows = lake.read("stocks")
    only = rows[rows["obs_date"] < "2025-12-01"]
    assert len(only) == 11 * 28
    assert set(only["vintage_no"]) == {1}
    shared = rows[rows["obs_date"] >= "2025-12-01"].groupby("obs_date")["vintage_no"].agg(sorted)
    # The second writer found the first's values to be older captures (nothing to add) or a change.
    assert len(shared) == 28
    assert set(map(tuple, shared)) <= {(1,), (1, 2)}
    assert lake.damage("stocks") == []
    assert sorted(lake.record("stocks").read()) == sorted(path.name for path in lake.root.glob("stocks/[0-9]*.parquet"))


def test_killed_writers_leave_whole_files_only(tmp_path: Path) -> None:
    lake = made(tmp_path / "lake")

    def files() -> list[Path]:
        return list((lake.root / "stocks").glob("[0-9]*.parquet"))

    chance = random.Random(7)
    months = [f"2025-{month:02d}" for month in range(1, 13)]
    for round_ in range(3):
        process = writer(lake, months, -(1 + 1000 * round_))
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        before, end = len(files()), time.monotonic() + 60
        while len(files()) == before and time.monotonic() < end:
            time.sleep(0.002)
        time.sleep(chance.uniform(0, 0.2))
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=10)
    for path in files():
        assert pq.read_table(path).num_rows == 12 * 28
    rows = lake.read("stocks")
    assert len(rows) > 0
    assert not rows.duplicated(["obs_date", "vintage_no"]).any()
    assert lake.damage("stocks") == [], "a kill between a file and its line is no damage"
    lake.settle("stocks")
    assert len(lake.record("stocks").read()) == len(files())
    later = datetime(2026, 4, 1, tzinfo=UTC)
    everything = observed([(f"{month}-{day:02d}", 5, None) for month in months for day in range(1, 29)])
    lake.append("stocks", everything, ingest_ts=later)
    assert lake.read("stocks", as_of=later)["total_t"].tolist() == [5.0] * 12 * 28


# --- the rate limiter

PROCESSES = multiprocessing.get_context("spawn")
ACCESS = Access(("publisher.example",), per_second=1000)


def _acquire(folder: Path, turns: multiprocessing.Queue[tuple[float, float]]) -> None:
    """Report when each turn began, from the file that all share, and a moment within it.

    On a busy machine the moment may be late, but never before the turn. With one place no other process writes the file
    meanwhile.
    """
    for _ in range(4):
        with RateLimiter(folder).acquire("fred", Access(("publisher.example",), per_second=20)):
            turns.put((json.loads((folder / "fred.json").read_text())["next"] - 0.05, time.time()))


def test_two_processes_share_one_interval(tmp_path: Path) -> None:
    turns: multiprocessing.Queue[tuple[float, float]] = PROCESSES.Queue()
    workers = [PROCESSES.Process(target=_acquire, args=(tmp_path, turns)) for _ in range(2)]
    for worker in workers:
        worker.start()
    reported = sorted(turns.get(timeout=60) for _ in range(8))
    for worker in workers:
        worker.join()
    assert all(later - earlier >= 0.05 - 1e-6 for (earlier, _), (later, _) in itertools.pairwise(reported))
    assert all(moment >= turn - 1e-6 for turn, moment in reported), "no request before its turn"


def _hold(folder: Path, held: multiprocessing.Queue[int]) -> None:
    with RateLimiter(folder).acquire("westmetall", ACCESS):
        held.put(os.getpid())
        time.sleep(60)


def test_a_killed_process_frees_its_place(tmp_path: Path) -> None:
    held: multiprocessing.Queue[int] = PROCESSES.Queue()
    worker = PROCESSES.Process(target=_hold, args=(tmp_path, held))
    worker.start()
    pid = held.get(timeout=60)
    waited: list[float] = []

    def kill_the_holder(seconds: float) -> None:
        waited.append(seconds)
        if worker.is_alive():
            os.kill(pid, signal.SIGKILL)
            worker.join()

    with RateLimiter(tmp_path, sleep=kill_the_holder).acquire("westmetall", ACCESS):
        assert waited, "the place was acquired while its holder lived"
