"""The programs that `make bench-scale` compares make the same table, and slices make what one query makes."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import compiled
import duckdb
import numpy as np
import pytest
from sandbox import Sandbox

from benchmarks import power
from pipelines.common.calendar import calendar_end
from pipelines.warehouse.dbt import build, run_vars, write_reference

NOW = "2026-11-20T20:00:00Z"


@pytest.mark.slow
def test_product_plain_query_and_pandas_make_the_same_power_daily(tmp_path: Path) -> None:
    workspace, days = Sandbox(tmp_path, "demo", NOW).open(), 395
    assert power.generate(workspace, 2, np.datetime64("2025-09")) == 2 * days * 96, "of 92 to 100 quarter hours"
    assert workspace.lake.damage("power") == [], "files as the lake writes them"
    write_reference(workspace.reference, tmp_path / "reference", calendar_end(workspace.now).date())
    lake, ours = workspace.lake.root, tmp_path / "warehouse.duckdb"
    compiled.build(lake, tmp_path / "reference", NOW, only=compiled.needed_for("power_daily"), warehouse=ours).close()
    for name, make in {"sql": power.by_sql, "pandas": power.by_pandas}.items():
        make(lake, tmp_path / "reference", NOW, tmp_path / f"{name}.duckdb")
        assert power.differences(ours, tmp_path / f"{name}.duckdb") == (2 * days - 2, []), name
    query = "select zone, delivery_date from marts.power_daily where knowledge_ts >= delivery_date order by all"
    with duckdb.connect(str(ours), read_only=True) as con:
        revised = con.execute(query).fetchall()
    assert revised == [("ZONE-000", date(2025, 9, 11)), ("ZONE-001", date(2025, 10, 11))]


@pytest.mark.slow
def test_a_table_that_is_made_in_slices_has_the_rows_of_one_query(tmp_path: Path) -> None:
    workspace = Sandbox(tmp_path, "demo", NOW).open()
    power.generate(workspace, 2, np.datetime64("2025-09"))
    write_reference(workspace.reference, tmp_path / "reference", calendar_end(workspace.now).date())
    lake, whole, sliced = workspace.lake.root, tmp_path / "whole.duckdb", tmp_path / "warehouse.duckdb"
    needed = compiled.needed_for("int_power_known")
    compiled.build(lake, tmp_path / "reference", NOW, only=needed, warehouse=whole).close()
    given = run_vars(
        warehouse=sliced, lake=lake, reference=tmp_path / "reference", as_of=workspace.now, run_id="", code_version=""
    )
    for rows in ("10000", "25000"):  # a month has 5,760 or 5,952; the second build replaces the table of the first
        result = build(given | {"slice_rows": rows}, ["--select", "+int_power_known"])
        assert result.nodes and not result.failed
        with duckdb.connect(str(sliced), read_only=True) as con:
            con.execute(f"set TimeZone = 'UTC'; attach '{whole}' as whole (read_only)")
            # Each zone lacks a day and has a revised one.
            assert len(con.execute("from intermediate.int_power_known").fetchall()) == 2 * 395
            for one, other in (("whole", "warehouse"), ("warehouse", "whole")):
                table = "intermediate.int_power_known"
                assert con.execute(f"from {one}.{table} except all from {other}.{table}").fetchall() == []
