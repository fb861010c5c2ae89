"""Publication of a release: written to a temporary folder, verified, and only then made current.

    published/
      releases/<release_id>/   a whole release: tightness.duckdb, parquet/<schema>/<table>.parquet, datapackage.json,
                             manifest.json, and lake.json, the names of the lake's files that it was built from
      tightness.duckdb, parquet/…, manifest.json   the current one; each file is replaced in one step
      .tmp-*                   being written; removed by the next publication if a crash left it

A release begins as a copy of the one before: of the database, whose tables are replaced from the first time at which a
row differs, and links to the Parquet files of tables without a difference. Where more than rows has changed, everything
is written.

Each file is complete at every moment, and a reader that has an old one open keeps it. Between files there is a short
time in which Parquet is newer than the database and the database newer than the manifest: `manifest.json` is replaced
last and holds the hash of every file. Readers that need all files of one release open `releases/<release_id>/`. The
database itself returns its release by `select release_id()`.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from pipelines.common.paths import DATABASE, FORMER_DATABASE
from pipelines.publish.content import EVERY_ROW, Scan, content_sha256, difference, row_hashes, scan
from pipelines.publish.datapackage import DATAPACKAGE, datapackage
from pipelines.publish.diff import diff_databases
from pipelines.publish.manifest import (
    LAKE_FILES,
    Manifest,
    ManifestBase,
    content_id,
    describe,
    read_manifest,
    same_content,
    same_description,
)
from pipelines.publish.release_files import file_facts, is_file, replace_file, sync_file, sync_folder
from pipelines.publish.release_tables import (
    Base,
    PublicationError,
    Table,
    verify,
    write_database,
    write_macros,
    write_parquet,
)
from pipelines.warehouse.sql import (
    SCHEMAS,
    VINTAGES,
    WAREHOUSE,
    Name,
    identifier,
    qualified_name,
    reader,
    sql_literal,
    tables_in,
)

PREVIOUS = "previous"
STAGING, STAGED = "staging", "stg_"  # schema and prefix of the staging models
MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Release:
    """The current release after a publication; `path` is its own folder."""

    release_id: str
    unchanged: bool
    path: Path
    manifest: Manifest


def current(published: Path, release_id: str | None) -> Release | None:
    """The current release, where it is this one and all its files are as it was written."""
    manifest = read_manifest(published / MANIFEST)
    if manifest is None or manifest["release_id"] != release_id or not _intact(published, manifest):
        return None
    return Release(manifest["release_id"], True, _folder(published, manifest["release_id"]), manifest)


def publish(
    warehouse: Path,
    published: Path,
    *,
    manifest_base: ManifestBase,
    comments: Mapping[Name, Mapping[str, str]],
    keys: Mapping[Name, tuple[str, ...]],
    synthetic: bool,
    macros: Mapping[Name, tuple[str, str]] | None = None,
    keep: int = 5,
    lake_files: Mapping[str, Sequence[str]] | None = None,
) -> Release:
    """Publish marts, signals and vintages of the private warehouse. The caller holds the writer lock.

    `comments`: by (schema, table) the text of each column, and of the table under `""`. `keys`: the columns that
    identify a row. The tables in `comments` and in the warehouse must be the same. `macros`: by (schema, name)
    parameters and query of table macros for the database. `lake_files`: by dataset, for `lake.json`. When neither
    content nor inputs differ from the current release, nothing is written. The last `keep` releases are kept, the
    current one always; a reader that has a file of a removed one open keeps it. Raises `PublicationError`; the current
    release then stays unchanged.
    """
    with reader() as con:
        # Beyond it DuckDB writes to files beside the warehouse: rows are sorted and hashed, whose number grows.
        spilled = sql_literal(warehouse.with_name(f"{warehouse.name}.tmp"))
        con.execute(f"set memory_limit = '256MB'; set temp_directory = {spilled}")
        _attach(con, warehouse)
        columns = _select(con, comments, keys)
        scans = {name: _scan(con, name, columns[name], keys.get(name, ())) for name in columns}
        known = max((found.known for found in scans.values() if found.known), default=None)
        manifest = describe(manifest_base, columns, keys, comments, macros or {}, synthetic=synthetic, known=known)
        current = read_manifest(published / MANIFEST)
        previous = _attach_previous(con, published, current)
        base = None
        if previous and current and same_description(current, manifest):
            base = Base(previous, _folder(published, current["release_id"]), current)
        tables = {
            name: Table(
                columns[name],
                comments[name],
                keys.get(name, ()),
                scans[name],
                _changed(con, name, columns[name], keys.get(name, ()), scans[name], base),
            )
            for name in columns
        }
        for name, table in tables.items():
            manifest["tables"][".".join(name)] |= {
                "rows": table.scan.rows,
                "row_hash": str(table.scan.hashes),
                "content_sha256": _content_sha256(con, name, table, base),
            }
        if current is not None and same_content(current, manifest) and _intact(published, current):
            return Release(current["release_id"], True, _folder(published, current["release_id"]), current)

        _sweep(published)
        release_id = _free_id(published, manifest)
        staged = published / f".tmp-{release_id}"
        staged.mkdir(parents=True)
        write_database(con, staged / DATABASE, release_id, tables, base, synthetic)
        if not base or base.manifest["macros"] != manifest["macros"]:
            write_macros(con, macros or {})
        if previous is not None:
            changed = {name: table.changed for name, table in tables.items()} if base else {}
            names = {*tables, *tables_in(con, PREVIOUS)}
            manifest["difference"] = diff_databases(con, PREVIOUS, WAREHOUSE, keys, names, changed)
        manifest |= {"release_id": release_id, "previous_release_id": current["release_id"] if current else None}
        files = write_parquet(con, staged, manifest, tables, base)
    verify(staged, release_id, tables, synthetic)

    described = datapackage(manifest, tables)
    (staged / DATAPACKAGE).write_text(json.dumps(described, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    files |= {name: file_facts(staged / name) for name in (DATABASE, DATAPACKAGE)}
    manifest["files"] = files
    (staged / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    if lake_files is not None:
        (staged / LAKE_FILES).write_text(json.dumps(lake_files, indent=0) + "\n", encoding="utf-8")
    release = _folder(published, release_id)
    _move_into_place(staged, release)
    _make_current(release, published, manifest)
    _prune(published, release_id, keep)
    return Release(release_id, False, release, manifest)


# --- selection and checks ---------------------------------------------------------------------------------------------


def _attach(con: duckdb.DuckDBPyConnection, warehouse: Path) -> None:
    if not warehouse.is_file():
        raise PublicationError(f"{warehouse.name} is not in the warehouse folder: build the marts first")
    try:
        con.execute(f"attach {sql_literal(warehouse)} as built (read_only)")
    except duckdb.Error as error:
        raise PublicationError(
            f"{warehouse.name} cannot be read: {str(error).splitlines()[0]}; close the program that has it open"
        ) from error
    con.execute(f"attach ':memory:' as {WAREHOUSE}")
    for schema in SCHEMAS:
        con.execute(f"create schema {identifier(WAREHOUSE, schema)}")
    for schema, table in con.execute(
        "select distinct schema_name, table_name from duckdb_columns() where database_name = 'built' and not internal"
    ).fetchall():
        if name := _published_name(schema, table):
            con.execute(f"create view {qualified_name(WAREHOUSE, name)} as from {identifier('built', schema, table)}")


def _published_name(schema: str, table: str) -> Name | None:
    """The name under which a table of the warehouse is published; None for the others. A staging model has vintages."""
    if schema == STAGING and table.startswith(STAGED):
        return VINTAGES, table.removeprefix(STAGED)
    return (schema, table) if schema in SCHEMAS else None


def _attach_previous(con: duckdb.DuckDBPyConnection, published: Path, current: Manifest | None) -> Path | None:
    """Attach the database to compare with: the current release's own, else the visible one.

    Returns None when neither is whole and can be read: a program may have one open for writing.
    """
    if current is not None:
        for folder in (_folder(published, current["release_id"]), published):
            if is_file(folder / DATABASE, current["files"].get(DATABASE)):
                with suppress(duckdb.Error):
                    con.execute(f"attach {sql_literal(folder / DATABASE)} as {PREVIOUS} (read_only)")
                    return folder / DATABASE
    return None


def _select(
    con: duckdb.DuckDBPyConnection, comments: Mapping[Name, Mapping[str, str]], keys: Mapping[Name, tuple[str, ...]]
) -> dict[Name, dict[str, str]]:
    """The tables to publish, with their columns: exactly those that have a description."""
    found = tables_in(con, WAREHOUSE)
    for schema, table in sorted(found.keys() - comments.keys()):
        raise PublicationError(f"{schema}.{table} has no description: add it to schemas/ or drop it from the warehouse")
    for schema, table in sorted(comments.keys() - found.keys()):
        raise PublicationError(f"{schema}.{table} is not in the warehouse: build it, or take it out of schemas/")
    for schema in set(SCHEMAS) - {VINTAGES}:
        if not any(name[0] == schema for name in comments):
            raise PublicationError(f"schema {schema} would be empty: build its tables before publishing")
    for name in sorted(comments):
        table = ".".join(name)
        for column in ["", *found[name]]:
            if not comments[name].get(column):
                raise PublicationError(f"{f'{table}.{column}'.rstrip('.')} has no description: add it to schemas/")
        for column in keys.get(name, ()):
            if column not in found[name]:
                raise PublicationError(
                    f"{table} has no column {column}, which is in its key: correct the key in schemas/"
                )
    return {name: found[name] for name in sorted(comments)}


def _scan(con: duckdb.DuckDBPyConnection, name: Name, columns: Mapping[str, str], key: tuple[str, ...]) -> Scan:
    """The scan of a table of the warehouse, whose key must identify a row."""
    found = scan(con, WAREHOUSE, name, columns, key)
    if found.keys < found.rows:
        by = ", ".join(map(identifier, key))
        twice = con.execute(
            f"select {by}, count(*) from {qualified_name(WAREHOUSE, name)} "
            f"group by {by} having count(*) > 1 order by {by} limit 1"
        ).fetchone()
        if twice:  # else two keys have the same 64-bit hash
            row = ", ".join(f"{column}={value}" for column, value in zip(key, twice, strict=False))
            raise PublicationError(
                f"{'.'.join(name)} has {twice[-1]} rows with {row}: its key must identify one row; correct model or key"
            )
    return found


def _changed(
    con: duckdb.DuckDBPyConnection,
    name: Name,
    columns: Mapping[str, str],
    key: tuple[str, ...],
    found: Scan,
    base: Base | None,
) -> str | None:
    """`difference` from the base; without a pass over both where rows and hashes are those of its manifest."""
    if base is None:
        return EVERY_ROW
    before = base.manifest["tables"][".".join(name)]
    if (before["rows"], before.get("row_hash")) == (found.rows, str(found.hashes)):
        return None
    return difference(con, PREVIOUS, WAREHOUSE, name, columns, key)


def _content_sha256(con: duckdb.DuckDBPyConnection, name: Name, table: Table, base: Base | None) -> str:
    """The content hash of a table: that of the base, less its rows that differ, plus those of the warehouse."""
    kept = 0
    if base and table.changed != EVERY_ROW:
        kept = int(base.manifest["tables"][".".join(name)]["content_sha256"], 16)
        if table.changed:
            kept -= row_hashes(con, PREVIOUS, name, table.columns, table.changed)
    added = row_hashes(con, WAREHOUSE, name, table.columns, table.changed) if table.changed else 0
    return content_sha256(kept + added)


# --- making a release current -----------------------------------------------------------------------------------------


def _move_into_place(staged: Path, release: Path) -> None:
    """Rename the finished release to its id, after all its files are flushed to disk."""
    for path in staged.rglob("*"):
        if path.is_dir():
            sync_folder(path)
        else:
            path.chmod(0o644)
            sync_file(path)
    sync_folder(staged)
    release.parent.mkdir(exist_ok=True)
    staged.replace(release)
    sync_folder(release.parent)


def _make_current(release: Path, published: Path, manifest: Manifest) -> None:
    # Left by a tool that opened the database for writing; DuckDB would replay it over the new database.
    (published / f"{DATABASE}.wal").unlink(missing_ok=True)
    for former in (FORMER_DATABASE, f"{FORMER_DATABASE}.wal"):
        (published / former).unlink(missing_ok=True)
    # The database after the Parquet files, the manifest last.
    for name, facts in sorted(manifest["files"].items(), key=lambda file: file[0] == DATABASE):
        if not is_file(published / name, facts):
            replace_file(published, name, release / name)
    replace_file(published, MANIFEST, release / MANIFEST)
    for path in (published / "parquet").rglob("*.parquet"):
        if path.relative_to(published).as_posix() not in manifest["files"]:
            path.unlink()


def _prune(published: Path, current: str, keep: int) -> None:
    releases = [path for path in (published / "releases").iterdir() if path.name != current]
    # By time of writing: with a fixed clock the ids may be in another order.
    releases.sort(key=lambda path: path.stat().st_mtime_ns, reverse=True)
    for path in releases[max(keep, 1) - 1 :]:
        path.rename(published / f".tmp-{path.name}")  # so that a crash leaves no partial release under its name
    _sweep(published)


def _sweep(published: Path) -> None:
    for leftover in published.glob(".tmp-*"):
        if leftover.is_dir():
            shutil.rmtree(leftover)
        else:
            leftover.unlink()


def _folder(published: Path, release_id: str) -> Path:
    return published / "releases" / release_id


def _free_id(published: Path, manifest: Manifest) -> str:
    moment = datetime.fromisoformat(manifest["computed_ts"]).astimezone(UTC)
    first = f"{moment:%Y%m%dT%H%M%SZ}-{content_id(manifest)}"
    release_id, n = first, 1
    while _folder(published, release_id).exists():  # a fixed clock, and content that was published before
        n += 1
        release_id = f"{first}-{n}"
    return release_id


def _intact(published: Path, manifest: Manifest) -> bool:
    """True when every current file and every file of the release's own folder is as in the manifest."""
    folder = _folder(published, manifest["release_id"])
    return read_manifest(folder / MANIFEST) == manifest and all(
        is_file(place / name, facts) for place in (published, folder) for name, facts in manifest["files"].items()
    )
