"""A lake whose files an earlier version wrote with other columns: SOFR alone, without rate_id."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from sandbox import Sandbox

from pipelines.lake.parquet import rows_sha256, write_parquet
from pipelines.lake.record import Entry, file_sha256
from pipelines.lake.store import Lake

MONTHS = ("2018-04", "2018-05")
FORMER = {"rate_pct": "sofr_pct"}


def to_former_columns(lake: Lake, *, has_record: bool = True) -> None:
    """Write the files of rates as the versions before `rate_id` did, one for one."""
    folder, record = lake.root / "rates", lake.record("rates")
    entries = []
    for entry in record.read().values():
        table = pq.read_table(folder / entry.file).drop_columns(["rate_id"])
        table = table.rename_columns([FORMER.get(name, name) for name in table.column_names])
        (folder / entry.file).unlink()
        path = write_parquet(folder, table.replace_schema_metadata(None), entry.captured)
        own = rows_sha256(table.replace_schema_metadata(None))
        entries.append(Entry(path.name, file_sha256(path), own, entry.load, months=entry.months))
    record.path.unlink()
    if has_record:
        record.append(entries)
    pq.write_table(pq.read_table(path).slice(0, 0), folder / "_schema.parquet")


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
