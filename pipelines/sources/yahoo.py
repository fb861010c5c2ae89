"""Yahoo Finance, chart: daily closing prices of shares; one JSON response per ticker and year. Terms of use unclear."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Sequence
from typing import Any, Final
from zoneinfo import ZoneInfo

import pandas as pd

from pipelines.sources.base import Access, NoData, Parsed, Payload, Request, Scope, SourceError
from pipelines.sources.contract import ResponseContract
from pipelines.sources.parsing import (
    Rows,
    check_period,
    excerpt,
    is_instant,
    json_number,
    json_object,
    json_shape,
    parsed,
    requested,
    require_period,
)
from pipelines.sources.protocol import Source
from pipelines.sources.reason import reason_of

FIRST_YEAR: Final = 2008
EXPECTED: Final = "JSON with chart.result[0]: meta, timestamp[] and indicators.quote[0].close[] of one length"
CURRENCY: Final = "USD"
INTERVAL: Final = "1d"


class Yahoo:
    """Closing prices as traded, adjusted for splits only.

    Read from `close`, not from `adjclose`: each dividend rewrites the whole history of `adjclose`, so that no past
    value would be the one known on its day.
    """

    NAME = "yahoo"
    TITLE = "Yahoo Finance: closing prices of shares"
    LICENCE = "RESTRICTED"
    DATASETS: tuple[str, ...] = ("equities",)
    # Status 404 for a share without any data, 400 for a range before its listing.
    ACCESS = Access(
        ("query2.finance.yahoo.com",),
        no_data="no data found( for this date range)?, symbol may be delisted|data doesn't exist for startdate",
    )
    CONTRACT = ResponseContract(
        json_shape,
        {"chart.result.timestamp*": "number", "chart.result.indicators.quote.close*": "number"},
        "NYSE",
        in_parts=True,
    )

    def requests(self, month: pd.Period, scope: Scope) -> Sequence[Request]:
        """One request per ticker for the month's calendar year; none before 2008 or the ticker's first day."""
        if month.year < FIRST_YEAR:
            return []
        first, end = (int(dt.datetime(year, 1, 1, tzinfo=dt.UTC).timestamp()) for year in (month.year, month.year + 1))
        return [
            Request(
                source=self.NAME,
                name=f"v8_chart_{ticker}_{INTERVAL}_{month.year}.json",
                url=f"https://query2.finance.yahoo.com/v8/finance/chart/{ticker}"
                f"?period1={first}&period2={end}&interval={INTERVAL}",
                entity=ticker,
                period=str(month.year),
            )
            for ticker in scope.tickers_in(month)
        ]

    def parse(self, payload: Payload, scope: Scope) -> Parsed:
        """Closing prices in USD by trading day of the exchange; a day without one is rejected.

        The session in progress at the capture is left out, since its last price is no close. Raises SourceError when
        the response is an error or no such JSON, or of another share, currency, interval or year; NoData when the year
        has no trading day.
        """
        request = payload.request
        requested(request, "ticker", scope.tickers, str)
        meta, times, closes = _chart(payload)
        zone = _zone(request, meta)
        rows, days = Rows("equities"), []
        for index, (time, close) in enumerate(zip(times, closes, strict=True)):
            if not is_instant(time):
                reason = f"obs_date: timestamp {json.dumps(time)} is not whole seconds until 2100"
                rows.reject(f"close[{index}]", json.dumps(close), reason)
                continue
            if _in_progress(payload, meta, time):
                continue
            day = dt.datetime.fromtimestamp(time, zone).date()
            days.append(day)
            where, raw = f"close[{index}] of {day}", json.dumps(close)
            try:
                require_period(request, day)
            except ValueError as error:
                rows.reject(where, raw, f"obs_date: {error}")
                continue
            try:
                # Prices are sent as single precision: 306.12 arrives as 306.1199951171875.
                price = round(json_number(close), 4)
            except ValueError as error:
                rows.reject(where, raw, f"close_usd: {error}")
            else:
                rows.add({"ticker": request.entity, "obs_date": day, "close_usd": price}, where, raw)
        check_period(request, days, EXPECTED)
        return parsed(rows)


def _chart(payload: Payload) -> tuple[dict[str, Any], list[int], list[Any]]:
    """Metadata, session starts (unix seconds) and closing prices, one per session."""
    request, chart = payload.request, json_object(payload, EXPECTED).get("chart")
    if not isinstance(chart, dict):
        raise SourceError(request, f"no chart in the response: {excerpt(payload.body)}", EXPECTED)
    if chart.get("error"):
        reason = reason_of(payload.body)
        if re.search(Yahoo.ACCESS.no_data, reason, re.IGNORECASE):
            raise NoData(f"{request.source} {request.name}: {reason}")
        raise SourceError(request, f"the publisher returns an error: {excerpt(json.dumps(chart['error']))}", EXPECTED)
    try:
        (result,) = chart["result"]
        meta, times, quote = result["meta"], result.get("timestamp"), result["indicators"]["quote"][0]
        closes = quote.get("close")
    except (KeyError, TypeError, ValueError, IndexError, AttributeError):
        raise SourceError(request, f"the chart is incomplete: {excerpt(payload.body)}", EXPECTED) from None
    for name, wanted in (("symbol", request.entity), ("currency", CURRENCY), ("dataGranularity", INTERVAL)):
        if not isinstance(meta, dict) or meta.get(name) != wanted:
            found = meta.get(name) if isinstance(meta, dict) else None
            raise SourceError(request, f"{name} is {found!r}, not {wanted}", EXPECTED)
    if not times and not closes:
        raise NoData(f"{request.source} {request.name}: no trading day")
    if not isinstance(times, list) or not isinstance(closes, list) or len(times) != len(closes):
        raise SourceError(request, "timestamp and close are not two lists of one length", EXPECTED)
    if times and not any(map(is_instant, times)):
        raise SourceError(request, "no timestamp is whole seconds until 2100", EXPECTED)
    return meta, times, closes


def _zone(request: Request, meta: dict[str, Any]) -> dt.tzinfo:
    """Time zone of the exchange by name, else by its offset at the time of the response."""
    name, offset = meta.get("exchangeTimezoneName"), meta.get("gmtoffset")
    try:
        return ZoneInfo(str(name))
    except (KeyError, ValueError, OSError):  # unknown to this system's zone database
        if isinstance(offset, int) and abs(offset) < 86_400:
            return dt.timezone(dt.timedelta(seconds=offset))
    raise SourceError(request, f"the exchange's time zone is {name!r}, its offset {offset!r}", EXPECTED)


def _in_progress(payload: Payload, meta: dict[str, Any], time: int) -> bool:
    """Whether a session had not ended at the capture."""
    try:
        session = meta["currentTradingPeriod"]["regular"]
        return bool(session["start"] <= time <= session["end"] and payload.captured_at.timestamp() < session["end"])
    except (KeyError, TypeError):
        return False


SOURCE: Final[Source] = Yahoo()
