"""The product's SQL without dbt's overhead: compiled by dbt once, then run in DuckDB by each test.

It builds what dbt builds, in an empty warehouse or from a decision time on in the warehouse of an earlier build;
tests/pipeline/test_compiled.py compares the two.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from graphlib import TopologicalSorter
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from filelock import FileLock

from pipelines.common.files import write_atomically
from pipelines.warehouse import dbt
from schemas.datasets import DATASETS
from schemas.generate.arrow import arrow_schema

DATABASE: Final = "warehouse"  # the catalog that dbt names in the SQL, after the file's name
PUBLISHED: Final = ("marts", "signals")  # schemas
# A dataset of the lake as compiled SQL reads it; group 1 is its name. Sentinels are put in for the run's variables.
LAKE_READ: Final = re.compile(r"read_parquet\('@lake@/(\w+)/\*\.parquet'[^)]*\)")
REFERENCE_READ: Final = re.compile(r"read_parquet\('@reference@/(\w+)\.parquet'[^)]*\)")

Rows = Mapping[str, pa.Table | pd.DataFrame]
Mutation = Callable[[str, str], str]


@dataclass(frozen=True)
class Model:
    """One model of the project; its SQL has `@lake@`, `@as_of@` and so on for the variables of a run."""

    name: str
    schema: str
    materialized: str
    sql: str
    partial_sql: str  # for a partial build
    inputs: frozenset[str]  # names of the models that it reads
    columns: dict[str, str]  # types by name, where the model has a contract

    @property
    def table(self) -> str:
        """Name as readers write it: marts.tightness_daily."""
        return f"{self.schema}.{self.name}"

    @property
    def reads_lake(self) -> bool:
        """Whether it reads the lake; every other model reads models and reference tables only."""
        return LAKE_READ.search(self.sql) is not None


@dataclass(frozen=True)
class DataTest:
    """One data test of the project: a query of the rows that break a rule, and how failures are counted in them."""

    name: str
    sql: str
    failures: str


@cache
def models() -> tuple[Model, ...]:
    """Every model, upstream models first, as dbt compiles it for a whole and for a partial build."""
    return tuple(
        Model(**{**model, "inputs": frozenset(model["inputs"])})  # JSON has no sets
        for model in _compiled_project()["models"]
    )


@cache
def data_tests() -> tuple[DataTest, ...]:
    """Every data test that fails a build (severity error)."""
    return tuple(DataTest(**test) for test in _compiled_project()["tests"])


@cache
def _compiled_project() -> dict[str, Any]:
    """The compiled project, kept beside dbt's manifest: compiled again where a file of the project has changed."""
    kept = dbt.MANIFEST.with_name("compiled_project.json")
    kept.parent.mkdir(parents=True, exist_ok=True)
    code = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()
    fingerprint = f"{dbt.project_fingerprint()} {code} {version('dbt-core')} {version('dbt-duckdb')}"
    with FileLock(kept.with_suffix(".lock")):  # the other workers wait and read
        if kept.is_file() and (found := json.loads(kept.read_text()))["fingerprint"] == fingerprint:
            return dict(found)
        made = {"fingerprint": fingerprint, **_compile()}
        write_atomically(kept, lambda temporary: temporary.write_text(json.dumps(made)))
        return made


def _compile() -> dict[str, Any]:
    first, partial = (dbt.compile_project(dbt.manifest(), is_partial) for is_partial in (False, True))
    nodes = {node.unique_id: node for node in first if node.resource_type == "model"}
    partial_sql = {node.unique_id: node.compiled_code for node in partial}
    inputs = {name: {above for above in node.depends_on.nodes if above in nodes} for name, node in nodes.items()}
    tables = [nodes[name] for name in TopologicalSorter(inputs).static_order()]
    assert all(node.database == DATABASE and node.alias == node.name for node in tables)
    tests = [node for node in first if node.resource_type == "test"]
    return {
        "models": [
            {
                "name": node.name,
                "schema": node.schema,
                "materialized": node.config.materialized,
                "sql": node.compiled_code,
                "partial_sql": partial_sql[node.unique_id],
                "inputs": [nodes[name].name for name in sorted(inputs[node.unique_id])],
                "columns": {name: column.data_type for name, column in node.columns.items()},
            }
            for node in tables
        ],
        "tests": [
            {"name": test.unique_id, "sql": test.compiled_code, "failures": test.config.fail_calc}
            for test in tests
            if test.config.severity.lower() == "error"
        ],
    }


def needed_for(*names: str) -> tuple[Model, ...]:
    """Models and their upstream models, in build order."""
    needed = set(names)
    for model in reversed(models()):
        needed |= model.inputs if model.name in needed else set()
    return tuple(model for model in models() if model.name in needed)


def build(
    lake: Path | Rows,
    reference: Path | Rows,
    as_of: datetime | str,
    mutate: Mutation | None = None,
    only: Collection[Model] = (),
    warehouse: Path | None = None,
    within: duckdb.DuckDBPyConnection | None = None,
    built_from: datetime | None = None,
) -> duckdb.DuckDBPyConnection:
    """Every model as of a moment (UTC), in a database in memory or in the file `warehouse`.

    `within`: the database of an earlier build, to build in it again and go on with its log of signals; `built_from`:
    the rows of earlier decision times are kept.

    `lake`: the lake's folder, or its datasets as frames with the stored columns (a dataset that is not named has no
    rows). `reference`: the folder with the reference tables' Parquet copies, or frames of them. `mutate` is given each
    model's name and SQL, with `@lake@` and so on still in it, and returns the SQL that runs in its place. `only`: some
    of the models, instead of all.
    """
    connection = within or duckdb.connect(config={"threads": 2})
    if within is None:
        connection.execute(f"set TimeZone = 'UTC'; attach '{warehouse or ':memory:'}' as {DATABASE}; use {DATABASE}")
    start = built_from.isoformat() if built_from else "-infinity"
    run = {
        "as_of": pd.Timestamp(as_of).isoformat(), "run_id": "test", "code_version": "test", "built_from": start,
    }  # fmt: skip
    read_lake = _reader(connection, "lake", lake, {name: arrow_schema(name).empty_table() for name in DATASETS})
    read_reference = _reader(connection, "reference", reference, {})
    for schema in {model.schema for model in models()}:
        connection.execute(f'create schema if not exists "{schema}"')
    for model in only or models():
        sql = model.partial_sql if built_from else model.sql
        sql = mutate(model.name, sql) if mutate else sql
        table = f'"{model.schema}"."{model.name}"'
        if built_from and model.materialized == "by_decision_time":
            day = "cast(timestamptz '@built_from@' as date)"
            connection.execute(f"delete from {table} where as_of_date >= {day}".replace("@built_from@", start))
            sql = f"insert into {table} by name select * from ({sql}) as built where as_of_date >= {day}"
        elif model.materialized == "append_only":
            columns = ", ".join(f"{name} {data_type}" for name, data_type in model.columns.items())
            connection.execute(f"create table if not exists {table} ({columns})")
            sql = f"insert into {table} by name {sql}"
        else:
            sql = f"create or replace table {table} as {sql}"
        sql = REFERENCE_READ.sub(read_reference, LAKE_READ.sub(read_lake, sql))
        for name, value in run.items():
            sql = sql.replace(f"@{name}@", value)
        assert not re.search(r"'@\w+@", sql), f"{model.name}: a variable of the run is read in a way unknown here"
        connection.execute(sql)
    return connection


def failing_tests(connection: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """Each data test that fails on a build with every model, and how many rows break its rule."""
    counts = {test.name: connection.sql(f"select {test.failures} from ({test.sql})") for test in data_tests()}
    return {name: int(rows) for name, count in counts.items() if (rows := count.fetchall()[0][0])}


def _reader(
    connection: duckdb.DuckDBPyConnection, room: str, given: Path | Rows, otherwise: Mapping[str, pa.Table]
) -> Callable[[re.Match[str]], str]:
    """SQL for a read of the lake or of the reference tables: the files of the run, or a table."""
    if isinstance(given, Path):
        return lambda read: read[0].replace(f"@{room}@", str(given))
    connection.execute(f'create schema if not exists "{room}"')
    for name, rows in {**otherwise, **given}.items():
        connection.register("given", arrow_rows(name, rows) if room == "lake" else rows)
        connection.execute(f'create or replace table "{room}"."{name}" as select * from given')
        connection.unregister("given")
    return lambda read: f'"{DATABASE}"."{room}"."{read[1]}"'


def arrow_rows(name: str, rows: pa.Table | pd.DataFrame) -> pa.Table:
    """Rows of a dataset as the lake stores them."""
    if isinstance(rows, pa.Table):
        return rows
    return pa.Table.from_pandas(rows, schema=arrow_schema(name), preserve_index=False).replace_schema_metadata(None)


def known_at(rows: Rows, moment: datetime) -> dict[str, pa.Table]:
    """The rows that were known by a moment, and no others."""
    tables = {name: arrow_rows(name, given) for name, given in rows.items()}
    last = pa.scalar(moment, pa.timestamp("us", tz="UTC"))
    return {name: table.filter(pc.less_equal(table["knowledge_ts"], last)) for name, table in tables.items()}


def reference_known_at(reference: Mapping[str, pa.Table], moment: datetime) -> dict[str, pa.Table]:
    """The rows of the reference tables that were in force by the day of a moment; the calendar as it is."""
    day = pa.scalar(pd.Timestamp(moment).tz_localize(None).normalize().to_pydatetime())
    return {
        name: table.filter(pc.less_equal(pc.cast(table["valid_from"], day.type), day))
        if "valid_from" in table.column_names
        else table
        for name, table in reference.items()
    }


def reference_rows(folder: Path, first: date) -> dict[str, pa.Table]:
    """The reference tables of a folder, the trading calendar from a day on: most of a build's time is its days."""
    tables = {path.stem: pq.read_table(path) for path in sorted(folder.glob("*.parquet"))}
    calendar = tables["trading_calendar"]
    tables["trading_calendar"] = calendar.filter(pc.greater_equal(calendar["calendar_date"], pa.scalar(first)))
    return tables


def again(connection: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    """The same database for another thread."""
    return connection.cursor().execute(f"set TimeZone = 'UTC'; use {DATABASE}")


def content(
    connection: duckdb.DuckDBPyConnection, table: str, where: str = "true", without: Collection[str] = ()
) -> pa.Table:
    """Rows of a table in an order that does not depend on theirs, columns by name."""
    columns = ", ".join(f'"{name}"' for name in sorted(set(connection.table(table).columns) - set(without)))
    return connection.sql(f"select {columns} from {table} where {where} order by all").to_arrow_table()


def apart(expected: pa.Table, found: pa.Table, key: Sequence[str] = (), limit: int = 3) -> list[str]:
    """Differences between two tables, to the last bit; a missing value is only equal to a missing one.

    Lists the first rows that are in one of them only; for rows with the same `key` in both, the columns that differ.
    """
    return _apart(expected, found, key, limit, both=True)


def lacking(expected: pa.Table, found: pa.Table, key: Sequence[str] = (), limit: int = 3) -> list[str]:
    """As `apart`, but the second table may have further rows."""
    return _apart(expected, found, key, limit, both=False)


def _apart(expected: pa.Table, found: pa.Table, key: Sequence[str], limit: int, both: bool) -> list[str]:
    if expected.schema != found.schema:
        return [f"other columns: {expected.schema.names} and {found.schema.names}"]
    if expected.equals(found):
        return []
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        connection.register("expected", expected)
        connection.register("found", found)
        lost, come = (
            connection.sql(f"select * from {one} except all select * from {other} order by all").to_arrow_table()
            for one, other in (("expected", "found"), ("found", "expected"))
        )
    others = {tuple(row[name] for name in key): row for row in come.to_pylist()} if key else {}
    differences = []
    for row in lost.to_pylist():
        named = {name: str(row[name]) for name in key}
        other = others.pop(tuple(row[name] for name in key), None) if key else None
        changed = {name: f"{row[name]} is {other[name]}" for name in row if row[name] != other[name]} if other else None
        differences.append(f"{named}: {changed}" if changed else f"lacks {named or row}")
    if both:
        differences += [f"has {({name: str(row[name]) for name in key}) or row} too" for row in others.values()]
        differences += [f"has {row} too" for row in come.to_pylist()] if not key else []
    return differences[:limit] + ([f"and {len(differences) - limit} more"] if len(differences) > limit else [])
