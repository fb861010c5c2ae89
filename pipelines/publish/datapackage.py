"""The machine-readable description of the Parquet files of a release: a Data Package of Frictionless.

Standard: https://datapackage.org, version 1. Titles, descriptions, units and keys are those of the schemas.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from pipelines.publish.manifest import Manifest
from pipelines.publish.release_tables import Table, parquet_file
from pipelines.warehouse.sql import Name

DATAPACKAGE: Final = "datapackage.json"
_TYPES: Final = {
    "VARCHAR": "string",
    "DOUBLE": "number",
    "DECIMAL": "number",
    "BIGINT": "integer",
    "INTEGER": "integer",
    "BOOLEAN": "boolean",
    "DATE": "date",
    "TIMESTAMP WITH TIME ZONE": "datetime",
}
_UNIT: Final = re.compile(r" \[([^\]]+)\]$")


def datapackage(manifest: Manifest, tables: Mapping[Name, Table]) -> dict[str, Any]:
    """The content of datapackage.json."""
    about = {"version": manifest["release_id"], "created": manifest["computed_ts"]}
    return {
        "profile": "data-package",
        "name": "metal-tightness",
        "title": "Metal Tightness",
        "description": manifest["note"] or "Point-in-time tightness of metals: marts, signals and vintages.",
        **about,
        "synthetic": manifest["synthetic"],
        "resources": [_resource(name, table, manifest) for name, table in tables.items()],
    }


def _resource(name: Name, table: Table, manifest: Manifest) -> dict[str, Any]:
    title, _, _ = table.comments[""].partition(". Key: ")
    return {
        "profile": "tabular-data-resource",
        "name": "-".join(name).replace("_", "-"),
        "title": ".".join(name),
        "description": title,
        "path": parquet_file(name),
        "format": "parquet",
        "mediatype": "application/vnd.apache.parquet",
        "rows": table.scan.rows,
        "content_sha256": manifest["tables"][".".join(name)]["content_sha256"],
        "schema": {
            "fields": [_field(column, kind, table.comments[column]) for column, kind in table.columns.items()],
            **({"primaryKey": list(table.key)} if table.key else {}),
            "missingValues": ["", "nan"],  # readers through pandas see a missing integer as nan
        },
    }


def _field(name: str, kind: str, text: str) -> dict[str, str]:
    unit = _UNIT.search(text)
    described = {"name": name, "type": _TYPES.get(kind.partition("(")[0], "any"), "description": _UNIT.sub("", text)}
    return described | ({"unit": unit[1]} if unit else {})
