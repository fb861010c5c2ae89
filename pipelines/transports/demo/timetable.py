"""Timetable of the demo's publishers: when each value is released."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipelines.common.calendar import Calendar, business_days, release_instants

Days = NDArray[np.datetime64]

LONDON, BERLIN, SHANGHAI = "Europe/London", "Europe/Berlin", "Asia/Shanghai"
NEW_YORK, CHICAGO = "America/New_York", "America/Chicago"


@dataclass(frozen=True)
class Release:
    """Release rule: `n` business days after a value's day, or `n` days without a calendar, at a local time.

    With `months` it counts from `day` of the month that is `months` after the month of the value.
    """

    calendar: Calendar | None
    n: int
    time: str  # HH:MM
    zone: str
    months: int = 0
    day: int = 1

    def days(self, days: Days) -> Days:
        """Release days of the values of these days or months."""
        if self.months:
            days = (days.astype("datetime64[M]") + self.months).astype("datetime64[D]") + self.day - 1
        if self.calendar is None:
            return days + self.n
        return np.asarray(np.busday_offset(days, self.n, roll="forward", busdaycal=business_days(self.calendar)))

    def times(self, days: Days) -> pd.DatetimeIndex:
        """Release times (UTC) of the values of these days or months."""
        return release_instants(self.days(days), self.time, self.zone, self.calendar or "WEEKDAYS")

    def count(self, at: datetime, days: Days) -> int:
        """Number of these days or months, in ascending order, whose values are released by `at`."""
        # Most days are long past. A release is within a day of its date in UTC.
        if len(days) and self.days(days[-1:])[0] + 2 <= np.datetime64(at.date()):
            return len(days)
        return int(self.times(days).searchsorted(pd.Timestamp(at), side="right"))

    def rows(self, at: datetime, days: Days, *columns: NDArray[Any]) -> list[tuple[Any, ...]]:
        """Rows of (day, values) that are released by `at`."""
        n = self.count(at, days)
        return list(zip(days[:n].astype(object), *(column[:n].tolist() for column in columns), strict=True))


# Release days of the positions that shutdowns of the government delayed.
DELAYED: Final = {
    "2018-12-24": "2019-02-01", "2018-12-31": "2019-02-05", "2019-01-08": "2019-02-08", "2019-01-15": "2019-02-12",
    "2019-01-22": "2019-02-15", "2019-01-29": "2019-02-19", "2019-02-05": "2019-02-22", "2019-02-12": "2019-02-26",
    "2019-02-19": "2019-03-01", "2019-02-26": "2019-03-05", "2025-09-30": "2025-11-19", "2025-10-07": "2025-11-21",
    "2025-10-14": "2025-11-25", "2025-10-21": "2025-12-02", "2025-10-28": "2025-12-05", "2025-11-04": "2025-12-09",
    "2025-11-10": "2025-12-12", "2025-11-18": "2025-12-16", "2025-11-25": "2025-12-19", "2025-12-02": "2025-12-23",
    "2025-12-09": "2025-12-30", "2025-12-16": "2026-01-06", "2025-12-23": "2026-01-09", "2025-12-30": "2026-01-13",
    "2026-01-06": "2026-01-16", "2026-01-13": "2026-01-20",
}  # fmt: skip


class Commitments(Release):
    """Release rule of weekly positions, with delayed reports."""

    def days(self, days: Days) -> Days:
        """Release days of the positions of these days."""
        usual = super().days(days).astype("datetime64[D]")
        delayed = [DELAYED.get(str(day)) for day in days.astype("datetime64[D]")]
        return np.array([late or day for late, day in zip(delayed, usual, strict=True)], dtype="datetime64[D]")


LME: Final = Release("LONDON", 1, "09:00", LONDON)
SHARES: Final = Release("NYSE", 0, "16:15", NEW_YORK)
SOFR: Final = Release("NEW_YORK", 1, "08:00", NEW_YORK)
EFFR: Final = Release("NEW_YORK", 1, "09:00", NEW_YORK)
FX: Final = Release("TARGET", 0, "16:00", BERLIN)
AUCTION: Final = Release(None, -1, "12:45", BERLIN)  # on the day before delivery
EMBER: Final = Release(None, 7, "12:00", LONDON)
COMEX: Final = Release("WEEKDAYS", 1, "16:00", NEW_YORK)
CFTC: Final = Commitments("NEW_YORK", 3, "15:30", NEW_YORK)
SHFE: Final = Release(None, 0, "16:00", SHANGHAI)
PINK_SHEET: Final = Release("WEEKDAYS", 1, "16:00", NEW_YORK, months=1)
FRED: Final = Release("WEEKDAYS", 0, "16:00", CHICAGO, months=1, day=20)
CUSTOMS: Final = Release("WEEKDAYS", 0, "11:00", SHANGHAI, months=1, day=14)
COMTRADE: Final = Release("WEEKDAYS", 0, "12:00", NEW_YORK, months=3)
OFF_WARRANT: Final = Release("LONDON", 0, "09:00", LONDON, months=2, day=10)
COSTS: Final = Release("LONDON", 1, "18:00", LONDON)
PRODUCTION: Final = Release("WEEKDAYS", 0, "11:00", SHANGHAI, months=1, day=20)
ARBITRAGE: Final = Release("LONDON", 0, "17:00", LONDON)
