"""Answers about the published database for programs: tables, signals, claims, and read-only SQL within bounds.

SQL is one SELECT on a connection that cannot write, attach, read other files, load extensions or change its settings.
Rows, time, memory and the length of texts are bounded. (DuckDB does not interrupt one call of a function: a text of
gigabytes takes longer than the bound.)
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final

import duckdb

from pipelines.publish.manifest import read_manifest
from pipelines.publish.queries import FormerReleaseError, latest_claims, latest_signals
from pipelines.warehouse.sql import SCHEMAS

MAX_ROWS: Final = 1_000
SECONDS: Final = 10.0
MAX_TEXT: Final = 2_000  # characters of a value
_BOUNDS: Final = {
    "enable_external_access": "false",
    "autoload_known_extensions": "false",
    "autoinstall_known_extensions": "false",
    "python_enable_replacements": "false",
    "memory_limit": "512MB",
    "temp_directory": "",
    "threads": "2",
}
_ONE_QUERY = threading.Lock()  # a process opens a file with one set of settings at a time


class RefusedError(Exception):
    """A question that cannot be answered: what is wrong with it, and what to do."""


class Answers:
    """Answers from the current release in a published folder. Each is read from a connection of its own."""

    def __init__(self, database: Path, manifest: Path) -> None:
        self.database, self.manifest = database, manifest

    def tables(self) -> dict[str, Any]:
        """Every table with its description and its number of rows."""
        return self._answer(
            "select schema_name || '.' || table_name as name, comment as description, estimated_size as rows "
            f"from duckdb_tables() where schema_name in {SCHEMAS} order by schema_name, table_name"
        )

    def describe(self, table: str) -> dict[str, Any]:
        """The columns of a table, with type and description."""
        found = self._answer(
            "select column_name as name, data_type as type, comment as description from duckdb_columns() "
            "where schema_name || '.' || table_name = ? order by column_index",
            [table],
        )
        if not found["rows"]:
            raise RefusedError(f"there is no table {table!r}: list_tables has the names, for example marts.price_daily")
        return found

    def macros(self) -> dict[str, Any]:
        """The table macros that read a past moment."""
        return self._answer(
            "select distinct schema_name || '.' || function_name || '(T)' as name from duckdb_functions() "
            f"where function_type = 'table_macro' and schema_name in {SCHEMAS} order by 1"
        )

    def signals(self, as_of: str | None = None) -> dict[str, Any]:
        """The newest row of each signal; with a moment, as it was published then."""
        with _ONE_QUERY:
            return self._rows(latest_signals(self._existing(), _moment(as_of)))

    def claims(self, as_of: str | None = None) -> dict[str, Any]:
        """The newest audit of each claim, as of the moment or earlier."""
        with _ONE_QUERY:
            return self._rows(latest_claims(self._existing(), _moment(as_of)))

    def query(self, sql: str, max_rows: int = 200) -> dict[str, Any]:
        """The first rows of a SELECT. Raises `RefusedError` for anything else, and for one that takes too long."""
        if not 1 <= max_rows <= MAX_ROWS:
            raise RefusedError(f"max_rows is {max_rows}: give 1 to {MAX_ROWS}")
        return self._answer(sql, max_rows=max_rows)

    def _answer(self, sql: str, parameters: Sequence[object] = (), max_rows: int = MAX_ROWS) -> dict[str, Any]:
        try:
            with self._connection() as con:
                statements = con.extract_statements(sql)
                if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
                    raise RefusedError("only one SELECT is answered: leave out other statements")
                expired = threading.Event()

                def expire(con: duckdb.DuckDBPyConnection = con, expired: threading.Event = expired) -> None:
                    expired.set()
                    con.interrupt()

                timer = threading.Timer(SECONDS, expire)
                timer.start()
                try:
                    cursor = con.execute(statements[0], parameters)
                    names = [column[0] for column in cursor.description or ()]
                    found = cursor.fetchmany(max_rows + 1)
                except duckdb.Error as error:
                    if expired.is_set():
                        raise RefusedError(f"the query took more than {SECONDS:g} s: narrow it") from error
                    raise
                finally:
                    timer.cancel()
        except duckdb.Error as error:
            raise RefusedError(str(error).splitlines()[0]) from error
        rows = [dict(zip(names, row, strict=True)) for row in found[:max_rows]]
        return self._rows(rows) | {"more": len(found) > max_rows}

    @contextmanager
    def _connection(self) -> Iterator[duckdb.DuckDBPyConnection]:
        with _ONE_QUERY, duckdb.connect(str(self._existing()), read_only=True, config=dict(_BOUNDS)) as con:
            con.execute("set TimeZone = 'UTC'; set lock_configuration = true")
            yield con

    def _existing(self) -> Path:
        if not self.database.is_file():
            raise RefusedError("nothing is published yet: run `tightness run` first")
        return self.database

    def _rows(self, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
        about = read_manifest(self.manifest) or {}
        return {
            "release_id": about.get("release_id"),
            "synthetic": about.get("synthetic"),
            "rows": [{name: _plain(value) for name, value in row.items()} for row in rows],
        }


def serve(answers: Answers) -> None:
    """Serve the answers over standard input and output, by the Model Context Protocol. Ends with the input."""
    from mcp.server import MCPServer
    from mcp.server.mcpserver.exceptions import ToolError

    server = MCPServer(
        "metal-tightness",
        instructions="Point-in-time tightness of metals: read-only answers from the current release. Units are in the "
        "descriptions of columns, instants are UTC. `synthetic` marks generated demo data. A past moment T is read by "
        "`where known_from <= T and T < known_to` on vintages.*, or by the macros `…_asof(T)`.",
    )

    @contextmanager
    def refusals() -> Iterator[None]:
        try:
            yield
        except (RefusedError, FormerReleaseError) as error:
            raise ToolError(str(error)) from error

    @server.tool()
    def list_tables() -> dict[str, Any]:
        """List the tables and the macros for a past moment, with descriptions."""
        with refusals():
            return answers.tables() | {"macros": [row["name"] for row in answers.macros()["rows"]]}

    @server.tool()
    def describe_table(table: str) -> dict[str, Any]:
        """Describe the columns of a table, as marts.price_daily: type, meaning, unit."""
        with refusals():
            return answers.describe(table)

    @server.tool(name="latest_signals")
    def newest_signals() -> dict[str, Any]:
        """The latest row of each signal."""
        with refusals():
            return answers.signals()

    @server.tool()
    def signals_as_of(moment: str) -> dict[str, Any]:
        """The signals as they were published at a moment, ISO 8601 in UTC."""
        with refusals():
            return answers.signals(moment)

    @server.tool()
    def claims(as_of: str | None = None) -> dict[str, Any]:
        """The claims of the article and their verdicts, now or as of a moment."""
        with refusals():
            return answers.claims(as_of)

    @server.tool()
    def query(sql: str, max_rows: int = 200) -> dict[str, Any]:
        """Answer one SELECT of DuckDB's SQL, read-only: at most 1,000 rows and 10 seconds."""
        with refusals():
            return answers.query(sql, max_rows)

    server.run("stdio")


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    with suppress(ValueError):
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    raise RefusedError(f"{text!r} is not an ISO time: write for example 2026-01-13T18:00:00Z")


def _plain(value: object) -> object:
    """A value as JSON has it."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z") if value.tzinfo else value.isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int):
        return value
    text = str(value)
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}…"
