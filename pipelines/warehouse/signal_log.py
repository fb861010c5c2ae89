"""The log of published signals outside dbt: how it is asked for a past moment, and where it goes on after a loss."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Final

import duckdb

from pipelines.warehouse.sql import Name, sql_literal

# What was published at a moment: of each signal the newest decision time by then, in the last revision published by
# then. Of a moment before anything was published at all it is what was first said of it later, by a backfill. The names
# are found when the file is opened itself, or after `use`.
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
        partition by signal_id, metal, region, as_of_ts
        order by
            case when computed_ts <= cast(ts as timestamptz) then 0 else 1 end,
            case when computed_ts <= cast(ts as timestamptz) then -epoch(computed_ts) else epoch(computed_ts) end,
            case when computed_ts <= cast(ts as timestamptz) then -revision_no else revision_no end
    ) = 1
) as published
qualify row_number() over (partition by signal_id, metal, region order by as_of_ts desc) = 1
"""
REVISION: Final = ("signal_id", "signal_version", "metal", "region", "as_of_ts", "revision_no")
HELD: Final = "select 1 from duckdb_tables() where schema_name = 'signals' and table_name = 'signals'"
TABLE_MACROS: Final[dict[Name, tuple[str, str]]] = {("signals", "signals_asof"): ("ts", SIGNALS_ASOF)}


def restore(warehouse: Path, published: Path) -> bool:
    """Lets a warehouse that has no log go on from the last release, so that no revision is forgotten.

    The caller holds the writer's lock. True when the log was taken over; False when there is one already, or nothing
    to take it from.
    """
    if not published.is_file():
        return False
    warehouse.parent.mkdir(parents=True, exist_ok=True)
    with duckdb.connect(str(warehouse)) as con:
        if con.execute(f"{HELD} and database_name = current_database()").fetchone():
            return False
        con.execute(f"attach {sql_literal(published)} as release (read_only)")
        if not con.execute(f"{HELD} and database_name = 'release'").fetchone():
            return False
        con.execute("create schema if not exists signals")
        con.execute("create table signals.signals as select * from release.signals.signals")
    return True


def forget_unpublished(warehouse: Path, published: Path, now: datetime) -> int:
    """Takes out of the log what a run at another time than `now` has built and nobody has published: it was killed, or
    a failing test withheld it. Published by a later run it would claim to have been out since then, and the answer for
    a past moment would change.

    The caller holds the writer's lock. Returns how many rows; 0 where there is no release to compare with.
    """
    if not (warehouse.is_file() and published.is_file()):
        return 0
    with duckdb.connect(str(warehouse)) as con:
        con.execute(f"attach {sql_literal(published)} as release (read_only)")
        if len(con.execute(f"{HELD} and database_name in ('release', current_database())").fetchall()) < 2:
            return 0
        row = con.execute(
            "delete from signals.signals as built where epoch_us(computed_ts) <> ? and not exists ("
            "select 1 from release.signals.signals as published where "
            + " and ".join(f"built.{column} = published.{column}" for column in REVISION)
            + ")",
            [int(now.timestamp() * 1_000_000)],
        ).fetchone()
        return int(row[0]) if row else 0
