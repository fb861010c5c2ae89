"""Jobs: everything for a range of months, one fetch a publication, and the build of marts and release."""

from __future__ import annotations

from typing import Final

import dagster as dg

from pipelines.datasets import DROP, FEEDS
from pipelines.orchestration.assets.evaluation import GROUP
from pipelines.orchestration.assets.lake import RUN_HEALTH, lake_key
from pipelines.orchestration.assets.publish import RELEASE, REPORT
from pipelines.orchestration.assets.raw import raw_key
from pipelines.orchestration.assets.reference import reference_key
from pipelines.orchestration.automation.release_schedule import PUBLICATIONS, Publication
from schemas.reference import REFERENCE_TABLES

FULL_RUN: Final = "full_run"
DAILY_REFRESH: Final = "daily_refresh"
DAILY_BUILD: Final = "daily_build"
DROPPED_FILES: Final = "dropped_files"
EVALUATE: Final = "evaluate"


def jobs() -> list[dg.UnresolvedAssetJobDefinition]:
    """All jobs. Partitioned assets run for a range of months, unpartitioned ones once, after their upstream assets."""
    # An evaluation takes longer than all the rest, and a day changes little in it.
    everything = dg.AssetSelection.all() - dg.AssetSelection.groups(GROUP)
    return [
        dg.define_asset_job(
            FULL_RUN, everything, description="Extract, validate, model and publish, for a range of months."
        ),
        dg.define_asset_job(
            DAILY_REFRESH,
            everything,
            description=(
                "Everything, for the current month and earlier months with figures that are still due. The schedule "
                "computes these months: to launch it by hand, test a tick of the schedule, or choose the months here."
            ),
        ),
        dg.define_asset_job(
            DAILY_BUILD,
            built(),
            description="Models, release, report and health check from the data in the lake. No requests, no months.",
        ),
        dg.define_asset_job(
            EVALUATE,
            dg.AssetSelection.groups(GROUP) | dg.AssetSelection.assets(RELEASE, REPORT),
            description="The evaluation of the signals, where anything that it rests on has changed, and its release.",
        ),
        dg.define_asset_job(
            DROPPED_FILES,
            dg.AssetSelection.assets(raw_key(DROP), *(lake_key(feed.name) for feed in FEEDS.values() if feed.droppable))
            | built(),
            description="Files in the drop folder, their datasets and the build. The sensor selects the datasets.",
        ),
        *(
            dg.define_asset_job(
                fetch_job(publication),
                dg.AssetSelection.assets(
                    *(raw_key(source) for source in publication.sources or (DROP,)),
                    *(lake_key(dataset) for dataset in publication.datasets),
                ),
                description=f"{publication.title}: fetched, validated and loaded into the lake.",
            )
            for publication in PUBLICATIONS.values()
        ),
    ]


def fetch_job(publication: Publication) -> str:
    """Name of a publication's job."""
    return f"fetch_{publication.name}"


def built() -> dg.AssetSelection:
    """All models, the release, the report and the health check.

    Always all models: a release is as of one moment, and models built separately would differ in it. For the same
    reason they have no automation conditions, which would build only the models downstream of a changed dataset. As-of
    rows are those of 18:00 London, so that a build after each of a dozen publications a day would add nothing.
    """
    groups = dg.AssetSelection.groups("staging", "intermediate", "marts", "metrics", "signals")
    references = [reference_key(name) for name in REFERENCE_TABLES]
    return groups | dg.AssetSelection.assets(*references, RELEASE, REPORT, RUN_HEALTH)
