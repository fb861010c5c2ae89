"""What a run tells the UI of its tables, and the report that it leaves."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from pipelines.orchestration.assets.models import described, drawn
from pipelines.orchestration.assets.publish import write_report
from pipelines.publish.plots import PLOTS
from pipelines.warehouse import dbt
from pipelines.workspace import Workspace
from schemas.marts import MARTS
from schemas.signals import SIGNALS
from tests.sandbox import Sandbox

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    sandbox = Sandbox(tmp_path_factory.mktemp("described"), "demo", "2026-01-14T20:00:00Z")
    sandbox.run(("2025-10", "2026-01"))
    return sandbox.open()


def test_every_table_tells_its_rows_knowledge_and_lineage(workspace: Workspace) -> None:
    tables = described(workspace, dbt.manifest())
    for name in [f"{mart.schema}.{table}" for table, mart in (MARTS | SIGNALS).items()]:
        about = tables[name]
        assert about["dagster/row_count"] > 0 or name == "signals.signal_transitions", name
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
        "C * (r + financing_spread) * D / 360 + rent * D [USD/t]"
    )
    [above] = tables["marts.curve_daily"]["dagster/column_lineage"].deps_by_column["full_carry_usd_t"]
    assert (above.asset_key.to_user_string(), above.column_name) == ("intermediate/int_curve_daily", "full_carry_usd_t")
    above = tables["intermediate.int_curve_daily"]["dagster/column_lineage"].deps_by_column["full_carry_usd_t"]
    assert ("staging/stg_prices", "cash_usd_t") in {(one.asset_key.to_user_string(), one.column_name) for one in above}


def test_lineage_is_kept_for_a_state_of_the_project(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    first = described(workspace, dbt.manifest())
    monkeypatch.setattr(dbt, "compiled", lambda *_: pytest.fail("read again"))
    assert described(workspace, dbt.manifest()) == first


def test_the_lake_tells_how_far_its_knowledge_goes(workspace: Workspace) -> None:
    rows, known = workspace.lake.extent("prices")
    stored = workspace.lake.read("prices")
    assert (rows, known) == (len(stored), stored["knowledge_ts"].max())


def test_the_plots_are_there_and_a_broken_one_harms_nothing(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    import logging

    told = logging.getLogger("test")
    found = drawn(workspace, told)
    assert {name: set(about) for name, about in found.items()} == {plot.table: {"plot AL"} for plot in PLOTS}
    monkeypatch.setattr("pipelines.publish.plots.kept", lambda *_, **__: 1 / 0)
    assert drawn(workspace, told) == {}


def test_the_report_is_that_of_the_release_and_the_same_twice(workspace: Workspace) -> None:
    page, release_id = write_report(workspace)
    assert page == workspace.published / "report.html"
    first = page.read_text()
    assert release_id in first
    assert first.count("data:image/png;base64,") == len(PLOTS)
    assert "other_cash_usd_t" in first  # an assumption
    with duckdb.connect(str(workspace.published / "marts.duckdb"), read_only=True) as con:
        for (claim,) in con.execute("select distinct claim_id from signals.claim_audit").fetchall():
            assert claim in first
    write_report(workspace)
    assert page.read_text() == first
    assert not list(Path(workspace.published).glob(".tmp-*"))
