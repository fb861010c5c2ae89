"""Generated market: every series as a pure function of its period and a seed.

Each function returns one year or month, independent of the order of calls: random numbers are seeded by (seed, series,
segment), where a segment is the time between two dates of `levels`. Within a segment a bridge with mean zero is added
to the straight line, so that averages stay those of the levels. Wire formats, release times and defects are elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Final, NamedTuple
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from pipelines.common.calendar import Calendar, business_days, to_utc
from pipelines.transports.demo import levels

Days = NDArray[np.datetime64]
Floats = NDArray[np.float64]

FIRST_YEAR: Final = 2008
FIRST_SOFR: Final = np.datetime64("2018-04-02")
FIRST_POWER: Final = np.datetime64("2015-01")
FIRST_CUSTOMS_YEAR: Final = 2015
FIRST_OFF_WARRANT_YEAR: Final = 2018
FIRST_COSTS_YEAR: Final = 2015
FIRST_PRODUCTION_YEAR: Final = 2015
FIRST_ARBITRAGE_YEAR: Final = 2015
FIRST_TRADE_YEAR: Final = 2015
FIRST_LOCATIONS_YEAR: Final = 2021
QUARTER_HOURS_FROM: Final = np.datetime64("2025-10")

PRICE_NOISE: Final = 0.010  # per square root of a day
SPREAD_NOISE: Final = 0.7  # USD/t
STOCK_NOISE: Final = 0.0025
CANCELLED_NOISE: Final = 0.015
OFF_WARRANT_NOISE: Final = 0.003
COST_NOISE: Final = 0.004
FX_NOISE: Final = 0.004
GAP_NOISE: Final = 10.0  # CNY/t
SHARE_NOISE: Final = 0.015
TENOR_NOISE: Final = {"TOM_NEXT": 0.05, "M3_M15": 1.0}  # USD/t
OTHER_STOCK_NOISE: Final = 0.006
LOCATION_NOISE: Final = 0.01
POSITION_NOISE: Final = 0.03
LOADED_SHARE: Final = 0.02  # of a place's cancelled warrants, on a day
LOT: Final = 25.0  # t: registered stock is a number of whole warrants; `levels.LOTS` has other sizes


class Lme(NamedTuple):
    """One year of a metal on the exchange, by London business day: prices in USD/t, stock at the close in t."""

    days: Days
    cash: Floats
    m3: Floats
    stock: Floats


class StockReports(NamedTuple):
    """One year of stock reports of a metal, in t: each has the stock at the close of the business day before."""

    days: Days
    total: Floats
    cancelled: Floats


class OffWarrant(NamedTuple):
    """Stock of a metal at the month-ends of a year (last London business days), in t."""

    days: Days
    off_warrant: Floats
    registered: Floats


class Costs(NamedTuple):
    """One year of alumina prices and premiums of a metal, by London business day."""

    days: Days
    alumina: Floats  # USD/t alumina
    premium: Floats  # USD/t


class Arbitrage(NamedTuple):
    """One year of a metal's Shanghai arbitrage, by London business day; Chinese holidays are not modelled."""

    days: Days
    shfe: Floats  # CNY/t, value added tax included
    cif_premium: Floats  # USD/t
    usdcny: Floats
    dest_premium: Floats  # USD/t
    freight: Floats  # USD/t


class ExchangeStock(NamedTuple):
    """One year of the weekly stock of a metal at another exchange, in t."""

    days: Days
    total: Floats
    on_warrant: Floats


class Location(NamedTuple):
    """One year of registered stock at a place at the close of each day, and what came and went, in t."""

    live: Floats
    cancelled: Floats
    received: Floats
    loaded: Floats


class Positions(NamedTuple):
    """One year of weekly positions in a contract."""

    days: Days
    managed_long: Floats
    managed_short: Floats
    open_interest: Floats


class Production(NamedTuple):
    """Releases of a year of production, January and February together, in thousand tonnes."""

    days: Days  # last of each period
    months: NDArray[np.int64]  # in each period
    produced: Floats


class Daily(NamedTuple):
    """One year of a daily series."""

    days: Days
    values: Floats


class Power(NamedTuple):
    """One month of a day-ahead auction: a price per market time unit, in time order."""

    starts: NDArray[np.int64]  # of each local day, seconds since 1970 UTC; one more at the end
    minutes: int  # market time unit
    counts: NDArray[np.int64]  # units of each local day
    prices: Floats  # EUR/MWh


@cache
def lme_year(metal: str, year: int, seed: int) -> Lme:
    """Cash and 3M prices (USD/t, in half dollars) and registered stock (t) of a year. KeyError for an unknown metal."""
    knots, (m3, spread, _) = _columns(levels.LME[metal])
    steps = [(day, stock) for day, _, _, stock in levels.LME[metal]]
    stock_knots, (stock,) = _columns(sorted([*steps, *levels.STOCK_STEPS.get(metal, ())]))
    days = _open_days("LONDON", year)

    def path(name: str, knots: Days, values: Floats, noise: float) -> Floats:
        return _path(f"{metal}.{name}", days, knots, values, noise, seed)

    m3_usd = np.round(np.exp(path("m3", knots, np.log(m3), PRICE_NOISE)) * 2) / 2
    cash_usd = m3_usd + np.round(path("spread", knots, spread, SPREAD_NOISE) * 2) / 2
    tonnes = np.exp(path("stock", stock_knots, np.log(stock * 1000), STOCK_NOISE))
    # Stated levels are published figures and kept exactly; between them stock changes by whole warrants.
    lot = levels.LOTS.get(metal, LOT)
    tonnes = np.where(np.isin(days, stock_knots), np.round(tonnes), np.round(tonnes / lot) * lot)
    return Lme(days, *(_read_only(values) for values in (cash_usd, m3_usd, tonnes)))


@cache
def cancelled_year(metal: str, year: int, seed: int) -> Daily:
    """Cancelled warrants of a year (t, whole warrants, never more than the stock). KeyError for an unknown metal."""
    lme = lme_year(metal, year, seed)
    knots, (share,) = _columns(levels.CANCELLED[metal])
    ratio = np.exp(_path(f"{metal}.cancelled", lme.days, knots, np.log(share), CANCELLED_NOISE, seed))
    lot = levels.LOTS.get(metal, LOT)
    warrants = np.round(lme.stock * np.minimum(ratio, 0.95) / lot)
    return Daily(lme.days, _read_only(np.minimum(warrants, lme.stock // lot) * lot))


@cache
def stock_reports(metal: str, year: int, seed: int) -> StockReports:
    """Stock reports of a year; the first one of the market repeats its stock. KeyError for an unknown metal."""

    def reported(closes: Callable[[int], Floats]) -> Floats:
        own = closes(year)
        before = closes(year - 1)[-1:] if year > FIRST_YEAR else own[:1]
        return _read_only(np.concatenate([before, own[:-1]]))

    return StockReports(
        lme_year(metal, year, seed).days,
        reported(lambda year: lme_year(metal, year, seed).stock),
        reported(lambda year: cancelled_year(metal, year, seed).values),
    )


@cache
def off_warrant_year(metal: str, year: int, seed: int) -> OffWarrant:
    """Off-warrant and registered stock at the month-ends of a year (t). KeyError for an unknown metal."""
    lme = lme_year(metal, year, seed)
    ends = np.append(np.diff(lme.days.astype("datetime64[M]")).astype(int) > 0, True)
    knots, (stock,) = _columns(levels.OFF_WARRANT[metal])
    tonnes = _path(f"{metal}.off_warrant", lme.days, knots, np.log(stock * 1000), OFF_WARRANT_NOISE, seed)
    return OffWarrant(*(_read_only(values[ends]) for values in (lme.days, np.round(np.exp(tonnes)), lme.stock)))


@cache
def costs_year(metal: str, year: int, seed: int) -> Costs:
    """Alumina (half dollars) and premium (steps of 5 USD/t) of a year. KeyError for an unknown metal."""
    days = _open_days("LONDON", year)
    knots, (alumina, premium) = _columns(levels.COSTS[metal])
    alumina_usd, premium_usd = (
        np.exp(_path(f"{metal}.{name}", days, knots, np.log(values), COST_NOISE, seed))
        for name, values in (("alumina", alumina), ("premium", premium))
    )
    return Costs(days, _read_only(np.round(alumina_usd * 2) / 2), _read_only(np.round(premium_usd / 5) * 5))


@cache
def arbitrage_year(metal: str, year: int, seed: int) -> Arbitrage:
    """Shanghai price and premia (in steps of 5), freight and USDCNY of a year. KeyError for an unknown metal."""
    lme = lme_year(metal, year, seed)
    knots, (gap, cif, dest, freight) = _columns(levels.ARBITRAGE[metal])
    usdcny = np.round(_rate("EURCNY", lme.days, seed) / _rate("EURUSD", lme.days, seed), 4)
    shfe = lme.m3 * usdcny * (1 + levels.VALUE_ADDED_TAX)
    shfe += _path(f"{metal}.gap", lme.days, knots, gap, GAP_NOISE, seed)
    premia = (
        np.round(np.exp(_path(f"{metal}.{name}", lme.days, knots, np.log(values), COST_NOISE, seed)) / step) * step
        for name, values, step in (("cif", cif, 5), ("dest", dest, 5), ("freight", freight, 1))
    )
    cif_usd, dest_usd, freight_usd = (_read_only(values) for values in premia)
    return Arbitrage(lme.days, _read_only(np.round(shfe / 5) * 5), cif_usd, _read_only(usdcny), dest_usd, freight_usd)


@cache
def premia_year(metal: str, year: int, seed: int) -> dict[str, Daily]:
    """Premia of a year by region (whole USD/t) and London business day. KeyError for an unknown metal."""
    days = _open_days("LONDON", year)
    knots, premia = _columns(levels.PREMIA[metal])
    paths = (
        np.exp(_path(f"{metal}.{region}", days, knots, np.log(values), COST_NOISE, seed))
        for region, values in zip(levels.REGIONS, premia, strict=True)
    )
    return {region: Daily(days, _read_only(np.round(path))) for region, path in zip(levels.REGIONS, paths, strict=True)}


@cache
def tenors_year(metal: str, year: int, seed: int) -> dict[str, Daily]:
    """Spreads of further tenors of a year (USD/t; positive is backwardation). KeyError for an unknown metal."""
    knots, (_, spread, _) = _columns(levels.LME[metal])
    days = lme_year(metal, year, seed).days
    return {
        tenor: Daily(
            days,
            _read_only(
                np.round(_path(f"{metal}.{tenor}", days, knots, part * spread + more, TENOR_NOISE[tenor], seed), 2)
                + 0.0  # no negative zero
            ),
        )
        for tenor, (part, more) in levels.TENORS.items()
    }


@cache
def exchange_stock_year(exchange: str, metal: str, year: int, seed: int) -> ExchangeStock:
    """Stock at the end of each week at another exchange (t), from its first week on. KeyError for an unknown metal."""
    knots, (stock, share) = _columns(levels.OTHER_STOCKS[exchange][metal])
    days = _weekly("CHINA" if exchange == "SHFE" else "NEW_YORK", year, 4)
    days = days[days >= knots[0]]
    if not len(days):
        return ExchangeStock(days, *(_read_only(np.array([])),) * 2)
    total, part = (
        np.exp(_path(f"{exchange}.{metal}.{name}", days, knots, np.log(values), OTHER_STOCK_NOISE, seed))
        for name, values in (("stock", stock * 1000), ("on_warrant", share))
    )
    tonnes = np.round(total)
    return ExchangeStock(days, _read_only(tonnes), _read_only(np.round(tonnes * np.minimum(part, 1))))


@cache
def locations_year(metal: str, year: int, seed: int) -> dict[str, Location]:
    """Registered stock of a year by place and London business day; the places sum to it. KeyError for another metal."""
    places, lot = levels.PLACES[metal], levels.LOTS.get(metal, LOT)
    days = np.concatenate([lme_year(metal, year - 1, seed).days[-1:], lme_year(metal, year, seed).days])
    lme = [lme_year(metal, before, seed).stock for before in (year - 1, year)]
    warrants = [cancelled_year(metal, before, seed).values for before in (year - 1, year)]
    total, cancelled = (np.concatenate([before[-1:], now]) for before, now in (lme, warrants))
    knots, weights = _columns(levels.LOCATIONS[metal])
    shares = np.array(
        [
            np.exp(_path(f"{metal}.{place}", days, knots, np.log(weight), LOCATION_NOISE, seed))
            for place, weight in zip(places, weights, strict=True)
        ]
    )
    live, gone = _apportioned(total - cancelled, shares, lot), _apportioned(cancelled, shares**1.2, lot)
    change = np.diff(live + gone, prepend=(live + gone)[:, :1])
    received = np.maximum(change, 0) + np.round(LOADED_SHARE * gone / lot) * lot
    return {
        place: Location(*(_read_only(values[1:]) for values in (live[i], gone[i], received[i], (received - change)[i])))
        for i, place in enumerate(places)
    }


def _apportioned(total: Floats, shares: Floats, lot: float) -> Floats:
    """A total by place, in proportion to the shares and in whole lots; the first place has the remainder."""
    parts: Floats = np.floor(total * shares / shares.sum(axis=0) / lot) * lot
    parts[0] += total - parts.sum(axis=0)
    return parts


@cache
def positions_year(contract: str, year: int, seed: int) -> Positions:
    """Positions of a year by week, on Tuesday or before a holiday on it. KeyError for an unknown contract."""
    knots, columns = _columns(levels.POSITIONS[contract])
    days = _weekly("NEW_YORK", year, 1)
    days = days[days >= knots[0]]
    if not len(days):
        return Positions(days, *(_read_only(np.array([])),) * 3)
    long, short, interest = (
        np.round(np.exp(_path(f"{contract}.{n}", days, knots, np.log(values), POSITION_NOISE, seed)))
        for n, values in enumerate(columns)
    )
    return Positions(days, _read_only(long), _read_only(short), _read_only(np.maximum(interest, long + short)))


@cache
def production_year(metal: str, year: int, seed: int) -> Production:
    """Primary production of a year by release. KeyError for an unknown metal."""
    producer = levels.PRODUCTION[metal]
    firsts = np.arange(np.datetime64(f"{year}-01"), np.datetime64(f"{year + 1}-02")).astype("datetime64[D]")
    total = producer.years[max(y for y in producer.years if y <= year)]
    weights = np.diff(firsts).astype(float) * np.exp(producer.tilt.get(year, 0.0) * (np.arange(12) - 5.5) / 11)
    weights *= np.exp(_rng(seed, f"{metal}.production", year).normal(0, 0.001, 12))
    monthly = np.round(total * weights / weights.sum())
    pooled = np.append(monthly[:2].sum(), monthly[2:])
    return Production(firsts[2:] - 1, _read_only(np.array([2, *[1] * 10])), _read_only(pooled))


@cache
def trade_year(country: str, metal: str, year: int, seed: int) -> dict[str, Floats]:
    """Twelve months of exports by customs code, whole kg. KeyError for an unknown country or metal."""
    trade = levels.TRADE[country, metal]
    total = trade.years[max(y for y in trade.years if y <= year)]
    rng = _rng(seed, f"{country}.{metal}.trade", year)
    weights = np.exp(rng.normal(0, 0.025, 12))
    kilograms = total * 1_000_000 * weights / weights.sum()
    return {
        code: _read_only(np.round(kilograms * share * np.exp(rng.normal(0, 0.02, 12))))
        for code, share in trade.codes.items()
    }


@cache
def share_year(ticker: str, year: int, seed: int) -> Daily:
    """Closing prices of a share (USD, cents) by New York business day. KeyError for an unknown ticker."""
    knots, (close,) = _columns(levels.SHARES[ticker])
    days = _open_days("NEW_YORK", year)
    prices = np.exp(_path(f"{ticker}.share", days, knots, np.log(close), SHARE_NOISE, seed))
    return Daily(days, _read_only(np.round(prices, 2)))


@cache
def sofr_year(year: int, seed: int) -> Daily:
    """SOFR of a year by US business day, percent; empty before 2018."""
    days = _open_days("NEW_YORK", year)
    days = days[days >= FIRST_SOFR]
    since = np.array([day for day, _ in levels.SOFR], dtype="datetime64[D]")
    base = np.array([rate for _, rate in levels.SOFR])[np.searchsorted(since, days, side="right") - 1]
    turn = np.append(np.diff(days.astype("datetime64[M]")).astype(int) > 0, True) if len(days) else np.array([])
    noise = _rng(seed, "sofr", year).normal(0, 0.012, len(days)) + 0.05 * turn  # rates rise at the end of a month
    return Daily(days, _read_only(np.round(np.maximum(base + noise, 0.01), 2)))


@cache
def effr_year(year: int, seed: int) -> Daily:
    """Effective federal funds rate of a year by US business day, percent; from 2018-04 on 2 bp above SOFR."""
    days = _open_days("NEW_YORK", year)
    steps = [*levels.EFFR, *((day, rate + 0.02) for day, rate in levels.SOFR)]
    since = np.array([day for day, _ in steps], dtype="datetime64[D]")
    base = np.array([rate for _, rate in steps])[np.searchsorted(since, days, side="right") - 1]
    noise = _rng(seed, "effr", year).normal(0, 0.006, len(days))
    return Daily(days, _read_only(np.round(np.maximum(base + noise, 0.01), 2)))


@cache
def fx_year(pair: str, year: int, seed: int) -> Daily:
    """Reference rate of a year by TARGET business day, four decimals. KeyError for an unknown pair."""
    days = _open_days("TARGET", year)
    return Daily(days, _read_only(np.round(_rate(pair, days, seed), 4)))


def _rate(pair: str, days: Days, seed: int) -> Floats:
    means = levels.FX[pair]
    knots = np.array([f"{y}-07-01" for y in means], dtype="datetime64[D]")
    return np.asarray(np.exp(_path(pair, days, knots, np.log(list(means.values())), FX_NOISE, seed)))


@cache
def exports_year(name: str, year: int, seed: int) -> Floats:
    """Twelve months of Chinese exports in the commodity's unit, rounded as published. KeyError for an unknown name."""
    commodity = levels.CUSTOMS[name]
    total = commodity.years[max(y for y in commodity.years if y <= year)]
    months = np.arange(12)
    weights = np.array(levels.CUSTOMS_SEASON) * np.exp(commodity.tilt.get(year, 0.0) * (months - 5.5) / 11)
    weights *= np.exp(_rng(seed, name, year).normal(0, 0.02, 12))
    return _read_only(np.round(total * weights / weights.sum() / commodity.scale, commodity.decimals))


@cache
def power_month(zone: str, month: str, timezone: str, seed: int) -> Power:
    """Auction prices of a local month, hourly and from 2025-10 by quarter hour. KeyError for an unknown zone."""
    start = np.datetime64(month, "M")
    year, index = int(month[:4]), int(month[5:]) - 1
    dates = np.arange(start.astype("datetime64[D]"), (start + 1).astype("datetime64[D]") + 1)
    midnights = to_utc(dates, "00:00", timezone).as_unit("s").asi8
    minutes = 15 if start >= QUARTER_HOURS_FROM else 60
    counts = np.diff(midnights) // (minutes * 60)
    day = np.repeat(np.arange(len(counts)), counts)
    position = np.arange(len(day)) - np.repeat(np.cumsum(counts) - counts, counts)
    hour = (position + 0.5) * 24 / counts[day]

    rng = _rng(seed, zone, year * 12 + index)
    wind = np.convolve(rng.standard_normal(len(counts) + 2), [0.6, 0.6, 0.5], "valid")[day]
    weekend = (dates.astype(int)[day] + 3) % 7 >= 5
    sun = (
        levels.SOLAR_SHARE[zone]
        * min(max((year - 2012) / 11, 0.2), 1.25)
        * (0.55 - 0.45 * np.cos((index + 0.5) / 6 * np.pi))
    )
    shape = 1 + 0.22 * _bump(hour, 8.5, 1.8) + 0.38 * _bump(hour, 19.5, 2.0) - 0.20 * _bump(hour, 3.5, 3.0)
    shape -= 0.15 * weekend + 0.25 * wind + sun * (0.9 + 0.3 * wind + 0.25 * weekend) * _bump(hour, 13.2, 2.6)
    shape += rng.normal(0, 0.03, len(day))
    shape = np.where(shape < 0, shape * 0.35, shape)  # deeply negative prices are rare
    prices = np.round(_power_level(zone, year, seed)[index] * (1 + shape - shape.mean()), 2)
    # Some adjacent units of a day have one price, so that an A03 curve omits the second one.
    repeats = np.flatnonzero((rng.random(len(day)) < 0.04) & (position > 0))
    for i in repeats:
        prices[i] = prices[i - 1]
    return Power(_read_only(midnights), minutes, _read_only(counts), _read_only(prices))


@cache
def _power_level(zone: str, year: int, seed: int) -> Floats:
    means = levels.POWER[zone]
    months = np.array(levels.POWER_CRISIS.get(year, levels.POWER_SEASON))
    months = months * np.exp(_rng(seed, f"{zone}.level", year).normal(0, 0.05, 12))
    return np.asarray(means[min(year, max(means))] * months / months.mean())


def _columns(table: Sequence[tuple[Any, ...]]) -> tuple[Days, list[Floats]]:
    """Dates and other columns of a table of levels."""
    days, *columns = zip(*table, strict=True)
    return np.array(days, dtype="datetime64[D]"), [np.array(column, dtype=float) for column in columns]


def _path(name: str, days: Days, knots: Days, values: Floats, noise: float, seed: int) -> Floats:
    """Linear interpolation between the knots, constant beyond them, with noise that is zero at every knot."""
    level: Floats = np.interp(days.astype(int), knots.astype(int), values)
    turns = (days[0].astype("datetime64[Y]") + np.arange(2)).astype("datetime64[D]")
    edges = np.concatenate([knots, turns[turns > knots[-1]]])
    for i in range(int(np.searchsorted(edges, days[0], side="right")) - 1, len(edges) - 1):
        if edges[i] > days[-1]:
            break
        inside = (days >= edges[i]) & (days < edges[i + 1])
        bridge = _bridge(name, int(edges[i].astype(int)), int(edges[i + 1].astype(int)), seed)
        level[inside] += noise * bridge[(days[inside] - edges[i]).astype(int)]
    return level


@cache
def _bridge(name: str, first: int, last: int, seed: int) -> Floats:
    """Brownian bridge over the days from first to last, zero at both ends and on average."""
    walk = np.append(0.0, _rng(seed, name, first).standard_normal(last - first).cumsum())
    x = np.linspace(0, 1, len(walk))
    bridge: Floats = walk - x * walk[-1]
    hat = x * (1 - x)
    if hat.any():
        bridge -= hat * bridge.mean() / hat.mean()
    return _read_only(bridge)


def _open_days(calendar: Calendar, year: int) -> Days:
    days = np.arange(np.datetime64(f"{year}-01-01"), np.datetime64(f"{year + 1}-01-01"))
    return np.asarray(days[np.is_busday(days, busdaycal=business_days(calendar))])


def _weekly(calendar: Calendar, year: int, weekday: int) -> Days:
    """A day of each week of a year, or the last open day of the week before it; a week of holidays has none."""
    mondays = np.arange(np.datetime64(f"{year}-01-01") - 6, np.datetime64(f"{year + 1}-01-01"))
    mondays = mondays[(mondays.astype(int) + 3) % 7 == 0]
    days = np.busday_offset(mondays + weekday, 0, roll="backward", busdaycal=business_days(calendar))
    return np.asarray(days[(days >= mondays) & (days.astype("datetime64[Y]").astype(int) + 1970 == year)])


def _bump(hour: Floats, centre: float, width: float) -> Floats:
    return np.asarray(np.exp(-(((hour - centre) / width) ** 2) / 2))


def _rng(seed: int, name: str, segment: int) -> np.random.Generator:
    return np.random.default_rng([seed, crc32(name.encode()), segment])


def _read_only(values: NDArray[Any]) -> NDArray[Any]:
    """The array made read-only, since cached arrays are shared."""
    values.flags.writeable = False
    return values
