"""Every source against a publisher that misbehaves over a real socket: the run ends in the good response or in an error
that names source and request, and the lake keeps what it had.

The good responses are the demo market's, which has every source's wire format. No test waits for a retry.

Four sources have every fault: one for each way in which the HTTP client is used. Of the others, which use it as the
first of the four does, `make test` has a smoke test and the changes that depend on the source's format;
`make test-all` has all faults for all sources.
"""

from __future__ import annotations

import functools
import gzip
import hashlib
import io
import json
import re
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import openpyxl
import pandas as pd
import publisher as server
import pytest
import stamina
from publisher import Fault, Publisher, respond, status
from sandbox import Sandbox

from pipelines.common.settings import PROJECT
from pipelines.ingestion.extract import FetchReport, fetch
from pipelines.ingestion.failures import Failure
from pipelines.ingestion.report import IngestReport
from pipelines.reference import load_reference
from pipelines.sources import SOURCES
from pipelines.sources.base import NoData, Request, Scope
from pipelines.sources.protocol import IndexedSource
from pipelines.transports import http
from pipelines.transports.demo import DemoTransport
from pipelines.transports.http import HttpTransport
from pipelines.transports.rate_limit import RateLimiter

NOW = datetime(2024, 10, 10, 18, tzinfo=UTC)
MONTH = pd.Period("2024-05", "M")
# Clock and month of sources that serve only some months of the demo market.
OTHER_TIMES = {
    "smard": (NOW, pd.Period("2019-10", "M")),
    "shfe": (datetime(2026, 1, 10, 18, tzinfo=UTC), pd.Period("2025-12", "M")),
}
TOKEN = "a-key-of-a-test"
CLIENT_SHAPES = {
    "ecb": "a fixed address over HTTPS, as most sources",
    "entsoe": "an API key in the query",
    "worldbank": "an address found on a page of the publisher",
    "customs": "an address found on a page, over plain HTTP",
}


def source(name: str, *marks: pytest.MarkDecorator) -> Any:
    """A case for one source. Its tests share a sandbox, so that they run in one process."""
    return pytest.param(name, marks=[*marks, pytest.mark.xdist_group(f"publisher {name}")])


every_client_shape = pytest.mark.parametrize(
    "name", [source(name, *([] if name in CLIENT_SHAPES else [pytest.mark.exhaustive])) for name in SOURCES]
)
every_source = pytest.mark.parametrize("name", [source(name) for name in SOURCES])


def each(faults: Iterable[str], fast: Collection[str]) -> pytest.MarkDecorator:
    """One case for each fault. Those that are not `fast` are slow: each differs little from a fast one."""
    marks = {fault: () if fault in fast else (pytest.mark.slow,) for fault in faults}
    assert set(fast) <= set(marks)
    return pytest.mark.parametrize("fault", [pytest.param(name, marks=by) for name, by in marks.items()])


@pytest.fixture(autouse=True)
def no_waiting() -> Iterator[None]:
    with stamina.set_testing(True, attempts=3):
        yield


class Clock:
    """The clock of the rate limiter: it advances only by what is slept."""

    def __init__(self, now: float) -> None:
        self.now, self.slept = now, 0.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.slept += seconds


@functools.cache
def scope() -> Scope:
    return load_reference(PROJECT / "data" / "reference").scope(())


@functools.cache
def good_responses(name: str, now: datetime, month: pd.Period) -> dict[str, bytes]:
    """The demo market's responses by address; none for what it does not have yet."""
    market, found = DemoTransport(now, scope()), {}
    for request in SOURCES[name].requests(month, scope()):
        try:
            found[request.url] = market.fetch(request)[-1].body
        except NoData:
            continue
    return found


@dataclass(frozen=True)
class SourceSandbox:
    """A sandbox with a lake, and the one source that is requested for one month."""

    name: str
    sandbox: Sandbox

    @property
    def now(self) -> datetime:
        return OTHER_TIMES.get(self.name, (NOW, MONTH))[0]

    @property
    def month(self) -> pd.Period:
        return OTHER_TIMES.get(self.name, (NOW, MONTH))[1]

    @property
    def requests(self) -> list[Request]:
        return list(SOURCES[self.name].requests(self.month, scope()))

    def good(self, days_ago: int = 0) -> dict[str, bytes]:
        return good_responses(self.name, self.now - timedelta(days=days_ago), self.month)

    def pages(self) -> dict[str, bytes]:
        """The pages that link to the responses, where the source needs them."""
        source = SOURCES[self.name]
        if not isinstance(source, IndexedSource):
            return {}
        links = "".join(f'<a href="{r.url.split("#")[0]}">{self.month.month}</a>' for r in self.requests)
        page = f"<table><tr><td>(13) and others</td><td>{links.replace('monthly2024', 'table13')}</td></tr></table>"
        return {page_.url: page.encode() for request in self.requests for page_ in source.listings(request)}

    def publisher(self, *faults: Fault, forever: bool = False) -> Publisher:
        good = {url.replace("monthly2024", "table13"): body for url, body in self.good().items()}
        return Publisher(good, faults, forever, self.pages())

    def run(self, publisher: Publisher, days: int = 1, timeout: float = 10.0) -> RunResult:
        """Fetch and load, as a run so many days later."""
        now = self.now + timedelta(days=days)
        workspace, clock = self.sandbox.at(now.isoformat()).open(), Clock(self.now.timestamp())
        limiter = RateLimiter(self.sandbox.root / "pace", lambda: clock.now, clock.sleep)
        with publisher, publisher.client(timeout) as client:
            transport = HttpTransport(
                lambda: now, {"ENTSOE_API_TOKEN": TOKEN}, client, archive=workspace.archive, rate_limiter=limiter
            )
            fetched = fetch(
                self.name,
                [self.month],
                workspace.scope,
                transport,
                workspace.archive,
                workspace.now,
                quarantine=workspace.quarantine,
            )
        ingestion = workspace.ingestion()
        read = [ingestion.run(dataset, [self.month]) for dataset in SOURCES[self.name].DATASETS]
        return RunResult(fetched, read, publisher, clock)

    def lake(self) -> dict[str, str]:
        """Every stored row with its vintages: the lake's files, by name and content."""
        root = self.sandbox.data / "lake"
        return {
            path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(root.glob("*/[0-9]*.parquet"))
        }

    def quarantine_rows(self) -> set[tuple[str, str]]:
        """Datasets and reasons of the rows in quarantine."""
        quarantine = self.sandbox.open().quarantine
        return {(name, why) for name in SOURCES[self.name].DATASETS for why in quarantine.read(name)["reason"]}

    def copy(self, root: Path) -> SourceSandbox:
        """The same state in a new folder."""
        shutil.copytree(self.sandbox.root, root)
        return SourceSandbox(self.name, Sandbox(root, "live", self.sandbox.now))


@dataclass(frozen=True)
class RunResult:
    fetched: FetchReport
    read: list[IngestReport]
    publisher: Publisher
    clock: Clock


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], SourceSandbox]:
    """Sandboxes by source whose lakes hold good rows, each made once."""

    @functools.cache
    def load(name: str) -> SourceSandbox:
        now = OTHER_TIMES.get(name, (NOW,))[0]
        made = SourceSandbox(name, Sandbox(tmp_path_factory.mktemp(name), "live", now.isoformat()))
        done = made.run(made.publisher(), days=0)
        assert not done.fetched.failures and all(not report.failures for report in done.read)
        assert len(made.lake()) == len(SOURCES[name].DATASETS)
        return made

    return load


@pytest.fixture
def sandbox(name: str, loaded: Callable[[str], SourceSandbox], tmp_path: Path) -> SourceSandbox:
    """A source's sandbox whose lake holds good rows."""
    return loaded(name).copy(tmp_path / "sandbox")


# --- faults that pass


def in_a_minute(handler: server.Handler, good: bytes) -> None:
    handler.send(429, retry_after=format_datetime(datetime.now(UTC) + timedelta(minutes=1), usegmt=True))


TRANSIENT: dict[str, Fault] = {
    "429 for 7 seconds": status(429, retry_after="7"),
    "429 until a time": in_a_minute,
    "500": status(500),
    "502": status(502),
    "503 for 7 seconds": status(503, retry_after="7"),
    "504": status(504),
    "408": status(408),
    "reset at once": server.reset_at_once,
    "reset in the body": server.reset,
    "cut": server.cut,
    "cut in a chunk": server.cut_in_chunks,
    "cut gzip": server.cut_gzip,
}


@every_client_shape
@each(TRANSIENT, {"429 for 7 seconds", "reset in the body", "cut gzip"})
def test_a_transient_fault_ends_in_the_good_response(sandbox: SourceSandbox, fault: str) -> None:
    before = sandbox.lake()
    done = sandbox.run(sandbox.publisher(TRANSIENT[fault], TRANSIENT[fault]))
    assert done.fetched.failures == []
    assert sandbox.lake() == before, "the same response, so the same rows and vintages"
    for request in sandbox.requests:
        receipt = sandbox.sandbox.open().archive.receipt(sandbox.name, request.name)
        assert receipt and receipt.error is None and len(receipt.captures) == 1
        assert receipt.answered_at == (sandbox.now + timedelta(days=1)).isoformat(timespec="microseconds")
    if "7 seconds" in fault:
        assert done.clock.slept >= 14


@pytest.mark.slow
@every_client_shape
def test_a_stall_that_passes_ends_in_the_good_response(sandbox: SourceSandbox) -> None:
    before = sandbox.lake()
    # The good response has 0.4 s as well, which a busy machine may need: allow as many attempts as the product does.
    with stamina.set_testing(True, attempts=http.ATTEMPTS):
        done = sandbox.run(sandbox.publisher(server.stall, server.stall_in_the_body), timeout=0.4)
    assert (done.fetched.failures, sandbox.lake()) == ([], before)


@pytest.mark.slow
@every_source
def test_an_empty_lake_gets_the_same_rows_after_faults_as_without(sandbox: SourceSandbox, tmp_path: Path) -> None:
    """The smoke test of each source."""
    other = SourceSandbox(sandbox.name, Sandbox(tmp_path / "other", "live", sandbox.sandbox.now))
    done = other.run(other.publisher(status(503), server.reset), days=0)
    assert done.fetched.failures == []
    assert other.lake() == sandbox.lake()


# Headers that contradict the body: the body decides.
LABELS: dict[str, Fault] = {
    "another type": respond(lambda good: good, content_type="image/png"),
    "another charset": respond(lambda good: good, content_type="text/html; charset=shift_jis"),
    "a charset that does not exist": respond(lambda good: good, content_type="text/html; charset=none-such"),
    "packed": respond(gzip.compress, content_encoding="gzip"),
}


@every_client_shape
@pytest.mark.parametrize("label", LABELS)
def test_a_wrong_content_header_changes_nothing(sandbox: SourceSandbox, label: str) -> None:
    before = sandbox.lake()
    done = sandbox.run(sandbox.publisher(LABELS[label]))
    assert (done.fetched.failures, sandbox.lake()) == ([], before)
    assert set(done.publisher.requests.values()) == {1}


# --- faults that stay

PERMANENT: dict[str, tuple[Fault, str]] = {
    "429": (status(429), "the publisher accepts no requests until|status 429"),
    "429 for a day": (
        status(429, retry_after="86400"),
        r"the publisher accepts no requests until \d{4}-\d\d-11T18:0",
    ),
    "503": (status(503), r"status 503 in \d attempts: sorry"),
    "404": (status(404), "status 404(, no data)?: sorry"),
    "410": (status(410), "status 410: sorry"),
    "304": (status(304), "status 304"),
    "204": (lambda handler, good: handler.start(204), "status 204"),
    "reset": (server.reset, "ReadError|RemoteProtocolError"),
    "cut": (server.cut, "RemoteProtocolError"),
    "cut gzip": (server.cut_gzip, "the gzip response is truncated"),
    "no gzip": (respond(lambda good: good, content_encoding="gzip"), "the response is not valid gzip"),
    "unknown packing": (respond(lambda good: good, content_encoding="br"), "encoded as 'br'"),
    "packed twice": (respond(lambda good: good, content_encoding="gzip, gzip"), "encoded as 'gzip, gzip'"),
    "bomb": (server.gzip_bomb(20), "the response exceeds 1 MiB"),
    "endless": (server.endless, "the response exceeds 1 MiB"),
    "elsewhere": (status(302, location="https://elsewhere.example/"), "redirected to https://elsewhere.example"),
    "credentials": (status(302, location="https://a:b@elsewhere.example/"), "redirected to https://…@elsewhere"),
    "loop": (lambda handler, good: handler.send(301, location=handler.path), "more than 5 redirects"),
    "a file": (status(302, location="file:///etc/passwd"), "redirected to file://"),
    "nonsense": (lambda handler, good: handler.wfile.write(b"nonsense\r\n\r\n"), "RemoteProtocolError"),
}


@every_client_shape
@each(PERMANENT, {"429 for a day", "404", "cut", "no gzip", "bomb", "elsewhere"})
def test_a_permanent_fault_is_an_error_that_names_source_and_request(
    sandbox: SourceSandbox, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "MAX_BODY", 1024**2)
    before, (behaviour, message) = sandbox.lake(), PERMANENT[fault]
    done = sandbox.run(sandbox.publisher(behaviour, forever=True))
    assert {failure.request for failure in done.fetched.failures} == {request.name for request in sandbox.requests}
    for failure in done.fetched.failures:
        assert failure.message.startswith(f"{sandbox.name} {failure.request}: ")
        assert "stored data is unchanged" in failure.message or "no data" not in failure.message
        assert re.search(message, failure.message)
        assert "expected" in failure.message and TOKEN not in failure.message and len(failure.message) < 400
    assert sandbox.lake() == before
    assert not any(report.written for report in done.read)
    assert all(report.failures for report in done.read), "the months without the response are reported"


@every_client_shape
def test_a_trickle_ends_at_the_time_limit(sandbox: SourceSandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "MAX_SECONDS", 0.1)
    before = sandbox.lake()
    done = sandbox.run(sandbox.publisher(server.trickle, forever=True))
    assert len(done.fetched.failures) == len(sandbox.requests)
    assert all("the response takes longer than" in failure.message for failure in done.fetched.failures)
    assert sandbox.lake() == before


@every_client_shape
def test_no_redirect_to_plain_http_is_followed(sandbox: SourceSandbox) -> None:
    """Except for a publisher that serves plain HTTP only."""

    def downgrade(handler: server.Handler, good: bytes) -> None:
        handler.send(302, location=f"http://{handler.headers['host']}/plain")

    before = sandbox.lake()
    done = sandbox.run(sandbox.publisher(downgrade, forever=True))
    message = "status 404" if SOURCES[sandbox.name].ACCESS.plain_http else "redirected to http://"
    assert done.fetched.failures and all(message in failure.message for failure in done.fetched.failures)
    assert sandbox.lake() == before


@every_client_shape
def test_the_next_run_requests_only_what_is_new(sandbox: SourceSandbox) -> None:
    def versioned(handler: server.Handler, good: bytes) -> None:
        if handler.headers["if-none-match"] == '"v1"':
            handler.start(304, etag='"v1"')
        else:
            handler.send(200, good, etag='"v1"')

    before = sandbox.lake()
    for day in (1, 2):
        done = sandbox.run(sandbox.publisher(versioned, forever=True), days=day)
        assert (done.fetched.failures, sandbox.lake()) == ([], before)
        assert done.fetched.payloads == len(sandbox.requests)
    sent = [headers["if-none-match"] for headers in done.publisher.request_headers if headers["if-none-match"]]
    assert sent == ['"v1"'] * len(sandbox.requests)
    for request in sandbox.requests:
        receipt = sandbox.sandbox.open().archive.receipt(sandbox.name, request.name)
        assert receipt and receipt.answered_at == (sandbox.now + timedelta(days=2)).isoformat(timespec="microseconds")


@pytest.mark.parametrize("name", [source("ecb")])
def test_after_a_refused_response_the_last_good_version_is_revalidated(sandbox: SourceSandbox) -> None:
    """With the validator of the refused response the publisher would return 304, which would accept that response."""

    def versioned(version: str, body: Callable[[bytes], bytes] = lambda good: good) -> Fault:
        def response(handler: server.Handler, good: bytes) -> None:
            if handler.headers["if-none-match"] == version:
                handler.start(304, etag=version)
            else:
                handler.send(200, body(good), etag=version)

        return response

    assert sandbox.run(sandbox.publisher(versioned('"good"'), forever=True)).fetched.failures == []
    before = sandbox.lake()
    for day in (2, 3):
        done = sandbox.run(sandbox.publisher(versioned('"bad"', UNITS["ecb"]), forever=True), days=day)
        assert [headers["if-none-match"] for headers in done.publisher.request_headers] == ['"good"']
        assert "has the unit changed?" in done.fetched.failures[0].message
    back = sandbox.run(sandbox.publisher(versioned('"good"'), forever=True), days=4)
    assert (back.fetched.failures, [len(report.failures) for report in back.read]) == ([], [0] * len(back.read))
    assert sandbox.lake() == before


# --- responses with status 200 whose content has changed

Change = Callable[[bytes], bytes]


def text(pattern: str, by: str) -> Change:
    """Replace a pattern; one that does not occur would test nothing."""

    def change(body: bytes) -> bytes:
        changed, n = re.subn(pattern, by, body.decode())
        assert n, f"{pattern!r} is not in the good response"
        return changed.encode()

    return change


def rows(pattern: str, arrange: Callable[[list[str]], list[str]]) -> Change:
    """Replace the rows of a text, which are all matches of the pattern."""

    def change(body: bytes) -> bytes:
        whole = body.decode()
        found = list(re.finditer(pattern, whole))
        assert len(found) > 1, f"{pattern!r} is not in the good response"
        between = whole[found[0].end() : found[1].start()]
        return (
            whole[: found[0].start()] + between.join(arrange([m[0] for m in found])) + whole[found[-1].end() :]
        ).encode()

    return change


def in_tables(pattern: str, arrange: Callable[[list[str]], list[str]]) -> Change:
    """The same in each table of a page that has such rows."""

    def change(body: bytes) -> bytes:
        parts = re.split(r"(?<=</table>)", body.decode())
        return b"".join(
            rows(pattern, arrange)(part.encode()) if re.search(pattern, part) else part.encode() for part in parts
        )

    return change


def data(change_it: Callable[[Any], None]) -> Change:
    """Change a JSON response in place."""

    def change(body: bytes) -> bytes:
        response = json.loads(body)
        change_it(response)
        return json.dumps(response).encode()

    return change


def sheet(change_it: Callable[[Any], None]) -> Change:
    """Change the price sheet of a workbook in place."""

    def change(body: bytes) -> bytes:
        book, file = openpyxl.load_workbook(io.BytesIO(body)), io.BytesIO()
        change_it(book["Monthly Prices"])
        book.save(file)
        return file.getvalue()

    return change


def lists(*paths: str) -> Callable[[Callable[[list[Any]], list[Any]]], Change]:
    """Arrange the parallel lists of a JSON response under these names, `a.b` inside another."""

    def arranged(arrange: Callable[[list[Any]], list[Any]]) -> Change:
        def change(response: Any) -> None:
            for path in paths:
                *parents, last = path.split(".")
                at = functools.reduce(lambda held, step: held[int(step) if step.isdigit() else step], parents, response)
                at[last] = arrange(at[last])

        return data(change)

    return arranged


def move_rows(arrange: Callable[[list[Any]], list[Any]]) -> Change:
    def change(page: Any) -> None:
        months = [[cell.value for cell in row] for row in page.iter_rows(min_row=7)]
        page.delete_rows(7, len(months))
        for row in arrange(months):
            page.append(row)

    return sheet(change)


def scaled(pattern: str, factor: float) -> Change:
    """Scale every number that the only group of the pattern matches, as after an undeclared change of unit."""

    def change(body: bytes) -> bytes:
        changed, n = re.subn(
            pattern, lambda m: m[0].replace(m[1], f"{float(m[1].replace(',', '')) * factor:.4f}"), body.decode()
        )
        assert n
        return changed.encode()

    return change


def whole_stock(factor: float) -> Change:
    def change(response: Any) -> None:
        for metals in response["values"].values():
            for name, cells in metals.items():
                metals[name] = [cell * factor if isinstance(cell, int | float) else cell for cell in cells]

    return data(change)


Arranged = Callable[[Callable[[list[Any]], list[Any]]], Change]
ROWS: dict[str, Arranged] = {
    "westmetall": lambda how: rows(r"<tr>\s*<td >\d[^§]*?</tr>", how),
    "worldbank": move_rows,
    "nyfed": lists("refRates"),
    "fred": lambda how: rows(r"(?m)^\d{4}-.*$", how),
    "energy_charts": lists("unix_seconds", "price"),
    "smard": lists("series"),
    "ember": lambda how: rows(r"(?m)^SYNTHETIC.*$", how),
    "cftc": lambda how: rows(r"\{[^}]*\}", how),
    "shfe": lambda how: in_tables(r"<tr><td>上海.*?</tr>|<tr><td colspan=2>.*?</tr>", how),
    "entsoe": lambda how: rows(r"<Period>[^§]*?</Period>", how),
    "customs": lambda how: rows(r"<tr><td>.*?</tr>", how),
    "comtrade": lists("data"),
    "ecb": lambda how: rows(r"(?m)^EXR\..*$", how),
    "jin10": lambda how: rows(r'"\d{4}-\d\d-\d\d":\{[^}]*\}', how),
    "yahoo": lists("chart.result.0.timestamp", "chart.result.0.indicators.quote.0.close"),
}
RENAMED: dict[str, Change] = {
    "westmetall": text(r"(?i)<th([^>]*)>[^<]*stock[^<]*</th>", r"<th\1>Warehouses</th>"),
    "worldbank": sheet(lambda page: [setattr(c, "value", "Alu") for c in page[5] if c.value == "Aluminum"]),
    "nyfed": text("percentRate", "ratePercent"),
    "fred": text(r"^(observation_date,\w+),", r"\1_RATE,"),
    "energy_charts": text('"price"', '"prices"'),
    "smard": text('"series"', '"points"'),
    "ember": text("ISO3 Code", "Country code"),
    "cftc": text("open_interest_all", "open_interest"),
    "shfe": text("<th>小计</th>", "<th>合计</th>"),
    "entsoe": text("price.amount", "amount.price"),
    "customs": text("Quantity</th>", "Amount</th>"),
    "comtrade": text("netWgt", "weightNet"),
    "ecb": text("OBS_VALUE", "OBS_RATE"),
    "jin10": text("铝", "铝合金"),
    "yahoo": text('"close"', '"last"'),
}
UNITS: dict[str, Change] = {
    "westmetall": scaled(r"<td >([\d,]+\.\d\d)</td>", 1 / 2204.62),  # USD/lb
    "worldbank": sheet(lambda page: [setattr(c, "value", "($/lb)") for c in page[6] if c.value]),
    "nyfed": scaled(r'"percentRate": ([\d.]+)', 0.01),  # fractions
    "fred": scaled(r"(?m)^\d{4}-\d\d-\d\d,([\d.]+),", 0.01),
    "energy_charts": text("EUR / MWh", "ct / kWh"),
    "smard": scaled(r"\d{13},(-?[\d.]+)", 0.1),  # ct/kWh
    "ember": text("EUR/MWhe", "GBP/MWhe"),
    "cftc": scaled(r'"open_interest_all":"(\d+)"', 100),  # in lots of another size
    "shfe": text("吨", "手"),  # lots
    "entsoe": text(">EUR<", ">GBP<"),
    "customs": text(">10000T<", ">1000CBM<"),
    "comtrade": scaled(r'"netWgt":([\d.]+)', 0.001),  # tonnes
    "ecb": scaled(r",EUR,SP00,A,[\d-]+,([\d.]+),", 100),  # for 100 euros
    "jin10": whole_stock(0.001),  # kilotonnes
    "yahoo": text('"currency": ?"USD"', '"currency":"GBp"'),
}
CHANGES: dict[str, Callable[[str], Change]] = {
    "bot wall": lambda name: lambda good: server.BOT_WALL,
    "empty": lambda name: lambda good: b"",
    "another charset": lambda name: lambda good: good.decode("latin-1").encode("utf-16"),
    "no rows": lambda name: ROWS[name](lambda them: them[:0]),
    "renamed column": lambda name: RENAMED[name],
    "another unit": lambda name: UNITS[name],
    "rows twice": lambda name: ROWS[name](lambda them: [row for row in them for _ in range(2)]),
    "rows reordered": lambda name: ROWS[name](lambda them: them[::-1]),
}
BY_FORMAT = ("renamed column", "another unit")  # changes that only the source's contract can detect
FAST = ("bot wall", "no rows", "renamed column", "another unit")


def cases(*changes: str) -> Any:
    def marks(name: str, change: str) -> list[pytest.MarkDecorator]:
        if name in CLIENT_SHAPES:
            return [] if change in FAST else [pytest.mark.slow]
        return [pytest.mark.slow if change in BY_FORMAT else pytest.mark.exhaustive]

    return pytest.mark.parametrize(
        ("name", "change"),
        [
            pytest.param(
                name,
                change,
                id=f"{change}-{name}",
                marks=[*marks(name, change), pytest.mark.xdist_group(f"publisher {name}")],
            )
            for change in changes
            for name in SOURCES
        ],
    )


@dataclass(frozen=True)
class Outcome:
    """The result of a run with a changed response: the lake before and after, failures, and new quarantined rows."""

    before: dict[str, str]
    after: dict[str, str]
    failures: list[Failure]
    quarantine_rows: set[tuple[str, str]]


@pytest.fixture(scope="module")
def outcomes(
    loaded: Callable[[str], SourceSandbox], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str, str], Outcome]:
    """The outcome of each change for each source, each made once."""

    @functools.cache
    def run(name: str, change: str) -> Outcome:
        sandbox = loaded(name).copy(tmp_path_factory.mktemp("changed") / "sandbox")
        for body in sandbox.good().values():
            CHANGES[change](name)(body)  # a change that cannot be made is an error of the test, not of the publisher
        before, known = sandbox.lake(), sandbox.quarantine_rows()
        done = sandbox.run(sandbox.publisher(respond(CHANGES[change](name)), forever=True))
        failures = [failure for report in (done.fetched, *done.read) for failure in report.failures]
        return Outcome(before, sandbox.lake(), failures, sandbox.quarantine_rows() - known)

    return run


@cases(*CHANGES)
def test_a_changed_response_changes_no_stored_row(
    name: str, change: str, outcomes: Callable[[str, str], Outcome]
) -> None:
    outcome = outcomes(name, change)
    assert outcome.after == outcome.before, "nothing is lost, and nothing is revised"


@cases("bot wall", "empty", "no rows", "renamed column", "another unit")
def test_a_changed_response_is_reported(name: str, change: str, outcomes: Callable[[str, str], Outcome]) -> None:
    outcome = outcomes(name, change)
    assert outcome.failures or outcome.quarantine_rows
    for failure in outcome.failures:
        assert failure.message.startswith(f"{name} {failure.request}: ")


@every_client_shape
def test_an_old_response_removes_nothing(sandbox: SourceSandbox) -> None:
    """A cache between publisher and client may serve a response of a month ago."""
    before = sandbox.lake()
    month_ago = {body: sandbox.good(days_ago=31).get(url, body) for url, body in sandbox.good().items()}
    sandbox.run(sandbox.publisher(respond(lambda good: month_ago[good])))
    assert sandbox.lake() == before
