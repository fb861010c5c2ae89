"""Responses against the contract of their source: good ones pass, and each kind of corruption is found and reported."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatch
from pathlib import Path

import pandas as pd
import pytest
from sourcing import COPPER, SCOPE, payload

from pipelines.ingestion.inspection import Finding, ParsedResponse, inspect
from pipelines.sources import SOURCES
from pipelines.sources.base import NoData, Parsed, Payload, Request, Scope, Zone
from pipelines.transports.demo import DemoTransport

NOW = datetime(2026, 11, 20, 20, tzinfo=UTC)
# The demo market has power in Germany and France, the recordings in Belgium.
MARKET = replace(SCOPE, zones=(*SCOPE.zones[:1], Zone("FR", "10YFR-RTE------C", "Europe/Paris", "entsoe")))
EVERYTHING = replace(MARKET, zones=(*SCOPE.zones, MARKET.zones[1]))
# SMARD replaces another source in one month, and Shanghai's report begins late.
ANSWERED = {"smard": "2019-10", "shfe": "2026-03"}


@functools.cache
def response(*payloads: Payload) -> ParsedResponse:
    return ParsedResponse(payloads, EVERYTHING)


def found(new: Payload, before: Payload | None = None, *, same: bool = True) -> list[Finding]:
    return inspect(response(new), response(before) if before else None, same_request=same)


def texts(findings: list[Finding], severity: str = "error") -> list[str]:
    return [finding.text for finding in findings if finding.severity == severity]


@functools.cache
def good(source: str, month: str = "", now: datetime = NOW) -> Payload:
    """The demo market's first response to what a month needs."""
    for request in SOURCES[source].requests(pd.Period(month or ANSWERED.get(source, "2024-05"), "M"), MARKET):
        try:
            return DemoTransport(now, MARKET).fetch(request)[-1]
        except NoData:
            continue
    raise AssertionError(f"{source} has no response")


def corrupted(good: Payload, change: Callable[[str], str]) -> Payload:
    text = change(good.body.decode())
    assert text != good.body.decode(), "nothing was changed"
    return replace(good, body=text.encode())


# --- what must pass


@pytest.mark.parametrize("name", SOURCES)
def test_a_good_response_and_its_repetition_have_no_findings(name: str) -> None:
    one = good(name)
    assert found(one) == []
    assert found(one, one) == []


@pytest.mark.slow
def test_every_recorded_response_passes(real: Path) -> None:
    folder = real / "payloads"
    requested = [
        *(payload("westmetall", p, p.stem[-4:], "AL", p.name) for p in sorted((folder / "westmetall").iterdir())),
        payload("worldbank", folder / "worldbank" / "CMO-Historical-Data-Monthly.xlsx"),
        payload("ember", next((folder / "ember").iterdir())),
        payload("fred", folder / "fred" / "PALUMUSDM.csv", entity="AL"),
        payload("comtrade", folder / "comtrade" / "canada_x_7601_202401.rows.json", "2024-01", "CA/AL"),
        payload("energy_charts", next((folder / "energy_charts").iterdir()), "2024-12", "DE-LU"),
        *(payload("entsoe", p, "2024-10", name=p.name) for p in sorted((folder / "entsoe").iterdir())),
    ]
    assert len(requested) >= 14
    before: dict[str, Payload] = {}
    for one in requested:
        same_series = before.get(one.request.source) if one.request.source == "westmetall" else None
        assert texts(found(one, same_series, same=False)) == [], one.request.name
        before[one.request.source] = one


def test_a_part_of_a_month_of_power_is_only_a_warning(real: Path) -> None:
    """The recorded day is the eighth: a recording in parts, of which any may be missing."""
    day = payload("energy_charts", next((real / "payloads/energy_charts").iterdir()), "2024-12", "DE-LU")
    [stale] = found(day)
    assert (stale.severity, "newest day 2024-12-08 is 23 days before the end of 2024-12" in stale.text) == (
        "warning",
        True,
    )


def test_early_january_with_two_rows_and_an_empty_table_pass() -> None:
    early = good("westmetall", "2026-01", datetime(2026, 1, 6, 12, tzinfo=UTC))
    assert early.body.count(b". January 2026") == 2
    assert found(early) == []
    empty = corrupted(early, lambda page: re.sub(r"<tbody>.*</tbody>", "<tbody></tbody>", page, flags=re.DOTALL))
    with pytest.raises(NoData):
        SOURCES["westmetall"].parse(empty, SCOPE)
    assert found(empty) == []


def test_real_jumps_pass() -> None:
    """Cash down 12 % and stock up 88 % in a day, a power price of 4,000 and one of -500."""
    page = good("westmetall")
    rows = re.findall(r"<td >([\d,.]+)</td>\n<td >([\d,.]+)</td>\n<td class=\"last\">([\d,]+)</td>", page.body.decode())
    cash, m3, stock = rows[40]
    jump = corrupted(
        page,
        lambda text: text.replace(
            f'<td >{cash}</td>\n<td >{m3}</td>\n<td class="last">{stock}</td>',
            f"<td >{float(cash.replace(',', '')) * 0.88:,.2f}</td>\n<td >{m3}</td>\n"
            f'<td class="last">{int(stock.replace(",", "")) * 1.88:,.0f}</td>',
        ),
    )
    assert found(jump, page) == []
    power = good("energy_charts")
    prices = json.loads(power.body)
    prices["price"][100:103] = [4000.0, -500.0, 0.0]
    assert found(replace(power, body=json.dumps(prices).encode()), power) == []


def test_copper_passes_with_the_same_limits() -> None:
    scope = replace(SCOPE, metals=(*SCOPE.metals, COPPER))
    source = SOURCES["westmetall"]
    for request in source.requests(pd.Period("2024-05", "M"), scope):
        assert inspect(ParsedResponse(DemoTransport(NOW, scope).fetch(request)[-1:], scope)) == []


# --- columns


def test_a_missing_column_is_reported_with_the_columns_found() -> None:
    findings = found(corrupted(good("westmetall"), lambda page: page.replace("Cash-Settlement", "Kasse")))
    assert "column '*Cash-Settlement' is missing (found: date, LME Aluminium Kasse, LME Aluminium 3-month" in " ".join(
        texts(findings)
    )
    nyfed = found(corrupted(good("nyfed"), lambda text: text.replace("percentRate", "rate")))
    assert any(text.startswith("column 'refRates.percentRate' is missing") for text in texts(nyfed))
    ecb = found(corrupted(good("ecb"), lambda text: text.replace("OBS_VALUE", "VALUE")))
    assert any(text.startswith("column 'OBS_VALUE' is missing") for text in texts(ecb))
    energy = found(corrupted(good("energy_charts"), lambda text: text.replace('"price"', '"prices"')))
    assert any(text.startswith("column 'price' is missing (found: license_info") for text in texts(energy))


def test_a_new_or_optional_column_is_only_a_warning() -> None:
    page = good("fred")
    wider = corrupted(page, lambda text: text.replace("SYNTHETIC DEMO DATA", "SYNTHETIC DEMO DATA,SOFR30DAYAVG"))
    assert found(wider, page) == [Finding("warning", "column 'SOFR30DAYAVG' is new")]
    assert found(page, wider) == [Finding("warning", "column 'SOFR30DAYAVG' is missing")]
    assert found(wider) == [], "without a previous response nothing is new"


def test_a_changed_type_is_reported() -> None:
    text = corrupted(
        good("energy_charts"),
        lambda body: re.sub(
            r'"price":\[(.*?)\]', lambda m: '"price":[' + ",".join(f'"{x} EUR"' for x in m[1].split(",")) + "]", body
        ),
    )
    errors = texts(found(text))
    assert "column 'price' changed from number to text" in errors
    assert any("rows cannot be read, the first: price_eur_mwh" in one for one in errors)
    page = corrupted(
        good("westmetall"), lambda body: re.sub(r"<td >(\d\d)\. (\w+) (\d{4})</td>", r"<td >\2 \1, \3</td>", body)
    )
    assert "column 'date' changed from date to text" in texts(found(page))


# --- rows


def keep(page: Payload, which: slice) -> Payload:
    """A page with some of its rows, newest first."""
    rows = re.findall(r"<tr>\n<td >.*?</tr>", page.body.decode(), flags=re.DOTALL)
    kept = set(rows[which])
    return corrupted(
        page, lambda text: re.sub(r"<tr>\n<td >.*?</tr>", lambda m: m[0] if m[0] in kept else "", text, flags=re.DOTALL)
    )


def test_a_cut_page_has_too_few_days() -> None:
    [error] = texts(found(keep(good("westmetall", "2023-05"), slice(12))))
    assert re.fullmatch(r"AL: 12 business days, 23\d to 26\d are usual from 2023-01-01 to 2023-12-29", error)


def test_a_gap_is_reported_with_its_ends() -> None:
    page = good("westmetall", "2023-05")
    rows = page.body.decode().count('<td class="last">')
    whole = keep(page, slice(0, rows // 2))
    assert texts(found(whole)), "half a year"
    dates = re.findall(r"<td >(\d\d\. \w+ \d{4})</td>", page.body.decode())
    gone = set(dates[100:112])
    hole = corrupted(
        page,
        lambda text: re.sub(
            r"<tr>\n<td >(.*?)</td>.*?</tr>", lambda m: "" if m[1] in gone else m[0], text, flags=re.DOTALL
        ),
    )
    [error] = [text for text in texts(found(hole)) if "nothing between" in text]
    assert "13 business days apart, 10 are usual at most" in error


def test_too_many_days_are_reported() -> None:
    """Every calendar day instead of every business day."""
    rates = json.loads(good("nyfed", "2023-05").body)
    days = pd.date_range("2023-01-01", "2023-12-31")
    rates["refRates"] = [{"effectiveDate": str(day.date()), "type": "SOFR", "percentRate": 5.0} for day in days]
    [error] = texts(found(replace(good("nyfed", "2023-05"), body=json.dumps(rates).encode())))
    assert error.startswith("SOFR: 365 business days, 2")


def test_the_page_of_yesterday_is_rejected_and_an_old_one_is_a_warning() -> None:
    today = good("westmetall", "2026-11")
    yesterday = replace(good("westmetall", "2026-11", NOW - timedelta(days=1)), captured_at=NOW)
    assert found(today, yesterday) == []
    assert "prices AL: an older page, newest day 2026-11-18; the previous response ends on 2026-11-19" in texts(
        found(yesterday, today)
    )
    old = replace(good("westmetall", "2026-11", NOW - timedelta(days=21)), captured_at=NOW)
    assert texts(found(old), "warning") == ["AL: newest day 2026-10-29 is 16 business days old"]
    assert texts(found(old)) == []


def test_lost_rows_are_counted() -> None:
    page = good("westmetall", "2026-11")
    fewer = keep(page, slice(0, -30))
    assert any(
        re.match(r"prices AL: 30 of \d+ days of the previous response are missing, first 2026-01-02", t)
        for t in texts(found(fewer, page))
    )
    assert texts(found(keep(page, slice(1, None)), page))[0].startswith("prices AL: an older page")
    middle = re.findall(r"<tr>\n<td >.*?</tr>", page.body.decode(), flags=re.DOTALL)[50]
    assert found(corrupted(page, lambda text: text.replace(middle, "")), page) == [], (
        "a single withdrawn row is a revision"
    )


def test_a_response_that_became_empty_is_rejected() -> None:
    full = good("nyfed", "2026-11")
    empty = replace(full, body=b'{"refRates": []}')
    [error] = found(empty, full)
    assert (error.severity, error.text) == (
        "error",
        f"the response is empty; the previous one has {len(response(full).frames['rates'])} rows",
    )
    assert found(empty) == []
    assert found(empty, full, same=False) == [], "the next year has not begun"


def test_a_whole_history_is_never_empty_even_as_the_first_response() -> None:
    for name in ("ember", "fred"):
        header = replace(good(name), body=good(name).body.splitlines(keepends=True)[0])
        assert texts(found(header)) == ["the response is empty; expected the whole history"]


def test_repeated_and_reordered_rows_are_the_same_response() -> None:
    page = good("westmetall")
    rows = re.findall(r"<tr>\n<td >.*?</tr>", page.body.decode(), flags=re.DOTALL)
    twice = corrupted(page, lambda text: text.replace(rows[3], rows[3] + rows[3]))
    turned = corrupted(page, lambda text: text.replace("\n".join(rows[:2]), "\n".join(reversed(rows[:2]))))
    for one in (twice, turned):
        assert found(one, page) == []
        for name, frame in response(page).frames.items():
            pd.testing.assert_frame_equal(response(one).frames[name], frame)


# --- units


def scaled(page: Payload, column: int, factor: float) -> Payload:
    """A Westmetall page with one column (0 cash, 1 three months, 2 stock) in another unit."""

    def change(match: re.Match[str]) -> str:
        cells = [*match.groups()]
        cells[column] = f"{float(cells[column].replace(',', '')) * factor:,.4f}"
        return f'<td >{cells[0]}</td>\n<td >{cells[1]}</td>\n<td class="last">{cells[2]}</td>'

    pattern = r"<td >([\d,.]+)</td>\n<td >([\d,.]+)</td>\n<td class=\"last\">([\d,]+)</td>"
    return corrupted(page, lambda text: re.sub(pattern, change, text))


@pytest.mark.parametrize("factor", [0.001, 0.01, 1000])
def test_prices_in_another_unit_need_no_history(factor: float) -> None:
    errors = texts(found(scaled(good("westmetall", "2023-05"), 0, factor)))
    assert any(
        re.match(r"cash_usd_t between [\d.,e+]+ and .*, 500 to 200,000 USD/t is plausible: has the unit", e)
        for e in errors
    )


def test_stock_in_another_unit_is_found_by_the_previous_response() -> None:
    page, last_year = good("westmetall", "2026-11"), good("westmetall", "2025-05")
    kilotonnes = scaled(page, 2, 0.001)
    assert texts(found(kilotonnes)) == [], "another metal has so few tonnes"
    [error] = texts(found(kilotonnes, page))
    assert re.fullmatch(r"total_t is 0.001 times what it was on the same \d+ rows: has the unit changed\?", error)
    [error] = texts(found(kilotonnes, last_year, same=False))
    assert error.startswith("total_t AL is about ") and error.endswith(
        "in the previous response: has the unit changed?"
    )
    assert found(page, last_year, same=False) == []


def test_rates_as_fractions_and_power_in_kilowatt_hours() -> None:
    rates = good("nyfed", "2024-05")
    fractions = corrupted(
        rates, lambda text: re.sub(r'"percentRate": ([\d.]+)', lambda m: f'"percentRate": {float(m[1]) / 100}', text)
    )
    [error] = texts(found(fractions, rates))
    assert error.startswith("rate_pct is 0.01 times what it was")
    power = good("energy_charts")
    answered = json.loads(power.body)
    for factor, message in ((0.001, "price_eur_mwh between"), (100, "price_eur_mwh between")):
        other = {**answered, "price": [price * factor for price in answered["price"]]}
        assert any(e.startswith(message) for e in texts(found(replace(power, body=json.dumps(other).encode()))))


def prices_times(power: Payload, factor: float, days: int = 31) -> Payload:
    """The first days of a month of power at another level."""
    answered = json.loads(power.body)
    kept = days * 24
    answered |= {
        "unix_seconds": answered["unix_seconds"][:kept],
        "price": [p * factor for p in answered["price"][:kept]],
    }
    return replace(power, body=json.dumps(answered).encode())


def test_a_day_of_low_power_prices_is_no_change_of_unit() -> None:
    """A first day with prices near zero passes; a whole month of such days is another unit."""
    month, before = (
        good("energy_charts", "2024-01", datetime(2024, 1, 1, 14, tzinfo=UTC)),
        good("energy_charts", "2023-12"),
    )
    assert texts(found(prices_times(month, 0.02, days=1), before, same=False)) == []
    [error] = texts(found(prices_times(good("energy_charts", "2024-01"), 0.02), before, same=False))
    assert "in the previous response: has the unit changed?" in error


def test_a_single_figure_may_be_revised_by_more_than_a_history() -> None:
    """The first figure of a country's month may be partial; grams for kilograms are still found."""
    first = good("comtrade")

    def weighed(factor: float) -> Payload:
        return corrupted(
            first, lambda body: re.sub(r'"netWgt":([\d.]+)', lambda m: f'"netWgt":{float(m[1]) * factor}', body)
        )

    assert texts(found(first, weighed(0.1))) == []
    assert any("has the unit changed?" in text for text in texts(found(first, weighed(0.001))))


def test_a_share_split_is_no_change_of_unit() -> None:
    closes = good("yahoo", "2026-11")
    split = corrupted(
        closes,
        lambda text: re.sub(
            r'"close":\[(.*?)\]',
            lambda m: '"close":[' + ",".join(str(float(x) / 20) for x in m[1].split(",")) + "]",
            text,
            count=1,
        ),
    )
    assert found(split, closes) == []


def test_exports_in_tonnes() -> None:
    table = good("customs")
    tonnes = corrupted(table, lambda text: text.replace("10000T", "100000000T"))
    assert any(e.startswith("exports_kt between") for e in texts(found(tonnes)))


@pytest.mark.parametrize("name", SOURCES)
def test_each_field_of_a_contract_is_in_the_response(name: str) -> None:
    """A pattern without a match would reject every response, a shape without columns would reject none."""
    contract, shape = SOURCES[name].CONTRACT, SOURCES[name].CONTRACT.shape(good(name))
    assert shape or name == "shfe", "one block for each metal, not columns"
    for pattern, kind in contract.fields.items():
        assert kind in {shape[column] for column in shape if fnmatch(column.lower(), pattern.lower())}


def test_an_unknown_metal_is_reported() -> None:
    """The parser rejects a payload whose metal is not in scope, and the finding names the metal."""
    page = good("westmetall")
    other = replace(page, request=Request("westmetall", "x", "https://example.org", "XX", "2024"))
    assert any("metal 'XX' is not known" in text for text in texts(found(other)))


# --- hostile responses

SLOW = dict.fromkeys(("ten megabytes", "a name of megabytes", "control characters"), pytest.mark.slow)
HOSTILE = {
    "ten megabytes": b"<!DOCTYPE html><html><body>" + b"<div class='x'>Checking</div>" * 360_000,
    "nested": b'{"a":' * 900 + b"1" + b"}" * 900,
    "a name of megabytes": b'{"' + b"k" * 3_000_000 + b'":1}',
    "control characters": b"observation_date\x1b[31m,\x07" + b"x" * 2_000_000 + b"\n1,2\n",
    "an integer without end": b'{"refRates":[{"effectiveDate":"2024-05-01","type":"SOFR","percentRate":%s}],'
    b'"values":{"2024-05-01":{"\xe9\x93\x9d":[%s,1,1]}}}' % (b"9" * 400, b"9" * 400),
}


@pytest.mark.parametrize(
    "what",
    [pytest.param(name, marks=[pytest.mark.slow] if len(body) > 2**20 else []) for name, body in HOSTILE.items()],
)
def test_hostile_responses_give_short_messages_of_one_line(what: str) -> None:
    for name in SOURCES:
        corrupted = replace(good(name), body=HOSTILE[what])
        findings = found(corrupted, good(name))
        assert texts(findings), name
        assert all(len(one.text) <= 500 and one.text.isprintable() for one in findings), name


def test_an_exception_of_a_parser_rejects_the_response_with_a_message(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of this program, which must not end the run of the other responses."""

    def broken(_: Payload, scope: Scope) -> Parsed:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr("pipelines.ingestion.inspection.response.parse", broken)
    other = replace(good("ecb"), captured_at=good("ecb").captured_at + timedelta(seconds=1))  # not parsed before
    [error] = texts(found(other))
    assert error.startswith("its parser failed (ZeroDivisionError: division by zero), which is a fault of this program")
