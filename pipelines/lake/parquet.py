"""Parquet files that are named by capture time and content hash."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq

from pipelines.common.files import write_atomically

ROW_GROUP: Final = 32_768  # rows: a month of the largest dataset has several, all rows of a small one are one


def write_parquet(folder: Path, table: pa.Table, captured: datetime, about: Mapping[str, str] | None = None) -> Path:
    """Write a table to `<folder>/<captured>-<hash>.parquet` (zstd, with no metadata but `about`). Equal tables give
    equal files."""
    sink = pa.BufferOutputStream()
    pq.write_table(table.replace_schema_metadata(about), sink, compression="zstd", row_group_size=ROW_GROUP)
    body = sink.getvalue()
    name = f"{captured.astimezone(UTC):%Y%m%dT%H%M%S%fZ}-{hashlib.sha256(body).hexdigest()[:8]}.parquet"
    write_atomically(folder / name, lambda temporary: temporary.write_bytes(body))
    return folder / name


def rows_sha256(table: pa.Table) -> str:
    """SHA-256 of the rows as CSV, in their order: it does not depend on the version that wrote the Parquet file."""
    text = pa.BufferOutputStream()
    pc.write_csv(table, text)
    return hashlib.sha256(text.getvalue()).hexdigest()
