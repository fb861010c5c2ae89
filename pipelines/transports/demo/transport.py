"""Demo transport: responses of the publishers of the generated market at a given time.

Joins values (`market`), release times (`timetable`), intentional errors (`defects`) and formats (`wire`). A response
holds only values that were released by that time.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Collection, Container
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any, Final, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipelines.common.calendar import to_utc
from pipelines.sources.base import Metal, NotRequested, Payload, Request, Scope, Zone
from pipelines.transports.demo import levels, market, timetable, wire
from pipelines.transports.demo.defects import Defect, defects, earlier_captures

T = TypeVar("T")
Released = Callable[[str, int], list[tuple[Any, ...]]]  # released rows of a metal and year

JIN10_FIRST_DAY: Final = date(2014, 7, 2)
JIN10_GAP: Final = (date(2021, 10, 1), date(2022, 3, 1))  # first day of the gap, first day after it
SHFE_PAGES_FROM: Final = np.datetime64("2025-12-01")  # of the weeks before, the user has a file
SECOND_AUCTION_EVERY: Final = 10  # months between responses with a second auction


class DemoTransport:
    """Responses to every source's requests from the generated market, as known at `now` (UTC).

    The response for a past period has the same bytes at every later `now`. A revised response comes with its earlier
    captures, oldest first. A payload's `captured_at` is `now`, or the time of the earlier capture. `metals`: of the
    responses that hold several, beside `levels.LISTED`.
    """

    def __init__(self, now: datetime, scope: Scope, seed: int = 0, metals: Collection[str] = ()) -> None:
        if now.tzinfo is None:
            raise ValueError(f"now={now.isoformat()} has no time zone: give a time in UTC")
        self.now = now.astimezone(UTC)
        self.scope = scope
        self.seed = seed
        self.listed = [metal for metal in levels.LME if metal in levels.LISTED or metal in metals]
        self._responses: dict[str, Callable[[Request, datetime], bytes]] = {
            "westmetall": self._westmetall,
            "worldbank": self._worldbank,
            "nyfed": self._nyfed,
            "fred": self._fred,
            "energy_charts": self._energy_charts,
            "smard": self._smard,
            "entsoe": self._entsoe,
            "customs": self._customs,
            "ecb": self._ecb,
            "jin10": self._jin10,
            "comtrade": self._comtrade,
            "yahoo": self._yahoo,
            "ember": self._ember,
            "shfe": self._shfe,
            "cftc": self._cftc,
        }

    def fetch(self, request: Request) -> list[Payload]:
        """The captures of a request, oldest first. Raises `NotRequested` for data that is not in the market (yet)."""
        respond = self._responses.get(request.source)
        if respond is None:
            raise NotRequested(f"the demo market has no source {request.source!r}; it has {', '.join(self._responses)}")
        captures = earlier_captures(request.source, request.entity, request.period) if request.period else []
        payloads: list[Payload] = []
        for moment in (*(capture for capture in captures if capture <= self.now), self.now):
            body = respond(request, moment)
            if not payloads or payloads[-1].body != body:
                payloads.append(Payload(request, body, moment))
        return payloads

    def dropped(self, dataset: str | None = None) -> dict[str, bytes]:
        """CSV files that a user would have put into the drop folder by `now`, by their path in it: of a dataset or all.

        Off-warrant stock (t, month-ends from 2018), smelter costs (USD/t) and Shanghai arbitrage (London business days
        from 2015), primary production (kt, months from 2015, January and February together), further tenors of the
        curve and premia by region (USD/t, London business days), stock of other exchanges (t, weeks) and by place (t,
        London business days from 2021). Without `knowledge_ts`, which the release calendar gives; only quotes of
        spreads have it, that of the free price page. Files without rows are omitted.
        """
        tables: tuple[tuple[str, tuple[str, ...], Container[str], int, Released], ...] = (
            (
                "off_warrant/synthetic_demo_off_warrant.csv",
                ("metal", "period_end", "offwarrant_t", "registered_month_end_t"),
                levels.OFF_WARRANT, market.FIRST_OFF_WARRANT_YEAR, self._off_warrant,
            ),
            (
                "costs/synthetic_demo_costs.csv",
                ("metal", "obs_date", "alumina_usd_t", "premium_usd_t"),
                levels.COSTS, market.FIRST_COSTS_YEAR, self._costs,
            ),
            (
                "production/synthetic_demo_production.csv",
                ("metal", "period_end", "country", "period_months", "production_kt"),
                levels.PRODUCTION, market.FIRST_PRODUCTION_YEAR, self._production,
            ),
            (
                "arbitrage/synthetic_demo_arbitrage.csv",
                (
                    "metal", "obs_date", "shfe_cny_t", "cif_premium_usd_t", "usdcny", "dest_premium_usd_t",
                    "freight_usd_t",
                ),
                levels.ARBITRAGE, market.FIRST_ARBITRAGE_YEAR, self._arbitrage,
            ),
            (
                "spreads/synthetic_demo_spreads.csv",
                ("metal", "obs_date", "spread", "usd_t", "knowledge_ts"),
                levels.LME, market.FIRST_YEAR, self._spreads,
            ),
            (
                "premia/synthetic_demo_premia.csv",
                ("metal", "obs_date", "region", "usd_t"),
                levels.PREMIA, market.FIRST_YEAR, self._premia,
            ),
            (
                "exchange_stocks/synthetic_demo_exchange_stocks.csv",
                ("metal", "obs_date", "exchange", "total_t", "on_warrant_t"),
                levels.LME, market.FIRST_YEAR, self._exchange_stocks,
            ),
            (
                "stocks_by_location/synthetic_demo_stocks_by_location.csv",
                ("metal", "obs_date", "location", "live_t", "cancelled_t", "in_t", "out_t"),
                levels.LOCATIONS, market.FIRST_LOCATIONS_YEAR, self._stocks_by_location,
            ),
        )  # fmt: skip
        files: dict[str, bytes] = {}
        for name, columns, metals, first_year, released in tables:
            if dataset not in (None, name.split("/")[0]):
                continue
            rows = [
                (metal.metal, *row)
                for metal in self.scope.metals
                if metal.metal in metals
                for year in range(first_year, self.now.year + 1)
                for row in released(metal.metal, year)
            ]
            if rows:
                files[name] = wire.drop_csv(columns, rows)
        return files

    def _metal(self, symbol: str) -> Metal | None:
        return next((metal for metal in self.scope.metals if metal.metal == symbol), None)

    def _zone(self, name: str) -> Zone | None:
        return next((zone for zone in self.scope.zones if zone.zone == name), None)

    def _off_warrant(self, metal: str, year: int) -> list[tuple[Any, ...]]:
        stock = market.off_warrant_year(metal, year, self.seed)
        tonnes = (values.astype(int) for values in (stock.off_warrant, stock.registered))
        return timetable.OFF_WARRANT.rows(self.now, stock.days, *tonnes)

    def _costs(self, metal: str, year: int) -> list[tuple[Any, ...]]:
        return timetable.COSTS.rows(self.now, *market.costs_year(metal, year, self.seed))

    def _production(self, metal: str, year: int) -> list[tuple[Any, ...]]:
        days, months, produced = market.production_year(metal, year, self.seed)
        country = np.full(len(days), levels.PRODUCTION[metal].country)
        return timetable.PRODUCTION.rows(self.now, days, country, months, produced)

    def _arbitrage(self, metal: str, year: int) -> list[tuple[Any, ...]]:
        return timetable.ARBITRAGE.rows(self.now, *market.arbitrage_year(metal, year, self.seed))

    def _spreads(self, metal: str, year: int) -> list[tuple[Any, ...]]:
        return [
            (day, tenor, value, known)
            for tenor, (days, values) in market.tenors_year(metal, year, self.seed).items()
            for (day, value), known in zip(
                timetable.LME.rows(self.now, days, values),
                timetable.LME.times(days).strftime("%Y-%m-%dT%H:%M:%SZ"),
                strict=False,
            )
        ]

    def _premia(self, metal: str, year: int) -> list[tuple[Any, ...]]:
        return [
            (day, region, value)
            for region, (days, values) in market.premia_year(metal, year, self.seed).items()
            for day, value in timetable.COSTS.rows(self.now, days, values)
        ]

    def _exchange_stocks(self, metal: str, year: int) -> list[tuple[Any, ...]]:
        """Weeks of COMEX, and those of Shanghai from before its pages."""
        rows: list[tuple[Any, ...]] = []
        for exchange, metals in levels.OTHER_STOCKS.items():
            if metal in metals:
                days, *tonnes = market.exchange_stock_year(exchange, metal, year, self.seed)
                if exchange == "SHFE":
                    tonnes, days = [values[days < SHFE_PAGES_FROM] for values in tonnes], days[days < SHFE_PAGES_FROM]
                known = timetable.COMEX.rows(self.now, days, *(values.astype(int) for values in tonnes))
                rows += [(day, exchange, *values) for day, *values in known]
        return rows

    def _stocks_by_location(self, metal: str, year: int) -> list[tuple[Any, ...]]:
        days = market.lme_year(metal, year, self.seed).days
        return [
            (day, place, *values)
            for place, stock in market.locations_year(metal, year, self.seed).items()
            for day, *values in timetable.LME.rows(self.now, days, *(tonnes.astype(int) for tonnes in stock))
        ]

    def _westmetall(self, request: Request, at: datetime) -> bytes:
        metal, year = self._metal(request.entity), _year(request)
        if metal is None or metal.metal not in levels.LME or year < market.FIRST_YEAR:
            raise _no_data(request)
        wrong = defects(request.source, request.entity, request.period, at)
        lme = market.lme_year(metal.metal, year, self.seed)
        stocks = market.stock_reports(metal.metal, year, self.seed).total
        rows = []
        for day, cash, m3, stock in timetable.LME.rows(at, lme.days, lme.cash, lme.m3, stocks):
            cells = {"cash": f"{cash:,.2f}", "m3": f"{m3:,.2f}", "stock": f"{stock:,.0f}"}
            here = {column: defect for (where, column), defect in wrong.items() if where == day.isoformat()}
            if "row" not in here:
                cells |= {column: defect.text for column, defect in here.items()}
                rows.append((day, cells["cash"], cells["m3"], cells["stock"]))
        if not rows:
            raise _no_data(request)
        return wire.westmetall_page(metal.name, metal.westmetall_code, year, rows)

    def _jin10(self, request: Request, at: datetime) -> bytes:
        if request.name != "lme_stock.json":
            raise _no_data(request)
        days: dict[str, dict[str, list[float | str]]] = {}
        for metal in self.listed:
            name = levels.JIN10_NAMES[metal]
            wrong = defects(request.source, metal, "", at)
            for year in range(JIN10_FIRST_DAY.year, at.year + 1):
                reported, stock, cancelled = market.stock_reports(metal, year, self.seed)
                columns = (tonnes.astype(int) for tonnes in (stock, stock - cancelled, cancelled))
                for day, total, registered, part in timetable.LME.rows(at, reported, *columns):
                    if day >= JIN10_FIRST_DAY and not JIN10_GAP[0] <= day < JIN10_GAP[1]:
                        cell = _cell(wrong, day.isoformat(), "cancelled", part)
                        days.setdefault(day.isoformat(), {})[name] = [total, registered, cell]
        if not days:
            raise _no_data(request)
        return wire.jin10_json([levels.JIN10_NAMES[metal] for metal in self.listed], days)

    def _yahoo(self, request: Request, at: datetime) -> bytes:
        ticker, year = request.entity, _year(request)
        if ticker not in levels.SHARES or ticker not in self.scope.tickers or year < market.FIRST_YEAR:
            raise _no_data(request)
        wrong = defects(request.source, ticker, request.period, at)
        share = market.share_year(ticker, year, self.seed)
        rows = timetable.SHARES.rows(at, *share)
        if not rows:
            raise _no_data(request)
        starts = to_utc(share.days[: len(rows)], "09:30", timetable.NEW_YORK)
        closes = [None if (day.isoformat(), "close") in wrong else close for day, close in rows]
        seconds = starts.as_unit("s").asi8
        wall = starts.tz_convert(timetable.NEW_YORK).tz_localize(None).as_unit("s").asi8
        return wire.yahoo_json(ticker, timetable.NEW_YORK, int(wall[-1] - seconds[-1]), seconds.tolist(), closes)

    def _comtrade(self, request: Request, at: datetime) -> bytes:
        released = timetable.COMTRADE.count(at, np.array([_month(request)]))
        country, _, symbol = request.entity.partition("/")
        exporter = next((e for e in self.scope.exporters if e.country == country), None)
        metal = self._metal(symbol)
        year, index = int(request.period[:4]), int(request.period[5:]) - 1
        known = (country, symbol) in levels.TRADE and year >= market.FIRST_TRADE_YEAR
        if exporter is None or metal is None or not known or not released:
            raise _no_data(request)
        wrong = defects(request.source, country, request.period, at)
        trade = levels.TRADE[country, symbol]
        by_code = market.trade_year(country, symbol, year, self.seed)
        weights: dict[tuple[str, int], float | None] = {}
        usd: dict[tuple[str, int], float] = {}
        for code in (code for code in metal.hs_codes.split() if code in by_code):
            for partner, share in {0: 1.0, **trade.partners}.items():
                kilograms = round(float(by_code[code][index]) * share)
                usd[code, partner] = round(kilograms * trade.usd_per_kg, 2)
                weights[code, partner] = None if partner == 0 and (request.period, code) in wrong else kilograms
        return wire.comtrade_json(exporter.comtrade_code, request.period.replace("-", ""), weights, usd)

    def _worldbank(self, request: Request, at: datetime) -> bytes:
        months = _released_months(request, timetable.PINK_SHEET, at)
        wrong = defects(request.source, "", "", at)
        columns: dict[str, list[float | str]] = {}
        for metal in self.listed:
            column = levels.WORLD_BANK_COLUMNS[metal]
            means = self._monthly_means(metal, int(str(months[-1])[:4]))
            columns[column] = [_cell(wrong, str(month), column, means[str(month)]) for month in months]
        names = [str(month).replace("-", "M") for month in months]
        return wire.world_bank_workbook(names, columns, timetable.PINK_SHEET.days(months)[-1].astype(date))

    def _monthly_means(self, metal: str, last_year: int) -> dict[str, float]:
        means: dict[str, float] = {}
        for year in range(market.FIRST_YEAR, last_year + 1):
            lme = market.lme_year(metal, year, self.seed)
            months, first = np.unique(lme.days.astype("datetime64[M]"), return_index=True)
            sums, counts = np.add.reduceat(lme.cash, first), np.diff(np.append(first, len(lme.days)))
            means |= {str(month): round(float(mean), 2) for month, mean in zip(months, sums / counts, strict=True)}
        return means

    def _rates(self, name: str, year: int, at: datetime) -> list[tuple[date, float]]:
        release, rate_year = {
            "SOFR": (timetable.SOFR, market.sofr_year),
            "EFFR": (timetable.EFFR, market.effr_year),
        }[name]
        return release.rows(at, *rate_year(year, self.seed))

    def _nyfed(self, request: Request, at: datetime) -> bytes:
        wrong = defects(request.source, request.entity, request.period, at)
        rates = [
            (day.isoformat(), _cell(wrong, day.isoformat(), "percentRate", rate))
            for day, rate in self._rates(request.entity, _year(request), at)
        ]
        if not rates:
            raise _no_data(request)
        return wire.rates_json(request.entity, rates)

    def _fred(self, request: Request, at: datetime) -> bytes:
        metal = self._metal(request.entity)
        if metal is not None and metal.metal in levels.LME and request.name == f"{metal.fred_series}.csv":
            return self._fred_means(request, metal, at)
        if request.name not in ("SOFR.csv", "EFFR.csv"):
            raise _no_data(request)
        years = range(market.FIRST_YEAR, at.year + 1)
        known = dict(pair for year in years for pair in self._rates(request.entity, year, at))
        if not known:
            raise _no_data(request)
        weekdays = pd.bdate_range(min(known), max(known)).date
        return wire.fred_csv(
            request.entity, [(day.isoformat(), f"{known[day]:.2f}" if day in known else "") for day in weekdays]
        )

    def _fred_means(self, request: Request, metal: Metal, at: datetime) -> bytes:
        months = _released_months(request, timetable.FRED, at)
        means = self._monthly_means(metal.metal, int(str(months[-1])[:4]))
        return wire.fred_csv(metal.fred_series, [(f"{month}-01", f"{means[str(month)]:.2f}") for month in months])

    def _ecb(self, request: Request, at: datetime) -> bytes:
        year = _year(request)
        wrong = defects(request.source, "", request.period, at)
        series: dict[str, list[tuple[str, str]]] = {}
        for pair in sorted(levels.FX):
            currency = pair.removeprefix("EUR")
            series[currency] = [
                (day.isoformat(), _cell(wrong, day.isoformat(), currency, f"{rate:.4f}"))
                for day, rate in timetable.FX.rows(at, *market.fx_year(pair, year, self.seed))
            ]
        if year < market.FIRST_YEAR or not any(series.values()):
            raise _no_data(request)
        return wire.ecb_csv(series)

    def _auction(self, request: Request, at: datetime) -> tuple[Zone, market.Power, int]:
        """Zone, its month, and the number of the month's days that have been auctioned."""
        zone = self._zone(request.entity)
        month = _month(request)
        if zone is None or zone.zone not in levels.POWER or month < market.FIRST_POWER:
            raise _no_data(request)
        power = market.power_month(zone.zone, request.period, zone.timezone, self.seed)
        days = month.astype("datetime64[D]") + np.arange(len(power.counts))
        known = timetable.AUCTION.count(at, days)
        if not known:
            raise _no_data(request)
        return zone, power, known

    def _energy_charts(self, request: Request, at: datetime) -> bytes:
        if defects(request.source, request.entity, request.period, at):
            raise _no_data(request)
        _, power, known = self._auction(request, at)
        n = int(power.counts[:known].sum())
        seconds = power.starts[0] + np.arange(n) * (power.minutes * 60)
        return wire.energy_charts_json(seconds.tolist(), power.prices[:n].tolist())

    def _smard(self, request: Request, at: datetime) -> bytes:
        """Weeks of the months that are missing at Energy-Charts; other weeks would only repeat its prices."""
        zone = self._zone(request.entity)
        match = re.search(r"_(hour|quarterhour)_(\d+)000\.json$", request.name)
        if zone is None or match is None:
            raise _no_data(request)
        monday = pd.Timestamp(int(match[2]), unit="s", tz=zone.timezone)
        week = [monday + pd.DateOffset(days=n) for n in range(8)]
        months = sorted({f"{day:%Y-%m}" for day in week[:7]})
        if not any(defects("energy_charts", zone.zone, month, at) for month in months):
            raise _no_data(request)
        known: dict[int, float] = {}
        for month in months:
            _, power, days = self._auction(replace(request, period=month), at)
            prices = power.prices[: int(power.counts[:days].sum())].tolist()
            known |= {int(power.starts[0]) + power.minutes * 60 * n: price for n, price in enumerate(prices)}
        starts = range(int(week[0].timestamp()), int(week[7].timestamp()), 3600 if match[1] == "hour" else 900)
        return wire.smard_json(starts, (known.get(start) for start in starts))

    def _ember(self, request: Request, at: datetime) -> bytes:
        """Daily means of the generated prices, released a week after each day."""
        rows: list[tuple[str, str, str]] = []
        months = np.arange(market.FIRST_POWER, np.datetime64(at.replace(tzinfo=None), "M") + 1)
        for zone in self.scope.zones:
            if (country := levels.COUNTRIES.get(zone.zone)) is None:
                continue
            wrong = defects(request.source, country, "", at)
            for month in months:
                power = market.power_month(zone.zone, str(month), zone.timezone, self.seed)
                days = month.astype("datetime64[D]") + np.arange(len(power.counts))
                means = np.add.reduceat(power.prices, np.cumsum(power.counts) - power.counts) / power.counts
                for day, mean in timetable.EMBER.rows(at, days, np.round(means, 2)):
                    defect = wrong.get((day.isoformat(), "price"))
                    missing = defect is not None and defect.kind == "MISSING"
                    rows.append((country, day.isoformat(), "" if missing else f"{mean:.2f}"))
                    if defect is not None and defect.kind == "REPEATED":
                        rows.append((country, day.isoformat(), defect.text))
        if not rows:
            raise _no_data(request)
        return wire.ember_csv(rows)

    def _shfe(self, request: Request, at: datetime) -> bytes:
        match = re.fullmatch(r"weeklystock_(\d{4})(\d\d)(\d\d)\.html", request.name)
        if match is None:
            raise _no_data(request)
        day = date(*map(int, match.groups()))
        if not timetable.SHFE.count(at, np.array([day], dtype="datetime64[D]")):
            raise _no_data(request)
        named = {levels.JIN10_NAMES[metal]: metal for metal in self.listed}
        named |= {product: product for product in levels.SHFE_PRODUCTS}
        return wire.shfe_page(day, {name: self._shanghai_stock(series, day) for name, series in named.items()})

    def _shanghai_stock(self, metal: str, day: date) -> list[tuple[int, int]]:
        """Stock of the week before and of the week of `day` (t): all, and on warrant."""
        years = [market.exchange_stock_year("SHFE", metal, year, self.seed) for year in (day.year - 1, day.year)]
        days, *tonnes = (np.concatenate(parts) for parts in zip(*years, strict=True))
        now = int(np.searchsorted(days, np.datetime64(day), side="right"))
        return [
            (int(total), int(part)) for total, part in zip(*(values[now - 2 : now] for values in tonnes), strict=True)
        ]

    def _cftc(self, request: Request, at: datetime) -> bytes:
        contract = request.entity
        if contract not in levels.POSITIONS or request.name != f"{contract}.json":
            raise _no_data(request)
        rows: list[tuple[Any, ...]] = []
        for year in range(market.FIRST_YEAR, at.year + 1):
            days, *numbers = market.positions_year(contract, year, self.seed)
            rows += timetable.CFTC.rows(at, days, *(values.astype(int) for values in numbers))
        if not rows:
            raise _no_data(request)
        return wire.cftc_json(contract, rows)

    def _entsoe(self, request: Request, at: datetime) -> bytes:
        zone, power, known = self._auction(request, at)
        month = _month(request)
        first = month.astype("datetime64[D]")
        prices = _by_day(power.prices, power.counts)[:known]
        for (where, position), defect in defects(request.source, request.entity, request.period, at).items():
            if (day := int((np.datetime64(where) - first).astype(int))) < known:
                prices[day][int(position) - 1] = defect.text
        bounds = power.starts.tolist()
        sequences = {1: (power.minutes, list(zip(bounds, bounds[1:], prices, strict=False)))}
        if int(month.astype(int)) % SECOND_AUCTION_EVERY == 3:
            quarters = np.repeat(power.prices, power.minutes // 15)
            quarters = np.round(quarters + 2.5 * np.sin(np.arange(len(quarters)) * 2.1), 2)
            other = _by_day(quarters, power.counts * (power.minutes // 15))[:known]
            sequences[2] = (15, list(zip(bounds, bounds[1:], other, strict=False)))
        created = timetable.AUCTION.times(np.array([first + known - 1]))[0].to_pydatetime()
        mrid = hashlib.sha256(request.name.encode()).hexdigest()[:32]
        return wire.entsoe_document(zone.eic, mrid, created, sequences)

    def _customs(self, request: Request, at: datetime) -> bytes:
        released = timetable.CUSTOMS.count(at, np.array([_month(request)]))
        year, month = int(request.period[:4]), int(request.period[5:])
        if year < market.FIRST_CUSTOMS_YEAR or month == 1 or not released:
            raise _no_data(request)
        defective = defects(request.source, "", request.period, at)
        rows = []
        for name, commodity in levels.CUSTOMS.items():
            wrong = defective.get((request.period, name))
            now, before = (market.exports_year(name, y, self.seed)[:month] for y in (year, year - 1))
            quantity = float(now[:2].sum() if month == 2 else now[-1])
            total, earlier = float(now.sum()), float(before.sum())
            if wrong and wrong.kind == "REVISED":
                quantity, total = quantity + float(wrong.text), total + float(wrong.text)
            texts = [f"{x:,.{commodity.decimals}f}" for x in (quantity, total)]
            values = [f"{x * commodity.usd_per_unit:,.0f}" for x in (quantity, total)]
            change = f"{round((total / earlier - 1) * 100, 1) + 0.0:.1f}"  # adding zero turns -0.0 into 0.0
            if wrong and wrong.kind == "MALFORMED":
                texts = [wrong.text, wrong.text]
            rows.append((name, commodity.unit, texts[0], values[0], texts[1], values[1], change, change))
        return wire.customs_page(year, month, rows)


def _released_months(request: Request, release: timetable.Release, at: datetime) -> NDArray[np.datetime64]:
    """Months whose values are released by `at`. Raises `NotRequested` when there is none."""
    months = np.arange(np.datetime64(f"{market.FIRST_YEAR}-01"), np.datetime64(at.replace(tzinfo=None), "M"))
    if not (count := release.count(at, months)):
        raise _no_data(request)
    return months[:count]


def _cell(wrong: dict[tuple[str, str], Defect], where: str, column: str, value: T) -> T | str:
    """A value, or the text of the defect in its place."""
    defect = wrong.get((where, column))
    return value if defect is None else defect.text


def _by_day(prices: NDArray[np.float64], counts: NDArray[np.int64]) -> list[list[str]]:
    texts = [f"{price:.10g}" for price in prices.tolist()]
    ends = np.cumsum(counts).tolist()
    return [texts[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def _year(request: Request) -> int:
    if not re.fullmatch(r"\d{4}", request.period):
        raise _no_data(request)
    return int(request.period)


def _month(request: Request) -> np.datetime64:
    if not re.fullmatch(r"\d{4}-(0[1-9]|1[0-2])", request.period):
        raise _no_data(request)
    return np.datetime64(request.period, "M")


def _no_data(request: Request) -> NotRequested:
    subject = " ".join(part for part in (request.entity, request.period) if part) or request.name
    return NotRequested(f"{request.source} {request.name}: the demo market has no data for {subject} at this time")
