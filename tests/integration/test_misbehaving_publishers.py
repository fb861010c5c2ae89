"""Every source against a publisher that misbehaves over a real socket: it ends in the good answer or in an error that
names source and request, and the lake keeps what it had.

The good answers are the demo market's, which speaks every source's wire format. Waiting is not waited for.
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
import publisher as play
import pytest
import stamina
from publisher import Play, Publisher, says, status
from sandbox import Sandbox

from pipelines.common.settings import PROJECT
from pipelines.ingestion.extract import FetchReport, fetch
from pipelines.ingestion.failures import Failure
from pipelines.ingestion.load import IngestReport
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
# Of publishers that the demo market asks in some months only: the clock and the month.
ELSEWHEN = {
    "smard": (NOW, pd.Period("2019-10", "M")),
    "shfe": (datetime(2026, 1, 10, 18, tzinfo=UTC), pd.Period("2025-12", "M")),
}
TOKEN = "a-key-of-a-test"

# One client asks them all. These differ to it: one like most, one with a key, one that is listed, one without https.
ALIKE = set(SOURCES) - {"ecb", "entsoe", "worldbank", "customs"}
every_source = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name in ALIKE else []) for name in SOURCES]
)


def each(troubles: Iterable[str], fast: Collection[str]) -> pytest.MarkDecorator:
    """One case a trouble; those that differ from a fast one by little are slow ones."""
    marks = {trouble: () if trouble in fast else (pytest.mark.slow,) for trouble in troubles}
    assert set(fast) <= set(marks)
    return pytest.mark.parametrize("trouble", [pytest.param(name, marks=by) for name, by in marks.items()])


@pytest.fixture(autouse=True)
def no_waiting() -> Iterator[None]:
    with stamina.set_testing(True, attempts=3):
        yield


class Clock:
    """The wall's clock of the pace: it only goes on when somebody waits by it."""

    def __init__(self, now: float) -> None:
        self.now, self.slept = now, 0.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.slept += seconds


@functools.cache
def scope() -> Scope:
    return load_reference(PROJECT / "data" / "reference").scope(())


@functools.cache
def good_answers(name: str, now: datetime, month: pd.Period) -> dict[str, bytes]:
    """What a publisher answers when all is well, by address; nothing for what it does not have yet."""
    market, found = DemoTransport(now, scope()), {}
    for request in SOURCES[name].requests(month, scope()):
        try:
            found[request.url] = market.fetch(request)[-1].body
        except NoData:
            continue
    return found


@dataclass(frozen=True)
class Desk:
    """A data folder with a lake, and one source that is asked for one month."""

    name: str
    sandbox: Sandbox

    @property
    def now(self) -> datetime:
        return ELSEWHEN.get(self.name, (NOW, MONTH))[0]

    @property
    def month(self) -> pd.Period:
        return ELSEWHEN.get(self.name, (NOW, MONTH))[1]

    @property
    def requests(self) -> list[Request]:
        return list(SOURCES[self.name].requests(self.month, scope()))

    def good(self, days_ago: int = 0) -> dict[str, bytes]:
        return good_answers(self.name, self.now - timedelta(days=days_ago), self.month)

    def pages(self) -> dict[str, bytes]:
        """The pages that link to the answers, where the source needs them."""
        source = SOURCES[self.name]
        if not isinstance(source, IndexedSource):
            return {}
        links = "".join(f'<a href="{r.url.split("#")[0]}">{self.month.month}</a>' for r in self.requests)
        page = f"<table><tr><td>(13) and others</td><td>{links.replace('monthly2024', 'table13')}</td></tr></table>"
        return {page_.url: page.encode() for request in self.requests for page_ in source.listings(request)}

    def publisher(self, *trouble: Play, forever: bool = False) -> Publisher:
        good = {url.replace("monthly2024", "table13"): body for url, body in self.good().items()}
        return Publisher(good, trouble, forever, self.pages())

    def run(self, publisher: Publisher, days: int = 1, timeout: float = 10.0) -> Run:
        """Asks and reads, as a run does that comes so many days later."""
        now = self.now + timedelta(days=days)
        workspace, clock = self.sandbox.at(now.isoformat()).open(), Clock(self.now.timestamp())
        pace = RateLimiter(self.sandbox.root / "pace", lambda: clock.now, clock.sleep)
        with publisher, publisher.client(timeout) as client:
            transport = HttpTransport(
                lambda: now, {"ENTSOE_API_TOKEN": TOKEN}, client, archive=workspace.archive, rate_limiter=pace
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
        return Run(fetched, read, publisher, clock)

    def lake(self) -> dict[str, str]:
        """Every stored row with its vintages: the lake's files, by name and content."""
        root = self.sandbox.data / "lake"
        return {
            path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(root.glob("*/month=*/*.parquet"))
        }

    def quarantine_rows(self) -> set[tuple[str, str]]:
        """Datasets and reasons of the rows in quarantine."""
        quarantine = self.sandbox.open().quarantine
        return {(name, why) for name in SOURCES[self.name].DATASETS for why in quarantine.read(name)["reason"]}


@dataclass(frozen=True)
class Run:
    fetched: FetchReport
    read: list[IngestReport]
    publisher: Publisher
    clock: Clock


@pytest.fixture(scope="module")
def desks(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Desk]:
    @functools.cache
    def with_good_rows(name: str) -> Desk:
        desk = Desk(name, Sandbox(tmp_path_factory.mktemp(name), "live", ELSEWHEN.get(name, (NOW,))[0].isoformat()))
        done = desk.run(desk.publisher(), days=0)
        assert not done.fetched.failures and all(not report.failures for report in done.read)
        assert len(desk.lake()) == len(SOURCES[name].DATASETS)
        return desk

    return with_good_rows


@pytest.fixture
def desk(name: str, desks: Callable[[str], Desk], tmp_path: Path) -> Desk:
    """A source's desk whose lake holds good rows."""
    return copied(desks(name), tmp_path)


def copied(desk: Desk, folder: Path) -> Desk:
    shutil.copytree(desk.sandbox.root, folder / "desk")
    return Desk(desk.name, Sandbox(folder / "desk", "live", desk.sandbox.now))


# --- what passes


def in_a_minute(handler: play.Handler, good: bytes) -> None:
    handler.send(429, retry_after=format_datetime(datetime.now(UTC) + timedelta(minutes=1), usegmt=True))


PASSES: dict[str, Play] = {
    "429 for 7 seconds": status(429, retry_after="7"),
    "429 until a time": in_a_minute,
    "500": status(500),
    "502": status(502),
    "503 for 7 seconds": status(503, retry_after="7"),
    "504": status(504),
    "408": status(408),
    "reset at once": play.reset_at_once,
    "reset in the body": play.reset,
    "cut": play.cut,
    "cut in a chunk": play.cut_in_chunks,
    "cut gzip": play.cut_gzip,
}


@every_source
@each(PASSES, {"429 for 7 seconds", "503 for 7 seconds", "reset in the body", "cut in a chunk", "cut gzip"})
def test_what_passes_ends_in_the_good_answer(desk: Desk, trouble: str) -> None:
    before = desk.lake()
    done = desk.run(desk.publisher(PASSES[trouble], PASSES[trouble]))
    assert done.fetched.failures == []
    assert desk.lake() == before, "the same answer, so the same rows and vintages"
    for request in desk.requests:
        receipt = desk.sandbox.open().archive.receipt(desk.name, request.name)
        assert receipt and receipt.error is None and len(receipt.captures) == 1
        assert receipt.answered_at == (desk.now + timedelta(days=1)).isoformat(timespec="microseconds")
    if "7 seconds" in trouble:
        assert done.clock.slept >= 14


@pytest.mark.slow
@every_source
def test_what_stalls_passes_too(desk: Desk) -> None:
    before = desk.lake()
    # The good answer has 0.4 s too, which a busy machine may need: as many tries as the product has, one to spare.
    with stamina.set_testing(True, attempts=http.ATTEMPTS):
        done = desk.run(desk.publisher(play.stall, play.stall_in_the_body), timeout=0.4)
    assert (done.fetched.failures, desk.lake()) == ([], before)


@every_source
def test_an_empty_lake_gets_the_same_rows_after_trouble_as_without(desk: Desk, tmp_path: Path) -> None:
    other = Desk(desk.name, Sandbox(tmp_path / "other", "live", desk.sandbox.now))
    done = other.run(other.publisher(status(503), play.reset), days=0)
    assert done.fetched.failures == []
    assert other.lake() == desk.lake()


# A label says nothing of the bytes: what is read is the same.
LABELS: dict[str, Play] = {
    "another type": says(lambda good: good, content_type="image/png"),
    "another charset": says(lambda good: good, content_type="text/html; charset=shift_jis"),
    "no charset there is": says(lambda good: good, content_type="text/html; charset=none-such"),
    "packed": says(gzip.compress, content_encoding="gzip"),
}


@every_source
@pytest.mark.parametrize("label", LABELS)
def test_a_wrong_label_changes_nothing(desk: Desk, label: str) -> None:
    before = desk.lake()
    done = desk.run(desk.publisher(LABELS[label]))
    assert (done.fetched.failures, desk.lake()) == ([], before)
    assert set(done.publisher.asked.values()) == {1}


# --- what does not pass

STAYS: dict[str, tuple[Play, str]] = {
    "429": (status(429), "the publisher accepts no requests until|status 429"),
    "429 for a day": (
        status(429, retry_after="86400"),
        r"the publisher accepts no requests until \d{4}-\d\d-11T18:0",
    ),
    "503": (status(503), "status 503"),
    "410": (status(410), "status 410"),
    "304": (status(304), "status 304"),
    "204": (lambda handler, good: handler.start(204), "status 204"),
    "reset": (play.reset, "ReadError|RemoteProtocolError"),
    "cut": (play.cut, "RemoteProtocolError"),
    "cut gzip": (play.cut_gzip, "the gzip response is truncated"),
    "no gzip": (says(lambda good: good, content_encoding="gzip"), "the response is not valid gzip"),
    "unknown packing": (says(lambda good: good, content_encoding="br"), "encoded as 'br'"),
    "packed twice": (says(lambda good: good, content_encoding="gzip, gzip"), "encoded as 'gzip, gzip'"),
    "bomb": (play.bomb(20), "the response exceeds 1 MiB"),
    "endless": (play.endless, "the response exceeds 1 MiB"),
    "elsewhere": (status(302, location="https://elsewhere.example/"), "redirected to https://elsewhere.example"),
    "credentials": (status(302, location="https://a:b@elsewhere.example/"), "redirected to https://…@elsewhere"),
    "loop": (lambda handler, good: handler.send(301, location=handler.path), "more than 5 redirects"),
    "a file": (status(302, location="file:///etc/passwd"), "redirected to file://"),
    "nonsense": (lambda handler, good: handler.wfile.write(b"nonsense\r\n\r\n"), "RemoteProtocolError"),
}


@every_source
@each(STAYS, {"429 for a day", "503", "410", "cut", "no gzip", "bomb", "endless", "elsewhere"})
def test_what_stays_is_an_error_that_names_source_and_request(
    desk: Desk, trouble: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "MAX_BODY", 1024**2)
    before, (what, said) = desk.lake(), STAYS[trouble]
    done = desk.run(desk.publisher(what, forever=True))
    assert {failure.request for failure in done.fetched.failures} == {request.name for request in desk.requests}
    for failure in done.fetched.failures:
        assert failure.message.startswith(f"{desk.name} {failure.request}: ")
        assert re.search(said, failure.message)
        assert "expected" in failure.message and TOKEN not in failure.message and len(failure.message) < 400
    assert desk.lake() == before
    assert not any(report.written for report in done.read)
    assert all(report.failures for report in done.read), "the months that miss it are known"


@every_source
def test_what_trickles_is_given_up(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "MAX_SECONDS", 0.1)
    before = desk.lake()
    done = desk.run(desk.publisher(play.trickle, forever=True))
    assert len(done.fetched.failures) == len(desk.requests)
    assert all("the response takes longer than" in failure.message for failure in done.fetched.failures)
    assert desk.lake() == before


@every_source
def test_no_redirect_leads_down_to_plain_http(desk: Desk) -> None:
    """But where there is nothing else."""

    def down(handler: play.Handler, good: bytes) -> None:
        handler.send(302, location=f"http://{handler.headers['host']}/plain")

    before = desk.lake()
    done = desk.run(desk.publisher(down, forever=True))
    said = "status 404" if SOURCES[desk.name].ACCESS.plain_http else "redirected to http://"
    assert done.fetched.failures and all(said in failure.message for failure in done.fetched.failures)
    assert desk.lake() == before


@every_source
def test_the_next_run_asks_only_for_what_is_new(desk: Desk) -> None:
    def versioned(handler: play.Handler, good: bytes) -> None:
        if handler.headers["if-none-match"] == '"v1"':
            handler.start(304, etag='"v1"')
        else:
            handler.send(200, good, etag='"v1"')

    before = desk.lake()
    for day in (1, 2):
        done = desk.run(desk.publisher(versioned, forever=True), days=day)
        assert (done.fetched.failures, desk.lake()) == ([], before)
        assert done.fetched.payloads == len(desk.requests)
    told = [head["if-none-match"] for head in done.publisher.heads if head["if-none-match"]]
    assert told == ['"v1"'] * len(desk.requests)
    for request in desk.requests:
        receipt = desk.sandbox.open().archive.receipt(desk.name, request.name)
        assert receipt and receipt.answered_at == (desk.now + timedelta(days=2)).isoformat(timespec="microseconds")


@pytest.mark.parametrize("name", ["ecb"])
def test_after_a_refused_answer_the_version_of_the_last_good_one_is_asked_about(desk: Desk) -> None:
    """The refused one's would be answered by "still the same", and taken for an answer."""

    def versioned(version: str, body: Callable[[bytes], bytes] = lambda good: good) -> Play:
        def answer(handler: play.Handler, good: bytes) -> None:
            if handler.headers["if-none-match"] == version:
                handler.start(304, etag=version)
            else:
                handler.send(200, body(good), etag=version)

        return answer

    assert desk.run(desk.publisher(versioned('"good"'), forever=True)).fetched.failures == []
    before = desk.lake()
    for day in (2, 3):
        done = desk.run(desk.publisher(versioned('"bad"', UNITS["ecb"]), forever=True), days=day)
        assert [head["if-none-match"] for head in done.publisher.heads] == ['"good"']
        assert "has the unit changed?" in done.fetched.failures[0].message
    back = desk.run(desk.publisher(versioned('"good"'), forever=True), days=4)
    assert (back.fetched.failures, [len(report.failures) for report in back.read]) == ([], [0] * len(back.read))
    assert desk.lake() == before


# --- answers with status 200 that are not what they were

Change = Callable[[bytes], bytes]


def text(pattern: str, by: str) -> Change:
    """Replaces a pattern; one that is not there would test nothing."""

    def change(body: bytes) -> bytes:
        said, n = re.subn(pattern, by, body.decode())
        assert n, f"{pattern!r} is not in the good answer"
        return said.encode()

    return change


def rows(pattern: str, arrange: Callable[[list[str]], list[str]]) -> Change:
    """Puts other rows where the rows of a text stand, which are all that fits the pattern."""

    def change(body: bytes) -> bytes:
        said = body.decode()
        found = list(re.finditer(pattern, said))
        assert len(found) > 1, f"{pattern!r} is not in the good answer"
        between = said[found[0].end() : found[1].start()]
        return (
            said[: found[0].start()] + between.join(arrange([m[0] for m in found])) + said[found[-1].end() :]
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
    """Changes a JSON answer in place."""

    def change(body: bytes) -> bytes:
        answer = json.loads(body)
        change_it(answer)
        return json.dumps(answer).encode()

    return change


def sheet(change_it: Callable[[Any], None]) -> Change:
    """Changes the price sheet of a workbook in place."""

    def change(body: bytes) -> bytes:
        book, file = openpyxl.load_workbook(io.BytesIO(body)), io.BytesIO()
        change_it(book["Monthly Prices"])
        book.save(file)
        return file.getvalue()

    return change


def lists(*path: str | int) -> Callable[[Callable[[list[Any]], list[Any]]], Change]:
    """Arranges the lists of a JSON answer that stand beside each other under these names, `a.b` inside another."""

    def arranged(arrange: Callable[[list[Any]], list[Any]]) -> Change:
        def change(answer: Any) -> None:
            for sandbox in path:
                *way, last = str(sandbox).split(".")
                at = functools.reduce(lambda held, step: held[int(step) if step.isdigit() else step], way, answer)
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
    """Every number that the pattern's only group finds, in another unit that nothing says."""

    def change(body: bytes) -> bytes:
        said, n = re.subn(
            pattern, lambda m: m[0].replace(m[1], f"{float(m[1].replace(',', '')) * factor:.4f}"), body.decode()
        )
        assert n
        return said.encode()

    return change


def whole_stock(factor: float) -> Change:
    def change(answer: Any) -> None:
        for metals in answer["values"].values():
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
    "shfe": text("吨", "手"),  # lots
    "entsoe": text(">EUR<", ">GBP<"),
    "customs": text(">10000T<", ">1000CBM<"),
    "comtrade": scaled(r'"netWgt":([\d.]+)', 0.001),  # tonnes
    "ecb": scaled(r",EUR,SP00,A,[\d-]+,([\d.]+),", 100),  # for 100 euros
    "jin10": whole_stock(0.001),  # kilotonnes
    "yahoo": text('"currency": ?"USD"', '"currency":"GBp"'),
}
CHANGES: dict[str, Callable[[str], Change]] = {
    "bot wall": lambda name: lambda good: play.BOT_WALL,
    "empty": lambda name: lambda good: b"",
    "another charset": lambda name: lambda good: good.decode("latin-1").encode("utf-16"),
    "no rows": lambda name: ROWS[name](lambda them: them[:0]),
    "renamed column": lambda name: RENAMED[name],
    "another unit": lambda name: UNITS[name],
    "rows twice": lambda name: ROWS[name](lambda them: [row for row in them for _ in range(2)]),
    "rows reordered": lambda name: ROWS[name](lambda them: them[::-1]),
}


def cases(*changes: str) -> Any:
    return pytest.mark.parametrize(
        ("name", "change"),
        [pytest.param(name, change, id=f"{change}-{name}") for change in changes for name in SOURCES],
    )


@dataclass(frozen=True)
class Outcome:
    """What a run with a changed answer left: the lake before and after, what failed, and what was put aside anew."""

    before: dict[str, str]
    after: dict[str, str]
    failures: list[Failure]
    quarantine_rows: set[tuple[str, str]]


@pytest.fixture(scope="module")
def outcomes(desks: Callable[[str], Desk], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Outcome]:
    @functools.cache
    def of(name: str, change: str) -> Outcome:
        desk = copied(desks(name), tmp_path_factory.mktemp("changed"))
        for body in desk.good().values():
            CHANGES[change](name)(body)  # a change that cannot be made is a fault of the test, not of the publisher
        before, known = desk.lake(), desk.quarantine_rows()
        done = desk.run(desk.publisher(says(CHANGES[change](name)), forever=True))
        failures = [failure for report in (done.fetched, *done.read) for failure in report.failures]
        return Outcome(before, desk.lake(), failures, desk.quarantine_rows() - known)

    return of


@cases(*CHANGES)
def test_an_answer_that_is_not_what_it_was_harms_no_row(
    name: str, change: str, outcomes: Callable[[str, str], Outcome]
) -> None:
    outcome = outcomes(name, change)
    assert outcome.after == outcome.before, "nothing is lost, and nothing is revised"


@cases("bot wall", "empty", "no rows", "renamed column", "another unit")
def test_an_answer_that_is_not_what_it_was_is_told(
    name: str, change: str, outcomes: Callable[[str, str], Outcome]
) -> None:
    outcome = outcomes(name, change)
    assert outcome.failures or outcome.quarantine_rows
    for failure in outcome.failures:
        assert failure.message.startswith(f"{name} {failure.request}: ")


@pytest.mark.parametrize("name", SOURCES)
def test_yesterdays_answer_takes_nothing_back(desk: Desk) -> None:
    """A cache somewhere on the way may give what was true a month ago."""
    before = desk.lake()
    month_ago = {body: desk.good(days_ago=31).get(url, body) for url, body in desk.good().items()}
    desk.run(desk.publisher(says(lambda good: month_ago[good])))
    assert desk.lake() == before
