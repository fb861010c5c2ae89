"""Knowledge times of rows: since when their values could be known, and on what basis. Pure."""

from __future__ import annotations

from typing import Final

import pandas as pd

from pipelines.common.calendar import entities_with_rules, release_times
from pipelines.datasets import Feed
from schemas.base import Spec

# A publisher's timestamp that is earlier than the scheduled release by more than this is treated as an error.
MAX_EARLY: Final = pd.Timedelta(days=1)
OBSERVED: Final = "OBSERVED"
UTC_US: Final = "datetime64[us, UTC]"


def knowledge_times(
    rows: pd.DataFrame,
    feed: Feed,
    source: str,
    rules: pd.DataFrame,
    captured: pd.Series,
    published_by: pd.Series | None = None,
) -> pd.DataFrame:
    """knowledge_ts (UTC), knowledge_basis and explicit_knowledge of each row of one source.

    The time is the row's own `knowledge_ts` where it has one, else the release calendar's (`rules`), but no later than
    the publisher's timestamp of the response (`published_by`) or its capture. `published_by` is None for drop files:
    their capture time is not a time of publication. Both are by row, UTC.
    """
    known = release_times(rows[feed.spec.period], feed.name, source, rules)
    for entity in entities_with_rules(feed.name, rules):
        is_own = rows[feed.spec.entity] == entity
        if is_own.any():
            known[is_own] = release_times(rows.loc[is_own, feed.spec.period], feed.name, source, rules, entity)
    if published_by is not None:
        scheduled = known["knowledge_ts"]
        is_plausible = published_by >= scheduled - MAX_EARLY
        out = published_by.where(is_plausible, scheduled)
        out = out.where(out <= captured, captured)  # numpy's minimum makes a Python object of each time
        is_early = scheduled > out
        known.loc[is_early, "knowledge_ts"] = out[is_early]
        known.loc[is_early, "knowledge_basis"] = OBSERVED
    own = rows["knowledge_ts"] if "knowledge_ts" in rows else pd.Series(pd.NaT, rows.index, dtype=UTC_US)
    is_explicit = own.notna()
    known.loc[is_explicit, "knowledge_ts"] = own[is_explicit]
    known.loc[is_explicit, "knowledge_basis"] = OBSERVED
    return known.assign(explicit_knowledge=is_explicit)


def period_starts(rows: pd.DataFrame, spec: Spec) -> pd.Series:
    """First day of each row's period: the day itself, or the first of the month or of several pooled months."""
    ends: pd.Series = rows[spec.period]
    if "period_months" in rows:
        ends = ends - pd.to_timedelta(31 * (rows["period_months"] - 1), unit="D")  # a day in the first month
    elif spec.cadence != "monthly":
        return ends
    return pd.Series(ends.dt.to_period("M").dt.to_timestamp())
