"""Which files in the drop folder are new: by what they hold, and only when nobody writes them any more.

A file is looked at when two ticks in a row find it alike. Each content has a key that hangs on the one before, so that
a file that gets its old content back is a change, and one that is only touched is not.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

Stat = tuple[int, int]  # size, time of the last change in ns


@dataclass(frozen=True)
class Content:
    """What a file holds: its hash, and the months that it speaks of (none where it cannot be read)."""

    sha256: str
    months: tuple[str, ...]


@dataclass(frozen=True)
class File:
    """A file in the drop folder as a tick finds it. `read` gives None when the file changes while it is read."""

    relative: str
    dataset: str
    stat: Stat
    read: Callable[[], Content | None]


@dataclass(frozen=True)
class Known:
    """What is remembered of a file; `stat` is None while it is not there."""

    stat: Stat | None
    settled: bool = False
    sha256: str = ""
    key: str = ""
    months: tuple[str, ...] = ()


@dataclass(frozen=True)
class Change:
    """A content that was not there before. `months`: those of it, and of what it takes the place of."""

    relative: str
    dataset: str
    key: str
    months: tuple[str, ...]


@dataclass(frozen=True)
class Look:
    """What a tick finds: changes to run for, files that are still being written, and the next cursor."""

    changes: list[Change]
    waiting: list[str]
    cursor: str


def look(cursor: str | None, files: Iterable[File]) -> Look:
    """Compares the folder with what is remembered."""
    known = _load(cursor)
    changes, waiting, now = [], [], {}
    for file in files:
        before = known.get(file.relative, Known(None))
        if before.settled and before.stat == file.stat:
            now[file.relative] = before
            continue
        content = file.read() if before.stat == file.stat else None
        if content is None:
            waiting.append(file.relative)
            now[file.relative] = replace(before, stat=file.stat, settled=False)
            continue
        after = Known(file.stat, True, content.sha256, before.key, content.months)
        if content.sha256 != before.sha256:
            text = "\0".join((before.key, file.relative, content.sha256))
            after = replace(after, key=hashlib.sha256(text.encode()).hexdigest())
            both = tuple(sorted({*before.months, *content.months}))
            changes.append(Change(file.relative, file.dataset, after.key, both))
        now[file.relative] = after
    # A file that comes back is a change even when it holds the same: meanwhile the sources have spoken for it.
    gone = {name: replace(held, stat=None, settled=False, sha256="") for name, held in known.items() if name not in now}
    return Look(changes, waiting, _dump(now | gone))


def run_key(changes: Iterable[Change]) -> str:
    """Of a run for these contents: the same whoever asks for it."""
    return "drop " + hashlib.sha256("\0".join(sorted(change.key for change in changes)).encode()).hexdigest()[:32]


def _load(cursor: str | None) -> dict[str, Known]:
    held: dict[str, Any] = json.loads(cursor) if cursor else {}
    return {
        name: Known(
            tuple(entry["stat"]) if entry["stat"] else None,
            entry["settled"],
            entry["sha256"],
            entry["key"],
            tuple(entry["months"]),
        )
        for name, entry in held.items()
    }


def _dump(known: dict[str, Known]) -> str:
    return json.dumps({name: held.__dict__ for name, held in sorted(known.items())})
