"""Faults of the machine and of publishers: a full or read-only disk, a clock set back, two runs at once, signals,
sources that do not answer. Nothing that was there is lost, the last release stays, and the next run mends it."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pytest
import stamina
from sandbox import Sandbox
from stamina.instrumentation import RetryDetails, get_on_retry_hooks, set_on_retry_hooks

from pipelines.sources.base import Payload, Request, SourceError
from pipelines.transports.demo import DemoTransport
from pipelines.transports.http import HttpTransport
from pipelines.workspace import ClockError, Workspace
from tests.stress.crash import Folders, torn

NOW = "2026-01-20T20:00:00Z"
MONTHS = ("2026-01", "2026-01")
DATASETS = ["prices", "stocks"]
STORES = ("lake", "raw", "quarantine")
slow = pytest.mark.slow


def put(sandbox: Sandbox, stock: float = 500_000.0) -> None:
    """A month of a user's prices and stocks, one row of which is for the quarantine."""
    days = pd.bdate_range("2026-01-02", "2026-01-20").strftime("%Y-%m-%d")
    prices = pd.DataFrame({"metal": "AL", "obs_date": days, "cash_usd_t": 3150.0, "m3_usd_t": 3160})
    stocks = pd.DataFrame({"metal": "AL", "obs_date": days, "total_t": stock})
    stocks.loc[3, "total_t"] = -1
    sandbox.drop("prices/own.csv", prices)
    sandbox.drop("stocks/own.csv", stocks)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Sandbox:
    """That month, published."""
    sandbox = Sandbox(tmp_path_factory.mktemp("published"), "drop", NOW)
    put(sandbox)
    sandbox.run(MONTHS)
    return sandbox


def copy(sandbox: Sandbox, root: Path) -> Sandbox:
    shutil.copytree(sandbox.root, root, dirs_exist_ok=True)
    return Sandbox(root, sandbox.profile, sandbox.now)


def rows(sandbox: Sandbox) -> dict[str, pd.DataFrame]:
    """What lake and quarantine hold."""
    workspace = sandbox.open()
    held = {name: workspace.lake.read(name) for name in DATASETS}
    return held | {"quarantine": workspace.quarantine.read().sort_values("where", ignore_index=True)}


def assert_same(found: dict[str, pd.DataFrame], wanted: dict[str, pd.DataFrame]) -> None:
    assert found.keys() == wanted.keys()
    for name, frame in wanted.items():
        pd.testing.assert_frame_equal(found[name].reset_index(drop=True), frame.reset_index(drop=True), obj=name)


@dataclass
class FullAfter:
    """Lets `room` moves into place pass; every later one fails as on a full disk."""

    move: Callable[[Path, Any], Path]
    room: int
    number: int = errno.ENOSPC
    refused: int = 0

    def __call__(self, path: Path, target: Any) -> Path:
        if self.room <= 0:
            self.refused += 1
            raise OSError(self.number, os.strerror(self.number), str(path))
        self.room -= 1
        return self.move(path, target)


@contextmanager
def full_after(room: int) -> Iterator[FullAfter]:
    """Everything that is kept gets its place by a move: files are written aside first."""
    disk = FullAfter(Path.replace, room)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "replace", lambda path, target: disk(path, target))
        yield disk


# --- the disk is full


def test_a_disk_that_is_full_at_any_write_loses_nothing_and_the_next_run_mends_it(tmp_path: Path) -> None:
    """Archive, lake, quarantine and ledger: full at the first write, at the second, and so on to the last."""
    clean = Sandbox(tmp_path / "clean", "drop", NOW)
    put(clean)
    clean.ingest(MONTHS, DATASETS)
    wanted = rows(clean)
    assert [len(frame) for frame in wanted.values()] == [13, 12, 1]
    for room in range(100):
        sandbox = Sandbox(tmp_path / f"full{room}", "drop", NOW)
        put(sandbox)
        with full_after(room) as disk:
            if disk_refused := _full(sandbox):
                assert "No space left on device" in disk_refused
        before = {name: about for name, about in sandbox.stored().items() if name.endswith(".parquet")}
        assert not [path for path in sandbox.data.rglob(".tmp-*") if path.is_file()], "the unfinished file is gone"
        if not disk.refused:
            break
        sandbox.ingest(MONTHS, DATASETS)
        assert_same(rows(sandbox), wanted)
        assert before.items() <= sandbox.stored().items(), "what was stored is what it was"
    assert 8 < room < 99, "the fault has come to every write"


def _full(sandbox: Sandbox) -> str:
    try:
        sandbox.ingest(MONTHS, DATASETS)
    except OSError as error:
        return str(error)
    return ""


@slow
def test_a_disk_that_is_full_while_a_release_is_made_leaves_the_last_one(published: Sandbox, tmp_path: Path) -> None:
    sandbox = copy(published, tmp_path / "place")
    put(sandbox, stock=450_000.0)
    later = sandbox.at("2026-01-21T20:00:00Z")
    later.ingest(MONTHS)
    assert later.build().failed == []
    with full_after(1000) as disk:
        clean = copy(later, tmp_path / "clean").publish()
    moves, had = 1000 - disk.room, sandbox.published()
    for room in (0, 1, 2, moves // 2, moves - 2, moves - 1):
        one = copy(later, tmp_path / f"full{room}")
        with full_after(room) as disk, pytest.raises(OSError, match="No space left on device"):
            one.publish()
        assert disk.refused == 1
        assert torn(Folders(one.root), had_release=True) == []
        if room < 2:  # the mark of the build, and the release's own place
            assert one.published() == had
        release = one.publish()
        assert {n: t["content_sha256"] for n, t in release.manifest["tables"].items()} == {
            n: t["content_sha256"] for n, t in clean.manifest["tables"].items()
        }
        assert torn(Folders(one.root), had_release=True) == []
        shutil.rmtree(one.root)


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[None]:
    """A file system of that size over the folder, which keeps its content."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("only root can mount a small disk, on Linux")
    kept = folder.with_name("kept")
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], capture_output=True)
    if done.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {done.stderr.decode().strip()}")
    try:
        yield
        shutil.copytree(folder, kept)
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)
    shutil.rmtree(folder)
    kept.rename(folder)


@slow
@pytest.mark.parametrize("size", ["400k", "6m"])
def test_a_run_on_a_full_disk_says_so_in_one_line(tmp_path: Path, size: str) -> None:
    """So small that the lake does not fit, and so that the warehouse does not: DuckDB has words of its own for it."""
    sandbox = Sandbox(tmp_path, "drop", NOW)
    put(sandbox)
    with small_disk(sandbox.data, size):
        code, _, said = sandbox.call("run", "--from", MONTHS[0])
        assert code == 1
        [line] = [line for line in said if "disk" in line]
        assert line == (
            "the disk of the data folder is full: free some space, then run again. "
            "Nothing is lost, the last release stays"
        )
        assert not sandbox.database.exists()
    clean = Sandbox(tmp_path / "clean", "drop", NOW)
    put(clean)
    wanted, release = clean.ingest(MONTHS, DATASETS), sandbox.run(MONTHS)
    assert wanted.failures == [] and not release.unchanged
    assert_same(rows(sandbox), rows(clean))


# --- the data folder cannot be written


@slow
def test_a_read_only_data_folder_is_one_line_and_what_is_published_can_be_read(
    published: Sandbox, tmp_path: Path
) -> None:
    sandbox = copy(published, tmp_path)
    with read_only(sandbox.data):
        code, printed, said = sandbox.at("2026-01-21T20:00:00Z").call("run", "--from", MONTHS[0])
        assert code == 1
        assert [line for line in said if "read-only" in line] == [
            "the data folder is on a read-only file system: make it writable, then run again. "
            "Nothing is lost, the last release stays"
        ]
        assert not any("Traceback" in line for line in [*said, *printed])
        code, printed, _ = sandbox.call("signals")
        assert code == 0 and any("AL.INVENTORY.STOCK_DAYS" in line for line in printed)
    assert sandbox.published() == published.published()


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """The folder mounted over itself, read-only: root passes over mode bits."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("only root can mount a folder read-only, on Linux")
    done = subprocess.run(["mount", "--bind", folder, folder], capture_output=True)
    if done.returncode:
        pytest.skip(f"a folder cannot be mounted here: {done.stderr.decode().strip()}")
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", folder], check=True)
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


# --- the clock


@slow
def test_a_clock_set_back_is_refused_and_nothing_is_touched(published: Sandbox, tmp_path: Path) -> None:
    sandbox = copy(published, tmp_path)
    before, released = sandbox.stored(), sandbox.published()
    put(sandbox, stock=1.0)
    code, _, [line] = sandbox.at("2026-01-19T20:00:00Z").call("run", "--from", MONTHS[0])
    assert code == 1
    assert "the clock says 2026-01-19T20:00:00Z, before the last build's 2026-01-20T20:00:00Z" in line
    with pytest.raises(ClockError):
        sandbox.at("2026-01-19T20:00:00Z").build()
    code, printed, _ = sandbox.at("2026-01-19T20:00:00Z").call("doctor", "--json")
    assert code == 1 and any("before the last build's" in line for line in printed)
    assert (sandbox.stored(), sandbox.published()) == (before, released)
    # A lost warehouse does not make it forget: the release knows its time.
    shutil.rmtree(sandbox.data / "warehouse")
    with pytest.raises(ClockError):
        sandbox.at("2026-01-19T20:00:00Z").open().check_clock()


@slow
def test_a_run_that_began_first_and_builds_last_takes_nothing_back(published: Sandbox, tmp_path: Path) -> None:
    """Runs overlap: the decision time of 18:00 London passes between their beginnings."""
    sandbox = copy(published, tmp_path)
    first, second = sandbox.at("2026-01-21T17:59:00Z"), sandbox.at("2026-01-21T18:01:00Z")
    second.run(MONTHS)
    days = second.query("select max(as_of_date) as day from signals.signals_latest")["day"][0]
    assert days == pd.Timestamp("2026-01-21")
    assert first.build().failed == []
    assert first.publish().unchanged
    assert second.query("select max(as_of_date) as day from signals.signals_latest")["day"][0] == days


STOCK_DAYS = """
    select value from signals.signals_asof(?::timestamptz) where signal_id = 'AL.INVENTORY.STOCK_DAYS'
"""


@slow
def test_what_was_built_and_never_published_is_not_said_to_have_been_out(published: Sandbox, tmp_path: Path) -> None:
    """A run builds a revision and is killed before it publishes; the next one comes a day later."""
    sandbox = copy(published, tmp_path)
    own = sandbox.root / "drop" / "stocks" / "own.csv"
    own.write_text(own.read_text().replace("AL,2026-01-19,500000.0\n", ""))
    sandbox.drop(
        "stocks/revised.csv", "metal,obs_date,knowledge_ts,total_t\nAL,2026-01-19,2026-01-20T09:00:00Z,450000\n"
    )
    killed, next_day = sandbox.at("2026-01-20T21:00:00Z"), sandbox.at("2026-01-21T20:00:00Z")
    killed.ingest(MONTHS)
    assert killed.build().failed == []
    between = "2026-01-20T22:00:00Z"
    before = sandbox.query(STOCK_DAYS, between)
    assert len(before) == 1
    next_day.run(MONTHS)
    pd.testing.assert_frame_equal(next_day.query(STOCK_DAYS, between), before)
    log = next_day.query("select computed_ts, revision_no from signals.signals where revision_no > 1")
    assert len(log)
    assert set(log["computed_ts"]) == {pd.Timestamp(next_day.now)}
    assert set(log["revision_no"]) == {2}


# --- two runs, and signals


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


@slow
def test_two_runs_at_once_both_succeed_and_one_that_may_not_wait_says_who_writes(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path, "drop", NOW)
    put(sandbox)
    sandbox.reference()
    first, second = begin(sandbox), begin(sandbox)
    wait_for(sandbox.data / "warehouse" / ".writer.json", first)
    code, _, said = sandbox.call("run", "--from", MONTHS[0], TIGHTNESS_LOCK_TIMEOUT_S="0")
    ended = [process.communicate(timeout=900) for process in (first, second)]
    assert [first.returncode, second.returncode] == [0, 0], ended
    # It may have come when both had ended.
    assert code == 0 or any("another run (pid " in line and "is writing" in line for line in said), said
    assert torn(Folders(sandbox.root), had_release=True) == []
    assert len(list((sandbox.data / "published" / "releases").iterdir())) == 1
    clean = Sandbox(tmp_path / "clean", "drop", NOW)
    put(clean)
    clean.ingest(MONTHS, DATASETS)
    assert_same(rows(sandbox), rows(clean))


@slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_run_in_one_line_and_the_next_run_goes_on(
    published: Sandbox, tmp_path: Path, number: signal.Signals
) -> None:
    sandbox = copy(published, tmp_path)
    put(sandbox, stock=450_000.0)
    later = sandbox.at("2026-01-21T20:00:00Z")
    process = begin(later)
    wait_for(sandbox.data / "warehouse" / ".writer.json", process)
    time.sleep(1)
    process.send_signal(number)
    printed, said = process.communicate(timeout=600)
    assert process.returncode == 1, said
    assert "stopped by a signal: the last release stays, run again to continue" in said
    assert "Traceback" not in printed + said
    assert sandbox.published() == published.published()
    assert torn(Folders(sandbox.root), had_release=True) == []
    assert not later.run(MONTHS).unchanged


# --- publishers


@contextmanager
def waits() -> Iterator[list[float]]:
    """How long each retry waits; no test does."""
    found: list[float] = []

    def hook(details: RetryDetails) -> None:
        found.append(details.wait_for)

    before = get_on_retry_hooks()
    set_on_retry_hooks([hook])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tenacity.nap.time.sleep", lambda seconds: None)
        yield found
    set_on_retry_hooks(before)


def test_a_publisher_that_does_not_answer_is_asked_again_after_growing_uneven_waits() -> None:
    assert stamina.is_active()
    request = Request("fred", "SOFR.csv", "https://publisher.example/data")
    client = httpx.Client(transport=httpx.MockTransport(lambda request: httpx.Response(503)))
    transport = HttpTransport(lambda: datetime(2026, 2, 1, tzinfo=UTC), {}, client)
    with waits() as found:
        for _ in range(8):
            with pytest.raises(SourceError, match="status 503, 4 times"):
                transport.fetch(request)
    first, second, third = found[::3], found[1::3], found[2::3]
    assert len(first) == len(second) == len(third) == 8
    assert all(0 < wait <= 30 for wait in found)
    assert sum(third) > sum(second) > sum(first)
    assert len(set(found)) > 8, "without jitter all would come back at the same moment"


def test_an_answer_that_cannot_be_read_is_asked_for_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    class Garbage:
        def fetch(self, request: Request) -> list[Payload]:
            asked.append(request.name)
            return [Payload(request, b"no rates at all", datetime(2026, 1, 20, 20, tzinfo=UTC))]

    monkeypatch.setattr(Workspace, "transport", lambda workspace: Garbage())
    done = Sandbox(tmp_path, "live", NOW).ingest(MONTHS, ["rates"])
    assert done.failures
    assert len(asked) == len(set(asked))


class Silent(DemoTransport):
    """The demo market, of which one publisher does not answer."""

    def fetch(self, request: Request) -> list[Payload]:
        if request.source == "westmetall":
            raise SourceError(request, "ConnectTimeout: timed out", "an answer with status 200")
        return super().fetch(request)


@slow
def test_a_silent_source_leaves_the_others_and_its_signals_say_that_they_are_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    months = ("2024-12", "2026-02")
    sandbox = Sandbox(tmp_path, "demo", NOW)
    sandbox.run(months)
    quality = "select signal_id, quality, as_of_date from signals.signals_latest"
    before = sandbox.query(quality).set_index("signal_id")
    assert before.loc["AL.CURVE.BACKWARDATION", "quality"] == "OK"

    later = sandbox.at("2026-02-17T20:00:00Z")
    monkeypatch.setattr(Workspace, "transport", lambda workspace: Silent(workspace.now, workspace.scope))
    done = later.ingest(months)
    assert {failure.source for failure in done.failures} == {"westmetall"}
    assert all("westmetall" in failure.message and "timed out" in failure.message for failure in done.failures)
    assert all(done.fetched[name].failures == [] for name in done.fetched if name != "westmetall")
    new = {name: report.new for name, report in done.read.items()}
    assert new["rates"] > 0 and new["power"] > 0 and new["fx"] > 0
    assert new["prices"] == 0
    assert later.build().failed == []
    later.publish()
    after = later.query(quality).set_index("signal_id")
    assert after.loc["AL.CURVE.BACKWARDATION", "quality"] in {"STALE", "PARTIAL", "MISSING"}, after
    assert after.loc["AL.TIGHTNESS.INDEX", "quality"] in {"STALE", "PARTIAL", "MISSING"}, after
    assert (after.loc[after.index.str.contains("POWER"), "quality"] == "OK").any(), after
    assert (after["as_of_date"] - before["as_of_date"].reindex(after.index)).max() > timedelta(0)
