"""SMARD, Ember and the Shanghai exchange. Only Ember is recorded: the other responses here are written by hand."""

from __future__ import annotations

import csv
import datetime as dt
import json
from collections import Counter, defaultdict
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pandas as pd
import pytest
from sourcing import ALUMINIUM, COPPER, GERMANY, SCOPE, month, parse, payload

from pipelines.sources import SOURCES
from pipelines.sources.base import Metal, Parsed, Scope, SourceError
from schemas.datasets import DATASETS

BERLIN = ZoneInfo("Europe/Berlin")

# --- SMARD ---


def instant(day: str) -> int:
    """Milliseconds of a local midnight."""
    return int(dt.datetime.fromisoformat(day).replace(tzinfo=BERLIN).timestamp()) * 1000


def week(monday: str, resolution: str = "hour") -> list[list[object]]:
    """A file's points: prices 1, 2, 3 … from Monday to Sunday."""
    end = str(dt.date.fromisoformat(monday) + dt.timedelta(days=7))
    starts = range(instant(monday), instant(end), {"hour": 3_600_000, "quarterhour": 900_000}[resolution])
    return [[start, float(n)] for n, start in enumerate(starts, start=1)]


def smard(series: object, monday: str, resolution: str = "hour", entity: str = "DE-LU") -> Parsed:
    body = json.dumps({"meta_data": {"version": 1}, "series": series}).encode()
    return parse(payload("smard", body, "", entity, f"4169_DE-LU_{resolution}_{instant(monday)}.json"))


def points(response: Parsed) -> dict[str, tuple[str, int, float]]:
    """Resolution, number of points and first point of each day."""
    frame = response.frames["power"]
    if len(frame):
        DATASETS["power"].model.validate(frame)
    days = frame.groupby(frame["delivery_date"].dt.strftime("%Y-%m-%d"))
    return {day: (rows["resolution"].iloc[0], len(rows), rows["price_eur_mwh"].iloc[0]) for day, rows in days}


@pytest.mark.parametrize("text", ["2024-03", "2024-04", "2024-10", "2024-11", "2025-12", "2026-01"])
def test_the_weeks_of_a_month_begin_on_local_mondays_on_both_sides_of_the_change_of_the_clock(text: str) -> None:
    requested = SOURCES["smard"].requests(month(text), SCOPE)
    starts = [int(request.name.rpartition("_")[2].removesuffix(".json")) for request in requested]
    mondays = [dt.datetime.fromtimestamp(start / 1000, BERLIN) for start in starts]
    assert all((day.weekday(), day.hour, day.minute) == (0, 0, 0) for day in mondays)
    assert all(later.date() - day.date() == dt.timedelta(days=7) for day, later in pairwise(mondays))
    first, last = month(text).start_time.date(), month(text).end_time.date()
    assert mondays[0].date() <= first < mondays[0].date() + dt.timedelta(days=7)
    assert mondays[-1].date() <= last < mondays[-1].date() + dt.timedelta(days=7)


def test_smard_requests() -> None:
    source = SOURCES["smard"]
    assert source.requests(month("2018-09"), SCOPE) == []
    requested = source.requests(month("2024-03"), SCOPE)
    assert [request.entity for request in requested] == ["DE-LU"] * 5
    assert requested[0].url == (
        "https://www.smard.de/app/chart_data/4169/DE-LU/4169_DE-LU_hour_1708902000000.json"  # 26 February
    )
    assert (requested[0].name, requested[0].period) == (requested[0].url.rpartition("/")[2], "2024-03")
    elsewhere = replace(GERMANY, source="entsoe"), replace(GERMANY, zone="SE1")
    assert source.requests(month("2024-03"), replace(SCOPE, zones=elsewhere)) == []


def test_a_week_belongs_to_two_months_and_is_one_request() -> None:
    april, may = (set(SOURCES["smard"].requests(month(text), SCOPE)) for text in ("2024-04", "2024-05"))
    (shared,) = april & may
    assert shared.name == f"4169_DE-LU_hour_{instant('2024-04-29')}.json"
    assert shared.period == "2024-05", "only then is all of it out"


def test_the_resolution_changes_with_the_market_in_the_middle_of_a_week() -> None:
    names = {
        text: [request.name.split("_", 2)[2] for request in SOURCES["smard"].requests(month(text), SCOPE)]
        for text in ("2025-09", "2025-10")
    }
    start = instant("2025-09-29")
    assert names["2025-09"][-1] == f"hour_{start}.json"
    assert names["2025-10"][0] == f"quarterhour_{start}.json"
    assert {name.split("_")[0] for name in names["2025-10"]} == {"quarterhour"}
    hours = points(smard(week("2025-09-29"), "2025-09-29"))
    assert hours == {"2025-09-29": ("PT60M", 24, 1.0), "2025-09-30": ("PT60M", 24, 25.0)}
    quarters = points(smard(week("2025-09-29", "quarterhour"), "2025-09-29", "quarterhour"))
    assert list(quarters) == [f"2025-10-0{n}" for n in range(1, 6)]
    assert quarters["2025-10-01"] == ("PT15M", 96, 193.0)


def test_quarter_hours_that_repeat_the_hour_are_not_read() -> None:
    """Quarter-hourly files from before the quarter-hourly market repeat the price of each hour four times."""
    assert points(smard(week("2024-05-06", "quarterhour"), "2024-05-06", "quarterhour")) == {}


@pytest.mark.parametrize(
    ("monday", "resolution", "day", "n"),
    [
        ("2024-03-25", "hour", "2024-03-31", 23),
        ("2024-10-21", "hour", "2024-10-27", 25),
        ("2025-10-20", "quarterhour", "2025-10-26", 100),
        ("2026-03-23", "quarterhour", "2026-03-29", 92),
    ],
)
def test_smard_days_of_23_and_25_hours(monday: str, resolution: str, day: str, n: int) -> None:
    response = smard(week(monday, resolution), monday, resolution)
    found = points(response)
    assert found[day][1] == n
    assert len(found) == 7
    assert response.rejected == []


def test_a_price_that_is_not_published_yet_is_left_out() -> None:
    """The current week ends in nulls or without points; a day that has begun is incomplete too."""
    series = week("2024-05-06")
    for end in (48, 60):
        nulls = [[start, price if n < end else None] for n, (start, price) in enumerate(series)]
        for given in (nulls, series[:end]):
            response = smard(given, "2024-05-06")
            assert list(points(response)) == ["2024-05-06", "2024-05-07"]
            assert response.rejected == []
    assert points(smard([[start, None] for start, _ in series], "2024-05-06")) == {}


def test_a_hole_before_the_last_price_rejects_its_day() -> None:
    series = week("2024-05-06")
    series[30][1] = None
    series[31][1] = "n/a"
    del series[33]
    response = smard(series, "2024-05-06")
    assert len(points(response)) == 6
    assert "2024-05-07" not in points(response)
    assert [(bad.where, bad.raw) for bad in response.rejected] == [
        ("2024-05-07T04:00Z of DE-LU", "null"),
        ("2024-05-07T05:00Z of DE-LU", '"n/a"'),
        ("2024-05-07T07:00Z of DE-LU", "null"),
    ]
    assert response.rejected[0].reason.startswith("price_eur_mwh: null is not a number; it would read as a repeat")


def test_two_values_for_one_time_reject_their_day_only() -> None:
    series = week("2024-10-21")  # 27 October has 25 hours
    last = series[-1]
    response = smard([*series, list(last), [last[0], 7.0]], "2024-10-21")
    assert list(points(response)) == [f"2024-10-{day}" for day in range(21, 27)]
    [bad] = response.rejected
    assert bad.reason == "price_eur_mwh: 2024-10-27T22:00Z has both 169.0 and 7.0; the day is left out"


@pytest.mark.parametrize(
    ("series", "message"),
    [
        (week("2024-05-13"), "2024-05-12T22:00Z is no hour of the week of 2024-05-06"),
        (week("2024-05-06", "quarterhour"), "2024-05-05T22:15Z is no hour of the week"),
        ([[instant("2024-05-06") + 1, 5.0]], "is no hour of the week"),
        ([[instant("2024-05-06"), 5.0], [instant("2024-05-06"), 6.0]], "2024-05-05T22:00Z has both 5.0 and 6.0"),
        ([[1]], "series is no list of pairs"),
        ([["2024-05-06", 5.0]], "series is no list of pairs"),
        (None, "series is no list of pairs"),
    ],
)
def test_smard_responses_that_cannot_be_used(series: object, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        smard(series, "2024-05-06")


def test_an_unknown_zone_or_name_is_an_error() -> None:
    with pytest.raises(SourceError, match="zone 'XX' is not known; expected one of DE-LU, BE"):
        smard(week("2024-05-06"), "2024-05-06", entity="XX")
    with pytest.raises(SourceError, match="the name contains no week"):
        smard(week("2024-05-07"), "2024-05-07")  # a Tuesday


# --- Ember ---

HEADER = "Country,ISO3 Code,Date,Price (EUR/MWhe)"
FILE = "payloads/ember/european_wholesale_electricity_price_data_daily.csv"


def ember(*lines: str, header: str = HEADER) -> Parsed:
    return parse(payload("ember", "\n".join([header, *lines, ""]).encode()))


@pytest.mark.slow
def test_the_recorded_file_cell_for_cell(real: Path) -> None:
    """Against an independent parser: every cell is kept, blank, or the second of two that differ."""
    result = parse(payload("ember", real / FILE))
    with (real / FILE).open(newline="", encoding="utf-8") as file:
        rows = [(row["ISO3 Code"], row["Date"], row["Price (EUR/MWhe)"]) for row in csv.DictReader(file)]
    given = defaultdict(list)
    for country, day, price in rows:
        if price:
            given[country, day].append(float(price))
    frame = result.frames["benchmark_power"]
    found = dict(
        zip(
            zip(frame["country"], frame["delivery_date"].dt.strftime("%Y-%m-%d"), strict=True),
            frame["mean_eur_mwh"],
            strict=True,
        )
    )
    assert found == {key: prices[0] for key, prices in given.items()}
    assert (len(rows), len(found), frame["country"].nunique()) == (116_871, 116_813, 31)
    assert sum(not price for _, _, price in rows) == 22
    twice = [key for key, prices in given.items() if len(set(prices)) > 1]
    assert [bad.raw.split(",")[1:3] for bad in result.rejected] == [list(key) for key in twice]
    assert Counter(key[0] for key in twice).keys() == {"GBR", "IRL"}
    assert len(twice) == 36
    DATASETS["benchmark_power"].model.validate(frame)


def test_blanks_are_missing_and_repeats_count_once() -> None:
    result = ember(
        "Germany,DEU,2024-12-08,91.32",
        "Germany,DEU,2024-12-07,-3.1",
        "Germany,DEU,2024-12-09,",
        "",
        "Germany,DEU,2024-12-08,91.32",
        "Germany,DEU,2024-12-08,99.07",
    )
    assert result.frames["benchmark_power"].values.tolist() == [
        ["DEU", pd.Timestamp("2024-12-07"), -3.1], ["DEU", pd.Timestamp("2024-12-08"), 91.32],
    ]  # fmt: skip
    assert [(bad.where, bad.raw, bad.reason) for bad in result.rejected] == [
        (
            "line 7",
            "Germany,DEU,2024-12-08,99.07",
            "contradicts an earlier row of country DEU and delivery_date 2024-12-08, which is kept",
        )
    ]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("Germany,DEU,2024-12-08,9x.1", "mean_eur_mwh: '9x.1' is not a number"),
        ("Germany,DEU,2024-12-08,nan", "mean_eur_mwh: 'nan' is not a number"),
        ("Germany,DEU,2024-12-08,1e3", "mean_eur_mwh: '1e3' is not a number"),
        ("Germany,DEU,2024-12-08", "mean_eur_mwh: '(no cell)' is not a number"),
        ("Germany,DEU,2024-02-30,91.32", "delivery_date: '2024-02-30' is not a date YYYY-MM-DD"),
        ("Germany,DEU,08/12/2024,91.32", "delivery_date: '08/12/2024' is not a date YYYY-MM-DD"),
    ],
)
def test_a_cell_that_cannot_be_read_is_rejected_alone(line: str, reason: str) -> None:
    result = ember("France,FRA,2024-12-08,80.5", line)
    assert result.frames["benchmark_power"]["mean_eur_mwh"].tolist() == [80.5]
    assert [(bad.where, bad.reason) for bad in result.rejected] == [("line 3", reason)]


def test_the_order_of_columns_is_free_and_a_missing_one_is_an_error() -> None:
    result = ember("2024-12-08,80.5,FRA", header="Date,Price (EUR/MWhe),ISO3 Code")
    assert result.frames["benchmark_power"]["country"].tolist() == ["FRA"]
    with pytest.raises(SourceError, match=r"no column Price \(EUR/MWhe\) in the first line: 'Country,ISO3 Code,Date"):
        ember("Germany,DEU,2024-12-08,91.32", header="Country,ISO3 Code,Date,Price (GBP/MWh)")


def test_ember_requests() -> None:
    assert SOURCES["ember"].requests(month("2014-12"), SCOPE) == []
    (request,) = SOURCES["ember"].requests(month("2015-01"), SCOPE)
    assert request.name == "european_wholesale_electricity_price_data_daily.csv"
    assert request.url == f"https://files.ember-energy.org/public-downloads/price/outputs/{request.name}"


# --- Shanghai ---

HEADS = (
    '<tr><td rowspan="2">地区</td><td rowspan="2">仓库</td><td colspan="2">上周库存</td><td colspan="2">本周库存</td>'
    '<td colspan="2">库存增减</td><td colspan="3">可用库容量</td></tr>'
    "<tr><td>小计</td><td>期货</td><td>小计</td><td>期货</td><td>小计</td><td>期货</td>"
    "<td>上周</td><td>本周</td><td>增减</td></tr>"
)


def block(name: str, total: str, unit: str = "单位\uff1a吨", heads: str = HEADS, on_warrant: str = "9") -> str:
    """A metal's rows: two warehouses, a subtotal of their region, and the total."""

    def row(first: str, figure: str, part: str = "9") -> str:
        return f"<tr>{first}<td>1</td><td>2</td><td>{figure}</td><td>{part}</td>{'<td>8</td>' * 5}</tr>"

    return (
        f"{heads}<tr><td>{name}</td><td>{unit}</td></tr>{row('<td rowspan=3>上海</td><td>国储</td>', '111')}"
        f"{row('<td>中储</td>', '222')}{row('<td>合计</td>', '333')}{row('<td colspan=2>总计</td>', total, on_warrant)}"
    )


def page(*blocks: str, day: str = "2026-01-16", one_table: bool = False) -> bytes:
    """A report in the publisher's form: the day above, then the metals, in a table each or all in one."""
    inner = f"<table>{''.join(blocks)}</table>" if one_table else "".join(f"<table>{one}</table>" for one in blocks)
    return f"<html><body><table><tr><td>{day} 指定交割仓库库存周报</td></tr></table>{inner}</body></html>".encode()


def report(body: bytes, scope: Scope = SCOPE) -> Parsed:
    return parse(payload("shfe", body, "2026-01", name="weeklystock_20260116.html"), scope)


def totals(response: Parsed) -> list[tuple[str, str, float, float | None]]:
    frame = response.frames["exchange_stocks"]
    assert set(frame["exchange"]) <= {"SHFE"} and set(frame["obs_date"]) <= {pd.Timestamp("2026-01-16")}
    parts = frame["on_warrant_t"].astype(object).where(frame["on_warrant_t"].notna(), None)
    return list(zip(frame["metal"], frame["product"], frame["total_t"], parts, strict=True))


BOTH = Scope((ALUMINIUM, COPPER), ())
METALS = (
    block("铜", "120,500"), block("氧化铝", "301,000", on_warrant="299,000"),
    block("铝", "204,967", on_warrant="71,005"), block("铸造铝合金", "77"),
)  # fmt: skip
ALL_OF_ALUMINIUM = [
    ("AL", "ALUMINA", 301_000, 299_000), ("AL", "CAST_ALLOY", 77, 9), ("AL", "METAL", 204_967, 71_005),
]  # fmt: skip


@pytest.mark.parametrize("one_table", [False, True])
def test_this_week_by_metal_and_product(one_table: bool) -> None:
    """Neither last week's nor a region's; alumina and the alloy, whose names contain the metal's, apart from it."""
    response = report(page(*METALS, one_table=one_table))
    assert totals(response) == ALL_OF_ALUMINIUM
    assert totals(report(page(*METALS, one_table=one_table), BOTH))[3:] == [("CU", "METAL", 120_500, 9)]
    assert response.rejected == []


def test_a_page_without_products_or_without_a_column_of_metal_on_warrant() -> None:
    heads = HEADS.replace("<td>期货</td>", "<td>其他</td>")
    assert totals(report(page(block("铝", "204,967", heads=heads)))) == [("AL", "METAL", 204_967, None)]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (block("铝", "--"), "total_t: '--' is not a number"),
        (block("铝", "204967", unit="单位\uff1a千克"), "total_t: the unit is '千克', not '吨'"),
        (block("铝", "204967", heads=HEADS.replace("本周库存", "库存")), "total_t: '(no cell)' is not a number"),
    ],
)
def test_a_total_that_cannot_be_read_is_rejected_and_the_other_stays(bad: str, reason: str) -> None:
    response = report(page(bad, block("铜", "120500")), BOTH)
    assert [row[0] for row in totals(response)] == ["CU"]
    assert [(row.dataset, row.where, row.reason) for row in response.rejected] == [
        ("exchange_stocks", "铝 总计", reason)
    ]
    assert response.rejected[0].raw.startswith("总计")


def test_metal_on_warrant_that_cannot_be_read_leaves_the_total() -> None:
    response = report(page(block("铝", "204967", on_warrant="7x")))
    assert totals(response) == [("AL", "METAL", 204_967, None)]
    assert [row.reason for row in response.rejected] == ["on_warrant_t: '7x' is not a number"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (page(*METALS, day="2026-01-09"), "the report is of 2026-01-09; expected the day of weeklystock_20260116.html"),
        (page(*METALS, day=""), "no day in the page, which starts '<html><body><table>"),
        (page(METALS[0]), "none of 铝 in the page, only 铜"),
        (page(), "none of 铝 in the page, only no metal"),
    ],
)
def test_a_page_of_another_report_is_an_error(body: bytes, message: str) -> None:
    with pytest.raises(SourceError) as caught:
        report(body)
    assert str(caught.value).startswith(f"shfe weeklystock_20260116.html: {message}")


def test_a_metal_without_a_chinese_name_is_not_searched() -> None:
    cobalt = Metal("CO", "Cobalt", "", "", "", "")
    assert totals(report(page(*METALS), Scope((cobalt,), ()))) == []


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("2025-10", []),
        ("2025-11", ["21", "28"]),  # the report in this form begins on the 21st
        ("2026-01", ["09", "16", "23", "30"]),  # Friday the 2nd is a holiday, and the week's last day is in December
        ("2025-12", ["05", "12", "19", "26", "31"]),
        ("2026-02", ["06", "13", "27"]),  # a week of holidays at the Spring Festival
        ("2026-09", ["04", "11", "18", "24", "30"]),  # the Mid-Autumn Festival is on a Friday
    ],
)
def test_one_report_a_week_on_its_last_trading_day(text: str, days: list[str]) -> None:
    requested = SOURCES["shfe"].requests(month(text), SCOPE)
    assert [request.name for request in requested] == [f"weeklystock_{text.replace('-', '')}{day}.html" for day in days]
    for request in requested:
        stem = request.name.removesuffix(".html")
        assert request.url == f"https://www.shfe.com.cn/data/tradedata/future/stockdata/{stem}/ZH/all.html"
