"""Concurrent dbt calls from threads and processes do not interfere with each other."""

from __future__ import annotations

import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb
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


def test_files_of_setup_whose_sources_changed_are_made_again(project: Path, tmp_path: Path) -> None:
    """A model that is changed, with its old time, and one moved to another schema."""

    def built() -> dict[str, object]:
        warehouse = tmp_path / "warehouse.duckdb"
        warehouse.unlink(missing_ok=True)
        variables = dict.fromkeys(dbt.RUN_VARS, "none") | {"built_from": dbt.WHOLE, "warehouse": str(warehouse)}
        dbt.build(variables)
        with duckdb.connect(str(warehouse), read_only=True) as con:
            tables = con.sql("select schema_name || '.' || table_name from duckdb_tables()").fetchall()
            return {name: con.sql(f"select * from {name}").fetchall()[0][0] for [name] in tables}

    model = project / "models" / "one.sql"
    assert built() == {"main.one": 1}
    written, fingerprint = dbt.MANIFEST.stat().st_mtime_ns, dbt.project_fingerprint()
    assert built() == {"main.one": 1}
    assert dbt.MANIFEST.stat().st_mtime_ns == written, "nothing changed, nothing is compiled"

    model.write_text("select 2 as x")
    os.utime(model, (0, 0))
    assert built() == {"main.one": 2}
    assert dbt.project_fingerprint() != fingerprint
    (project / "models" / "marts").mkdir()
    model.rename(project / "models" / "marts" / "one.sql")
    assert built() == {"marts.one": 2}


def test_another_version_of_dbt_compiles_again(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dbt.parse()
    monkeypatch.setattr(dbt, "version", lambda name: "another")
    calls: list[str] = []
    monkeypatch.setattr(dbt, "parse", lambda: calls.append("parsed"))
    with pytest.raises(dbt.DbtError, match="run again"):
        dbt.manifest()
    assert calls == ["parsed"]


def test_a_log_with_other_columns_than_its_contract_stops_the_build(project: Path, tmp_path: Path) -> None:
    (project / "models" / "log.sql").write_text("{{ config(materialized='append_only') }} select 1 as x, 'a' as y")
    columns = "[{name: x, data_type: integer}, {name: y, data_type: varchar}]"
    contract = f"models: [{{name: log, config: {{contract: {{enforced: true}}}}, columns: {columns}}}]"
    (project / "models" / "log.yml").write_text(contract)
    warehouse = tmp_path / "warehouse.duckdb"
    variables = dict.fromkeys(dbt.RUN_VARS, "none") | {"built_from": dbt.WHOLE, "warehouse": str(warehouse)}

    def built() -> list[str]:
        return [node.message for node in dbt.build(variables, ["--select", "log"]).failed]

    assert [built(), built()] == [[], []]
    for change, named in {
        "alter table main.log add column z integer": "z INTEGER",
        "alter table main.log drop column y": "y VARCHAR",
        "alter table main.log alter y type integer using 0": "y INTEGER, y VARCHAR",
    }.items():
        with duckdb.connect(str(warehouse)) as con:
            con.execute("create table kept as from main.log")
            con.execute(change)
        [message] = built()
        assert f"other columns than its contract: {named}. Change" in message
        with duckdb.connect(str(warehouse)) as con:
            assert con.sql("select count(*) from main.log").fetchall() == [(2,)]
            con.execute("create or replace table main.log as from kept; drop table kept")
    assert built() == []
