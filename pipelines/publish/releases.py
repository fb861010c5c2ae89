"""The releases that readers can still open, by id or as `current` and `previous`, and what changed between two."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from pipelines.publish.diff import RowDiff, TableDiff, changed_rows, diff_releases
from pipelines.publish.manifest import Manifest, read_manifest
from pipelines.warehouse.sql import Name

CURRENT, PREVIOUS = "current", "previous"


class NoReleaseError(Exception):
    """What is asked for is not there (any more): says what is missing and what to do."""


class UnknownNameError(Exception):
    """A release or table that there is not: names those there are."""


@dataclass(frozen=True)
class Kept:
    """A release in its own folder, which never changes while it is there."""

    path: Path
    manifest: Manifest

    @property
    def release_id(self) -> str:
        """Its name, and that of its folder."""
        return self.path.name

    @property
    def database(self) -> Path:
        """Its own copy of marts.duckdb."""
        return self.path / "marts.duckdb"

    @property
    def keys(self) -> dict[Name, tuple[str, ...]]:
        """The columns that identify a row, by table."""
        return {_name(table): tuple(facts["key"]) for table, facts in self.manifest["tables"].items()}


@dataclass(frozen=True)
class Compared:
    """One table of two releases: what `only_in` says (`old`, `new` or both: None), the counts, and rows if asked."""

    only_in: str | None
    counts: TableDiff
    rows: list[RowDiff] | None

    @property
    def same(self) -> bool:
        """True when the table is in both, with the same columns, rows and values."""
        return self.only_in is None and not any(self.counts.values())


def kept(published: Path) -> list[Kept]:
    """Every release that is there, the one written last first. One without a readable manifest is left out."""
    folders = published / "releases"
    paths = [path for path in folders.iterdir() if path.is_dir()] if folders.is_dir() else []
    paths.sort(key=lambda path: path.stat().st_mtime_ns, reverse=True)
    found = ((path, read_manifest(path / "manifest.json")) for path in paths)
    return [Kept(path, manifest) for path, manifest in found if manifest is not None]


def find(published: Path, name: str) -> Kept:
    """The release of this id, or the one that `current` or `previous` (the one before the current) names.

    Raises `UnknownNameError` for an id that there is not, `NoReleaseError` where there is no current or previous one.
    """
    current = read_manifest(published / "manifest.json")
    there = {release.release_id: release for release in kept(published)}
    if current is None:
        raise NoReleaseError("nothing is published yet: run `tightness run` first")
    wanted = {CURRENT: current["release_id"], PREVIOUS: current["previous_release_id"]}.get(name, name)
    if wanted is None:
        raise NoReleaseError(f"there is no previous release: {current['release_id']} is the first")
    if wanted in there:
        return there[wanted]
    if name == CURRENT:
        raise NoReleaseError(f"the folder of the current release {wanted} is gone: `tightness run` publishes it anew")
    if name == PREVIOUS:
        raise NoReleaseError(
            f"the previous release {wanted} is no longer kept: TIGHTNESS_KEEP_RELEASES says how many are"
        )
    raise UnknownNameError(f"there is no release {name!r}; there are: {', '.join([CURRENT, PREVIOUS, *there])}")


def choose(tables: Iterable[str], wanted: Sequence[str]) -> list[str]:
    """Of `schema.table` names those that are wanted, in order; all where nothing is. The schema may be left out.

    Raises `UnknownNameError` for a name that is no table.
    """
    known = sorted(tables)
    for name in wanted:
        if not any(_means(name, table) for table in known):
            raise UnknownNameError(f"there is no table {name!r}; there are: {', '.join(known)}")
    return [table for table in known if not wanted or any(_means(name, table) for name in wanted)]


def compare(old: Kept, new: Kept, wanted: Sequence[str] = (), rows: int = 0) -> dict[str, Compared]:
    """What changed from one release to the other, by `schema.table`, with at most `rows` rows of each kind.

    Rows are matched by the key of the newer release; a table that only the older one has by its own. Raises
    `UnknownNameError` for a table that neither has, `NoReleaseError` when a file cannot be read.
    """
    tables = choose({**old.manifest["tables"], **new.manifest["tables"]}, wanted)
    keys = old.keys | new.keys
    try:
        counts = diff_releases(old.database, new.database, keys, {_name(table) for table in tables})
        return {
            table: Compared(
                _only_in(table, old, new),
                counts[table],
                changed_rows(old.database, new.database, _name(table), keys[_name(table)], rows) if rows else None,
            )
            for table in tables
        }
    except (duckdb.Error, KeyError) as error:
        raise NoReleaseError(
            f"{old.release_id} and {new.release_id} cannot be compared: {str(error).splitlines()[0]}; "
            "a release that a newer one has replaced may have been removed meanwhile"
        ) from error


def _only_in(table: str, old: Kept, new: Kept) -> str | None:
    if table not in old.manifest["tables"]:
        return "new"
    return None if table in new.manifest["tables"] else "old"


def _means(name: str, table: str) -> bool:
    return name in (table, table.split(".", 1)[1])


def _name(table: str) -> Name:
    schema, name = table.split(".", 1)
    return schema, name
