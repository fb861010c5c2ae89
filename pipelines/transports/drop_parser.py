"""Rows of a drop file, from CSV or Parquet.

A file of the wrong form is rejected as a whole, with the position of the first error. Rules about values apply later: a
negative stock is a row for the quarantine, a stock that is no number rejects the file.
"""

from __future__ import annotations

import difflib
import io
import re
from csv import reader
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.sources.base import Parsed
from schemas.base import VINTAGE, columns_of
from schemas.datasets import DATASETS
from schemas.generate.arrow import arrow_schema

# Names that programs write for a column without a name: pandas, pandas after a second save, pandas in Parquet, polars.
UNNAMED: Final = re.compile(r"|Unnamed: \d+(\.\d+)?|__index_level_\d+__|_duplicated_\d+")
KNOWLEDGE_TS: Final = "knowledge_ts"
MAX_ROWS: Final = 20_000_000  # a small Parquet file can decompress to any number of rows

NUMBER: Final = r"^[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d{1,3})?$"
WHOLE: Final = r"^[-+]?\d{1,15}(\.0*)?$"
DAY: Final = r"^\d{4}-\d{2}-\d{2}$"
MOMENT: Final = r"^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?(Z|\+00:00)$"
RULES: Final = {
    NUMBER: "must be a number with . for decimals and no thousands separators, or an empty cell",
    WHOLE: "must be a whole number",
    DAY: "must be a day as YYYY-MM-DD",
    MOMENT: "must be a time in UTC as YYYY-MM-DDThh:mm:ssZ",
}


class DropError(Exception):
    """A rejected file: `file`, `rule`, and where known `line` (the header is 1), `column` and `value`."""

    def __init__(
        self, file: str, rule: str, line: int | None = None, column: str | None = None, value: str | None = None
    ) -> None:
        self.file, self.line, self.column, self.value, self.rule = file, line, column, value, rule
        unit = "row" if file.lower().endswith(".parquet") else "line"
        position = [file, *([f"{unit} {line}"] if line else []), *([f"column {column}"] if column else [])]
        shown = f"{value!r} " if value is not None else ""
        super().__init__(f"{', '.join(position)}: {shown}{rule}; the whole file is rejected")


def parse_drop(dataset: str, relative_name: str, body: bytes) -> Parsed:
    """Rows of a drop file as a frame of the dataset; rules about values are not checked.

    Columns are those of the schema, of which nullable ones may be missing, and knowledge_ts (UTC, NaT where it is not
    given). The index holds line numbers of a CSV file (from 1) or row numbers of a Parquet file (from 1). Empty cells
    are missing values. Empty rows, empty columns without a known name and an index without a name are left out and
    counted in `left_out`. Raises `DropError` for a file of the wrong form.
    """
    is_parquet = relative_name.lower().endswith(".parquet")
    cells = (_read_parquet if is_parquet else _read_csv)(dataset, relative_name, body)
    table, lines, left_out = _without_empty(dataset, relative_name, cells)
    types = _types(dataset)
    columns = {
        name: _Column(relative_name, name, lines, types[name]).convert(table.column(name).combine_chunks())
        for name in types
        if name in table.column_names
    }
    if VINTAGE not in columns_of(DATASETS[dataset].model):
        columns.pop(VINTAGE, None)  # accepted in every file, stored only where the dataset has it
    columns.setdefault(KNOWLEDGE_TS, pa.nulls(table.num_rows, types[KNOWLEDGE_TS]))
    for name, value in DATASETS[dataset].defaults.items():
        columns.setdefault(name, pa.repeat(value, table.num_rows))
    frame: pd.DataFrame = pa.table(columns).to_pandas(date_as_object=False)
    days = {name: "datetime64[us]" for name in columns if pa.types.is_date32(types[name])}
    return Parsed({dataset: frame.astype(days).set_axis(lines)}, left_out=left_out)


# --- files to cells


@dataclass(frozen=True)
class _Cells:
    """Cells of a file: `names` of the columns as in line `header`, `lines` of the rows, and `empty` lines."""

    names: list[str]
    columns: list[pa.Array]
    lines: pd.Index
    header: int | None = None
    empty: int = 0
    beyond: int = 0  # empty columns on the right of the header


def _types(dataset: str) -> dict[str, pa.DataType]:
    """Columns that a file of this dataset may have, and their types."""
    names = (*columns_of(DATASETS[dataset].model), KNOWLEDGE_TS)
    return {**{name: arrow_schema(dataset).field(name).type for name in names}, VINTAGE: pa.int64()}


def _expected(dataset: str) -> tuple[list[str], str]:
    """Required columns of a file of this dataset, and a text with all columns."""
    spec = DATASETS[dataset]
    about = columns_of(spec.model)
    required = [name for name, column in about.items() if not column["nullable"] and name not in spec.defaults]
    former = {name: f"{name} (or {alias})" for alias, name in spec.aliases.items()}
    listed = ", ".join(former.get(name, name) if name in required else f"[{name}]" for name in _types(dataset))
    return required, f"expected {listed} ([] may be left out; names are case-sensitive)"


def _checked_header(dataset: str, file: str, line: int | None, given: list[str]) -> list[str]:
    """Names of a header without spaces around them, former names replaced. Raises `DropError`, as `_check_header`."""
    names, aliases = [name.strip() for name in given], DATASETS[dataset].aliases
    for former in aliases.keys() & {*names}:
        if aliases[former] in names:
            rule = f"is a former name of {aliases[former]}, which the header has too; remove one of the two columns"
            raise DropError(file, rule, line, value=former)
    names = [aliases.get(name, name) for name in names]
    _check_header(dataset, file, line, names)
    return names


def _unknown_column(dataset: str, file: str, line: int | None, name: str) -> DropError:
    names = {known.lower(): known for known in _types(dataset)}
    nearest = difflib.get_close_matches(re.sub(r"[\s-]+", "_", name.lower()), names, n=1, cutoff=0.7)
    hint = f" (write {names[nearest[0]]})" if nearest else ""
    if re.search(r"[;\t|]", name):
        hint = ": separate cells by commas and write decimals with a point (in Excel, a language with both)"
    return DropError(file, f"is no column of {dataset}{hint}; {_expected(dataset)[1]}", line, value=name)


def _check_header(dataset: str, file: str, line: int | None, given: list[str]) -> None:
    """Raise `DropError` for a missing or repeated column. Unknown columns may still be empty."""
    required, expected = _expected(dataset)
    unknown = [name for name in given if name not in _types(dataset) and not UNNAMED.fullmatch(name)]
    missing = [name for name in required if name not in given]
    if unknown and missing:
        raise _unknown_column(dataset, file, line, unknown[0])
    if missing:
        raise DropError(file, f"the header has no {', '.join(missing)}; {expected}", line)
    for name in given:
        if given.count(name) > 1 and name in _types(dataset):
            raise DropError(file, f"occurs twice in the header; {expected}", line, value=name)


def _without_empty(dataset: str, file: str, cells: _Cells) -> tuple[pa.Table, pd.Index, str]:
    """Known columns of the rows with values, their lines, and what was left out.

    Raises `DropError` for a value in another column.
    """
    known = [number for number, name in enumerate(cells.names) if name in _types(dataset)]
    unknown = set(range(len(cells.names))) - set(known)
    filled = {number: _is_filled(column) for number, column in enumerate(cells.columns)}
    index = {number for number in unknown if filled[number].any() and _is_index(cells, number)}
    for number in sorted(unknown - index):
        name, rows = cells.names[number], np.flatnonzero(filled[number])
        if not UNNAMED.fullmatch(name) and (len(rows) or not len(cells.lines)):
            raise _unknown_column(dataset, file, cells.header, name)
        if len(rows):
            rule = f"is in a column without a name; empty the column or name it; {_expected(dataset)[1]}"
            raise DropError(file, rule, int(cells.lines[rows[0]]), value=str(cells.columns[number][int(rows[0])]))
    kept = np.logical_or.reduce([filled[number] for number in known])
    table = pa.table({cells.names[number]: cells.columns[number] for number in known}).filter(pa.array(kept))
    counts = {
        "empty row": cells.empty + int((~kept).sum()),
        "empty column": len(unknown - index) + cells.beyond,
        "index column": len(index),
    }
    left_out = ", ".join(f"{count} {what}{'s' if count > 1 else ''}" for what, count in counts.items() if count)
    return table, cells.lines[kept], left_out


def _is_filled(column: pa.Array) -> np.ndarray:
    """Whether each cell has a value; text of white space has none."""
    filled = pc.is_valid(column)
    if pa.types.is_string(column.type):
        filled = pc.and_(filled, pc.not_equal(pc.fill_null(pc.utf8_trim_whitespace(column), ""), ""))
    elif pa.types.is_floating(column.type):
        filled = pc.and_(filled, pc.invert(pc.fill_null(pc.is_nan(column), True)))
    return np.asarray(filled.to_numpy(zero_copy_only=False), dtype=bool)


def _is_index(cells: _Cells, number: int) -> bool:
    """Whether a column is a data frame's index that was saved without a name: whole numbers, before all others."""
    name, column = cells.names[number], cells.columns[number]
    if name.startswith("__index_level_"):
        return True
    if not UNNAMED.fullmatch(name) or not all(UNNAMED.fullmatch(before) for before in cells.names[:number]):
        return False
    if pa.types.is_string(column.type):
        return bool(pc.all(pc.match_substring_regex(column, r"^(\d{1,15}(\.0)?)?$"), min_count=0).as_py())
    return bool(pa.types.is_integer(column.type))


def _plain(column: pa.Array) -> pa.Array:
    """The column without dictionaries, and any type of text as `string`."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_large_string(column.type) or pa.types.is_string_view(column.type):
        column = column.cast(pa.string())
    return column


def _read_csv(dataset: str, file: str, body: bytes) -> _Cells:
    """All cells as text. Cells of a line may end where the named columns end."""
    _check_text(file, body)
    body = body.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    texts = body.split(b"\n")
    with_text = [number for number, text in enumerate(texts, start=1) if text]
    if with_text and re.fullmatch(rb'"?sep=,"?', texts[with_text[0] - 1]):  # read by Excel, no cell
        del with_text[0]
    filled = [number for number in with_text if texts[number - 1].strip(b", \t")]
    if not filled:
        raise DropError(file, "the file is empty; expected a header line and rows")
    unclosed = [number for number in filled if texts[number - 1].count(b'"') % 2] if b'"' in body else []
    if unclosed:
        raise DropError(file, "a quotation mark is not closed on its line", unclosed[0])
    header = _checked_header(dataset, file, filled[0], next(reader([texts[filled[0] - 1].decode()])))
    empty = len(with_text) - len(filled)
    if len(filled) == 1:
        nothing = [pa.array([], pa.string()) for _ in header]
        return _Cells(header, nothing, pd.Index([], dtype="int64"), filled[0], empty)

    table, ragged = _split(file, [texts[number - 1] for number in filled[1:]], len(header))
    beyond = 0
    if ragged:
        named = max(number for number, name in enumerate(header, start=1) if name)
        beyond = _even_out(texts, filled[1:], named, len(header))
        table, ragged = _split(file, [texts[number - 1] for number in filled[1:]], len(header))
    if table.num_rows + len(ragged) != len(filled) - 1:
        raise DropError(file, "a quotation mark inside a cell is not doubled")
    if ragged:
        number, cells = ragged[0]
        raise DropError(file, f"the line has {cells} cells, the header {len(header)}", filled[number])
    columns = [column.combine_chunks() for column in table.columns]
    return _Cells(header, columns, pd.Index(filled[1:]), filled[0], empty, beyond)


def _split(file: str, texts: list[bytes], width: int) -> tuple[pa.Table, list[tuple[int, int]]]:
    """Cells of these lines, and lines of another width, which are left out: number from 1 and number of cells."""
    from pyarrow import csv

    ragged: list[tuple[int, int]] = []

    def skip_ragged(row: csv.InvalidRow) -> str:
        ragged.append((row.number, row.actual_columns))
        return "skip"

    names = [str(number) for number in range(width)]  # the header may have several columns without a name
    try:
        table = csv.read_csv(
            io.BytesIO(b"\n".join(texts)),
            read_options=csv.ReadOptions(use_threads=False, column_names=names, block_size=1 << 23),
            parse_options=csv.ParseOptions(invalid_row_handler=skip_ragged),
            convert_options=csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string())),
        )
    except pa.ArrowInvalid as error:
        raise DropError(file, f"cannot be read as CSV: {error}") from None
    return table, ragged


def _even_out(texts: list[bytes], rows: list[int], named: int, width: int) -> int:
    """Give each line as many cells as the header, where only empty cells on the right are missing or too many.

    A spreadsheet does not write them in every line. Returns how many the header has too few.
    """
    beyond = 0
    for number in rows:
        text = texts[number - 1]
        cells = _count_cells(text)
        if named <= cells < width:
            texts[number - 1] = text + b"," * (width - cells)
        elif cells > width and text.endswith(b"," * (cells - width)):
            texts[number - 1] = text[: width - cells]
            beyond = max(beyond, cells - width)
    return beyond


def _check_text(file: str, body: bytes) -> None:
    """Raise `DropError` for a body that is no UTF-8 text."""
    remedy = "save the file again as UTF-8 (in Excel as 'CSV UTF-8')"
    if body.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise DropError(file, f"the file is not UTF-8 but UTF-16 (in Excel 'Unicode Text'): {remedy}")
    try:
        body.decode("utf-8")
        position, rule = body.find(b"\0"), f"is no text: {remedy}"
    except UnicodeDecodeError as error:
        position, rule = error.start, f"is not UTF-8: {remedy}"
    if position >= 0:
        line = len(re.findall(rb"\r\n?|\n", body[:position])) + 1
        raise DropError(file, f"at byte {position} {rule}", line, value=f"0x{body[position]:02X}")


def _count_cells(text: bytes) -> int:
    return len(next(reader([text.decode()]))) if b'"' in text else text.count(b",") + 1


def _read_parquet(dataset: str, file: str, body: bytes) -> _Cells:
    """Columns with the types of the file, and row numbers from 1."""
    import pyarrow.parquet as pq

    try:
        parquet = pq.ParquetFile(pa.BufferReader(body))
        names = _checked_header(dataset, file, None, parquet.schema_arrow.names)
        if parquet.metadata.num_rows > MAX_ROWS:
            raise DropError(file, f"has {parquet.metadata.num_rows:,} rows, more than {MAX_ROWS:,}; split it")
        table = parquet.read()
        columns = [_plain(column.combine_chunks()) for column in table.columns]
    except (pa.ArrowException, OSError) as error:
        raise DropError(file, f"cannot be read as Parquet: {error}") from None
    return _Cells(names, columns, pd.RangeIndex(1, table.num_rows + 1))


# --- cells to values


@dataclass(frozen=True)
class _Column:
    """Conversion of one column of a file to its type."""

    file: str
    name: str
    lines: pd.Index
    type: pa.DataType

    @property
    def rule(self) -> str:
        """Pattern of `RULES` for the text of a value; empty for text columns."""
        if pa.types.is_float64(self.type):
            return NUMBER
        if pa.types.is_integer(self.type):
            return WHOLE
        return DAY if pa.types.is_date32(self.type) else MOMENT if pa.types.is_timestamp(self.type) else ""

    def convert(self, cells: pa.Array) -> pa.Array:
        """The cells as the column's type. Raises `DropError` for the first cell that cannot be converted."""
        try:
            if pa.types.is_null(cells.type):
                return pa.nulls(len(cells), self.type)
            if pa.types.is_string(cells.type):
                trimmed = pc.utf8_trim_whitespace(cells)
                return self._from_text(pc.if_else(pc.equal(trimmed, ""), None, trimmed))
            return self._from_typed(cells)
        except pa.ArrowException as error:  # a value outside the range of its type
            raise DropError(self.file, f"cannot be read as {self.type}: {error}", column=self.name) from None

    def _from_text(self, cells: pa.Array) -> pa.Array:
        if not self.rule:
            return cells
        self._require(pc.match_substring_regex(cells, self.rule), cells)
        if self.rule == WHOLE:
            return cells.cast(pa.float64()).cast(self.type)
        try:
            values = cells.cast(self.type)
        except pa.ArrowInvalid:  # right form but no valid date, such as 2024-02-30
            self._require(pa.array([text is None or _is_datetime(text) for text in cells.to_pylist()]), cells)
            raise
        if self.rule == NUMBER:
            self._require(pc.is_finite(values), cells)
        return values

    def _from_typed(self, cells: pa.Array) -> pa.Array:
        """Convert from the type of a Parquet column, where that is equivalent."""
        is_number = (
            pa.types.is_integer(cells.type) or pa.types.is_floating(cells.type) or pa.types.is_decimal(cells.type)
        )
        if self.rule in (NUMBER, WHOLE) and is_number:
            numbers = cells.cast(pa.float64(), safe=False)
            numbers = pc.if_else(pc.is_nan(numbers), None, numbers)
            self._require(pc.is_finite(numbers), cells)
            if self.rule == WHOLE:
                small = pc.less(pc.abs(numbers), 1e15)
                self._require(pc.and_(pc.equal(pc.floor(numbers), numbers), small), cells)
            return numbers.cast(self.type)
        if self.rule == DAY and (pa.types.is_date(cells.type) or pa.types.is_timestamp(cells.type)):
            # With a time zone, the day is that of the zone.
            days = pc.local_timestamp(cells) if getattr(cells.type, "tz", None) else cells
            days = days.cast(pa.timestamp("ms")) if pa.types.is_date(days.type) else days
            self._require(pc.equal(pc.floor_temporal(days, unit="day"), days), cells)
            return days.cast(self.type)
        if self.rule == MOMENT and getattr(cells.type, "tz", None):
            return pc.floor_temporal(cells, unit="microsecond").cast(self.type)
        rule = RULES.get(self.rule, "must be text")
        raise DropError(self.file, f"has type {cells.type}, but {rule}", column=self.name)

    def _require(self, passes: pa.Array, cells: pa.Array) -> None:
        """Raise `DropError` for the first cell that does not pass; missing cells pass."""
        fails = np.flatnonzero(~pc.fill_null(passes, True).to_numpy(zero_copy_only=False))
        if len(fails):
            row = int(fails[0])
            try:
                value = str(cells[row].as_py())
            except (OverflowError, ValueError):  # no date of Python
                value = f"{cells[row].value} {cells.type}"
            value = value if len(value) <= 80 else value[:80] + "…"
            raise DropError(self.file, RULES[self.rule], int(self.lines[row]), self.name, value)


def _is_datetime(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True
