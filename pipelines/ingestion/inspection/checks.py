"""Checks of a response. Pure: a response and the previous one in, findings out.

They find a changed unit, a lost column, a truncated or older page. Unusual market moves are no findings.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatch
from typing import Any, Final, Literal

import numpy as np
import pandas as pd

from pipelines.common.calendar import business_days
from pipelines.ingestion.inspection.response import Days, ParsedResponse, level
from pipelines.sources import SOURCES
from pipelines.sources.base import Request, Series, plain
from pipelines.sources.contract import ResponseContract
from schemas.base import columns_of
from schemas.datasets import DATASETS
from schemas.fields import PLAUSIBLE, Plausible

MAX_ROW_SHARE: Final = 1.03  # of the expected days; the lower limit is the contract's `min_row_share`
ROW_TOLERANCE: Final = 2  # days that may be missing, too many or lost in any response
LOST_SHARE: Final = 0.02  # of the days of the previous response
MONTHS_APART: Final = 3  # most months between two monthly figures
MAX_REVISION: Final = 3.0  # highest ratio of new to old values of the same days
MIN_EXPECTED: Final = 20  # expected days from which on too few are an error: a page of early January has few rows
MIN_DAYS: Final = 5  # days from which on a level can be too low: power prices of a few days may be near 0
SHOWN: Final = 12  # columns that a finding names


@dataclass(frozen=True)
class Finding:
    """One problem in a response, or in one `series` of it. What has an error is refused; warnings are only reported."""

    severity: Literal["error", "warning"]
    text: str
    series: Series | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", plain(self.text))


def inspect(
    response: ParsedResponse, previous: ParsedResponse | None = None, *, same_request: bool = True
) -> list[Finding]:
    """Problems of a response, errors first.

    `previous` is the last accepted response to the same request or, with `same_request=False`, to the request for the
    previous period.
    """
    if response.is_empty:
        found = _check_empty(response, previous if same_request else None)
    else:
        error = response.error
        found = [Finding("error", f"{error.problem}; expected {error.expected}")] if error else []
        found += [*_check_columns(response, previous), *_check_unreadable(response), *_check_calendar(response)]
        found += [*_check_refused(response), *_check_plausible(response)]
        if previous and same_request:
            found += [*_check_lost(response, previous), *_check_revised(response, previous)]
        elif previous:
            found += _check_moved(response, previous)
    return sorted(found, key=lambda finding: finding.severity)


# --- columns


def _check_columns(response: ParsedResponse, previous: ParsedResponse | None) -> Iterable[Finding]:
    """Missing and new columns, and columns of another type. The type of a blank column is empty and fits any."""
    shape, fields = response.shape, response.contract.fields
    if not shape:
        return
    required: set[str] = set()
    for pattern, expected in fields.items():
        names = [name for name in shape if fnmatch(name.lower(), pattern.lower())]
        required.update(names)
        if not names:
            there = ", ".join(list(shape)[:SHOWN]) + (", …" if len(shape) > SHOWN else "")
            yield Finding("error", f"column {pattern!r} is missing (found: {there})")
        for name in names:
            if shape[name] not in ("", expected):
                yield Finding("error", f"column {name!r} changed from {expected} to {shape[name]}")
    if previous is None or not previous.shape:
        return
    for name in sorted({*shape, *previous.shape} - required):
        if name not in previous.shape:
            yield Finding("warning", f"column {name!r} is new")
        elif name not in shape and not any(fnmatch(name.lower(), pattern.lower()) for pattern in fields):
            yield Finding("warning", f"column {name!r} is missing")


# --- rows


def _check_refused(response: ParsedResponse) -> Iterable[Finding]:
    for series, reason in response.refused.items():
        yield Finding("error", reason, series)


def _first_day(request: Request, contract: ResponseContract) -> np.datetime64:
    """First day of the requested period that can have data."""
    since = np.datetime64(contract.since.get(request.entity, "1900-01-01"), "D")
    return max(np.datetime64(pd.Period(request.period).start_time.date(), "D"), since)


def check_absence(request: Request, previous: ParsedResponse | None, now: datetime) -> list[Finding]:
    """Problems of the statement that a publisher has no data: it had some before, or the period is over."""
    if previous and previous.row_count:
        return [Finding("error", f"expected the {previous.row_count} rows of the previous response")]
    contract, unit = SOURCES[request.source].CONTRACT, "business days"
    if contract.calendar is None or not request.period:
        return []
    period = pd.Period(request.period)
    start = _first_day(request, contract)
    end = np.datetime64(min(now.date(), period.end_time.date()), "D") + 1
    if contract.calendar == "DAYS":
        days, unit = int((end - start).astype(int)), "days"
    else:
        days = int(np.busday_count(start, end, busdaycal=business_days(contract.calendar)))
    if days <= contract.gap:
        return []
    return [Finding("warning", f"there is no data, although {days} {unit} are over from {start} to {end - 1}")]


def _check_empty(response: ParsedResponse, previous: ParsedResponse | None) -> list[Finding]:
    if previous and previous.row_count:
        return [Finding("error", f"the response is empty; the previous one has {previous.row_count} rows")]
    if not response.request.period and not response.is_stated_absence:
        return [Finding("error", "the response is empty; expected the whole history")]
    return []


def _check_unreadable(response: ParsedResponse) -> Iterable[Finding]:
    bad, good = response.rejected, response.row_count
    if len(bad) > MIN_DAYS and len(bad) > good:
        yield Finding("error", f"{len(bad)} of {len(bad) + good} rows cannot be read, the first: {bad[0]}")


def _check_calendar(response: ParsedResponse) -> Iterable[Finding]:
    """Too few or too many days, gaps, and an old newest day; by series, across datasets."""
    by_series: dict[tuple[bool, Series], list[Days]] = {}
    for (name, series), days in response.days.items():
        by_series.setdefault((DATASETS[name].cadence == "monthly", series), []).append(days)
    for (monthly, series), parts in by_series.items():
        if monthly or response.contract.calendar:
            days = parts[0] if len(parts) == 1 else np.unique(np.concatenate(parts))
            yield from _check_days(response, days, series, monthly=monthly)


def _check_days(response: ParsedResponse, days: Days, series: Series, *, monthly: bool) -> Iterable[Finding]:
    contract = response.contract
    unit = "months" if monthly else "days" if contract.calendar == "DAYS" else "business days"

    def number(day: Any) -> Any:
        """Position of days in the calendar: successive days differ by one."""
        if monthly:
            return np.asarray(day).astype("datetime64[M]").astype(int)
        if contract.calendar == "DAYS":
            return np.asarray(day).astype("datetime64[D]").astype(int)
        assert contract.calendar is not None
        return np.busday_count(np.datetime64("1990-01-01"), day, busdaycal=business_days(contract.calendar))

    label = f"{' '.join(series)}: " if series else ""
    period, first, newest = response.request.period, days[0], days[-1]
    if monthly and period:
        return  # one month was requested and returned
    captured = np.datetime64(response.payloads[0].captured_at.date(), "D")
    start, end = first, captured
    if period:
        requested = pd.Period(period)
        start = _first_day(response.request, contract)
        end = min(end, np.datetime64(requested.end_time.date(), "D"))
    positions = number(days)
    expected = int(number(newest) - number(start)) + 1
    low = math.floor(contract.min_row_share * expected) - ROW_TOLERANCE
    high = math.ceil(MAX_ROW_SHARE * expected) + ROW_TOLERANCE
    if not low <= len(days) <= high and (expected > MIN_EXPECTED or len(days) > high):
        severity: Literal["error", "warning"] = "warning" if contract.in_parts and len(days) < low else "error"
        yield Finding(
            severity, f"{label}{len(days)} {unit}, {max(low, 1)} to {high} are usual from {start} to {newest}", series
        )
    widest = int(np.argmax(np.diff(positions))) if len(days) > 1 else None
    limit = MONTHS_APART if monthly else contract.gap
    if widest is not None and (apart := int(positions[widest + 1] - positions[widest])) > limit:
        between = f"{days[widest]} and {days[widest + 1]}"
        text = f"{label}nothing between {between}: {apart} {unit} apart, {limit} are usual at most"
        yield Finding("error", text, series)
    age, limit = int(number(end) - number(newest)), MONTHS_APART if monthly else contract.age
    if age > limit:
        until = "old" if end == captured else f"before the end of {period}"
        yield Finding("warning", f"{label}newest day {newest} is {age} {unit} {until}")


def _check_lost(response: ParsedResponse, previous: ParsedResponse) -> Iterable[Finding]:
    """Days of the previous response that are missing. Disjoint parts of a recording do not replace each other."""
    for (name, series), before in previous.days.items():
        now = response.days.get((name, series), np.array([], dtype="datetime64[D]"))
        lost = np.setdiff1d(before, now, assume_unique=True)
        if response.contract.in_parts and len(lost) == len(before) and response.days:
            continue
        label = " ".join((name, *series))
        if len(lost) > max(ROW_TOLERANCE, LOST_SHARE * len(before)):
            yield Finding(
                "error",
                f"{label}: {len(lost)} of {len(before)} days of the previous response are missing, first {lost[0]}",
                series,
            )
        elif len(now) and now[-1] < before[-1]:
            yield Finding(
                "error",
                f"{label}: an older page, newest day {now[-1]}; the previous response ends on {before[-1]}",
                series,
            )


# --- values


def _check_plausible(response: ParsedResponse) -> Iterable[Finding]:
    for name, series, label, rows, column, limits in _limited_columns(response):
        values = rows[column].to_numpy(dtype=float)
        value = level(values)
        if math.isnan(value) or limits.low <= value <= limits.high:
            continue
        if value < limits.low and rows[DATASETS[name].period].nunique() < MIN_DAYS:
            continue
        given = f"{np.nanmin(values):,.6g} and {np.nanmax(values):,.6g}"
        band = f"{limits.low:,.6g} to {limits.high:,.6g} {columns_of(DATASETS[name].model)[column]['unit']}"
        yield Finding("error", f"{label}{column} between {given}, {band} is plausible: has the unit changed?", series)


def _check_moved(response: ParsedResponse, previous: ParsedResponse) -> Iterable[Finding]:
    """Levels that cannot change so much from one period to the next. A few days are not compared: power prices
    near 0 on a holiday would look like a change of unit."""
    for (name, column, series), now in response.levels.items():
        if DATASETS[name].cadence != "monthly" and len(response.days[name, series]) < MIN_DAYS:
            continue
        before = previous.levels.get((name, column, series), math.nan)
        most = PLAUSIBLE[column].moves
        if before > 0 and now > 0 and not 1 / most <= now / before <= most:
            label = " ".join((column, *series))
            change = f"{label} is about {now:,.6g}, {before:,.6g} in the previous response"
            yield Finding("error", f"{change}: has the unit changed?", series)


def _check_revised(response: ParsedResponse, previous: ParsedResponse) -> Iterable[Finding]:
    """Columns whose values of the same days all changed by one factor."""
    for name, series, label, rows, column, limits in _limited_columns(response):
        if limits.rewritten or name not in previous.frames:
            continue
        key = list(DATASETS[name].key)
        both = rows[[*key, column]].merge(previous.frames[name][[*key, column]], on=key, suffixes=("", "_before"))
        both = both[(both[column] != 0) & (both[f"{column}_before"] != 0)].dropna()
        ratio = float((both[column] / both[f"{column}_before"]).median()) if len(both) else 1.0
        # A month's exports are first published in part: one figure may be revised by more than a history ever is.
        most = MAX_REVISION if len(both) >= MIN_DAYS else limits.moves
        if not 1 / most <= ratio <= most:
            times = f"{ratio:.4g} times what it was on the same {len(both)} rows"
            yield Finding("error", f"{label}{column} is {times}: has the unit changed?", series)


def _limited_columns(
    response: ParsedResponse,
) -> Iterable[tuple[str, Series, str, pd.DataFrame, str, Plausible]]:
    """Dataset, series, label, rows, column and limits of each series; the label is empty where there is one series."""
    is_one = len({series for _, series, _ in response.series}) == 1
    for name, series, rows in response.series:
        for column, limits in PLAUSIBLE.items():
            if column in rows:
                yield name, series, "" if is_one else f"{' '.join(series)}: ", rows, column, limits
