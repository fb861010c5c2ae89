"""Atomic file writes: a temporary file beside the target, flushed to disk, then renamed."""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

TEMPORARY: Final = ".tmp-"  # without a suffix, so that no `*.parquet` pattern matches an unfinished file
ABANDONED_AFTER_S: Final = 3600.0


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file atomically: `write` fills a temporary file beside `path`, which then replaces `path`.

    Creates the folder, and removes an empty one that stands in the place of the file. When `write` raises, nothing
    remains; after a killed process `sweep` removes the temporary file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f"{TEMPORARY}{uuid.uuid4().hex}"
    try:
        write(temporary)
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        if path.is_dir() and not path.is_symlink():
            path.rmdir()
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def sweep(folder: Path) -> None:
    """Remove temporary files of killed processes under a folder; those under an hour old may still be in use."""
    with suppress(FileNotFoundError):  # a folder below was just deleted: the next run removes the rest
        for temporary in folder.rglob(f"{TEMPORARY}*"):
            with suppress(FileNotFoundError):  # its writer has just renamed it
                if time.time() - temporary.stat().st_mtime > ABANDONED_AFTER_S:
                    temporary.unlink()


def read_json(path: Path) -> dict[str, str]:
    """A JSON object; empty when there is no file, or a damaged one."""
    try:
        return dict(json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        return {}


def write_json(path: Path, content: object) -> None:
    """Write JSON atomically."""
    write_atomically(
        path, lambda temporary: temporary.write_text(json.dumps(content, indent=1, sort_keys=True, default=str))
    )
