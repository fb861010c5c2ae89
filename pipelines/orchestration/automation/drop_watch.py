"""Files in the drop folder that are no longer being written, and their contents.

A file is read when two ticks in a row find it with the same size and times. The cursor holds the contents of files that
did not change since they were read, so that they are not read at each tick. It holds nothing else: a lost cursor costs
one tick.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

from pipelines.ingestion.drop_folder import Content


@dataclass(frozen=True)
class File:
    """A file in the drop folder at a tick.

    `stamp` is the same as long as `read` returns the same. `read` returns None when the file changes while it is read.
    """

    relative: str
    dataset: str
    stamp: str
    read: Callable[[], Content | None]


@dataclass(frozen=True)
class Settled:
    """A file that is no longer being written."""

    relative: str
    dataset: str
    content: Content


@dataclass(frozen=True)
class ScanResult:
    """Result of a tick: settled files, files that may still be written, and the next cursor."""

    settled: list[Settled]
    waiting: list[str]
    cursor: str


def find_settled(cursor: str | None, files: Iterable[File]) -> ScanResult:
    """Compare the folder with the cursor of the previous tick."""
    known = _load(cursor)
    settled, waiting, current = [], [], {}
    for file in files:
        stamp, content = known.get(file.relative, ("", None))
        if stamp != file.stamp:
            content = None
        elif content is None:
            content = file.read()
        current[file.relative] = (file.stamp, content)
        if content is None:
            waiting.append(file.relative)
        else:
            settled.append(Settled(file.relative, file.dataset, content))
    return ScanResult(settled, waiting, _dump(current))


def _load(cursor: str | None) -> dict[str, tuple[str, Content | None]]:
    """Stamp and content by file; nothing for a cursor of another version."""
    try:
        entries: dict[str, Any] = json.loads(cursor) if cursor else {}
        return {name: (stamp, content and _content(**content)) for name, (stamp, content) in entries.items()}
    except (AttributeError, TypeError, ValueError):
        return {}


def _content(sha256: str, months: list[str], refusal: str) -> Content:
    return Content(sha256, tuple(months), refusal)


def _dump(states: dict[str, tuple[str, Content | None]]) -> str:
    return json.dumps({name: (stamp, content and asdict(content)) for name, (stamp, content) in sorted(states.items())})
