"""The lake: append-only bitemporal Parquet, and its locks.

One file for each dataset, month and write with new vintages: `<dataset>/month=YYYY-MM/<captured>-<hash>.parquet`. The
month is that of the dataset's period. Writers of one month wait for each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Final

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.common.files import sweep, write_atomically
from pipelines.datasets import DROP
from pipelines.lake.parquet import write_parquet
from pipelines.lake.vintages import SUSPECT, compared_columns, new_vintages
from schemas.base import columns_of
from schemas.datasets import DATASETS
from schemas.generate.arrow import arrow_schema, pandas_types

EMPTY: Final = "_schema.parquet"
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
class Lake:
    """Vintages of every dataset under one folder. `lock_timeout` (seconds): longest wait for another writer."""

    root: Path
    lock_timeout: float = 600.0

    def ensure(self, names: Iterable[str] = tuple(DATASETS)) -> None:
        """Write a file without rows for each dataset: `<dataset>/**/*.parquet` always matches and has all columns.

        Also removes temporary files of writers that were killed more than an hour ago.
        """
        for name in names:
            path, schema = self.root / name / EMPTY, arrow_schema(name)
            if not path.is_file() or not pq.read_schema(path).equals(schema):
                write_atomically(path, partial(pq.write_table, schema.empty_table()))
            sweep(self.root / name)

    def append(self, name: str, frame: pd.DataFrame, *, ingest_ts: datetime) -> list[Written]:
        """Append the rows that are new vintages. Returns one `Written` for each month in the frame.

        `frame`: value columns and bitemporal columns of the dataset without vintage_no, ingest_ts and is_suspect, which
        are set here; further columns are ignored. `ingest_ts`: capture time of the rows (with time zone).

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
            numbers = [] if table is None else table["vintage_no"].to_pylist()
            new = numbers.count(1)
            written.append(Written(month, len(index), new, len(numbers) - new, path))
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
