"""Table macros of a published database: a dataset, a mart by observation or the signals as of a past moment.

The macros of marts are made from the SQL that dbt compiled: the mart and the models above it are CTEs, down to the
vintages known by the moment, and the clock of the run is the moment. Reference tables are part of the text. The names
in a macro resolve where it is called: in the file opened directly, or after `use`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.warehouse import dbt
from pipelines.warehouse.signal_log import TABLE_MACROS
from pipelines.warehouse.sql import VINTAGES, Name, identifier, sql_literal
from schemas.base import Vintages, columns_of
from schemas.datasets import DATASETS

# Marts by observation. One whose key has the vintage has every past row; the others show the latest state.
BY_VINTAGE: Final = ("exports_monthly",)
LATEST_STATE: Final = ("inventory_visible_monthly", "power_daily", "price_daily", "supply_monthly")
MOMENT: Final = "cast(ts as timestamptz)"
DAY: Final = f"cast({MOMENT} at time zone 'UTC' as date)"  # whatever the reader's time zone

FAR_FUTURE: Final = "cast('9999-12-31T00:00:00Z' as timestamptz)"

_TYPES: Final = {
    "string": "varchar",
    "large_string": "varchar",
    "double": "double",
    "date32[day]": "date",
    "bool": "boolean",
    "int64": "bigint",
}
_RELATION = re.compile(r'"warehouse"\."\w+"\."(\w+)"')
_FILE = re.compile(r"read_parquet\('([^']*/(\w+)\.parquet)', hive_partitioning = false, union_by_name = true\)")
CLOCK: Final = "cast('@as_of@' as timestamptz)"  # a variable of the run
_SLICE = re.compile(r"coalesce\(getvariable\('slice_\w+'\), (cast\('-?infinity' as date\))\)")  # every row


def table_macros(reference: Path, datasets: Iterable[str]) -> dict[Name, tuple[str, str]]:
    """Parameters and query of each macro, by schema and name.

    reference: folder of the reference tables' Parquet copies. datasets: those with vintages.
    """
    macros = {(VINTAGES, f"{name}_asof"): ("ts", _known(identifier(VINTAGES, name))) for name in datasets}
    for mart in BY_VINTAGE:
        macros["marts", f"{mart}_asof"] = ("ts", f"select * from marts.{mart} where knowledge_ts <= {MOMENT}")
    models = dbt.compiled_models({"reference": str(reference)})
    for mart in LATEST_STATE:
        macros["marts", f"{mart}_asof"] = ("ts", _mart(mart, models))
    return {**macros, **TABLE_MACROS}


def _known(vintages: str) -> str:
    return f"select * from {vintages} where known_from <= {MOMENT} and {MOMENT} < known_to"


def _mart(name: str, models: dict[str, str]) -> str:
    """The query of a mart, with the models above it and the reference tables as CTEs."""
    ctes: dict[str, str] = {}

    def query(model: str) -> str:
        sql = _SLICE.sub(r"\1", models[model])
        for above in dict.fromkeys(_RELATION.findall(sql)):
            if above not in ctes:
                ctes[above] = _vintages(above.removeprefix("stg_")) if above.startswith("stg_") else query(above)
        for path, table in dict.fromkeys(_FILE.findall(sql)):
            if f"reference_{table}" not in ctes:
                ctes[f"reference_{table}"] = _calendar(path) if table == "trading_calendar" else _rows(path)
        sql = _FILE.sub(r"reference_\2", _RELATION.sub(r"\1", sql))
        return sql.replace(f"cast({CLOCK} as date)", DAY).replace(CLOCK, MOMENT)

    final = query(name)
    return f"with {', '.join(f'{cte} as ({sql})' for cte, sql in ctes.items())} select * from ({final})"


def _vintages(dataset: str) -> str:
    """The vintages of a dataset as a build at the moment has them."""
    # Without `replace`, in which DuckDB 1.0 knows no parameter.
    known_to = f"case when known_to > {MOMENT} then {FAR_FUTURE} else known_to end as known_to"
    columns = [*columns_of(DATASETS[dataset].model), *columns_of(Vintages)]
    chosen = ", ".join(known_to if name == "known_to" else name for name in columns)
    return f"select {chosen} from {identifier(VINTAGES, dataset)} where known_from <= {MOMENT}"


def _calendar(path: str) -> str:
    """The days of the trading calendar, without its other columns, which no mart by observation reads."""
    first = pc.min(pq.read_table(path, columns=["calendar_date"])["calendar_date"])
    days = f"generate_series(date '{first}', {DAY} + 2, interval 1 day)"
    return f"select cast(unnest({days}) as date) as calendar_date"


def _rows(path: str) -> str:
    """The rows of a reference table as SQL, without their sources."""
    table = pq.read_table(path).drop_columns(["source"])
    casts = ", ".join(
        f"cast({identifier(one.name)} as {_TYPES[str(one.type)]}) as {identifier(one.name)}" for one in table.schema
    )
    rows = ", ".join(f"({', '.join(map(_literal, row))})" for row in zip(*table.to_pydict().values(), strict=True))
    return f"select {casts} from (values {rows}) as t({', '.join(map(identifier, table.column_names))})"


def _literal(value: object) -> str:
    return "null" if value is None else sql_literal(value)
