"""`limit/*.sql`, which compute every published table by hand: run them once, or compare their tables.

`python -m benchmarks.limit LAKE REFERENCE AS_OF DATABASE` prints their cost as JSON, like `benchmarks.models`.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import duckdb

from benchmarks.measure import own_cpu_s
from pipelines.common.version import code_version
from pipelines.warehouse.sql import fetch_one, identifier, reader, sql_literal
from schemas.base import Mart
from schemas.marts import MARTS
from schemas.metrics import METRICS
from schemas.signals import SIGNALS, wide_columns

SCRIPTS = sorted(Path(__file__).with_name("limit").glob("*.sql"))
TABLES = MARTS | SIGNALS
RUN_ID = "benchmark"
TOLERANCE = 1e-9


def make(
    lake: Path, reference: Path, as_of: str, database: Path, *, run_id: str = RUN_ID, version: str | None = None
) -> None:
    """Write every published table into a database file, from the Parquet files of lake and reference tables.

    `as_of`: ISO time in UTC; `run_id` and `version`: of the rows of the signal log. Raises `duckdb.Error`.
    """
    settings = {
        "lake": lake, "reference": reference, "run_id": run_id, "code_version": version or code_version(),
    }  # fmt: skip
    with duckdb.connect(str(database)) as con:
        for name, value in settings.items():
            con.execute(f"set variable {name} = {sql_literal(value)}")
        con.execute(f"set variable as_of = {sql_literal(as_of)}::timestamptz")
        for script in SCRIPTS:
            con.execute(_filled(script.read_text(encoding="utf-8")))


def _filled(script: str) -> str:
    """A script with the rows and columns of the registries in `schemas/`."""
    metrics = (
        f"({sql_literal(name)}, {sql_literal(metric.unit)}, {sql_literal(metric.formula)}, "
        f"{sql_literal(' '.join(metric.states))}, [{', '.join(map(sql_literal, metric.parameters))}]::varchar[])"
        for name, metric in METRICS.items()
    )
    columns = wide_columns()
    return (
        script.replace("{metrics}", ",\n".join(metrics))
        .replace("{wide_columns}", ", ".join(name for name, *_ in columns))
        .replace("{wide_names}", ", ".join(f"({', '.join(map(sql_literal, column))})" for column in columns))
        .replace("{wide_states}", ", ".join(sql_literal(name) for name, _, part, _ in columns if part == "state"))
        .replace("{wide_numbers}", ", ".join(sql_literal(name) for name, _, part, _ in columns if part != "state"))
    )


def differences(ours: Path, limit: Path) -> tuple[int, list[str]]:
    """Number of published rows in `ours`, and every difference of its tables from those in `limit`.

    Compares columns by name, type and order, rows by key, floats within `TOLERANCE`, all else exactly.
    """
    with reader() as con:
        con.execute(
            f"attach {sql_literal(ours)} as ours (read_only); attach {sql_literal(limit)} as theirs (read_only)"
        )
        compared = {name: _compared(con, name, mart) for name, mart in TABLES.items()}
    return sum(rows for rows, _ in compared.values()), [
        f"{mart.schema}.{name}: {difference}" for name, mart in TABLES.items() for difference in compared[name][1]
    ]


def _compared(con: duckdb.DuckDBPyConnection, name: str, mart: Mart) -> tuple[int, list[str]]:
    """Rows of a table in `ours`, and its differences: columns, keys, and the first one of each column."""
    columns, others = (_columns(con, side, name, mart) for side in ("ours", "theirs"))
    mine, other = (identifier(side, mart.schema, name) for side in ("ours", "theirs"))
    if not others:
        return fetch_one(con, f"select count(*) from {mine}")[0], ["no table by hand"]
    rows, there = (fetch_one(con, f"select count(*) from {table}")[0] for table in (mine, other))
    if columns != others:
        odd = sorted(f"{column} {kind}" for column, kind in columns.items() ^ others.items())
        return rows, [f"the columns differ: {', '.join(odd)}"]
    if list(columns) != list(others):
        return rows, ["the order of the columns differs"]
    joined = f"{mine} as o join {other} as t using ({', '.join(map(identifier, mart.key))})"
    matched = fetch_one(con, f"select count(*) from {joined}")[0]
    found = [] if rows == there == matched else [f"{rows} rows and {there}, of which {matched} match by key"]
    key = f"({', '.join(f'o.{identifier(column)}' for column in mart.key)})"
    for column, kind in columns.items():
        o, t = f"o.{identifier(column)}", f"t.{identifier(column)}"
        near = f"abs({o} - {t}) <= {TOLERANCE}" if kind in {"DOUBLE", "FLOAT"} else "false"
        n, first, by_dbt, by_hand = fetch_one(
            con,
            f"select count(*), min({key}), arg_min_null({o}, {key}), arg_min_null({t}, {key}) from {joined} "
            f"where {o} is distinct from {t} and not coalesce({near}, false)",
        )
        if n:
            found.append(f"{column} differs in {n} rows, first in {first}: {by_dbt!r} by dbt, {by_hand!r} by hand")
    return rows, found


def _columns(con: duckdb.DuckDBPyConnection, database: str, name: str, mart: Mart) -> dict[str, str]:
    return dict(
        con.execute(
            "select column_name, data_type from duckdb_columns() "
            "where database_name = ? and schema_name = ? and table_name = ? order by column_index",
            [database, mart.schema, name],
        ).fetchall()
    )


if __name__ == "__main__":
    lake, reference, as_of, database = sys.argv[1:]
    begin, cpu = time.perf_counter(), own_cpu_s()
    make(Path(lake), Path(reference), as_of, Path(database))
    sys.stdout.write(json.dumps({"wall_s": time.perf_counter() - begin, "cpu_s": own_cpu_s() - cpu}) + "\n")
