"""`limit.sql`, which computes the same marts.tightness_daily by hand: run it once, or compare its result.

`python -m benchmarks.limit LAKE REFERENCE AS_OF DATABASE` prints its cost as JSON, like `benchmarks.models`.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import duckdb

from benchmarks.measure import own_cpu_s
from pipelines.warehouse.sql import fetch_one, identifier, reader, sql_literal

SCRIPT = Path(__file__).with_name("limit.sql")
KEY = ("metal", "as_of_date")
TOLERANCE = 1e-9


def make(lake: Path, reference: Path, as_of: str, database: Path) -> None:
    """Write marts.tightness_daily into a database file, from the Parquet files of lake and reference tables.

    `as_of`: ISO time in UTC. Raises `duckdb.Error`.
    """
    with duckdb.connect(str(database)) as con:
        con.execute(
            f"set variable lake = {sql_literal(lake)}; set variable reference = {sql_literal(reference)}; "
            f"set variable as_of = {sql_literal(as_of)}::timestamptz"
        )
        con.execute(SCRIPT.read_text(encoding="utf-8"))


def differences(ours: Path, limit: Path) -> tuple[int, list[str]]:
    """Number of rows of marts.tightness_daily in `ours`, and every difference from `limit`.

    Compares columns by name, type and order, rows by key, floats within `TOLERANCE`, all else exactly.
    """
    with reader() as con:
        con.execute(
            f"attach {sql_literal(ours)} as ours (read_only); attach {sql_literal(limit)} as theirs (read_only)"
        )
        columns, others = _columns(con, "ours"), _columns(con, "theirs")
        rows, there = (
            fetch_one(con, f"select count(*) from {side}.marts.tightness_daily")[0] for side in ("ours", "theirs")
        )
        if columns != others:
            odd = [f"{name} {kind}" for name, kind in columns.items() ^ others.items()]
            return rows, [f"the columns differ: {', '.join(sorted(odd)) or 'their order'}"]
        on = " and ".join(f"o.{identifier(c)} is not distinct from t.{identifier(c)}" for c in KEY)
        joined = f"ours.marts.tightness_daily as o full join theirs.marts.tightness_daily as t on {on}"
        matched = fetch_one(con, f"select count_if(o.metal is not null and t.metal is not null) from {joined}")[0]
        found = [] if rows == there == matched else [f"{rows} rows and {there}, of which {matched} match by key"]
        for name, kind in columns.items():
            o, t = f"o.{identifier(name)}", f"t.{identifier(name)}"
            near = f"abs({o} - {t}) <= {TOLERANCE}" if kind in {"DOUBLE", "FLOAT"} else "false"
            n, first, mine, other = fetch_one(
                con,
                f"select count(*), min(o.as_of_date), arg_min_null({o}, o.as_of_date), arg_min_null({t}, o.as_of_date) "
                f"from {joined} where o.metal = t.metal and {o} is distinct from {t} and not coalesce({near}, false)",
            )
            if n:
                found.append(f"{name} differs in {n} rows, first on {first}: {mine!r} by dbt, {other!r} by limit.sql")
        return rows, found


def _columns(con: duckdb.DuckDBPyConnection, database: str) -> dict[str, str]:
    return dict(
        con.execute(
            "select column_name, data_type from duckdb_columns() "
            "where database_name = ? and schema_name = 'marts' and table_name = 'tightness_daily' "
            "order by column_index",
            [database],
        ).fetchall()
    )


if __name__ == "__main__":
    lake, reference, as_of, database = sys.argv[1:]
    begin, cpu = time.perf_counter(), own_cpu_s()
    make(Path(lake), Path(reference), as_of, Path(database))
    sys.stdout.write(json.dumps({"wall_s": time.perf_counter() - begin, "cpu_s": own_cpu_s() - cpu}) + "\n")
