"""Rows of a dataset: frames in stored types, their new vintages, Arrow tables, and rows read from files."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.datasets import DROP
from pipelines.lake.parquet import rows_sha256
from pipelines.lake.vintages import SUSPECT, new_vintages
from schemas.base import columns_of
from schemas.datasets import DATASETS
from schemas.generate.arrow import arrow_schema, pandas_types

if TYPE_CHECKING:
    import pyarrow.dataset as ds

ADDED: Final = ("vintage_no", "ingest_ts", SUSPECT)  # columns that append sets


def typed_rows(name: str, frame: pd.DataFrame, ingest_ts: datetime | None) -> pd.DataFrame:
    """The frame in stored types, with its months and the inputs of `new_vintages`."""
    captured = frame["captured_ts"].array.as_unit("us") if ingest_ts is None else utc(ingest_ts, "ingest_ts")
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


def utc(moment: datetime, what: str) -> pd.Timestamp:
    """A moment in UTC. Raises `ValueError`, with its name `what`, where it has no time zone."""
    if moment.tzinfo is None:
        raise ValueError(f"{what}={moment.isoformat()} has no time zone: give a moment in UTC")
    return pd.Timestamp(moment).tz_convert("UTC").as_unit("us")


def added_vintages(name: str, rows: pd.DataFrame, stored: pd.DataFrame) -> pd.DataFrame:
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


def arrow_table(name: str, rows: pd.DataFrame) -> pa.Table:
    """Rows as an Arrow table, by month and in an order that does not depend on the order given."""
    rows = rows.sort_values(["month", *DATASETS[name].key, "source", "knowledge_ts", "vintage_no"])
    return pa.Table.from_pandas(rows, schema=arrow_schema(name), preserve_index=False)


def stored_table(name: str, path: Path) -> pa.Table:
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


def load_rows(
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


@cache
def empty_file(name: str) -> bytes:
    """A Parquet file without rows, with all columns."""
    sink = pa.BufferOutputStream()
    pq.write_table(arrow_schema(name).empty_table(), sink)
    return bytes(sink.getvalue())
