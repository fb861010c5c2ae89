"""Faults of clocks, databases and publishers: a clock set back, overlapping runs, damaged files, no answer."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import httpx
import pandas as pd
import pytest
import stamina
from sandbox import Sandbox
from stamina.instrumentation import RetryDetails, get_on_retry_hooks, set_on_retry_hooks

from pipelines.publish.build_clock import ClockError
from pipelines.sources.base import Payload, Request, SourceError
from pipelines.transports.demo import DemoTransport
from pipelines.transports.http import HttpTransport
from pipelines.warehouse.damage import database_damage
from pipelines.workspace import Workspace

NOW = "2026-01-20T20:00:00Z"
MONTHS = ("2026-01", "2026-01")
DATASETS = ["prices", "stocks"]
STORES = ("lake", "raw", "quarantine")
slow = pytest.mark.slow


# --- the clock


@slow
def test_a_clock_set_back_is_refused_and_changes_nothing(drop_market: Sandbox, tmp_path: Path) -> None:
    sandbox = drop_market.copy(tmp_path)
    before, released = sandbox.stored(), sandbox.published()
    sandbox.drop_month(stock=1.0)
    code, _, [line] = sandbox.at("2026-01-19T20:00:00Z").call("run", "--from", MONTHS[0])
    assert code == 1
    assert "the clock is at 2026-01-19T20:00:00Z, before the last build at 2026-01-20T20:00:00Z" in line
    with pytest.raises(ClockError):
        sandbox.at("2026-01-19T20:00:00Z").build()
    code, printed, _ = sandbox.at("2026-01-19T20:00:00Z").call("doctor", "--json")
    assert code == 1 and any("before the last build at" in line for line in printed)
    assert (sandbox.stored(), sandbox.published()) == (before, released)
    # The time is also stored in the release, so that it survives the loss of the warehouse.
    shutil.rmtree(sandbox.data / "warehouse")
    with pytest.raises(ClockError):
        sandbox.at("2026-01-19T20:00:00Z").open().build_clock.check()


@slow
def test_a_run_that_began_first_and_builds_last_removes_no_published_row(drop_market: Sandbox, tmp_path: Path) -> None:
    """Runs overlap: the decision time of 18:00 London passes between their beginnings."""
    sandbox = drop_market.copy(tmp_path)
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
def test_a_build_that_was_never_published_is_not_in_the_log_of_signals(drop_market: Sandbox, tmp_path: Path) -> None:
    """A run builds a revision and is killed before it publishes; the next one comes a day later."""
    sandbox = drop_market.copy(tmp_path)
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


# --- databases


@pytest.mark.exhaustive
@pytest.mark.parametrize("bytes_left", [None, 0, 5_000, 100_000])
def test_a_damaged_warehouse_and_visible_file_are_made_again(
    drop_market: Sandbox, tmp_path: Path, bytes_left: int | None
) -> None:
    sandbox = drop_market.copy(tmp_path)
    log = "select * from signals.signals order by all"
    before = sandbox.query(log)
    for path in (sandbox.open().paths.warehouse, sandbox.database):
        if bytes_left is None:
            path.unlink()
        else:
            os.truncate(path, bytes_left)
            assert database_damage(path)
    assert sandbox.call("doctor")[0] == 1
    sandbox.run(MONTHS)
    pd.testing.assert_frame_equal(sandbox.query(log), before)
    assert sandbox.call("doctor")[0] == 0


def test_a_database_that_is_in_use_or_missing_is_not_damaged(tmp_path: Path) -> None:
    path = tmp_path / "one.duckdb"
    assert database_damage(path) == ""
    with duckdb.connect(str(path)) as con:
        con.execute("create schema signals; create table signals.signals as select range as n from range(200000)")
        assert database_damage(path) == "", "open in this process, for writing"
    assert database_damage(path) == ""
    body = bytearray(path.read_bytes())
    body[len(body) // 2] ^= 1
    path.write_bytes(body)
    assert "checksum" in database_damage(path)
    path.write_bytes(b"")
    assert "not a valid DuckDB database file" in database_damage(path)


# --- publishers


@contextmanager
def waits() -> Iterator[list[float]]:
    """Waits of the retries in seconds, recorded without sleeping."""
    found: list[float] = []

    def hook(details: RetryDetails) -> None:
        found.append(details.wait_for)

    before = get_on_retry_hooks()
    set_on_retry_hooks([hook])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tenacity.nap.time.sleep", lambda seconds: None)
        yield found
    set_on_retry_hooks(before)


def test_a_publisher_that_does_not_answer_is_retried_after_growing_uneven_waits() -> None:
    assert stamina.is_active()
    request = Request("fred", "SOFR.csv", "https://publisher.example/data")
    client = httpx.Client(transport=httpx.MockTransport(lambda request: httpx.Response(503)))
    transport = HttpTransport(lambda: datetime(2026, 2, 1, tzinfo=UTC), {}, client)
    with waits() as found:
        for _ in range(8):
            with pytest.raises(SourceError, match="status 503 in 4 attempts"):
                transport.fetch(request)
    first, second, third = found[::3], found[1::3], found[2::3]
    assert len(first) == len(second) == len(third) == 8
    assert all(0 < wait <= 30 for wait in found)
    assert sum(third) > sum(second) > sum(first)
    assert len(set(found)) > 8, "the waits have jitter"


def test_a_response_that_cannot_be_parsed_is_requested_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    requested: list[str] = []

    class Garbage:
        def fetch(self, request: Request) -> list[Payload]:
            requested.append(request.name)
            return [Payload(request, b"no rates at all", datetime(2026, 1, 20, 20, tzinfo=UTC))]

    monkeypatch.setattr(Workspace, "transport", lambda workspace: Garbage())
    done = Sandbox(tmp_path, "live", NOW).ingest(MONTHS, ["rates"])
    assert done.failures
    assert len(requested) == len(set(requested))


class Silent(DemoTransport):
    """The demo market, of which one publisher does not answer."""

    def fetch(self, request: Request) -> list[Payload]:
        if request.source == "westmetall":
            raise SourceError(request, "ConnectTimeout: timed out", "a response with status 200")
        return super().fetch(request)


@slow
def test_a_source_that_does_not_answer_leaves_the_others_and_its_signals_are_stale(
    demo_of_a_year: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    months = ("2024-12", "2026-02")
    sandbox = demo_of_a_year.copy(tmp_path)
    quality = "select signal_id, quality, as_of_date from signals.signals_latest where signal_version < '2'"
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
