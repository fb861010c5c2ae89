"""Statistics of the evaluation against published values and plain definitions, and in the cases at the edge."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from statsmodels.datasets import macrodata
from statsmodels.stats.multitest import multipletests

from pipelines.evaluation import statistics

pytestmark = pytest.mark.slow  # statsmodels and arch take seconds to import


def persistent(n: int, seed: int, memory: float = 0.97) -> np.ndarray:
    """A series that remembers."""
    steps, values = np.random.default_rng(seed).normal(size=n), np.zeros(n)
    for t in range(1, n):
        values[t] = memory * values[t - 1] + steps[t]
    return values


def overlapping(n: int, horizon: int, seed: int) -> np.ndarray:
    """Sums over `horizon` steps of noise."""
    noise = np.random.default_rng(seed).normal(size=n + horizon - 1)
    return np.convolve(noise, np.ones(horizon), "valid")


def plain_hac_se(outcome: np.ndarray, bucket: np.ndarray, lags: int) -> float:
    """The sandwich, written out."""
    x = np.column_stack([np.ones(len(outcome)), bucket])
    inverse = np.linalg.inv(x.T @ x)
    scores = x * (outcome - x @ (inverse @ x.T @ outcome))[:, None]
    meat = scores.T @ scores
    for j in range(1, lags + 1):
        pairs = scores[j:].T @ scores[:-j]
        meat += (1 - j / (lags + 1)) * (pairs + pairs.T)
    n = len(outcome)
    return math.sqrt((inverse @ meat @ inverse)[1, 1] * n / (n - 2))


# --- published values


def test_newey_west_agrees_with_the_published_values() -> None:
    """R's sandwich package on US growth, as in the tests of statsmodels: lag 4, adjusted."""
    rows = macrodata.load_pandas().data
    investment, growth = (400 * np.diff(np.log(rows[name].to_numpy())) for name in ("realinv", "realgdp"))
    regressors = np.column_stack([np.ones(len(growth)), growth, rows["realint"].to_numpy()[:-1]])
    covariance = statistics.hac_covariance(investment, regressors, 4)
    assert covariance[0, 0] == pytest.approx(1.406438998786788, rel=1e-12)
    assert covariance[1, 1] == pytest.approx(0.10973083489998187, rel=1e-12)


def test_the_library_for_multiple_tests_agrees_with_benjamini_and_hochberg() -> None:
    """Their 15 p-values of 1995: 4 rejections, and 3 by Bonferroni."""
    p = [
        0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590,
        1.0000,
    ]  # fmt: skip
    assert multipletests(p, 0.05, "fdr_bh")[0].sum() == 4
    assert multipletests(p, 0.05, "bonferroni")[0].sum() == 3


def test_the_acceptance_fixture(acceptance: Path) -> None:
    """Entry one observation later, hold 2, lag h - 1 without the correction n / (n - 2), Wilson of 95 %."""
    rows = pd.read_csv(acceptance / "expected" / "K_forward_returns.csv").dropna()
    expected = json.loads((acceptance / "expected" / "expected.json").read_text())["K_evaluation"]
    outcome, bucket = rows["fwd_logret_h2"].to_numpy(), rows["cond"].to_numpy() == 1
    assert statistics.difference(outcome, bucket) == pytest.approx(expected["diff"], abs=2e-6)
    uncorrected = statistics.hac_se(outcome, bucket, 1) * math.sqrt(9 / 11)
    assert uncorrected == pytest.approx(expected["se_diff_hac"], abs=2e-6)
    low, high = statistics.wilson(3, 3, 1.959963984540054)
    assert (low, high) == pytest.approx((expected["hit_lo95"], expected["hit_hi95"]), abs=1e-6)


def test_wilson_agrees_with_published_intervals() -> None:
    """Newcombe 1998, table I, method 3: 81 of 263 and 0 of 20, 95 %."""
    z = 1.959963984540054
    assert statistics.wilson(81, 263, z) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert statistics.wilson(0, 20, z) == pytest.approx((0.0, 0.1611), abs=5e-5)


# --- definitions


@pytest.mark.parametrize(("n", "horizon"), [(60, 5), (301, 21), (257, 63)])
def test_every_shift_agrees_with_a_regression_of_its_own(n: int, horizon: int) -> None:
    outcome, bucket = overlapping(n, horizon, 1), persistent(n, 2) > 0.5
    lags = statistics.hac_lags(horizon)
    every = statistics.ShiftedTests(outcome, lags).of(bucket)
    for k in (0, 1, horizon, n // 2, n - 1):
        shifted = np.roll(bucket, k)
        assert every.diff[k] == pytest.approx(outcome[shifted].mean() - outcome[~shifted].mean(), abs=1e-12)
        assert every.se[k] == pytest.approx(plain_hac_se(outcome, shifted, lags), rel=1e-10)
    assert statistics.hac_se(outcome, bucket, lags) == pytest.approx(plain_hac_se(outcome, bucket, lags), rel=1e-12)


def test_hac_lags_are_one_and_a_half_horizons() -> None:
    assert [statistics.hac_lags(h) for h in (1, 5, 21, 63)] == [2, 8, 32, 95]


def test_shifts_keep_a_horizon_from_the_actual_position() -> None:
    assert statistics.shifts(20, 5, 0).tolist() == list(range(5, 16))
    assert len(statistics.shifts(9, 5, 0)) == 0
    many = statistics.shifts(20_000, 21, 7)
    assert len(many) == len(set(many.tolist())) == 5_000
    assert many.tolist() == statistics.shifts(20_000, 21, 7).tolist()
    assert (many.min() >= 21) and (many.max() <= 20_000 - 21)


def test_placebo_counts_the_actual_position_and_ties() -> None:
    assert statistics.placebo_p(2.0, np.array([1.0, -2.0, 3.0])) == 3 / 4
    assert statistics.placebo_p(5.0, np.array([1.0, -2.0, 3.0])) == 1 / 4
    assert math.isnan(statistics.placebo_p(math.nan, np.array([])))


def test_step_down_maxima_by_hand() -> None:
    """Two tests, three shifts. The larger t is compared with the maxima of both, the smaller with its own shifts."""
    shifted = [np.array([1.0, 2.0, 0.5]), np.array([3.0, 0.1, 0.2])]
    assert statistics.max_t([2.5, 1.5], shifted) == [2 / 4, 2 / 4]
    assert statistics.max_t([4.0, 0.15], shifted) == [1 / 4, 3 / 4]
    assert statistics.max_t([4.0, 0.15][::-1], shifted[::-1]) == [3 / 4, 1 / 4]


def test_an_adjusted_p_value_of_one_test_is_its_placebo() -> None:
    t = np.array([1.0, -2.0, 3.0])
    assert statistics.max_t([2.0], [t]) == [statistics.placebo_p(2.0, t)]


def test_a_test_without_a_statistic_is_no_part_of_its_family() -> None:
    shifted = [np.array([1.0, 2.0, 0.5]), np.array([]), np.array([1.0, 1.0, 1.0])]
    found = statistics.max_t([2.5, math.nan, math.nan], shifted)
    assert found[0] == 1 / 4
    assert math.isnan(found[1])
    assert math.isnan(found[2])


def test_a_shorter_sample_begins_its_shifts_again() -> None:
    shifted = [np.array([0.0, 0.0, 0.0, 0.0]), np.array([5.0, 0.0])]
    assert statistics.max_t([1.0, 0.5], shifted)[0] == 3 / 5


def test_episodes_are_runs() -> None:
    assert statistics.episodes(np.array([True, True, False, True, False, False, True])) == 3
    assert statistics.episodes(np.array([False, False])) == 0
    assert statistics.episodes(np.array([], dtype=bool)) == 0


def test_a_bucket_that_is_empty_or_full_has_no_difference() -> None:
    outcome = overlapping(50, 5, 1)
    for bucket in (np.zeros(50, dtype=bool), np.ones(50, dtype=bool)):
        assert math.isnan(statistics.difference(outcome, bucket))
        assert math.isnan(statistics.hac_se(outcome, bucket, 8))


def test_the_detectable_effect_is_found_four_times_in_five() -> None:
    """Of estimates that are normal around it, four of five are above the line of a one-sided 5 % test."""
    effect = statistics.minimum_detectable_effect(1.0)
    drawn = effect + np.random.default_rng(0).normal(size=200_000)
    assert (drawn > 1.6448536).mean() == pytest.approx(0.80, abs=0.005)


# --- bootstrap


def test_the_interval_is_that_of_pairs_drawn_one_by_one() -> None:
    """The counts of a draw give the difference of the pairs that it has drawn."""
    from arch.bootstrap import StationaryBootstrap

    outcome, bucket = overlapping(120, 5, 3), persistent(120, 4) > 0
    drawn = []
    for (pairs,), _ in StationaryBootstrap(12, np.column_stack([outcome, bucket]), seed=9).bootstrap(400):
        inside = pairs[:, 1] == 1
        if inside.any() and not inside.all():
            drawn.append(pairs[inside, 0].mean() - pairs[~inside, 0].mean())
    found = statistics.Draws(outcome, statistics.resampled(120, 12, 9, 400)).interval(bucket)
    assert found == pytest.approx(tuple(np.quantile(drawn, [0.05, 0.95])), abs=1e-12)


def test_the_interval_follows_the_effect() -> None:
    """Bucket and outcome are drawn together: an effect of 3 lies in it, no effect does not."""
    bucket = persistent(600, 5, 0.9) > 0
    outcome = overlapping(600, 2, 6) + 3.0 * bucket
    low, high = statistics.Draws(outcome, statistics.resampled(600, 10, 1)).interval(bucket)
    assert 0 < low < 3.0 < high


def test_blocks_are_at_least_two_horizons() -> None:
    assert statistics.block_length(np.random.default_rng(1).normal(size=500), 21) == 42
    assert statistics.block_length(persistent(2_000, 1, 0.999), 5) > 10
    assert statistics.block_length(np.zeros(500), 5) == 10


# --- forecasts


def test_a_forecast_uses_outcomes_that_were_known() -> None:
    outcome = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    bucket = np.array(["A", "B", "A", "B", "C"], dtype=object)
    known = np.array([0, 0, 1, 2, 3])
    found = statistics.expanding_means(outcome, bucket, known)
    assert math.isnan(found[0])
    assert math.isnan(found[1])
    assert found[2:].tolist() == [1.0, 2.0, 2.0], "own bucket; own bucket; the mean of all for a new bucket"


def test_a_better_forecast_is_superior_and_an_equal_one_is_not() -> None:
    rng = np.random.default_rng(2)
    noise = rng.normal(size=800) ** 2
    assert statistics.superior_ability_p(noise + 1.0 + 0.1 * rng.normal(size=800), noise, 10, 1) < 0.01
    assert statistics.superior_ability_p(noise, noise + 1.0 + 0.1 * rng.normal(size=800), 10, 1) > 0.5
    assert statistics.superior_ability_p(noise, noise + 1.0, 10, 1) == 1.0, "worse by the same on every date"
    assert statistics.superior_ability_p(noise, noise.copy(), 10, 1) == 1.0
    assert math.isnan(statistics.superior_ability_p(noise[:15], noise[:15], 10, 1))
