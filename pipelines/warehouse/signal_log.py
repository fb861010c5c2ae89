"""The log of published signals outside dbt: its query for a past moment, and its recovery from the last release."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import duckdb

from pipelines.warehouse.sql import Name, sql_literal
from schemas.base import columns_of
from schemas.signals import Signals

# Signals published at a moment: of each signal the newest decision time by then, in the last revision published by
# then; versions with other formulas (the major number) beside each other. For a moment before the first publication:
# the first revision of a later backfill. The table names resolve when the file is opened itself, or after `use`.
SIGNALS_ASOF: Final = """
select *
from (
    select *
    from signals.signals
    where
        as_of_ts <= cast(ts as timestamptz)
        and (
            computed_ts <= cast(ts as timestamptz)
            or not exists (select 1 from signals.signals as log where log.computed_ts <= cast(ts as timestamptz))
        )
    qualify row_number() over (
        partition by signal_id, split_part(signal_version, '.', 1), metal, region, as_of_ts
        order by
            case when computed_ts <= cast(ts as timestamptz) then 0 else 1 end,
            case when computed_ts <= cast(ts as timestamptz) then -epoch(computed_ts) else epoch(computed_ts) end,
            case when computed_ts <= cast(ts as timestamptz) then -revision_no else revision_no end
    ) = 1
) as published
qualify rank() over (partition by signal_id, metal, region order by as_of_ts desc) = 1
"""
REVISION: Final = ("signal_id", "signal_version", "metal", "region", "as_of_ts", "revision_no")
# Columns that the log has not always had, with the expression for rows published before.
ADDED: Final = {"quality_flags": "quality"}
LOG_EXISTS: Final = "select 1 from duckdb_tables() where schema_name = 'signals' and table_name = 'signals'"
TABLE_MACROS: Final[dict[Name, tuple[str, str]]] = {("signals", "signals_asof"): ("ts", SIGNALS_ASOF)}


def is_behind(warehouse: Path, published: Path) -> bool:
    """Whether the log of a warehouse lacks rows of the last release: it is new, or an older file was put back."""
    if not published.is_file():
        return False
    warehouse.parent.mkdir(parents=True, exist_ok=True)
    with duckdb.connect(str(warehouse)) as con:
        con.execute(f"attach {sql_literal(published)} as release (read_only)")
        if not con.execute(f"{LOG_EXISTS} and database_name = 'release'").fetchone():
            return False
        if not con.execute(f"{LOG_EXISTS} and database_name = current_database()").fetchone():
            return True
        lost = f"select 1 from release.signals.signals as one where {_is_absent('signals.signals')} limit 1"
        return con.execute(lost).fetchone() is not None


def restore(warehouse: Path, published: Path) -> None:
    """Replace the log of a warehouse by that of the last release. The caller holds the writer lock."""
    with duckdb.connect(str(warehouse)) as con:
        con.execute(f"attach {sql_literal(published)} as release (read_only)")
        con.execute("create schema if not exists signals")
        con.execute("create or replace table signals.signals as select * from release.signals.signals")


def add_columns(warehouse: Path) -> None:
    """Give the log of an earlier version the columns of this one. The caller holds the writer lock."""
    with duckdb.connect(str(warehouse)) as con:
        found = con.execute(
            "select column_name from duckdb_columns() where schema_name = 'signals' and table_name = 'signals'"
        ).fetchall()
        lacking = set(columns_of(Signals)) - {name for (name,) in found}
        if found and lacking and lacking <= ADDED.keys():
            columns = ", ".join(f"{ADDED[name]} as {name}" if name in lacking else name for name in columns_of(Signals))
            con.execute(f"create or replace table signals.signals as select {columns} from signals.signals")


def first_unpublished(warehouse: Path, published: Path, now: datetime) -> datetime | None:
    """The earliest decision time of the rows that `delete_unpublished` deletes; None when there are none."""
    rows = _unpublished("select epoch_us(min(as_of_ts)) from", warehouse, published, now)
    return datetime.fromtimestamp(rows[0][0] / 1_000_000, UTC) if rows and rows[0][0] is not None else None


def delete_unpublished(warehouse: Path, published: Path, now: datetime) -> int:
    """Delete rows of the log that a run at another time than `now` has built and that were never published.

    That run was killed, or a failing test withheld them. Published later, they would count as published since then, and
    the signals of a past moment would change. The caller holds the writer lock. Returns the number of deleted rows; 0
    when there is no release to compare with.
    """
    rows = _unpublished("delete from", warehouse, published, now)
    return int(rows[0][0]) if rows else 0


def _unpublished(verb: str, warehouse: Path, published: Path, now: datetime) -> list[tuple[Any, ...]]:
    """A statement on the rows of the log that were never published; no result without both logs."""
    if not (warehouse.is_file() and published.is_file()):
        return []
    with duckdb.connect(str(warehouse)) as con:
        con.execute(f"attach {sql_literal(published)} as release (read_only)")
        if len(con.execute(f"{LOG_EXISTS} and database_name in ('release', current_database())").fetchall()) < 2:
            return []
        return con.execute(
            f"{verb} signals.signals as one "
            f"where epoch_us(computed_ts) <> ? and {_is_absent('release.signals.signals')}",
            [int(now.timestamp() * 1_000_000)],
        ).fetchall()


def _is_absent(log: str) -> str:
    """The condition that a row (`one`) is not in a log."""
    same = " and ".join(f"one.{column} = other.{column}" for column in REVISION)
    return f"not exists (select 1 from {log} as other where {same})"
