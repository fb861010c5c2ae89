"""ENTSO-E transparency platform: day-ahead prices (A44) by bidding zone; one XML response per zone and month."""

from __future__ import annotations

import datetime as dt
import math
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pandas as pd

from pipelines.sources.base import (
    Access,
    NoData,
    Parsed,
    Payload,
    Rejected,
    Request,
    Scope,
    SourceError,
    Zone,
)
from pipelines.sources.contract import ResponseContract
from pipelines.sources.parsing import check_period, excerpt, iso_moment, number, xml_shape
from pipelines.sources.power_days import (
    FIRST_MONTH,
    RESOLUTION,
    SECONDS,
    DeliveryDay,
    bounds,
    local_day,
    month_days,
    power_frame,
    stamp,
)
from pipelines.sources.protocol import Source

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

EXPECTED: Final = "a Publication_MarketDocument with day-ahead prices in EUR/MWh of the requested zone and month"
SEQUENCE: Final = "classificationSequence_AttributeInstanceComponent.position"
CONTRACT: Final = "contract_MarketAgreement.type"
DAY_AHEAD: Final = "A01"
AUCTION: Final = "auction.type"
IMPLICIT: Final = "A01"  # an explicit one (A02) sells capacity, not power


@dataclass(frozen=True)
class _Block:
    """Prices of one Period, or its part of one local day, by slot from 0; NaN where the price is no number."""

    start: int
    end: int
    step: int
    prices: dict[int, float]

    def __str__(self) -> str:
        return f"{stamp(self.start)}/{stamp(self.end)} at {RESOLUTION[self.step]}"


class Entsoe:
    """The day-ahead auction (SDAC) of a zone; other auctions in the same response are ignored.

    `createdDateTime` is when the response was written: an upper limit of the publication time of its prices.
    """

    NAME = "entsoe"
    TITLE = "ENTSO-E transparency platform: day-ahead prices"
    LICENCE = "OPEN"
    DATASETS: tuple[str, ...] = ("power",)
    # The publisher allows 400 requests a minute and bans for 10 minutes.
    ACCESS = Access(
        ("web-api.tp.entsoe.eu",),
        per_second=5,
        max_concurrent=4,
        backoff_s=600,
        throttled="Acknowledgement_MarketDocument.*too many requests",
        no_data="no matching data",
    )
    CONTRACT = ResponseContract(
        xml_shape,
        {"start": "text", "resolution": "text", "position": "number", "price.amount": "number"},
        "DAYS",
        age=3,
        in_parts=True,
    )

    def requests(self, month: pd.Period, scope: Scope) -> Sequence[Request]:
        """One request per zone of this source, from local midnight to local midnight; none before 2015 or the zone's
        first day.
        """
        if month < FIRST_MONTH:
            return []
        first, last = month_days(str(month))
        requests = []
        for zone in scope.zones_in(month, self.NAME):
            limits = (bounds(zone.timezone, first)[0], bounds(zone.timezone, last)[1])
            start, end = (dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%Y%m%d%H%M") for seconds in limits)
            requests.append(
                Request(
                    source=self.NAME,
                    name=f"A44_{zone.zone}_{month}.xml",
                    url="https://web-api.tp.entsoe.eu/api?documentType=A44"
                    f"&in_Domain={zone.eic}&out_Domain={zone.eic}&periodStart={start}&periodEnd={end}",
                    entity=zone.zone,
                    period=str(month),
                    secret=("securityToken", "ENTSOE_API_TOKEN"),
                )
            )
        return requests

    def parse(self, payload: Payload, scope: Scope) -> Parsed:
        """Complete local days of the requested month, EUR/MWh by position; positions omitted by an A03 curve stay so.

        Periods are split at local midnights; if the split falls into a repeated price, it is written at position 1. Of
        a day with series at several resolutions the finest is read. A day that is not fully covered at one resolution,
        has an invalid price, or two series that differ, is rejected as a whole; a series of another zone, currency or
        unit is rejected alone. Raises NoData for "no matching data", SourceError for another document or month, or
        without a usable series of sequence 1.
        """
        request = payload.request
        root, ns = _root(payload)
        blocks: defaultdict[dt.date, list[_Block]] = defaultdict(list)
        other_auctions: dict[dt.date, str] = {}
        rejected: list[Rejected] = []
        unusable: list[SourceError] = []
        zone: Zone | None = None
        auctions: set[str] = set()
        for at, series in enumerate(root.iter(f"{ns}TimeSeries"), start=1):
            fields = {child.tag[len(ns) :]: (child.text or "").strip() for child in series}
            sequence, contract = fields.get(SEQUENCE, "1"), fields.get(CONTRACT, DAY_AHEAD)
            main = sequence == "1" and contract == DAY_AHEAD and fields.get(AUCTION, IMPLICIT) == IMPLICIT
            auction = f"auction sequence {sequence} of contract type {contract}"
            try:
                zone = _zone(request, fields, scope)
                auctions.add(auction)
                if main:
                    _check_units(request, fields)
            except SourceError as error:
                unusable.append(error)
                reason = f"price_eur_mwh: {error.problem}; expected {error.expected}; the series is left out"
                rejected.append(Rejected("power", f"TimeSeries {at} of {request.entity}", auction, reason))
                continue
            for place, period in enumerate(series.iter(f"{ns}Period"), start=1):
                try:
                    start, end = _interval(request, period, ns)
                except SourceError as error:
                    unusable.append(error)
                    reason = f"timeInterval: {error.problem}; expected {error.expected}; the Period is left out"
                    where = f"Period {place} of TimeSeries {at} of {request.entity}"
                    rejected.append(Rejected("power", where, auction, reason))
                    continue
                if main:
                    block, problems = _block(zone, period, ns, start, end, fields.get("curveType", ""))
                    rejected += problems
                    for day, piece in _by_day(zone, block) if block else []:
                        blocks[day].append(piece)
                else:
                    other_auctions |= dict.fromkeys(_days(zone, start, end), auction)
        if not blocks and unusable:
            raise unusable[0]
        if zone is None:
            raise SourceError(request, "the document has no TimeSeries", EXPECTED)
        if not blocks and not rejected:
            raise SourceError(request, f"only {' and '.join(sorted(auctions))}", "auction sequence 1")
        check_period(request, [*blocks, *other_auctions], EXPECTED)
        days = []
        for day in sorted({*blocks, *other_auctions}):
            if not day.isoformat().startswith(request.period):
                continue
            try:
                if day not in blocks:
                    raise ValueError(f"position: only {other_auctions[day]}")
                if (delivery := _join(zone, day, blocks[day])) is not None:
                    days.append(delivery)
            except ValueError as error:
                raw = ", ".join(map(str, blocks.get(day, []))) or other_auctions[day]
                rejected.append(Rejected("power", f"{day} of {zone.zone}", raw, f"{error}; the day is left out"))
        written_at = iso_moment(root.findtext(f"{ns}createdDateTime") or "")
        return Parsed({"power": power_frame(zone.zone, zone.timezone, days)}, rejected, written_at)


def _root(payload: Payload) -> tuple[Element, str]:
    """The publication document and its XML namespace as a tag prefix. Raises NoData or SourceError for another one."""
    from xml.etree.ElementTree import ParseError

    from defusedxml import DefusedXmlException

    request = payload.request
    try:
        root = _tree(payload.body)
    except DefusedXmlException as error:
        problem = f"the XML declares a DTD or entities, which are not allowed ({type(error).__name__})"
        raise SourceError(request, problem, EXPECTED) from None
    except (ParseError, ValueError, LookupError) as error:
        raise SourceError(request, f"not XML ({error}): it starts {excerpt(payload.body)}", EXPECTED) from None
    ns = root.tag[: root.tag.index("}") + 1] if root.tag.startswith("{") else ""
    name = root.tag[len(ns) :]
    if name == "Acknowledgement_MarketDocument":
        text = " ".join(" ".join(reason.itertext()).strip() for reason in root.iter(f"{ns}Reason"))
        text = " ".join(text.split())
        if re.search(Entsoe.ACCESS.no_data, text, re.IGNORECASE):
            raise NoData(f"{request.source} {request.name}: {text}")
        if "too many requests" in text.lower():
            raise SourceError(request, f"the platform throttles: {excerpt(text, 300)}", EXPECTED)
        raise SourceError(request, f"the platform returns an error: {excerpt(text, 300)}", EXPECTED)
    if name != "Publication_MarketDocument":
        raise SourceError(request, f"the document is a {name}: it starts {excerpt(payload.body)}", EXPECTED)
    return root, ns


def _tree(body: bytes) -> Element:
    """The root of an XML document. Raises `DTDForbidden` at a document type, before any of its entities is read.

    defusedxml's own parser builds the tree in Python, at three times the cost.
    """
    from xml.etree.ElementTree import fromstring
    from xml.parsers import expat

    from defusedxml import DTDForbidden

    def refuse(name: str, system_id: str | None, public_id: str | None, _: bool) -> None:
        raise DTDForbidden(name, system_id, public_id)

    check = expat.ParserCreate()
    check.StartDoctypeDeclHandler = refuse
    with suppress(expat.ExpatError):  # reported by the parser that builds the tree
        check.Parse(body, True)
    return fromstring(body)


def _zone(request: Request, fields: dict[str, str], scope: Scope) -> Zone:
    """Zone of a series, by its EIC. Raises SourceError when it is not the requested one."""
    eic = fields.get("in_Domain.mRID", "")
    zone = next((zone for zone in scope.zones if zone.eic == eic), None)
    names = {zone.zone for zone in scope.zones}
    if zone is None or (request.entity in names and request.entity != zone.zone):
        raise SourceError(request, f"the series is for area {eic or 'unstated'}", f"the area of {request.entity}")
    return zone


def _check_units(request: Request, fields: dict[str, str]) -> None:
    for name, wanted in (("currency_Unit.name", "EUR"), ("price_Measure_Unit.name", "MWH")):
        if fields.get(name) != wanted:
            raise SourceError(request, f"{name} is {fields.get(name, 'unstated')}", wanted)


def _interval(request: Request, period: Element, ns: str) -> tuple[int, int]:
    """Start and end of a Period in unix seconds. Raises SourceError for an invalid interval."""
    texts = [period.findtext(f"{ns}timeInterval/{ns}{name}", "").strip() for name in ("start", "end")]
    try:
        start, end = (dt.datetime.fromisoformat(text) for text in texts)
        if start.tzinfo and end.tzinfo and start < end <= start + dt.timedelta(days=400):
            return int(start.timestamp()), int(end.timestamp())
    except ValueError:
        pass
    raise SourceError(request, f"a Period runs from {texts[0]!r} to {texts[1]!r}", "two UTC instants within a year")


def _block(
    zone: Zone, period: Element, ns: str, start: int, end: int, curve: str
) -> tuple[_Block | None, list[Rejected]]:
    """Prices of a Period, or None, and the rejected points; a price that is no number is NaN and rejected."""
    where = f"Period {stamp(start)}/{stamp(end)} of {zone.zone}"
    resolution = period.findtext(f"{ns}resolution", "").strip()
    step = SECONDS.get(resolution)
    if step is None or (end - start) % step:
        reason = f"resolution: {resolution!r} does not divide the Period into {', '.join(SECONDS)}; it is left out"
        return None, [Rejected("power", where, resolution, reason)]
    length = (end - start) // step
    prices: dict[int, float] = {}
    rejected: list[Rejected] = []
    tags = f"{ns}position", f"{ns}price.amount"
    for point in period.iter(f"{ns}Point"):
        texts = {child.tag: child.text or "" for child in reversed(point)}  # of a repeated element the first
        position, amount = texts.get(tags[0], "").strip(), texts.get(tags[1], "").strip()
        slot = int(position) - 1 if position.isdecimal() else -1
        if not 0 <= slot < length:
            reason = f"position: {position!r} is not one of 1 to {length}; the Period is left out"
            return None, [Rejected("power", where, f"{position}: {amount}", reason)]
        try:
            price = number(amount)
        except ValueError as error:
            price = math.nan
            at = f"position {position} of {where}"
            rejected.append(Rejected("power", at, amount, f"price_eur_mwh: {error}; the day is left out"))
        if slot in prices and prices[slot] != price:
            reason = f"price_eur_mwh: position {position} has both {prices[slot]} and {amount}; the Period is left out"
            return None, [Rejected("power", where, f"{position}: {amount}", reason)]
        prices[slot] = price
    if 0 not in prices or (curve != "A03" and len(prices) < length):
        reason = f"position: {len(prices)} of {length} points, and a curve of type {curve or 'unstated'} cannot repeat "
        reason += "the missing ones" if prices.get(0) is not None else "what comes before position 1"
        return None, [*rejected, Rejected("power", where, f"{len(prices)} points", f"{reason}; the Period is left out")]
    return _Block(start, end, step, prices), rejected


def _days(zone: Zone, start: int, end: int) -> Iterator[dt.date]:
    """The local days that an interval overlaps."""
    day = local_day(zone.timezone, start)
    while bounds(zone.timezone, day)[0] < end:
        yield day
        day += dt.timedelta(days=1)


def _by_day(zone: Zone, block: _Block) -> Iterator[tuple[dt.date, _Block]]:
    """A block split at local midnights; a price repeated across midnight is written at the start of the new day."""
    for day in _days(zone, block.start, block.end):
        midnight, next_midnight = bounds(zone.timezone, day)
        start, end = max(midnight, block.start), min(next_midnight, block.end)
        first, last = -((block.start - start) // block.step), -((block.start - end) // block.step)
        prices = {slot - first: block.prices[slot] for slot in range(first, last) if slot in block.prices}
        if 0 not in prices:
            prices[0] = block.prices[max(slot for slot in block.prices if slot < first)]
        yield day, _Block(start, end, block.step, prices)


def _join(zone: Zone, day: dt.date, blocks: list[_Block]) -> DeliveryDay | None:
    """The blocks of a day as one curve at the finest resolution that covers it, or None when a price was rejected.

    Blocks of several series may overlap: equal prices count once. Raises ValueError when they differ, since no rule
    states which one holds, or when no resolution covers the day.
    """
    start, end = bounds(zone.timezone, day)
    for step in sorted({block.step for block in blocks}):
        own = [b for b in blocks if b.step == step and not (b.start - start) % step and not (b.end - start) % step]
        curve: dict[int, set[float]] = {position: set() for position in range(1, (end - start) // step + 1)}
        stated: set[int] = set()
        for block in own:
            first, price = (block.start - start) // step + 1, math.nan
            for slot in range((block.end - block.start) // step):
                price = block.prices.get(slot, price)
                curve[first + slot].add(price)
            stated.update(first + slot for slot in block.prices)
        if not all(curve.values()):
            continue
        # NaN is a rejected price: another series may have the position.
        known = {position: sorted(price for price in found if price == price) for position, found in curve.items()}
        if differing := [position for position, prices in known.items() if len(prices) > 1]:
            prices, more = known[differing[0]], len(differing) - 1
            others = f" and at {more} more" if more else ""
            raise ValueError(
                f"price_eur_mwh: two series differ at position {differing[0]} of {len(curve)}{others}: "
                f"{' and '.join(f'{price:.10g}' for price in prices)}"
            )
        if not all(known.values()):
            return None
        return DeliveryDay(day, step, {position: known[position][0] for position in sorted(stated)})
    ordered = sorted((b for at, b in enumerate(blocks) if b not in blocks[:at]), key=lambda block: block.start)
    covered, whole = ", ".join(map(str, ordered)), f"{stamp(start)}/{stamp(end)}"
    raise ValueError(f"position: {covered} is not the whole local day {whole} at one resolution")


SOURCE: Final[Source] = Entsoe()
