"""The lake: append-only bitemporal Parquet, its locks, and the merging of small files.

One file for each dataset and write with new vintages: `<dataset>/<captured>-<hash>.parquet`, its rows in the order of
their months. Writers of one dataset take turns. Each file has a line in the record of its dataset
(`pipelines/lake/record.py`). A file that has the rows of others names them, in its record and in itself; these are
deleted. In the layout of earlier versions each month had a folder of its own.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.common.files import sweep, write_atomically
from pipelines.datasets import DROP
from pipelines.lake.parquet import rows_sha256, write_parquet
from pipelines.lake.record import FILE_NAME, Entry, FileRecord, Load, file_sha256, named_after, originals, replaced
from pipelines.lake.vintages import SUSPECT, compared_columns, new_vintages
from schemas.base import columns_of
from schemas.datasets import DATASETS
from schemas.generate.arrow import arrow_schema, pandas_types

if TYPE_CHECKING:
    import pyarrow.dataset as ds

EMPTY: Final = "_schema.parquet"
FORMER_EMPTY: Final = "_schema/empty.parquet"  # of the former layout
# While files are replaced by one, a pattern would match both: no program opens this file, which is empty, as Parquet.
REPLACING: Final = "compaction_in_progress.parquet"
MAX_FILES: Final = 16  # of a dataset; a build merges some of more
MERGED_FILES: Final = 8  # at least, where files are merged
MAX_ROWS: Final = 250_000  # of a small file
MAX_MERGED: Final = MERGED_FILES * MAX_ROWS  # rows of a merged file, which is made in memory
PARTS: Final = b"replaces"  # key in the footer of a file that replaces others: JSON of their numbers of rows
ADDED: Final = ("vintage_no", "ingest_ts", SUSPECT)  # columns that append sets
T = TypeVar("T")


@dataclass(frozen=True)
class Written:
    """Outcome of an append for one month: rows given, new observations, and further vintages of known ones.

    `path` is the file of the new vintages; None when there are none. `revisions`: key, source and vintage_no of the
    further vintages.
    """

    month: str
    rows: int
    new: int
    revised: int
    path: Path | None
    revisions: pd.DataFrame = field(default_factory=pd.DataFrame, repr=False, compare=False)


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
        """Write a file without rows for each dataset: `<dataset>/*.parquet` always matches and has all columns.

        Also removes temporary files of writers that were killed more than an hour ago.
        """
        for name in names:
            path, body = self.root / name / EMPTY, _empty_file(name)
            if not path.is_file() or path.read_bytes() != body:
                write_atomically(path, partial(Path.write_bytes, data=body))
            sweep(self.root / name)

    def append(
        self, name: str, frame: pd.DataFrame, *, ingest_ts: datetime | None = None, load: Load | None = None
    ) -> list[Written]:
        """Append the rows that are new vintages, in one file. Returns one `Written` for each month in the frame.

        `frame`: value columns and bitemporal columns of the dataset without vintage_no, ingest_ts and is_suspect, which
        are set here; further columns are ignored. `ingest_ts`: capture time of the rows (with time zone); by default
        that of each row, in the column `captured_ts`. `load`: what they were loaded from, for the record of the files.

        - Values of an earlier capture are an earlier vintage.

        - A new observation is vintage 1. When it was due by `absent_at` (optional column: when the publisher was
          fetched before without having it), it is late: known since `ingest_ts` (basis OBSERVED).
        - Values other than those last known are the next vintage. Unless their knowledge time is later than that of
          the last vintage, the publisher changed its history: known since `ingest_ts` (basis OBSERVED).
        - A drop row with true `explicit_knowledge` (optional column) keeps its knowledge_ts, even before stored ones.
        - Rows of an earlier capture than the stored ones add nothing.
        - Where the publisher numbers its releases (column `vintage`), a new number alone is no new vintage. Other
          values under a stored number are a suspect vintage: known at their own time where that is later, else since
          `ingest_ts`, so that earlier as-of reads stay the same.

        Raises `ValueError` for a frame that cannot be stored, `TimeoutError` when another writer holds the dataset for
        longer than `lock_timeout`.
        """
        rows = _typed_rows(name, frame, ingest_ts)
        months = sorted(rows["month"].unique())
        with self.lock(name):
            self._adopt(name)
            stored = self._rows(name, months, compared_columns(DATASETS[name]))
            added = _added(name, rows, stored)
            path = None
            if len(added):
                table = _table(name, added)
                path = write_parquet(self.root / name, table, added["ingest_ts"].max().to_pydatetime())
                own = tuple(sorted(added["month"].unique()))
                self._record(name, Entry(path.name, file_sha256(path), rows_sha256(table), load, months=own))
        return _written(name, rows, added, path)

    def read(
        self, name: str, months: tuple[object, object] | None = None, as_of: datetime | None = None
    ) -> pd.DataFrame:
        """Stored rows (value and bitemporal columns), sorted by key and knowledge_ts.

        `months`: first and last as `YYYY-MM` (text or pandas periods), both included. `as_of`: the last vintage of each
        observation known by then; drop rows replace those of sources for their series and month.
        """
        span = None
        if months is not None:
            span = [str(month) for month in pd.period_range(str(months[0]), str(months[1]), freq="M")]
        rows = self._rows(name, span)
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

        def read(paths: list[Path]) -> tuple[int, datetime | None]:
            footers = [pq.read_metadata(path) for path in paths]
            groups = [footer.row_group(n).column(column) for footer in footers for n in range(footer.num_row_groups)]
            times = [one.statistics.max for one in groups if one.statistics is not None and one.statistics.has_min_max]
            return sum(footer.num_rows for footer in footers), max(times, default=None)

        return self._reading(name, read)

    # --- the files and their record

    def record(self, name: str) -> FileRecord:
        """The record of a dataset's files."""
        return FileRecord((self.records or self.root.with_name(f"{self.root.name}_record")) / f"{name}.jsonl")

    def ledger(self, name: str) -> Path:
        """The ledger of a dataset's loaded months (`pipelines/ingestion/ledger.py`)."""
        return self.root / name / "_ingested.json"

    def entries(self, name: str, released: Iterable[str] = ()) -> dict[str, Entry]:
        """The files that a dataset has had, oldest first: those of its record, then others of the release."""
        known = self.record(name).read()
        return known | {file: Entry(file) for file in released if file not in known}

    def present(self, name: str) -> list[str]:
        """The files of a dataset by its record: those that are neither replaced nor lost."""
        entries = self.record(name).read()
        former = replaced(entries)
        return sorted(file for file, entry in entries.items() if not entry.lost_at and file not in former)

    def has_files(self, name: str) -> bool:
        """Whether a dataset has rows, or had some."""
        return bool(self.record(name).read() or self._listed(name))

    def months(self, name: str) -> list[str]:
        """Months (YYYY-MM) with rows, in order."""
        return sorted({month for entry in self._found(name).values() for month in entry.months})

    def appended(self, name: str) -> list[str]:
        """The files of one append each whose rows a dataset has, also where one file has replaced them."""
        entries = self.record(name).read()
        return sorted(part for file in self.present(name) for part in originals(file, entries))

    def fingerprint(self) -> str:
        """Hash of the content of all datasets: of the names of the files that were appended, as files never change. A
        build compares the bytes with the record first."""
        names = [f"{name}/{file}" for name in DATASETS for file in self.appended(name)]
        return hashlib.sha256("\n".join(names).encode()).hexdigest()

    def damage(self, name: str, released: Iterable[str] = ()) -> list[Damage]:
        """Compare a dataset's files with their record: every byte is read, nothing is written.

        `released`: files that the current release was built from. A file without a line in the record is good when its
        bytes have the hash in its name, and its rows are of this dataset (and month, in the former layout).
        """
        entries = self.entries(name, released)  # before the files: a writer adds its file first, then the line
        found, files = [], {entry.sha256: file for file, entry in entries.items() if entry.sha256}
        former = replaced(entries)
        for file in self.unrecorded(name, entries):
            sha256, _ = _read_hash(self.root / name / file)
            if sha256 in files:
                found.append(Damage(name, file, f"is a copy of {files[sha256]}", copy_of=files[sha256]))
            elif not named_after(file, sha256):
                found.append(Damage(name, file, "is not as the lake wrote it: move it out of the lake"))
            elif not self._is_of(name, file):
                found.append(Damage(name, file, "has rows of another dataset or month: move it where it belongs"))
            else:
                files[sha256] = file
                former |= {*_parts(self.root / name / file)}
        for file, entry in entries.items():
            if entry.lost_at and (self.root / name / file).is_file():
                found.append(Damage(name, file, "is there again after its loss was accepted: move it out of the lake"))
            if entry.lost_at or file in former:
                continue
            sha256, problem = _read_hash(self.root / name / file)
            if not problem and not entry.matches(sha256):
                problem = "is damaged: its bytes have another hash"
            if problem:
                found.append(Damage(name, file, problem, entry, files.get(sha256, "")))
        former = replaced(self.record(name).read()) if found else set()  # by another process, while the files were read
        return [damage for damage in found if damage.file not in former]

    def unrecorded(self, name: str, entries: Container[str]) -> list[str]:
        """Files of a dataset, below its folder, that have no entry."""
        folder = self.root / name
        paths = _glob(folder, "**/*.parquet", "*/*.parquet")  # links to folders are followed by the second
        files = (path.relative_to(folder).as_posix() for path in sorted(paths))
        return [file for file in files if file not in (EMPTY, FORMER_EMPTY, REPLACING) and file not in entries]

    def settle(self, name: str) -> None:
        """Bring a dataset's folder to the state of its record, after killed writers, a restored backup or an upgrade.

        Files without a line in the record are added to it. Without a record the ledger is removed: months may be lost
        that it has. Files of a former layout, or with former columns, are replaced by one. Replaced files are deleted
        where it is whole.
        """
        with self.lock(name):
            if not self.record(name).path.is_file():
                self.ledger(name).unlink(missing_ok=True)
                self.record(name).append([])
            self._adopt(name)
            found = self._found(name)
            former = {file: one for file, one in found.items() if one.former_month or self._has_former(name, one)}
            self._merge(name, former)
            self._delete_replaced(name)

    def compact(self, name: str, appended: Iterable[str]) -> None:
        """Replace small files by one where there are more than `MAX_FILES`. All vintages stay as they are.

        `appended`: those that the last build had, so that a merged file has nothing new for the next one. The caller
        holds the writer's lock: builds read a pattern of file names.
        """
        with self.lock(name):
            known, built = self.record(name).read(), set(appended)
            found = {file: one for file, one in self._found(name).items() if built.issuperset(originals(file, known))}
            if len(found) <= MAX_FILES:
                return
            counts = {file: pq.read_metadata(self.root / name / file).num_rows for file in found}
            rows = {file: count for file, count in counts.items() if count <= MAX_ROWS}
            if len(rows) <= MAX_FILES:
                return
            smallest = sorted(rows, key=lambda file: (rows[file], file))
            chosen = smallest[:MERGED_FILES]
            # Files with no more rows than those before together: each row is copied a few times, however many files.
            for file in smallest[MERGED_FILES:]:
                total = sum(rows[one] for one in chosen)
                if rows[file] > min(total, MAX_MERGED - total):
                    break
                chosen.append(file)
            self._merge(name, {file: entry for file, entry in found.items() if file in chosen})

    def restore(self, damage: Damage, body: bytes) -> None:
        """Write a file again, with the same rows."""
        entry, path = damage.entry, self.root / damage.dataset / damage.file
        if entry is None:
            raise ValueError(f"{damage} and has no entry in the record")
        with self.lock(damage.dataset):
            known = self.record(damage.dataset).read()
            if entry.file in replaced(known):  # by another process, which has repaired it
                return
            write_atomically(path, lambda temporary: temporary.write_bytes(body))
            renewed = replace(entry, sha256=file_sha256(path))
            if renewed != known.get(entry.file):
                self.record(damage.dataset).append([renewed])

    def tables(self, name: str, path: Path, file: str, entries: Mapping[str, Entry]) -> dict[str, pa.Table]:
        """The rows in the bytes of a file, by the file that was appended with them."""
        return _tables(_stored_table(name, path), file, entries)

    def _rows(
        self, name: str, months: Sequence[str] | None = None, columns: Sequence[str] | None = None
    ) -> pd.DataFrame:
        """Rows of some months, or of all, with some columns, or with all."""

        def read(paths: list[Path]) -> pd.DataFrame:
            return _load(name, paths, columns, months)

        return self._reading(name, read, months)

    def _reading(self, name: str, read: Callable[[list[Path]], T], months: Collection[str] | None = None) -> T:
        """What `read` returns for the files with rows of these months; repeated where one was replaced meanwhile."""
        while True:
            found = self._found(name)
            chosen = [file for file, one in found.items() if months is None or not set(months).isdisjoint(one.months)]
            try:
                return read([self.root / name / file for file in chosen])
            except FileNotFoundError:
                if self._found(name).keys() == found.keys():
                    raise

    def _listed(self, name: str) -> set[str]:
        """Files in a dataset's folder with a name of the lake, of this layout and the former one."""
        folder = self.root / name
        files = (path.relative_to(folder).as_posix() for path in _glob(folder, "*.parquet", "month=*/*.parquet"))
        return {file for file in files if FILE_NAME.fullmatch(file)}

    def _found(self, name: str) -> dict[str, Entry]:
        """The files in a dataset's folder, oldest first, without those whose rows are in another one of them."""
        known = self.record(name).read()  # before the files: a file is replaced first by the other, then by its line
        listed = self._listed(name)
        found = {file: entry for file, entry in known.items() if file in listed}
        hashes = {entry.sha256 for entry in known.values()}
        for file in sorted(listed - known.keys(), key=lambda file: (file.rpartition("/")[2], file)):
            entry = self._described(name, file)
            if entry is not None and entry.sha256 not in hashes:  # no copy
                found[file] = entry
                hashes.add(entry.sha256)
        former = replaced(found)
        return {file: entry for file, entry in found.items() if file not in former}

    def _described(self, name: str, file: str) -> Entry | None:
        """The entry of a file without one; None for a file that is not as the lake wrote it."""
        path = self.root / name / file
        sha256, _ = _read_hash(path)
        if not named_after(file, sha256) or not self._is_of(name, file):
            return None
        table = pq.read_table(path, partitioning=None)
        months = sorted({f"{day:%Y-%m}" for day in pc.unique(table[DATASETS[name].period]).to_pylist()})
        parts = _parts(path)
        own = rows_sha256(table.replace_schema_metadata(None))
        return Entry(file, sha256, own, None, "", tuple(months), tuple(parts), tuple(parts.values()))

    def _is_of(self, name: str, file: str) -> bool:
        """Whether a whole file has the columns of this dataset, and only rows of the month of its folder, if any."""
        footer, known = pq.read_metadata(self.root / name / file), arrow_schema(name).names
        spec = DATASETS[name]
        stored = footer.schema.names
        columns = [spec.aliases.get(column, column) for column in stored]
        columns += [column for column in spec.defaults if column not in columns]
        if not {*known} - {SUSPECT} <= {*columns} <= {*known}:  # written before this column existed, a file lacks it
            return False
        month = Entry(file).former_month
        period = stored.index(spec.period)
        days = [footer.row_group(number).column(period).statistics for number in range(footer.num_row_groups)]
        return not month or {f"{day:%Y-%m}" for group in days for day in (group.min, group.max)} == {month}

    def _has_former(self, name: str, entry: Entry) -> bool:
        """Whether a whole file lacks columns, because an earlier version wrote it."""
        added, path = {*DATASETS[name].defaults}, self.root / name / entry.file
        if not added or not entry.matches(_read_hash(path)[0]):
            return False
        return not added <= {*pq.read_metadata(path).schema.names}

    # --- under the lock of the dataset

    def _record(self, name: str, entry: Entry) -> None:
        self.record(name).append([entry])
        self.record(name).flush()

    def _adopt(self, name: str) -> None:
        """Add files without a line in the record to it: of an earlier version, or of a writer that was killed."""
        known = self.record(name).read()
        if added := [entry for file, entry in self._found(name).items() if file not in known]:
            self.record(name).append(added)

    def _merge(self, name: str, entries: Mapping[str, Entry]) -> None:
        """Replace files by one with their rows, one after the other, or by several where they are many. A damaged one
        stays."""
        folder = self.root / name
        whole = [file for file, one in entries.items() if one.matches(_read_hash(folder / file)[0])]
        for files in _batches(folder, whole):
            (folder / REPLACING).touch()
            path = write_merged(folder, {file: _stored_table(name, folder / file) for file in files})
            entry = self._described(name, path.name)
            if entry is None:
                raise OSError(errno.EIO, "is not as it was written", str(path))
            self._record(name, entry)
            self._delete_replaced(name)

    def _delete_replaced(self, name: str) -> None:
        folder, known, listed = self.root / name, self.record(name).read(), self._listed(name)
        left = {file: listed.intersection(known[file].replaces) for file in known.keys() & listed}
        for file, parts in left.items():
            if parts and known[file].matches(_read_hash(folder / file)[0]):
                for part in parts:
                    (folder / part).unlink()
        (folder / REPLACING).unlink(missing_ok=True)
        _delete_former_folders(folder)

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Hold the lock of a dataset. Raises `TimeoutError`."""
        from filelock import FileLock, Timeout

        path = self.root / name / ".lock"
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(path, timeout=self.lock_timeout):
                yield
        except Timeout:
            problem = f"lake {name}: another process has held the lock for more than {self.lock_timeout:g} s"
            raise TimeoutError(f"{problem}; wait for it or stop it") from None


def write_merged(folder: Path, tables: Mapping[str, pa.Table]) -> Path:
    """Write the rows of files, one after the other, to one file that names them."""
    captured = max(Entry(file).captured for file in tables)
    lengths = {file: table.num_rows for file, table in tables.items()}
    table = pa.concat_tables(tables.values()).combine_chunks()
    return write_parquet(folder, table, captured, {PARTS.decode(): json.dumps(lengths)})


def _glob(folder: Path, *patterns: str) -> set[Path]:
    """Files below a folder; read again where another process has deleted a folder meanwhile, which pathlib raises."""
    while True:
        with suppress(FileNotFoundError):
            return {path for pattern in patterns for path in folder.glob(pattern)}


def _batches(folder: Path, files: Sequence[str]) -> list[list[str]]:
    """Files in order, in batches of up to `MAX_MERGED` rows, or of one file."""
    found: list[list[str]] = []
    total = 0
    for file in files:
        rows = pq.read_metadata(folder / file).num_rows
        if not found or total + rows > MAX_MERGED:
            found.append([])
            total = 0
        found[-1].append(file)
        total += rows
    return found


def _delete_former_folders(folder: Path) -> None:
    """Delete what the former layout had beside the files, and its folders that have no file left."""
    for path in [*folder.glob(".locks/*.lock"), *folder.glob("_*.lock"), folder / FORMER_EMPTY]:
        path.unlink(missing_ok=True)
    for path in [*folder.glob("month=*"), folder / ".locks", folder / "_schema"]:
        with suppress(OSError):  # not empty, or not there
            path.resolve().rmdir()
            path.unlink(missing_ok=True)  # a link to the folder


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


def _parts(path: Path) -> dict[str, int]:
    """The files whose rows a whole file has, and the number of rows of each; empty for a file of one append."""
    about = pq.read_metadata(path).metadata or {}
    return {str(file): int(rows) for file, rows in json.loads(about.get(PARTS, b"{}")).items()}


def _stored_table(name: str, path: Path) -> pa.Table:
    """A file's rows with all columns: those that it was written without have their default, or no values."""
    schema, spec, table = arrow_schema(name), DATASETS[name], pq.read_table(path, partitioning=None)
    table = table.rename_columns([spec.aliases.get(column, column) for column in table.column_names])

    for one in schema:
        if one.name not in table.column_names:
            value = pa.scalar(spec.defaults.get(one.name), one.type)
            table = table.append_column(one, pa.repeat(value, len(table)))
    return table.select(schema.names).cast(schema)


def rows_hashes(name: str, table: pa.Table) -> set[str]:
    """Hashes of rows (`rows_sha256`): with their columns, and as an earlier version stored them."""
    spec = DATASETS[name]
    names = {name: former for former, name in spec.aliases.items()}
    former = table.drop_columns([*spec.defaults])
    former = former.rename_columns([names.get(column, column) for column in former.column_names])
    return {rows_sha256(table), *([rows_sha256(former)] if spec.defaults else [])}


def _tables(table: pa.Table, file: str, entries: Mapping[str, Entry]) -> dict[str, pa.Table]:
    if file not in entries or not entries[file].replaces:
        return {file: table}
    found: dict[str, pa.Table] = {}
    start = 0
    for part, rows in zip(entries[file].replaces, entries[file].lengths, strict=True):
        found |= _tables(table.slice(start, rows), part, entries)
        start += rows
    return found


def _load(
    name: str, paths: Sequence[Path], columns: Sequence[str] | None = None, months: Sequence[str] | None = None
) -> pd.DataFrame:
    """Rows of these files, with all columns or some, of all months or some (in order)."""
    import pyarrow.dataset as ds

    schema = arrow_schema(name)
    stored = ds.dataset([str(path) for path in paths], schema=schema, format="parquet")
    table = stored.to_table(columns=columns, filter=None if months is None else in_months(name, months))
    types = pandas_types(name)
    frame: pd.DataFrame = table.to_pandas(date_as_object=False)
    if SUSPECT in frame:
        # Files that were written before this column existed have no suspect vintages.
        frame[SUSPECT] = frame[SUSPECT].eq(True)
    return frame.astype({str(column): types[str(column)] for column in frame})


def in_months(name: str, months: Sequence[str]) -> ds.Expression:
    """The rows of these months, as spans of months without a gap, for which Parquet statistics skip the others."""
    import pyarrow.dataset as ds

    period, wanted = ds.field(DATASETS[name].period), ds.scalar(False)
    numbers = [int(month[:4]) * 12 + int(month[5:]) - 1 for month in months]
    starts = [number for number in numbers if number - 1 not in set(numbers)]
    ends = [number + 1 for number in numbers if number + 1 not in set(numbers)]
    for start, end in zip(starts, ends, strict=True):
        first, after = (date(number // 12, number % 12 + 1, 1) for number in (start, end))
        wanted |= (period >= first) & (period < after)
    return wanted


def _added(name: str, rows: pd.DataFrame, stored: pd.DataFrame) -> pd.DataFrame:
    """New vintages among rows of any captures. Observations do not depend on each other: first their first captures are
    compared with what is stored, then their second ones, and so on."""
    spec = DATASETS[name]
    if rows["ingest_ts"].nunique() <= 1:
        return new_vintages(spec, rows, stored)
    captures = rows["ingest_ts"].astype("int64").groupby([rows[column] for column in (*spec.key, "is_drop")])
    turns, added = captures.rank("dense"), []
    for turn in sorted(turns.unique()):
        added.append(new_vintages(spec, rows[turns == turn], stored))
        stored = pd.concat([stored, added[-1][stored.columns]], ignore_index=True)
    return pd.concat(added)


def _table(name: str, rows: pd.DataFrame) -> pa.Table:
    """Rows as an Arrow table, by month and in an order that does not depend on the order given."""
    rows = rows.sort_values(["month", *DATASETS[name].key, "source", "knowledge_ts", "vintage_no"])
    return pa.Table.from_pandas(rows, schema=arrow_schema(name), preserve_index=False)


def _written(name: str, rows: pd.DataFrame, added: pd.DataFrame, path: Path | None) -> list[Written]:
    identity = [*DATASETS[name].key, "source", "vintage_no"]
    further = added[added["vintage_no"] > 1]
    counts, new = rows["month"].value_counts().sort_index(), added["month"].value_counts()
    written = []
    for month, count in counts.items():
        revisions = further.loc[further["month"] == month, identity]
        vintages = int(new.get(month, 0))
        own = path if vintages else None
        written.append(Written(str(month), count, vintages - len(revisions), len(revisions), own, revisions))
    return written


def _utc(moment: datetime, what: str) -> pd.Timestamp:
    if moment.tzinfo is None:
        raise ValueError(f"{what}={moment.isoformat()} has no time zone: give a moment in UTC")
    return pd.Timestamp(moment).tz_convert("UTC").as_unit("us")


def _typed_rows(name: str, frame: pd.DataFrame, ingest_ts: datetime | None) -> pd.DataFrame:
    """The frame in stored types, with its months and the inputs of `new_vintages`."""
    captured = frame["captured_ts"].array.as_unit("us") if ingest_ts is None else _utc(ingest_ts, "ingest_ts")
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
