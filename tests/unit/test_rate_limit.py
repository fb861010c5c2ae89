"""Cross-process rate limiting per publisher."""

from __future__ import annotations

import multiprocessing
import threading
import time
from pathlib import Path

import pytest

from pipelines.sources.base import Access
from pipelines.transports.rate_limit import MAX_PAUSE_S, MAX_RETRY_AFTER_S, PausedError, RateLimiter

SLOW = Access(("publisher.example",), per_second=4)
PROCESSES = multiprocessing.get_context("spawn")


class Clock:
    """A clock that advances only by what is slept."""

    def __init__(self) -> None:
        self.now = 1_000_000.0
        self.slept: list[float] = []

    def read(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def limiter(tmp_path: Path, clock: Clock) -> RateLimiter:
    return RateLimiter(tmp_path / "pace", clock.read, clock.sleep)


def take(limiter: RateLimiter, source: str = "fred", access: Access = SLOW) -> None:
    with limiter.acquire(source, access):
        pass


def test_requests_are_an_interval_apart_and_the_first_is_immediate(limiter: RateLimiter, clock: Clock) -> None:
    for _ in range(3):
        take(limiter)
    take(limiter, "nyfed")
    assert clock.slept == pytest.approx([0.25, 0.25]), "another publisher has its own limit"
    clock.now += 60
    take(limiter)
    assert len(clock.slept) == 2


def test_a_pause_of_one_process_holds_for_all(limiter: RateLimiter, clock: Clock, tmp_path: Path) -> None:
    limiter.pause("fred", 30)
    limiter.pause("fred", 10)  # shorter than the stored one, which stays
    other = RateLimiter(tmp_path / "pace", clock.read, clock.sleep)
    take(other)
    assert clock.slept == pytest.approx([30])


def test_a_pause_set_during_a_wait_is_respected(tmp_path: Path, clock: Clock) -> None:
    other = RateLimiter(tmp_path, clock.read, clock.sleep)

    def sleep(seconds: float) -> None:
        clock.sleep(seconds)
        if len(clock.slept) == 1:
            other.pause("fred", 20)

    limiter = RateLimiter(tmp_path, clock.read, sleep)
    take(limiter)
    take(limiter)
    assert clock.slept == pytest.approx([0.25, 20])


def test_a_pause_beyond_the_limit_is_an_immediate_error(limiter: RateLimiter, clock: Clock) -> None:
    limiter.pause("fred", MAX_PAUSE_S + 1)
    with pytest.raises(PausedError) as error:
        take(limiter)
    assert error.value.until == clock.now + MAX_PAUSE_S + 1
    assert clock.slept == []
    clock.now += 1
    take(limiter)
    assert clock.slept == pytest.approx([MAX_PAUSE_S])


def test_a_clock_set_back_or_a_torn_file_causes_no_wait(limiter: RateLimiter, clock: Clock) -> None:
    take(limiter)
    clock.now -= 86_400
    take(limiter)
    assert clock.slept == []
    clock.now += 60
    for torn in ("", "{", "[]", '{"next": null}'):
        (limiter.folder / "fred.json").write_text(torn)
        take(limiter)
    assert clock.slept == []


@pytest.mark.parametrize("places", [1, 2])
def test_no_more_requests_run_at_once_than_allowed(tmp_path: Path, places: int) -> None:
    access = Access(("publisher.example",), per_second=1000, max_concurrent=places)
    under_way, most, lock = 0, 0, threading.Lock()

    def acquire() -> None:
        nonlocal under_way, most
        with RateLimiter(tmp_path).acquire("westmetall", access):
            with lock:
                under_way += 1
                most = max(most, under_way)
            time.sleep(0.1)
            with lock:
                under_way -= 1

    threads = [threading.Thread(target=acquire) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == places


def test_a_pause_is_limited(limiter: RateLimiter, clock: Clock) -> None:
    """`Retry-After: 999999999`, or a pause that was written while the clock was days ahead."""
    limiter.pause("fred", 1e9)
    with pytest.raises(PausedError) as paused:
        take(limiter)
    assert paused.value.until == clock.now + MAX_RETRY_AFTER_S
    clock.now -= 5 * 86_400
    take(limiter)
    limiter.pause("fred", MAX_PAUSE_S + 1)
    with pytest.raises(PausedError) as paused:
        take(limiter)
    assert paused.value.until == clock.now + MAX_PAUSE_S + 1, "the impossible pause is replaced"
