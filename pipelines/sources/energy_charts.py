"""Energy-Charts (Fraunhofer ISE): day-ahead prices by bidding zone; one JSON response per zone and month."""

from __future__ import annotations

import datetime as dt
import itertools
import json
from collections import defaultdict
from collections.abc import Sequence
from typing import Final
from zoneinfo import ZoneInfo

import pandas as pd

from pipelines.sources.base import Access, Parsed, Payload, Rejected, Request, Scope, SourceError, Zone
from pipelines.sources.contract import ResponseContract
from pipelines.sources.parsing import check_period, is_instant, json_number, json_object, json_shape, requested
from pipelines.sources.power_days import (
    FIRST_MONTH,
    RESOLUTION,
    DeliveryDay,
    bounds,
    local_day,
    month_days,
    power_frame,
)
from pipelines.sources.protocol import Source

EXPECTED: Final = "JSON with unix_seconds[] and price[] of the same length, in EUR/MWh, for the requested month"
UNSTATED: Final = frozenset({"", "no unit"})  # what the publisher writes in place of a unit


class EnergyCharts:
    """Auction prices as parallel arrays of instants and EUR/MWh; every point is listed."""

    NAME = "energy_charts"
    TITLE = "Energy-Charts: day-ahead prices"
    LICENCE = "OPEN"
    DATASETS: tuple[str, ...] = ("power",)
    # A range without a price is 404, with the body of an unknown path.
    ACCESS = Access(("api.energy-charts.info",), per_second=2, absent=(404,))
    CONTRACT = ResponseContract(json_shape, {"unix_seconds": "number", "price": "number"}, "DAYS", age=3, in_parts=True)

    def requests(self, month: pd.Period, scope: Scope) -> Sequence[Request]:
        """One request per zone of this source; none before 2015 or the zone's first day."""
        if month < FIRST_MONTH:
            return []
        first, last = month_days(str(month))
        return [
            Request(
                source=self.NAME,
                name=f"price_{zone.zone}_{month}.json",
                url=f"https://api.energy-charts.info/price?bzn={zone.zone}&start={first}&end={last}",
                entity=zone.zone,
                period=str(month),
            )
            for zone in scope.zones_in(month, self.NAME)
        ]

    def parse(self, payload: Payload, scope: Scope) -> Parsed:
        """Complete local days of the requested month, EUR/MWh by position; the resolution follows from the spacing.

        A day with a null, an invalid price or a missing point is rejected as a whole, since in the `power` dataset a
        missing position repeats the one before. Days outside the requested month belong to another request. Raises
        SourceError when the response is no such JSON, in another unit, or for another month or an unknown zone.
        """
        request = payload.request
        content = json_object(payload, EXPECTED)
        times, prices, unit = (content.get(name) for name in ("unix_seconds", "price", "unit"))
        if not isinstance(times, list) or not isinstance(prices, list) or len(times) != len(prices):
            raise SourceError(request, "unix_seconds and price are not two lists of one length", EXPECTED)
        if not all(map(is_instant, times)):
            raise SourceError(request, "unix_seconds holds something else than whole seconds until 2100", EXPECTED)
        stated = str(unit or "").lower()
        if stated not in UNSTATED and not ("eur" in stated and "mwh" in stated):
            raise SourceError(request, f"the unit is {unit!r}", "EUR / MWh")
        zone = requested(request, "zone", scope.zones, lambda zone: zone.zone)

        points: defaultdict[dt.date, dict[int, object]] = defaultdict(dict)
        rejected: list[Rejected] = []
        conflicting: set[dt.date] = set()
        for time, price in zip(times, prices, strict=True):
            day = local_day(zone.timezone, time)
            if points[day].setdefault(time, price) != price:
                conflicting.add(day)
                raw = f"{points[day][time]} and {price}"
                rejected.append(_rejected(zone, time, raw, f"price_eur_mwh: {raw} for the same time"))
        check_period(request, points, EXPECTED)
        days = []
        for day, curve in sorted(points.items()):
            if day.isoformat().startswith(request.period):
                delivery, problems = _delivery_day(zone, day, curve)
                rejected += problems
                if delivery and day not in conflicting:
                    days.append(delivery)
        return Parsed({"power": power_frame(zone.zone, zone.timezone, days)}, rejected)


def _delivery_day(zone: Zone, day: dt.date, curve: dict[int, object]) -> tuple[DeliveryDay | None, list[Rejected]]:
    """A complete day from prices by unix seconds, or None and the rejected points."""
    start, end = bounds(zone.timezone, day)
    times = sorted(curve)
    step = min((later - time for time, later in itertools.pairwise(times)), default=0)
    length = (end - start) // step if step in RESOLUTION else 0
    if times != [start + step * i for i in range(length)]:
        spacing = RESOLUTION.get(step, f"{step} s")
        missing = sorted({start + step * i for i in range(length)} - set(times))
        first_gap = f", the first missing one at {_clock(zone, missing[0])}" if missing else ""
        reason = (
            f"position: {len(times)} points {spacing} apart do not fill the local day of {(end - start) // 3600} h"
            f"{first_gap}; the day is left out"
        )
        return None, [Rejected("power", f"{day} of {zone.zone}", f"{len(times)} points", reason)]
    prices: dict[int, float] = {}
    rejected: list[Rejected] = []
    for position, time in enumerate(times, start=1):
        try:
            prices[position] = json_number(curve[time])
        except ValueError as error:
            raw = json.dumps(curve[time])
            rejected.append(_rejected(zone, time, raw, f"price_eur_mwh: {error}; it would read as a repeat"))
    return (None if rejected else DeliveryDay(day, step, prices)), rejected


def _rejected(zone: Zone, time: int, raw: str, reason: str) -> Rejected:
    return Rejected("power", f"{_clock(zone, time)} of {zone.zone}", raw, f"{reason}, so the day is left out")


def _clock(zone: Zone, time: int) -> str:
    return dt.datetime.fromtimestamp(time, ZoneInfo(zone.timezone)).strftime("%Y-%m-%d %H:%M%z")


SOURCE: Final[Source] = EnergyCharts()
