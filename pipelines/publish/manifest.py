"""The manifest of a release: rows and hashes of every table, inputs, and the difference from the previous one.

Hashes are of values, not of bytes on disk: row order, file layout and compression have no effect.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, TypedDict

import duckdb

from pipelines.warehouse.sql import (
    Name,
    fetch_one,
    identifier,
    qualified_name,
)

STORAGE_VERSION = "v1.0.0"  # the newest that every DuckDB from 1.0 on can open; 1.x cannot open the default of 2.0
LAKE_FILES = "lake.json"  # in the release's own folder
ISO = "%Y-%m-%dT%H:%M:%SZ"
PACKAGES = ("dagster", "dbt-core", "dbt-duckdb", "duckdb", "metal-tightness", "pandas", "pandera", "pyarrow")
SYNTHETIC_NOTE = "Synthetic demo data from a generated market: not prices or stocks of any real one."

# Entries that differ between two runs with the same content; any other difference makes a new release.
PER_RUN = {"release_id", "previous_release_id", "computed_ts", "difference", "files"}

Manifest = dict[str, Any]  # the content of manifest.json


class ManifestBase(TypedDict):
    """Facts of the run that the files do not hold. Published unchanged: no paths and no secrets."""

    profile: str
    computed_ts: str  # ISO, UTC
    git_commit: str | None
    inputs: dict[str, str]  # hash of each input by its name


@dataclass(frozen=True)
class Facts:
    """Facts of one table: columns (DuckDB type by name, in order), row count and hash of the values."""

    columns: dict[str, str]
    rows: int
    content_sha256: str


def table_facts(con: duckdb.DuckDBPyConnection, database: str, name: Name, columns: Mapping[str, str]) -> Facts:
    """Row count and content hash of a table: SHA-256 over the sorted hashes of its rows, whatever their order."""
    values = ", ".join(identifier(column) for column in columns)
    rows, content = fetch_one(
        con,
        "select count(*), sha256(coalesce(string_agg(h, '' order by h), '')) "
        f"from (select md5(cast(json_array({values}) as varchar)) as h from {qualified_name(database, name)})",
    )
    return Facts(dict(columns), rows, content)


def knowledge_ts_max(con: duckdb.DuckDBPyConnection, database: str, tables: Mapping[Name, Facts]) -> str | None:
    """The latest `knowledge_ts_max` of all tables that have the column: ISO, UTC. None where none has a value."""
    latest = [
        fetch_one(
            con, f"select strftime(max(knowledge_ts_max)::timestamp, '{ISO}') from {qualified_name(database, name)}"
        )[0]
        for name, facts in tables.items()
        if "knowledge_ts_max" in facts.columns
    ]
    return max((value for value in latest if value is not None), default=None)


def packages() -> dict[str, str | None]:
    """Installed versions of the packages that affect the result; None for one that is not installed."""
    found: dict[str, str | None] = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = None
    return found


def describe(
    base: ManifestBase,
    tables: Mapping[Name, Facts],
    keys: Mapping[Name, tuple[str, ...]],
    comments: Mapping[Name, Mapping[str, str]],
    *,
    synthetic: bool,
    known: str | None,
) -> Manifest:
    """The manifest without the release's id, files and difference."""
    return {
        "release_id": None,
        "previous_release_id": None,
        "computed_ts": base["computed_ts"],
        "profile": base["profile"],
        "synthetic": synthetic,
        "note": SYNTHETIC_NOTE if synthetic else "",
        "knowledge_ts_max": known,
        "git_commit": base["git_commit"],
        "packages": packages(),
        "storage_version": STORAGE_VERSION,
        "inputs": dict(sorted(base["inputs"].items())),
        "tables": {
            ".".join(name): {
                "rows": facts.rows,
                "content_sha256": facts.content_sha256,
                "schema_sha256": _digest([list(facts.columns.items()), dict(comments[name])]),
                "key": list(keys.get(name, ())),
            }
            for name, facts in tables.items()
        },
        "files": {},
        "difference": None,
    }


def same_content(old: Manifest, new: Manifest) -> bool:
    """True when a reader would see no difference between the releases except the time of the run."""
    return {k: v for k, v in old.items() if k not in PER_RUN} == {k: v for k, v in new.items() if k not in PER_RUN}


def content_id(manifest: Manifest) -> str:
    """Hash (eight hex digits) of the entries that `same_content` compares."""
    return _digest({k: v for k, v in manifest.items() if k not in PER_RUN})[:8]


def read_manifest(path: Path) -> Manifest | None:
    """A manifest from its file; None when it is missing or unreadable (then everything is published again)."""
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return manifest if isinstance(manifest, dict) and "release_id" in manifest else None


def released_lake_files(published: Path) -> dict[str, list[str]]:
    """Files of the lake that the current release was built from, by dataset; empty where the release has no list."""
    manifest = read_manifest(published / "manifest.json")
    if manifest is None:
        return {}
    try:
        found = json.loads((published / "releases" / manifest["release_id"] / LAKE_FILES).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {str(name): [str(file) for file in files] for name, files in found.items()}


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
