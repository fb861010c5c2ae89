"""Shanghai Futures Exchange: weekly stock in its delivery warehouses; one HTML page per week. Terms are restrictive."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import pandas as pd

from pipelines.common.calendar import business_days
from pipelines.sources.base import Access, Parsed, Payload, Request, Scope, SourceError
from pipelines.sources.contract import ResponseContract
from pipelines.sources.parsing import NO_CELL, Rows, excerpt, html_root, iso_date, number, parsed, table_cells, text_of
from pipelines.sources.power_days import month_days
from pipelines.sources.protocol import Source

if TYPE_CHECKING:
    from lxml.etree import _Element

FIRST_DAY: Final = dt.date(2025, 11, 21)  # before this day the report has another format
EXPECTED: Final = "the weekly stock report of the requested day: 本周库存 小计 of each metal in 吨, with a row 总计"
# Name of each product's block, from the Chinese name of the metal.
PRODUCTS: Final = {"METAL": "{}", "ALUMINA": "氧化{}", "CAST_ALLOY": "铸造{}合金"}
UNIT, TONNES, TOTAL = "单位", "吨", "总计"
WEEK, COLUMNS = "本周库存", {"小计": "total_t", "期货": "on_warrant_t"}  # this week's stock
_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}")


class Shfe:
    """Stock at the end of a week by metal, on warrant or not: not comparable with the LME's registered stock."""

    NAME = "shfe"
    TITLE = "Shanghai Futures Exchange: weekly stock"
    LICENCE = "BYO"
    DATASETS: tuple[str, ...] = ("exchange_stocks",)
    ACCESS = Access(("www.shfe.com.cn",), absent=(404,))  # a week that is not over has no report
    CONTRACT = ResponseContract(lambda payload: {})  # the parser checks the blocks and their unit

    def requests(self, month: pd.Period, scope: Scope) -> Sequence[Request]:
        """One request for the last trading day of each week that falls into the month; none before 21 November 2025.

        Chinese holidays come from the `holidays` package; in a week with a holiday that it lacks, the request is for a
        day without a report.
        """
        first, last = month_days(str(month))
        return [
            Request(
                source=self.NAME,
                name=f"weeklystock_{day:%Y%m%d}.html",
                url=f"https://www.shfe.com.cn/data/tradedata/future/stockdata/weeklystock_{day:%Y%m%d}/ZH/all.html",
                period=str(month),
            )
            for day in _last_trading_days(first, last)
            if day >= FIRST_DAY
        ]

    def parse(self, payload: Payload, scope: Scope) -> Parsed:
        """Stock in t by metal and product, on warrant and in all; metals without a Chinese name are ignored.

        A block whose total is no number, or in another unit, is rejected; metal on warrant is missing where it is none,
        or the page has no such column. Raises SourceError when the page is another one (bot protection, other day), or
        has none of the scope's metals.
        """
        request = payload.request
        root = html_root(payload, EXPECTED)
        day = _day(payload, root)
        blocks = {label: block for table in root.iter("table") for label, block in _blocks(table_cells(table))}
        rows, named = Rows("exchange_stocks"), [metal for metal in scope.metals if metal.chinese_name]
        for metal in named:
            for product, name in PRODUCTS.items():
                label = name.format(metal.chinese_name)
                if (block := blocks.get(label)) is None:
                    continue
                row = {"metal": metal.metal, "exchange": "SHFE", "product": product, "obs_date": day}
                where = f"{label} {TOTAL}"
                if block.unit != TONNES:
                    rows.reject(where, block.raw, f"total_t: the unit is {block.unit!r}, not {TONNES!r}")
                    continue
                for column, cell in block.cells.items():
                    try:
                        row[column] = number(cell)
                    except ValueError as error:
                        rows.reject(where, block.raw, f"{column}: {error}")
                if "total_t" in row:
                    rows.add(row, where, block.raw)
        if named and blocks.keys().isdisjoint(metal.chinese_name for metal in named):
            names, found = ", ".join(metal.chinese_name for metal in named), ", ".join(blocks) or "no metal"
            raise SourceError(request, f"none of {names} in the page, only {found}", EXPECTED)
        return parsed(rows)


def _last_trading_days(first: dt.date, last: dt.date) -> list[dt.date]:
    """Last trading day of each week, where it is from `first` to `last`; a week of holidays has none."""
    mondays = np.arange(np.datetime64(first) - first.weekday(), np.datetime64(last) + 1, 7)
    days = np.busday_offset(mondays + 4, 0, roll="backward", busdaycal=business_days("CHINA"))
    return [day for day in days[days >= mondays].tolist() if first <= day <= last]


def _day(payload: Payload, root: _Element) -> dt.date:
    """Day of the report, written above its tables. Raises SourceError when it is not the requested one."""
    request = payload.request
    match = _DATE.search(text_of(root))
    if match is None:
        raise SourceError(request, f"no day in the page, which starts {excerpt(payload.body)}", EXPECTED)
    if f"_{match[0].replace('-', '')}." not in request.name:
        raise SourceError(request, f"the report is of {match[0]}", f"the day of {request.name}")
    try:
        return iso_date(match[0])
    except ValueError as error:
        raise SourceError(request, str(error), EXPECTED) from None


class _Block(NamedTuple):
    """Totals of a metal or product: its unit, this week's cells by column, and the whole row."""

    unit: str
    cells: dict[str, str]
    raw: str


def _blocks(rows: list[list[str]]) -> Iterator[tuple[str, _Block]]:
    """The blocks of a table, each with its label."""
    label = unit = ""
    places: dict[str, int] = {}
    for above, cells in zip([[], *rows], rows, strict=False):
        if WEEK in above and not COLUMNS.keys().isdisjoint(cells):
            heads = list(zip(above, cells, strict=False))
            places = {column: heads.index((WEEK, name)) for name, column in COLUMNS.items() if (WEEK, name) in heads}
        elif stated := next((cell for cell in cells if cell.startswith(UNIT)), ""):
            label, unit = cells[0], stated.removeprefix(UNIT).strip(":\uff1a ")
        elif label and cells and cells[0] == TOTAL:
            found = {column: cells[at] if at < len(cells) else NO_CELL for column, at in places.items()}
            found.setdefault("total_t", NO_CELL)
            yield label, _Block(unit, found, " | ".join(cells))
            label = ""


SOURCE: Final[Source] = Shfe()
