"""Ticks of the sensors: one run for each dropped content, one message for each transition and each failed run."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import dagster as dg
import duckdb
import pytest
from dagster._core.events import StepFailureData
from sqlalchemy import text

from pipelines.common.calendar import months_between
from pipelines.orchestration.automation.jobs import DROPPED_FILES
from pipelines.orchestration.automation.sensors import WAITS_MIN, sensors
from pipelines.orchestration.resources import WorkspaceResource

BUILT = [dg.AssetKey(["publish", "release"])]
HEADER = "metal,obs_date,cash_usd_t,m3_usd_t\n"
SUCCESS, FAILURE = dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE
START, END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"


@pytest.fixture(autouse=True)
def sandbox(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    for name in [name for name in os.environ if name.startswith("TIGHTNESS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("TIGHTNESS_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("TIGHTNESS_NOW", "2026-01-14T20:00:00Z")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "data"


@pytest.fixture(scope="module")
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


class Ticking:
    """A sensor and its cursor, evaluated tick by tick."""

    def __init__(self, name: str, instance: dg.DagsterInstance) -> None:
        self.sensor = next(sensor for sensor in sensors(BUILT) if sensor.name == name)
        self.instance, self.cursor = instance, None

    def tick(self) -> dg.RunRequest | str:
        with dg.build_sensor_context(
            self.instance, cursor=self.cursor, resources={"workspace": WorkspaceResource()}
        ) as context:
            done = self.sensor.evaluate_tick(context)
        self.cursor = done.cursor
        if done.run_requests:
            [request] = done.run_requests
            return request
        assert done.skip_message is not None
        return done.skip_message

    def run(self) -> dg.RunRequest:
        request = self.tick()
        assert isinstance(request, dg.RunRequest), request
        return request

    def skip(self) -> str:
        reason = self.tick()
        assert isinstance(reason, str), reason
        return reason


def test_sensors_are_stopped_by_default() -> None:
    assert [sensor.name for sensor in sensors(BUILT)] == ["drop_folder", "signal_changes", "failed_runs"]
    assert {sensor.default_status for sensor in sensors(BUILT)} == {dg.DefaultSensorStatus.STOPPED}


# --- the drop folder

NOTHING = "nothing new in the drop folder"


@pytest.fixture
def watched() -> Iterator[Ticking]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield Ticking("drop_folder", instance)


def drop(sandbox: Path, name: str, text: str, changed: int) -> Path:
    path = sandbox / "drop" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, ns=(changed, changed))
    return path


def rows(*days: str) -> str:
    return HEADER + "".join(f"AL,{day},3000,3010\n" for day in days)


def ended(
    watched: Ticking, request: dg.RunRequest, status: dg.DagsterRunStatus, ago_s: float = 0, step: bool = False
) -> None:
    """Record the requested run with this status, as Dagster does, `ago_s` seconds ago; `step`: a step of it failed."""
    run = watched.instance.add_run(
        dg.DagsterRun(DROPPED_FILES, tags={**request.tags, "dagster/run_key": str(request.run_key)}, status=status)
    )
    if step:
        data = StepFailureData(error=None, user_failure_data=None)
        event = dg.DagsterEvent("STEP_FAILURE", DROPPED_FILES, step_key="run_health", event_specific_data=data)
        watched.instance.report_dagster_event(event, run.run_id)
    with watched.instance.run_storage.connect() as connection:
        connection.execute(
            text("update runs set end_time = :at where run_id = :id"), {"at": time.time() - ago_s, "id": run.run_id}
        )


def loaded(request: dg.RunRequest) -> None:
    """What the run does with the drop folder."""
    workspace = WorkspaceResource().open()
    periods = months_between(request.tags[START], request.tags[END])
    for key in request.asset_selection or []:
        if key.path[0] == "lake":
            dropped, failures = workspace.dropped(key.path[1])
            report = workspace.ingestion().run(key.path[1], periods, dropped)
            months = [str(period) for period in periods]
            workspace.failures.record(key.path[1], months, [*report.failures, *failures])


@pytest.fixture(autouse=True)
def only_the_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """The profile without generated drop files."""
    monkeypatch.setenv("TIGHTNESS_PROFILE", "drop")


def test_a_file_runs_once_for_its_dataset_and_months(sandbox: Path, watched: Ticking) -> None:
    assert watched.skip() == NOTHING, "there is no folder"
    drop(sandbox, "prices/a.csv", rows("2024-03-04", "2024-05-06"), 1)
    assert "prices/a.csv" in watched.skip(), "it may still be written"
    request = watched.run()
    assert (request.tags[START], request.tags[END]) == ("2024-03", "2024-05")
    assert request.asset_selection == [dg.AssetKey(["raw", "drop"]), dg.AssetKey(["lake", "prices"]), *BUILT]
    assert watched.run().run_key == request.run_key, "not started yet: Dagster starts a key once"
    loaded(request)
    ended(watched, request, SUCCESS)
    for _ in range(3):
        assert watched.skip() == NOTHING


def test_a_file_that_grows_waits(sandbox: Path, watched: Ticking) -> None:
    for step in range(1, 4):
        drop(sandbox, "prices/a.csv", rows(*["2024-03-04"] * step), step)
        assert "prices/a.csv" in watched.skip()
    assert watched.run().run_key


@pytest.mark.parametrize("status", [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED])
def test_a_file_whose_run_was_killed_is_taken_at_the_next_tick(
    sandbox: Path, watched: Ticking, status: dg.DagsterRunStatus
) -> None:
    drop(sandbox, "prices/a.csv", rows("2024-03-04", "2024-05-06"), 1)
    watched.skip()
    first = watched.run()
    ended(watched, first, status)
    second = watched.run()
    assert second.run_key != first.run_key, "Dagster starts a key once"
    assert second.tags == first.tags
    loaded(second)
    ended(watched, second, SUCCESS)
    assert watched.skip() == NOTHING


def test_a_run_that_was_killed_after_it_loaded_the_file_is_repeated_to_publish_it(
    sandbox: Path, watched: Ticking
) -> None:
    drop(sandbox, "prices/a.csv", rows("2024-03-04"), 1)
    watched.skip()
    request = watched.run()
    loaded(request)
    ended(watched, request, FAILURE)
    repeated = watched.run()
    assert repeated.asset_selection == BUILT
    assert repeated.run_key != request.run_key
    assert repeated.tags["dropped"] == "prices/a.csv"
    ended(watched, repeated, SUCCESS)
    assert watched.skip() == NOTHING


def test_a_run_whose_step_failed_after_it_loaded_the_file_is_not_repeated(sandbox: Path, watched: Ticking) -> None:
    drop(sandbox, "prices/a.csv", rows("2024-03-04"), 1)
    watched.skip()
    request = watched.run()
    loaded(request)
    ended(watched, request, FAILURE, step=True)
    assert watched.skip() == NOTHING


@pytest.mark.slow
def test_repetitions_wait_longer_each_time_and_never_end(sandbox: Path, watched: Ticking) -> None:
    path = drop(sandbox, "prices/a.csv", rows("2024-03-04"), 1)
    watched.skip()
    keys = set()
    for number in range(12):
        request = watched.run()
        assert request.run_key not in keys
        keys.add(request.run_key)
        ended(watched, request, FAILURE)
        if number:
            assert re.match(r"run \S+ failed; repeated in \d+ s", watched.skip())
            ended_before = WAITS_MIN[min(number, len(WAITS_MIN) - 1)] * 60 + 1
            with watched.instance.run_storage.connect() as connection:
                connection.execute(text("update runs set end_time = end_time - :s"), {"s": ended_before})
    ended(watched, watched.run(), FAILURE, ago_s=-7200)
    assert isinstance(watched.tick(), dg.RunRequest), "the clock was set back: no wait of unknown length"
    path.write_text(rows("2024-03-05"))
    watched.skip()
    assert watched.run().run_key not in keys, "a new content is taken at once"


def test_a_run_that_has_not_finished_is_waited_for(sandbox: Path, watched: Ticking) -> None:
    drop(sandbox, "prices/a.csv", rows("2024-03-04"), 1)
    watched.skip()
    request = watched.run()
    run = watched.instance.add_run(dg.DagsterRun(DROPPED_FILES, tags=request.tags, status=dg.DagsterRunStatus.STARTING))
    drop(sandbox, "prices/b.csv", rows("2024-06-03"), 1)
    watched.skip()
    assert watched.skip() == f"run {run.run_id} has not finished"


def test_a_run_that_was_only_created_is_launched_by_the_same_key(sandbox: Path, watched: Ticking) -> None:
    drop(sandbox, "prices/a.csv", rows("2024-03-04"), 1)
    watched.skip()
    request = watched.run()
    watched.instance.add_run(dg.DagsterRun(DROPPED_FILES, tags=request.tags, status=dg.DagsterRunStatus.NOT_STARTED))
    assert watched.run().run_key == request.run_key


@pytest.mark.slow
def test_a_file_that_another_run_loaded_starts_no_run(sandbox: Path, watched: Ticking) -> None:
    drop(sandbox, "prices/a.csv", rows("2024-03-04", "2024-05-06"), 1)
    watched.skip()
    request = watched.run()
    loaded(request._replace(tags={START: "2024-05", END: "2024-05"}))
    assert watched.run().tags[START] == "2024-03", "a run of some of its months does not load it"
    loaded(request._replace(tags={START: "2008-01", END: "2024-04"}))
    assert watched.skip() == NOTHING


@pytest.mark.slow
def test_a_new_modification_time_is_no_change_and_a_returned_content_is_one(sandbox: Path, watched: Ticking) -> None:
    keys = []
    for step, days in enumerate([("2024-03-04",), ("2024-06-03",), ("2024-03-04",)]):
        drop(sandbox, "prices/a.csv", rows(*days), 10 + step)
        watched.skip()
        request = watched.run()
        assert (request.tags[START], request.tags[END]) == (days[0][:7], days[0][:7])
        loaded(request)
        ended(watched, request, SUCCESS)
        keys.append(request.run_key)
    assert len(set(keys)) == 3
    drop(sandbox, "prices/a.csv", rows("2024-03-04"), 99)
    assert "prices/a.csv" in watched.skip()
    assert watched.skip() == NOTHING


@pytest.mark.parametrize("cursor", [None, '{"prices/a.csv": {"stat": [1, 2], "settled": true}}', "no JSON", "[1]"])
def test_a_lost_cursor_requests_a_run_with_the_same_key_and_no_run_for_what_landed(
    sandbox: Path, watched: Ticking, cursor: str | None
) -> None:
    drop(sandbox, "prices/a.csv", rows("2024-03-04"), 1)
    watched.skip()
    request = watched.run()
    watched.cursor = cursor
    watched.skip()
    assert watched.run().run_key == request.run_key, "Dagster runs a key once"
    loaded(request)
    watched.cursor = cursor
    watched.skip()
    assert watched.skip() == NOTHING


@pytest.mark.slow
def test_a_file_that_was_removed_before_it_landed_is_pending_when_it_comes_back(
    sandbox: Path, watched: Ticking
) -> None:
    path = drop(sandbox, "prices/a.csv", rows("2024-03-04"), 1)
    watched.skip()
    ended(watched, watched.run(), FAILURE, step=True)
    path.unlink()
    assert watched.skip() == NOTHING
    drop(sandbox, "prices/a.csv", rows("2024-03-04"), 1)
    watched.skip()
    request = watched.run()
    loaded(request)
    ended(watched, request, SUCCESS)
    path.unlink()
    assert watched.skip() == NOTHING
    drop(sandbox, "prices/a.csv", rows("2024-03-04"), 1)
    watched.skip()
    assert watched.skip() == NOTHING, "its rows are in the lake, which keeps them"
    drop(sandbox, "prices/same.csv", rows("2024-03-04"), 1)
    watched.skip()
    assert watched.run().tags["dropped"] == "prices/same.csv", "no run has looked at this file"


def test_a_file_is_pending_again_when_the_lake_has_lost_its_rows(sandbox: Path, watched: Ticking) -> None:
    drop(sandbox, "prices/a.csv", rows("2024-03-04", "2024-05-06"), 1)
    watched.skip()
    request = watched.run()
    loaded(request)
    ended(watched, request, SUCCESS)
    assert watched.skip() == NOTHING
    [path] = (sandbox / "lake" / "prices").glob("[0-9]*.parquet")
    path.unlink()
    assert watched.run().run_key != request.run_key
    shutil.rmtree(sandbox / "lake")
    assert watched.run().tags[START] == "2024-03"


def test_several_files_are_one_run(sandbox: Path, watched: Ticking) -> None:
    drop(sandbox, "prices/a.csv", rows("2024-03-04"), 1)
    drop(sandbox, "stocks/b.csv", "metal,obs_date,total_t\nAL,2025-01-06,100\n", 1)
    watched.skip()
    request = watched.run()
    assert (request.tags[START], request.tags[END]) == ("2024-03", "2025-01")
    assert [key.path[-1] for key in request.asset_selection or []] == ["drop", "prices", "stocks", "release"]


@pytest.mark.slow
def test_rows_outside_the_months_of_the_lake_leave_no_month_out(sandbox: Path, watched: Ticking) -> None:
    drop(sandbox, "prices/a.csv", rows("1999-01-04", "2024-03-04", "2025-05-05", "2027-01-04"), 1)
    watched.skip()
    request = watched.run()
    assert (request.tags[START], request.tags[END]) == ("2024-03", "2025-05")
    loaded(request)
    assert watched.skip() == NOTHING


@pytest.mark.parametrize(
    ("name", "text"),
    [("prices/bad.csv", "metal,what\nAL,1\n"), ("prices/book.xlsx", "PK"), ("prices/empty.csv", "")],
)
def test_a_rejected_file_is_reported_by_one_run_and_not_again(
    sandbox: Path, watched: Ticking, name: str, text: str
) -> None:
    drop(sandbox, name, text, 1)
    watched.skip()
    request = watched.run()
    assert (request.tags[START], request.tags[END]) == ("2026-01", "2026-01")
    ended(watched, request, FAILURE)
    assert watched.run().run_key != request.run_key, "the run was killed before it reported the file"
    loaded(request)
    ended(watched, request, FAILURE, step=True)
    for _ in range(3):
        assert watched.skip() == NOTHING
    drop(sandbox, "prices/good.csv", rows("2024-03-04"), 1)
    watched.skip()
    assert watched.run().tags["dropped"] == "prices/good.csv"
    drop(sandbox, name, rows("2024-06-03"), 2)
    watched.tick()
    accepted = name.endswith(".csv")
    assert watched.run().tags["dropped"] == (f"{name}, prices/good.csv" if accepted else "prices/good.csv")


def test_a_raised_limit_makes_a_refused_file_pending(
    sandbox: Path, watched: Ticking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIGHTNESS_DROP_MAX_MB", "1")
    drop(sandbox, "prices/big.csv", rows("2024-03-04") + "\n" * 1024**2, 1)
    watched.skip()
    request = watched.run()
    loaded(request)
    assert watched.skip() == NOTHING
    monkeypatch.setenv("TIGHTNESS_DROP_MAX_MB", "2")
    watched.skip()
    assert watched.run().tags[START] == "2024-03"


def test_a_file_of_no_dataset_starts_no_run(sandbox: Path, watched: Ticking) -> None:
    drop(sandbox, "notes/a.txt", "hello", 1)
    drop(sandbox, "prices/.a.csv.part", "half", 1)
    assert watched.skip() == watched.skip() == NOTHING


# --- changes of signals


@pytest.fixture
def transitions(instance: dg.DagsterInstance) -> Ticking:
    return Ticking("signal_changes", instance)


def change(key: str, day: int) -> tuple[object, ...]:
    return (
        key, f"AL.X.{key.upper()}", datetime(2026, 1, day, 18, tzinfo=UTC), date(2026, 1, day), "A", "B", 1.0, "t", "OK"
    )  # fmt: skip


def publish(sandbox: Path, release: str, *changes: tuple[object, ...]) -> None:
    """A published file with these changes."""
    folder = sandbox / "published"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tightness.duckdb").unlink(missing_ok=True)
    with duckdb.connect(str(folder / "tightness.duckdb")) as connection:
        connection.execute("create schema signals")
        connection.execute(
            "create table signals.signal_transitions (transition_id varchar, signal_id varchar, as_of_ts timestamptz, "
            "as_of_date date, prev_state varchar, state varchar, value double, unit varchar, quality varchar)"
        )
        connection.execute("create table signals.signals_latest (as_of_ts timestamptz)")
        connection.execute("insert into signals.signals_latest values ('2026-01-06 18:00:00Z')")
        if changes:
            insert = "insert into signals.signal_transitions values (?, ?, ?, ?, ?, ?, ?, ?, ?)"
            connection.executemany(insert, changes)
    (folder / "manifest.json").write_text(json.dumps({"release_id": release, "synthetic": True}))


class Taken:
    """Replaces the webhook: the messages that it received, by key."""

    name = "webhook"

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.payloads: list[dict[str, object]] = []

    def send(self, message: object) -> None:
        self.keys.append(message.key)  # type: ignore[attr-defined]
        self.payloads.append(message.payload)  # type: ignore[attr-defined]


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> Taken:
    sink = Taken()
    monkeypatch.setattr("pipelines.orchestration.automation.sensors.configured_sinks", lambda settings, log: [sink])
    return sink


@pytest.mark.slow
def test_the_first_tick_sends_nothing_and_every_later_change_is_sent_once(
    sandbox: Path, transitions: Ticking, taken: Taken
) -> None:
    assert transitions.skip() == "nothing is published yet"
    publish(sandbox, "r1", change("a", 5), change("b", 6), change("c", 6))
    assert transitions.skip() == "changes as of 2026-01-06 18:00 UTC or later are notified from now on; 0 new in r1"
    assert transitions.skip() == "no new release"
    # A history that is filled in is not sent; a revision of a day that counts is.
    publish(sandbox, "r2", *(change(key, day) for key, day in zip("xabcde", (2, 5, 6, 6, 6, 7), strict=True)))
    assert transitions.skip() == "2 new in r2; 2 delivered, 0 waiting"
    assert taken.keys == ["d", "e"]
    assert all(payload["synthetic"] is True for payload in taken.payloads)
    publish(sandbox, "r3", *(change(key, day) for key, day in zip("xabcde", (2, 5, 6, 6, 6, 7), strict=True)))
    assert transitions.skip() == "0 new in r3"
    assert taken.keys == ["d", "e"]


def test_a_setting_limits_from_when_changes_are_sent(
    sandbox: Path, transitions: Ticking, taken: Taken, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIGHTNESS_NOTIFY_SINCE", "2026-01-06T00:00:00Z")
    publish(sandbox, "r1", change("a", 5), change("b", 6), change("c", 7))
    transitions.skip()
    assert taken.keys == ["b", "c"]


def test_a_history_that_is_filled_after_an_empty_first_tick_is_not_sent(
    sandbox: Path, transitions: Ticking, taken: Taken
) -> None:
    publish(sandbox, "r1")
    transitions.skip()
    publish(sandbox, "r2", change("a", 5), change("b", 6), change("c", 7))
    transitions.skip()
    assert taken.keys == ["b", "c"]


def test_changes_of_a_crashed_tick_are_sent_by_the_next(
    sandbox: Path, transitions: Ticking, taken: Taken, instance: dg.DagsterInstance
) -> None:
    publish(sandbox, "r1", change("a", 5))
    transitions.skip()
    before = transitions.cursor
    publish(sandbox, "r2", change("a", 5), change("b", 7))
    transitions.skip()
    transitions.cursor = before  # the daemon died before it stored the cursor
    transitions.skip()
    assert taken.keys == ["b", "b"], "twice, with the same key"


def test_without_a_webhook_changes_go_to_the_log(sandbox: Path, transitions: Ticking) -> None:
    publish(sandbox, "r1", change("a", 5))
    transitions.skip()
    publish(sandbox, "r2", change("a", 5), change("b", 6))
    assert transitions.skip().endswith("1 delivered, 0 waiting")


# --- failed runs


def test_a_failed_run_is_sent_with_its_reason(sandbox: Path, taken: Taken) -> None:
    @dg.op
    def breaks() -> None:
        raise dg.Failure("the page has no table")

    @dg.job
    def ask_something() -> None:
        breaks()

    sensor = next(sensor for sensor in sensors(BUILT) if sensor.name == "failed_runs")
    with dg.DagsterInstance.ephemeral() as instance:
        failed = ask_something.execute_in_process(instance=instance, raise_on_error=False)
        context = dg.build_run_status_sensor_context(
            sensor_name="failed_runs",
            dagster_event=failed.get_run_failure_event(),
            dagster_instance=instance,
            dagster_run=failed.dagster_run,
            resources={"workspace": WorkspaceResource()},
        ).for_run_failure()
        for _ in range(2):
            sensor(context)
    assert taken.keys == [f"run-failed-{failed.run_id}"] * 2
    assert taken.payloads[0]["text"] == (
        f"SYNTHETIC DEMO DATA: ask_something failed: breaks: the page has no table; run {failed.run_id}"
    )
