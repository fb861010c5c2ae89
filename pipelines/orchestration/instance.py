"""The Dagster instance of the project: `.dagster` under the root unless DAGSTER_HOME says otherwise."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from pipelines.common.files import write_aside
from pipelines.common.settings import PROJECT

if TYPE_CHECKING:
    import dagster as dg

IN_PROCESS = {"tightness/process": "command line"}  # tag of the runs that no daemon watches


def prepare_home() -> None:
    """Sets DAGSTER_HOME and the event batch size where they are not set, and puts the instance's settings there."""
    from pipelines.orchestration.event_log import BATCH_SIZE

    os.environ.setdefault("DAGSTER_HOME", str(PROJECT / ".dagster"))
    os.environ.setdefault("DAGSTER_EVENT_BATCH_SIZE", str(BATCH_SIZE))
    home = Path(os.environ["DAGSTER_HOME"])
    home.mkdir(parents=True, exist_ok=True)
    if not (home / "dagster.yaml").exists():
        # In one step: half a file, left by a kill, would be another instance from then on.
        write_aside(home / "dagster.yaml", partial(shutil.copyfile, PROJECT / "dagster.yaml"))


def open_instance() -> dg.DagsterInstance:
    """The instance that the UI shows as well. Two processes that come first do not both create its tables."""
    import dagster as dg

    prepare_home()
    with FileLock(Path(os.environ["DAGSTER_HOME"]) / "opening.lock"):
        return dg.DagsterInstance.get()


@contextmanager
def living(instance: dg.DagsterInstance, run_id: str) -> Iterator[None]:
    """Says that a run of the command line lives, and ends those whose process was killed.

    Dagster would show them as running for ever, and the writer's slot that one held would block every later run. The
    operating system holds the lock of a living run, so it falls with its process, however that ends.
    """
    folder = Path(os.environ["DAGSTER_HOME"]) / "living"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{run_id}.lock"
    with FileLock(path):
        _end_the_dead(instance, folder)
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def _end_the_dead(instance: dg.DagsterInstance, folder: Path) -> None:
    from dagster import DagsterRunStatus, RunsFilter

    unended = [DagsterRunStatus.STARTED, DagsterRunStatus.STARTING, DagsterRunStatus.NOT_STARTED]
    for run in instance.get_runs(RunsFilter(statuses=unended, tags=IN_PROCESS)):
        path = folder / f"{run.run_id}.lock"
        if not path.is_file():
            continue  # of another machine or an older version
        try:
            with FileLock(path, timeout=0):
                now = instance.get_run_by_id(run.run_id)  # it may have ended well since it was listed
                if now is not None and not now.is_finished:
                    instance.report_run_failed(now, "its process was killed; run the same again to go on from there")
                    instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
                path.unlink(missing_ok=True)
        except Timeout:
            continue  # it lives
