"""Sensors: new files in the drop folder, signal transitions, failed runs. All are stopped until switched on."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from functools import partial
from itertools import takewhile
from logging import Logger
from typing import TYPE_CHECKING, Final

import dagster as dg

from pipelines.common.calendar import month_of
from pipelines.common.settings import Settings
from pipelines.common.version import code_version
from pipelines.datasets import DROP
from pipelines.ingestion.drop_folder import DROPPABLE, Content, content_of, is_pending, refused
from pipelines.orchestration.assets.lake import lake_key
from pipelines.orchestration.assets.raw import raw_key
from pipelines.orchestration.automation.drop_watch import File, Settled, find_settled
from pipelines.orchestration.automation.jobs import DROPPED_FILES
from pipelines.orchestration.automation.notify import LogSink, Sink, WebhookSink, failure_message, transition_message
from pipelines.orchestration.automation.outbox import Delivery, Outbox
from pipelines.orchestration.automation.transitions import (
    TransitionCursor,
    initial_cursor,
    new_transitions,
    read_transitions,
)
from pipelines.orchestration.errors import reason
from pipelines.orchestration.partitions import range_tags
from pipelines.orchestration.resources import WorkspaceResource
from pipelines.publish.manifest import read_manifest
from pipelines.transports.drop import DropFile, DropProblem, read_file, scan

if TYPE_CHECKING:
    from pipelines.workspace import Workspace

FILES: Final = "dropped"  # tag of a run: the files that it was requested for
CONTENTS: Final = "tightness/dropped"  # tag of a run: hash of their names and contents
GOING_ON: Final = [
    *(dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED),
    *(dg.DagsterRunStatus.MANAGED, dg.DagsterRunStatus.CANCELING),
]  # not NOT_STARTED: a request with the key of a run that was only created launches it
ENDED: Final = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
WAITS_MIN: Final = (0, 1, 5, 30, 120, 360)  # after the first, second, … run that did not load the same contents


def sensors(built: Sequence[dg.AssetKey]) -> list[dg.SensorDefinition]:
    """All sensors. `built`: the assets of a whole build, which are downstream of every dataset."""
    return [_drop_folder(built), _signal_changes(), _failed_runs()]


# --- the drop folder


def _drop_folder(built: Sequence[dg.AssetKey]) -> dg.SensorDefinition:
    @dg.sensor(
        name="drop_folder",
        job_name=DROPPED_FILES,
        minimum_interval_seconds=30,
        description="One run for pending files in the drop folder and their datasets: those that have not landed in "
        "the lake, and refused ones that no run has reported. Repeated after growing waits until they have landed.",
    )
    def drop_folder(context: dg.SensorEvaluationContext, workspace: WorkspaceResource) -> dg.RunRequest | dg.SkipReason:
        opened, instance = workspace.open(), context.instance
        found = find_settled(context.cursor, _files(opened))
        context.update_cursor(found.cursor)
        pending = [
            file for file in found.settled if is_pending(opened.paths, file.dataset, file.relative, file.content)
        ]
        latest = instance.get_run_records(dg.RunsFilter(job_name=DROPPED_FILES, statuses=ENDED), limit=len(WAITS_MIN))
        if pending:
            request = _run_of(pending, opened, built)
        elif latest and not found.waiting and _was_killed(instance, latest[0].dagster_run):
            # Its files have landed, but it may not have published them.
            tags = {tag: latest[0].dagster_run.tags.get(tag, "") for tag in (FILES, CONTENTS)}
            request = dg.RunRequest(tags=tags, asset_selection=built)
        else:
            waiting = (
                f"; read at the next tick if unchanged by then: {', '.join(found.waiting)}" if found.waiting else ""
            )
            return dg.SkipReason(f"nothing new in the drop folder{waiting}")
        return _once(request, latest, instance)

    return drop_folder


def _run_of(pending: Sequence[Settled], workspace: Workspace, built: Sequence[dg.AssetKey]) -> dg.RunRequest:
    """One run for all pending files: their datasets, from their first month to their last, and the build."""
    contents = "\0".join(sorted(f"{file.relative} {file.content.sha256}" for file in pending))
    now = month_of(workspace.now)
    months = [month for file in pending for month in file.content.months] or [now]
    datasets = sorted({file.dataset for file in pending})
    names = ", ".join(file.relative for file in pending)
    tags = {FILES: names[:200], CONTENTS: hashlib.sha256(contents.encode()).hexdigest()[:32]}
    return dg.RunRequest(
        tags=range_tags(min(months), max(months)) | tags,
        asset_selection=[raw_key(DROP), *(lake_key(name) for name in datasets), *built],
    )


def _once(
    request: dg.RunRequest, latest: Sequence[dg.RunRecord], instance: dg.DagsterInstance
) -> dg.RunRequest | dg.SkipReason:
    """The request with a key, unless a run has not finished or the `latest` ones for the same contents just ended.

    The key names the last ended run for these contents: whoever requests the run gives it the same key, and Dagster
    starts a key once.
    """
    for run in instance.get_runs(dg.RunsFilter(job_name=DROPPED_FILES, statuses=GOING_ON), limit=1):
        return dg.SkipReason(f"run {run.run_id} has not finished")
    key = request.tags[CONTENTS]
    same = list(takewhile(lambda record: record.dagster_run.tags.get(CONTENTS) == key, latest))
    wait = 60 * WAITS_MIN[len(same) - 1] if same else 0
    elapsed = time.time() - (same[0].end_time or 0) if same else 0
    if 0 <= elapsed < wait:
        return dg.SkipReason(f"run {same[0].dagster_run.run_id} failed; repeated in {wait - elapsed:.0f} s")
    last = instance.get_runs(dg.RunsFilter(job_name=DROPPED_FILES, statuses=ENDED, tags={CONTENTS: key}), limit=1)
    return request.with_replaced_attrs(run_key=" ".join(["drop", key, *(run.run_id for run in last)]))


def _was_killed(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether a run failed although none of its steps did."""
    return run.is_failure and not instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE)


def _files(workspace: Workspace) -> list[File]:
    """The files of the drop folder that belong to a dataset, with the contents that they have now."""
    files = []
    for item in scan(workspace.settings.drop, DROPPABLE, max_mb=workspace.settings.drop_max_mb):
        stamp = _stamp(workspace, item)
        if stamp is None or item.dataset is None:  # without a dataset there is no asset to run: `doctor` reports it
            continue
        files.append(File(item.relative, item.dataset, stamp, partial(_content, workspace, item, stamp)))
    return files


def _stamp(workspace: Workspace, item: DropFile | DropProblem) -> str | None:
    """What decides the content of an entry besides its bytes; None for one that is gone."""
    path, problem = workspace.settings.drop / item.relative, getattr(item, "message", "")
    try:
        about = path.lstat() if problem else path.stat()
    except OSError:
        return None
    return f"{about.st_size} {about.st_mtime_ns} {about.st_ctime_ns} {code_version()} {problem}"


def _content(workspace: Workspace, item: DropFile | DropProblem, stamp: str) -> Content | None:
    if isinstance(item, DropProblem):
        return refused(item)
    body = read_file(item)
    if not isinstance(body, bytes) or _stamp(workspace, item) != stamp:
        return None
    return content_of(item.dataset, item.relative, body, workspace.now)


# --- notifications


def _signal_changes() -> dg.SensorDefinition:
    @dg.sensor(
        name="signal_changes",
        minimum_interval_seconds=60,
        description="Notifies each change of a signal's state that is published after the first tick, and retries "
        "waiting messages. To the log, and to TIGHTNESS_WEBHOOK_URL where it is set.",
    )
    def signal_changes(context: dg.SensorEvaluationContext, workspace: WorkspaceResource) -> dg.SkipReason:
        opened = workspace.open()
        outbox, sinks = Outbox(opened.paths.outbox), configured_sinks(opened.settings, context.log)
        manifest = read_manifest(opened.paths.manifest)
        results = ["nothing is published yet"]
        if manifest is not None and opened.paths.database.is_file():
            database, release = opened.paths.database, str(manifest["release_id"])
            if context.cursor:
                results, cursor = [], TransitionCursor.load(context.cursor)
            else:
                cursor = initial_cursor(database, opened.now, opened.settings.notify_since)
                results = [f"changes as of {cursor.since:%Y-%m-%d %H:%M} UTC or later are notified from now on"]
            if cursor.release == release:
                results.append("no new release")
            else:
                new, after = new_transitions(cursor, read_transitions(database, cursor.since), release)
                for row in new:
                    outbox.put(transition_message(row, bool(manifest["synthetic"])), [sink.name for sink in sinks])
                results.append(f"{len(new)} new in {release}")
                context.update_cursor(after.dump())
        return dg.SkipReason("; ".join([*results, *_summary(outbox.deliver(sinks), context.log)]))

    return signal_changes


def _failed_runs() -> dg.SensorDefinition:
    @dg.run_failure_sensor(
        name="failed_runs",
        minimum_interval_seconds=30,
        description="Notifies each failed run with its job, failed steps and reasons, to the sinks of signal_changes.",
    )
    def failed_runs(context: dg.RunFailureSensorContext, workspace: WorkspaceResource) -> None:
        opened = workspace.open()
        steps = [
            (event.step_key or "", reason(event.step_failure_data.error)) for event in context.get_step_failure_events()
        ] or [("run", context.failure_event.message or "no step failed")]
        run = context.dagster_run
        message = failure_message(run.run_id, run.job_name, steps, opened.now, opened.settings.synthetic)
        outbox, sinks = Outbox(opened.paths.outbox), configured_sinks(opened.settings, context.log)
        outbox.put(message, [sink.name for sink in sinks])
        _summary(outbox.deliver(sinks), context.log)

    return failed_runs


def configured_sinks(settings: Settings, log: Logger) -> list[Sink]:
    """The log, and the webhook where one is set."""
    sinks: list[Sink] = [LogSink(log)]
    if settings.webhook_url is not None:
        token = settings.webhook_token.get_secret_value() if settings.webhook_token else ""
        sinks.append(WebhookSink(settings.webhook_url.get_secret_value(), token))
    return sinks


def _summary(delivery: Delivery, log: Logger) -> list[str]:
    for problem in delivery.problems:
        log.warning(f"{problem}; retried at the next tick")
    return [f"{delivery.sent} delivered, {delivery.waiting} waiting"] if delivery.sent or delivery.waiting else []
