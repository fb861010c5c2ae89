"""How publishers are left in peace: when a source may be asked next, and how many requests of it may be under way.

Every process that works on a data folder keeps to the same files. The operating system holds the locks, so that they
fall with the process that has them, however it ends.
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

MAX_PAUSE_S: Final = 180.0  # a run waits no longer for a publisher that wants to be left alone
# Nobody is left alone for longer, whatever a header says: a pause of years, or one that was written while the clock
# stood in the future, would end a source for good.
LONGEST_S: Final = 86_400.0
POLL_S: Final = 0.1


class PausedError(Exception):
    """The publisher wants to be left alone for longer than a run waits: until `until` (seconds since 1970, UTC)."""

    def __init__(self, until: float) -> None:
        self.until = until
        super().__init__(f"paused until {until:.0f}")


@dataclass(frozen=True)
class RateLimiter:
    """Turns by source under `folder`. `clock` is that of the wall (seconds since 1970): processes share no other."""

    folder: Path
    clock: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep

    @contextmanager
    def acquire(self, source: str, access: Access) -> Iterator[None]:
        """Waits until this source may be asked, and holds one of its places meanwhile and until the caller is done.

        Raises `PausedError` when that would be longer than `MAX_PAUSE_S`.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._place(source, access.max_concurrent):
            # A pause may be written while this one sleeps, so it looks again.
            while (wait := self._wait(source, access)) > 0:
                self.sleep(wait)
            yield

    def pause(self, source: str, seconds: float) -> None:
        """Leaves a source alone for so long (`LONGEST_S` at most), in every process; a longer pause stays."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._lock(source):
            state, now = self._read(source), self.clock()
            self._write(source, state | {"paused_until": max(_until(state, now), now + min(seconds, LONGEST_S))})

    def _wait(self, source: str, access: Access) -> float:
        """Seconds that are still to wait; at 0 the time is taken, and the next one may start an interval later."""
        interval = 1 / access.per_second
        with self._lock(source):
            state, now = self._read(source), self.clock()
            until = _until(state, now)
            if until - now > MAX_PAUSE_S:
                raise PausedError(until)
            following = state.get("next", 0.0)
            if following - now > 2 * interval:  # the clock was set back: it would wait for what it showed before
                following = now
            wait = max(until, following) - now
            if wait <= 0:
                self._write(source, state | {"next": now + interval})
            return wait

    @contextmanager
    def _place(self, source: str, places: int) -> Iterator[None]:
        locks = [FileLock(self.folder / f"{source}.{number}.lock") for number in range(places)]
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
        except (FileNotFoundError, ValueError, AttributeError, TypeError):  # none yet, or its writer was killed
            return {}

    def _write(self, source: str, state: dict[str, float]) -> None:
        self._path(source).write_text(json.dumps(state))

    def _path(self, source: str) -> Path:
        return self.folder / f"{source}.json"


def _until(state: dict[str, float], now: float) -> float:
    """The end of the pause, 0 where it could not have been asked for."""
    until = state.get("paused_until", 0.0)
    return until if until - now <= LONGEST_S else 0.0
