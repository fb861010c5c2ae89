"""Small synthetic markets with the gaps, delays and revisions of real ones, deterministic by seed.

Walks with ties, gaps, blank values, late and revised figures, rows known in another order than observed, and times of
knowledge on both sides of the decision time and exactly on it. Nothing in them is real.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from random import Random
from zoneinfo import ZoneInfo

from oracle import (
    LONDON,
    Market,
    Row,
    is_london_business_day,
    is_us_business_day,
    month_before,
    month_of,
    months_later,
)
from sandbox import Sandbox

from pipelines.datasets import FEEDS

LAST_DAY = date(2026, 1, 15)
BERLIN, NEW_YORK, BEIJING = ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York"), ZoneInfo("Asia/Shanghai")
NOON, EVENING = time(13, 25), time(18)
# Times of the day in London at which something becomes known, and how often.
TIMES = {
    time(9): 2,
    NOON: 5,
    time(17, 59, 59): 1,
    EVENING: 2,
    time(18, 0, 1): 1,
    time(23, 30): 1,
}
SPREADS = ("CASH_3M", "CASH_TOM", "DEC_DEC", "M1_M2", "M3_M15", "M3_M27", "TOM_NEXT")
PREMIA = ("EU_DUTY_PAID", "EU_DUTY_UNPAID", "US_MIDWEST")
CONTRACTS = ("191691", "191693", "088691")  # the last one is no contract of the metal
EXCHANGES = (("SHFE", "METAL", 4), ("SHFE", "ALUMINA", 5), ("COMEX", "METAL", 1))  # a report every so many days
PLACES = ("DETROIT", "GWANGYANG", "VLISSINGEN")
QUARTER_HOURS_SINCE = date(2025, 10, 1)


def market(
    seed: int,
    business_days: int = 320,
    last: date = LAST_DAY,
    years_of_months: int = 5,
    exporters: tuple[str, ...] = ("CN", "IN"),
    is_late_start: bool = True,
) -> Market:
    """A market of one metal: daily series over the London business days that end with `last`, monthly ones far longer.

    Some rows become known only after `last`, so that a clock that stands there must not see them. `is_late_start`: the
    first prices are known days later, the earliest of them last. China's exports pool January and February.
    """
    rng = Random(seed)
    days = _trading_days(last, business_days)
    months = [month_before(month_of(last), back) for back in range(12 * years_of_months, 0, -1)]
    return {
        "prices": list(_prices(rng, days, is_late_start)),
        "stocks": list(_stocks(rng, days)),
        "rates": [*_rates(rng, days, "SOFR", 4.3, time(8)), *_rates(Random(-seed), days, "EFFR", 3.1, time(9))],
        "fx": [*_fx(rng, days, "EURUSD", 1.16), *_fx(rng, days, "GBPUSD", 1.31)],
        "power": [row for zone in ("DE-LU", "FR") for row in _power(rng, zone, last, min(300, business_days))],
        "exports": [
            row
            for country in exporters
            for row in _monthly(rng, "exports", country, months, days, 520, is_pooled=country == "CN")
        ],
        "off_warrant": list(_off_warrant(rng, months, days)),
        "production": list(_monthly(rng, "production", "CN", months, days, 3700, is_pooled=True)),
        "arbitrage": list(_arbitrage(rng, days)),
        "costs": list(_costs(rng, days)),
        "equities": [row for ticker in ("AA", "CENX") for row in _equity(rng, days, ticker)],
        "premia": [row for n, region in enumerate(PREMIA) for row in _premia(Random(seed + n), days, region)],
        "positions": [
            row for n, contract in enumerate(CONTRACTS) for row in _positions(Random(seed - n), days, contract)
        ],
        "exchange_stocks": [
            row
            for n, (exchange, product, every) in enumerate(EXCHANGES)
            for row in _reports(
                Random(seed + n), _trading_days(last, 260 * years_of_months)[::every], exchange, product
            )
        ],
        "stocks_by_location": [row for n, place in enumerate(PLACES) for row in _places(Random(seed + n), days, place)],
        "spreads": [row for n, spread in enumerate(SPREADS) for row in _quotes(Random(seed + n), days, spread)],
    }


def to_drop(made: Market, sandbox: Sandbox, seed: int = 0) -> None:
    """Writes every dataset that the product takes into the drop folder, its rows in no order."""
    rng = Random(seed)
    for dataset, rows in made.items():
        if dataset not in FEEDS or not rows:
            continue
        shuffled = rng.sample(rows, len(rows))
        text = io.StringIO()
        writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: _text(value) for name, value in row.items()} for row in shuffled)
        sandbox.drop(f"{dataset}/market.csv", text.getvalue())


def _text(value: object) -> str:
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%SZ")
    return "" if value is None else str(value)


# --- days and moments


def _trading_days(last: date, count: int) -> list[date]:
    days: list[date] = []
    while len(days) < count:
        if is_london_business_day(last):
            days.append(last)
        last -= timedelta(1)
    return days[::-1]


def _next(day: date, is_open: Callable[[date], bool] = is_london_business_day) -> date:
    day += timedelta(1)
    while not is_open(day):
        day += timedelta(1)
    return day


def _at(day: date, moment: time, zone: ZoneInfo = LONDON) -> datetime:
    return datetime.combine(day, moment, zone).astimezone(UTC)


def _some_time(rng: Random, day: date) -> datetime:
    """A moment of the day in London, often close to the decision time."""
    return _at(day, rng.choices(list(TIMES), list(TIMES.values()))[0])


def _released(rng: Random, day: date, usual: datetime) -> datetime:
    """Release moment of a day: mostly the usual one; else another time of the day, or late, even after later days."""
    kind = rng.choices(["usual", "that day", "late"], [70, 22, 8])[0]
    if kind == "usual":
        return usual
    if kind == "that day":
        return max(_some_time(rng, usual.date()), _at(day, time(0), ZoneInfo("UTC")))
    return _some_time(rng, usual.date() + timedelta(rng.randint(1, 12)))


def _vintages(
    rng: Random, row: Row, first: datetime, revise: Callable[[Row], Row], chance: float = 0.07, days: int = 40
) -> Iterator[Row]:
    """A row as first known and its later vintages; one in six repeats the values."""
    yield row | {"knowledge_ts": first}
    moment = first
    while rng.random() < chance:
        later = _some_time(rng, moment.date() + timedelta(rng.randint(0, days)))
        moment = later if later > moment else moment + timedelta(days=1, seconds=7)
        row = revise(row) if rng.random() < 0.85 else row
        yield row | {"knowledge_ts": moment}


def _blank(rng: Random, value: float, chance: float) -> float | None:
    return None if rng.random() < chance else value


def _position(days: list[date], share: float) -> int:
    """An index so far into the days."""
    return int(len(days) * share)


def _gap(days: list[date], share: float, calendar_days: int) -> set[date]:
    """The days without data of a source."""
    start = days[_position(days, share)]
    return {day for day in days if 0 <= (day - start).days < calendar_days}


# --- daily series


def _prices(rng: Random, days: list[date], is_late_start: bool) -> Iterator[Row]:
    """Prices around 3,100 USD/t, so that both levels are crossed; a gap of 50 days, one of two weeks, a late start."""
    missing = _gap(days, 0.3, 50) | _gap(days, 0.06, 14)
    m3, spread = 3100.0, -5.0
    year_ago = {days[_position(days, share)] for share in (0.02, 0.03)}

    def revise(row: Row) -> Row:
        made = dict(row)
        for name in ("cash_usd_t", "m3_usd_t"):
            if row[name] is None:
                made[name] = 3100.0 + rng.randint(-50, 50)
            elif rng.random() < 0.6:
                made[name] = row[name] + rng.choice([-12.0, -0.5, 0.5, 3.0, 25.0])
        if rng.random() < 0.1:
            made["cash_usd_t"] = None
        return made

    for i, day in enumerate(days):
        m3 += 5 * round((0.04 * (3100 - m3) + rng.gauss(0, 30)) / 5)
        spread += rng.choice([-6, -4, -2, 0, 0, 0, 1, 3, 5]) - round(0.08 * spread)
        if i >= 3 and (day in missing or rng.random() < 0.03):
            continue
        blank = rng.choices([(), ("cash_usd_t",), ("m3_usd_t",)], [92, 4, 4])[0]
        row: Row = {
            "metal": "AL",
            "obs_date": day,
            "cash_usd_t": m3 + spread,
            "m3_usd_t": m3,
            "days_cash_to_3m": rng.randint(83, 93) if rng.random() < 0.3 else None,
            **dict.fromkeys(blank),
        }
        first = _released(rng, day, _at(day, NOON))
        if i < 3:
            first = _at(days[4 - i], time(18, 0, 1)) if is_late_start else _at(day, NOON)
        made = list(_vintages(rng, row, first, revise))
        yield from made
        if day in year_ago:  # the base of a yearly change, revised when it is used
            moment = _at(days[-15], time(14))
            last = made[-1]
            yield last | {"m3_usd_t": (last["m3_usd_t"] or 3000.0) + 40, "knowledge_ts": moment}


def _quotes(rng: Random, days: list[date], spread: str) -> Iterator[Row]:
    """Quotes of a spread; a gap longer than the carry limit, and a start of its own."""
    missing, value = _gap(days, 0.4, 55), 0.0
    for day in days[rng.randint(0, 30) :]:
        value += rng.choice([-3.0, -1.25, 0.0, 0.0, 0.5, 2.0])
        if day in missing or rng.random() < 0.1:
            continue
        row: Row = {"metal": "AL", "obs_date": day, "spread": spread, "usd_t": value}
        yield from _vintages(
            rng, row, _released(rng, day, _at(day, NOON)), lambda row: row | {"usd_t": row["usd_t"] + 0.75}, 0.06
        )


def _premia(rng: Random, days: list[date], region: str) -> Iterator[Row]:
    """Premia on most days; a gap longer than the carry limit."""
    missing, value = _gap(days, rng.choice([0.2, 0.5]), 50), 300.0
    for day in days[rng.randint(0, 20) :]:
        value += rng.choice([-10.0, -2.5, 0.0, 0.0, 5.0, 8.0])
        if day in missing or rng.random() < 0.4:
            continue
        row: Row = {"metal": "AL", "obs_date": day, "region": region, "usd_t": value}
        yield from _vintages(
            rng, row, _released(rng, day, _at(_next(day), EVENING)), lambda row: row | {"usd_t": row["usd_t"] - 12.5}
        )


def _positions(rng: Random, days: list[date], contract: str) -> Iterator[Row]:
    """Positions of Tuesdays in few sizes, so that shares tie; weeks that are published together, a week of nothing."""
    missing, late = _gap(days, 0.7, 60), _gap(days, 0.5, 30)
    for day in days:
        if day.weekday() != 1 or day in missing:
            continue
        open_interest = 100 * rng.randint(0, 4)
        row: Row = {
            "contract": contract,
            "obs_date": day,
            "managed_long": min(open_interest, 50 * rng.randint(0, 6)),
            "managed_short": min(open_interest, 50 * rng.randint(0, 6)),
            "open_interest": open_interest,
        }
        friday = _at(day + timedelta(3), time(15, 30), NEW_YORK)
        first = _at(max(late) + timedelta(9), time(15, 30), NEW_YORK) if day in late else _released(rng, day, friday)
        yield from _vintages(rng, row, first, lambda row: row | {"open_interest": row["open_interest"] + 50}, 0.1)


def _reports(rng: Random, days: list[date], exchange: str, product: str) -> Iterator[Row]:
    """Reports of another exchange, some weeks without, some months late; the part on warrant is not always given."""
    missing, total = _gap(days, 0.76, 70) | _gap(days, 0.6, 20), 200_000.0
    for day in days:
        total = max(10_000.0, total + rng.choice([-9_000, -500, 0, 0, 2_000, 8_000]))
        if day in missing or rng.random() < 0.1:
            continue
        row: Row = {
            "metal": "AL",
            "exchange": exchange,
            "product": product,
            "obs_date": day,
            "total_t": total,
            "on_warrant_t": _blank(rng, total / 2, 0.2),
        }
        first = _released(rng, day, _at(day, time(16), BEIJING))
        yield from _vintages(
            rng,
            row,
            first + timedelta(70) if rng.random() < 0.06 else first,
            lambda row: row | {"total_t": row["total_t"] + 75},
            0.3,
            12,
        )


def _places(rng: Random, days: list[date], place: str) -> Iterator[Row]:
    """Stock of a place in few sizes, so that places tie; load-out of some days; a month without reports, empty days."""
    missing = _gap(days, 0.4, 35)
    empty = _gap(days, 0.9, 4)
    for day in days[rng.randint(0, 9) :]:
        if day in missing or rng.random() < 0.15:
            continue
        row: Row = {
            "metal": "AL",
            "location": place,
            "obs_date": day,
            "live_t": 0.0 if day in empty else 1_000.0 * rng.randint(1, 6),
            "cancelled_t": 0.0 if day in empty else 500.0 * rng.randint(0, 4),
            "in_t": _blank(rng, 25.0 * rng.randint(0, 3), 0.3),
            "out_t": _blank(rng, 25.0 * rng.randint(0, 1), 0.9 if day in days[:80] else 0.2),
        }
        yield from _vintages(
            rng, row, _released(rng, day, _at(_next(day), time(9))), lambda row: row | {"live_t": row["live_t"] + 500}
        )


def _stocks(rng: Random, days: list[date]) -> Iterator[Row]:
    """Stocks around 500,000 t; weeks without cancelled warrants, a month without a report, a few days with no stock."""
    missing, without_cancelled = _gap(days, 0.36, 33) | _gap(days, 0.5, 18), _gap(days, 0.6, 12)
    empty = {days[_position(days, share)] for share in (0.75, 0.76, 0.9)}
    total, share = 500_000.0, 0.15

    def revise(row: Row) -> Row:
        made = row | {"total_t": row["total_t"] + rng.choice([25.0, 500.0, 4_000.0])}
        if row["cancelled_t"] is None or rng.random() < 0.3:
            made["cancelled_t"] = float(rng.randint(0, int(row["total_t"]) // 25)) * 25
        return made

    for day in days:
        total = max(100_000.0, total + rng.choice([-4_000, -2_500, -2_500, -500, 0, 0, 25, 1_500, 3_000, 6_000]))
        share = min(0.9, max(0.0, share + rng.choice([-0.02, -0.01, 0, 0, 0.01, 0.02])))
        if day in missing or rng.random() < 0.04:
            continue
        row: Row = {
            "metal": "AL",
            "obs_date": day,
            "total_t": 0.0 if day in empty else total,
            "cancelled_t": 0.0 if day in empty else round(total * share / 25) * 25.0,
        }
        if day in without_cancelled or rng.random() < 0.1:
            row["cancelled_t"] = None
        first = _released(rng, day, _at(_next(day), time(9)))
        if rng.random() < 0.1:
            first = _some_time(rng, day)
        yield from _vintages(rng, row, first, revise)


def _rates(rng: Random, days: list[date], rate_id: str, rate: float, known: time) -> Iterator[Row]:
    """A rate on US business days, known on the next one; with one gap of two weeks."""
    every = [days[0] + timedelta(i - 10) for i in range((days[-1] - days[0]).days + 11)]
    missing = _gap(every, 0.7 if rate_id == "SOFR" else 0.25, 14)
    for day in filter(is_us_business_day, every):
        rate = round(rate + rng.choice([-0.02, -0.01, 0, 0, 0, 0.01, 0.02]), 2)
        if day in missing:
            continue
        first = _released(rng, day, _at(_next(day, is_us_business_day), known, NEW_YORK))
        row: Row = {"rate_id": rate_id, "obs_date": day, "rate_pct": rate}
        yield from _vintages(
            rng, row, first, lambda row: row | {"rate_pct": round(row["rate_pct"] + rng.choice([-0.01, 0.02]), 2)}, 0.04
        )


def _fx(rng: Random, days: list[date], pair: str, rate: float) -> Iterator[Row]:
    """Fixings on weekdays; with one gap that is longer than the carry limit."""
    every = [days[0] + timedelta(i - 20) for i in range((days[-1] - days[0]).days + 21)]
    missing = _gap(every, 0.8, 16)
    for day in every:
        rate = round(rate + rng.gauss(0, 0.004), 4)
        if day.weekday() > 4 or day in missing or rng.random() < 0.04:
            continue
        first = _released(rng, day, _at(day, time(16), BERLIN))
        row: Row = {"pair": pair, "obs_date": day, "rate": rate}
        yield from _vintages(
            rng, row, first, lambda row: row | {"rate": round(row["rate"] + rng.choice([-0.0008, 0.0011]), 4)}, 0.04
        )


def _power(rng: Random, zone: str, last: date, count: int) -> Iterator[Row]:
    """Delivery days of 23 to 25 hours, hours and then quarters; points that repeat are left out (curve type A03)."""
    days = [last + timedelta(2 - count + i) for i in range(count)]
    missing = _gap(days, 0.8, 11) if zone == "FR" else set()
    price = 80.0
    for day in days:
        if day in missing or rng.random() < 0.03:
            continue
        is_quarters = day >= QUARTER_HOURS_SINCE
        span = _at(day + timedelta(1), time(0), BERLIN) - _at(day, time(0), BERLIN)
        n = int(span / timedelta(hours=1)) * (4 if is_quarters else 1)
        points: dict[int, float] = {}
        for position in range(1, n + 1):
            price = round(price + 0.1 * (80 - price) + rng.gauss(0, 9 if is_quarters else 22), 2)
            if position == 1 or rng.random() < (0.15 if is_quarters else 0.5):
                points[position] = -price / 4 if rng.random() < 0.02 else price
        before = day - timedelta(1)
        moment = _at(before, time(12, 45), BERLIN)
        kind = rng.choices(["usual", "evening", "late"], [80, 14, 6])[0]
        if kind == "evening":
            moment = _some_time(rng, before)
        elif kind == "late":
            moment = _some_time(rng, before + timedelta(rng.randint(1, 4)))
        about: Row = {
            "zone": zone,
            "delivery_date": day,
            "resolution": "PT15M" if is_quarters else "PT60M",
            "n_positions": n,
        }
        for position, value in points.items():
            yield about | {"position": position, "price_eur_mwh": round(value, 2), "knowledge_ts": moment}
        if rng.random() < 0.05:  # published anew, all points or some of them with another price
            moment += timedelta(hours=rng.randint(1, 60))
            for position in rng.sample(sorted(points), rng.choice([len(points), 3])):
                value = round(points[position] + 1.5, 2)
                yield about | {"position": position, "price_eur_mwh": value, "knowledge_ts": moment}


def _arbitrage(rng: Random, days: list[date]) -> Iterator[Row]:
    """Shanghai prices and freight; with one gap that is longer than the carry limit."""
    missing, shfe, fx = _gap(days, 0.5, 60), 20_700.0, 7.2

    def revise(row: Row) -> Row:
        return row | {"shfe_cny_t": row["shfe_cny_t"] + rng.choice([-35.0, 20.0])}

    for day in days:
        shfe += rng.choice([-150, -55, -5, 0, 0, 40, 65, 140])
        fx = round(fx + rng.gauss(0, 0.01), 4)
        if day in missing or rng.random() < 0.05:
            continue
        row: Row = {
            "metal": "AL",
            "obs_date": day,
            "shfe_cny_t": shfe,
            "cif_premium_usd_t": 190.0 + rng.randint(-20, 20),
            "usdcny": fx,
            "dest_premium_usd_t": 340.0 + rng.randint(-30, 30),
            "freight_usd_t": 90.0 + rng.randint(-9, 9),
        }
        yield from _vintages(rng, row, _released(rng, day, _at(day, time(15), BEIJING)), revise)


def _costs(rng: Random, days: list[date]) -> Iterator[Row]:
    """Alumina and premium once a week, sometimes one of them alone; with one gap of two months."""
    missing, alumina = _gap(days, 0.62, 62), 380.0

    def revise(row: Row) -> Row:
        return row | {"alumina_usd_t": (row["alumina_usd_t"] or 380.0) + rng.choice([-4.0, 6.5])}

    for day in days:
        if day.weekday() != 2:
            continue
        alumina += rng.choice([-15.0, -5.0, 0.0, 0.0, 5.0, 12.5])
        if day in missing:
            continue
        row: Row = {
            "metal": "AL",
            "obs_date": day,
            "alumina_usd_t": _blank(rng, alumina, 0.08),
            "premium_usd_t": 300.0 + rng.randint(-30, 30),
        }
        if row["alumina_usd_t"] is not None:
            row["premium_usd_t"] = _blank(rng, row["premium_usd_t"], 0.08)
        yield from _vintages(rng, row, _released(rng, day, _at(_next(day), EVENING)), revise, 0.15)


def _equity(rng: Random, days: list[date], ticker: str) -> Iterator[Row]:
    """Closes in cents, known after New York has closed."""
    close = 40.0

    def revise(row: Row) -> Row:
        return row | {"close_usd": round(row["close_usd"] + rng.choice([-0.4, 0.01, 0.3]), 2)}

    for day in days:
        close = max(5.0, round(close + rng.choice([-1.2, -0.5, 0.0, 0.0, 0.4, 1.3]), 2))
        if rng.random() < 0.03:
            continue
        first = _released(rng, day, _at(day, time(16, 15), NEW_YORK))
        yield from _vintages(rng, {"ticker": ticker, "obs_date": day, "close_usd": close}, first, revise, 0.03)


# --- monthly series


def _month_end(month: tuple[int, int]) -> date:
    return months_later(date(*month, 1), 1) - timedelta(1)


def _monthly(
    rng: Random,
    dataset: str,
    country: str,
    months: list[tuple[int, int]],
    days: list[date],
    level: float,
    is_pooled: bool,
) -> Iterator[Row]:
    """Quantities by month, the first two of a year as a pool where the country has it so.

    One month is never published, one comes two months late, in one year nothing is pooled, and the base of a yearly
    change is revised in mid-history.
    """
    column = f"{dataset}_kt"
    never, late, apart = months[len(months) // 3], months[-7], months[-1][0] - 2
    revised = {month_before(month, 12) for month in (months[-2], months[-5])}

    def revise(row: Row) -> Row:
        return row | {column: row[column] + rng.choice([-9.0, -1.5, 0.5, 4.0])}

    quantities = {month: round(level * rng.uniform(0.8, 1.2)) for month in months}
    for month in months:
        in_pool = is_pooled and month[1] <= 2 and month[0] != apart
        if month == never or (in_pool and (month[1] == 1 or month_before(month, 1) not in quantities)):
            continue
        end = _month_end(month)
        row: Row = {
            "metal": "AL",
            "country": country,
            "period_end": end,
            "period_months": 2 if in_pool else 1,
            column: float(quantities[month] + (quantities[month_before(month, 1)] if in_pool else 0)),
        }
        first = _at(end + timedelta(rng.randint(7, 14)), time(11), BEIJING)
        if rng.random() < 0.3:
            first = _some_time(rng, first.date())
        if month == late:
            first += timedelta(60)
        made = list(_vintages(rng, row, first, revise, 0.2, 20))
        yield from made
        if month in revised:
            moment = _at(days[-25], EVENING)
            yield made[-1] | {column: made[-1][column] + 17.5, "knowledge_ts": moment}


def _off_warrant(rng: Random, months: list[tuple[int, int]], days: list[date]) -> Iterator[Row]:
    """Month-ends in thousands of tonnes, so that months tie; known on about the 10th of the second month after."""
    value, registered = 300_000.0, 450_000.0
    never, revised = months[len(months) // 2], {months[-17], months[-8]}

    def revise(row: Row) -> Row:
        return row | {"offwarrant_t": row["offwarrant_t"] + rng.choice([-3_000.0, 1_000.0, 5_000.0])}

    for month in months[:-1]:
        value = max(70_000.0, value + rng.choice([-30_000, -10_000, -4_000, 0, 0, 8_000, 25_000]))
        registered = max(50_000.0, registered + rng.choice([-40_000, -9_000, 0, 12_000, 30_000]))
        if month == never:
            continue
        end = _month_end(month)
        while not is_london_business_day(end):
            end -= timedelta(1)
        row: Row = {"metal": "AL", "period_end": end, "offwarrant_t": value, "registered_month_end_t": registered}
        second_after = months_later(date(*month, 1), 2)
        first = _at(_next(second_after.replace(day=9)), time(9))
        if rng.random() < 0.3:
            first = _some_time(rng, first.date() + timedelta(rng.choice([0, 0, 2, 40])))
        made = list(_vintages(rng, row, first, revise, 0.12, 60))
        yield from made
        if month in revised:
            moment = _at(days[-30], time(18, 0, 1))
            if moment > made[-1]["knowledge_ts"]:
                yield made[-1] | {"offwarrant_t": made[-1]["offwarrant_t"] - 50_000, "knowledge_ts": moment}
