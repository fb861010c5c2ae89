"""Damage of a DuckDB file, as a disk fault or a torn copy leaves it."""

from __future__ import annotations

from pathlib import Path

import duckdb

from pipelines.warehouse.signal_log import LOG_EXISTS


def database_damage(path: Path) -> str:
    """Why a database cannot be opened, or its log of signals cannot be read.

    Empty for a database that is whole, in use by another process, or not there.
    """
    if not path.is_file():
        return ""
    try:
        with duckdb.connect(str(path), read_only=True) as con:
            if con.execute(f"{LOG_EXISTS} and not internal").fetchone():
                con.execute("select bit_xor(hash(log)) from signals.signals as log").fetchall()
    except duckdb.Error as error:
        reason = str(error).splitlines()[0]
        in_use = isinstance(error, duckdb.ConnectionException) or "Could not set lock" in reason
        return "" if in_use else reason
    return ""
