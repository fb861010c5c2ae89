"""The tables of the evaluation in the private warehouse: written whole, kept, and restored from the last release.

They are not models of dbt: an evaluation takes minutes and is made once a week, a build every day. The caller holds the
writer lock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from pipelines.warehouse.sql import Name, identifier, opened, sql_literal, tables_in
from schemas.base import Mart, columns_of
from schemas.evaluation import EVALUATION
from schemas.generate.dbt import data_type

if TYPE_CHECKING:
    import pandas as pd


def write(warehouse: Path, tables: Mapping[str, pd.DataFrame]) -> None:
    """Replace the tables, all or none. Raises `pandera.errors.SchemaErrors` for rows that break their schema."""
    with duckdb.connect(str(warehouse)) as connection:
        connection.execute("begin")
        for name, frame in tables.items():
            mart = EVALUATION[name]
            valid = mart.model.validate(frame[list(columns_of(mart.model))], lazy=True)
            connection.execute(_create(name, mart))
            connection.register("new_rows", valid)
            columns = ", ".join(
                f"nullif({identifier(column)}, 'nan'::double)" if kind == "double" else identifier(column)
                for column, kind in _types(mart).items()
            )
            connection.execute(
                f"insert into {identifier(mart.schema, name)} select {columns} from new_rows "
                f"order by {', '.join(map(identifier, mart.key))}"
            )
            connection.unregister("new_rows")
        connection.execute("commit")


def ensure(warehouse: Path, releases: Sequence[Path]) -> None:
    """Create the tables that a warehouse lacks: as in the first of these databases that has them, else empty."""
    if are_there(warehouse):
        return
    with duckdb.connect(str(warehouse)) as connection:
        for name, mart in EVALUATION.items():
            connection.execute(_create(name, mart))
        for database in filter(Path.is_file, releases):
            with suppress(duckdb.Error):  # in use by another program, damaged, or of a former version without them
                connection.execute(f"attach {sql_literal(database)} as release (read_only)")
                found = tables_in(connection, "release")
                if all(list(found.get(_name(name), ())) == list(_types(mart)) for name, mart in EVALUATION.items()):
                    for name, mart in EVALUATION.items():
                        table = identifier(mart.schema, name)
                        connection.execute(f"insert into {table} select * from release.{table}")
                    return
                connection.execute("detach release")


def _name(name: str) -> Name:
    return EVALUATION[name].schema, name


def are_there(warehouse: Path) -> bool:
    """Whether a warehouse has the tables, with the columns of their schemas."""
    with opened(warehouse) as connection:
        found = {
            (schema, table): columns
            for schema, table, columns in connection.execute(
                "select schema_name, table_name, list(column_name order by column_index) from duckdb_columns() "
                "where not internal group by all"
            ).fetchall()
        }
    return all(found.get(_name(name)) == list(_types(mart)) for name, mart in EVALUATION.items())


def _types(mart: Mart) -> dict[str, str]:
    return {column: data_type(column, about["dtype"]) for column, about in columns_of(mart.model).items()}


def _create(name: str, mart: Mart) -> str:
    columns = ", ".join(
        f"{identifier(column)} {kind}" + ("" if columns_of(mart.model)[column]["nullable"] else " not null")
        for column, kind in _types(mart).items()
    )
    return (
        f"create schema if not exists {mart.schema}; "
        f"create or replace table {identifier(mart.schema, name)} ({columns})"
    )
