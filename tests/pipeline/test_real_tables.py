"""Seventeen years of real tables through the drop folder: what history knows must show, defects do no harm."""

from __future__ import annotations

from pathlib import Path

import holidays
import numpy as np
import pandas as pd
import pytest
from support import Place

pytestmark = pytest.mark.slow
NOW = "2025-06-30T22:00:00Z"


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory, real: Path) -> Place:
    tables = real / "tables"
    stocks = pd.read_csv(tables / "lme_stocks_daily.csv")
    months = pd.read_csv(tables / "lme_cancelled_monthend.csv")
    stocks["month"] = stocks["obs_date"].str[:7]
    # The month's figure belongs to its last day with that very total; a partial month that fits none is left out.
    figures = stocks.merge(months.rename(columns={"total_t": "said_t"}), on=["metal", "month"])
    figures = figures[figures["total_t"] == figures["said_t"]].drop_duplicates("month", keep="last")
    stocks = stocks.merge(figures[["metal", "obs_date", "cancelled_t"]], on=["metal", "obs_date"], how="left")
    stocks = stocks[stocks["total_t"].notna()]
    assert stocks["cancelled_t"].notna().sum() > 110

    place = Place(tmp_path_factory.mktemp("real"), "drop", NOW)
    place.set_max_age(cancelled_ratio=45)  # cancelled warrants are known by the month here
    place.drop("prices/lme.csv", tables / "lme_prices_daily.csv")
    place.drop("stocks/lme.csv", stocks[["metal", "obs_date", "total_t", "cancelled_t"]])
    place.drop("rates/sofr.csv", tables / "sofr_daily.csv")
    place.run()
    return place


@pytest.fixture(scope="module")
def daily(market: Place) -> pd.DataFrame:
    return market.query("select * from marts.tightness_daily order by as_of_date").set_index("as_of_date")


def test_there_is_a_row_for_every_london_business_day(daily: pd.DataFrame) -> None:
    closed = holidays.country_holidays("GB", subdiv="ENG", years=range(2008, 2026))
    days = [day for day in pd.date_range("2008-01-02", "2025-06-30", freq="B") if day not in closed]
    assert daily.index.tolist() == days


def test_the_index_is_there_once_enough_families_are_known(daily: pd.DataFrame) -> None:
    # The first SOFR, of 2018-04-03, was known a day later, a score needs 252 days; exports are not among these tables.
    first = daily.loc["2018-04-04":].index[251]
    assert daily.loc[:first, "tightness_index"].isna().tolist() == [True] * (len(daily.loc[:first]) - 1) + [False]
    assert daily.loc[first:, "tightness_index"].notna().all()
    assert (daily.loc[first:, "coverage"] == 0.8).all()


def test_what_history_knows_shows(daily: pd.DataFrame) -> None:
    # The warehouse queues of 2014 and 2015: half of the stock was booked to leave.
    assert daily.loc["2014-09":"2015-04", "cancelled_ratio"].median() > 0.5
    assert daily.loc["2017-06":"2018-06", "cancelled_ratio"].median() < 0.35
    # The draw of 2021: stock fell by a third and more from its spring high.
    assert daily.loc["2021-12", "stock_days"].mean() < 0.65 * daily.loc["2021-03", "stock_days"].mean()
    # March 2022: the highest price of all these years, and the curve with it.
    assert daily["m3_usd_t"].idxmax().strftime("%Y-%m") == "2022-03"
    assert daily.loc["2022-02-14":"2022-03-07", "score_carry_tightness"].median() > 0.95
    assert daily.loc["2022-02-14":"2022-03-07", "tightness_index"].mean() > 70
    assert daily.loc["2009", "carry_tightness"].isna().all()  # no rate, no carry


def test_known_defects_of_the_source_do_no_harm(market: Place, daily: pd.DataFrame) -> None:
    prices = market.query("select * from marts.price_daily").set_index("obs_date")
    # Three months blank for four months in 2008: the spread is missing, and so is the year-on-year change.
    blank = prices.loc["2008-02-20":"2008-06-16"]
    assert len(blank) > 70
    assert blank["m3_usd_t"].isna().all()
    assert blank["cash_3m_spread_usd_t"].isna().all()
    assert daily.loc["2008-03-03":"2008-06-16", "cash_3m_spread_usd_t"].isna().all()
    # A typo in three months (2339 for 2639): it stays visible, as published.
    assert prices.loc["2008-01-30", "cash_3m_spread_usd_t"] == pytest.approx(292)
    # A row on a Saturday is a price of that day, but no day of decision.
    assert pd.Timestamp("2008-11-08") in prices.index
    assert pd.Timestamp("2008-11-08") not in daily.index
    # Blanks are missing, never zero and never filled under another day's name.
    assert np.isnan(prices.loc["2011-10-13", "m3_usd_t"])
    stocks = market.open().lake.read("stocks").set_index("obs_date")
    assert pd.Timestamp("2017-05-25") not in stocks.index
    assert daily.loc["2017-05-26", "stock_obs_date"] == pd.Timestamp("2017-05-24")


def test_legitimate_jumps_pass(market: Place) -> None:
    stocks = market.open().lake.read("stocks").set_index("obs_date")["total_t"]
    assert stocks["2024-05-10"] / stocks["2024-05-09"] > 1.8
    prices = market.query("select obs_date, cash_usd_t from marts.price_daily").set_index("obs_date")["cash_usd_t"]
    assert prices["2022-03-08"] / prices["2022-03-07"] < 0.9
    assert market.open().quarantine.counts() == {}
