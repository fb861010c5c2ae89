"""The database and the Parquet files of a release: made from those of the base, and verified."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb

from pipelines.common.paths import DATABASE
from pipelines.publish.content import Scan, row_order, scan
from pipelines.publish.manifest import STORAGE_VERSION, Manifest
from pipelines.publish.release_files import file_facts, is_file, link
from pipelines.warehouse.sql import (
    SCHEMAS,
    WAREHOUSE,
    Name,
    fetch_one,
    identifier,
    qualified_name,
    reader,
    sql_literal,
    tables_in,
)

RELEASE_ID = "release_id"  # `select release_id()` in the database
SYNTHETIC = "SYNTHETIC DEMO DATA. "
# Hashes and numbers, which rarely repeat, are smaller and quicker without a dictionary; level 3 gains nothing more.
PARQUET = "compression zstd, compression_level 1, dictionary_size_limit 1000"


class PublicationError(Exception):
    """A release that must not be published: which table, the error and what to do. The last one stays current."""


@dataclass(frozen=True)
class Table:
    """A table to publish. `changed`: a condition on its rows, outside of which the base has the same; None: no row."""

    columns: dict[str, str]
    comments: Mapping[str, str]
    key: tuple[str, ...]
    scan: Scan
    changed: str | None


@dataclass(frozen=True)
class Base:
    """The release whose files the next one is made from: the current one, with the same description."""

    database: Path  # the release's own, or the visible one
    folder: Path  # the release's own: a visible file must not become a second name of one
    manifest: Manifest

    def parquet(self, name: Name) -> tuple[Path, object]:
        """The Parquet file of a table, and its facts in the manifest."""
        file = parquet_file(name)
        return self.folder / file, self.manifest["files"].get(file)


def parquet_file(name: Name) -> str:
    """Path of a table's Parquet file in a release."""
    return f"parquet/{name[0]}/{name[1]}.parquet"


def write_database(
    con: duckdb.DuckDBPyConnection,
    path: Path,
    release_id: str,
    tables: Mapping[Name, Table],
    base: Base | None,
    synthetic: bool,
) -> None:
    """Write the database: a copy of the base's in which the rows that differ are replaced, or one without macros."""
    if base:
        shutil.copyfile(base.database, path)
    con.execute(f"attach {sql_literal(path)} as release (storage_version {sql_literal(STORAGE_VERSION)})")
    if not base:
        for schema in SCHEMAS:
            con.execute(f"create schema if not exists {identifier('release', schema)}")
    for name, table in tables.items():
        written = qualified_name("release", name)
        if not base:
            con.execute(f"create table {written} as from {qualified_name(WAREHOUSE, name)} limit 0")
            con.execute(f"comment on table {written} is {sql_literal(_table_comment(table.comments, synthetic))}")
            for column in table.columns:
                con.execute(
                    f"comment on column {written}.{identifier(column)} is {sql_literal(table.comments[column])}"
                )
        if table.changed:
            con.execute(f"delete from {written} where {table.changed}")
            con.execute(
                f"insert into {written} select * from {qualified_name(WAREHOUSE, name)} where {table.changed} "
                f"order by {row_order(table.columns, table.key)}"
            )
    # A reader of the database alone needs its release: the manifest beside it may belong to another one. A macro, not a
    # table: it holds no data, is in no list of tables, and also works in an attached file.
    con.execute(f"create or replace macro {identifier('release', 'main', RELEASE_ID)}() as {sql_literal(release_id)}")
    con.execute("checkpoint release")


def write_macros(con: duckdb.DuckDBPyConnection, macros: Mapping[Name, tuple[str, str]]) -> None:
    """Replace the table macros of the database that `write_database` has written."""
    con.execute("use release")  # with the table names of a reader that has opened the file itself
    for schema, macro in con.execute(
        "select schema_name, function_name from duckdb_functions() "
        "where database_name = 'release' and function_type = 'table_macro'"
    ).fetchall():
        con.execute(f"drop macro table {identifier(schema, macro)}")  # of the base
    for name, (parameters, query) in macros.items():
        macro = identifier(*name)
        con.execute(f"create macro {macro}({parameters}) as table {query}")
        con.execute(f"select * from {macro}(now()) limit 0")  # test that it can be called
    con.execute("use memory")
    con.execute("checkpoint release")


def write_parquet(
    con: duckdb.DuckDBPyConnection,
    staged: Path,
    manifest: Manifest,
    tables: Mapping[Name, Table],
    base: Base | None,
) -> dict[str, object]:
    """Write the Parquet files, or link those of the base where no row differs. Returns the facts of each."""
    files = {}
    for name, table in tables.items():
        path = staged / parquet_file(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        if base and table.changed is None:
            source, facts = base.parquet(name)
            if is_file(source, facts):
                link(source, path)
                files[parquet_file(name)] = facts
                continue
        about = {
            "release_id": manifest["release_id"],
            "content_sha256": manifest["tables"][".".join(name)]["content_sha256"],
            "synthetic": str(manifest["synthetic"]).lower(),
        }
        metadata = ", ".join(f"{entry}: {sql_literal(value)}" for entry, value in about.items())
        con.execute(
            f"copy (from {qualified_name('release', name)}) to {sql_literal(path)} "
            f"(format parquet, {PARQUET}, kv_metadata {{{metadata}}})"
        )
        files[parquet_file(name)] = file_facts(path)
    return files


def verify(staged: Path, release_id: str, tables: Mapping[Name, Table], synthetic: bool) -> None:
    """Read the written files with a new connection and compare them. Raises `PublicationError`."""
    expected = {name: _table_comment(table.comments, synthetic) for name, table in tables.items()}
    with reader() as con:
        con.execute(f"attach {sql_literal(staged / DATABASE)} as release (read_only)")
        written = tables_in(con, "release")
        if written.keys() != tables.keys():
            raise PublicationError("the written release has other tables than the warehouse: check the disk, run again")
        for name, table in tables.items():
            found = scan(con, "release", name, table.columns)
            if written[name] != table.columns or (found.rows, found.hashes) != (table.scan.rows, table.scan.hashes):
                raise PublicationError(
                    f"{'.'.join(name)} differs from the warehouse after writing: check the disk, run again"
                )
        files = [str(staged / parquet_file(name)) for name in tables]
        stored = dict(con.execute("select file_name, num_rows from parquet_file_metadata(?)", [files]).fetchall())
        for name, table in tables.items():
            rows = stored[str(staged / parquet_file(name))]
            if rows != table.scan.rows:
                raise PublicationError(f"{'.'.join(name)}.parquet holds {rows} rows, not {table.scan.rows}: run again")
        if fetch_one(con, f"select release.{RELEASE_ID}()")[0] != release_id:
            raise PublicationError("the written release returns another release_id(): run again")
        written_database = "database_name = 'release'"
        for schema, table, comment in con.execute(
            f"select schema_name, table_name, comment from duckdb_tables() where {written_database}"
        ).fetchall():
            if comment != expected[schema, table]:
                raise PublicationError(f"{schema}.{table} lost its description in writing: run again")
        undescribed = con.execute(
            "select schema_name, table_name, column_name from duckdb_columns() "
            f"where {written_database} and comment is null limit 1"
        ).fetchone()
        if undescribed:
            raise PublicationError(f"{'.'.join(undescribed)} lost its description in writing: run again")


def _table_comment(described: Mapping[str, str], synthetic: bool) -> str:
    return (SYNTHETIC if synthetic else "") + described[""]
