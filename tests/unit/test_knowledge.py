"""The knowledge time of a response's rows: by the calendar, by the publisher's timestamp, or since the capture."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
from sandbox import Sandbox

from pipelines.common.calendar import months_between
from pipelines.ingestion.extract import plan_requests
from pipelines.sources.base import Payload, Request
from pipelines.sources.entsoe import Entsoe
from pipelines.sources.worldbank import WorldBank

MONTH = ("2026-01", "2026-01")
MONDAY = "2026-01-12"  # its SOFR is due on the 13th at 08:00 in New York
DUE = pd.Timestamp("2026-01-13T13:00:00Z")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def sofr(*days: str) -> bytes:
    rates = [{"effectiveDate": day, "type": "SOFR", "percentRate": 3.6} for day in days]
    return json.dumps({"refRates": rates}).encode()


def known(sandbox: Sandbox, responses: Iterable[tuple[bytes, str]]) -> pd.DataFrame:
    """The stored rates after these responses of the New York Fed, each captured at its moment."""
    workspace = sandbox.open()
    request = requested(sandbox)
    for body, moment in responses:
        workspace.archive.record(request, [Payload(request, body, at(moment))])
        workspace.ingestion().run("rates", months_between(*MONTH))
    return workspace.lake.read("rates").set_index("obs_date")


def requested(sandbox: Sandbox, rate: str = "SOFR") -> Request:
    requests = plan_requests("nyfed", months_between(*MONTH), sandbox.open().scope)
    [request] = [request for request in requests if request.entity == rate]
    return request


@pytest.fixture
def sandbox(tmp_path: Path) -> Sandbox:
    return Sandbox(tmp_path, "live", "2026-02-01T12:00:00Z")


BEFORE, AFTER, LATER = "2026-01-13T12:00:00Z", "2026-01-13T14:00:00Z", "2026-01-13T18:30:00Z"


@pytest.mark.parametrize(
    ("responses", "when", "basis"),
    [
        ([(sofr("2026-01-09", MONDAY), LATER)], DUE, "CALENDAR"),  # no request before
        ([(sofr("2026-01-09", MONDAY), BEFORE)], at(BEFORE), "OBSERVED"),  # out before it was due
        ([(sofr("2026-01-09"), BEFORE), (sofr("2026-01-09", MONDAY), LATER)], DUE, "CALENDAR"),
        ([(sofr("2026-01-09"), AFTER), (sofr("2026-01-09", MONDAY), LATER)], at(LATER), "OBSERVED"),  # late
        # An unreadable page is no evidence that the figure was not published.
        ([(b"<html>Just a moment</html>", AFTER), (sofr("2026-01-09", MONDAY), LATER)], DUE, "CALENDAR"),
    ],
)
def test_the_knowledge_time_is_the_due_time_unless_a_response_contradicts_it(
    sandbox: Sandbox, responses: list[tuple[bytes, str]], when: datetime, basis: str
) -> None:
    rates = known(sandbox, responses)
    assert (rates.at[MONDAY, "knowledge_ts"], rates.at[MONDAY, "knowledge_basis"]) == (pd.Timestamp(when), basis)


@pytest.mark.slow
def test_the_archive_alone_gives_the_same_knowledge_times(sandbox: Sandbox, tmp_path: Path) -> None:
    """A lost lake is loaded again from the archive."""
    responses = [(sofr("2026-01-09"), AFTER), (sofr("2026-01-09", MONDAY), LATER)]
    first = known(sandbox, responses)
    other = Sandbox(tmp_path / "other", "live", sandbox.now)
    archive, request = other.open().archive, requested(other)
    for body, moment in responses:
        archive.record(request, [Payload(request, body, at(moment))])
    other.open().ingestion().run("rates", months_between(*MONTH))
    pd.testing.assert_frame_equal(other.open().lake.read("rates").set_index("obs_date"), first)


def power_known(sandbox: Sandbox, written: str, captured: str) -> pd.DataFrame:
    """The knowledge of 5 October 2024 in Belgium, due on the 4th at 10:45Z, by a response written and captured then."""
    source, workspace = Entsoe(), sandbox.open()
    [request] = [
        r for r in source.requests(pd.Period("2024-10", "M"), workspace.scope) if r.entity == "FR"
    ]  # the committed zones have FR from ENTSO-E
    points = "".join(f"<Point><position>{n}</position><price.amount>{n}</price.amount></Point>" for n in range(1, 25))
    interval = "<start>2024-10-04T22:00Z</start><end>2024-10-05T22:00Z</end>"
    body = f"""<Publication_MarketDocument><createdDateTime>{written}</createdDateTime>
<TimeSeries><in_Domain.mRID>10YFR-RTE------C</in_Domain.mRID><currency_Unit.name>EUR</currency_Unit.name>
<price_Measure_Unit.name>MWH</price_Measure_Unit.name><curveType>A03</curveType>
<Period><timeInterval>{interval}</timeInterval><resolution>PT60M</resolution>{points}</Period></TimeSeries>
</Publication_MarketDocument>"""
    workspace.archive.record(request, [Payload(request, body.encode(), at(captured))])
    report = workspace.ingestion().run("power", [pd.Period("2024-10", "M")])
    assert not report.failures
    return workspace.lake.read("power")


@pytest.mark.parametrize(
    ("written", "when", "basis"),
    [
        ("2024-10-04T10:20:00Z", "2024-10-04T10:20:00Z", "OBSERVED"),  # the auction was early
        ("2024-10-07T14:36:40Z", "2024-10-04T10:45:00Z", "CALENDAR"),  # the response was written later
        ("1970-01-01T00:00:00Z", "2024-10-04T10:45:00Z", "CALENDAR"),  # a broken clock
        ("soon", "2024-10-04T10:45:00Z", "CALENDAR"),
        ("2024-10-04T10:20:00", "2024-10-04T10:45:00Z", "CALENDAR"),  # of no zone
    ],
)
def test_the_timestamp_of_the_publisher_bounds_the_knowledge_time(
    sandbox: Sandbox, written: str, when: str, basis: str
) -> None:
    rows = power_known(sandbox, written, "2024-11-20T12:00:00Z")
    assert len(rows) == 24
    assert set(zip(rows["knowledge_ts"], rows["knowledge_basis"], strict=True)) == {(pd.Timestamp(when), basis)}


def test_a_timestamp_after_the_capture_is_ignored(sandbox: Sandbox) -> None:
    rows = power_known(sandbox, "2024-10-04T10:40:00Z", "2024-10-04T10:30:00Z")
    assert set(rows["knowledge_ts"]) == {pd.Timestamp("2024-10-04T10:30:00Z")}


@pytest.mark.slow
def test_recorded_responses_have_their_own_timestamp(real: Path) -> None:
    from sourcing import SCOPE, parse, payload

    response = payload("entsoe", real / "payloads" / "entsoe" / "BE_60M.xml", "2024-10", "BE")
    assert Entsoe().parse(response, SCOPE).written_at == datetime(2024, 10, 7, 14, 34, 54, tzinfo=UTC)
    sheet = payload("worldbank", real / "payloads" / "worldbank" / "CMO-Historical-Data-Monthly.xlsx")
    written = WorldBank().parse(sheet, SCOPE).written_at
    assert written == datetime(2026, 6, 3, 3, 59, 59, tzinfo=UTC), "the end of 2 June in Washington"
    assert parse(sheet).written_at == written
    assert written + timedelta(seconds=1) == at("2026-06-03T00:00:00-04:00")
