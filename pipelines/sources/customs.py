"""China customs, table (13) "Major Export Commodities in Quantity and Value": one HTML page per monthly release."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final
from urllib.parse import urljoin

import pandas as pd

from pipelines.sources.base import Access, Metal, NoData, Parsed, Payload, Request, Scope, SourceError
from pipelines.sources.contract import ResponseContract
from pipelines.sources.parsing import (
    MONTHS,
    NO_CELL,
    Rows,
    excerpt,
    html_root,
    number,
    parsed,
    table_cells,
    table_shape,
    text_of,
)
from pipelines.sources.protocol import Source

if TYPE_CHECKING:
    from lxml.etree import _Element

FIRST_MONTH: Final = pd.Period("2018-01", "M")  # the oldest index page of the archive
INDEX: Final = "http://english.customs.gov.cn/statics/report/monthly"
EXPECTED: Final = "table (13), Major Export Commodities in Quantity and Value, of the requested month"
COUNTRY: Final = "CN"
_TITLE: Final = re.compile(
    r"major export commodities in quantity and value[\s,\uff0c]*"
    r"(?:(?:[a-z]{3,9}\.?|\d{1,2})\s*(?:-|\u2013|to)\s*)?([a-z]{3,9}|\d{1,2})\s*[.,\uff0c]?\s*(\d{4})",
    re.IGNORECASE,
)
_RANGE: Final = re.compile(r"(?:1|jan[a-z]*\.?)\s*(?:to|-|\u2013|~)\s*(\d{1,2}|[a-z]{3,9})\.?", re.IGNORECASE)
INDEX_EXPECTED: Final = "an index with a row of table (13), linked by month"
_TABLE_13: Final = re.compile(r"[(\uff08]?\s*13\s*[)\uff09.]")
_LINK: Final = re.compile(r"(?:(.+?)\s*(?:-|\u2013|~|to|and)\s*)?([a-z]{3,9}|\d{1,2})\.?", re.IGNORECASE)
_UNIT: Final = re.compile(r"(\d{0,9})(T|TONS?|KG)", re.ASCII)


class Customs:
    """Exported quantity by commodity; the February release holds January and February together."""

    NAME = "customs"
    TITLE = "China customs: exports, headline table"
    LICENCE = "OPEN"
    DATASETS: tuple[str, ...] = ("exports",)
    ACCESS = Access(("english.customs.gov.cn",), plain_http=True)
    CONTRACT = ResponseContract(
        lambda payload: _shape(payload),
        {"commodity": "text", "*unit*": "text", "quantity": "number"},
    )

    def requests(self, month: pd.Period, scope: Scope) -> Sequence[Request]:
        """The month's release; none for January (pooled with February), before 2018, or if China has another source.

        The page's URL is an opaque id that only the year's index page links to. The request carries the URL of the
        index page, with a fragment `#table13-MM` for the link.
        """
        if month < FIRST_MONTH or month.month == 1:
            return []
        if any(exporter.country == COUNTRY and exporter.source != self.NAME for exporter in scope.exporters):
            return []
        return [
            Request(
                source=self.NAME,
                name=f"table13_{month}.html",
                url=f"{INDEX}{month.year}.html#table13-{month.month:02d}",
                period=str(month),
            )
        ]

    def listings(self, request: Request) -> Sequence[Request]:
        """The year's index page, and the unnumbered one, which is the current year's at first."""
        year = request.period[:4]
        return [Request(self.NAME, f"monthly{y}.html", f"{INDEX}{y}.html") for y in (year, "")]

    def resolve_url(self, page: Payload, request: Request) -> str:
        """The link in the row of table (13) whose text is the month; for February it may be Jan.-Feb.

        Raises NoData when the month is not linked or the index is of another year, SourceError without such a row.
        """
        root = html_root(page, INDEX_EXPECTED)
        rows = [row for row in root.iter("tr", "li") if _TABLE_13.match(text_of(row))]
        if not rows:
            problem = f"no table (13) on {page.request.url}, which starts {excerpt(page.body)}"
            raise SourceError(request, problem, INDEX_EXPECTED)
        year, month = request.period.split("-")
        titles = " ".join(text_of(title) for title in root.iter("title", "h1", "h2", "h3", "caption"))
        named = re.findall(r"\b20\d\d\b", titles)
        links = [link for row in rows for link in row.iter("a") if _links_month(text_of(link), int(month))]
        if not links or (named and year not in named):
            raise NoData(f"{request.source} {request.name}: not linked yet on {page.request.url}")
        return urljoin(page.request.url, links[0].get("href") or "")

    def parse(self, payload: Payload, scope: Scope) -> Parsed:
        """One row per metal: kilotonnes of the month, or of January and February together in the February release.

        A metal whose commodity is not in the table, or whose quantity is no number, is rejected. Raises SourceError
        when the page is another one (bot protection, other month), has no such table, or none of the scope's metals.
        """
        request = payload.request
        root = html_root(payload, EXPECTED)
        month = _month(payload, text_of(root))
        pooled = month.month == 2
        head, body = _table(payload, root)
        name_at, unit_at, quantity_at = _columns(request, head, month, pooled)
        rows = Rows("exports")
        named = 0
        for metal in scope.metals:
            if not metal.customs_label:
                continue
            named += 1
            lines = [(i, c) for i, c in enumerate(body, start=len(head) + 1) if _names(c, name_at, metal)]
            if len(lines) != 1:
                found = " and ".join(repr(cells[name_at]) for _, cells in lines) or "no commodity"
                rows.reject("commodities", found, f"metal: {found} for {metal.metal} by {metal.customs_label!r}")
                continue
            ((line, cells),) = lines
            where, raw = f"table row {line}", " | ".join(cells)
            try:
                unit, quantity = (cells[at] if at < len(cells) else NO_CELL for at in (unit_at, quantity_at))
                row = {
                    "metal": metal.metal,
                    "country": COUNTRY,
                    "period_end": month.end_time.normalize(),
                    "period_months": 2 if pooled else 1,
                    "exports_kt": number(quantity) * _kilograms(unit) / 1_000_000,
                }
            except ValueError as error:
                rows.reject(where, raw, f"exports_kt: {error}")
            else:
                rows.add(row, where, raw)
        if named and len(rows.rejected) == named and all(row.raw == "no commodity" for row in rows.rejected):
            commodities = "; ".join(cells[name_at] for cells in body if name_at < len(cells))
            problem = f"none of {len(body)} commodities is in scope: {excerpt(commodities)}"
            raise SourceError(request, problem, " or ".join(m.customs_label for m in scope.metals if m.customs_label))
        return parsed(rows)


def _month(payload: Payload, text: str) -> pd.Period:
    """The month at the end of the page's title ("1-7.2026", "May, 2024", "January-February, 2024")."""
    request = payload.request
    match = _TITLE.search(text)
    month = _month_number(match[1]) if match else None
    if match is None or month is None:
        raise SourceError(request, f"no such title in the page, which starts {excerpt(payload.body)}", EXPECTED)
    found = pd.Period(year=int(match[2]), month=month, freq="M")
    if request.period and str(found) != request.period:
        raise SourceError(request, f"the page is for {found}, not {request.period}", EXPECTED)
    if month == 1:
        raise SourceError(request, "the page is for January alone", "January and February pooled, in February's page")
    return found


def _links_month(text: str, month: int) -> bool:
    """Whether a link's text is this month: `5`, `May`, `May.`, and for February also `Jan.-Feb.`."""
    match = _LINK.fullmatch(text)
    if match is None or _month_number(match[2]) != month:
        return False
    return match[1] is None or (month == 2 and _month_number(match[1].rstrip(".")) == 1)


def _month_number(text: str) -> int | None:
    if text.isdecimal():
        return int(text) if 1 <= int(text) <= 12 else None
    return MONTHS.get(text[:3].lower())


def _table(payload: Payload, root: _Element) -> tuple[list[list[str]], list[list[str]]]:
    """Header rows and commodity rows of the table; layout tables around it and blank rows are ignored."""
    for table in root.iter("table"):
        rows = table_cells(table)
        header = next((i for i, cells in enumerate(rows) if any(c.lower() == "commodity" for c in cells)), None)
        if header is not None:
            if b"</table" not in payload.body.lower():
                raise SourceError(payload.request, f"the page is truncated inside its table, row {len(rows)}", EXPECTED)
            sub = next((i for i in range(header, len(rows)) if _cells(rows[i]).count("quantity") >= 1), None)
            if sub is not None:
                return rows[: sub + 1], rows[sub + 1 :]
    problem = f"no table with the columns Commodity and Quantity in the page, which starts {excerpt(payload.body)}"
    raise SourceError(payload.request, problem, EXPECTED)


def _columns(request: Request, head: list[list[str]], month: pd.Period, pooled: bool) -> tuple[int, int, int]:
    """Column positions of commodity, unit and quantity: the month's quantity, or the cumulative one when pooled."""
    groups = next(cells for cells in head if "commodity" in _cells(cells))
    commodity = _cells(groups).index("commodity")
    unit = next((i for i in range(commodity + 1, len(groups)) if "unit" in groups[i].lower()), None)
    quantities = [i for i, cell in enumerate(_cells(head[-1])) if cell == "quantity" and i < len(groups)]
    of_month = [i for i in quantities if not _RANGE.fullmatch(groups[i]) and "change" not in groups[i].lower()]
    to_date = [i for i in quantities if _RANGE.fullmatch(groups[i])]
    wanted = to_date[-1:] if pooled else of_month[:1]
    if unit is None or not wanted:
        what = "cumulative" if pooled else "monthly"
        raise SourceError(request, f"no unit or {what} quantity in the header {' | '.join(groups)}", EXPECTED)
    label = groups[wanted[0]]
    range_ = _RANGE.fullmatch(label)
    headed = _month_number(range_[1] if range_ else label.rstrip("."))
    if headed is not None and headed != month.month:
        raise SourceError(request, f"the quantity's column is headed {label!r}", f"month {month.month}")
    return commodity, unit, wanted[0]


def _cells(cells: list[str]) -> list[str]:
    return [cell.lower() for cell in cells]


def _names(cells: list[str], at: int, metal: Metal) -> bool:
    return at < len(cells) and re.search(metal.customs_label, cells[at]) is not None


def _kilograms(unit: str) -> int:
    """Kilograms per unit of the table: 10000T, T or KG. Raises ValueError for any other."""
    match = _UNIT.fullmatch(unit.upper().replace(" ", "").replace(",", ""))
    if match is None:
        raise ValueError(f"unit {unit!r} is not a weight like 10000T, T or KG")
    return int(match[1] or 1) * (1 if match[2] == "KG" else 1000)


def _shape(payload: Payload) -> dict[str, str]:
    """Columns and types without the months of their headers, which change from page to page."""
    head, body = _table(payload, html_root(payload, EXPECTED))
    groups, names = next(cells for cells in head if "commodity" in _cells(cells)), _cells(head[-1])
    changes = ["change " if "change" in group.lower() else "" for group in groups]
    return table_shape([change + name for change, name in zip(changes, names, strict=False)], body)


SOURCE: Final[Source] = Customs()
