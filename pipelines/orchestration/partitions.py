"""The one partitions definition: months since 2008, shared by every time-based extraction."""

from __future__ import annotations

import dagster as dg
import pandas as pd

from pipelines.common.calendar import FIRST_MONTH, month_of
from pipelines.common.settings import Settings

KEY_FORMAT = "%Y-%m"
OFFSET = 1200  # months by which a fixed clock may be ahead of the system's; the end date bounds them
# Tags by which Dagster runs a range of partitions in one run. Their constants are private; a test compares them.
RANGE_START, RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"


def monthly(settings: Settings) -> dg.MonthlyPartitionsDefinition:
    """Months from 2008-01 to the month of the clock, inclusive."""
    if settings.now is None:
        return dg.MonthlyPartitionsDefinition(start_date=FIRST_MONTH, fmt=KEY_FORMAT, end_offset=1)
    following = str(pd.Period(month_of(settings.now), "M") + 1)
    # Without an offset Dagster leaves out a month that has not ended by the system's clock.
    return dg.MonthlyPartitionsDefinition(start_date=FIRST_MONTH, end_date=following, fmt=KEY_FORMAT, end_offset=OFFSET)


def months(context: dg.AssetExecutionContext) -> list[pd.Period]:
    """The months of a run."""
    return [pd.Period(key, "M") for key in context.partition_keys]


def range_tags(first: str, last: str) -> dict[str, str]:
    """Tags of one run over a range of months."""
    return {RANGE_START: first, RANGE_END: last}
