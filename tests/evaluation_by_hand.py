"""Rows of `signals.eval_signal` by hand: plain numpy from the tables of a warehouse, without the product's code.

`python tests/evaluation_by_hand.py WAREHOUSE ROWS.pkl [N] [SEED]` compares n, episodes, diff, hac_se and placebo_p of N
rows.
"""

from __future__ import annotations

import itertools
import math
import sys
from datetime import UTC, date, datetime, time, timedelta

import duckdb
import numpy as np


def by_hand(connection: duckdb.DuckDBPyConnection, row: dict) -> dict[str, float]:
    """The figures of a row of the split DEV, OOS or ALL."""
    cut = {
        "DEV": datetime(2019, 1, 1, tzinfo=UTC),
        "OOS": datetime.combine(_day(row["registered_on"]) + timedelta(days=1), time(), UTC),
        "ALL": datetime(9000, 1, 1, tzinfo=UTC),
    }[row["split"]]
    price, stock = {}, {}
    for day, cash, m3 in connection.execute(
        "select obs_date, cash_usd_t, m3_usd_t from staging.stg_prices where metal = ? and known_from < ? "
        "order by known_from desc",
        [row["metal"], cut],
    ).fetchall():
        before = price.get(day, (None, None))  # of a later vintage: the first one is the last of these rows
        price[day] = (before[0] if cash is None else cash, before[1] if m3 is None else m3)
    for day, total in connection.execute(
        "select obs_date, total_t from staging.stg_stocks where metal = ? and known_from < ? and total_t > 0 "
        "order by known_from desc",
        [row["metal"], cut],
    ).fetchall():
        stock[day] = total
    grid = sorted(price)
    states: dict[date, str] = {}
    for day, value, unit, score, state, quality in connection.execute(
        "select as_of_date, value, unit, score, state, quality from signals.signals where signal_id = ? and "
        "signal_version = ? and as_of_ts < ? order by as_of_date, revision_no desc",
        [row["signal_id"], row["signal_version"], cut],
    ).fetchall():
        states.pop(day, None)
        if quality in ("MISSING", "WARMUP") or state == "UNKNOWN":
            continue
        if state is None and score is None and unit == "index points":
            score = value / 100
        if state is not None:
            states[day] = state
        elif score is not None:
            at = min(int(score * 5 + 1e-9), 4)
            states[day] = f"{at / 5:.1f}-{(at + 1) / 5:.1f}"
    h, outcomes, inside = row["horizon_obs"], [], []
    for day in sorted(states):
        if row["split"] == "OOS" and day < date(2019, 1, 1):
            continue
        e = sum(d <= day for d in grid) - (0 if row["entry_lag"] else 1)
        if e < 0 or e + h >= len(grid):
            continue
        value = _outcome(
            row["outcome"], [price[d] for d in grid[e : e + h + 1]], stock.get(grid[e]), stock.get(grid[e + h])
        )
        if value is not None:
            outcomes.append(value)
            inside.append(states[day] == row["bucket"])
    y, d = np.array(outcomes), np.array(inside)
    size = len(y)
    diff = y[d].mean() - y[~d].mean()
    shifts = range(h, size - h + 1)
    as_large = sum(abs(y[(s := np.roll(d, k))].mean() - y[~s].mean()) >= abs(diff) - 1e-12 for k in shifts)
    return {
        "n": int(d.sum()),
        "episodes": sum(bool(now) and not before for now, before in zip(d, [False, *d[:-1]], strict=False)),
        "diff": diff,
        "hac_se": _newey_west(y, d.astype(float), math.ceil(1.5 * h)),
        "placebo_p": (1 + as_large) / (1 + len(shifts)),
    }


def _outcome(name: str, path: list, first: float | None, last: float | None) -> float | None:
    cash, m3 = zip(*path, strict=False)
    if name == "d_ln_stock":
        return None if first is None or last is None else math.log(last) - math.log(first)
    if name == "d_spread":
        if None in (cash[0], m3[0], cash[-1], m3[-1]):
            return None
        return (cash[-1] - m3[-1]) - (cash[0] - m3[0])
    if name == "fwd_m3_log_return":
        return None if m3[0] is None or m3[-1] is None else math.log(m3[-1] / m3[0])
    if None in m3:
        return None
    if name == "realised_vol":
        return math.sqrt(252 * sum(math.log(b / a) ** 2 for a, b in itertools.pairwise(m3)) / (len(m3) - 1))
    return min(math.log(m3[k] / max(m3[: k + 1])) for k in range(len(m3)))


def _newey_west(y: np.ndarray, d: np.ndarray, lags: int) -> float:
    x = np.column_stack([np.ones(len(y)), d])
    inverse = np.linalg.inv(x.T @ x)
    scores = x * (y - x @ (inverse @ (x.T @ y)))[:, None]
    middle = scores.T @ scores
    for j in range(1, lags + 1):
        crossed = scores[j:].T @ scores[: len(y) - j]
        middle = middle + (1 - j / (lags + 1)) * (crossed + crossed.T)
    return float(np.sqrt((inverse @ middle @ inverse)[1, 1] * len(y) / (len(y) - 2)))


def _day(moment: object) -> date:
    return moment.date() if isinstance(moment, datetime) else moment  # type: ignore[return-value]


def worst(connection: duckdb.DuckDBPyConnection, rows: list[dict]) -> float:
    """The largest relative difference of the figures of these rows."""
    found = 0.0
    for row in rows:
        for name, value in by_hand(connection, row).items():
            found = max(found, abs(value - row[name]) / max(abs(value), 1e-12) if value else abs(row[name]))
    return found


if __name__ == "__main__":
    import pandas as pd

    database, pickled, *rest = sys.argv[1:]
    count, seed = (int(text) for text in (rest + ["20", "14"][len(rest) :]))
    every = pd.read_pickle(pickled)
    every = every[
        every["diff"].notna() & (every["basis_subset"] == "ALL") & ~every["signal_id"].str.startswith("BENCH")
    ]
    chosen = every[every["split"] != "LIVE"].sample(count, random_state=seed)
    with duckdb.connect(database, read_only=True) as opened:
        opened.execute("set TimeZone = 'UTC'")
        for one in chosen.to_dict("records"):
            key = [str(one[name]) for name in ("signal_id", "bucket", "outcome", "horizon_obs", "split", "entry_lag")]
            sys.stdout.write(f"{' '.join(key):80} {worst(opened, [one]):.1e}\n")
