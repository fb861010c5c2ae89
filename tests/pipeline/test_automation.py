"""The runs that schedules and sensors request: on a small demo, in this process, on an instance of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest
from sandbox import OURS, Sandbox

from pipelines.common.settings import load_settings
from pipelines.ingestion.load import Ingestion
from pipelines.orchestration.automation.jobs import DAILY_BUILD, DROPPED_FILES
from pipelines.orchestration.definitions import build_defs
from pipelines.orchestration.resources import WorkspaceResource

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def sandbox(demo_of_months: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """The published demo; this process has its environment."""
    sandbox = demo_of_months.copy(tmp_path_factory.mktemp("automation"))
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(OURS)]:
            patch.delenv(name)
        for name, value in sandbox.environment().items():
            patch.setenv(name, value)
        patch.chdir(sandbox.root)
        yield sandbox


@pytest.fixture(scope="module")
def defs(sandbox: Sandbox) -> dg.Definitions:
    return build_defs(load_settings())


@pytest.fixture(scope="module")
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def scheduled(defs: dg.Definitions, instance: dg.DagsterInstance, name: str, moment: str) -> dg.RunRequest:
    schedule = defs.resolve_schedule_def(f"{name}_schedule")
    context = dg.build_schedule_context(
        instance=instance,
        scheduled_execution_time=pd.Timestamp(moment).to_pydatetime(),
        resources={"workspace": WorkspaceResource()},
    )
    [request] = schedule.evaluate_tick(context).run_requests or []
    return request


def run(
    defs: dg.Definitions, instance: dg.DagsterInstance, job: str, request: dg.RunRequest
) -> dg.ExecuteInProcessResult:
    return defs.resolve_job_def(job).execute_in_process(
        instance=instance,
        tags=request.tags,
        asset_selection=list(request.asset_selection) if request.asset_selection else None,
        raise_on_error=False,
    )


def test_ticks_of_a_day_publish_its_figures(
    sandbox: Sandbox, defs: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    before = sandbox.query("select max(obs_date) as day from marts.price_daily").day[0]
    requested = run(defs, instance, "fetch_lme", scheduled(defs, instance, "fetch_lme", "2026-01-14T09:05Z"))
    assert requested.success
    events = requested.get_asset_materialization_events()
    assert {event.asset_key.to_user_string() for event in events if event.asset_key} == {
        *("raw/westmetall", "raw/jin10", "lake/prices", "lake/stocks", "lake/spreads")
    }
    assert {event.partition for event in events} == {"2026-01"}
    built = run(defs, instance, DAILY_BUILD, scheduled(defs, instance, DAILY_BUILD, "2026-01-14T18:15Z"))
    assert built.success
    after = sandbox.query("select max(obs_date) as day from marts.price_daily").day[0]
    assert before < pd.Timestamp("2026-01-01") < after


def test_ticks_of_the_drop_folder_publish_a_file_whose_first_run_failed(
    sandbox: Sandbox, defs: dg.Definitions, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    sensor, cursor = defs.resolve_sensor_def("drop_folder"), None

    def tick() -> dg.RunRequest | None:
        nonlocal cursor
        with dg.build_sensor_context(
            instance, cursor=cursor, resources={"workspace": WorkspaceResource()}, definitions=defs
        ) as context:
            done = sensor.evaluate_tick(context)
        cursor = done.cursor
        [request] = done.run_requests or [None]
        return request

    def killed(*_: object, **__: object) -> None:
        raise OSError("killed")

    sandbox.drop(
        "prices/mine.csv",
        pd.DataFrame({"metal": "AL", "obs_date": ["2025-12-10"], "cash_usd_t": 1234.5, "m3_usd_t": 1250.0}),
    )
    assert tick() is None
    request = tick()
    assert request is not None
    with monkeypatch.context() as patch:
        patch.setattr(Ingestion, "run", killed)
        assert not run(defs, instance, DROPPED_FILES, request).success
    repeated = tick()
    assert repeated is not None
    assert repeated.run_key != request.run_key
    done = run(defs, instance, DROPPED_FILES, repeated)
    assert done.success
    assert {event.asset_key.path[-1] for event in done.get_asset_materialization_events() if event.partition} == {
        *("drop", "prices")
    }
    stored = sandbox.query("select cash_usd_t, licence_class from marts.price_daily where obs_date = '2025-12-10'")
    assert list(stored.cash_usd_t) == [1234.5]
    assert tick() is None


@pytest.mark.parametrize(("tags", "stored"), [({}, 0), ({"dagster/schedule_name": "fetch_lme_schedule"}, 1)])
def test_a_scheduled_run_loads_a_pending_file_of_other_months(
    defs: dg.Definitions,
    instance: dg.DagsterInstance,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    tags: dict[str, str],
    stored: int,
) -> None:
    own = Sandbox(tmp_path, "drop", "2026-01-14T20:00:00Z")
    for name, value in own.environment().items():
        monkeypatch.setenv(name, value)
    own.drop("prices/mine.csv", "metal,obs_date,cash_usd_t,m3_usd_t\nAL,2024-05-06,1234.5,1250\n")
    months = {f"dagster/asset_partition_range_{end}": "2026-01" for end in ("start", "end")}
    request = dg.RunRequest(tags=months | tags, asset_selection=[dg.AssetKey(["lake", "prices"])])
    assert run(defs, instance, "fetch_lme", request).success
    assert len(own.open().lake.read("prices")) == stored


def test_a_tick_after_a_build_delivers_the_published_changes(
    sandbox: Sandbox, defs: dg.Definitions, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The real table has what a message needs. Since 2008, so that there are changes."""
    changes = sandbox.query("select transition_id from signals.signal_transitions")
    assert len(changes)
    monkeypatch.setenv("TIGHTNESS_NOTIFY_SINCE", "2008-01-01T00:00:00Z")
    with dg.build_sensor_context(instance, resources={"workspace": WorkspaceResource()}, definitions=defs) as context:
        message = defs.resolve_sensor_def("signal_changes").evaluate_tick(context).skip_message
    assert message is not None
    assert message.endswith(f"{len(changes)} delivered, 0 waiting")
    assert not list(Path(sandbox.data / "warehouse" / "outbox").glob("*.json"))
