"""dbt's unit tests, on the models as a build leaves them, and their vectors against the acceptance fixture."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest
import yaml
from sandbox import Sandbox

from pipelines.common.settings import PROJECT
from pipelines.warehouse import dbt

UNIT_TESTS = sorted((PROJECT / "dbt" / "models").rglob("_unit_tests.yml"))


@pytest.fixture(scope="module")
def definitions() -> dict[str, dict[str, Any]]:
    return {test["name"]: test for path in UNIT_TESTS for test in yaml.safe_load(path.read_text())["unit_tests"]}


@pytest.fixture(scope="module")
def built(drop_market: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Sandbox:
    """A warehouse with every model: unit tests take the columns' types from there."""
    return drop_market.copy(tmp_path_factory.mktemp("units"))


@pytest.mark.slow
def test_every_unit_test_passes(built: Sandbox, definitions: dict[str, dict[str, Any]]) -> None:
    workspace = built.open()
    variables = dbt.run_vars(
        warehouse=workspace.paths.warehouse,
        lake=workspace.lake.root,
        reference=workspace.paths.reference_copies,
        as_of=workspace.now,
        run_id="test",
        code_version="test",
    )
    done = dbt._invoke(["test", "--select", "test_type:unit"], variables, dbt.manifest())
    assert done.exception is None
    results = {entry.node.name: (str(entry.status), entry.message) for entry in done.result}
    assert {name: about for name, about in results.items() if about[0] != "pass"} == {}
    assert results.keys() == definitions.keys()


@pytest.mark.slow
def test_a_build_runs_no_unit_tests(built: Sandbox, definitions: dict[str, dict[str, Any]]) -> None:
    """Unit tests use fixed rows: in a run they would cost time and prove nothing new."""
    names = {node.unique_id.split(".")[-1] for node in built.build().nodes}
    assert "int_regime_daily" in names
    assert names.isdisjoint(definitions)


def vector(test: dict[str, Any], columns: list[str], where: str = "expect") -> pd.DataFrame:
    """The VALUES of a unit test's SQL as a frame."""
    sql = test["expect"]["rows"] if where == "expect" else test["given"][0]["rows"]
    [values] = re.findall(r"\(values\s(.*?)\s*\)\s*as v \(", sql, re.DOTALL)
    rows = duckdb.execute(f"select * from (values {values}) as v ({', '.join(columns)})").fetchall()
    return pd.DataFrame(rows, columns=columns)


def fixture(path: Path, columns: list[str]) -> pd.DataFrame:
    return pd.read_csv(path).rename(columns={"index": "x"})[columns]


def test_the_mid_ranks_equal_the_fixture(acceptance: Path, definitions: dict[str, dict[str, Any]]) -> None:
    test, wanted = definitions["mid_rank_of_the_fixture"], acceptance / "expected" / "H_normalisation.csv"
    given = vector(test, ["i", "x"], "given").astype({"x": float})
    pd.testing.assert_frame_equal(given, fixture(wanted, ["i", "x"]), check_dtype=False)
    ranks = vector(test, ["i", "x", "n", "r"]).astype({"r": float})
    ranks["midrank"] = ranks["r"] / ranks["n"]
    pd.testing.assert_frame_equal(
        ranks[["i", "n", "midrank"]], fixture(wanted, ["i", "n", "midrank"]), check_dtype=False, rtol=0, atol=1e-6
    )


def test_the_regimes_equal_the_fixture(acceptance: Path, definitions: dict[str, dict[str, Any]]) -> None:
    test, wanted = definitions["every_transition_of_the_regime"], acceptance / "expected" / "I_regime.csv"
    given = vector(test, ["i", "x"], "given").astype({"x": float})
    walk = vector(test, ["i", "regime", "status", "pending", "n_pending", "n_gap"]).merge(given, on="i")
    beyond = walk["i"].between(1, 19)
    pd.testing.assert_frame_equal(
        walk.loc[beyond, ["i", "x", "regime", "status"]].reset_index(drop=True),
        fixture(wanted, ["i", "x", "regime", "status"]),
        check_dtype=False,
    )


def test_the_exports_equal_the_fixture(acceptance: Path, definitions: dict[str, dict[str, Any]]) -> None:
    columns = ["country", "m", "months", "kt", "base_kt", "kt_3m", "base_kt_3m", "ytd_kt", "ytd_base_kt"]
    rows = vector(definitions["january_and_february_are_one_pool"], columns)
    rows = rows[rows["country"] == "CN"].astype({"kt_3m": float, "base_kt": float})
    found = pd.DataFrame(
        {"exports_yoy": rows["kt"] / rows["base_kt"] - 1, "exports_yoy_3m": rows["kt_3m"] / rows["base_kt_3m"] - 1}
    )
    wanted = pd.read_csv(acceptance / "expected" / "D_exports_yoy_series.csv").head(len(found))
    pd.testing.assert_frame_equal(found, wanted[list(found)], check_dtype=False, rtol=0, atol=1e-6)
