"""Drop folder: find the users' files and parse them.

A file of the wrong form is rejected as a whole, with the position of the first error. Rules about values apply later: a
negative stock is a row for the quarantine, a stock that is no number rejects the file.
"""

from __future__ import annotations

import io
import os
import re
import stat
from collections.abc import Collection
from csv import reader
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.sources.base import Parsed
from schemas.base import VINTAGE, columns_of
from schemas.datasets import DATASETS
from schemas.generate.arrow import arrow_schema

TYPES: Final = (".csv", ".parquet")
KNOWLEDGE_TS: Final = "knowledge_ts"
MAX_ROWS: Final = 20_000_000  # a small Parquet file can decompress to any number of rows

NUMBER: Final = r"^[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d{1,3})?$"
WHOLE: Final = r"^[-+]?\d{1,15}(\.0*)?$"
DAY: Final = r"^\d{4}-\d{2}-\d{2}$"
MOMENT: Final = r"^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?(Z|\+00:00)$"
RULES: Final = {
    NUMBER: "must be a number with . for decimals and no thousands separators",
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


@dataclass(frozen=True)
class DropFile:
    """A file to parse. `relative`: its path in the drop folder."""

    dataset: str
    path: Path
    relative: str


@dataclass(frozen=True)
class DropProblem:
    """An entry of the drop folder that is not used, and the reason. `dataset` is None where it belongs to none."""

    relative: str
    dataset: str | None
    message: str


def scan(drop_dir: Path, datasets: Collection[str], max_mb: int = 100) -> list[DropFile | DropProblem]:
    """Entries of the drop folder, sorted by name: files to parse, and all others with the reason.

    `datasets`: the accepted folders. `max_mb`: larger files are rejected. Hidden names are ignored; a missing drop
    folder is empty.
    """
    accepted = f"accepted are the folders {', '.join(sorted(datasets))} with files *{' and *'.join(TYPES)}"
    found: list[DropFile | DropProblem] = []
    for entry in _entries(drop_dir):
        if entry.name not in datasets:
            what = "an unknown dataset folder" if entry.is_dir() else "a file outside the dataset folders"
            found.append(DropProblem(entry.name, None, f"{entry.name} is {what}; {accepted}"))
        elif problem := _link_problem(entry, drop_dir):
            found.append(DropProblem(entry.name, entry.name, f"{entry.name} {problem}"))
        elif not entry.is_dir():
            found.append(DropProblem(entry.name, entry.name, f"{entry.name} is not a folder; {accepted}"))
        else:
            for path in _entries(entry):
                relative = f"{entry.name}/{path.name}"
                problem = _file_problem(path, drop_dir, max_mb)
                found.append(
                    DropProblem(relative, entry.name, f"{relative} {problem}")
                    if problem
                    else DropFile(entry.name, path, relative)
                )
    return found


def _entries(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not path.name.startswith(".")) if folder.is_dir() else []


def _link_problem(path: Path, drop_dir: Path) -> str | None:
    try:
        if not path.resolve(strict=True).is_relative_to(drop_dir.resolve()):
            return "is a link that leaves the drop folder and is not followed; copy the file instead"
    except (OSError, RuntimeError):
        return "is a broken link; copy the file instead"
    return None


def _file_problem(path: Path, drop_dir: Path, max_mb: int) -> str | None:
    """Reason not to use a file, or None. The type is checked before opening: opening a pipe would block."""
    if problem := _link_problem(path, drop_dir):
        return problem
    info = path.stat()
    if not stat.S_ISREG(info.st_mode):
        return f"is not a file; accepted are *{' and *'.join(TYPES)} directly in the dataset's folder"
    if path.suffix.lower() not in TYPES:
        return f"is of an unknown type; accepted are *{' and *'.join(TYPES)}"
    if info.st_size == 0:
        return "is empty; expected a header line and rows"
    if info.st_size > max_mb * 1024**2:
        size = info.st_size / 1024**2
        return f"has {size:,.0f} MB, more than {max_mb} MB; split it or raise TIGHTNESS_DROP_MAX_MB"
    try:
        os.close(os.open(path, os.O_RDONLY))
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return None


def parse_drop(dataset: str, relative_name: str, body: bytes) -> Parsed:
    """Rows of a drop file as a frame of the dataset; rules about values are not checked.

    Columns are those of the schema, of which nullable ones may be missing, and knowledge_ts (UTC, NaT where it is not
    given). The index holds line numbers of a CSV file (the header is 1) or row numbers of a Parquet file (from 1).
    Empty cells are missing values. Raises `DropError` for a file of the wrong form.
    """
    is_parquet = relative_name.lower().endswith(".parquet")
    table, lines = (_read_parquet if is_parquet else _read_csv)(dataset, relative_name, body)
    types = _types(dataset)
    columns = {
        name: _Column(relative_name, name, lines, types[name]).convert(table.column(name).combine_chunks())
        for name in types
        if name in table.column_names
    }
    if VINTAGE not in columns_of(DATASETS[dataset].model):
        columns.pop(VINTAGE, None)  # accepted in every file, stored only where the dataset has it
    columns.setdefault(KNOWLEDGE_TS, pa.nulls(table.num_rows, types[KNOWLEDGE_TS]))
    frame: pd.DataFrame = pa.table(columns).to_pandas(date_as_object=False)
    days = {name: "datetime64[us]" for name in columns if pa.types.is_date32(types[name])}
    return Parsed({dataset: frame.astype(days).set_axis(lines)})


# --- files to cells


def _types(dataset: str) -> dict[str, pa.DataType]:
    """Columns that a file of this dataset may have, and their types."""
    names = (*columns_of(DATASETS[dataset].model), KNOWLEDGE_TS)
    return {**{name: arrow_schema(dataset).field(name).type for name in names}, VINTAGE: pa.int64()}


def _check_header(dataset: str, file: str, given: list[str]) -> None:
    model, types = columns_of(DATASETS[dataset].model), _types(dataset)
    required = [name for name, column in model.items() if not column["nullable"]]
    listed = ", ".join(name if name in required else f"[{name}]" for name in types)
    expected = f"expected {listed} ([] may be left out; names are case-sensitive)"
    for name in given:
        if name not in types:
            separator = " (is the separator a comma?)" if re.search(r"[;\t|]", name) else ""
            raise DropError(file, f"is no column of {dataset}{separator}; {expected}", 1, value=name)
        if given.count(name) > 1:
            raise DropError(file, f"occurs twice in the header; {expected}", 1, value=name)
    if missing := [name for name in required if name not in given]:
        raise DropError(file, f"the header has no {', '.join(missing)}; {expected}", 1)


def _read_csv(dataset: str, file: str, body: bytes) -> tuple[pa.Table, pd.Index]:
    """All cells as text, and the line number of each row."""
    from pyarrow import csv

    try:
        body.decode("utf-8")
    except UnicodeDecodeError as error:
        line = body.count(b"\n", 0, error.start) + 1
        rule = f"at byte {error.start} is not UTF-8: save the file again as UTF-8 (in Excel as 'CSV UTF-8')"
        raise DropError(file, rule, line, value=f"0x{body[error.start]:02X}") from None
    body = body.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    texts = body.split(b"\n")
    filled = [number for number, text in enumerate(texts, start=1) if text]
    if not filled:
        raise DropError(file, "the file is empty; expected a header line and rows")
    header = [name.strip() for name in next(reader([texts[filled[0] - 1].decode()]), [])]
    _check_header(dataset, file, header)
    if len(filled) == 1:
        return pa.table({name: pa.array([], pa.string()) for name in header}), pd.Index([], dtype="int64")

    ragged: list[tuple[int, int]] = []

    def skip_ragged(row: csv.InvalidRow) -> str:
        ragged.append((row.number, row.actual_columns))
        return "skip"

    try:
        table = csv.read_csv(
            io.BytesIO(b"\n".join(texts[filled[0] :])),
            read_options=csv.ReadOptions(use_threads=False, column_names=header, block_size=1 << 23),
            parse_options=csv.ParseOptions(invalid_row_handler=skip_ragged),
            convert_options=csv.ConvertOptions(column_types=dict.fromkeys(header, pa.string())),
        )
    except pa.ArrowInvalid as error:
        raise DropError(file, f"cannot be read as CSV: {error}") from None
    if table.num_rows + len(ragged) != len(filled) - 1:
        line = next((number for number in filled if texts[number - 1].count(b'"') % 2), 1)
        raise DropError(file, "a quotation mark is not closed on its line", line)
    if ragged:
        number, cells = ragged[0]
        raise DropError(file, f"the line has {cells} cells, the header {len(header)}", filled[number])
    return table, pd.Index(filled[1:])


def _read_parquet(dataset: str, file: str, body: bytes) -> tuple[pa.Table, pd.Index]:
    """Columns with the types of the file, and row numbers from 1."""
    import pyarrow.parquet as pq

    try:
        parquet = pq.ParquetFile(pa.BufferReader(body))
        _check_header(dataset, file, parquet.schema_arrow.names)
        if parquet.metadata.num_rows > MAX_ROWS:
            raise DropError(file, f"has {parquet.metadata.num_rows:,} rows, more than {MAX_ROWS:,}; split it")
        table = parquet.read()
    except (pa.ArrowException, OSError) as error:
        raise DropError(file, f"cannot be read as Parquet: {error}") from None
    return table, pd.RangeIndex(1, table.num_rows + 1)


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
        if pa.types.is_dictionary(cells.type):
            cells = cells.dictionary_decode()
        if pa.types.is_null(cells.type):
            return pa.nulls(len(cells), self.type)
        if pa.types.is_string(cells.type) or pa.types.is_large_string(cells.type):
            trimmed = pc.utf8_trim_whitespace(cells.cast(pa.string()))
            return self._from_text(pc.if_else(pc.equal(trimmed, ""), None, trimmed))
        return self._from_typed(cells)

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
        if self.rule == DAY and (pa.types.is_date(cells.type) or getattr(cells.type, "tz", "") is None):
            days = cells.cast(pa.timestamp("us"))
            self._require(pc.equal(pc.floor_temporal(days, unit="day"), days), cells)
            return days.cast(self.type)
        if self.rule == MOMENT and getattr(cells.type, "tz", None):
            return cells.cast(self.type, safe=False)
        rule = RULES.get(self.rule, "must be text")
        raise DropError(self.file, f"has type {cells.type}, but {rule}", column=self.name)

    def _require(self, passes: pa.Array, cells: pa.Array) -> None:
        """Raise `DropError` for the first cell that does not pass; missing cells pass."""
        fails = np.flatnonzero(~pc.fill_null(passes, True).to_numpy(zero_copy_only=False))
        if len(fails):
            row = int(fails[0])
            value = str(cells[row].as_py())
            value = value if len(value) <= 80 else value[:80] + "…"
            raise DropError(self.file, RULES[self.rule], int(self.lines[row]), self.name, value)


def _is_datetime(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True
