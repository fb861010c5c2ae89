"""One writer at a time: the lock that every run holds while it writes the warehouse and publishes.

The operating system holds the lock, so it falls with the process that has it, however that process ends.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout


class WriterBusyError(Exception):
    """Another run is writing the same data folder."""


@contextmanager
def writer_lock(data_dir: Path, timeout: float) -> Iterator[None]:
    """Hold the writer's lock of a data folder; `timeout` in seconds, 0 does not wait.

    Raises `WriterBusyError`, naming the process that holds it and since when.
    """
    folder = data_dir / "warehouse"
    folder.mkdir(parents=True, exist_ok=True)
    holder = folder / ".writer.json"
    lock = FileLock(folder / ".writer.lock")
    try:
        lock.acquire(timeout=timeout)
    except Timeout:
        raise WriterBusyError(f"another run{_who(holder)} is writing {data_dir}; wait or stop it") from None
    try:
        holder.write_text(json.dumps({"pid": os.getpid(), "since": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"}))
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


def _who(holder: Path) -> str:
    # The holder may be between taking the lock and writing its name, or have just left: then it stays unnamed.
    try:
        known = json.loads(holder.read_text())
        return f" (pid {known['pid']}, since {known['since']})"
    except (OSError, ValueError, KeyError, TypeError):
        return ""
