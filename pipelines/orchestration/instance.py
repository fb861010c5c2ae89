"""The Dagster instance of a data folder: `instance` in that folder, unless DAGSTER_HOME is set."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from pipelines.common.files import write_atomically
from pipelines.common.settings import PROJECT, SettingsError, load_settings

if TYPE_CHECKING:
    import dagster as dg

IN_PROCESS = {"tightness/process": "command line"}  # tag of the runs that no daemon monitors


def prepare_home(home: Path | None = None) -> Path:
    """Create the instance's folder, that of the environment's settings by default, and put its settings there.

    Settings that are there stay, unless they name our event log under a module that it has been moved from.
    """
    from pipelines.orchestration.event_log import BatchedSqliteEventLog as EventLog

    home = home or load_settings().instance
    path = home / "dagster.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    text = path.read_text(encoding="utf-8") if path.exists() else EventLog.__name__
    if EventLog.__name__ in text and EventLog.__module__ not in text:
        # In one step: half a file, left by a killed process, would configure another instance.
        write_atomically(path, partial(shutil.copyfile, PROJECT / "dagster.yaml"))
    return home


def open_instance(home: Path | None = None) -> dg.DagsterInstance:
    """The instance that the UI shows as well. Only one of several processes at a time creates its tables."""
    import dagster as dg

    from pipelines.orchestration.event_log import BATCH_SIZE

    home = prepare_home(home)
    os.environ.setdefault("DAGSTER_EVENT_BATCH_SIZE", str(BATCH_SIZE))
    with FileLock(home / "opening.lock"), _environment(DAGSTER_HOME=str(home)):
        return dg.DagsterInstance.get()


@contextmanager
def _environment(**variables: str) -> Iterator[None]:
    """Set variables that Dagster reads while it opens. The next data folder of this process has other ones."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def running(instance: dg.DagsterInstance, run_id: str) -> Iterator[None]:
    """Mark a run of the command line as alive, and end those whose process was killed.

    Dagster would show a killed run as running forever, and the writer's slot that it held would block every later run.
    The mark is a lock of the operating system, which is released when the process ends, however it ends.
    """
    folder = Path(instance.root_directory) / "living"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{run_id}.lock"
    with FileLock(path):
        _fail_killed_runs(instance, folder)
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def _fail_killed_runs(instance: dg.DagsterInstance, folder: Path) -> None:
    from dagster import DagsterRunStatus, RunsFilter

    unfinished = [DagsterRunStatus.STARTED, DagsterRunStatus.STARTING, DagsterRunStatus.NOT_STARTED]
    for run in instance.get_runs(RunsFilter(statuses=unfinished, tags=IN_PROCESS)):
        path = folder / f"{run.run_id}.lock"
        if not path.is_file():
            continue  # from another machine or an older version
        try:
            with FileLock(path, timeout=0):
                current = instance.get_run_by_id(run.run_id)  # it may have finished since it was listed
                if current is not None and not current.is_finished:
                    instance.report_run_failed(current, "its process was killed; run the same command again to resume")
                    instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
                path.unlink(missing_ok=True)
        except Timeout:
            continue  # still running


if __name__ == "__main__":  # for `make ui`: prepare the instance and print its folder
    try:
        sys.stdout.write(f"{prepare_home()}\n")
    except (SettingsError, OSError) as error:
        sys.exit(str(error))
