"""A data folder of an earlier version, run by this one: what is published is what a folder of this version has."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from sandbox import Sandbox

from tests.former_lake import to_former_columns, to_former_layout

pytestmark = pytest.mark.slow
MONTHS = ("2025-10", "2026-01")
DATASETS = ("prices", "stocks", "rates")


def test_a_run_over_a_lake_of_an_earlier_version_publishes_what_a_new_folder_has(tmp_path: Path) -> None:
    """Stocks are dated once, rates without rate_id are SOFR, and no vintage is lost."""
    own = Sandbox(tmp_path / "own", "demo", "2026-01-13T20:00:00Z")
    assert own.ingest(MONTHS, DATASETS).failures == []
    former = own.copy(tmp_path / "former")
    to_former_columns(former.open().lake)
    to_former_layout(former.open().lake, "stocks")
    former.open().check_lake()
    for name, kept in (("stocks", "total_t > 0"), ("rates", "rate_id == 'SOFR'")):
        stored = own.open().lake.read(name).query(kept).reset_index(drop=True)
        pd.testing.assert_frame_equal(former.open().lake.read(name), stored, obj=name)
    published = []
    for sandbox in (own, former):
        sandbox.at("2026-01-14T20:00:00Z").run_compiled(MONTHS, DATASETS)
        tables = ("tightness_daily", "curve_daily", "inventory_daily", "price_daily", "indicator_ranks_daily")
        published.append({name: sandbox.query(f"select * from marts.{name} order by all") for name in tables})
    wanted, found = published
    assert wanted["tightness_daily"][["rate", "total_t"]].notna().all(axis=1).sum() > 60
    for name, rows in wanted.items():
        pd.testing.assert_frame_equal(found[name], rows, obj=name)
