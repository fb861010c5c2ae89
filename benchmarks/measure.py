"""Time and peak memory of a program in a new process.

On Linux the peak memory of a child starts at that of its parent, so this module imports no pandas, DuckDB or Dagster.
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
    """A measured program failed: its command, exit code and last lines of output."""


@dataclass(frozen=True)
class Cost:
    """Wall and CPU time (user and system, children included) in seconds, peak memory in MB (10^6 bytes)."""

    wall_s: float
    cpu_s: float
    peak_mb: float


def run(command: Sequence[str], environment: Mapping[str, str], folder: Path) -> tuple[Cost, str]:
    """Run a command in `folder`. Returns its cost and standard output; raises `BenchmarkError`."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        begin = time.perf_counter()
        process = subprocess.Popen(command, stdout=out, stderr=err, env=dict(environment), cwd=folder)
        # wait4 returns the usage of this child only; RUSAGE_CHILDREN is the sum, and the peak, of all children.
        _, status, used = os.wait4(process.pid, 0)
        wall = time.perf_counter() - begin
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        output = out.read()
        if process.returncode:
            tail = "\n".join((output + err.read()).splitlines()[-20:])
            raise BenchmarkError(f"{' '.join(command)} ended with exit code {process.returncode}:\n{tail}")
    return Cost(wall, used.ru_utime + used.ru_stime, used.ru_maxrss * MAXRSS_UNIT / 1e6), output


def median(costs: Sequence[Cost]) -> Cost:
    """The median of each quantity."""
    return Cost(
        statistics.median(cost.wall_s for cost in costs),
        statistics.median(cost.cpu_s for cost in costs),
        statistics.median(cost.peak_mb for cost in costs),
    )


def own_cpu_s() -> float:
    """CPU time of this process and its ended children so far, in seconds."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system
