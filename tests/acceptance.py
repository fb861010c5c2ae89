"""The acceptance fixture as a market of a user's files, and its expected tables in the product's names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import pandas as pd
from sandbox import Sandbox

TOLERANCE: Final = 1.1e-6  # the expected values are rounded to 6 decimals
INPUTS: Final = {
    "prices/daily.csv": "prices_daily",
    "prices/year_ago.csv": "prices_year_ago",
    "stocks/lme.csv": "lme_stocks_daily",
    "off_warrant/lme.csv": "offwarrant_monthly",
    "exports/cn.csv": "cn_exports_monthly",
    "rates/sofr.csv": "sofr_daily",
    "power/day_ahead.csv": "power_da_points",
}
# The fixture's name of a column and ours, where they differ; families are upper case in the fixture.
NAMES: Final = {
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


def publish_market(root: Path, acceptance: Path) -> Sandbox:
    """Run the fixture's inputs through the drop folder with the fixture's parameters, and publish."""
    params = json.loads((acceptance / "expected" / "expected.json").read_text())["params"]
    assert params["decision_time"] == "18:00:00Z", "London and UTC agree in the fixture's months"
    sandbox = Sandbox(root, "drop", "2026-02-12T00:00:00Z")
    same = ["day_count", "rent_usd_t_day", "financing_spread", "consumption_t_per_year", "stock_chg_obs"]
    same += ["yoy_max_staleness_days", "rank_min_periods", "rank_window", "min_coverage", "mwh_per_t"]
    sandbox.set_parameters(**{name: params[name] for name in same}, rank_min_periods_monthly=params["rank_min_periods"])
    sandbox.set_parameters(level_up=params["level"]["up"], level_down=params["level"]["down"])
    for name, source in INPUTS.items():
        sandbox.drop(name, acceptance / "inputs" / f"{source}.csv")
    days = ["2025-10-24", "2026-01-12"]  # the last fixings before each auction
    sandbox.drop("fx/ecb.csv", pd.DataFrame({"pair": "EURUSD", "obs_date": days, "rate": params["eurusd"]}))
    sandbox.run()
    return sandbox


def expected(acceptance: Path, name: str) -> pd.DataFrame:
    """An expected table with the product's column names."""
    frame = pd.read_csv(acceptance / "expected" / f"{name}.csv")
    return frame.rename(columns={theirs: ours for theirs, ours in NAMES.items() if theirs in frame})
