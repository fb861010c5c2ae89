"""Comparison of two builds for look-ahead: which rows a later build may add or change in each published table."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import Final

import duckdb
import pandas as pd
from compiled import PUBLISHED, again, apart, content, lacking, models

from schemas.marts import MARTS
from schemas.signals import SIGNALS

# Columns that describe the run, not the market.
RUN_COLUMNS: Final = ("computed_ts", "run_id", "code_version")


class Rule(Enum):
    """Rows that must be the same in a later build."""

    DECIDED = "a row for each decision time (as_of_ts): the rows up to the earlier build are identical in both"
    KNOWN = "rows as known now: the later build's rows known by then (knowledge_ts_max, else knowledge_ts) are in both"
    NEWEST = "the newest rows only: rows may be replaced, but use no input that is later than the build"
    FIXED = "reference data only: the same in every build"


# Tables whose rule does not follow from their columns.
STATED: Final = {"signals.signals_latest": Rule.NEWEST, "signals.signal_dictionary": Rule.FIXED}


def published_tables() -> list[str]:
    """Every table of the marts and signals."""
    return [model.table for model in models() if model.schema in PUBLISHED]


def key_of(table: str) -> tuple[str, ...]:
    """The columns that identify a row of a published table; none for the others."""
    known = {f"{mart.schema}.{name}": mart.key for name, mart in {**MARTS, **SIGNALS}.items()}
    return known.get(table, ())


def rule_of(table: str, columns: Iterable[str]) -> Rule | None:
    """The rule of a table, from `STATED` or its columns; None without either."""
    columns = set(columns)
    if table in STATED:
        return STATED[table]
    if "as_of_ts" in columns:
        return Rule.DECIDED
    return Rule.KNOWN if columns & {"knowledge_ts_max", "knowledge_ts"} else None


def until(table: str, columns: Iterable[str], moment: pd.Timestamp) -> str:
    """The SQL condition of the rows of a moment or earlier."""
    time = next(name for name in ("as_of_ts", "knowledge_ts_max", "knowledge_ts") if name in set(columns))
    return f"{time} <= timestamptz '{moment.isoformat()}'"


def leaks(
    later: duckdb.DuckDBPyConnection, earlier: duckdb.DuckDBPyConnection, moment: pd.Timestamp
) -> dict[str, list[str]]:
    """Differences, by published table, between a later build and one made at `moment`, in the rows up to `moment`.

    Several threads may compare the same later build.
    """
    differences, later = {}, again(later)
    for table in published_tables():
        columns = later.table(table).columns
        rule = rule_of(table, columns)
        if rule is Rule.NEWEST:
            continue
        assert rule is not None, f"{table} has no rule"
        where = "true" if rule is Rule.FIXED else until(table, columns, moment)
        now, then = (content(build, table, where, RUN_COLUMNS) for build in (later, earlier))
        found = (lacking if rule is Rule.KNOWN else apart)(now, then, key_of(table))
        if found:
            differences[f"{table} later"] = found
    return differences


def differing(
    expected: duckdb.DuckDBPyConnection,
    found: duckdb.DuckDBPyConnection,
    tables: Iterable[str],
    without: Iterable[str] = (),
) -> dict[str, list[str]]:
    """Each table that is not the same in two builds, and how they differ."""
    differences = {
        table: apart(*(content(build, table, without=set(without)) for build in (expected, found)), key_of(table))
        for table in tables
    }
    return {table: rows for table, rows in differences.items() if rows}
