"""dbt files generated from the models: sources, contracts and macros; also the comments of the published database."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pandera.pandas as pa
import yaml  # type: ignore[import-untyped]

from schemas.base import Bitemporal, Mart, Spec, Vintages, columns_of, title
from schemas.datasets import DATASETS
from schemas.reference import REFERENCE_TABLES

HEADER = "Generated from schemas/ by `make docs`: do not edit."

# A timestamp without a zone is a day: pandas has no date type, and the lake stores these columns as dates.
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
    """DuckDB type of a pandera column, in the spelling of dbt contracts. Raises `TypeError` for an unknown type."""
    name = str(dtype).lower()
    if name.startswith("datetime64") and "utc" in name:
        return "timestamptz"
    try:
        return _TYPES[name.partition("[")[0]]
    except KeyError:
        raise TypeError(f"no SQL type for column {column} of type {dtype}: add it in schemas/generate/dbt.py") from None


def sources_yaml() -> str:
    """Text of `dbt/models/_generated_sources.yml`: the lake's datasets and the reference tables.

    It has no location, which dbt would fix when it parses: the run's folder is a variable, and models read through the
    macros `lake` and `reference`.
    """
    lake = [
        {"name": name, "description": spec.title, "columns": [*_columns(spec.model), *_columns(Bitemporal)]}
        for name, spec in DATASETS.items()
    ]
    reference = [
        {"name": name, "description": title(model), "columns": _columns(model)}
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
                    "description": f"{_vintages_title(spec)}. One row for each {', '.join(_vintages_key(spec))}.",
                    "columns": [*_columns(spec.model), *_columns(Vintages)],
                }
                for name, spec in DATASETS.items()
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
                    "data_tests": _data_tests(name, mart),
                }
                for name, mart in models.items()
            ],
        }
    )


def _contracted(model: type[pa.DataFrameModel], column: dict[str, Any]) -> dict[str, Any]:
    """A column with the constraints that the database enforces."""
    if columns_of(model)[column["name"]]["nullable"]:
        return column
    return column | {"constraints": [{"type": "not_null"}]}


def _data_tests(name: str, mart: Mart) -> list[dict[str, Any]]:
    """The test of a table: its key, the values that the rules allow, nothing known after its decision."""
    columns = columns_of(mart.model)
    rules = [sql for column, of in mart.model.to_schema().columns.items() for sql in _allowed(column, of.checks)]
    if {"as_of_ts", "knowledge_ts_max"} <= columns.keys():
        rules.append("knowledge_ts_max <= as_of_ts")
    arguments = {"key": list(mart.key), "rules": [*rules, *mart.rules]}
    return [
        {
            "follows_schema": {
                "name": f"{name}_follows_schema",
                "description": "The key identifies one row, every value follows the rules of its schema, and no row "
                "uses what was known only after its decision time.",
                "arguments": arguments | ({"decision_time": "as_of_ts"} if "as_of_ts" in columns else {}),
            }
        }
    ]


def _allowed(name: str, checks: Iterable[Any]) -> list[str]:
    """The rules of a column as SQL. Raises `TypeError` for a rule without SQL."""
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
        else:
            raise TypeError(f"no SQL for rule {check.name} of column {name}: add it in schemas/generate/dbt.py")
    return found


def table_columns(models: Mapping[str, Mart]) -> dict[tuple[str, str], str]:
    """The columns of a `create table` by (schema, table): types and NOT NULL of the contract."""
    return {
        (mart.schema, name): ", ".join(
            f"{column['name']} {column['data_type']}{' not null' if 'constraints' in column else ''}"
            for column in (_contracted(mart.model, column) for column in _columns(mart.model))
        )
        for name, mart in models.items()
    }


def comments(models: Mapping[str, Mart]) -> dict[tuple[str, str], dict[str, str]]:
    """Comments of the published database by (schema, table): the text of each column, and of the table at ""."""
    return {
        (mart.schema, name): {"": mart.title}
        | {column["name"]: column["description"] for column in _columns(mart.model)}
        for name, mart in models.items()
    }


def keys(models: Mapping[str, Mart]) -> dict[tuple[str, str], tuple[str, ...]]:
    """Columns that identify a row, by (schema, table)."""
    return {(mart.schema, name): mart.key for name, mart in models.items()}


def vintage_comments() -> dict[tuple[str, str], dict[str, str]]:
    """`comments` of the published vintages: of every dataset that dbt reads."""
    return {
        ("vintages", name): {"": _vintages_title(spec)}
        | {column["name"]: column["description"] for column in [*_columns(spec.model), *_columns(Vintages)]}
        for name, spec in DATASETS.items()
    }


def vintage_keys() -> dict[tuple[str, str], tuple[str, ...]]:
    """`keys` of the published vintages."""
    return {("vintages", name): _vintages_key(spec) for name, spec in DATASETS.items()}


def _vintages_title(spec: Spec) -> str:
    return f"{spec.title}: every vintage, with the interval in which it was the latest known"


def _vintages_key(spec: Spec) -> tuple[str, ...]:
    return (*spec.key, "known_from")


def _columns(model: type[pa.DataFrameModel]) -> list[dict[str, Any]]:
    """Columns as dbt writes them. Raises `ValueError` for a column without a description."""
    written = []
    for name, column in columns_of(model).items():
        if not column["description"]:
            raise ValueError(f"no description of {model.__name__}.{name}: add it in schemas/fields.py")
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


def _dump(document: dict[str, Any]) -> str:
    return f"# {HEADER}\n" + str(yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=120))
