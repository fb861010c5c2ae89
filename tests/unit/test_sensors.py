"""Ticks of the sensors: one run for each dropped content, one message for each transition and each failed run."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import dagster as dg
import duckdb
import pytest

from pipelines.orchestration.automation.sensors import sensors
from pipelines.orchestration.resources import WorkspaceResource

BUILT = [dg.AssetKey(["publish", "release"])]
HEADER = "metal,obs_date,cash_usd_t,m3_usd_t\n"
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


@pytest.fixture
def watched(instance: dg.DagsterInstance) -> Ticking:
    return Ticking("drop_folder", instance)


def drop(sandbox: Path, name: str, text: str, changed: int) -> Path:
    path = sandbox / "drop" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, ns=(changed, changed))
    return path


def rows(*days: str) -> str:
    return HEADER + "".join(f"AL,{day},3000,3010\n" for day in days)


def test_a_file_runs_once_for_its_dataset_and_months(sandbox: Path, watched: Ticking) -> None:
    assert watched.skip() == "nothing new in the drop folder", "there is no folder"
    drop(sandbox, "prices/a.csv", rows("2024-03-04", "2024-05-06"), 1)
    assert "prices/a.csv" in watched.skip(), "it may still be written"
    request = watched.run()
    assert (request.tags[START], request.tags[END]) == ("2024-03", "2024-05")
    assert request.asset_selection == [dg.AssetKey(["raw", "drop"]), dg.AssetKey(["lake", "prices"]), *BUILT]
    for _ in range(3):
        assert watched.skip() == "nothing new in the drop folder"


def test_a_file_that_grows_waits(sandbox: Path, watched: Ticking) -> None:
    for step in range(1, 4):
        drop(sandbox, "prices/a.csv", rows(*["2024-03-04"] * step), step)
        assert "prices/a.csv" in watched.skip()
    assert watched.run().run_key


def test_a_new_modification_time_is_no_change_and_a_returned_content_is_one(sandbox: Path, watched: Ticking) -> None:
    keys = []
    for step, days in enumerate([("2024-03-04",), ("2024-06-03",), ("2024-03-04",)]):
        drop(sandbox, "prices/a.csv", rows(*days), 10 + step)
        watched.skip()
        request = watched.run()
        keys.append(request.run_key)
    assert len(set(keys)) == 3
    assert (request.tags[START], request.tags[END]) == ("2024-03", "2024-06"), "the replaced content as well"
    drop(sandbox, "prices/a.csv", rows("2024-03-04"), 99)
    assert "prices/a.csv" in watched.skip()
    assert watched.skip() == "nothing new in the drop folder"


def test_a_lost_cursor_requests_a_run_with_the_same_key(
    sandbox: Path, instance: dg.DagsterInstance, watched: Ticking
) -> None:
    drop(sandbox, "prices/a.csv", rows("2024-03-04"), 1)
    watched.skip()
    other = Ticking("drop_folder", instance)
    other.skip()
    assert watched.run().run_key == other.run().run_key, "Dagster runs a key once"


def test_a_file_that_comes_back_is_a_change(sandbox: Path, watched: Ticking) -> None:
    path = drop(sandbox, "prices/a.csv", rows("2024-03-04"), 1)
    watched.skip()
    first = watched.run().run_key
    path.unlink()
    assert watched.skip() == "nothing new in the drop folder"
    drop(sandbox, "prices/a.csv", rows("2024-03-04"), 1)
    watched.skip()
    assert watched.run().run_key != first


def test_several_files_are_one_run(sandbox: Path, watched: Ticking) -> None:
    drop(sandbox, "prices/a.csv", rows("2024-03-04"), 1)
    drop(sandbox, "stocks/b.csv", "metal,obs_date,total_t\nAL,2025-01-06,100\n", 1)
    watched.skip()
    request = watched.run()
    assert (request.tags[START], request.tags[END]) == ("2024-03", "2025-01")
    assert [key.path[-1] for key in request.asset_selection or []] == ["drop", "prices", "stocks", "release"]


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
    for _ in range(3):
        assert watched.skip() == "nothing new in the drop folder"


def test_a_file_of_no_dataset_starts_no_run(sandbox: Path, watched: Ticking) -> None:
    drop(sandbox, "notes/a.txt", "hello", 1)
    drop(sandbox, "prices/.a.csv.part", "half", 1)
    assert watched.skip() == watched.skip() == "nothing new in the drop folder"


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
    (folder / "marts.duckdb").unlink(missing_ok=True)
    with duckdb.connect(str(folder / "marts.duckdb")) as connection:
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
