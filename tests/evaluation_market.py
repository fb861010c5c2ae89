"""A small warehouse with what an evaluation reads: prices, stocks, decision times and the log of signals."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd

from pipelines.evaluation.evaluate import PlanRow, evaluate
from pipelines.evaluation.samples import Samples, read

HORIZONS, SEED = [5, 21, 63], 3
FIRST, LAST = "2016-01-04", "2021-12-31"


def days() -> pd.DatetimeIndex:
    """Trading days: weekdays."""
    return pd.bdate_range(FIRST, LAST)


def frames(seed: int = 1) -> dict[str, pd.DataFrame]:
    """The tables of a market, of which each price is known in the evening and each stock the morning after."""
    rng, day = np.random.default_rng(seed), days()
    n = len(day)
    m3 = 2_000 * np.exp(np.cumsum(rng.normal(0, 0.012, n)))
    spread = 10 * _persistent(rng, n)
    stock = 500_000 * np.exp(np.cumsum(rng.normal(0, 0.01, n)))
    evening = (day + pd.Timedelta(hours=17)).tz_localize("UTC")
    prices = pd.DataFrame(
        {"metal": "AL", "obs_date": day, "cash_usd_t": m3 + spread, "m3_usd_t": m3, "known_from": evening}
    )
    stocks = pd.DataFrame(
        {"metal": "AL", "obs_date": day, "total_t": stock, "known_from": evening + pd.Timedelta(hours=16)}
    )
    decision = (day + pd.Timedelta(hours=18)).tz_localize("UTC")
    tightness = pd.DataFrame(
        {
            "metal": "AL", "as_of_date": day, "as_of_ts": decision, "price_obs_date": day, "m3_usd_t": m3,
            "cash_3m_spread_usd_t": spread, "knowledge_basis": "CALENDAR",
            "regime": np.where(_persistent(rng, n) > 0, "TIGHT", "NEUTRAL"),
        }
    )  # fmt: skip
    common = {
        "signal_version": "1.0.0", "metal": "AL", "region": "GLOBAL", "as_of_ts": decision, "as_of_date": day,
        "revision_no": 1, "quality": "OK", "knowledge_basis": "CALENDAR",
    }  # fmt: skip
    on = np.where(_persistent(rng, n) > 0, "ON", "OFF")
    state = pd.DataFrame(
        common | {"signal_id": "AL.STATE", "unit": "USD/t", "value": spread, "score": np.nan, "state": on}
    )
    score = pd.DataFrame(
        common | {"signal_id": "AL.SCORE", "unit": "ratio", "value": 1.0, "score": rng.random(n), "state": None}
    )
    index = pd.DataFrame(
        common
        | {
            "signal_id": "AL.INDEX",
            "unit": "index points",
            "value": 100 * rng.random(n),
            "score": np.nan,
            "state": None,
        }
    )
    return {
        "staging.stg_prices": prices,
        "staging.stg_stocks": stocks,
        "marts.tightness_daily": tightness,
        "signals.signals": pd.concat([state, score, index], ignore_index=True),
    }


def connect(tables: dict[str, pd.DataFrame], path: Path | None = None) -> duckdb.DuckDBPyConnection:
    """A database with these tables."""
    connection = duckdb.connect(str(path or ":memory:"))
    connection.execute("set TimeZone = 'UTC'")
    for name, frame in tables.items():
        connection.execute(f"create schema if not exists {name.split('.')[0]}")
        dates = {column: "date" for column in frame if column in {"obs_date", "as_of_date", "price_obs_date"}}
        casts = ", ".join(f"cast({column} as {kind}) as {column}" for column, kind in dates.items())
        missing = ", ".join(f"nullif({c}, 'nan'::double) as {c}" for c in frame.select_dtypes("float"))
        replaced = ", ".join(part for part in (casts, missing) if part)
        connection.register("frame", frame)
        connection.execute(f"create table {name} as select * replace ({replaced}) from frame")
        connection.unregister("frame")
    return connection


def samples(tables: dict[str, pd.DataFrame], cut: str = "2100-01-01") -> Samples:
    """The samples of these tables from what was known before a moment."""
    with connect(tables) as connection:
        return read(connection, datetime.fromisoformat(cut).replace(tzinfo=UTC), HORIZONS, SEED)


def evaluated(tables: dict[str, pd.DataFrame], plan: list[PlanRow]) -> pd.DataFrame:
    """The rows of a plan."""
    with connect(tables) as connection:
        return evaluate(plan, ["AL"], lambda cut: read(connection, cut, HORIZONS, SEED), code_version="test", seed=SEED)


def _persistent(rng: np.random.Generator, n: int) -> np.ndarray:
    values = np.zeros(n)
    for t, step in enumerate(rng.normal(size=n)):
        values[t] = 0.95 * values[t - 1] + step if t else step
    return values
