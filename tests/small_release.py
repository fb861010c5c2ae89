"""A small warehouse made by hand, and releases of it, for tests of publication, export and release comparison."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import duckdb

from pipelines.publish.manifest import ManifestBase
from pipelines.publish.release import Release, publish

PRICES, LATEST = ("marts", "price_daily"), ("signals", "signals_latest")
COMMENTS = {
    PRICES: {"": "Prices by day", "metal": "Metal", "obs_date": "Trading day", "cash_usd_t": "Cash price [USD/t]"},
    LATEST: {
        "": "Newest signal",
        "signal_id": "Name",
        "value": "Value's size",
        "knowledge_ts_max": "Known since [UTC]",
    },
}
KEYS = {PRICES: ("metal", "obs_date"), LATEST: ("signal_id",)}
SIGNALS_SQL = """create table signals.signals_latest as
    from (values ('AL.B', null, timestamptz '2026-01-13 18:00:00+00'), ('AL.A', 0.25, '2026-01-12 18:00:00+00'))
    as t(signal_id, value, knowledge_ts_max)"""

TWO_DAYS = {"2026-01-13": 3200.0, "2026-01-12": 3150.5}


def warehouse(path: Path, prices: Mapping[str, float], *more: str, signals: str = SIGNALS_SQL) -> Path:
    """A warehouse with these cash prices by day, changed by further SQL."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    with duckdb.connect(path) as con:
        con.execute("create schema marts; create schema signals; create schema staging; create table staging.t(x int)")
        con.execute("create table marts.price_daily(metal varchar, obs_date date, cash_usd_t double)")
        for day, price in prices.items():
            con.execute("insert into marts.price_daily values ('AL', ?, ?)", [day, price])
        con.execute(signals)
        for statement in more:
            con.execute(statement)
    return path


def base(computed: str = "2026-01-13T18:00:00Z", **inputs: str) -> ManifestBase:
    return {"profile": "demo", "git_commit": None, "computed_ts": computed, "inputs": inputs or {"prices": "aa"}}


def release(source: Path, published: Path, computed: str = "2026-01-13T18:00:00Z", keep: int = 5) -> Release:
    return publish(
        source, published, manifest_base=base(computed), comments=COMMENTS, keys=KEYS, synthetic=True, keep=keep
    )


def opened(database: Path) -> duckdb.DuckDBPyConnection:
    """The database as readers open it: directly, so that `marts.x` and `signals.x` are found by these names."""
    return duckdb.connect(str(database), read_only=True)
