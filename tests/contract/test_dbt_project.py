"""The dbt project as a whole: layers, names, descriptions, macros that are used, exposures."""

from __future__ import annotations

import copy
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

import pytest

from pipelines.common.settings import PROJECT
from pipelines.warehouse import dbt
from schemas.datasets import DATASETS
from schemas.marts import MARTS
from schemas.reference import DAILY_INDICATORS
from schemas.signals import SIGNALS

# A model reads models of earlier layers; in these layers also models of the same layer.
LAYERS = ("staging", "intermediate", "marts", "metrics", "signals")
MAY_READ_THEIR_OWN = {"intermediate", "metrics", "signals"}
DOMAINS = {"calendar", "prices", "inventory", "trade", "power", "index", "signals"}

FOLDER = PROJECT / "dbt"


@pytest.fixture(scope="module")
def manifest() -> dict[str, Any]:
    return dbt.manifest()


def models(manifest: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {name: node for name, node in manifest["nodes"].items() if node["resource_type"] == "model"}


def layer(node: Mapping[str, Any]) -> str:
    return PurePath(node["original_file_path"]).parts[1]


def upward_refs(manifest: Mapping[str, Any]) -> list[str]:
    """Refs to a later layer, as `model -> model`."""
    found = []
    nodes = models(manifest)
    for node in nodes.values():
        for parent in (nodes[name] for name in node["depends_on"]["nodes"] if name in nodes):
            own, above = LAYERS.index(layer(node)), LAYERS.index(layer(parent))
            if above > own or (above == own and layer(node) not in MAY_READ_THEIR_OWN):
                found.append(f"{node['name']} -> {parent['name']}")
    return found


def test_no_model_refs_a_layer_above_its_own(manifest: dict[str, Any]) -> None:
    assert upward_refs(manifest) == []


@pytest.mark.parametrize(
    ("reader", "read"),
    [
        ("int_component_values", "curve_daily"),
        ("int_index_daily", "metrics"),
        ("curve_daily", "tightness_daily"),
        ("price_daily", "metrics"),
        ("metrics", "signals"),
        ("stg_prices", "stg_rates"),
    ],
)
def test_a_ref_to_a_layer_above_is_found(manifest: dict[str, Any], reader: str, read: str) -> None:
    changed = copy.deepcopy(manifest)
    changed["nodes"][f"model.metal_tightness.{reader}"]["depends_on"]["nodes"].append(f"model.metal_tightness.{read}")
    assert upward_refs(changed) == [f"{reader} -> {read}"]


def test_folders_schemas_and_prefixes_agree(manifest: dict[str, Any]) -> None:
    prefixes = {"staging": "stg_", "intermediate": "int_"}
    for node in models(manifest).values():
        assert node["schema"] == layer(node), node["name"]
        assert node["name"].startswith(prefixes.get(layer(node), "")), node["name"]
        if layer(node) == "intermediate":
            assert PurePath(node["original_file_path"]).parts[2] in DOMAINS, node["name"]
    published = {node["name"]: layer(node) for node in models(manifest).values() if layer(node) in ("marts", "signals")}
    assert published == {**dict.fromkeys(MARTS, "marts"), **dict.fromkeys(SIGNALS, "signals")}


def test_every_model_has_a_table(manifest: dict[str, Any]) -> None:
    """dbt parses the whole SQL of each model that reads an ephemeral one, which costs more than a table or a macro."""
    found = {node["name"]: node["config"]["materialized"] for node in models(manifest).values()}
    assert set(found.values()) == {"table", "by_decision_time", "append_only", "in_slices"}


def test_a_mart_is_a_table_with_an_enforced_contract(manifest: dict[str, Any]) -> None:
    for node in models(manifest).values():
        assert node["contract"]["enforced"] == (layer(node) in ("marts", "signals")), node["name"]


def test_every_model_and_test_has_a_description(manifest: dict[str, Any]) -> None:
    described = [node for node in manifest["nodes"].values() if node["resource_type"] in ("model", "test")]
    described += [*manifest["sources"].values(), *manifest["exposures"].values(), *manifest["unit_tests"].values()]
    assert len(described) > 100
    assert [node["name"] for node in described if not node["description"].strip()] == []


def test_a_models_description_defines_a_row(manifest: dict[str, Any]) -> None:
    missing = [
        node["name"] for node in models(manifest).values() if "one row for each" not in node["description"].lower()
    ]
    assert missing == []


def test_every_macro_and_generic_test_is_used() -> None:
    files = [path for path in FOLDER.rglob("*.*") if path.suffix in (".sql", ".yml") and "target" not in path.parts]
    text = "\n".join(path.read_text(encoding="utf-8") for path in files)
    macros = set(re.findall(r"{%-? macro (\w+)\(", text)) - {"generate_schema_name"}  # dbt itself calls that one
    tests = re.findall(r"{%-? test (\w+)\(", text)
    assert len(macros) > 50
    called = [name for name in macros if not re.match(r"(default|duckdb|spark)__", name)]
    assert set(called) - set(re.findall(r"(?<!macro )\b(\w+)\(", text)) == set()
    assert [name for name in tests if f"- {name}:" not in text] == []


def test_no_model_lists_the_families_of_the_index() -> None:
    """Families are rows of index_components.csv; the published columns are those of schemas/marts.py."""
    families = re.compile(r"'(curve|inventory|flow)'", re.IGNORECASE)
    listed = {
        path.stem: families.findall(path.read_text(encoding="utf-8"))
        for layer in ("intermediate", "marts", "signals")
        for path in sorted((FOLDER / "models" / layer).rglob("*.sql"))
    }
    assert {name: found for name, found in listed.items() if found} == {}


def test_daily_indicators_are_columns_of_their_tables() -> None:
    """Those of a published table; a build fails where one of int_index_inputs is missing."""
    published = {name: place for name, place in DAILY_INDICATORS.items() if place.table in MARTS}
    assert len(published) > 3
    for indicator, place in published.items():
        assert {indicator, place.age_days} <= set(MARTS[place.table].model.to_schema().columns), indicator


WHOLE = ("published_database", "parquet_files", "mcp")  # they read every published table


def test_the_published_database_is_an_exposure_of_every_published_table(manifest: dict[str, Any]) -> None:
    exposures = {exposure["name"]: exposure for exposure in manifest["exposures"].values()}
    assert exposures.keys() == {*WHOLE, "workbook", "report", "superset", "webhook"}
    for whole in WHOLE:
        exposed = {node.split(".")[-1] for node in exposures[whole]["depends_on"]["nodes"]}
        assert exposed == {*MARTS, *SIGNALS, *(f"stg_{name}" for name in DATASETS)}, whole
    assert all(exposure["owner"]["name"] for exposure in exposures.values())


@pytest.mark.slow
def test_docs_are_generated_without_data_and_leave_nothing_behind(tmp_path: Path) -> None:
    command = [
        str(Path(sys.executable).with_name("dbt")),
        "docs",
        "generate",
        "--static",
        "--log-path",
        str(tmp_path / "logs"),
    ]
    folders = ["--project-dir", str(FOLDER), "--profiles-dir", str(FOLDER), "--target-path", str(tmp_path / "target")]
    done = subprocess.run([*command, *folders], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    assert "One row for each metal, as_of_date" in (tmp_path / "target" / "static_index.html").read_text()
    assert {path.name for path in tmp_path.iterdir()} == {"logs", "target"}
