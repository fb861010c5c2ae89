"""The one partitions definition: months since 2008, shared by every time-based extraction."""

from __future__ import annotations

from datetime import UTC, datetime

import dagster as dg
import pandas as pd

from pipelines.common.calendar import FIRST_MONTH, month_of
from pipelines.common.settings import Settings

KEY_FORMAT = "%Y-%m"
# Tags by which Dagster runs a range of partitions in one run. Their constants are private; a test compares them.
RANGE_START, RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"


def monthly(settings: Settings) -> dg.MonthlyPartitionsDefinition:
    """Months from 2008-01 to the month of the clock, inclusive."""
    if settings.now is None:
        return dg.MonthlyPartitionsDefinition(start_date=FIRST_MONTH, fmt=KEY_FORMAT, end_offset=1)
    following = pd.Period(month_of(settings.now), "M") + 1
    # Without an offset Dagster leaves out months that have not ended by the system's clock. Each one costs time.
    ahead = (following - pd.Period(month_of(datetime.now(UTC)), "M")).n
    return dg.MonthlyPartitionsDefinition(
        start_date=FIRST_MONTH, end_date=str(following), fmt=KEY_FORMAT, end_offset=max(ahead, 1)
    )


def months(context: dg.AssetExecutionContext) -> list[pd.Period]:
    """The months of a run."""
    return [pd.Period(key, "M") for key in context.partition_keys]


def range_tags(first: str, last: str) -> dict[str, str]:
    """Tags of one run over a range of months."""
    return {RANGE_START: first, RANGE_END: last}
