"""SQL outside dbt: quoted names and values, connections in UTC, rows, and the tables of a database."""

from __future__ import annotations

import atexit
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import duckdb

VINTAGES = "vintages"
SCHEMAS = ("marts", "signals", VINTAGES)  # of a published database
WAREHOUSE = "warehouse"  # catalog name of the private database, or of its tables by their published names

Name = tuple[str, str]  # schema, table
Row = dict[str, Any]  # values by column


def identifier(*parts: str) -> str:
    """A quoted SQL name: `identifier("marts", "t")` is `"marts"."t"`."""
    return ".".join('"' + part.replace('"', '""') + '"' for part in parts)


def qualified_name(database: str, name: Name) -> str:
    """Quoted SQL name of a table in an attached database."""
    return identifier(database, *name)


def sql_literal(text: object) -> str:
    """A quoted SQL string."""
    return "'" + str(text).replace("'", "''") + "'"


def plain_path(folder: Path) -> Path:
    """The folder by a path without special characters, for file patterns and dbt's variables.

    Brackets and stars are patterns to DuckDB, braces are Jinja to dbt, which also reads a database's path as a URL, and
    each has a quoting of its own. Where the path has special characters, the result is a link to the folder, which
    exists until the process ends.
    """
    return folder if re.fullmatch(r"[\w./ -]*", str(folder)) else _link(folder)


@cache
def _link(folder: Path) -> Path:
    link = Path(tempfile.mkdtemp(prefix="tightness-")) / "folder"
    link.symlink_to(folder)
    atexit.register(shutil.rmtree, link.parent, ignore_errors=True)
    return link


def fetch_one(con: duckdb.DuckDBPyConnection, sql: str) -> tuple[Any, ...]:
    """The row of a query that returns exactly one."""
    row = con.execute(sql).fetchone()
    assert row is not None
    return row


def reader() -> duckdb.DuckDBPyConnection:
    """An in-memory connection to attach files to, with UTC as its time zone."""
    import duckdb

    con = duckdb.connect()
    con.execute("set TimeZone = 'UTC'")
    return con


def read_rows(database: Path, query: str, *parameters: object) -> list[Row]:
    """Rows of a query on a database file, opened read-only; instants in UTC."""
    with opened(database) as con:
        return fetch_rows(con, query, *parameters)


@contextmanager
def opened(database: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A read-only connection to a database file, with UTC as its time zone."""
    import duckdb

    with duckdb.connect(str(database), read_only=True) as con:
        con.execute("set TimeZone = 'UTC'")
        yield con


def fetch_rows(con: duckdb.DuckDBPyConnection, query: str, *parameters: object) -> list[Row]:
    """Rows of a query, as values by column."""
    cursor = con.execute(query, parameters)
    names = [column[0] for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def tables_in(con: duckdb.DuckDBPyConnection, database: str) -> dict[Name, dict[str, str]]:
    """Tables and views of the published schemas, each with its columns and their types, in order."""
    found: dict[Name, dict[str, str]] = {}
    for schema, table, column, data_type in con.execute(
        "select schema_name, table_name, column_name, data_type from duckdb_columns() "
        f"where database_name = {sql_literal(database)} and not internal order by 1, 2, column_index"
    ).fetchall():
        if schema in SCHEMAS:
            found.setdefault((schema, table), {})[column] = data_type
    return dict(sorted(found.items()))
