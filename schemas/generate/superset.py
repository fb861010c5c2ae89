"""Superset datasets generated from the models: one for each published table, in the format of Superset's exports."""

from __future__ import annotations

from typing import Final
from uuid import NAMESPACE_OID, uuid5

import yaml  # type: ignore[import-untyped]

from schemas.base import Mart, columns_of
from schemas.generate.dbt import HEADER, comments, data_type

DATABASE: Final = "c1dd6a5e-3c33-5d27-a7a5-0f1b9f0a7e15"  # uuid in dashboards/superset/databases/Tightness.yaml


def dataset_yaml(name: str, mart: Mart) -> str:
    """Text of `dashboards/superset/datasets/Tightness/<name>.yaml`; its uuid depends on schema and name alone.

    The time column, which a dashboard's time filter limits, is the as-of date, else the day of the key.
    """
    described = comments({name: mart})[mart.schema, name]
    types = {column: data_type(f"{name}.{column}", about["dtype"]) for column, about in columns_of(mart.model).items()}
    days = [column for column, sql in types.items() if sql == "date" and column in ("as_of_date", *mart.key)]
    dataset = {
        "table_name": name,
        "main_dttm_col": days[0] if days else None,
        "description": f"{described['']}. One row for each {', '.join(mart.key)}.",
        "schema": mart.schema,
        "uuid": str(uuid5(NAMESPACE_OID, f"{mart.schema}.{name}")),
        "metrics": [],
        "columns": [
            {
                "column_name": column,
                "is_dttm": sql in ("date", "timestamptz"),
                "type": "TIMESTAMP WITH TIME ZONE" if sql == "timestamptz" else sql.upper(),
                "description": described[column],
            }
            for column, sql in types.items()
        ],
        "version": "1.0.0",
        "database_uuid": DATABASE,
    }
    return f"# {HEADER}\n" + str(yaml.safe_dump(dataset, sort_keys=False, allow_unicode=True, width=120))
