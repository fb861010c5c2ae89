"""CFTC: weekly positions of traders in a futures contract; one JSON response per contract with its whole history.

The publisher's open-data site (Socrata) has the disaggregated report, futures only, as a table. Its rows have no order
of their own: the request sorts them. No response was seen for real (docs/sources.md).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import urlencode

import pandas as pd

from pipelines.sources.base import Access, NoData, Parsed, Payload, Request, Scope, SourceError
from pipelines.sources.contract import ResponseContract
from pipelines.sources.parsing import Rows, excerpt, iso_date, json_number, json_shape, json_value, number, parsed
from pipelines.sources.protocol import Source

FIRST_MONTH: Final = pd.Period("2006-06", "M")  # the table starts on 2006-06-13
PAGE: Final = 50_000  # rows of a response; the site sends 1,000 where no number is requested
DATE, CODE = "report_date_as_yyyy_mm_dd", "cftc_contract_market_code"
COLUMNS: Final = {
    "managed_long": "m_money_positions_long_all",
    "managed_short": "m_money_positions_short_all",
    "open_interest": "open_interest_all",
}
EXPECTED: Final = f"a JSON list of objects with {', '.join((DATE, CODE, *COLUMNS.values()))} of the requested contract"


class Cftc:
    """Commitments of traders: positions of money managers and open interest, in contracts."""

    NAME = "cftc"
    TITLE = "CFTC: commitments of traders"
    LICENCE = "OPEN"
    DATASETS: tuple[str, ...] = ("positions",)
    ACCESS = Access(("publicreporting.cftc.gov",))
    # The report leaves out a contract with fewer than 20 large traders, for weeks or years.
    CONTRACT = ResponseContract(
        json_shape,
        {DATE: "text", **dict.fromkeys(COLUMNS.values(), "number")},
        "DAYS",
        gap=10_000,
        age=14,
        min_row_share=0,
    )

    def requests(self, month: pd.Period, scope: Scope) -> Sequence[Request]:
        """The whole history of each contract, whatever the month; none before June 2006."""
        if month < FIRST_MONTH:
            return []
        page = "https://publicreporting.cftc.gov/resource/72hh-3qpy.json"
        select = ",".join((DATE, "market_and_exchange_names", CODE, *COLUMNS.values()))
        return [
            Request(
                source=self.NAME,
                name=f"{contract}.json",
                url=f"{page}?{urlencode({CODE: contract, '$select': select, '$order': DATE, '$limit': PAGE})}",
                entity=contract,
            )
            for contract in scope.contracts
        ]

    def parse(self, payload: Payload, scope: Scope) -> Parsed:
        """Long and short positions and open interest in contracts by day of the positions.

        Numbers are texts; a field without a value is left out of its row. Raises NoData for an empty list, and
        SourceError for a full page (later rows are missing), another contract, or a response of another form.
        """
        request = payload.request
        entries = json_value(payload, EXPECTED)
        if not isinstance(entries, list):
            raise SourceError(request, f"the response is no JSON list: {excerpt(payload.body)}", EXPECTED)
        if not entries:
            raise NoData(f"{request.source} {request.name}: no rows of contract {request.entity}")
        if len(entries) >= PAGE:
            raise SourceError(request, f"{len(entries)} rows: the page is full, there may be more", f"less than {PAGE}")
        codes = {str(entry.get(CODE)) for entry in entries if isinstance(entry, dict)}
        if request.entity not in codes:
            found = ", ".join(sorted(codes)) or "no contract"
            raise SourceError(request, f"no row of contract {request.entity}, only {found}", EXPECTED)
        rows = Rows("positions")
        for index, entry in enumerate(entries):
            where, raw = f"row {index}", json.dumps(entry)
            column = "contract"
            try:
                if not isinstance(entry, dict) or str(entry.get(CODE)) != request.entity:
                    raise ValueError(f"the row is not of {request.entity}")
                column = "obs_date"
                row: dict[str, Any] = {"contract": request.entity, "obs_date": iso_date(_day(entry.get(DATE)))}
                for column, name in COLUMNS.items():
                    row[column] = _whole(entry.get(name))
            except ValueError as error:
                rows.reject(where, raw, f"{column}: {error}")
            else:
                rows.add(row, where, raw)
        return parsed(rows)


def _day(text: object) -> str:
    """The day of a timestamp at midnight, 2024-01-02T00:00:00.000; other texts as they are."""
    day, _, time = str(text).partition("T")
    return day if time.strip("0:.") == "" else str(text)


def _whole(cell: object) -> int:
    value = number(cell) if isinstance(cell, str) else json_number(cell)
    if value % 1 or abs(value) > 2**53:
        raise ValueError(f"{cell!r} is not a whole number")
    return int(value)


SOURCE: Final[Source] = Cftc()
