"""Files that are whole or not there: written beside their place, flushed, then moved into it in one step."""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Final

TEMPORARY: Final = ".tmp-"  # no data suffix follows, so that no reader's `*.parquet` matches an unfinished file
ABANDONED_AFTER_S: Final = 3600.0


def write_aside(path: Path, write: Callable[[Path], object]) -> None:
    """Lets `write` fill a temporary file beside `path` and moves it there: readers see old or new, never half.

    Creates the folder. When `write` raises, nothing is left behind; a killed process leaves a file for `sweep`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.parent / f"{TEMPORARY}{uuid.uuid4().hex}"
    try:
        write(aside)
        with aside.open("rb") as written:
            os.fsync(written.fileno())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def sweep(folder: Path) -> None:
    """Removes what killed writers left under a folder; younger files may belong to a living one and stay."""
    for aside in folder.rglob(f"{TEMPORARY}*"):
        try:
            if time.time() - aside.stat().st_mtime > ABANDONED_AFTER_S:
                aside.unlink()
        except FileNotFoundError:  # its writer has just moved it into place
            pass


def read_json(path: Path) -> dict[str, str]:
    """A JSON object of texts; an empty one where there is no file."""
    return dict(json.loads(path.read_text())) if path.is_file() else {}


def write_json(path: Path, content: object) -> None:
    """Writes JSON aside and moves it into place."""
    write_aside(path, lambda aside: aside.write_text(json.dumps(content, indent=1, sort_keys=True, default=str)))
