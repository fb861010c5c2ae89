"""Recorded answers of real publishers through the whole way into the lake, checked by other means than our parsers."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest
from support import Place

pytestmark = pytest.mark.slow
MONTHS = ("2020-01", "2024-12")
CELL = re.compile(r"<td[^>]*>\s*([^<]*?)\s*</td>")


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory, real: Path) -> Place:
    place = Place(tmp_path_factory.mktemp("replay"), "replay", "2025-01-10T12:00:00Z")
    for path in sorted((real / "payloads").rglob("*.*")):
        place.record(path.relative_to(real / "payloads").as_posix(), path)
    return place


def page_rows(page: Path) -> list[list[str]]:
    """Every table row of a page as its cells, by regular expression alone."""
    rows = re.findall(r"<tr[^>]*>(.*?)</tr>", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    return [cells for row in rows if len(cells := CELL.findall(row)) == 4 and re.match(r"\d+\. ", cells[0])]


def test_every_row_of_every_page_is_in_the_lake_cell_for_cell(replayed: Place, real: Path) -> None:
    ingested = replayed.ingest(MONTHS, ["prices", "stocks", "spreads"])
    assert ingested.failures == []
    pages = [page_rows(page) for page in sorted((real / "payloads" / "westmetall").glob("*.html"))]
    said = pd.DataFrame([cells for page in pages for cells in page], columns=["day", "cash", "m3", "stock"])
    said["day"] = pd.to_datetime(said["day"], format="%d. %B %Y")
    for name in ("cash", "m3", "stock"):
        said[name] = pd.to_numeric(said[name].str.replace(",", ""))
    said = said.sort_values("day").reset_index(drop=True)
    assert len(said) > 1200

    lake = replayed.open().lake
    prices = lake.read("prices").sort_values("obs_date").reset_index(drop=True)
    assert prices["obs_date"].tolist() == said["day"].tolist()
    assert prices["cash_usd_t"].tolist() == said["cash"].tolist()
    assert prices["m3_usd_t"].tolist() == said["m3"].tolist()
    stocks = lake.read("stocks").sort_values("obs_date")
    assert stocks["total_t"].tolist() == said["stock"].dropna().tolist()
    spreads = lake.read("spreads").sort_values("obs_date")
    assert spreads["usd_t"].tolist() == (said["cash"] - said["m3"]).tolist()
    assert set(prices["licence_class"]) == {"BYO"}
    # A free page shows a day on the next business day: nothing was known on its own day.
    assert (prices["knowledge_ts"].dt.tz_localize(None) > prices["obs_date"] + pd.Timedelta(hours=24)).all()


def test_what_is_not_recorded_is_no_data_and_no_failure(replayed: Place) -> None:
    ingested = replayed.ingest(MONTHS)
    assert ingested.failures == []
    assert ingested.fetched["nyfed"].payloads == ingested.fetched["customs"].payloads == 0
    assert ingested.fetched["worldbank"].payloads == 1
    assert len(replayed.open().lake.read("benchmark_prices")) == 60
    power = replayed.open().lake.read("power")
    assert set(power["delivery_date"].dt.strftime("%Y-%m-%d")) == {"2024-12-08"}
    assert len(power) == 24


def test_the_same_recording_again_writes_nothing(replayed: Place) -> None:
    replayed.ingest(MONTHS)
    before = replayed.stored()
    replayed.ingest(MONTHS)
    assert replayed.stored() == before


def test_world_bank_months_are_the_means_of_the_daily_prices(replayed: Place) -> None:
    replayed.ingest(MONTHS, ["prices", "benchmark_prices"])
    lake = replayed.open().lake
    prices = lake.read("prices")
    daily = prices.groupby(prices["obs_date"].dt.to_period("M"))["cash_usd_t"].mean()
    bank = lake.read("benchmark_prices")
    monthly = bank.set_index(bank["period_end"].dt.to_period("M"))["mean_usd_t"]
    apart = (monthly / daily - 1).abs().dropna()
    assert len(apart) == 60
    assert apart.mean() < 0.003
    assert apart.max() < 0.02
