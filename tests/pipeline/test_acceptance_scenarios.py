"""The acceptance fixture's scenarios and vectors (F to I) through the product's own tables.

They are no market: each becomes drop files whose published figures must be the fixture's.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from acceptance import TOLERANCE
from copper import add_copper
from sandbox import Sandbox, differences

pytestmark = pytest.mark.slow


def given(acceptance: Path, name: str) -> pd.DataFrame:
    return pd.read_csv(acceptance / "inputs" / f"{name}.csv")


def wanted(acceptance: Path, name: str) -> pd.DataFrame:
    return pd.read_csv(acceptance / "expected" / f"{name}.csv")


def known(days: pd.Series, time: str = "13:25") -> pd.Series:
    return days + f"T{time}:00Z"


# --- F: smelters; G: arbitrage


@pytest.fixture(scope="module")
def scenarios(acceptance: Path) -> pd.DataFrame:
    """Each smelter scenario in a zone of its own, those with the same prices and costs on the same day."""
    rows = given(acceptance, "smelter_scenarios")
    same = rows.groupby(["lme_cash_usd_t", "premium_usd_t", "alumina_usd_t"], sort=False).ngroup()
    days = pd.Series(["2023-03-01", "2023-03-02", "2023-03-03"])
    return rows.assign(day=same.map(days), zone=[f"X{chr(65 + n)}" for n in range(len(rows))])


@pytest.fixture(scope="module")
def published(acceptance: Path, scenarios: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Sandbox:
    sandbox = Sandbox(tmp_path_factory.mktemp("scenarios"), "drop", "2026-01-22T00:00:00Z")
    sandbox.set_parameters(mwh_per_t=14.1)  # of the fixture
    by_day = scenarios.drop_duplicates("day")
    arbitrage = given(acceptance, "arb_rows")
    prices = pd.concat(
        [
            pd.DataFrame({"obs_date": by_day["day"], "cash_usd_t": by_day["lme_cash_usd_t"]}),
            pd.DataFrame({"obs_date": arbitrage["as_of_date"], "cash_usd_t": arbitrage["lme_usd_t"]}),
        ]
    )
    sandbox.drop("prices/own.csv", prices.assign(metal="AL", m3_usd_t=prices["cash_usd_t"]))
    costs = by_day.rename(columns={"day": "obs_date"})[["obs_date", "alumina_usd_t", "premium_usd_t"]]
    sandbox.drop("costs/own.csv", costs.assign(metal="AL", knowledge_ts=known(costs["obs_date"])))
    # One point holds for the day (curve type A03), and a dollar is a euro: the scenario's power price is the mean.
    power = scenarios.assign(resolution="PT60M", n_positions=24, position=1)
    power = power.rename(columns={"day": "delivery_date", "power_usd_mwh": "price_eur_mwh"})
    columns = ["zone", "delivery_date", "resolution", "n_positions", "position", "price_eur_mwh"]
    sandbox.drop("power/own.csv", power[columns])
    sandbox.drop("fx/own.csv", pd.DataFrame({"pair": ["EURUSD"], "obs_date": ["2023-02-27"], "rate": [1.0]}))
    columns = ["shfe_cny_t", "cif_premium_usd_t", "usdcny", "dest_premium_usd_t", "freight_usd_t"]
    sandbox.drop("arbitrage/own.csv", arbitrage[columns].assign(metal="AL", obs_date=arbitrage["as_of_date"]))
    sandbox.run_compiled()
    return sandbox


def test_f_smelter_cost_margin_and_break_even(published: Sandbox, acceptance: Path, scenarios: pd.DataFrame) -> None:
    found = published.query("select *, strftime(as_of_date, '%Y-%m-%d') as day from marts.smelter_margin_daily")
    found = found.merge(scenarios[["zone", "day", "scenario"]], on=["zone", "day"])
    assert differences(wanted(acceptance, "F_smelter"), found, ["scenario"], TOLERANCE) == []
    assert set(found["other_cash_status"]) == {"ASSUMPTION"}


def test_g_arbitrage_with_the_rebate_as_it_stood(published: Sandbox, acceptance: Path) -> None:
    found = published.query("select * from marts.arbitrage_daily")
    assert differences(wanted(acceptance, "G_arb"), found, ["as_of_date"], TOLERANCE) == []
    rows = given(acceptance, "arb_rows")[["as_of_date", "vat", "import_duty", "port_cny_t", "semis_rebate"]]
    assert differences(rows, found, ["as_of_date"], TOLERANCE) == []


# --- H: ranks


def test_h_mid_rank_and_robust_z(acceptance: Path, tmp_path: Path) -> None:
    """The vector is the cancelled ratio, in hundredths: higher is tighter for aluminium, here lower for copper. Where
    it is missing there is no stock at all."""
    vector = given(acceptance, "norm_vector")
    days = pd.Series(pd.bdate_range("2024-02-01", periods=len(vector)).strftime("%Y-%m-%d"))
    sandbox = Sandbox(tmp_path, "drop", "2024-03-01T00:00:00Z")
    add_copper(sandbox.reference())
    components = pd.read_csv(sandbox.reference() / "index_components.csv")
    is_copper = (components["metal"] == "CU") & (components["indicator"] == "cancelled_ratio")
    components.loc[is_copper, "sign"] = -1
    components.to_csv(sandbox.reference() / "index_components.csv", index=False)
    sandbox.set_parameters(rank_min_periods=5)
    for metal in ("AL", "CU"):
        sandbox.drop(
            f"prices/{metal}.csv",
            pd.DataFrame({"metal": metal, "obs_date": days, "cash_usd_t": 2200, "m3_usd_t": 2210}),
        )
        stocks = pd.DataFrame({"metal": metal, "obs_date": days, "knowledge_ts": known(days)})
        stocks["total_t"] = 10_000 * vector["x"].notna()
        stocks["cancelled_t"] = (vector["x"] * 100).fillna(0)
        sandbox.drop(f"stocks/{metal}.csv", stocks)
    sandbox.run_compiled(("2024-02", "2024-03"))

    found = sandbox.query(
        """
        select
            up.as_of_date, up.value * 100 as x, up.n_hist as n, up.score as midrank, down.score as one_minus,
            up.median * 100 as median, up.mad * 100 as mad, up.robust_z
        from marts.indicator_ranks_daily as up
        inner join marts.indicator_ranks_daily as down using (as_of_date, indicator)
        where up.metal = 'AL' and down.metal = 'CU' and indicator = 'cancelled_ratio'
        """
    )
    expected = wanted(acceptance, "H_normalisation").assign(as_of_date=days)
    # A row without a value has no score; median and MAD of the window are there all the same from five values on.
    assert differences(expected.drop(columns="i"), found, ["as_of_date"], TOLERANCE) == []


# --- I: the regime


WINDOW = 50  # two ranks among 50 have every whole number of index points as their mean


def next_value(before: list[float], below: int) -> float:
    """A value with so many of the WINDOW - 1 before it below and none equal: its mid-rank is (below + 0.5) / WINDOW."""
    ordered = [0.0, *sorted(before[-(WINDOW - 1) :]), 1.0]
    return (ordered[below] + ordered[below + 1]) / 2


def test_i_every_transition_of_the_regime(acceptance: Path, tmp_path: Path) -> None:
    """Two components, one tighter when higher and one when lower, whose mean rank is the index of the vector.

    On the missing day there is no stock, and after a weekend the last one is too old. From then on the window is a row
    longer, so that it still holds as many values: a parameter that changes with its valid_from.
    """
    vector = given(acceptance, "regime_vector")
    shares = [(10 * k % (WINDOW - 1) + 1) / 100 for k in range(WINDOW - 1)]  # all different, in any order
    levels = list(reversed(shares))
    for points in vector["index"].dropna().astype(int):
        higher = points // 2
        shares.append(next_value(shares, higher))
        levels.append(next_value(levels, WINDOW - 1 - (points - 1 - higher)))
    days = pd.Series(pd.bdate_range("2024-09-02", periods=WINDOW - 1 + len(vector)).strftime("%Y-%m-%d"))
    missing = days[WINDOW - 1 + int(vector["index"].isna().to_numpy().argmax())]
    assert pd.Timestamp(missing).day_name() == "Monday"

    sandbox = Sandbox(tmp_path, "drop", "2025-01-01T00:00:00Z")
    sandbox.set_parameters(rank_window=WINDOW, rank_min_periods=WINDOW)
    parameters = pd.read_csv(sandbox.reference() / "parameters.csv")
    longer = parameters[parameters["name"] == "rank_window"].assign(value=WINDOW + 1, valid_from=missing)
    pd.concat([parameters, longer]).to_csv(sandbox.reference() / "parameters.csv", index=False)
    components = pd.read_csv(sandbox.reference() / "index_components.csv")
    components = components[components["indicator"].isin(["cancelled_ratio", "stock_days"])]
    components.assign(weight=1.0, max_age_days=1).to_csv(sandbox.reference() / "index_components.csv", index=False)
    sandbox.drop(
        "prices/own.csv", pd.DataFrame({"metal": "AL", "obs_date": days, "cash_usd_t": 2200, "m3_usd_t": 2210})
    )
    stocked = days[days != missing].reset_index(drop=True)
    stocks = pd.DataFrame({"metal": "AL", "obs_date": stocked, "knowledge_ts": known(stocked)})
    stocks["total_t"] = pd.Series(levels) * 1_000_000
    stocks["cancelled_t"] = pd.Series(shares) * stocks["total_t"]
    sandbox.drop("stocks/own.csv", stocks)
    sandbox.run_compiled(("2024-09", "2024-12"))

    expected = wanted(acceptance, "I_regime").rename(columns={"index": "tightness_index", "status": "regime_status"})
    expected["as_of_date"] = days[WINDOW - 1 :].to_numpy()[: len(expected)]
    found = sandbox.query("select * from marts.tightness_daily")
    assert differences(expected.drop(columns="i"), found, ["as_of_date"], TOLERANCE) == []
    before = found[found["as_of_date"] < expected["as_of_date"].iloc[0]]
    assert set(before["regime_status"]) == {"WARMUP"}
