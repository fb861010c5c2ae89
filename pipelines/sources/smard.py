"""SMARD (Bundesnetzagentur): day-ahead prices by bidding zone; one JSON answer a zone, week and resolution."""

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
from pipelines.sources.parsing import json_number, json_object, json_shape
from pipelines.sources.power_days import DeliveryDay, bounds, month_days, power_frame, stamp
from pipelines.sources.protocol import Source

FIRST_DAY: Final = dt.date(2018, 10, 1)  # before it the zone was Germany, Austria and Luxembourg: another series
# The quarter-hourly files go back further, but before this delivery day they only repeat the hour's price.
QUARTER_HOURS_FROM: Final = dt.date(2025, 10, 1)
STEPS: Final = {"hour": 3600, "quarterhour": 900}
SERIES: Final = {"DE-LU": 4169}  # the publisher's number of a zone's price
EXPECTED: Final = "JSON with series[]: [milliseconds, price or null] of the asked week"
_NAME: Final = re.compile(r"_(hour|quarterhour)_(\d+)000\.json$")


@dataclass(frozen=True)
class _File:
    """One weekly file: its resolution, and the days of the week that are read from it."""

    resolution: str
    days: tuple[dt.date, ...]  # Monday to Sunday

    @property
    def read(self) -> list[dt.date]:
        """The days whose market time unit is this resolution."""
        quarters = self.resolution == "quarterhour"
        return [day for day in self.days if day >= FIRST_DAY and (day >= QUARTER_HOURS_FROM) == quarters]


class Smard:
    """The auction's prices once more, for zones that Energy-Charts serves: it stands in where that one is silent."""

    NAME = "smard"
    TITLE = "SMARD: day-ahead prices"
    LICENCE = "OPEN"
    DATASETS: tuple[str, ...] = ("power",)
    ACCESS = Access(("www.smard.de",), per_second=2, absent=(404,))  # a week that has not begun has no file
    CONTRACT = ResponseContract(
        json_shape, {"series": "number"}
    )  # a file is a week, whole or not yet: no days are expected

    def requests(self, month: pd.Period, scope: Scope) -> Sequence[Request]:
        """The files that hold days of the month, four to seven a zone; none before October 2018.

        Weeks begin on Monday 00:00 local, whose instant is in the file's name. A file's period is the month of its
        Sunday: by then all of it is out.
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
            for zone in scope.zones
            if zone.source == "energy_charts" and (series := SERIES.get(zone.zone))
            for file in _files(first, last)
        ]

    def parse(self, payload: Payload, scope: Scope) -> Parsed:
        """The whole local days of the asked week, EUR/MWh by position, at the resolution of their market.

        A null, or no value, after the last price is not published yet: its day is left out. One before it rejects its
        day. Raises SourceError when the answer is no such JSON, or is for another week, resolution or an unknown zone.
        """
        request = payload.request
        answer = json_object(payload, EXPECTED).get("series")
        zone, file = _asked(request, scope)
        if not isinstance(answer, list) or not all(map(_is_point, answer)):
            raise SourceError(request, "series is no list of pairs [milliseconds, price]", EXPECTED)
        step = STEPS[file.resolution]
        grid = {day: range(*bounds(zone.timezone, day), step) for day in file.days}
        points: dict[int, object] = {}
        for milliseconds, price in answer:
            seconds = milliseconds // 1000
            if milliseconds % 1000 or not any(seconds in times for times in grid.values()):
                problem = f"{stamp(seconds)} is no {file.resolution} of the week of {file.days[0]}"
                raise SourceError(request, problem, EXPECTED)
            if points.setdefault(seconds, price) != price:
                raise SourceError(request, f"{stamp(seconds)} has both {points[seconds]} and {price}", EXPECTED)
        published = max((seconds for seconds, price in points.items() if price is not None), default=0)
        days: list[DeliveryDay] = []
        rejected: list[Rejected] = []
        for day in file.read:
            if grid[day][-1] > published:
                continue
            prices: dict[int, float] = {}
            for position, seconds in enumerate(grid[day], start=1):
                try:
                    prices[position] = json_number(points.get(seconds))
                except ValueError as error:
                    where, raw = f"{stamp(seconds)} of {zone.zone}", json.dumps(points.get(seconds))
                    reason = f"price_eur_mwh: {error}; it would read as a repeat, so the day is left out"
                    rejected.append(Rejected("power", where, raw, reason))
            if len(prices) == len(grid[day]):
                days.append(DeliveryDay(day, step, prices))
        return Parsed({"power": power_frame(zone.zone, zone.timezone, days)}, rejected)


def _files(first: dt.date, last: dt.date) -> list[_File]:
    """The weekly files from which the days from `first` to `last` are read."""
    mondays = pd.date_range(first - dt.timedelta(days=first.weekday()), last, freq="7D")
    weeks = [tuple(monday.date() + dt.timedelta(days=n) for n in range(7)) for monday in mondays]
    files = [_File(resolution, week) for week in weeks for resolution in STEPS]
    return [file for file in files if any(first <= day <= last for day in file.read)]


def _asked(request: Request, scope: Scope) -> tuple[Zone, _File]:
    """The zone and the file that a request is about; SourceError for others than `requests` makes."""
    try:
        zone = scope.zone(request.entity)
    except KeyError:
        known = ", ".join(zone.zone for zone in scope.zones) or "none"
        raise SourceError(request, f"zone {request.entity!r} is not known", f"one of {known}") from None
    if match := _NAME.search(request.name):
        start = pd.Timestamp(int(match[2]), unit="s", tz=zone.timezone)
        if start == start.normalize() and start.day_of_week == 0:
            return zone, _File(match[1], tuple(start.date() + dt.timedelta(days=n) for n in range(7)))
    raise SourceError(request, "the name says no week", "a name that ends in _hour_ or _quarterhour_ and a Monday")


def _is_point(point: object) -> bool:
    return isinstance(point, list) and len(point) == 2 and isinstance(point[0], int) and not isinstance(point[0], bool)


SOURCE: Final[Source] = Smard()
