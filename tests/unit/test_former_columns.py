"""A lake whose files an earlier version wrote with other columns: SOFR alone, without rate_id."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from sandbox import Sandbox

from tests.former_lake import to_former_columns

MONTHS = ("2018-04", "2018-05")


@pytest.fixture
def sandbox(tmp_path: Path) -> Sandbox:
    """Two loads of SOFR, the second with a revision, in the columns of earlier versions."""
    sandbox = Sandbox(tmp_path, "replay", "2018-06-01T12:00:00Z")
    days = pd.bdate_range("2018-04-03", "2018-05-31").strftime("%Y-%m-%d")
    for now, first in (("2018-06-01T12:00:00Z", 1.83), ("2018-06-02T12:00:00Z", 1.84)):
        values = dict.fromkeys(days, 1.7) | {"2018-04-03": first}
        rates = [{"effectiveDate": day, "type": "SOFR", "percentRate": value} for day, value in values.items()]
        sandbox.record("nyfed/sofr_2018.json", json.dumps({"refRates": rates}))
        assert sandbox.at(now).ingest(MONTHS, ["rates"]).failures == []
    return sandbox.at("2018-06-03T12:00:00Z")


def rows(sandbox: Sandbox) -> pd.DataFrame:
    return sandbox.open().lake.read("rates")


@pytest.mark.parametrize("has_record", [True, False])
def test_files_without_rate_id_are_sofr_and_are_replaced_by_one(sandbox: Sandbox, has_record: bool) -> None:
    wanted, lake = rows(sandbox), sandbox.open().lake
    assert (len(lake.present("rates")), len(wanted)) == (2, 44)
    to_former_columns(lake, has_record=has_record)
    sandbox.open().check_lake()
    pd.testing.assert_frame_equal(rows(sandbox), wanted)
    [file] = lake.present("rates")
    assert {path.name for path in (lake.root / "rates").glob("2*.parquet")} == {file}
    sandbox.open().check_lake()  # once
    assert lake.present("rates") == [file]
    # The same responses add nothing.
    report = sandbox.ingest(MONTHS, ["rates"])
    assert [report.failures, [one.new + one.revised for one in report.read.values()]] == [[], [0]]


@pytest.mark.parametrize("lost", ["before the migration", "after the migration"])
def test_a_lost_file_is_repaired_with_its_rows(sandbox: Sandbox, lost: str) -> None:
    wanted, lake = rows(sandbox), sandbox.open().lake
    to_former_columns(lake)
    if lost == "after the migration":
        sandbox.open().check_lake()
    (lake.root / "rates" / lake.present("rates")[0]).unlink()
    sandbox.open().check_lake()
    pd.testing.assert_frame_equal(rows(sandbox), wanted)
    for file in lake.present("rates"):
        assert "rate_id" in pq.read_schema(lake.root / "rates" / file).names
