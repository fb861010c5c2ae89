"""Runs a program in a process of its own and says what it cost.

Who measures stays small: on Linux a child's peak memory begins with that of the process that started it, so nothing
here imports pandas, DuckDB or Dagster.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB elsewhere


class BenchmarkError(Exception):
    """A measured program failed: which one, how, and the end of what it said."""


@dataclass(frozen=True)
class Cost:
    """Wall and CPU time (user and system, children included) in seconds, peak memory in MB (10^6 bytes)."""

    wall_s: float
    cpu_s: float
    peak_mb: float


def run(command: Sequence[str], environment: Mapping[str, str], folder: Path) -> tuple[Cost, str]:
    """Runs a command in `folder` to its end. Returns its cost and standard output; raises `BenchmarkError`."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        begun = time.perf_counter()
        process = subprocess.Popen(command, stdout=out, stderr=err, env=dict(environment), cwd=folder)
        # wait4 gives the use of this child alone; RUSAGE_CHILDREN is the sum, and the peak, of all there were.
        _, status, used = os.wait4(process.pid, 0)
        wall = time.perf_counter() - begun
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        said = out.read()
        if process.returncode:
            tail = "\n".join((said + err.read()).splitlines()[-20:])
            raise BenchmarkError(f"{' '.join(command)} ended with exit code {process.returncode}:\n{tail}")
    return Cost(wall, used.ru_utime + used.ru_stime, used.ru_maxrss * MAXRSS_UNIT / 1e6), said


def median(costs: Sequence[Cost]) -> Cost:
    """The median of each quantity by itself."""
    return Cost(
        statistics.median(cost.wall_s for cost in costs),
        statistics.median(cost.cpu_s for cost in costs),
        statistics.median(cost.peak_mb for cost in costs),
    )


def own_cpu_s() -> float:
    """CPU time of this process and its ended children so far, in seconds."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system
