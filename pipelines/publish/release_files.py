"""Files of a release: their facts, links and copies, and writes that reach the disk."""

from __future__ import annotations

import hashlib
import os
import shutil
from contextlib import suppress
from pathlib import Path


def replace_file(published: Path, name: str, source: Path) -> None:
    """Replace `published/name` by a copy of `source` in one step, readable by all.

    A copy, not a link: a tool that opens the current file for writing must not change the release itself.
    """
    temporary, target = published / f".tmp-{Path(name).name}", published / name
    shutil.copyfile(source, temporary)
    temporary.chmod(0o644)
    sync_file(temporary)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary.replace(target)
    sync_folder(target.parent)


def link(source: Path, target: Path) -> None:
    """A second name of a file of a release, which never changes; a copy where the file system has no links."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def file_facts(path: Path) -> dict[str, object]:
    """Size and SHA-256 of a file, as in the manifest."""
    with path.open("rb") as file:
        return {"bytes": path.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def is_file(path: Path, facts: object) -> bool:
    """True when the file is there with these facts: a crash or a user may have changed one.

    A database with a log beside it, left by a program that wrote to it, is not: DuckDB adds what is in the log.
    """
    with suppress(OSError):
        return not path.with_name(f"{path.name}.wal").exists() and file_facts(path) == facts
    return False


def sync_file(path: Path) -> None:
    """Wait until the content of a file is on disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def sync_folder(path: Path) -> None:
    """Wait until the names in a folder are on disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
