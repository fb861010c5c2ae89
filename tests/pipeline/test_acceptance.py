"""The acceptance fixture through the drop folder: what is published is what two other implementations computed.

The expected values are rounded to 6 decimals, so that the tolerance is a little more than 1e-6.
"""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from sandbox import Sandbox, differences

pytestmark = pytest.mark.slow
TOLERANCE = 1.1e-6
INPUTS = {
    "prices/daily.csv": "prices_daily",
    "prices/year_ago.csv": "prices_year_ago",
    "stocks/lme.csv": "lme_stocks_daily",
    "off_warrant/lme.csv": "offwarrant_monthly",
    "exports/cn.csv": "cn_exports_monthly",
    "rates/sofr.csv": "sofr_daily",
    "power/day_ahead.csv": "power_da_points",
}
# The fixture's name of a column to ours, where they differ; families are upper case in the fixture.
NAMES = {
    "price_obs": "price_obs_date",
    "stock_obs": "stock_obs_date",
    "sofr_obs": "rate_obs_date",
    "exports_period": "exports_period_end",
    "offwarrant_period": "offwarrant_period_end",
    "cash_3m_spread": "cash_3m_spread_usd_t",
    "spread": "cash_3m_spread_usd_t",
    "sofr": "rate",
    "full_carry": "full_carry_usd_t",
    "contango_pct_full": "contango_share_of_full_carry",
    "stock_chg_5": "stock_log_chg",
    "score_stock_chg_5": "score_stock_log_chg",
    **{f"fam_{family}": f"family_{family.lower()}" for family in ("CURVE", "INVENTORY", "FLOW")},
    **{f"contrib_{family}": f"contrib_{family.lower()}" for family in ("CURVE", "INVENTORY", "FLOW")},
    "yoy": "m3_yoy",
    "yoy_base_date": "m3_yoy_base_date",
    "n_positions": "n_mtu",
    "naive_mean_of_points": "naive_mean_of_points_eur_mwh",
}


@pytest.fixture(scope="module")
def params(acceptance: Path) -> dict[str, float]:
    given = json.loads((acceptance / "expected" / "expected.json").read_text())["params"]
    assert given["decision_time"] == "18:00:00Z", "London and UTC agree in the fixture's months"
    return dict(given)


@pytest.fixture(scope="module")
def published(acceptance: Path, params: dict[str, float], tmp_path_factory: pytest.TempPathFactory) -> Sandbox:
    sandbox = Sandbox(tmp_path_factory.mktemp("acceptance"), "drop", "2026-02-12T00:00:00Z")
    same = ["day_count", "rent_usd_t_day", "financing_spread", "consumption_t_per_year", "stock_chg_obs"]
    same += ["yoy_max_staleness_days", "rank_min_periods", "rank_window", "min_coverage", "mwh_per_t"]
    sandbox.set_parameters(**{name: params[name] for name in same}, rank_min_periods_monthly=params["rank_min_periods"])
    for name, source in INPUTS.items():
        sandbox.drop(name, acceptance / "inputs" / f"{source}.csv")
    days = ["2025-10-24", "2026-01-12"]  # the last fixings before each auction
    sandbox.drop("fx/ecb.csv", pd.DataFrame({"pair": "EURUSD", "obs_date": days, "rate": params["eurusd"]}))
    sandbox.run()
    return sandbox


def expected(acceptance: Path, name: str) -> pd.DataFrame:
    frame = pd.read_csv(acceptance / "expected" / f"{name}.csv")
    return frame.rename(columns={theirs: ours for theirs, ours in NAMES.items() if theirs in frame})


@pytest.mark.parametrize(
    ("name", "table", "key"),
    [
        ("A_price", "price_daily", ["obs_date"]),
        ("B_mart_daily", "tightness_daily", ["as_of_date"]),
        ("C_visible_stock", "inventory_visible_monthly", ["period_end"]),
        ("E_power_daily", "power_daily", ["zone", "delivery_date"]),
    ],
)
def test_every_row_and_column_is_published(
    published: Sandbox, acceptance: Path, name: str, table: str, key: list[str]
) -> None:
    wanted, found = expected(acceptance, name), published.query(f"select * from marts.{table}")
    if "resolution" in wanted:
        found["resolution"] = "PT" + found["resolution_min"].astype(str) + "M"
    assert differences(wanted, found, key, TOLERANCE) == []


def test_exports_as_of_a_second(published: Sandbox, acceptance: Path) -> None:
    """Preliminary and revised figures appear at their second and not one before."""
    wanted = expected(acceptance, "D_exports_asof")
    known = [
        published.query(
            """
            select
                period_end as latest_period, exports_yoy, exports_yoy_3m, exports_ytd_yoy,
                score_exports_yoy_3m as score_3m, n_hist as n_3m
            from marts.exports_monthly
            where knowledge_ts <= ?::timestamptz
            order by period_end desc, knowledge_ts desc limit 1
            """,
            moment,
        ).assign(as_of_ts=moment)
        for moment in wanted["as_of_ts"]
    ]
    assert differences(wanted, pd.concat(known), ["as_of_ts"], TOLERANCE) == []


def test_the_series_of_export_changes(published: Sandbox, acceptance: Path) -> None:
    """Every period as last revised; January and February only as a pool."""
    found = published.query(
        """
        select * from marts.exports_monthly where period_end >= '2025-01-01'
        qualify row_number() over (partition by period_end order by vintage_no desc) = 1
        """
    )
    wanted = expected(acceptance, "D_exports_yoy_series")
    assert differences(wanted, found, ["period_end"], TOLERANCE) == []
    assert len(found) == len(wanted)


def test_nothing_of_the_inputs_is_lost_or_put_aside(published: Sandbox, acceptance: Path) -> None:
    lake, inputs = published.open().lake, acceptance / "inputs"
    for dataset in ("prices", "stocks", "off_warrant", "exports", "rates", "power"):
        given = [pd.read_csv(inputs / f"{name}.csv") for file, name in INPUTS.items() if file.startswith(f"{dataset}/")]
        stored = lake.read(dataset)
        assert len(stored) == sum(map(len, given)), dataset
        assert set(stored["source"]) == {"drop"}
        stated = pd.concat(given)
        if "knowledge_ts" in stated:
            at = set(pd.to_datetime(stated["knowledge_ts"].dropna(), utc=True))
            assert at <= set(stored["knowledge_ts"]), dataset
    assert published.open().quarantine.counts() == {}


def test_no_row_knows_more_than_its_decision_time(published: Sandbox) -> None:
    [found] = published.query(
        """
        select count(*) filter (where knowledge_ts_max > as_of_ts) as late, max(as_of_ts) as last_decision
        from marts.tightness_daily
        """
    ).itertuples()
    assert found.late == 0
    assert found.last_decision == pd.Timestamp("2026-02-11T18:00:00Z"), "the last one in London before the clock"


def test_the_comparison_can_fail(acceptance: Path) -> None:
    wanted = expected(acceptance, "C_visible_stock")
    other = wanted.assign(visible_t=wanted["visible_t"] + 1e-5)
    assert len(differences(wanted, other, ["period_end"], TOLERANCE)) == len(wanted)
    assert differences(wanted, wanted.drop(columns="visible_t"), ["period_end"], TOLERANCE)
    assert differences(wanted, wanted.iloc[1:], ["period_end"], TOLERANCE)
    assert differences(wanted, wanted.fillna({"offwarrant_yoy": 0}), ["period_end"], TOLERANCE)
