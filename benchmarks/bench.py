"""Folders, programs and printed tables of a benchmark: `python -m benchmarks` and `python -m benchmarks.scale`."""

from __future__ import annotations

import json
import os
import platform
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.status import Status
from rich.table import Table

from benchmarks.measure import BenchmarkError, Cost, run
from pipelines.common.settings import variable_names

PROJECT: Final = Path(__file__).resolve().parents[1]
OURS: Final = ("TIGHTNESS_", "DAGSTER_", "DBT_", "ENTSOE_")
NOW: Final = "2026-11-20T20:00:00Z"  # a Friday


@dataclass(frozen=True)
class Line:
    """One measurement. `note`: what it is compared with."""

    what: str
    cost: Cost
    note: str = ""


@dataclass(frozen=True)
class Bench:
    """Temporary folders of one benchmark: `data` for the runs, one more for each build."""

    root: Path
    status: Status
    metals: str = ""  # TIGHTNESS_DEMO_METALS

    def environment(self, data: Path, now: str = NOW) -> dict[str, str]:
        """Environment for the demo market in `data`: no settings of the caller, no files in the project."""
        settings = dict.fromkeys(variable_names().values(), "")  # nothing of a developer's .env either
        return (
            inherited()
            | settings
            | {
                "TIGHTNESS_PROFILE": "demo",
                "TIGHTNESS_DEMO_METALS": self.metals,
                "TIGHTNESS_NOW": now,
                "TIGHTNESS_DATA_DIR": str(data),
                "DAGSTER_HOME": str(self.instance),
                "DAGSTER_EVENT_BATCH_SIZE": "1000",
                "DBT_TARGET_PATH": str(self.root / "dbt"),
                "DBT_LOG_PATH": str(self.root / "dbt"),
                "PYTHONPATH": str(PROJECT),
                "NO_COLOR": "1",
            }
        )

    @property
    def data(self) -> Path:
        """The data folder of the runs."""
        return self.root / "data"

    @property
    def instance(self) -> Path:
        """The folder of Dagster's own history."""
        return self.root / "dagster"

    def python(self, label: str, *args: str, data: Path | None = None, now: str = NOW) -> tuple[Cost, str]:
        """Run Python in a new process, in the temporary folder."""
        self.status.update(label)
        return run([sys.executable, *args], self.environment(data or self.data, now), self.root)

    def tightness_run(self, label: str, *args: str, now: str = NOW) -> tuple[Cost, dict[str, Any]]:
        """`tightness run`: its cost and the manifest of the release after it."""
        cost, _ = self.python(label, "-m", "pipelines.cli.app", "run", *args, now=now)
        return cost, json.loads((self.data / "published" / "manifest.json").read_text())

    def timed(self, label: str, *args: str, data: Path | None = None) -> tuple[Cost, dict[str, Any]]:
        """A program that prints its own cost as JSON: this cost with the peak memory of the process, and the JSON."""
        whole, output = self.python(label, *args, data=data)
        inside = json.loads(output.splitlines()[-1])
        return replace(whole, wall_s=inside["wall_s"], cpu_s=inside["cpu_s"]), inside

    def fresh(self, name: str) -> Path:
        """A data folder without a warehouse, with the lake of the runs and its record of files."""
        folder = self.root / name
        folder.mkdir()
        for part in ("lake", "raw"):
            (folder / part).symlink_to(self.data / part, target_is_directory=True)
        return folder


@contextmanager
def benchmark(prefix: str, problems: list[str]) -> Iterator[Bench]:
    """A benchmark in a temporary folder. A program that failed ends it and is added to `problems`."""
    with tempfile.TemporaryDirectory(prefix=prefix) as root, Console(stderr=True).status("") as status:
        try:
            yield Bench(Path(root).resolve(), status)
        except BenchmarkError as error:
            problems.append(str(error))


def inherited() -> dict[str, str]:
    """The caller's environment without settings of this project."""
    return {name: value for name, value in os.environ.items() if not name.startswith(OURS)}


def machine() -> str:
    """System, cores, Python and load."""
    load = f", load {os.getloadavg()[0]:.1f} at the start" if hasattr(os, "getloadavg") else ""
    return f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}{load}"


def show_progress(line: Line) -> None:
    """Print a measurement to standard error as it is made."""
    Console(stderr=True).print(f"{line.what}: {line.cost.wall_s:.1f} s", highlight=False, markup=False)


def cost_table(title: str, lines: Iterable[Line]) -> Table:
    """The measurements as a table."""
    table = Table(title=title, title_justify="left")
    for name in ("", "wall s", "CPU s", "peak MB"):
        table.add_column(name, justify="right" if name else "left", no_wrap=bool(name))
    table.add_column("")
    for line in lines:
        cost = line.cost
        table.add_row(line.what, f"{cost.wall_s:.2f}", f"{cost.cpu_s:.2f}", f"{cost.peak_mb:.0f}", line.note)
    return table


def show(problems: Iterable[str], *tables: Table) -> None:
    """Print tables to standard output and problems to standard error."""
    if tables:
        Console(width=None if sys.stdout.isatty() else 160).print(*tables, sep="\n")
    for problem in problems:
        Console(stderr=True).print(problem, style="red", markup=False, soft_wrap=True)
