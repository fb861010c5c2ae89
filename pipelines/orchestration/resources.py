"""Resources of a run: the workspace, opened from the settings at run time, and the progress callback."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field

from pipelines.ingestion.progress import Progress

if TYPE_CHECKING:
    from pipelines.workspace import Workspace

StepProgress = Callable[[str, Progress], None]  # the step's key, its progress


def no_step_progress(_: str, __: Progress) -> None:
    """No-op progress callback, for runs that the command line did not start."""


class WorkspaceResource(dg.ConfigurableResource[Any]):
    """Opens the workspace of the environment's settings, with these overrides."""

    profile: str | None = None
    data_dir: str | None = None
    now: str | None = None
    metals: list[str] = Field(default_factory=list)
    # True in a backfill: skip requests that the archive answers. A run sends them, as history may have been revised.
    skip_answered: bool = False
    record: str | None = None  # folder of `--record`

    def open(self) -> Workspace:
        """A workspace whose clock is read now."""
        from pipelines.workspace import Workspace

        record, data = (Path(text) if text else None for text in (self.record, self.data_dir))
        return Workspace.open(tuple(self.metals), record, profile=self.profile, data_dir=data, now=self.now)
