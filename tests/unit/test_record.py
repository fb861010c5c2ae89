"""`--record`: responses of publishers in the replay layout; their replay gives the same rows of the lake."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
from sandbox import Sandbox
from typer.testing import CliRunner

from pipelines.cli.app import app
from pipelines.common.calendar import months_between
from pipelines.datasets import FEEDS
from pipelines.ingestion.extract import fetch
from pipelines.sources.base import NoData, Payload, Request, SourceError
from pipelines.transports.demo import DemoTransport
from pipelines.transports.record import RecordingTransport, recorded
from pipelines.transports.replay import ReplayTransport

NOW = datetime(2026, 1, 14, 12, tzinfo=UTC)
REQUEST = Request("fred", "SOFR.csv", "https://publisher.example/SOFR.csv")


class Publisher:
    """Gives the responses in turn, each captured an hour after the one before; exceptions are raised."""

    def __init__(self, *responses: bytes | Exception) -> None:
        self.responses = list(responses)
        self.now = NOW

    def fetch(self, request: Request) -> list[Payload]:
        response = self.responses.pop(0)
        self.now += timedelta(hours=1)
        if isinstance(response, Exception):
            raise response
        return [Payload(request, response, self.now)]


def test_each_response_is_kept_with_the_time_of_its_capture(tmp_path: Path) -> None:
    transport = RecordingTransport(Publisher(b"one", b"one", b"two", b"one"), tmp_path)
    given = [transport.fetch(REQUEST)[0] for _ in range(4)]
    assert (tmp_path / "fred" / "SOFR.csv").read_bytes() == b"one"
    # A repetition is no capture; a return to the first response is one.
    expected = [given[0], given[2], given[3]]
    assert ReplayTransport(tmp_path, NOW).fetch(REQUEST) == expected == recorded(tmp_path, REQUEST)
    assert [payload.captured_at for payload in recorded(tmp_path, REQUEST)] == [p.captured_at for p in expected]


def test_errors_are_passed_on_and_not_recorded(tmp_path: Path) -> None:
    failures = (NoData("nothing"), SourceError(REQUEST, "status 503", "status 200"))
    transport = RecordingTransport(Publisher(*failures), tmp_path)
    for failure in failures:
        with pytest.raises(type(failure)):
            transport.fetch(REQUEST)
    assert list(tmp_path.rglob("*")) == []
    with pytest.raises(NoData):
        ReplayTransport(tmp_path, NOW).fetch(REQUEST)


@pytest.mark.parametrize("corrupted", ["newest", "earlier"])
def test_a_changed_recording_is_rejected(tmp_path: Path, corrupted: str) -> None:
    transport = RecordingTransport(Publisher(b"one", b"two"), tmp_path)
    first = transport.fetch(REQUEST)[0]
    transport.fetch(REQUEST)
    held = [path for path in (tmp_path / "fred" / ".captures").iterdir() if path.read_bytes() == first.body]
    (tmp_path / "fred" / "SOFR.csv" if corrupted == "newest" else held[0]).write_bytes(b"thr")
    with pytest.raises(
        SourceError, match=r"does not hold what was captured at 2026-01-14T1[34]:00:00\+00:00.*record ag"
    ):
        ReplayTransport(tmp_path, NOW).fetch(REQUEST)


def test_a_kill_between_two_writes_is_repaired_by_the_next_response(tmp_path: Path) -> None:
    transport = RecordingTransport(Publisher(b"one", b"one"), tmp_path)
    transport.fetch(REQUEST)
    (tmp_path / "fred" / "SOFR.csv").unlink()
    transport.fetch(REQUEST)
    assert [payload.body for payload in recorded(tmp_path, REQUEST)] == [b"one"]


@pytest.mark.parametrize("name", ["../SOFR.csv", "a/b.csv", ".."])
def test_a_recording_stays_in_its_folder(tmp_path: Path, name: str) -> None:
    transport = RecordingTransport(Publisher(b"one"), tmp_path / "recording")
    with pytest.raises(SourceError, match="would lie outside the replay folder"):
        transport.fetch(replace(REQUEST, name=name))


class Staggered:
    """Publishers whose responses arrive one after the other, as live ones do; the market is generated."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.now = sandbox.open().now
        self.demo = DemoTransport(self.now, sandbox.open().scope)
        self.requested = 0

    def fetch(self, request: Request) -> list[Payload]:
        self.requested += 1
        return [
            replace(payload, captured_at=self.now + timedelta(seconds=self.requested))
            for payload in self.demo.fetch(request)[-1:]
        ]


@pytest.mark.slow
def test_the_replay_of_a_recording_gives_the_same_rows(tmp_path: Path) -> None:
    """Two runs a week apart: figures that were added and revised between them are vintages in the replay as well."""
    recording = tmp_path / "replayed" / "replay"
    months = months_between("2025-11", "2026-01")
    datasets = [name for name, feed in FEEDS.items() if feed.sources]
    sources = dict.fromkeys(source for name in datasets for source in FEEDS[name].sources)
    for now in ("2026-01-13T18:00:00Z", "2026-01-20T18:00:00Z"):
        live = Sandbox(tmp_path / "live", "live", now)
        workspace, transport = live.open(), RecordingTransport(Staggered(live), recording)
        for source in sources:
            fetch(source, months, workspace.scope, transport, workspace.archive, workspace.now)
        for name in datasets:
            workspace.ingestion().run(name, months)
    replayed = Sandbox(tmp_path / "replayed", "replay", "2026-01-20T19:00:00Z")
    report = replayed.ingest(("2025-11", "2026-01"), datasets)
    assert not [failure for part in report.fetched.values() for failure in part.failures]
    wanted, found = live.rows(datasets), replayed.rows(datasets)
    for name in datasets:
        pd.testing.assert_frame_equal(found[name], wanted[name], obj=name)
    assert len({moment for name in datasets for moment in wanted[name]["ingest_ts"]}) > 10
    assert set(live.open().lake.read("rates")["ingest_ts"].dt.day) == {13, 20}


def test_a_response_that_cannot_be_recorded_is_an_error(tmp_path: Path) -> None:
    """Other requests continue: a lake with that response would differ from the replay's."""
    (tmp_path / "fred").write_text("a file where a folder should be")
    transport = RecordingTransport(Publisher(b"one", b"two"), tmp_path)
    with pytest.raises(SourceError, match=r"the response cannot be recorded in .*expected a writable folder"):
        transport.fetch(REQUEST)
    assert transport.fetch(replace(REQUEST, source="nyfed"))[0].body == b"two"


def test_a_recording_folder_that_cannot_be_written_is_bad_usage(tmp_path: Path) -> None:
    (tmp_path / "recording").write_text("a file")
    result = CliRunner().invoke(app, ["run", "--profile", "live", "--record", str(tmp_path / "recording")])
    assert result.exit_code == 2
    assert "cannot be written" in result.output.replace("\n", " ")


def test_only_responses_of_publishers_are_recorded(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["run", "--profile", "demo", "--record", str(tmp_path / "recording")])
    assert result.exit_code == 2
    assert "--record needs the live profile: the profile is demo" in result.output
    assert not (tmp_path / "recording").exists()
