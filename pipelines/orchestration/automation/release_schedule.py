"""Release schedule of the publishers: the months that are due at a moment, by the release calendar.

Pure: from a moment and the rules of `release_calendar.csv` to months, or the reason why none is due. That table has all
times and days; here are only the datasets that are released together, and how early or late a figure may be.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import numpy as np
import pandas as pd

from pipelines.common.calendar import (
    DECISION_TIME,
    DECISION_ZONE,
    FIRST_MONTH,
    business_days,
    entities_with_rules,
    is_london_business_day,
    month_of,
    release_rules,
    release_times,
)
from pipelines.datasets import DROP, FEEDS
from pipelines.sources import SOURCES
from pipelines.sources.base import Scope

# The clocks of publishers differ from ours: a little later the response has the new figure.
FETCH_AFTER: Final = timedelta(minutes=5)
# The build waits for fetches that start at the decision time.
BUILD_AFTER: Final = timedelta(minutes=15)
# A release day with the status ASSUMPTION is the latest possible: an earlier release is known when it is fetched.
EARLY_DAYS: Final = 7
# Days for which a due figure is still fetched: a publisher may be late, a tick may be missed.
LATE_DAYS: Final = 7
PLACES: Final = {
    "LONDON": " in London",
    "NEW_YORK": " in New York",
    "NYSE": " at the New York Stock Exchange",
    "TARGET": " at the ECB",
    "WEEKDAYS": "",
}
# Years from which the days of a schedule are computed. Fixed, so that definitions do not depend on the clock.
SAMPLE: Final = (pd.Timestamp("2020-01-01"), pd.Timestamp("2031-12-31"))


@dataclass(frozen=True)
class Publication:
    """Datasets that a publisher releases together. Without `sources` they come from the user's own files."""

    name: str
    title: str
    datasets: tuple[str, ...]
    sources: tuple[str, ...]

    @property
    def tiers(self) -> list[tuple[str, str]]:
        """Its keys in the release calendar: dataset and source."""
        return [(d, s) for d in self.datasets for s in self.sources or (DROP,) if s == DROP or s in FEEDS[d].sources]


def _publication(name: str, title: str, *datasets: str, sources: tuple[str, ...] = ()) -> Publication:
    every = dict.fromkeys(source for dataset in datasets for source in FEEDS[dataset].sources)
    return Publication(name, title, datasets, sources or tuple(every))


PUBLICATIONS: Final = {
    publication.name: publication
    for publication in (
        _publication("lme", "LME prices, stocks and spreads", "prices", "stocks", "spreads"),
        _publication("lme_locations", "LME stocks by location", "stocks_by_location"),
        _publication("lme_off_warrant", "LME off-warrant stocks", "off_warrant"),
        _publication("rates", "New York Fed: SOFR, EFFR", "rates"),
        _publication("ecb", "ECB reference rates", "fx"),
        _publication("power_auction", "Day-ahead power auction", "power"),
        # Two publishers of one dataset, each with its own days.
        _publication("china_customs", "China customs: exports", "exports", sources=("customs",)),
        _publication("un_comtrade", "UN Comtrade: exports", "exports", sources=("comtrade",)),
        _publication("production", "Primary production", "production"),
        _publication("costs", "Alumina and premium assessments", "costs", "premia"),
        _publication("arbitrage", "Shanghai and premia", "arbitrage"),
        _publication("equities", "Share prices", "equities"),
        _publication("pink_sheet", "World Bank Pink Sheet", "benchmark_prices", sources=("worldbank",)),
        _publication("fred_means", "FRED: monthly mean prices", "benchmark_prices", sources=("fred",)),
        _publication("ember", "Ember: daily mean power prices", "benchmark_power"),
        _publication("shfe_stock", "Shanghai Futures Exchange: weekly stock", "exchange_stocks"),
        _publication("cftc", "CFTC: commitments of traders", "positions"),
    )
}


@dataclass(frozen=True)
class Due:
    """The months to fetch, or none and the reason."""

    months: tuple[str, ...]
    reason: str = ""

    @property
    def span(self) -> tuple[str, str]:
        """First and last month."""
        return min(self.months), max(self.months)


def due(dataset: str, source: str, moment: datetime, rules: pd.DataFrame) -> Due:
    """Months of a source's dataset that may have new figures at this moment.

    Daily figures: on a release day, the months of the figures released within the last LATE_DAYS. Monthly figures: the
    months whose release window is open, on the working days of the calendar.
    """
    now = pd.Timestamp(moment)
    own = release_rules(dataset, source, rules)
    rule = own[own["valid_from"] <= now.tz_convert("UTC").tz_localize(None)].iloc[-1]
    today = now.tz_convert(rule.timezone).tz_localize(None).normalize()
    found = _windows(dataset, source, rule, _periods(dataset, rule, today), rules)
    out = found[(found["opens"] <= today) & ((found["opens"] < today) | (found["known"] <= now) | found["early"])]
    recent = out[today <= out["closes"]]
    if _cadence(dataset) == "monthly":
        if recent.empty:
            later = found[found["opens"] > today].iloc[0]
            return Due(
                (), f"no month is due on {today:%Y-%m-%d}; {later.period:%Y-%m} is from {later.opens:%Y-%m-%d} on"
            )
        if not np.is_busday(today.to_numpy().astype("datetime64[D]"), busdaycal=business_days(rule.calendar)):
            return Due((), _closed(today, rule.calendar))
    elif not (found["day"] == today).any():
        return Due((), _closed(today, rule.calendar))
    elif not (recent["day"] == today).any():
        return Due((), f"the figures of {today:%Y-%m-%d} come out at {rule.local_time} {rule.timezone}")
    months = sorted(set(recent["period"].dt.strftime("%Y-%m")))
    kept = tuple(month for month in months if FIRST_MONTH <= month <= month_of(moment))
    return Due(kept) if kept else Due((), f"{months[0]} has not begun in London: its figures are fetched from then on")


def publication_due(publication: Publication, moment: datetime, rules: pd.DataFrame, scope: Scope) -> Due:
    """Months of a publication that are due; without those for which its sources have no request."""
    found = [due(dataset, source, moment, rules) for dataset, source in publication.tiers]
    months = sorted({month for one in found for month in one.months})
    requested = tuple(month for month in months if _has_requests(publication.sources, month, scope))
    if requested:
        return Due(requested)
    reasons = [f"{', '.join(months)} has no release of its own"] if months else [one.reason for one in found]
    return Due((), f"{publication.title}: {'; '.join(dict.fromkeys(reasons))}")


def everything_due(moment: datetime, rules: pd.DataFrame, scope: Scope) -> Due:
    """The current month, and earlier months with figures that are still due."""
    found = [publication_due(one, moment, rules, scope) for one in PUBLICATIONS.values()]
    return Due(tuple(sorted({month_of(moment), *(month for one in found for month in one.months)})))


def no_build_reason(moment: datetime) -> str:
    """The reason why nothing is built at this moment; empty on days that have an as-of row."""
    today = pd.Timestamp(moment).tz_convert(DECISION_ZONE).tz_localize(None).normalize()
    if is_london_business_day(np.array([today.to_numpy()], dtype="datetime64[D]"))[0]:
        return ""
    return f"{_closed(today, 'LONDON')} and has no as-of row"


def publication_cron(publication: Publication, rules: pd.DataFrame) -> tuple[str, str]:
    """Cron line and time zone of a publication's schedule, from the release calendar."""
    newest = [
        release_rules(dataset, source, rules, entity).iloc[-1]
        for dataset, source in publication.tiers
        for entity in ("", *entities_with_rules(dataset, rules))
    ]
    last = max(newest, key=lambda rule: str(rule.local_time))
    time = _later(str(last.local_time), FETCH_AFTER)
    windows = pd.concat([_sampled(dataset, source, rules) for dataset, source in publication.tiers])
    if any(_cadence(dataset) == "monthly" for dataset in publication.datasets):
        longest = (windows["closes"] - windows["opens"]).max().days
        days = {day for n in range(longest + 1) for day in _within(windows, n)}
        return f"{time} {_ranges(days)} * *", str(last.timezone)
    weekdays = {int(day) for day in (windows["day"].dt.day_of_week + 1) % 7}  # cron counts from Sunday
    return f"{time} * * {'*' if len(weekdays) == 7 else _ranges(weekdays)}", str(last.timezone)


def build_cron() -> tuple[str, str]:
    """Cron line and time zone of the daily build, after the decision time."""
    return f"{_later(DECISION_TIME, BUILD_AFTER)} * * 1-5", DECISION_ZONE


def releases(dataset: str, source: str, rules: pd.DataFrame) -> pd.Series:
    """The moments of a source's releases over the sample years, in order."""
    known = _sampled(dataset, source, rules)["known"]
    return pd.Series(known.drop_duplicates().sort_values()).reset_index(drop=True)


def _windows(dataset: str, source: str, rule: pd.Series, periods: pd.Series, rules: pd.DataFrame) -> pd.DataFrame:
    """Knowledge time of each period, and the days between which it is fetched, in the rule's time zone."""
    known = release_times(periods, dataset, source, rules)["knowledge_ts"]
    day = known.dt.tz_convert(rule.timezone).dt.tz_localize(None).dt.normalize()
    opens = day
    if _cadence(dataset) == "monthly" and rule.status == "ASSUMPTION":
        # No month is known before it has ended.
        opens = (day - pd.Timedelta(days=EARLY_DAYS)).clip(lower=periods + pd.Timedelta(days=1))
    closes = day + pd.Timedelta(days=LATE_DAYS if _cadence(dataset) == "monthly" else LATE_DAYS - 1)
    columns = {"period": periods, "known": known, "day": day, "opens": opens, "closes": closes, "early": opens < day}
    return pd.DataFrame(columns)


def _cadence(dataset: str) -> str:
    return FEEDS[dataset].spec.cadence


def _periods(dataset: str, rule: pd.Series, today: pd.Timestamp) -> pd.Series:
    """Periods that may be released today, with a margin."""
    if _cadence(dataset) == "monthly":
        first = today - pd.DateOffset(months=int(rule.months_after) + 2)
        return pd.Series(pd.date_range(first, today + pd.DateOffset(months=2), freq="ME").normalize())
    around = pd.Timedelta(days=LATE_DAYS + 14)  # more than the longest holiday
    return _observed(pd.Series(pd.date_range(today - around, today + pd.Timedelta(days=2))), rule)


def _sampled(dataset: str, source: str, rules: pd.DataFrame) -> pd.DataFrame:
    # The newest rule alone: an earlier delay, as of a shutdown, is none of a schedule's days.
    newest = release_rules(dataset, source, rules).tail(1)
    rule, rules = newest.iloc[0], newest.assign(valid_from=pd.Timestamp("1990-01-01"))
    periods = pd.Series(pd.date_range(*SAMPLE, freq="ME" if _cadence(dataset) == "monthly" else "D"))
    return _windows(dataset, source, rule, _observed(periods, rule), rules)


def _observed(periods: pd.Series, rule: pd.Series) -> pd.Series:
    """Figures that are released some business days later exist for business days only."""
    if rule.rule != "BUSINESS_DAYS_AFTER":
        return periods
    open_days = np.is_busday(periods.to_numpy().astype("datetime64[D]"), busdaycal=business_days(rule.calendar))
    return periods[open_days].reset_index(drop=True)


def _within(windows: pd.DataFrame, n: int) -> set[int]:
    """Days of the month that are n days into a window."""
    days = windows["opens"] + pd.Timedelta(days=n)
    return {int(day) for day in days[days <= windows["closes"]].dt.day}


def _closed(today: pd.Timestamp, calendar: str) -> str:
    return f"{today:%A %Y-%m-%d} is no working day{PLACES[calendar]}"


def _has_requests(sources: Sequence[str], month: str, scope: Scope) -> bool:
    return not sources or any(SOURCES[name].requests(pd.Period(month, "M"), scope) for name in sources)


def _later(local_time: str, wait: timedelta) -> str:
    """Minute and hour of a cron line, the wait later, at most 23:59."""
    hours, minutes = map(int, local_time.split(":"))
    total = min(hours * 60 + minutes + int(wait.total_seconds() // 60), 24 * 60 - 1)
    return f"{total % 60} {total // 60}"


def _ranges(numbers: Iterable[int]) -> str:
    """Numbers of a cron field: 1-8,25-31."""
    wanted = sorted(set(numbers))
    starts = [n for n in wanted if n - 1 not in wanted]
    ends = [n for n in wanted if n + 1 not in wanted]
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in zip(starts, ends, strict=True))
