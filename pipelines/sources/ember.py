"""Ember: daily mean day-ahead power prices by country; one CSV file with the whole history, overwritten each time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pandas as pd

from pipelines.sources.base import Access, Parsed, Payload, Request, Scope
from pipelines.sources.contract import ResponseContract
from pipelines.sources.parsing import Rows, csv_rows, csv_shape, iso_date, number, parsed
from pipelines.sources.protocol import Source

FIRST_YEAR: Final = 2015
URL: Final = (
    "https://files.ember-energy.org/public-downloads/price/outputs/european_wholesale_electricity_price_data_daily.csv"
)
COUNTRY, DATE, PRICE = COLUMNS = ("ISO3 Code", "Date", "Price (EUR/MWhe)")


class Ember:
    """Daily mean prices of all countries in the file, kept as a benchmark.

    The means follow Ember's own days and areas and do not reconcile with the points of an auction. All countries are
    kept, also those without a zone in scope: 120,000 rows take about a second, and no map from zones is needed.
    """

    NAME = "ember"
    TITLE = "Ember: daily mean power prices"
    LICENCE = "OPEN"
    DATASETS: tuple[str, ...] = ("benchmark_power",)
    ACCESS = Access(("files.ember-energy.org",))
    # Countries start at different dates, some have long gaps, and the file is published late.
    CONTRACT = ResponseContract(
        csv_shape,
        {"ISO3 Code": "text", "Date": "date", "Price (EUR/MWhe)": "number"},
        "DAYS",
        gap=120,
        age=60,
        min_row_share=0.8,
    )

    def requests(self, month: pd.Period, scope: Scope) -> Sequence[Request]:
        """The one file, whatever the month; none before 2015."""
        return [Request(self.NAME, URL.rpartition("/")[2], URL)] if month.year >= FIRST_YEAR else []

    def parse(self, payload: Payload, scope: Scope) -> Parsed:
        """Means in EUR/MWh by country and day; a blank is missing.

        Some days occur twice with two means: the second one is rejected. Raises SourceError when the response is no
        such CSV.
        """
        rows = Rows("benchmark_power")
        for line, cells, raw in csv_rows(payload, COLUMNS):
            if not cells[PRICE]:
                continue
            where, name = f"line {line}", "delivery_date"
            try:
                day = iso_date(cells[DATE])
                name = "mean_eur_mwh"
                mean = number(cells[PRICE])
            except ValueError as error:
                rows.reject(where, raw, f"{name}: {error}")
            else:
                rows.add({"country": cells[COUNTRY], "delivery_date": day, "mean_eur_mwh": mean}, where, raw)
        return parsed(rows)


SOURCE: Final[Source] = Ember()
