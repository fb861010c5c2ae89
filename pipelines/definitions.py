"""The code location: wiring only."""

import warnings

import dagster as dg

from pipelines.settings import Settings, load_settings

warnings.filterwarnings("ignore", category=dg.BetaWarning)
warnings.filterwarnings("ignore", category=dg.PreviewWarning)


def build_defs(settings: Settings, **resource_overrides: object) -> dg.Definitions:
    """All assets, checks and jobs, for these settings; tests put other resources in."""
    from pipelines.assets.lake import dataset_asset, drop_asset, source_asset
    from pipelines.assets.models import model_assets
    from pipelines.assets.partitions import monthly
    from pipelines.assets.publish import release, report, run_health
    from pipelines.assets.reference import reference_tables
    from pipelines.assets.resources import WorkspaceResource
    from pipelines.automation.jobs import jobs
    from pipelines.datasets import FEEDS
    from pipelines.sources import SOURCES

    partitions = monthly(settings)
    return dg.Definitions(
        assets=[
            *(source_asset(name, partitions) for name in SOURCES),
            drop_asset(partitions),
            reference_tables,
            *(dataset_asset(feed, partitions) for feed in FEEDS.values()),
            model_assets(),
            release,
            report,
            run_health,
        ],
        jobs=jobs(),
        resources={"workspace": WorkspaceResource(), **resource_overrides},
        # A step in a process of its own would pay the imports again, some seconds each.
        executor=dg.in_process_executor,
    )


@dg.definitions
def defs() -> dg.Definitions:
    """What `workspace.yaml` loads: the definitions for the environment's settings, read when asked."""
    return build_defs(load_settings())
