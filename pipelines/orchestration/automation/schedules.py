"""When runs start by themselves: after each publication, and at the decision time. All are stopped until switched on.

Stopped by default, so that somebody who looks at the demo starts nothing by opening the UI.
"""

from __future__ import annotations

from datetime import datetime

import dagster as dg
import pandas as pd

from pipelines.common.calendar import month_of
from pipelines.orchestration.automation.jobs import DAILY_BUILD, DAILY_REFRESH, ask_job
from pipelines.orchestration.automation.release_schedule import (
    PUBLICATIONS,
    Due,
    Publication,
    build_due,
    build_tick,
    everything_due,
    publication_due,
    tick,
)
from pipelines.orchestration.partitions import range_tags
from pipelines.orchestration.resources import WorkspaceResource
from pipelines.workspace import Workspace

Outcome = dg.RunRequest | dg.SkipReason


def schedules(rules: pd.DataFrame) -> list[dg.ScheduleDefinition]:
    """One schedule a publication, the build, and the one that does everything for people who want only one.

    `rules`: the release calendar, which gives the times. What is due at a tick is asked of the calendar as it is then.
    """
    return [*(_asking(publication, rules) for publication in PUBLICATIONS.values()), _build(), _refresh()]


def _asking(publication: Publication, rules: pd.DataFrame) -> dg.ScheduleDefinition:
    cron, zone = tick(publication, rules)

    @dg.schedule(
        name=f"{ask_job(publication)}_schedule",
        job_name=ask_job(publication),
        cron_schedule=cron,
        execution_timezone=zone,
        description=f"{publication.title}: shortly after the time in release_calendar.csv, on the publisher's days.",
    )
    def ask(context: dg.ScheduleEvaluationContext, workspace: WorkspaceResource) -> Outcome:
        moment, opened = context.scheduled_execution_time, workspace.open()
        reference = opened.reference
        found = publication_due(publication, moment, reference["release_calendar"], opened.scope)
        return _outcome(ask_job(publication), moment, opened, found)

    return ask


def _build() -> dg.ScheduleDefinition:
    cron, zone = build_tick()

    @dg.schedule(
        name=f"{DAILY_BUILD}_schedule",
        job_name=DAILY_BUILD,
        cron_schedule=cron,
        execution_timezone=zone,
        description="Marts, signals and publication, shortly after the decision time of every London business day.",
    )
    def build(context: dg.ScheduleEvaluationContext, workspace: WorkspaceResource) -> Outcome:
        moment = context.scheduled_execution_time
        reason = build_due(moment) or _stands_still(workspace.open(), moment)
        return dg.SkipReason(reason) if reason else dg.RunRequest(run_key=_run_key(DAILY_BUILD, moment))

    return build


def _refresh() -> dg.ScheduleDefinition:
    cron, zone = build_tick()

    @dg.schedule(
        name=f"{DAILY_REFRESH}_schedule",
        job_name=DAILY_REFRESH,
        cron_schedule=cron,
        execution_timezone=zone,
        description="Everything once a day, instead of all the other schedules.",
    )
    def refresh(context: dg.ScheduleEvaluationContext, workspace: WorkspaceResource) -> Outcome:
        moment, opened = context.scheduled_execution_time, workspace.open()
        if reason := build_due(moment):
            return dg.SkipReason(reason)
        found = everything_due(moment, opened.reference["release_calendar"], opened.scope)
        return _outcome(DAILY_REFRESH, moment, opened, found)

    return refresh


def _outcome(job: str, moment: datetime, workspace: Workspace, found: Due) -> Outcome:
    reason = found.reason or _stands_still(workspace, moment)
    if reason:
        return dg.SkipReason(reason)
    return dg.RunRequest(run_key=_run_key(job, moment), tags=range_tags(*found.span))


def _stands_still(workspace: Workspace, moment: datetime) -> str:
    """With a fixed clock there are no months after it, and nothing new to know."""
    fixed = workspace.settings.now
    if fixed is None or month_of(moment) <= month_of(fixed):
        return ""
    return f"TIGHTNESS_NOW holds the clock at {fixed:%Y-%m-%d %H:%M} UTC: nothing is published after it"


def _run_key(job: str, moment: datetime) -> str:
    """One for each tick: a second scheduler, or one that starts again, finds the run of the first."""
    return f"{job} {pd.Timestamp(moment).tz_convert('UTC'):%Y-%m-%dT%H:%MZ}"
