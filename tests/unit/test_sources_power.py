"""Day-ahead power: ENTSO-E against entsoe-py as an independent oracle, Energy-Charts, and refused responses."""

from __future__ import annotations

import datetime as dt
import json
import re
from itertools import pairwise
from zoneinfo import ZoneInfo

import pandas as pd
import pytest
from sourcing import BELGIUM, GERMANY, SCOPE, month, parse, payload

from pipelines.sources import SOURCES
from pipelines.sources.base import NoData, Scope, SourceError, Zone
from schemas.datasets import DATASETS

UTC = dt.UTC


def filled(frame: pd.DataFrame) -> pd.DataFrame:
    """Prices by day and position with the gaps of an A03 curve repeated."""
    days = {}
    for day, curve in frame.groupby("delivery_date"):
        prices = curve.set_index("position")["price_eur_mwh"]
        days[day] = prices.reindex(range(1, curve["n_positions"].iloc[0] + 1)).ffill()
    return pd.DataFrame(days)


# --- ENTSO-E ---


def recorded(real, name: str):
    return parse(payload("entsoe", real / f"payloads/entsoe/{name}.xml", period="2024-10"))


def oracle(real, name: str, resolution: str) -> pd.Series:
    """The result of another library, which parses XML as HTML and warns about it."""
    parsers = pytest.importorskip("entsoe.parsers")
    return parsers.parse_prices((real / f"payloads/entsoe/{name}.xml").read_text())[resolution]


@pytest.mark.filterwarnings("ignore:It looks like you're using an HTML parser")
@pytest.mark.parametrize(
    ("name", "zone", "days"),
    [("BE_60M", "BE", ["2024-10-08"]), ("DE_60M_15M_overlap", "DE-LU", ["2024-10-06", "2024-10-07"])],
)
def test_a_recorded_response_equals_the_oracle_and_has_one_auction_only(real, name, zone, days):
    result = recorded(real, name)
    frame = result.frames["power"]
    assert result.rejected == []
    assert set(frame["zone"]) == {zone}
    assert set(frame["resolution"]) == {"PT60M"}, "the 15-minute points are another auction's"
    assert sorted(frame["delivery_date"].dt.strftime("%Y-%m-%d").unique()) == days
    ours = [price for day in filled(frame).items() for price in day[1]]
    theirs = oracle(real, name, "60min").ffill()
    assert ours == theirs.tolist()
    first = pd.Timestamp(days[0], tz=next(z.timezone for z in SCOPE.zones if z.zone == zone))
    assert theirs.index[0] == first
    DATASETS["power"].model.validate(frame)


def test_gaps_of_a_recorded_curve_are_kept(real):
    text = (real / "payloads/entsoe/DE_60M_15M_overlap.xml").read_text()
    first_series = text[: text.index("</TimeSeries>")]
    frame = recorded(real, "DE_60M_15M_overlap").frames["power"]
    assert len(frame) == first_series.count("<Point>") == 47
    assert "knowledge_ts" not in frame, "createdDateTime is after delivery here: it is when the response was written"


@pytest.mark.parametrize("name", ["BE_15M_avg", "BE_15M_exact4"])
def test_trimmed_recordings_give_rejected_days(real, name):
    result = recorded(real, name)
    assert len(result.frames["power"]) == 0
    day = result.rejected[-1]
    assert day.where == "2024-10-06 of BE"
    assert "is not the whole local day 2024-10-05T22:00Z/2024-10-06T22:00Z at one resolution" in day.reason
    covered = {"BE_15M_avg": "2024-10-06T03:00Z at PT15M", "BE_15M_exact4": "2024-10-05T23:00Z at PT15M"}[name]
    assert day.raw == f"2024-10-05T22:00Z/{covered}"
    if name == "BE_15M_avg":
        assert result.rejected[0].reason.startswith("position: '3' is not one of 1 to 2")


def local(text: str, zone: Zone = BELGIUM) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone.timezone)).astimezone(UTC)


POINT = "<Point><position>{}</position><price.amount>{}</price.amount></Point>"


def period(start: str, end: str, points: dict[int, object], resolution: str = "PT60M") -> str:
    """A synthetic Period between local times."""
    inner = "".join(POINT.format(*point) for point in points.items())
    limits = (f"<{tag}>{local(text):%Y-%m-%dT%H:%MZ}</{tag}>" for tag, text in (("start", start), ("end", end)))
    return (
        f"<Period><timeInterval>{''.join(limits)}</timeInterval><resolution>{resolution}</resolution>{inner}</Period>"
    )


def series(
    *periods: str, sequence: int | None = None, curve: str = "A03", eic: str = BELGIUM.eic, **fields: str
) -> str:
    values = {
        "in_Domain.mRID": eic,
        "currency_Unit.name": "EUR",
        "price_Measure_Unit.name": "MWH",
        "curveType": curve,
    } | {name.replace("__", "."): value for name, value in fields.items()}
    if sequence:
        values["classificationSequence_AttributeInstanceComponent.position"] = str(sequence)
    return "<TimeSeries>" + "".join(f"<{k}>{v}</{k}>" for k, v in values.items()) + "".join(periods) + "</TimeSeries>"


def document(*parts: str, kind: str = "Publication_MarketDocument", head: str = "") -> bytes:
    return f'<?xml version="1.0"?>{head}<{kind} xmlns="urn:x:7:3">{"".join(parts)}</{kind}>'.encode()


def read(*parts: str, requested: str = "2025-03", scope: Scope = SCOPE, entity: str = "BE"):
    return parse(payload("entsoe", document(*parts), requested, entity, f"A44_BE_{requested}.xml"), scope)


def flat(n: int) -> dict[int, object]:
    return {i: float(i) for i in range(1, n + 1)}


@pytest.mark.parametrize(
    ("day", "next_day", "hours"), [("2025-03-30", "2025-03-31", 23), ("2025-10-26", "2025-10-27", 25)]
)
@pytest.mark.parametrize(("resolution", "per_hour"), [("PT60M", 1), ("PT15M", 4)])
def test_days_of_23_and_25_hours(day, next_day, hours, resolution, per_hour):
    n = hours * per_hour
    frame = read(series(period(day, next_day, flat(n), resolution)), requested=day[:7]).frames["power"]
    assert set(frame["n_positions"]) == {n}
    assert frame["position"].tolist() == list(range(1, n + 1))
    assert set(frame["delivery_date"]) == {pd.Timestamp(day)}


def test_a_period_of_several_days_is_cut_at_local_midnight_and_a_repeat_goes_on():
    # 29 March has 24 hours, 30 March 23: positions 1-24 and 25-47. The price of 23:00 holds until 02:00.
    result = read(series(period("2025-03-29", "2025-03-31", {1: 10, 24: 77.5, 27: -3.1})))
    frame = result.frames["power"]
    assert result.rejected == []
    assert frame[["position", "price_eur_mwh"]].values.tolist() == [[1, 10], [24, 77.5], [1, 77.5], [3, -3.1]]
    assert frame["n_positions"].tolist() == [24, 24, 23, 23]


def test_a_day_in_two_periods_is_one_curve_and_a_repeated_series_counts_once():
    halves = series(
        period("2025-03-03", "2025-03-03T12:00", {1: 1, 2: 2}), period("2025-03-03T12:00", "2025-03-04", {1: 3})
    )
    result = read(halves, halves)
    assert result.rejected == []
    assert result.frames["power"]["position"].tolist() == [1, 2, 13]


def test_auctions_are_never_mixed():
    day = ("2025-03-03", "2025-03-04")
    main, other = {1: 50.0}, {1: 99.0, 2: 98.0}
    second = series(period(*day, other, "PT15M"), period("2025-03-04", "2025-03-05", other, "PT15M"), sequence=2)
    intraday = series(period(*day, other), contract_MarketAgreement__type="A07")
    result = read(second, intraday, series(period(*day, main), sequence=1))
    assert result.frames["power"]["price_eur_mwh"].tolist() == [50.0]
    assert [(bad.where, bad.reason) for bad in result.rejected] == [
        ("2025-03-04 of BE", "position: only auction sequence 2 of contract type A01; the day is left out")
    ]
    with pytest.raises(SourceError, match="only auction sequence 2 of contract type A01; expected auction sequence 1"):
        read(second)


DAY, NOON, NEXT = "2025-03-03", "2025-03-03T12:00", "2025-03-04"
HALF_AND_HALF = series(period(DAY, NOON, flat(12)), period(NOON, NEXT, flat(48), "PT15M"))
HALF_HOUR_OFF = series(period("2025-03-03T00:30", "2025-03-03T23:30", {1: 5}))
TWICE = series(period(DAY, NEXT, {1: 1}).replace("</Period>", POINT.format(1, 2) + "</Period>"))


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ([HALF_AND_HALF], "11:00Z at PT60M, 2025-03-03T11:00Z/2025-03-03T23:00Z at PT15M is not the whole local day"),
        (
            [series(period(DAY, NEXT, {1: 5})), series(period(DAY, NEXT, {1: 6}))],
            "two series differ at position 1 of 24 and at 23 more: 5",
        ),
        ([HALF_HOUR_OFF, series(period("2025-03-03T23:00", NEXT, {1: 5}))], "is not the whole local day"),
        ([series(period(DAY, NEXT, flat(24) | {7: "2,5x"}))], "price_eur_mwh: '2,5x' is not a number; the day is left"),
        ([series(period(DAY, NEXT, flat(24) | {7: ""}))], "price_eur_mwh: '' is not a number"),
        ([series(period(DAY, NEXT, flat(25)))], "position: '25' is not one of 1 to 24"),
        ([TWICE], "position 1 has both 1.0 and 2"),
        ([series(period(DAY, NEXT, {2: 5}))], "cannot repeat what comes before position 1"),
        ([series(period(DAY, NEXT, {1: 5}), curve="A01")], "1 of 24 points, and a curve of type A01 cannot repeat the"),
        ([series(period(DAY, NEXT, {1: 5}, "P1D"))], "resolution: 'P1D' does not divide the Period"),
    ],
    ids=[
        "mixed",
        "contradiction",
        "off the hour",
        "price",
        "blank",
        "beyond",
        "twice",
        "no first",
        "A01 gap",
        "resolution",
    ],
)
def test_an_inconsistent_day_is_rejected_with_its_reason(parts, reason):
    good = series(period("2025-03-04", "2025-03-05", {1: 44.0}))
    result = read(*parts, good)
    assert result.frames["power"]["delivery_date"].unique().tolist() == [pd.Timestamp("2025-03-04")]
    assert len(result.rejected) == 1
    assert reason in result.rejected[0].reason
    assert "2025-03-0" in result.rejected[0].where


# --- two or more series of one day (reports: Obsyd #57, evcc #16519, hass-entso-e #206)

QUARTERS = {n: 13.0 - n % 20 for n in range(1, 97)}


def day_of(result) -> tuple[set[str], list[int], list[float]]:
    frame = result.frames["power"]
    return set(frame["resolution"]), frame["position"].tolist(), frame["price_eur_mwh"].tolist()


def quarters(points: dict[int, object], start: str = DAY, end: str = NEXT, **fields: str) -> str:
    return series(period(start, end, points, "PT15M"), **fields)


@pytest.mark.parametrize("times", [2, 3])
def test_equal_series_of_a_day_count_once(times):
    result = read(*[quarters(QUARTERS)] * times)
    assert result.rejected == []
    assert day_of(result) == ({"PT15M"}, list(range(1, 97)), list(QUARTERS.values()))


@pytest.mark.parametrize("order", [1, -1])
def test_a_day_whose_series_differ_is_rejected_with_position_and_values_and_the_next_lands(order):
    other = QUARTERS | {50: QUARTERS[50] + 1}
    both = [quarters(QUARTERS), quarters(other)][::order]
    result = read(*both, quarters(QUARTERS, NEXT, "2025-03-05"), quarters(QUARTERS))
    assert set(result.frames["power"]["delivery_date"]) == {pd.Timestamp(NEXT)}
    [bad] = result.rejected
    assert bad.where == "2025-03-03 of BE"
    assert bad.reason == "price_eur_mwh: two series differ at position 50 of 96: 3 and 4; the day is left out"


@pytest.mark.parametrize("order", [1, -1])
def test_of_an_hourly_and_a_quarter_hourly_series_the_finest_is_read(order):
    hours = {h + 1: sum(QUARTERS[4 * h + q] for q in range(1, 5)) / 4 for h in range(24)}
    result = read(*[series(period(DAY, NEXT, hours)), quarters(QUARTERS)][::order])
    assert result.rejected == []
    assert day_of(result) == ({"PT15M"}, list(range(1, 97)), list(QUARTERS.values()))


def test_a_part_of_a_day_at_a_finer_resolution_does_not_replace_the_whole_day():
    result = read(series(period(DAY, NEXT, flat(24))), quarters({1: 5.0}, DAY, NOON))
    assert result.rejected == []
    assert day_of(result)[0] == {"PT60M"}


def test_series_with_gaps_of_a_curve_that_overlap_in_part_are_one_curve():
    whole, part = quarters({1: 10.0, 50: 20.0}), quarters({1: 10.0, 2: 20.0}, "2025-03-03T12:00", NEXT)
    assert day_of(read(whole, part)) == ({"PT15M"}, [1, 49, 50], [10.0, 10.0, 20.0])
    missing = quarters({1: 10.0}, DAY, NOON)
    assert day_of(read(missing, part)) == ({"PT15M"}, [1, 49, 50], [10.0, 10.0, 20.0])
    [bad] = read(whole, quarters({1: 10.0}, NOON, NEXT)).rejected
    assert "two series differ at position 50 of 96 and at 46 more: 10 and 20" in bad.reason


def test_an_unreadable_price_is_taken_from_an_equal_series():
    bad, good = quarters(QUARTERS | {50: "n/a"}), quarters(QUARTERS)
    result = read(bad, good)
    assert day_of(result) == ({"PT15M"}, list(range(1, 97)), list(QUARTERS.values()))
    assert [one.raw for one in result.rejected] == ["n/a"]
    assert read(bad, bad).frames["power"].empty


def test_units_are_judged_in_each_series():
    for wrong in ({"currency_Unit__name": "GBP"}, {"price_Measure_Unit__name": "KWH"}, {"eic": GERMANY.eic}):
        other = series(period(NEXT, "2025-03-05", {1: 7.0}), **wrong)
        for parts in ([quarters(QUARTERS), other], [other, quarters(QUARTERS)]):
            result = read(*parts)
            assert set(result.frames["power"]["delivery_date"]) == {pd.Timestamp(DAY)}
            [bad] = result.rejected
            assert re.match(r"TimeSeries [12] of BE", bad.where)
            assert "the series is left out" in bad.reason


def test_an_interval_that_cannot_be_read_leaves_its_period_out():
    good = period(DAY, NEXT, flat(24))
    broken = period(NEXT, "2025-03-05", flat(24)).replace("<end>", "<end>24:00 ")
    for parts in ([series(good, broken)], [series(broken, good)], [series(broken), series(good)]):
        result = read(*parts)
        assert set(result.frames["power"]["delivery_date"]) == {pd.Timestamp(DAY)}
        [bad] = result.rejected
        assert re.match(r"Period [12] of TimeSeries [12] of BE", bad.where)
        assert "24:00" in bad.reason and "the Period is left out" in bad.reason
    with pytest.raises(SourceError, match="a Period runs from"):
        read(series(broken))


def test_a_local_or_explicit_auction_is_no_second_series_of_the_day():
    local_auction = quarters({1: 99.0}, sequence=2)
    explicit, intraday = (
        quarters({1: 98.0}, auction__type="A02"),
        quarters({1: 97.0}, contract_MarketAgreement__type="A07"),
    )
    result = read(local_auction, explicit, quarters(QUARTERS, auction__type="A01"), intraday)
    assert result.rejected == []
    assert day_of(result)[2] == list(QUARTERS.values())


@pytest.mark.parametrize(
    ("day", "next_day", "n"), [("2025-03-30", "2025-03-31", 92), ("2025-10-26", "2025-10-27", 100)]
)
def test_overlaps_on_days_of_a_change_of_clock(day, next_day, n):
    hours, fine = series(period(day, next_day, flat(n // 4))), quarters(flat(n), day, next_day)
    result = read(hours, fine, fine, requested=day[:7])
    assert result.rejected == []
    assert day_of(result)[1] == list(range(1, n + 1))
    [bad] = read(fine, quarters(flat(n) | {n: 0.0}, day, next_day), requested=day[:7]).rejected
    assert f"two series differ at position {n} of {n}: 0 and {n};" in bad.reason


def test_an_unreadable_price_rejects_the_day_into_which_it_would_be_carried():
    result = read(series(period("2025-03-03", "2025-03-06", {1: 1, 24: "n/a", 30: 2, 49: 3})))
    assert result.frames["power"]["delivery_date"].unique().tolist() == [pd.Timestamp("2025-03-05")]


BOMB = '<!DOCTYPE b [<!ENTITY a "aaaaaaaaaa"><!ENTITY c "&a;&a;&a;&a;&a;&a;&a;&a;">]>'


ONE = period(DAY, NEXT, {1: 5})
REFUSAL = "<Reason><code>999</code><text>Unauthorized. Invalid token</text></Reason>"


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (document(series(ONE), head=BOMB), "the XML declares a DTD or entities, which are not allowed"),
        (document(series(ONE))[:-40], "not XML"),
        (document(), "the document has no TimeSeries"),
        (document(kind="Balancing_MarketDocument"), "the document is a Balancing_MarketDocument"),
        (document(REFUSAL, kind="Acknowledgement_MarketDocument"), "the platform returns an error: '999 Unauthorized"),
        (document(series(eic="10YFR-RTE------C")), "the series is for area 10YFR-RTE------C; expected the area of BE"),
        (document(series(eic=GERMANY.eic)), "the series is for area 10Y1001A1001A82H"),
        (document(series(ONE, currency_Unit__name="GBP")), "currency_Unit.name is GBP; expected EUR"),
        (document(series(ONE, price_Measure_Unit__name="KWH")), "price_Measure_Unit.name is KWH; expected MWH"),
        (document(series(period("2025-04-03", "2025-04-04", {1: 5}))), "the response is for 2025-04, not 2025-03"),
        (document(series(ONE.replace("2025-03-03T", "3rd of March "))), "a Period runs from"),
    ],
)
def test_an_unusable_document_is_an_error(body, problem):
    with pytest.raises(SourceError, match=problem) as caught:
        parse(payload("entsoe", body, "2025-03", "BE", "A44_BE_2025-03.xml"))
    assert str(caught.value).startswith("entsoe A44_BE_2025-03.xml: ")


def test_no_matching_data_is_no_data():
    text = "<Reason><code>999</code><text>No matching data found for Data item Day-ahead Prices</text></Reason>"
    with pytest.raises(NoData, match="No matching data found"):
        parse(payload("entsoe", document(text, kind="Acknowledgement_MarketDocument"), "2025-03", "BE"))


@pytest.mark.parametrize("text", ["Too many requests", "TOO MANY REQUESTS: the limit is 400 per minute"])
def test_throttling_in_a_document_is_a_transient_error(text):
    reason = f"<Reason><code>999</code><text>{text}</text></Reason>"
    body = document(reason, kind="Acknowledgement_MarketDocument")
    with pytest.raises(SourceError, match=f"the platform throttles: '999 {text}'"):
        parse(payload("entsoe", body, "2025-03", "BE"))
    throttled = SOURCES["entsoe"].ACCESS.throttled
    assert re.search(throttled, body.decode(), re.IGNORECASE | re.DOTALL)
    refusal = document(REFUSAL, kind="Acknowledgement_MarketDocument")
    assert not re.search(throttled, refusal.decode(), re.IGNORECASE | re.DOTALL)


def test_the_zone_of_an_unknown_entity_comes_from_its_area_code():
    result = read(series(period("2025-03-03", "2025-03-04", {1: 5}), eic=GERMANY.eic), entity="")
    assert set(result.frames["power"]["zone"]) == {"DE-LU"}


def test_neighbouring_days_belong_to_other_requests():
    result = read(series(period("2025-02-28", "2025-03-03", {1: 5, 30: 6})))
    assert result.frames["power"]["delivery_date"].dt.day.unique().tolist() == [1, 2]
    assert result.rejected == []


def test_entsoe_requests():
    source = SOURCES["entsoe"]
    assert source.requests(month("2014-12"), SCOPE) == []
    (request,) = source.requests(month("2025-03"), SCOPE)
    assert (request.name, request.entity, request.period) == ("A44_BE_2025-03.xml", "BE", "2025-03")
    assert request.secret == ("securityToken", "ENTSOE_API_TOKEN")
    assert request.url == (
        "https://web-api.tp.entsoe.eu/api?documentType=A44&in_Domain=10YBE----------2&out_Domain=10YBE----------2"
        "&periodStart=202502282300&periodEnd=202503312200"
    )


@pytest.mark.parametrize(("resolution", "n"), [("PT60M", 24), ("PT15M", 96)])
def test_a_month_has_all_its_points(resolution, n):
    days = [f"2025-01-{day:02d}" for day in range(1, 32)] + ["2025-02-01"]
    body = document(series(*(period(a, b, flat(n), resolution) for a, b in pairwise(days))))
    response = payload("entsoe", body, "2025-01", "BE")
    assert len(SOURCES["entsoe"].parse(response, SCOPE).frames["power"]) == 31 * n


# --- Energy-Charts ---


def curve(start: str, end: str, step: int = 3600, zone: Zone = GERMANY) -> tuple[list[int], list[object]]:
    """Synthetic instants from one local time to another, and prices 1, 2, 3 …"""
    seconds = list(range(int(local(start, zone).timestamp()), int(local(end, zone).timestamp()), step))
    return seconds, [float(i) for i in range(1, len(seconds) + 1)]


def charts(seconds: object, prices: object, requested: str = "2025-03", entity: str = "DE-LU", **fields: object):
    body = json.dumps({"unix_seconds": seconds, "price": prices, "unit": "EUR / MWh"} | fields).encode()
    return parse(payload("energy_charts", body, requested, entity, f"price_DE-LU_{requested}.json"))


def test_recorded_day(real):
    path = real / "payloads/energy_charts/price_DE-LU_20241208_from_issue179.json"
    result = parse(payload("energy_charts", path, "2024-12", "DE-LU"))
    frame = result.frames["power"]
    assert result.rejected == []
    assert frame["price_eur_mwh"].tolist() == json.loads(path.read_text())["price"]
    assert frame["position"].tolist() == list(range(1, 25))
    assert set(frame["resolution"]) == {"PT60M"}
    assert set(frame["delivery_date"]) == {pd.Timestamp("2024-12-08")}
    DATASETS["power"].model.validate(frame)


def test_recorded_day_does_not_reconcile_with_ember(real):
    """Separate series: Ember's 91.32 is the mean of a day that is delimited differently, not of these 24 points."""
    path = real / "payloads/energy_charts/price_DE-LU_20241208_from_issue179.json"
    frame = parse(payload("energy_charts", path, "2024-12", "DE-LU")).frames["power"]
    ember = pd.read_csv(real / "payloads/ember/european_wholesale_electricity_price_data_daily.csv")
    there = ember[(ember["Country"] == "Germany") & (ember["Date"] == "2024-12-08")]["Price (EUR/MWhe)"].item()
    assert round(frame["price_eur_mwh"].mean(), 2) == 99.07
    assert round(there, 2) == 91.32


@pytest.mark.parametrize(
    ("day", "next_day", "hours"), [("2025-03-30", "2025-03-31", 23), ("2025-10-26", "2025-10-27", 25)]
)
@pytest.mark.parametrize(("step", "resolution"), [(3600, "PT60M"), (900, "PT15M")])
def test_charts_days_of_23_and_25_hours(day, next_day, hours, step, resolution):
    frame = charts(*curve(day, next_day, step), requested=day[:7]).frames["power"]
    n = hours * 3600 // step
    assert set(frame["n_positions"]) == {n}
    assert set(frame["resolution"]) == {resolution}
    assert frame["price_eur_mwh"].tolist() == [float(i) for i in range(1, n + 1)]


def test_the_resolution_may_change_from_day_to_day_and_order_does_not_matter():
    hourly, quarters = curve("2025-09-30", "2025-10-01"), curve("2025-10-01", "2025-10-02", 900)
    result = charts(quarters[0] + hourly[0], quarters[1] + hourly[1], requested="2025-10")
    assert result.frames["power"]["resolution"].unique().tolist() == ["PT15M"]
    result = charts(quarters[0] + hourly[0], quarters[1] + hourly[1], requested="")
    assert result.frames["power"].groupby("delivery_date")["resolution"].first().tolist() == ["PT60M", "PT15M"]
    assert result.frames["power"]["position"].tolist() == [*range(1, 25), *range(1, 97)]


def test_a_null_or_unreadable_price_rejects_its_day_with_a_reason():
    seconds, prices = curve("2025-03-03", "2025-03-05")
    prices[3], prices[5] = None, "n/a"
    result = charts(seconds, prices)
    assert result.frames["power"]["delivery_date"].unique().tolist() == [pd.Timestamp("2025-03-04")]
    assert [(bad.where, bad.raw) for bad in result.rejected] == [
        ("2025-03-03 03:00+0100 of DE-LU", "null"),
        ("2025-03-03 05:00+0100 of DE-LU", '"n/a"'),
    ]
    assert result.rejected[0].reason.startswith("price_eur_mwh: null is not a number; it would read as a repeat")


@pytest.mark.parametrize(
    ("drop", "reason"),
    [
        (
            [5],
            "23 points PT60M apart do not fill the local day of 24 h, the first missing one at 2025-03-03 05:00+0100",
        ),
        (range(1, 24), "1 points 0 s apart do not fill"),
        (
            range(12, 24),
            "12 points PT60M apart do not fill the local day of 24 h, the first missing one at 2025-03-03 12:00",
        ),
    ],
)
def test_an_incomplete_day_is_left_out(drop, reason):
    seconds, prices = curve("2025-03-03", "2025-03-05")
    keep = [i for i in range(48) if i not in drop]
    result = charts([seconds[i] for i in keep], [prices[i] for i in keep])
    assert result.frames["power"]["delivery_date"].unique().tolist() == [pd.Timestamp("2025-03-04")]
    (bad,) = result.rejected
    assert reason in bad.reason


def test_a_time_given_twice():
    seconds, prices = curve("2025-03-03", "2025-03-04")
    assert len(charts(seconds + seconds[:1], prices + prices[:1]).frames["power"]) == 24
    result = charts(seconds + seconds[:1], [*prices, 99.0])
    assert len(result.frames["power"]) == 0
    assert "1.0 and 99.0 for the same time" in result.rejected[0].reason


@pytest.mark.parametrize("unit", ["EUR / MWh", "EUR/MWh", "eur/mwh", "no unit", "", None])
def test_the_unit_has_several_spellings(unit):
    assert len(charts(*curve("2025-03-03", "2025-03-04"), unit=unit).frames["power"]) == 24


def test_negative_prices_and_an_empty_response_are_fine():
    seconds, prices = curve("2025-03-03", "2025-03-04")
    assert charts(seconds, [-price for price in prices]).frames["power"]["price_eur_mwh"].max() == -1.0
    assert len(charts([], []).frames["power"]) == 0


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"unit": "USD / MWh"}, "the unit is 'USD / MWh'; expected EUR / MWh"),
        ({"unit": "EUR / kWh"}, "the unit is 'EUR / kWh'"),
        ({"price": [1.0]}, "not two lists of one length"),
        ({"price": None}, "not two lists of one length"),
        ({"unix_seconds": ["2025-03-03"] * 24}, "something else than whole seconds"),
        ({"requested": "2025-02"}, "the response is for 2025-03, not 2025-02"),
        ({"entity": "XX"}, "zone 'XX' is not known; expected one of DE-LU, BE"),
    ],
)
def test_charts_responses_that_cannot_be_used(fields, problem):
    seconds, prices = curve("2025-03-03", "2025-03-04")
    with pytest.raises(SourceError, match=problem):
        charts(**({"seconds": seconds, "prices": prices} | fields))


def test_charts_json_that_is_cut():
    body = json.dumps(dict(zip(("unix_seconds", "price"), curve("2025-03-03", "2025-03-04"), strict=True))).encode()
    with pytest.raises(SourceError, match="energy_charts request: the response is not JSON"):
        parse(payload("energy_charts", body[:200], "2025-03", "DE-LU"))


def test_charts_requests():
    source = SOURCES["energy_charts"]
    assert source.requests(month("2014-12"), SCOPE) == []
    (request,) = source.requests(month("2024-02"), SCOPE)
    assert (request.name, request.entity, request.period) == ("price_DE-LU_2024-02.json", "DE-LU", "2024-02")
    assert request.url == "https://api.energy-charts.info/price?bzn=DE-LU&start=2024-02-01&end=2024-02-29"
