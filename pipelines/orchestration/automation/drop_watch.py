"""New contents in the drop folder, found by their hash once a file is no longer being written.

A file is read when two ticks in a row find it with the same size and time. Each content has a key that depends on the
previous content of the file, so that a file that returns to an old content has changed, and one that is only touched
has not.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

Stat = tuple[int, int]  # size in bytes, time of the last change in ns


@dataclass(frozen=True)
class Content:
    """Content of a file: its hash, and the months of its rows (none where it cannot be parsed)."""

    sha256: str
    months: tuple[str, ...]


@dataclass(frozen=True)
class File:
    """A file in the drop folder at a tick. `read` returns None when the file changes while it is read."""

    relative: str
    dataset: str
    stat: Stat
    read: Callable[[], Content | None]


@dataclass(frozen=True)
class FileState:
    """The state of a file in the cursor; `stat` is None while the file is absent."""

    stat: Stat | None
    settled: bool = False
    sha256: str = ""
    key: str = ""
    months: tuple[str, ...] = ()


@dataclass(frozen=True)
class Change:
    """A new content. `months`: its own, and those of the content that it replaces."""

    relative: str
    dataset: str
    key: str
    months: tuple[str, ...]


@dataclass(frozen=True)
class ScanResult:
    """Result of a tick: changes to run for, files that are still being written, and the next cursor."""

    changes: list[Change]
    waiting: list[str]
    cursor: str


def find_changes(cursor: str | None, files: Iterable[File]) -> ScanResult:
    """Compare the folder with the cursor of the previous tick."""
    known = _load(cursor)
    changes, waiting, current = [], [], {}
    for file in files:
        before = known.get(file.relative, FileState(None))
        if before.settled and before.stat == file.stat:
            current[file.relative] = before
            continue
        content = file.read() if before.stat == file.stat else None
        if content is None:
            waiting.append(file.relative)
            current[file.relative] = replace(before, stat=file.stat, settled=False)
            continue
        after = FileState(file.stat, True, content.sha256, before.key, content.months)
        if content.sha256 != before.sha256:
            text = "\0".join((before.key, file.relative, content.sha256))
            after = replace(after, key=hashlib.sha256(text.encode()).hexdigest())
            both = tuple(sorted({*before.months, *content.months}))
            changes.append(Change(file.relative, file.dataset, after.key, both))
        current[file.relative] = after
    # A file that returns has changed even with the same content: meanwhile its months were taken from the sources.
    absent = {
        name: replace(state, stat=None, settled=False, sha256="")
        for name, state in known.items()
        if name not in current
    }
    return ScanResult(changes, waiting, _dump(current | absent))


def run_key(changes: Iterable[Change]) -> str:
    """Key of the run for these changes; the same for every process that requests it."""
    return "drop " + hashlib.sha256("\0".join(sorted(change.key for change in changes)).encode()).hexdigest()[:32]


def _load(cursor: str | None) -> dict[str, FileState]:
    entries: dict[str, Any] = json.loads(cursor) if cursor else {}
    return {
        name: FileState(
            tuple(entry["stat"]) if entry["stat"] else None,
            entry["settled"],
            entry["sha256"],
            entry["key"],
            tuple(entry["months"]),
        )
        for name, entry in entries.items()
    }


def _dump(states: dict[str, FileState]) -> str:
    return json.dumps({name: state.__dict__ for name, state in sorted(states.items())})
