"""Asking the sources: which questions some months need, what was answered, and what of it the archive takes.

Nothing here knows Dagster. What fails is kept as a `Failure` with its months, and everything else is still asked.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Final

import pandas as pd

from pipelines.common.calendar import FIRST_MONTH, month_of, months_between, release_times
from pipelines.ingestion.failures import Failure
from pipelines.ingestion.inspection import answers, findings, in_words, is_known, is_readable, last_good
from pipelines.ingestion.progress import Progress, ProgressCallback, no_progress
from pipelines.lake.quarantine import Quarantine
from pipelines.sources import SOURCES
from pipelines.sources.base import NoData, Payload, Request, Scope, SourceError
from pipelines.sources.contract import Finding
from pipelines.transports.archive import Archive
from pipelines.transports.base import Transport

ACCEPT: Final = "TIGHTNESS_ACCEPT"  # the setting that takes refused answers
SHORTEST: Final = 12  # hex digits by which it names one
LATE = pd.Timedelta(days=7)  # publishers may be late: an answer is whole only when it came so long after the due time


@dataclass
class FetchReport:
    """What a source was asked and what it answered; `spared` requests were not asked again. `warnings` tell what was
    unusual in an answer that was taken all the same."""

    requests: int = 0
    skipped: int = 0
    payloads: int = 0
    bytes: int = 0
    no_data: int = 0
    failures: list[Failure] = field(default_factory=list)
    warnings: list[Failure] = field(default_factory=list)


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
    """Asks a source everything that these months need, each request once, and archives the answers by hash.

    An answer that breaks its source's contract is refused, and kept in the quarantine instead; those whose hash begins
    with one of `accepted` are taken all the same. Each one is put away before the next question, so that a crash loses
    none. `spares` says which requests need not be asked (again); `watch` is told after each one.
    """
    report = FetchReport()
    requests = plan_requests(source, months, scope)
    examiner = ResponseValidator(scope, archive, quarantine, tuple(accepted))
    for place, (request, needed_by) in enumerate(requests.items(), start=1):
        if skip_if(request):
            report.skipped += 1
        else:
            _ask(request, needed_by, transport, examiner, now, report)
        watch(Progress(place, len(requests), "requests"))
    return report


def _ask(
    request: Request,
    needed_by: tuple[str, ...],
    transport: Transport,
    examiner: ResponseValidator,
    now: datetime,
    report: FetchReport,
) -> None:
    report.requests += 1
    archive = examiner.archive
    try:
        payloads = transport.fetch(request)
    except NoData:
        archive.record_no_data(request, now)
        report.no_data += 1
        return
    except SourceError as error:
        archive.record_error(request, str(error), now)
        report.failures.append(Failure(request.source, request.name, needed_by, str(error)))
        return
    good, warned, refused = examiner.triage(request, payloads)
    if good:
        archive.record(request, good, answered_at=now)
    if refused:
        archive.record_error(request, refused, now)
        report.failures.append(Failure(request.source, request.name, needed_by, refused))
    if warned:
        report.warnings.append(Failure(request.source, request.name, needed_by, warned))
    report.payloads += len(good)
    report.bytes += sum(len(payload.body) for payload in good)


@dataclass
class ResponseValidator:
    """Examines a source's answers one after the other; each is what the next one of its series is held against."""

    scope: Scope
    archive: Archive
    quarantine: Quarantine | None
    accepted: tuple[str, ...] = ()
    _neighbours: dict[str, list[Payload]] = field(default_factory=dict)

    def triage(self, request: Request, payloads: Sequence[Payload]) -> tuple[list[Payload], str, str]:
        """The payloads that are good, what is unusual in them, and why the newest answer is refused (or nothing)."""
        good: list[Payload] = []
        warned = refused = ""
        before: list[Payload] | None = None
        for parts in answers(payloads):
            refused = ""
            if not is_known(parts, self.archive.receipt(request.source, request.name)):
                before = last_good(request, self.archive) if before is None else before
                previous_period = self._neighbours.get(request.entity, [])
                found = findings(parts, before, previous_period, self.scope)
                if _errors(found) and not self._takes(parts) and (taken := self._taken_since(before, request)):
                    # The publisher writes the moment into its answers, so that none comes twice: it is held against
                    # the one that was taken.
                    good += taken
                    before, found = taken, findings(parts, taken, previous_period, self.scope)
                if (errors := _errors(found)) and not self._takes(parts):
                    refused = self._refuse(request, parts, in_words(errors), [finding.text for finding in found])
                    continue
                warned = f"{'taken although ' if errors else ''}{in_words(found)}" if found else warned
            good += parts
            before = self._neighbours[request.entity] = parts
        return good, warned, refused

    def _takes(self, parts: Sequence[Payload]) -> bool:
        """Whether the user says that this answer is right. One that nothing can be read from stays refused."""
        named = all(_sha256(payload).startswith(self.accepted) for payload in parts)
        return bool(self.accepted) and named and is_readable(parts, self.scope)

    def _taken_since(self, before: Sequence[Payload], request: Request) -> list[Payload]:
        """The newest answer in quarantine that the user takes, where it came after the last good one."""
        if not self.accepted or self.quarantine is None:
            return []
        kept = self.quarantine.refused(request, self.accepted)
        later = [one for one in kept if not before or one.captured_at > before[-1].captured_at]
        return [one for one in later if self._takes([one])][-1:]

    def _refuse(self, request: Request, parts: Sequence[Payload], reason: str, found: list[str]) -> str:
        readable = is_readable(parts, self.scope)
        hint = f"{ACCEPT}={','.join(_sha256(payload)[:SHORTEST] for payload in parts)}" if readable else ""
        kept = [self.quarantine.put_payload(payload, found, hint) for payload in parts] if self.quarantine else []
        where = f"; kept as quarantine/{kept[0]}" if kept else ""
        way = f"; if it is right: {hint}" if hint else ""
        return f"{request.source} {request.name}: {reason} (refused, what was stored stays{where}{way})"


def _errors(found: Sequence[Finding]) -> list[Finding]:
    return [finding for finding in found if finding.severity == "error"]


def _sha256(payload: Payload) -> str:
    return hashlib.sha256(payload.body).hexdigest()


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

    True when the last attempt succeeded at least `LATE` after the last value of the period was due (`due`; None is
    never), the URL is unchanged, and every archived file is intact.
    """
    receipt = archive.receipt(request.source, request.name)
    if due is None or receipt is None or receipt.answered_at is None or receipt.request["url"] != request.url:
        return False
    if receipt.error or receipt.no_data_at or not receipt.captures:
        return False
    if pd.Timestamp(receipt.answered_at) < due + LATE:
        return False
    try:
        return bool(archive.load(request))
    except SourceError:
        return False


def last_releases(source: str, periods: Sequence[str], rules: pd.DataFrame) -> dict[str, pd.Timestamp]:
    """When the last value of each period (2024, 2024-05) of a source's datasets is out (UTC), by the release calendar.

    Nothing for a source of which the calendar does not know all that.
    """
    ends = pd.Series([pd.Period(period).end_time.normalize() for period in periods]).astype("datetime64[us]")
    # A price may be promised for its own day, or, at an auction, for the day before it.
    due = ends.dt.tz_localize("UTC")
    for name in SOURCES[source].DATASETS:
        try:
            due = due.combine(release_times(ends, name, source, rules)["knowledge_ts"], max)
        except KeyError:
            return {}
    return dict(zip(periods, due, strict=True))


def plan_requests(source: str, months: Sequence[pd.Period], scope: Scope) -> dict[Request, tuple[str, ...]]:
    """What these months need of a source: each request once, with the months that need it."""
    needed_by: dict[Request, list[str]] = {}
    for month in months:
        for request in SOURCES[source].requests(month, scope):
            needed_by.setdefault(request, []).append(str(month))
    return {request: tuple(named) for request, named in needed_by.items()}
