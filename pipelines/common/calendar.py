"""Business days, decision times, prompt dates and release rules.

Pure functions of dates. Public holidays come from the `holidays` package, time zones from the system's database. A
release rule is a row of `release_calendar.csv`: docs/methodology.md#sources-and-knowledge-times.
"""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from functools import cache
from typing import Any, Final, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Calendar = Literal["LONDON", "NEW_YORK", "NYSE", "TARGET", "CHINA", "WEEKDAYS"]
FIRST_MONTH: Final = "2008-01"  # first month in the lake
FIRST_YEAR: Final = 1990
LAST_YEAR: Final = 2045
CLOSE: Final = pd.Timedelta(hours=16)  # of the New York Stock Exchange, on usual days
_CLOSES: Final = re.compile(r"close at (\d):(\d\d)pm")  # in the name of a half day
DECISION_TIME: Final = "18:00"
DECISION_ZONE: Final = "Europe/London"


@cache
def business_days(calendar: Calendar) -> np.busdaycalendar:
    """Business days of London (England bank holidays), New York's bond market (SIFMA), the New York Stock Exchange,
    TARGET, Chinese exchanges, or weekdays.
    """
    import holidays

    years = range(FIRST_YEAR, LAST_YEAR + 1)
    closed: list[date] = []
    if calendar == "LONDON":
        closed = list(holidays.country_holidays("GB", subdiv="ENG", years=years))
    elif calendar == "NEW_YORK":
        # Days of SOFR: SIFMA's calendar plus Good Friday, when the repo market is closed but SIFMA only recommends it.
        closed = list(holidays.financial_holidays("SIFMA", years=years))
        nyse = holidays.financial_holidays("NYSE", years=years)
        closed += [day for day, name in nyse.items() if "Good Friday" in name]
    elif calendar == "NYSE":
        # Other holidays than the bond market's, and days of mourning and storms: docs/methodology.md#release-rules.
        closed = list(holidays.financial_holidays("NYSE", years=years))
    elif calendar == "TARGET":
        closed = list(holidays.financial_holidays("ECB", years=years))
    elif calendar == "CHINA":
        # Weekends worked in exchange for a longer holiday are not trading days.
        closed = list(holidays.country_holidays("CN", years=years))
    return np.busdaycalendar(holidays=np.array(sorted(closed), dtype="datetime64[D]"))


@cache
def early_closes(calendar: Calendar) -> pd.Series:
    """How much earlier than usual an exchange closes, by day; empty for calendars without closing times."""
    if calendar != "NYSE":
        return pd.Series(dtype="timedelta64[us]", index=pd.DatetimeIndex([]))
    import holidays

    years = range(FIRST_YEAR, LAST_YEAR + 1)
    named = holidays.financial_holidays("NYSE", years=years, categories=(holidays.HALF_DAY,))
    found = {day: match for day, name in named.items() if (match := _CLOSES.search(name))}
    hours = [CLOSE - pd.Timedelta(hours=12 + int(match[1]), minutes=int(match[2])) for match in found.values()]
    return pd.Series(hours, index=pd.DatetimeIndex(list(found)))


def is_london_business_day(days: NDArray[np.datetime64]) -> NDArray[np.bool_]:
    """Mask of London business days among `days` (datetime64[D])."""
    return np.asarray(np.is_busday(days, busdaycal=business_days("LONDON")))


def to_utc(days: NDArray[np.datetime64], local_time: str, zone: str) -> pd.DatetimeIndex:
    """UTC instants of a local wall time (HH:MM) on each day, with daylight saving time."""
    hours, minutes = local_time.split(":")
    offset = pd.Timedelta(hours=int(hours), minutes=int(minutes))
    local = pd.DatetimeIndex(days.astype("datetime64[us]")) + offset
    return local.tz_localize(zone, ambiguous=np.ones(len(local), dtype=bool), nonexistent="shift_forward").tz_convert(
        "UTC"
    )


def release_instants(days: NDArray[np.datetime64], local_time: str, zone: str, calendar: Calendar) -> pd.DatetimeIndex:
    """UTC instants of a release at a local wall time on each day; after an early close as much earlier."""
    instants, early = to_utc(days, local_time, zone), early_closes(calendar)
    if early.empty:
        return instants
    return instants - pd.TimedeltaIndex(early.reindex(pd.DatetimeIndex(days)).fillna(pd.Timedelta(0)))


def three_months_on(days: NDArray[np.datetime64]) -> NDArray[np.datetime64]:
    """Three-month prompt of each trade date: the same day of the month three months later.

    If that is no London business day: the following one inside the month, else the preceding one. The preceding one
    also for a Saturday after a business day, Good Friday, and Christmas Day on a Tuesday to Friday (LME Rulebook, Part
    3, rule 8.4.1).
    """
    target = (pd.DatetimeIndex(days) + pd.DateOffset(months=3)).to_numpy().astype("datetime64[D]")
    following = np.busday_offset(target, 0, roll="modifiedfollowing", busdaycal=business_days("LONDON"))
    preceding = np.busday_offset(target, 0, roll="preceding", busdaycal=business_days("LONDON"))
    return np.where(_goes_back(target), preceding, following)


def _goes_back(days: NDArray[np.datetime64]) -> NDArray[np.bool_]:
    """Mask of the days whose prompt is the business day before, where they are none themselves."""
    dates = pd.DatetimeIndex(days)
    is_saturday = (dates.day_of_week == 5) & is_london_business_day(days - np.timedelta64(1, "D"))
    is_christmas = (dates.month == 12) & (dates.day == 25) & dates.day_of_week.isin([1, 2, 3, 4])
    return np.asarray(is_saturday | is_christmas | np.isin(days, _good_fridays()))


@cache
def _good_fridays() -> NDArray[np.datetime64]:
    import holidays

    named = holidays.country_holidays("GB", subdiv="ENG", years=range(FIRST_YEAR, LAST_YEAR + 1))
    return np.array([day for day, name in named.items() if "Good Friday" in name], dtype="datetime64[D]")


def trading_calendar(first: date, last: date) -> pd.DataFrame:
    """One row per calendar day from `first` to `last`.

    Columns: calendar_date, is_business_day (London), previous_business_day, as_of_ts (decision time, UTC), cash_prompt
    (T+2), m3_prompt, days_cash_to_3m.
    """
    days = np.arange(np.datetime64(first, "D"), np.datetime64(last, "D") + 1)
    cash = np.busday_offset(days, 2, roll="backward", busdaycal=business_days("LONDON"))
    three = three_months_on(days)
    before = np.busday_offset(days, -1, roll="forward", busdaycal=business_days("LONDON"))
    return pd.DataFrame(
        {
            "calendar_date": days.astype("datetime64[us]"),
            "is_business_day": is_london_business_day(days),
            "previous_business_day": before.astype("datetime64[us]"),
            "as_of_ts": to_utc(days, DECISION_TIME, DECISION_ZONE).as_unit("us"),
            "cash_prompt": cash.astype("datetime64[us]"),
            "m3_prompt": three.astype("datetime64[us]"),
            "days_cash_to_3m": (three - cash).astype(int),
        }
    )


def release_times(
    period_end: pd.Series, dataset: str, source: str, rules: pd.DataFrame, entity: str = ""
) -> pd.DataFrame:
    """Knowledge time of each period by the versioned release rules.

    `period_end`: naive dates. `rules`: release_calendar rows. `entity`: the series, which may have a rule of its own.
    Returns knowledge_ts (UTC) and knowledge_basis, indexed like the input. Raises KeyError with dataset and source when
    no rule covers a period.
    """
    # Each day once: a day of power prices has up to 100 rows.
    days, position = np.unique(period_end.to_numpy().astype("datetime64[D]"), return_inverse=True)
    known = np.full(len(days), np.datetime64("NaT"), dtype="datetime64[us]")
    basis = np.full(len(days), None, dtype=object)
    own: list[Any] = list(release_rules(dataset, source, rules, entity).itertuples())
    for rule in own:
        applies = days >= np.datetime64(rule.valid_from, "D")
        if applies.any():
            instants = release_instants(
                _release_days(days[applies], rule.rule, int(rule.n), int(rule.months_after), rule.calendar),
                rule.local_time,
                rule.timezone,
                rule.calendar,
            )
            known[applies] = instants.tz_localize(None).as_unit("us").to_numpy()
            basis[applies] = "CALENDAR" if rule.status == "FACT" else "ASSUMED"
    if (missing := np.isnat(known)).any():
        first = pd.Timestamp(days[missing][0])
        raise KeyError(f"release_calendar.csv has no rule for {dataset} from {source} on {first:%Y-%m-%d}: add a row")
    instants = pd.DatetimeIndex(known[position]).tz_localize("UTC")
    return pd.DataFrame({"knowledge_ts": instants, "knowledge_basis": basis[position]}, index=period_end.index)


def release_rules(dataset: str, source: str, rules: pd.DataFrame, entity: str = "") -> pd.DataFrame:
    """Rows of release_calendar for a source's dataset, ordered so that of two matching rows the later one applies.

    `entity`: a series with rules of its own; without it, the rules of the other series.
    """
    own = rules[
        (rules["dataset"] == dataset) & rules["data_source"].isin([source, "*"]) & rules["entity"].isin([entity, ""])
    ]
    # A rule for this series or source overrides a rule for all.
    ranked = own.assign(specific=(own["entity"] != "") * 2 + (own["data_source"] == source))
    return ranked.sort_values(["specific", "valid_from"])


def entities_with_rules(dataset: str, rules: pd.DataFrame) -> list[str]:
    """The series of a dataset that have release rules of their own."""
    own = rules.loc[rules["dataset"] == dataset, "entity"]
    return sorted({*own} - {""})


def _release_days(
    days: NDArray[np.datetime64], rule: str, n: int, months_after: int, calendar: Calendar
) -> NDArray[np.datetime64]:
    cal = business_days(calendar)
    if rule == "DAYS_AFTER":
        return days + np.timedelta64(n, "D")
    if rule == "BUSINESS_DAYS_AFTER":
        return np.asarray(np.busday_offset(days, n, roll="backward" if n else "forward", busdaycal=cal))
    month = (days.astype("datetime64[M]") + np.timedelta64(months_after, "M")).astype("datetime64[D]")
    if rule == "DAY_OF_MONTH":
        return np.asarray(np.busday_offset(month + np.timedelta64(n - 1, "D"), 0, roll="forward", busdaycal=cal))
    if rule == "BUSINESS_DAY_OF_MONTH":
        return np.asarray(np.busday_offset(month, n - 1, roll="forward", busdaycal=cal))
    raise ValueError(f"unknown release rule {rule!r}")


def months_between(first: str, last: str) -> list[pd.Period]:
    """The months from `first` to `last` (YYYY-MM), both included."""
    return list(pd.period_range(first, last, freq="M"))


def month_of(moment: datetime) -> str:
    """The London month of a time, as YYYY-MM."""
    return pd.Timestamp(moment).tz_convert(DECISION_ZONE).strftime("%Y-%m")


def calendar_end(now: datetime) -> datetime:
    """End of the trading calendar: power prices are known a day ahead; prompt dates are columns of each day."""
    return now + timedelta(days=7)
