"""Sensors: new files in the drop folder, signal transitions, failed runs. All are stopped until switched on."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import partial
from logging import Logger
from pathlib import Path

import dagster as dg

from pipelines.common.calendar import FIRST_MONTH, month_of
from pipelines.common.settings import Settings
from pipelines.datasets import DROP, FEEDS
from pipelines.orchestration.assets.lake import lake_key, raw_key
from pipelines.orchestration.automation.drop_watch import Change, Content, File, find_changes, run_key
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
from pipelines.transports.drop import DropError, DropProblem, parse_drop, scan
from pipelines.workspace import Workspace


def sensors(built: Sequence[dg.AssetKey]) -> list[dg.SensorDefinition]:
    """All sensors. `built`: the assets of a whole build, which are downstream of every dataset."""
    return [_drop_folder(built), _signal_changes(), _failed_runs()]


# --- the drop folder


def _drop_folder(built: Sequence[dg.AssetKey]) -> dg.SensorDefinition:
    @dg.sensor(
        name="drop_folder",
        job_name=DROPPED_FILES,
        minimum_interval_seconds=30,
        description="One run for new or changed files in the drop folder and their datasets; once for each content.",
    )
    def drop_folder(context: dg.SensorEvaluationContext, workspace: WorkspaceResource) -> dg.RunRequest | dg.SkipReason:
        opened = workspace.open()
        found = find_changes(context.cursor, _files(opened))
        context.update_cursor(found.cursor)
        if found.changes:
            return _run_request(found.changes, opened, built)
        waiting = f"; read at the next tick if unchanged by then: {', '.join(found.waiting)}" if found.waiting else ""
        return dg.SkipReason(f"nothing new in the drop folder{waiting}")

    return drop_folder


def _run_request(changes: Sequence[Change], workspace: Workspace, built: Sequence[dg.AssetKey]) -> dg.RunRequest:
    """One run for all changes. A file that is refused fails the run, once: then its content is in the cursor."""
    now = month_of(workspace.now)
    months = [month for change in changes for month in change.months if FIRST_MONTH <= month <= now] or [now]
    datasets = sorted({change.dataset for change in changes})
    return dg.RunRequest(
        run_key=run_key(changes),
        tags=range_tags(min(months), max(months)) | {"dropped": ", ".join(c.relative for c in changes)[:200]},
        asset_selection=[raw_key(DROP), *(lake_key(name) for name in datasets), *built],
    )


def _files(workspace: Workspace) -> list[File]:
    """The files of the drop folder; the content of one that cannot be accepted is the reason."""
    folder = workspace.settings.drop
    droppable = [name for name, feed in FEEDS.items() if feed.droppable]
    files = []
    for item in scan(folder, droppable, max_mb=workspace.settings.drop_max_mb):
        path, dataset = folder / item.relative, item.dataset
        try:
            about = path.lstat()
        except OSError:  # removed meanwhile
            continue
        if dataset is None:  # no asset to run; `tightness doctor` and the next run report it
            continue
        stat = (about.st_size, about.st_mtime_ns)
        if isinstance(item, DropProblem):
            files.append(File(item.relative, dataset, stat, partial(_refused, item.message)))
        else:
            files.append(File(item.relative, dataset, stat, partial(_content, path, dataset, item.relative, stat)))
    return files


def _refused(message: str) -> Content:
    return Content(hashlib.sha256(message.encode()).hexdigest(), ())


def _content(path: Path, dataset: str, relative: str, stat: tuple[int, int]) -> Content | None:
    try:
        body, about = path.read_bytes(), path.lstat()
    except OSError:
        return None
    if (about.st_size, about.st_mtime_ns) != stat:
        return None
    try:
        periods = parse_drop(dataset, relative, body).frames[dataset][FEEDS[dataset].spec.period].dropna()
    except DropError:
        months: tuple[str, ...] = ()  # the run reports the error
    else:
        months = tuple(f"{month:%Y-%m}" for month in (periods.min(), periods.max())) if len(periods) else ()
    return Content(hashlib.sha256(body).hexdigest(), months)


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
        if manifest is not None:
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
