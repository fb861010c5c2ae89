"""Rows of `signals.eval_signal`: every test of the plan in every split, and its verdict.

A split rests only on what was known by its end, outcomes included: a window that ends later belongs to no split. So a
row of a split that has ended never changes, and no date of one split has its outcome in the next.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipelines.evaluation import statistics
from pipelines.evaluation.samples import ENTRY_LAGS, Samples
from pipelines.evaluation.statistics import Flags, Floats
from schemas.fields import VERDICTS

SEED: Final = 20_190_101  # of shifts, draws and the random chain; fixed before anything was evaluated
OOS_START: Final = date(2019, 1, 1)
NO_CUT: Final = datetime(9999, 1, 1, tzinfo=UTC)
SPLITS: Final = ("DEV", "OOS", "LIVE", "ALL")
SUBSETS: Final = ("ALL", "OBSERVED")
MIN_N_EFF: Final = 30
MIN_EPISODES: Final = 8
ALPHA: Final = 0.10
ONE_SIGN: Final = ("realised_vol", "max_drawdown")  # outcomes whose sign is always the same: no hit rate
SUPPORTED, REVERSED, WEAK, NO_EVIDENCE, INSUFFICIENT = VERDICTS

Row = dict[str, Any]
Read = Callable[[datetime], Samples]  # the samples from what was known before a moment
Report = Callable[[int, int], None]  # families done, of how many


class PlanRow(NamedTuple):
    """A row of the plan: what is tested. `side`: the sign that the theory predicts, 0 for none."""

    signal_id: str
    signal_version: str
    bucket: str
    outcome: str
    horizon_obs: int
    side: int
    registered_on: date
    is_primary: bool

    @property
    def family(self) -> tuple[str, int]:
        """Tests of one outcome and horizon are one family."""
        return self.outcome, self.horizon_obs

    def concerns(self, metal: str) -> bool:
        """Whether it is a test of a metal; a benchmark is one of each."""
        return self.signal_id.partition(".")[0] in (metal, "BENCH")


def planned(plan: pd.DataFrame) -> list[PlanRow]:
    """The tests of the table `evaluation_plan`."""
    return [
        PlanRow(
            row["signal_id"], row["signal_version"], row["bucket"], row["outcome"], int(row["horizon_obs"]),
            int(row["side"]), row["registered_on"].date(), str(row["is_primary"]) == "true",
        )
        for row in plan.to_dict("records")
    ]  # fmt: skip


@dataclass(frozen=True)
class _Sample:
    """A signal's dates of one split with their outcomes, in order of time."""

    outcome: Floats
    bucket: npt.NDArray[Any]


class _Split:
    """The samples of one split, by signal and outcome."""

    def __init__(self, samples: Samples, first: date | None, after: date | None) -> None:
        buckets = samples.buckets
        if first is not None:
            buckets = buckets[buckets["as_of_date"] >= pd.Timestamp(first)]
        if after is not None:
            buckets = buckets[buckets["as_of_date"] > pd.Timestamp(after)]
        self._signals: dict[Any, pd.DataFrame] = dict(
            iter(buckets.groupby(["signal_id", "signal_version", "metal"], sort=False))
        )
        self._outcomes: dict[Any, pd.DataFrame] = {
            key: rows.set_index("as_of_date")
            for key, rows in samples.outcomes.groupby(["metal", "entry_lag", "horizon_obs"], sort=False)
        }

    def sample(self, test: PlanRow, metal: str, subset: str, lag: int) -> _Sample:
        """The dates of a test's signal that have its outcome."""
        rows = self._signals.get((test.signal_id, test.signal_version, metal))
        values = self._outcomes.get((metal, lag, test.horizon_obs))
        if rows is None or values is None:
            return _Sample(np.array([]), np.array([], dtype=object))
        if subset == "OBSERVED":
            rows = rows[rows["knowledge_basis"] == "OBSERVED"]
        found = values[test.outcome].reindex(rows["as_of_date"]).to_numpy(dtype=float)
        there = np.isfinite(found)
        return _Sample(found[there], rows["bucket"].to_numpy(dtype=object)[there])


def evaluate(
    plan: Sequence[PlanRow],
    metals: Sequence[str],
    read: Read,
    *,
    code_version: str,
    seed: int = SEED,
    report: Report = lambda done, total: None,
) -> pd.DataFrame:
    """The rows of every test of the plan, in its order. Benchmarks, whose signals have no metal, are of each metal."""
    samples = cache(read)
    splits = {
        (name, registered): _split(name, registered, samples)
        for registered in sorted({test.registered_on for test in plan})
        for name in SPLITS
    }
    families = [
        (metal, split, subset, lag, tests)
        for metal in metals
        for split in SPLITS
        for subset in SUBSETS
        for lag in ENTRY_LAGS
        for tests in _families([test for test in plan if test.concerns(metal)])
    ]
    signs: dict[tuple[Any, ...], float] = {}
    found: list[Row] = []
    for done, family in enumerate(families, start=1):
        found += _family(*family, splits, signs, seed)
        report(done, len(families))
    _judge(found)
    return pd.DataFrame(found).drop(columns="side").assign(code_version=code_version, seed=seed)


def _families(tests: Sequence[PlanRow]) -> list[list[PlanRow]]:
    found: dict[tuple[str, int], list[PlanRow]] = {}
    for test in tests:
        found.setdefault(test.family, []).append(test)
    return list(found.values())


def _split(name: str, registered: date, samples: Read) -> _Split:
    """A split of the rows that were registered on a day."""
    if name == "DEV":
        return _Split(samples(midnight(OOS_START)), None, None)
    if name == "OOS":
        return _Split(samples(oos_cut(registered)), OOS_START, None)
    return _Split(samples(NO_CUT), None, registered if name == "LIVE" else None)


def oos_cut(registered: date) -> datetime:
    """The end of the OOS split of tests that were registered on a day."""
    return midnight(registered + timedelta(days=1))


def midnight(day: date) -> datetime:
    """The beginning of a day, UTC."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _family(
    metal: str,
    split: str,
    subset: str,
    lag: int,
    tests: Sequence[PlanRow],
    splits: Mapping[tuple[str, date], _Split],
    signs: dict[tuple[Any, ...], float],
    seed: int,
) -> Iterator[Row]:
    """All tests of one outcome and horizon, in one split, and their adjusted p-values.

    `signs`: of the differences in DEV, by test; they stand in for a side that the theory does not predict.
    """
    rows: list[Row] = []
    actual: list[float] = []
    shifted: list[Floats] = []
    shared: dict[bytes, _Outcome] = {}  # signals with the same dates share the work on their outcomes
    for test in tests:
        sample = splits[split, test.registered_on].sample(test, metal, subset, lag)
        if subset != "ALL" and not len(sample.outcome):
            continue
        of = shared.setdefault(sample.outcome.tobytes(), _Outcome(sample.outcome, test.horizon_obs, seed))
        bucket = sample.bucket == test.bucket
        figures, t, shifted_t = _test(of, bucket)
        if split == "DEV" and subset == "ALL":
            signs[test, metal, lag] = float(np.sign(figures["diff"]))
        side = float(test.side) or signs.get((test, metal, lag), math.nan)
        rows.append(
            {
                "signal_id": test.signal_id,
                "signal_version": test.signal_version,
                "metal": metal,
                "bucket": test.bucket,
                "outcome": test.outcome,
                "horizon_obs": test.horizon_obs,
                "split": split,
                "basis_subset": subset,
                "entry_lag": lag,
                **figures,
                **_hits(of.outcome, bucket, side, test.outcome),
                "n_variants": len(tests),
                "registered_on": test.registered_on,
                "side": side,
            }
        )
        actual.append(t)
        shifted.append(shifted_t)
    for row, p in zip(rows, statistics.max_t(actual, shifted), strict=True):
        yield row | {"p_adj": p}


class _Outcome:
    """The outcomes of a sample, and what its tests share."""

    def __init__(self, outcome: Floats, horizon: int, seed: int) -> None:
        self.outcome, self.horizon, self.seed = outcome, horizon, seed
        self.lags = statistics.hac_lags(horizon)
        self.shifts = statistics.shifts(len(outcome), horizon, seed)
        self._tests: statistics.ShiftedTests | None = None
        self._draws: statistics.Draws | None = None

    @property
    def tests(self) -> statistics.ShiftedTests:
        if self._tests is None:
            self._tests = statistics.ShiftedTests(self.outcome, self.lags)
        return self._tests

    @property
    def draws(self) -> statistics.Draws:
        if self._draws is None:
            block = statistics.block_length(self.outcome, self.horizon)
            counts = statistics.resampled(len(self.outcome), block, self.seed)
            self._draws = statistics.Draws(self.outcome, counts)
        return self._draws


def _test(of: _Outcome, bucket: Flags) -> tuple[Row, float, Floats]:
    """The figures of a test but for its hits, its t and the t of its shifts; no t where the sample is insufficient."""
    outcome, n, n_all = of.outcome, int(bucket.sum()), len(of.outcome)
    row: Row = {
        "n": n,
        "n_all": n_all,
        "episodes": statistics.episodes(bucket),
        "n_eff": n / of.horizon,
        "mean": float(outcome[bucket].mean()) if n else math.nan,
        "mean_all": float(outcome.mean()) if n_all else math.nan,
        "diff": statistics.difference(outcome, bucket),
        "hac_lags": of.lags,
        "placebo_shifts": len(of.shifts),
    }
    if math.isnan(row["diff"]) or n_all < 3:
        empty = ("hac_se", "ci_low", "ci_high", "mde", "placebo_p")
        return row | dict.fromkeys(empty, math.nan), math.nan, np.array([])
    low, high = of.draws.interval(bucket)
    se, every = statistics.hac_se(outcome, bucket, of.lags), of.tests.of(bucket)
    row |= {
        "hac_se": se,
        "ci_low": low,
        "ci_high": high,
        "mde": statistics.minimum_detectable_effect(se),
        "placebo_p": statistics.placebo_p(row["diff"], every.diff[of.shifts]),
    }
    if _is_insufficient(row) or se == 0:
        return row, math.nan, np.array([])
    with np.errstate(divide="ignore", invalid="ignore"):
        return row, row["diff"] / se, every.diff[of.shifts] / every.se[of.shifts]


def _hits(outcome: Floats, bucket: Flags, side: float, name: str) -> Row:
    """Share of outcomes with the predicted sign; missing without a prediction or where the sign is always the same."""
    if name in ONE_SIGN or not side or math.isnan(side) or not bucket.any():
        return dict.fromkeys(("hit_rate", "hit_low", "hit_high", "base_rate"), math.nan)
    hit = np.sign(outcome) == side
    n, hits = int(bucket.sum()), int(hit[bucket].sum())
    low, high = statistics.wilson(hits, n)
    return {"hit_rate": hits / n, "hit_low": low, "hit_high": high, "base_rate": float(hit.mean())}


def _is_insufficient(row: Mapping[str, Any]) -> bool:
    return bool(row["n_eff"] < MIN_N_EFF or row["episodes"] < MIN_EPISODES)


def _judge(rows: Sequence[Row]) -> None:
    """Add `is_lag0_only` and `verdict` to every row."""
    test = ("signal_id", "signal_version", "metal", "bucket", "outcome", "horizon_obs", "basis_subset")
    by_key = {(*(row[name] for name in test), row["split"], row["entry_lag"]): row for row in rows}
    for key, row in by_key.items():
        first, last = by_key.get((*key[:-1], 0)), by_key.get((*key[:-1], 1))
        row["is_lag0_only"] = _is_significant(first) and not _is_significant(last)
    for key, row in by_key.items():
        dev, oos = (by_key.get((*key[:-2], split, key[-1])) for split in ("DEV", "OOS"))
        row["verdict"] = verdict(row, dev, oos)


def _is_significant(row: Mapping[str, Any] | None) -> bool:
    return row is not None and bool(row["p_adj"] <= ALPHA)


def verdict(row: Mapping[str, Any], dev: Mapping[str, Any] | None, oos: Mapping[str, Any] | None) -> str:
    """The verdict of a row, from its own split and those before it.

    That of OOS is the signal's. A row of DEV cannot be better than WEAK: what came later is not known in it. LIVE and
    ALL have the verdict of OOS, where their own sample suffices.
    """
    judged = [row] if row["split"] == "DEV" or oos is None else [row, oos]
    if any(map(_is_insufficient, judged)):
        return INSUFFICIENT
    if row["split"] != "DEV" and oos is not None and _is_significant(oos) and not oos["is_lag0_only"]:
        sign = np.sign(oos["diff"]) * oos["side"]
        return NO_EVIDENCE if math.isnan(sign) else SUPPORTED if sign > 0 else REVERSED
    return WEAK if dev is not None and _is_significant(dev) and not dev["is_lag0_only"] else NO_EVIDENCE
