"""The harness of the look-ahead proofs builds exactly what dbt builds and the product publishes."""

from __future__ import annotations

from datetime import date

import duckdb
import pytest
from compiled import build, content, models, reference_rows
from lookahead import RUN_COLUMNS, differing, published_tables
from sandbox import Sandbox
from test_acceptance import params, published  # noqa: F401  (fixtures)

from schemas.datasets import DATASETS

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def sandbox(published: Sandbox) -> Sandbox:  # noqa: F811
    return published


def test_it_builds_what_dbt_builds_and_publishes(sandbox: Sandbox) -> None:
    """Every table of the private warehouse, and every one of the publication."""
    workspace = sandbox.open()
    with build(workspace.lake.root, workspace.paths.reference_copies, workspace.now) as made:
        tables = [model.table for model in models()]
        with duckdb.connect(str(workspace.paths.warehouse), read_only=True) as warehouse:
            warehouse.execute("set TimeZone = 'UTC'")
            named = warehouse.sql("select schema_name || '.' || table_name from duckdb_tables()").fetchall()
            assert sorted(tables) == sorted(name for [name] in named)
            assert differing(warehouse, made, tables, RUN_COLUMNS) == {}
        with duckdb.connect(str(sandbox.database), read_only=True) as release:
            release.execute("set TimeZone = 'UTC'")
            assert differing(release, made, published_tables(), RUN_COLUMNS) == {}
        assert len(content(made, "marts.tightness_daily"))


def test_frames_build_the_same_as_files(sandbox: Sandbox) -> None:
    """Also with a calendar that starts late."""
    workspace = sandbox.open()
    rows = {name: workspace.lake.read(name) for name in DATASETS}
    short = reference_rows(workspace.paths.reference_copies, date(2024, 2, 1))
    with (
        build(workspace.lake.root, workspace.paths.reference_copies, workspace.now) as made,
        build(rows, short, workspace.now) as other,
    ):
        assert differing(made, other, published_tables()) == {}


def test_a_mutation_and_a_moment_change_the_build(sandbox: Sandbox) -> None:
    """The comparison can fail."""
    workspace = sandbox.open()
    with build(workspace.lake.root, workspace.paths.reference_copies, workspace.now) as made:
        with build(workspace.lake.root, workspace.paths.reference_copies, "2026-01-16T18:00:00Z") as earlier:
            assert "marts.tightness_daily" in differing(made, earlier, published_tables())

        def dearer(model: str, sql: str) -> str:
            return f"select * replace (sofr_pct + 1e-12 as sofr_pct) from ({sql})" if model == "stg_rates" else sql

        with build(workspace.lake.root, workspace.paths.reference_copies, workspace.now, dearer) as other:
            tables = ["staging.stg_rates", "marts.price_daily", "marts.curve_daily"]
            assert list(differing(made, other, tables)) == ["staging.stg_rates", "marts.curve_daily"]
