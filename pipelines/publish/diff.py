"""Difference between two published databases: rows added, removed and changed, by key and column."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

import duckdb

from pipelines.publish.content import EVERY_ROW, difference
from pipelines.warehouse.sql import Name, fetch_one, identifier, qualified_name, reader, sql_literal, tables_in


class TableDiff(TypedDict):
    """Number of rows added, removed and changed, matched by key; `changed` counts rows that both releases have."""

    added: int
    removed: int
    changed: int
    changed_columns: dict[str, int]
    columns_added: list[str]
    columns_removed: list[str]


class RowDiff(TypedDict):
    """One row that differs. Values are text as DuckDB writes them, instants in UTC; None is NULL."""

    kind: str  # changed, added, removed
    key: dict[str, str | None]
    cells: dict[str, tuple[str | None, str | None]]  # of a changed row: before and after, by column


def diff_releases(
    old_db: Path, new_db: Path, keys: Mapping[Name, tuple[str, ...]], only: Collection[Name] | None = None
) -> dict[str, TableDiff]:
    """Row-level difference of two published databases, by `schema.table`; of the tables in `only` where given.

    Rows are matched by the table's key. Without a key, or when one side lacks a column of it, whole rows are matched,
    and none counts as changed. All rows of a table that one side lacks are added or removed. Rows with the same key are
    matched in order. Raises `duckdb.Error` when a file cannot be opened.
    """
    with _attach_both(old_db, new_db) as con:
        names = {*tables_in(con, "old"), *tables_in(con, "new")}
        return diff_databases(con, "old", "new", keys, names if only is None else names & {*only})


def diff_databases(
    con: duckdb.DuckDBPyConnection,
    old: str,
    new: str,
    keys: Mapping[Name, tuple[str, ...]],
    only: Collection[Name],
    changed: Mapping[Name, str | None] | None = None,
) -> dict[str, TableDiff]:
    """`diff_releases` of two attached databases; `changed`: the results of `difference` that are known."""
    before, after = tables_in(con, old), tables_in(con, new)
    found = {}
    for name in sorted(only):
        sides, key = (_Side(old, before.get(name)), _Side(new, after.get(name))), keys.get(name, ())
        where = _where(con, name, *sides, key) if changed is None or name not in changed else changed[name]
        found[".".join(name)] = _diff() if where is None else _diff_table(con, name, *sides, key, where)
    return found


def changed_rows(old_db: Path, new_db: Path, name: Name, key: tuple[str, ...], limit: int) -> list[RowDiff]:
    """The first rows that differ, by key: at most `limit` changed, `limit` added and `limit` removed ones.

    Rows are matched as in `diff_releases`. Empty for a table that one side lacks, or without a common column. Raises
    `duckdb.Error` when a file cannot be opened.
    """
    with _attach_both(old_db, new_db) as con:
        old, new = (_Side(database, tables_in(con, database).get(name)) for database in ("old", "new"))
        where = _where(con, name, old, new, key)
        pairing = _pairing(name, old, new, key, where) if where else None
        return _rows(con, pairing, limit) if pairing else []


def _attach_both(old_db: Path, new_db: Path) -> duckdb.DuckDBPyConnection:
    con = reader()
    con.execute(f"attach {sql_literal(old_db)} as old (read_only); attach {sql_literal(new_db)} as new (read_only)")
    return con


@dataclass(frozen=True)
class _Side:
    """One of the two databases, and the columns that a table has there (type by name); None without the table."""

    database: str
    columns: Mapping[str, str] | None

    def count(self, con: duckdb.DuckDBPyConnection, name: Name, where: str) -> int:
        """Rows of the table that fulfil a condition."""
        if self.columns is None:
            return 0
        return int(fetch_one(con, f"select count(*) from {qualified_name(self.database, name)} where {where}")[0])


def _where(con: duckdb.DuckDBPyConnection, name: Name, old: _Side, new: _Side, key: tuple[str, ...]) -> str | None:
    """Condition on the rows to compare; None when no row differs."""
    if old.columns is None or old.columns != new.columns:
        return EVERY_ROW
    return difference(con, old.database, new.database, name, old.columns, key)


def _diff_table(
    con: duckdb.DuckDBPyConnection, name: Name, old: _Side, new: _Side, key: tuple[str, ...], where: str
) -> TableDiff:
    before, after = old.columns or {}, new.columns or {}
    columns_added = [column for column in after if column not in before] if before else []
    columns_removed = [column for column in before if column not in after] if after else []
    removed, added = old.count(con, name, where), new.count(con, name, where)
    pairing = _pairing(name, old, new, key, where)
    if pairing is None or not (removed and added):
        return _diff(added=added, removed=removed, columns_added=columns_added, columns_removed=columns_removed)
    added, removed, changed, *by_column = fetch_one(
        con,
        f"select count_if(o.{_PRESENT} is null), count_if(n.{_PRESENT} is null), "
        + ", ".join(f"count_if({condition})" for condition in [pairing.changed, *pairing.differs.values()])
        + f" from {pairing.joined}",
    )
    return _diff(
        added=added,
        removed=removed,
        changed=changed,
        changed_columns={c: n for c, n in zip(pairing.differs, by_column, strict=True) if n},
        columns_added=columns_added,
        columns_removed=columns_removed,
    )


@dataclass(frozen=True)
class _Pairing:
    """SQL that joins the rows of both sides: the old row is `o`, the new one `n`."""

    by: list[str]  # columns by which rows are matched
    differs: dict[str, str]  # by each other common column: a condition, true where both rows exist and it differs
    joined: str

    @property
    def changed(self) -> str:
        return " or ".join(self.differs.values()) or "false"


def _pairing(name: Name, old: _Side, new: _Side, key: tuple[str, ...], where: str) -> _Pairing | None:
    """The pairing of the rows that fulfil a condition; None where the sides have no common column."""
    before, after = old.columns or {}, new.columns or {}
    common = [column for column in after if column in before]
    if not common:
        return None
    by = list(key) if key and set(key) <= set(common) else common
    values = [column for column in common if column not in by]

    def side(database: str) -> str:
        # A column whose type changed is compared as text; rows with the same key are paired by their order.
        chosen = ", ".join(
            identifier(c) if before[c] == after[c] else f"cast({identifier(c)} as varchar) as {identifier(c)}"
            for c in common
        )
        return (
            f"(select {chosen}, true as {_PRESENT}, row_number() over "
            f"(partition by {_list(by)} order by {_list(values or by)}) as {_ORDINAL} "
            f"from {qualified_name(database, name)} where {where})"
        )

    match = " and ".join(f"o.{c} is not distinct from n.{c}" for c in [*map(identifier, by), _ORDINAL])
    return _Pairing(
        by,
        {
            c: f"(o.{_PRESENT} and n.{_PRESENT} and o.{identifier(c)} is distinct from n.{identifier(c)})"
            for c in values
        },
        f"{side(old.database)} as o full join {side(new.database)} as n on {match}",
    )


def _rows(con: duckdb.DuckDBPyConnection, pairing: _Pairing, limit: int) -> list[RowDiff]:
    kind = f"case when o.{_PRESENT} is null then 'added' when n.{_PRESENT} is null then 'removed' else 'changed' end"
    either = [f"coalesce(o.{identifier(column)}, n.{identifier(column)})" for column in pairing.by]
    chosen = [f"cast({key} as varchar)" for key in either]
    for column, condition in pairing.differs.items():
        chosen += [condition, *(f"cast({side}.{identifier(column)} as varchar)" for side in "on")]
    order = ", ".join(f"{key} nulls last" for key in either)
    found = con.execute(
        f"select {kind} as kind, {', '.join(chosen)} from {pairing.joined} "
        f"where o.{_PRESENT} is null or n.{_PRESENT} is null or {pairing.changed} "
        f"qualify row_number() over (partition by {kind} order by {order}) <= {int(limit)} order by 1, {order}"
    ).fetchall()
    rows = [_row(pairing, *values) for values in found]
    return sorted(rows, key=lambda row: ("changed", "added", "removed").index(row["kind"]))


def _row(pairing: _Pairing, kind: str, *values: str | bool | None) -> RowDiff:
    width, rest = len(pairing.by), values[len(pairing.by) :]
    cells = zip(pairing.differs, rest[::3], rest[1::3], rest[2::3], strict=True)
    return {
        "kind": kind,
        "key": dict(zip(pairing.by, map(_text, values[:width]), strict=True)),
        "cells": {column: (_text(before), _text(after)) for column, differs, before, after in cells if differs},
    }


def _text(value: object) -> str | None:
    return None if value is None else str(value)


_PRESENT, _ORDINAL = identifier("row is present"), identifier("ordinal within the key")


def _diff(
    *,
    added: int = 0,
    removed: int = 0,
    changed: int = 0,
    changed_columns: dict[str, int] | None = None,
    columns_added: list[str] | None = None,
    columns_removed: list[str] | None = None,
) -> TableDiff:
    return {
        "added": added,
        "removed": removed,
        "changed": changed,
        "changed_columns": changed_columns or {},
        "columns_added": columns_added or [],
        "columns_removed": columns_removed or [],
    }


def _list(columns: Iterable[str]) -> str:
    return ", ".join(identifier(column) for column in columns)
