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

from pipelines.files import write_aside
from pipelines.settings import PROJECT

if TYPE_CHECKING:
    import dagster as dg


def prepare_home() -> None:
    """Sets DAGSTER_HOME and the event batch size where they are not set, and puts the instance's settings there."""
    from pipelines.event_log import BATCH_SIZE

    os.environ.setdefault("DAGSTER_HOME", str(PROJECT / ".dagster"))
    os.environ.setdefault("DAGSTER_EVENT_BATCH_SIZE", str(BATCH_SIZE))
    home = Path(os.environ["DAGSTER_HOME"])
    home.mkdir(parents=True, exist_ok=True)
    if not (home / "dagster.yaml").exists():
        # In one step: half a file, left by a kill, would be another instance from then on.
        write_aside(home / "dagster.yaml", partial(shutil.copyfile, PROJECT / "dagster.yaml"))


@contextmanager
def alive(run_id: str) -> Iterator[None]:
    """Marks a run of this process as alive, by a lock that falls with the process, however that ends."""
    with FileLock(_alive() / f"{run_id}.lock"):
        yield
    (_alive() / f"{run_id}.lock").unlink(missing_ok=True)


def end_dead_runs(instance: dg.DagsterInstance) -> None:
    """Ends the runs of processes that were killed. They would look as if they went on, and keep their place in the
    pool of the one writer: every later run would wait for them for ever."""
    for mark in _alive().glob("*.lock"):
        lock = FileLock(mark)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            continue
        try:
            run = instance.get_run_by_id(mark.stem)
            if run is None:
                continue  # it is about to begin
            if not run.is_finished:
                instance.report_run_failed(run, "The process of this run was killed.")
            instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
            mark.unlink(missing_ok=True)
        finally:
            lock.release()


def _alive() -> Path:
    folder = Path(os.environ["DAGSTER_HOME"]) / "alive"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def open_instance() -> dg.DagsterInstance:
    """The instance that the UI shows as well."""
    import dagster as dg

    prepare_home()
    return dg.DagsterInstance.get()
