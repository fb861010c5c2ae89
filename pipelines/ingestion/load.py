"""The way of one observation, from archived payloads to the lake: parse, filter, time, validate, append.

Dagster's assets call this and report what it returns; nothing here knows Dagster. What fails is kept as a `Failure`
with its months, and everything else still lands (CONTRACT section 8).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipelines.common.calendar import FIRST_MONTH, month_of, release_times
from pipelines.common.files import read_json, write_json
from pipelines.datasets import DROP, FEEDS, Feed
from pipelines.ingestion.extract import plan_requests
from pipelines.ingestion.failures import Failure
from pipelines.ingestion.inspection import parse
from pipelines.ingestion.progress import Progress, ProgressCallback, no_progress
from pipelines.lake.quarantine import Quarantine
from pipelines.lake.store import Lake, Written
from pipelines.lake.validate import SchemaMismatch, validate
from pipelines.reference import ReferenceTables
from pipelines.sources import SOURCES
from pipelines.sources.base import NoData, Payload, Rejected, Request, Scope, SourceError, plain
from pipelines.transports.archive import Archive
from pipelines.transports.drop import DropError, parse_drop

# A dataset's months are stored in so many parts, of so many months at least. A crash costs the part in flight; a part
# costs some hundredths of a second, however small it is.
PARTS, PART_MONTHS = 6, 3
SOONEST = pd.Timedelta(days=1)  # a stamp that says a figure was out longer than this before it was due is wrong
UTC_US = "datetime64[us, UTC]"
MAX_RAW = 2000  # characters of a rejected row that are kept: the payload has all of it


@dataclass(frozen=True)
class _Answers:
    """Answers of one source, or a user's files, whose rows are held against the rules together."""

    payloads: list[Payload]
    frames: list[pd.DataFrame]  # one a payload; the index says on which line or row of it a row stands
    published_by: list[datetime]  # when each answer was surely out: written, as the publisher says, or captured
    licence: str


_Files = list[tuple[Payload, pd.DataFrame, "pd.Series"]]  # a user's file, its rows, the month of each


@dataclass
class IngestReport:
    """What became of a dataset's months."""

    rows_read: int = 0
    months_unchanged: int = 0
    written: list[Written] = field(default_factory=list)
    rejected: pd.DataFrame = field(default_factory=pd.DataFrame)
    failures: list[Failure] = field(default_factory=list)

    @property
    def new(self) -> int:
        """Observations seen for the first time."""
        return sum(part.new for part in self.written)

    @property
    def revised(self) -> int:
        """Vintages added to observations that were there."""
        return sum(part.revised for part in self.written)


@dataclass(frozen=True)
class Ingestion:
    """Everything that turning payloads into stored observations needs."""

    lake: Lake
    archive: Archive
    quarantine: Quarantine
    reference: ReferenceTables
    scope: Scope
    now: datetime
    use_sources: bool = True  # False in the drop profile
    synthetic: bool = False  # generated rows may be passed on freely, users' own may not

    def run(
        self,
        name: str,
        months: Sequence[pd.Period],
        dropped: Sequence[Payload] = (),
        watch: ProgressCallback = no_progress,
    ) -> IngestReport:
        """Brings these months of a dataset up to what the archive and the drop files say.

        Months whose payloads, rules and code are those of their last ingestion are left out before anything is parsed.
        The others are stored and remembered chunk by chunk: what a killed run has finished is not read again. `watch`
        is told after each chunk.
        """
        feed = FEEDS[name]
        report = IngestReport()
        wanted = {str(month) for month in months}
        sources = self._source_payloads(feed, months, report)
        pending, digests = self._changed_months(feed, wanted, sources, dropped)
        report.months_unchanged = len(wanted) - len(pending)
        watch(Progress(report.months_unchanged, len(wanted), "months"))
        if pending:
            files = self._open_dropped(feed, dropped, report)
            for chunk in _chunks(pending):
                self._ingest(feed, sources, files, chunk, report)
                # A file that was refused could hold any month.
                failed = {month for failure in report.failures for month in failure.months or wanted}
                self._remember(feed, {month: digests[month] for month in chunk if month not in failed})
                pending = pending - chunk
                watch(Progress(len(wanted) - len(pending), len(wanted), "months", report.rows_read))
        # What these months rest on may have been read in an earlier run: its rejected rows are still missing.
        newest = {payload.request: payload for payload, _ in sources}
        report.rejected = self._rejected(feed, [*newest.values(), *dropped])
        return report

    def _ingest(
        self,
        feed: Feed,
        sources: list[tuple[Payload, tuple[str, ...]]],
        files: _Files,
        chunk: set[str],
        report: IngestReport,
    ) -> None:
        quarantined: list[pd.DataFrame] = []
        believed: list[pd.DataFrame] = []
        newest = {payload.request: payload.captured_at for payload, _ in sources}
        for rank, source in enumerate(feed.sources):
            read_before: dict[Request, datetime] = {}
            for batch in _captures(sources, source, chunk):
                rows = self._read(feed, batch, newest, read_before, chunk, report, quarantined)
                believed.extend([rows.assign(rank=rank)] if len(rows) else [])
        combined = _first_believed(feed, believed)
        stated = self._read_dropped(feed, files, chunk, report, quarantined)
        combined.extend([stated] if len(stated) else [])
        if combined:
            self._store(feed, pd.concat(combined, ignore_index=True), report)
        self._put_aside(feed, quarantined)

    def _put_aside(self, feed: Feed, quarantined: list[pd.DataFrame]) -> None:
        parts = [part for part in quarantined if len(part)]
        if parts:
            self.quarantine.put(feed.name, pd.concat(parts, ignore_index=True), self.now)

    # --- what is there

    def _source_payloads(
        self, feed: Feed, months: Sequence[pd.Period], report: IngestReport
    ) -> list[tuple[Payload, tuple[str, ...]]]:
        found: list[tuple[Payload, tuple[str, ...]]] = []
        if not self.use_sources:
            return found
        for source in feed.sources:
            for request, needed_by in plan_requests(source, months, self.scope).items():
                receipt = self.archive.receipt(request.source, request.name)
                if receipt is None:
                    continue
                if receipt.error:
                    report.failures.append(Failure(source, request.name, needed_by, receipt.error["message"]))
                try:
                    found.extend((payload, needed_by) for payload in self.archive.load(request))
                except SourceError as error:  # an archived file is gone or damaged
                    report.failures.append(Failure(source, request.name, needed_by, str(error)))
        return found

    def _changed_months(
        self, feed: Feed, wanted: set[str], sources: list[tuple[Payload, tuple[str, ...]]], dropped: Sequence[Payload]
    ) -> tuple[set[str], dict[str, str]]:
        rules = hashlib.sha256((_code_fingerprint() + self.reference.sha256).encode())
        for payload in dropped:
            rules.update(payload.request.name.encode() + _sha(payload).encode())
        digests = {}
        by_month: dict[str, list[str]] = {month: [] for month in wanted}
        for payload, needed_by in sources:
            for month in needed_by:
                by_month[month].append(f"{payload.request.name} {_sha(payload)}")
        for month, held in by_month.items():
            digests[month] = hashlib.sha256("\n".join([rules.hexdigest(), *held]).encode()).hexdigest()
        known = read_json(self._ledger(feed))
        return {month for month, digest in digests.items() if known.get(month) != digest}, digests

    def _ledger(self, feed: Feed) -> Path:
        return self.lake.root / feed.name / "_ingested.json"

    def _remember(self, feed: Feed, digests: dict[str, str]) -> None:
        from filelock import FileLock

        path = self._ledger(feed)
        with FileLock(path.with_suffix(".lock")):
            write_json(path, {**read_json(path), **digests})

    # --- reading

    def _read(
        self,
        feed: Feed,
        batch: list[tuple[Payload, tuple[str, ...]]],
        newest: dict[Request, datetime],
        read_before: dict[Request, datetime],
        pending: set[str],
        report: IngestReport,
        quarantined: list[pd.DataFrame],
    ) -> pd.DataFrame:
        """The rows of payloads of one source, validated and timed together: a gate passed once is much cheaper.

        `read_before`: when the capture before was made, of requests of which one could be read; these are added to it.
        """
        licence = "OPEN" if self.synthetic else SOURCES[batch[0][0].request.source].LICENCE
        answers = _Answers([], [], [], licence)
        read: dict[Request, datetime] = {}
        for payload, needed_by in batch:
            try:
                parsed = parse(payload, self.scope)
            except NoData:
                continue
            except SourceError as error:
                # A bad answer that a later one has replaced is history.
                failure = Failure(payload.request.source, payload.request.name, needed_by, str(error))
                if payload.captured_at == newest[payload.request] and failure not in report.failures:
                    report.failures.append(failure)
                continue
            read[payload.request] = payload.captured_at
            quarantined.append(_unreadable(feed, payload, parsed.rejected))
            frame = parsed.frames.get(feed.name)
            if frame is not None and len(frame):
                frame = frame.set_axis(pd.RangeIndex(1, len(frame) + 1))
                answers.payloads.append(payload)
                answers.frames.append(frame[frame[feed.spec.period].dt.strftime("%Y-%m").isin(pending)])
                answers.published_by.append(min(payload.captured_at, parsed.written_at or payload.captured_at))
        absent = {_sha(payload): read_before.get(payload.request) for payload in answers.payloads}
        read_before.update(read)
        rows = self._admitted(feed, answers, report, quarantined)
        if len(rows):
            rows["absent_at"] = pd.to_datetime(rows["payload_sha256"].map(absent), utc=True)
        return rows

    def _open_dropped(self, feed: Feed, dropped: Sequence[Payload], report: IngestReport) -> _Files:
        """A user's files as frames; rows outside the months that are kept are put aside, a file that does not fit is a
        failure."""
        files: _Files = []
        outside: list[pd.DataFrame] = []
        last = month_of(self.now)
        for payload in dropped:
            try:
                frame = parse_drop(feed.name, payload.request.name, payload.body).frames[feed.name]
            except DropError as error:
                report.failures.append(Failure(DROP, payload.request.name, (), str(error)))
                continue
            months = frame[feed.spec.period].dt.strftime("%Y-%m")
            beyond = frame[(months < FIRST_MONTH) | (months > last)]
            outside.append(_outside(feed, payload, beyond, f"{FIRST_MONTH} to {last}"))
            files.append((payload, frame, months))
        self._put_aside(feed, outside)
        # A row without a date belongs to no month: it goes on, to be refused with its reason.
        undated = [(payload, frame[months.isna()]) for payload, frame, months in files if months.isna().any()]
        if undated:
            refused: list[pd.DataFrame] = []
            self._admitted(feed, self._of_files(undated), report, refused)
            self._put_aside(feed, refused)
        return files

    def _read_dropped(
        self, feed: Feed, files: _Files, chunk: set[str], report: IngestReport, quarantined: list[pd.DataFrame]
    ) -> pd.DataFrame:
        """The rows of a user's files, held against the rules together: two files may not contradict each other."""
        answers = self._of_files([(payload, frame[months.isin(chunk)]) for payload, frame, months in files])
        return self._admitted(feed, answers, report, quarantined)

    def _of_files(self, files: list[tuple[Payload, pd.DataFrame]]) -> _Answers:
        payloads, frames = [payload for payload, _ in files], [frame for _, frame in files]
        published_by = [payload.captured_at for payload in payloads]
        return _Answers(payloads, frames, published_by, "OPEN" if self.synthetic else "BYO")

    def _admitted(
        self, feed: Feed, answers: _Answers, report: IngestReport, quarantined: list[pd.DataFrame]
    ) -> pd.DataFrame:
        """The rows that the schema lets in, timed; the others are put aside with what they broke."""
        payloads, frames = answers.payloads, answers.frames
        rows = sum(map(len, frames))
        report.rows_read += rows
        if not rows:
            return pd.DataFrame()
        of_payload = np.repeat(np.arange(len(frames)), [len(frame) for frame in frames])
        try:
            checked = validate(feed.name, pd.concat(frames))
        except SchemaMismatch as error:
            request = payloads[0].request
            months = tuple(sorted({month for frame in frames for month in _months(feed, frame)}))
            report.failures.append(Failure(request.source, request.name, months, str(error)))
            return pd.DataFrame()
        for number, rejected in checked.rejected.groupby(of_payload[checked.rejected["row"]]):
            quarantined.append(_broken(feed, payloads[int(str(number))], rejected))
        return self._timed(feed, checked.good, answers, of_payload[checked.positions])

    def _timed(self, feed: Feed, frame: pd.DataFrame, answers: _Answers, of_payload: NDArray[np.int64]) -> pd.DataFrame:
        """Adds the bitemporal columns. Known at the publisher's or user's own time, else by the release calendar; but
        never later than the answer was out. `of_payload` says which payload each row comes from."""
        if frame.empty:
            return frame
        period_end = frame[feed.spec.period]
        source = answers.payloads[0].request.source
        captured = _of_rows([payload.captured_at for payload in answers.payloads], of_payload, frame)
        known = release_times(period_end, feed.name, source, self.reference["release_calendar"])
        if source != DROP:
            stamped = _of_rows(answers.published_by, of_payload, frame)
            believed = stamped >= known["knowledge_ts"] - SOONEST
            published_by = np.minimum(stamped.where(believed, known["knowledge_ts"]), captured)
            earlier = known["knowledge_ts"] > published_by
            known.loc[earlier, "knowledge_ts"] = published_by[earlier]
            known.loc[earlier, "knowledge_basis"] = "OBSERVED"
        stated = frame["knowledge_ts"] if "knowledge_ts" in frame else pd.Series(pd.NaT, frame.index, dtype=UTC_US)
        is_stated = stated.notna()
        known.loc[is_stated, "knowledge_ts"] = stated[is_stated]
        known.loc[is_stated, "knowledge_basis"] = "OBSERVED"
        start: pd.Series = period_end
        if "period_months" in frame:
            # January and February as a pool begin in January; months before that are other rows.
            in_first_month = period_end - pd.to_timedelta(31 * (frame["period_months"] - 1), unit="D")
            start = pd.Series(in_first_month.dt.to_period("M").dt.to_timestamp())
        elif feed.spec.cadence == "monthly":
            start = pd.Series(period_end.dt.to_period("M").dt.to_timestamp())
        return frame.assign(
            obs_start=start,
            obs_end=period_end,
            knowledge_ts=known["knowledge_ts"],
            knowledge_basis=known["knowledge_basis"],
            source=source,
            payload_sha256=np.array([_sha(payload) for payload in answers.payloads])[of_payload],
            licence_class=answers.licence,
            explicit_knowledge=is_stated,
            captured_ts=captured,
        )

    # --- writing

    def _store(self, feed: Feed, frame: pd.DataFrame, report: IngestReport) -> None:
        """Appends capture by capture, oldest first, so that what an earlier capture said is an earlier vintage."""
        captures = frame.pop("captured_ts")
        for captured, part in frame.groupby(captures, sort=True):
            report.written.extend(self.lake.append(feed.name, part, ingest_ts=pd.Timestamp(captured).to_pydatetime()))

    def _rejected(self, feed: Feed, payloads: Sequence[Payload]) -> pd.DataFrame:
        kept = self.quarantine.read(feed.name)
        return kept[kept["payload_sha256"].isin([_sha(payload) for payload in payloads])]


def _of_rows(moments: list[datetime], of_payload: NDArray[np.int64], frame: pd.DataFrame) -> pd.Series:
    """The moment of each row's payload, in microseconds UTC."""
    return pd.Series(pd.DatetimeIndex(moments).tz_convert("UTC").as_unit("us")[of_payload], index=frame.index)


def _chunks(months: set[str]) -> Iterator[set[str]]:
    """Months in parts, oldest first."""
    ordered = sorted(months)
    size = max(PART_MONTHS, -(-len(ordered) // PARTS))
    for start in range(0, len(ordered), size):
        yield set(ordered[start : start + size])


def _captures(
    sources: list[tuple[Payload, tuple[str, ...]]], source: str, pending: set[str]
) -> list[list[tuple[Payload, tuple[str, ...]]]]:
    """A source's payloads that hold any of these months: first captures together, then second ones, and so on. Of one
    batch no two are captures of the same question, so that what they say of one observation may not differ."""
    batches: list[list[tuple[Payload, tuple[str, ...]]]] = []
    seen: dict[tuple[Request, datetime], int] = {}
    numbers: dict[Request, int] = {}
    for payload, needed_by in sources:
        if payload.request.source != source or pending.isdisjoint(needed_by):
            continue
        moment = (payload.request, payload.captured_at)
        if moment not in seen:
            seen[moment] = numbers.get(payload.request, 0)
            numbers[payload.request] = seen[moment] + 1
        while len(batches) <= seen[moment]:
            batches.append([])
        batches[seen[moment]].append((payload, needed_by))
    return batches


def _first_believed(feed: Feed, frames: list[pd.DataFrame]) -> list[pd.DataFrame]:
    """Of several sources the first with rows for a series and month gives them; the others are left out there."""
    if not frames:
        return []
    everything = pd.concat(frames, ignore_index=True)
    month = everything[feed.spec.period].dt.to_period("M")
    by = [month, *(everything[column] for column in feed.spec.series)]
    best = everything.groupby(by)["rank"].transform("min")
    return [everything[everything["rank"] == best].drop(columns="rank")]


@lru_cache(maxsize=4096)
def _sha(payload: Payload) -> str:
    return hashlib.sha256(payload.body).hexdigest()


@lru_cache(maxsize=1)
def _code_fingerprint() -> str:
    """Identifies the code that turns payloads into rows: when it changes, payloads are read again."""
    import schemas

    digest = hashlib.sha256()
    pipelines = Path(__file__).parents[1]
    rooms: Iterable[Path] = [*(pipelines / "sources").glob("*.py"), *Path(schemas.__file__).parent.rglob("*.py")]
    files = [Path(__file__), pipelines / "common" / "calendar.py", pipelines / "transports" / "drop.py"]
    files += (pipelines / "lake").glob("*.py")
    for path in sorted([*rooms, *files]):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _unreadable(feed: Feed, payload: Payload, rejected: list[Rejected]) -> pd.DataFrame:
    rows = [(r.where, r.raw, r.reason) for r in rejected if r.dataset == feed.name]
    return _aside(feed, payload, pd.DataFrame(rows, columns=["where", "raw", "reason"]))


def _outside(feed: Feed, payload: Payload, rows: pd.DataFrame, kept: str) -> pd.DataFrame:
    if rows.empty:
        return pd.DataFrame()
    days = rows[feed.spec.period].dt.strftime("%Y-%m-%d")
    where = "line " + rows.index.astype(str)
    reason = f"{feed.spec.period}=" + days + f" lies outside the months that are kept, {kept}"
    return _aside(feed, payload, pd.DataFrame({"where": where, "raw": days.to_numpy(), "reason": reason.to_numpy()}))


def _broken(feed: Feed, payload: Payload, rejected: pd.DataFrame) -> pd.DataFrame:
    """Rows that broke a rule, with the line of a file or the row of an answer on which they stand."""
    place = "line " if payload.request.source == DROP else "row "
    where = place + rejected["label"].astype(str)
    return _aside(feed, payload, pd.DataFrame({"where": where, "raw": rejected["raw"], "reason": rejected["reason"]}))


def _months(feed: Feed, frame: pd.DataFrame) -> list[str]:
    return list(frame[feed.spec.period].dropna().dt.strftime("%Y-%m").unique())


def _aside(feed: Feed, payload: Payload, rows: pd.DataFrame) -> pd.DataFrame:
    said = {name: [plain(str(text), MAX_RAW) for text in rows[name]] for name in ("where", "raw", "reason")}
    return rows.assign(
        **said,
        dataset=feed.name,
        source=payload.request.source,
        payload_sha256=_sha(payload),
        period=payload.request.period or payload.request.name,
    )
