"""World Bank Pink Sheet: monthly mean prices since 1960; one workbook, overwritten every month."""

from __future__ import annotations

import datetime as dt
import html
import io
import re
import warnings
import zipfile
import zlib
from collections.abc import Sequence
from typing import Final
from urllib.parse import urljoin
from zoneinfo import ZoneInfo

import pandas as pd

from pipelines.sources.base import Access, Metal, Parsed, Payload, Request, Scope, Series, SourceError
from pipelines.sources.contract import ResponseContract
from pipelines.sources.parsing import MONTHS, Rows, excerpt, json_number, parsed, table_shape
from pipelines.sources.protocol import Source

LISTING: Final = "https://www.worldbank.org/en/research/commodity-markets"
# The hash changes once a year. The page links to the current URL; this is the last known one.
URL: Final = (
    "https://thedocs.worldbank.org/en/doc/74e8be41ceb20fa0da750cda2f6b9e4e-0050012026/related/"
    "CMO-Historical-Data-Monthly.xlsx"
)
SHEET: Final = "Monthly Prices"
BENCHMARK: Final = "WORLD_BANK"
UNIT: Final = "($/mt)"
EXPECTED: Final = f"a workbook with the sheet {SHEET!r}: a header of commodities, units below it, months like 1960M01"
BLANK: Final = frozenset({"", "…", "..", "...", "-", "."})
MAX_BYTES: Final = 64 * 1024 * 1024  # decompressed; the real file has 3.4 MB
MAX_ROWS, MAX_COLUMNS = 5_000, 300  # the real sheet has about 800 and 72
_UPDATED: Final = re.compile(r"Updated on (\w+) (\d{1,2}), (\d{4})", re.ASCII)
# In a link or in a script's text, where slashes may be escaped.
_LINK: Final = re.compile(
    r"""["'(]([^"'()<>\s]*/CMO-Historical-Data-Monthly\.xlsx)(?:[?#][^"'()<>\s]*)?["')]""", re.IGNORECASE
)
_MONTH: Final = re.compile(r"(\d{4})M(\d{2})", re.ASCII)


class WorldBank:
    """Monthly mean cash price by metal, kept as a benchmark."""

    NAME = "worldbank"
    TITLE = "World Bank commodity prices (Pink Sheet)"
    LICENCE = "OPEN"
    DATASETS: tuple[str, ...] = ("benchmark_prices",)
    ACCESS = Access(("thedocs.worldbank.org", "www.worldbank.org"))
    CONTRACT = ResponseContract(lambda payload: _shape(payload))  # the parser checks columns and units

    def requests(self, month: pd.Period, scope: Scope) -> Sequence[Request]:
        """The one workbook, whatever the month."""
        return [Request(self.NAME, "CMO-Historical-Data-Monthly.xlsx", URL)]

    def listings(self, request: Request) -> Sequence[Request]:
        """The landing page of the commodity markets."""
        return [Request(self.NAME, "commodity-markets.html", LISTING)]

    def resolve_url(self, page: Payload, request: Request) -> str:
        """The first link to the monthly workbook. Raises SourceError when the page has none."""
        text = html.unescape(page.body.decode("utf-8", "replace")).replace("\\/", "/")
        if match := _LINK.search(text):
            return urljoin(page.request.url, str(match[1]))
        raise SourceError(
            request, f"{page.request.url} links to no {request.name}: it starts {excerpt(text)}", EXPECTED
        )

    def parse(self, payload: Payload, scope: Scope) -> Parsed:
        """All months of the scope's metals, USD/t; a blank or `…` is missing.

        A metal without a column, or in another unit, is refused. Raises SourceError for a file that is no workbook or
        too large, for a missing sheet, and when every metal is refused.
        """
        sheet = _sheet(payload)
        start = next((at for at, row in enumerate(sheet) if row and _MONTH.fullmatch(str(row[0]))), None)
        if start is None:
            raise SourceError(payload.request, f"no month in the first column of {SHEET!r}", EXPECTED)
        rows = Rows("benchmark_prices")
        columns: list[tuple[Metal, int]] = []
        refused: dict[Series, str] = {}
        for metal in scope.metals:
            if metal.worldbank_column:
                try:
                    columns.append((metal, _column(payload.request, sheet[:start], metal)))
                except SourceError as error:
                    refused[metal.metal, BENCHMARK] = f"{error.problem}; expected {error.expected}"
                    if len(refused) == sum(1 for one in scope.metals if one.worldbank_column):
                        raise
        for line, row in enumerate(sheet[start:], start=start + 1):
            for metal, at in columns:
                cell = row[at] if at < len(row) else ""
                if str(cell).strip() in BLANK:
                    continue
                where, raw = f"{SHEET} row {line}, column {metal.worldbank_column}", f"{row[0]} | {cell}"
                try:
                    period_end = _month_end(str(row[0]))
                except ValueError as error:
                    rows.reject(where, raw, f"period_end: {error}")
                    continue
                try:
                    mean = json_number(cell)
                except (ValueError, TypeError):
                    rows.reject(where, raw, f"mean_usd_t: {cell!r} is not a number")
                    continue
                key = {"metal": metal.metal, "benchmark": BENCHMARK, "period_end": period_end}
                rows.add(key | {"mean_usd_t": mean}, where, raw)
        result = parsed(rows)
        result.refused = refused
        result.written_at = _updated(sheet[:start])
        return result


def _sheet(payload: Payload) -> Sequence[Sequence[object]]:
    """Cells of the price sheet from its first row on, at most `MAX_ROWS` by `MAX_COLUMNS`.

    Read with openpyxl: native readers allocate the whole declared sheet, so that a single cell in its last row and
    column exhausts the memory and ends the process.
    """
    import openpyxl

    request = payload.request
    try:
        with zipfile.ZipFile(io.BytesIO(payload.body)) as archive:
            size = sum(member.file_size for member in archive.infolist())
            if size > MAX_BYTES:
                problem = f"the workbook unpacks to {size / 1024**2:,.0f} MB"
                raise SourceError(request, problem, f"at most {MAX_BYTES // 1024**2} MB")
            # Members are read up to their declared size only, so a wrong size shows here as a bad checksum.
            if (damaged := archive.testzip()) is not None:
                raise SourceError(request, f"{damaged} in the workbook is damaged", EXPECTED)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise SourceError(request, f"no xlsx file ({error}): it starts {excerpt(payload.body)}", EXPECTED) from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about parts of the workbook that are not read
            workbook = openpyxl.load_workbook(io.BytesIO(payload.body), read_only=True, data_only=True)
        names = workbook.sheetnames
        if SHEET in names:
            sheet = workbook[SHEET]
            sheet.reset_dimensions()  # the declared size of a sheet may be wrong
            rows = sheet.iter_rows(max_row=MAX_ROWS, max_col=MAX_COLUMNS, values_only=True)
            return [["" if cell is None else cell for cell in row] for row in rows]
    except Exception as error:  # a damaged workbook raises nearly every kind of error
        problem = f"the workbook cannot be read ({type(error).__name__}: {excerpt(str(error))})"
        raise SourceError(request, problem, EXPECTED) from None
    raise SourceError(request, f"no sheet {SHEET!r}, only {', '.join(names)}", EXPECTED)


def _column(request: Request, head: Sequence[Sequence[object]], metal: Metal) -> int:
    """Position of a metal's column, by its name in the header. Raises SourceError unless the unit below is USD/t."""
    for row, below in zip(head, [*head[1:], []], strict=True):
        for at, cell in enumerate(row):
            if str(cell).rstrip("* ").strip().casefold() == metal.worldbank_column.casefold():
                unit = str(below[at]).strip() if at < len(below) else ""
                if unit.replace(" ", "") != UNIT:
                    problem = f"column {metal.worldbank_column!r} of {SHEET!r} is in {unit or 'no unit'!r}"
                    raise SourceError(request, problem, UNIT)
                return at
    names = [str(cell) for row in head for cell in row[1:] if str(cell).strip() and not str(cell).startswith("(")]
    problem = f"no column {metal.worldbank_column!r} in {SHEET!r}, only {', '.join(names[:8])}, …"
    raise SourceError(request, problem, EXPECTED)


def _updated(head: Sequence[Sequence[object]]) -> dt.datetime | None:
    """End of the day (Washington time) of the sheet's update, in UTC; None where the sheet does not state it."""
    for row in head:
        for cell in row:
            if match := _UPDATED.fullmatch(str(cell).strip()):
                month = MONTHS.get(match[1][:3].lower())
                try:
                    day = dt.date(int(match[3]), month or 0, int(match[2]))
                except ValueError:
                    return None
                end = dt.datetime.combine(day, dt.time(23, 59, 59), ZoneInfo("America/New_York"))
                return end.astimezone(dt.UTC)
    return None


def _month_end(cell: str) -> pd.Timestamp:
    match = _MONTH.fullmatch(cell.strip())
    if match is None or not 1 <= int(match[2]) <= 12:
        raise ValueError(f"{cell!r} is not a month like 2024M05")
    return pd.Period(f"{match[1]}-{match[2]}", "M").end_time.normalize()


def _shape(payload: Payload) -> dict[str, str]:
    """Commodity columns and their types."""
    sheet = _sheet(payload)
    start = next((at for at, row in enumerate(sheet) if row and _MONTH.fullmatch(str(row[0]))), 0)
    head = max(sheet[:start], key=lambda row: sum(1 for cell in row if str(cell).strip()), default=[])
    return table_shape([str(cell).strip() for cell in head], sheet[start:])


SOURCE: Final[Source] = WorldBank()
