"""New York Fed: overnight rates (SOFR, EFFR) by US business day; one JSON response per rate and year."""

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

# Of each rate the market in the address, and the first day that is requested.
RATES: Final = {"SOFR": ("secured", "2018-04-03"), "EFFR": ("unsecured", "2000-07-03")}
EXPECTED: Final = "JSON with refRates[]: effectiveDate, type, percentRate of the requested year"


class NyFed:
    """SOFR and the effective federal funds rate (EFFR) from their administrator."""

    NAME = "nyfed"
    TITLE = "New York Fed: SOFR, EFFR"
    LICENCE = "OPEN"
    DATASETS: tuple[str, ...] = ("rates",)
    ACCESS = Access(("markets.newyorkfed.org",), per_second=2)
    CONTRACT = ResponseContract(
        json_shape,
        {"refRates.effectiveDate": "date", "refRates.type": "text", "refRates.percentRate": "number"},
        "NEW_YORK",
        since={rate: first for rate, (_, first) in RATES.items()},
        in_parts=True,  # recordings may hold the last N days only
    )

    def requests(self, month: pd.Period, scope: Scope) -> Sequence[Request]:
        """The month's calendar year of each rate that had begun."""
        year = month.year
        return [
            Request(
                source=self.NAME,
                name=f"{rate.lower()}_{year}.json",
                url=f"https://markets.newyorkfed.org/api/rates/{RATES[rate][0]}/{rate.lower()}/search.json"
                f"?startDate={year}-01-01&endDate={year}-12-31",
                entity=rate,
                period=str(year),
            )
            for rate in rates_in(month)
        ]

    def parse(self, payload: Payload, scope: Scope) -> Parsed:
        """The requested rate in percent per year by effective date; other types are ignored, an empty year has no rows.

        Of two rows for a day the one with a revision indicator is used; the other one is the first publication. Raises
        SourceError when the response is no such JSON or is of another year.
        """
        entries = json_object(payload, EXPECTED).get("refRates")
        if not isinstance(entries, list):
            raise SourceError(payload.request, "no list refRates in the response", EXPECTED)
        rate = payload.request.entity
        revised = {str(entry.get("effectiveDate")) for entry in entries if _is_revised(entry, rate)}
        rows, days = Rows("rates"), []
        for index, entry in enumerate(entries):
            where, raw = f"refRates[{index}]", json.dumps(entry)
            if not isinstance(entry, dict):
                rows.reject(where, raw, f"obs_date: {raw} is no object with effectiveDate")
                continue
            is_first = str(entry.get("effectiveDate")) in revised and not _is_revised(entry, rate)
            if entry.get("type") != rate or is_first:
                continue
            try:
                days.append(day := iso_date(entry.get("effectiveDate")))
                require_period(payload.request, day)
            except ValueError as error:
                rows.reject(where, raw, f"obs_date: {error}")
                continue
            try:
                value = json_number(entry.get("percentRate"))
                rows.add({"rate_id": rate, "obs_date": day, "rate_pct": value}, where, raw)
            except ValueError as error:
                rows.reject(where, raw, f"rate_pct: {error}")
        check_period(payload.request, days, EXPECTED)
        return parsed(rows)


def rates_in(month: pd.Period) -> list[str]:
    """The rates that had begun by the end of a month."""
    return [rate for rate, (_, first) in RATES.items() if pd.Period(first, "M") <= month]


def _is_revised(entry: object, rate: str) -> bool:
    return isinstance(entry, dict) and entry.get("type") == rate and bool(entry.get("revisionIndicator"))


SOURCE: Final[Source] = NyFed()
