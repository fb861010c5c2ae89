"""The demo market through the project's own parsers: the parsed rows equal the market, except for its listed defects.

The requested months contain both changes of daylight saving, quarter hours, a revised and a malformed customs table,
and years whose pages have each kind of defect.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from pipelines.common.calendar import release_times
from pipelines.common.settings import PROJECT
from pipelines.reference import load_reference
from pipelines.sources import SOURCES
from pipelines.sources.base import Exporter, Metal, NoData, Parsed, Payload, Request, Scope, Zone
from pipelines.transports.demo import KNOWN_DEFECTS, DemoTransport, defects, market
from pipelines.transports.drop_parser import parse_drop
from schemas.base import columns_of
from schemas.datasets import DATASETS

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
MONTHS = ("2019-03", "2019-10", "2024-05", "2025-10", "2026-03")
GAP = "2019-10"  # Energy-Charts has no response, SMARD replaces it
YEARS = (2019, 2024, 2025, 2026)

Read = dict[str, dict[Request, list[Parsed]]]


@pytest.fixture(scope="module")
def read() -> Read:
    """Every source's responses to the months, parsed: by source and request, captures oldest first."""
    transport = DemoTransport(NOW, SCOPE)
    return {
        name: {
            request: [source.parse(payload, SCOPE) for payload in payloads]
            for month in MONTHS
            for request in source.requests(pd.Period(month, "M"), SCOPE)
            if (payloads := answered(transport, request))
        }
        for name, source in SOURCES.items()
    }


def answered(transport: DemoTransport, request: Request) -> list[Payload]:
    """The captures of a response; none where there is none."""
    try:
        return transport.fetch(request)
    except NoData:
        return []


def newest(read: Read, source: str, dataset: str) -> pd.DataFrame:
    """Rows of the last capture of each response, as one frame."""
    frames = [captures[-1].frames for captures in read[source].values()]
    return pd.concat([frame[dataset] for frame in frames if dataset in frame], ignore_index=True)


def by_day(days: Iterable[np.datetime64], values: Iterable[float]) -> dict[pd.Timestamp, float]:
    return {pd.Timestamp(day): float(value) for day, value in zip(days, values, strict=True)}


def reported(day: pd.Timestamp, series: str, column: str) -> float:
    """The close of the business day before, which the report of a day has."""
    figures: dict[pd.Timestamp, float] = {}
    for year in (day.year - 1, day.year):
        values = getattr(market, series)("AL", year, 0)
        figures |= by_day(values.days, getattr(values, column))
    return figures[max(other for other in figures if other < day)]


def exchange(column: str) -> dict[pd.Timestamp, float]:
    """The market's figures for the requested pages: those released by then, without the rows that the pages omit."""
    years = [market.lme_year("AL", year, 0) for year in YEARS]
    figures = {day: v for lme in years for day, v in by_day(lme.days, getattr(lme, column)).items()}
    gone = {
        pd.Timestamp(d.where) for d in KNOWN_DEFECTS if (d.source, d.kind, d.column) == ("westmetall", "MISSING", "row")
    }
    return {day: value for day, value in figures.items() if day not in gone and day < pd.Timestamp(NOW.date())}


@pytest.mark.slow
def test_every_source_has_rows_for_each_of_its_datasets(read: Read) -> None:
    assert set(read) == set(SOURCES)
    for name, responses in read.items():
        held = {
            dataset for captures in responses.values() for p in captures for dataset, f in p.frames.items() if len(f)
        }
        assert held == set(SOURCES[name].DATASETS), name


def test_the_intended_rows_are_rejected_and_no_others(read: Read) -> None:
    rejected = {
        (name, request.period, bad.dataset, bad.reason)
        for name, responses in read.items()
        for request, captures in responses.items()
        for parsed in captures
        for bad in parsed.rejected
    }
    assert rejected == {
        ("westmetall", "2024", "prices", "cash_usd_t: '2,5x8.00' is not a number"),
        ("worldbank", "", "benchmark_prices", "mean_usd_t: '1,8x1.2' is not a number"),
        ("customs", "2019-10", "exports", "exports_kt: '--' is not a number"),
        ("jin10", "", "stocks", "cancelled_t: '12x5' is not a number"),
        ("yahoo", "2024", "equities", "close_usd: null is not a number"),
        ("comtrade", "2019-03", "exports", "exports_kt: netWgt of 7606: null is not a number; the month is left out"),
        (
            "ember",
            "",
            "benchmark_power",
            "contradicts an earlier row of country FRA and delivery_date 2018-10-28, which is kept",
        ),
    }
    count = sum(len(captures[-1].rejected) for responses in read.values() for captures in responses.values())
    assert count == len(rejected)


def test_exchange_prices_and_stock_equal_the_market(read: Read) -> None:
    malformed = pd.Timestamp("2024-08-14")
    prices = newest(read, "westmetall", "prices").set_index("obs_date")
    for column, name in (("cash", "cash_usd_t"), ("m3", "m3_usd_t")):
        expected = exchange(column)
        del expected[malformed]
        assert prices[name].to_dict() == expected
    stocks = newest(read, "westmetall", "stocks").set_index("obs_date")
    assert stocks["total_t"].to_dict() == {day: reported(day, "lme_year", "stock") for day in exchange("stock")}
    assert stocks["cancelled_t"].isna().all()
    spreads = newest(read, "westmetall", "spreads").set_index("obs_date")["usd_t"]
    assert spreads.to_dict() == (prices["cash_usd_t"] - prices["m3_usd_t"]).to_dict()


def test_an_earlier_capture_holds_the_typing_error(read: Read) -> None:
    (captures,) = (parsed for request, parsed in read["westmetall"].items() if request.period == "2024")
    day = pd.Timestamp("2024-05-21")
    first, *later = (p.frames["prices"].set_index("obs_date").at[day, "m3_usd_t"] for p in captures)
    lme = market.lme_year("AL", 2024, 0)
    assert first == 2339
    assert set(later) == {by_day(lme.days, lme.m3)[day]}


def test_cancelled_warrants_equal_the_market(read: Read) -> None:
    stocks = newest(read, "jin10", "stocks").set_index("obs_date")
    (defect,) = (d for d in KNOWN_DEFECTS if d.source == "jin10")
    assert pd.Timestamp(defect.where) not in stocks.index
    for year in YEARS:
        here = stocks[stocks.index.year == year]
        assert len(here) > 220
        assert here["total_t"].to_dict() == {day: reported(day, "lme_year", "stock") for day in here.index}
        cancelled = {day: reported(day, "cancelled_year", "values") for day in here.index}
        assert here["cancelled_t"].to_dict() == cancelled
    months = set(stocks.index.to_period("M"))
    absent = pd.period_range("2014-07", "2026-11", freq="M").difference(pd.PeriodIndex(sorted(months)))
    assert [str(month) for month in absent] == ["2021-10", "2021-11", "2021-12", "2022-01", "2022-02"]


def test_rates_and_exchange_rates_equal_the_market(read: Read) -> None:
    for rate, rate_year in (("SOFR", market.sofr_year), ("EFFR", market.effr_year)):
        expected = {day: v for year in YEARS for day, v in by_day(*rate_year(year, 0)).items()}
        first, second = (newest(read, source, "rates") for source in ("nyfed", "fred"))
        first, second = (one[one["rate_id"] == rate].set_index("obs_date")["rate_pct"] for one in (first, second))
        assert first.to_dict() == {day: expected[day] for day in expected if day <= first.index.max()}
        assert second[second.index.year.isin(YEARS)].to_dict() == first.to_dict()
    fx = newest(read, "ecb", "fx")
    for pair in ("EURUSD", "EURCNY"):
        expected = {day: v for year in YEARS for day, v in by_day(*market.fx_year(pair, year, 0)).items()}
        found = fx[fx["pair"] == pair].set_index("obs_date")["rate"].to_dict()
        assert found == {day: v for day, v in expected.items() if day <= pd.Timestamp(NOW.date())}


@pytest.mark.parametrize(("source", "zone"), [("energy_charts", SCOPE.zones[0]), ("entsoe", SCOPE.zones[1])])
def test_power_points_equal_the_market(read: Read, source: str, zone: Zone) -> None:
    points = newest(read, source, "power")
    assert set(points["zone"]) == {zone.zone}
    for month in MONTHS:
        if (source, month) == ("energy_charts", GAP):
            assert month not in set(points["delivery_date"].dt.strftime("%Y-%m"))
            points = pd.concat([points, newest(read, "smard", "power")])  # it has this month, in whole weeks
        power = market.power_month(zone.zone, month, zone.timezone, 0)
        here = points[points["delivery_date"].dt.strftime("%Y-%m") == month]
        assert set(here["resolution"]) == {f"PT{power.minutes}M"}
        starts = np.cumsum(power.counts) - power.counts
        day = here["delivery_date"].dt.day.to_numpy() - 1
        assert np.array_equal(here["n_positions"], power.counts[day])
        prices = pd.Series(here["price_eur_mwh"].to_numpy(), index=starts[day] + here["position"].to_numpy() - 1)
        # A missing position repeats the one before.
        assert np.array_equal(prices.reindex(range(len(power.prices))).ffill(), power.prices)


def test_exports_equal_the_market_and_first_figures_differ_by_the_revision(read: Read) -> None:
    revised = {d.where: float(d.text) for d in KNOWN_DEFECTS if (d.source, d.kind) == ("customs", "REVISED")}
    seen = set()
    for request, captures in read["customs"].items():
        year, month = map(int, request.period.split("-"))
        true = float(market.exports_year(defects.ALUMINIUM, year, 0)[month - 1])
        found = [float(parsed.frames["exports"]["exports_kt"].sum()) for parsed in captures]
        if request.period == "2019-10":
            assert found == [0]  # its row is rejected
            continue
        ten_thousand_tonnes = [true + revised[request.period], true] if request.period in revised else [true]
        assert found == pytest.approx([10 * quantity for quantity in ten_thousand_tonnes])
        seen.add(request.period)
    assert seen == set(MONTHS) - {"2019-10"}


def test_exports_by_code_equal_the_market(read: Read) -> None:
    found = newest(read, "comtrade", "exports").set_index("period_end")
    assert set(found["country"]) == {"CA"}
    assert set(found["period_months"]) == {1}
    assert {f"{day:%Y-%m}" for day in found.index} == set(MONTHS) - {"2019-03"}
    for day, kilotonnes in found["exports_kt"].items():
        codes = market.trade_year("CA", "AL", day.year, 0)
        assert kilotonnes == pytest.approx(sum(months[day.month - 1] for months in codes.values()) / 1e6)


def test_closes_equal_the_market(read: Read) -> None:
    closes = newest(read, "yahoo", "equities")
    (defect,) = (d for d in KNOWN_DEFECTS if d.source == "yahoo")
    for ticker in SCOPE.tickers:
        expected = {day: v for year in YEARS for day, v in by_day(*market.share_year(ticker, year, 0)).items()}
        if ticker == defect.entity:
            del expected[pd.Timestamp(defect.where)]
        here = closes[closes["ticker"] == ticker].set_index("obs_date")["close_usd"]
        assert here.to_dict() == {day: v for day, v in expected.items() if day < pd.Timestamp(NOW.date())}


def test_the_pink_sheet_is_the_mean_of_the_days(read: Read) -> None:
    sheet = newest(read, "worldbank", "benchmark_prices").set_index("period_end")["mean_usd_t"]
    for year in YEARS:
        lme = market.lme_year("AL", year, 0)
        means = pd.Series(lme.cash, pd.DatetimeIndex(lme.days)).groupby(lambda day: day.to_period("M")).mean()
        for month, mean in means.items():
            if month <= pd.Period("2026-10", "M") and str(month) != "2019-03":
                assert sheet[month.end_time.normalize()] == pytest.approx(mean, abs=0.006)
    assert pd.Timestamp("2019-03-31") not in sheet.index
    means = newest(read, "fred", "benchmark_prices").set_index("period_end")["mean_usd_t"]
    assert means[sheet.index].to_dict() == sheet.to_dict()
    assert pd.Timestamp("2019-03-31") in means.index


def test_daily_means_of_countries_are_those_of_the_points(read: Read) -> None:
    means = newest(read, "ember", "benchmark_power").drop_duplicates()
    blank = {(d.entity, d.where) for d in KNOWN_DEFECTS if (d.source, d.kind) == ("ember", "MISSING")}
    assert len(blank) == 2
    for country, zone in (("DEU", SCOPE.zones[0]), ("FRA", SCOPE.zones[1])):
        here = means[means["country"] == country].set_index("delivery_date")["mean_eur_mwh"]
        assert (f"{here.index.min():%Y-%m-%d}", f"{here.index.max():%Y-%m-%d}") == ("2015-01-01", "2026-11-16")
        absent = pd.date_range(here.index.min(), here.index.max()).difference(here.index)
        assert {(country, f"{day:%Y-%m-%d}") for day in absent} == {pair for pair in blank if pair[0] == country}
        power = market.power_month(zone.zone, "2025-10", zone.timezone, 0)
        days = np.split(power.prices, np.cumsum(power.counts)[:-1])
        found = here[here.index.strftime("%Y-%m") == "2025-10"]
        assert found.tolist() == pytest.approx([day.mean() for day in days], abs=0.006)


def test_stock_in_shanghai_and_its_part_on_warrant(read: Read) -> None:
    stocks = newest(read, "shfe", "exchange_stocks")
    series = {"METAL": "AL", "ALUMINA": "氧化铝", "CAST_ALLOY": "铸造铝合金"}
    assert set(stocks["product"]) == set(series)
    for product, own in stocks.groupby("product"):
        assert own["obs_date"].dt.strftime("%m-%d").tolist() == ["03-06", "03-13", "03-20", "03-27"]
        days, total, on_warrant = market.exchange_stock_year("SHFE", series[str(product)], 2026, 0)
        for column, values in {"total_t": total, "on_warrant_t": on_warrant}.items():
            generated = by_day(days, values)
            assert own[column].tolist() == [generated[day] for day in own["obs_date"]]


def test_positions_are_those_of_the_market_that_are_published(read: Read) -> None:
    """Weeks that a shutdown delayed come one after the other, twice a week."""
    positions = newest(read, "cftc", "positions")
    for contract, own in positions.groupby("contract"):
        years = [market.positions_year(str(contract), year, 0) for year in range(2008, 2027)]
        for column in ("managed_long", "managed_short", "open_interest"):
            generated = {d: v for year in years for d, v in by_day(year.days, getattr(year, column)).items()}
            assert dict(zip(own["obs_date"], own[column], strict=True)) == {
                day: value for day, value in generated.items() if day <= pd.Timestamp("2026-11-17")
            }
    assert set(positions["contract"]) == {"191691", "191693"}
    rules = load_reference(PROJECT / "data" / "reference")["release_calendar"]
    for now in (datetime(2019, 2, 5, 20, 29, tzinfo=UTC), datetime(2025, 12, 2, 20, 30, tzinfo=UTC), NOW):
        _, request = SOURCES["cftc"].requests(pd.Period("2026-01", "M"), SCOPE)
        [answer] = DemoTransport(now, SCOPE).fetch(request)
        shown = SOURCES["cftc"].parse(answer, SCOPE).frames["positions"]["obs_date"]
        days = pd.Series(positions.loc[positions["contract"] == request.entity, "obs_date"].tolist())
        known = release_times(days, "positions", "cftc", rules)["knowledge_ts"]
        assert shown.tolist() == days[(known <= pd.Timestamp(now)).to_numpy()].tolist()


# Of each dropped dataset the first year, and the days of a year's rows, one of each series.
DROPPED: dict[str, tuple[int, Callable[[int], Iterable[np.ndarray]]]] = {
    "off_warrant": (2018, lambda year: [market.off_warrant_year("AL", year, 0).days]),
    "costs": (2015, lambda year: [market.costs_year("AL", year, 0).days]),
    "production": (2015, lambda year: [market.production_year("AL", year, 0).days]),
    "arbitrage": (2015, lambda year: [market.arbitrage_year("AL", year, 0).days]),
    "spreads": (2008, lambda year: [tenor.days for tenor in market.tenors_year("AL", year, 0).values()]),
    "premia": (2008, lambda year: [region.days for region in market.premia_year("AL", year, 0).values()]),
    "exchange_stocks": (2008, lambda year: [weeks(name, year) for name in ("SHFE", "COMEX")]),
    "stocks_by_location": (2021, lambda year: [market.lme_year("AL", year, 0).days] * 7),
}


def weeks(exchange: str, year: int) -> np.ndarray:
    days = market.exchange_stock_year(exchange, "AL", year, 0).days
    return days[days < np.datetime64("2025-12-01")] if exchange == "SHFE" else days


@pytest.mark.parametrize("now", [NOW, datetime(2026, 1, 13, 18, tzinfo=UTC), datetime(2025, 7, 1, 5, tzinfo=UTC)])
def test_dropped_files_fit_their_schemas_and_the_release_calendar(now: datetime) -> None:
    rules = load_reference(PROJECT / "data" / "reference")["release_calendar"]
    files = DemoTransport(now, SCOPE).dropped()
    assert {name.split("/")[0] for name in files} == {*DROPPED}
    for name, body in files.items():
        dataset = name.split("/")[0]
        spec = DATASETS[dataset]
        given = pd.read_csv(io.BytesIO(body), parse_dates=[spec.period])
        given = given.drop(columns="knowledge_ts", errors="ignore").assign(**spec.defaults)
        rows = spec.model.validate(given.reindex(columns=list(columns_of(spec.model))))[list(given)]
        assert not rows.duplicated(list(spec.key)).any()
        assert rows.notna().all().all()
        read_as_dropped = parse_drop(dataset, name, body).frames[dataset]
        own = read_as_dropped["knowledge_ts"]
        assert read_as_dropped[list(rows.columns)].to_dict("list") == rows.to_dict("list")
        # The files have every figure that is released by the calendar, and nothing else. Spreads have their own times,
        # those of the free page.
        tier = "westmetall" if dataset == "spreads" else "drop"
        known = release_times(rows[spec.period], dataset, tier, rules)["knowledge_ts"]
        assert own.tolist() == known.tolist() if dataset == "spreads" else own.isna().all()
        assert (known <= pd.Timestamp(now)).all()
        first, days_of = DROPPED[dataset]
        days = np.concatenate([days for year in range(first, 2027) for days in days_of(year)])
        due = pd.Series(days.astype("datetime64[us]"))
        due = due[(release_times(due, dataset, tier, rules)["knowledge_ts"] <= pd.Timestamp(now)).to_numpy()]
        assert sorted(rows[spec.period]) == sorted(due)
