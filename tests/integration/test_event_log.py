"""The batched event log stores the same events as Dagster's own storage, in far fewer transactions."""

import time
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from sqlalchemy import text

from pipelines.orchestration.event_log import BatchedSqliteEventLog, _engine
from pipelines.orchestration.partitions import range_tags

MONTHS = dg.MonthlyPartitionsDefinition(start_date="2020-01", end_date="2022-01", fmt="%Y-%m")


@dg.asset(
    partitions_def=MONTHS,
    backfill_policy=dg.BackfillPolicy.single_run(),
    check_specs=[dg.AssetCheckSpec("sound", asset="months")],
)
def months() -> dg.MaterializeResult:
    return dg.MaterializeResult(metadata={"rows": 3}, check_results=[dg.AssetCheckResult(passed=True)])


def events(home: Path, settings: str, monkeypatch: pytest.MonkeyPatch) -> tuple[dict[str, Any], int]:
    """The state of the instance after a run over all months, and the number of events that were stored one by one."""
    home.mkdir()
    (home / "dagster.yaml").write_text(settings)
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    singly: list[object] = []
    # Dagster's own class is patched: the batched one inherits what it does not do itself.
    from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage

    original = SqliteEventLogStorage.store_event

    def counted(self: SqliteEventLogStorage, event: Any) -> None:
        singly.append(event)
        original(self, event)

    monkeypatch.setattr(SqliteEventLogStorage, "store_event", counted)
    with dg.DagsterInstance.get() as instance:
        done = dg.materialize(
            [months],
            instance=instance,
            tags={"dagster/asset_partition_range_start": "2020-01", "dagster/asset_partition_range_end": "2021-12"},
        )
        assert done.success
        key = dg.AssetKey("months")
        latest = instance.get_latest_materialization_event(key)
        assert latest is not None and latest.asset_materialization is not None
        run_events = instance.all_logs(done.run_id)
        checks = instance.event_log_storage.get_asset_check_execution_history(dg.AssetCheckKey(key, "sound"), limit=100)
        known = {
            "partitions": instance.get_materialized_partitions(key),
            "latest": (latest.asset_materialization.partition, dict(latest.asset_materialization.metadata)),
            "checks": [check.status for check in checks],
            "planned": sorted(
                event.get_dagster_event().partition or ""
                for event in run_events
                if event.dagster_event_type == dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED
            ),
            "materialized": sum(
                event.dagster_event_type == dg.DagsterEventType.ASSET_MATERIALIZATION for event in run_events
            ),
        }
        if settings:
            assert isinstance(instance.event_log_storage, BatchedSqliteEventLog)
    monkeypatch.setattr(SqliteEventLogStorage, "store_event", original)
    return known, len(singly)


@pytest.mark.slow
def test_a_backfill_is_stored_as_by_dagster_in_fewer_transactions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", "1000")
    ours = "event_log_storage: {module: pipelines.orchestration.event_log, class: BatchedSqliteEventLog}\n"
    expected, one_by_one = events(tmp_path / "dagster", "", monkeypatch)
    known, batched = events(tmp_path / "ours", ours, monkeypatch)
    assert len(expected["partitions"]) == len(expected["planned"]) == expected["materialized"] == 24
    assert known == expected
    # 24 planned and 24 materialised partitions are stored in batches; the check between the planned ones is not.
    assert batched == one_by_one - 48


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
