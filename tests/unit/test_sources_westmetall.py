"""Westmetall: the recorded pages cell for cell, and the known defects in small synthetic pages."""

from __future__ import annotations

import re

import pandas as pd
import pytest
from sourcing import ALUMINIUM, BOT_WALL, COPPER, SCOPE, month, parse, payload

from pipelines.sources import SOURCES
from pipelines.sources.base import NoData, Scope, SourceError

YEARS = range(2020, 2025)
HEAD = "<tr><th>date</th><th>LME Aluminium {}</th><th>LME Aluminium {}</th><th>LME Aluminium {}</th></tr>"
HEADER = HEAD.format("Cash-Settlement", "3-month", "stock")


def page(*rows: str, year: int = 2008, header: str = HEADER, code: str = "Al") -> bytes:
    """A synthetic page in the publisher's form; a row is `date | cash | 3-month | stock`."""
    link = f'<a class="active" href="markdaten.php?action=table&amp;field=LME_{code}_cash&amp;year={year}">{year}</a>'
    cells = [
        r if r.startswith("<tr") else "<tr>" + "".join(f"<td>{c.strip()}</td>" for c in r.split("|")) + "</tr>"
        for r in rows
    ]
    table = f"<table><thead>{header}</thead><tbody>{''.join(cells)}</tbody></table>"
    return f"<html><body>{link}{table}</body></html>".encode()


def read(*rows: str, year: int = 2008, **form):
    return parse(payload("westmetall", page(*rows, year=year, **form), period=str(year), entity="AL"))


@pytest.mark.parametrize("year", YEARS)
def test_recorded_page_cell_for_cell(real, year):
    path = real / f"payloads/westmetall/westmetall_lme_al_{year}.html"
    result = parse(payload("westmetall", path, period=str(year), entity="AL"))
    row = re.compile(
        r"<td >(\d\d)\. (\w+) (\d{4})</td>\s*<td >([^<]*)</td>\s*<td >([^<]*)</td>\s*<td class=\"last\">([^<]*)</td>"
    )
    found = row.findall(path.read_text())
    assert len(found) > 250
    assert path.read_text().count("<td >") == 3 * len(found), "the oracle sees every row"
    expected = {
        pd.to_datetime(f"{d} {m} {y}", format="%d %B %Y"): [float(x.replace(",", "")) for x in cells]
        for d, m, y, *cells in found
    }
    prices, stocks, spreads = (result.frames[name].set_index("obs_date") for name in ("prices", "stocks", "spreads"))
    assert result.rejected == []
    for frame in (prices, stocks, spreads):
        assert list(frame.index) == sorted(expected)
        assert set(frame["metal"]) == {"AL"}
    for day, (cash, m3, stock) in expected.items():
        assert (prices.loc[day, "cash_usd_t"], prices.loc[day, "m3_usd_t"]) == (cash, m3)
        assert stocks.loc[day, "total_t"] == stock
        assert spreads.loc[day, "usd_t"] == pytest.approx(cash - m3, abs=1e-9)
    assert prices["days_cash_to_3m"].isna().all()
    assert stocks["cancelled_t"].isna().all()


def test_recorded_pages_agree_with_an_independent_table(real):
    pages = [
        parse(payload("westmetall", real / f"payloads/westmetall/westmetall_lme_al_{y}.html", str(y), "AL")).frames
        for y in YEARS
    ]
    for name, file in (("prices", "lme_prices_daily.csv"), ("stocks", "lme_stocks_daily.csv")):
        ours = pd.concat(page[name] for page in pages).set_index("obs_date")
        table = pd.read_csv(real / "tables" / file, parse_dates=["obs_date"]).set_index("obs_date").loc["2020":"2024"]
        column = "cash_usd_t" if name == "prices" else "total_t"
        both = pd.concat([ours[column], table[column]], axis=1, keys=["page", "table"], join="inner")
        assert len(both) > 1200
        assert (both["page"] == both["table"]).mean() > 0.999


def test_real_jumps_pass(real):
    frames = {
        y: parse(payload("westmetall", real / f"payloads/westmetall/westmetall_lme_al_{y}.html", str(y), "AL")).frames
        for y in (2022, 2024)
    }
    stock = frames[2024]["stocks"].set_index("obs_date")["total_t"].pct_change()
    cash = frames[2022]["prices"].set_index("obs_date")["cash_usd_t"].pct_change()
    assert stock["2024-05-10"] == pytest.approx(0.88, abs=0.01)
    assert cash["2022-03-08"] == pytest.approx(-0.12, abs=0.01)


def test_blank_three_month_price_is_missing_and_makes_no_spread():
    result = read("20. February 2008 | 2,800.00 | | 950,000", "19. February 2008 | 2,790.00 | 2,800.50 | 950,000")
    prices = result.frames["prices"].set_index("obs_date")
    assert prices.loc["2008-02-20", "cash_usd_t"] == 2800.0
    assert pd.isna(prices.loc["2008-02-20", "m3_usd_t"])
    assert result.frames["spreads"][["obs_date", "usd_t"]].values.tolist() == [[pd.Timestamp("2008-02-19"), -10.5]]
    assert result.rejected == []


def test_blank_stock_and_a_day_without_any_price():
    result = read("13. October 2011 | 2,200.00 | - | &nbsp;", "12. October 2011 | | | 4,500,000", year=2011)
    assert result.frames["prices"]["obs_date"].tolist() == [pd.Timestamp("2011-10-13")]
    assert result.frames["stocks"]["obs_date"].tolist() == [pd.Timestamp("2011-10-12")]
    assert result.rejected == []


def test_a_three_month_price_alone_is_a_row():
    result = read("20. February 2008 | - | 2,800.50 | 950,000")
    assert result.frames["prices"]["m3_usd_t"].tolist() == [2800.5]
    assert result.frames["prices"]["cash_usd_t"].isna().all()
    assert len(result.frames["spreads"]) == 0


def test_rules_of_the_schema_are_not_checked_by_the_parser():
    result = read("08. November 2008 | -5.00 | 2,339.00 | 1,500,000")  # a Saturday, a negative price
    assert result.frames["prices"].iloc[0][["cash_usd_t", "m3_usd_t"]].tolist() == [-5.0, 2339.0]
    assert result.rejected == []


@pytest.mark.parametrize(
    ("row", "dataset", "reason"),
    [
        ("02. June 2008 | 2,5x8.00 | 2,900.00 | 1,000", "prices", "cash_usd_t: '2,5x8.00' is not a number"),
        ("02. June 2008 | 2,900.00 | n/a | 1,000", "prices", "m3_usd_t: 'n/a' is not a number"),
        ("02. June 2008 | 2,900.00 | 2,910.00 | 1.000.000", "stocks", "total_t: '1.000.000' is not a number"),
        ("02. June 2008 | 2,900.00 | 2,910.00", "stocks", "total_t: '(no cell)' is not a number"),
    ],
)
def test_an_unreadable_cell_is_rejected_with_its_place_and_the_rest_stays(row, dataset, reason):
    result = read("03. June 2008 | 2,950.00 | 2,960.00 | 999", row)
    (bad,) = result.rejected
    assert (bad.dataset, bad.where, bad.reason) == (dataset, "table row 3", reason)
    assert "02. June 2008" in bad.raw
    other = "stocks" if dataset == "prices" else "prices"
    assert len(result.frames[dataset]) == 1
    assert len(result.frames[other]) == 2
    assert len(result.frames["spreads"]) == len(result.frames["prices"]), "a rejected price makes no spread"


@pytest.mark.parametrize("date", ["31. Febuary 2008", "31. February 2008", "2008-06-02", "02. June 2009"])
def test_an_unreadable_or_foreign_date_is_rejected_for_prices_and_stocks(date):
    result = read("03. June 2008 | 2,950.00 | 2,960.00 | 999", f"{date} | 2,900.00 | 2,910.00 | 1,000")
    assert [bad.dataset for bad in result.rejected] == ["prices", "stocks"]
    assert all(bad.reason.startswith("obs_date: ") for bad in result.rejected)
    assert len(result.frames["prices"]) == 1


def test_repeats_and_contradictions():
    row = "02. June 2008 | 2,900.00 | 2,910.00 | 1,000"
    result = read(row, row, row.replace("2,900", "2,901"))
    assert result.frames["prices"]["cash_usd_t"].tolist() == [2900.0]
    assert [(bad.dataset, bad.where) for bad in result.rejected] == [
        ("prices", "table row 4"),
        ("spreads", "table row 4"),
    ]


def test_december_of_the_previous_year_is_read_from_its_own_page_only():
    """A page of early January may have such rows; the recorded pages have none."""
    january, december = "02. January 2008 | 2,350 | 2,380 | 930,000", "31. December 2007 | 2,340 | 2,370 | 929,000"
    result = read(january, december, december)
    assert result.frames["prices"]["obs_date"].tolist() == [pd.Timestamp("2008-01-02")]
    assert len(result.frames["stocks"]) == len(result.frames["spreads"]) == 1
    assert result.rejected == []
    with pytest.raises(NoData, match="the table has no day of 2008"):
        read(december)


def test_columns_are_found_by_their_names_and_headers_repeat():
    swapped = HEAD.format("stock", "3-month", "Cash-Settlement")
    result = read(
        "02. June 2008 | 1,000 | 2,910.00 | 2,900.00",
        HEADER,
        "30. May 2008 | 2,800.00 | 2,810.00 | 990",
        header=swapped,
    )
    assert result.frames["prices"]["cash_usd_t"].tolist() == [2800.0, 2900.0]
    assert result.frames["stocks"]["total_t"].tolist() == [990.0, 1000.0]


def test_requests():
    source = SOURCES["westmetall"]
    scope = Scope((ALUMINIUM, COPPER), ())
    assert source.requests(month("2007-12"), scope) == []
    al, cu = source.requests(month("2024-05"), scope)
    assert (al.name, al.entity, al.period) == ("westmetall_lme_al_2024.html", "AL", "2024")
    assert al.url == "https://www.westmetall.com/en/markdaten.php?action=table&field=LME_Al_cash&year=2024"
    assert cu.name == "westmetall_lme_cu_2024.html"


ROW = "02. June 2008 | 2,900.00 | 2,910.00 | 1,000"


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (BOT_WALL, "no price table in the page, which starts '<!DOCTYPE html><html><head><title>Just a moment"),
        (page(ROW, header="<tr><th>date</th><th>price</th></tr>"), "no price table"),
        (page(ROW).split(b"</table>")[0], "the page is truncated inside its table, after row 1"),
        (page(ROW, year=2009), "the page is for year 2009, not 2008"),
        (page(ROW, code="Cu"), "the page is for field LME_Cu_cash, not LME_Al_cash"),
        (page(ROW.replace("2008", "2007")), "the response is for 2007, not 2008"),
    ],
)
def test_an_unexpected_page_is_an_error(body, problem):
    with pytest.raises(SourceError) as caught:
        parse(payload("westmetall", body, "2008", "AL", "westmetall_lme_al_2008.html"))
    assert str(caught.value).startswith(f"westmetall westmetall_lme_al_2008.html: {problem}")
    assert "columns date, Cash-Settlement, 3-month, stock" in caught.value.expected


def test_a_link_that_is_no_address_is_ignored():
    body = page(ROW).replace(b'href="markdaten.php', b'href="https://[markdaten.php')
    result = parse(payload("westmetall", body, "2008", "AL"))
    assert result.frames["prices"]["cash_usd_t"].tolist() == [2900.0]


def test_an_unknown_metal_and_an_empty_table():
    with pytest.raises(SourceError, match="metal 'ZN' is not known; expected one of AL"):
        SOURCES["westmetall"].parse(payload("westmetall", page(ROW), "2008", "ZN"), SCOPE)
    with pytest.raises(NoData, match="the table has no day of 2008"):
        read()
