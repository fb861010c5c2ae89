"""The manifest of a release: rows and hashes of every table, inputs, and the difference from the previous one.

Hashes are of values, not of bytes on disk: row order, file layout and compression have no effect.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, TypedDict

from pipelines.common.paths import DATABASE
from pipelines.warehouse.sql import Name

STORAGE_VERSION = "v1.0.0"  # the newest that every DuckDB from 1.0 on can open; 1.x cannot open the default of 2.0
# Number of the order of rows and the definition of the hashes: a release of another one is no base of the next.
LAYOUT = 3
LAKE_FILES = "lake.json"  # in the release's own folder
PACKAGES = (
    "arch",
    "dagster",
    "dbt-core",
    "dbt-duckdb",
    "duckdb",
    "holidays",
    "metal-tightness",
    "pandas",
    "pandera",
    "pyarrow",
    "statsmodels",
)
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
    tables: Mapping[Name, Mapping[str, str]],
    keys: Mapping[Name, tuple[str, ...]],
    comments: Mapping[Name, Mapping[str, str]],
    macros: Mapping[Name, tuple[str, str]],
    *,
    synthetic: bool,
    known: str | None,
) -> Manifest:
    """The manifest without rows and hashes of the tables (columns with types by name), id, files and difference."""
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
        "layout": LAYOUT,
        "inputs": dict(sorted(base["inputs"].items())),
        "tables": {
            ".".join(name): {
                "rows": 0,
                "content_sha256": "",
                "schema_sha256": _digest([list(columns.items()), dict(comments[name])]),
                "key": list(keys.get(name, ())),
            }
            for name, columns in tables.items()
        },
        "macros": {".".join(name): _digest(definition) for name, definition in sorted(macros.items())},
        "files": {},
        "difference": None,
    }


def same_content(old: Manifest, new: Manifest) -> bool:
    """True when a reader would see no difference between the releases except the time of the run."""
    return {k: v for k, v in old.items() if k not in PER_RUN} == {k: v for k, v in new.items() if k not in PER_RUN}


def same_description(old: Manifest, new: Manifest) -> bool:
    """True when both releases have the same tables, columns, keys, comments and marks: only rows may differ."""
    return _description(old) == _description(new)


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


def database_file(manifest: Manifest) -> str:
    """Name of the database of a release: earlier versions have another one."""
    return next((str(name) for name in manifest.get("files", {}) if name.endswith(".duckdb")), DATABASE)


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


def _description(manifest: Manifest) -> list[object]:
    tables = {name: (facts["schema_sha256"], facts["key"]) for name, facts in manifest["tables"].items()}
    return [tables, *(manifest.get(entry) for entry in ("layout", "storage_version", "synthetic"))]


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
