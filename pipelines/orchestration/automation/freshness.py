"""When a dataset is late: a time window as long as the longest wait between two of its releases, and some grace.

Not cron lines: those know no holidays, and would call every dataset late on Christmas.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import dagster as dg
import numpy as np
import pandas as pd

from pipelines.common.calendar import DECISION_TIME, DECISION_ZONE, is_london_business_day, to_utc
from pipelines.datasets import DROP, FEEDS
from pipelines.orchestration.automation.release_schedule import ASK_AFTER, LATE_DAYS, SAMPLE, releases
from schemas.base import columns_of

GRACE: Final = {"daily": timedelta(days=1), "monthly": timedelta(days=LATE_DAYS)}


def dataset_freshness(dataset: str, rules: pd.DataFrame) -> dg.FreshnessPolicy:
    """Warns when a release of the first believed source has surely passed since the last run, fails a grace later."""
    feed = FEEDS[dataset]
    known = releases(dataset, feed.sources[0] if feed.sources else DROP, rules)
    # Where two months may come as one, one of the releases has nothing of its own.
    step = 2 if "period_months" in columns_of(feed.spec.model) else 1
    return _policy(known, step, GRACE[feed.spec.cadence])


def release_freshness() -> dg.FreshnessPolicy:
    """The publication's: every London business day has a build."""
    days = np.arange(SAMPLE[0].to_numpy(), SAMPLE[1].to_numpy(), dtype="datetime64[D]")
    known = to_utc(days[is_london_business_day(days)], DECISION_TIME, DECISION_ZONE)
    return _policy(pd.Series(known), 1, GRACE["daily"])


def _policy(known: pd.Series, step: int, grace: timedelta) -> dg.FreshnessPolicy:
    longest = (known - known.shift(step)).max().to_pytimedelta() + ASK_AFTER
    return dg.FreshnessPolicy.time_window(fail_window=longest + grace, warn_window=longest)
