"""Reconciliation: comparison of two publishers of the same figure.

It finds errors that the inspection of one source cannot find: two columns swapped, a unit off by 3 percent. Limits are
well above the usual differences between publishers, so that a failed comparison deserves a look. The comparisons are
pure functions of frames; only `comparable_rows` reads the archive.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

import numpy as np
import pandas as pd

from pipelines.common.calendar import FIRST_MONTH, business_days, month_of, months_between
from pipelines.ingestion.extract import plan_requests
from pipelines.ingestion.inspection import newest_response, parse
from pipelines.sources.base import NoData, Request, Scope, SourceError
from pipelines.transports.archive import Archive

MONTHS: Final = 13  # newest months that are compared; earlier ones were compared when they were new


@dataclass(frozen=True)
class Limits:
    """Differences beyond which a comparison warns and fails, in its unit."""

    warn: float
    fail: float
    unit: str


# Daily LME cash against the World Bank's months 2008-2026: 0.2 % on average, 1.13 % in the worst of 221 months.
MONTHLY_MEANS: Final = Limits(1.0, 2.0, "%")
# A rate is published to the basis point, and the second publisher copies it.
RATE: Final = Limits(0.5, 5.0, "bp")
# Two rates of one market, monthly medians: -8 to 5.5 bp in the months from 2018-04 to 2025-03.
RATE_CHAIN: Final = Limits(10.0, 25.0, "bp")
# One auction, published to the cent; a day of which one publisher has a corrected hour differs by some tens of cents.
POWER: Final = Limits(0.05, 1.0, "EUR/MWh")
# Two copies of one report in lots of 25 t: beyond a lot, a thousandth is another report, 2 % another quantity.
STOCK: Final = Limits(0.1, 2.0, "%")
LOT_T: Final = 25.0
WHOLE_MONTH: Final = 0.9  # share of the month's business days with a price


@dataclass(frozen=True)
class Comparison:
    """Result: number of figures that both publishers have, and the largest difference."""

    limits: Limits
    compared: int = 0
    beyond_warn: int = 0
    beyond_fail: int = 0
    worst: float = 0.0
    where: str = ""

    @property
    def state(self) -> Literal["ok", "warn", "fail"]:
        """Outcome by the largest difference."""
        return "fail" if self.beyond_fail else "warn" if self.beyond_warn else "ok"

    def __str__(self) -> str:
        if not self.compared:
            return "nothing to compare"
        limits = self.limits
        beyond = f"{self.beyond_warn} beyond {limits.warn:g} {limits.unit}, {self.beyond_fail} beyond {limits.fail:g}"
        return f"{self.compared:,} compared, the worst {self.worst:.3g} {limits.unit} apart ({self.where}); {beyond}"


def compare(apart: pd.Series, limits: Limits) -> Comparison:
    """A comparison of differences, in the unit of the limits. The index names the figures."""
    apart = apart.dropna().abs()
    if apart.empty:
        return Comparison(limits)
    worst = apart.idxmax()
    where = " ".join(str(part)[:10] for part in (worst if isinstance(worst, tuple) else (worst,)))
    beyond_warn, beyond_fail = (int((apart > limit).sum()) for limit in (limits.warn, limits.fail))
    return Comparison(limits, len(apart), beyond_warn, beyond_fail, float(apart.max()), where)


def comparable_rows(
    dataset: str, sources: Sequence[str], now: datetime, scope: Scope, archive: Archive
) -> list[pd.DataFrame]:
    """Rows of a dataset in each source's newest responses for the last `MONTHS` months, of entities (metals, zones)
    that every source is requested for. One frame a source; empty without a response."""
    months = months_between(FIRST_MONTH, month_of(now))[-MONTHS:]
    planned = [list(plan_requests(source, months, scope)) for source in sources]
    entities = [{request.entity for request in requests} for requests in planned]
    if not any("" in own for own in entities):  # a request without an entity covers all of them
        shared = set.intersection(*entities)
        planned = [[request for request in requests if request.entity in shared] for requests in planned]
    return [_newest_rows(dataset, requests, scope, archive) for requests in planned]


def _newest_rows(dataset: str, requests: Sequence[Request], scope: Scope, archive: Archive) -> pd.DataFrame:
    frames = []
    for request in requests:
        for payload in newest_response(request, archive):
            with suppress(NoData, SourceError):
                frames.append(parse(payload, scope).frames.get(dataset, pd.DataFrame()))
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


def monthly_means(prices: pd.DataFrame, benchmark: pd.DataFrame) -> Comparison:
    """Mean of daily cash prices against each published mean of the month, percent; nearly complete months only."""
    if prices.empty or benchmark.empty:
        return Comparison(MONTHLY_MEANS)
    cash = prices.dropna(subset="cash_usd_t")
    months = cash["obs_date"].dt.to_period("M").rename("month")
    means = cash.groupby(["metal", months])["cash_usd_t"].agg(["mean", "size"]).reset_index()
    first = means["month"].dt.start_time.to_numpy().astype("datetime64[D]")
    after = (means["month"] + 1).dt.start_time.to_numpy().astype("datetime64[D]")
    means = means[means["size"] >= WHOLE_MONTH * np.busday_count(first, after, busdaycal=business_days("LONDON"))]
    published = benchmark.assign(month=benchmark["period_end"].dt.to_period("M"))
    both = means.merge(published, on=["metal", "month"]).set_index(["metal", "benchmark", "month"])
    return compare((both["mean"] / both["mean_usd_t"] - 1) * 100, MONTHLY_MEANS)


def rates(one: pd.DataFrame, other: pd.DataFrame) -> Comparison:
    """Each rate of the same days, basis points."""
    both = _both(one, other, ["rate_id", "obs_date"], "rate_pct")
    return compare((both["rate_pct"] - both["rate_pct_other"]).round(6) * 100, RATE)


def rate_chain(rates: pd.DataFrame) -> Comparison:
    """SOFR against EFFR on the same days: the median difference of each month, basis points."""
    sofr, effr = (rates[rates["rate_id"] == rate] for rate in ("SOFR", "EFFR"))
    both = _both(sofr, effr, ["obs_date"], "rate_pct")
    months = pd.DatetimeIndex(both.index).to_period("M")
    apart = (both["rate_pct"] - both["rate_pct_other"]).groupby(months).median().round(6) * 100
    return compare(apart, RATE_CHAIN)


def power(one: pd.DataFrame, other: pd.DataFrame) -> Comparison:
    """Daily means of the same zones and days, EUR/MWh."""
    both = _both(daily_means(one), daily_means(other), ["zone", "delivery_date"], "mean")
    return compare((both["mean"] - both["mean_other"]).round(6), POWER)


def stock(one: pd.DataFrame, other: pd.DataFrame) -> Comparison:
    """Registered stock of the same days, percent of the difference beyond one lot."""
    both = _both(one, other, ["metal", "obs_date"], "total_t")
    beyond = ((both["total_t"] - both["total_t_other"]).abs() - LOT_T).clip(lower=0)
    return compare(beyond / both["total_t_other"].where(both["total_t_other"] > 0, math.nan) * 100, STOCK)


def daily_means(points: pd.DataFrame) -> pd.DataFrame:
    """Mean price by zone and day (zone, delivery_date, mean; EUR/MWh), weighted by duration: a missing position repeats
    the previous one."""
    by = ["zone", "delivery_date", "resolution"]
    if points.empty:
        return pd.DataFrame({"zone": [], "delivery_date": [], "mean": []})
    points = points.sort_values([*by, "position"])
    following = points.groupby(by)["position"].shift(-1).fillna(points["n_positions"] + 1)
    duration = (following - points["position"]).to_numpy(dtype=float)
    sums = (
        points.assign(duration=duration, cost=duration * points["price_eur_mwh"])
        .groupby(by[:2])[["duration", "cost"]]
        .sum()
    )
    return (sums["cost"] / sums["duration"]).rename("mean").reset_index()


def _both(one: pd.DataFrame, other: pd.DataFrame, key: list[str], value: str) -> pd.DataFrame:
    """Values of the keys that both frames have, side by side."""
    if one.empty or other.empty:
        return pd.DataFrame({value: [], f"{value}_other": []})
    columns = [*key, value]
    return one[columns].merge(other[columns], on=key, suffixes=("", "_other")).set_index(key)
