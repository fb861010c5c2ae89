"""Rules for every source, and the parsing functions that they share."""

from __future__ import annotations

import datetime as dt
from importlib import import_module
from pkgutil import iter_modules
from urllib.parse import urlsplit

import pandas as pd
import pytest
from sourcing import BOT_WALL, SCOPE, month, payload

from pipelines import sources
from pipelines.datasets import FEEDS, OPTIONAL_SOURCES
from pipelines.sources import SOURCES
from pipelines.sources.base import Scope, SourceError
from pipelines.sources.parsing import Rows, dtypes, excerpt, html_root, iso_date, json_number, number, table_cells
from pipelines.sources.protocol import IndexedSource
from schemas.datasets import DATASETS
from schemas.fields import LICENCES

ENTITY = {
    "westmetall": "AL", "energy_charts": "DE-LU", "smard": "DE-LU", "entsoe": "BE", "comtrade": "CA/AL", "yahoo": "AA",
    "cftc": "191691",
}  # fmt: skip


def test_every_module_with_a_source_is_registered_and_declared_so_that_mypy_checks_it():
    modules = {name: import_module(f"pipelines.sources.{name}") for _, name, _ in iter_modules(sources.__path__)}
    declared = {
        name: module.__annotations__.get("SOURCE") for name, module in modules.items() if hasattr(module, "SOURCE")
    }
    assert declared == dict.fromkeys(SOURCES, "Final[Source]")


def test_feeds_and_sources_have_the_same_datasets():
    fed = {(dataset, name) for dataset, feed in FEEDS.items() for name in feed.sources}
    assert fed == {(dataset, name) for name, source in SOURCES.items() for dataset in source.DATASETS}


def test_names_and_licences():
    for name, source in SOURCES.items():
        assert name == source.NAME
        assert source.TITLE
        assert source.LICENCE in LICENCES
    closed = {name for name, source in SOURCES.items() if source.LICENCE != "OPEN"}
    assert closed >= {"westmetall", *OPTIONAL_SOURCES}, "as their terms require"


@pytest.mark.parametrize("name", SOURCES)
def test_the_requests_of_a_year_are_distinct(name):
    year = pd.period_range("2024-01", "2024-12", freq="M")
    requested = [request for m in year for request in SOURCES[name].requests(m, SCOPE)]
    # SMARD has one response a week, and a year needs 53 of them; the others have one for each period of a request.
    responses = 53 if name == "smard" else len({(request.entity, request.period) for request in requested})
    assert len(set(requested)) == responses
    for request in requested:
        assert request.source == name
        assert request.url.startswith("http")
        assert "token" not in request.url.lower()
    assert len({request.url for request in requested}) == len(set(requested)), "no address is requested twice"
    assert len({request.name for request in requested}) == len(set(requested)), "a name is a file name: unique"


@pytest.mark.parametrize("name", SOURCES)
def test_every_address_is_on_a_host_of_the_source(name):
    access = SOURCES[name].ACCESS
    requested = list(SOURCES[name].requests(month("2026-05"), SCOPE))
    if isinstance(SOURCES[name], IndexedSource):
        requested += [page for request in requested for page in SOURCES[name].listings(request)]
    assert requested
    for request in requested:
        address = urlsplit(request.url)
        assert address.hostname in access.hosts
        assert address.scheme == "https" or (access.plain_http and address.scheme == "http")
    assert access.per_second > 0 and access.max_concurrent >= 1 and access.backoff_s > 0


@pytest.mark.parametrize("name", SOURCES)
def test_an_empty_scope_is_no_error(name):
    assert isinstance(SOURCES[name].requests(month("2024-05"), Scope((), ())), list)


@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.parametrize("body", [BOT_WALL, b"", b"\xff\xfe\x00", b"{", b"[]", b"<html></html>"], ids=range(6))
def test_an_unexpected_response_is_one_precise_error(name, body):
    if (name, body) in {("ecb", b""), ("cftc", b"[]")}:
        pytest.skip("the publisher's way to state that it has nothing: test_absent.py")
    response = payload(name, body, period="2024", entity=ENTITY.get(name, ""), name="the_request")
    with pytest.raises(SourceError) as caught:
        SOURCES[name].parse(response, SCOPE)
    assert str(caught.value).startswith(f"{name} the_request: ")
    assert caught.value.problem
    assert len(caught.value.expected) > 10
    assert len(str(caught.value)) < 500


def test_the_page_of_a_bot_protection_is_quoted():
    with pytest.raises(SourceError, match="Just a moment"):
        SOURCES["nyfed"].parse(payload("nyfed", BOT_WALL), SCOPE)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1,978.00", 1978.0),
        ("-3.1", -3.1),
        ("0", 0.0),
        ("1,345,800", 1345800.0),
        ("1181.227294921880", 1181.22729492188),
    ],
)
def test_number(text, value):
    assert number(text) == value


@pytest.mark.parametrize(
    "text", ["2,5x8.00", "n/a", "", "nan", "inf", "1e5", "1_000", "1.234,56", "1,23", "٣", ".5", "5."]
)
def test_text_that_is_no_number_is_an_error_that_names_it(text):
    with pytest.raises(ValueError, match="is not a number") as caught:
        number(text)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize("value", [None, True, "5", float("nan"), float("inf"), [5]])
def test_json_that_is_no_number_is_an_error(value):
    with pytest.raises(ValueError, match="is not a number"):
        json_number(value)


@pytest.mark.parametrize("text", ["2024-02-30", "20240201", "2024-W05-1", "2024-2-1", "", None, "2024-01-01T00:00"])
def test_text_that_is_no_date_is_an_error(text):
    with pytest.raises(ValueError, match="is not a date"):
        iso_date(text)
    assert iso_date("2024-02-29") == dt.date(2024, 2, 29)


def test_a_spanning_cell_is_repeated_in_every_place_that_it_covers():
    html = b"""<table><tr><th rowspan=2>Commodity</th><th rowspan="2">Unit</th><th colspan=2>May</th></tr>
    <tr><th>Quantity</th><th>Value<table><tr><td>inner</td></tr></table></th></tr>
    <tr><td>Coke &nbsp;x</td><td>T</td><td>1<!-- note --></td><td>2</td></tr></table>"""
    table = next(html_root(payload("customs", html), "x").iter("table"))
    assert table_cells(table) == [
        ["Commodity", "Unit", "May", "May"],
        ["Commodity", "Unit", "Quantity", "Valueinner"],
        ["Coke x", "T", "1", "2"],
    ]


def test_exact_duplicates_are_ignored_and_conflicting_rows_rejected():
    rows = Rows("rates")
    rows.add({"rate_id": "SOFR", "obs_date": dt.date(2024, 5, 2), "rate_pct": 5.3}, "line 2", "a")
    rows.add({"rate_id": "SOFR", "obs_date": dt.date(2024, 5, 2), "rate_pct": 5.3}, "line 3", "b")
    rows.add({"rate_id": "SOFR", "obs_date": dt.date(2024, 5, 2), "rate_pct": 5.4}, "line 4", "c")
    rows.add({"rate_id": "SOFR", "obs_date": dt.date(2024, 5, 1), "rate_pct": 5.2}, "line 5", "d")
    assert rows.frame()["rate_pct"].tolist() == [5.2, 5.3]
    assert [(bad.where, bad.reason) for bad in rows.rejected] == [
        ("line 4", "contradicts an earlier row of rate_id SOFR and obs_date 2024-05-02, which is kept")
    ]


def test_frames_without_rows_have_the_types_too():
    for dataset in DATASETS:
        empty = Rows(dataset).frame()
        assert {name: str(kind) for name, kind in empty.dtypes.items()} == dtypes(dataset)


def test_excerpt_is_one_short_line():
    assert excerpt(b"<html>\n\n  <body>" + b"x" * 1000) == "'<html> <body>" + "x" * 67 + "…'"
    assert excerpt(b"") == "nothing"
