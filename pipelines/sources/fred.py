"""FRED: SOFR, EFFR and monthly mean prices of metals; one CSV file per series with its whole history.

The rates replace the New York Fed's own series where that fails; the monthly means are a second benchmark of prices.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pandas as pd

from pipelines.sources.base import Access, Parsed, Payload, Request, Scope
from pipelines.sources.contract import ResponseContract
from pipelines.sources.nyfed import rates_in
from pipelines.sources.parsing import Rows, csv_rows, csv_shape, iso_date, number, parsed
from pipelines.sources.protocol import Source

BLANK: Final = frozenset({"", "."})


class Fred:
    """Series of the database of the St. Louis Fed."""

    NAME = "fred"
    TITLE = "FRED: SOFR, EFFR and monthly mean prices"
    LICENCE = "OPEN"
    DATASETS: tuple[str, ...] = ("rates", "benchmark_prices")
    ACCESS = Access(("fred.stlouisfed.org",), per_second=2)
    CONTRACT = ResponseContract(csv_shape, {"observation_date": "date"}, "NEW_YORK", age=8)

    def requests(self, month: pd.Period, scope: Scope) -> Sequence[Request]:
        """The whole series, whatever the month: of each rate that had begun, and each metal's where it has one."""
        wanted = {metal.metal: metal.fred_series for metal in scope.metals if metal.fred_series}
        wanted = {rate: rate for rate in rates_in(month)} | wanted
        page = "https://fred.stlouisfed.org/graph/fredgraph.csv"
        return [Request(self.NAME, f"{series}.csv", f"{page}?id={series}", entity) for entity, series in wanted.items()]

    def parse(self, payload: Payload, scope: Scope) -> Parsed:
        """A rate in percent per year by US business day, or a metal's monthly means in USD/t; blank or `.` is missing.

        Raises SourceError when the response is no CSV of the requested series.
        """
        metal = next((metal for metal in scope.metals if metal.metal == payload.request.entity), None)
        series, rows, column, date = (
            (metal.fred_series, Rows("benchmark_prices"), "mean_usd_t", "period_end")
            if metal
            else (payload.request.entity, Rows("rates"), "rate_pct", "obs_date")
        )
        for line, cells, raw in csv_rows(payload, ("observation_date", series)):
            where, name = f"line {line}", date
            try:
                day = iso_date(cells["observation_date"])
                name = column
                if cells[series] in BLANK:
                    continue
                value = number(cells[series])
            except ValueError as error:
                rows.reject(where, raw, f"{name}: {error}")
                continue
            if metal:  # the publisher dates a month by its first day
                end = pd.Period(day, "M").end_time.normalize()
                rows.add({"metal": metal.metal, "benchmark": "FRED", date: end, column: value}, where, raw)
            else:
                rows.add({"rate_id": series, date: day, column: value}, where, raw)
        return parsed(rows)


SOURCE: Final[Source] = Fred()
