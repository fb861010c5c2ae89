"""`doctor --live`: one request a publisher, what came, and nothing kept."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from sandbox import Sandbox
from sourcing import SCOPE, Zone

from pipelines.cli.probe import newest_request, probe
from pipelines.common.settings import PROJECT
from pipelines.ingestion.progress import Failure
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
    """A publisher that is down for some sources, and spoils the answers of others."""

    def __init__(self, down: str = "", spoilt: str = "") -> None:
        self.down, self.spoilt, self.asked = down, spoilt, list[Request]()
        self.market = DemoTransport(NOW, MARKET)

    def fetch(self, request: Request) -> list[Payload]:
        self.asked.append(request)
        if request.source == self.down:
            raise SourceError(request, "status 503, 4 times", "an answer with status 200")
        answers = self.market.fetch(request)
        if request.source == self.spoilt:
            return [replace(p, body=p.body.replace(b"Cash-Settlement", b"Kasse")) for p in answers]
        return answers


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
def test_the_newest_that_is_due_is_asked(source: str, period: str, newest: date) -> None:
    request = newest_request(source, MARKET, NOW, RULES)
    assert request is not None and request.period == period
    found = probe(request, MARKET, DemoTransport(NOW, MARKET))
    assert (found.status, found.newest, found.detail) == ("ok", newest, "")
    assert found.bytes > 100


def test_a_publisher_that_is_down_or_has_changed_has_failed_and_one_without_an_answer_has_not() -> None:
    broken = Broken("ecb", "westmetall")
    asked = {name: newest_request(name, MARKET, NOW, RULES) for name in SOURCES}
    found = {name: probe(request, MARKET, broken) for name, request in asked.items() if request}
    assert (found["ecb"].status, found["ecb"].bytes) == ("failed", 0)
    assert "status 503" in found["ecb"].detail
    assert found["westmetall"].status == "failed" and "Kasse" in found["westmetall"].detail
    assert found.pop("smard").status == "no data", "it stands in for another source, which answered"
    assert {probed.status for name, probed in found.items() if name not in {"ecb", "westmetall"}} == {"ok"}
    assert len(broken.asked) == len(found) + 1, "one request each"

    class Nothing:
        def fetch(self, request: Request) -> list[Payload]:
            raise NoData("nothing yet")

    request = asked["ecb"]
    assert request is not None
    assert probe(request, MARKET, Nothing()).status == "no data"


@pytest.mark.parametrize(("down", "code"), [("", 0), ("nyfed", 1)])
def test_doctor_live_prints_one_line_a_source_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, down: str, code: int
) -> None:
    broken = Broken(down)
    monkeypatch.setattr(Workspace, "live_transport", lambda self, attempts: broken)
    sandbox = Sandbox(tmp_path, "demo", NOW.isoformat())
    exit_code, lines, _ = sandbox.call("doctor", "--live", "--json", TIGHTNESS_OPTIONAL_SOURCES="jin10")
    found = {one["source"]: one for one in json.loads("\n".join(lines))}
    assert exit_code == code
    assert set(found) == set(SOURCES) - {"yahoo", "shfe", "entsoe"}, "terms that nobody took, and a key that is not set"
    assert found["nyfed"]["status"] == ("failed" if down else "ok")
    assert not sandbox.data.exists()
    keyed = sandbox.call("doctor", "--live", ENTSOE_API_TOKEN="d0-not-show")
    assert "entsoe" in "\n".join(keyed[1])
    assert "d0-not-show" not in "\n".join(keyed[1] + keyed[2])


@pytest.mark.slow
def test_without_a_network_every_publisher_has_failed_soon_and_the_json_is_json(tmp_path: Path) -> None:
    """A proxy that nobody listens at stands for no network: waits are real, and one publisher's are all publishers'."""
    sandbox = Sandbox(tmp_path, "demo", NOW.isoformat())
    begun = time.monotonic()
    done = sandbox.tightness(
        "doctor", "--live", "--json", HTTPS_PROXY="http://127.0.0.1:9", HTTP_PROXY="http://127.0.0.1:9"
    )
    assert done.returncode == 1, done.stderr
    found = json.loads(done.stdout)
    assert len(found) > 8 and {one["status"] for one in found} == {"failed"}
    assert all("refused" in one["detail"] for one in found)
    waited = sum(one["seconds"] for one in found)
    assert waited > 20, "they were asked twice"
    assert time.monotonic() - begun < min(waited, 60), "they waited together"
    assert {path.relative_to(sandbox.data).parts[:2] for path in sandbox.data.rglob("*.*")} == {("warehouse", "pace")}


def test_a_pace_that_cannot_be_kept_is_a_failure_of_the_publisher(tmp_path: Path) -> None:
    (tmp_path / "pace").write_text("a file where a folder should be")
    request = newest_request("ecb", MARKET, NOW, RULES)
    assert request is not None
    found = probe(request, MARKET, HttpTransport(lambda: NOW, {}, pace=RateLimiter(tmp_path / "pace")))
    assert (found.status, "exists" in found.detail) == ("failed", True)


def test_doctor_shows_a_message_as_it_is(tmp_path: Path) -> None:
    """A publisher's text may look like markup."""
    sandbox = Sandbox(tmp_path, "drop", NOW.isoformat())
    sandbox.open().note_failures("rates", [], [Failure("nyfed", "[/red]", ("2026-11",), "it starts '[/b] [bold]x'")])
    code, lines, _ = sandbox.call("doctor")
    assert code == 1
    assert "nyfed [/red]" in "".join(lines) and "[/b] [bold]x" in "".join(lines)


def test_doctor_counts_messages_that_wait(tmp_path: Path) -> None:
    from pipelines.orchestration.automation.notify import Message
    from pipelines.orchestration.automation.outbox import Outbox

    sandbox = Sandbox(tmp_path, "drop", NOW.isoformat())
    outbox = Outbox(sandbox.open().outbox)

    def told() -> str:
        found = {one["what"]: one["detail"] for one in json.loads("\n".join(sandbox.call("doctor", "--json")[1]))}
        return str(found["notifications"])

    assert told() == "none waiting"
    outbox.put(Message("one", "2026-11-19T18:00:00Z", {}), ["webhook"])
    outbox.put(Message("two", "2026-11-20T18:00:00Z", {}), ["webhook"])
    assert told() == "2 waiting for delivery, the oldest from 2026-11-19T18:00:00Z, tried up to 0 times"
