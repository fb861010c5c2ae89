"""`tightness doctor --live`: one small request to each address of a publisher, parsed and inspected, nothing stored."""

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
from pipelines.workspace import Workspace
from schemas.datasets import DATASETS

ATTEMPTS = 2  # one retry: a probe has to be quick
MONTHS_BACK = 6  # months within which a source with a publication lag has a figure


@dataclass(frozen=True)
class Probe:
    """Result of one request: its address (without a key), what came, and why there is nothing or what is unusual."""

    source: str
    url: str
    status: Literal["ok", "no data", "failed"]
    seconds: float
    bytes: int
    newest: date | None  # day or month-end of the newest observation
    detail: str


def planned_requests(workspace: Workspace) -> list[Request]:
    """The newest requests of each source that is switched on and whose key, if it needs one, is set."""
    keys, rules = workspace.settings.secrets(), workspace.reference["release_calendar"]
    found = [
        request
        for name in SOURCES
        if workspace.is_enabled(name)
        for request in newest_requests(name, workspace.scope, workspace.now, rules)
    ]
    return [request for request in found if not request.secret or request.secret[1] in keys]


def newest_requests(source: str, scope: Scope, now: datetime, rules: pd.DataFrame) -> list[Request]:
    """The first request to each address for this month; of a monthly source for the newest month that is due by the
    release calendar. None when the scope needs nothing from the source.
    """
    monthly = all(DATASETS[name].cadence == "monthly" for name in SOURCES[source].DATASETS)
    for back in range(MONTHS_BACK + 1):
        month = pd.Period(month_of(now), "M") - back
        due = last_releases(source, [str(month)], rules).get(str(month)) if monthly else None
        requests = SOURCES[source].requests(month, scope)
        if requests and (due is None or due <= pd.Timestamp(now)):
            return list({request.url.partition("?")[0]: request for request in requests[::-1]}.values())[::-1]
    return []


def probe_all(workspace: Workspace, requests: Sequence[Request]) -> list[Probe]:
    """Send all requests at the same time: without a network each one waits for its time-outs."""
    transport = workspace.live_transport(ATTEMPTS)
    with ThreadPoolExecutor(max(len(requests), 1)) as pool:
        return list(pool.map(lambda request: probe(request, workspace.scope, transport), requests))


def probe(request: Request, scope: Scope, transport: Transport, clock: Callable[[], float] = time.monotonic) -> Probe:
    """Send one request and inspect the response. Stores nothing; errors of transport and parser become the result."""
    begin = clock()

    def result(status: Literal["ok", "no data", "failed"], detail: str, parts: list[Payload]) -> Probe:
        size = sum(len(payload.body) for payload in parts)
        newest = max(_days(parts, scope), default=None)
        return Probe(request.source, request.url, status, round(seconds, 2), size, newest, detail)

    try:
        payloads = transport.fetch(request)
    except (NoData, SourceError, OSError) as error:  # OSError: the folder of the rate limiter cannot be written
        seconds = clock() - begin
        return result("no data" if isinstance(error, NoData) else "failed", str(error), [])
    seconds = clock() - begin
    parts = [payload for payload in payloads if payload.captured_at == payloads[-1].captured_at]
    found = inspect(ParsedResponse(parts, scope))
    failed = any(finding.severity == "error" for finding in found)
    status: Literal["ok", "no data", "failed"] = "failed" if failed else "ok" if any(_days(parts, scope)) else "no data"
    return result(status, "; ".join(finding.text for finding in found), parts)


def _days(parts: list[Payload], scope: Scope) -> Iterator[date]:
    """The newest day of each dataset in each part."""
    for payload in parts:
        try:
            frames = parse(payload, scope).frames
        except (NoData, SourceError):
            continue
        for name, rows in frames.items():
            if len(rows):
                yield rows[DATASETS[name].period].max().date()
