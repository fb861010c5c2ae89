"""Parsing helpers of all sources: cells to values, documents to cells, rows to typed frames.

A cell that cannot be parsed raises `ValueError` with the value in its message; parsers add it to `Rows` as rejected.
A document of another kind raises `SourceError`.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np
import pandas as pd

from pipelines.sources.base import NoData, Parsed, Payload, Rejected, Request, SourceError
from schemas.base import columns_of
from schemas.datasets import DATASETS

if TYPE_CHECKING:
    from lxml.etree import _Element

T = TypeVar("T")
MONTHS: Final = {
    name: number
    for number, name in enumerate(
        ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"), start=1
    )
}
INSTANTS: Final = range(4_102_444_800)  # valid unix seconds, up to the year 2100
PREVIOUS_DAYS: Final = 10  # before a period, in which the last value before it can be: the longest gap of a calendar
NO_CELL: Final = "(no cell)"  # a row that ends early is an error, a blank cell is not
_NUMBER: Final = re.compile(r"[-+]?(\d{1,3}(,\d{3})+|\d+)(\.\d+)?", re.ASCII)
_ISO_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_DATES: Final = re.compile(r"\d{4}-\d{2}-\d{2}|\d{1,2}\. ?[A-Za-z]{3,9}\.? \d{4}|\d{4}M\d{2}", re.ASCII)
_BLANK: Final = frozenset({"", "-", "--", "\u2013", ".", "..", "\u2026", "NaN"})


def number(cell: str) -> float:
    """A finite decimal number with `.` decimals and optional thousands commas; ValueError for anything else.

    Stricter than `float`, which accepts `nan`, `1e5` and `1_000` too.
    """
    if not _NUMBER.fullmatch(cell) or not math.isfinite(value := float(cell.replace(",", ""))):
        raise ValueError(f"{cell!r} is not a number")
    return value


def json_number(value: object) -> float:
    """A finite JSON number; ValueError for null, text, booleans and NaN."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{json.dumps(value)} is not a number")
    try:
        finite = float(value)
    except OverflowError:  # JSON integers are unbounded
        finite = math.inf
    if not math.isfinite(finite):
        raise ValueError(f"{json.dumps(value)} is not a number")
    return finite


def is_instant(value: object) -> bool:
    """Whether a JSON value is a whole number of unix seconds up to the year 2100."""
    return isinstance(value, int) and not isinstance(value, bool) and value in INSTANTS


def iso_date(cell: object) -> dt.date:
    """A date written YYYY-MM-DD; ValueError for anything else."""
    text = str(cell)
    try:
        if _ISO_DATE.fullmatch(text):
            return dt.date.fromisoformat(text)
    except ValueError:  # 2024-02-30
        pass
    raise ValueError(f"{text!r} is not a date YYYY-MM-DD")


def iso_moment(cell: str) -> dt.datetime | None:
    """An ISO time with a zone, in UTC; None for anything else."""
    try:
        moment = dt.datetime.fromisoformat(cell.strip())
    except ValueError:
        return None
    return None if moment.tzinfo is None else moment.astimezone(dt.UTC)


def excerpt(body: bytes | str, length: int = 80) -> str:
    """The start of a response on one line, quoted for an error message."""
    text = body[: 8 * length].decode("utf-8", "replace") if isinstance(body, bytes) else body[: 8 * length]
    line = " ".join(text.split())
    return repr(line if len(line) <= length else line[:length] + "…") if line else "nothing"


@cache
def dtypes(dataset: str) -> dict[str, str]:
    """Pandas dtypes of a dataset's columns, from its schema: dates in microseconds, text as `str`."""
    types = {name: str(column["dtype"]) for name, column in columns_of(DATASETS[dataset].model).items()}
    return {
        name: "datetime64[us]" if dtype.startswith("datetime") else "str" if dtype.startswith("str") else dtype
        for name, dtype in types.items()
    }


def typed_frame(dataset: str, columns: Mapping[str, Any]) -> pd.DataFrame:
    """Columns of a dataset as a frame with the types of its schema. Five times as fast as `astype` on a small frame."""
    typed = {
        name: np.asarray(columns[name], dtype=dtype)
        if dtype.startswith(("datetime", "float", "int"))
        else pd.array(columns[name], dtype=dtype)
        for name, dtype in dtypes(dataset).items()
    }
    return pd.DataFrame(typed, copy=False)


class Rows:
    """Accepted and rejected rows of one dataset in one response; each observation occurs once."""

    def __init__(self, dataset: str) -> None:
        self.dataset = dataset
        self.rejected: list[Rejected] = []
        self._key = DATASETS[dataset].key
        self._rows: dict[tuple[Any, ...], dict[str, Any]] = {}

    def add(self, row: dict[str, Any], where: str, raw: str) -> None:
        """Add a row by column name; None is missing. Ignores exact duplicates; rejects conflicting rows."""
        key = tuple(row[name] for name in self._key)
        first = self._rows.setdefault(key, row)
        if first != row:
            same = " and ".join(f"{name} {value}" for name, value in zip(self._key, key, strict=True))
            self.reject(where, raw, f"contradicts an earlier row of {same}, which is kept")

    def reject(self, where: str, raw: str, reason: str) -> None:
        """Add a row that could not be parsed; the reason names the column and the value."""
        self.rejected.append(Rejected(self.dataset, where, raw, reason))

    def frame(self) -> pd.DataFrame:
        """The accepted rows, typed, sorted by key."""
        rows = [self._rows[key] for key in sorted(self._rows)]
        return typed_frame(self.dataset, {name: [row.get(name) for row in rows] for name in dtypes(self.dataset)})


def parsed(*rows: Rows) -> Parsed:
    """The datasets of one response as one result."""
    return Parsed({part.dataset: part.frame() for part in rows}, [row for part in rows for row in part.rejected])


def requested(request: Request, what: str, known: Iterable[T], name: Callable[[T], str]) -> T:
    """The entry of `known` whose name is the request's entity. Raises SourceError when there is none."""
    by_name = {name(entry): entry for entry in known}
    if request.entity not in by_name:
        raise SourceError(request, f"{what} {request.entity!r} is not known", f"one of {', '.join(by_name) or 'none'}")
    return by_name[request.entity]


def check_period(request: Request, dates: Iterable[dt.date], expected: str) -> None:
    """Raise SourceError when most dates are of another period than the requested one (2024, 2024-05, or any).

    Days just before it do not count: some publishers send the last value before a period too. Raises NoData when there
    are no others: in place of none.
    """
    dates = list(dates)
    if not request.period or not dates:
        return
    start = pd.Period(request.period).start_time.date()
    others = [day for day in dates if not 0 < (start - day).days <= PREVIOUS_DAYS]
    if not others:
        raise NoData(f"{request.source} {request.name}: the newest day is {max(dates)}, before {request.period}")
    found = Counter(day.isoformat()[: len(request.period)] for day in others)
    if (most := found.most_common(1)[0][0]) != request.period:
        raise SourceError(request, f"the response is for {most}, not {request.period}", expected)


def require_period(request: Request, day: dt.date) -> None:
    """Raise ValueError when a day is outside the requested period (2024, 2024-05, or any)."""
    if not day.isoformat().startswith(request.period):
        raise ValueError(f"{day} is not in {request.period}")


def json_value(payload: Payload, expected: str) -> Any:
    """The response as JSON. Raises SourceError when it is truncated or not JSON."""
    try:
        return json.loads(payload.body)
    except (ValueError, RecursionError) as error:
        start = excerpt(payload.body)
        raise SourceError(payload.request, f"the response is not JSON ({error}): {start}", expected) from None


def json_object(payload: Payload, expected: str) -> dict[str, Any]:
    """The response as a JSON object. Raises SourceError when it is truncated, not JSON, or another JSON value."""
    value = json_value(payload, expected)
    if not isinstance(value, dict):
        raise SourceError(payload.request, f"the response is not a JSON object: {excerpt(payload.body)}", expected)
    return value


def csv_rows(payload: Payload, needed: tuple[str, ...]) -> Iterator[tuple[int, dict[str, str], str]]:
    """Line number, cells by column name, and raw line of a CSV response; blank lines are skipped.

    A cell missing at the end of a short line is `NO_CELL`. Raises SourceError when the header lacks a needed column.
    """
    expected = f"CSV with the columns {', '.join(needed)}"
    try:
        reader = csv.reader(io.StringIO(payload.body.decode("utf-8-sig"), newline=""))
        header = [name.strip() for name in next(reader, [])]
        if missing := [name for name in needed if name not in header]:
            problem = f"no column {', '.join(missing)} in the first line: {excerpt(payload.body)}"
            raise SourceError(payload.request, problem, expected)
        for cells in reader:
            if any(cell.strip() for cell in cells):
                named = dict(zip(header, (cell.strip() for cell in cells), strict=False))
                yield reader.line_num, dict.fromkeys(header, NO_CELL) | named, ",".join(cells)
    except (UnicodeDecodeError, csv.Error) as error:
        raise SourceError(payload.request, f"the response is not CSV ({error})", expected) from None


def html_root(payload: Payload, expected: str) -> _Element:
    """The response as an HTML tree. Raises SourceError when it is empty."""
    from lxml import etree

    try:
        root = etree.fromstring(payload.body, etree.HTMLParser(encoding="utf-8", no_network=True))
    except etree.XMLSyntaxError as error:
        raise SourceError(payload.request, f"the response is not HTML ({error})", expected) from None
    if root is None:
        raise SourceError(payload.request, f"the response is empty: {excerpt(payload.body)}", expected)
    return root


def text_of(element: _Element) -> str:
    """The text inside an element on one line, with whitespace (no-break spaces too) collapsed."""
    return " ".join("".join(map(str, element.itertext())).split())


def table_cells(table: _Element) -> list[list[str]]:
    """Cell texts of a table by row; a cell that spans rows or columns is repeated in each place that it covers."""
    rows: list[list[str]] = []
    below: dict[int, tuple[int, str]] = {}  # column -> (rows still covered, text) of cells that span rows
    parts = table.iterchildren("tr", "thead", "tbody", "tfoot")
    for tr in (tr for part in parts for tr in ([part] if part.tag == "tr" else part.iterchildren("tr"))):
        cells: list[str] = []

        def cover(cells: list[str] = cells) -> None:
            while len(cells) in below:
                left, text = below.pop(len(cells))
                if left > 1:
                    below[len(cells)] = (left - 1, text)
                cells.append(text)

        for cell in tr.iterchildren("td", "th"):
            cover()
            text, rowspan = text_of(cell), _span(cell.get("rowspan"))
            for _ in range(_span(cell.get("colspan"))):
                if rowspan > 1:
                    below[len(cells)] = (rowspan - 1, text)
                cells.append(text)
        cover()
        rows.append(cells)
    return rows


def _span(value: str | None) -> int:
    # int() rejects numbers of thousands of digits.
    return min(max(int(value[:9]), 1), 100) if value and value.isdecimal() else 1


# --- shape of a response: its columns or fields, and the type of each


def infer_type(cell: object) -> str:
    """Type of a cell: number, date, text or flag; empty for a blank one."""
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return ""
    if isinstance(cell, bool):
        return "flag"
    if isinstance(cell, int | float):
        return "number"
    text = str(cell).strip()
    if text in _BLANK:
        return ""
    return "number" if _NUMBER.fullmatch(text) else "date" if _DATES.fullmatch(text) else "text"


def table_shape(header: Sequence[str], rows: Sequence[Sequence[object]]) -> dict[str, str]:
    """Column name to the type of most of its cells, in a sample of about 100 rows. Unnamed columns are ignored."""
    sample = rows[:: max(1, len(rows) // 100)]
    return {
        name: _most_common(Counter(infer_type(row[at]) for row in sample if at < len(row)))
        for at, name in enumerate(header)
        if name
    }


def csv_shape(payload: Payload) -> dict[str, str]:
    """Columns of a CSV response and their types."""
    try:
        rows = list(csv.reader(io.StringIO(payload.body.decode("utf-8-sig"), newline="")))
    except (UnicodeDecodeError, csv.Error) as error:
        raise SourceError(payload.request, f"the response is not CSV ({error})", "CSV with a header") from None
    return table_shape([name.strip() for name in rows[0]], rows[1:]) if rows else {}


def html_shape(payload: Payload, first: str) -> dict[str, str]:
    """Columns and types of the first HTML table with a column `first`; empty without such a table."""
    for table in html_root(payload, f"a table with the column {first!r}").iter("table"):
        rows = table_cells(table)
        header = next((cells for cells in rows if first in (cell.lower() for cell in cells)), None)
        if header is not None:
            return table_shape(header, [cells for cells in rows if cells != header])
    return {}


def json_shape(payload: Payload) -> dict[str, str]:
    """Fields of a JSON response by path (`refRates.percentRate`) and their types; keys that are dates become `*`."""
    found: dict[str, Counter[str]] = {}
    _fields(json_value(payload, "JSON"), "", found)
    return {path: _most_common(types) for path, types in found.items()}


def _fields(value: Any, path: str, found: dict[str, Counter[str]]) -> None:
    if isinstance(value, dict):
        for name, inner in value.items():
            name = "*" if _DATES.fullmatch(name) else name
            _fields(inner, f"{path}.{name}" if path else name, found)
    elif isinstance(value, list):
        if any(isinstance(inner, dict | list) for inner in value):
            for inner in value:
                _fields(inner, path, found)
        else:
            found.setdefault(path, Counter()).update(map(infer_type, value[:: max(1, len(value) // 100)]))
    else:
        found.setdefault(path, Counter())[infer_type(value)] += 1


HEAD_BYTES: Final = 8_192  # of an XML response: only data points follow
_ELEMENT: Final = re.compile(rb"<([A-Za-z_][\w.-]*)[^<>]*>([^<]*)")


def xml_shape(payload: Payload) -> dict[str, str]:
    """Elements at the start of an XML response and the types of their texts; parsing the whole tree twice is slow."""
    found: dict[str, Counter[str]] = {}
    for name, text in _ELEMENT.findall(payload.body[:HEAD_BYTES]):
        found.setdefault(name.decode(), Counter())[infer_type(text.decode("utf-8", "replace"))] += 1
    return {name: _most_common(types) for name, types in found.items()}


def _most_common(types: Mapping[str, int]) -> str:
    """The most frequent type, blank cells ignored."""
    counts = {name: count for name, count in types.items() if name}
    return max(counts, key=counts.__getitem__, default="")
