"""Copies of one release for tools that cannot open DuckDB: Parquet as published, CSV, or an Excel workbook.

    <target>/
      <schema>/<table>.parquet | .csv    generated data: <table>.SYNTHETIC.csv, as a CSV file has no metadata
      tightness.xlsx                     or tightness.SYNTHETIC.xlsx: sheets instead of files
      README.txt, manifest.json          release, whether it is synthetic, rows and keys, hash of each file

Everything is read from the release's own folder, which never changes: an export never mixes two releases.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal

import duckdb

from pipelines.publish import workbook
from pipelines.publish.releases import KeptRelease, UnknownNameError, select_tables
from pipelines.warehouse.sql import Name, fetch_one, qualified_name, reader, sql_literal, tables_in
from pipelines.warehouse.sql import identifier as quoted

Format = Literal["parquet", "csv", "xlsx"]
MANIFEST, README = "manifest.json", "README.txt"
WRITTEN_BY: Final = "tightness export"  # marks a folder that may be replaced
FORMAT_NOTES: Final[dict[Format, str]] = {
    "parquet": "Parquet, byte for byte as published; units are in the names, meanings in docs/dictionary.md.",
    "csv": "CSV: UTF-8, comma, one header line, decimal point, days as 2026-01-13, instants in UTC as "
    "2026-01-13T18:00:00Z, true and false; an empty field is a missing value.",
    "xlsx": "Excel: columns in the first row of each sheet, units in the second; days and instants (UTC) are dates, an "
    "empty cell is a missing value.",
}


class TargetError(Exception):
    """A folder that an export must not replace: which file or folder, and what to do."""


class ExportError(Exception):
    """The export failed: the reason. The content of the target is unchanged."""


def export(release: KeptRelease, target: Path, kind: Format, wanted: Sequence[str] = ()) -> dict[str, int]:
    """Copy the tables of a release into the folder `target`. Returns the number of rows by file name.

    The files are written to a temporary folder and moved in one step. An earlier export at `target` is removed just
    before: for an instant the folder is missing, but it never holds parts of both. `wanted`: table names with or
    without schema; all when empty. Raises `UnknownNameError`, `TargetError` (`target` holds something else, or is
    in the published folder) and `ExportError`.
    """
    if kind == "xlsx" and wanted:
        raise UnknownNameError("a workbook has fixed sheets: leave --table out, or export csv or parquet")
    tables = select_tables(release.manifest["tables"], workbook.TABLES if kind == "xlsx" else wanted)
    target = target.absolute()
    _check(target, release.path.parents[1])
    temporary = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
        staged = temporary / "new"
        staged.mkdir()
        rows = _copy(release, staged, kind, tables)
        _describe(release, staged, kind, tables, rows)
        _move(staged, target, temporary / "old")
    except (OSError, duckdb.Error) as error:
        raise ExportError(
            f"release {release.release_id} could not be exported to {target}: {str(error).splitlines()[0]}"
            + ("" if release.path.is_dir() else "; a newer release has replaced it in the meantime: export again")
        ) from error
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)
    return rows


def _check(target: Path, published: Path) -> None:
    if target.resolve().is_relative_to(published.resolve()) or published.resolve().is_relative_to(target.resolve()):
        raise TargetError(f"{target} contains the published folder or is inside it: export to another folder")
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return
    try:
        earlier = json.loads((target / MANIFEST).read_text(encoding="utf-8"))
        ours = {MANIFEST, README, *earlier["files"]} if earlier["written_by"] == WRITTEN_BY else set()
    except (OSError, ValueError, KeyError, TypeError):
        ours = set()
    if not ours:
        raise TargetError(f"{target} exists and is not an earlier export: give an empty or a new folder")
    for path in sorted(path for path in target.rglob("*") if not path.is_dir()):
        if path.relative_to(target).as_posix() not in ours:
            raise TargetError(f"{path} is not part of the earlier export that would be replaced: move it away")


def _copy(release: KeptRelease, staged: Path, kind: Format, tables: Sequence[str]) -> dict[str, int]:
    rows = {}
    synthetic = bool(release.manifest["synthetic"])
    with reader() as con:
        con.execute(f"attach {sql_literal(release.database)} as release (read_only)")
        columns = tables_in(con, "release")
        if kind == "xlsx":
            file = staged / ("tightness.SYNTHETIC.xlsx" if synthetic else "tightness.xlsx")
            return {file.name: workbook.write(con, release.manifest, file)}
        for table in tables:
            schema, name = table.split(".", 1)
            (staged / schema).mkdir(exist_ok=True)
            if kind == "parquet":
                published = f"parquet/{schema}/{name}.parquet"
                file = staged / schema / f"{name}.parquet"
                shutil.copyfile(release.path / published, file)
                if _sha256(file) != release.manifest["files"][published]["sha256"]:
                    raise _changed(release, published)
                written = release.manifest["tables"][table]["rows"]
            else:
                file = staged / schema / (f"{name}.SYNTHETIC.csv" if synthetic else f"{name}.csv")
                written = _write_csv(con, (schema, name), columns[schema, name], file)
                if written != release.manifest["tables"][table]["rows"]:
                    raise _changed(release, table)
            rows[file.relative_to(staged).as_posix()] = written
    return rows


def _changed(release: KeptRelease, name: str) -> ExportError:
    return ExportError(
        f"{name} of release {release.release_id} differs from its manifest: remove the folder {release.path} and run "
        "`tightness run`, which publishes it again"
    )


def _write_csv(con: duckdb.DuckDBPyConnection, table: Name, columns: dict[str, str], file: Path) -> int:
    chosen = ", ".join(f"{_iso(quoted(name), type_)} as {quoted(name)}" for name, type_ in columns.items())
    query = f"select {chosen} from {qualified_name('release', table)}"
    written: int = fetch_one(con, f"copy ({query}) to {sql_literal(file)} (format csv, header true)")[0]
    return written


def _iso(column: str, data_type: str) -> str:
    """SQL for a column: instants as ISO in UTC without trailing zeros, everything else unchanged."""
    if not data_type.startswith("TIMESTAMP"):
        return column
    zoned = data_type == "TIMESTAMP WITH TIME ZONE"
    moment = f"{column} at time zone 'UTC'" if zoned else column
    text = f"regexp_replace(strftime({moment}, '%Y-%m-%dT%H:%M:%S.%f'), '\\.?0+$', '')"
    return f"{text} || 'Z'" if zoned else text


def _describe(release: KeptRelease, staged: Path, kind: Format, tables: Sequence[str], rows: dict[str, int]) -> None:
    about = release.manifest
    kept = ("release_id", "computed_ts", "knowledge_ts_max", "profile", "synthetic", "note", "git_commit")
    manifest = {name: about[name] for name in kept} | {
        "written_by": WRITTEN_BY,
        "format": kind,
        "tables": {table: {name: about["tables"][table][name] for name in ("rows", "key")} for table in tables},
        "files": {
            name: {"bytes": (staged / name).stat().st_size, "sha256": _sha256(staged / name), "rows": n}
            for name, n in rows.items()
        },
    }
    (staged / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    lines = [
        *(["SYNTHETIC DEMO DATA", about["note"], ""] if about["synthetic"] else []),
        f"Release {about['release_id']}, computed {about['computed_ts']}, known to {about['knowledge_ts_max']}",
        FORMAT_NOTES[kind],
        f"All files are of this one release; {MANIFEST} has the key of every table and the hash of every file.",
        "",
        *(f"{n:>10,} rows  {name}" for name, n in rows.items()),
    ]
    (staged / README).write_text("\n".join(lines) + "\n", encoding="utf-8")
    staged.chmod(0o755)
    for path in staged.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)


def _move(staged: Path, target: Path, old: Path) -> None:
    there = target.exists()
    if there:
        target.rename(old)
    try:
        staged.rename(target)
    except OSError:
        if there:
            old.rename(target)
        raise


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
