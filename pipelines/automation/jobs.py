"""The jobs: everything for a range of months, and the daily refresh of the months that can still change."""

from __future__ import annotations

import dagster as dg

FULL_RUN = "full_run"
DAILY_REFRESH = "daily_refresh"


def jobs() -> list[dg.UnresolvedAssetJobDefinition]:
    """Both take a range of monthly partitions; unpartitioned assets run once, after those they hang on."""
    everything = dg.AssetSelection.all()
    return [
        dg.define_asset_job(
            FULL_RUN, everything, description="Extract, validate, model and publish, for a range of months."
        ),
        dg.define_asset_job(
            DAILY_REFRESH,
            everything,
            description="The same for the current month and, while late data is due, the months before it.",
        ),
    ]
