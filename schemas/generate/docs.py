"""The data dictionary, `docs/dictionary.md`, generated from the models."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pandera.pandas as pa

from schemas.base import Bitemporal, Mart, Vintages, columns_of, title
from schemas.datasets import DATASETS
from schemas.generate.dbt import HEADER, data_type
from schemas.reference import REFERENCE


def dictionary_md(models: Mapping[str, Mart]) -> str:
    """Text of `docs/dictionary.md`: every table, column by column."""
    parts = [
        f"<!-- {HEADER} -->",
        "# Data dictionary",
        "## Published tables",
    ]
    for name, mart in models.items():
        parts += [
            f"### {mart.schema}.{name}",
            f"{mart.title}. One row for each {', '.join(mart.key)}.",
            _table(mart.model),
        ]
    parts += [
        "## Datasets of the lake",
        "Every dataset also has the bitemporal columns, listed last. `vintages.<dataset>` has its columns and those of "
        "vintages.",
    ]
    for name, spec in DATASETS.items():
        parts += [f"### {name}", f"{spec.title}. One observation for each {', '.join(spec.key)}.", _table(spec.model)]
    parts += ["### Columns of vintages", _table(Vintages)]
    parts += ["### Bitemporal columns", _table(Bitemporal), "## Reference tables"]
    for name, model in REFERENCE.items():
        parts += [f"### {name}.csv", f"{title(model)}.", _table(model)]
    return "\n\n".join(parts) + "\n"


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
