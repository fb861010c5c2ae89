"""New York Fed: the secured overnight financing rate by US business day; one JSON response per year."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

import pandas as pd

from pipelines.sources.base import Access, Parsed, Payload, Request, Scope, SourceError
from pipelines.sources.contract import ResponseContract
from pipelines.sources.parsing import (
    Rows,
    check_period,
    iso_date,
    json_number,
    json_object,
    json_shape,
    parsed,
    require_period,
)
from pipelines.sources.protocol import Source

FIRST_MONTH: Final = pd.Period("2018-04", "M")  # the first SOFR was published on 2018-04-03
EXPECTED: Final = "JSON with refRates[]: effectiveDate, type, percentRate of the requested year"


class NyFed:
    """SOFR from its administrator."""

    NAME = "nyfed"
    TITLE = "New York Fed: SOFR"
    LICENCE = "OPEN"
    DATASETS: tuple[str, ...] = ("rates",)
    ACCESS = Access(("markets.newyorkfed.org",), per_second=2)
    CONTRACT = ResponseContract(
        json_shape,
        {"refRates.effectiveDate": "date", "refRates.type": "text", "refRates.percentRate": "number"},
        "NEW_YORK",
        since="2018-04-03",
        in_parts=True,  # recordings may hold the last N days only
    )

    def requests(self, month: pd.Period, scope: Scope) -> Sequence[Request]:
        """The month's calendar year; none before April 2018."""
        if month < FIRST_MONTH:
            return []
        year = month.year
        return [
            Request(
                source=self.NAME,
                name=f"sofr_{year}.json",
                url="https://markets.newyorkfed.org/api/rates/secured/sofr/search.json"
                f"?startDate={year}-01-01&endDate={year}-12-31",
                entity="SOFR",
                period=str(year),
            )
        ]

    def parse(self, payload: Payload, scope: Scope) -> Parsed:
        """SOFR in percent per year by effective date; other rate types are ignored, an empty year has no rows.

        Of two rows for a day the one with a revision indicator is used; the other one is the first publication. Raises
        SourceError when the response is no such JSON or is of another year.
        """
        entries = json_object(payload, EXPECTED).get("refRates")
        if not isinstance(entries, list):
            raise SourceError(payload.request, "no list refRates in the response", EXPECTED)
        revised = {str(entry.get("effectiveDate")) for entry in entries if _is_revised(entry)}
        rows, days = Rows("rates"), []
        for index, entry in enumerate(entries):
            where, raw = f"refRates[{index}]", json.dumps(entry)
            if not isinstance(entry, dict):
                rows.reject(where, raw, f"obs_date: {raw} is no object with effectiveDate")
                continue
            if entry.get("type") != "SOFR" or (str(entry.get("effectiveDate")) in revised and not _is_revised(entry)):
                continue
            try:
                days.append(day := iso_date(entry.get("effectiveDate")))
                require_period(payload.request, day)
            except ValueError as error:
                rows.reject(where, raw, f"obs_date: {error}")
                continue
            try:
                rows.add({"obs_date": day, "sofr_pct": json_number(entry.get("percentRate"))}, where, raw)
            except ValueError as error:
                rows.reject(where, raw, f"sofr_pct: {error}")
        check_period(payload.request, days, EXPECTED)
        return parsed(rows)


def _is_revised(entry: object) -> bool:
    return isinstance(entry, dict) and entry.get("type") == "SOFR" and bool(entry.get("revisionIndicator"))


SOURCE: Final[Source] = NyFed()
