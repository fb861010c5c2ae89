"""The hand-written SQL that `make bench` compares dbt with: the same rows in every published table."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

import duckdb
import pytest
from sandbox import Sandbox

from benchmarks import limit

pytestmark = pytest.mark.slow


def _by_hand(sandbox: Sandbox, folder: Path) -> Path:
    """A database with the tables of the hand-written SQL, from the lake and reference tables of a sandbox."""
    paths = sandbox.open().paths
    with duckdb.connect(str(paths.warehouse), read_only=True) as warehouse:
        [(run_id, version)] = warehouse.sql("select distinct run_id, code_version from signals.signals").fetchall()
    database = folder / "limit.duckdb"
    limit.make(paths.lake, paths.reference_copies, sandbox.now, database, run_id=run_id, version=version)
    return database


@pytest.mark.parametrize("market", ["acceptance_market", "demo_of_years"])
def test_the_hand_written_sql_makes_the_same_rows(market: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    sandbox: Sandbox = request.getfixturevalue(market)
    rows, differences = limit.differences(sandbox.open().paths.warehouse, _by_hand(sandbox, tmp_path))
    assert not differences
    assert rows > 20_000


CHANGES: Final = {
    "update marts.curve_daily set rate = rate + 1e-8": "marts.curve_daily: rate differs in",
    "update signals.signals set state = 'ON' where state = 'OFF'": "signals.signals: state differs in",
    "delete from marts.power_daily where zone = 'FR'": "marts.power_daily: ",
    "insert into marts.supply_monthly from marts.supply_monthly": "marts.supply_monthly: ",
    "alter table marts.equity_daily alter n_closes type bigint": "marts.equity_daily: the columns differ",
    "drop table signals.claim_audit": "signals.claim_audit: no table by hand",
}


def test_every_difference_is_named_and_no_other(demo_of_years: Sandbox, tmp_path: Path) -> None:
    warehouse = demo_of_years.open().paths.warehouse
    changed = tmp_path / "changed.duckdb"
    shutil.copyfile(warehouse, changed)
    with duckdb.connect(str(changed)) as connection:
        for change in CHANGES:
            connection.execute(change)
    _, differences = limit.differences(warehouse, changed)
    named = {name: [one for one in differences if one.startswith(name)] for name in CHANGES.values()}
    assert all(named.values()), named
    assert sorted(one for found in named.values() for one in found) == sorted(differences)
