"""What is wrong with the demo's answers, on purpose: real publishers make all of these mistakes.

| source | entity | where | column | kind | what the answer says |
|---|---|---|---|---|---|
| westmetall | AL | 2010-06-15 | row | MISSING | the day is not on the page |
| westmetall | AL | 2012-04-17 | m3 | MISSING | blank three-month price |
| westmetall | AL | 2018-10-09 | stock | MISSING | blank stock |
| westmetall | AL | 2019-08-08 | row | MISSING | the day is not on the page |
| westmetall | AL | 2023-06-07 | stock | RULE | negative stock: reads well, breaks a rule |
| westmetall | AL | 2024-03-12 | row | MISSING | the day is not on the page |
| westmetall | AL | 2024-05-21 | m3 | REVISED | a typing error in the thousands, corrected two days after release |
| westmetall | AL | 2024-08-14 | cash | MALFORMED | a letter in a price |
| westmetall | AL | 2025-11-04 | row | LATE | on the page three business days after its release time |
| worldbank |  | 2015-07 | Aluminum | MISSING | dots: no mean |
| worldbank |  | 2019-03 | Aluminum | MALFORMED | text in place of a mean |
| nyfed |  | 2023-04-19 | percentRate | MALFORMED | text in place of a rate |
| ecb |  | 2023-10-18 | USD | MALFORMED | a rate with two points |
| jin10 | AL | 2019-05-14 | cancelled | MALFORMED | a letter in a quantity |
| energy_charts | DE-LU | 2019-10 | month | MISSING | no answer for the month: SMARD gives it |
| ember | DEU | 2016-08-14 | price | MISSING | blank mean |
| ember | FRA | 2021-02-03 | price | MISSING | blank mean |
| ember | FRA | 2018-10-28 | price | REPEATED | the day once more, with another mean |
| entsoe | FR | 2024-04-17 | 13 | MALFORMED | text in place of the price of one position |
| yahoo | AA | 2024-05-17 | close | MISSING | null in place of a close |
| comtrade | CA | 2019-03 | 7606 | MISSING | null in place of the weight of one code |
| customs |  | 2019-10 | aluminium | MALFORMED | dashes in place of quantities |
| customs |  | 2024-06 | aluminium | REVISED | the first print is 0.6 higher |
| customs |  | 2025-04 | aluminium | REVISED | the first print is 0.4 lower |
| customs |  | 2025-10 | aluminium | REVISED | the first print is 0.5 higher |
| customs |  | 2025-12 | aluminium | REVISED | the first print is 0.7 higher |
| customs |  | 2026-03 | aluminium | REVISED | the first print is 0.3 lower |

Each stands in one answer only. A revised answer comes with its earlier captures, as an archive of daily captures
would hold them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal

Kind = Literal["MISSING", "REPEATED", "LATE", "REVISED", "MALFORMED", "RULE"]


@dataclass(frozen=True)
class Defect:
    """One mistake of a publisher and how long it stood."""

    source: str
    entity: str  # metal, zone, share or country that the answer is about; empty where it holds all series
    where: str  # day or month that the value speaks of
    column: str  # which value or series; "row" for the whole row
    kind: Kind
    text: str = ""  # what stands there instead; for a revised quantity what is added to it, in the page's unit
    captured: datetime | None = None  # an archive saw it then
    until: datetime | None = None  # from then on the answer is right; None: never corrected

    def stands(self, at: datetime) -> bool:
        """Is it (still) in an answer given at that moment?"""
        return self.until is None or at < self.until


def _utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


ALUMINIUM: Final = "Unwrought Aluminum and Aluminum Products"

KNOWN_DEFECTS: Final[tuple[Defect, ...]] = (
    Defect("westmetall", "AL", "2010-06-15", "row", "MISSING"),
    Defect("westmetall", "AL", "2012-04-17", "m3", "MISSING"),
    Defect("westmetall", "AL", "2018-10-09", "stock", "MISSING"),
    Defect("westmetall", "AL", "2019-08-08", "row", "MISSING"),
    Defect("westmetall", "AL", "2023-06-07", "stock", "RULE", "-12,500"),
    Defect("westmetall", "AL", "2024-03-12", "row", "MISSING"),
    Defect(
        "westmetall", "AL", "2024-05-21", "m3", "REVISED", "2,339.00",
        captured=_utc("2024-05-22T13:00"), until=_utc("2024-05-24T09:00"),
    ),
    Defect("westmetall", "AL", "2024-08-14", "cash", "MALFORMED", "2,5x8.00"),
    Defect("westmetall", "AL", "2025-11-04", "row", "LATE", until=_utc("2025-11-10T09:00")),
    Defect("worldbank", "", "2015-07", "Aluminum", "MISSING", ".."),
    Defect("worldbank", "", "2019-03", "Aluminum", "MALFORMED", "1,8x1.2"),
    Defect("nyfed", "", "2023-04-19", "percentRate", "MALFORMED", "n/a"),
    Defect("ecb", "", "2023-10-18", "USD", "MALFORMED", "1.0.8"),
    Defect("jin10", "AL", "2019-05-14", "cancelled", "MALFORMED", "12x5"),
    Defect("energy_charts", "DE-LU", "2019-10", "month", "MISSING"),
    Defect("ember", "DEU", "2016-08-14", "price", "MISSING"),
    Defect("ember", "FRA", "2021-02-03", "price", "MISSING"),
    Defect("ember", "FRA", "2018-10-28", "price", "REPEATED", "69.61"),
    Defect("entsoe", "FR", "2024-04-17", "13", "MALFORMED", "n/a"),
    Defect("yahoo", "AA", "2024-05-17", "close", "MISSING", "null"),
    Defect("comtrade", "CA", "2019-03", "7606", "MISSING", "null"),
    Defect("customs", "", "2019-10", ALUMINIUM, "MALFORMED", "--"),
    Defect(
        "customs", "", "2024-06", ALUMINIUM, "REVISED", "+0.6",
        captured=_utc("2024-07-15T03:00"), until=_utc("2024-07-19T03:00"),
    ),
    Defect(
        "customs", "", "2025-04", ALUMINIUM, "REVISED", "-0.4",
        captured=_utc("2025-05-14T03:00"), until=_utc("2025-05-18T03:00"),
    ),
    Defect(
        "customs", "", "2025-10", ALUMINIUM, "REVISED", "+0.5",
        captured=_utc("2025-11-14T03:00"), until=_utc("2025-11-18T03:00"),
    ),
    Defect(
        "customs", "", "2025-12", ALUMINIUM, "REVISED", "+0.7",
        captured=_utc("2026-01-14T03:00"), until=_utc("2026-01-18T03:00"),
    ),
    Defect(
        "customs", "", "2026-03", ALUMINIUM, "REVISED", "-0.3",
        captured=_utc("2026-04-14T03:00"), until=_utc("2026-04-18T03:00"),
    ),
)  # fmt: skip


def defects(source: str, entity: str, period: str, at: datetime) -> dict[tuple[str, str], Defect]:
    """What is wrong in an answer about that entity and year or month at that moment, by (where, column)."""
    return {(d.where, d.column): d for d in _of(source, entity, period) if d.stands(at)}


def earlier_captures(source: str, entity: str, period: str) -> list[datetime]:
    """When an archive saw an answer that was later revised, and when it saw the revision; in time order."""
    revised = [d for d in _of(source, entity, period) if d.kind == "REVISED"]
    return sorted(moment for d in revised for moment in (d.captured, d.until) if moment)


def _of(source: str, entity: str, period: str) -> list[Defect]:
    return [d for d in KNOWN_DEFECTS if d.source == source and d.entity in ("", entity) and d.where.startswith(period)]
