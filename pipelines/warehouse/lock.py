"""One writer at a time: the lock that every run holds while it writes the warehouse and publishes.

The operating system holds the lock, so it falls with the process that has it, however that process ends.
"""

from __future__ import annotations

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
        with _undisturbed():
            holder.write_text(json.dumps({"pid": os.getpid(), "since": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"}))
            yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Holds SIGINT and SIGTERM back until the writing has ended, some seconds: dbt, interrupted, leaves threads at work
    on the warehouse and prints pages, or swallows the interruption."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals reach the main thread only
        return
    held: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, lambda given, _: held.append(given)) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        if held:
            signal.raise_signal(held[0])


def _who(holder: Path) -> str:
    # The holder may be between taking the lock and writing its name, or have just left: then it stays unnamed.
    try:
        known = json.loads(holder.read_text())
        return f" (pid {known['pid']}, since {known['since']})"
    except (OSError, ValueError, KeyError, TypeError):
        return ""
