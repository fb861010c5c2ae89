"""Small generated markets with the difficult cases of time: revisions, gaps, ties, late data and users' files.

A market is made of choices of whole numbers, where 0 is the plain one; a seeded `random.Random` or hypothesis makes
them. Values are coarse, so that ties are common, and lie around the levels of the level machine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pandas as pd
import pyarrow as pa
from compiled import reference_rows
from sandbox import Sandbox

from pipelines.common.calendar import calendar_end
from pipelines.warehouse import dbt
from schemas.base import columns_of
from schemas.datasets import DATASETS, Spec
from schemas.generate.arrow import pandas_types

Choose = Callable[[int, int], int]  # a whole number from the first to the second, both included

LAST: Final = pd.Timestamp("2026-02-06")  # the last day that has observations
# How a column's numbers are chosen: first, step, how many.
STEPS: Final[dict[str, tuple[float, float, int]]] = {
    "cash_usd_t": (2900, 100, 6),
    "m3_usd_t": (2900, 100, 6),
    "days_cash_to_3m": (89, 1, 4),
    "total_t": (500_000, 20_000, 6),
    "cancelled_t": (60_000, 10_000, 4),
    "usd_t": (-20, 10, 5),
    "offwarrant_t": (200_000, 20_000, 8),
    "registered_month_end_t": (500_000, 20_000, 6),
    "exports_kt": (500, 10, 10),
    "production_kt": (3600, 50, 6),
    "shfe_cny_t": (22_000, 500, 6),
    "usdcny": (7.0, 0.1, 4),
    "close_usd": (50, 2, 8),
    "rate_pct": (3.5, 0.25, 4),
    "rate": (1.1, 0.02, 5),
    "price_eur_mwh": (-10, 30, 6),
}
TEXTS: Final = {
    "contract": ["191691"],
    "location": ["DETROIT", "VLISSINGEN"],
    "exchange": ["SHFE"],
    "product": ["METAL", "ALUMINA"],
    "spread": ["CASH_3M", "TOM_NEXT", "M3_M15", "DEC_DEC", "M1_M2"],
    "metal": ["AL"],
    "country": ["CN"],
    "pair": ["EURUSD"],
    "zone": ["DE-LU"],
    "ticker": ["AA"],
}
# When a value becomes known on its day (UTC): around the decision time too, to the second.
CLOCK: Final = ("13:25:00", "09:00:00", "18:00:00", "17:59:59", "18:00:01", "23:30:00")
LICENCES: Final = ("OPEN", "BYO", "RESTRICTED")
BASES: Final = ("CALENDAR", "ASSUMED", "OBSERVED")


@dataclass(frozen=True)
class Value:
    """One value of one observation, known at one time."""

    dataset: str
    row: dict[str, Any]  # key and value columns
    known: pd.Timestamp
    source: str

    def __str__(self) -> str:
        values = " ".join(str(v.date() if isinstance(v, pd.Timestamp) else v) for v in self.row.values())
        return f"{self.dataset} {values} known {self.known:%Y-%m-%dT%H:%M:%S} by {self.source}"


@dataclass(frozen=True)
class Market:
    """All values, in the order of their capture."""

    values: list[Value] = field(default_factory=list)

    def __str__(self) -> str:
        return "\n".join(map(str, self.values))

    def __repr__(self) -> str:
        return f"<a market of {len(self.values)} values>"

    @property
    def end(self) -> pd.Timestamp:
        """A moment at which everything is known, and the last decision is taken."""
        return max([pd.Timestamp(LAST, tz="UTC"), *(values.known for values in self.values)]) + pd.Timedelta(days=4)

    def lake(self) -> dict[str, pd.DataFrame]:
        """The rows as the lake stores them, by dataset."""
        return {name: self._stored(name) for name in DATASETS}

    def _stored(self, name: str) -> pd.DataFrame:
        spec, columns = DATASETS[name], pandas_types(name)
        values = [one for one in self.values if one.dataset == name]
        rows = pd.DataFrame([one.row for one in values], columns=list(columns_of(spec.model)))
        sources = pd.Series([one.source for one in values], dtype="str")
        rows = rows.assign(
            obs_start=rows[spec.period],
            obs_end=rows[spec.period],
            knowledge_ts=pd.Series([one.known for one in values], dtype="datetime64[us, UTC]"),
            knowledge_basis=[BASES[n % 3] for n in range(len(values))],
            ingest_ts=pd.Series([one.known for one in values], dtype="datetime64[us, UTC]"),
            source=sources,
            payload_sha256=[f"{n:064x}" for n in range(len(values))],
            licence_class=[LICENCES[n // 2 % 3] for n in range(len(values))],
            is_suspect=[n % 7 == 6 for n in range(len(values))],
        )
        series = [*spec.key, sources == "drop"]
        return rows.assign(vintage_no=rows.groupby(series, sort=False).cumcount() + 1)[list(columns)].astype(columns)


def market(choose: Choose, days: int | None = None, drops: bool = True) -> Market:
    """A market of some weeks, with or without users' files beside the feeds. With `days`, so many trading days and
    every dataset at length; else both are chosen too."""
    dates = list(pd.bdate_range(end=LAST, periods=days or choose(2, 18)))
    n_months = 22 if days else (4, 14, 18, 22)[choose(0, 3)]
    values: list[Value] = []
    for name, spec in DATASETS.items():
        if not days and choose(0, 7) == 0:
            continue
        periods = _months(name, n_months) if spec.cadence == "monthly" else dates
        if name == "prices":
            periods = [*(day - pd.DateOffset(years=1) for day in dates[::4]), *periods]
        has_drops = drops and choose(0, 2) == 2
        for period in periods:
            rows = _power(period, choose) if name == "power" else [_row(name, spec, period, choose)]
            for row in rows:
                values += _history(name, spec, period, row, choose, has_drops)
    return Market(values)


def reference(root: Path) -> dict[str, pa.Table]:
    """The product's reference tables for such a market, by way of a place at `root`: short histories and windows."""
    sandbox = Sandbox(root, "drop", f"{LAST + pd.Timedelta('60D'):%Y-%m-%dT00:00:00Z}")
    sandbox.set_parameters(stock_chg_obs=3, rank_min_periods=4, rank_window=8)
    sandbox.set_parameters(rank_min_periods_weekly=3, rank_months_weekly=1, load_out_days=8)
    sandbox.set_parameters(rank_min_periods_monthly=3, rank_window_monthly=5, level_up=3_200, level_down=3_000)
    sandbox.set_parameters(price_reversal=0.01)  # prices are suspect on many days
    sandbox.set_parameters(rank_min_periods_v2=4, rank_min_periods_monthly_v2=3, median_obs=3, season_min_years=1)
    sandbox.set_max_age(exports_yoy_3m=120)
    # Both rates count on days of the market.
    sandbox.set_rate_chain(SOFR=f"{LAST - pd.offsets.BDay(8):%Y-%m-%d}")
    broken, known = (f"{LAST - pd.Timedelta(days=days):%Y-%m-%d}" for days in (24, 17))
    sandbox.add_break("stock_days", broken, valid_from=known)
    workspace, folder = sandbox.open(), root / "copies"
    dbt.write_reference(workspace.reference, folder, calendar_end(workspace.now).date())
    return reference_rows(folder, (LAST - pd.DateOffset(years=2)).date())


def _months(name: str, n: int) -> list[pd.Timestamp]:
    """The last month-ends; where periods have a length, January and February are one pool."""
    months = list(pd.date_range(end=LAST - pd.offsets.MonthEnd(2), periods=n, freq="ME"))
    pooled = "period_months" in columns_of(DATASETS[name].model)
    return [month for month in months if not pooled or month.month != 1]


def _row(name: str, spec: Spec, period: pd.Timestamp, choose: Choose) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for column, about in columns_of(spec.model).items():
        if column == spec.period:
            row[column] = period
        elif column == "period_months":
            row[column] = 2 if period.month == 2 else 1
        elif str(about["dtype"]).startswith("str"):
            row[column] = _text(spec, column, choose)
        else:
            row[column] = _number(spec, column, choose, bool(about["nullable"]))
    return _made_valid(name, row)


def _made_valid(name: str, row: dict[str, Any]) -> dict[str, Any]:
    """Rules that compare columns."""
    if name == "prices" and row["m3_usd_t"] is None and row["cash_usd_t"] is None:
        return row | {"m3_usd_t": 3000.0}
    return row


def _text(spec: Spec, column: str, choose: Choose) -> str:
    checks = spec.model.to_schema().columns[column].checks
    allowed = TEXTS.get(column) or [v for c in checks if c.name == "isin" for v in c.statistics["allowed_values"]]
    assert allowed, f"a market has no {column}: add one to TEXTS"
    return str(allowed[choose(0, len(allowed) - 1)])


def _number(spec: Spec, column: str, choose: Choose, optional: bool) -> float | None:
    """One of a few numbers, and none where the column has gaps."""
    bounds = [check.statistics for check in spec.model.to_schema().columns[column].checks]
    low = max([1.0, *(b["min_value"] for b in bounds if "min_value" in b)])
    first, step, n = STEPS.get(column, (low, 1, 5))
    chosen = choose(0, n if optional else n - 1)
    return None if chosen == n else first + step * chosen


def _power(day: pd.Timestamp, choose: Choose) -> Iterator[dict[str, Any]]:
    """Points of a day; between them the price repeats. Now and then the day has quarters of an hour too."""
    for resolution, per_hour in [("PT60M", 1), ("PT15M", 4)][: 1 + (choose(0, 4) == 4)]:
        for position in (1, 7 * per_hour)[: choose(1, 2)]:
            spec = DATASETS["power"]
            yield {
                "zone": "DE-LU",
                "delivery_date": day,
                "resolution": resolution,
                "n_positions": 24 * per_hour,
                "position": position,
                "price_eur_mwh": _number(spec, "price_eur_mwh", choose, False),
            }


def _history(
    name: str, spec: Spec, period: pd.Timestamp, row: dict[str, Any], choose: Choose, has_drops: bool
) -> Iterator[Value]:
    """All values of one observation: none, a value, a revision of it, or a user's value."""
    what = choose(0, 9)
    if what == 9:
        return
    lag = 14 + choose(0, 30) if spec.cadence == "monthly" else -1 if name == "power" else choose(0, 1)
    if what == 8:
        lag += choose(1, 25)  # late
    known = (period + pd.Timedelta(f"{lag}D") + pd.Timedelta(CLOCK[choose(0, len(CLOCK) - 1)])).tz_localize("UTC")
    yield Value(name, row, known, "feed")
    if what in (6, 7):
        later = pd.Timedelta(hours=choose(0, 3) and choose(1, 240))  # or at the same second
        yield Value(name, _revised(name, spec, row, choose), known + later, "feed")
    if has_drops and choose(0, 2) == 2:
        other = _revised(name, spec, row, choose)
        sooner = 0 if name == "power" else 48  # an auction is not known before it is held
        yield Value(name, other, known + pd.Timedelta(hours=choose(0, 480) - sooner), "drop")


def _revised(name: str, spec: Spec, row: dict[str, Any], choose: Choose) -> dict[str, Any]:
    """Other numbers for the same observation."""
    numbers = [
        column
        for column, about in columns_of(spec.model).items()
        if column not in spec.key
        and column not in ("period_months", "n_positions")
        and not str(about["dtype"]).startswith("str")
    ]
    about = columns_of(spec.model)
    return _made_valid(
        name, row | {column: _number(spec, column, choose, bool(about[column]["nullable"])) for column in numbers}
    )
