"""Load archived payloads and drop files into the lake: parse, select, validate, time, append.

A payload that cannot be read becomes a `Failure` with its months; everything else is still loaded.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipelines.common.calendar import FIRST_MONTH, month_of
from pipelines.datasets import DROP, FEEDS, Feed
from pipelines.ingestion.batches import (
    CHUNK_BYTES,
    Archived,
    Batch,
    Captured,
    DropRows,
    batches,
    chunks,
    in_months,
    newest_payloads,
)
from pipelines.ingestion.extract import plan_requests, preceding_requests
from pipelines.ingestion.failures import Failure
from pipelines.ingestion.inspection import parse
from pipelines.ingestion.landings import Landing, Landings
from pipelines.ingestion.ledger import Ledger, month_digests
from pipelines.ingestion.progress import Progress, ProgressCallback, no_progress
from pipelines.ingestion.repair import problem, repair, saved_reference
from pipelines.ingestion.report import IngestReport
from pipelines.ingestion.rewrites import compare, find_rewrites, is_rebased
from pipelines.ingestion.timing import knowledge_times, period_starts
from pipelines.lake.quarantine import Quarantine, quarantine_rows
from pipelines.lake.record import Load
from pipelines.lake.store import Lake
from pipelines.lake.validate import SchemaMismatch, validate
from pipelines.reference import ReferenceTables
from pipelines.sources import SOURCES
from pipelines.sources.base import NoData, Payload, Request, Scope, SourceError
from pipelines.transports.archive import Archive
from pipelines.transports.drop_parser import DropError, parse_drop
from schemas.base import columns_of
from schemas.fields import RESTATED

CUTS: Final = 50  # captures back to which the last load of a month is searched


@dataclass(frozen=True)
class Ingestion:
    """Loader of payloads into the lake. `now` is UTC."""

    lake: Lake
    archive: Archive
    quarantine: Quarantine
    reference: ReferenceTables
    scope: Scope
    now: datetime
    use_sources: bool = True  # False in the drop profile
    synthetic: bool = False  # generated rows have an open licence
    released: Mapping[str, Collection[str]] = field(default_factory=dict)  # lake files of the current release
    chunk_bytes: float = CHUNK_BYTES

    def run(
        self,
        name: str,
        months: Sequence[pd.Period],
        dropped: Sequence[Payload] = (),
        watch: ProgressCallback = no_progress,
        *,
        whole_files: bool = False,
    ) -> IngestReport:
        """Load these months of a dataset from the archive and the drop files.

        Months without changed inputs are skipped before anything is parsed. The others are loaded and recorded in
        chunks, so that a rerun after a crash skips finished chunks. `watch` is called after each chunk. `whole_files`:
        also load the other months of drop files that have not landed.

        Rows are compared with stored ones, so lost files of the dataset are repaired first. Where they cannot be,
        nothing is loaded, and the report has the failure.

        Other months with stored rows that these inputs contradict are loaded too. Then nothing is recorded until all
        is loaded, so that a rerun after a crash finds the contradictions that are left.
        """
        feed, report = FEEDS[name], IngestReport()
        report.repaired = repair(self, name)
        if report.is_damaged:
            report.failures.append(Failure("lake", name, (), problem(report.repaired)))
            return report
        wanted = {str(month) for month in months}
        captured = self._captured(feed, months, report)
        ledger = Ledger(self.lake.ledger(name))
        digests = self._digests(wanted, captured, dropped)
        pending = ledger.changed(digests)
        archived = self._unloaded(captured, dropped, pending, ledger, report)
        report.months_unchanged = len(wanted) - len(pending)
        watch(Progress(report.months_unchanged, len(wanted), "months"))
        landings = Landings(self.lake, name)
        records = [landings.of(payload.request.name, payload.sha256) for payload in dropped]
        if pending or any(record is None or (whole_files and record.missing) for record in records):
            for payload in dropped:
                self.archive.put(payload)  # a repair needs it, and the reference tables
            self.reference.save(saved_reference(self.archive, self.reference.sha256))
            files = self._open_dropped(feed, dropped, report)
            self._record_landings(landings, files, wanted - pending)
            others = self._contradicted_months(feed, archived, files, pending) - wanted
            for chunk in chunks(pending, archived, dropped, self.chunk_bytes):
                self._load(feed, archived, files, chunk, report)
                if not others:
                    self._record(ledger, landings, files, digests, chunk, report)
                pending = pending - chunk
                watch(Progress(len(wanted) - len(pending), len(wanted), "months", report.rows_read))
            report.further_months = sorted(others)
            captured = self._captured(feed, [pd.Period(month, "M") for month in report.further_months], report)
            other_digests = self._digests(others, captured, dropped)
            changed = ledger.changed(other_digests)
            of_others = self._unloaded(captured, dropped, changed, ledger, report)
            for chunk in chunks(changed, of_others, dropped, self.chunk_bytes):
                self._load(feed, of_others, files, chunk, report)
            if others:
                self._record(ledger, landings, files, digests | other_digests, {*digests, *others}, report)
            archived = [*archived, *of_others]
            if whole_files and (missing := self._missing(landings, files) - wanted - others):
                self._load(feed, [], files, missing, report)
                self._record_landings(landings, files, missing)
            self._report_rewrites(feed, archived, files, wanted, report)
        # Rows that an earlier run rejected are still missing, as long as their response is the newest of its request.
        report.rejected = self._rejected(feed, [*newest_payloads(archived), *dropped])
        return report

    def _record(
        self,
        ledger: Ledger,
        landings: Landings,
        files: list[DropRows],
        digests: dict[str, str],
        months: set[str],
        report: IngestReport,
    ) -> None:
        """Record the months without a failure as ingested, and their rows of drop files as landed."""
        # A failure without months, as of a refused drop file, concerns every month.
        failed = {month for failure in report.failures for month in failure.months or digests}
        refused = {month for failure in report.failures if failure.source == DROP for month in failure.months}
        self._record_landings(landings, files, months - refused)  # before the ledger, which skips its months
        ledger.save({month: digests[month] for month in months if month not in failed})

    def _load(
        self, feed: Feed, archived: list[Archived], files: list[DropRows], chunk: set[str], report: IngestReport
    ) -> None:
        quarantined: list[pd.DataFrame] = []
        by_priority: list[pd.DataFrame] = []
        newest = {payload.request: payload.captured_at for payload, _ in archived}
        for priority, source in enumerate(feed.sources):
            previous: dict[Request, Payload] = {}
            for batch in batches(archived, source, chunk):
                rows = self._read(feed, batch, newest, previous, chunk, report, quarantined)
                by_priority.extend([rows.assign(priority=priority)] if len(rows) else [])
        loaded = [self._preferred(feed, pd.concat(by_priority, ignore_index=True), chunk)] if by_priority else []
        # Rows of all drop files are validated together: two files may not contradict each other.
        in_chunk = [(file.payload, file.rows[file.months.isin(chunk)]) for file in files]
        drop_rows = self._admit_dropped(feed, in_chunk, report, quarantined)
        loaded.extend([drop_rows] if len(drop_rows) else [])
        if loaded:
            latest = max(newest.values(), default=self.now)
            load = Load(
                at=self.now.isoformat(),
                until=latest.isoformat() if latest > self.now else "",
                dropped={payload.request.name: payload.sha256 for payload, rows in in_chunk if len(rows)},
                metals=tuple(metal.metal for metal in self.scope.metals),
                reference=self.reference.sha256,
            )
            report.written.extend(self.lake.append(feed.name, pd.concat(loaded, ignore_index=True), load=load))
        self._quarantine(feed, quarantined)

    def _preferred(self, feed: Feed, rows: pd.DataFrame, chunk: set[str]) -> pd.DataFrame:
        """Rows of the source with the lowest `priority` that has any, by series and month.

        Stored rows count: a series may be missing in the last responses of its source, and earlier ones are not read.
        """
        both = [rows]
        if rows["priority"].any():
            stored = self.lake.read(feed.name, (min(chunk), max(chunk)))
            priority = stored["source"].map({source: number for number, source in enumerate(feed.sources)})
            both.append(stored.assign(priority=priority).dropna(subset="priority"))
        every = pd.concat([part[[feed.spec.period, *feed.spec.series, "priority"]] for part in both])
        month = every[feed.spec.period].dt.to_period("M")
        best = every.groupby([month, *(every[column] for column in feed.spec.series)])["priority"].transform("min")
        return rows[(every["priority"] == best).to_numpy()[: len(rows)]].drop(columns="priority")

    # --- inputs

    def _captured(self, feed: Feed, months: Sequence[pd.Period], report: IngestReport) -> list[Captured]:
        """Every capture of the requests of these months, oldest first. Failed requests are added to the report."""
        found: list[Captured] = []
        for source in feed.sources if self.use_sources else ():
            for request, needed in plan_requests(source, months, self.scope).items():
                receipt = self.archive.receipt(request.source, request.name)
                if receipt is None:
                    continue
                if receipt.error:
                    report.failures.append(Failure(source, request.name, needed, receipt.error["message"]))
                found.extend(Captured(request, capture, needed) for capture in receipt.captures)
        return found

    def _unloaded(
        self,
        captured: list[Captured],
        dropped: Sequence[Payload],
        pending: set[str],
        ledger: Ledger,
        report: IngestReport,
    ) -> list[Archived]:
        """The captures that are not loaded into all of these months and, of each request, the last one that is: it is
        compared with the next one. What cannot be read is added to the report.

        A request that is sent daily has hundreds of captures of a period, and each holds the values of all before it.
        """
        loaded = self._loaded_until(captured, dropped, pending, ledger)
        last: dict[Request, str] = {}
        is_new: list[bool] = []
        for request, capture, needed in captured:
            is_new.append(any(capture.captured_at > loaded.get(month, "") for month in pending.intersection(needed)))
            if not is_new[-1]:
                last[request] = capture.captured_at
        wanted = [
            one
            for one, new in zip(captured, is_new, strict=True)
            if new or one.capture.captured_at == last.get(one.request)
        ]
        found: list[Archived] = []
        for request, captures in groupby(wanted, key=lambda one: one.request):
            try:
                found += [Archived(self.archive.open(request, capture), months) for _, capture, months in captures]
            except SourceError as error:  # an archived file is missing or damaged
                months = next(one.months for one in wanted if one.request == request)
                report.failures.append(Failure(request.source, request.name, months, str(error)))
        return found

    def _digests(
        self, months: Collection[str], captured: Sequence[Captured], dropped: Sequence[Payload]
    ) -> dict[str, str]:
        """Digest of the inputs of each month. Parsers leave out the metals that are not in scope."""
        metals = " ".join(metal.metal for metal in self.scope.metals)
        return month_digests(months, captured, dropped, f"{self.reference.sha256} {metals}")

    def _loaded_until(
        self, captured: list[Captured], dropped: Sequence[Payload], months: set[str], ledger: Ledger
    ) -> dict[str, str]:
        """Time of the last capture with which each month was loaded (ISO): the ledger has the digest of its inputs of
        that time. Months in which more has changed than new captures are left out."""
        found: dict[str, str] = {}
        times = sorted({one.capture.captured_at for one in captured}, reverse=True)
        for moment in times[1:CUTS]:
            until = [one for one in captured if one.capture.captured_at <= moment]
            digests = self._digests(months - found.keys(), until, dropped)
            found |= dict.fromkeys(digests.keys() - ledger.changed(digests), moment)
            if len(found) == len(months):
                break
        return found

    def _contradicted_months(
        self, feed: Feed, archived: list[Archived], files: list[DropRows], months: set[str]
    ) -> set[str]:
        """Months (YYYY-MM) with stored rows that later responses or drop files of these months contradict.

        Where a response contradicts the first stored day of its series, or none of its rows is stored, the archived
        responses of the period before are compared too, and so on back to a period without contradictions.
        """
        stored = set(self.lake.months(feed.name))
        if stored <= months:
            return set()
        dropped = [file.rows.assign(source=DROP, captured_ts=file.payload.captured_at) for file in files]
        found, _ = self._compare_stored(feed, dropped, stored)
        pending: dict[Request, list[Payload]] = {}
        for payload, needed in archived:
            if not months.isdisjoint(needed):
                pending.setdefault(payload.request, []).append(payload)
        seen: set[Request] = set()
        while pending:
            seen |= pending.keys()
            earlier: dict[Request, list[Payload]] = {}
            for request, payloads in pending.items():
                contradicted, reaches_back = self._compare_stored(feed, self._frames(feed, payloads), stored)
                found |= contradicted
                if reaches_back:
                    for one in preceding_requests(request, self.archive, self.scope).keys() - seen:
                        with suppress(SourceError):  # a damaged file is reported when its months are loaded
                            earlier[one] = self.archive.load(one)
            pending = earlier
        return found

    def _report_rewrites(
        self, feed: Feed, archived: list[Archived], files: list[DropRows], asked: set[str], report: IngestReport
    ) -> None:
        """Add the rewritten series to the report, and a failure for each that still has months on the old basis."""

        def current() -> pd.DataFrame:
            return pd.concat(
                [*self._frames(feed, newest_payloads(archived)), *(file.rows.assign(source=DROP) for file in files)]
            )

        report.rewrites = find_rewrites(self.lake, feed.name, report.written, asked, current)
        report.failures += [
            Failure(one.source, f"{feed.name} {one.series}".strip(), tuple(one.stale), one.remedy)
            for one in report.rewrites
            if one.stale
        ]

    def _compare_stored(self, feed: Feed, frames: list[pd.DataFrame], stored: set[str]) -> tuple[set[str], bool]:
        """Months in which the last stored vintage has other values than a later row of the same source in `frames`.

        And whether responses of earlier periods are to be compared too.
        """
        if not frames:
            return set(), False
        rows = pd.concat(frames)
        months = rows[feed.spec.period].dt.strftime("%Y-%m")
        if not (is_stored := months.isin(stored)).any():
            return set(), True
        known = self.lake.read(feed.name, (months[is_stored].min(), months[is_stored].max()))
        known = known.drop_duplicates([*feed.spec.key, "source"], keep="last")
        both = compare(feed.spec, rows[is_stored], known, by=["source"])
        contradicted = both[both["differs"] & (both["captured_ts"] > both["ingest_ts"])]
        found = set(contradicted[feed.spec.period].dt.strftime("%Y-%m"))
        return found, both.empty or bool(contradicted["is_first"].any())

    def _frames(self, feed: Feed, payloads: Sequence[Payload]) -> list[pd.DataFrame]:
        """Rows of the payloads that can be read and have any, with their source and capture time."""
        frames = []
        for payload in payloads:
            with suppress(NoData, SourceError):
                rows = parse(payload, self.scope).frames.get(feed.name, pd.DataFrame())
                frames.append(rows.assign(source=payload.request.source, captured_ts=payload.captured_at))
        return [frame for frame in frames if len(frame)]

    def _is_rebased(self, feed: Feed, payload: Payload, previous: Payload | None) -> bool:
        """Whether a response is on another basis than the previous one, for values that are restated as a rule."""
        if previous is None or RESTATED.isdisjoint(columns_of(feed.spec.model)):
            return False
        frames = self._frames(feed, [previous, payload])
        return len(frames) == 2 and is_rebased(feed.spec, *frames)

    def _open_dropped(self, feed: Feed, dropped: Sequence[Payload], report: IngestReport) -> list[DropRows]:
        """Rows of the drop files. A file that does not fit becomes a failure; rows outside the covered months, and rows
        without a date, go to quarantine."""
        files: list[DropRows] = []
        quarantined: list[pd.DataFrame] = []
        last = month_of(self.now)
        for payload in dropped:
            try:
                parsed = parse_drop(feed.name, payload.request.name, payload.body)
            except DropError as error:
                report.failures.append(Failure(DROP, payload.request.name, (), str(error)))
                continue
            rows = parsed.frames[feed.name]
            if parsed.left_out:
                report.left_out[payload.request.name] = parsed.left_out
            months = rows[feed.spec.period].dt.strftime("%Y-%m")
            outside = rows[(months < FIRST_MONTH) | (months > last)]
            quarantined.append(_outside(feed, payload, outside, f"{FIRST_MONTH} to {last}"))
            files.append(DropRows(payload, rows, months, parsed.left_out))
        self._quarantine(feed, quarantined)
        # A row without a date belongs to no chunk: it is validated here, to be rejected with its reason.
        undated = [(file.payload, file.rows[file.months.isna()]) for file in files if file.months.isna().any()]
        rejected: list[pd.DataFrame] = []
        self._admit_dropped(feed, undated, report, rejected)
        self._quarantine(feed, rejected)
        return files

    @staticmethod
    def _missing(landings: Landings, files: list[DropRows]) -> set[str]:
        """Months (YYYY-MM) of these files that were not loaded."""
        records = [landings.of(file.payload.request.name, file.payload.sha256) for file in files]
        return {month for record in records if record is not None for month in record.missing}

    def _record_landings(self, landings: Landings, files: list[DropRows], loaded: set[str]) -> None:
        """Record that these months of the drop files were loaded. Those outside the covered months count as loaded."""
        last, landed = month_of(self.now), {}
        for payload, rows, months, left_out in files:
            before = landings.of(payload.request.name, payload.sha256)
            own = {month for month in months.dropna().unique() if FIRST_MONTH <= month <= last}
            missing = (set(before.missing) if before else own) - loaded
            if before is None or missing != set(before.missing):
                stored = sorted((own - missing) & landings.stored_months)
                landed[payload.request.name] = Landing(
                    payload.sha256,
                    f"{self.now:%Y-%m-%dT%H:%M:%SZ}",
                    len(rows),
                    left_out,
                    tuple(sorted(missing)),
                    tuple(stored),
                )
        if landed:
            landings.update(landed)

    def _read(
        self,
        feed: Feed,
        archived: list[Archived],
        newest: dict[Request, datetime],
        previous: dict[Request, Payload],
        chunk: set[str],
        report: IngestReport,
        quarantined: list[pd.DataFrame],
    ) -> pd.DataFrame:
        """Validated and timed rows of one source's payloads, with `absent_at`: when the previous capture of their
        request was made or, for a response on another basis than that one, its own: its new rows are known since then.

        `newest`: capture time of each request's newest payload. `previous`: the last readable capture of earlier
        batches; updated here.
        """
        batch = Batch("OPEN" if self.synthetic else SOURCES[archived[0].payload.request.source].LICENCE)
        read: dict[Request, Payload] = {}
        for payload, months in archived:
            try:
                parsed = parse(payload, self.scope)
            except NoData:
                continue
            except SourceError as error:
                # A payload that a later capture replaced is no failure.
                failure = Failure(payload.request.source, payload.request.name, months, str(error))
                if payload.captured_at == newest[payload.request] and failure not in report.failures:
                    report.failures.append(failure)
                continue
            read[payload.request] = payload
            unreadable = [(bad.where, bad.raw, bad.reason) for bad in parsed.rejected if bad.dataset == feed.name]
            if unreadable:
                quarantined.append(quarantine_rows(feed.name, payload, unreadable))
            rows = parsed.frames.get(feed.name)
            if rows is not None and len(rows):
                rows = rows.set_axis(pd.RangeIndex(1, len(rows) + 1))
                rows = rows[in_months(rows[feed.spec.period], chunk)]
                batch.add(payload, rows, parsed.written_at)
        absent_at = {}
        for payload in batch.payloads:
            before = previous.get(payload.request)
            last_absent = payload if self._is_rebased(feed, payload, before) else before
            absent_at[payload.sha256] = last_absent and last_absent.captured_at
        previous.update(read)
        admitted = self._admit(feed, batch, report, quarantined)
        if len(admitted):
            admitted["absent_at"] = pd.to_datetime(admitted["payload_sha256"].map(absent_at), utc=True)
        return admitted

    def _admit_dropped(
        self,
        feed: Feed,
        files: list[tuple[Payload, pd.DataFrame]],
        report: IngestReport,
        quarantined: list[pd.DataFrame],
    ) -> pd.DataFrame:
        batch = Batch("OPEN" if self.synthetic else "BYO")
        for payload, rows in files:
            batch.add(payload, rows)
        return self._admit(feed, batch, report, quarantined)

    def _admit(self, feed: Feed, batch: Batch, report: IngestReport, quarantined: list[pd.DataFrame]) -> pd.DataFrame:
        """Valid rows with their bitemporal columns; invalid ones are added to `quarantined`."""
        payloads, frames = batch.payloads, batch.frames
        count = sum(map(len, frames))
        report.rows_read += count
        if not count:
            return pd.DataFrame()
        of_payload = np.repeat(np.arange(len(frames)), [len(frame) for frame in frames])
        try:
            checked = validate(feed.name, pd.concat(frames))
        except SchemaMismatch as error:
            request = payloads[0].request
            dates = pd.concat([frame[feed.spec.period] for frame in frames]).dropna()
            months = tuple(sorted(dates.dt.strftime("%Y-%m").unique()))
            report.failures.append(Failure(request.source, request.name, months, str(error)))
            return pd.DataFrame()
        for number, rejected in checked.rejected.groupby(of_payload[checked.rejected["row"]]):
            quarantined.append(_invalid(feed, payloads[int(str(number))], rejected))
        if checked.good.empty:
            return checked.good
        return self._timed(feed, checked.good, batch, of_payload[checked.positions])

    def _timed(self, feed: Feed, rows: pd.DataFrame, batch: Batch, of_payload: NDArray[np.int64]) -> pd.DataFrame:
        """Rows with the bitemporal columns that the lake needs. `of_payload`: position of each row's payload."""

        def by_row(moments: list[datetime]) -> pd.Series:
            return pd.Series(pd.DatetimeIndex(moments).tz_convert("UTC").as_unit("us")[of_payload], index=rows.index)

        source = batch.payloads[0].request.source
        captured = by_row([payload.captured_at for payload in batch.payloads])
        published_by = None if source == DROP else by_row(batch.published_by)
        known = knowledge_times(rows, feed, source, self.reference["release_calendar"], captured, published_by)
        return rows.assign(
            obs_start=period_starts(rows, feed.spec),
            obs_end=rows[feed.spec.period],
            source=source,
            payload_sha256=np.array([payload.sha256 for payload in batch.payloads])[of_payload],
            licence_class=batch.licence,
            captured_ts=captured,
            **known,
        )

    # --- outputs

    def _quarantine(self, feed: Feed, rejected: list[pd.DataFrame]) -> None:
        parts = [part for part in rejected if len(part)]
        if parts:
            self.quarantine.put(feed.name, pd.concat(parts, ignore_index=True), self.now)

    def _rejected(self, feed: Feed, payloads: Sequence[Payload]) -> pd.DataFrame:
        kept = self.quarantine.read(feed.name)
        return kept[kept["payload_sha256"].isin([payload.sha256 for payload in payloads])]


def _outside(feed: Feed, payload: Payload, rows: pd.DataFrame, covered: str) -> pd.DataFrame:
    """Rows of a drop file outside the covered months, for quarantine."""
    period = feed.spec.period
    cells = [(f"line {line}", day) for line, day in rows[period].dt.strftime("%Y-%m-%d").items()]
    reason = f"lies outside the months that are kept, {covered}"
    return quarantine_rows(feed.name, payload, [(where, day, f"{period}={day} {reason}") for where, day in cells])


def _invalid(feed: Feed, payload: Payload, rejected: pd.DataFrame) -> pd.DataFrame:
    """Invalid rows, with their line of a file or row of a response, for quarantine."""
    unit = "line" if payload.request.source == DROP else "row"
    cells = zip(rejected["label"], rejected["raw"], rejected["reason"], strict=True)
    return quarantine_rows(feed.name, payload, [(f"{unit} {label}", raw, reason) for label, raw, reason in cells])
