"""The jobs: everything for a range of months, what each publisher puts out, and the build that makes marts of it."""

from __future__ import annotations

from typing import Final

import dagster as dg

from pipelines.datasets import DROP, FEEDS
from pipelines.orchestration.assets.lake import RUN_HEALTH, lake_key, raw_key
from pipelines.orchestration.assets.publish import RELEASE, REPORT
from pipelines.orchestration.assets.reference import reference_key
from pipelines.orchestration.automation.release_schedule import PUBLICATIONS, Publication
from schemas.reference import REFERENCE_TABLES

FULL_RUN: Final = "full_run"
DAILY_REFRESH: Final = "daily_refresh"
DAILY_BUILD: Final = "daily_build"
DROPPED_FILES: Final = "dropped_files"


def jobs() -> list[dg.UnresolvedAssetJobDefinition]:
    """Those with monthly partitions take a range of them; unpartitioned assets run once, after those they hang on."""
    everything = dg.AssetSelection.all()
    return [
        dg.define_asset_job(
            FULL_RUN, everything, description="Extract, validate, model and publish, for a range of months."
        ),
        dg.define_asset_job(
            DAILY_REFRESH,
            everything,
            description=(
                "Everything, for the current month and the months before it of which something is still due. Its "
                "schedule knows these months: test a tick of it and launch that. Launched from here, choose them."
            ),
        ),
        dg.define_asset_job(
            DAILY_BUILD,
            built(),
            description="Models, publication and health of what the lake holds. Asks nobody and takes no months.",
        ),
        dg.define_asset_job(
            DROPPED_FILES,
            dg.AssetSelection.assets(raw_key(DROP), *(lake_key(feed.name) for feed in FEEDS.values() if feed.droppable))
            | built(),
            description="Files in the drop folder and what hangs on them. Its sensor asks for their datasets only.",
        ),
        *(
            dg.define_asset_job(
                ask_job(publication),
                dg.AssetSelection.assets(
                    *(raw_key(source) for source in publication.sources or (DROP,)),
                    *(lake_key(dataset) for dataset in publication.datasets),
                ),
                description=f"{publication.title}: asked, validated and put into the lake.",
            )
            for publication in PUBLICATIONS.values()
        ),
    ]


def ask_job(publication: Publication) -> str:
    """Name of a publication's job."""
    return f"ask_{publication.name}"


def built() -> dg.AssetSelection:
    """All models, the publication and the health of the run.

    Never a part of the models: a release is as of one moment, and a part would carry another one than the rest. That is
    also why they have no automation conditions, which ask for the models that hang on a changed dataset and no others;
    and as-of rows are those of 18:00 London, so that a build after each of a dozen publications a day would publish
    nothing that the daily one does not.
    """
    groups = dg.AssetSelection.groups("staging", "intermediate", "marts", "metrics", "signals")
    references = [reference_key(name) for name in REFERENCE_TABLES]
    return groups | dg.AssetSelection.assets(*references, RELEASE, REPORT, RUN_HEALTH)
