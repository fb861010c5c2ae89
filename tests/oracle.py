"""Reference implementation of the domain in plain Python: the expected rows of the published marts for a given market.

Written from the methodology alone. It shares no code with the models and is slow on purpose: one readable loop over the
decision times, which looks at what was known at each. A `Market` is a dict of dataset -> rows; the rows are dicts with
the columns of the drop files (docs/operations.md#your-own-data), days as `date`, missing values as None, and
`knowledge_ts` always given as an aware datetime.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from functools import wraps
from itertools import pairwise
from statistics import fmean, median
from typing import Any, ParamSpec, TypeVar
from zoneinfo import ZoneInfo

import holidays

Row = dict[str, Any]
Market = dict[str, list[Row]]
Month = tuple[int, int]
Value = float | None
P = ParamSpec("P")
R = TypeVar("R")

LONDON = ZoneInfo("Europe/London")
_ENGLAND = holidays.country_holidays("GB", subdiv="ENG")
_US = holidays.financial_holidays("SIFMA")

PRICE_DAYS = (
    45  # a price, quote, cost or arbitrage row is carried this long; a longer gap starts the level machine afresh
)
POWER_DAYS = 7  # a delivery day is carried this long into the margin
FX_DAYS = 10  # a fixing is of the delivery day or at most this much older
MONTH_OF_POWER = (30, 25)  # days of the mean, and how many of them must be there
NEAR_HIGH = 252  # observations
QUALITIES = ("MISSING", "STALE", "WARMUP", "SUSPECT", "BREAK", "PARTIAL")  # worst first
LONGER_WINDOWS = {"rank_2y": 504, "rank_5y": 1260, "rank_10y": 2520}  # rows
LONGER_WINDOWS_MONTHLY = {"rank_2y": 24, "rank_5y": 60, "rank_10y": 120}  # periods
# What the project's parameters.csv may not hold (docs/methodology.md#parameters).
DEFAULTS = {
    "z_cap": 5.0,
    "price_reversal": 0.08,
    "relabel_jump": 0.05,
    "relabel_share": 0.25,
    "alumina_t_per_t": 1.93,
    "other_cash_usd_t": 500.0,
    "china_cap_t": 45_000_000.0,
    "port_cny_t": 200.0,
    "us_freight_usd_t": 60.0,
}
PREMIUM_REGIONS = ("us_midwest", "eu_duty_unpaid", "japan")
CHANGE_DAYS = (1, 5, 20)
YEARS = (2, 5, 10)
# China's value-added tax, import duty and export rebate on semis, each from its day on (fractions).
VAT = [(date(2008, 1, 1), 0.17), (date(2018, 5, 1), 0.16), (date(2019, 4, 1), 0.13)]
DUTY = [(date(2008, 1, 1), 0.0)]
REBATE = [(date(2008, 1, 1), 0.13), (date(2024, 12, 1), 0.0)]
# The tariff of the United States on aluminium (Section 232), and the contracts of aluminium.
TARIFF = [
    (date(2008, 1, 1), 0.0), (date(2018, 3, 23), 0.10), (date(2025, 3, 12), 0.25), (date(2025, 6, 4), 0.50),
]  # fmt: skip
CONTRACTS = ("191691", "191693")
WEEKS_BACK = 3  # how far before its week the report may lie that a week's stock is compared with
SHANGHAI_DAYS = 14  # Shanghai's report may be so much older than the month-end


# --- days and months


def is_london_business_day(day: date) -> bool:
    """Monday to Friday without the bank holidays of England."""
    return day.weekday() < 5 and day not in _ENGLAND


def is_us_business_day(day: date) -> bool:
    """Days for which SOFR is published: the US bond market's recommendation (SIFMA)."""
    return day.weekday() < 5 and day not in _US


def decision_time(day: date) -> datetime:
    """18:00 in London, as UTC."""
    return datetime.combine(day, time(18), LONDON).astimezone(UTC)


def months_later(day: date, months: int) -> date:
    """The same day of the month so many months later or (negative) earlier; a month's end where there is none."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    first_after = date(year + (month == 11), (month + 1) % 12 + 1, 1)
    return date(year, month + 1, min(day.day, (first_after - timedelta(1)).day))


def month_before(month: Month, months: int) -> Month:
    """The month so many months earlier."""
    year, zero_based = divmod(month[0] * 12 + month[1] - 1 - months, 12)
    return year, zero_based + 1


def month_of(day: date) -> Month:
    """Year and month."""
    return day.year, day.month


def cash_prompt(day: date) -> date:
    """T+2 London business days."""
    for _ in range(2):
        day += timedelta(1)
        while not is_london_business_day(day):
            day += timedelta(1)
    return day


def three_month_prompt(day: date) -> date:
    """The same day of the month three months on; else the next business day of that month, else the one before.

    A Saturday after a business day, Good Friday, and Christmas Day from Tuesday to Friday go back.
    """
    wanted = months_later(day, 3)
    after = wanted
    while not is_london_business_day(after):
        after += timedelta(1)
    is_good_friday = wanted.weekday() == 4 and wanted.month in (3, 4) and not is_london_business_day(wanted)
    is_christmas = (wanted.month, wanted.day) == (12, 25) and wanted.weekday() in (1, 2, 3, 4)
    is_saturday = wanted.weekday() == 5 and is_london_business_day(wanted - timedelta(1))
    if after.month == wanted.month and not (is_good_friday or is_christmas or is_saturday):
        return after
    while not is_london_business_day(wanted):
        wanted -= timedelta(1)
    return wanted


def days_cash_to_3m(day: date) -> int:
    """D by rule: calendar days from the cash to the three-month prompt of a trading day."""
    return (three_month_prompt(day) - cash_prompt(day)).days


def valid_on(day: date, steps: Sequence[tuple[date, float]]) -> float:
    """The value of a schedule on a day."""
    return [value for since, value in steps if since <= day][-1]


# --- vintages


class Known:
    """The vintages of a dataset's observations; for a moment, the last known vintage of each observation.

    A later row with the same values is no vintage.
    """

    def __init__(self, rows: Iterable[Row], *key: str) -> None:
        self.vintages: dict[Any, list[Row]] = {}
        for row in sorted(rows, key=lambda row: row["knowledge_ts"]):
            at = row[key[0]] if len(key) == 1 else tuple(row[name] for name in key)
            before = self.vintages.setdefault(at, [])
            if not before or {**before[-1], "knowledge_ts": row["knowledge_ts"]} != row:
                before.append(row)
        self._moments = {at: [row["knowledge_ts"] for row in rows] for at, rows in self.vintages.items()}

    def number(self, at: Any, moment: datetime) -> int:
        """Number of known vintages of an observation."""
        return bisect_right(self._moments.get(at, []), moment)

    def row(self, at: Any, moment: datetime) -> Row | None:
        """The last vintage of an observation that was known, if any."""
        number = self.number(at, moment)
        return self.vintages[at][number - 1] if number else None

    def rows(self, moment: datetime, since: date | None = None) -> dict[Any, Row]:
        """All observations as known, in the order of their keys; those of days from `since` on where it is given."""
        wanted = sorted(at for at in self.vintages if since is None or at >= since)
        found = {at: self.row(at, moment) for at in wanted}
        return {at: row for at, row in found.items() if row is not None}

    def releases(self) -> list[datetime]:
        """Each moment at which something became known."""
        return sorted({moment for moments in self._moments.values() for moment in moments})


def last_known(*rows: Row | None) -> datetime | None:
    """Latest knowledge time of the rows."""
    return max((row["knowledge_ts"] for row in rows if row), default=None)


def latest(rows: Mapping[date, Row]) -> Row | None:
    """The row of the last day."""
    return rows[max(rows)] if rows else None


# --- indicators: docs/methodology.md#prices-and-the-curve and the sections after it.
# A missing input gives a missing value.


def missing_if_an_input_is(formula: Callable[P, R]) -> Callable[P, R | None]:
    """The formula where every argument is there and nothing is divided by zero, else None."""

    @wraps(formula)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R | None:
        if any(value is None for value in (*args, *kwargs.values())):
            return None
        try:
            return formula(*args, **kwargs)
        except ZeroDivisionError:
            return None

    return guarded


@missing_if_an_input_is
def cash_3m_spread(c: float, f: float) -> float:
    """USD/t, positive in backwardation."""
    return c - f


@missing_if_an_input_is
def basis_ann(c: float, f: float, d: float) -> float:
    """1/yr."""
    return (c - f) / c * 365 / d


@missing_if_an_input_is
def full_carry(c: float, r: float, s: float, d: float, w: float, day_count: float) -> float:
    """USD/t: interest and rent from the cash to the three-month prompt."""
    return c * (r + s) * d / day_count + w * d


@missing_if_an_input_is
def contango_share_of_full_carry(c: float, f: float, carry: float) -> float:
    """1 at full carry, 0 flat, negative in backwardation."""
    return (f - c) / carry


@missing_if_an_input_is
def carry_tightness(contango_share: float) -> float:
    """Ratio, higher is tighter."""
    return 1 - contango_share


@missing_if_an_input_is
def conv_yield_ann(c: float, f: float, carry: float, d: float) -> float:
    """1/yr."""
    return (c - f + carry) / c * 365 / d


@missing_if_an_input_is
def live_t(total: float, cancelled: float) -> float:
    """t on warrant."""
    return total - cancelled


@missing_if_an_input_is
def cancelled_ratio(cancelled: float, total: float) -> float:
    """Ratio; missing where there is no stock."""
    return cancelled / total


@missing_if_an_input_is
def stock_days(total: float, consumption_t_per_year: float) -> float:
    """Days of consumption."""
    return total / (consumption_t_per_year / 365)


@missing_if_an_input_is
def stock_log_chg(now: float, before: float) -> Value:
    """ln; missing where either stock is nothing."""
    return math.log(now / before) if now > 0 and before > 0 else None


@missing_if_an_input_is
def visible_t(offwarrant: float, registered: float) -> float:
    """t."""
    return offwarrant + registered


@missing_if_an_input_is
def change(now: float, before: float) -> float:
    """now / before - 1: every year-on-year change."""
    return now / before - 1


def lowest_since(visible: Mapping[date, float], day: date) -> str:
    """The last earlier month-end with visible stock as low as `day`'s, as ISO text; RECORD if there is none."""
    as_low = [other for other, value in visible.items() if other < day and value <= visible[day]]
    return max(as_low).isoformat() if as_low else "RECORD"


Series = Mapping[Month, tuple[int, float]]  # last month of a period -> months in it, quantity


def _base(series: Series, month: Month) -> Value:
    """The quantity of the same period a year earlier; a pool has only a pool for a base."""
    months, _ = series[month]
    before = series.get(month_before(month, 12))
    return before[1] if before and before[0] == months else None


def _going_back(series: Series, month: Month, months: int) -> list[Month] | None:
    """The periods from `month` back until so many months are covered; None where one is not there."""
    found, covered = [], 0
    while covered < months:
        if month not in series:
            return None
        found.append(month)
        covered += series[month][0]
        month = month_before(month, series[month][0])
    return found


def _yoy_of(series: Series, months: Sequence[Month] | None) -> Value:
    if months is None or any(_base(series, month) is None for month in months):
        return None
    return change(sum(series[month][1] for month in months), sum(_base(series, month) or 0.0 for month in months))


def exports_yoy(series: Series, month: Month) -> Value:
    """A period against the same one a year earlier."""
    return _yoy_of(series, [month])


def exports_yoy_3m(series: Series, month: Month) -> Value:
    """The periods back from `month` that cover three months or more, against the same ones a year earlier."""
    return _yoy_of(series, _going_back(series, month, 3))


def exports_ytd_yoy(series: Series, month: Month) -> Value:
    """January to `month` against the same periods a year earlier; missing unless every one is there."""
    periods = _going_back(series, month, month[1])
    if periods is None or sum(series[at][0] for at in periods) != month[1]:
        return None
    return _yoy_of(series, periods)


@missing_if_an_input_is
def import_arb(shfe: float, lme: float, cif: float, fx: float, duty: float, vat: float, port: float) -> float:
    """CNY/t; positive pulls metal into China."""
    return shfe - ((lme + cif) * fx * (1 + duty) * (1 + vat) + port)


@missing_if_an_input_is
def semis_export_arb(
    lme: float, dest_premium: float, freight: float, shfe: float, vat: float, rebate: float, fx: float
) -> float:
    """USD/t; positive: exporting pays."""
    return (lme + dest_premium - freight) - (shfe - shfe / (1 + vat) * rebate) / fx


@missing_if_an_input_is
def ratio(a: float, b: float) -> float:
    """a / b."""
    return a / b


@missing_if_an_input_is
def power_cost(usd_mwh: float, mwh_per_t: float) -> float:
    """USD/t of metal."""
    return usd_mwh * mwh_per_t


@missing_if_an_input_is
def cash_cost(power: float, alumina: float, alumina_t_per_t: float, other: float) -> float:
    """USD/t of metal; `other` is an assumption."""
    return power + alumina_t_per_t * alumina + other


@missing_if_an_input_is
def margin(lme: float, premium: float, cost: float) -> float:
    """USD/t."""
    return lme + premium - cost


@missing_if_an_input_is
def breakeven_power(
    lme: float, premium: float, alumina: float, alumina_t_per_t: float, other: float, mwh_per_t: float
) -> float:
    """USD/MWh at which the margin is nothing."""
    return (lme + premium - alumina_t_per_t * alumina - other) / mwh_per_t


def filled(points: Mapping[int, float], n: int) -> list[float]:
    """The n market time units of a day: a position that is not published repeats the one before (curve type A03)."""
    values: list[float] = []
    for position in range(1, n + 1):
        values.append(points[position] if position in points else values[-1])
    return values


@missing_if_an_input_is
def share_above(usd_mwh: Sequence[float], line: float) -> float:
    """Share of market time units strictly above a line."""
    return sum(value > line for value in usd_mwh) / len(usd_mwh)


@missing_if_an_input_is
def share_below(usd_mwh: Sequence[float], line: float) -> float:
    """Share of market time units strictly below a line."""
    return sum(value < line for value in usd_mwh) / len(usd_mwh)


def px_yoy(prices: Mapping[date, float], day: date, max_staleness_days: float) -> tuple[Value, date | None]:
    """Change against the last price on or before the day 12 months earlier, and the day of that price."""
    year_ago = months_later(day, -12)
    usable = [other for other in prices if 0 <= (year_ago - other).days <= max_staleness_days]
    return (change(prices.get(day), prices[max(usable)]), max(usable)) if usable else (None, None)


def suspects(prices: Mapping[date, float], share: float) -> set[date]:
    """Days whose price lies beyond the prices before and after it, on one side, by more than a share of them."""
    found = set()
    for (_, before), (day, price), (_, after) in zip(
        prices.items(), list(prices.items())[1:], list(prices.items())[2:], strict=False
    ):
        if price > (1 + share) * max(before, after) or price < (1 - share) * min(before, after):
            found.add(day)
    return found


def sustained(flags: Sequence[bool], k: float, m: float) -> bool:
    """k of the last m, the latest included; not while there are fewer than m."""
    return len(flags) >= m and flags[-1] and sum(flags[-int(m) :]) >= k


def level_state(
    values: Sequence[float], levels: Sequence[tuple[Value, Value]], k: float, m: float, buffer: float
) -> list[str | None]:
    """The level machine over a run of prices: ABOVE, INSIDE or BELOW after each; None before there are levels.

    `levels`: the upper and the lower one of each price's day.
    """
    states: list[str | None] = []
    state = "INSIDE"
    for i, (up, down) in enumerate(levels):
        if up is None or down is None:
            states.append(None)
            continue
        run = values[max(0, i + 1 - int(m)) : i + 1]
        above_up = sustained([value > up * (1 + buffer) for value in run], k, m)
        below_up = sustained([value < up * (1 - buffer) for value in run], k, m)
        above_down = sustained([value > down * (1 + buffer) for value in run], k, m)
        below_down = sustained([value < down * (1 - buffer) for value in run], k, m)
        if above_up:
            state = "ABOVE"
        elif below_down:
            state = "BELOW"
        elif (state == "ABOVE" and below_up) or (state == "BELOW" and above_down):
            state = "INSIDE"
        states.append(state)
    return states


def backwardation_sustained(spreads: Sequence[float], k: float, m: float) -> bool:
    """Spread above 0 on k of the last m, the latest included; false while there are fewer than m."""
    return sustained([spread > 0 for spread in spreads], k, m)


def runs(m3: Mapping[date, float]) -> list[list[date]]:
    """Days with a price, in runs without a long gap."""
    found: list[list[date]] = [[day] for day in list(m3)[:1]]
    for before, day in pairwise(m3):
        if (day - before).days > PRICE_DAYS:
            found.append([])
        found[-1].append(day)
    return found


def cap_utilisation(production_kt: float, days: int, cap_t: float) -> float:
    """Annualised output over the cap."""
    return production_kt / days * 365 / (cap_t / 1000)


def near_high(closes: Sequence[float]) -> float:
    """The last close over the highest of the trailing 252, itself included."""
    return closes[-1] / max(closes[-NEAR_HIGH:])


def days_to_event(event_date: date, as_of_date: date) -> int:
    """Days still to go; negative once it is over."""
    return (event_date - as_of_date).days


# --- ranks, families, regime: docs/methodology.md#ranks-and-scores and #index-and-regime


def mid_rank(window: Sequence[Value], min_periods: float) -> Value:
    """Mid-distribution percentile of the window's last value; missing values are not counted."""
    values, x = [value for value in window if value is not None], window[-1]
    if x is None or len(values) < min_periods:
        return None
    return (sum(value < x for value in values) + 0.5 * sum(value == x for value in values)) / len(values)


def signed(rank: Value, sign: int) -> Value:
    """The score of a rank: higher is tighter."""
    return rank if rank is None or sign > 0 else 1 - rank


def median_and_mad(window: Sequence[Value], min_periods: float) -> tuple[Value, Value]:
    """Median and median absolute deviation of a window with enough values whose last one is there."""
    values = [value for value in window if value is not None]
    if window[-1] is None or len(values) < min_periods:
        return None, None
    middle = median(values)
    return middle, median(abs(value - middle) for value in values)


def robust_z(window: Sequence[Value], min_periods: float, cap: float) -> Value:
    """(x - median) / (1.4826 MAD), capped; missing where MAD is 0."""
    middle, mad = median_and_mad(window, min_periods)
    if middle is None or not mad or window[-1] is None:
        return None
    return max(-cap, min(cap, (window[-1] - middle) / (1.4826 * mad)))


def tightness(scores: Mapping[str, Value], components: Sequence[Row], min_coverage: float) -> Row:
    """Families, coverage, contributions and index of a day's scores."""
    families: dict[str, Value] = {}
    weights: dict[str, float] = {}
    for component in components:
        weights[component["family"]] = component["weight"]
        there = [
            score
            for other in components
            if other["family"] == component["family"] and (score := scores[other["indicator"]]) is not None
        ]
        families[component["family"]] = fmean(there) if there else None
    available = {family: score for family, score in families.items() if score is not None}
    weight = sum(weights[family] for family in available)
    coverage = round(weight, 9)
    given = coverage >= min_coverage and weight > 0
    contributions: dict[str, Value] = {
        family: 100 * weights[family] * available[family] / weight if given and family in available else None
        for family in families
    }
    return {
        **{f"family_{family.lower()}": score for family, score in families.items()},
        **{f"contrib_{family.lower()}": value for family, value in contributions.items()},
        "coverage": coverage,
        "n_components": sum(score is not None for score in scores.values()),
        "tightness_index": (
            100 * sum(weights[family] * score for family, score in available.items()) / weight if given else None
        ),
    }


def regimes(indices: Sequence[Value], p: Mapping[str, float]) -> list[tuple[str, str]]:
    """Regime and status after each index value: hysteresis, confirmation, and the rule for a missing index."""
    found: list[tuple[str, str]] = []
    state, status, gap = "UNKNOWN", "WARMUP", 0
    waiting: list[str] = []  # the new states that the last consecutive values lead to
    for x in indices:
        if x is None:
            gap += 1  # a missing value neither confirms nor cancels a pending change
            if state != "UNKNOWN":
                status = "STALE"
                if gap > p["regime_max_gap"]:
                    state, status, waiting = "UNKNOWN", "UNKNOWN", []
        else:
            gap = 0
            wanted = _regime_of(state, x, p)
            waiting = [wanted, *(other for other in waiting if other == wanted)] if wanted != state else []
            if state == "UNKNOWN" or len(waiting) >= p["regime_confirm"]:
                state, waiting = wanted, []
            status = "OK"
        found.append((state, status))
    return found


def _regime_of(state: str, x: float, p: Mapping[str, float]) -> str:
    """State of a value, given the present state: the thresholds to enter and to leave a state differ."""
    if x >= (p["exit_squeeze"] if state == "SQUEEZE" else p["enter_squeeze"]):
        return "SQUEEZE"
    if x >= (p["exit_tight"] if state in ("TIGHT", "SQUEEZE") else p["enter_tight"]):
        return "TIGHT"
    if x <= (p["exit_loose"] if state == "LOOSE" else p["enter_loose"]):
        return "LOOSE"
    return "NEUTRAL"


def smoothed(indices: Sequence[Value], half_life: float, max_gap: float) -> list[Value]:
    """Exponentially smoothed; a gap keeps the last value for a while, after which the next one begins again."""
    found: list[Value] = []
    last: Value = None
    gap = 0
    for x in indices:
        gap = gap + 1 if x is None else 0
        if x is None:
            last = last if gap <= max_gap else None
        else:
            last = x if last is None else x + 0.5 ** (1 / half_life) * (last - x)
        found.append(last)
    return found


def regimes_v2(indices: Sequence[Value], spreads: Sequence[Value], p: Mapping[str, float]) -> list[tuple[str, str]]:
    """Regime and status after each smoothed index value; `spreads`: the median spread of each day."""
    found: list[tuple[str, str]] = []
    state, status, gap = "UNKNOWN", "WARMUP", 0
    waiting: list[str] = []
    for x, spread in zip(indices, spreads, strict=True):
        is_open = spread is not None and spread > 0
        if state == "SQUEEZE" and not is_open:
            state = "TIGHT"
        if x is None:
            gap += 1
            if state != "UNKNOWN":
                status = "STALE"
                if gap > p["regime_max_gap"]:
                    state, status, waiting = "UNKNOWN", "UNKNOWN", []
        else:
            gap, status = 0, "OK"
            wanted = _regime_of(state, x, p)
            if wanted == "SQUEEZE" and not is_open:
                wanted = "TIGHT"
            waiting = [wanted, *(other for other in waiting if other == wanted)] if wanted != state else []
            if state == "UNKNOWN" or len(waiting) >= p["regime_confirm_v2"]:
                state, waiting = wanted, []
        found.append((state, status))
    return found


def quantile(values: Sequence[float], share: float) -> float:
    """Between the two values around the place, in proportion."""
    ordered = sorted(values)
    place = (len(ordered) - 1) * share
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])


def changes(values: Sequence[Value], days: int) -> list[Value]:
    """Each value less the one so many rows before."""
    before = [None] * days + list(values)
    return [cash_3m_spread(now, old) for now, old in zip(values, before, strict=False)]


def first_component(rows: Sequence[Sequence[Value]], least: float) -> list[float]:
    """Loadings of the first principal component, by power iteration; pairs with fewer rows than `least` count 0."""
    n = len(rows[0]) if rows else 0
    matrix = [[0.0] * n for _ in range(n)]
    for i in range(n):
        for j in range(n):
            pairs = [(row[i], row[j]) for row in rows if row[i] is not None and row[j] is not None]
            if len(pairs) >= least:
                x, y = fmean(a for a, _ in pairs), fmean(b for _, b in pairs)
                matrix[i][j] = fmean((a - x) * (b - y) for a, b in pairs)
    if not any(any(line) for line in matrix):
        return []
    loadings = [1.0 + 0.1 * i for i in range(n)]
    for _ in range(20_000):
        made = [sum(cell * value for cell, value in zip(line, loadings, strict=True)) for line in matrix]
        length = math.sqrt(sum(value * value for value in made))
        made = [value / length for value in made]
        if max(abs(a - b) for a, b in zip(made, loadings, strict=True)) < 1e-15:
            break
        loadings = made
    return loadings if sum(loadings) >= 0 else [-value for value in loadings]


def quality(flags: Iterable[str]) -> Row:
    """The flags as one text, worst first, and the worst of them; OK where there is none."""
    held = set(flags)
    ordered = [flag for flag in QUALITIES if flag in held] or ["OK"]
    return {"quality": ordered[0], "quality_flags": " ".join(ordered)}


# --- tables


def _counting(chain: Sequence[tuple[date, str]], day: date) -> str | None:
    """The rate that counts on an observation date."""
    begun = [(first, rate) for first, rate in chain if first <= day]
    return max(begun)[1] if begun else None


@missing_if_an_input_is
def us_replacement(lme: float, unpaid_premium: float, freight: float, tariff: float) -> float:
    """USD/t: cost of a tonne imported into the United States."""
    return (lme + unpaid_premium + freight) * (1 + tariff)


def spread_days(spread: str, day: date) -> int:
    """Days between the prompts of a spread's two legs, for a trade of a day."""
    cash = cash_prompt(day)
    if spread in ("CASH_TOM", "TOM_NEXT"):  # tomorrow's prompt is the business day before the cash prompt
        tomorrow = cash - timedelta(1)
        while not is_london_business_day(tomorrow):
            tomorrow -= timedelta(1)
        return (cash - tomorrow).days
    if spread == "CASH_3M":
        return days_cash_to_3m(day)
    near, far = (0, 12) if spread == "DEC_DEC" else (int(leg[1:]) for leg in spread.split("_"))
    return (months_later(day, far) - months_later(day, near)).days


class Oracle:
    """The tables of a market as of a moment, each a list of rows in the order of its key."""

    def __init__(
        self,
        market: Market,
        parameters: Mapping[str, float],
        components: Sequence[Row],
        now: datetime,
        metal: str = "AL",
        dated: Mapping[str, Sequence[tuple[date, float]]] | None = None,
        breaks: Sequence[Row] = (),
        rate_chain: Sequence[tuple[date, str]] = ((date(2018, 4, 3), "SOFR"),),
        components_v2: Sequence[Row] = (),
    ) -> None:
        """`components`: of version 1 of the index; `dated`: values of parameters that change, each from its day on;
        `breaks`: the rows of series_breaks; `rate_chain`: the rate that counts from each observation date on.
        """
        self.dated, self.breaks, self.components_v2 = dated or {}, breaks, components_v2
        self.shanghai = Known(
            [
                row
                for row in market.get("exchange_stocks", [])
                if row["exchange"] == "SHFE" and row["product"] == "METAL"
            ],
            "obs_date",
        )
        self.premia = {
            region: Known([row for row in market.get("premia", []) if row["region"] == region.upper()], "obs_date")
            for region in PREMIUM_REGIONS
        }
        self.market, self.p, self.components = market, {**DEFAULTS, **parameters}, components
        self.now, self.metal = now, metal
        self.prices, self.stocks = self._of("prices", "obs_date"), self._of("stocks", "obs_date")
        self.offwarrant = self._of("off_warrant", "period_end")
        self.spreads_quoted = {
            spread: Known([row for row in market.get("spreads", []) if row["spread"] == spread], "obs_date")
            for spread in sorted({row["spread"] for row in market.get("spreads", [])})
        }
        self.costs, self.arbitrage = self._of("costs", "obs_date"), self._of("arbitrage", "obs_date")
        rates = market.get("rates", [])
        self.rates = Known(
            [row for row in rates if row["rate_id"] == _counting(rate_chain, row["obs_date"])], "obs_date"
        )
        self.eurusd = Known([row for row in market.get("fx", []) if row["pair"] == "EURUSD"], "obs_date")
        self._power_days: dict[tuple[str, date, int], Row] = {}
        points: dict[tuple[str, date], list[Row]] = {}
        for row in market.get("power", []):
            points.setdefault((row["zone"], row["delivery_date"]), []).append(row)
        self._points = {at: Known(rows, "position") for at, rows in points.items()}

    def _of(self, dataset: str, *key: str) -> Known:
        """A dataset's observations of the metal."""
        return Known([row for row in self.market.get(dataset, []) if row["metal"] == self.metal], *key)

    def _of_country(self, dataset: str, country: str) -> Known:
        rows = [row for row in self.market.get(dataset, []) if row["metal"] == self.metal]
        return Known([row for row in rows if row["country"] == country], "period_end")

    def _countries(self, dataset: str) -> list[str]:
        return sorted({row["country"] for row in self.market.get(dataset, []) if row["metal"] == self.metal})

    # --- time

    def as_of_dates(self) -> list[date]:
        """London business days from the first decision time by which a price was known to the last one until now."""
        moments = self.prices.releases()
        days: list[date] = []
        if moments:
            day = moments[0].date() - timedelta(1)
            while decision_time(day) <= self.now:
                if is_london_business_day(day) and decision_time(day) >= moments[0]:
                    days.append(day)
                day += timedelta(1)
        return days

    # --- prices

    def price_daily(self) -> list[Row]:
        """Trading days as known now, and the states over them."""
        known = self.prices.rows(self.now)
        m3 = {day: row["m3_usd_t"] for day, row in known.items() if row["m3_usd_t"] is not None}
        found: list[Row] = []
        spreads: list[float] = []
        states = {name: self._level_states(m3, name) for name in ("level", "level_alt")}
        wrong = {day for run in runs(m3) for day in suspects({at: m3[at] for at in run}, self.p["price_reversal"])}
        for day, row in known.items():
            spread = cash_3m_spread(row["cash_usd_t"], row["m3_usd_t"])
            if spread is not None:
                spreads.append(spread)
            yoy, base = px_yoy(m3, day, self.p["yoy_max_staleness_days"])
            found.append(
                {
                    "metal": self.metal,
                    "obs_date": day,
                    "cash_usd_t": row["cash_usd_t"],
                    "m3_usd_t": row["m3_usd_t"],
                    "cash_3m_spread_usd_t": spread,
                    "m3_yoy": yoy,
                    "m3_yoy_base_date": base,
                    "level_state_5of5": states["level"].get(day),
                    "level_state_3of5": states["level_alt"].get(day),
                    "backwardation_sustained": spread is not None
                    and backwardation_sustained(spreads, self.p["bw_k"], self.p["bw_m"]),
                    "is_suspect": day in wrong,
                    "knowledge_ts": row["knowledge_ts"],
                    "vintage_no": self.prices.number(day, self.now),
                }
            )
        return found

    def _level_states(self, m3: Mapping[date, float], name: str) -> dict[date, str | None]:
        """The machine over every run of prices without a long gap. A day without a price is no observation."""
        k, m, buffer = self.p[f"{name}_k"], self.p[f"{name}_m"], self.p["level_buffer"]
        states: dict[date, str | None] = {}
        for run in runs(m3):
            levels = [(self._on("level_up", day), self._on("level_down", day)) for day in run]
            states |= zip(run, level_state([m3[day] for day in run], levels, k, m, buffer), strict=True)
        return states

    def _suspect_from(self) -> dict[date, date]:
        """Days whose three-month price was suspect, as known at some decision time, and the first of these times."""
        found: dict[date, date] = {}
        for day in self.as_of_dates():
            known = self.prices.rows(decision_time(day), since=day - timedelta(PRICE_DAYS))
            m3 = {at: row["m3_usd_t"] for at, row in known.items() if at <= day and row["m3_usd_t"] is not None}
            for at in suspects(m3, self.p["price_reversal"]):
                found.setdefault(at, day)
        return found

    def _counted(self, name: str, n: int) -> list[Value]:
        """The first n values of an indicator, as the ranks of the last of them count them: a carry that rests on a
        price that is suspect by then is missing."""
        if name != "carry_tightness":
            return self.ranked[name][:n]
        today = self.ranked_on[n - 1]
        return [
            None if at in self.suspect_from and self.suspect_from[at] <= today else value
            for value, at in zip(self.ranked[name][:n], self.price_days, strict=False)
        ]

    def spreads(self) -> list[Row]:
        """Rank and days of backwardation of C - F at each decision time, without prices that are suspect by then."""
        found, suspect_from, on, spreads = [], self._suspect_from(), list[date | None](), list[Value]()
        for day in self.as_of_dates():
            known = self.prices.rows(decision_time(day), since=day - timedelta(PRICE_DAYS))
            m3 = {at: row["m3_usd_t"] for at, row in known.items() if row["m3_usd_t"] is not None}
            recent = {at: known[at]["cash_usd_t"] - m3[at] for at in m3 if known[at]["cash_usd_t"] is not None}
            wrong = suspects(m3, self.p["price_reversal"])
            on.append(max(recent, default=None))
            spreads.append(recent[max(recent)] if recent else None)
            counted = [
                None if at in suspect_from and suspect_from[at] <= day else value
                for at, value in zip(on, spreads, strict=True)
            ]
            last = sorted(recent)[-int(self.p["bw_window"]) :]
            found.append(
                {
                    "as_of_date": day,
                    "spread_rank": mid_rank(counted[-int(self.p["rank_window"]) :], self.p["rank_min_periods"]),
                    "backwardation_days": sum(recent[at] > 0 for at in last if at not in wrong)
                    if len(last) == self.p["bw_window"]
                    else None,
                }
            )
        return found

    def _price(self, day: date, moment: datetime) -> Row | None:
        """The latest price known, at most 45 days old."""
        return latest(self.prices.rows(moment, since=day - timedelta(PRICE_DAYS)))

    def _curve(self, day: date, moment: datetime) -> Row:
        price, rate = self._price(day, moment), latest(self.rates.rows(moment))
        age = (day - rate["obs_date"]).days if rate else None
        c = price["cash_usd_t"] if price else None
        f = price["m3_usd_t"] if price else None
        d = price.get("days_cash_to_3m") if price else None
        if price and d is None:
            d = days_cash_to_3m(price["obs_date"])
        # Its day shows how old it is.
        r = rate["rate_pct"] / 100 if rate and age is not None and age <= self.p["max_age_days_rate"] else None
        carry = full_carry(c, r, self.p["financing_spread"], d, self._on("rent_usd_t_day", day), self.p["day_count"])
        share = contango_share_of_full_carry(c, f, carry)
        quoted = {name: self._latest_of(known, day, moment) for name, known in self.spreads_quoted.items()}
        quotes = {name: quoted.get(name) for name in ("CASH_3M", "TOM_NEXT", "M3_M15", "DEC_DEC")}
        return {
            "price_obs_date": price["obs_date"] if price else None,
            "rate_obs_date": rate["obs_date"] if rate else None,
            "rate_id": rate["rate_id"] if rate else None,
            "is_rate_stale": None if age is None else age > self.p["stale_days_rate"],
            "cash_usd_t": c,
            "m3_usd_t": f,
            "days_cash_to_3m": d,
            "cash_3m_spread_usd_t": cash_3m_spread(c, f),
            "basis_ann": basis_ann(c, f, d),
            "rate": r,
            "full_carry_usd_t": carry,
            "contango_share_of_full_carry": share,
            "carry_tightness": carry_tightness(share),
            "conv_yield_ann": conv_yield_ann(c, f, carry, d),
            "knowledge_ts_max": last_known(price, rate, *quotes.values()),
        }

    def curve_spreads_daily(self) -> list[Row]:
        """The newest quote of every tenor, and its yield on the cash price, at each decision time."""
        found: list[Row] = []
        for day in self.as_of_dates():
            moment = decision_time(day)
            curve = self._curve(day, moment)
            for spread, known in self.spreads_quoted.items():
                quote = self._latest_of(known, day, moment)
                if quote is None:
                    continue
                age, days = (day - quote["obs_date"]).days, spread_days(spread, quote["obs_date"])
                found.append(
                    {
                        "metal": self.metal,
                        "spread": spread,
                        "as_of_date": day,
                        "spread_obs_date": quote["obs_date"],
                        "spread_age_days": age,
                        "is_stale": age > self.p["stale_days_spread"],
                        "usd_t": quote["usd_t"],
                        "days_between_prompts": days,
                        "price_obs_date": curve["price_obs_date"],
                        "cash_usd_t": curve["cash_usd_t"],
                        "yield_ann": ratio(quote["usd_t"] * 365 / days, curve["cash_usd_t"]),
                        "knowledge_ts_max": max(quote["knowledge_ts"], curve["knowledge_ts_max"]),
                    }
                )
        return found

    def _on(self, name: str, day: date) -> Any:
        """A parameter as it is on a day; None before its first row."""
        if name not in self.dated:
            return self.p[name]
        values = [value for since, value in self.dated[name] if since <= day]
        return values[-1] if values else None

    # --- stocks

    def _inventory(self, day: date, moment: datetime) -> Row:
        n = int(self.p["stock_chg_obs"])
        known = self.stocks.rows(moment, since=day - timedelta(15 + 2 * n))
        last = latest(known)
        reporting = latest({at: row for at, row in known.items() if row["cancelled_t"] is not None})
        before = list(known.values())[-1 - n] if len(known) > n else None
        total = last["total_t"] if last else None
        return {
            "stock_obs_date": last["obs_date"] if last else None,
            "cancelled_obs_date": reporting["obs_date"] if reporting else None,
            "total_t": total,
            "live_t": live_t(total, last["cancelled_t"]) if last else None,
            "cancelled_ratio": cancelled_ratio(reporting["cancelled_t"], reporting["total_t"]) if reporting else None,
            "stock_days": stock_days(total, self._on("consumption_t_per_year", day)),
            "stock_log_chg": stock_log_chg(total, before["total_t"] if before else None),
            "relabelled": (
                self._relabelled(list(known.values())[-1 - n :], moment)
                if before and stock_log_chg(total, before["total_t"]) is not None
                else None
            ),
            **self._net_changes(list(known.values())[-1 - n :], n, moment),
            "knowledge_ts_max": last_known(last, reporting, before),
        }

    def _net_changes(self, rows: Sequence[Row], n: int, moment: datetime) -> Row:
        """Change of stock without jumps that are relabelled or not decided, and what was newly cancelled."""
        moved: float = 0
        for pair in pairwise(rows[-1 - n :]):
            if self._relabelled(pair, moment) is not False:
                moved += pair[1]["total_t"] - pair[0]["total_t"]
        before = rows[0]["total_t"] if len(rows) == n + 1 else None
        cancelled: Value = None
        if before and all(row["cancelled_t"] is not None for row in rows):
            cancelled = 0.0
            for old, new in pairwise(rows):
                left = max(0.0, old["total_t"] - new["total_t"])
                cancelled += max(0.0, new["cancelled_t"] - old["cancelled_t"] + left)
        return {
            "stock_log_chg_net": stock_log_chg(rows[-1]["total_t"] - moved if rows else None, before),
            "new_cancellations": ratio(cancelled, before),
            "relabelled_t": moved if rows else None,
        }

    def inventory_daily(self) -> list[Row]:
        """Registered stock at each decision time."""
        return [
            {"metal": self.metal, "as_of_date": day, **self._inventory(day, decision_time(day))}
            for day in self.as_of_dates()
        ]

    def _relabelled(self, rows: Sequence[Row], moment: datetime) -> bool | None:
        """Whether one of the changes between these stocks is, in part, metal that was only relabelled; None while that
        of a jump is not known."""
        months = {month_of(at): row["offwarrant_t"] for at, row in self.offwarrant.rows(moment).items()}
        verdicts: list[bool | None] = []
        for before, now in pairwise(rows):
            moved = now["total_t"] - before["total_t"]
            if moved == 0 or abs(moved) < self.p["relabel_jump"] * before["total_t"]:
                continue
            month = month_of(now["obs_date"])
            cancelled = cash_3m_spread(now["cancelled_t"], before["cancelled_t"])
            off_warrant = cash_3m_spread(months.get(month), months.get(month_before(month, 1)))
            parts = [-part / moved for part in (cancelled, off_warrant) if part is not None]
            if any(part >= self.p["relabel_share"] for part in parts):
                verdicts.append(True)
            else:
                verdicts.append(None if off_warrant is None else False)
        if True in verdicts:
            return True
        return None if None in verdicts else False

    def _visible(self, moment: datetime, day: date | None = None) -> Row:
        """A month-end (the last one known if none is given) as it stood after the releases until a moment."""
        known = self.offwarrant.rows(moment)
        if not known:
            return {}
        day = day or max(known)
        visible = {at: visible_t(row["offwarrant_t"], row["registered_month_end_t"]) for at, row in known.items()}
        year_ago = [at for at in known if month_of(at) == month_before(month_of(day), 12)]
        row, base = known[day], known[max(year_ago)] if year_ago else None
        since = lowest_since(visible, day)
        return {
            "metal": self.metal,
            "period_end": day,
            "knowledge_ts": row["knowledge_ts"],
            "offwarrant_t": row["offwarrant_t"],
            "registered_t": row["registered_month_end_t"],
            "visible_t": visible[day],
            "offwarrant_yoy": change(row["offwarrant_t"], base["offwarrant_t"] if base else None),
            "visible_yoy": change(visible[day], visible[max(year_ago)] if year_ago else None),
            "lowest_since": since,
            "is_record_low": since == "RECORD",
        }

    def inventory_visible_monthly(self) -> list[Row]:
        """Each month-end by its last vintage, as the series stood when that was released."""
        return [
            self._visible(row["knowledge_ts"], day)
            | self._visible_all(row["knowledge_ts"], day)
            | {"vintage_no": self.offwarrant.number(day, self.now)}
            for day, row in self.offwarrant.rows(self.now).items()
        ]

    def _shanghai(self, day: date, moment: datetime) -> Row | None:
        """Shanghai's last report up to two weeks before a month-end, as known."""
        known = self._exchange("SHFE", "METAL")
        days = (day - timedelta(back) for back in range(SHANGHAI_DAYS + 1))
        return next((row for at in days if (row := known.row(at, moment))), None)

    def _visible_all(self, moment: datetime, day: date) -> Row:
        """Visible and Shanghai stock of a month-end as it stood after the releases until a moment."""
        every: dict[date, float] = {}
        for at, row in self.offwarrant.rows(moment).items():
            report = self._shanghai(at, moment)
            if report:
                every[at] = visible_t(row["offwarrant_t"], row["registered_month_end_t"]) + report["total_t"]
        report = self._shanghai(day, moment)
        return {
            "shanghai_obs_date": report["obs_date"] if report else None,
            "shanghai_t": report["total_t"] if report else None,
            "visible_all_t": every.get(day),
            "visible_all_definition": "OFF_WARRANT + REGISTERED + SHFE" if report else None,
            "visible_all_lowest_since": lowest_since(every, day) if report else None,
        }

    def _exchange(self, exchange: str, product: str) -> Known:
        rows = self.market.get("exchange_stocks", [])
        wanted = (self.metal, exchange, product)
        return Known([row for row in rows if (row["metal"], row["exchange"], row["product"]) == wanted], "obs_date")

    def exchange_stocks_weekly(self) -> list[Row]:
        """The last report of each week as known now, against the last of an earlier week as known when it was."""
        found: list[Row] = []
        series = {(row["exchange"], row["product"]) for row in self.market.get("exchange_stocks", [])}
        for exchange, product in sorted(series):
            known = self._exchange(exchange, product)
            weeks = {day - timedelta(day.weekday()): day for day in known.rows(self.now)}
            for monday, day in weeks.items():
                row = known.rows(self.now)[day]
                first = monday - timedelta(7 * WEEKS_BACK + 1)
                base = latest({at: r for at, r in known.rows(row["knowledge_ts"], first).items() if at < monday})
                found.append(
                    {
                        "metal": self.metal,
                        **{name: row[name] for name in ("exchange", "product", "obs_date", "total_t", "on_warrant_t")},
                        "base_obs_date": base["obs_date"] if base else None,
                        "total_chg_t": row["total_t"] - base["total_t"] if base else None,
                        "knowledge_ts": row["knowledge_ts"],
                        "vintage_no": known.number(day, self.now),
                    }
                )
        return found

    def stocks_by_location_daily(self) -> list[Row]:
        """Concentration of the newest day's places, and the queue of the one with the most cancelled metal."""
        rows = [row for row in self.market.get("stocks_by_location", []) if row["metal"] == self.metal]
        places = {name: Known([row for row in rows if row["location"] == name], "obs_date")
                  for name in sorted({row["location"] for row in rows})}  # fmt: skip
        found: list[Row] = []
        for day in self.as_of_dates():
            moment, first = decision_time(day), day - timedelta(int(self.p["load_out_days"]))
            seen = {name: list(known.rows(moment, first).values()) for name, known in places.items()}
            newest = max((rows[-1]["obs_date"] for rows in seen.values() if rows), default=None)
            seen = {name: rows for name, rows in seen.items() if rows and rows[-1]["obs_date"] == newest}
            if newest is None:
                continue
            totals = {name: rows[-1]["live_t"] + rows[-1]["cancelled_t"] for name, rows in seen.items()}
            largest = min(totals, key=lambda name: (-totals[name], name))
            queue = min(seen, key=lambda name: (-seen[name][-1]["cancelled_t"], name))
            out = [row["out_t"] for row in seen[queue] if row["out_t"] is not None]
            total = sum(totals.values())
            shares = [ratio(stock, total) for stock in totals.values()]
            cancelled = seen[queue][-1]["cancelled_t"]
            found.append(
                {
                    "metal": self.metal,
                    "as_of_date": day,
                    "place_obs_date": newest,
                    "place_age_days": (day - newest).days,
                    "n_places": len(totals),
                    "total_t": total,
                    "largest_place": largest,
                    "largest_share": ratio(totals[largest], total),
                    "herfindahl": None if None in shares else sum(share**2 for share in shares if share),
                    "queue_place": queue,
                    "queue_cancelled_t": cancelled,
                    "load_out_t_day": fmean(out) if out else None,
                    "queue_days": ratio(cancelled, fmean(out) if out else None),
                    "knowledge_ts_max": last_known(*(row for rows in seen.values() for row in rows)),
                }
            )
        return found

    # --- exports

    def _exports(self, known: Mapping[date, Row], day: date) -> Row:
        """A period's changes in the series as known."""
        series = {month_of(at): (row["period_months"], row["exports_kt"]) for at, row in known.items()}
        month = month_of(day)
        return {
            "exports_yoy": exports_yoy(series, month),
            "exports_yoy_3m": exports_yoy_3m(series, month),
            "exports_ytd_yoy": exports_ytd_yoy(series, month),
        }

    def _exports_score(self, known: Mapping[date, Row]) -> tuple[Value, int]:
        """Score of the latest period among its own history as known, and how many periods were ranked."""
        window = self._exports_history(known)[-int(self.p["rank_window_monthly"]) :]
        [sign] = [row["sign"] for row in self.components if row["indicator"] == "exports_yoy_3m"] or [-1]
        score = signed(mid_rank(window, self.p["rank_min_periods_monthly"]), sign)
        return score, sum(value is not None for value in window)

    def _exports_history(self, known: Mapping[date, Row]) -> list[Value]:
        """The three-month change of every period as known."""
        return [self._exports(known, day)["exports_yoy_3m"] for day in sorted(known)]

    def exports_monthly(self) -> list[Row]:
        """Each vintage of each period, as the series stood after its release; scored where it is the latest period."""
        found: list[Row] = []
        for country in self._countries("exports"):
            series = self._of_country("exports", country)
            for day in sorted(series.vintages):
                for number, row in enumerate(series.vintages[day], 1):
                    if row["knowledge_ts"] > self.now:
                        continue
                    known = series.rows(row["knowledge_ts"])
                    score, n = self._exports_score(known) if day == max(known) else (None, None)
                    found.append(
                        {
                            "metal": self.metal,
                            "country": country,
                            "period_end": day,
                            "vintage_no": number,
                            "period_months": row["period_months"],
                            "exports_kt": row["exports_kt"],
                            **self._exports(known, day),
                            "score_exports_yoy_3m": score,
                            "n_hist": n,
                            "knowledge_ts": row["knowledge_ts"],
                        }
                    )
        return found

    # --- the wide row

    def tightness_daily(self) -> list[Row]:
        """The row of each decision time."""
        by_name = {row["indicator"]: row for row in self.components}
        [country] = {row["region"] for row in self.components if row["indicator"] == "exports_yoy_3m"} or {"CN"}
        exports = self._of_country("exports", country)
        ranked: dict[str, list[Value]] = {name: [] for name in by_name if name != "exports_yoy_3m"}
        scored: dict[tuple[tuple[date, datetime], ...], tuple[Value, int]] = {}
        self.ranked, self.suspect_from = ranked, self._suspect_from()
        self.ranked_on: list[date] = []
        self.price_days: list[date | None] = []  # of the carry of each decision time
        histories: dict[tuple[tuple[date, datetime], ...], list[Value]] = {}
        self.monthly: list[tuple[list[Value], bool]] = []  # the series as known on each day, and is it fresh
        found: list[Row] = []
        flags: list[set[str]] = []
        days = self.as_of_dates()
        for n, day in enumerate(days, 1):
            moment = decision_time(day)
            row: Row = {"metal": self.metal, "as_of_date": day, "as_of_ts": moment}
            curve, inventory, visible = self._curve(day, moment), self._inventory(day, moment), self._visible(moment)
            own = ("relabelled", "relabelled_t", "stock_log_chg_net", "new_cancellations")
            row |= curve | {name: value for name, value in inventory.items() if name not in own}
            row["offwarrant_period_end"] = visible.get("period_end")
            row |= {name: visible.get(name) for name in ("offwarrant_yoy", "visible_t")}
            known = exports.rows(moment)
            last = max(known) if known else None
            row["exports_period_end"] = last
            empty = dict.fromkeys(("exports_yoy", "exports_yoy_3m", "exports_ytd_yoy"))
            row |= self._exports(known, last) if last else empty
            moments = [
                curve["knowledge_ts_max"],
                inventory["knowledge_ts_max"],
                last_known(*self.offwarrant.rows(moment).values()),
                last_known(*known.values()),
            ]
            row["knowledge_ts_max"] = max(at for at in moments if at is not None)
            seen_on = {
                "carry_tightness": row["price_obs_date"],
                "cancelled_ratio": row.pop("cancelled_obs_date"),
                "stock_days": row["stock_obs_date"],
                "stock_log_chg": row["stock_obs_date"],
                "exports_yoy_3m": last,
            }
            scores: dict[str, Value] = {}
            self.ranked_on.append(day)
            self.price_days.append(row["price_obs_date"])
            held: set[str] = set()
            for name, component in by_name.items():
                at = seen_on[name]
                is_fresh = at is not None and (day - at).days <= component["max_age_days"]
                if name == "exports_yoy_3m":  # ranked on its own releases, then carried
                    state = tuple((at, row["knowledge_ts"]) for at, row in known.items())
                    if known and state not in scored:
                        scored[state] = self._exports_score(known)
                        histories[state] = self._exports_history(known)
                    self.monthly.append((histories.get(state, []), is_fresh))
                    scores[name] = scored[state][0] if is_fresh else None
                    window, places = histories.get(state, [])[-int(self.p["rank_window_monthly"]) :], sorted(known)
                else:
                    ranked[name].append(row[name] if is_fresh else None)
                    window = self._counted(name, len(ranked[name]))[-int(self.p["rank_window"]) :]
                    scores[name] = signed(mid_rank(window, self.p["rank_min_periods"]), component["sign"])
                    places = days[:n]
                if scores[name] is None:
                    held.add("PARTIAL")
                    continue
                if name == "carry_tightness" and row["is_rate_stale"]:
                    held.add("STALE")
                if self._spans_break(name, day, window, places, at):
                    held.add("BREAK")
            flags.append(held)
            row |= {f"score_{name}": score for name, score in scores.items()}
            row |= tightness(scores, self.components, self.p["min_coverage"])
            found.append(row)
        states = regimes([row["tightness_index"] for row in found], self.p)
        for row, (state, status), held in zip(found, states, flags, strict=True):
            row |= {"regime": state, "regime_status": status}
            if row["tightness_index"] is None:
                held = {"WARMUP" if status == "WARMUP" else "MISSING", *held - {"BREAK", "SUSPECT"}}
            row |= quality(held)
        self.contributions = {1: self._contributions([row["tightness_index"] for row in found], found, self.components)}
        if self.components_v2:
            for row, other in zip(found, self.index_v2(days), strict=True):
                row |= other
        return found

    @staticmethod
    def _contributions(
        indices: Sequence[Value], rows: Sequence[Row], components: Sequence[Row]
    ) -> dict[str, list[Value]]:
        """What each component contributes on each day; `rows` have score_ and coverage."""
        found: dict[str, list[Value]] = {}
        for component in components:
            name = component["indicator"]
            family = [row["indicator"] for row in components if row["family"] == component["family"]]
            found[name] = []
            for index, row in zip(indices, rows, strict=True):
                n = sum(row[f"score_{other}"] is not None for other in family)
                score = row[f"score_{name}"]
                given = index is not None and score is not None
                found[name].append(100 * component["weight"] / row["coverage"] * score / n if given else None)
        return found

    # --- version 2 of the index: docs/methodology.md#index-version-2

    def index_v2(self, days: Sequence[date]) -> list[Row]:
        """The columns of version 2 in tightness_daily; keeps the ranks of its components for indicator_ranks_daily."""
        inputs = self._inputs_v2(days)
        self.ranks_v2: dict[str, list[Row]] = {}
        for component in self.components_v2:
            name = component["indicator"]
            self.ranks_v2[name] = self._ranks_of_exports_v2(days) if name == "exports_yoy_3m" else self._ranks_v2(
                [(value if at is not None and (day - at).days <= component["max_age_days"] else None, at)
                 for day, (value, at) in zip(days, inputs[name], strict=True)],
                component["sign"],
            )  # fmt: skip
        found: list[Row] = []
        scored: list[Row] = []
        for i in range(len(days)):
            scores = {name: ranks[i]["score"] for name, ranks in self.ranks_v2.items()}
            made = tightness(scores, self.components_v2, self.p["min_coverage_v2"])
            scored.append({f"score_{name}": score for name, score in scores.items()} | made)
            row = {f"{name}_v2": value for name, value in made.items() if name != "n_components"}
            for family in {component["family"] for component in self.components_v2}:
                [weight] = {row["weight"] for row in self.components_v2 if row["family"] == family}
                is_there = row[f"contrib_{family.lower()}_v2"] is not None
                row[f"weight_{family.lower()}_v2"] = weight / made["coverage"] if is_there else None
            found.append(row)
        indices = [row["tightness_index_v2"] for row in found]
        self.contributions[2] = self._contributions(indices, scored, self.components_v2)
        followed = smoothed(indices, self.p["regime_half_life_v2"], self.p["regime_max_gap"])
        states = regimes_v2(
            [None if index is None else value for index, value in zip(indices, followed, strict=True)],
            [value for value, _ in inputs["spread_median"]],
            self.p,
        )
        for row, value, (state, status) in zip(found, followed, states, strict=True):
            row |= {"smoothed_index_v2": value, "regime_v2": state, "regime_status_v2": status}
        return found

    def _inputs_v2(self, days: Sequence[date]) -> dict[str, list[tuple[Value, date | None]]]:
        """Each daily indicator of version 2 on each day, and the day of its observation."""
        found: dict[str, list[tuple[Value, date | None]]] = {}
        seen: dict[str, list[Value]] = {"carry": [], "spread": [], "live": [], "all": [], "net": []}
        for day in days:
            moment = decision_time(day)
            curve, stock, visible = self._curve(day, moment), self._inventory(day, moment), self._visible(moment)
            use = self._on("consumption_t_per_year", day)
            shanghai = self._latest_of(self.shanghai, day, moment)
            total, share = stock["total_t"], stock["cancelled_ratio"]
            live = None if total is None else (total - stock["relabelled_t"]) * (1 - (share or 0.0))
            whole = visible_t(visible.get("visible_t"), shanghai["total_t"] if shanghai else None)
            for name, value in (
                ("carry", curve["carry_tightness"]), ("spread", curve["cash_3m_spread_usd_t"]),
                ("live", math.log(stock_days(live, use)) if live and live > 0 else None),
                ("all", math.log(stock_days(whole, use)) if whole and whole > 0 else None),
                ("net", stock["stock_log_chg_net"]),
            ):  # fmt: skip
                seen[name].append(value)
            nets = [value for value in seen["net"] if value is not None]
            net = seen["net"][-1]
            on_price, on_stock = curve["price_obs_date"], stock["stock_obs_date"]
            row: dict[str, tuple[Value, date | None]] = {
                "carry_tightness_median": (self._median(seen["carry"]), on_price),
                "spread_median": (self._median(seen["spread"]), None),
                "live_stock_deviation": (self._deviation(days, seen["live"]), on_stock),
                "visible_all_deviation": (self._deviation(days, seen["all"]), visible.get("period_end")),
                "stock_chg_winsorised": (
                    None if net is None else max(quantile(nets, 0.01), min(quantile(nets, 0.99), net)), on_stock
                ),
                "new_cancellations": (stock["new_cancellations"], on_stock),
                "shanghai_stock_days": (
                    stock_days(shanghai["total_t"] if shanghai else None, use),
                    shanghai["obs_date"] if shanghai else None,
                ),
            }  # fmt: skip
            for name in ("TOM_NEXT", "M3_M15"):
                known = self.spreads_quoted.get(name)
                quote = self._latest_of(known, day, moment) if known else None
                row[f"{name.lower()}_usd_t"] = (quote["usd_t"], quote["obs_date"]) if quote else (None, None)
            for region, premia in self.premia.items():
                premium = self._latest_of(premia, day, moment)
                duty = valid_on(day, TARIFF) if region == "us_midwest" else 0.0
                paid = visible_t(curve["cash_usd_t"], premium["usd_t"] if premium else None)
                row[f"premium_{region}"] = (
                    cash_3m_spread(ratio(paid, 1 + duty), curve["cash_usd_t"]), premium["obs_date"] if premium else None
                )  # fmt: skip
            for name, at in row.items():
                found.setdefault(name, []).append(at)
        return found

    def _median(self, values: Sequence[Value]) -> Value:
        there = [value for value in values[-int(self.p["median_obs"]) :] if value is not None]
        return median(there) if there else None

    def _deviation(self, days: Sequence[date], logs: Sequence[Value]) -> Value:
        """The last value less the mean of the same month of the years before."""
        day = days[len(logs) - 1]
        means: list[float] = []
        for back in range(int(self.p["season_years"]), 0, -1):
            month = (day.year - back, day.month)
            values = [log for at, log in zip(days, logs, strict=False) if month_of(at) == month and log is not None]
            if values:
                means.append(fmean(values))
        return cash_3m_spread(logs[-1], fmean(means) if len(means) >= self.p["season_min_years"] else None)

    def _ranks_v2(self, values: Sequence[tuple[Value, date | None]], sign: int) -> list[Row]:
        """Ranks of each day: an observation counts once, on the first day that it was there, and keeps its ranks."""
        found: list[Row] = []
        counted: list[Value] = []
        last: date | None = None
        ranks: tuple[Value, Value] = (None, None)
        every = [value for value, _ in values]
        size = int(self.p["rank_window"])
        for i, (value, at) in enumerate(values):
            is_new = value is not None and at != last
            counted.append(value if is_new else None)
            if is_new:
                last, ranks = at, (mid_rank(counted[-size:], 1), mid_rank(counted, 1))
            n = sum(other is not None for other in every[max(0, i + 1 - size) : i + 1])
            window, expanding = ranks if value is not None and n >= self.p["rank_min_periods_v2"] else (None, None)
            found.append(
                self._ranks(every[: i + 1], "", LONGER_WINDOWS, sign)
                | {
                    "value": value, "percentile": window, "expanding_percentile": expanding,
                    "score": signed(None if window is None or expanding is None else (window + expanding) / 2, sign),
                }
            )  # fmt: skip
        return found

    def _ranks_of_exports_v2(self, days: Sequence[date]) -> list[Row]:
        [component] = [row for row in self.components_v2 if row["indicator"] == "exports_yoy_3m"]
        found: list[Row] = []
        for i in range(len(days)):
            history, is_fresh = self.monthly[i]
            if not history:
                found.append({"score": None})
                continue
            ranks = self._ranks(history, "_monthly", LONGER_WINDOWS_MONTHLY, component["sign"])
            least = max(self.p["rank_min_periods_monthly"], self.p["rank_min_periods_monthly_v2"])
            window = mid_rank(history[-int(self.p["rank_window_monthly"]) :], least)
            expanding = mid_rank(history, least) if window is not None else None
            both = None if window is None or expanding is None else (window + expanding) / 2
            ranks |= {"percentile": window, "expanding_percentile": expanding, "score": signed(both, component["sign"])}
            value = history[-1]
            if not is_fresh:
                value, ranks = None, {**dict.fromkeys(ranks), "n_hist": ranks["n_hist"]}
            found.append({"value": value, **ranks})
        return found

    def index_history_daily(self) -> list[Row]:
        """The versions of the index and the principal component beside their own past."""
        rows = self.tightness_daily()
        days = [row["as_of_date"] for row in rows]
        found: list[Row] = []
        for name, values in (
            ("tightness_index", [row["tightness_index"] for row in rows]),
            ("tightness_index_v2", [row["tightness_index_v2"] for row in rows]),
            ("index_pca", self._pca(rows)),
        ):
            moved = {f"change_{n}d": changes(values, n) for n in CHANGE_DAYS}
            for i, (day, value) in enumerate(zip(days, values, strict=True)):
                if value is None:
                    continue
                row: Row = {"metal": self.metal, "index_name": name, "as_of_date": day, "value": value}
                row |= {"percentile": mid_rank(values[: i + 1], 1)} | {change: of[i] for change, of in moved.items()}
                for years in YEARS:
                    window = [other for other in values[max(0, i + 1 - 252 * years) : i + 1] if other is not None]
                    row |= {f"low_{years}y": min(window), f"high_{years}y": max(window)}
                found.append(row)
        return found

    def _pca(self, rows: Sequence[Row]) -> list[Value]:
        """First principal component of the families, fitted at the beginning of each month to the days before."""
        names = [f"family_{name}_v2" for name in ("curve", "stock", "flow", "physical")]
        loadings: dict[Month, list[float]] = {}
        found: list[Value] = []
        for row in rows:
            day = row["as_of_date"]
            if month_of(day) not in loadings:
                before = [[old[name] for name in names] for old in rows if old["as_of_date"] < day.replace(day=1)]
                loadings[month_of(day)] = first_component(before, self.p["rank_min_periods_v2"])
            given = [
                (loading, row[name])
                for loading, name in zip(loadings[month_of(day)], names, strict=False)
                if row[name] is not None
            ]
            whole = sum(abs(loading) for loading in loadings[month_of(day)])
            available = sum(abs(loading) for loading, _ in given)
            is_enough = whole > 0 and available >= self.p["min_coverage_v2"] * whole and available > 0
            found.append(
                50 + 100 * sum(loading * (score - 0.5) for loading, score in given) / available if is_enough else None
            )
        return found

    def _spans_break(self, name: str, day: date, window: Sequence[Value], places: Sequence[date], last: date) -> bool:
        """Whether the series changed its meaning after the first value of the window, and its last observation saw it.

        `places`: the days or periods of the window's values, and of those before it.
        """
        first = next(at for value, at in zip(window, places[-len(window) :], strict=True) if value is not None)
        return any(
            row["valid_from"] <= day and first < row["break_date"] <= last
            for row in self.breaks
            if row["metric_id"] == name and row["metal"] in (self.metal, "*")
        )

    def indicator_ranks_daily(self) -> list[Row]:
        """The indicators' ranks over several windows and the robust z; monthly ones by their own periods."""
        days = [row["as_of_date"] for row in self.tightness_daily()]
        found: list[Row] = []
        for component in self.components:
            name = component["indicator"]
            for i, day in enumerate(days):
                if name == "exports_yoy_3m":
                    history, is_fresh = self.monthly[i]
                    if not history:
                        continue
                    ranks = self._ranks(history, "_monthly", LONGER_WINDOWS_MONTHLY, component["sign"])
                    value = history[-1]
                    if not is_fresh:
                        value, ranks = None, {**dict.fromkeys(ranks), "n_hist": ranks["n_hist"]}
                else:
                    history = self._counted(name, i + 1)
                    ranks, value = self._ranks(history, "", LONGER_WINDOWS, component["sign"]), self.ranked[name][i]
                parts = self._parts(1, name, i)
                found.append(
                    {"metal": self.metal, "version": 1, "indicator": name, "as_of_date": day, "value": value, **ranks}
                    | parts
                )
        for component in self.components_v2:
            name = component["indicator"]
            for i, day in enumerate(days):
                if "value" in self.ranks_v2[name][i]:
                    row = {"metal": self.metal, "version": 2, "indicator": name, "as_of_date": day}
                    found.append(row | self.ranks_v2[name][i] | self._parts(2, name, i))
        return found

    def _parts(self, version: int, name: str, i: int) -> Row:
        """What a component contributes on the i-th day, and its part in the changes of the index."""
        of = self.contributions[version]
        has_index = [any(part[k] is not None for part in of.values()) for k in range(i + 1)]
        row: Row = {"contribution": of[name][i]}
        for n in CHANGE_DAYS:
            is_there = i >= n and has_index[i] and has_index[i - n]
            row[f"contribution_chg_{n}d"] = (of[name][i] or 0.0) - (of[name][i - n] or 0.0) if is_there else None
        return row

    def _ranks(self, history: Sequence[Value], kind: str, windows: Mapping[str, int], sign: int) -> Row:
        """Rank of the last value among those before it; `kind` selects the window parameters."""
        least = self.p[f"rank_min_periods{kind}"]
        window = history[-int(self.p[f"rank_window{kind}"]) :]
        longer = {column: mid_rank(history[-rows:], least) for column, rows in windows.items()}
        there = [rank for rank in longer.values() if rank is not None]
        percentile = mid_rank(window, least)
        middle, mad = median_and_mad(window, least)
        return {
            "percentile": percentile,
            "score": signed(percentile, sign),
            "n_hist": sum(value is not None for value in window),
            **longer,
            "rank_sensitivity": max(there) - min(there) if there else None,
            "median": middle,
            "mad": mad,
            "robust_z": robust_z(window, least, self.p["z_cap"]),
        }

    # --- power and the smelters

    def power_daily(self) -> list[Row]:
        """Delivery days as known now."""
        found = (self._power_day(zone, day, self.now) for zone, day in sorted(self._points))
        return [row for row in found if row]

    def _power_day(self, zone: str, day: date, moment: datetime) -> Row | None:
        """A delivery day as known at a moment, in USD at the last fixing known when that was published."""
        points = self._points[zone, day]
        known = points.rows(moment)
        if not known:
            return None
        published = max(row["knowledge_ts"] for row in known.values())
        number = points.releases().index(published)
        if (zone, day, number) not in self._power_days:
            first = next(iter(known.values()))
            eur = filled({at: row["price_eur_mwh"] for at, row in known.items()}, first["n_positions"])
            fixings = self.eurusd.rows(published, since=day - timedelta(FX_DAYS))
            fixing = latest({at: row for at, row in fixings.items() if at <= day})
            eurusd = fixing["rate"] if fixing else None
            usd = [value * eurusd for value in eur] if eurusd is not None else None
            mean_usd = fmean(eur) * eurusd if eurusd is not None else None
            self._power_days[zone, day, number] = {
                "zone": zone,
                "delivery_date": day,
                "resolution_min": int(first["resolution"][2:-1]),
                "n_mtu": len(eur),
                "n_points": len(known),
                "mean_eur_mwh": fmean(eur),
                "naive_mean_of_points_eur_mwh": fmean(row["price_eur_mwh"] for row in known.values()),
                "fx_obs_date": fixing["obs_date"] if fixing else None,
                "eurusd": eurusd,
                "mean_usd_mwh": mean_usd,
                "power_cost_usd_t": power_cost(mean_usd, self._on("mwh_per_t", day)),
                "share_above_115usd": share_above(usd, self.p["power_line_high_usd_mwh"]),
                "share_below_40usd": share_below(usd, self.p["power_line_low_usd_mwh"]),
                "knowledge_ts": published,
            }
        return self._power_days[zone, day, number]

    def smelter_margin_daily(self) -> list[Row]:
        """Cost and margin of a smelter in each zone, with the power of the latest delivery day."""
        p, found = self.p, []
        for zone in sorted({zone for zone, _ in self._points}):
            for day in self.as_of_dates():
                moment = decision_time(day)
                price, cost = self._price(day, moment), self._latest_of(self.costs, day, moment)
                c = price["cash_usd_t"] if price else None
                alumina = cost["alumina_usd_t"] if cost else None
                premium = cost["premium_usd_t"] if cost else None
                days = [day - timedelta(back) for back in range(MONTH_OF_POWER[0])]
                power = {at: self._power_day(zone, at, moment) for at in days if (zone, at) in self._points}
                known = {
                    at: row["mean_usd_mwh"] for at, row in power.items() if row and row["mean_usd_mwh"] is not None
                }
                if not known:
                    continue
                last = max(known)
                usd_mwh = known[last] if (day - last).days <= POWER_DAYS else None
                month = list(known.values())
                power_usd_t = power_cost(usd_mwh, self._on("mwh_per_t", day))
                cost_usd_t = cash_cost(power_usd_t, alumina, p["alumina_t_per_t"], p["other_cash_usd_t"])
                breakeven = breakeven_power(
                    c, premium, alumina, p["alumina_t_per_t"], p["other_cash_usd_t"], self._on("mwh_per_t", day)
                )
                found.append(
                    {
                        "metal": self.metal,
                        "zone": zone,
                        "as_of_date": day,
                        "power_usd_mwh": usd_mwh,
                        "power_cost_usd_t": power_usd_t,
                        "cash_cost_usd_t": cost_usd_t,
                        "margin_usd_t": margin(c, premium, cost_usd_t),
                        "breakeven_power_usd_mwh": breakeven,
                        "power_share_of_cost": ratio(power_usd_t, cost_usd_t),
                        "headroom_usd_mwh": cash_3m_spread(breakeven, usd_mwh),
                        "power_usd_mwh_30d": fmean(month) if len(month) >= MONTH_OF_POWER[1] else None,
                    }
                )
        return found

    @staticmethod
    def _latest_of(known: Known, day: date, moment: datetime) -> Row | None:
        """The latest row known, at most 45 days old."""
        return latest(known.rows(moment, since=day - timedelta(PRICE_DAYS)))

    # --- China, equities

    def arbitrage_daily(self) -> list[Row]:
        """Result of importing metal into China and of exporting semis from it."""
        found: list[Row] = []
        for day in self.as_of_dates():
            moment = decision_time(day)
            quoted = self.prices.rows(moment, since=day - timedelta(PRICE_DAYS))
            price = latest({at: row for at, row in quoted.items() if row["m3_usd_t"] is not None})
            quote = self._latest_of(self.arbitrage, day, moment)
            quote = quote or dict.fromkeys(
                ("shfe_cny_t", "cif_premium_usd_t", "usdcny", "dest_premium_usd_t", "freight_usd_t")
            )
            lme, shfe, fx = price["m3_usd_t"] if price else None, quote["shfe_cny_t"], quote["usdcny"]
            vat, duty, rebate = valid_on(day, VAT), valid_on(day, DUTY), valid_on(day, REBATE)
            found.append(
                {
                    "metal": self.metal,
                    "as_of_date": day,
                    "import_arb_cny_t": import_arb(
                        shfe, lme, quote["cif_premium_usd_t"], fx, duty, vat, self.p["port_cny_t"]
                    ),
                    "shfe_lme_ratio": ratio(shfe, lme),
                    "semis_export_arb_usd_t": semis_export_arb(
                        lme, quote["dest_premium_usd_t"], quote["freight_usd_t"], shfe, vat, rebate, fx
                    ),
                }
            )
        return found

    def us_parity_daily(self) -> list[Row]:
        """Price in the United States against the cost of importing a tonne with the tariff of the day."""
        premia = {
            region: Known([row for row in self.market.get("premia", []) if row["region"] == region], "obs_date")
            for region in ("US_MIDWEST", "EU_DUTY_UNPAID")
        }
        found: list[Row] = []
        for day in self.as_of_dates():
            moment = decision_time(day)
            midwest, unpaid = (self._latest_of(known, day, moment) for known in premia.values())
            if not midwest and not unpaid:
                continue
            curve = self._curve(day, moment)
            c, tariff, freight = curve["cash_usd_t"], valid_on(day, TARIFF), self.p["us_freight_usd_t"]
            replacement = us_replacement(c, unpaid["usd_t"] if unpaid else None, freight, tariff)
            price = visible_t(c, midwest["usd_t"] if midwest else None)  # a sum where both are there
            found.append(
                {
                    "metal": self.metal,
                    "as_of_date": day,
                    "price_obs_date": curve["price_obs_date"],
                    "midwest_obs_date": midwest["obs_date"] if midwest else None,
                    "unpaid_obs_date": unpaid["obs_date"] if unpaid else None,
                    "cash_usd_t": c,
                    "midwest_premium_usd_t": midwest["usd_t"] if midwest else None,
                    "unpaid_premium_usd_t": unpaid["usd_t"] if unpaid else None,
                    "us_freight_usd_t": freight,
                    "section_232": tariff,
                    "replacement_usd_t": replacement,
                    "us_price_usd_t": price,
                    "parity_gap_usd_t": cash_3m_spread(price, replacement),
                    "knowledge_ts_max": max(
                        at for at in (last_known(midwest, unpaid), curve["knowledge_ts_max"]) if at is not None
                    ),
                }
            )
        return found

    def _contract(self, contract: str) -> Known:
        return Known([row for row in self.market.get("positions", []) if row["contract"] == contract], "obs_date")

    def _position(self, known: Known, row: Row) -> Row:
        """A week's net position, ranked among the weeks before it as known when it became known."""
        first = months_later(row["obs_date"], -int(self.p["rank_months_weekly"]))
        weeks = known.rows(row["knowledge_ts"], first + timedelta(1))
        shares = [
            ratio(week["managed_long"] - week["managed_short"], week["open_interest"])
            for at, week in weeks.items()
            if at <= row["obs_date"]
        ]
        return {
            "managed_net": row["managed_long"] - row["managed_short"],
            "net_share": shares[-1],
            "net_percentile": mid_rank(shares, self.p["rank_min_periods_weekly"]),
            "n_hist": sum(share is not None for share in shares),
        }

    def positions_weekly(self) -> list[Row]:
        """Net positions of money managers by contract and week, as known now."""
        found: list[Row] = []
        for contract in CONTRACTS:
            known = self._contract(contract)
            for day, row in known.rows(self.now).items():
                found.append(
                    {
                        "metal": self.metal,
                        **{name: value for name, value in row.items() if name != "knowledge_ts"},
                        **self._position(known, row),
                        "knowledge_ts": row["knowledge_ts"],
                        "vintage_no": known.number(day, self.now),
                    }
                )
        return found

    def weekly_metrics(self) -> list[Row]:
        """Position in the first contract, and Shanghai's stock, of the newest week known at each decision time."""
        positions, shanghai = self._contract(CONTRACTS[0]), self._exchange("SHFE", "METAL")
        found: list[Row] = []
        for day in self.as_of_dates():
            moment = decision_time(day)
            week, report = (self._latest_of(known, day, moment) for known in (positions, shanghai))
            position = self._position(positions, week) if week else {}
            found.append(
                {
                    "as_of_date": day,
                    "managed_net": position.get("managed_net"),
                    "managed_net_percentile": position.get("net_percentile"),
                    "exchange_stock": report["total_t"] if report else None,
                }
            )
        return found

    def supply_monthly(self) -> list[Row]:
        """Output by period as known now, and its share of the cap."""
        found: list[Row] = []
        for country in self._countries("production"):
            for day, row in self._of_country("production", country).rows(self.now).items():
                first = months_later(day.replace(day=1), 1 - row["period_months"])
                found.append(
                    {
                        "metal": self.metal,
                        "country": country,
                        "period_end": day,
                        "production_kt": row["production_kt"],
                        "cap_utilisation": cap_utilisation(
                            row["production_kt"], (day - first).days + 1, self._on("china_cap_t", day)
                        ),
                    }
                )
        return found

    def equity_daily(self) -> list[Row]:
        """Closes as known now, against their 252-day high."""
        found: list[Row] = []
        for ticker in sorted({row["ticker"] for row in self.market.get("equities", [])}):
            closes: list[float] = []
            rows = [row for row in self.market["equities"] if row["ticker"] == ticker]
            for day, row in Known(rows, "obs_date").rows(self.now).items():
                closes.append(row["close_usd"])
                found.append(
                    {"ticker": ticker, "obs_date": day, "close_usd": closes[-1], "near_high": near_high(closes)}
                )
        return found
