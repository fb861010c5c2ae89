"""Publication of a release: written to a temporary folder, verified, and only then made current.

    published/
      releases/<release_id>/   a whole release: marts.duckdb, parquet/<schema>/<table>.parquet, manifest.json, and
                             lake.json, the names of the lake's files that it was built from
      marts.duckdb, parquet/…, manifest.json   the current one; each file is replaced in one step
      .tmp-*                   being written; removed by the next publication if a crash left it

Each file is complete at every moment, and a reader that has an old one open keeps it. Between files there is a short
time in which Parquet is newer than the database and the database newer than the manifest: `manifest.json` is replaced
last and holds the hash of every file. Readers that need all files of one release open `releases/<release_id>/`. The
database itself returns its release by `select release_id()`.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from pipelines.publish.diff import diff_releases
from pipelines.publish.manifest import (
    LAKE_FILES,
    STORAGE_VERSION,
    Facts,
    Manifest,
    ManifestBase,
    content_id,
    describe,
    knowledge_ts_max,
    read_manifest,
    same_content,
    table_facts,
)
from pipelines.warehouse.sql import (
    MAIN,
    SCHEMAS,
    Name,
    fetch_one,
    identifier,
    qualified_name,
    reader,
    sql_literal,
    tables_in,
)

DATABASE, MANIFEST = "marts.duckdb", "manifest.json"
RELEASE_ID = "release_id"  # `select release_id()` in the database
SYNTHETIC = "SYNTHETIC DEMO DATA. "


class PublicationError(Exception):
    """A release that must not be published: which table, the error and what to do. The last one stays current."""


@dataclass(frozen=True)
class Release:
    """The current release after a publication; `path` is its own folder."""

    release_id: str
    unchanged: bool
    path: Path
    manifest: Manifest


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
    """Publish the tables of `marts` and `signals` of the private warehouse. The caller holds the writer lock.

    `comments`: by (schema, table) the text of each column, and of the table under `""`. `keys`: the columns that
    identify a row. The tables in `comments` and in the warehouse must be the same. `macros`: by (schema, name)
    parameters and query of table macros for the database. `lake_files`: by dataset, for `lake.json`. When neither
    content nor inputs differ from the current release, nothing is written. The last `keep` releases are kept, the
    current one always; a reader that has a file of a removed one open keeps it. Raises `PublicationError`; the current
    release then stays unchanged.
    """
    with reader() as con:
        _attach(con, warehouse)
        facts = _facts(con, _select(con, comments), comments, keys)
        known = knowledge_ts_max(con, "warehouse", facts)
        manifest = describe(manifest_base, facts, keys, comments, synthetic=synthetic, known=known)
        current = read_manifest(published / MANIFEST)
        if current is not None and same_content(current, manifest) and _intact(published, current):
            return Release(current["release_id"], True, _folder(published, current["release_id"]), current)

        _sweep(published)
        release_id = _free_id(published, manifest)
        staged = published / f".tmp-{release_id}"
        staged.mkdir(parents=True)
        _write(con, staged, release_id, facts, comments, keys, synthetic)
    _add_macros(staged / DATABASE, macros or {})
    _verify(staged, release_id, facts, comments, synthetic)

    previous = _previous(published, current)
    manifest |= {
        "release_id": release_id,
        "previous_release_id": current["release_id"] if current else None,
        "files": {
            path.relative_to(staged).as_posix(): _file_facts(path)
            for path in [staged / DATABASE, *_parquet_files(staged)]
        },
        "difference": diff_releases(previous, staged / DATABASE, keys) if previous else None,
    }
    (staged / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    if lake_files is not None:
        (staged / LAKE_FILES).write_text(json.dumps(lake_files, indent=0) + "\n", encoding="utf-8")
    release = _folder(published, release_id)
    _move_into_place(staged, release)
    _make_current(release, published)
    _prune(published, release_id, keep)
    return Release(release_id, False, release, manifest)


def replace_file(published: Path, name: str, source: Path) -> None:
    """Replace `published/name` by a copy of `source` in one step, readable by all.

    A copy, not a link: a tool that opens the current file for writing must not change the release itself.
    """
    temporary, target = published / f".tmp-{Path(name).name}", published / name
    shutil.copyfile(source, temporary)
    temporary.chmod(0o644)
    _sync_file(temporary)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary.replace(target)
    _sync_folder(target.parent)


# --- selection and checks ---------------------------------------------------------------------------------------------


def _attach(con: duckdb.DuckDBPyConnection, warehouse: Path) -> None:
    if not warehouse.is_file():
        raise PublicationError(f"{warehouse.name} is not in the warehouse folder: build the marts first")
    try:
        con.execute(f"attach {sql_literal(warehouse)} as warehouse (read_only)")
    except duckdb.Error as error:
        raise PublicationError(
            f"{warehouse.name} cannot be read: {str(error).splitlines()[0]}; close the program that has it open"
        ) from error


def _select(con: duckdb.DuckDBPyConnection, comments: Mapping[Name, Mapping[str, str]]) -> dict[Name, dict[str, str]]:
    """The tables to publish, with their columns: exactly those that have a description."""
    found = tables_in(con, "warehouse")
    for schema, table in sorted(found.keys() - comments.keys()):
        raise PublicationError(f"{schema}.{table} has no description: add it to schemas/ or drop it from the warehouse")
    for schema, table in sorted(comments.keys() - found.keys()):
        raise PublicationError(f"{schema}.{table} is not in the warehouse: build it, or take it out of schemas/")
    for schema in SCHEMAS:
        if not any(name[0] == schema for name in comments):
            raise PublicationError(f"schema {schema} would be empty: build its tables before publishing")
    return {name: found[name] for name in sorted(comments)}


def _facts(
    con: duckdb.DuckDBPyConnection,
    chosen: Mapping[Name, Mapping[str, str]],
    comments: Mapping[Name, Mapping[str, str]],
    keys: Mapping[Name, tuple[str, ...]],
) -> dict[Name, Facts]:
    for name, columns in chosen.items():
        table, described, key = ".".join(name), comments.get(name, {}), keys.get(name, ())
        for column in ["", *columns]:
            if not described.get(column):
                raise PublicationError(f"{f'{table}.{column}'.rstrip('.')} has no description: add it to schemas/")
        for column in key:
            if column not in columns:
                raise PublicationError(
                    f"{table} has no column {column}, which is in its key: correct the key in schemas/"
                )
        if key:
            _check_unique(con, name, key)
    return {name: table_facts(con, "warehouse", name, columns) for name, columns in chosen.items()}


def _check_unique(con: duckdb.DuckDBPyConnection, name: Name, key: tuple[str, ...]) -> None:
    by = ", ".join(map(identifier, key))
    twice = con.execute(
        f"select {by}, count(*) from {qualified_name('warehouse', name)} "
        f"group by {by} having count(*) > 1 order by {by} limit 1"
    ).fetchone()
    if twice:
        row = ", ".join(f"{column}={value}" for column, value in zip(key, twice, strict=False))
        raise PublicationError(
            f"{'.'.join(name)} has {twice[-1]} rows with {row}: its key must identify one row; correct model or key"
        )


# --- writing and verification -----------------------------------------------------------------------------------------


def _write(
    con: duckdb.DuckDBPyConnection,
    staged: Path,
    release_id: str,
    facts: Mapping[Name, Facts],
    comments: Mapping[Name, Mapping[str, str]],
    keys: Mapping[Name, tuple[str, ...]],
    synthetic: bool,
) -> None:
    con.execute(f"attach {sql_literal(staged / DATABASE)} as release (storage_version {sql_literal(STORAGE_VERSION)})")
    for schema in SCHEMAS:
        con.execute(f"create schema if not exists {identifier('release', MAIN.get(schema, schema))}")
        (staged / "parquet" / schema).mkdir(parents=True)
    metadata = f"{{release_id: {sql_literal(release_id)}, synthetic: {sql_literal(str(synthetic).lower())}}}"
    for name, known in facts.items():
        table = qualified_name("release", name)
        order = ", ".join(f"{identifier(c)} nulls last" for c in keys.get(name, ())) or "all nulls last"
        con.execute(f"create table {table} as select * from {qualified_name('warehouse', name)} order by {order}")
        con.execute(f"comment on table {table} is {sql_literal(_table_comment(comments[name], synthetic))}")
        for column in known.columns:
            con.execute(f"comment on column {table}.{identifier(column)} is {sql_literal(comments[name][column])}")
        con.execute(
            f"copy (select * from {table}) to {sql_literal(_parquet(staged, name))} "
            f"(format parquet, compression zstd, kv_metadata {metadata})"
        )
    # A reader of marts.duckdb alone needs its release: the manifest beside it may belong to another one. A macro, not a
    # table: it holds no data, is in no list of tables, and also works in an attached file.
    con.execute(f"create macro {identifier('release', 'main', RELEASE_ID)}() as {sql_literal(release_id)}")
    con.execute("checkpoint release")
    con.execute("detach release")


def _add_macros(database: Path, macros: Mapping[Name, tuple[str, str]]) -> None:
    """Create table macros with the table names of a reader that has opened the file itself."""
    with duckdb.connect() as con:
        con.execute(f"attach {sql_literal(database)} as release")
        con.execute("use release")
        for name, (parameters, query) in macros.items():
            con.execute(f"create macro {'.'.join(map(identifier, name))}({parameters}) as table {query}")
            con.execute(f"select * from {'.'.join(map(identifier, name))}(now()) limit 0")  # test that it can be called
        con.execute("use memory")
        con.execute("checkpoint release")


def _verify(
    staged: Path,
    release_id: str,
    facts: Mapping[Name, Facts],
    comments: Mapping[Name, Mapping[str, str]],
    synthetic: bool,
) -> None:
    """Read the written files with a new connection and compare them. Raises `PublicationError`."""
    expected = {name: _table_comment(comments[name], synthetic) for name in facts}
    with reader() as con:
        con.execute(f"attach {sql_literal(staged / DATABASE)} as release (read_only)")
        written = tables_in(con, "release")
        if written.keys() != facts.keys():
            raise PublicationError("the written release has other tables than the warehouse: check the disk, run again")
        for name, columns in written.items():
            if table_facts(con, "release", name, columns) != facts[name]:
                raise PublicationError(
                    f"{'.'.join(name)} differs from the warehouse after writing: check the disk, run again"
                )
            rows = fetch_one(con, f"select count(*) from read_parquet({sql_literal(_parquet(staged, name))})")[0]
            if rows != facts[name].rows:
                raise PublicationError(f"{'.'.join(name)}.parquet holds {rows} rows, not {facts[name].rows}: run again")
        if fetch_one(con, f"select release.{RELEASE_ID}()")[0] != release_id:
            raise PublicationError("the written release returns another release_id(): run again")
        written_database = "database_name = 'release'"
        for schema, table, comment in con.execute(
            f"select schema_name, table_name, comment from duckdb_tables() where {written_database}"
        ).fetchall():
            if comment != expected[_published_name(schema), table]:
                raise PublicationError(f"{_published_name(schema)}.{table} lost its description in writing: run again")
        undescribed = con.execute(
            "select schema_name, table_name, column_name from duckdb_columns() "
            f"where {written_database} and comment is null limit 1"
        ).fetchone()
        if undescribed:
            where = ".".join([_published_name(undescribed[0]), *undescribed[1:]])
            raise PublicationError(f"{where} lost its description in writing: run again")


def _published_name(stored: str) -> str:
    """The published name of a schema, from its name in the file."""
    return next((name for name, place in MAIN.items() if place == stored), stored)


def _table_comment(described: Mapping[str, str], synthetic: bool) -> str:
    return (SYNTHETIC if synthetic else "") + described[""]


# --- making a release current -----------------------------------------------------------------------------------------


def _move_into_place(staged: Path, release: Path) -> None:
    """Rename the finished release to its id, after all its files are flushed to disk."""
    for path in staged.rglob("*"):
        if path.is_dir():
            _sync_folder(path)
        else:
            path.chmod(0o644)
            _sync_file(path)
    _sync_folder(staged)
    release.parent.mkdir(exist_ok=True)
    staged.replace(release)
    _sync_folder(release.parent)


def _make_current(release: Path, published: Path) -> None:
    # Left by a tool that opened the database for writing; DuckDB would replay it over the new database.
    (published / f"{DATABASE}.wal").unlink(missing_ok=True)
    names = [path.relative_to(release).as_posix() for path in _parquet_files(release)]
    for name in [*names, DATABASE, MANIFEST]:
        replace_file(published, name, release / name)
    for path in _parquet_files(published):
        if path.relative_to(published).as_posix() not in names:
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


# --- files ------------------------------------------------------------------------------------------------------------


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


def _previous(published: Path, current: Manifest | None) -> Path | None:
    """The database to compare with: the current release's own, else the visible one; None for the first release."""
    if current is None:
        return None
    kept = _folder(published, current["release_id"]) / DATABASE
    return next((path for path in (kept, published / DATABASE) if path.is_file()), None)


def _parquet(folder: Path, name: Name) -> Path:
    return folder / "parquet" / name[0] / f"{name[1]}.parquet"


def _parquet_files(folder: Path) -> list[Path]:
    return sorted((folder / "parquet").rglob("*.parquet"))


def _file_facts(path: Path) -> dict[str, object]:
    with path.open("rb") as file:
        return {"bytes": path.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def _intact(published: Path, manifest: Manifest) -> bool:
    """True when every current file has the hash in the manifest: a crash or a user may have changed one."""
    with suppress(OSError):
        return _folder(published, manifest["release_id"]).is_dir() and all(
            _file_facts(published / name) == facts for name, facts in manifest["files"].items()
        )
    return False


def _sync_file(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _sync_folder(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
