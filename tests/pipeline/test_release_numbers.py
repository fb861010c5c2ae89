"""A month of exports that is published twice under one release number, from a user's file to the lake."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from support import Place

MONTHS = ("2025-11", "2025-12")
HEADER = "metal,country,period_end,period_months,knowledge_ts,vintage,exports_kt\n"
NOVEMBER = "AL,CN,2025-11-30,1,2025-12-09T03:00:00Z,1,{}\n"
FIRST, SECOND = "2026-01-20T20:00:00Z", "2026-01-27T20:00:00Z"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path, "drop", FIRST)


def stored(place: Place, as_of: str | None = None) -> list[tuple[float, str, str, bool]]:
    """(exports_kt, knowledge_ts, basis, is_suspect) in the order in which they were known."""
    rows = place.open().lake.read("exports", as_of=pd.Timestamp(as_of).to_pydatetime() if as_of else None)
    times = rows["knowledge_ts"].dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    return list(zip(rows["exports_kt"], times, rows["knowledge_basis"], rows["is_suspect"], strict=True))


def ingest(place: Place) -> tuple[int, int, list[str]]:
    """New and revised observations, and what was put aside and why; the same again adds nothing."""
    report = place.ingest(MONTHS, ["exports"]).read["exports"]
    again = place.ingest(MONTHS, ["exports"]).read["exports"]
    assert (again.new, again.revised) == (0, 0)
    return report.new, report.revised, report.rejected["reason"].tolist()


def test_two_prints_under_one_number_in_one_file(place: Place) -> None:
    later = NOVEMBER.format(586).replace("12-09", "12-18")
    place.drop("exports/mine.csv", HEADER + later + NOVEMBER.format(571))
    assert ingest(place) == (1, 1, [])
    assert stored(place) == [
        (571.0, "2025-12-09T03:00:00Z", "OBSERVED", False),
        (586.0, "2025-12-18T03:00:00Z", "OBSERVED", True),
    ]
    assert stored(place, "2025-12-18T02:59:59Z") == stored(place)[:1]


@pytest.mark.parametrize("known", ["2025-12-09T03:00:00Z", "2025-12-08T03:00:00Z", ""], ids=["same", "earlier", "none"])
def test_a_later_file_that_says_something_else_under_the_number(place: Place, known: str) -> None:
    place.drop("exports/mine.csv", HEADER + NOVEMBER.format(571))
    assert ingest(place) == (1, 0, [])
    before = stored(place)
    place.drop("exports/mine.csv", HEADER + NOVEMBER.format(586).replace("2025-12-09T03:00:00Z", known))
    later = place.at(SECOND)
    assert ingest(later) == (0, 1, [])
    assert stored(later) == [*before, (586.0, SECOND, "OBSERVED", True)]
    assert stored(later, "2026-01-27T19:59:59Z") == before
    # The time without a difference in the files adds nothing.
    assert ingest(place.at("2026-02-03T20:00:00Z")) == (0, 0, [])


def test_a_contradiction_at_one_moment_is_put_aside(place: Place) -> None:
    place.drop("exports/mine.csv", HEADER + NOVEMBER.format(571) + NOVEMBER.format(586))
    new, revised, reasons = ingest(place)
    assert (new, revised) == (0, 0)
    assert len(reasons) == 2
    assert all("rows with the same key have different values" in reason for reason in reasons)


def test_a_second_number_is_a_revision_and_no_suspect(place: Place) -> None:
    later = NOVEMBER.format(586).replace("12-09", "12-18").replace(",1,586", ",2,586")
    place.drop("exports/mine.csv", HEADER + NOVEMBER.format(571) + later)
    assert ingest(place) == (1, 1, [])
    assert [row[3] for row in stored(place)] == [False, False]
