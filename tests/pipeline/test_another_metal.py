"""Copper by configuration: reference rows and drop files, no line of code or SQL."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest
from copper import add_copper, drop_market
from sandbox import Sandbox

from pipelines.common.settings import PROJECT

NOW = "2026-01-21T20:00:00Z"


@pytest.fixture(scope="module")
def copper(tmp_path_factory: pytest.TempPathFactory) -> Sandbox:
    sandbox = Sandbox(tmp_path_factory.mktemp("copper"), "drop", NOW)
    add_copper(sandbox.reference())
    sandbox.set_parameters(rank_min_periods_v2=100, season_min_years=1)  # the market is short
    drop_market(sandbox, "CU", 9_500)
    rates = pd.bdate_range("2024-06-28", "2026-01-20").strftime("%Y-%m-%d")
    sandbox.drop("rates/sofr.csv", pd.DataFrame({"obs_date": rates, "sofr_pct": 4.3}))
    code, _, errors = sandbox.call("run", "--from", "2022-01", "--metal", "CU")
    assert code == 0, errors
    return sandbox


@pytest.mark.slow
def test_copper_has_marts_index_regime_and_signals(copper: Sandbox) -> None:
    [last] = copper.query("select * from marts.tightness_daily order by as_of_date desc limit 1").itertuples()
    assert (last.metal, last.coverage, last.n_components) == ("CU", 1.0, 5)
    assert 0 <= last.tightness_index <= 100
    assert last.regime in {"LOOSE", "NEUTRAL", "TIGHT", "SQUEEZE"}
    assert last.stock_days == pytest.approx(last.total_t / (27_400_000 / 365))  # use of 2024, known from 2025-10-16
    signals = copper.query("select signal_id, signal_version, value, state, quality from signals.signals_latest")
    second = signals[signals["signal_version"] == "2.0.0"].set_index("signal_id")
    signals = signals[signals["signal_version"] == "1.0.0"].set_index("signal_id")
    assert all(name.startswith("CU.") for name in signals.index)
    assert signals.loc["CU.TIGHTNESS.INDEX", "value"] == last.tightness_index
    assert second.loc["CU.TIGHTNESS.INDEX", "value"] == last.tightness_index_v2
    # Without premia, Shanghai's stock is the one known component of PHYSICAL: all four families are there.
    assert 0 <= last.tightness_index_v2 <= 100 and last.coverage_v2 == 1
    assert last.weight_physical_v2 == pytest.approx(0.25)
    assert last.regime_v2 in {"LOOSE", "NEUTRAL", "TIGHT", "SQUEEZE"}
    assert signals.loc["CU.PRICE.LEVEL_5OF5", "state"] in {"ABOVE", "INSIDE", "BELOW"}
    wide = copper.query("select * from signals.signals_wide_daily order by as_of_date desc limit 1")
    assert wide["tightness_index"].tolist() == [last.tightness_index]


@pytest.mark.slow
def test_copper_has_positions_stock_of_other_exchanges_and_places(copper: Sandbox) -> None:
    def last(table: str) -> pd.Series:
        time = "obs_date" if table.endswith("weekly") else "as_of_date"
        return copper.query(f"select * from marts.{table} where metal = 'CU' order by {time} desc limit 1").iloc[0]

    week, report, places, quote = map(
        last, ("positions_weekly", "exchange_stocks_weekly", "stocks_by_location_daily", "curve_spreads_daily")
    )
    assert (week.contract, week.net_percentile, week.n_hist) == ("085692", 1 - 0.5 / 81, 81)  # more every week
    assert (report.exchange, report.total_chg_t) == ("SHFE", 100)
    assert (places.largest_place, places.largest_share, places.herfindahl, places.queue_days) == (
        "KAOHSIUNG", 0.7, pytest.approx(0.58), 20,
    )  # fmt: skip
    assert quote.yield_ann == pytest.approx(1.5 / quote.cash_usd_t * 365 / quote.days_between_prompts)
    signals = copper.query("select signal_id, value from signals.signals_latest").set_index("signal_id")["value"]
    assert signals["CU.POSITIONS.COMEX_NET"] == week.managed_net
    assert signals["CU.INVENTORY.SHFE_STOCK"] == report.total_t
    assert signals["CU.INVENTORY.QUEUE_DAYS"] == 20


@pytest.mark.slow
def test_what_does_not_apply_to_copper_is_empty(copper: Sandbox) -> None:
    for table in ("smelter_margin_daily", "power_daily", "supply_monthly", "arbitrage_daily", "us_parity_daily"):
        assert len(copper.query(f"select * from marts.{table}")) == 0, table


@pytest.mark.exhaustive
def test_aluminium_is_the_same_with_and_without_copper(tmp_path: Path) -> None:
    """Two metals in one lake do not affect each other; the short form is in test_demo_metals."""
    both = Sandbox(tmp_path / "both", "drop", NOW)
    alone = Sandbox(tmp_path / "alone", "drop", NOW)
    for sandbox in (both, alone):
        drop_market(sandbox, "AL", 2_600)
    add_copper(both.reference())
    drop_market(both, "CU", 9_500)
    for sandbox in (both, alone):
        sandbox.run_compiled(("2022-01", "2026-01"))
    for table in ("marts.tightness_daily", "marts.price_daily", "marts.indicator_ranks_daily", "signals.claim_audit"):
        query = f"select * from {table} where metal = 'AL' order by all"
        pd.testing.assert_frame_equal(both.query(query), alone.query(query))


def test_no_code_or_sql_names_a_metal() -> None:
    """Metals are named in reference tables only; exceptions are texts of publishers and the generated market."""
    own_words = {"pipelines/sources/jin10.py", *(f"pipelines/transports/demo/{n}.py" for n in ("levels", "defects"))}
    quoted = re.compile(r"""['"](AL|CU)['"]|['"](AL|CU)\.""")
    rooms = [*PROJECT.glob("pipelines/**/*.py"), *PROJECT.glob("dbt/m*/**/*.sql"), *PROJECT.glob("schemas/*.py")]
    named = {path.relative_to(PROJECT).as_posix() for path in rooms if quoted.search(path.read_text(encoding="utf-8"))}
    assert named - own_words == set()
    assert "pipelines/transports/demo/levels.py" in named, "the search finds what is there"
