"""The programs that `make bench-scale` compares make the same table."""

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
from pipelines.warehouse.dbt import write_reference

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
