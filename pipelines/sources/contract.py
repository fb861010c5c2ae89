"""What a source's answer usually looks like, and what is unusual in one, before anything of it is kept.

Pure: an answer, the one before it and the source's contract in, findings out. Limits are wide on purpose: an answer is
refused when it cannot be what was asked, never because the market moved. Single bad rows are none of its business: the
parser and the schema put those aside.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from fnmatch import fnmatch
from functools import cached_property
from typing import Any, Final, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipelines.common.calendar import Calendar, business_days
from pipelines.sources.base import NoData, Parsed, Payload, Request, SourceError, plain
from schemas.base import columns_of
from schemas.datasets import DATASETS
from schemas.fields import PLAUSIBLE, Plausible

Days = NDArray[np.datetime64]
Series = tuple[str, ...]  # what tells the series of a dataset apart: a metal, a zone, a metal and a country

MIN_ROW_SHARE, MAX_ROW_SHARE, ROW_TOLERANCE = (
    0.95,
    1.03,
    2,
)  # share of the expected days that an answer holds, and how many do not matter
LOST = 0.02  # share of the days that were there before and may be gone; `SOME` may always
MONTHS_APART: Final = 3  # of two monthly figures that follow each other
REVISED: Final = 3.0  # times as much for the same days is no revision
COUNTED: Final = 20  # expected days from which on they are counted: early in January two rows are a page
ENOUGH: Final = 5  # days from which on a level can be too low: at night and on a windy Sunday power costs nothing
SHOWN: Final = 12  # columns that a finding names


@dataclass(frozen=True)
class ResponseContract:
    """What a source's answer holds. A daily answer is held against its calendar: how many days, how far apart, how old.

    `fields` are the columns without which it says nothing, as patterns (`*Cash-Settlement`), and their kind; others may
    come and go, which is only reported.
    """

    shape: Callable[[Payload], Mapping[str, str]]  # column or field to its kind: number, date, text …
    fields: Mapping[str, str] = field(default_factory=dict)
    calendar: Calendar | Literal["DAYS"] | None = None  # on which days there is a row; None: nothing is expected
    since: str = ""  # the first day that there is at all
    gap: int = 10  # days of the calendar from one row to the next
    age: int = 5  # days of the calendar from the newest row to now, or to the end of the period asked
    min_row_share: float = MIN_ROW_SHARE
    in_parts: bool = False  # recordings hold parts of what is asked: too few days are only reported


@dataclass(frozen=True)
class Finding:
    """One thing that is unusual. An answer with an error is refused, one with warnings is taken and they are told."""

    severity: Literal["error", "warning"]
    text: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", plain(self.text))


@dataclass(frozen=True)
class ParsedResponse:
    """One answer, whole or in parts that came together: its shape and what was read from it, or why nothing could."""

    request: Request
    moment: datetime
    shape: Mapping[str, str]
    parsed: Sequence[Parsed]
    error: SourceError | None = None

    @cached_property
    def frames(self) -> dict[str, pd.DataFrame]:
        """The rows by dataset."""
        names = dict.fromkeys(name for parsed in self.parsed for name, frame in parsed.frames.items() if len(frame))
        parts = {n: [p.frames[n] for p in self.parsed if n in p.frames and len(p.frames[n])] for n in names}
        return {name: own[0] if len(own) == 1 else pd.concat(own) for name, own in parts.items()}

    @cached_property
    def series(self) -> list[tuple[str, Series, pd.DataFrame]]:
        """The rows by dataset and series."""
        return [(name, series, own) for name, rows in self.frames.items() for series, own in _by_series(name, rows)]

    @cached_property
    def days(self) -> dict[tuple[str, Series], Days]:
        """The days or month-ends with a row, by dataset and series, ascending."""
        return {
            (name, series): np.unique(own[DATASETS[name].period].to_numpy().astype("datetime64[D]"))
            for name, series, own in self.series
        }

    @cached_property
    def levels(self) -> dict[tuple[str, str, Series], float]:
        """The level of each column that has limits, by dataset, column and series."""
        return {
            (name, column, series): _level(own[column].to_numpy(dtype=float))
            for name, series, own in self.series
            for column in PLAUSIBLE
            if column in own
        }

    @property
    def rejected(self) -> list[str]:
        """Why rows could not be read."""
        return [bad.reason for parsed in self.parsed for bad in parsed.rejected]

    @property
    def is_empty(self) -> bool:
        """Whether it holds nothing, good or bad, which is an answer."""
        return not self.error and not self.frames and not self.rejected


def inspect(
    contract: ResponseContract, payloads: Sequence[Payload], parse: Callable[[Payload], Parsed]
) -> ParsedResponse:
    """Payloads of one request that came together as an answer; what cannot be read is in its `error`."""
    shape: dict[str, str] = {}
    parsed: list[Parsed] = []
    error = None
    for payload in payloads:
        with suppress(Exception):  # the parser says it better
            shape |= contract.shape(payload)
        try:
            parsed.append(parse(payload))
        except NoData:
            pass
        except SourceError as problem:
            error = error or problem
        except Exception as fault:  # a parser that an answer brings down must not bring the other answers down
            said = f"its parser failed ({type(fault).__name__}: {fault}), which is a fault of this program"
            error = error or SourceError(payload.request, said, "an answer that can be read, or is refused")
    return ParsedResponse(payloads[0].request, payloads[0].captured_at, shape, parsed, error)


def examine(
    contract: ResponseContract, answer: ParsedResponse, before: ParsedResponse | None = None, *, same: bool = True
) -> list[Finding]:
    """What is unusual in an answer, errors first.

    `before` is the last good answer to the same question, or (`same=False`) to the one about the period before.
    """
    if answer.is_empty:
        found = _empty(answer, before if same else None)
    else:
        error = answer.error
        found = [Finding("error", f"{error.problem}; expected {error.expected}")] if error else []
        found += [*_columns(contract, answer, before), *_unreadable(answer), *_calendar(contract, answer)]
        found += _plausible(answer)
        if before:
            found += [*_lost(contract, answer, before), *_revised(answer, before)] if same else _moved(answer, before)
    return sorted(found, key=lambda finding: finding.severity)


# --- columns


def _columns(contract: ResponseContract, answer: ParsedResponse, before: ParsedResponse | None) -> Iterable[Finding]:
    """Columns that are gone, new or of another kind. A kind that is empty says that all cells are blank."""
    if not answer.shape:
        return
    needed: set[str] = set()
    for pattern, kind in contract.fields.items():
        names = [name for name in answer.shape if fnmatch(name.lower(), pattern.lower())]
        needed.update(names)
        if not names:
            there = ", ".join(list(answer.shape)[:SHOWN]) + (", …" if len(answer.shape) > SHOWN else "")
            yield Finding("error", f"column {pattern!r} is gone (there are: {there})")
        for name in names:
            if answer.shape[name] not in ("", kind):
                yield Finding("error", f"column {name!r} changed from {kind} to {answer.shape[name]}")
    if before is None or not before.shape:
        return
    for name in sorted({*answer.shape, *before.shape} - needed):
        if name not in before.shape:
            yield Finding("warning", f"column {name!r} is new")
        elif name not in answer.shape and not any(fnmatch(name.lower(), field.lower()) for field in contract.fields):
            yield Finding("warning", f"column {name!r} is gone")


# --- rows


def _unreadable(answer: ParsedResponse) -> Iterable[Finding]:
    bad, good = answer.rejected, sum(map(len, answer.frames.values()))
    if len(bad) > ENOUGH and len(bad) > good:
        yield Finding("error", f"{len(bad)} of {len(bad) + good} rows cannot be read, the first: {bad[0]}")


def _calendar(contract: ResponseContract, answer: ParsedResponse) -> Iterable[Finding]:
    """Too few or too many days, holes, and a newest day that is old; by series, whichever dataset has the row."""
    together: dict[tuple[bool, Series], list[Days]] = {}
    for (name, series), days in answer.days.items():
        together.setdefault((DATASETS[name].cadence == "monthly", series), []).append(days)
    for (monthly, series), parts in together.items():
        if monthly or contract.calendar:
            days = parts[0] if len(parts) == 1 else np.unique(np.concatenate(parts))
            yield from _held_against(contract, answer, days, " ".join(series), monthly=monthly)


def _held_against(
    contract: ResponseContract, answer: ParsedResponse, days: Days, who: str, *, monthly: bool
) -> Iterable[Finding]:
    unit = "months" if monthly else "days" if contract.calendar == "DAYS" else "business days"

    def number(day: Any) -> Any:
        """The place of days in the calendar, so that neighbours differ by one."""
        if monthly:
            return np.asarray(day).astype("datetime64[M]").astype(int)
        if contract.calendar == "DAYS":
            return np.asarray(day).astype("datetime64[D]").astype(int)
        assert contract.calendar is not None
        return np.busday_count(np.datetime64("1990-01-01"), day, busdaycal=business_days(contract.calendar))

    who = f"{who}: " if who else ""
    period, first, newest = answer.request.period, days[0], days[-1]
    if monthly and period:
        return  # one month is asked and there
    start, end = first, np.datetime64(answer.moment.date(), "D")
    if period:
        asked = pd.Period(period)
        start = max(np.datetime64(asked.start_time.date(), "D"), np.datetime64(contract.since or "1900-01-01", "D"))
        end = min(end, np.datetime64(asked.end_time.date(), "D"))
    places = number(days)
    expected = int(number(newest) - number(start)) + 1
    low, high = (
        math.floor(contract.min_row_share * expected) - ROW_TOLERANCE,
        math.ceil(MAX_ROW_SHARE * expected) + ROW_TOLERANCE,
    )
    if not low <= len(days) <= high and (expected > COUNTED or len(days) > high):
        where = f"from {start} to {newest}"
        severity: Literal["error", "warning"] = "warning" if contract.in_parts and len(days) < low else "error"
        yield Finding(severity, f"{who}{len(days)} {unit}, {max(low, 1)} to {high} are usual {where}")
    widest = int(np.argmax(np.diff(places))) if len(days) > 1 else None
    limit = MONTHS_APART if monthly else contract.gap
    if widest is not None and (apart := int(places[widest + 1] - places[widest])) > limit:
        between = f"{days[widest]} and {days[widest + 1]}"
        yield Finding("error", f"{who}nothing between {between}: {apart} {unit} apart, {limit} are usual at most")
    age, limit = int(number(end) - number(newest)), MONTHS_APART if monthly else contract.age
    if age > limit:
        until = "old" if end == np.datetime64(answer.moment.date(), "D") else f"before the end of {period}"
        yield Finding("warning", f"{who}newest day {newest} is {age} {unit} {until}")


# --- values


def _plausible(answer: ParsedResponse) -> Iterable[Finding]:
    for name, rows, column, limits in _levels(answer):
        values = rows[column].to_numpy(dtype=float)
        level = _level(values)
        if math.isnan(level) or limits.low <= level <= limits.high:
            continue
        if level < limits.low and rows[DATASETS[name].period].nunique() < ENOUGH:
            continue
        said = f"{np.nanmin(values):,.6g} and {np.nanmax(values):,.6g}"
        band = f"{limits.low:,.6g} to {limits.high:,.6g} {columns_of(DATASETS[name].model)[column]['unit']}"
        yield Finding("error", f"{column} between {said}, {band} is plausible: has the unit changed?")


def _moved(answer: ParsedResponse, before: ParsedResponse) -> Iterable[Finding]:
    """Levels that cannot have changed so much from one period to the next. A day or two have none: on New Year's Day
    power costs next to nothing."""
    for (name, column, series), now in answer.levels.items():
        if DATASETS[name].cadence != "monthly" and len(answer.days[name, series]) < ENOUGH:
            continue
        then = before.levels.get((name, column, series), math.nan)
        if then > 0 and now > 0 and not 1 / PLAUSIBLE[column].moves <= now / then <= PLAUSIBLE[column].moves:
            who = " ".join((column, *series))
            yield Finding(
                "error", f"{who} is about {now:,.6g}, {then:,.6g} in the answer before: has the unit changed?"
            )


def _revised(answer: ParsedResponse, before: ParsedResponse) -> Iterable[Finding]:
    """Values of the same days that are all times what they were."""
    for name, rows, column, limits in _levels(answer):
        if limits.rewritten or name not in before.frames:
            continue
        key = list(DATASETS[name].key)
        both = rows[[*key, column]].merge(before.frames[name][[*key, column]], on=key, suffixes=("", "_before"))
        both = both[(both[column] != 0) & (both[f"{column}_before"] != 0)].dropna()
        ratio = float((both[column] / both[f"{column}_before"]).median()) if len(both) else 1.0
        # A month's exports are first told in part: one figure may be revised by more than a history ever is.
        most = REVISED if len(both) >= ENOUGH else limits.moves
        if not 1 / most <= ratio <= most:
            text = f"{column} is {ratio:.4g} times what it was on the same {len(both)} rows: has the unit changed?"
            yield Finding("error", text)


def _lost(contract: ResponseContract, answer: ParsedResponse, before: ParsedResponse) -> Iterable[Finding]:
    """Days that were there before. Parts of a recording that have no day in common are not versions of each other."""
    for (name, series), then in before.days.items():
        now = answer.days.get((name, series), np.array([], dtype="datetime64[D]"))
        lost = np.setdiff1d(then, now, assume_unique=True)
        if contract.in_parts and len(lost) == len(then) and answer.days:
            continue
        who = " ".join((name, *series))
        if len(lost) > max(ROW_TOLERANCE, LOST * len(then)):
            yield Finding("error", f"{who}: {len(lost)} of {len(then)} days that were there are gone, first {lost[0]}")
        elif len(now) and now[-1] < then[-1]:
            yield Finding("error", f"{who}: an older page, newest day {now[-1]}; {then[-1]} was there before")


def _empty(answer: ParsedResponse, before: ParsedResponse | None) -> list[Finding]:
    if before and (rows := sum(map(len, before.frames.values()))):
        return [Finding("error", f"the answer is empty; {rows} rows were there before")]
    whole = not answer.request.period
    return [Finding("error", "the answer is empty, and is to hold everything that there is")] if whole else []


def _levels(answer: ParsedResponse) -> Iterable[tuple[str, pd.DataFrame, str, Plausible]]:
    for name, rows in answer.frames.items():
        for column, limits in PLAUSIBLE.items():
            if column in rows:
                yield name, rows, column, limits


def _level(values: NDArray[np.float64]) -> float:
    there = np.abs(values[~np.isnan(values)])
    return float(np.percentile(there, 90)) if len(there) else math.nan


def _by_series(name: str, rows: pd.DataFrame) -> Iterable[tuple[Series, pd.DataFrame]]:
    columns = list(DATASETS[name].series)
    first = tuple(str(rows[column].iloc[0]) for column in columns)
    # Most answers are about one series, and a comparison is much cheaper than grouping.
    if all((rows[column] == rows[column].iloc[0]).all() for column in columns):
        return [(first, rows)]
    return [(tuple(map(str, series)), own) for series, own in rows.groupby(columns, sort=False)]
