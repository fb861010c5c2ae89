"""Runs a job of the definitions in this process: what the command line and the benchmarks call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipelines.common.calendar import FIRST_MONTH, month_of
from pipelines.common.settings import SettingsError
from pipelines.ingestion.change_summary import Changes
from pipelines.ingestion.progress import Progress
from pipelines.workspace import Workspace

if TYPE_CHECKING:
    from dagster import DagsterEvent, DagsterInstance, Definitions, EventLogEntry

Report = Callable[[str, str], None]  # step, what became of it
Follow = Callable[[str, Progress], None]  # step, how far it is


@dataclass(frozen=True)
class RunOutcome:
    """How a run ended; `problems` names each failed step with its reason, `changes` what each dataset's lake got."""

    run_id: str
    success: bool
    problems: list[str]
    changes: list[Changes] = field(default_factory=list)


class RunStoppedError(Exception):
    """A run that could not be carried to its end: one line that says why and what to do."""


def month_range(workspace: Workspace, first: str | None, last: str | None) -> tuple[str, str]:
    """The months of a run: all that the product keeps unless the user says otherwise. Raises `SettingsError`."""
    import pandas as pd

    end = month_of(workspace.now)
    given = {"--from": first or FIRST_MONTH, "--to": last or end}
    for option, value in given.items():
        try:
            month = pd.Period(value, "M")
        except ValueError:
            month = None
        if month is None or str(month) != value:
            raise SettingsError(f"{option} {value!r} is not a month: write YYYY-MM, for example 2024-05")
        if not pd.Period(FIRST_MONTH, "M") <= month <= pd.Period(end, "M"):
            raise SettingsError(f"{option} {value} lies outside {FIRST_MONTH} to {end}, the months there are")
    if given["--from"] > given["--to"]:
        raise SettingsError(f"--from {given['--from']} lies after --to {given['--to']}")
    return given["--from"], given["--to"]


def definitions(workspace: Workspace, *, skip_answered: bool = False) -> Definitions:
    """Everything that the UI shows, bound to this workspace. `spare_answered`: sources are not asked what the archive
    answers."""
    from pipelines.orchestration.definitions import build_defs
    from pipelines.orchestration.resources import WorkspaceResource

    settings = workspace.settings
    resource = WorkspaceResource(
        profile=settings.profile,
        data_dir=str(settings.data),
        # One moment for all steps, except where publishers are asked: an answer is known when it comes, not before.
        now=None if settings.profile == "live" else workspace.now.isoformat(),
        metals=list(workspace.metals),
        skip_answered=skip_answered,
        record=str(workspace.record) if workspace.record else None,
    )
    return build_defs(settings, workspace=resource)


def run_job(
    workspace: Workspace,
    job_name: str,
    first: str,
    last: str,
    report: Report | None = None,
    *,
    assets: Sequence[str] = (),
    follow: Follow | None = None,
    defs: Definitions | None = None,
) -> RunOutcome:
    """Runs a job over a range of months on the project's instance, in this process.

    `assets`: names as in the UI (lake/prices); all of the job's unless given. `defs`: the caller's `definitions`, where
    it has them. `report` and `follow` are told of steps that begin and end, and how far they are. Raises
    `RunStoppedError` when a signal stops it, or when Dagster's own log cannot be written.
    """
    from dagster import AssetKey, DagsterEventType, DagsterExecutionInterruptedError
    from dagster._core.storage.tags import ASSET_PARTITION_RANGE_END_TAG, ASSET_PARTITION_RANGE_START_TAG
    from dagster._core.utils import make_new_run_id
    from sqlalchemy.exc import DatabaseError

    from pipelines.orchestration.errors import reason
    from pipelines.orchestration.instance import IN_PROCESS, living

    told = {
        DagsterEventType.STEP_START: "started",
        DagsterEventType.STEP_SUCCESS: "done",
        DagsterEventType.STEP_FAILURE: "failed",
        DagsterEventType.STEP_SKIPPED: "skipped",
    }

    def tell(event: EventLogEntry) -> None:
        step = event.dagster_event
        if report and step is not None and step.event_type in told and step.step_key:
            report(step.step_key, told[step.event_type])
        if follow and step is None and event.step_key and (progress := Progress.read(event.user_message)):
            follow(event.step_key, progress)

    job = (defs or definitions(workspace)).resolve_job_def(job_name)
    run_id = make_new_run_id()
    try:
        with _instance() as instance, living(instance, run_id):
            instance.add_event_listener(run_id, tell)
            result = job.execute_in_process(
                instance=instance,
                run_id=run_id,
                raise_on_error=False,
                asset_selection=[AssetKey(name.split("/")) for name in assets] or None,
                tags={ASSET_PARTITION_RANGE_START_TAG: first, ASSET_PARTITION_RANGE_END_TAG: last, **IN_PROCESS},
                # The run's story is in the event log; the terminal shows only what the command prints.
                run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            )
    except (DagsterExecutionInterruptedError, KeyboardInterrupt):
        raise RunStoppedError(STOPPED) from None
    except (DatabaseError, OSError) as error:
        # Only of Dagster's own files: what fails in a step is that step's failure.
        raise RunStoppedError(_unwritable_log(error)) from None
    problems = [
        reason(event.step_failure_data.error)
        for event in result.all_events
        if event.event_type == DagsterEventType.STEP_FAILURE
    ]
    if any(DagsterExecutionInterruptedError.__name__ in problem for problem in problems):
        raise RunStoppedError(STOPPED)
    return RunOutcome(result.run_id, result.success, in_short(problems), _changes(result.all_events))


def _instance() -> DagsterInstance:
    from pipelines.orchestration.instance import open_instance

    try:
        return open_instance()
    except Exception as error:  # whatever the configured storage raises
        raise RunStoppedError(_unwritable_log(error)) from None


def _unwritable_log(error: BaseException) -> str:
    while error.__cause__ is not None:  # the first cause is what the system or the server said
        error = error.__cause__
    reason = str(getattr(error, "orig", error)).splitlines()[0]
    return (
        f"Dagster's log of runs cannot be written ({reason}): look at the folder or server that DAGSTER_HOME and its "
        "dagster.yaml name; the last release stays, run again to go on"
    )


STOPPED = "stopped by a signal: the last release stays, run again to go on"
# What the system says of a place that cannot be written, in Python and in DuckDB, and what a user does about it.
UNWRITABLE = {
    "No space left on device": "the disk of the data folder is full: free some space",
    "Disk quota exceeded": "the disk quota of the data folder is used up: free some space",
    "Read-only file system": "the data folder is on a read-only file system: make it writable",
    "[Errno 13]": "a file in the data folder may not be written: give this user the rights",
}


def in_short(problems: list[str]) -> list[str]:
    """The problems; those of a data folder that cannot be written become one line, however many steps met it."""
    short: dict[str, None] = {}
    for problem in problems:
        said = next((advice for sign, advice in UNWRITABLE.items() if sign in problem), None)
        short[f"{said}, then run again. Nothing is lost, the last release stays" if said else problem] = None
    return list(short)


def _changes(events: Sequence[DagsterEvent]) -> list[Changes]:
    """What the steps of a run say that they changed, by dataset: one that failed says it with its failure."""
    from dagster import DagsterEventType

    from pipelines.orchestration.assets.lake import changes_of

    found: dict[str, Changes] = {}
    for event in events:
        metadata = {}
        if event.event_type == DagsterEventType.ASSET_MATERIALIZATION:
            metadata = dict(event.step_materialization_data.materialization.metadata)
        elif event.event_type == DagsterEventType.STEP_FAILURE and event.step_failure_data.user_failure_data:
            metadata = dict(event.step_failure_data.user_failure_data.metadata)
        if (news := changes_of(metadata)) is not None:
            found[news.dataset] = news  # every partition of a range says the same
    return [found[name] for name in sorted(found)]
