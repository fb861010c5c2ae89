"""Stands in for dbt's adapter while sqlfluff renders the models: dispatches to the DuckDB side of each macro."""

from __future__ import annotations

from typing import Any

from jinja2 import pass_context
from jinja2.runtime import Context


@pass_context
def dispatch(context: Context, name: str) -> Any:
    """The macro that dbt-duckdb would take, or the stand-in for one that the linter's grammar does not know."""
    return context.get(f"sqlfluff__{name}") or context.resolve(f"default__{name}")
