"""One file for many: which small files are replaced, how their rows are written, and what the former layout left."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.lake.parquet import write_parquet
from pipelines.lake.record import Entry

FORMER_EMPTY: Final = "_schema/empty.parquet"  # of the former layout
MAX_FILES: Final = 16  # of a dataset; a build merges some of more
MERGED_FILES: Final = 8  # at least, where files are merged
MAX_ROWS: Final = 250_000  # of a small file
MAX_MERGED: Final = MERGED_FILES * MAX_ROWS  # rows of a merged file, which is made in memory
PARTS: Final = b"replaces"  # key in the footer of a file that replaces others: JSON of their numbers of rows


def chosen_files(counts: Mapping[str, int]) -> list[str]:
    """The small files to replace by one, from the numbers of rows of all; none where they are few."""
    rows = {file: count for file, count in counts.items() if count <= MAX_ROWS}
    if len(rows) <= MAX_FILES:
        return []
    smallest = sorted(rows, key=lambda file: (rows[file], file))
    chosen = smallest[:MERGED_FILES]
    # Files with no more rows than those before together: each row is copied a few times, however many files.
    for file in smallest[MERGED_FILES:]:
        total = sum(rows[one] for one in chosen)
        if rows[file] > min(total, MAX_MERGED - total):
            break
        chosen.append(file)
    return chosen


def batches(folder: Path, files: Sequence[str]) -> list[list[str]]:
    """Files in order, in batches of up to `MAX_MERGED` rows, or of one file."""
    found: list[list[str]] = []
    total = 0
    for file in files:
        rows = pq.read_metadata(folder / file).num_rows
        if not found or total + rows > MAX_MERGED:
            found.append([])
            total = 0
        found[-1].append(file)
        total += rows
    return found


def write_merged(folder: Path, tables: Mapping[str, pa.Table]) -> Path:
    """Write the rows of files, one after the other, to one file that names them."""
    captured = max(Entry(file).captured for file in tables)
    lengths = {file: table.num_rows for file, table in tables.items()}
    table = pa.concat_tables(tables.values()).combine_chunks()
    return write_parquet(folder, table, captured, {PARTS.decode(): json.dumps(lengths)})


def parts(path: Path) -> dict[str, int]:
    """The files whose rows a whole file has, and the number of rows of each; empty for a file of one append."""
    about = pq.read_metadata(path).metadata or {}
    return {str(file): int(rows) for file, rows in json.loads(about.get(PARTS, b"{}")).items()}


def by_append(table: pa.Table, file: str, entries: Mapping[str, Entry]) -> dict[str, pa.Table]:
    """The rows of a file, by the file that was appended with them."""
    if file not in entries or not entries[file].replaces:
        return {file: table}
    found: dict[str, pa.Table] = {}
    start = 0
    for part, rows in zip(entries[file].replaces, entries[file].lengths, strict=True):
        found |= by_append(table.slice(start, rows), part, entries)
        start += rows
    return found


def delete_former_folders(folder: Path) -> None:
    """Delete what the former layout had beside the files, and its folders that have no file left."""
    for path in [*folder.glob(".locks/*.lock"), *folder.glob("_*.lock"), folder / FORMER_EMPTY]:
        path.unlink(missing_ok=True)
    for path in [*folder.glob("month=*"), folder / ".locks", folder / "_schema"]:
        with suppress(OSError):  # not empty, or not there
            path.resolve().rmdir()
            path.unlink(missing_ok=True)  # a link to the folder
