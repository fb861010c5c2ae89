"""Inspection of responses: rejected ones are quarantined and change nothing, known ones pass
without inspection."""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import openpyxl
import pandas as pd
import pytest
from sandbox import Ingested, Sandbox, assert_same_rows

from pipelines.ingestion.extract import FetchReport
from pipelines.ingestion.inspection import parse, response, validator
from pipelines.sources import SOURCES
from pipelines.sources.base import Parsed, Payload, Request, Scope, SourceError
from pipelines.sources.protocol import Source
from pipelines.transports.demo import DemoTransport

MONTHS = ("2026-10", "2026-11")
FIRST, LATER, LAST = (f"2026-11-{day}T20:00:00Z" for day in (18, 19, 20))


WORKBOOK = "CMO-Historical-Data-Monthly.xlsx"
PAGE = Request("westmetall", "westmetall_lme_al_2026.html", "https://example.org", "AL", "2026")


def page(sandbox: Sandbox) -> bytes:
    """The demo market's page of the year, as a recording."""
    workspace = Sandbox(sandbox.root, "demo", sandbox.now).open()
    return DemoTransport(workspace.now, workspace.scope).fetch(PAGE)[-1].body


def in_thousands(body: bytes) -> bytes:
    """A page with its cash price in thousands of USD."""

    def smaller(match: re.Match[bytes]) -> bytes:
        return b"<td >%.4f</td>\n<td >" % (float(match[1].replace(b",", b"")) / 1000)

    return re.sub(rb"<td >([\d,.]+)</td>\n<td >", smaller, body)


def restated(body: bytes) -> bytes:
    """A page with four times the cash price: possible in a restated history, not by a change of unit."""
    return re.sub(
        rb"<td >([\d,.]+)</td>\n<td >",
        lambda m: b"<td >%.2f</td>\n<td >" % (float(m[1].replace(b",", b"")) * 4),
        body,
    )


def digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


@pytest.fixture
def sandbox(tmp_path: Path) -> Sandbox:
    """A sandbox with a good page, requested and stored."""
    sandbox = Sandbox(tmp_path, "replay", FIRST)
    sandbox.record(f"westmetall/{PAGE.name}", page(sandbox))
    assert fetched(sandbox).failures == []
    return sandbox


def fetched(sandbox: Sandbox) -> FetchReport:
    return sandbox.ingest(MONTHS, ["prices", "spreads"]).fetched["westmetall"]


@pytest.mark.slow
def test_a_refused_response_is_quarantined_and_the_lake_keeps_the_last_good_one(sandbox: Sandbox) -> None:
    stored = sandbox.open().lake.read("prices")
    later = sandbox.at(LATER)
    corrupted = in_thousands(page(later))
    later.record(f"westmetall/{PAGE.name}", corrupted)
    done = later.ingest(MONTHS, ["prices", "fx"])
    [failure] = done.fetched["westmetall"].failures
    assert failure.message.startswith(f"westmetall {PAGE.name}: cash_usd_t between ")
    assert "500 to 200,000 USD/t is plausible: has the unit changed?" in failure.message
    assert [f.message for f in done.read["prices"].failures] == [failure.message], (
        "every dataset finds it in the receipt"
    )
    assert done.read["fx"].failures == []
    assert later.open().lake.read("prices").equals(stored)

    [kept] = (later.data / "quarantine" / "payloads" / "westmetall").glob("*.html")
    assert kept.read_bytes() == corrupted
    about = json.loads(kept.with_suffix(".about.json").read_text())
    assert (about["request"], about["captured_at"]) == (PAGE.name, "2026-11-19T20:00:00+00:00")
    assert any(text in failure.message for text in about["findings"])
    assert later.open().quarantine.payloads() == {"westmetall": 1}
    assert later.open().quarantine.counts() == {}, "a response has no rows in quarantine"

    before = later.stored()
    assert fetched(later).failures == [failure], "the same response is rejected again"
    assert later.stored() == before, "and stored once"

    last = later.at(LAST)
    last.record(f"westmetall/{PAGE.name}", page(last))
    assert fetched(last).failures == []
    assert last.open().archive.receipt("westmetall", PAGE.name).error is None
    assert len(last.open().lake.read("prices")) == len(stored) + 2


@pytest.mark.slow
def test_a_refused_response_accepted_by_its_hash_lands_as_revisions(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = sandbox.open().lake.read("prices")
    later = sandbox.at(LATER)
    right = restated(page(later))
    later.record(f"westmetall/{PAGE.name}", right)
    monkeypatch.setenv("TIGHTNESS_ACCEPT", digest(b"another response")[:12])
    [failure] = fetched(later).failures
    assert "has the unit changed?" in failure.message
    assert failure.message.endswith(f"; if it is right: TIGHTNESS_ACCEPT={digest(right)[:12]})")
    [about] = (later.data / "quarantine" / "payloads" / "westmetall").glob("*.about.json")
    assert json.loads(about.read_text())["accept"] == f"TIGHTNESS_ACCEPT={digest(right)[:12]}"
    assert later.open().lake.read("prices").equals(stored), "the hash of another response accepts nothing"

    monkeypatch.setenv("TIGHTNESS_ACCEPT", f"{digest(b'another response')},{digest(right)[:12]}")
    done = later.ingest(MONTHS, ["prices", "spreads"])
    assert done.failures == []
    [warning] = done.fetched["westmetall"].warnings
    assert warning.message.startswith("accepted although cash_usd_t is 4 times what it was")
    rows = later.open().lake.read("prices")
    assert len(rows) == 2 * len(stored) + 1, "every row is revised, and a day is new"
    assert rows.merge(stored, on=list(stored.columns)).shape[0] == len(stored), "earlier knowledge is unchanged"

    monkeypatch.delenv("TIGHTNESS_ACCEPT")
    last = later.at(LAST)
    last.record(f"westmetall/{PAGE.name}", restated(page(last)))
    assert fetched(last).failures == [], "the next response is compared with the accepted one"
    last.record(f"westmetall/{PAGE.name}", page(last))
    assert "has the unit changed?" in fetched(last).failures[0].message


@pytest.mark.slow
def test_a_response_whose_bytes_always_change_is_accepted_from_quarantine(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some publishers write the current time into each response."""
    later, last = sandbox.at(LATER), sandbox.at(LAST)
    right = restated(page(later)) + b"<!-- at 20:00 -->"
    later.record(f"westmetall/{PAGE.name}", right)
    assert fetched(later).failures
    monkeypatch.setenv("TIGHTNESS_ACCEPT", digest(right))
    last.record(f"westmetall/{PAGE.name}", restated(page(last)) + b"<!-- at 21:00 -->")
    assert fetched(last).failures == []
    captures = last.open().archive.receipt("westmetall", PAGE.name).captures
    assert [capture.captured_at[:10] for capture in captures] == ["2026-11-18", "2026-11-19", "2026-11-20"]
    assert captures[1].sha256 == digest(right)

    last.record(f"westmetall/{PAGE.name}", page(last))
    [failure] = fetched(last).failures
    assert "has the unit changed?" in failure.message, "it was accepted once, which does not extend to later responses"


def test_an_unreadable_response_is_not_accepted(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    wall = b"<html><body>Checking your browser</body></html>"
    monkeypatch.setenv("TIGHTNESS_ACCEPT", digest(wall))
    later = sandbox.at(LATER)
    later.record(f"westmetall/{PAGE.name}", wall)
    [failure] = fetched(later).failures
    assert "no price table" in failure.message and "TIGHTNESS_ACCEPT" not in failure.message


@pytest.mark.slow
def test_an_older_page_that_returns_is_rejected(sandbox: Sandbox) -> None:
    """A cache between publisher and client returns archived bytes that are not the newest."""
    first, later, last = page(sandbox), sandbox.at(LATER), sandbox.at(LAST)
    later.record(f"westmetall/{PAGE.name}", page(later))
    assert fetched(later).failures == []
    stored = later.stored()
    last.record(f"westmetall/{PAGE.name}", first)
    [failure] = fetched(last).failures
    assert "an older page" in failure.message
    assert {name for name in last.stored() if name.startswith("lake/")} == {n for n in stored if n.startswith("lake/")}
    assert [len(c.sha256) for c in last.open().archive.receipt("westmetall", PAGE.name).captures] == [64, 64]
    last.record(f"westmetall/{PAGE.name}", page(last))
    assert fetched(last).failures == []


@pytest.mark.slow
def test_doctor_lists_refused_responses(sandbox: Sandbox) -> None:
    later = sandbox.at(LATER)
    later.record(f"westmetall/{PAGE.name}", page(later).replace(b"Cash-Settlement", b"Kasse"))
    report = later.ingest(MONTHS, ["prices"]).read["prices"]
    later.open().failures.record("prices", [*MONTHS], report.failures)
    code, lines, _ = later.call("doctor", "--json")
    findings = {finding["what"]: finding for finding in json.loads("\n".join(lines))}
    assert code == 1
    assert "is missing (found: date, LME Aluminium Kasse" in findings[f"westmetall {PAGE.name}"]["detail"]
    assert findings["refused responses of westmetall"]["state"] == "warn"


@pytest.mark.slow
def test_the_stored_line_of_a_hostile_row_is_bounded(sandbox: Sandbox) -> None:
    later = sandbox.at(LATER)
    hostile = re.sub(rb'(?<=<td class="last">)[\d,]+', "\u202e[red]".encode() * 100_000, page(later), count=1)
    later.record(f"westmetall/{PAGE.name}", hostile)
    assert later.ingest(MONTHS, ["stocks"]).failures == []
    [row] = later.open().quarantine.read("stocks").to_dict("records")
    for name in ("where", "raw", "reason"):
        assert len(row[name]) <= 2000 and row[name].isprintable()


@pytest.mark.slow
def test_an_unusual_response_is_stored_with_a_warning(sandbox: Sandbox) -> None:
    later = sandbox.at(LATER)
    wider = page(later).replace(b"stock</th>", b"stock</th><th>remark</th>")
    later.record(f"westmetall/{PAGE.name}", wider)
    report = fetched(later)
    assert report.failures == []
    [warning] = report.warnings
    assert warning.message == "column 'remark' is new"
    assert (warning.source, warning.request) == ("westmetall", PAGE.name)
    assert len(later.open().archive.load(PAGE)) == 2
    assert fetched(later.at(LAST)).warnings == [], "a warning is reported once"


def test_unchanged_bytes_are_not_inspected_again(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    def examined(*_: object) -> None:
        raise AssertionError("examined")

    monkeypatch.setattr(validator, "inspect", examined)
    assert fetched(sandbox.at(LATER)).payloads == 1
    sandbox.record(f"westmetall/{PAGE.name}", page(sandbox) + b"\n")
    with pytest.raises(AssertionError, match="examined"):
        fetched(sandbox.at(LAST))


@pytest.mark.slow
def test_a_part_of_a_recording_that_comes_later_removes_nothing(real: Path, tmp_path: Path) -> None:
    """Two recorded days of one month are two parts of its response, whichever comes first."""
    sandbox = Sandbox(tmp_path, "replay", "2025-01-10T00:00:00Z")
    months = ("2024-12", "2024-12")
    [recorded] = (real / "payloads" / "energy_charts").glob("price_DE-LU_20241208*.json")
    day = json.loads(recorded.read_text())
    sandbox.record("energy_charts/price_DE-LU_20241208.json", recorded)
    assert sandbox.ingest(months, ["power"]).failures == []
    day["unix_seconds"] = [second + 86_400 for second in day["unix_seconds"]]
    sandbox.record("energy_charts/price_DE-LU_20241209.json", json.dumps(day))
    later = sandbox.at("2025-01-11T00:00:00Z")
    assert later.ingest(months, ["power"]).failures == []
    assert later.open().lake.read("power")["delivery_date"].dt.day.unique().tolist() == [8, 9]


@pytest.mark.slow
@pytest.mark.parametrize("first", ["2025-01", pytest.param("2008-01", marks=pytest.mark.exhaustive)])
def test_the_demo_market_has_no_findings(tmp_path: Path, first: str) -> None:
    """Every request of every source to 2026, and the next day's after it."""
    today = Sandbox(tmp_path, "demo", FIRST)
    for sandbox, months in ((today, (first, "2026-11")), (today.at(LATER), MONTHS)):
        done = sandbox.ingest(months)
        assert {name: [*r.failures, *r.warnings] for name, r in done.fetched.items() if r.failures or r.warnings} == {}
        assert done.failures == []


# --- one series of several


def sheet(copper: float = 1.0, copper_unit: str = "($/mt)", months: int = 30) -> bytes:
    """A workbook with monthly means of two metals; the copper price is multiplied."""
    book = openpyxl.Workbook()
    book.active.title = "Monthly Prices"
    book.active.append(["", "Aluminum", "Copper"])
    book.active.append(["", "($/mt)", copper_unit])
    for number, month in enumerate(pd.period_range("2024-01", periods=months, freq="M")):
        book.active.append([f"{month.year}M{month.month:02d}", 2400.0 + number, (9000.0 + number) * copper])
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


@pytest.fixture
def two_metals(tmp_path: Path) -> Sandbox:
    """A sandbox of two metals with a good workbook, requested and stored."""
    sandbox = Sandbox(tmp_path, "replay", "2026-06-18T20:00:00Z")
    metals = sandbox.reference() / "metals.csv"
    copper = "CU,Copper,25,Cu,Copper,,(?i)unwrought copper,7403,铜,2008-01-01,FACT,LME contract specification\n"
    metals.write_text(metals.read_text() + copper)
    parameters = pd.read_csv(sandbox.reference() / "parameters.csv", dtype=str, keep_default_na=False)
    own = parameters[parameters["metal"] == "AL"].assign(metal="CU")
    pd.concat([parameters, own]).to_csv(sandbox.reference() / "parameters.csv", index=False)
    sandbox.record(f"worldbank/{WORKBOOK}", sheet(months=28))
    assert loaded(sandbox).failures == []
    return sandbox


def loaded(sandbox: Sandbox) -> Ingested:
    return sandbox.ingest(("2024-01", "2026-06"), ["benchmark_prices"])


def newest(sandbox: Sandbox) -> dict[str, tuple[str, float]]:
    rows = sandbox.open().lake.read("benchmark_prices", as_of=sandbox.open().now)
    last = rows.sort_values("period_end").drop_duplicates("metal", keep="last")
    return {row.metal: (f"{row.period_end:%Y-%m}", row.mean_usd_t) for row in last.itertuples()}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (sheet(copper_unit="($/kg)"), "column 'Copper' of 'Monthly Prices' is in '($/kg)'; expected ($/mt)"),
        (sheet(copper=0.001), "CU WORLD_BANK: mean_usd_t between 9 and 9.029, 200 to 200,000 USD/t is plausible"),
        (sheet(copper=7.2), "CU WORLD_BANK: mean_usd_t is 7.2 times what it was on the same 28 rows"),
        (sheet(), ""),
    ],
    ids=["unit", "thousandth", "other currency", "good"],
)
def test_a_faulty_series_of_several_is_refused_alone(two_metals: Sandbox, body: bytes, problem: str) -> None:
    later = two_metals.at("2026-07-10T20:00:00Z")
    later.record(f"worldbank/{WORKBOOK}", body)
    for _ in range(2):  # the same response again is the same failure
        done = loaded(later)
        assert newest(later)["AL"] == ("2026-06", 2429.0)
        if not problem:
            assert (done.failures, newest(later)["CU"]) == ([], ("2026-06", 9029.0))
            continue
        [failure] = done.fetched["worldbank"].failures
        assert problem in failure.message
        assert (
            "(only CU WORLD_BANK refused, the rest is stored; kept as quarantine/payloads/worldbank/" in failure.message
        )
        assert [one.message for one in done.read["benchmark_prices"].failures] == [failure.message]
        assert newest(later)["CU"] == ("2026-04", 9027.0)


@pytest.mark.slow
def test_a_refused_series_that_the_user_accepts_is_loaded(two_metals: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    later = two_metals.at("2026-07-10T20:00:00Z")
    body = sheet(copper=7.2)
    later.record(f"worldbank/{WORKBOOK}", body)
    assert loaded(later).failures != []
    monkeypatch.setenv("TIGHTNESS_ACCEPT", digest(body)[:12])
    assert loaded(later).failures == []
    assert newest(later)["CU"] == ("2026-06", pytest.approx(9029.0 * 7.2))
    monkeypatch.delenv("TIGHTNESS_ACCEPT")
    assert loaded(later).failures == []


@pytest.mark.slow
def test_a_refused_series_comes_back_with_the_next_good_response(two_metals: Sandbox) -> None:
    bad, good = two_metals.at("2026-07-10T20:00:00Z"), two_metals.at("2026-07-11T20:00:00Z")
    bad.record(f"worldbank/{WORKBOOK}", sheet(copper=0.001))
    loaded(bad)
    good.record(f"worldbank/{WORKBOOK}", sheet())
    assert loaded(good).failures == []
    rows = good.open().lake.read("benchmark_prices")
    copper = rows[(rows["metal"] == "CU") & (rows["period_end"] >= "2026-05")]
    assert copper["mean_usd_t"].tolist() == [9028.0, 9029.0]
    assert copper["knowledge_ts"].max() <= pd.Timestamp(good.now)


@pytest.mark.slow
def test_a_fault_of_most_series_refuses_the_response(two_metals: Sandbox) -> None:
    later = two_metals.at("2026-07-10T20:00:00Z")
    book = openpyxl.load_workbook(io.BytesIO(sheet()))
    book.active["B2"] = book.active["C2"] = "($/kg)"
    file = io.BytesIO()
    book.save(file)
    later.record(f"worldbank/{WORKBOOK}", file.getvalue())
    [failure] = loaded(later).fetched["worldbank"].failures
    assert "(refused, stored data is unchanged" in failure.message
    assert newest(later)["AL"] == ("2026-04", 2427.0)


@pytest.mark.slow
def test_a_refused_series_is_compared_with_its_last_good_values(two_metals: Sandbox) -> None:
    for day, factor in ((10, 7.2), (11, 7.3)):
        later = two_metals.at(f"2026-07-{day}T20:00:00Z")
        later.record(f"worldbank/{WORKBOOK}", sheet(copper=factor))
        [failure] = loaded(later).fetched["worldbank"].failures
        assert f"mean_usd_t is {factor} times what it was on the same 28 rows" in failure.message
        assert newest(later)["CU"] == ("2026-04", 9027.0)


@pytest.mark.slow
def test_levels_of_every_series_refuse_the_response(two_metals: Sandbox) -> None:
    later = two_metals.at("2026-07-10T20:00:00Z")
    book = openpyxl.load_workbook(io.BytesIO(sheet(copper=0.001)))
    for (cell,) in book.active["B3:B32"]:
        cell.value /= 1000
    file = io.BytesIO()
    book.save(file)
    later.record(f"worldbank/{WORKBOOK}", file.getvalue())
    [failure] = loaded(later).fetched["worldbank"].failures
    assert "(refused, stored data is unchanged" in failure.message


# --- work that is done once


@pytest.fixture
def parses(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Number of times that each response is parsed, by source and file name, in a process that has parsed none."""
    counted: Counter[str] = Counter()

    def counting(name: str, parse: Callable[[Source, Payload, Scope], Parsed]) -> Callable[..., Parsed]:
        def counted_parse(self: Source, payload: Payload, scope: Scope) -> Parsed:
            counted[f"{name} {payload.request.name} {payload.captured_at}"] += 1
            return parse(self, payload, scope)

        return counted_parse

    for name, source in SOURCES.items():
        monkeypatch.setattr(type(source), "parse", counting(name, type(source).parse))
    monkeypatch.setattr(response, "_CACHE", response._Cache())
    return counted


@pytest.mark.slow
def test_a_response_is_parsed_once_and_the_same_bytes_never_again(
    tmp_path: Path, parses: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page of a year is in three datasets and twelve months, a workbook in all; a rerun is another process."""
    first = Sandbox(tmp_path, "demo", "2026-11-20T20:00:00Z")
    done = first.ingest(("2026-09", "2026-11"))
    assert done.failures == []
    lines = [line for path in (first.data / "raw").glob("*/receipts.jsonl") for line in path.read_text().splitlines()]
    captures = [capture for line in lines for capture in json.loads(line)["captures"]]
    assert len(captures) > 20
    assert (len(parses), set(parses.values())) == (len(captures), {1})

    parses.clear()
    monkeypatch.setattr(response, "_CACHE", response._Cache())
    assert first.ingest(("2026-09", "2026-11")).failures == []
    assert parses == Counter()


@pytest.mark.slow
def test_of_daily_captures_only_the_new_one_and_the_one_before_are_parsed(
    tmp_path: Path, parses: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lake and the quarantine are those of runs that load every capture each day. A row of the 4th comes late."""
    datasets = ["prices", "stocks", "equities"]
    days, months = ["2025-11-06", "2025-11-07", "2025-11-10"], ("2025-10", "2025-11")
    daily, whole = (Sandbox(tmp_path / name, "demo", f"{days[0]}T20:00:00Z") for name in ("daily", "whole"))
    for day in days:
        for sandbox in (whole, daily):
            parses.clear()
            monkeypatch.setattr(response, "_CACHE", response._Cache())
            if sandbox is whole:
                for name in datasets:
                    sandbox.open().lake.ledger(name).unlink(missing_ok=True)
            assert sandbox.at(f"{day}T20:00:00Z").ingest(months, datasets).failures == []
    assert set(parses.values()) == {1}
    assert {request.split()[-2] for request in parses} == set(days[-2:])
    assert_same_rows(daily.rows(datasets), whole.rows(datasets))

    parses.clear()
    monkeypatch.setattr(response, "_CACHE", response._Cache())
    daily.set_parameters(rank_min_periods=5)
    assert daily.at(f"{days[-1]}T20:00:00Z").ingest(months, datasets).failures == []
    assert {request.split()[-2] for request in parses} == set(days), "with other reference tables all are loaded"


def test_a_response_without_rows_is_parsed_once(
    sandbox: Sandbox, parses: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error of a parser is a result too."""
    payload = Payload(PAGE, b"<html></html>", datetime(2026, 11, 20, tzinfo=UTC))
    for _ in range(2):
        with pytest.raises(SourceError) as raised:
            parse(payload, sandbox.open().scope)
    assert list(parses.values()) == [1]
    assert raised.value.__traceback__ is not None
    assert raised.value.__traceback__.tb_next is not None
    assert raised.value.__traceback__.tb_next.tb_next is None  # not that of the parser

    monkeypatch.setattr(response, "CACHE_BYTES", len(payload.body))
    parse(replace(payload, body=page(sandbox)), sandbox.open().scope)  # takes the place of the smaller one
    with pytest.raises(SourceError):
        parse(payload, sandbox.open().scope)
    assert sorted(parses.values()) == [3]
