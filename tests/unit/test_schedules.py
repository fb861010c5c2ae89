"""Ticks of the schedules at given moments: one run for the due months, or a reason."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest

from pipelines.common.settings import PROJECT
from pipelines.orchestration.automation.schedules import schedules
from pipelines.orchestration.automation.timetable import compute
from pipelines.orchestration.resources import WorkspaceResource
from pipelines.reference import load_reference

START, END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import os

    for name in [name for name in os.environ if name.startswith("TIGHTNESS_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def all_schedules() -> dict[str, dg.ScheduleDefinition]:
    rules = load_reference(PROJECT / "data" / "reference")["release_calendar"]
    return {s.name: s for s in schedules(compute(rules).crons)}


@pytest.fixture(scope="module")
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def tick(
    schedule: dg.ScheduleDefinition, local: str, instance: dg.DagsterInstance, now: str | None = None
) -> dg.RunRequest | str:
    """The run request at a wall time of the schedule's zone, or the reason for none."""
    context = dg.build_schedule_context(
        instance=instance,
        scheduled_execution_time=pd.Timestamp(local, tz=schedule.execution_timezone).to_pydatetime(),
        resources={"workspace": WorkspaceResource(now=now)},
    )
    done = schedule.evaluate_tick(context)
    if done.skip_message is not None:
        assert not done.run_requests
        return done.skip_message
    [request] = done.run_requests or []
    return request


@pytest.mark.slow
def test_schedules_are_stopped_by_default(all_schedules: dict[str, dg.ScheduleDefinition]) -> None:
    for schedule in all_schedules.values():
        assert schedule.default_status == dg.DefaultScheduleStatus.STOPPED, schedule.name
        assert schedule.execution_timezone
        assert schedule.description


def test_a_tick_requests_one_run_of_the_due_months(
    all_schedules: dict[str, dg.ScheduleDefinition], instance: dg.DagsterInstance
) -> None:
    request = tick(all_schedules["fetch_lme_schedule"], "2026-02-03 09:05", instance)
    assert isinstance(request, dg.RunRequest)
    assert (request.tags[START], request.tags[END]) == ("2026-01", "2026-02")
    assert request.run_key == "fetch_lme 2026-02-03T09:05Z"


@pytest.mark.slow
def test_a_tick_has_one_run_key_for_every_evaluation(
    all_schedules: dict[str, dg.ScheduleDefinition], instance: dg.DagsterInstance
) -> None:
    schedule = all_schedules["fetch_lme_schedule"]
    first, again = (tick(schedule, "2026-06-03 09:05", instance) for _ in range(2))
    assert isinstance(first, dg.RunRequest)
    assert first == again
    assert first.run_key == "fetch_lme 2026-06-03T08:05Z", "summer time"
    following = tick(schedule, "2026-06-04 09:05", instance)
    assert isinstance(following, dg.RunRequest)
    assert following.run_key != first.run_key


@pytest.mark.parametrize(
    ("name", "local", "reason"),
    [
        (
            "fetch_lme",
            "2025-12-26 09:05",
            "LME prices, stocks and spreads: Friday 2025-12-26 is no working day in London",
        ),
        (
            "fetch_rates",
            "2026-07-03 09:05",
            "New York Fed: SOFR, EFFR: Friday 2026-07-03 is no working day in New York",
        ),
        ("fetch_ecb", "2026-04-06 16:05", "ECB reference rates: Monday 2026-04-06 is no working day at the ECB"),
        ("fetch_china_customs", "2026-02-12 11:05", "China customs: exports: 2026-01 has no release of its own"),
        ("daily_build", "2026-05-04 18:15", "Monday 2026-05-04 is no working day in London and has no as-of row"),
        ("daily_refresh", "2026-05-04 18:15", "Monday 2026-05-04 is no working day in London and has no as-of row"),
    ],
)
def test_holidays_are_skipped_with_their_reason(
    all_schedules: dict[str, dg.ScheduleDefinition], instance: dg.DagsterInstance, name: str, local: str, reason: str
) -> None:
    assert tick(all_schedules[f"{name}_schedule"], local, instance) == reason


@pytest.mark.parametrize("day", ["2026-03-27", "2026-03-30", "2026-10-23", "2026-10-26"])
def test_the_build_follows_london_time(
    all_schedules: dict[str, dg.ScheduleDefinition], instance: dg.DagsterInstance, day: str
) -> None:
    """On the days around both clock changes the build is after 18:00 London and after the fetches of the day."""
    schedule = all_schedules["daily_build_schedule"]
    [moment] = [
        time for time, _ in zip(schedule_times(schedule, pd.Timestamp(day, tz="Europe/London")), range(1), strict=False)
    ]
    assert f"{moment:%Y-%m-%d %H:%M}" == f"{day} 18:15"
    request = tick(schedule, f"{day} 18:15", instance)
    assert isinstance(request, dg.RunRequest)
    assert START not in request.tags, "the build has no months"


def schedule_times(schedule: dg.ScheduleDefinition, after: pd.Timestamp) -> Iterator[pd.Timestamp]:
    from dagster._utils.schedules import schedule_execution_time_iterator

    found = schedule_execution_time_iterator(
        after.timestamp(), str(schedule.cron_schedule), schedule.execution_timezone
    )
    return (pd.Timestamp(moment).tz_convert(schedule.execution_timezone) for moment in found)


def test_one_refresh_a_day_covers_the_current_month_and_late_months(
    all_schedules: dict[str, dg.ScheduleDefinition], instance: dg.DagsterInstance
) -> None:
    request = tick(all_schedules["daily_refresh_schedule"], "2026-01-20 18:15", instance)
    assert isinstance(request, dg.RunRequest)
    assert (request.tags[START], request.tags[END]) == ("2025-12", "2026-01")


def test_a_fixed_clock_has_no_later_months(
    all_schedules: dict[str, dg.ScheduleDefinition], instance: dg.DagsterInstance
) -> None:
    schedule, now = all_schedules["fetch_lme_schedule"], "2026-01-14T20:00:00Z"
    assert isinstance(tick(schedule, "2026-01-15 09:05", instance, now), dg.RunRequest)
    skipped = tick(schedule, "2026-02-04 09:05", instance, now)
    assert skipped == "TIGHTNESS_NOW fixes the clock at 2026-01-14 20:00 UTC: there are no data after it"
