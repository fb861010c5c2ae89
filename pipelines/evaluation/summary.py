"""Rows of `signals.eval_summary`: one a signal, with its primary test, its verdicts and what they say in words.

The forecast of a signal is the mean outcome of its bucket, from what was known at each decision time. It is compared
with the forecasts of the benchmarks on the same dates out of sample.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd

from pipelines.evaluation import statistics
from pipelines.evaluation.evaluate import OOS_START, PlanRow, Row, oos_cut
from pipelines.evaluation.samples import Samples
from schemas.evaluation import BENCHMARKS, OUTCOMES
from schemas.fields import VERDICTS

FOLLOWED: Final = {
    "d_spread": ("change of the spread", "USD/t", 1.0),
    "d_ln_stock": ("change of the registered stock", "%", 100.0),
    "realised_vol": ("volatility", "% a year", 100.0),
    "max_drawdown": ("worst fall of the price", "%", 100.0),
    "fwd_m3_log_return": ("change of the three-month price", "%", 100.0),
}
SAYS: Final = {
    "SUPPORTED": "supported out of sample",
    "REVERSED": "the opposite of what the theory predicts, out of sample",
    "WEAK": "weak: seen before 2019, not since",
    "NO_EVIDENCE": "no evidence",
    "INSUFFICIENT": "too few independent observations to say anything",
}
SHORT: Final = {"BENCH.MOM_252": "momentum", "BENCH.BACKWARDATION": "spread above zero"}


def summarise(
    rows: pd.DataFrame, plan: Sequence[PlanRow], metals: Sequence[str], read: Callable[[Any], Samples], seed: int
) -> pd.DataFrame:
    """The summary of evaluated rows. `read`: the samples from what was known before a moment."""
    found = []
    for metal in metals:
        own = rows[(rows["metal"] == metal) & (rows["basis_subset"] == "ALL") & (rows["entry_lag"] == 1)]
        for test in plan:
            if test.is_primary and test.concerns(metal):
                found.append(_row(own[own["split"] == "OOS"], test, metal, read(oos_cut(test.registered_on)), seed))
    return pd.DataFrame(found).assign(code_version=rows["code_version"].iloc[0], seed=seed)


def _row(rows: pd.DataFrame, test: PlanRow, metal: str, samples: Samples, seed: int) -> Row:
    own = rows[(rows["signal_id"] == test.signal_id) & (rows["signal_version"] == test.signal_version)]
    keys = ("bucket", "outcome", "horizon_obs")
    [primary] = own[np.logical_and.reduce([own[name] == getattr(test, name) for name in keys])].to_dict("records")
    losses = {signal: _loss(samples, test, metal, signal) for signal in (test.signal_id, *BENCHMARKS)}
    row: Row = {
        "signal_id": test.signal_id,
        "signal_version": test.signal_version,
        "metal": metal,
        "as_of_date": samples.buckets["as_of_date"].max(),
        **{name: primary[name] for name in (*keys, "verdict", "n", "episodes", "n_eff", "mean", "mean_all", "diff")},
        **{name: primary[name] for name in ("mde", "placebo_p", "p_adj", "n_variants")},
        **{f"verdict_{name}": _best(own[own["outcome"] == name]["verdict"].tolist()) for name in OUTCOMES},
        **{
            f"beats_{benchmark.partition('.')[2].lower()}_p": _superior(losses, test, benchmark, seed)
            for benchmark in BENCHMARKS
        },
        "registered_on": test.registered_on,
    }
    return row | {"sentence": sentence(row)}


def _best(verdicts: Sequence[str]) -> str | None:
    return min(verdicts, key=VERDICTS.index, default=None)


def _loss(samples: Samples, test: PlanRow, metal: str, signal: str) -> pd.Series:
    """Squared errors out of sample of a signal's forecast of the outcome of a test, by decision day."""
    buckets, outcomes = samples.buckets, samples.outcomes
    states = buckets[(buckets["metal"] == metal) & (buckets["signal_id"] == signal)]
    if not signal.startswith("BENCH."):
        states = states[states["signal_version"] == test.signal_version]
    followed = outcomes[
        (outcomes["metal"] == metal) & (outcomes["entry_lag"] == 1) & (outcomes["horizon_obs"] == test.horizon_obs)
    ].dropna(subset=test.outcome)
    both = states.merge(followed, on="as_of_date", validate="one_to_one").sort_values("as_of_date")
    outcome = both[test.outcome].to_numpy(dtype=float)
    # Dates whose outcome is known by a decision are the first ones: a window that begins later ends later.
    known = np.searchsorted(both["known_from"].cummax().to_numpy(), both["as_of_ts"].to_numpy(), side="right")
    forecast = statistics.expanding_means(outcome, both["bucket"].to_numpy(dtype=object), known)
    loss = pd.Series((outcome - forecast) ** 2, index=both["as_of_date"])
    return loss[loss.index >= pd.Timestamp(OOS_START)].dropna()


def _superior(losses: dict[str, pd.Series], test: PlanRow, benchmark: str, seed: int) -> float:
    """P-value that the forecast of a test's signal is no better than a benchmark's; NaN for the benchmark itself."""
    if benchmark == test.signal_id:
        return math.nan
    own, other = losses[test.signal_id].align(losses[benchmark], join="inner")
    return statistics.superior_ability_p(other.to_numpy(), own.to_numpy(), 2 * test.horizon_obs, seed)


def sentence(row: Row) -> str:
    """The result of a signal in words."""
    what, unit, factor = FOLLOWED[row["outcome"]]
    name = f"{row['signal_id'].partition('.')[2]} {row['bucket']}"
    verdict = SAYS[row["verdict"]]
    if not row["n"]:
        return f"{name} has not occurred since 2019 with {what} over {row['horizon_obs']} observations: {verdict}."
    parts = [
        f"{name} was followed over {row['horizon_obs']} observations by a {what} of "
        f"{_figure(row['mean'], factor)} {unit} on average, against {_figure(row['mean_all'], factor)} on all days, "
        f"in {_count(row['episodes'], 'episode')} since 2019 ({row['n_eff']:.0f} windows that do not overlap): "
        f"{verdict}"
    ]
    if math.isfinite(row["p_adj"]):
        parts[0] += f" (p {row['p_adj']:.2f}, adjusted for {row['n_variants']} tests)"
    beaten = {
        short: row[f"beats_{benchmark.partition('.')[2].lower()}_p"] for benchmark, short in SHORT.items()
        if math.isfinite(row[f"beats_{benchmark.partition('.')[2].lower()}_p"])
    }  # fmt: skip
    if beaten:
        verb = {short: "better than" if p <= 0.10 else "no better than" for short, p in beaten.items()}
        parts.append("As a forecast it is " + " and ".join(f"{verb[s]} {s} (p {p:.2f})" for s, p in beaten.items()))
    if math.isfinite(row["mde"]):
        parts.append(f"A difference below {_figure(row['mde'], factor).lstrip('+')} {unit} would not have been found")
    return ". ".join(parts) + "."


def _figure(value: float, factor: float) -> str:
    return f"{value * factor:+,.2g}" if abs(value * factor) < 10 else f"{value * factor:+,.0f}"


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}" + ("" if n == 1 else "s")
