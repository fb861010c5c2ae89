"""The event log has what Dagster's own storage has, in one file, a fraction of the size and far fewer transactions."""

import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.storage.partition_status_cache import get_and_update_asset_status_cache_value
from sqlalchemy import Engine, event, text

from pipelines.orchestration.event_log import BatchedSqliteEventLog, _compressed, _engine, _text
from pipelines.orchestration.partitions import range_tags

MONTHS = dg.MonthlyPartitionsDefinition(start_date="2000-01", end_date="2022-01", fmt="%Y-%m")
OURS = "event_log_storage: {module: pipelines.orchestration.event_log, class: BatchedSqliteEventLog}\n"
KEY = dg.AssetKey("months")


@dg.asset(
    partitions_def=MONTHS,
    backfill_policy=dg.BackfillPolicy.single_run(),
    check_specs=[dg.AssetCheckSpec("sound", asset="months")],
)
def months(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    if context.run.tags.get("fails"):
        raise dg.Failure("no response", allow_retries=False)
    return dg.MaterializeResult(
        metadata={"rows": 3, "note": "a" * 2000}, check_results=[dg.AssetCheckResult(passed=True)]
    )


@dg.asset(deps=[months])
def total() -> dg.MaterializeResult:
    return dg.MaterializeResult(metadata={"rows": 1})


JOB = dg.Definitions([months], jobs=[dg.define_asset_job("all", [months])]).resolve_job_def("all")
MADE, PLANNED = dg.DagsterEventType.ASSET_MATERIALIZATION, dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED
LOGS = dg.DagsterEventType.LOGS_CAPTURED  # names files by the process


@contextmanager
def instance_in(home: Path, settings: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    home.mkdir(exist_ok=True)
    (home / "dagster.yaml").write_text(settings)
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", "1000")
    with dg.DagsterInstance.get() as instance:
        assert isinstance(instance.event_log_storage, BatchedSqliteEventLog) is bool(settings)
        yield instance


def run(instance: dg.DagsterInstance, first: str, last: str, *, fails: bool = False) -> str:
    tags = range_tags(first, last) | ({"fails": "yes"} if fails else {})
    done = dg.materialize([months, total], instance=instance, tags=tags, raise_on_error=False)
    assert done.success is not fails
    return done.run_id


def state(instance: dg.DagsterInstance, run_ids: list[str]) -> dict[str, Any]:
    """What the UI shows of these runs and their assets."""
    latest = instance.get_latest_materialization_event(KEY)
    assert latest is not None and latest.asset_materialization is not None
    cache = get_and_update_asset_status_cache_value(instance, KEY, MONTHS)
    assert cache is not None
    checks = instance.event_log_storage.get_asset_check_execution_history(dg.AssetCheckKey(KEY, "sound"), limit=100)
    log = instance.event_log_storage
    attempts = log.get_latest_asset_partition_materialization_attempts_without_materializations(KEY)
    [last_total] = instance.fetch_materializations(dg.AssetKey("total"), limit=1).records
    assert last_total.asset_materialization is not None
    return {
        "partitions": instance.get_materialized_partitions(KEY),
        "failed": sorted(cache.deserialize_failed_partition_subsets(MONTHS).get_partition_keys()),
        "not made": {partition: run_ids.index(run_id) for partition, (run_id, _) in attempts.items()},
        "in progress": sorted(cache.deserialize_in_progress_partition_subsets(MONTHS).get_partition_keys()),
        "latest": (latest.asset_materialization.partition, dict(latest.asset_materialization.metadata)),
        "latest total": dict(last_total.asset_materialization.metadata),
        "checks": [check.status for check in checks],
        "assets": [
            sorted(key.to_user_string() for key in instance.get_asset_keys() if instance.has_asset_key(key)),
            *(sorted(map(str, log.get_asset_partitions_for_run(one, MADE))) for one in run_ids),
        ],
        "events": [
            [
                (entry.dagster_event_type, entry.step_key, entry.get_dagster_event().partition)
                for entry in instance.all_logs(one)
                if entry.is_dagster_event and entry.dagster_event_type not in {PLANNED, LOGS}
            ]
            for one in run_ids
        ],
        "in order": [(times := [e.timestamp for e in instance.all_logs(one)]) == sorted(times) for one in run_ids],
        "steps": [[(step.step_key, step.status) for step in instance.get_run_step_stats(one)] for one in run_ids],
    }


@pytest.mark.slow
def test_the_log_has_what_dagsters_own_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    states = []
    for name, settings in {"dagster": "", "ours": OURS}.items():
        with instance_in(tmp_path / name, settings, monkeypatch) as instance:
            runs = [run(instance, "2020-01", "2021-06"), run(instance, "2021-03", "2021-12", fails=True)]
            between = state(instance, runs)
            runs.append(run(instance, "2021-05", "2021-08"))
            states.append((between, state(instance, runs)))
    assert states[1] == states[0]
    first, last = states[0]
    # The comparison is not one of nothing with nothing.
    assert len(first["partitions"]) == 18
    assert first["failed"] == [f"2021-{month:02}" for month in range(3, 13)]
    assert last["failed"] == ["2021-03", "2021-04", "2021-09", "2021-10", "2021-11", "2021-12"]
    assert last["latest"][1]["note"] == dg.MetadataValue.text("a" * 2000)


@pytest.mark.slow
def test_a_run_that_goes_on_shows_its_partitions_in_progress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with instance_in(tmp_path / "ours", OURS, monkeypatch) as instance:
        instance.create_run_for_job(
            JOB, tags=range_tags("2020-01", "2020-03"), status=dg.DagsterRunStatus.STARTED, asset_selection={KEY}
        )
        cache = get_and_update_asset_status_cache_value(instance, KEY, MONTHS)
        assert cache is not None
        shown = cache.deserialize_in_progress_partition_subsets(MONTHS).get_partition_keys()
    assert sorted(shown) == ["2020-01", "2020-02", "2020-03"]


@pytest.mark.slow
def test_partitions_add_no_transactions_and_few_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commits: list[int] = []
    sizes: list[int] = []

    def count(_: object) -> None:
        commits[-1] += 1

    event.listen(Engine, "commit", count)
    try:
        for name, first in {"few": "2020-12", "many": "2001-01"}.items():
            commits.append(0)
            with instance_in(tmp_path / name, OURS, monkeypatch) as instance:
                run(instance, first, "2021-12")
            sizes.append(sum(path.stat().st_size for path in (tmp_path / name / "history").rglob("*.db")))
    finally:
        event.remove(Engine, "commit", count)
    assert commits[1] <= commits[0] + 2  # the time decides how often a connection is renewed
    assert (sizes[1] - sizes[0]) / (252 - 13) < 700  # bytes a partition, with indexes; Dagster's own: 11,600
    assert [path.name for path in (tmp_path / "many" / "history" / "runs").glob("*.db")] == ["index.db"]


@pytest.mark.slow
def test_another_process_sees_where_a_run_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a step yields may be stored at its end; its start, its lines and all earlier steps are there at once."""
    seen: dict[str, list[tuple[str | None, str | None]]] = {}

    def read_events(context: dg.AssetExecutionContext) -> None:
        with instance_in(tmp_path / "ours", OURS, monkeypatch) as other:
            entries = other.all_logs(context.run.run_id)
        step = context.op_execution_context.op.name
        seen[step] = [(one.dagster_event_type, one.step_key) for one in entries if one.step_key]

    @dg.asset(name="first", check_specs=[dg.AssetCheckSpec("sound", asset="first")])
    def first(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        read_events(context)
        return dg.MaterializeResult(check_results=[dg.AssetCheckResult(passed=True)])

    @dg.asset(deps=[first])
    def second(context: dg.AssetExecutionContext) -> None:
        context.log.info("half done")
        read_events(context)

    with instance_in(tmp_path / "ours", OURS, monkeypatch) as instance:
        run_id = dg.materialize([first, second], instance=instance).run_id
    with instance_in(tmp_path / "ours", OURS, monkeypatch) as instance:
        every = [(one.dagster_event_type, one.step_key) for one in instance.all_logs(run_id)]
    start, end = dg.DagsterEventType.STEP_START, dg.DagsterEventType.STEP_SUCCESS
    assert (start, "first") in seen["first"]
    assert {(MADE, "first"), (dg.DagsterEventType.ASSET_CHECK_EVALUATION, "first"), (end, "first")} < {*seen["second"]}
    assert {(start, "second"), (None, "second")} < {*seen["second"]}
    assert {(MADE, "second"), (end, "second"), (dg.DagsterEventType.RUN_SUCCESS, None)} < {*every}


@pytest.mark.slow
def test_a_history_of_dagsters_own_log_is_read_and_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with instance_in(tmp_path / "old", "", monkeypatch) as instance:
        runs = [run(instance, "2020-01", "2020-06"), run(instance, "2020-05", "2020-08", fails=True)]
        before = state(instance, runs)
    shutil.copytree(tmp_path / "old", tmp_path / "same")
    with instance_in(tmp_path / "same", OURS, monkeypatch) as instance:
        assert state(instance, runs) == before
        runs.append(run(instance, "2020-07", "2020-09"))
        after = state(instance, runs)
    assert after["events"][:2] == before["events"]
    assert len(after["partitions"]) == 9 and after["failed"] == ["2020-05", "2020-06"]
    with instance_in(tmp_path / "same", OURS, monkeypatch) as instance:
        for run_id in runs:
            instance.delete_run(run_id)
        assert [instance.all_logs(run_id) for run_id in runs] == [[], [], []]


@pytest.mark.slow
def test_a_watcher_gets_the_events_that_another_process_stores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen, ended = list[Any](), threading.Event()

    def notice(entry: Any, _: str) -> None:
        seen.append(entry.dagster_event_type)
        if entry.dagster_event_type == dg.DagsterEventType.RUN_SUCCESS:
            ended.set()

    with (
        instance_in(tmp_path / "ours", OURS, monkeypatch) as instance,
        instance_in(tmp_path / "ours", OURS, monkeypatch) as other,
    ):
        run_id = "0c6c1f4e-3f38-4f0e-9f05-2f4f6f5d6b11"
        other.watch_event_logs(run_id, None, notice)
        JOB.execute_in_process(instance=instance, run_id=run_id, tags=range_tags("2020-01", "2020-02"))
        assert ended.wait(20)
        other.end_watch_event_logs(run_id, notice)
    assert seen.count(MADE) == 2


def test_stored_events_can_be_read_in_every_later_version() -> None:
    """An event as version 1 of the log stores it: a changed dictionary would make every history unreadable."""
    stored = "zlib1:eLtinBcFI7WUg2VMPL4xIt835ujeASW/+HhoqYPpKTMDUyNzc3M9c1Msnjs3RcEY0omrBQDByEmE"
    entry = (
        '{"__class__": "EventLogEntry", "dagster_event": null, "error_info": null, "level": 20, "message": "", '
        '"pipeline_name": "full_run", "run_id": "7", "step_key": "lake__prices", "timestamp": 1796052777.75, '
        '"user_message": "Δ 3 rows"}'
    )
    assert _text(stored.encode()) == entry
    assert _compressed(entry) == stored


@pytest.mark.parametrize("value", ["", "zlib", "2020-01", '["lake", "prices"]', '{"__class__": "Other"}', None, 7])
def test_what_is_no_event_is_stored_as_it_is(value: object) -> None:
    assert _compressed(value) == value
    assert not isinstance(value, str) or _text(value.encode()) == value


def test_a_removed_log_is_not_written_to(tmp_path: Path) -> None:
    """A kept connection would write into the removed file: its events would be lost without an error."""
    engine = _engine(f"sqlite:///{tmp_path / 'run.db'}")
    with engine.begin() as connection:
        connection.execute(text("pragma journal_mode = wal"))
        connection.execute(text("create table events (id integer)"))
    for path in tmp_path.glob("run.db*"):
        path.unlink()
    time.sleep(1.1)
    with engine.begin() as connection:
        connection.execute(text("create table events (id integer)"))  # fails where the old file is still open
    assert (tmp_path / "run.db").is_file()


def test_the_tags_of_a_range_of_months_are_those_of_dagster() -> None:
    """Dagster's constants are private, so the project has copies of these names."""
    from dagster._core.storage.tags import ASSET_PARTITION_RANGE_END_TAG, ASSET_PARTITION_RANGE_START_TAG

    assert range_tags("2020-01", "2020-03") == {
        ASSET_PARTITION_RANGE_START_TAG: "2020-01",
        ASSET_PARTITION_RANGE_END_TAG: "2020-03",
    }
