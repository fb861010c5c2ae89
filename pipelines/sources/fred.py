"""FRED: one series a CSV file with its whole history; SOFR as a stand-in for the New York Fed's own answer."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Final

import pandas as pd

from pipelines.sources.base import Access, Parsed, Payload, Rejected, Request, Scope, SourceError
from pipelines.sources.contract import Contract
from pipelines.sources.nyfed import FIRST_MONTH
from pipelines.sources.reading import Rows, csv_rows, csv_shape, iso_date, number, parsed

BLANK: Final = frozenset({"", "."})


class Fred:
    """SOFR from the St. Louis Fed's database."""

    NAME = "fred"
    TITLE = "FRED: SOFR"
    LICENCE = "OPEN"
    DATASETS: tuple[str, ...] = ("rates",)
    ACCESS = Access(("fred.stlouisfed.org",), per_second=2)
    CONTRACT = Contract(csv_shape, {"observation_date": "date"}, "NEW_YORK", age=8)

    def requests(self, month: pd.Period, scope: Scope) -> Sequence[Request]:
        """The whole series, whatever the month; none before April 2018."""
        if month < FIRST_MONTH:
            return []
        return [Request(self.NAME, "SOFR.csv", "https://fred.stlouisfed.org/graph/fredgraph.csv?id=SOFR", "SOFR")]

    def parse(self, payload: Payload, scope: Scope) -> Parsed:
        """SOFR in percent per year by US business day; an empty value or `.` is a holiday.

        Raises SourceError when the answer is no CSV of that series.
        """
        rows = Rows("rates")
        cells, rejected = _read(payload, "SOFR", "rates", "sofr_pct")
        for where, day, value in cells:
            rows.add({"obs_date": day, "sofr_pct": value}, where, f"{day},{value}")
        rows.rejected += rejected
        return parsed(rows)


def parse_fred_csv(payload: Payload, series_id: str) -> pd.DataFrame:
    """Any FRED series as a frame (date datetime64[us], value float, in the series' unit); missing values have no row.

    Raises SourceError when the answer is no CSV of that series or holds a cell that cannot be read.
    """
    cells, rejected = _read(payload, series_id, "fred", series_id)
    if rejected:
        raise SourceError(payload.request, f"{rejected[0].where}: {rejected[0].reason}", "ISO dates and numbers")
    frame = pd.DataFrame([(day, value) for _, day, value in cells], columns=["date", "value"])
    return frame.astype({"date": "datetime64[us]", "value": "float64"})


def _read(
    payload: Payload, series_id: str, dataset: str, column: str
) -> tuple[list[tuple[str, dt.date, float]], list[Rejected]]:
    """Where, date and value of each line that has one, and the lines that cannot be read."""
    cells: list[tuple[str, dt.date, float]] = []
    rejected: list[Rejected] = []
    for line, row, raw in csv_rows(payload, ("observation_date", series_id)):
        where, name = f"line {line}", "obs_date"
        try:
            day = iso_date(row["observation_date"])
            name = column
            if row[series_id] not in BLANK:
                cells.append((where, day, number(row[series_id])))
        except ValueError as error:
            rejected.append(Rejected(dataset, where, raw, f"{name}: {error}"))
    return cells, rejected
