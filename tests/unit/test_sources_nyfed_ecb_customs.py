"""New York Fed, ECB and China customs. No response of theirs is recorded: every fixture here is synthetic."""

from __future__ import annotations

import json

import pandas as pd
import pytest
from sourcing import ALUMINIUM, BOT_WALL, COPPER, SCOPE, month, parse, payload

from pipelines.sources import SOURCES
from pipelines.sources.base import NoData, Scope, SourceError

# --- New York Fed ---


def sofr(*entries: object, **envelope: object):
    body = json.dumps({"refRates": list(entries)} | envelope).encode()
    return parse(payload("nyfed", body, "2024", "SOFR", "sofr_2024.json"))


def rate(day: object, value: object, kind: str = "SOFR") -> dict[str, object]:
    return {"effectiveDate": day, "type": kind, "percentRate": value, "revisionIndicator": ""}


def test_sofr():
    result = sofr(
        rate("2024-05-03", 5.31), rate("2024-05-03", 4.9, "TGCR"), rate("2024-05-02", -0.1), rate("2024-05-01", 5)
    )
    assert result.frames["rates"].values.tolist() == [
        ["SOFR", pd.Timestamp("2024-05-01"), 5.0], ["SOFR", pd.Timestamp("2024-05-02"), -0.1],
        ["SOFR", pd.Timestamp("2024-05-03"), 5.31],
    ]  # fmt: skip
    assert result.rejected == []
    assert len(sofr().frames["rates"]) == 0, "a year that has not begun"


@pytest.mark.parametrize("order", [1, -1])
def test_a_revised_rate_replaces_the_first_one(order):
    """One response may have both rates: the revised one is used in any order, and neither is rejected."""
    first, revised = rate("2024-05-02", 5.31), rate("2024-05-02", 5.34) | {"revisionIndicator": "r"}
    other = rate("2024-05-02", 4.9, "TGCR") | {"revisionIndicator": "r"}
    result = sofr(other, *[first, revised][::order], rate("2024-05-03", 5.32))
    assert result.frames["rates"]["rate_pct"].tolist() == [5.34, 5.32]
    assert result.rejected == []
    result = sofr(revised, revised | {"percentRate": 5.35})
    assert [bad.reason for bad in result.rejected] == [
        "contradicts an earlier row of rate_id SOFR and obs_date 2024-05-02, which is kept"
    ]


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (rate("2024-05-02", "n/a"), 'rate_pct: "n/a" is not a number'),
        (rate("2024-05-02", None), "rate_pct: null is not a number"),
        (rate("2024-05-02", float("nan")), "rate_pct: NaN is not a number"),
        (rate("05/02/2024", 5.3), "obs_date: '05/02/2024' is not a date YYYY-MM-DD"),
        (rate("2023-12-29", 5.3), "obs_date: 2023-12-29 is not in 2024"),
        ("5.3", 'obs_date: "5.3" is no object'),
        (rate("2024-05-03", 5.32), "contradicts an earlier row of rate_id SOFR and obs_date 2024-05-03"),
    ],
)
def test_sofr_entries_that_cannot_be_read(entry, reason):
    result = sofr(rate("2024-05-03", 5.31), rate("2024-05-06", 5.3), entry)
    (bad,) = result.rejected
    assert (bad.dataset, bad.where) == ("rates", "refRates[2]")
    assert bad.reason.startswith(reason)
    assert result.frames["rates"]["rate_pct"].tolist() == [5.31, 5.3]


def test_sofr_responses_that_cannot_be_used():
    with pytest.raises(
        SourceError, match=r"nyfed sofr_2024.json: the response is for 2023, not 2024; expected JSON with"
    ):
        sofr(rate("2023-05-03", 5.06))
    with pytest.raises(SourceError, match="no list refRates in the response"):
        sofr(refRates=None)
    cut = json.dumps({"refRates": [rate("2024-05-03", 5.31)]}).encode()[:-3]
    with pytest.raises(SourceError, match=r"the response is not JSON .*: '{"):
        parse(payload("nyfed", cut, "2024", "SOFR"))


def test_effr_of_every_year():
    """Fields of a recorded row, and a row of 2008: neither percentiles nor a range. Another type is no EFFR."""
    new = {
        "effectiveDate": "2023-06-06", "type": "EFFR", "percentRate": 5.08, "percentPercentile1": 5.05,
        "percentPercentile25": 5.06, "percentPercentile75": 5.08, "percentPercentile99": 5.3, "targetRateFrom": 5.0,
        "targetRateTo": 5.25, "volumeInBillions": 144, "revisionIndicator": "",
    }  # fmt: skip
    old = {"effectiveDate": "2008-01-02", "type": "EFFR", "percentRate": 4.11, "targetRateFrom": 4.25}
    for entry, year, value in ((new, "2023", 5.08), (old, "2008", 4.11)):
        body = json.dumps({"refRates": [entry, {**entry, "type": "OBFR", "percentRate": 9.0}]}).encode()
        result = parse(payload("nyfed", body, year, "EFFR", f"effr_{year}.json"))
        day = pd.Timestamp(str(entry["effectiveDate"]))
        assert (result.frames["rates"].values.tolist(), result.rejected) == ([["EFFR", day, value]], [])


def test_requests_of_the_new_york_fed():
    (effr,) = SOURCES["nyfed"].requests(month("2018-03"), SCOPE)
    assert (effr.name, effr.period, effr.entity) == ("effr_2018.json", "2018", "EFFR")
    page = "https://markets.newyorkfed.org/api/rates"
    days = "search.json?startDate=2018-01-01&endDate=2018-12-31"
    assert effr.url == f"{page}/unsecured/effr/{days}"
    sofr, again = SOURCES["nyfed"].requests(month("2018-04"), SCOPE)
    assert again == effr
    assert (sofr.name, sofr.period, sofr.entity) == ("sofr_2018.json", "2018", "SOFR")
    assert sofr.url == f"{page}/secured/sofr/{days}"
    assert SOURCES["nyfed"].requests(month("2000-06"), SCOPE) == []


# --- ECB ---

HEADER = "KEY,FREQ,CURRENCY,CURRENCY_DENOM,EXR_TYPE,EXR_SUFFIX,TIME_PERIOD,OBS_VALUE,OBS_STATUS,TITLE"


def fx(*lines: str):
    return parse(payload("ecb", "\r\n".join([HEADER, *lines, ""]).encode(), "2024", name="EXR_2024.csv"))


def line(currency: str, day: str, value: str) -> str:
    return f'EXR.D.{currency}.EUR.SP00.A,D,{currency},EUR,SP00,A,{day},{value},A,"{currency}/Euro, ECB"'


def test_reference_rates():
    result = fx(
        line("CNY", "2024-05-02", "7.75"),
        line("USD", "2024-05-01", "NaN"),
        line("USD", "2024-05-02", "1.0698"),
        line("USD", "2024-05-03", ""),
    )
    assert result.frames["fx"].values.tolist() == [
        ["EURCNY", pd.Timestamp("2024-05-02"), 7.75], ["EURUSD", pd.Timestamp("2024-05-02"), 1.0698],
    ]  # fmt: skip
    assert result.rejected == []


@pytest.mark.parametrize(
    ("bad_line", "reason"),
    [
        (line("USD", "2024-05-03", "1.0.8"), "rate: '1.0.8' is not a number"),
        (line("USD", "2024-W18", "1.08"), "obs_date: '2024-W18' is not a date YYYY-MM-DD"),
        (line("USD", "2023-05-03", "1.08"), "obs_date: 2023-05-03 is not in 2024"),
        ("EXR.D.USD.EUR.SP00.A,D,USD,EUR,SP00,A,2024-05-03", "rate: '(no cell)' is not a number"),
        (line("USD", "2024-05-02", "1.07"), "contradicts an earlier row of pair EURUSD and obs_date 2024-05-02"),
    ],
)
def test_reference_rates_that_cannot_be_read(bad_line, reason):
    result = fx(line("USD", "2024-05-02", "1.0698"), line("CNY", "2024-05-02", "7.75"), bad_line)
    (bad,) = result.rejected
    assert (bad.dataset, bad.where, bad.raw.split(",")[0]) == ("fx", "line 4", "EXR.D.USD.EUR.SP00.A")
    assert bad.reason.startswith(reason)
    assert len(result.frames["fx"]) == 2


def test_reference_rate_responses_that_cannot_be_used():
    with pytest.raises(SourceError, match=r"ecb EXR_2024.csv: the response is for 2023, not 2024"):
        fx(line("USD", "2023-05-03", "1.08"))
    with pytest.raises(SourceError, match="no column TIME_PERIOD, OBS_VALUE in the first line: 'KEY,FREQ,CURRENCY,"):
        parse(payload("ecb", b"KEY,FREQ,CURRENCY,CURRENCY_DENOM\n", "2024"))


def test_reference_rate_requests():
    (request,) = SOURCES["ecb"].requests(month("2024-05"), SCOPE)
    assert (request.name, request.period) == ("EXR_2024.csv", "2024")
    assert request.url == (
        "https://data-api.ecb.europa.eu/service/data/EXR/D.USD+CNY.EUR.SP00.A"
        "?format=csvdata&startPeriod=2024-01-01&endPeriod=2024-12-31"
    )


# --- China customs ---


def table13(title: str, groups: str, *rows: str, sub: int = 3, pad: str = "") -> bytes:
    """A synthetic release in the publisher's form: a layout table around it, two header rows, indented names."""
    heads = "".join(f'<td colspan="2">{group.strip()}</td>' for group in groups.split("|"))
    lines = "".join(f"<tr>{pad}{''.join(f'<td>{cell.strip()}</td>' for cell in row.split('|'))}</tr>" for row in rows)
    return f"""<html><body><table><tr><td>Home</td></tr><tr><td>
      <table><tr><td colspan="8">\uff0813\uff09Major Export Commodities in Quantity and Value{title}</td></tr>
      <tr><td colspan=8>Unit:US$1,000</td></tr>
      <tr>{pad}<td rowspan="2">Commodity</td><td rowspan="2">Quantity Unit</td>{heads}</tr>
      <tr>{pad}{"<td>Quantity</td><td>Value</td>" * sub}</tr>{lines}<tr><td colspan=8>Notes</td></tr></table>
    </td></tr></table></body></html>""".encode()


def exports(body: bytes, requested: str, scope: Scope = SCOPE):
    return parse(payload("customs", body, requested, name=f"table13_{requested}.html"), scope)


OTHERS = (
    "Agriculture products* | - | - | 8,000,000 | - | 38,000,000 | - | 1.2",
    "Coke and semi-coke | 10000T | 78 | 1 | 380 | 2 | 1 | 1",
)
UNWROUGHT = "&nbsp;&nbsp;Unwrought aluminium and aluminium products | {} | {} | 1,900,000 | {} | 8,400,000 | 5.6 | -1.2"


@pytest.mark.parametrize(
    ("title", "groups"),
    [
        (",1-5.2024", "5 | 1to5 | Percentage Change"),
        (", 5. 2024", "5 | 1 to 5 | Percentage Change"),
        (", May, 2024", "May | 1 to 5 | Percentage change of 1 to 5 (%)"),
        ("\uff0cMay 2024", " | January-May | % change"),
        (", Jan.-May, 2024", "May | Jan. to May | % change"),
    ],
)
@pytest.mark.parametrize(
    ("unit", "quantity", "kilotonnes"),
    [
        ("10000T", "57.6", 576.0),
        ("10,000 Tons", "58", 580.0),
        ("1000T", "565.3", 565.3),
        ("T", "565,000", 565.0),
        ("KG", "1,500,000", 1.5),
    ],
)
def test_a_month_is_read_in_every_spelling(title, groups, unit, quantity, kilotonnes):
    result = exports(table13(title, groups, *OTHERS, UNWROUGHT.format(unit, quantity, "260")), "2024-05")
    assert result.rejected == []
    assert result.frames["exports"].drop(columns="vintage").values.tolist() == [
        ["AL", "CN", pd.Timestamp("2024-05-31"), 1, pytest.approx(kilotonnes)]
    ]


@pytest.mark.parametrize(
    ("title", "groups"),
    [
        (", January-February, 2024", "January-February | 1 to 2 | Percentage Change"),
        (", 1-2, 2024", "2 | 1to2 | Percentage Change"),
        (",2.2024", "2 | 1 to 2 | Percentage Change"),
        (",1-2.2024", "- | 1-2 | Percentage Change"),
    ],
)
def test_february_holds_two_months(title, groups):
    result = exports(table13(title, groups, UNWROUGHT.format("10000T", "40", "97.6")), "2024-02")
    assert result.frames["exports"].drop(columns="vintage").values.tolist() == [
        ["AL", "CN", pd.Timestamp("2024-02-29"), 2, 976.0]
    ]


def test_february_where_the_pool_is_the_only_quantity():
    row = "Unwrought Aluminum and products | 10000T | 97.6 | 3,000,000 | 5.1 | 2.2"
    result = exports(table13(",1-2.2020", "1 to 2 | Percentage Change", row, sub=2), "2020-02")
    assert result.frames["exports"]["exports_kt"].tolist() == [976.0]


def test_an_empty_first_column_shifts_everything():
    result = exports(
        table13(",1-3.2022", "3 | 1to3 | % Change", UNWROUGHT.format("10000T", "59.4", "163"), pad="<td></td>"),
        "2022-03",
    )
    assert result.frames["exports"]["exports_kt"].tolist() == [594.0]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (UNWROUGHT.format("10000T", "-", "260"), "exports_kt: '-' is not a number"),
        (UNWROUGHT.format("10000T", "*REF!", "260"), "exports_kt: '*REF!' is not a number"),
        (UNWROUGHT.format("100MN", "57.6", "260"), "exports_kt: unit '100MN' is not a weight like 10000T, T or KG"),
        (
            UNWROUGHT.format("9" * 400 + "T", "57.6", "260"),
            f"exports_kt: unit '{'9' * 400}T' is not a weight like 10000T, T or KG",
        ),
        ("Unwrought aluminium | 10000T", "exports_kt: '(no cell)' is not a number"),
    ],
)
def test_a_quantity_that_cannot_be_read(row, reason):
    result = exports(table13(",5.2024", "5 | 1to5 | Percentage Change", *OTHERS, row), "2024-05")
    (bad,) = result.rejected
    assert (bad.where, bad.reason) == ("table row 7", reason)
    assert bad.raw.startswith("Unwrought aluminium")
    assert len(result.frames["exports"]) == 0


def test_a_metal_that_is_missing_or_ambiguous_is_rejected_and_the_other_stays():
    both = Scope((ALUMINIUM, COPPER), ())
    al = UNWROUGHT.format("10000T", "57.6", "260")
    body = table13(",5.2024", "5 | 1to5 | Percentage Change", *OTHERS, al)
    result = exports(body, "2024-05", both)
    assert result.frames["exports"]["metal"].tolist() == ["AL"]
    assert [bad.reason for bad in result.rejected] == ["metal: no commodity for CU by '(?i)unwrought copper'"]
    copper = "Unwrought copper and copper products | T | 120,000 | 1 | 500,000 | 2 | 1 | 1"
    result = exports(
        table13(
            ",5.2024",
            "5 | 1to5 | Percentage Change",
            al,
            "Unwrought aluminium alloys | T | 1 | 1 | 1 | 1 | 1 | 1",
            copper,
        ),
        "2024-05",
        both,
    )
    assert result.frames["exports"]["exports_kt"].tolist() == [120.0]
    assert "aluminium products' and 'Unwrought aluminium alloys' for AL" in result.rejected[0].reason


GROUPS = "5 | 1to5 | Percentage Change"
GOOD = UNWROUGHT.format("10000T", "57.6", "260")


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (
            b"<html><head><script>412</script></head></html>",
            "no such title in the page, which starts '<html><head><script>412",
        ),
        (table13(",1-4.2024", GROUPS, GOOD), "the page is for 2024-04, not 2024-05"),
        (table13(",1-5.2023", GROUPS, GOOD), "the page is for 2023-05, not 2024-05"),
        (table13(",13.2024", GROUPS, GOOD), "no such title in the page"),
        (
            table13(",5.2024", "4 | 1to4 | Percentage Change", GOOD),
            "the quantity's column is headed '4'; expected month 5",
        ),
        (table13(",5.2024", "1to5 | Percentage Change", GOOD, sub=2), "no unit or monthly quantity in the header"),
        (
            table13(",5.2024", GROUPS, GOOD).replace(b"Commodity<", b"Item<"),
            "no table with the columns Commodity and Quantity",
        ),
        (
            table13(",5.2024", GROUPS, GOOD).split(b"<tr><td colspan=8>Notes")[0],
            "the page is truncated inside its table",
        ),
        (table13(",5.2024", GROUPS, *OTHERS), "none of 3 commodities is in scope: 'Agriculture products"),
        (
            table13(",5.2024", GROUPS, *OTHERS).replace(b"</table>", b"<tr></tr></table>"),
            "none of 4 commodities is in scope: 'Agriculture products",
        ),
    ],
)
def test_a_page_of_another_month_is_an_error(body, problem):
    with pytest.raises(SourceError) as caught:
        exports(body, "2024-05")
    assert str(caught.value).startswith(f"customs table13_2024-05.html: {problem}")


def test_customs_requests():
    source = SOURCES["customs"]
    assert source.requests(month("2017-12"), SCOPE) == []
    assert source.requests(month("2024-01"), SCOPE) == [], "January comes with February"
    (request,) = source.requests(month("2024-02"), SCOPE)
    assert (request.name, request.period) == ("table13_2024-02.html", "2024-02")
    assert request.url == "http://english.customs.gov.cn/statics/report/monthly2024.html#table13-02"


def index(*months: str, title: str = "Monthly Bulletin 2024", name: str = "(13) Major Export Commodities") -> bytes:
    """A synthetic index in the publisher's form, tables by months, inside a layout table."""
    links = "".join(f"<td><a href='/Statics/{sandbox}.html'> {text} </a></td>" for sandbox, text in enumerate(months))
    return f"""<html><h1>{title}</h1><table><tr><td><ul><li>Statistics</li></ul><table>
      <tr><td>(3) Imports and Exports</td><td><a href="/Statics/third.html">May</a></td></tr>
      <tr><td>{name}</td>{links}</tr>
      <tr><td>(14) Major Import Commodities</td><td><a href="/Statics/imports.html">Feb.</a></td></tr>
      </table></td></tr></table></html>""".encode()


def resolve_url(body: bytes, period: str = "2024-05") -> str:
    (request,) = SOURCES["customs"].requests(month(period), SCOPE)
    return SOURCES["customs"].resolve_url(payload("customs", body), request)


@pytest.mark.parametrize("text", ["May", "May.", "5", "05", "may"])
def test_the_index_links_to_the_months_release(text):
    assert resolve_url(index("Jan.-Feb.", "Apr.", text, "15")) == "https://example.org/Statics/2.html"
    assert (
        resolve_url(index("4", text, name="\uff08 13 \uff09 Exports", title="")) == "https://example.org/Statics/1.html"
    )


@pytest.mark.parametrize("text", ["Jan.-Feb.", "Feb", "1-2", "2", "January-February", "Jan to Feb", "1\u20132"])
def test_the_index_links_to_the_pooled_months(text):
    assert resolve_url(index(text, "Mar."), "2024-02") == "https://example.org/Statics/0.html"


def test_a_month_that_the_index_does_not_link():
    for body in (index("Jan.-Feb.", "Apr."), index("1-5", "Jan.-May"), index("May", title="2023")):
        with pytest.raises(NoData, match=r"not linked yet on https://example\.org"):
            resolve_url(body)
    for body in (BOT_WALL, index("May", name="(12) Others"), index("May", name="(113) Others")):
        with pytest.raises(SourceError, match=r"customs table13_2024-05\.html: no table \(13\) on https://example.org"):
            resolve_url(body)
