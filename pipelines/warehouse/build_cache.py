"""Build cache: what a build need not make again, because its inputs have not changed.

A row of a decision time rests only on what was known by then. So a build keeps the rows before the first decision time
whose inputs changed since the last whole build ; where nothing has changed, dbt is skipped.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import duckdb
import pandas as pd

from pipelines.common.calendar import trading_calendar
from pipelines.common.files import write_atomically
from pipelines.lake.record import originals
from pipelines.lake.store import Lake
from pipelines.warehouse.dbt import BuildResult, NodeResult, arrow_table
from pipelines.warehouse.sql import sql_literal

BUILD_ID: Final = "build_id"  # `select build_id()` in the warehouse
EVERYTHING: Final = datetime.min.replace(tzinfo=UTC)  # before every decision time


@dataclass(frozen=True)
class Record:
    """A whole build: its inputs and results.

    `code`: fingerprint of what changes every row: dbt project, versions, scope, start of the calendar. `files`:
    those appended to the lake, by dataset. `wrong_from`: rows of these decision times may be wrong, because a later
    build did not finish or built some of the models; empty when none are. `build_id`: of the last build that changed
    the warehouse, which has it too (`mark`).
    """

    code: str
    as_of: str  # ISO, UTC
    reference: str
    files: Mapping[str, list[str]]
    nodes: list[dict[str, str | int | float]]
    build_id: str
    wrong_from: str = ""  # ISO, UTC

    @property
    def moment(self) -> datetime:
        """The clock of the build."""
        return datetime.fromisoformat(self.as_of)

    def result(self) -> BuildResult:
        """Its results, which are those of a build with the same inputs."""
        return BuildResult([NodeResult(**node) for node in self.nodes])  # type: ignore[arg-type]


def fingerprint(*parts: str) -> str:
    """One hash of all parts."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def mark(warehouse: Path, build_id: str) -> None:
    """Store the id of a build in the warehouse, before it is changed."""
    with duckdb.connect(str(warehouse)) as connection:
        connection.execute(f"create or replace macro {BUILD_ID}() as {sql_literal(build_id)}")


def is_of(record: Record, warehouse: Path) -> bool:
    """Whether a record describes a warehouse; not where an older file of it was put back, or another one."""
    if not warehouse.is_file():
        return False
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        try:
            return connection.execute(f"select {BUILD_ID}()").fetchone() == (record.build_id,)
        except duckdb.CatalogException:
            return False


def load(path: Path) -> Record | None:
    """The record of the last whole build; None without one, or when every row may be wrong since."""
    try:
        return Record(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        return None


def save(path: Path, record: Record) -> None:
    """Store the record of a whole build that succeeded."""
    write_atomically(path, lambda temporary: temporary.write_text(json.dumps(asdict(record))))


def begin(path: Path, record: Record | None, moment: datetime, build_id: str) -> Record | None:
    """Note before a build changes the warehouse that rows from a moment on may be wrong, until a whole build succeeds.

    Returns the record as it is now; None when every row may be wrong.
    """
    if record is None or moment == EVERYTHING:
        path.unlink(missing_ok=True)
        return None
    wrong = [datetime.fromisoformat(record.wrong_from)] if record.wrong_from else []
    record = replace(record, build_id=build_id, wrong_from=min([moment, *wrong]).isoformat())
    save(path, record)
    return record


def is_same(last: Record, now: Record, moment: datetime) -> bool:
    """Whether a build would make what the last whole one has made; `moment`: from when on it would build."""
    inputs = (last.reference, last.files) == (now.reference, now.files)
    return inputs and not last.wrong_from and moment > now.moment


def changed_from(
    last: Record | None, now: Record, lake: Lake, tables: Mapping[str, pd.DataFrame], copies: Path
) -> datetime:
    """The first moment from which inputs differ from those of the last whole build; earlier rows are the same.

    `EVERYTHING` when all may differ. `now`: the build to be made, without results. `tables`: the
    reference tables; `copies`: folder of those of the last build.
    """
    if last is None or last.code != now.code or now.moment < last.moment:
        return EVERYTHING
    moments = [first_decision(last.moment + timedelta(microseconds=1))]
    if last.wrong_from:
        moments.append(datetime.fromisoformat(last.wrong_from))
    if last.reference != now.reference:
        moments += [_first_valid(table, copies / f"{name}.parquet") for name, table in tables.items()]
    with duckdb.connect() as connection:  # one for all files: to open one takes longer than to read a dataset
        for name in now.files:
            moments += _first_known(connection, lake, name, set(last.files.get(name, ())), last.moment, now.moment)
    return min(moments)


def first_decision(moment: datetime) -> datetime:
    """The first decision time at a moment or later."""
    days = trading_calendar(moment.date(), moment.date() + timedelta(days=14))  # no market is closed for so long
    times = days["as_of_ts"][days["is_business_day"] & (days["as_of_ts"] >= moment)]
    return times.min().to_pydatetime()  # type: ignore[no-any-return]


def _first_known(
    connection: duckdb.DuckDBPyConnection, lake: Lake, name: str, known: set[str], before: datetime, now: datetime
) -> list[datetime]:
    """Earliest knowledge times of a dataset's vintages that the last build did not have.

    They are in a new file, or were known only after that build. A file that replaces known ones has no new vintages.
    """
    entries = lake.entries(name)
    files = {file: set(originals(file, entries)) for file in lake.present(name)}
    if known - set().union(*files.values()):
        return [EVERYTHING]  # a file is gone
    new = [file for file, appended in files.items() if not appended <= known]
    folder = lake.root / name
    found = [_min_known(connection, folder, new, EVERYTHING, now), _min_known(connection, folder, files, before, now)]
    return [moment for moment in found if moment is not None]


def _min_known(
    connection: duckdb.DuckDBPyConnection, folder: Path, files: Iterable[str], after: datetime, until: datetime
) -> datetime | None:
    """The earliest knowledge time in some files that is later than `after`, and `until` or earlier."""
    paths = [str(folder / file) for file in files]
    if not paths:
        return None
    [[first]] = connection.execute(
        "select epoch_us(min(knowledge_ts)) from read_parquet(?, hive_partitioning = false) "
        "where knowledge_ts > make_timestamptz(?) and knowledge_ts <= make_timestamptz(?)",
        [paths, _microseconds(after), _microseconds(until)],
    ).fetchall()
    return None if first is None else datetime.fromtimestamp(first / 1_000_000, UTC)


def _microseconds(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def _first_valid(table: pd.DataFrame, copy: Path) -> datetime:
    """The earliest `valid_from` of the rows that a reference table and its copy do not share."""
    if not copy.is_file():
        return EVERYTHING
    with duckdb.connect() as connection:
        connection.register("table_now", arrow_table(table))
        before = connection.read_parquet(str(copy))
        if before.columns != list(table.columns):
            return EVERYTHING
        [[first]] = connection.sql(
            "select min(valid_from) from "
            "((from before except from table_now) union all (from table_now except from before)) as changed"
        ).fetchall()
    return datetime(first.year, first.month, first.day, tzinfo=UTC) if first else datetime.max.replace(tzinfo=UTC)
