"""What starts by itself when something happens: a file is dropped, a signal changes, a run fails. All are stopped until
switched on, as the schedules are."""

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
from pipelines.orchestration.automation.drop_watch import Change, Content, File, look, run_key
from pipelines.orchestration.automation.jobs import DROPPED_FILES
from pipelines.orchestration.automation.notify import LogSink, Sink, WebhookSink, failure_message, transition_message
from pipelines.orchestration.automation.outbox import Delivered, Outbox
from pipelines.orchestration.automation.schedules import run_range
from pipelines.orchestration.automation.transitions import Seen, first_look, news, read_transitions
from pipelines.orchestration.errors import reason
from pipelines.orchestration.resources import WorkspaceResource
from pipelines.publish.manifest import read_manifest
from pipelines.transports.drop import DropError, DropProblem, parse_drop, scan
from pipelines.workspace import Workspace


def sensors(built: Sequence[dg.AssetKey]) -> list[dg.SensorDefinition]:
    """The sensors. `built`: what hangs on every dataset, the keys of a whole build."""
    return [_drop_folder(built), _signal_changes(), _failed_runs()]


# --- the drop folder


def _drop_folder(built: Sequence[dg.AssetKey]) -> dg.SensorDefinition:
    @dg.sensor(
        name="drop_folder",
        job_name=DROPPED_FILES,
        minimum_interval_seconds=30,
        description="New or changed files in the drop folder: one run for their datasets, once for each content.",
    )
    def drop_folder(context: dg.SensorEvaluationContext, workspace: WorkspaceResource) -> dg.RunRequest | dg.SkipReason:
        opened = workspace.open()
        found = look(context.cursor, _files(opened))
        context.update_cursor(found.cursor)
        if found.changes:
            return _take(found.changes, opened, built)
        still = f"; still being written, or looked at again next time: {', '.join(found.waiting)}"
        return dg.SkipReason(f"nothing new in the drop folder{still if found.waiting else ''}")

    return drop_folder


def _take(changes: Sequence[Change], workspace: Workspace, built: Sequence[dg.AssetKey]) -> dg.RunRequest:
    """One run for all of them. A file that is refused fails it with the reason, once: its content is known then."""
    now = month_of(workspace.now)
    months = [month for change in changes for month in change.months if FIRST_MONTH <= month <= now] or [now]
    datasets = sorted({change.dataset for change in changes})
    return dg.RunRequest(
        run_key=run_key(changes),
        tags=run_range(min(months), max(months)) | {"dropped": ", ".join(c.relative for c in changes)[:200]},
        asset_selection=[raw_key(DROP), *(lake_key(name) for name in datasets), *built],
    )


def _files(workspace: Workspace) -> list[File]:
    """The folder's files; of one that cannot be taken the content is the reason why."""
    folder = workspace.settings.drop
    droppable = [name for name, feed in FEEDS.items() if feed.droppable]
    files = []
    for item in scan(folder, droppable, max_mb=workspace.settings.drop_max_mb):
        path, dataset = folder / item.relative, item.dataset
        try:
            about = path.lstat()
        except OSError:  # gone meanwhile
            continue
        if dataset is None:  # belongs to nothing that could run; `tightness doctor` and the next run name it
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
        months: tuple[str, ...] = ()  # the run says what is wrong with it
    else:
        months = tuple(f"{month:%Y-%m}" for month in (periods.min(), periods.max())) if len(periods) else ()
    return Content(hashlib.sha256(body).hexdigest(), months)


# --- what is told


def _signal_changes() -> dg.SensorDefinition:
    @dg.sensor(
        name="signal_changes",
        minimum_interval_seconds=60,
        description="Tells every change of a signal's state that is published from its first look on, and what is "
        "still to be told. To the log, and to TIGHTNESS_WEBHOOK_URL where it is set.",
    )
    def signal_changes(context: dg.SensorEvaluationContext, workspace: WorkspaceResource) -> dg.SkipReason:
        opened = workspace.open()
        outbox, sinks = open_outbox(opened), sinks_of(opened.settings, context.log)
        manifest = read_manifest(opened.paths.manifest)
        said = ["nothing is published yet"]
        if manifest is not None:
            database, release = opened.paths.database, str(manifest["release_id"])
            seen = Seen.load(context.cursor) if context.cursor else None
            said = ["no new release"]
            if seen is None:
                seen = first_look(database, opened.now, opened.settings.notify_since)
                said = [f"changes as of {seen.since:%Y-%m-%d %H:%M} UTC or later are told from now on"]
            if seen.release != release:
                told, after = news(seen, read_transitions(database, seen.since), release)
                for row in told:
                    outbox.put(transition_message(row, bool(manifest["synthetic"])), [sink.name for sink in sinks])
                said = [*(said if context.cursor is None else []), f"{len(told)} new in {release}"]
                context.update_cursor(after.dump())
        return dg.SkipReason("; ".join([*said, *_told(outbox.deliver(sinks), context.log)]))

    return signal_changes


def _failed_runs() -> dg.SensorDefinition:
    @dg.run_failure_sensor(
        name="failed_runs",
        minimum_interval_seconds=30,
        description="Tells every run that fails: run, job, step and reason, to whom signal changes are told.",
    )
    def failed_runs(context: dg.RunFailureSensorContext, workspace: WorkspaceResource) -> None:
        opened = workspace.open()
        steps = [
            (event.step_key or "", reason(event.step_failure_data.error)) for event in context.get_step_failure_events()
        ] or [("run", context.failure_event.message or "no step has failed")]
        run = context.dagster_run
        message = failure_message(run.run_id, run.job_name, steps, opened.now, opened.settings.synthetic)
        outbox, sinks = open_outbox(opened), sinks_of(opened.settings, context.log)
        outbox.put(message, [sink.name for sink in sinks])
        _told(outbox.deliver(sinks), context.log)

    return failed_runs


def open_outbox(workspace: Workspace) -> Outbox:
    """Where messages wait, beside the rest that is the writer's own."""
    return Outbox(workspace.paths.outbox)


def sinks_of(settings: Settings, log: Logger) -> list[Sink]:
    """Who is told: the log, and the webhook where one is set."""
    sinks: list[Sink] = [LogSink(log)]
    if settings.webhook_url is not None:
        token = settings.webhook_token.get_secret_value() if settings.webhook_token else ""
        sinks.append(WebhookSink(settings.webhook_url.get_secret_value(), token))
    return sinks


def _told(done: Delivered, log: Logger) -> list[str]:
    for problem in done.problems:
        log.warning(f"{problem}; tried again at the next tick")
    return [f"{done.sent} delivered, {done.waiting} waiting"] if done.sent or done.waiting else []
