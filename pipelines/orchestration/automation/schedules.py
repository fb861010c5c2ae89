"""Schedules: a fetch after each publication, a build after the decision time, or one refresh for everything.

All are stopped until switched on, so that opening the UI starts nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import dagster as dg
import pandas as pd

from pipelines.common.calendar import month_of
from pipelines.orchestration.automation.jobs import DAILY_BUILD, DAILY_REFRESH, EVALUATE, fetch_job
from pipelines.orchestration.automation.release_schedule import (
    PUBLICATIONS,
    Due,
    Publication,
    build_cron,
    everything_due,
    no_build_reason,
    publication_due,
)
from pipelines.orchestration.partitions import range_tags
from pipelines.orchestration.resources import WorkspaceResource
from pipelines.workspace import Workspace

Outcome = dg.RunRequest | dg.SkipReason


def schedules(crons: Mapping[str, tuple[str, str]]) -> list[dg.ScheduleDefinition]:
    """One schedule a publication, the daily build, the daily refresh that replaces them all, and the evaluation.

    `crons`: cron line and time zone of each publication. The months of a tick follow from the calendar at that tick.
    """
    return [*(_fetch(one, *crons[name]) for name, one in PUBLICATIONS.items()), _build(), _refresh(), _evaluate()]


def _fetch(publication: Publication, cron: str, zone: str) -> dg.ScheduleDefinition:

    @dg.schedule(
        name=f"{fetch_job(publication)}_schedule",
        job_name=fetch_job(publication),
        cron_schedule=cron,
        execution_timezone=zone,
        description=f"{publication.title}: shortly after the release time, on the publisher's working days.",
    )
    def fetch(context: dg.ScheduleEvaluationContext, workspace: WorkspaceResource) -> Outcome:
        moment, opened = context.scheduled_execution_time, workspace.open()
        reference = opened.reference
        found = publication_due(publication, moment, reference["release_calendar"], opened.scope)
        return _outcome(fetch_job(publication), moment, opened, found)

    return fetch


def _build() -> dg.ScheduleDefinition:
    cron, zone = build_cron()

    @dg.schedule(
        name=f"{DAILY_BUILD}_schedule",
        job_name=DAILY_BUILD,
        cron_schedule=cron,
        execution_timezone=zone,
        description="Marts, signals and publication, shortly after the decision time of every London business day.",
    )
    def build(context: dg.ScheduleEvaluationContext, workspace: WorkspaceResource) -> Outcome:
        moment = context.scheduled_execution_time
        reason = no_build_reason(moment) or _fixed_clock_reason(workspace.open(), moment)
        return dg.SkipReason(reason) if reason else dg.RunRequest(run_key=_run_key(DAILY_BUILD, moment))

    return build


def _refresh() -> dg.ScheduleDefinition:
    cron, zone = build_cron()

    @dg.schedule(
        name=f"{DAILY_REFRESH}_schedule",
        job_name=DAILY_REFRESH,
        cron_schedule=cron,
        execution_timezone=zone,
        description="Everything once a day, as an alternative to all other schedules.",
    )
    def refresh(context: dg.ScheduleEvaluationContext, workspace: WorkspaceResource) -> Outcome:
        moment, opened = context.scheduled_execution_time, workspace.open()
        if reason := no_build_reason(moment):
            return dg.SkipReason(reason)
        found = everything_due(moment, opened.reference["release_calendar"], opened.scope)
        return _outcome(DAILY_REFRESH, moment, opened, found)

    return refresh


def _evaluate() -> dg.ScheduleDefinition:
    @dg.schedule(
        name=f"{EVALUATE}_schedule",
        job_name=EVALUATE,
        cron_schedule="0 8 * * 6",
        execution_timezone="Europe/London",
        description="The evaluation of the signals, every Saturday: the week has been built and published.",
    )
    def weekly(context: dg.ScheduleEvaluationContext, workspace: WorkspaceResource) -> Outcome:
        moment = context.scheduled_execution_time
        reason = _fixed_clock_reason(workspace.open(), moment)
        return dg.SkipReason(reason) if reason else dg.RunRequest(run_key=_run_key(EVALUATE, moment))

    return weekly


def _outcome(job: str, moment: datetime, workspace: Workspace, found: Due) -> Outcome:
    reason = found.reason or _fixed_clock_reason(workspace, moment)
    if reason:
        return dg.SkipReason(reason)
    return dg.RunRequest(run_key=_run_key(job, moment), tags=range_tags(*found.span))


def _fixed_clock_reason(workspace: Workspace, moment: datetime) -> str:
    """The reason to skip a tick in a month after the fixed clock; empty for other ticks."""
    fixed = workspace.settings.now
    if fixed is None or month_of(moment) <= month_of(fixed):
        return ""
    return f"TIGHTNESS_NOW fixes the clock at {fixed:%Y-%m-%d %H:%M} UTC: there are no data after it"


def _run_key(job: str, moment: datetime) -> str:
    """Key of a tick's run: a second or restarted scheduler finds the run of the first."""
    return f"{job} {pd.Timestamp(moment).tz_convert('UTC'):%Y-%m-%dT%H:%MZ}"
