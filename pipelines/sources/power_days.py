"""Delivery days of a day-ahead auction: local days of 23 to 25 hours, divided into market time units."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from pipelines.sources.parsing import INSTANTS, typed_frame

SECONDS: Final = {"PT15M": 900, "PT30M": 1800, "PT60M": 3600}
RESOLUTION: Final = {seconds: name for name, seconds in SECONDS.items()}
FIRST_MONTH: Final = pd.Period("2015-01", "M")  # European transparency data starts here


@dataclass(frozen=True)
class DeliveryDay:
    """Prices of one local day in EUR/MWh by position from 1; a missing position repeats the one before it."""

    day: dt.date
    step: int  # seconds of a market time unit
    prices: dict[int, float]


@cache
def bounds(timezone: str, day: dt.date) -> tuple[int, int]:
    """Unix seconds of the local midnights at the start and end of a day, 23 to 25 hours apart."""
    zone = ZoneInfo(timezone)
    first, last = (dt.datetime.combine(d, dt.time(), zone) for d in (day, day + dt.timedelta(days=1)))
    return int(first.timestamp()), int(last.timestamp())


def local_day(timezone: str, seconds: int) -> dt.date:
    """The local day of an instant (unix seconds)."""
    return dt.datetime.fromtimestamp(seconds, ZoneInfo(timezone)).date()


def stamp(seconds: int) -> str:
    """An instant (unix seconds) as text, UTC to the minute; outside `INSTANTS` the bare number."""
    if seconds not in INSTANTS:
        return f"second {seconds}"
    return dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%Y-%m-%dT%H:%MZ")


def month_days(period: str) -> tuple[dt.date, dt.date]:
    """First and last day of a month written YYYY-MM."""
    month = pd.Period(period, "M")
    return month.start_time.date(), month.end_time.date()


def power_frame(zone: str, timezone: str, days: Sequence[DeliveryDay]) -> pd.DataFrame:
    """Delivery days as rows of the `power` dataset, in time order."""
    days = sorted(days, key=lambda day: day.day)
    counts = [len(day.prices) for day in days]
    points = [point for day in days for point in sorted(day.prices.items())]
    lengths = [(end - start) // day.step for day in days for start, end in [bounds(timezone, day.day)]]
    resolutions = pd.array([RESOLUTION[day.step] for day in days], dtype="str")
    columns = {
        "zone": pd.array([zone], dtype="str").repeat(len(points)),
        "delivery_date": np.repeat(np.array([day.day for day in days], dtype="datetime64[us]"), counts),
        "resolution": resolutions.repeat(counts),
        "n_positions": np.repeat(np.array(lengths, dtype=np.int64), counts),
        "position": [position for position, _ in points],
        "price_eur_mwh": [price for _, price in points],
    }
    return typed_frame("power", columns)
