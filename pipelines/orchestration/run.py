"""Run a job of the definitions in this process: called by the command line and the benchmarks."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pipelines.common.calendar import FIRST_MONTH, month_of
from pipelines.common.settings import SettingsError
from pipelines.ingestion.change_summary import Changes
from pipelines.workspace import Workspace

if TYPE_CHECKING:
    from dagster import DagsterEvent, DagsterInstance, Definitions, EventLogEntry

    from pipelines.orchestration.resources import StepProgress

StepCallback = Callable[[str, str], None]  # step, its new state: started, done, failed or skipped

STOPPED: Final = "stopped by a signal: the last release stays, run again to continue"
# Messages of the system about a folder that cannot be written, from Python and DuckDB, and the advice for each.
UNWRITABLE: Final = {
    "No space left on device": "the disk of the data folder is full: free some space",
    "Disk quota exceeded": "the disk quota of the data folder is used up: free some space",
    "Read-only file system": "the data folder is on a read-only file system: make it writable",
    "[Errno 13]": "a file in the data folder may not be written: give this user the rights",
}


@dataclass(frozen=True)
class RunOutcome:
    """Result of a run: `problems` has each failed step's reason, `changes` what was written to each dataset, `repaired`
    the files of the lake that were damaged, `rejected` the number of rows in quarantine by dataset."""

    run_id: str
    success: bool
    problems: list[str]
    changes: list[Changes] = field(default_factory=list)
    repaired: list[str] = field(default_factory=list)
    rejected: dict[str, int] = field(default_factory=dict)


class RunStoppedError(Exception):
    """A run that could not finish: one line with the reason and what to do."""


def month_range(workspace: Workspace, first: str | None, last: str | None) -> tuple[str, str]:
    """First and last month of a run, by default all from 2008-01 to the clock's. Raises `SettingsError`."""
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
            raise SettingsError(f"{option} {value} lies outside {FIRST_MONTH} to {end}, the available months")
    if given["--from"] > given["--to"]:
        raise SettingsError(f"--from {given['--from']} lies after --to {given['--to']}")
    return given["--from"], given["--to"]


def definitions(
    workspace: Workspace, *, skip_answered: bool = False, progress: StepProgress | None = None
) -> Definitions:
    """All definitions, bound to this workspace.

    `skip_answered`: skip requests that the archive already answers. `progress`: callback for the progress of steps.
    """
    from pipelines.orchestration.definitions import build_defs
    from pipelines.orchestration.resources import WorkspaceResource

    settings = workspace.settings
    resource = WorkspaceResource(
        profile=settings.profile,
        data_dir=str(settings.data),
        # One moment for all steps; but a live response is known when it arrives, not before.
        now=None if settings.profile == "live" else workspace.now.isoformat(),
        metals=list(workspace.metals),
        skip_answered=skip_answered,
        record=str(workspace.record) if workspace.record else None,
    )
    return build_defs(settings, workspace=resource, **({"progress": progress} if progress else {}))


def run_job(
    job_name: str,
    first: str,
    last: str,
    defs: Definitions,
    *,
    home: Path | None = None,
    assets: Sequence[str] = (),
    on_step: StepCallback | None = None,
) -> RunOutcome:
    """Run a job of `definitions` over a range of months in this process.

    `home`: folder of the Dagster instance, that of the environment's settings by default. `assets`: names as in the UI
    (lake/prices); all of the job's by default. Raises `RunStoppedError` when a signal stops the run, or when Dagster's
    own log cannot be written.
    """
    from dagster import AssetKey, DagsterEventType, DagsterExecutionInterruptedError
    from sqlalchemy.exc import DatabaseError

    from pipelines.orchestration.errors import reason
    from pipelines.orchestration.instance import IN_PROCESS, running
    from pipelines.orchestration.partitions import range_tags

    def listen(entry: EventLogEntry) -> None:
        if on_step and entry.dagster_event is not None:
            for unit, state in _states(entry.dagster_event, ended):
                on_step(unit, state)

    ended: set[str] = set()
    job = defs.resolve_job_def(job_name)
    run_id = str(uuid.uuid4())
    try:
        with _instance(home) as instance, running(instance, run_id):
            instance.add_event_listener(run_id, listen)
            result = job.execute_in_process(
                instance=instance,
                run_id=run_id,
                raise_on_error=False,
                asset_selection=[AssetKey(name.split("/")) for name in assets] or None,
                tags={**range_tags(first, last), **IN_PROCESS},
                # Events are in the event log; the terminal shows only what the command prints.
                run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            )
    except (DagsterExecutionInterruptedError, KeyboardInterrupt):
        raise RunStoppedError(STOPPED) from None
    except (DatabaseError, OSError) as error:
        # Only Dagster's own files raise here: an error inside a step is that step's failure.
        raise RunStoppedError(_unwritable_log(error)) from None
    events = _distinct(result.all_events)
    problems = [
        reason(event.step_failure_data.error) for event in events if event.event_type == DagsterEventType.STEP_FAILURE
    ]
    if any(DagsterExecutionInterruptedError.__name__ in problem for problem in problems):
        raise RunStoppedError(STOPPED)
    return RunOutcome(
        result.run_id, result.success, shorten(problems), _changes(events), _repaired(events), _rejected(events)
    )


def _states(event: DagsterEvent, ended: set[str]) -> Iterator[tuple[str, str]]:
    """The units of work whose state an event changes: steps, and the assets of a step that makes them one by one.

    `ended`: the assets that have ended; updated here.
    """
    from dagster import DagsterEventType

    from pipelines.orchestration.assets.lake import LOAD
    from pipelines.orchestration.assets.raw import EXTRACT

    states = {
        DagsterEventType.STEP_START: "started",
        DagsterEventType.STEP_SUCCESS: "done",
        DagsterEventType.STEP_FAILURE: "failed",
        DagsterEventType.STEP_SKIPPED: "skipped",
    }
    one_by_one = event.step_key in (EXTRACT, LOAD)
    if one_by_one and event.event_type == DagsterEventType.ASSET_MATERIALIZATION and event.asset_key:
        unit = event.asset_key.to_python_identifier()
        if unit not in ended:  # an event for each partition
            ended.add(unit)
            yield unit, "done"
    elif event.step_key and event.event_type in states and (not one_by_one or states[event.event_type] == "failed"):
        yield event.step_key, states[event.event_type]


def _instance(home: Path | None) -> DagsterInstance:
    from pipelines.orchestration.instance import open_instance

    try:
        return open_instance(home)
    except Exception as error:  # of any type: the configured storage decides
        raise RunStoppedError(_unwritable_log(error)) from None


def _unwritable_log(error: BaseException) -> str:
    while error.__cause__ is not None:  # the first cause is the message of the system or the server
        error = error.__cause__
    reason = str(getattr(error, "orig", error)).splitlines()[0]
    return (
        f"Dagster's log of runs cannot be written ({reason}): check the folder or server that DAGSTER_HOME and its "
        "dagster.yaml name; the last release stays, run again to continue"
    )


def shorten(problems: list[str]) -> list[str]:
    """The problems without repetition: one line for a data folder that cannot be written, however many steps failed."""
    short: dict[str, None] = {}
    for problem in problems:
        advice = next((text for sign, text in UNWRITABLE.items() if sign in problem), None)
        short[f"{advice}, then run again. Nothing is lost, the last release stays" if advice else problem] = None
    return list(short)


def _distinct(events: Sequence[DagsterEvent]) -> list[DagsterEvent]:
    """The events; of the materializations of a range of partitions, which are alike, the last one."""
    found: dict[object, DagsterEvent] = {}
    for number, event in enumerate(events):
        made = getattr(event.event_specific_data, "materialization", None)
        found[made.asset_key if made else number] = event
    return list(found.values())


def _repaired(events: Sequence[DagsterEvent]) -> list[str]:
    from dagster import DagsterEventType

    from pipelines.orchestration.assets.lake import repaired_of

    made = [event for event in events if event.event_type == DagsterEventType.ASSET_MATERIALIZATION]
    found = [dict(event.step_materialization_data.materialization.metadata) for event in made]
    return list(dict.fromkeys(file for metadata in found for file in repaired_of(metadata)))


def _changes(events: Sequence[DagsterEvent]) -> list[Changes]:
    """Changes of each dataset in a run, from the metadata of its materialization."""
    from dagster import DagsterEventType

    from pipelines.orchestration.assets.lake import changes_of

    found: dict[str, Changes] = {}
    for event in events:
        if event.event_type == DagsterEventType.ASSET_MATERIALIZATION:
            changes = changes_of(dict(event.step_materialization_data.materialization.metadata))
            if changes is not None:
                found[changes.dataset] = changes  # the same in every partition of the range
    return [found[name] for name in sorted(found)]


def _rejected(events: Sequence[DagsterEvent]) -> dict[str, int]:
    """Rows in quarantine of the payloads that a run read, by dataset; datasets without any are left out."""
    from dagster import DagsterEventType

    from pipelines.orchestration.assets.lake import REJECTED

    counts: dict[str, int] = {}
    for event in events:
        if event.event_type == DagsterEventType.ASSET_CHECK_EVALUATION:
            check = event.asset_check_evaluation_data
            if REJECTED in check.metadata:
                counts[check.asset_key.path[-1]] = int(str(check.metadata[REJECTED].value))
    return {name: count for name, count in sorted(counts.items()) if count}
