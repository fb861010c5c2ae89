"""European Central Bank: euro reference rates by TARGET business day; one CSV response per year."""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from typing import Final

import pandas as pd

from pipelines.sources.base import Access, NoData, Parsed, Payload, Request, Scope
from pipelines.sources.contract import ResponseContract
from pipelines.sources.parsing import Rows, check_period, csv_rows, csv_shape, iso_date, number, parsed, require_period
from pipelines.sources.protocol import Source

FIRST_YEAR: Final = 1999
COLUMNS: Final = ("CURRENCY", "CURRENCY_DENOM", "TIME_PERIOD", "OBS_VALUE")
BLANK: Final = frozenset({"", "NaN", "-", "."})


class Ecb:
    """US dollars and yuan per euro."""

    NAME = "ecb"
    TITLE = "ECB euro reference rates"
    LICENCE = "OPEN"
    DATASETS: tuple[str, ...] = ("fx",)
    # A 404 for a path that does not exist has another text.
    ACCESS = Access(("data-api.ecb.europa.eu",), per_second=2, no_data="no results found")
    CONTRACT = ResponseContract(
        csv_shape,
        {"CURRENCY": "text", "CURRENCY_DENOM": "text", "TIME_PERIOD": "date", "OBS_VALUE": "number"},
        "TARGET",
    )

    def requests(self, month: pd.Period, scope: Scope) -> Sequence[Request]:
        """The month's calendar year; none before the euro."""
        if month.year < FIRST_YEAR:
            return []
        year = month.year
        return [
            Request(
                source=self.NAME,
                name=f"EXR_{year}.csv",
                url="https://data-api.ecb.europa.eu/service/data/EXR/D.USD+CNY.EUR.SP00.A"
                f"?format=csvdata&startPeriod={year}-01-01&endPeriod={year}-12-31",
                period=str(year),
            )
        ]

    def parse(self, payload: Payload, scope: Scope) -> Parsed:
        """Rates by pair and day; EURUSD is US dollars per euro. A blank or NaN is a day without a fixing.

        Raises NoData for the empty body that means a range without a fixing, SourceError when the response is no such
        CSV or is of another year.
        """
        if not payload.body.removeprefix(codecs.BOM_UTF8).strip():
            raise NoData(f"{payload.request.source} {payload.request.name}: no fixing in {payload.request.period}")
        rows, days = Rows("fx"), []
        for line, cells, raw in csv_rows(payload, COLUMNS):
            where, name = f"line {line}", "obs_date"
            try:
                days.append(day := iso_date(cells["TIME_PERIOD"]))
                require_period(payload.request, day)
                name = "rate"
                if cells["OBS_VALUE"] not in BLANK:
                    pair = cells["CURRENCY_DENOM"] + cells["CURRENCY"]
                    rows.add({"pair": pair, "obs_date": day, "rate": number(cells["OBS_VALUE"])}, where, raw)
            except ValueError as error:
                rows.reject(where, raw, f"{name}: {error}")
        check_period(payload.request, days, "the daily rates of the requested year")
        return parsed(rows)


SOURCE: Final[Source] = Ecb()
