"""Cross-process rate limiting per publisher: start interval, concurrent requests and pauses.

All processes that use a data folder share the same state files. The operating system holds the locks and releases them
when a process ends for whatever reason. Why this is not a library: docs/adr.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from pipelines.sources.base import Access

MAX_PAUSE_S: Final = 180.0  # a run waits no longer for a paused publisher
# Upper limit of any pause. Without it, a header with a pause of years, or a pause that was written while the clock was
# wrong, would disable a source permanently.
MAX_RETRY_AFTER_S: Final = 86_400.0
POLL_S: Final = 0.1


class PausedError(Exception):
    """A pause that is longer than a run waits; it ends at `until` (seconds since 1970, UTC).

    `reason`: text of the publisher, appended to messages; empty in a process that did not receive it.
    """

    def __init__(self, until: float, reason: str = "") -> None:
        self.until, self.reason = until, reason
        super().__init__(f"paused until {until:.0f}")


@dataclass(frozen=True)
class RateLimiter:
    """Rate limits per source with state files under `folder`.

    `clock`: wall clock in seconds since 1970, the only clock that processes share.
    """

    folder: Path
    clock: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep

    @contextmanager
    def acquire(self, source: str, access: Access) -> Iterator[None]:
        """Wait until a request to this source may start, and hold one of its concurrent slots until the block ends.

        Raises `PausedError` when the wait would exceed `MAX_PAUSE_S`.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._slot(source, access.max_concurrent):
            # Another process may record a pause during the sleep, so the wait is computed again.
            while (wait := self._reserve(source, access)) > 0:
                self.sleep(wait)
            yield

    def pause(self, source: str, seconds: float) -> None:
        """Pause a source in every process for `seconds`, at most `MAX_RETRY_AFTER_S`; a longer pause stays in force."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._lock(source):
            state, now = self._read(source), self.clock()
            until = max(_paused_until(state, now), now + min(seconds, MAX_RETRY_AFTER_S))
            self._write(source, state | {"paused_until": until})

    def _reserve(self, source: str, access: Access) -> float:
        """Seconds left to wait; 0 reserves this start, and the next one is possible an interval later."""
        interval = 1 / access.per_second
        with self._lock(source):
            state, now = self._read(source), self.clock()
            until = _paused_until(state, now)
            if until - now > MAX_PAUSE_S:
                raise PausedError(until)
            next_start = state.get("next", 0.0)
            if next_start - now > 2 * interval:  # the clock was set back since the last request
                next_start = now
            wait = max(until, next_start) - now
            if wait <= 0:
                self._write(source, state | {"next": now + interval})
            return wait

    @contextmanager
    def _slot(self, source: str, slots: int) -> Iterator[None]:
        locks = [FileLock(self.folder / f"{source}.{number}.lock") for number in range(slots)]
        while True:
            for lock in locks:
                try:
                    lock.acquire(blocking=False)
                except Timeout:
                    continue
                try:
                    yield
                finally:
                    lock.release()
                return
            self.sleep(POLL_S)

    def _lock(self, source: str) -> FileLock:
        return FileLock(self.folder / f"{source}.lock")

    def _read(self, source: str) -> dict[str, float]:
        try:
            return {name: float(value) for name, value in json.loads(self._path(source).read_text()).items()}
        except (FileNotFoundError, ValueError, AttributeError, TypeError):  # no file yet, or its writer was killed
            return {}

    def _write(self, source: str, state: dict[str, float]) -> None:
        self._path(source).write_text(json.dumps(state))

    def _path(self, source: str) -> Path:
        return self.folder / f"{source}.json"


def _paused_until(state: dict[str, float], now: float) -> float:
    """End of the recorded pause; 0 without one, and for one longer than any pause can be."""
    until = state.get("paused_until", 0.0)
    return until if until - now <= MAX_RETRY_AFTER_S else 0.0
