"""Publishers are asked no faster than they allow, whoever asks, and a process that dies keeps nobody waiting."""

from __future__ import annotations

import itertools
import json
import multiprocessing
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from pipelines.sources.base import Access
from pipelines.transports.rate_limit import MAX_PAUSE_S, MAX_RETRY_AFTER_S, PausedError, RateLimiter

SLOW = Access(("publisher.example",), per_second=4)
PROCESSES = multiprocessing.get_context("spawn")


class Clock:
    """A clock that stands, but for what is slept."""

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
def pace(tmp_path: Path, clock: Clock) -> RateLimiter:
    return RateLimiter(tmp_path / "pace", clock.read, clock.sleep)


def take(pace: RateLimiter, source: str = "fred", access: Access = SLOW) -> None:
    with pace.acquire(source, access):
        pass


def test_requests_come_an_interval_apart_and_the_first_at_once(pace: RateLimiter, clock: Clock) -> None:
    for _ in range(3):
        take(pace)
    take(pace, "nyfed")
    assert clock.slept == pytest.approx([0.25, 0.25]), "another publisher is not kept waiting"
    clock.now += 60
    take(pace)
    assert len(clock.slept) == 2


def test_a_pause_of_one_process_holds_for_the_others(pace: RateLimiter, clock: Clock, tmp_path: Path) -> None:
    pace.pause("fred", 30)
    pace.pause("fred", 10)  # shorter than what is known: it does not cut it
    other = RateLimiter(tmp_path / "pace", clock.read, clock.sleep)
    take(other)
    assert clock.slept == pytest.approx([30])


def test_a_pause_that_comes_while_one_waits_is_kept_too(tmp_path: Path, clock: Clock) -> None:
    other = RateLimiter(tmp_path, clock.read, clock.sleep)

    def sleep(seconds: float) -> None:
        clock.sleep(seconds)
        if len(clock.slept) == 1:
            other.pause("fred", 20)

    pace = RateLimiter(tmp_path, clock.read, sleep)
    take(pace)
    take(pace)
    assert clock.slept == pytest.approx([0.25, 20])


def test_a_pause_longer_than_a_run_waits_is_an_error_at_once(pace: RateLimiter, clock: Clock) -> None:
    pace.pause("fred", MAX_PAUSE_S + 1)
    with pytest.raises(PausedError) as error:
        take(pace)
    assert error.value.until == clock.now + MAX_PAUSE_S + 1
    assert clock.slept == []
    clock.now += 1
    take(pace)
    assert clock.slept == pytest.approx([MAX_PAUSE_S])


def test_a_clock_that_was_set_back_and_a_torn_file_keep_nobody_waiting(pace: RateLimiter, clock: Clock) -> None:
    take(pace)
    clock.now -= 86_400
    take(pace)
    assert clock.slept == []
    clock.now += 60
    for torn in ("", "{", "[]", '{"next": null}'):
        (pace.folder / "fred.json").write_text(torn)
        take(pace)
    assert clock.slept == []


@pytest.mark.parametrize("places", [1, 2])
def test_no_more_are_under_way_than_there_are_places(tmp_path: Path, places: int) -> None:
    access = Access(("publisher.example",), per_second=1000, max_concurrent=places)
    under_way, most, lock = 0, 0, threading.Lock()

    def ask() -> None:
        nonlocal under_way, most
        with RateLimiter(tmp_path).acquire("westmetall", access):
            with lock:
                under_way += 1
                most = max(most, under_way)
            time.sleep(0.3)
            with lock:
                under_way -= 1

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == places


def _ask_in_turn(folder: Path, turns: multiprocessing.Queue[tuple[float, float]]) -> None:
    """Notes when each turn was taken, by the file that all share, and a moment of it: however late on a busy machine,
    never before it was taken. With one place nobody else writes the file meanwhile."""
    for _ in range(4):
        with RateLimiter(folder).acquire("fred", Access(("publisher.example",), per_second=20)):
            turns.put((json.loads((folder / "fred.json").read_text())["next"] - 0.05, time.time()))


def test_two_processes_keep_one_interval_together(tmp_path: Path) -> None:
    turns: multiprocessing.Queue[tuple[float, float]] = PROCESSES.Queue()
    workers = [PROCESSES.Process(target=_ask_in_turn, args=(tmp_path, turns)) for _ in range(2)]
    for worker in workers:
        worker.start()
    noted = sorted(turns.get(timeout=60) for _ in range(8))
    for worker in workers:
        worker.join()
    assert all(later - earlier >= 0.05 - 1e-6 for (earlier, _), (later, _) in itertools.pairwise(noted))
    assert all(seen >= taken - 1e-6 for taken, seen in noted), "nobody asked before the turn that is written down"


def _hold(folder: Path, held: multiprocessing.Queue[int]) -> None:
    with RateLimiter(folder).acquire("westmetall", Access(("publisher.example",), per_second=1000)):
        held.put(os.getpid())
        time.sleep(60)


def test_a_killed_process_leaves_its_place(tmp_path: Path) -> None:
    held: multiprocessing.Queue[int] = PROCESSES.Queue()
    worker = PROCESSES.Process(target=_hold, args=(tmp_path, held))
    worker.start()
    pid = held.get(timeout=60)
    waited: list[float] = []

    def kill_the_holder(seconds: float) -> None:
        waited.append(seconds)
        if worker.is_alive():
            os.kill(pid, signal.SIGKILL)
            worker.join()

    with RateLimiter(tmp_path, sleep=kill_the_holder).acquire(
        "westmetall", Access(("publisher.example",), per_second=1000)
    ):
        assert waited, "the place was taken while its holder lived"


def test_nobody_is_left_alone_for_years(pace: RateLimiter, clock: Clock) -> None:
    """`Retry-After: 999999999`, or a pause that was written while the clock stood days ahead."""
    pace.pause("fred", 1e9)
    with pytest.raises(PausedError) as paused:
        take(pace)
    assert paused.value.until == clock.now + MAX_RETRY_AFTER_S
    clock.now -= 5 * 86_400
    take(pace)
    pace.pause("fred", MAX_PAUSE_S + 1)
    with pytest.raises(PausedError) as paused:
        take(pace)
    assert paused.value.until == clock.now + MAX_PAUSE_S + 1, "the pause that could not be is no longer one to keep"
