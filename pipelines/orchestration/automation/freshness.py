"""Freshness policies: a dataset is late after the longest time between two of its releases, plus a grace period.

Time windows, not cron lines: cron has no holidays, and every dataset would be late on Christmas Day.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import dagster as dg
import numpy as np
import pandas as pd

from pipelines.common.calendar import DECISION_TIME, DECISION_ZONE, is_london_business_day, to_utc
from pipelines.datasets import DROP, FEEDS
from pipelines.orchestration.automation.release_schedule import FETCH_AFTER, LATE_DAYS, SAMPLE, releases
from schemas.base import columns_of

GRACE: Final = {"daily": timedelta(days=1), "monthly": timedelta(days=LATE_DAYS)}


def policy(windows: tuple[float, float]) -> dg.FreshnessPolicy:
    """The policy that warns and fails after these seconds."""
    warn, fail = (timedelta(seconds=seconds) for seconds in windows)
    return dg.FreshnessPolicy.time_window(fail_window=fail, warn_window=warn)


def dataset_windows(dataset: str, rules: pd.DataFrame) -> tuple[float, float]:
    """Seconds of a dataset: warn when a release of its first source has passed since the last run, fail later."""
    feed = FEEDS[dataset]
    known = releases(dataset, feed.sources[0] if feed.sources else DROP, rules)
    # Where two months are released as one, one of the two releases has no figure of its own.
    step = 2 if "period_months" in columns_of(feed.spec.model) else 1
    return _windows(known, step, GRACE[feed.spec.cadence])


def release_windows() -> tuple[float, float]:
    """Seconds of the release: one build every London business day."""
    days = np.arange(SAMPLE[0].to_numpy(), SAMPLE[1].to_numpy(), dtype="datetime64[D]")
    known = to_utc(days[is_london_business_day(days)], DECISION_TIME, DECISION_ZONE)
    return _windows(pd.Series(known), 1, GRACE["daily"])


def _windows(known: pd.Series, step: int, grace: timedelta) -> tuple[float, float]:
    longest = (known - known.shift(step)).max().to_pytimedelta() + FETCH_AFTER
    return longest.total_seconds(), (longest + grace).total_seconds()
