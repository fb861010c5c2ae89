"""The lake: append-only bitemporal Parquet, its files and locks.

One file for each dataset and write with new vintages: `<dataset>/<captured>-<hash>.parquet`, its rows in the order of
their months. Writers of one dataset take turns. Each file has a line in the record of its dataset
(`pipelines/lake/record.py`). A file that has the rows of others names them, in its record and in itself; these are
deleted. In the layout of earlier versions each month had a folder of its own.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.common.files import sweep, write_atomically
from pipelines.datasets import DROP
from pipelines.lake import merge
from pipelines.lake.parquet import rows_sha256, write_parquet
from pipelines.lake.record import FILE_NAME, Entry, FileRecord, Load, file_sha256, named_after, originals, replaced
from pipelines.lake.rows import added_vintages, arrow_table, empty_file, load_rows, stored_table, typed_rows, utc
from pipelines.lake.vintages import SUSPECT, compared_columns
from schemas.datasets import DATASETS
from schemas.generate.arrow import arrow_schema

EMPTY: Final = "_schema.parquet"
# While files are replaced by one, a pattern would match both: no program opens this file, which is empty, as Parquet.
REPLACING: Final = "compaction_in_progress.parquet"
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
            path, body = self.root / name / EMPTY, empty_file(name)
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
        rows = typed_rows(name, frame, ingest_ts)
        months = sorted(rows["month"].unique())
        with self.lock(name):
            self._adopt(name)
            stored = self._rows(name, months, compared_columns(DATASETS[name]))
            added = added_vintages(name, rows, stored)
            path = None
            if len(added):
                table = arrow_table(name, added)
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
            rows = rows[rows["knowledge_ts"] <= utc(as_of, "as_of")]
            series = [rows[spec.period].dt.to_period("M"), *(rows[column] for column in spec.overridden)]
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
                former |= {*merge.parts(self.root / name / file)}
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
        return [file for file in files if file not in (EMPTY, merge.FORMER_EMPTY, REPLACING) and file not in entries]

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
        """Replace small files by one where there are more than `merge.MAX_FILES`. All vintages stay as they are.

        `appended`: those that the last build had, so that a merged file has nothing new for the next one. The caller
        holds the writer's lock: builds read a pattern of file names.
        """
        with self.lock(name):
            known, built = self.record(name).read(), set(appended)
            found = {file: one for file, one in self._found(name).items() if built.issuperset(originals(file, known))}
            if len(found) <= merge.MAX_FILES:
                return
            counts = {file: pq.read_metadata(self.root / name / file).num_rows for file in found}
            chosen = merge.chosen_files(counts)
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
        return merge.by_append(stored_table(name, path), file, entries)

    def _rows(
        self, name: str, months: Sequence[str] | None = None, columns: Sequence[str] | None = None
    ) -> pd.DataFrame:
        """Rows of some months, or of all, with some columns, or with all."""

        def read(paths: list[Path]) -> pd.DataFrame:
            return load_rows(name, paths, columns, months)

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
        parts = merge.parts(path)
        own = rows_sha256(table.replace_schema_metadata(None))
        return Entry(file, sha256, own, None, "", tuple(months), tuple(parts), tuple(parts.values()))

    def _is_of(self, name: str, file: str) -> bool:
        """Whether a whole file has the columns of this dataset, and only rows of the month of its folder, if any."""
        footer, known = pq.read_metadata(self.root / name / file), arrow_schema(name).names
        spec, stored = DATASETS[name], footer.schema.names
        columns = [*spec.defaults, *(spec.aliases.get(column, column) for column in stored)]
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
        for files in merge.batches(folder, whole):
            (folder / REPLACING).touch()
            path = merge.write_merged(folder, {file: stored_table(name, folder / file) for file in files})
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
        merge.delete_former_folders(folder)

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


def _glob(folder: Path, *patterns: str) -> set[Path]:
    """Files below a folder; read again where another process has deleted a folder meanwhile, which pathlib raises."""
    while True:
        with suppress(FileNotFoundError):
            return {path for pattern in patterns for path in folder.glob(pattern)}


def _read_hash(path: Path) -> tuple[str, str]:
    """SHA-256 of a file, or an empty text and why it cannot be read."""
    try:
        return file_sha256(path), ""
    except (FileNotFoundError, NotADirectoryError):
        return "", "is gone"
    except OSError as error:
        return "", f"cannot be read ({error.strerror})"


def _written(name: str, rows: pd.DataFrame, added: pd.DataFrame, path: Path | None) -> list[Written]:
    further = added.loc[added["vintage_no"] > 1, ["month", *DATASETS[name].key, "source", "vintage_no"]]
    revised = {str(month): own.drop(columns="month") for month, own in further.groupby("month")}
    none = further.iloc[:0].drop(columns="month")
    counts, new = rows["month"].value_counts().sort_index(), added["month"].value_counts()
    written = []
    for month, count in counts.items():
        revisions = revised.get(str(month), none)
        vintages = int(new.get(month, 0))
        own = path if vintages else None
        written.append(Written(str(month), count, vintages - len(revisions), len(revisions), own, revisions))
    return written
