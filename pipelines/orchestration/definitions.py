"""The code location: wiring only."""

from __future__ import annotations

import atexit
import gc
import sys
import warnings

import dagster as dg

from pipelines.common.settings import Settings, load_settings

warnings.filterwarnings("ignore", category=dg.BetaWarning)
warnings.filterwarnings("ignore", category=dg.PreviewWarning)


def build_defs(settings: Settings, **resource_overrides: object) -> dg.Definitions:
    """All assets, checks, jobs, schedules and sensors for these settings; `resource_overrides` replace resources."""
    from pipelines.datasets import FEEDS
    from pipelines.orchestration.assets.evaluation import evaluation
    from pipelines.orchestration.assets.lake import lake_assets
    from pipelines.orchestration.assets.models import model_assets
    from pipelines.orchestration.assets.publish import release, report, run_health
    from pipelines.orchestration.assets.raw import raw_assets
    from pipelines.orchestration.assets.reconciliation import cross_checks
    from pipelines.orchestration.assets.reference import reference_tables
    from pipelines.orchestration.automation.freshness import policy
    from pipelines.orchestration.automation.jobs import jobs
    from pipelines.orchestration.automation.schedules import schedules
    from pipelines.orchestration.automation.sensors import sensors
    from pipelines.orchestration.automation.timetable import store, timetable
    from pipelines.orchestration.partitions import monthly
    from pipelines.orchestration.resources import WorkspaceResource, no_step_progress

    partitions = monthly(settings)
    times, models = timetable(settings), model_assets(after_build=store)
    built = [*models.keys, *release.keys, *report.keys, *run_health.keys]
    definitions = dg.Definitions(
        assets=[
            raw_assets(partitions),
            reference_tables,
            lake_assets(partitions, {name: policy(times.windows[name]) for name in FEEDS}),
            models,
            evaluation,
            _fresh(release, policy(times.windows[""])),
            report,
            run_health,
        ],
        asset_checks=[cross_checks()],
        jobs=jobs(),
        schedules=schedules(times.crons),
        sensors=sensors(built),
        resources={"workspace": WorkspaceResource(), "progress": no_step_progress, **resource_overrides},
        # In separate processes each step would repeat the imports, which take some seconds.
        executor=dg.in_process_executor,
    )
    # The libraries and definitions stay until the process ends: it neither looks for garbage among them nor frees them,
    # which would take half as long as the imports.
    gc.freeze()
    return definitions


@atexit.register
def _free() -> None:
    """Let the interpreter free everything where DuckDB is loaded, which otherwise prints what is not freed."""
    if "duckdb" in sys.modules:
        gc.unfreeze()


def _fresh(asset: dg.AssetsDefinition, policy: dg.FreshnessPolicy) -> dg.AssetsDefinition:
    return asset.map_asset_specs(lambda spec: dg.apply_freshness_policy(spec, policy))


@dg.definitions
def defs() -> dg.Definitions:
    """The definitions that `workspace.yaml` loads, for the environment's settings at that time."""
    return build_defs(load_settings())
