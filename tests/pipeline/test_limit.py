"""The hand-written SQL that `make bench` compares dbt with: the same rows in every published table."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest
from sandbox import Sandbox

from benchmarks import limit

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def by_hand(demo_of_years: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tables of the hand-written SQL. Read only."""
    database = tmp_path_factory.mktemp("limit") / "limit.duckdb"
    paths = demo_of_years.open().paths
    limit.make(paths.lake, paths.reference_copies, demo_of_years.now, database, run_id="test", version="test")
    return database


def test_the_hand_written_sql_makes_the_same_rows(demo_of_years: Sandbox, by_hand: Path) -> None:
    rows, differences = limit.differences(demo_of_years.open().paths.warehouse, by_hand)
    assert not differences
    assert rows > 20_000


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("update marts.curve_daily set rate = rate + 1e-8", "marts.curve_daily: rate differs in"),
        ("update signals.signals set state = 'ON' where state = 'OFF'", "signals.signals: state differs in"),
        ("delete from marts.power_daily where zone = 'FR'", "marts.power_daily: "),
        ("insert into marts.supply_monthly from marts.supply_monthly", "marts.supply_monthly: "),
        ("alter table marts.equity_daily alter n_closes type bigint", "marts.equity_daily: the columns differ"),
        ("drop table signals.claim_audit", "signals.claim_audit: no table by hand"),
    ],
)
def test_a_difference_is_named(demo_of_years: Sandbox, by_hand: Path, tmp_path: Path, change: str, named: str) -> None:
    changed = tmp_path / "changed.duckdb"
    changed.write_bytes(by_hand.read_bytes())
    with duckdb.connect(str(changed)) as connection:
        connection.execute(change)
    _, differences = limit.differences(demo_of_years.open().paths.warehouse, changed)
    assert [difference for difference in differences if difference.startswith(named)] == differences != []
