"""The record of the last whole build belongs to one warehouse."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import duckdb

from pipelines.warehouse.build_cache import Record, is_of, mark

RECORD = Record("code", "2026-01-20T20:00:00+00:00", "reference", {}, [], "the second build")


def test_a_record_describes_the_warehouse_that_its_build_changed_last(tmp_path: Path) -> None:
    warehouse, older = tmp_path / "warehouse.duckdb", tmp_path / "older.duckdb"
    assert not is_of(RECORD, warehouse), "there is none"
    with duckdb.connect(str(warehouse)) as connection:
        connection.execute("create table one as select 1 as x")
    assert not is_of(RECORD, warehouse), "no build has changed it"
    mark(warehouse, "the first build")
    shutil.copy(warehouse, older)
    mark(warehouse, RECORD.build_id)
    assert is_of(RECORD, warehouse)
    assert not is_of(replace(RECORD, build_id="a third build"), warehouse)
    shutil.copy(older, warehouse)
    assert not is_of(RECORD, warehouse), "an older file was put back"
