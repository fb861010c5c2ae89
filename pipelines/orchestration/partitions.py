"""The one partitions definition: months since 2008, shared by every time-based extraction."""

from __future__ import annotations

import dagster as dg
import pandas as pd

from pipelines.common.calendar import FIRST_MONTH, month_of
from pipelines.common.settings import Settings

KEY_FORMAT = "%Y-%m"
AHEAD = 1200  # months that a fixed clock may stand before the system's; the end date bounds them


def monthly(settings: Settings) -> dg.MonthlyPartitionsDefinition:
    """Months from 2008-01 to the clock's month, that one included."""
    if settings.now is None:
        return dg.MonthlyPartitionsDefinition(start_date=FIRST_MONTH, fmt=KEY_FORMAT, end_offset=1)
    following = str(pd.Period(month_of(settings.now), "M") + 1)
    # Without an offset Dagster leaves out what the system's clock has not ended: the month of a clock fixed to today.
    return dg.MonthlyPartitionsDefinition(start_date=FIRST_MONTH, end_date=following, fmt=KEY_FORMAT, end_offset=AHEAD)


def months(context: dg.AssetExecutionContext) -> list[pd.Period]:
    """The months of a run, one or many."""
    return [pd.Period(key, "M") for key in context.partition_keys]
