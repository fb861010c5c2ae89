"""`tightness evaluate`: the job of the evaluation, its publication, and what later runs keep of it."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import pandas as pd
import pytest
from sandbox import Sandbox

pytestmark = pytest.mark.slow
SIGNALS = ["AL.CURVE.BACKWARDATION", "BENCH.MOM_252"]


@pytest.fixture(scope="module")
def sandbox(demo_of_months: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Sandbox:
    """Two months of the demo, with a plan of two signals."""
    sandbox = demo_of_months.copy(tmp_path_factory.mktemp("evaluated"))
    path = sandbox.reference() / "evaluation_plan.csv"
    plan = pd.read_csv(path, dtype=str, keep_default_na=False)
    plan[plan["signal_id"].isin(SIGNALS)].to_csv(path, index=False)
    return sandbox


def test_a_release_before_any_evaluation_has_empty_tables(demo_of_months: Sandbox) -> None:
    assert len(demo_of_months.query("select * from signals.eval_signal")) == 0
    assert len(demo_of_months.query("select * from signals.eval_summary")) == 0


def test_the_command_publishes_what_it_prints_and_repeats_nothing(sandbox: Sandbox) -> None:
    code, shown, _ = sandbox.call("evaluate", "--json")
    assert code == 0
    printed = json.loads("\n".join(shown))
    assert printed["synthetic"] is True
    published = sandbox.query("select * from signals.eval_summary order by signal_id")
    assert [row["signal_id"] for row in printed["signals"]] == published["signal_id"].tolist() == SIGNALS
    assert set(published["verdict"]) == {"INSUFFICIENT"}, "two months"
    rows = sandbox.query("select * from signals.eval_signal")
    assert set(rows["split"]) == {"DEV", "OOS", "LIVE", "ALL"}
    page = (sandbox.data / "published" / "report.html").read_text()
    assert "What followed" in page
    assert "The verdicts are about a generated market." in page
    before = sandbox.published()
    code, shown, _ = sandbox.call("evaluate", "--signal", SIGNALS[0])
    assert code == 0
    assert "Tests since 2019" in "\n".join(shown)
    assert sandbox.published() == before, "nothing that it rests on has changed"


def test_an_unknown_signal_is_bad_usage(sandbox: Sandbox) -> None:
    code, _, errors = sandbox.call("evaluate", "--signal", "AL.TYPO")
    assert code == 2
    assert "'AL.TYPO' has no test in evaluation_plan.csv: use one of AL.CURVE.BACKWARDATION" in " ".join(errors)


def test_later_runs_keep_the_evaluation_and_a_lost_warehouse_gets_it_back(sandbox: Sandbox) -> None:
    sandbox.call("evaluate")
    before = sandbox.query("select * from signals.eval_signal order by all")
    later = sandbox.at("2026-01-15T20:00:00Z")
    later.run(("2025-12", "2026-01"))
    pd.testing.assert_frame_equal(later.query("select * from signals.eval_signal order by all"), before)
    later.open().paths.warehouse.unlink()
    later.build()
    later.publish()
    pd.testing.assert_frame_equal(later.query("select * from signals.eval_signal order by all"), before)


def test_before_any_build_there_is_nothing_to_evaluate(tmp_path: Path) -> None:
    code, _, errors = Sandbox(tmp_path, "demo", "2026-01-14T20:00:00Z").call("evaluate")
    assert code == 1
    assert "nothing is published yet: run `tightness run` first" in " ".join(errors)


def test_the_tables_have_the_types_of_their_schemas(sandbox: Sandbox) -> None:
    with duckdb.connect(str(sandbox.database), read_only=True) as connection:
        kinds = dict(
            connection.execute(
                "select column_name, data_type from duckdb_columns() where table_name = 'eval_signal'"
            ).fetchall()
        )
    assert (kinds["n"], kinds["diff"], kinds["is_lag0_only"], kinds["registered_on"]) == (
        "INTEGER",
        "DOUBLE",
        "BOOLEAN",
        "DATE",
    )
