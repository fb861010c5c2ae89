"""Statistics of one test: an outcome with and without a bucket, its standard error, placebo, interval and power.

Pure functions of arrays: `outcome` (floats, none missing) and `bucket` (booleans) hold one value a decision date, in
order of time. Outcomes over h observations overlap, so that neither the usual standard error nor the usual p-value
holds. The p-values here compare the data with themselves, shifted in time: a shift keeps the persistence of both series
and removes what one says of the other.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Whole = npt.NDArray[np.int64]

LEVEL: Final = 0.90  # of intervals
Z_LEVEL: Final = 1.6448536269514722  # the normal quantile of 95 %: a two-sided 90 % interval, a one-sided 5 % test
Z_POWER: Final = 0.8416212335729143  # of 80 %
MAX_SHIFTS: Final = 5_000
DRAWS: Final = 1_000
SAME: Final = 1e-9  # relative: a shifted difference this close to the actual one is as large


def episodes(bucket: Flags) -> int:
    """Number of maximal runs of consecutive dates in the bucket."""
    return int(np.count_nonzero(np.diff(np.concatenate([[0], bucket.astype(np.int8)])) == 1))


def difference(outcome: Floats, bucket: Flags) -> float:
    """Mean in the bucket less the mean outside of it; NaN where either is empty."""
    if not bucket.any() or bucket.all():
        return math.nan
    return float(outcome[bucket].mean() - outcome[~bucket].mean())


def hac_lags(horizon: int) -> int:
    """Lags of the standard error for outcomes over `horizon` observations."""
    return math.ceil(1.5 * horizon)


def hac_covariance(outcome: Floats, regressors: Floats, lags: int) -> Floats:
    """Newey-West covariance (Bartlett kernel) of the coefficients of a regression, times n / (n - regressors)."""
    from statsmodels.regression.linear_model import OLS

    fitted = OLS(outcome, regressors).fit(
        cov_type="HAC", cov_kwds={"maxlags": lags, "kernel": "bartlett", "use_correction": True}
    )
    return np.asarray(fitted.cov_params(), dtype=float)


def hac_se(outcome: Floats, bucket: Flags, lags: int) -> float:
    """Standard error of `difference`: that of the dummy in a regression on a constant and the bucket."""
    if not bucket.any() or bucket.all() or len(outcome) < 3:
        return math.nan
    regressors = np.column_stack([np.ones(len(outcome)), bucket.astype(float)])
    return math.sqrt(max(hac_covariance(outcome, regressors, lags)[1, 1], 0.0))


def minimum_detectable_effect(standard_error: float) -> float:
    """The difference that a one-sided 5 % test finds four times in five."""
    return (Z_LEVEL + Z_POWER) * standard_error


def wilson(hits: int, n: int, z: float = Z_LEVEL) -> tuple[float, float]:
    """Wilson interval of a share; NaN without observations."""
    if n == 0:
        return math.nan, math.nan
    share, z2 = hits / n, z * z
    middle, half = share + z2 / (2 * n), z * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    return (middle - half) / (1 + z2 / n), (middle + half) / (1 + z2 / n)


# --- shifts -----------------------------------------------------------------------------------------------------------


def shifts(n: int, horizon: int, seed: int) -> Whole:
    """The shifts of a sample of n dates: all of h ... n - h, or 5,000 of them by seed; none for a short sample."""
    every = np.arange(horizon, n - horizon + 1)
    if len(every) <= MAX_SHIFTS:
        return every
    return np.sort(np.random.default_rng(seed).choice(every, MAX_SHIFTS, replace=False))


@dataclass(frozen=True)
class Shifted:
    """Difference and its standard error for every circular shift of the bucket; index 0 is no shift."""

    diff: Floats
    se: Floats


class ShiftedTests:
    """All circular shifts of the buckets of one outcome sample, in the frequency domain.

    The Bartlett sum of a shifted bucket consists of circular correlations of products of the bucket with products of
    the outcome; for all shifts at once they take some tens of transforms in place of one regression for each shift.
    """

    def __init__(self, outcome: Floats, lags: int) -> None:
        n = len(outcome)
        self.n, self.lags = n, min(lags, n - 1)
        y = outcome - outcome.mean()
        self.y = y
        # Each pair (t, t - j) counts twice, but for j = 0.
        at = np.arange(self.lags + 1)
        self.weights = np.where(at == 0, 1.0, 2.0 * (1 - at / (lags + 1)))
        rows = self.lags + 1
        products, sums, inside = np.zeros((rows, n)), np.zeros((rows, n)), np.zeros((rows, n))
        linear = np.zeros((4, n))  # what the bucket alone is correlated with: y y', y at both ends, their partners, 1
        for j, weight in enumerate(self.weights):
            late, early = y[j:], y[: n - j]
            products[j, j:], sums[j, j:], inside[j, j:] = late * early, late + early, 1.0
            for part in (slice(j, None), slice(0, n - j)):
                linear[0, part] += weight * late * early
                linear[3, part] += weight
            linear[1, j:] += weight * late
            linear[1, : n - j] += weight * early
            linear[2, j:] += weight * early
            linear[2, : n - j] += weight * late
        self.totals = (
            float(self.weights @ products.sum(1)),
            float(self.weights @ sums.sum(1)),
            float(self.weights @ inside.sum(1)),
        )
        self._pairs = [np.fft.rfft(part, axis=1) * self.weights[:, None] for part in (products, sums, inside)]
        self._linear = np.fft.rfft(linear, axis=1)
        self._y = np.fft.rfft(y)

    def of(self, bucket: Flags) -> Shifted:
        """Every shift of a bucket that is neither empty nor full."""
        n, d = self.n, bucket.astype(float)
        pairs = np.empty((self.lags + 1, n))
        for j in range(self.lags + 1):
            pairs[j] = d * np.roll(d, j)
        of_pairs, of_bucket = np.conj(np.fft.rfft(pairs, axis=1)), np.conj(np.fft.rfft(d))

        def back(spectrum: Any) -> Floats:
            return np.asarray(np.fft.irfft(spectrum, n))

        size = int(bucket.sum())
        share = size / n
        inside_sum = back(of_bucket * self._y)
        mean, other = inside_sum / size, -inside_sum / (n - size)  # y sums to 0
        level = (1 - share) * mean + share * other
        squares, firsts, ones = (back((of_pairs * part).sum(0)) for part in self._pairs)
        products, own, partner, count = (back(of_bucket * part) for part in self._linear)
        total = self.totals
        long_run = (
            squares
            - level * firsts
            + level**2 * ones
            - share * (products - other * own - level * partner + level * other * count)
            + share**2 * (total[0] - other * total[1] + other**2 * total[2])
        )
        variance = np.maximum(long_run, 0.0) / (n * share * (1 - share)) ** 2 * n / (n - 2)
        return Shifted(mean - other, np.sqrt(variance))


def placebo_p(diff: float, shifted: Floats) -> float:
    """Share of the shifted differences that are at least as large as the actual one, which counts as one of them."""
    if math.isnan(diff):
        return math.nan
    return (1 + int(np.count_nonzero(np.abs(shifted) >= abs(diff) * (1 - SAME)))) / (1 + len(shifted))


def max_t(actual: Sequence[float], shifted: Sequence[Floats]) -> list[float]:
    """Adjusted p-values of a family: step-down maxima of abs(t) over common shifts (Westfall and Young 1993).

    A sample that is shorter than the longest one begins its shifts again. NaN for a test without a statistic or shifts.
    """
    adjusted = [math.nan] * len(actual)
    tested = [i for i, t in enumerate(actual) if np.isfinite(t) and len(shifted[i])]
    if not tested:
        return adjusted
    draws = max(len(shifted[i]) for i in tested)
    tested.sort(key=lambda i: abs(actual[i]))
    largest, exceeded = np.zeros(draws), {}
    for i in tested:  # from the smallest: the maximum over this test and those below it
        values = np.nan_to_num(np.abs(shifted[i]), nan=0.0, posinf=0.0)
        largest = np.maximum(largest, np.resize(values, draws))
        exceeded[i] = (1 + int(np.count_nonzero(largest >= abs(actual[i]) * (1 - SAME)))) / (1 + draws)
    floor = 0.0
    for i in reversed(tested):
        floor = adjusted[i] = max(floor, exceeded[i])
    return adjusted


# --- bootstrap --------------------------------------------------------------------------------------------------------


def block_length(outcome: Floats, horizon: int) -> int:
    """Mean block of the stationary bootstrap: twice the horizon, or the optimal length where that is longer."""
    from arch.bootstrap import optimal_block_length

    least = 2 * horizon
    if len(outcome) < 20 or np.ptp(outcome) == 0:
        return least
    optimal = float(optimal_block_length(outcome)["stationary"].iloc[0])
    return max(least, math.ceil(optimal)) if math.isfinite(optimal) else least


def resampled(n: int, block: int, seed: int, draws: int = DRAWS) -> npt.NDArray[np.uint16]:
    """How often each date is in each draw of a stationary bootstrap: draws x n."""
    from arch.bootstrap import StationaryBootstrap

    counts = np.empty((draws, n), dtype=np.uint16)
    for at, (data, _) in enumerate(StationaryBootstrap(block, np.arange(n), seed=seed).bootstrap(draws)):
        counts[at] = np.bincount(data[0], minlength=n)
    return counts


class Draws:
    """The draws of a stationary bootstrap of one outcome sample. Pairs of bucket and outcome are drawn together."""

    def __init__(self, outcome: Floats, counts: npt.NDArray[np.uint16]) -> None:
        self.outcome, self.counts = outcome, counts
        # Not `@`, whose last digits depend on the number of threads.
        self._total = np.einsum("dn,n->d", counts, outcome)

    def interval(self, bucket: Flags) -> tuple[float, float]:
        """Percentile interval of `difference`; NaN where no draw has dates on both sides."""
        counts = self.counts[:, bucket]
        inside, total = counts.sum(axis=1, dtype=np.int64), np.einsum("dn,n->d", counts, self.outcome[bucket])
        with np.errstate(divide="ignore", invalid="ignore"):
            drawn = total / inside - (self._total - total) / (len(self.outcome) - inside)
        drawn = drawn[np.isfinite(drawn)]
        if not len(drawn):
            return math.nan, math.nan
        low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        return float(low), float(high)


# --- comparison of forecasts ------------------------------------------------------------------------------------------


def expanding_means(outcome: Floats, bucket: npt.NDArray[Any], known_before: Whole) -> Floats:
    """Forecast of each date: the mean outcome of its bucket among the dates whose outcomes were known by then.

    `known_before[t]`: how many of the first dates have an outcome that is known at date t. A bucket without one has the
    mean of all; NaN before any is known.
    """
    forecast = np.full(len(outcome), math.nan)
    every = np.concatenate([[0.0], np.cumsum(outcome)])
    for value in dict.fromkeys(bucket.tolist()):
        inside = bucket == value
        sums, counts = (np.concatenate([[0.0], np.cumsum(part)]) for part in (np.where(inside, outcome, 0.0), inside))
        at = known_before[inside]
        with np.errstate(divide="ignore", invalid="ignore"):
            own, overall = sums[at] / counts[at], every[at] / at
        forecast[inside] = np.where(counts[at] > 0, own, overall)
    return forecast


def superior_ability_p(benchmark_loss: Floats, loss: Floats, block: int, seed: int) -> float:
    """P-value of Hansen's test that a forecast's expected loss is no less than the benchmark's.

    1 where the forecast is never better; NaN for less than two blocks.
    """
    from arch.bootstrap import SPA

    if len(loss) < 2 * block:
        return math.nan
    if np.all(benchmark_loss <= loss * (1 + 1e-12)):
        return 1.0  # the test divides by the variance of the difference, which may be 0
    test = SPA(benchmark_loss, loss[:, None], block_size=block, reps=DRAWS, bootstrap="stationary", seed=seed)
    test.compute()
    return float(test.pvalues["consistent"])
