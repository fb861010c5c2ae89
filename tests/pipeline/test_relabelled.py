"""Jumps of registered stock that are metal put on warrant, not metal that arrived: what is known of them, and when."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pandas as pd
import pytest
from compiled import build, content, needed_for
from sandbox import Sandbox

from pipelines.common.calendar import calendar_end
from pipelines.warehouse.dbt import write_reference

pytestmark = pytest.mark.slow
NOW = "2025-03-14T20:00:00Z"
DAYS = [day.strftime("%Y-%m-%d") for day in pd.bdate_range("2025-01-06", "2025-03-07")]
JUMP = 30  # position of the day with the jump: 2025-02-17


def relabelled(
    root: Path, cancelled: list[float | None], off_warrant: pd.DataFrame | None = None, jump: int = JUMP
) -> dict[str, object]:
    """The flag by decision day of a market whose stock rises from 400 to 600 kt in a day, each close known at noon."""
    sandbox = Sandbox(root, "drop", NOW)
    sandbox.set_parameters(stock_chg_obs=3)
    known = [f"{day}T12:00:00Z" for day in DAYS]
    sandbox.drop(
        "prices/own.csv", pd.DataFrame({"metal": "AL", "obs_date": DAYS, "cash_usd_t": 2600, "m3_usd_t": 2610})
    )
    total = [400_000.0] * jump + [600_000.0] * (len(DAYS) - jump)
    stocks = {"metal": "AL", "obs_date": DAYS, "knowledge_ts": known, "total_t": total, "cancelled_t": cancelled}
    sandbox.drop("stocks/own.csv", pd.DataFrame(stocks))
    datasets = ["prices", "stocks"]
    if off_warrant is not None:
        sandbox.drop("off_warrant/own.csv", off_warrant.assign(metal="AL", registered_month_end_t=600_000.0))
        datasets.append("off_warrant")
    sandbox.ingest(("2025-01", "2025-03"), datasets)
    workspace, end = sandbox.open(), calendar_end(pd.Timestamp(NOW)).date()
    write_reference(workspace.reference, workspace.paths.reference_copies, end, date(2025, 1, 1))
    only = needed_for("inventory_daily")
    with build(workspace.lake.root, workspace.paths.reference_copies, NOW, only=only) as built:
        daily = content(built, "marts.inventory_daily").to_pandas(date_as_object=False).sort_values("as_of_date")
    assert (daily["knowledge_ts_max"].dropna() <= pd.Timestamp(NOW)).all()
    flags = daily["relabelled"].astype(object).where(daily["relabelled"].notna(), None)
    return dict(zip(daily["as_of_date"].dt.strftime("%Y-%m-%d"), flags, strict=True))


def month_ends(february: float, known: str) -> pd.DataFrame:
    """January at 300 kt; February's figure becomes known on a day, as no exchange would publish it."""
    known_from = ["2025-02-03T12:00:00Z", f"{known}T12:00:00Z"]
    return pd.DataFrame(
        {"period_end": ["2025-01-31", "2025-02-28"], "offwarrant_t": [300_000.0, february], "knowledge_ts": known_from}
    )


def test_cancellations_that_are_taken_back_say_so_at_once(tmp_path: Path) -> None:
    half = [200_000.0] * JUMP
    taken_back = [*half, *[150_000.0] * (len(DAYS) - JUMP)]  # a quarter of the jump
    flags = relabelled(tmp_path / "taken_back", taken_back)
    assert flags[DAYS[2]] is None, "three changes are not known yet"
    assert [flags[day] for day in DAYS[JUMP - 1 : JUMP + 4]] == [False, True, True, True, False]
    less = [*half, *[150_100.0] * (len(DAYS) - JUMP)]
    flags = relabelled(tmp_path / "less", less)
    assert [flags[day] for day in DAYS[JUMP - 1 : JUMP + 4]] == [False, None, None, None, False]


@pytest.mark.parametrize(("february", "verdict"), [(250_000.0, True), (250_100.0, False), (320_000.0, False)])
def test_off_warrant_stock_of_the_month_decides_from_when_it_is_known(
    tmp_path: Path, february: float, verdict: bool
) -> None:
    """A jump of 2025-02-27, and a month-end that is known on the next day."""
    late = DAYS.index("2025-02-27")
    flags = relabelled(tmp_path, [None] * len(DAYS), month_ends(february, "2025-02-28"), late)
    assert [flags[day] for day in DAYS[late - 1 : late + 4]] == [False, None, verdict, verdict, False]
