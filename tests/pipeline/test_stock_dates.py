"""Days of stocks: publishers list a close under the day of its report, a user's file has the day of the close."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from sandbox import Sandbox

pytestmark = pytest.mark.slow


def test_a_users_december_overrides_the_report_of_january_that_has_its_last_close(tmp_path: Path) -> None:
    """The report of 2026-01-02 has the close of 2025-12-31, a day of the user's month."""
    sandbox = Sandbox(tmp_path, "demo", "2026-01-14T20:00:00Z")
    december = pd.bdate_range("2025-12-01", "2025-12-31").difference(pd.to_datetime(["2025-12-25", "2025-12-26"]))
    own = pd.DataFrame({"metal": "AL", "obs_date": december.strftime("%Y-%m-%d"), "total_t": 1_000_000.0})
    sandbox.drop("stocks/own.csv", own)
    sandbox.run_compiled(("2025-11", "2026-01"), ("prices", "stocks"))
    daily = sandbox.query("select * from marts.inventory_daily").set_index("as_of_date")
    for as_of, close in [("2025-12-31", "2025-12-30"), ("2026-01-02", "2025-12-31"), ("2026-01-05", "2025-12-31")]:
        assert (daily.loc[as_of, "stock_obs_date"], daily.loc[as_of, "total_t"]) == (pd.Timestamp(close), 1_000_000)
    # The publisher's first close after it is in the report of the 5th, which the free page has a day later.
    assert daily.loc["2026-01-06", "stock_obs_date"] == pd.Timestamp("2026-01-02")
    assert daily.loc["2026-01-06", "total_t"] < 1_000_000
    assert daily.loc["2026-01-06", "knowledge_ts_max"] == pd.Timestamp("2026-01-06T09:00Z")
