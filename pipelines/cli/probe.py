"""`tightness doctor --live`: one small request to each publisher, read and examined, and nothing kept."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

import pandas as pd

from pipelines.common.calendar import month_of
from pipelines.ingestion.extract import last_releases
from pipelines.ingestion.inspection import ParsedResponse, inspect, parse
from pipelines.sources import SOURCES
from pipelines.sources.base import NoData, Payload, Request, Scope, SourceError
from pipelines.transports.base import Transport
from schemas.datasets import DATASETS

ATTEMPTS = 2  # a look is to be quick: one hiccup of a publisher is forgiven
BACK = 6  # months in which a source that lags has something by now


@dataclass(frozen=True)
class Probed:
    """What one publisher answered: the address that was asked (without a key), and what is in the answer."""

    source: str
    asked: str
    status: Literal["ok", "no data", "failed"]
    seconds: float
    bytes: int
    newest: date | None  # day or month-end of the newest observation
    detail: str  # why there is none, or what is unusual in it


def question(source: str, scope: Scope, now: datetime, rules: pd.DataFrame) -> Request | None:
    """The most recent thing that the source is asked: this month, or where figures come once a month the newest one
    that is due by the release calendar. None when the scope needs nothing of it."""
    monthly = all(DATASETS[name].cadence == "monthly" for name in SOURCES[source].DATASETS)
    for back in range(BACK + 1):
        month = pd.Period(month_of(now), "M") - back
        due = last_releases(source, [str(month)], rules).get(str(month)) if monthly else None
        asked = SOURCES[source].requests(month, scope)
        if asked and (due is None or due <= pd.Timestamp(now)):
            return asked[0]
    return None


def probes(requests: Sequence[Request], scope: Scope, transport: Transport) -> list[Probed]:
    """Asks each publisher once, all at the same time: without a network every one of them costs its time-outs."""
    with ThreadPoolExecutor(max(len(requests), 1)) as pool:
        return list(pool.map(lambda request: probe(request, scope, transport), requests))


def probe(request: Request, scope: Scope, transport: Transport, clock: Callable[[], float] = time.monotonic) -> Probed:
    """Asks once and says what came. It raises nothing that a transport or a parser raises, and stores nothing."""
    begun = clock()

    def told(status: Literal["ok", "no data", "failed"], detail: str, parts: list[Payload]) -> Probed:
        size = sum(len(payload.body) for payload in parts)
        newest = _newest(parts, scope)
        return Probed(request.source, request.url, status, round(seconds, 2), size, newest, detail)

    try:
        payloads = transport.fetch(request)
    except (NoData, SourceError, OSError) as reason:  # OSError: the folder of the pace cannot be written
        seconds = clock() - begun
        return told("no data" if isinstance(reason, NoData) else "failed", str(reason), [])
    seconds = clock() - begun
    parts = [payload for payload in payloads if payload.captured_at == payloads[-1].captured_at]
    found = inspect(ParsedResponse(parts, scope))
    detail = "; ".join(finding.text for finding in found)
    if any(finding.severity == "error" for finding in found):
        return told("failed", detail, parts)
    return told("ok" if _newest(parts, scope) else "no data", detail or "", parts)


def _newest(parts: list[Payload], scope: Scope) -> date | None:
    return max(_days(parts, scope), default=None)


def _days(parts: list[Payload], scope: Scope) -> Iterator[date]:
    for payload in parts:
        try:
            frames = parse(payload, scope).frames
        except (NoData, SourceError):
            continue
        for name, rows in frames.items():
            if len(rows):
                yield rows[DATASETS[name].period].max().date()
