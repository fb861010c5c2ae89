"""The compiled SQL that other tests build with: it makes exactly what dbt makes and the product publishes."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from compiled import build, content, data_tests, failing_tests, models, reference_rows
from lookahead import RUN_COLUMNS, differing, published_tables
from sandbox import Sandbox

from pipelines.common.calendar import calendar_end
from pipelines.warehouse.dbt import CALENDAR_START, write_reference
from schemas.datasets import DATASETS
from schemas.evaluation import EVALUATION

pytestmark = pytest.mark.slow
START = date(2024, 2, 1)  # of a short trading calendar, before the fixture's first release


@pytest.fixture(scope="module")
def sandbox(acceptance_market: Sandbox) -> Sandbox:
    return acceptance_market


@pytest.fixture(scope="module")
def short(sandbox: Sandbox) -> dict[str, pa.Table]:
    """Reference tables with a short trading calendar."""
    return reference_rows(sandbox.open().paths.reference_copies, START)


def test_the_compiled_sql_builds_what_dbt_builds_and_publishes(sandbox: Sandbox) -> None:
    """Every table of the private warehouse that dbt makes, and every one of the publication."""
    workspace = sandbox.open()
    with build(workspace.lake.root, workspace.paths.reference_copies, workspace.now) as made:
        tables = [model.table for model in models()]
        with duckdb.connect(str(workspace.paths.warehouse), read_only=True) as warehouse:
            warehouse.execute("set TimeZone = 'UTC'")
            named = warehouse.sql("select schema_name || '.' || table_name from duckdb_tables()").fetchall()
            evaluated = {f"{mart.schema}.{name}" for name, mart in EVALUATION.items()}
            assert sorted(tables) == sorted({name for [name] in named} - evaluated)
            assert differing(warehouse, made, tables, RUN_COLUMNS) == {}
        with duckdb.connect(str(sandbox.database), read_only=True) as release:
            release.execute("set TimeZone = 'UTC'")
            assert differing(release, made, published_tables(), RUN_COLUMNS) == {}
        assert len(content(made, "marts.tightness_daily"))


def test_a_later_first_day_of_the_calendar_builds_the_same_published_rows(sandbox: Sandbox, tmp_path: Path) -> None:
    """From 1990 on, as the product builds, and from 2024 on; and from frames of rows instead of files."""
    workspace = sandbox.open()
    copies: dict[date, dict[str, pa.Table]] = {}
    for first in (CALENDAR_START, START):
        write_reference(workspace.reference, tmp_path / str(first), calendar_end(workspace.now).date(), first)
        copies[first] = reference_rows(tmp_path / str(first), CALENDAR_START)
    assert len(copies[CALENDAR_START]["trading_calendar"]) > 10 * len(copies[START]["trading_calendar"]) > 5_000
    rows = {name: workspace.lake.read(name) for name in DATASETS}
    with (
        build(workspace.lake.root, copies[CALENDAR_START], workspace.now) as made,
        build(rows, copies[START], workspace.now) as other,
    ):
        assert differing(made, other, published_tables()) == {}
        assert len(content(made, "marts.tightness_daily"))


def test_a_mutation_and_a_moment_change_the_build(sandbox: Sandbox, short: dict[str, pa.Table]) -> None:
    """The comparison can fail."""
    workspace = sandbox.open()
    with build(workspace.lake.root, short, workspace.now) as made:
        with build(workspace.lake.root, short, "2026-01-16T18:00:00Z") as earlier:
            assert "marts.tightness_daily" in differing(made, earlier, published_tables())

        def higher(model: str, sql: str) -> str:
            return f"select * replace (rate_pct + 1e-12 as rate_pct) from ({sql})" if model == "stg_rates" else sql

        with build(workspace.lake.root, short, workspace.now, higher) as other:
            tables = ["staging.stg_rates", "marts.price_daily", "marts.curve_daily"]
            assert list(differing(made, other, tables)) == ["staging.stg_rates", "marts.curve_daily"]


def test_the_data_tests_run_on_a_compiled_build_and_can_fail(sandbox: Sandbox, short: dict[str, pa.Table]) -> None:
    workspace = sandbox.open()
    assert len(data_tests()) > 20
    with build(workspace.lake.root, short, workspace.now) as made:
        assert failing_tests(made) == {}
        made.execute("insert into marts.price_daily select * from marts.price_daily limit 1")
        [(name, rows)] = failing_tests(made).items()
        assert "price_daily_follows_schema" in name
        assert rows == 1


def test_a_family_of_the_reference_table_needs_no_change_of_sql(sandbox: Sandbox) -> None:
    """An indicator in a family of its own counts with its weight; families without a column are not published."""
    workspace = sandbox.open()
    tables = reference_rows(workspace.paths.reference_copies, date(2024, 2, 1))
    components = tables["index_components"].to_pandas()
    is_stock_days = components["indicator"] == "stock_days"
    components.loc[is_stock_days, "family"] = "STOCK"
    components.loc[components["family"].isin(["INVENTORY", "STOCK"]), "weight"] = 0.2
    changed = tables | {"index_components": components}
    index = "select as_of_date, tightness_index from intermediate.int_index_daily where tightness_index is not null"
    families = "from intermediate.int_index_families where contribution is not null"
    with build(workspace.lake.root, changed, workspace.now) as made:
        found = made.execute(f"select distinct family {families} order by all").fetchall()
        assert found == [("CURVE",), ("FLOW",), ("INVENTORY",), ("STOCK",)]
        expected = dict(made.execute(index).fetchall())
        contributed = made.execute(f"select as_of_date, sum(contribution) {families} group by all").fetchall()
        assert expected
        assert dict(contributed) == pytest.approx(expected, abs=1e-9)
