"""The writer lock: held by every run while it writes the warehouse and publishes.

A lock of the operating system, which is released when the process ends, however it ends.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout


class WriterBusyError(Exception):
    """Another run is writing the same data folder."""


@contextmanager
def writer_lock(data_dir: Path, timeout: float) -> Iterator[None]:
    """Hold the writer lock of a data folder; `timeout` in seconds, 0 does not wait.

    Raises `WriterBusyError` with the process that holds it and since when.
    """
    folder = data_dir / "warehouse"
    folder.mkdir(parents=True, exist_ok=True)
    holder = folder / ".writer.json"
    lock = FileLock(folder / ".writer.lock")
    try:
        lock.acquire(timeout=timeout)
    except Timeout:
        raise WriterBusyError(f"another run{_describe(holder)} is writing {data_dir}; wait or stop it") from None
    try:
        with _signals_deferred():
            holder.write_text(json.dumps({"pid": os.getpid(), "since": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"}))
            yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


def current_writer(data_dir: Path) -> str | None:
    """The process that holds the writer lock, empty if it is not named; None when the lock is free. Writes nothing."""
    folder = data_dir / "warehouse"
    try:
        with (folder / ".writer.lock").open("rb") as file:
            # Shared, as no more is needed to see an exclusive lock; released when the file closes.
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return None
    except BlockingIOError:
        return _describe(folder / ".writer.json")
    return None


@contextmanager
def _signals_deferred() -> Iterator[None]:
    """Defer SIGINT and SIGTERM until the writing has ended, some seconds.

    An interrupted dbt leaves threads that still write the warehouse, prints pages, or ignores the interruption.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # signals reach the main thread only
        return
    deferred: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, lambda received, _: deferred.append(received)) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        if deferred:
            signal.raise_signal(deferred[0])


def _describe(holder: Path) -> str:
    # The holder may not have written its name yet, or may just have removed it: then it stays unnamed.
    try:
        known = json.loads(holder.read_text())
        return f" (pid {known['pid']}, since {known['since']})"
    except (OSError, ValueError, KeyError, TypeError):
        return ""
