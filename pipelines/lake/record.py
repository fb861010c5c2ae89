"""Record of a dataset's lake files: one JSON line for each file that was written. Append-only.

It is kept with the archive, apart from the lake, so that a lake that is lost or older is found and can be made again.
The name of a lake file holds its capture time and the beginning of its SHA-256: a file without a line, as a killed
writer or an earlier version leaves it, is checked by its name.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from filelock import FileLock

# `month=YYYY-MM/` in the layout of earlier versions.
FILE_NAME: Final = re.compile(r"(?:month=(\d{4}-\d{2})/)?(\d{8}T\d{12})Z-([0-9a-f]{8})\.parquet")


@dataclass(frozen=True)
class Load:
    """What a file was loaded from: all that the archive held at a moment, and these drop files.

    `at`: clock of the load (ISO, UTC). `until`: its latest capture, where that is later (another run was fetching).
    `dropped`: SHA-256 of each drop file with rows of these months, by its name. `metals`: of the run; all when empty.
    `reference`: SHA-256 of the reference tables, of which the archive has a copy.
    """

    at: str
    until: str = ""
    dropped: Mapping[str, str] = field(default_factory=dict)
    metals: Sequence[str] = ()
    reference: str = ""


@dataclass(frozen=True)
class Entry:
    """One file: its path below the dataset's folder, hashes of its bytes and of its rows (empty: not known), and the
    months of its rows (YYYY-MM, in order).

    `replaces`: files whose rows it has, one after the other, each in its order; `lengths`: number of rows of each.
    """

    file: str
    sha256: str = ""
    rows_sha256: str = ""
    load: Load | None = None  # None for a file of an earlier version, and for one that replaces others
    lost_at: str = ""  # when a user accepted that the file is lost (ISO, UTC)
    months: tuple[str, ...] = ()
    replaces: tuple[str, ...] = ()
    lengths: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not self.months and self.former_month:
            object.__setattr__(self, "months", (self.former_month,))

    @property
    def former_month(self) -> str:
        """Month (YYYY-MM) in the name of a file of the former layout; else empty."""
        name = FILE_NAME.fullmatch(self.file)
        return (name and name[1]) or ""

    @property
    def captured(self) -> datetime:
        """Latest capture time of its rows (UTC), from its name."""
        return datetime.strptime(self.file.rpartition("/")[2][:21], "%Y%m%dT%H%M%S%f").replace(tzinfo=UTC)

    @property
    def origin(self) -> Load:
        """Its load; where that is not known, one at its capture time."""
        return self.load if self.load is not None else Load(self.captured.isoformat())

    def matches(self, sha256: str) -> bool:
        """Whether bytes with this SHA-256 are those of the file."""
        return sha256 == self.sha256 if self.sha256 else named_after(self.file, sha256)


@dataclass(frozen=True)
class FileRecord:
    """The record of one dataset, a file of JSON lines. The last line of a lake file holds."""

    path: Path

    def read(self) -> dict[str, Entry]:
        """Entries by file, in the order in which the files were written. Torn or unreadable lines are left out."""
        found: dict[str, Entry] = {}
        try:
            lines = self.path.read_bytes().splitlines()
        except FileNotFoundError:
            lines = []
        for line in lines:
            entry = _entry(line)
            if entry is not None:
                found[entry.file] = entry
        return found

    def append(self, entries: Sequence[Entry]) -> None:
        """Add lines, in one write."""
        lines = "".join(json.dumps(_without_empty(asdict(entry))) + "\n" for entry in entries).encode()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(self.path.with_suffix(".lock")), self.path.open("ab+") as file:
            if file.tell():
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":  # a killed writer left half a line
                    lines = b"\n" + lines
            file.write(lines)

    def flush(self) -> None:
        """Wait until the lines are on disk."""
        with self.path.open("rb") as file:
            os.fsync(file.fileno())


def replaced(entries: Mapping[str, Entry]) -> set[str]:
    """Files whose rows are in another one of these that is not lost."""
    return {part for entry in entries.values() if not entry.lost_at for part in entry.replaces}


def originals(file: str, entries: Mapping[str, Entry]) -> Iterator[str]:
    """The files, each of one append, whose rows a file has, in its order."""
    parts = entries[file].replaces if file in entries else ()
    if not parts:
        yield file
    for part in parts:
        yield from originals(part, entries)


def named_after(file: str, sha256: str) -> bool:
    """Whether a lake file (`<captured>-<hash>.parquet`) has the name of bytes with this SHA-256."""
    name = FILE_NAME.fullmatch(file)
    return name is not None and sha256[:8] == name[3]


def file_sha256(path: Path) -> str:
    """SHA-256 of a file. Raises `OSError`."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _without_empty(about: dict[str, Any]) -> dict[str, Any]:
    given = {name: _without_empty(value) if name == "load" and value else value for name, value in about.items()}
    return {name: value for name, value in given.items() if value}


def _entry(line: bytes) -> Entry | None:
    try:
        about = json.loads(line)
        load = about.pop("load", None)
        if load is not None:
            about["load"] = Load(**load | {"metals": tuple(load.get("metals", ()))})
        lists = {name: tuple(about[name]) for name in ("months", "replaces", "lengths") if name in about}
        entry = Entry(**about | lists)
    except (ValueError, TypeError, AttributeError, KeyError):
        return None
    return entry if FILE_NAME.fullmatch(entry.file) else None
