"""Intentional defects of the demo's responses, of the kinds that real publishers produce.

Each occurs in one response only. A revised response is returned with its earlier captures, as an archive of daily
captures would hold them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

Kind = Literal["MISSING", "REPEATED", "LATE", "REVISED", "MALFORMED", "RULE", "TYPO"]


@dataclass(frozen=True)
class Defect:
    """One defect of a publisher's response and the time during which it is present."""

    source: str
    entity: str  # metal, zone, share or country of the response; empty where it holds all series
    where: str  # day or month of the value
    column: str  # value or series; "row" for the whole row, "month" for the whole response
    kind: Kind
    text: str = ""  # text in place of the value; for a revised quantity the addition, in the unit of the page
    captured: datetime | None = None  # earlier capture with the defect
    until: datetime | None = None  # time of the correction; None: never corrected

    def is_present(self, at: datetime) -> bool:
        """Whether a response at that time has the defect."""
        return self.until is None or at < self.until


def _utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


FOUR_DAYS: Final = timedelta(days=4)
ALUMINIUM: Final = "Unwrought Aluminum and Aluminum Products"

KNOWN_DEFECTS: Final[tuple[Defect, ...]] = (
    Defect("westmetall", "AL", "2008-01-30", "m3", "TYPO", "2,339.00"),  # as on the real page, never corrected
    Defect("westmetall", "AL", "2010-06-15", "row", "MISSING"),
    Defect("westmetall", "AL", "2012-04-17", "m3", "MISSING"),  # blank price
    Defect("westmetall", "AL", "2018-10-09", "stock", "MISSING"),  # blank stock
    Defect("westmetall", "AL", "2019-08-08", "row", "MISSING"),
    Defect("westmetall", "AL", "2023-06-07", "stock", "RULE", "-12,500"),  # parsed, then rejected by a rule
    Defect("westmetall", "AL", "2024-03-12", "row", "MISSING"),
    Defect(
        "westmetall", "AL", "2024-05-21", "m3", "REVISED", "2,339.00",
        captured=_utc("2024-05-22T13:00"), until=_utc("2024-05-24T09:00"),
    ),
    Defect("westmetall", "AL", "2024-08-14", "cash", "MALFORMED", "2,5x8.00"),
    Defect("westmetall", "AL", "2025-11-04", "row", "LATE", until=_utc("2025-11-10T09:00")),
    Defect("worldbank", "", "2015-07", "Aluminum", "MISSING", ".."),
    Defect("worldbank", "", "2019-03", "Aluminum", "MALFORMED", "1,8x1.2"),
    Defect("nyfed", "SOFR", "2023-04-19", "percentRate", "MALFORMED", "n/a"),
    Defect("ecb", "", "2023-10-18", "USD", "MALFORMED", "1.0.8"),
    Defect("jin10", "AL", "2019-05-14", "cancelled", "MALFORMED", "12x5"),
    Defect("energy_charts", "DE-LU", "2019-10", "month", "MISSING"),  # no response: SMARD has the prices
    Defect("ember", "DEU", "2016-08-14", "price", "MISSING"),
    Defect("ember", "FRA", "2021-02-03", "price", "MISSING"),
    Defect("ember", "FRA", "2018-10-28", "price", "REPEATED", "69.61"),  # the day a second time, with another mean
    Defect("entsoe", "FR", "2024-04-17", "13", "MALFORMED", "n/a"),
    Defect("yahoo", "AA", "2024-05-17", "close", "MISSING", "null"),
    Defect("comtrade", "CA", "2019-03", "7606", "MISSING", "null"),
    Defect("customs", "", "2019-10", ALUMINIUM, "MALFORMED", "--"),
    *(
        # The first publication differs by this much and is corrected four days later.
        Defect("customs", "", month, ALUMINIUM, "REVISED", text, _utc(f"{day}T03:00"), _utc(f"{day}T03:00") + FOUR_DAYS)
        for month, day, text in (
            ("2024-06", "2024-07-15", "+0.6"),
            ("2025-04", "2025-05-14", "-0.4"),
            ("2025-10", "2025-11-14", "+0.5"),
            ("2025-12", "2026-01-14", "+0.7"),
            ("2026-03", "2026-04-14", "-0.3"),
        )
    ),
)  # fmt: skip


def defects(source: str, entity: str, period: str, at: datetime) -> dict[tuple[str, str], Defect]:
    """Defects of the response for an entity and year or month at a time, by (where, column)."""
    return {(d.where, d.column): d for d in _of(source, entity, period) if d.is_present(at)}


def earlier_captures(source: str, entity: str, period: str) -> list[datetime]:
    """Capture times of the revised versions of a response, before and after each revision, in time order."""
    revised = [d for d in _of(source, entity, period) if d.kind == "REVISED"]
    return sorted(moment for d in revised for moment in (d.captured, d.until) if moment)


def _of(source: str, entity: str, period: str) -> list[Defect]:
    return [d for d in KNOWN_DEFECTS if d.source == source and d.entity in ("", entity) and d.where.startswith(period)]
