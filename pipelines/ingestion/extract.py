"""Extraction: plan the requests of some months, fetch them, inspect the responses and archive the accepted ones.

A failed request becomes a `Failure` with its months; the other requests are still fetched.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache, lru_cache

import pandas as pd

from pipelines.common.calendar import FIRST_MONTH, month_of, months_between, release_times
from pipelines.ingestion.failures import Failure
from pipelines.ingestion.inspection import ResponseValidator
from pipelines.ingestion.progress import Progress, ProgressCallback, no_progress
from pipelines.lake.quarantine import Quarantine
from pipelines.sources import SOURCES
from pipelines.sources.base import NoData, NotRequested, Request, Scope, SourceError
from pipelines.transports.archive import Archive
from pipelines.transports.base import Transport

GRACE = pd.Timedelta(days=7)  # publishers may be late: a response is complete only this long after the release


@dataclass
class FetchReport:
    """Outcome of fetching a source. `skipped` requests were not sent. `warnings` are problems of accepted responses."""

    requests: int = 0
    skipped: int = 0
    payloads: int = 0
    bytes: int = 0
    no_data: int = 0
    failures: list[Failure] = field(default_factory=list)
    warnings: list[Failure] = field(default_factory=list)


def plan_requests(source: str, months: Sequence[pd.Period], scope: Scope) -> Mapping[Request, tuple[str, ...]]:
    """Requests of a source for these months, each with the months (YYYY-MM) that need it."""
    return _planned(source, tuple(months), scope)


@lru_cache(maxsize=64)  # a source is planned before a run, fetched, and read for each of its datasets
def _planned(source: str, months: tuple[pd.Period, ...], scope: Scope) -> Mapping[Request, tuple[str, ...]]:
    planned: dict[Request, list[str]] = {}
    for month in months:
        for request in SOURCES[source].requests(month, scope):
            planned.setdefault(request, []).append(str(month))
    return {request: tuple(needed) for request, needed in planned.items()}


def fetch(
    source: str,
    months: Sequence[pd.Period],
    scope: Scope,
    transport: Transport,
    archive: Archive,
    now: datetime,
    *,
    quarantine: Quarantine | None = None,
    accepted: Collection[str] = (),
    skip_if: Callable[[Request], bool] = lambda request: False,
    watch: ProgressCallback = no_progress,
) -> FetchReport:
    """Fetch what these months need of a source, each request once, and archive the accepted responses.

    Refused responses go to `quarantine`; a response whose SHA-256 begins with one of `accepted` is archived all the
    same. Each response is stored before the next request, so that a crash loses none. `skip_if` selects requests that
    are not sent; `watch` is called after each request.

    Where a response rewrites its history from its first day on, the archived requests of the period before are sent
    again, also when `skip_if` selects them, and so on back to a period that is unchanged.
    """
    report = FetchReport()
    planned = plan_requests(source, months, scope)
    validator = ResponseValidator(scope, archive, quarantine, tuple(accepted))
    sent: set[Request] = set()
    queue = deque(planned.items())
    done = 0
    while queue:
        request, needed = queue.popleft()
        if request in sent:
            continue
        # A request that is not planned, or planned and skipped before, is here because a later period is rewritten.
        if done < len(planned) and skip_if(request):
            report.skipped += 1
        else:
            sent.add(request)
            if _fetch_one(request, needed, transport, validator, now, report):
                queue.extend(preceding_requests(request, archive, scope).items())
        done += 1
        watch(Progress(min(done, len(planned)), len(planned), "requests"))
    return report


def preceding_requests(request: Request, archive: Archive, scope: Scope) -> dict[Request, tuple[str, ...]]:
    """Archived requests for the same series in the last period before this one, each with its months.

    Empty where a response holds the whole history.
    """
    if not request.period:
        return {}
    before = pd.Period(request.period).asfreq("M", "start") - 1
    found: dict[Request, list[str]] = {}
    for month in reversed(months_between(FIRST_MONTH, str(before))):
        of_month = [
            one
            for one in SOURCES[request.source].requests(month, scope)
            if one.entity == request.entity
            and one.period < request.period
            and one.period >= max((other.period for other in found), default="")
            and (receipt := archive.receipt(one.source, one.name)) is not None
            and receipt.captures
        ]
        if found and not of_month:
            break
        for one in of_month:
            found.setdefault(one, []).insert(0, str(month))
    return {one: tuple(needed) for one, needed in found.items()}


def _fetch_one(
    request: Request,
    months: tuple[str, ...],
    transport: Transport,
    validator: ResponseValidator,
    now: datetime,
    report: FetchReport,
) -> bool:
    """Send one request. Returns whether its response gives cause to send those of the period before again."""
    report.requests += 1
    archive = validator.archive
    try:
        payloads = transport.fetch(request)
    except NotRequested:
        archive.record_no_data(request, now)
        report.no_data += 1
        return False
    except NoData as absence:
        verdict = validator.triage_absence(request, str(absence), now)
        if not verdict.refusal:
            archive.record_no_data(request, now)
            report.no_data += 1
    except SourceError as error:
        archive.record_error(request, str(error), now)
        report.failures.append(Failure(request.source, request.name, months, str(error)))
        return False
    else:
        verdict = validator.triage(request, payloads)
    if verdict.accepted:
        archive.record(request, verdict.accepted, answered_at=now)
    if verdict.refusal:
        archive.record_error(request, verdict.refusal, now)
        report.failures.append(Failure(request.source, request.name, months, verdict.refusal))
    if verdict.warning:
        report.warnings.append(Failure(request.source, request.name, months, verdict.warning))
    report.payloads += len(verdict.accepted)
    report.bytes += sum(len(payload.body) for payload in verdict.accepted)
    return verdict.reaches_back


# --- requests that a backfill may skip


def complete_responses(archive: Archive, rules: pd.DataFrame, now: datetime) -> Callable[[Request], bool]:
    """Predicate: whether the archive has the complete response to a request, by the release calendar `rules`."""
    months = [str(month) for month in months_between(FIRST_MONTH, month_of(now))]
    periods = sorted({*months, *(month[:4] for month in months)})

    @cache
    def due(source: str) -> dict[str, pd.Timestamp]:
        return last_releases(source, periods, rules)

    return lambda request: is_complete(request, archive, due(request.source).get(request.period))


def is_complete(request: Request, archive: Archive, due: pd.Timestamp | None) -> bool:
    """Whether the archive holds a response to which the publisher can only add revisions.

    True when the last attempt succeeded at least `GRACE` after the last value of the period was due (`due`; None is
    never), the URL is unchanged, and every archived file is intact.
    """
    receipt = archive.receipt(request.source, request.name)
    if due is None or receipt is None or receipt.answered_at is None or receipt.request["url"] != request.url:
        return False
    if receipt.error or receipt.no_data_at or not receipt.captures:
        return False
    if pd.Timestamp(receipt.answered_at) < due + GRACE:
        return False
    try:
        return bool(archive.load(request))
    except SourceError:
        return False


def last_releases(source: str, periods: Sequence[str], rules: pd.DataFrame) -> dict[str, pd.Timestamp]:
    """Release time (UTC) of the last value of each period (2024, 2024-05), over a source's datasets.

    Empty for a source that the release calendar does not cover.
    """
    ends = pd.Series([pd.Period(period).end_time.normalize() for period in periods]).astype("datetime64[us]")
    # Some values are released before their day begins, as auction results are: a period is over no earlier than its
    # last day.
    due = ends.dt.tz_localize("UTC")
    for name in SOURCES[source].DATASETS:
        try:
            due = due.combine(release_times(ends, name, source, rules)["knowledge_ts"], max)
        except KeyError:
            return {}
    return dict(zip(periods, due, strict=True))
