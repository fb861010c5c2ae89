"""Content of a table: its row order, its hash, and the part in which two states of it differ.

Two hashes of a row: DuckDB's 64-bit `hash` finds differences and errors of writing, and costs little; SHA-256 of the
values as text, the same in every DuckDB version, is published. Both are summed over the rows. So the row order has no
effect, and the hash of a changed table follows from that of the state before and the rows that differ.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import duckdb

from pipelines.warehouse.sql import Name, fetch_one, identifier, qualified_name, sql_literal

ISO: Final = "%Y-%m-%dT%H:%M:%SZ"
EVERY_ROW: Final = "true"
KNOWN: Final = "knowledge_ts_max"
_TIMES: Final = {"DATE", "TIMESTAMP WITH TIME ZONE"}
_WORDS, _WORD_BITS = 4, 64  # a SHA-256 is summed in words: DuckDB has no 256-bit integer


@dataclass(frozen=True)
class Scan:
    """Result of one pass over a table: rows, sum of their 64-bit hashes, distinct keys, latest knowledge time."""

    rows: int
    hashes: int
    keys: int  # distinct hashes of the key: fewer than rows where a key is there twice; rows for a table without key
    known: str | None  # ISO, UTC; None without the column or a value


def scan(
    con: duckdb.DuckDBPyConnection, database: str, name: Name, columns: Mapping[str, str], key: Sequence[str] = ()
) -> Scan:
    """One pass over a table."""
    keys = f"count(distinct hash({_list(key)}))" if key else "count(*)"
    known = f"strftime(max({KNOWN})::timestamp, '{ISO}')" if KNOWN in columns else "null"
    return Scan(
        *fetch_one(
            con,
            f"select count(*), coalesce(sum(hash({_list(columns)})), 0), {keys}, {known} "
            f"from {qualified_name(database, name)}",
        )
    )


def row_hashes(
    con: duckdb.DuckDBPyConnection,
    database: str,
    name: Name,
    columns: Mapping[str, str],
    condition: str = EVERY_ROW,
) -> int:
    """Sum of the SHA-256 of the rows of a table that fulfil a condition."""
    words = ", ".join(
        f"coalesce(sum(('0x' || substr(h, {at * _WORD_BITS // 4 + 1}, {_WORD_BITS // 4}))::ubigint), 0)"
        for at in range(_WORDS)
    )
    sums = fetch_one(
        con,
        f"select {words} from (select sha256(cast(json_array({_list(columns)}) as varchar)) as h "
        f"from {qualified_name(database, name)} where {condition})",
    )
    return sum(int(word) << _WORD_BITS * (_WORDS - 1 - at) for at, word in enumerate(sums))


def content_sha256(row_sum: int) -> str:
    """The published hash: the sum of the SHA-256 of all rows, modulo 2^256, as hex digits."""
    return f"{row_sum % (1 << _WORDS * _WORD_BITS):064x}"


def row_order(columns: Mapping[str, str], key: Sequence[str]) -> str:
    """`order by` terms of a published table: time first, so that new rows come last; then the rest of the key."""
    time = _time(columns, key)
    first = [f"{identifier(time)} nulls first"] if time else []
    rest = [f"{identifier(column)} nulls last" for column in key if column != time]
    return ", ".join(first + rest) or "all nulls last"


def difference(
    con: duckdb.DuckDBPyConnection, old: str, new: str, name: Name, columns: Mapping[str, str], key: Sequence[str]
) -> str | None:
    """A condition on rows, outside of which a table has the same rows in two databases; None when all are the same.

    It starts at the first time with a difference, or is `EVERY_ROW` where the key has no time. The columns must be the
    same in both.
    """
    time = _time(columns, key)

    def by_time(database: str, sign: str) -> str:
        return (
            f"select {identifier(time) if time else 'null'} as t, {sign}count(*) as n, "
            f"{sign}coalesce(sum(hash({_list(columns)})), 0) as h from {qualified_name(database, name)} group by all"
        )

    first = con.execute(
        f"select cast(t as varchar) from ({by_time(new, '')} union all {by_time(old, '-')}) "
        "group by t having sum(n) <> 0 or sum(h) <> 0 order by t nulls first limit 1"
    ).fetchone()
    if first is None:
        return None
    return EVERY_ROW if time is None or first[0] is None else f"{identifier(time)} >= {sql_literal(first[0])}"


def _time(columns: Mapping[str, str], key: Sequence[str]) -> str | None:
    return next((column for column in key if columns.get(column) in _TIMES), None)


def _list(columns: Sequence[str] | Mapping[str, str]) -> str:
    return ", ".join(map(identifier, columns))
