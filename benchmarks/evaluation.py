"""Size and power of the evaluation on generated markets: `python -m benchmarks.evaluation [MARKETS]`.

A market has twenty persistent signals and outcomes that overlap over 21 observations. In a null market no signal has an
effect; in a planted one the first signal moves the outcome by twice the minimum detectable effect. Printed beside the
rejections of the placebo and of the adjusted p-values are those of the usual regression, which takes the dates for
independent.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial

import numpy as np
import pandas as pd

from pipelines.evaluation.evaluate import NO_CUT, PlanRow, evaluate
from pipelines.evaluation.samples import Samples
from pipelines.evaluation.statistics import Flags, Floats, difference, hac_lags, hac_se, minimum_detectable_effect

HORIZON, SIGNALS, OUTCOME, METAL = 21, 20, "fwd_m3_log_return", "XX"
FIRST, LAST = date(2019, 1, 1), date(2025, 12, 31)  # out of sample as a whole
# Mean length of a stay outside or inside of the bucket, in days: some 23 episodes and 43 windows in seven years.
STAY = 40


@dataclass(frozen=True)
class Result:
    """A market's p-values out of sample: of its first signal, and the least of the family."""

    placebo: float
    naive: float
    least_adjusted: float
    verdict: str


def plan(signals: int = SIGNALS) -> list[PlanRow]:
    """One test a signal, all of one family."""
    return [
        PlanRow(f"{METAL}.S{n:02}", "1.0.0", "ON", OUTCOME, HORIZON, 1, LAST, is_primary=True) for n in range(signals)
    ]


def market(seed: int, signals: int = SIGNALS, effect: float = 0.0) -> Samples:
    """A market; `effect` in units of the minimum detectable effect of the first signal."""
    rng = np.random.default_rng(seed)
    days = pd.bdate_range(FIRST, LAST)
    n = len(days)
    returns = rng.standard_t(5, n + HORIZON) * 0.01 * np.exp(0.5 * _persistent(rng, n + HORIZON))
    outcome = np.convolve(returns[1:], np.ones(HORIZON), "valid")[:n]
    buckets = [_regime(rng, n) for _ in range(signals)]
    if effect:
        se = hac_se(outcome, buckets[0], hac_lags(HORIZON))
        outcome = outcome + effect * minimum_detectable_effect(se) * buckets[0]
    known = days + pd.offsets.BDay(HORIZON + 2)
    outcomes = pd.DataFrame(
        {
            "metal": METAL, "as_of_date": days, "entry_lag": 1, "horizon_obs": HORIZON, "known_from": known,
            OUTCOME: outcome,
        }
    )  # fmt: skip
    states = pd.concat(
        [
            pd.DataFrame(
                {
                    "signal_id": f"{METAL}.S{at:02}",
                    "signal_version": "1.0.0",
                    "metal": METAL,
                    "as_of_date": days,
                    "knowledge_basis": "CALENDAR",
                    "bucket": np.where(bucket, "ON", "OFF"),
                }
            )
            for at, bucket in enumerate(buckets)
        ]
    )
    return Samples(states, outcomes)


def known_before(samples: Samples, cut: datetime) -> Samples:
    """What of a market was known before a moment."""
    end = pd.Timestamp(cut).tz_localize(None) if cut < NO_CUT else pd.Timestamp.max
    return Samples(
        samples.buckets[samples.buckets["as_of_date"] < end], samples.outcomes[samples.outcomes["known_from"] < end]
    )


def results(seeds: Iterable[int], signals: int = SIGNALS, effect: float = 0.0) -> list[Result]:
    """The result of each market."""
    found = []
    for seed in seeds:
        samples = market(seed, signals, effect)
        rows = evaluate(plan(signals), [METAL], partial(known_before, samples), code_version="simulation")
        oos = rows[(rows["split"] == "OOS") & (rows["entry_lag"] == 1)]
        bucket = samples.buckets["bucket"].iloc[: len(samples.outcomes)].to_numpy() == "ON"
        naive = naive_p(samples.outcomes[OUTCOME].to_numpy(), bucket)
        first = oos.iloc[0]
        found.append(Result(first["placebo_p"], naive, float(oos["p_adj"].min()), str(first["verdict"])))
    return found


def naive_p(outcome: Floats, bucket: Flags) -> float:
    """Two-sided p-value of a regression that takes the dates for independent."""
    inside, outside = outcome[bucket], outcome[~bucket]
    squares = ((inside - inside.mean()) ** 2).sum() + ((outside - outside.mean()) ** 2).sum()
    se = math.sqrt(squares / (len(outcome) - 2) * (1 / len(inside) + 1 / len(outside)))
    return math.erfc(abs(difference(outcome, bucket)) / se / math.sqrt(2))


def _persistent(rng: np.random.Generator, n: int) -> Floats:
    steps, values = rng.normal(size=n) * math.sqrt(1 - 0.98**2), np.zeros(n)
    for t in range(1, n):
        values[t] = 0.98 * values[t - 1] + steps[t]
    return values


def _regime(rng: np.random.Generator, n: int) -> Flags:
    lengths = rng.geometric(1 / STAY, n)
    return np.repeat(np.arange(n) % 2 == 1, lengths)[:n]


def main(arguments: list[str]) -> None:
    """Print the size and power table of docs/methodology.md."""
    markets = int(arguments[0]) if arguments else 200
    null = results(range(markets))
    lines = [
        ("null: placebo p of a signal at 0.10 or less", [r.placebo <= 0.10 for r in null]),
        ("null: any of 20 adjusted p at 0.10 or less", [r.least_adjusted <= 0.10 for r in null]),
        ("null: usual regression p at 0.10 or less", [r.naive <= 0.10 for r in null]),
    ]
    for effect in (1.0, 2.0):
        planted = results(range(1_000, 1_000 + markets), effect=effect)
        lines += [
            (f"effect of {effect:g} mde: SUPPORTED", [r.verdict == "SUPPORTED" for r in planted]),
            (f"effect of {effect:g} mde: placebo p at 0.10 or less", [r.placebo <= 0.10 for r in planted]),
        ]
    for title, found in lines:
        sys.stdout.write(f"{title:50} {np.mean(found):6.1%} of {len(found)} markets\n")


if __name__ == "__main__":
    main(sys.argv[1:])
