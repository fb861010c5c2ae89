"""The asset graph: groups, dependencies, partitions and checks."""

from __future__ import annotations

import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.assets.graph.asset_graph import AssetGraph

from pipelines.common.settings import PROJECT, load_settings
from pipelines.datasets import FEEDS
from pipelines.orchestration.assets import models
from pipelines.orchestration.assets.describe import model_tags
from pipelines.orchestration.automation.release_schedule import PUBLICATIONS
from pipelines.orchestration.definitions import build_defs
from pipelines.sources import SOURCES
from pipelines.warehouse.dbt import manifest
from schemas.base import Bitemporal
from schemas.evaluation import EVALUATION
from schemas.fields import LICENCES
from schemas.marts import MARTS
from schemas.reference import REFERENCE
from schemas.signals import SIGNALS

MODELS = ("staging", "intermediate", "marts", "metrics", "signals")  # the groups of dbt's models, in their order
GROUPS = {"raw", "lake", *MODELS, "evaluation", "publish"}
RELEASE, HEALTH = dg.AssetKey(["publish", "release"]), dg.AssetKey(["publish", "run_health"])


@pytest.fixture(scope="module")
def defs() -> dg.Definitions:
    return build_defs(load_settings(profile="demo", now="2026-01-14T20:00:00Z"))


@pytest.fixture(scope="module")
def graph(defs: dg.Definitions) -> AssetGraph:
    return defs.resolve_asset_graph()


def names(keys: Iterable[dg.AssetKey]) -> set[str]:
    return {key.to_user_string() for key in keys}


def groups(graph: AssetGraph) -> dict[str, set[str]]:
    found: defaultdict[str, set[str]] = defaultdict(set)
    for key in graph.get_all_asset_keys():
        found[graph.get(key).group_name or ""].add(key.to_user_string())
    return dict(found)


@pytest.mark.slow
def test_the_groups_hold_what_the_registries_name(graph: AssetGraph) -> None:
    found = groups(graph)
    assert found.keys() == GROUPS
    reference = {f"reference/{name}" for name in [*REFERENCE, "trading_calendar"]}
    assert found["raw"] == {f"raw/{name}" for name in [*SOURCES, "drop"]} | reference
    assert found["lake"] == {f"lake/{name}" for name in FEEDS}
    assert found["marts"] == {f"marts/{name}" for name in MARTS}
    assert found["signals"] == {f"signals/{name}" for name in SIGNALS}
    assert found["evaluation"] == {f"signals/{name}" for name in EVALUATION}
    assert {RELEASE.to_user_string(), HEALTH.to_user_string()} <= found["publish"]
    assert all(name.startswith("staging/stg_") for name in found["staging"])
    assert all(name.startswith("intermediate/int_") for name in found["intermediate"])


def test_a_dataset_depends_on_its_sources_and_the_drop_folder(graph: AssetGraph) -> None:
    parents = {
        key.path[-1]: names(graph.get(key).parent_keys) for key in graph.get_all_asset_keys() if key.path[0] == "lake"
    }
    assert parents["rates"] == {"raw/nyfed", "raw/fred", "raw/drop"}
    assert parents["off_warrant"] == {"raw/drop"}
    assert parents["benchmark_prices"] == {"raw/worldbank", "raw/fred"}
    assert parents["power"] == {"raw/energy_charts", "raw/smard", "raw/entsoe", "raw/drop"}
    for name, feed in FEEDS.items():
        wanted = {f"raw/{source}" for source in feed.sources} | ({"raw/drop"} if feed.droppable else set())
        assert parents[name] == wanted


def test_dependencies_run_from_raw_to_publish(graph: AssetGraph) -> None:
    """From raw to publish and never back; staging is the only way out of the lake; it and the marts are published."""
    order = ["raw", "lake", *MODELS, "evaluation", "publish"]
    for key in graph.get_all_asset_keys():
        group = graph.get(key).group_name
        for parent in graph.get(key).parent_keys:
            before = graph.get(parent).group_name
            assert before != "lake" or group in ("lake", "staging"), f"{key} reads the lake beside its staging model"
            assert order.index(str(before)) <= order.index(str(group)), f"{key} depends on {parent}"
    published = (groups(graph)[group] for group in ("staging", "marts", "signals", "evaluation"))
    assert names(graph.get(RELEASE).parent_keys) == set().union(*published)
    assert RELEASE in graph.get(HEALTH).parent_keys


def test_extraction_shares_one_partitions_definition_and_runs_a_range_at_once(graph: AssetGraph) -> None:
    extraction = [key for key in graph.get_all_asset_keys() if key.path[0] in ("raw", "lake")]
    shared = {graph.get(key).partitions_def for key in extraction if graph.get(key).partitions_def}
    [months] = shared
    assert isinstance(months, dg.MonthlyPartitionsDefinition)
    keys = months.get_partition_keys()
    assert (keys[0], keys[-1], len(keys)) == ("2008-01", "2026-01", 18 * 12 + 1)
    for key in extraction:
        if graph.get(key).partitions_def:
            assert graph.get(key).backfill_policy == dg.BackfillPolicy.single_run(), key
    assert {graph.get(key).partitions_def for key in graph.get_all_asset_keys() if key not in extraction} == {None}
    assert all(graph.get(dg.AssetKey(["lake", name])).partitions_def for name in FEEDS)
    assert all(graph.get(dg.AssetKey(["raw", name])).partitions_def for name in SOURCES)


def test_inputs_and_outputs_have_checks(graph: AssetGraph) -> None:
    checks = defaultdict(set)
    for check in graph.asset_check_keys:
        checks[check.asset_key.to_user_string()].add(check.name)
    for name in SOURCES:
        assert checks[f"raw/{name}"] == {"requests_succeeded", "responses_within_contract"}
    assert "files_accepted" in checks["raw/drop"]
    for name in FEEDS:
        assert checks[f"lake/{name}"] >= {"rows_valid", "months_complete"}
    for key in groups(graph)["marts"] | groups(graph)["signals"] | groups(graph)["evaluation"]:
        assert f"{key.partition('/')[2]}_follows_schema" in checks[key]
    assert not any("unit_test" in name for found in checks.values() for name in found)


def test_every_asset_has_description_owners_kinds_and_tags(graph: AssetGraph) -> None:
    for key in graph.get_all_asset_keys():
        about = graph.get(key)
        assert about.description, key
        assert about.owners, key
        assert about.kinds, key
        assert about.tags.keys() >= {"source", "licence", "frequency"}, key
        assert about.tags["licence"] in LICENCES, key
        assert about.tags["frequency"] in {"daily", "weekly", "monthly", "on-change"}, key


def test_tags_follow_from_the_dependencies(graph: AssetGraph) -> None:
    def tags(name: str) -> tuple[str, ...]:
        found = graph.get(dg.AssetKey(name.split("/"))).tags
        return found["source"], found["licence"], found["frequency"]

    assert tags("raw/westmetall") == ("westmetall", "BYO", "daily")
    assert tags("lake/stocks") == ("jin10.westmetall.drop", "RESTRICTED", "daily")
    assert tags("staging/stg_exports") == ("customs.comtrade.drop", "BYO", "monthly")
    assert tags("marts/price_daily") == ("derived", "BYO", "daily")
    assert tags("marts/inventory_visible_monthly")[1:] == ("BYO", "monthly")
    assert tags("marts/tightness_daily") == ("derived", "RESTRICTED", "daily")


def test_every_table_carries_its_columns_with_units(graph: AssetGraph) -> None:
    """The run adds the columns of intermediate models, with their types."""
    tables = [
        key for key in graph.get_all_asset_keys() if key.path[0] in {"reference", "lake", "staging", "marts", "signals"}
    ]
    assert len(tables) > 50
    for key in tables:
        for column in graph.get(key).metadata["dagster/column_schema"].columns:
            where = f"{key.to_user_string()}.{column.name}"
            assert column.description, where
            if column.type in {"double", "integer", "bigint"}:
                assert column.description.endswith("]"), f"{where} has no unit"


def test_every_check_has_a_description(graph: AssetGraph) -> None:
    for key in graph.asset_check_keys:
        assert graph.get_check_spec(key).description, key


def test_lake_assets_carry_their_columns_and_units(graph: AssetGraph) -> None:
    for name, feed in FEEDS.items():
        schema = graph.get(dg.AssetKey(["lake", name])).metadata["dagster/column_schema"]
        columns = [column.name for column in schema.columns]
        own = list(feed.spec.model.to_schema().columns)
        assert columns[: len(own)] == own
        assert set(columns[len(own) :]) <= set(Bitemporal.to_schema().columns)
    prices = graph.get(dg.AssetKey(["lake", "prices"])).metadata["dagster/column_schema"]
    [cash] = [column for column in prices.columns if column.name == "cash_usd_t"]
    assert cash.description == "Cash settlement price (C) [USD/t]"


def test_one_writer_at_a_time(defs: dg.Definitions, graph: AssetGraph) -> None:
    """Every step that opens the warehouse for writing is in one pool."""
    pools = {
        key.to_user_string(): definition.op.pool
        for definition in defs.assets or []
        if isinstance(definition, dg.AssetsDefinition) and definition.op.pool
        for key in definition.keys
    }
    written = {key for group in (*MODELS, "evaluation") for key in groups(graph)[group]}
    assert pools == dict.fromkeys({*written, "publish/release", "publish/report"}, "duckdb_writer")


def test_the_jobs_run_everything_in_one_process(defs: dg.Definitions, graph: AssetGraph) -> None:
    """Everything but the evaluation, which has a job of its own."""
    for name in ("full_run", "daily_refresh"):
        job = defs.resolve_job_def(name)
        selected = names(job.asset_layer.selected_asset_keys)
        assert selected == names(graph.get_all_asset_keys()) - groups(graph)["evaluation"]
        assert job.executor_def.name == "in_process"
        steps = {node.name for node in job.nodes}
        made_of = {"extract", "load", "reference_tables", "reconcile", "models"}
        # Each step costs a run some hundredths of a second: sources, datasets and their checks have none of their own.
        assert steps == made_of | {"publish__release", "publish__report", "publish__run_health"}
    selected = names(defs.resolve_job_def("evaluate").asset_layer.selected_asset_keys)
    assert selected == groups(graph)["evaluation"] | {"publish/release", "publish/report"}


def test_schedules_and_sensors_are_stopped_by_default(defs: dg.Definitions) -> None:
    """Schedules for publications, build, refresh and evaluation; sensors for files, signals and failures."""
    repository = defs.get_repository_def()
    asking = {f"fetch_{name}" for name in PUBLICATIONS}
    scheduled = {*asking, "daily_build", "daily_refresh", "evaluate"}
    assert {schedule.name for schedule in repository.schedule_defs} == {f"{name}_schedule" for name in scheduled}
    assert {schedule.job_name for schedule in repository.schedule_defs} == scheduled
    assert {sensor.name for sensor in repository.sensor_defs} == {"drop_folder", "signal_changes", "failed_runs"}
    assert all(s.default_status == dg.DefaultScheduleStatus.STOPPED for s in repository.schedule_defs)
    assert all(s.default_status == dg.DefaultSensorStatus.STOPPED for s in repository.sensor_defs)


def test_the_job_of_a_publication_requests_its_sources_only(defs: dg.Definitions, graph: AssetGraph) -> None:
    for name, publication in PUBLICATIONS.items():
        selected = names(defs.resolve_job_def(f"fetch_{name}").asset_layer.selected_asset_keys)
        assert selected == {
            *(f"raw/{source}" for source in publication.sources or ("drop",)),
            *(f"lake/{dataset}" for dataset in publication.datasets),
        }
    built = {key for group in (*MODELS, "publish") for key in groups(graph)[group]}
    reference = {key for key in groups(graph)["raw"] if key.startswith("reference/")}
    assert names(defs.resolve_job_def("daily_build").asset_layer.selected_asset_keys) == built | reference
    dropped = names(defs.resolve_job_def("dropped_files").asset_layer.selected_asset_keys)
    droppable = {f"lake/{name}" for name, feed in FEEDS.items() if feed.droppable}
    assert dropped == built | reference | droppable | {"raw/drop"}


def test_every_dataset_and_the_publication_have_a_freshness_policy(graph: AssetGraph) -> None:
    with_policy = {key for key in graph.get_all_asset_keys() if graph.get(key).freshness_policy}
    assert names(with_policy) == {*(f"lake/{name}" for name in FEEDS), "publish/release"}


@pytest.mark.slow
def test_the_models_are_described_as_dagster_dbt_describes_them() -> None:
    """The definitions are made without that package, which imports dbt: only its own bookkeeping is left out."""
    from dagster_dbt import DagsterDbtTranslator

    known = manifest()
    assets, checks = models._specs(known)
    key, tags = partial(models._key, known), model_tags(known)

    class Translator(DagsterDbtTranslator):
        def get_asset_key(self, dbt_resource_props: Mapping[str, Any]) -> dg.AssetKey:
            return key(dbt_resource_props["unique_id"])

    translator = Translator()
    assert [spec.key for spec in assets] == [key(one) for one in known["nodes"] if one.startswith("model.")]
    for spec in assets:
        unique_id = spec.metadata[models.UNIQUE_ID]
        wanted = translator.get_asset_spec(known, unique_id, None)
        metadata = {name: value for name, value in wanted.metadata.items() if not name.startswith("dagster_dbt/")}
        assert {**metadata, models.UNIQUE_ID: unique_id} == spec.metadata, spec.key
        assert {dep.asset_key for dep in spec.deps} == {dep.asset_key for dep in wanted.deps}, spec.key
        for name in ("skippable", "code_version", "partitions_def", "automation_condition"):
            assert getattr(spec, name) == getattr(wanted, name), (spec.key, name)
        assert spec.kinds == wanted.kinds, spec.key
        assert spec.tags.items() >= tags[unique_id].items(), spec.key
    of_key = {spec.key: spec for spec in assets}
    wanted_checks = [
        check
        for unique_id, children in known["child_map"].items()
        for child in children
        if unique_id.startswith("model.") and child.startswith("test.")
        if (check := translator.get_asset_check_spec(of_key[key(unique_id)], known, child, None))
    ]
    assert {check.key for check in checks} == {check.key for check in wanted_checks}
    described = {check.key: check._replace(description=None) for check in checks}
    assert all(described[check.key] == check._replace(description=None) for check in wanted_checks)


@pytest.mark.slow
def test_no_definition_imports_dbt() -> None:
    load = "from pipelines.orchestration.definitions import defs; defs(); import sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", load], capture_output=True, text=True, check=True, cwd=PROJECT)
    assert {name.split(".")[0] for name in done.stdout.split()}.isdisjoint({"dbt", "dagster_dbt"})


@pytest.mark.slow
def test_the_ui_starts_with_an_invalid_release_calendar(tmp_path: Path) -> None:
    (tmp_path / "release_calendar.csv").write_text("nonsense")
    broken = build_defs(load_settings(profile="demo", reference_dir=tmp_path))
    assert broken.schedules
