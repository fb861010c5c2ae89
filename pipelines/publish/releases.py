"""Releases that are still kept, by id or as `current` and `previous`, and the difference between two."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from pipelines.common.paths import DATABASE
from pipelines.publish.diff import RowDiff, TableDiff, changed_rows, diff_releases
from pipelines.publish.manifest import Manifest, database_file, read_manifest
from pipelines.warehouse.sql import Name

CURRENT, PREVIOUS = "current", "previous"


class NoReleaseError(Exception):
    """A release that does not exist, or no longer: which one, and what to do."""


class UnknownNameError(Exception):
    """An unknown release or table: the message lists the known ones."""


@dataclass(frozen=True)
class KeptRelease:
    """A release in its own folder, whose files never change."""

    path: Path
    manifest: Manifest

    @property
    def release_id(self) -> str:
        """The id, which is the name of the folder."""
        return self.path.name

    @property
    def database(self) -> Path:
        """The release's own copy of the database."""
        return self.path / database_file(self.manifest)

    @property
    def keys(self) -> dict[Name, tuple[str, ...]]:
        """Key columns by table."""
        return {_name(table): tuple(facts["key"]) for table, facts in self.manifest["tables"].items()}


@dataclass(frozen=True)
class TableComparison:
    """One table of two releases: `only_in` old or new (None: in both), the counts, and rows where requested."""

    only_in: str | None
    counts: TableDiff
    rows: list[RowDiff] | None

    @property
    def same(self) -> bool:
        """True when both releases have the table, with the same columns, rows and values."""
        return self.only_in is None and not any(self.counts.values())


def list_releases(published: Path) -> list[KeptRelease]:
    """Every kept release, the last written first; without those that have no readable manifest."""
    folders = published / "releases"
    paths = [path for path in folders.iterdir() if path.is_dir()] if folders.is_dir() else []
    paths.sort(key=lambda path: path.stat().st_mtime_ns, reverse=True)
    found = ((path, read_manifest(path / "manifest.json")) for path in paths)
    return [KeptRelease(path, manifest) for path, manifest in found if manifest is not None]


def find(published: Path, name: str) -> KeptRelease:
    """The release with this id, or the `current` or `previous` one.

    Raises `UnknownNameError` for an unknown id, `NoReleaseError` when there is no current or previous release, or an
    earlier version wrote it.
    """
    current = read_manifest(published / "manifest.json")
    releases = {release.release_id: release for release in list_releases(published)}
    if current is None:
        raise NoReleaseError("nothing is published yet: run `tightness run` first")
    wanted = {CURRENT: current["release_id"], PREVIOUS: current["previous_release_id"]}.get(name, name)
    if wanted is None:
        raise NoReleaseError(f"there is no previous release: {current['release_id']} is the first")
    if wanted in releases:
        if (found := releases[wanted]).database.name != DATABASE:
            raise NoReleaseError(
                f"release {wanted} is of an earlier version (its database is {found.database.name}): use one published "
                "since, or run `tightness run`; docs/readers.md has how to read it"
            )
        return found
    if name == CURRENT:
        raise NoReleaseError(f"the folder of the current release {wanted} is missing: `tightness run` publishes it")
    if name == PREVIOUS:
        raise NoReleaseError(
            f"the previous release {wanted} is no longer kept: TIGHTNESS_KEEP_RELEASES sets how many are"
        )
    raise UnknownNameError(f"there is no release {name!r}; known: {', '.join([CURRENT, PREVIOUS, *releases])}")


def select_tables(tables: Iterable[str], wanted: Sequence[str]) -> list[str]:
    """The `schema.table` names that match `wanted`, in order; all when it is empty. The schema may be left out.

    Raises `UnknownNameError` for a name that is not a table.
    """
    known = sorted(tables)
    for name in wanted:
        if not any(_matches(name, table) for table in known):
            raise UnknownNameError(f"there is no table {name!r}; known: {', '.join(known)}")
    return [table for table in known if not wanted or any(_matches(name, table) for name in wanted)]


def compare(
    old: KeptRelease, new: KeptRelease, wanted: Sequence[str] = (), rows: int = 0
) -> dict[str, TableComparison]:
    """The difference between two releases by `schema.table`, with at most `rows` rows of each kind.

    Rows are matched by the key of the newer release; a table that only the older one has, by its key there. Raises
    `UnknownNameError` for a table that neither has, `NoReleaseError` when a file cannot be read.
    """
    tables = select_tables({**old.manifest["tables"], **new.manifest["tables"]}, wanted)
    keys = old.keys | new.keys
    try:
        counts = diff_releases(old.database, new.database, keys, {_name(table) for table in tables})
        return {
            table: TableComparison(
                _only_in(table, old, new),
                counts[table],
                changed_rows(old.database, new.database, _name(table), keys[_name(table)], rows) if rows else None,
            )
            for table in tables
        }
    except (duckdb.Error, KeyError) as error:
        raise NoReleaseError(
            f"{old.release_id} and {new.release_id} cannot be compared: {str(error).splitlines()[0]}; "
            "one of them may have been removed in the meantime"
        ) from error


def _only_in(table: str, old: KeptRelease, new: KeptRelease) -> str | None:
    if table not in old.manifest["tables"]:
        return "new"
    return None if table in new.manifest["tables"] else "old"


def _matches(name: str, table: str) -> bool:
    return name in (table, table.split(".", 1)[1])


def _name(table: str) -> Name:
    schema, name = table.split(".", 1)
    return schema, name
