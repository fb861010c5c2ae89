"""Replacement of dbt's adapter for sqlfluff: dispatches to the DuckDB version of each macro."""

from __future__ import annotations

from typing import Any

from jinja2 import pass_context
from jinja2.runtime import Context


@pass_context
def dispatch(context: Context, name: str) -> Any:
    """The macro that dbt-duckdb calls, or its replacement where the linter's grammar lacks the construct."""
    return context.get(f"sqlfluff__{name}") or context.resolve(f"default__{name}")
