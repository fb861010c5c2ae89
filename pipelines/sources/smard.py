"""SMARD (Bundesnetzagentur): day-ahead prices by bidding zone; one JSON response per zone, week and resolution."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import pandas as pd

from pipelines.sources.base import Access, Parsed, Payload, Rejected, Request, Scope, SourceError, Zone
from pipelines.sources.contract import ResponseContract
from pipelines.sources.parsing import json_number, json_object, json_shape, requested
from pipelines.sources.power_days import DeliveryDay, bounds, month_days, power_frame, stamp
from pipelines.sources.protocol import Source

FIRST_DAY: Final = dt.date(2018, 10, 1)  # earlier prices are of the zone Germany, Austria and Luxembourg
# Quarter-hourly files exist for earlier days too, but there they only repeat the hourly price.
QUARTER_HOURS_FROM: Final = dt.date(2025, 10, 1)
STEPS: Final = {"hour": 3600, "quarterhour": 900}
SERIES: Final = {"DE-LU": 4169}  # the publisher's number of a zone's price
EXPECTED: Final = "JSON with series[]: [milliseconds, price or null] of the requested week"
_NAME: Final = re.compile(r"_(hour|quarterhour)_(\d+)000\.json$")


@dataclass(frozen=True)
class _File:
    """One weekly file: its resolution and its days."""

    resolution: str
    days: tuple[dt.date, ...]  # Monday to Sunday

    @property
    def read(self) -> list[dt.date]:
        """The days whose market time unit is this resolution; only these are read from the file."""
        quarters = self.resolution == "quarterhour"
        return [day for day in self.days if day >= FIRST_DAY and (day >= QUARTER_HOURS_FROM) == quarters]


class Smard:
    """Prices of the same auction as Energy-Charts and for its zones: used where Energy-Charts has none."""

    NAME = "smard"
    TITLE = "SMARD: day-ahead prices"
    LICENCE = "OPEN"
    DATASETS: tuple[str, ...] = ("power",)
    ACCESS = Access(("www.smard.de",), per_second=2, absent=(404,))  # a week that has not begun has no file
    CONTRACT = ResponseContract(json_shape, {"series": "number"})  # no calendar: the current week is incomplete

    def requests(self, month: pd.Period, scope: Scope) -> Sequence[Request]:
        """The files with days of the month, four to seven per zone; none before October 2018.

        A week begins on Monday 00:00 local time, and the file name holds that instant. The period of a file is the
        month of its Sunday, by which it is complete.
        """
        first, last = month_days(str(month))
        return [
            Request(
                source=self.NAME,
                name=(
                    name := f"{series}_{zone.zone}_{file.resolution}_{bounds(zone.timezone, file.days[0])[0]}000.json"
                ),
                url=f"https://www.smard.de/app/chart_data/{series}/{zone.zone}/{name}",
                entity=zone.zone,
                period=f"{file.days[-1]:%Y-%m}",
            )
            for zone in scope.zones_in(month, "energy_charts")
            if (series := SERIES.get(zone.zone))
            for file in _files(first, last)
        ]

    def parse(self, payload: Payload, scope: Scope) -> Parsed:
        """Complete local days of the requested week, EUR/MWh by position, at the resolution of their market.

        A null or missing value after the last price is not published yet, and its day is left out; one before it, or
        two values for one time, rejects its day. Raises SourceError when the response is no such JSON, has no other
        day than such ones, or is for another week, resolution or an unknown zone.
        """
        zone = requested(payload.request, "zone", scope.zones, lambda zone: zone.zone)
        file = _requested_file(payload.request, zone)
        step = STEPS[file.resolution]
        starts = {day: range(*bounds(zone.timezone, day), step) for day in file.days}
        points, conflicts = _points(payload, file, starts)
        published = max((seconds for seconds, price in points.items() if price is not None), default=0)
        days: list[DeliveryDay] = []
        rejected: list[Rejected] = []
        for day in file.read:
            if starts[day][-1] > published:
                continue
            if conflict := next((seconds for seconds in conflicts if seconds in starts[day]), None):
                reason = f"price_eur_mwh: {conflicts[conflict]}; the day is left out"
                rejected.append(Rejected("power", f"{stamp(conflict)} of {zone.zone}", conflicts[conflict], reason))
                continue
            prices: dict[int, float] = {}
            for position, seconds in enumerate(starts[day], start=1):
                try:
                    prices[position] = json_number(points.get(seconds))
                except ValueError as error:
                    where, raw = f"{stamp(seconds)} of {zone.zone}", json.dumps(points.get(seconds))
                    reason = f"price_eur_mwh: {error}; it would read as a repeat, so the day is left out"
                    rejected.append(Rejected("power", where, raw, reason))
            if len(prices) == len(starts[day]):
                days.append(DeliveryDay(day, step, prices))
        if conflicts and not days:
            raise SourceError(payload.request, next(iter(conflicts.values())), EXPECTED)
        return Parsed({"power": power_frame(zone.zone, zone.timezone, days)}, rejected)


def _points(payload: Payload, file: _File, starts: dict[dt.date, range]) -> tuple[dict[int, object], dict[int, str]]:
    """Prices and contradictions by unix seconds, which must be starts of the week's market time units."""
    request, series = payload.request, json_object(payload, EXPECTED).get("series")
    if not isinstance(series, list) or not all(map(_is_point, series)):
        raise SourceError(request, "series is no list of pairs [milliseconds, price]", EXPECTED)
    points: dict[int, object] = {}
    conflicts: dict[int, str] = {}
    for milliseconds, price in series:
        seconds = milliseconds // 1000
        if milliseconds % 1000 or not any(seconds in times for times in starts.values()):
            problem = f"{stamp(seconds)} is no {file.resolution} of the week of {file.days[0]}"
            raise SourceError(request, problem, EXPECTED)
        if points.setdefault(seconds, price) != price:
            conflicts[seconds] = f"{stamp(seconds)} has both {points[seconds]} and {price}"
    return points, conflicts


def _files(first: dt.date, last: dt.date) -> list[_File]:
    """The weekly files that hold the days from `first` to `last`."""
    mondays = pd.date_range(first - dt.timedelta(days=first.weekday()), last, freq="7D")
    weeks = [tuple(monday.date() + dt.timedelta(days=n) for n in range(7)) for monday in mondays]
    files = [_File(resolution, week) for week in weeks for resolution in STEPS]
    return [file for file in files if any(first <= day <= last for day in file.read)]


def _requested_file(request: Request, zone: Zone) -> _File:
    """The file that a request is about, by its name. Raises SourceError for a name that `requests` does not make."""
    if match := _NAME.search(request.name):
        start = pd.Timestamp(int(match[2]), unit="s", tz=zone.timezone)
        if start == start.normalize() and start.day_of_week == 0:
            return _File(match[1], tuple(start.date() + dt.timedelta(days=n) for n in range(7)))
    raise SourceError(request, "the name contains no week", "a name that ends in _hour_ or _quarterhour_ and a Monday")


def _is_point(point: object) -> bool:
    return isinstance(point, list) and len(point) == 2 and isinstance(point[0], int) and not isinstance(point[0], bool)


SOURCE: Final[Source] = Smard()
