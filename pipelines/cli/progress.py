"""Progress of a run on standard error: a bar on a terminal, a line a step in a pipe or a file."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Self

from rich import progress as bars
from rich.console import Console

if TYPE_CHECKING:
    from pipelines.cli.backfill import Plan
    from pipelines.ingestion.progress import Progress

LINE_EVERY_S: Final = 10.0  # in a pipe, between lines of a step that is still at work


class RunProgress:
    """Partitions done, rows read and expected seconds of work done, against the plan of a run."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._bar = bars.Progress(
            bars.SpinnerColumn(),
            bars.BarColumn(bar_width=30),
            bars.TaskProgressColumn(),
            bars.TextColumn("{task.fields[rows]:,} rows"),
            bars.TimeRemainingColumn(),
            bars.TextColumn("{task.description}", markup=False),
            console=console,
            transient=True,
            disable=not console.is_terminal,
            get_time=clock,
        )
        self._bar.add_task("starting", total=None, rows=0)
        [self._task] = self._bar.tasks
        self._clock = clock
        self._last_line = clock()
        self._plan: Plan | None = None
        self._share: dict[str, float] = {}  # of each step that has begun, 0 to 1
        self._rows: Counter[str] = Counter()

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def begin(self, plan: Plan) -> None:
        """Set what the run will do; before that the bar has no end."""
        self._plan = plan
        self._bar.update(self._task.id, total=sum(part.seconds for part in plan.parts))
        self._print(
            f"{plan.months[0]} to {plan.months[-1]}: {len(plan.parts)} units of work, about {plan.seconds:.0f} s"
        )

    def step(self, step: str, state: str) -> None:
        """A step has started, or ended as `done`, `failed` or `skipped`."""
        self._share[step] = 0.0 if state == "started" else 1.0
        name = step.replace("__", "/")
        self._show(name if state == "started" else f"{name} {state}")
        if state != "started":
            rows = f", {self._rows[step]:,} rows" if self._rows[step] else ""
            self._print(f"{self._task.percentage:3.0f} %  {name} {state}{rows}", failed=state == "failed")

    def update(self, step: str, progress: Progress) -> None:
        """The progress of a step that is at work."""
        self._share[step] = progress.done / progress.total if progress.total else 1.0
        self._rows[step] = progress.rows
        name = step.replace("__", "/")
        self._show(f"{name}: {progress}")
        if self._clock() - self._last_line >= LINE_EVERY_S:
            self._print(f"{self._task.percentage:3.0f} %  {name}: {progress}")

    @property
    def partitions(self) -> int:
        """Partitions done."""
        parts = self._plan.parts if self._plan else []
        return sum(int(part.partitions * self._share.get(part.step, 0.0)) for part in parts)

    @property
    def rows(self) -> int:
        """Rows read so far."""
        return self._rows.total()

    @property
    def seconds(self) -> float:
        """Seconds since the command began."""
        return self._task.elapsed or 0.0

    def _show(self, description: str) -> None:
        parts = self._plan.parts if self._plan else []
        done = sum(part.seconds * self._share.get(part.step, 0.0) for part in parts)
        self._bar.update(self._task.id, completed=done, description=description, rows=self.rows)

    def _print(self, line: str, failed: bool = False) -> None:
        """Print a line where there is no bar; on a terminal only what has failed, above the bar."""
        if failed or not self._console.is_terminal:
            self._last_line = self._clock()
            self._console.print(line, style="red" if failed else None, markup=False, highlight=False, soft_wrap=True)
