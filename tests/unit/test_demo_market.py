"""The generated market: its figures against public ones, its responses against the clock, its defects against the list.

Responses are parsed here by separate code (regular expressions, json, csv, openpyxl, entsoe-py), never by the project's
parsers.
"""

from __future__ import annotations

import csv
import io
import json
import random
import re
import zipfile
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import openpyxl
import pandas as pd
import pytest
from entsoe.parsers import parse_prices

from pipelines.sources import SOURCES
from pipelines.sources.base import Exporter, Metal, NoData, Payload, Request, Scope, Zone
from pipelines.transports.demo import KNOWN_DEFECTS, Defect, DemoTransport, defects, market

SCOPE = Scope(
    (
        Metal(
            "AL",
            "Aluminium",
            "Al",
            "Aluminum",
            "PALUMUSDM",
            "(?i)unwrought alumini?um",
            "7601 7604 7605 7606 7607",
            "铝",
        ),
    ),
    (
        Zone("DE-LU", "10Y1001A1001A82H", "Europe/Berlin", "energy_charts"),
        Zone("FR", "10YFR-RTE------C", "Europe/Paris", "entsoe"),
    ),
    (Exporter("CN", "China", 156, "customs"), Exporter("CA", "Canada", 124, "comtrade")),
    ("AA", "RIO"),
    contracts=("191691", "191693"),
)
NOW = datetime(2026, 11, 23, 18, tzinfo=UTC)

# Yearly means of LME cash, USD/t, as published (2025 and 2026 as the demo's brief has them).
CASH_MEANS = {
    2008: 2573, 2009: 1665, 2010: 2173, 2011: 2401, 2012: 2023, 2013: 1847, 2014: 1867, 2015: 1665, 2016: 1604,
    2017: 1968, 2018: 2108, 2019: 1794, 2020: 1704, 2021: 2473, 2022: 2705, 2023: 2256, 2024: 2419, 2025: 2630,
    2026: 3150,
}  # fmt: skip
POWER_MEANS = {
    "DE-LU": (31, 29, 34, 44, 38, 30, 97, 235, 95, 79, 89, 90),
    "FR": (38, 37, 45, 50, 39, 32, 109, 276, 97, 58, 61, 60),
}
ZONES = {zone.zone: zone for zone in SCOPE.zones}


def request_of(source: str, period: str = "", entity: str = "SOFR") -> Request:
    """A request as the source module of that name makes it. `entity`: the rate."""
    name, entity = {
        "westmetall": (f"westmetall_lme_al_{period}.html", "AL"),
        "worldbank": ("CMO-Historical-Data-Monthly.xlsx", ""),
        "nyfed": (f"{entity.lower()}_{period}.json", entity),
        "fred": (f"{entity}.csv", entity),
        "ember": ("european_wholesale_electricity_price_data_daily.csv", ""),
        "energy_charts": (f"price_DE-LU_{period}.json", "DE-LU"),
        "entsoe": (f"A44_FR_{period}.xml", "FR"),
        "customs": (f"table13_{period}.html", ""),
        "ecb": (f"EXR_{period}.csv", ""),
        "jin10": ("lme_stock.json", ""),
        "cftc": ("191693.json", "191693"),
        "yahoo": (f"v8_chart_AA_1d_{period}.json", "AA"),
        "comtrade": (f"canada_x_7601-7604-7605-7606-7607_{period.replace('-', '')}.json", "CA/AL"),
    }[source]
    return Request(source, name, "", entity, period)


def every_request() -> list[Request]:
    """Every request of a run over the whole history."""
    years, months = range(2008, 2027), [str(m) for m in pd.period_range("2015-01", "2026-11", freq="M")]
    return [
        *(request_of("westmetall", str(year)) for year in years),
        *(request_of("ecb", str(year)) for year in years),
        *(request_of("nyfed", str(year)) for year in years if year >= 2018),
        *(request_of("nyfed", str(year), "EFFR") for year in years),
        *(request_of("yahoo", str(year)) for year in years),
        *(
            request_of(source, month)
            for source in ("energy_charts", "entsoe", "customs", "comtrade")
            for month in months
        ),
        request_of("worldbank"),
        request_of("fred"),
        request_of("fred", entity="EFFR"),
        request_of("jin10"),
        request_of("ember"),
        request_of("cftc"),
    ]


def responses(transport: DemoTransport, request: Request) -> list[Payload]:
    try:
        return transport.fetch(request)
    except NoData:
        return []


def newest(source: str, period: str = "", now: datetime = NOW, entity: str = "SOFR") -> bytes:
    return DemoTransport(now, SCOPE).fetch(request_of(source, period, entity))[-1].body


@pytest.fixture(scope="module")
def full_run() -> dict[Request, list[Payload]]:
    transport = DemoTransport(NOW, SCOPE)
    return {request: responses(transport, request) for request in every_request()}


def clear_caches() -> None:
    """Clear the caches, so that the next response is generated alone."""
    for function in (
        market.lme_year, market.sofr_year, market.fx_year, market.exports_year, market.power_month,
        market.cancelled_year, market.off_warrant_year, market.costs_year, market._power_level, market._bridge,
        market.arbitrage_year, market.production_year, market.trade_year, market.share_year, market.stock_reports,
        market.premia_year, market.tenors_year, market.exchange_stock_year, market.locations_year,
        market.positions_year,
    ):  # fmt: skip
        function.cache_clear()


# Reading responses ----------------------------------------------------------------------------------------------------


def westmetall_rows(body: bytes) -> dict[str, dict[str, str]]:
    """Cells by ISO date."""
    pattern = r"<td >(\d\d\. \w+ \d{4})</td>\n<td >(.*)</td>\n<td >(.*)</td>\n<td class=\"last\">(.*)</td>"
    found = re.findall(pattern, body.decode())
    assert len({row[0] for row in found}) == len(found)
    return {
        str(datetime.strptime(day, "%d. %B %Y").date()): {"cash": cash, "m3": m3, "stock": stock}  # noqa: DTZ007
        for day, cash, m3, stock in found
    }


def customs_cells(body: bytes, commodity: str = defects.ALUMINIUM) -> list[str]:
    row = re.search(rf"<tr><td>{commodity}</td>(.*)</tr>", body.decode())
    assert row
    return re.findall("<td>(.*?)</td>", row[1])


def ecb_rates(body: bytes) -> dict[tuple[str, str], str]:
    return {
        (row["CURRENCY"], row["TIME_PERIOD"]): row["OBS_VALUE"] for row in csv.DictReader(io.StringIO(body.decode()))
    }


def sofr_rates(body: bytes) -> dict[str, object]:
    return {entry["effectiveDate"]: entry["percentRate"] for entry in json.loads(body)["refRates"]}


def warrants(body: bytes, metal: str = "AL") -> dict[str, list[int | str]]:
    """Stock, registered and cancelled warrants by ISO date."""
    name = {"AL": "铝", "CU": "铜"}[metal]
    return {day: metals[name] for day, metals in json.loads(body)["values"].items()}


def pink_sheet(body: bytes) -> dict[str, dict[str, object]]:
    """Values by month and column, read at the real file's places: header in row 5, units in row 6, data from row 7."""
    lines = list(openpyxl.load_workbook(io.BytesIO(body))["Monthly Prices"].iter_rows(values_only=True))
    assert set(lines[5][1:]) == {"($/mt)"}
    return {str(line[0]): dict(zip(lines[4][1:], line[1:], strict=True)) for line in lines[6:]}


def power_points(body: bytes) -> pd.Series:
    response = json.loads(body)
    return pd.Series(response["price"], index=pd.to_datetime(response["unix_seconds"], unit="s", utc=True))


def keyed_in(name: str, now: datetime = NOW, seed: int = 0) -> pd.DataFrame:
    """A file of the drop folder, by its date."""
    files = DemoTransport(now, SCOPE, seed=seed).dropped()
    return pd.read_csv(io.BytesIO(files[f"{name}/synthetic_demo_{name}.csv"]), index_col=1, parse_dates=[1])


def first_sequence(body: bytes) -> str:
    return body.decode().split("</TimeSeries>")[0]


# Figures --------------------------------------------------------------------------------------------------------------


def lme(year: int) -> pd.DataFrame:
    values = market.lme_year("AL", year, 0)
    frame = pd.DataFrame(
        {"cash": values.cash, "m3": values.m3, "stock": values.stock}, index=pd.DatetimeIndex(values.days)
    )
    return frame.assign(spread=frame["cash"] - frame["m3"])


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("year", CASH_MEANS)
def test_cash_keeps_the_public_yearly_mean(year: int, seed: int) -> None:
    assert market.lme_year("AL", year, seed).cash.mean() == pytest.approx(CASH_MEANS[year], rel=0.03)


@pytest.mark.parametrize("zone", POWER_MEANS)
def test_power_keeps_the_public_yearly_mean(zone: str) -> None:
    for year, expected in enumerate(POWER_MEANS[zone], start=2015):
        days = []
        for month in range(1, 13):
            power = market.power_month(zone, f"{year}-{month:02d}", ZONES[zone].timezone, 0)
            days += [day.mean() for day in np.split(power.prices, np.cumsum(power.counts)[:-1])]
        assert np.mean(days) == pytest.approx(expected, rel=0.03), year


def test_the_demo_has_the_figures_of_the_article() -> None:
    this, last = lme(2026), lme(2025)
    price = this.at[pd.Timestamp("2026-01-13"), "m3"]
    assert 3150 <= price <= 3210
    assert 100 * (price / last.at[pd.Timestamp("2025-01-13"), "m3"] - 1) == pytest.approx(22.6, abs=1)
    assert this.loc["2026-01", "spread"].between(5, 15).all()
    assert last.at[pd.Timestamp("2025-12-31"), "stock"] + 163_680 == pytest.approx(669_140)


def test_exports_fell_by_nine_percent_in_2025_and_faster_late() -> None:
    cells = customs_cells(newest("customs", "2025-12"))
    assert float(cells[-1]) == pytest.approx(-9, abs=1)
    halves = [
        float(customs_cells(newest("customs", f"{year}-{month}"))[3]) for year in (2024, 2025) for month in ("06", "12")
    ]
    first, second = halves[2] / halves[0], (halves[3] - halves[2]) / (halves[1] - halves[0])
    assert second < first < 1


def test_history_has_a_squeeze_and_gluts() -> None:
    squeeze = lme(2022).loc["2022-02":"2022-03"]
    assert (squeeze["spread"] > 60).sum() >= 5
    assert lme(2022)["m3"].max() == pytest.approx(3915, abs=65)
    for year, tonnes in ((2009, 4_000_000), (2013, 5_000_000)):
        glut = lme(year)
        assert glut["spread"].between(-65, -35).all()
        assert glut["stock"].iloc[-1] > tonnes
    assert lme(2018)["stock"].between(1_000_000, 1_400_000).all()
    assert lme(2025)["stock"].between(300_000, 1_100_000).all()


def test_rates_follow_the_policy() -> None:
    for year, low, high in ((2019, 1.5, 2.6), (2021, 0.01, 0.15), (2024, 4.2, 5.5)):
        assert market.sofr_year(year, 0).values.min() >= low
        assert market.sofr_year(year, 0).values.max() <= high
    january = market.sofr_year(2026, 0)
    assert january.values[january.days < np.datetime64("2026-02-01")].mean() == pytest.approx(3.65, abs=0.05)
    for year, mean in ((2009, 0.16), (2014, 0.09), (2017, 1.0), (2019, 2.16), (2023, 5.02)):  # of the published year
        assert market.effr_year(year, 0).values.mean() == pytest.approx(mean, abs=0.06)


def test_the_rates_differ_as_the_published_ones_do() -> None:
    """Of 2018 to 2025: median -2 bp, 5 to 95 % within 6 bp; SOFR is higher at the end of a month."""
    series = []
    for rate_year in (market.sofr_year, market.effr_year):
        years = [rate_year(year, 0) for year in range(2018, 2026)]
        series.append(pd.concat([pd.Series(one.values, pd.DatetimeIndex(one.days)) for one in years]))
    apart = ((series[0] - series[1]).dropna() * 100).round(6)
    assert len(apart) > 1_900
    assert apart.median() == -2
    assert apart.quantile(0.05) >= -6 and apart.quantile(0.95) <= 6


def test_effr_has_the_fields_of_its_years() -> None:
    def fields(year: str, day: str) -> set[str]:
        entries = json.loads(newest("nyfed", year, entity="EFFR"))["refRates"]
        assert entries == sorted(entries, key=lambda entry: entry["effectiveDate"], reverse=True)
        return set(next(entry for entry in entries if entry["effectiveDate"] == day))

    always = {"effectiveDate", "type", "percentRate", "targetRateFrom", "revisionIndicator"}
    assert fields("2008", "2008-12-15") == always
    assert fields("2008", "2008-12-16") == always | {"targetRateTo"}
    assert fields("2016", "2016-03-01") == always | {"targetRateTo", "percentPercentile1", "percentPercentile99"}


def test_power_goes_negative_at_noon_in_summer_only_sometimes() -> None:
    prices = power_points(newest("energy_charts", "2024-06"))
    hours = prices.index.tz_convert("Europe/Berlin").hour
    negative = prices < 0
    assert 0.005 < negative.mean() < 0.2
    assert set(hours[negative]) <= set(range(9, 18))


def test_trading_days_are_those_of_the_real_markets(real: Path) -> None:
    def days(table: str) -> pd.DatetimeIndex:
        return pd.DatetimeIndex(pd.read_csv(real / "tables" / table, parse_dates=["obs_date"])["obs_date"])

    traded = days("lme_prices_daily.csv")
    generated = pd.DatetimeIndex(np.concatenate([market.lme_year("AL", y, 0).days for y in range(2008, 2026)]))
    generated = generated[generated <= traded.max()]
    # The page also has a Saturday and the day of the state funeral: no London business days, so none is generated.
    assert set(traded.symmetric_difference(generated)) <= {pd.Timestamp("2008-11-08"), pd.Timestamp("2022-09-19")}
    fixed = days("sofr_daily.csv")
    generated = pd.DatetimeIndex(np.concatenate([market.sofr_year(y, 0).days for y in range(2018, 2026)]))
    generated = generated[(generated >= fixed.min()) & (generated <= fixed.max())]
    assert len(fixed.symmetric_difference(generated)) <= 4  # holidays that fall on a weekend, days of mourning


def cancelled_ratio(seed: int = 0) -> pd.Series:
    years = [(market.lme_year("AL", y, seed), market.cancelled_year("AL", y, seed)) for y in range(2014, 2027)]
    return pd.concat([pd.Series(gone.values / lme.stock, pd.DatetimeIndex(lme.days)) for lme, gone in years])


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(
    ("first", "last", "low", "high"),
    [
        ("2014-07", "2015-06", 0.50, 0.58),
        ("2016-01", "2019-12", 0.20, 0.40),
        ("2020-01", "2020-12", 0.10, 0.25),
        ("2022-03", "2022-12", 0.30, 0.60),
        ("2023-01", "2023-12", 0.45, 0.50),
        ("2024-06", "2024-08", 0.50, 0.60),
        ("2025-01", "2025-12", 0.10, 0.30),
        ("2026-01", "2026-01", 0.08, 0.10),
    ],
)
def test_cancelled_ratio_keeps_the_public_levels(first: str, last: str, low: float, high: float, seed: int) -> None:
    assert low <= cancelled_ratio(seed).loc[first:last].mean() <= high


def test_cancelled_ratio_moves_as_the_real_one_did(real: Path) -> None:
    table = pd.read_csv(real / "tables" / "lme_cancelled_monthend.csv", index_col="month", parse_dates=["month"])
    expected = (table["cancelled_t"] / table["total_t"]).to_period("M")
    generated = cancelled_ratio().groupby(lambda day: day.to_period("M")).last()[expected.index]
    assert (generated - expected).abs().mean() < 0.10
    assert generated.corr(expected) > 0.7


def test_metal_was_put_on_warrant_in_a_day_in_part_by_taking_back_cancellations() -> None:
    """The figures of 2024-05-09: 479,850 t to 903,850 t, 137,050 t of them cancelled before (Reuters, 2024-05-10)."""
    stock = lme(2024)["stock"]
    assert stock["2024-05-08":"2024-05-09"].tolist() == [479_850, 903_850]
    gone = pd.Series(market.cancelled_year("AL", 2024, 0).values, index=stock.index)
    assert gone["2024-05-08"] - gone["2024-05-09"] == pytest.approx(137_050, abs=1_000)


def test_cancelled_warrants_are_whole_and_part_of_the_stock() -> None:
    for metal in ("AL", "CU"):
        for year in range(2014, 2031):
            stock, gone = market.lme_year(metal, year, 0).stock, market.cancelled_year(metal, year, 0).values
            assert ((gone > 0) & (gone <= stock)).all()
            assert (gone % 25 == 0).all()


@pytest.mark.parametrize("seed", range(5))
def test_off_warrant_and_visible_stock_are_those_of_the_article(seed: int) -> None:
    stock = keyed_in("off_warrant", seed=seed)
    assert stock.at[pd.Timestamp("2025-12-31"), "offwarrant_t"] == 163_680
    assert 163_680 / stock.at[pd.Timestamp("2024-12-31"), "offwarrant_t"] - 1 == pytest.approx(-0.56, abs=1e-12)
    visible = stock["offwarrant_t"] + stock["registered_month_end_t"]
    assert visible["2025-12-31"] == 669_140
    earlier = visible[:"2025-11"]
    assert earlier[earlier <= 669_140].index.max().year == 2022


def test_off_warrant_file_has_every_month_end_with_the_stock_of_the_exchange() -> None:
    stock = keyed_in("off_warrant")
    assert list(stock.columns) == ["metal", "offwarrant_t", "registered_month_end_t"]
    assert stock.index.name == "period_end"
    assert set(stock["metal"]) == {"AL"}
    ends = pd.concat([lme(year)["stock"] for year in range(2018, 2027)])
    ends = ends.groupby(lambda day: day.to_period("M")).tail(1)[:"2026-09"]  # 30 September is out since 10 November
    assert stock["registered_month_end_t"].to_dict() == ends.to_dict()


def test_costs_file_keeps_the_public_levels() -> None:
    costs = keyed_in("costs")
    assert list(costs.columns) == ["metal", "alumina_usd_t", "premium_usd_t"]
    assert costs.index.name == "obs_date"
    assert costs.index.equals(pd.DatetimeIndex(np.concatenate([lme(y).index for y in range(2015, 2027)]))[: len(costs)])
    alumina, premium = costs["alumina_usd_t"], costs["premium_usd_t"]
    assert alumina["2018"].max() == pytest.approx(600, rel=0.05)
    assert alumina["2024-11":"2025-01"].max() == pytest.approx(700, rel=0.05)
    assert alumina["2026-01"].mean() == pytest.approx(310, rel=0.03)
    assert premium["2022"].max() == pytest.approx(600, rel=0.05)
    assert premium["2026-01"].mean() == pytest.approx(330, rel=0.03)
    assert premium.drop(premium["2022"].index).between(120, 380).all()


def shares(ticker: str, first: int, last: int, seed: int = 0) -> pd.Series:
    years = [market.share_year(ticker, year, seed) for year in range(first, last + 1)]
    return pd.concat([pd.Series(year.values, pd.DatetimeIndex(year.days)) for year in years])


@pytest.mark.parametrize("seed", range(5))
def test_alcoa_is_near_its_high_on_the_day_of_the_article(seed: int) -> None:
    closes = shares("AA", 2024, 2026, seed)[:"2026-01-13"]
    assert closes.iloc[-1] == 63
    assert closes.iloc[-1] / closes.iloc[-252:].max() >= 0.97
    assert 20 < closes["2025"].min() < 26


@pytest.mark.parametrize(("ticker", "table"), [("AA", "equity_aa_daily.csv"), ("RIO", "equity_rio_daily.csv")])
def test_shares_move_as_the_real_ones_did(real: Path, ticker: str, table: str) -> None:
    """The table's closes are adjusted for dividends, so that changes are compared, not levels."""
    closes = pd.read_csv(real / "tables" / table, index_col="obs_date", parse_dates=["obs_date"])["adj_close_usd"]
    expected = np.log(closes.resample("QE").mean()).diff().dropna()
    generated = np.log(shares(ticker, 2008, 2025).resample("QE").mean()).diff()[expected.index]
    assert generated.corr(expected) > 0.6


@pytest.mark.parametrize("seed", range(3))
def test_chinese_production_stays_under_its_cap(seed: int) -> None:
    made = keyed_in("production", seed=seed)
    assert list(made.columns) == ["metal", "country", "period_months", "production_kt"]
    assert (made.index.name, set(made["metal"]), set(made["country"])) == ("period_end", {"AL"}, {"CN"})
    ends = pd.period_range("2015-01", "2026-10", freq="M")
    assert made.index.to_period("M").tolist() == [month for month in ends if month.month != 1]
    assert (made.index == made.index.to_period("M").to_timestamp(how="end").normalize()).all()
    assert made.loc[made.index.month == 2, "period_months"].eq(2).all()
    assert made.loc[made.index.month != 2, "period_months"].eq(1).all()
    year = made["production_kt"].groupby(made.index.year).sum()
    assert year[2024] == pytest.approx(43_800, rel=0.001)
    assert year[2025] == pytest.approx(44_600, rel=0.001)
    months = made.index.days_in_month + np.where(made["period_months"] == 2, 31, 0)
    share_of_cap = made["production_kt"] / months * 365 / 45_000
    assert share_of_cap["2025-09":"2025-12"].between(0.98, 1.0).all()
    assert (share_of_cap < 1).all()


def test_shanghai_follows_london_with_tax() -> None:
    desk = keyed_in("arbitrage")
    assert list(desk.columns) == [
        *("metal", "shfe_cny_t", "cif_premium_usd_t", "usdcny", "dest_premium_usd_t", "freight_usd_t"),
    ]
    m3 = pd.concat([lme(year)["m3"] for year in range(2015, 2027)])[desk.index]
    gap = desk["shfe_cny_t"] - m3 * desk["usdcny"] * 1.13
    assert gap.abs().max() < 700
    assert gap["2026-01-13"] == pytest.approx(-350, abs=5)
    assert (desk["shfe_cny_t"] % 5 == 0).all()
    rates = {pair: market.fx_year(pair, 2025, 0) for pair in ("EURCNY", "EURUSD")}
    crossed = pd.Series(rates["EURCNY"].values / rates["EURUSD"].values, pd.DatetimeIndex(rates["EURCNY"].days))
    assert (desk["usdcny"] / crossed).dropna().between(0.9999, 1.0001).all()
    january = desk.loc["2026-01"].mean(numeric_only=True)
    assert january["usdcny"] == pytest.approx(7.05, abs=0.1)
    assert january["cif_premium_usd_t"] == pytest.approx(190, abs=15)
    assert january["dest_premium_usd_t"] == pytest.approx(350, abs=25)


@pytest.mark.slow
def test_canada_exports_by_code(full_run: dict[Request, list[Payload]]) -> None:
    months = {r.period: json.loads(p[-1].body)["data"] for r, p in full_run.items() if r.source == "comtrade" and p}
    assert (min(months), max(months)) == ("2015-01", "2026-08")  # of August since the first days of November
    for month, rows in months.items():
        world = {row["cmdCode"]: row["netWgt"] for row in rows if row["partnerCode"] == 0}
        assert set(world) == {"7601", "7604", "7605", "7606", "7607"}
        if month != "2019-03":
            assert 195 < sum(world.values()) / 1e6 < 255
        named = sum(row["netWgt"] for row in rows if row["partnerCode"] and row["cmdCode"] == "7601")
        assert named < world["7601"]


# Alone or together, now or later --------------------------------------------------------------------------------------


def test_any_period_alone_equals_that_of_the_full_run(full_run: dict[Request, list[Payload]]) -> None:
    for request in random.Random(7).sample(list(full_run), 40):
        clear_caches()
        alone = responses(DemoTransport(NOW, SCOPE), request)
        assert [(p.body, p.captured_at) for p in alone] == [(p.body, p.captured_at) for p in full_run[request]]


@pytest.mark.slow
def test_a_past_response_has_the_same_bytes_at_every_later_time(full_run: dict[Request, list[Payload]]) -> None:
    later = DemoTransport(NOW + timedelta(days=500), SCOPE)
    past = [r for r in full_run if r.period and r.period[:7] < ("2026" if len(r.period) == 4 else "2026-09")]
    assert len(past) > 400
    for request in past:
        payloads = responses(later, request)
        assert [p.body for p in payloads] == [p.body for p in full_run[request]], request.name


@pytest.mark.slow
def test_whole_history_files_keep_their_earlier_rows() -> None:
    earlier, later = (DemoTransport(now, SCOPE) for now in (NOW, NOW + timedelta(days=500)))
    before, after = (warrants(t.fetch(request_of("jin10"))[-1].body) for t in (earlier, later))
    assert len(after) > len(before)
    assert {day: after[day] for day in before} == before
    for name, body in earlier.dropped().items():
        assert set(body.splitlines()) <= set(later.dropped()[name].splitlines()), name


def test_dropped_files_alone_equal_those_of_a_full_run(full_run: dict[Request, list[Payload]]) -> None:
    together = DemoTransport(NOW, SCOPE).dropped()
    clear_caches()
    assert DemoTransport(NOW, SCOPE).dropped() == together


def test_another_seed_is_another_market() -> None:
    request = request_of("westmetall", "2024")
    assert (
        DemoTransport(NOW, SCOPE, seed=1).fetch(request)[-1].body != DemoTransport(NOW, SCOPE).fetch(request)[-1].body
    )


def test_years_beyond_the_given_levels_continue() -> None:
    rows = westmetall_rows(newest("westmetall", "2029", datetime(2030, 6, 1, tzinfo=UTC)))
    assert len(rows) > 250
    assert len({row["m3"] for row in rows.values()}) > 100


def test_every_response_is_marked_synthetic(full_run: dict[Request, list[Payload]]) -> None:
    for request, payloads in full_run.items():
        for payload in payloads:
            body = payload.body
            if request.source == "worldbank":
                archive = zipfile.ZipFile(io.BytesIO(body))
                body = b"".join(archive.read(name) for name in archive.namelist())
            assert b"SYNTHETIC" in body, request.name


# The clock ------------------------------------------------------------------------------------------------------------

RELEASES = [
    # source, period, what appears, when: a holiday, a weekend and both sides of daylight saving among them
    ("westmetall", "2026", b"13. January 2026", "2026-01-14T09:00:00Z"),
    ("westmetall", "2025", b"17. April 2025", "2025-04-22T08:00:00Z"),
    ("nyfed", "2026", b'"2026-01-16"', "2026-01-20T13:00:00Z"),
    ("nyfed", "2025", b'"2025-07-03"', "2025-07-07T12:00:00Z"),
    ("fred", "", b"2026-01-16,", "2026-01-20T13:00:00Z"),
    ("nyfed EFFR", "2026", b'"2026-01-16"', "2026-01-20T14:00:00Z"),
    ("nyfed EFFR", "2008", b'"2008-07-03"', "2008-07-07T13:00:00Z"),
    ("fred EFFR", "", b"2026-01-16,", "2026-01-20T14:00:00Z"),
    ("jin10", "", b'"2026-01-13":', "2026-01-14T09:00:00Z"),
    ("jin10", "", b'"2025-04-17":', "2025-04-22T08:00:00Z"),
    ("ecb", "2026", b"USD,EUR,SP00,A,2026-01-14,", "2026-01-14T15:00:00Z"),
    ("ecb", "2025", b"CNY,EUR,SP00,A,2025-07-01,", "2025-07-01T14:00:00Z"),
    ("customs", "2025-12", b"December, 2025", "2026-01-14T03:00:00Z"),
    ("customs", "2025-02", b"January-February, 2025", "2025-03-14T03:00:00Z"),
    ("yahoo", "2026", b"1768314600", "2026-01-13T21:15:00Z"),
    ("yahoo", "2025", b"1751463000", "2025-07-02T20:15:00Z"),
    ("comtrade", "2025-10", b'"period":"202510"', "2026-01-01T17:00:00Z"),
    ("comtrade", "2025-05", b'"period":"202505"', "2025-08-01T16:00:00Z"),
    ("entsoe", "2026-01", b"<start>2026-01-13T23:00Z</start>", "2026-01-13T11:45:00Z"),
    ("entsoe", "2025-07", b"<start>2025-07-01T22:00Z</start>", "2025-07-01T10:45:00Z"),
    ("ember", "", b"DEU,2026-01-13,", "2026-01-20T12:00:00Z"),
    ("ember", "", b"FRA,2025-07-01,", "2025-07-08T11:00:00Z"),
    ("energy_charts", "2026-01", b"1768345200", "2026-01-13T11:45:00Z"),
    ("energy_charts", "2026-02", b"1769900400", "2026-01-31T11:45:00Z"),
]


@pytest.mark.parametrize(("source", "period", "mark", "released"), RELEASES)
def test_nothing_is_served_before_its_release(source: str, period: str, mark: bytes, released: str) -> None:
    moment, (name, *rate) = datetime.fromisoformat(released), source.split()

    def shown(at: datetime) -> bool:
        found = responses(DemoTransport(at, SCOPE), request_of(name, period, *rate))
        return any(mark in payload.body for payload in found)

    assert not shown(moment - timedelta(seconds=1))
    assert shown(moment)


@pytest.mark.parametrize(
    ("name", "day", "released"),
    [
        ("off_warrant", "2025-12-31", "2026-02-10T09:00:00Z"),
        ("off_warrant", "2025-11-28", "2026-01-12T09:00:00Z"),  # the 10th is a Saturday
        ("off_warrant", "2025-08-29", "2025-10-10T08:00:00Z"),
        ("costs", "2026-01-13", "2026-01-14T18:00:00Z"),
        ("costs", "2025-04-17", "2025-04-22T17:00:00Z"),  # over Easter
        ("production", "2025-12-31", "2026-01-20T03:00:00Z"),
        ("production", "2025-11-30", "2025-12-22T03:00:00Z"),  # the 20th is a Saturday
        ("production", "2025-02-28", "2025-03-20T03:00:00Z"),
        ("arbitrage", "2026-01-13", "2026-01-13T17:00:00Z"),
        ("arbitrage", "2025-07-01", "2025-07-01T16:00:00Z"),
        ("spreads", "2026-01-13", "2026-01-14T09:00:00Z"),
        ("premia", "2026-01-13", "2026-01-14T18:00:00Z"),
        ("stocks_by_location", "2026-01-16", "2026-01-19T09:00:00Z"),
        ("exchange_stocks", "2026-01-16", "2026-01-19T21:00:00Z"),
    ],
)
def test_no_drop_file_has_a_figure_before_its_release(name: str, day: str, released: str) -> None:
    moment = datetime.fromisoformat(released)
    assert keyed_in(name, moment - timedelta(seconds=1)).index.max() < pd.Timestamp(day)
    assert keyed_in(name, moment).index.max() == pd.Timestamp(day)


def test_a_figure_has_no_file_before_its_release() -> None:
    assert DemoTransport(datetime(2008, 1, 2, tzinfo=UTC), SCOPE).dropped() == {}
    assert list(DemoTransport(datetime(2018, 3, 9, tzinfo=UTC), SCOPE).dropped()) == [
        f"{name}/synthetic_demo_{name}.csv"
        for name in ("costs", "production", "arbitrage", "spreads", "premia", "exchange_stocks")
    ]
    assert DemoTransport(NOW, replace(SCOPE, metals=(), contracts=())).dropped() == {}


def test_jin10_starts_with_its_first_report() -> None:
    released = datetime(2014, 7, 3, 8, tzinfo=UTC)
    assert list(warrants(newest("jin10", now=released))) == ["2014-07-02"]
    with pytest.raises(NoData, match="jin10"):
        DemoTransport(released - timedelta(seconds=1), SCOPE).fetch(request_of("jin10"))


def test_pink_sheet_month_appears_on_the_second_business_day() -> None:
    moment = datetime(2026, 1, 2, 21, tzinfo=UTC)
    assert max(pink_sheet(newest("worldbank", now=moment - timedelta(seconds=1)))) == "2025M11"
    assert max(pink_sheet(newest("worldbank", now=moment))) == "2025M12"


def test_no_capture_lies_in_the_future(full_run: dict[Request, list[Payload]]) -> None:
    for payloads in full_run.values():
        moments = [payload.captured_at for payload in payloads]
        assert moments == sorted(moments)
        assert all(moment <= NOW for moment in moments)


def test_a_clock_without_a_zone_is_rejected() -> None:
    with pytest.raises(ValueError, match=r"2026-01-13T18:00:00 has no time zone"):
        DemoTransport(datetime(2026, 1, 13, 18), SCOPE)  # noqa: DTZ001


@pytest.mark.parametrize(
    "request_",
    [
        Request("comtrade", "x.json", ""),
        request_of("comtrade", "2014-12"),
        request_of("comtrade", "2026-09"),
        replace(request_of("comtrade", "2024-05"), entity="CN/AL"),
        replace(request_of("comtrade", "2024-05"), entity="CA/CU"),
        request_of("yahoo", "2007"),
        request_of("yahoo", "2027"),
        replace(request_of("yahoo", "2024"), entity="GS"),
        request_of("westmetall", "2007"),
        request_of("westmetall", "2027"),
        request_of("westmetall", ""),
        replace(request_of("westmetall", "2024"), entity="CU"),
        request_of("nyfed", "2017"),
        replace(request_of("fred"), name="PALUMUSDM.csv"),  # not that of SOFR
        replace(request_of("fred"), name="PCOPPUSDM.csv", entity="AL"),
        request_of("energy_charts", "2019-10"),
        Request("smard", "4169_DE-LU_hour_1569189600000.json", "", "DE-LU", "2019-09"),  # Energy-Charts has that week
        Request("smard", "4169_SE1_hour_1569794400000.json", "", "SE1", "2019-10"),
        Request("shfe", "weeklystock_20261127.html", "", "", "2026-11"),
        request_of("energy_charts", "2014-12"),
        request_of("entsoe", "2024"),
        replace(request_of("entsoe", "2024-05"), entity="SE1"),
        request_of("customs", "2025-01"),
        request_of("customs", "2014-12"),
        request_of("customs", "2026-11"),
        request_of("ecb", "2007"),
        replace(request_of("jin10"), name="lme_position.json"),
    ],
    ids=lambda r: f"{r.source}-{r.entity}-{r.period}",
)
def test_requests_outside_the_market_give_no_data(request_: Request) -> None:
    with pytest.raises(NoData, match=request_.source):
        DemoTransport(NOW, SCOPE).fetch(request_)


# Formats --------------------------------------------------------------------------------------------------------------


def test_westmetall_page_is_newest_first_with_monthly_headers() -> None:
    body = newest("westmetall", "2022").decode()
    days = [datetime.strptime(d, "%d. %B %Y") for d in re.findall(r"<td >(\d\d\. \w+ \d{4})", body)]  # noqa: DTZ007
    assert days == sorted(days, reverse=True)
    assert body.count('<tr class="shaded">') == 12
    assert re.findall(r'class="active" href="[^"]*field=LME_Al_cash&amp;year=(\d+)"', body) == ["2022"]


def test_copper_needs_only_the_scope() -> None:
    copper = Metal("CU", "Copper", "Cu", "Copper", "PCOPPUSDM", "(?i)unwrought copper")
    request = Request("westmetall", "westmetall_lme_cu_2024.html", "", "CU", "2024")
    (payload,) = DemoTransport(NOW, replace(SCOPE, metals=(*SCOPE.metals, copper))).fetch(request)
    rows = westmetall_rows(payload.body)
    assert len(rows) == len(market.lme_year("CU", 2024, 0).days)
    assert 8_000 < float(rows["2024-05-21"]["m3"].replace(",", "")) < 12_000
    assert b"LME Copper Cash-Settlement" in payload.body


@pytest.mark.parametrize("metal", ["AL", "CU"])
def test_jin10_has_the_stock_of_the_exchange_and_its_parts(metal: str) -> None:
    reports = warrants(newest("jin10"), metal)
    (defect,) = (d for d in KNOWN_DEFECTS if d.source == "jin10")
    years = [market.lme_year(metal, year, 0) for year in range(2014, 2027)]
    stock = {str(day): tonnes for lme in years for day, tonnes in zip(lme.days, lme.stock, strict=True)}
    gap = {day for day in stock if "2021-10" <= day < "2022-03"}
    assert list(reports) == [day for day in stock if "2014-07-02" <= day < NOW.date().isoformat() and day not in gap]
    # A report has the stock at the close of the business day before.
    closes = dict(zip(list(stock)[1:], stock.values(), strict=False))
    assert {day: tonnes for day, (tonnes, _, _) in reports.items()} == {day: closes[day] for day in reports}
    wrong = {day for day, (tonnes, live, gone) in reports.items() if not isinstance(gone, int) or live + gone != tonnes}
    assert wrong == ({defect.where} if metal == defect.entity else set())


def test_pink_sheet_is_the_monthly_mean_and_carries_no_clock() -> None:
    body = newest("worldbank")
    cash = pd.concat([lme(year)["cash"] for year in (2024, 2025)]).groupby(lambda day: f"{day:%YM%m}").mean()
    sheet = pink_sheet(body)
    assert {month: sheet[month]["Aluminum"] for month in cash.index} == pytest.approx(cash.to_dict(), abs=0.006)
    assert next(iter(sheet)) == "2008M01"
    assert set(sheet["2024M01"]) == {"Aluminum", "Copper"}
    archive = zipfile.ZipFile(io.BytesIO(body))
    assert {member.date_time[:3] for member in archive.infolist()} == {(1980, 1, 1)}
    # October's release, not the moment of writing.
    assert re.findall(rb">(\d{4}-\d\d-\d\dT[^<]*)<", archive.read("docProps/core.xml")) == [b"2026-11-03T00:00:00Z"] * 2
    assert newest("worldbank", now=NOW + timedelta(days=3)) == body


@pytest.mark.parametrize(
    ("source", "month", "day", "points"),
    [
        ("energy_charts", "2024-03", date(2024, 3, 31), 23),
        ("energy_charts", "2024-10", date(2024, 10, 27), 25),
        ("energy_charts", "2025-10", date(2025, 10, 26), 100),
        ("energy_charts", "2026-03", date(2026, 3, 29), 92),
        ("energy_charts", "2025-09", date(2025, 9, 30), 24),
        ("energy_charts", "2025-10", date(2025, 10, 1), 96),
    ],
)
def test_days_have_their_hours(source: str, month: str, day: date, points: int) -> None:
    prices = power_points(newest(source, month))
    local = prices.index.tz_convert("Europe/Berlin")
    assert (local.date == day).sum() == points
    assert set(np.diff(prices.index.asi8)) == {np.diff(prices.index.asi8)[0]}
    assert {f"{stamp:%Y-%m}" for stamp in local} == {month}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:It looks like you're using an HTML parser")
@pytest.mark.parametrize(
    ("month", "resolution", "second"),
    [("2024-10", "60min", False), ("2024-06", "60min", True), ("2026-03", "15min", False)],
)
def test_entsoe_document_holds_the_market(month: str, resolution: str, second: bool) -> None:
    body = newest("entsoe", month)
    power = market.power_month("FR", month, "Europe/Paris", 0)
    step = pd.Timedelta(resolution)
    stamps = pd.date_range(pd.Timestamp(power.starts[0], unit="s", tz="UTC"), periods=len(power.prices), freq=step)
    series = parse_prices(body.decode())[resolution]
    assert np.array_equal(series.index, stamps)
    assert np.array_equal(series.to_numpy(), power.prices)
    assert f"{stamps[-1] + step:%Y-%m-%dT%H:%MZ}" == re.findall(r"<end>(.*)</end>", body.decode())[0]
    assert (b"position>2</classificationSequence" in body) is second
    # A03: what repeats is left out, and it happens.
    points = [
        re.findall(r"<position>(\d+)</position>\n<price.amount>(.*)</price.amount>", period)
        for period in first_sequence(body).split("<Period>")[1:]
    ]
    assert sum(map(len, points)) < len(power.prices)
    assert all(before[1] != after[1] for day in points for before, after in pairwise(day))
    assert all(day[0][0] == "1" for day in points)


def test_one_month_in_ten_has_the_second_auction(full_run: dict[Request, list[Payload]]) -> None:
    documents = [payloads[-1].body for request, payloads in full_run.items() if request.source == "entsoe"]
    share = np.mean([b"position>2</classificationSequence" in body for body in documents])
    assert 0.05 <= share <= 0.15


def test_customs_pools_january_and_february_and_adds_up() -> None:
    pool = customs_cells(newest("customs", "2025-02"))
    march = customs_cells(newest("customs", "2025-03"))
    assert pool[1] == pool[3]  # month and cumulative are the same two months
    assert float(march[3]) == pytest.approx(float(pool[3]) + float(march[1]), abs=0.05)
    assert pool[0] == "10000T"


def test_fred_agrees_with_the_new_york_fed() -> None:
    lines = [line.split(",")[:2] for line in newest("fred").decode().splitlines()]
    assert lines[0] == ["observation_date", "SOFR"]
    values = dict(lines[1:])
    assert values["2026-01-19"] == ""  # Martin Luther King's day
    assert {day: value for day, value in values.items() if day.startswith("2024") and value} == {
        day: f"{rate:.2f}" for day, rate in sofr_rates(newest("nyfed", "2024")).items()
    }


def test_fred_has_the_means_of_the_pink_sheet() -> None:
    request = Request("fred", "PALUMUSDM.csv", "", "AL")
    moment = datetime(2026, 1, 20, 22, tzinfo=UTC)  # 16:00 in Chicago

    def means(at: datetime) -> dict[str, str]:
        (payload,) = DemoTransport(at, SCOPE).fetch(request)
        return {line.split(",")[0]: line.split(",")[1] for line in payload.body.decode().splitlines()[1:]}

    assert max(means(moment - timedelta(seconds=1))) == "2025-11-01"
    assert max(means(moment)) == "2025-12-01"
    sheet = pink_sheet(newest("worldbank"))
    assert float(means(moment)["2024-01-01"]) == pytest.approx(float(sheet["2024M01"]["Aluminum"]))


def test_smard_gives_the_month_that_energy_charts_does_not() -> None:
    """Every week that touches the month, whole; the points are those of Energy-Charts in its other months."""
    weeks = SOURCES["smard"].requests(pd.Period("2019-10", "M"), SCOPE)
    assert len(weeks) == 5
    transport = DemoTransport(NOW, SCOPE)
    points = [pair for week in weeks for pair in json.loads(transport.fetch(week)[0].body)["series"]]
    power = market.power_month("DE-LU", "2019-10", "Europe/Berlin", 0)
    first, last = int(power.starts[0]) * 1000, int(power.starts[-1]) * 1000
    assert [price for start, price in points if first <= start < last] == power.prices.tolist()
    november = power_points(newest("energy_charts", "2019-11"))
    for start, price in points:
        if start >= last:
            assert november[pd.Timestamp(start, unit="ms", tz="UTC")] == price


def test_the_shanghai_report_comes_after_the_close() -> None:
    request = Request("shfe", "weeklystock_20260306.html", "", "", "2026-03")
    closed = datetime(2026, 3, 6, 8, tzinfo=UTC)
    with pytest.raises(NoData):
        DemoTransport(closed - timedelta(seconds=1), SCOPE).fetch(request)
    (payload,) = DemoTransport(closed, SCOPE).fetch(request)
    assert "SYNTHETIC" in payload.body.decode()
    assert "单位\uff1a吨" in payload.body.decode()


# Defects --------------------------------------------------------------------------------------------------------------


def defect_in(defect: Defect, body: bytes) -> str | None:
    """The content of a response at the place of the defect; None where it has no such row."""
    if defect.source == "westmetall":
        row = westmetall_rows(body).get(defect.where)
        return None if row is None else row.get(defect.column, "present")
    if defect.source == "worldbank":
        return str(pink_sheet(body)[defect.where.replace("-", "M")][defect.column])
    if defect.source == "nyfed":
        return str(sofr_rates(body)[defect.where])
    if defect.source == "ecb":
        return ecb_rates(body)[defect.column, defect.where]
    if defect.source == "jin10":
        return str(warrants(body, defect.entity)[defect.where][2])
    if defect.source == "yahoo":
        result = json.loads(body)["chart"]["result"][0]
        days = [str(datetime.fromtimestamp(time, UTC).date()) for time in result["timestamp"]]
        return json.dumps(result["indicators"]["quote"][0]["close"][days.index(defect.where)])
    if defect.source == "comtrade":
        rows = [row for row in json.loads(body)["data"] if row["partnerCode"] == 0 and row["cmdCode"] == defect.column]
        return json.dumps(rows[0]["netWgt"])
    if defect.source == "ember":
        # Of a day that occurs twice the first row is right, the last one is the defect.
        return re.findall(rf",{defect.entity},{defect.where},(.*)", body.decode())[-1]
    if defect.source == "entsoe":
        day = first_sequence(body).split("<Period>")[int(defect.where[-2:])]
        return dict(re.findall(r"<position>(\d+)</position>\n<price.amount>(.*)</price.amount>", day))[defect.column]
    return customs_cells(body, defect.column)[1]


def period_of(defect: Defect) -> str:
    if defect.source in ("customs", "comtrade"):
        return defect.where
    return {"worldbank": "", "jin10": "", "ember": "", "entsoe": defect.where[:7]}.get(defect.source, defect.where[:4])


# A response that does not exist has no defect.
STANDING = [defect for defect in KNOWN_DEFECTS if defect.until is None and defect.column != "month"]


@pytest.mark.parametrize("defect", STANDING, ids=lambda d: f"{d.source}-{d.where}")
def test_a_permanent_defect_is_in_the_response(defect: Defect) -> None:
    assert defect_in(defect, newest(defect.source, period_of(defect))) == (
        None if defect.column == "row" else defect.text
    )


def test_a_malformed_figure_is_no_number() -> None:
    malformed = {defect.source: defect.text for defect in KNOWN_DEFECTS if defect.kind == "MALFORMED"}
    assert set(malformed) == {"westmetall", "worldbank", "nyfed", "ecb", "entsoe", "customs", "jin10"}
    for text in malformed.values():
        with pytest.raises(ValueError, match="could not convert"):
            float(text.replace(",", ""))


def test_a_late_row_comes_three_business_days_late() -> None:
    (defect,) = (defect for defect in KNOWN_DEFECTS if defect.kind == "LATE")
    assert defect.until is not None
    due = datetime(2025, 11, 5, 9, tzinfo=UTC)
    assert np.busday_count(due.date(), defect.until.date()) == 3
    assert defect_in(defect, newest("westmetall", "2025", defect.until - timedelta(seconds=1))) is None
    assert defect_in(defect, newest("westmetall", "2025", defect.until)) == "present"


def test_a_typing_error_comes_with_its_captures() -> None:
    (defect,) = (d for d in KNOWN_DEFECTS if (d.source, d.kind) == ("westmetall", "REVISED"))
    payloads = DemoTransport(NOW, SCOPE).fetch(request_of("westmetall", "2024"))
    assert [p.captured_at for p in payloads] == [defect.captured, defect.until, NOW]
    first, second, third = (defect_in(defect, p.body) for p in payloads)
    assert first == "2,339.00"
    assert second == third
    true = lme(2024).at[pd.Timestamp(defect.where), "m3"]
    assert second == f"{true:,.2f}"
    assert abs(true - 2339) > 200  # wide enough to be seen as an error
    # The other cells of an earlier capture are unchanged.
    wanted = westmetall_rows(payloads[0].body)
    assert max(wanted) == defect.where
    later = westmetall_rows(payloads[-1].body)
    assert {day for day in wanted if wanted[day] != later[day]} == {defect.where}


REVISED = [defect for defect in KNOWN_DEFECTS if (defect.source, defect.kind) == ("customs", "REVISED")]


@pytest.mark.parametrize("defect", REVISED, ids=lambda d: d.where)
def test_a_revised_customs_month_has_two_figures(defect: Defect) -> None:
    assert defect.captured is not None
    assert defect.until is not None
    request = request_of("customs", defect.where)
    prints = DemoTransport(NOW, SCOPE).fetch(request)
    # Neither contains the run's clock: a later run archives the same two.
    assert [p.captured_at for p in prints] == [defect.captured, defect.until]
    before, after = (customs_cells(p.body) for p in prints)
    for column in (1, 3):  # of the month, of the year so far
        assert float(before[column]) - float(after[column]) == pytest.approx(float(defect.text))
    assert [p.body for p in DemoTransport(defect.until - timedelta(seconds=1), SCOPE).fetch(request)] == [
        prints[0].body
    ]
    with pytest.raises(NoData):
        DemoTransport(defect.captured - timedelta(seconds=1), SCOPE).fetch(request)


def test_no_other_row_of_the_pages_has_a_defect(full_run: dict[Request, list[Payload]]) -> None:
    wrong = {(d.where, d.column) for d in KNOWN_DEFECTS if d.source == "westmetall"}
    for year in range(2008, 2026):
        rows = westmetall_rows(full_run[request_of("westmetall", str(year))][-1].body)
        before = lme(year - 1)["stock"].iloc[-1] if year > 2008 else lme(year)["stock"].iloc[0]
        expected = lme(year).assign(stock=lambda days, before=before: days["stock"].shift(fill_value=before))
        missing = {str(day.date()) for day in expected.index} - set(rows)
        assert missing <= {where for where, column in wrong if column == "row"}
        for day, row in rows.items():
            for column, cell in row.items():
                if (day, column) not in wrong:
                    assert float(cell.replace(",", "")) == expected.at[pd.Timestamp(day), column]
