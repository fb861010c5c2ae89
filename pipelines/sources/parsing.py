"""What every source needs to read an answer: cells to values, documents to cells, rows to typed frames.

Cells that cannot be read raise `ValueError` with the value in its text; `Rows` turns that into rejected rows. Documents
that are not what they should be raise `SourceError`.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from pipelines.sources.base import Parsed, Payload, Rejected, Request, SourceError, frame
from schemas.base import columns_of
from schemas.datasets import DATASETS

if TYPE_CHECKING:
    from lxml.etree import _Element

MONTHS: Final = {
    name: number
    for number, name in enumerate(
        ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"), start=1
    )
}
INSTANTS: Final = range(4_102_444_800)  # unix seconds, to the year 2100: others are nobody's trading day
NO_CELL: Final = "(no cell)"  # a row that ends early is a fault, a blank cell is not
_NUMBER: Final = re.compile(r"[-+]?(\d{1,3}(,\d{3})+|\d+)(\.\d+)?", re.ASCII)
_ISO_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_DATES: Final = re.compile(r"\d{4}-\d{2}-\d{2}|\d{1,2}\. ?[A-Za-z]{3,9}\.? \d{4}|\d{4}M\d{2}", re.ASCII)
_BLANK: Final = frozenset({"", "-", "--", "\u2013", ".", "..", "\u2026", "NaN"})


def number(cell: str) -> float:
    """A finite decimal number with `.` decimals and optional thousands commas; ValueError for anything else.

    Python's own `float` takes `nan`, `1e5` and `1_000` too: none of them is a price that somebody meant.
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
    except OverflowError:  # JSON's integers have no end
        finite = math.inf
    if not math.isfinite(finite):
        raise ValueError(f"{json.dumps(value)} is not a number")
    return finite


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
    """An instant in UTC written in ISO with its zone; None for anything else, since nothing rests on it alone."""
    try:
        moment = dt.datetime.fromisoformat(cell.strip())
    except ValueError:
        return None
    return None if moment.tzinfo is None else moment.astimezone(dt.UTC)


def excerpt(body: bytes | str, length: int = 80) -> str:
    """How an answer starts, on one line, for an error text."""
    text = body[: 8 * length].decode("utf-8", "replace") if isinstance(body, bytes) else body[: 8 * length]
    line = " ".join(text.split())
    return repr(line if len(line) <= length else line[:length] + "…") if line else "nothing"


@cache
def dtypes(dataset: str) -> dict[str, str]:
    """Column to pandas dtype of a dataset's frame, from its schema: dates in microseconds, text as `str`."""
    types = {name: str(column["dtype"]) for name, column in columns_of(DATASETS[dataset].model).items()}
    return {
        name: "datetime64[us]" if kind.startswith("datetime") else "str" if kind.startswith("str") else kind
        for name, kind in types.items()
    }


class Rows:
    """The rows of one dataset in one answer, good and bad; an observation occurs once."""

    def __init__(self, dataset: str) -> None:
        self.dataset = dataset
        self.rejected: list[Rejected] = []
        self._key = DATASETS[dataset].key
        self._rows: dict[tuple[Any, ...], dict[str, Any]] = {}

    def add(self, row: dict[str, Any], where: str, raw: str) -> None:
        """Takes a row by column name; None is missing. Says nothing to a repeat, rejects a contradiction."""
        key = tuple(row[name] for name in self._key)
        first = self._rows.setdefault(key, row)
        if first != row:
            same = " and ".join(f"{name} {value}" for name, value in zip(self._key, key, strict=True))
            self.reject(where, raw, f"contradicts an earlier row of {same}, which is kept")

    def reject(self, where: str, raw: str, reason: str) -> None:
        """Takes a row that could not be read; the reason names the column and the value."""
        self.rejected.append(Rejected(self.dataset, where, raw, reason))

    def frame(self) -> pd.DataFrame:
        """The good rows, typed, oldest first within a series."""
        types = dtypes(self.dataset)
        return frame((self._rows[key] for key in sorted(self._rows)), list(types)).astype(types)


def parsed(*rows: Rows) -> Parsed:
    """One answer's datasets together."""
    return Parsed({part.dataset: part.frame() for part in rows}, [bad for part in rows for bad in part.rejected])


def check_period(request: Request, dates: Iterable[dt.date], expected: str) -> None:
    """SourceError when an answer mostly speaks of another period than the one asked (2024, 2024-05, or any)."""
    found = Counter(day.isoformat()[: len(request.period)] for day in dates)
    if request.period and found and (most := found.most_common(1)[0][0]) != request.period:
        raise SourceError(request, f"the answer is for {most}, not {request.period}", expected)


def require_period(request: Request, day: dt.date) -> None:
    """ValueError when a day lies outside the period that was asked for (2024, 2024-05, or any)."""
    if not day.isoformat().startswith(request.period):
        raise ValueError(f"{day} is not in {request.period}")


def json_value(payload: Payload, expected: str) -> Any:
    """The answer as JSON; SourceError when it is cut or no JSON."""
    try:
        return json.loads(payload.body)
    except (ValueError, RecursionError) as error:
        start = excerpt(payload.body)
        raise SourceError(payload.request, f"the answer is not JSON ({error}): {start}", expected) from None


def json_object(payload: Payload, expected: str) -> dict[str, Any]:
    """The answer as a JSON object; SourceError when it is cut, no JSON, or another JSON value."""
    value = json_value(payload, expected)
    if not isinstance(value, dict):
        raise SourceError(payload.request, f"the answer is no JSON object: {excerpt(payload.body)}", expected)
    return value


def csv_rows(payload: Payload, needed: tuple[str, ...]) -> Iterator[tuple[int, dict[str, str], str]]:
    """Line number, cells by column name, and the raw line of a CSV answer; blank lines are skipped.

    A column that a short line does not reach is `NO_CELL`. SourceError when a needed column is not in the header.
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
        raise SourceError(payload.request, f"the answer is not CSV ({error})", expected) from None


def html_root(payload: Payload, expected: str) -> _Element:
    """The answer as an HTML tree; SourceError when there is nothing to read."""
    from lxml import etree

    try:
        root = etree.fromstring(payload.body, etree.HTMLParser(encoding="utf-8", no_network=True))
    except etree.XMLSyntaxError as error:
        raise SourceError(payload.request, f"the answer is not HTML ({error})", expected) from None
    if root is None:
        raise SourceError(payload.request, f"the answer is empty: {excerpt(payload.body)}", expected)
    return root


def text_of(element: _Element) -> str:
    """All the text inside an element on one line, no-break spaces included."""
    return " ".join("".join(map(str, element.itertext())).split())


def grid(table: _Element) -> list[list[str]]:
    """The cells of a table's own rows; a cell that spans rows or columns stands in each place that it covers."""
    rows: list[list[str]] = []
    below: dict[int, tuple[int, str]] = {}  # column -> (rows still covered, text), from cells that span rows
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
    # Python refuses to read a number of thousands of digits.
    return min(max(int(value[:9]), 1), 100) if value and value.isdecimal() else 1


# --- the shape of an answer: which columns or fields it has, and of which kind


def kind(cell: object) -> str:
    """What a cell holds: number, date, text, flag; empty for a blank one."""
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
    """Column to the kind of most of its cells, by a hundred rows spread over the table: single bad cells say nothing.
    A column without a name is none."""
    sample = rows[:: max(1, len(rows) // 100)]
    return {
        name: _most(Counter(kind(row[at]) for row in sample if at < len(row))) for at, name in enumerate(header) if name
    }


def csv_shape(payload: Payload) -> dict[str, str]:
    """The columns of a CSV answer and their kinds."""
    try:
        rows = list(csv.reader(io.StringIO(payload.body.decode("utf-8-sig"), newline="")))
    except (UnicodeDecodeError, csv.Error) as error:
        raise SourceError(payload.request, f"the answer is not CSV ({error})", "CSV with a header") from None
    return table_shape([name.strip() for name in rows[0]], rows[1:]) if rows else {}


def html_shape(payload: Payload, first: str) -> dict[str, str]:
    """The columns of the first HTML table that has a column `first`, and their kinds; none without such a table."""
    for table in html_root(payload, f"a table with the column {first!r}").iter("table"):
        rows = grid(table)
        header = next((cells for cells in rows if first in (cell.lower() for cell in cells)), None)
        if header is not None:
            return table_shape(header, [cells for cells in rows if cells != header])
    return {}


def json_shape(payload: Payload) -> dict[str, str]:
    """The fields of a JSON answer by their path, `refRates.percentRate`, and their kinds; keys that are dates are one
    field, `values.*`."""
    found: dict[str, Counter[str]] = {}
    _fields(json_value(payload, "JSON"), "", found)
    return {path: _most(kinds) for path, kinds in found.items()}


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
            found.setdefault(path, Counter()).update(map(kind, value[:: max(1, len(value) // 100)]))
    else:
        found.setdefault(path, Counter())[kind(value)] += 1


HEAD_BYTES: Final = 8_192  # of an XML answer: what follows are points alone
_ELEMENT: Final = re.compile(rb"<([A-Za-z_][\w.-]*)[^<>]*>([^<]*)")


def xml_shape(payload: Payload) -> dict[str, str]:
    """The elements at the head of an XML answer and the kinds of their texts; to read the whole tree twice is slow."""
    found: dict[str, Counter[str]] = {}
    for name, text in _ELEMENT.findall(payload.body[:HEAD_BYTES]):
        found.setdefault(name.decode(), Counter())[kind(text.decode("utf-8", "replace"))] += 1
    return {name: _most(kinds) for name, kinds in found.items()}


def _most(kinds: Mapping[str, int]) -> str:
    """The kind of most cells that are not blank."""
    there = {name: count for name, count in kinds.items() if name}
    return max(there, key=there.__getitem__, default="")
