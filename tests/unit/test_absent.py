"""What each publisher sends when it has nothing, and what only looks like it: docs/sources.md."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import NamedTuple

import httpx
import numpy as np
import pandas as pd
import pytest
import stamina
from sandbox import Sandbox
from sourcing import month

from pipelines.common.calendar import business_days
from pipelines.common.settings import PROJECT
from pipelines.ingestion.extract import FetchReport, fetch
from pipelines.reference import load_reference
from pipelines.sources import SOURCES
from pipelines.sources.base import NotRequested, Payload, Request, Scope, Zone
from pipelines.transports.archive import Archive
from pipelines.transports.demo import DemoTransport
from pipelines.transports.http import HttpTransport

SCOPE = replace(load_reference(PROJECT / "data" / "reference").scope(()), tickers=("AA",))
# A month in which the demo market has responses of the source. January: its year has hardly begun.
MONTHS = {"customs": "2024-05", "shfe": "2025-12", "smard": "2019-10"}
JSON = "application/json"
HTML_404 = b"<!DOCTYPE html><html><head><title>404 Not Found</title></head><body><h1>Not Found</h1></body></html>"
HTML_ERROR = b"<html><head><title>Maintenance</title></head><body>Try again later</body></html>"
ACKNOWLEDGEMENT = (
    b'<?xml version="1.0" encoding="UTF-8"?><Acknowledgement_MarketDocument '
    b'xmlns="urn:iec62325.351:tc57wg16:451-1:acknowledgementdocument:7:0"><mRID>e6ca5700-48f1-4</mRID>'
    b"<createdDateTime>2026-06-17T11:41:36Z</createdDateTime><Reason><code>999</code><text>%s</text></Reason>"
    b"</Acknowledgement_MarketDocument>"
)
NO_MATCH = ACKNOWLEDGEMENT % b"No matching data found for Data item ENERGY_PRICES [12.1.D]"
SDMX = b'<mes:Error><mes:ErrorMessage code="100"><com:Text>No results found</com:Text></mes:ErrorMessage></mes:Error>'
INVALID_AREA = ACKNOWLEDGEMENT % b"Delivered Area EIC 10Y1001A1001A016 is not valid."
NOT_REPORTED = b'{"elapsedTime":"0.1 secs","count":0,"data":[],"error":""}'


class Case(NamedTuple):
    source: str
    situation: str
    status: int
    content_type: str
    body: bytes


def chart_error(code: str, description: str) -> bytes:
    return json.dumps({"chart": {"result": None, "error": {"code": code, "description": description}}}).encode()


def chart(**content: object) -> bytes:
    meta = {"symbol": "AA", "currency": "USD", "exchangeTimezoneName": "America/New_York", "dataGranularity": "1d"}
    return json.dumps({"chart": {"result": [{"meta": meta, **content}], "error": None}}).encode()


BEFORE_LISTING = chart_error("Bad Request", "Data doesn't exist for startDate = 1199145600, endDate = 1230768000")
NO_SHARE = chart_error("Not Found", "No data found, symbol may be delisted")
NO_RANGE = chart_error("Not Found", "No data found for this date range, symbol may be delisted")
ABSENT = [
    Case("ecb", "a range without a fixing: a weekend, the first days of January", 200, "text/csv", b""),
    Case("ecb", "the same with a mark of its encoding", 200, "text/csv", b"\xef\xbb\xbf\r\n"),
    Case("ecb", "no series or observation matches", 404, "application/xml", SDMX),
    Case("energy_charts", "a range without a price, a zone before its time", 404, JSON, b'{"detail":"Not Found"}'),
    Case("energy_charts", "no points", 200, JSON, b'{"unix_seconds":[],"price":[],"unit":"EUR / MWh"}'),
    Case("entsoe", "a range or zone without prices", 200, "text/xml", NO_MATCH),
    Case("entsoe", "the same as an error", 400, "text/xml", NO_MATCH),
    Case("smard", "a week that has no file (yet)", 404, "text/html", HTML_404),
    Case("smard", "a week without prices yet", 200, JSON, b'{"meta_data":{"version":1},"series":[]}'),
    Case("nyfed", "a range without a rate", 200, JSON, b'{"refRates":[]}'),
    Case(
        "nyfed",
        "the last rate before the range",
        200,
        JSON,
        b'{"refRates":[{"effectiveDate":"2023-12-29","type":"SOFR","percentRate":5.4}]}',
    ),
    Case("shfe", "a week that is not over, a holiday", 404, "text/html", HTML_404),
    Case("cftc", "a contract without a report", 200, JSON, b"[]"),
    Case("comtrade", "a month that is not reported", 200, JSON, NOT_REPORTED),
    Case("yahoo", "a range before the listing", 400, JSON, BEFORE_LISTING),
    Case("yahoo", "a share without any data", 404, JSON, NO_SHARE),
    Case("yahoo", "the same with status 200", 200, JSON, NO_SHARE),
    Case("yahoo", "a range without data", 404, JSON, NO_RANGE),
    Case(
        "yahoo",
        "a range without a session",
        200,
        JSON,
        chart(indicators={"quote": [{}], "adjclose": [{}]}),
    ),
    Case("yahoo", "the same with an empty list", 200, JSON, chart(timestamp=[], indicators={"quote": [{}]})),
    Case(
        "yahoo",
        "the last session before the range",
        200,
        JSON,
        chart(timestamp=[1703860200], indicators={"quote": [{"close": [34.0]}]}),
    ),
    Case(
        "westmetall",
        "a year without a day yet",
        200,
        "text/html",
        b"<table><tr><th>date</th><th>LME Aluminium Cash-Settlement</th><th>LME Aluminium 3-month</th>"
        b"<th>LME Aluminium stock</th></tr></table>",
    ),
    Case(
        "customs",
        "a month that is not linked yet",
        200,
        "text/html",
        b"<table><tr><td>(13) Major Export Commodities</td><td><a href='/Statics/x.html'>Jan</a></td></tr></table>",
    ),
]  # fmt: skip
FAILURES = [
    *(Case(name, "an empty body", 200, "text/plain", b"") for name in SOURCES if name != "ecb"),
    *(Case(name, "an error page", 200, "text/html", HTML_ERROR) for name in SOURCES),
    *(
        Case(name, "an unknown path", 404, "text/html", HTML_404)
        for name in SOURCES
        if 404 not in SOURCES[name].ACCESS.absent
    ),
    *(Case(name, "a refusal", 403, "text/html", HTML_404) for name in SOURCES),
    Case("ecb", "a path that is gone", 404, JSON, b'{"error":"Not Found","path":"/service/data/EXR"}'),
    Case("yahoo", "another bad request", 400, JSON, chart_error("Bad Request", "Invalid input")),
    Case("entsoe", "an area that is not valid", 400, "text/xml", INVALID_AREA),
    Case("entsoe", "an area that is not valid", 200, "text/xml", INVALID_AREA),
    Case("energy_charts", "a zone that is not known", 422, JSON, b'{"detail":[{"loc":["bzn"],"msg":"not a zone"}]}'),
    Case("comtrade", "a path that is gone", 404, JSON, b'{"statusCode": 404, "message": "Resource not found"}'),
]  # fmt: skip


def name_of(case: Case) -> str:
    return f"{case.source}-{case.status}-{case.situation}"


def month_asked(source: str) -> pd.Period:
    return month(MONTHS.get(source, "2024-01"))


def now_of(source: str) -> datetime:
    """The fourth day of the month, on which nothing of it is overdue."""
    first = month_asked(source).start_time
    return datetime(first.year, first.month, 4, 12, tzinfo=UTC)


def fetched(case: Case, archive: Archive, now: datetime | None = None) -> FetchReport:
    def respond(request: httpx.Request) -> httpx.Response:
        return httpx.Response(case.status, headers={"content-type": case.content_type}, content=case.body)

    now = now or now_of(case.source)
    client = httpx.Client(transport=httpx.MockTransport(respond))
    transport = HttpTransport(lambda: now, {"ENTSOE_API_TOKEN": "a-key"}, client)
    with stamina.set_testing(True):
        return fetch(case.source, [month_asked(case.source)], SCOPE, transport, archive, now)


def filled(archive: Archive, source: str) -> list[Request]:
    """Archive good responses of the demo market to all requests of a source's month."""
    market = DemoTransport(datetime(2026, 11, 20, tzinfo=UTC), SCOPE)
    requests = list(SOURCES[source].requests(month_asked(source), SCOPE))
    for request in requests:
        body = market.fetch(request)[-1].body
        archive.record(request, [Payload(request, body, now_of(source))])
    return requests


@pytest.mark.parametrize("case", ABSENT, ids=name_of)
def test_nothing_there_is_no_failure(case: Case, tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    report = fetched(case, archive)
    assert (report.failures, report.warnings) == ([], [])
    assert report.requests == report.no_data + report.payloads > 0
    for request in SOURCES[case.source].requests(month_asked(case.source), SCOPE):
        receipt = archive.receipt(case.source, request.name)
        assert receipt and receipt.error is None


@pytest.mark.slow
@pytest.mark.parametrize("case", ABSENT, ids=name_of)
def test_nothing_where_something_was_is_a_failure_and_keeps_it(case: Case, tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    requests = filled(archive, case.source)
    before = {request: [one.sha256 for one in archive.load(request)] for request in requests}
    report = fetched(case, archive)
    assert {failure.request for failure in report.failures} == {request.name for request in requests}
    for failure in report.failures:
        assert "the previous" in failure.message and "rows" in failure.message
        assert "stored data is unchanged" in failure.message
    assert {request: [one.sha256 for one in archive.load(request)] for request in requests} == before


@pytest.mark.parametrize("case", FAILURES, ids=name_of)
def test_what_only_looks_like_nothing_is_a_failure(case: Case, tmp_path: Path) -> None:
    report = fetched(case, Archive(tmp_path))
    assert report.failures and report.no_data == report.payloads == 0


@pytest.mark.parametrize("new", [("2024-01-02",), ("2024-01-02", "2024-01-03")])
@pytest.mark.parametrize("before", [("2023-12-29",), ("2023-12-27", "2023-12-28", "2023-12-29")])
def test_values_just_before_the_period_hide_no_value_in_it(
    tmp_path: Path, before: tuple[str, ...], new: tuple[str, ...]
) -> None:
    """In the first days of January most rows may be of December."""
    rates = [{"effectiveDate": day, "type": "SOFR", "percentRate": 5.3} for day in (*before, *new)]
    archive = Archive(tmp_path)
    report = fetched(Case("nyfed", "", 200, JSON, json.dumps({"refRates": rates}).encode()), archive)
    assert (report.failures, report.payloads) == ([], 2)  # the publisher gives the same answer for EFFR
    request, _ = SOURCES["nyfed"].requests(month_asked("nyfed"), SCOPE)
    [payload] = archive.load(request)
    parsed = SOURCES["nyfed"].parse(payload, SCOPE)
    assert parsed.frames["rates"]["obs_date"].dt.strftime("%Y-%m-%d").tolist() == list(new)
    assert [row.reason for row in parsed.rejected] == [f"obs_date: {day} is not in 2024" for day in before]


def test_nothing_in_a_period_that_is_over_is_a_warning(tmp_path: Path) -> None:
    for case in (case for case in ABSENT if case.source in ("ecb", "nyfed", "energy_charts", "yahoo", "entsoe")):
        report = fetched(case, Archive(tmp_path / name_of(case)), datetime(2025, 1, 1, tzinfo=UTC))
        assert report.failures == []
        messages = [warning.message for warning in report.warnings]
        assert messages and all("there is no data, although" in message for message in messages), name_of(case)


def test_a_key_that_is_removed_is_no_failure_where_rows_are_stored(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    filled(archive, "entsoe")
    now, asked = now_of("entsoe"), month_asked("entsoe")
    transport = HttpTransport(
        lambda: now, {}, httpx.Client(transport=httpx.MockTransport(lambda r: httpx.Response(500)))
    )
    [request] = SOURCES["entsoe"].requests(asked, SCOPE)
    with pytest.raises(NotRequested):
        transport.fetch(request)
    report = fetch("entsoe", [asked], SCOPE, transport, archive, now)
    assert (report.failures, report.warnings, report.no_data) == ([], [], 1)


# --- first days


def periods_of(source: str, first: str, last: str, scope: Scope = SCOPE) -> set[tuple[str, str]]:
    months = pd.period_range(first, last, freq="M")
    return {(r.entity, r.period) for one in months for r in SOURCES[source].requests(one, scope)}


def test_no_source_is_asked_for_a_zone_before_its_first_day() -> None:
    german = {"energy_charts", "smard"}
    for source in german:
        assert min(p for zone, p in periods_of(source, "2015-01", "2019-01") if zone == "DE-LU") == "2018-10"
    assert min(p for zone, p in periods_of("entsoe", "2008-01", "2015-12") if zone == "FR") == "2015-01"
    split = date(2015, 11, 10)  # a zone may begin within a month
    zones = tuple(Zone(name, f"10Y{name}", "Europe/Berlin", name, split) for name in ("energy_charts", "entsoe"))
    for zone in zones:
        found = periods_of(zone.source, "2015-01", "2015-12", Scope((), zones))
        assert sorted(found) == [(zone.zone, "2015-11"), (zone.zone, "2015-12")]


def test_no_share_is_asked_for_a_year_before_its_listing() -> None:
    scope = Scope((), (), (), ("AA", "NEW"), (("NEW", date(2016, 11, 1)),))
    found = periods_of("yahoo", "2014-01", "2017-12", scope)
    assert sorted(period for ticker, period in found if ticker == "NEW") == ["2016", "2017"]
    assert sorted(period for ticker, period in found if ticker == "AA") == ["2014", "2015", "2016", "2017"]
    assert not SOURCES["yahoo"].requests(month("2016-10"), Scope((), (), (), ("NEW",), scope.listed))


def test_first_days_are_those_of_the_reference_tables(tmp_path: Path) -> None:
    assert {zone.zone: zone.since for zone in SCOPE.zones} == {"DE-LU": date(2018, 10, 1), "FR": date(2015, 1, 1)}
    sandbox = Sandbox(tmp_path, "replay", "2026-11-20T20:00:00Z")
    shares = sandbox.reference() / "equities.csv"
    shares.write_text(shares.read_text() + "FCX,Freeport,AL,2010-06-01,FACT,a test\n")
    assert dict(load_reference(sandbox.reference()).scope(()).listed)["FCX"] == date(2010, 6, 1)


@pytest.mark.slow
def test_the_new_year_ends_without_a_failure(tmp_path: Path) -> None:
    """On 1 January the ECB has no fixing of the year: an empty body. December is whole."""
    sandbox = Sandbox(tmp_path, "replay", "2027-01-01T18:00:00Z")
    days = np.arange(np.datetime64("2026-01-01"), np.datetime64("2027-01-01"))
    days = days[np.is_busday(days, busdaycal=business_days("TARGET"))]
    head = "KEY,FREQ,CURRENCY,CURRENCY_DENOM,EXR_TYPE,EXR_SUFFIX,TIME_PERIOD,OBS_VALUE,OBS_STATUS,OBS_CONF\n"
    lines = [
        f"EXR.D.{name}.EUR.SP00.A,D,{name},EUR,SP00,A,{day},{rate},A,F\n"
        for name, rate in (("CNY", 8.1), ("USD", 1.17))
        for day in days
    ]
    sandbox.record("ecb/EXR_2026.csv", head + "".join(lines))
    sandbox.record("ecb/EXR_2027.csv", b"")
    done = sandbox.ingest(("2026-01", "2027-01"), ["fx"])
    assert (done.fetched["ecb"].failures, done.read["fx"].failures) == ([], [])
    stored = sandbox.open().lake.read("fx")
    assert len(stored) == 2 * len(days)
    assert stored["obs_date"].max() == pd.Timestamp("2026-12-31")
