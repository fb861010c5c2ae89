"""Metadata of tables in the UI after a run, plots, and the report."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import duckdb
import pytest
from sandbox import Sandbox

from pipelines.orchestration.assets.models import draw_plots, table_metadata
from pipelines.orchestration.assets.publish import publish_release, write_report
from pipelines.publish.plots import PLOTS
from pipelines.warehouse import dbt
from pipelines.workspace import Workspace
from schemas.marts import MARTS
from schemas.signals import SIGNALS

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def workspace(demo_of_months: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return demo_of_months.copy(tmp_path_factory.mktemp("described")).open()


def test_every_table_has_its_row_count_knowledge_time_and_lineage(workspace: Workspace) -> None:
    tables = table_metadata(workspace, dbt.manifest())
    # No state changes within these months, and the index has no value yet.
    empty = {"signals.signal_transitions", "marts.index_history_daily"}
    for name in [f"{mart.schema}.{table}" for table, mart in (MARTS | SIGNALS).items()]:
        about = tables[name]
        assert about["dagster/row_count"] > 0 or name in empty, name
        lineage = about["dagster/column_lineage"].deps_by_column
        assert sum(map(bool, lineage.values())) > len(lineage) / 2, name
        if any(
            column.startswith("knowledge_ts")
            for column in (MARTS | SIGNALS)[name.split(".")[1]].model.to_schema().columns
        ):
            assert "2025-12-01" < about["knowledge to"] < "2026-01-15", name
    [above] = tables["marts.price_daily"]["dagster/column_lineage"].deps_by_column["cash_usd_t"]
    assert (above.asset_key.to_user_string(), above.column_name) == ("staging/stg_prices", "cash_usd_t")
    [above] = tables["staging.stg_prices"]["dagster/column_lineage"].deps_by_column["cash_usd_t"]
    assert (above.asset_key.to_user_string(), above.column_name) == ("lake/prices", "cash_usd_t")
    curve = tables["intermediate.int_curve_daily"]["dagster/column_schema"]
    assert {c.name: c.description for c in curve.columns}["full_carry_usd_t"] == (
        "Cost of financing and storing metal for D days: C * (r + financing_spread) * D / day_count + rent * D [USD/t]"
    )
    [above] = tables["marts.curve_daily"]["dagster/column_lineage"].deps_by_column["full_carry_usd_t"]
    assert (above.asset_key.to_user_string(), above.column_name) == ("intermediate/int_curve_daily", "full_carry_usd_t")
    above = tables["intermediate.int_curve_daily"]["dagster/column_lineage"].deps_by_column["full_carry_usd_t"]
    assert ("staging/stg_prices", "cash_usd_t") in {(one.asset_key.to_user_string(), one.column_name) for one in above}


def test_lineage_is_kept_for_a_state_of_the_project(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    first = table_metadata(workspace, dbt.manifest())
    monkeypatch.setattr(dbt, "compiled_models", lambda *_: pytest.fail("read again"))
    assert table_metadata(workspace, dbt.manifest()) == first


def test_the_lake_has_its_row_count_and_last_knowledge_time(workspace: Workspace) -> None:
    rows, known = workspace.lake.extent("prices")
    stored = workspace.lake.read("prices")
    assert (rows, known) == (len(stored), stored["knowledge_ts"].max())


def test_every_plot_is_drawn_and_a_plot_that_fails_is_left_out(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    import logging

    log = logging.getLogger("test")
    found = draw_plots(workspace, log)
    assert {name: set(about) for name, about in found.items()} == {plot.table: {"plot AL"} for plot in PLOTS}
    monkeypatch.setattr("pipelines.publish.plots.svg", lambda *_, **__: 1 / 0)
    assert draw_plots(workspace, log) == {}


def test_the_report_is_that_of_the_release_and_the_same_twice(workspace: Workspace) -> None:
    page, release_id = write_report(workspace)
    assert page == workspace.paths.published / "report.html"
    first = page.read_text()
    assert release_id in first
    assert {"price-AL", "stock-AL", "visible-AL"} <= set(re.findall(r'<figure data-chart="([^"]+)"', first))
    assert "other_cash_usd_t" in first  # an assumption
    with duckdb.connect(str(workspace.paths.database), read_only=True) as con:
        for (claim,) in con.execute("select distinct claim_id from signals.claim_audit").fetchall():
            assert claim in first
    made = page.stat().st_mtime_ns
    write_report(workspace)
    assert page.stat().st_mtime_ns == made
    page.unlink()
    write_report(workspace)
    assert page.read_text() == first
    assert not list(Path(workspace.paths.published).glob(".tmp-*"))


def test_a_release_is_made_again_when_anything_that_it_rests_on_has_changed(
    demo_of_months: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox = demo_of_months.copy(tmp_path)
    workspace = sandbox.open()
    paths, made = workspace.paths, list[str]()

    def counted(module: str, name: str) -> None:
        real = getattr(importlib.import_module(module), name)
        monkeypatch.setattr(f"{module}.{name}", lambda *args, **options: made.append(name) or real(*args, **options))

    counted("pipelines.publish.release", "publish")

    def again() -> list[str]:
        made.clear()
        with sandbox.open().writing():
            assert publish_release(sandbox.open()).unchanged
        return list(made)

    again()
    release = paths.manifest.read_bytes()
    assert again() == []
    with duckdb.connect(str(paths.warehouse)) as con:
        con.execute("create table beside as select 1 as one")
    assert again() == ["publish"], "the warehouse was written"
    assert again() == []
    paths.publication.unlink()
    assert again() == ["publish"], "as after a crash"
    assert paths.manifest.read_bytes() == release
    monkeypatch.setattr("pipelines.orchestration.assets.publish.packages", lambda: {"duckdb": "another"})
    assert again() == ["publish"]


def test_a_damaged_file_of_the_release_is_made_again(demo_of_months: Sandbox, tmp_path: Path) -> None:
    sandbox = demo_of_months.copy(tmp_path)
    with sandbox.open().writing():
        publish_release(sandbox.open())
        database = sandbox.open().paths.database
        database.write_bytes(database.read_bytes()[:-1])
        assert not publish_release(sandbox.open()).unchanged
