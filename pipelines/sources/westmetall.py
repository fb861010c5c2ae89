"""Westmetall: LME cash, three-month price and stock by day; one HTML page per metal and year, one day late."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs

import pandas as pd

from pipelines.sources.base import Access, NoData, Parsed, Payload, Request, Scope, SourceError
from pipelines.sources.contract import ResponseContract
from pipelines.sources.parsing import (
    MONTHS,
    NO_CELL,
    Rows,
    check_period,
    excerpt,
    html_root,
    html_shape,
    number,
    parsed,
    requested,
    require_period,
    table_cells,
)
from pipelines.sources.protocol import Source

if TYPE_CHECKING:
    from lxml.etree import _Element

FIRST_YEAR: Final = 2008
EXPECTED: Final = "a table with the columns date, Cash-Settlement, 3-month, stock for the requested metal and year"
BLANK: Final = frozenset({"", "-", "\u2013", "."})
COLUMNS: Final = {"date": r"^date$", "cash_usd_t": "cash", "m3_usd_t": r"3.?month", "total_t": "stock"}
_DATE: Final = re.compile(r"(\d{1,2})\.\s*([A-Za-z]{3})[a-z]*\.?\s+(\d{4})", re.ASCII)


class Westmetall:
    """Prices and stock as published, and the spread (cash minus three months) computed from the prices."""

    NAME = "westmetall"
    TITLE = "Westmetall: LME settlement prices and stock"
    LICENCE = "BYO"
    DATASETS: tuple[str, ...] = ("prices", "stocks", "spreads")
    ACCESS = Access(("www.westmetall.com",))  # it throttles parallel connections
    CONTRACT = ResponseContract(
        lambda payload: html_shape(payload, "date"),
        {"date": "date", "*Cash-Settlement": "number", "*3-month": "number", "*stock": "number"},
        "LONDON",
    )

    def requests(self, month: pd.Period, scope: Scope) -> Sequence[Request]:
        """One page per metal for the month's year; none before 2008."""
        if month.year < FIRST_YEAR:
            return []
        page = "https://www.westmetall.com/en/markdaten.php?action=table"
        return [
            Request(
                source=self.NAME,
                name=f"westmetall_lme_{metal.westmetall_code.lower()}_{month.year}.html",
                url=f"{page}&field=LME_{metal.westmetall_code}_cash&year={month.year}",
                entity=metal.metal,
                period=str(month.year),
            )
            for metal in scope.metals
            if metal.westmetall_code
        ]

    def parse(self, payload: Payload, scope: Scope) -> Parsed:
        """The page's year: prices and spreads in USD/t, stock in t by day of the report (the close of the day before).

        A blank price is missing; two blank prices, or a blank stock, make no row. Repeated days count once. December of
        the previous year, which a page may still show in January, is ignored: the page of that year holds it. Raises
        SourceError when the page has no such table or is of another year or metal, NoData without a day of the year.
        """
        request = payload.request
        root = html_root(payload, EXPECTED)
        _check_links(request, root, scope)
        prices, stocks, spreads = Rows("prices"), Rows("stocks"), Rows("spreads")
        days: list[dt.date] = []
        last_december = f"{int(request.period) - 1}-12" if request.period else ""
        for line, cells in _table(payload, root):
            where, raw = f"table row {line}", " | ".join(cells.values())
            try:
                day = _date(cells["date"])
                if f"{day:%Y-%m}" == last_december:
                    continue
                days.append(day)
                require_period(request, day)
            except ValueError as error:
                for rows in (prices, stocks):
                    rows.reject(where, raw, f"obs_date: {error}")
                continue
            key = {"metal": request.entity, "obs_date": day}
            try:
                price = {name: _value(cells, name) for name in ("cash_usd_t", "m3_usd_t")}
            except ValueError as error:
                prices.reject(where, raw, str(error))
            else:
                cash, m3 = price.values()
                if cash is not None or m3 is not None:
                    prices.add(key | price, where, raw)
                if cash is not None and m3 is not None:
                    spreads.add(key | {"spread": "CASH_3M", "usd_t": round(cash - m3, 6)}, where, raw)
            try:
                total = _value(cells, "total_t")
            except ValueError as error:
                stocks.reject(where, raw, str(error))
            else:
                if total is not None:
                    stocks.add(key | {"total_t": total}, where, raw)
        check_period(request, days, EXPECTED)
        result = parsed(prices, stocks, spreads)
        if not days and not result.rejected:
            raise NoData(f"{request.source} {request.name}: the table has no day of {request.period or 'any year'}")
        return result


def _table(payload: Payload, root: _Element) -> list[tuple[int, dict[str, str]]]:
    """Data rows of the price table: row number, and cells by column. The header is repeated every month."""
    for table in root.iter("table"):
        columns: dict[str, int] = {}
        rows: list[tuple[int, dict[str, str]]] = []
        for line, cells in enumerate(table_cells(table), start=1):
            if header := _header(cells):
                columns = header
            elif columns and any(cells):
                rows.append((line, {name: cells[at] if at < len(cells) else NO_CELL for name, at in columns.items()}))
        if columns:
            # The HTML parser closes the open tags of a truncated page, so only the bytes show it.
            if b"</table" not in payload.body.lower():
                raise SourceError(
                    payload.request, f"the page is truncated inside its table, after row {len(rows)}", EXPECTED
                )
            return rows
    raise SourceError(payload.request, f"no price table in the page, which starts {excerpt(payload.body)}", EXPECTED)


def _header(cells: list[str]) -> dict[str, int]:
    """Column name to position when these cells are a header, else empty."""
    found = {
        name: at
        for name, pattern in COLUMNS.items()
        for at in [next((i for i, cell in enumerate(cells) if re.search(pattern, cell.lower())), None)]
        if at is not None
    }
    return found if len(found) == len(COLUMNS) else {}


def _check_links(request: Request, root: _Element, scope: Scope) -> None:
    """Raise SourceError when the active links of the page, its own metal and year, are not the requested ones."""
    code = requested(request, "metal", scope.metals, lambda metal: metal.metal).westmetall_code
    expected = {"year": request.period, "field": f"LME_{code}_cash"}
    for link in root.iter("a"):
        if "active" not in (link.get("class") or "").split():
            continue
        query = parse_qs((link.get("href") or "").partition("?")[2].partition("#")[0])
        for name, value in expected.items():
            if value and query.get(name, [value]) != [value]:
                raise SourceError(request, f"the page is for {name} {query[name][0]}, not {value}", EXPECTED)


def _date(cell: str) -> dt.date:
    """A date like `31. December 2020`, with English month names whatever the locale. Raises ValueError."""
    if (match := _DATE.fullmatch(cell)) and (month := MONTHS.get(match[2].lower())):
        try:
            return dt.date(int(match[3]), month, int(match[1]))
        except ValueError:  # 31. February
            pass
    raise ValueError(f"{cell!r} is not a date like 31. December 2020")


def _value(cells: dict[str, str], name: str) -> float | None:
    cell = cells[name]
    if cell in BLANK:
        return None
    try:
        return number(cell)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


SOURCE: Final[Source] = Westmetall()
