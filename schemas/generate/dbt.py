"""What dbt, the published file and the readers are told of the schemas: YAML, comments and the dictionary.

All of it is generated from the pandera models, so that a column's type, unit and description are written once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pandera.pandas as pa
import yaml  # type: ignore[import-untyped]

from schemas.base import Bitemporal, Mart, Vintages, columns_of
from schemas.datasets import DATASETS
from schemas.reference import REFERENCE, REFERENCE_TABLES

HEADER = "# Generated from schemas/ by `make docs`: do not edit.\n"

# Kept for checks and for readers of the lake alone: no model reads them.
NOT_STAGED = frozenset({"benchmark_prices", "benchmark_power", "exchange_stocks"})

# A timestamp without a zone is a day: pandas has no date type, and the lake writes these columns as dates.
_TYPES = {
    "string": "varchar",
    "str": "varchar",
    "float64": "double",
    "int64": "bigint",
    "int32": "integer",
    "bool": "boolean",
    "boolean": "boolean",
    "datetime64": "date",
}


def data_type(column: str, dtype: object) -> str:
    """The DuckDB type of a pandera column, named as dbt contracts compare it. Raises `TypeError` for any other type."""
    name = str(dtype).lower()
    if name.startswith("datetime64") and "utc" in name:
        return "timestamptz"
    try:
        return _TYPES[name.partition("[")[0]]
    except KeyError:
        raise TypeError(
            f"column {column} has type {dtype}, which has no SQL name in schemas/generate/dbt.py: add it"
        ) from None


def sources_yaml() -> str:
    """The text of `dbt/models/_generated_sources.yml`: the lake's datasets and the reference tables.

    It names no location: the run's folder is a variable, and one written here would be fixed when dbt parses. Models
    read through the macros `lake` and `reference`.
    """
    lake = [
        {"name": name, "description": spec.title, "columns": [*_columns(spec.model), *_columns(Bitemporal)]}
        for name, spec in DATASETS.items()
    ]
    reference = [
        {"name": name, "description": _summary(model), "columns": _columns(model)}
        for name, model in REFERENCE_TABLES.items()
    ]
    return _dump(
        {
            "version": 2,
            "sources": [
                {"name": "lake", "description": "Validated observations with their vintages", "tables": lake},
                {
                    "name": "reference",
                    "description": "Facts and assumptions, each with its source",
                    "tables": reference,
                },
            ],
        }
    )


def models_yaml(models: Mapping[str, Mart]) -> str:
    """The text of `dbt/models/_generated_models.yml`: an enforced contract for every published table, and the columns
    of the staging models."""
    return _dump(
        {
            "version": 2,
            "models": [
                {
                    "name": f"stg_{name}",
                    "description": f"{spec.title}: every vintage, with the interval in which it was the latest. "
                    f"One row for each {', '.join([*spec.key, 'known_from'])}.",
                    "columns": [*_columns(spec.model), *_columns(Vintages)],
                }
                for name, spec in DATASETS.items()
                if name not in NOT_STAGED
            ]
            + [
                {
                    "name": name,
                    "description": f"{mart.title}. One row for each {', '.join(mart.key)}.",
                    "config": {
                        "contract": {"enforced": True},
                        "meta": {"key": list(mart.key), "cadence": mart.cadence},
                    },
                    "columns": [_contracted(mart.model, column) for column in _columns(mart.model)],
                    "data_tests": _data_tests(mart),
                }
                for name, mart in models.items()
            ],
        }
    )


def _contracted(model: type[pa.DataFrameModel], column: dict[str, Any]) -> dict[str, Any]:
    """A column with what the database itself can enforce."""
    if columns_of(model)[column["name"]]["nullable"]:
        return column
    return column | {"constraints": [{"type": "not_null"}]}


def _data_tests(mart: Mart) -> list[dict[str, Any]]:
    """Tests that follow from the model: the key, the values that the rules allow, nothing known after its decision."""
    tests: list[dict[str, Any]] = [
        {
            "unique_combination_of_columns": {
                "description": "The key identifies one row.",
                "arguments": {"combination_of_columns": list(mart.key)},
            }
        }
    ]
    allowed = [sql for name, column in mart.model.to_schema().columns.items() for sql in _allowed(name, column.checks)]
    if allowed:
        tests.append(
            {
                "expression_is_true": {
                    "name": "values_allowed",
                    "description": "Every value follows the rules of its schema.",
                    "arguments": {"expression": " and ".join(allowed)},
                }
            }
        )
    if {"as_of_ts", "knowledge_ts_max"} <= set(columns_of(mart.model)):
        tests.append(
            {
                "not_known_after": {
                    "description": "No row uses what was known only after its decision time.",
                    "arguments": {"knowledge_time": "knowledge_ts_max", "decision_time": "as_of_ts"},
                }
            }
        )
    return tests


def _allowed(name: str, checks: Iterable[Any]) -> list[str]:
    """The rules of a column as SQL. Raises `TypeError` for a rule that has no SQL here."""
    signs = {
        "greater_than": (">", "min_value"),
        "greater_than_or_equal_to": (">=", "min_value"),
        "less_than": ("<", "max_value"),
        "less_than_or_equal_to": ("<=", "max_value"),
    }
    found = []
    for check in checks:
        if check.name in signs:
            sign, bound = signs[check.name]
            found.append(f"{name} {sign} {check.statistics[bound]}")
        elif check.name == "isin":
            values = ", ".join(
                f"'{value}'" if isinstance(value, str) else str(value) for value in check.statistics["allowed_values"]
            )
            found.append(f"{name} in ({values})")
        elif check.name == "str_matches":
            continue  # the names of metals and zones were checked on the way in
        else:
            raise TypeError(f"rule {check.name} of column {name} has no SQL in schemas/generate/dbt.py: add it")
    return found


def comments(models: Mapping[str, Mart]) -> dict[tuple[str, str], dict[str, str]]:
    """What the published database says: by (schema, table) the text of each column, and of the table at ""."""
    return {
        (mart.schema, name): {"": mart.title}
        | {column["name"]: column["description"] for column in _columns(mart.model)}
        for name, mart in models.items()
    }


def keys(models: Mapping[str, Mart]) -> dict[tuple[str, str], tuple[str, ...]]:
    """The columns that identify a row, by (schema, table)."""
    return {(mart.schema, name): mart.key for name, mart in models.items()}


def dictionary_md(models: Mapping[str, Mart]) -> str:
    """The text of `docs/dictionary.md`: every table column by column."""
    parts = [
        "<!-- Generated from schemas/ by `make docs`: do not edit. -->",
        "# Data dictionary",
        "## Published tables",
    ]
    for name, mart in models.items():
        parts += [
            f"### {mart.schema}.{name}",
            f"{mart.title}. One row for each {', '.join(mart.key)}.",
            _table(mart.model),
        ]
    parts += ["## Datasets of the lake", "Every dataset also carries the bitemporal columns, listed last."]
    for name, spec in DATASETS.items():
        parts += [f"### {name}", f"{spec.title}. One observation for each {', '.join(spec.key)}.", _table(spec.model)]
    parts += ["### Bitemporal columns", _table(Bitemporal), "## Reference tables"]
    for name, model in REFERENCE.items():
        parts += [f"### {name}.csv", _summary(model), _table(model)]
    return "\n\n".join(parts) + "\n"


def _columns(model: type[pa.DataFrameModel]) -> list[dict[str, Any]]:
    """Columns as dbt writes them. Raises `ValueError` for one without a description."""
    written = []
    for name, column in columns_of(model).items():
        if not column["description"]:
            raise ValueError(f"{model.__name__}.{name} has no description: give it one where it is declared")
        unit = column["unit"]
        written.append(
            {
                "name": name,
                "description": column["description"] + (f" [{unit}]" if unit else ""),
                "data_type": data_type(f"{model.__name__}.{name}", column["dtype"]),
            }
            | ({"config": {"meta": {"unit": unit}}} if unit else {})
        )
    return written


def _table(model: type[pa.DataFrameModel]) -> str:
    rows = [
        (f"`{name}`", data_type(name, c["dtype"]), c["unit"], "yes" if c["nullable"] else "", c["description"])
        for name, c in columns_of(model).items()
    ]
    return "\n".join(
        _row(cells) for cells in [("column", "type", "unit", "may be missing", "description"), ["---"] * 5, *rows]
    )


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _summary(model: type[pa.DataFrameModel]) -> str:
    return (model.__doc__ or model.__name__).strip().splitlines()[0]


def _dump(document: dict[str, Any]) -> str:
    return HEADER + str(yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=120))
