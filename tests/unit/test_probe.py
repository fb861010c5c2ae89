"""`doctor --live`: one request for each publisher, a result, and nothing stored."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from sandbox import Sandbox
from sourcing import SCOPE, Zone

from pipelines.cli.probe import newest_requests, probe
from pipelines.common.settings import PROJECT
from pipelines.ingestion.failures import Failure
from pipelines.reference import load_reference
from pipelines.sources import SOURCES
from pipelines.sources.base import NoData, Payload, Request, SourceError
from pipelines.transports.demo import DemoTransport
from pipelines.transports.http import HttpTransport
from pipelines.transports.rate_limit import RateLimiter
from pipelines.workspace import Workspace

NOW = datetime(2026, 11, 20, 20, tzinfo=UTC)
MARKET = replace(SCOPE, zones=(*SCOPE.zones[:1], Zone("FR", "10YFR-RTE------C", "Europe/Paris", "entsoe")))
RULES = load_reference(PROJECT / "data" / "reference")["release_calendar"]


class Broken:
    """A publisher that is down for some sources, and corrupts the responses of others."""

    def __init__(self, down: str = "", corrupted: str = "") -> None:
        self.down, self.corrupted, self.requested = down, corrupted, list[Request]()
        self.market = DemoTransport(NOW, MARKET)

    def fetch(self, request: Request) -> list[Payload]:
        self.requested.append(request)
        if request.source == self.down:
            raise SourceError(request, "status 503, 4 times", "a response with status 200")
        responses = self.market.fetch(request)
        if request.source == self.corrupted:
            return [replace(p, body=p.body.replace(b"Cash-Settlement", b"Kasse")) for p in responses]
        return responses


@pytest.mark.parametrize(
    ("source", "period", "newest"),
    [
        ("westmetall", "2026", date(2026, 11, 19)),
        ("worldbank", "", date(2026, 10, 31)),
        ("nyfed", "2026", date(2026, 11, 19)),
        ("energy_charts", "2026-11", date(2026, 11, 21)),
        ("entsoe", "2026-11", date(2026, 11, 21)),
        ("customs", "2026-10", date(2026, 10, 31)),
        ("comtrade", "2026-08", date(2026, 8, 31)),
    ],
)
def test_the_newest_due_figure_is_requested(source: str, period: str, newest: date) -> None:
    requests = newest_requests(source, MARKET, NOW, RULES)
    assert [request.entity for request in requests if source == "nyfed"] in ([], ["SOFR", "EFFR"])
    for request in requests[: 2 if source == "nyfed" else 1]:
        assert request.period == period
        found = probe(request, MARKET, DemoTransport(NOW, MARKET))
        assert (found.status, found.newest, found.detail) == ("ok", newest, "")
        assert found.bytes > 100


@pytest.mark.slow
def test_a_publisher_that_is_down_or_changed_has_failed_and_one_without_data_has_not() -> None:
    broken = Broken("ecb", "westmetall")
    requested = {name: newest_requests(name, MARKET, NOW, RULES) for name in SOURCES}
    found = {name: probe(requests[0], MARKET, broken) for name, requests in requested.items() if requests}
    assert (found["ecb"].status, found["ecb"].bytes) == ("failed", 0)
    assert "status 503" in found["ecb"].detail
    assert found["westmetall"].status == "failed" and "Kasse" in found["westmetall"].detail
    assert found.pop("smard").status == "no data", "it replaces another source, which answered"
    assert {probed.status for name, probed in found.items() if name not in {"ecb", "westmetall"}} == {"ok"}
    assert len(broken.requested) == len(found) + 1, "one request each"

    class Nothing:
        def fetch(self, request: Request) -> list[Payload]:
            raise NoData("nothing yet")

    request = requested["ecb"][0]
    assert request is not None
    assert probe(request, MARKET, Nothing()).status == "no data"


@pytest.mark.slow
@pytest.mark.parametrize(("down", "code"), [("", 0), ("nyfed", 1)])
def test_doctor_live_prints_one_line_for_each_source_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, down: str, code: int
) -> None:
    broken = Broken(down)
    monkeypatch.setattr(Workspace, "live_transport", lambda self, attempts: broken)
    sandbox = Sandbox(tmp_path, "demo", NOW.isoformat())
    exit_code, lines, _ = sandbox.call("doctor", "--live", "--json", TIGHTNESS_OPTIONAL_SOURCES="jin10")
    found = {one["source"]: one for one in json.loads("\n".join(lines))}
    assert exit_code == code
    assert set(found) == set(SOURCES) - {"yahoo", "shfe", "entsoe"}, "terms not accepted, and a key not set"
    assert found["nyfed"]["status"] == ("failed" if down else "ok")
    assert not sandbox.data.exists()
    keyed = sandbox.call("doctor", "--live", ENTSOE_API_TOKEN="d0-not-show")
    assert "entsoe" in "\n".join(keyed[1])
    assert "d0-not-show" not in "\n".join(keyed[1] + keyed[2])


def test_an_unusable_rate_limit_folder_is_a_failure_of_the_publisher(tmp_path: Path) -> None:
    (tmp_path / "pace").write_text("a file where a folder should be")
    [request] = newest_requests("ecb", MARKET, NOW, RULES)
    found = probe(request, MARKET, HttpTransport(lambda: NOW, {}, rate_limiter=RateLimiter(tmp_path / "pace")))
    assert (found.status, "exists" in found.detail) == ("failed", True)


def test_doctor_prints_messages_without_markup(tmp_path: Path) -> None:
    """The text of a publisher may look like markup."""
    sandbox = Sandbox(tmp_path, "drop", NOW.isoformat())
    sandbox.open().failures.record("rates", [], [Failure("nyfed", "[/red]", ("2026-11",), "it starts '[/b] [bold]x'")])
    code, lines, _ = sandbox.call("doctor")
    assert code == 1
    assert "nyfed [/red]" in "".join(lines) and "[/b] [bold]x" in "".join(lines)


def test_doctor_counts_waiting_messages(tmp_path: Path) -> None:
    from pipelines.orchestration.automation.notify import Message
    from pipelines.orchestration.automation.outbox import Outbox

    sandbox = Sandbox(tmp_path, "drop", NOW.isoformat())
    outbox = Outbox(sandbox.open().paths.outbox)

    def notifications() -> str:
        found = {one["what"]: one["detail"] for one in json.loads("\n".join(sandbox.call("doctor", "--json")[1]))}
        return str(found["notifications"])

    assert notifications() == "none waiting"
    outbox.put(Message("one", "2026-11-19T18:00:00Z", {}), ["webhook"])
    outbox.put(Message("two", "2026-11-20T18:00:00Z", {}), ["webhook"])
    assert notifications() == "2 waiting for delivery, the oldest from 2026-11-19T18:00:00Z, tried up to 0 times"
