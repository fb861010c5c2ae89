"""One Excel workbook of a release: latest signals, wide daily table, latest claims, dictionary and manifest.

The first row has the columns, the second their units, and both stay in view. Days and instants (UTC) are dates of
Excel. There are no formulas: text that begins like one is marked as text.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final

import duckdb

from pipelines.publish.manifest import Manifest
from pipelines.warehouse.sql import identifier

# Sheet: its table, the rows in it. The names are those of SQL, so that a sheet is found in the dictionary.
SHEETS: Final = {
    "Latest signals": ("signals.signals_latest", "order by signal_id"),
    "Daily": ("signals.signals_wide_daily", "order by all"),
    "Claims": (
        "signals.claim_audit",
        "qualify row_number() over (partition by claim_id order by as_of_ts desc) = 1 order by claim_id",
    ),
    "Dictionary": ("signals.signal_dictionary", "order by all"),
}
TABLES: Final = tuple(table for table, _ in SHEETS.values())
ABOUT: Final = ("release_id", "computed_ts", "knowledge_ts_max", "profile", "note", "git_commit")
_UNIT: Final = re.compile(r"\[([^\]]+)\]$")
_LIKE_A_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
_MAX_TEXT: Final = 32_767  # characters in a cell of Excel
_MIN_WIDTH, _MAX_WIDTH = 10, 60


def write(con: duckdb.DuckDBPyConnection, manifest: Manifest, path: Path) -> int:
    """Write the workbook from the release attached as `release`. Returns the number of rows of its tables."""
    from openpyxl import Workbook

    book = Workbook(write_only=True)
    book.properties.title = f"Metal Tightness {manifest['release_id']}"
    book.properties.created = book.properties.modified = datetime.fromisoformat(manifest["computed_ts"])
    mark = " SYNTHETIC" if manifest["synthetic"] else ""
    count = 0
    for title, (table, condition) in SHEETS.items():
        units = _units(con, table)
        found = con.execute(f"select {', '.join(map(identifier, units))} from release.{table} {condition}").fetchall()
        count += len(found)
        _sheet(book, f"{title}{mark}", list(units), list(units.values()), found)
    about = [(name, manifest[name]) for name in ABOUT]
    about += [(f"{table}: rows", manifest["tables"][table]["rows"]) for table in TABLES]
    _sheet(book, f"Manifest{mark}", ["name", "value"], [None, None], about)
    book.save(path)
    return count


def _units(con: duckdb.DuckDBPyConnection, table: str) -> dict[str, str | None]:
    """Unit by column, in their order: the end of the column's comment."""
    schema, name = table.split(".")
    found = con.execute(
        "select column_name, comment from duckdb_columns() "
        "where database_name = 'release' and schema_name = ? and table_name = ? order by column_index",
        [schema, name],
    ).fetchall()
    return {column: match[1] if (match := _UNIT.search(text or "")) else None for column, text in found}


def _sheet(book: Any, title: str, columns: list[str], units: list[str | None], rows: Iterable[tuple[Any, ...]]) -> None:
    from openpyxl.cell import WriteOnlyCell
    from openpyxl.styles import Font
    from openpyxl.utils import get_column_letter

    sheet = book.create_sheet(title)
    sheet.freeze_panes = "B3"
    sheet.auto_filter.ref = f"A2:{get_column_letter(len(columns))}2"
    for number, name in enumerate(columns, 1):
        width = min(max(len(name) + 2, _MIN_WIDTH), _MAX_WIDTH)
        sheet.column_dimensions[get_column_letter(number)].width = width
    for head, font in ((columns, Font(bold=True)), (units, Font(italic=True))):
        cells = [WriteOnlyCell(sheet, value=text) for text in head]
        for cell in cells:
            cell.font = font
        sheet.append(cells)
    for row in rows:
        sheet.append([_cell(sheet, value) for value in row])


def _cell(sheet: Any, value: object) -> Any:
    """A value as Excel has it; a cell with a style where it needs one."""
    from openpyxl.cell import WriteOnlyCell
    from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE

    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, datetime):
        cell = WriteOnlyCell(sheet, value=value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value)
        cell.number_format = "yyyy-mm-dd hh:mm:ss"
        return cell
    if isinstance(value, date):
        cell = WriteOnlyCell(sheet, value=value)
        cell.number_format = "yyyy-mm-dd"
        return cell
    if isinstance(value, bool | int) or value is None:
        return value
    text = ILLEGAL_CHARACTERS_RE.sub("", _text(value))[:_MAX_TEXT]
    if not text.startswith(_LIKE_A_FORMULA):
        return text
    cell = WriteOnlyCell(sheet, value=text)
    cell.data_type, cell.quotePrefix = "s", True
    return cell


def _text(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {one}" for key, one in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
