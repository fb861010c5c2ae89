"""Column lineage of the models, from the SQL that dbt compiled.

It depends only on the dbt project, so it is computed once and stored beside the warehouse.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pipelines.common.files import write_atomically
from pipelines.warehouse import dbt
from schemas.base import Bitemporal, columns_of
from schemas.datasets import DATASETS
from schemas.reference import REFERENCE_TABLES

Columns = Mapping[str, Iterable[str]]  # table as schema.name, its columns
Lineage = dict[str, dict[str, list[list[str]]]]  # table, column: tables and columns it is computed from

_FILES = re.compile(r"(?:/(?P<lake>\w+)/\*|/(?P<reference>\w+))\.parquet$")


def warehouse_lineage(manifest: Mapping[str, Any], warehouse: Path, columns: Columns) -> Lineage:
    """Lineage of every built model, stored for this state of the project; `columns`: those of the warehouse."""
    path = warehouse.with_name("lineage.json")
    project = dbt.project_fingerprint()
    models = {f"{n['schema']}.{n['name']}": n for n in manifest["nodes"].values() if n["resource_type"] == "model"}
    if path.is_file():
        record = json.loads(path.read_text())
        if record["project"] == project and record["lineage"].keys() >= models.keys() & columns.keys():
            return dict(record["lineage"])
    known = {**_files(), **columns}
    schema = _schema(known)
    sql = dbt.compiled_models()
    found = {
        name: _column_lineage(name, sql[node["name"]], known, schema)
        for name, node in models.items()
        if name in columns and node["name"] in sql  # an ephemeral model is in the SQL of those that read it
    }
    write_atomically(path, lambda temporary: temporary.write_text(json.dumps({"project": project, "lineage": found})))
    return found


def column_lineage(name: str, sql: str, tables: Columns) -> dict[str, list[list[str]]]:
    """Columns of other tables in the expression of each column of a model; empty where the SQL cannot be resolved."""
    return _column_lineage(name, sql, tables, _schema(tables))


def _schema(tables: Columns) -> Any:
    from sqlglot.schema import MappingSchema

    schema = MappingSchema(dialect="duckdb")
    for table, columns in tables.items():
        # Lineage needs no types; with them sqlglot would type every expression, ten times the work.
        schema.add_table(table, dict.fromkeys(columns, "unknown"), dialect="duckdb")
    return schema


def _column_lineage(name: str, sql: str, tables: Columns, schema: Any) -> dict[str, list[list[str]]]:
    from sqlglot import exp, parse_one
    from sqlglot.errors import SqlglotError
    from sqlglot.lineage import lineage
    from sqlglot.optimizer.qualify import qualify
    from sqlglot.optimizer.scope import build_scope

    try:
        query = qualify(
            parse_one(sql, dialect="duckdb").transform(_by_asset_name),
            schema=schema,
            dialect="duckdb",
            validate_qualify_columns=False,
        )
        scope = build_scope(query)
        # Without a copy or trimming for each column, which would be nine tenths of the work.
        shared: Any = {"schema": schema, "dialect": "duckdb", "copy": False, "trim_selects": False}
        found = {}
        for column in query.named_selects:
            upstream = set()
            for node in lineage(column, query, scope=scope, **shared).walk():
                leaf = node.expression.find(exp.Table) if not node.downstream else None
                source = f"{leaf.db}.{leaf.name}" if leaf is not None else name
                if source != name and source in tables:
                    upstream.add((source, exp.to_column(node.name).name))
            found[column] = [list(one) for one in sorted(upstream)]
        return found
    except (SqlglotError, ValueError):
        return {}  # SQL that sqlglot cannot parse must not fail a run: lineage is only shown in the UI


def _by_asset_name(node: Any) -> Any:
    """Replace files and tables of the warehouse by the names of their assets."""
    from sqlglot import exp

    if not isinstance(node, exp.Table):
        return node
    if isinstance(node.this, exp.Identifier):
        node.set("catalog", None)
        return node
    path = node.find(exp.Literal)
    match = _FILES.search(path.name) if path is not None else None
    if match is None:
        return node
    table = exp.to_table(f"lake.{match['lake']}" if match["lake"] else f"reference.{match['reference']}")
    table.set("alias", node.args.get("alias"))
    return table


def _files() -> dict[str, list[str]]:
    lake = {f"lake.{name}": (spec.model, Bitemporal) for name, spec in DATASETS.items()}
    reference = {f"reference.{name}": (model,) for name, model in REFERENCE_TABLES.items()}
    return {
        table: [column for model in models for column in columns_of(model)]
        for table, models in {**lake, **reference}.items()
    }
