"""Seventeen years of real tables through the drop folder: the days are complete, the known defects of the sources are
handled, and the marts show the events of those years."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import holidays
import pandas as pd
import pytest
from sandbox import Sandbox

from benchmarks.episodes import LEFT_OUT, effective_rates, stocks_with_cancelled

NOW = "2025-06-30T22:00:00Z"
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def sandbox(real: Path, tmp_path_factory: pytest.TempPathFactory) -> Sandbox:
    sandbox = Sandbox(tmp_path_factory.mktemp("real"), "drop", NOW)
    sandbox.set_max_age(cancelled_ratio=45)
    sandbox.drop("prices/lme.csv", real / "tables" / "lme_prices_daily.csv")
    stocks = stocks_with_cancelled(real / "tables")
    assert stocks["cancelled_t"].count() > 100, "most month-ends match"
    sandbox.drop("stocks/lme.csv", stocks)
    sandbox.drop("rates/sofr.csv", real / "tables" / "sofr_daily.csv")
    sandbox.drop("rates/effr.csv", effective_rates(real / "tables"))
    closes = pd.read_csv(real / "tables" / "equity_aa_daily.csv").rename(columns={"adj_close_usd": "close_usd"})
    sandbox.drop("equities/aa.csv", closes)
    ingested = sandbox.ingest()
    assert ingested.failures == []
    sandbox.build_compiled()
    sandbox.publish()
    return sandbox


@pytest.fixture(scope="module")
def daily(sandbox: Sandbox) -> pd.DataFrame:
    return sandbox.query("select * from marts.tightness_daily order by as_of_date").set_index("as_of_date")


def row_of(sandbox: Sandbox, table: str, day: str, column: str = "obs_date") -> pd.Series:
    rows = sandbox.query(f"select * from marts.{table} where {column} = ?", day)
    assert len(rows) == 1, f"{table} has {len(rows)} rows for {day}"
    return rows.iloc[0]


# --- complete


def test_every_london_business_day_has_one_row(daily: pd.DataFrame) -> None:
    closed = holidays.country_holidays("GB", subdiv="ENG", years=range(2008, 2026))
    days = [day for day in pd.bdate_range("2008-01-02", "2025-06-30") if day.date() not in closed]
    assert daily.index.tolist() == days
    assert daily.index[-1].date() == date(2025, 6, 30), "18:00 in London has passed at the clock's 22:00Z"


def test_every_row_of_the_tables_is_stored_or_quarantined(sandbox: Sandbox, real: Path) -> None:
    lake = sandbox.open().lake
    prices = pd.read_csv(real / "tables" / "lme_prices_daily.csv")
    stored = lake.read("prices").assign(obs_date=lambda rows: rows["obs_date"].dt.strftime("%Y-%m-%d"))
    pd.testing.assert_frame_equal(stored[list(prices)], prices, check_dtype=False)
    stocks = pd.read_csv(real / "tables" / "lme_stocks_daily.csv")
    quarantined = sandbox.open().quarantine.read("stocks")
    assert len(lake.read("stocks")) == stocks["total_t"].count() - len(LEFT_OUT)
    assert len(quarantined) == stocks["total_t"].isna().sum() == 2
    assert quarantined["reason"].str.contains("total_t=null breaks not null").all()
    assert sandbox.open().quarantine.counts() == {"stocks": 2}


# --- known defects


def test_a_blank_three_month_price_is_never_filled(sandbox: Sandbox, daily: pd.DataFrame, real: Path) -> None:
    """Blank from 2008-02-20 to 2008-06-16: cash is there, spread and carry are not."""
    prices = sandbox.query("select * from marts.price_daily where obs_date between '2008-02-20' and '2008-06-16'")
    given = pd.read_csv(real / "tables" / "lme_prices_daily.csv").query("'2008-02-20' <= obs_date <= '2008-06-16'")
    assert prices["cash_usd_t"].tolist() == given["cash_usd_t"].tolist()
    assert prices["cash_usd_t"].notna().all()
    assert prices[["m3_usd_t", "cash_3m_spread_usd_t"]].isna().all().all()
    assert not prices["backwardation_sustained"].any()
    blank = daily.loc["2008-02-20":"2008-06-16"]
    assert blank["cash_usd_t"].notna().all()
    assert blank[["m3_usd_t", "cash_3m_spread_usd_t", "basis_ann", "carry_tightness"]].isna().all().all()
    assert daily.loc["2008-02-19", "m3_usd_t"] == 2846.5
    assert pd.notna(daily.loc["2008-06-17", "m3_usd_t"])


def test_a_typing_error_of_the_source_is_published_unchanged_and_suspect(sandbox: Sandbox, daily: pd.DataFrame) -> None:
    """Cash 2,631 against three months 2,339 (2008-01-30), between 2,592 and 2,685. It is the only suspect price: not
    October 2008, not March 2022."""
    row = row_of(sandbox, "price_daily", "2008-01-30")
    assert (row["cash_usd_t"], row["m3_usd_t"], row["cash_3m_spread_usd_t"]) == (2631, 2339, 292)
    suspect = sandbox.query("select obs_date from marts.price_daily where is_suspect")["obs_date"]
    assert suspect.tolist() == [pd.Timestamp("2008-01-30")]
    quality = sandbox.query(
        "select as_of_date, signal_id, quality from signals.signals where signal_id in ('AL.CURVE.CASH_3M_SPREAD', "
        "'AL.CURVE.BACKWARDATION', 'AL.CURVE.SPREAD_UNWIND', 'AL.PRICE.YOY') and quality = 'SUSPECT'"
    )
    days = quality.groupby("signal_id")["as_of_date"].agg(lambda days: [f"{day:%Y-%m-%d}" for day in sorted(days)])
    # Not on its own day, before the next price is known. Then as one of five prices, and as a base a year later.
    window = ["2008-01-31", "2008-02-01", "2008-02-04", "2008-02-05"]
    assert days.to_dict() == {
        "AL.CURVE.BACKWARDATION": window,
        "AL.CURVE.SPREAD_UNWIND": window,
        "AL.PRICE.YOY": ["2009-01-30"],
    }
    spreads = daily.loc["2008-01-02":"2008-02-19", "cash_3m_spread_usd_t"]
    assert spreads.idxmax() == pd.Timestamp("2008-01-30")
    assert spreads.drop(pd.Timestamp("2008-01-30")).max() < 30


def test_a_saturday_of_the_source_is_a_price_but_no_decision_day(sandbox: Sandbox, daily: pd.DataFrame) -> None:
    assert row_of(sandbox, "price_daily", "2008-11-08")["cash_usd_t"] == 1956
    assert pd.Timestamp("2008-11-08") not in daily.index
    assert daily.loc["2008-11-10", "price_obs_date"] == pd.Timestamp("2008-11-10")


def test_a_day_on_which_london_is_closed_but_the_exchange_quotes(sandbox: Sandbox, daily: pd.DataFrame) -> None:
    """The Queen's funeral, 2022-09-19: the price is there for the next decision time."""
    assert row_of(sandbox, "price_daily", "2022-09-19")["cash_usd_t"] > 2000
    assert pd.Timestamp("2022-09-19") not in daily.index


def test_a_blank_stock_carries_the_one_before_with_its_date(daily: pd.DataFrame) -> None:
    """Blank in the reports of 2011-10-13 and 2017-05-25, of the closes before; a stock is known the next morning."""
    for day, after in [("2011-10-12", "2011-10-13"), ("2017-05-24", "2017-05-25")]:
        row, before = daily.loc[after], daily.loc[day]
        assert row["stock_obs_date"] == before["stock_obs_date"] < pd.Timestamp(day)
        assert row["total_t"] == before["total_t"] > 0
    assert pd.isna(daily.loc["2011-10-13", "m3_usd_t"])
    assert daily.loc["2011-10-13", "cash_usd_t"] == 2178


def test_real_jumps_pass(sandbox: Sandbox, daily: pd.DataFrame) -> None:
    """Stock +88 % in a day (2024-05-09, reported on the 10th), cash -12 % in a day (2022-03-08)."""
    stock = daily.loc["2024-05-10", ["stock_obs_date", "total_t", "stock_days"]]
    assert stock["stock_obs_date"] == pd.Timestamp("2024-05-09")
    assert stock["total_t"] / daily.loc["2024-05-09", "total_t"] == pytest.approx(903_850 / 479_850)
    assert stock["stock_days"] == pytest.approx(903_850 / (70_593_000 / 365))
    assert row_of(sandbox, "price_daily", "2022-03-08")["cash_usd_t"] / row_of(sandbox, "price_daily", "2022-03-07")[
        "cash_usd_t"
    ] == pytest.approx(3500.5 / 3984.5)


# --- known events


def test_cancelled_warrants_are_high_in_the_queues_of_2014_and_2015(daily: pd.DataFrame) -> None:
    """More than half of the registered metal was booked to leave."""
    ratios = daily.loc["2014-09-01":"2015-02-27", "cancelled_ratio"]
    assert ratios.notna().all(), "a month-end is carried to the next one"
    assert ratios.min() > 0.5
    # In the report of Friday, 2014-08-29: 2,522,675 t of 4,803,425 t.
    assert pd.isna(daily.loc["2014-08-28", "cancelled_ratio"])
    assert daily.loc["2014-08-29", "cancelled_ratio"] == pytest.approx(2_522_675 / 4_803_425)
    # At the end of September 2,590,825 t of 4,620,175 t.
    assert daily.loc["2014-09-30", "cancelled_ratio"] == pytest.approx(2_590_825 / 4_620_175)
    assert daily.loc["2019", "cancelled_ratio"].median() < daily.loc["2014-08":"2015-06", "cancelled_ratio"].median()


def test_the_stock_that_ran_down_through_2021(daily: pd.DataFrame) -> None:
    days = daily.loc["2021-04":"2022-06", "stock_days"].resample("QE").mean()
    assert days.is_monotonic_decreasing
    assert days.iloc[-1] < days.iloc[0] / 2


def test_the_price_spike_of_march_2022(sandbox: Sandbox, daily: pd.DataFrame) -> None:
    highest = sandbox.query(
        "select obs_date, m3_usd_t from marts.price_daily order by m3_usd_t desc nulls last limit 1"
    )
    assert highest["obs_date"][0] == pd.Timestamp("2022-03-07")
    assert highest["m3_usd_t"][0] == 3968
    spike = daily.loc["2022-02-10":"2022-03-07"]
    assert (spike["cash_3m_spread_usd_t"] > 0).mean() > 0.9, "the market was in backwardation"
    assert spike["carry_tightness"].min() > daily.loc["2020-04":"2020-12", "carry_tightness"].max()
    assert spike["score_carry_tightness"].median() > 0.95
    assert set(spike["regime"]) <= {"TIGHT", "SQUEEZE"}


def test_levels_of_2026_say_nothing_of_the_years_before(sandbox: Sandbox) -> None:
    """The levels were published on 2026-01-13: until then there is no state, rather than OFF or INSIDE."""
    states = sandbox.query("select count(level_state_5of5) + count(level_state_3of5) as n from marts.price_daily")
    assert states["n"].tolist() == [0]
    signals = sandbox.query(
        "select signal_id, quality, count(state) + count(value) as n, count(*) as days from signals.signals "
        "where signal_id like 'AL.PRICE.LEVEL%' or signal_id = 'AL.PRICE.THESIS_BROKEN' group by all"
    )
    assert set(signals["quality"]) == {"MISSING"}
    assert signals["n"].tolist() == [0, 0, 0]
    assert (signals["days"] > 4_300).all()


def test_the_regimes_of_known_episodes(daily: pd.DataFrame) -> None:
    """Where the press of those months was of one mind: the glut of 2020, the backwardation before the invasion of
    Ukraine and into March 2022, the drain of London's stock before the tariffs of March 2025."""
    assert (daily.loc["2020-04":"2020-09", "regime"] == "LOOSE").all()
    assert (daily.loc["2022-02", "regime"] == "SQUEEZE").all()
    assert daily.loc["2025-02-17":"2025-03-21", "tightness_index"].min() > 80
    assert (daily.loc["2013-07":"2013-10", "regime"] == "LOOSE").all(), "full contango"


def test_the_contango_of_2020_is_loose(daily: pd.DataFrame) -> None:
    covid = daily.loc["2020-05"]
    assert (covid["cash_3m_spread_usd_t"] < 0).all()
    assert covid["score_carry_tightness"].median() < 0.1


def test_the_index_begins_when_enough_history_is_known(daily: pd.DataFrame) -> None:
    """EFFR is there with the first prices; a score needs a year of carries. Weights renormalise, below 0.60 there is no
    index. Without exports CURVE and INVENTORY make 0.80."""
    priced = daily.dropna(subset=["cash_usd_t", "m3_usd_t"])
    assert priced["carry_tightness"].isna().tolist() == [True, *[False] * (len(priced) - 1)], "EFFR of 2007 is not kept"
    assert not daily["is_rate_stale"].any()
    chain = daily.groupby("rate_id")["rate_obs_date"].agg(["min", "max"]).astype(str)
    assert chain.loc["SOFR", "min"] == "2018-04-03" and chain.loc["EFFR", "max"] == "2018-04-02"
    counted = daily["carry_tightness"].dropna().drop(pd.Timestamp("2008-01-30"))
    first = daily["tightness_index"].first_valid_index()
    assert first == counted.index[251], "the 252nd carry that does not rest on the suspect price"
    assert daily.loc[:first, "tightness_index"].iloc[:-1].isna().all()
    later = daily.loc["2009-07-01":]
    assert later["tightness_index"].notna().mean() >= 0.97
    assert later["tightness_index"].dropna().between(0, 100).all()
    assert daily["exports_yoy_3m"].isna().all()


def test_a_missing_input_is_missing_and_never_zero(daily: pd.DataFrame) -> None:
    assert daily["visible_t"].isna().all()
    assert daily.loc[:"2014-07-30", "cancelled_ratio"].isna().all()
    assert (daily["total_t"].dropna() > 0).all()


# --- the article's claims, held against data that end half a year before it


def test_claims_on_real_data_are_explained_by_a_number_or_a_missing_one(sandbox: Sandbox) -> None:
    code, out, errors = sandbox.call("claims", "--json")
    assert code == 0, errors
    claims = {claim["claim_id"]: claim for claim in json.loads("\n".join(out))["claims"]}
    assert {claim["as_of_ts"] for claim in claims.values()} == {"2025-06-30T17:00:00Z"}
    # The drop folder has neither month-ends nor exports, output, power or costs. Bids are private: they have no metric.
    absent = {name for name, claim in claims.items() if claim["explanation"].startswith("no data")}
    assert absent == {
        "VISIBLE_STOCK", "VISIBLE_LOWEST_SINCE_2022", "OFF_WARRANT_DRAIN", "CN_EXPORTS_YTD", "CN_CAP",
        "POWER_BREAKEVEN", "US_PARITY",
    }  # fmt: skip
    unnamed = {name for name, claim in claims.items() if claim["explanation"].startswith("the claim names nothing")}
    assert unnamed == {"POWER_BIDS", "LOST_1", "LOST_2"}
    assert {claims[name]["status"] for name in absent | unnamed} == {"NOT_TESTABLE"}
    # These claims are about a later day; the latest known value is shown: the price of 2025-06-30, its yearly change.
    prices = sandbox.query("select * from marts.price_daily").set_index("obs_date")
    for name, column in (("PRICE_YOY", "m3_yoy"), ("PRICE_NEAR_3200", "m3_usd_t")):
        assert claims[name]["status"] == "DATA_NOT_YET_PUBLIC"
        assert claims[name]["evidence_obs_date"] == "2025-06-30"
        assert claims[name]["evidence_value"] == pytest.approx(prices[column].loc["2025-06-30"])
    spread = prices["cash_usd_t"].loc["2025-06-30"] - prices["m3_usd_t"].loc["2025-06-30"]
    assert claims["BACKWARDATION"]["evidence_value"] == pytest.approx(spread)
    assert claims["BACKWARDATION"]["status"] == ("SUPPORTED" if spread > 0 else "CONTRADICTED")
    for claim in claims.values():
        if claim["evidence_value"] is not None:
            assert claim["evidence_knowledge_ts"] <= claim["as_of_ts"], claim["claim_id"]


def test_alcoa_against_its_high_on_real_closes(sandbox: Sandbox, real: Path) -> None:
    """The last close known at 18:00 in London is that of the day before: New York closes later."""
    closes = pd.read_csv(real / "tables" / "equity_aa_daily.csv").set_index("obs_date")["adj_close_usd"][:"2025-06-27"]
    [found] = sandbox.query(
        "select value, obs_end_max from signals.signals_latest where signal_id = 'AL.EQUITY.AA_NEAR_HIGH'"
    ).itertuples()
    assert found.value == pytest.approx(closes.iloc[-1] / closes.iloc[-252:].max())
    assert found.obs_end_max == pd.Timestamp(closes.index[-1])
