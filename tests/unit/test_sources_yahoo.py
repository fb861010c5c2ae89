"""Yahoo's chart response: closes by the exchange's local day, and days without one. Figures here are invented."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sourcing import SCOPE, month, parse, payload

from pipelines.sources import SOURCES
from pipelines.sources.base import NoData, Parsed, SourceError

OPEN = dt.datetime(2024, 5, 2, 13, 30, tzinfo=dt.UTC)
DAY = 86_400


def chart(closes: list[object], start: dt.datetime = OPEN, **meta: object) -> dict[str, Any]:
    """A response with a bar a day from `start`."""
    times = [int(start.timestamp()) + DAY * i for i in range(len(closes))]
    about = {
        "currency": "USD", "symbol": "AA", "gmtoffset": -14_400, "exchangeTimezoneName": "America/New_York",
        "dataGranularity": "1d",
    }  # fmt: skip
    quote = {"close": closes, "open": [1.0] * len(closes), "volume": [1] * len(closes)}
    adjusted = [{"adjclose": [1.0] * len(closes)}]
    indicators = {"quote": [quote], "adjclose": adjusted}
    return {"chart": {"result": [{"meta": about | meta, "timestamp": times, "indicators": indicators}], "error": None}}


def read(body: object, period: str = "2024", entity: str = "AA") -> Parsed:
    return parse(payload("yahoo", json.dumps(body).encode(), period, entity))


def rows(response: Parsed) -> list[tuple[str, str, float]]:
    return [(row.ticker, f"{row.obs_date:%Y-%m-%d}", row.close_usd) for row in response.frames["equities"].itertuples()]


def test_one_request_a_ticker_and_year() -> None:
    scope = replace(SCOPE, tickers=("AA", "RIO"))
    requested = SOURCES["yahoo"].requests(month("2024-05"), scope)
    assert [(r.entity, r.name, r.period) for r in requested] == [
        ("AA", "v8_chart_AA_1d_2024.json", "2024"),
        ("RIO", "v8_chart_RIO_1d_2024.json", "2024"),
    ]
    assert requested[0].url == (
        "https://query2.finance.yahoo.com/v8/finance/chart/AA?period1=1704067200&period2=1735689600&interval=1d"
    )
    assert SOURCES["yahoo"].requests(month("2007-12"), scope) == []


def test_closes_by_day_and_not_the_adjusted_ones() -> None:
    response = read(chart([38.5, 306.1199951171875]))
    assert rows(response) == [("AA", "2024-05-02", 38.5), ("AA", "2024-05-03", 306.12)]
    assert response.rejected == []


@pytest.mark.parametrize(
    ("meta", "day"),
    [
        ({"exchangeTimezoneName": "America/New_York", "gmtoffset": 0}, "2024-05-02"),
        ({"exchangeTimezoneName": "Australia/Sydney", "gmtoffset": 36_000}, "2024-05-03"),
        ({"exchangeTimezoneName": None, "gmtoffset": 36_000}, "2024-05-03"),
        ({"exchangeTimezoneName": "Mars/Olympus", "gmtoffset": -14_400}, "2024-05-02"),
    ],
)
def test_a_day_is_one_of_the_exchange(meta: dict[str, object], day: str) -> None:
    assert rows(read(chart([38.5], OPEN.replace(hour=23), **meta)))[0][1] == day


def test_a_day_without_a_close_is_rejected_alone() -> None:
    response = read(chart([38.5, None, "x", 0.1]))
    assert [row[1] for row in rows(response)] == ["2024-05-02", "2024-05-05"]
    assert [(bad.where, bad.raw, bad.reason) for bad in response.rejected] == [
        ("close[1] of 2024-05-03", "null", "close_usd: null is not a number"),
        ("close[2] of 2024-05-04", '"x"', 'close_usd: "x" is not a number'),
    ]


def test_a_running_session_has_no_close_yet() -> None:
    body = chart([38.5, 39.0])
    start = int(OPEN.timestamp()) + DAY
    body["chart"]["result"][0]["meta"]["currentTradingPeriod"] = {"regular": {"start": start, "end": start + 23_400}}
    response = payload("yahoo", json.dumps(body).encode(), "2024", "AA")

    def days(after: int) -> list[str]:
        moment = dt.datetime.fromtimestamp(start + after, dt.UTC)
        return [row[1] for row in rows(parse(replace(response, captured_at=moment)))]

    assert days(23_399) == ["2024-05-02"]
    assert days(23_400) == ["2024-05-02", "2024-05-03"]


def test_days_of_another_year_are_rejected_and_another_year_is_an_error() -> None:
    response = read(chart([1.0, 2.0, 3.0], dt.datetime(2024, 12, 30, 14, 30, tzinfo=dt.UTC)))
    assert [row[1] for row in rows(response)] == ["2024-12-30", "2024-12-31"]
    assert [bad.reason for bad in response.rejected] == ["obs_date: 2025-01-01 is not in 2024"]
    with pytest.raises(SourceError, match="the response is for 2024, not 2023"):
        read(chart([1.0]), period="2023")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"symbol": "RIO"}, "symbol is 'RIO', not AA"),
        ({"currency": "GBp"}, "currency is 'GBp', not USD"),
        ({"dataGranularity": "1mo"}, "dataGranularity is '1mo', not 1d"),
        ({"exchangeTimezoneName": None, "gmtoffset": None}, "the exchange's time zone is None, its offset None"),
    ],
)
def test_another_share_currency_or_interval_is_an_error(change: dict[str, object], message: str) -> None:
    with pytest.raises(SourceError, match=message):
        read(chart([38.5], **change))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            {
                "chart": {
                    "result": None,
                    "error": {"code": "Not Found", "description": "No data found, symbol delisted"},
                }
            },
            "the publisher returns an error: .*No data found",
        ),
        ({"finance": {}}, "no chart in the response"),
        ({"chart": {"result": [], "error": None}}, "the chart is incomplete"),
        ({"chart": {"result": [{"meta": {}}], "error": None}}, "the chart is incomplete"),
    ],
)
def test_a_response_without_a_chart_is_an_error(body: object, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        read(body)


def test_lists_of_different_lengths_are_an_error() -> None:
    body = chart([38.5, 39.0])
    body["chart"]["result"][0]["timestamp"].pop()
    with pytest.raises(SourceError, match="timestamp and close are not two lists of one length"):
        read(body)


@pytest.mark.parametrize("seconds", [1.5, "x", 10**30, -1, None])
def test_a_timestamp_that_is_none_rejects_its_close_and_all_of_them_the_response(seconds: object) -> None:
    body = chart([38.5, 39.0])
    body["chart"]["result"][0]["timestamp"][0] = seconds
    response = read(body)
    assert rows(response) == [("AA", "2024-05-03", 39.0)]
    assert [(bad.where, bad.raw) for bad in response.rejected] == [("close[0]", "38.5")]
    body["chart"]["result"][0]["timestamp"] = [seconds, seconds]
    with pytest.raises(SourceError, match="no timestamp is whole seconds until 2100"):
        read(body)


def test_a_year_before_the_listing_is_no_data() -> None:
    body = chart([])
    result = body["chart"]["result"][0]
    del result["timestamp"]
    result["indicators"]["quote"] = [{}]
    with pytest.raises(NoData, match="no trading day"):
        read(body)


def test_a_ticker_that_is_not_in_scope_is_an_error() -> None:
    with pytest.raises(SourceError, match="ticker 'GS' is not known; expected one of AA"):
        read(chart([38.5]), entity="GS")


def test_the_recording(real: Path) -> None:
    path = real / "payloads" / "yahoo" / "v8_chart_GS_1d_2023-10.json"
    response = parse(payload("yahoo", path, "2023", "GS"), replace(SCOPE, tickers=("GS",)))
    assert response.rejected == []
    assert [(day, close) for _, day, close in rows(response)] == [
        ("2023-10-02", 318.5),
        ("2023-10-03", 306.12),
        ("2023-10-04", 308.6),
        ("2023-10-05", 310.5),
        ("2023-10-06", 312.48),
        ("2023-10-09", 312.61),
    ]
