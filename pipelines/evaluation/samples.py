"""Samples: the buckets of each decision time, and what followed it, from what was known before a moment.

The queries are in `samples.sql`. They read the private warehouse, which has the first known value of every observation
(`staging`), the decision times and the log of signals.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import duckdb
import numpy as np
import pandas as pd

from schemas.evaluation import BENCHMARK_VERSION, BINS

ENTRY_LAGS: Final = (1, 0)
MARKOV: Final = "BENCH.MARKOV"
_QUERIES: Final = (Path(__file__).with_name("samples.sql")).read_text(encoding="utf-8").split(";\n")


@dataclass(frozen=True)
class Samples:
    """Both in order of time. `buckets`: signal_id, signal_version, metal, as_of_date, knowledge_basis, bucket.
    `outcomes`: metal, as_of_date, as_of_ts, entry_lag, horizon_obs, known_from (when they were known), one column for
    each outcome."""

    buckets: pd.DataFrame
    outcomes: pd.DataFrame


def read(connection: duckdb.DuckDBPyConnection, cut: datetime, horizons: Sequence[int], seed: int) -> Samples:
    """The samples of a warehouse from what was known before `cut`."""
    named = {"cut": cut, "horizons": sorted(set(horizons)), "bins": list(BINS)}
    for query in filter(str.strip, _QUERIES):
        connection.execute(query, {name: value for name, value in named.items() if f"${name}" in query})
    buckets = connection.execute("select * from buckets order by all").df()
    decisions = connection.execute("select metal, as_of_date, regime, knowledge_basis from decisions order by all").df()
    outcomes = connection.execute(
        """
        select decisions.metal, decisions.as_of_date, decisions.as_of_ts, lags.entry_lag, outcomes.* exclude (metal, n)
        from decisions
        cross join (values (0), (1)) as lags (entry_lag)
        inner join outcomes on decisions.metal = outcomes.metal and decisions.last_n + lags.entry_lag = outcomes.n
        order by decisions.metal, decisions.as_of_date
        """
    ).df()
    every = pd.concat([buckets, *markov(decisions, seed)], ignore_index=True)
    return Samples(every.sort_values("as_of_date", kind="stable", ignore_index=True), outcomes)


def markov(decisions: pd.DataFrame, seed: int) -> list[pd.DataFrame]:
    """The regime's dates with states of a random chain, by metal: it moves as the regime had moved up to each date.

    It has the regime's persistence and no information. It starts in the regime's first state.
    """
    chains = []
    for metal, rows in decisions[decisions["regime"] != "UNKNOWN"].groupby("metal", sort=True):
        draws = np.random.default_rng(seed).random(len(rows))
        counts: dict[str, dict[str, int]] = {}
        regimes: list[str] = rows["regime"].tolist()
        states: list[str] = []
        for at, regime in enumerate(regimes):
            if at:
                moves = counts.setdefault(regimes[at - 1], {})
                moves[regime] = moves.get(regime, 0) + 1
            states.append(_move(counts.get(states[-1], {}), draws[at], states[-1]) if at else regime)
        chains.append(
            rows[["as_of_date", "knowledge_basis"]].assign(
                signal_id=MARKOV, signal_version=BENCHMARK_VERSION, metal=metal, bucket=states
            )
        )
    return chains


def _move(counts: dict[str, int], draw: float, state: str) -> str:
    """The next state: each in proportion to its count; the same one where none was counted."""
    total, reached = sum(counts.values()), 0.0
    for to, count in sorted(counts.items()):
        reached += count / total
        if draw < reached:
            return to
    return state
