"""The lake: append-only bitemporal Parquet, and its locks.

One file for each dataset, month and write with new vintages: `<dataset>/month=YYYY-MM/<captured>-<hash>.parquet`. The
month is that of the dataset's period. Writers of one month wait for each other. Each file has a line in the record of
its dataset (`pipelines/lake/record.py`).
"""

from __future__ import annotations

import errno
import os
from collections.abc import Container, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache, partial
from pathlib import Path
from typing import Final

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.common.files import sweep, write_atomically
from pipelines.datasets import DROP
from pipelines.lake.parquet import rows_sha256, write_parquet
from pipelines.lake.record import Entry, FileRecord, Load, file_sha256, named_after
from pipelines.lake.vintages import SUSPECT, compared_columns, new_vintages
from schemas.base import columns_of
from schemas.datasets import DATASETS
from schemas.generate.arrow import arrow_schema, pandas_types

EMPTY: Final = "_schema/empty.parquet"
FORMER_EMPTY: Final = "_schema.parquet"  # of earlier versions
ADDED: Final = ("vintage_no", "ingest_ts", SUSPECT)  # columns that append sets


@dataclass(frozen=True)
class Written:
    """Outcome of an append for one month: rows given, new observations, and further vintages of known ones.

    `path` is the file of the new vintages; None when there are none.
    """

    month: str
    rows: int
    new: int
    revised: int
    path: Path | None


@dataclass(frozen=True)
class Damage:
    """A file that is gone, unreadable or changed, or one that is not of the lake (`entry` is None).

    `copy_of`: the file of the lake whose bytes it has.
    """

    dataset: str
    file: str
    problem: str
    entry: Entry | None = None
    copy_of: str = ""

    def __str__(self) -> str:
        return f"{self.dataset}/{self.file} {self.problem}"

    @property
    def is_denied(self) -> bool:
        """Whether this user may not read the file, which may be whole."""
        return self.problem == f"cannot be read ({os.strerror(errno.EACCES)})"


@dataclass(frozen=True)
class Lake:
    """Vintages of every dataset under one folder. `lock_timeout` (seconds): longest wait for another writer.

    `records`: folder of the records of its files, by default beside it.
    """

    root: Path
    lock_timeout: float = 600.0
    records: Path | None = None

    def ensure(self, names: Iterable[str] = tuple(DATASETS)) -> None:
        """Write a file without rows for each dataset: `<dataset>/*/*.parquet` always matches and has all columns.

        Also removes temporary files of writers that were killed more than an hour ago.
        """
        for name in names:
            path, body = self.root / name / EMPTY, _empty_file(name)
            if not path.is_file() or path.read_bytes() != body:
                write_atomically(path, partial(Path.write_bytes, data=body))
            (self.root / name / FORMER_EMPTY).unlink(missing_ok=True)
            sweep(self.root / name)

    def append(self, name: str, frame: pd.DataFrame, *, ingest_ts: datetime, load: Load | None = None) -> list[Written]:
        """Append the rows that are new vintages. Returns one `Written` for each month in the frame.

        `frame`: value columns and bitemporal columns of the dataset without vintage_no, ingest_ts and is_suspect, which
        are set here; further columns are ignored. `ingest_ts`: capture time of the rows (with time zone). `load`: what
        they were loaded from, for the record of the files.

        - A new observation is vintage 1. When it was due by `absent_at` (optional column: when the publisher was
          fetched before without having it), it is late: known since `ingest_ts` (basis OBSERVED).
        - Values other than those last known are the next vintage. Unless their knowledge time is later than that of
          the last vintage, the publisher changed its history: known since `ingest_ts` (basis OBSERVED).
        - A drop row with true `explicit_knowledge` (optional column) keeps its knowledge_ts, even before stored ones.
        - Rows of an earlier capture than the stored ones add nothing.
        - Where the publisher numbers its releases (column `vintage`), a new number alone is no new vintage. Other
          values under a stored number are a suspect vintage: known at their own time where that is later, else since
          `ingest_ts`, so that earlier as-of reads stay the same.

        Raises `ValueError` for a frame that cannot be stored, `TimeoutError` when another writer holds a month for
        longer than `lock_timeout`.
        """
        spec, captured = DATASETS[name], _utc(ingest_ts, "ingest_ts")
        rows = _typed_rows(name, frame, captured)
        by_month = {str(month): index for month, index in rows.groupby("month").groups.items()}
        files = {month: self._files(name, month) for month in by_month}
        stored = _load(name, [path for paths in files.values() for path in paths], compared_columns(spec))
        tables = _tables(name, new_vintages(spec, rows, stored))
        written = []
        for month, index in by_month.items():
            table, path = tables.get(month), None
            if table is not None:
                with self._lock(name, month):
                    if (current := self._files(name, month)) != files[month]:  # another process wrote meanwhile
                        stored = _load(name, current, compared_columns(spec))
                        table = _tables(name, new_vintages(spec, rows.loc[index], stored)).get(month)
                    if table is not None:
                        path = write_parquet(self.root / name / f"month={month}", table, captured)
                        self.record(name).append([self._entry(name, path, table, load)])
            numbers = [] if table is None else table["vintage_no"].to_pylist()
            new = numbers.count(1)
            written.append(Written(month, len(index), new, len(numbers) - new, path))
        if any(part.path for part in written):
            self.record(name).flush()
        return written

    def read(
        self, name: str, months: tuple[object, object] | None = None, as_of: datetime | None = None
    ) -> pd.DataFrame:
        """Stored rows (value and bitemporal columns), sorted by key and knowledge_ts.

        `months`: first and last as `YYYY-MM` (text or pandas periods), both included. `as_of`: the last vintage of each
        observation known by then; drop rows replace those of sources for their series and month.
        """
        first, last = (str(month) for month in months) if months else ("", "9999-12")
        folders = (self.root / name).glob("month=*")
        paths = [path for folder in folders if first <= folder.name[6:] <= last for path in folder.glob("*.parquet")]
        rows = _load(name, sorted(paths))
        spec = DATASETS[name]
        if as_of is not None:
            rows = rows[rows["knowledge_ts"] <= _utc(as_of, "as_of")]
            series = [rows[spec.period].dt.to_period("M"), *(rows[column] for column in spec.series)]
            is_drop = rows["source"] == DROP
            rows = rows[is_drop == is_drop.groupby(series).transform("any")]
        rows = rows.sort_values([*spec.key, "knowledge_ts", "vintage_no", "ingest_ts"], kind="stable")
        if as_of is not None:
            rows = rows.drop_duplicates(list(spec.key), keep="last")
        return rows.reset_index(drop=True)

    def extent(self, name: str) -> tuple[int, datetime | None]:
        """Number of stored vintages of a dataset and their latest knowledge time. Reads Parquet footers only."""
        column = arrow_schema(name).get_field_index("knowledge_ts")
        rows, times = 0, []
        for path in (self.root / name).glob("month=*/*.parquet"):
            footer = pq.read_metadata(path)
            rows += footer.num_rows
            groups = [footer.row_group(n).column(column).statistics for n in range(footer.num_row_groups)]
            times += [group.max for group in groups if group is not None and group.has_min_max]
        return rows, max(times, default=None)

    # --- the files and their record

    def record(self, name: str) -> FileRecord:
        """The record of a dataset's files."""
        return FileRecord((self.records or self.root.with_name(f"{self.root.name}_record")) / f"{name}.jsonl")

    def entries(self, name: str, released: Iterable[str] = ()) -> dict[str, Entry]:
        """The files that a dataset should have, oldest first: those of its record, then others of the release."""
        known = self.record(name).read()
        return known | {file: Entry(file) for file in released if file not in known}

    def has_files(self, name: str) -> bool:
        """Whether a dataset has rows, or had some."""
        return bool(self.record(name).read()) or any((self.root / name).glob("month=*/*.parquet"))

    def months(self, name: str) -> list[str]:
        """Months (YYYY-MM) with files, in order."""
        return sorted(
            {path.parent.name.removeprefix("month=") for path in (self.root / name).glob("month=*/*.parquet")}
        )

    def present(self, name: str) -> list[str]:
        """The files of a dataset that are not recorded as lost."""
        return sorted(file for file, entry in self.record(name).read().items() if not entry.lost_at)

    def damage(self, name: str, released: Iterable[str] = ()) -> list[Damage]:
        """Compare a dataset's files with their record: every byte is read, nothing is written.

        `released`: files that the current release was built from. A file without a line in the record is good when its
        bytes have the hash in its name, and its rows are of this dataset and month.
        """
        entries = self.entries(name, released)  # before the files: a writer adds its file first, then the line
        found, files = [], {entry.sha256: file for file, entry in entries.items() if entry.sha256}
        for file, entry in entries.items():
            if entry.lost_at:
                continue
            sha256, problem = _read_hash(self.root / name / file)
            if not problem and not entry.matches(sha256):
                problem = "is damaged: its bytes have another hash"
            if problem:
                found.append(Damage(name, file, problem, entry, files.get(sha256, "")))
        for file in self.unrecorded(name, entries):
            sha256, _ = _read_hash(self.root / name / file)
            if sha256 in files:
                found.append(Damage(name, file, f"is a copy of {files[sha256]}", copy_of=files[sha256]))
            elif not named_after(file, sha256):
                found.append(Damage(name, file, "is not as the lake wrote it: move it out of the lake"))
            elif not self._is_of(name, file):
                found.append(Damage(name, file, "has rows of another dataset or month: move it where it belongs"))
        return found

    def unrecorded(self, name: str, entries: Container[str]) -> list[str]:
        """Files of a dataset, below its folder, that have no entry."""
        folder = self.root / name
        paths = {*folder.rglob("*.parquet"), *folder.glob("*/*.parquet")}  # links to folders are followed by the second
        files = (path.relative_to(folder).as_posix() for path in sorted(paths))
        return [file for file in files if file not in (EMPTY, FORMER_EMPTY) and file not in entries]

    def adopt(self, name: str) -> None:
        """Add files without a line in the record to it: of an earlier version, or of a writer that was killed."""
        record = self.record(name)
        if not record.path.is_file():
            record.append([])
        by_month: dict[str, list[str]] = {}
        for file in self.unrecorded(name, record.read()):
            if named_after(file, _read_hash(self.root / name / file)[0]) and self._is_of(name, file):
                by_month.setdefault(Entry(file).month, []).append(file)
        for month, files in by_month.items():
            with self._lock(name, month):  # a writer adds file and line under it
                known = record.read()
                paths = [self.root / name / file for file in files if file not in known]
                record.append([self._entry(name, path, pq.read_table(path, partitioning=None), None) for path in paths])

    def _is_of(self, name: str, file: str) -> bool:
        """Whether a whole file has the columns of this dataset, and only rows of the month of its folder."""
        path, period = self.root / name / file, DATASETS[name].period
        columns, known = set(pq.read_schema(path).names), set(arrow_schema(name).names)
        if not known - {SUSPECT} <= columns <= known:  # files that were written before this column existed lack it
            return False
        days = pq.read_table(path, columns=[period], partitioning=None)[period].to_pylist()
        return {f"{day:%Y-%m}" for day in days} == {Entry(file).month}

    def restore(self, damage: Damage, body: bytes) -> None:
        """Write a file again, with the same rows."""
        entry, path = damage.entry, self.root / damage.dataset / damage.file
        if entry is None:
            raise ValueError(f"{damage} and has no entry in the record")
        with self._lock(damage.dataset, entry.month):
            write_atomically(path, lambda temporary: temporary.write_bytes(body))
            renewed = replace(entry, sha256=file_sha256(path))
            if renewed != self.record(damage.dataset).read().get(entry.file):
                self.record(damage.dataset).append([renewed])

    def _entry(self, name: str, path: Path, table: pa.Table, load: Load | None) -> Entry:
        file = path.relative_to(self.root / name).as_posix()
        return Entry(file, file_sha256(path), rows_sha256(table.replace_schema_metadata(None)), load)

    def _files(self, name: str, month: str) -> list[Path]:
        return sorted((self.root / name / f"month={month}").glob("*.parquet"))

    @contextmanager
    def _lock(self, name: str, month: str) -> Iterator[None]:
        from filelock import FileLock, Timeout

        path = self.root / name / ".locks" / f"{month}.lock"
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(path, timeout=self.lock_timeout):
                yield
        except Timeout:
            problem = f"lake {name} {month}: another process has held the lock for more than {self.lock_timeout:g} s"
            raise TimeoutError(f"{problem}; wait for it or stop it") from None


@cache
def _empty_file(name: str) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(arrow_schema(name).empty_table(), sink)
    return bytes(sink.getvalue())


def _read_hash(path: Path) -> tuple[str, str]:
    """SHA-256 of a file, or an empty text and why it cannot be read."""
    try:
        return file_sha256(path), ""
    except (FileNotFoundError, NotADirectoryError):
        return "", "is gone"
    except OSError as error:
        return "", f"cannot be read ({error.strerror})"


def _load(name: str, paths: Sequence[Path], columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Rows of these files, with all columns or some."""
    import pyarrow.dataset as ds

    schema = arrow_schema(name)
    table = ds.dataset([str(path) for path in paths], schema=schema, format="parquet").to_table(columns=columns)
    types = pandas_types(name)
    frame: pd.DataFrame = table.to_pandas(date_as_object=False)
    if SUSPECT in frame:
        # Files that were written before this column existed have no suspect vintages.
        frame[SUSPECT] = frame[SUSPECT].eq(True)
    return frame.astype({str(column): types[str(column)] for column in frame})


def _tables(name: str, rows: pd.DataFrame) -> dict[str, pa.Table]:
    """Rows as Arrow tables by month, in an order that does not depend on the order given."""
    rows = rows.sort_values(["month", *DATASETS[name].key, "source", "knowledge_ts", "vintage_no"])
    table = pa.Table.from_pandas(rows, schema=arrow_schema(name), preserve_index=False)
    ends = rows["month"].value_counts().sort_index().cumsum()
    starts = [0, *ends.tolist()]
    return {
        str(month): table.slice(start, end - start) for (month, end), start in zip(ends.items(), starts, strict=False)
    }


def _utc(moment: datetime, what: str) -> pd.Timestamp:
    if moment.tzinfo is None:
        raise ValueError(f"{what}={moment.isoformat()} has no time zone: give a moment in UTC")
    return pd.Timestamp(moment).tz_convert("UTC").as_unit("us")


def _typed_rows(name: str, frame: pd.DataFrame, captured: pd.Timestamp) -> pd.DataFrame:
    """The frame in stored types, with its months and the inputs of `new_vintages`."""
    spec, types = DATASETS[name], pandas_types(name)
    required = [column for column in types if column not in ADDED]
    if missing := [column for column in required if column not in frame]:
        raise ValueError(f"{name}: the frame has no {', '.join(missing)}; add the columns")
    rows = frame[required].reset_index(drop=True)
    nullable = {column for column, about in columns_of(spec.model).items() if about["nullable"]}
    for column in required:
        if column not in nullable and (gaps := rows[column].isna().to_numpy()).any():
            raise ValueError(f"{name}: row {gaps.argmax()} has no {column}; validate the frame before it is stored")
    try:
        rows = rows.astype({column: types[column] for column in required})
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}: {error}; validate the frame before it is stored") from error
    number = rows[spec.period].dt.year * 100 + rows[spec.period].dt.month
    labels = {month: f"{month // 100:04d}-{month % 100:02d}" for month in number.unique()}
    is_drop = rows["source"] == DROP
    is_explicit = frame["explicit_knowledge"].to_numpy(dtype=bool) if "explicit_knowledge" in frame else False
    absent_at = frame["absent_at"].reset_index(drop=True) if "absent_at" in frame else pd.NaT
    return rows.assign(
        ingest_ts=captured,
        month=number.map(labels),
        is_drop=is_drop,
        is_explicit=is_drop & is_explicit,
        is_late=(rows["knowledge_ts"] <= absent_at) & ~is_drop,
    )
