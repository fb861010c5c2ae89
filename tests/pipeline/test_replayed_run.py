"""Recorded real responses through a whole run: the publishers' rows are stored one for one, what is not recorded is no
data and no failure, and the same run again writes nothing."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path

import pandas as pd
import pytest
from python_calamine import CalamineWorkbook
from sandbox import Sandbox

from pipelines.sources import SOURCES
from pipelines.warehouse.dbt import CALENDAR_START

MONTHS = ("2020-01", "2024-12")
YEARS = range(2020, 2025)
ROW = re.compile(
    r"<tr>\s*<td\s*>(\d+\. \w+ \d{4})</td>\s*<td\s*>([^<]*)</td>\s*<td\s*>([^<]*)</td>\s*<td[^>]*>([^<]*)</td>"
)
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def sandbox(real: Path, tmp_path_factory: pytest.TempPathFactory) -> Sandbox:
    """A run over the recordings."""
    sandbox = Sandbox(tmp_path_factory.mktemp("replay"), "replay", "2025-06-30T22:00:00Z", CALENDAR_START)
    (sandbox.root / "replay").symlink_to(real / "payloads")
    sandbox.run_compiled(MONTHS)
    return sandbox


@pytest.fixture(scope="module")
def written(real: Path) -> pd.DataFrame:
    """The pages' rows as a regular expression sees them."""
    pages = [(real / "payloads" / "westmetall" / f"westmetall_lme_al_{year}.html").read_text() for year in YEARS]
    rows = [match.groups() for page in pages for match in ROW.finditer(page)]
    days = sum(len(re.findall(r">\d{1,2}\. [A-Z][a-z]+ \d{4}<", page)) for page in pages)
    assert len(rows) == days > 1250, "the expression misses rows"
    frame = pd.DataFrame(rows, columns=["day", "cash", "m3", "stock"])
    frame["day"] = [datetime.strptime(day, "%d. %B %Y") for day in frame["day"]]  # noqa: DTZ007 -- a day has no zone
    for column in ("cash", "m3", "stock"):
        frame[column] = pd.to_numeric(frame[column].str.replace(",", ""), errors="coerce")
    return frame.sort_values("day").reset_index(drop=True)


def test_every_price_and_stock_of_the_pages_is_in_the_lake(sandbox: Sandbox, written: pd.DataFrame) -> None:
    lake = sandbox.open().lake
    prices = lake.read("prices").sort_values("obs_date")
    assert prices["obs_date"].tolist() == written["day"].tolist()
    assert prices["cash_usd_t"].tolist() == written["cash"].tolist()
    assert prices["m3_usd_t"].tolist() == written["m3"].tolist()
    stocks = lake.read("stocks").sort_values("obs_date")
    given = written.dropna(subset="stock")
    assert stocks["obs_date"].tolist() == given["day"].tolist()
    assert stocks["total_t"].tolist() == given["stock"].tolist()
    assert set(prices["source"]) | set(stocks["source"]) == {"westmetall"}
    assert set(prices["licence_class"]) == {"BYO"}
    # Ember has 36 country-days twice, with two means.
    assert sandbox.open().quarantine.counts() == {"benchmark_power": 36}


def test_prices_of_a_free_page_are_known_the_next_business_day(sandbox: Sandbox) -> None:
    """No as-of row uses the price of its own day."""
    [found] = sandbox.query(
        """
        select
            count(*) as days, count(*) filter (where price_obs_date >= as_of_date) as too_early,
            count(*) filter (where stock_obs_date >= as_of_date) as stock_too_early
        from marts.tightness_daily where as_of_date between '2020-02-01' and '2024-12-31'
        """
    ).itertuples()
    assert found.days > 1200
    assert (found.too_early, found.stock_too_early) == (0, 0)


def test_the_stock_of_a_row_is_that_of_the_close_before(sandbox: Sandbox, written: pd.DataFrame) -> None:
    """903,850 t was the stock of Thursday, 2024-05-09 (Reuters, 2024-05-10); the page has it in Friday's row, which is
    known on Monday. The last stock of a year is in the first row of the next page."""
    daily = sandbox.query("select * from marts.inventory_daily").set_index("as_of_date")
    for as_of, close, total in [
        ("2024-05-10", "2024-05-08", 479_850),
        ("2024-05-13", "2024-05-09", 903_850),
        ("2024-01-02", "2023-12-28", 549_050),
        ("2024-01-03", "2023-12-29", 566_375),
    ]:
        assert (daily.loc[as_of, "stock_obs_date"], daily.loc[as_of, "total_t"]) == (pd.Timestamp(close), total)
    rows = written.dropna(subset="stock").set_index("day")["stock"]
    days = daily.index.intersection(rows.index)
    assert (daily.loc[days, "total_t"] == rows.shift()[days]).mean() > 0.99, "the row before is the last one known"


def benchmark(sandbox: Sandbox, name: str) -> pd.DataFrame:
    stored = sandbox.open().lake.read("benchmark_prices")
    return stored[stored["benchmark"] == name]


def test_the_pink_sheet_lands_month_for_month(sandbox: Sandbox, real: Path) -> None:
    # By another library than the parser's.
    book = CalamineWorkbook.from_path(str(real / "payloads" / "worldbank" / "CMO-Historical-Data-Monthly.xlsx"))
    rows = book.get_sheet_by_name("Monthly Prices").to_python()
    [at] = {row.index("Aluminum") for row in rows if "Aluminum" in row}
    wanted = {row[0]: row[at] for row in rows if re.fullmatch(r"202[0-4]M\d\d", str(row[0]))}
    stored = benchmark(sandbox, "WORLD_BANK")
    assert dict(zip(stored["period_end"].dt.strftime("%YM%m"), stored["mean_usd_t"], strict=True)) == wanted
    assert len(wanted) == 60


def test_the_daily_prices_agree_with_the_world_banks_months(sandbox: Sandbox, real: Path) -> None:
    """Two publishers of one market: rounded 0.2 % apart on average, at most 1.13 % in any month."""
    lake = sandbox.open().lake
    prices = lake.read("prices")
    daily = prices.groupby(prices["obs_date"].dt.to_period("M"))["cash_usd_t"].mean()
    bank = benchmark(sandbox, "WORLD_BANK")
    apart = (daily / bank.set_index(bank["period_end"].dt.to_period("M"))["mean_usd_t"] - 1).abs()
    assert len(apart.dropna()) == 60
    assert apart.mean() < 0.0025
    assert apart.max() < 0.0114


def test_one_recorded_day_of_power_is_a_day(sandbox: Sandbox) -> None:
    power = sandbox.open().lake.read("power")
    assert power["delivery_date"].astype(str).unique().tolist() == ["2024-12-08"]
    assert power["position"].tolist() == list(range(1, 25))


def test_a_request_without_a_recording_is_no_data(sandbox: Sandbox) -> None:
    lake, failures = sandbox.open().lake, sandbox.open().failures.read()
    assert failures == []
    assert {name for name in ("rates", "exports", "fx", "off_warrant") if len(lake.read(name))} == set()
    receipts = {path.parent.name for path in (sandbox.data / "raw").glob("*/receipts.jsonl")}
    assert receipts == set(SOURCES) - {"shfe"}, "all but Shanghai, whose reports begin in November 2025"


def test_the_same_run_again_writes_no_file(sandbox: Sandbox) -> None:
    before, published = sandbox.stored(), sandbox.published()
    again = sandbox.ingest(MONTHS)
    assert again.failures == []
    assert sum(report.payloads for report in again.fetched.values()) >= 7
    sandbox.build()
    assert sandbox.publish().unchanged
    assert sandbox.stored().keys() == before.keys()
    assert sandbox.published() == published
