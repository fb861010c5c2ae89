"""Concurrent dbt calls from threads and processes do not interfere with each other."""

from __future__ import annotations

import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipelines.common.settings import PROJECT
from pipelines.warehouse import dbt

pytestmark = pytest.mark.slow
CALLS = 3


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A dbt project of one model, in the place of the product's."""
    folder = tmp_path / "dbt"
    for name in ("models", "tests"):
        (folder / name).mkdir(parents=True)
    for name in ("dbt_project.yml", "profiles.yml"):
        shutil.copyfile(PROJECT / "dbt" / name, folder / name)
    shutil.copytree(PROJECT / "dbt" / "macros", folder / "macros")
    (folder / "models" / "one.sql").write_text("select 1 as x")
    monkeypatch.setattr(dbt, "DBT_PROJECT", folder)
    monkeypatch.setattr(dbt, "MANIFEST", folder / "target" / "manifest.json")
    return folder


def test_concurrent_threads_each_get_the_result_of_their_dbt_call(project: Path, tmp_path: Path) -> None:
    def build(number: int) -> list[str]:
        warehouse = str(tmp_path / str(number) / "warehouse.duckdb")
        variables = dict.fromkeys(dbt.RUN_VARS, "none") | {"built_from": dbt.WHOLE, "warehouse": warehouse}
        return [node.status for node in dbt.build(variables).nodes]

    for number in range(CALLS):
        (tmp_path / str(number)).mkdir()
    dbt.parse()
    with ThreadPoolExecutor(CALLS) as pool:
        assert list(pool.map(build, range(CALLS))) == [["success"]] * CALLS


def test_a_reader_of_the_manifest_never_reads_a_partial_file(project: Path) -> None:
    """The manifest is whole at every read while another thread parses, and no temporary file is left."""
    dbt.parse()
    with ThreadPoolExecutor(1) as pool:
        parsing = pool.submit(lambda: [dbt.parse() for _ in range(CALLS)])
        looks = 0
        while not parsing.done():
            assert "model.metal_tightness.one" in json.loads(dbt.MANIFEST.read_text())["nodes"]
            looks += 1
        parsing.result()
    assert looks > CALLS
    assert [path.name for path in dbt.MANIFEST.parent.iterdir() if path.name.startswith(".parse")] == []


def test_a_project_that_cannot_be_parsed_leaves_the_last_manifest(project: Path) -> None:
    dbt.parse()
    was = dbt.MANIFEST.read_bytes()
    (project / "models" / "two.sql").write_text("select * from {{ ref('nowhere') }}")
    with pytest.raises(dbt.DbtError, match="nowhere"):
        dbt.parse()
    assert dbt.MANIFEST.read_bytes() == was


def test_a_stale_manifest_is_parsed_again(project: Path) -> None:
    def code() -> str:
        return str(dbt.manifest()["nodes"]["model.metal_tightness.one"]["raw_code"])

    assert code() == "select 1 as x"
    was = dbt.project_fingerprint()
    written = dbt.MANIFEST.stat().st_mtime_ns
    assert code() == "select 1 as x"
    assert dbt.MANIFEST.stat().st_mtime_ns == written, "nothing changed, nothing is parsed"

    model = project / "models" / "one.sql"
    model.write_text("select 2 as x")
    after = dbt.MANIFEST.stat().st_mtime + 1
    os.utime(model, (after, after))
    assert code() == "select 2 as x"
    assert dbt.project_fingerprint() != was
