"""World Bank and FRED: against each other, and against the daily prices that they average."""

from __future__ import annotations

import datetime as dt
import io
import zipfile

import openpyxl
import pandas as pd
import pytest
from python_calamine import CalamineWorkbook
from sourcing import ALUMINIUM, BOT_WALL, COPPER, SCOPE, month, parse, payload

from pipelines.sources import SOURCES
from pipelines.sources.base import Metal, Payload, Scope, SourceError

FILE = "payloads/worldbank/CMO-Historical-Data-Monthly.xlsx"


@pytest.fixture(scope="module")
def pink_sheet(real):
    result = parse(payload("worldbank", real / FILE))
    assert result.rejected == []
    return result.frames["benchmark_prices"].set_index("period_end")["mean_usd_t"]


@pytest.mark.slow
def test_recorded_workbook_whole(pink_sheet, real):
    # By another library than the parser's.
    rows = CalamineWorkbook.from_path(str(real / FILE)).get_sheet_by_name("Monthly Prices").to_python()[4:]
    at = rows[0].index("Aluminum")
    assert pink_sheet.tolist() == [row[at] for row in rows[2:]]
    assert (str(pink_sheet.index[0].date()), str(pink_sheet.index[-1].date())) == ("1960-01-31", "2026-05-31")
    assert len(pink_sheet) == 797


def test_world_bank_is_the_mean_of_the_daily_cash_price(pink_sheet, real):
    daily = pd.read_csv(real / "tables/lme_prices_daily.csv", parse_dates=["obs_date"]).set_index("obs_date")[
        "cash_usd_t"
    ]
    ours = daily.resample("ME").mean()
    difference = (pink_sheet / ours - 1).abs().dropna()
    assert len(difference) >= 200
    assert difference.mean() < 0.003
    assert difference.max() < 0.02


def test_world_bank_and_fred_agree(pink_sheet, real):
    fred = parse(payload("fred", real / "payloads/fred/PALUMUSDM.csv", entity="AL"))
    assert fred.rejected == []
    value = fred.frames["benchmark_prices"].set_index("period_end")["mean_usd_t"]
    difference = (pink_sheet / value - 1).abs().dropna()
    assert len(difference) > 400
    assert difference.median() < 0.002
    assert difference.quantile(0.95) < 0.02


def test_recorded_series_of_fred_whole(real):
    path = real / "payloads/fred/PALUMUSDM.csv"
    months = parse(payload("fred", path, entity="AL")).frames["benchmark_prices"]
    lines = [line.split(",") for line in path.read_text().split()[1:]]
    assert months["mean_usd_t"].tolist() == [float(value) for _, value in lines if value not in ("", ".")]
    assert months["period_end"].dt.strftime("%Y-%m-01").tolist() == [day for day, value in lines if value]
    assert months["period_end"].dt.is_month_end.all()
    assert set(months["benchmark"]) == {"FRED"}
    assert (str(months["period_end"].iloc[0].date()), len(months)) == ("1992-01-31", len(lines))


def workbook(rows: list[list[object]], title: str = "Monthly Prices") -> bytes:
    book = openpyxl.Workbook()
    book.active.title = title
    for row in rows:
        book.active.append(row)
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def prices(*rows: list[object], unit: str = "($/mt)") -> bytes:
    """A synthetic sheet whose header is in another row than in the real one."""
    return workbook([["Pink Sheet"], [None], [None, "Copper", "Aluminum **"], [None, "($/mt)", unit], *rows])


def test_months_of_several_metals_wherever_the_header_stands():
    body = prices(["2024M01", 8344.6, 2191.3], ["2024M02", "…", 2182], ["2024M03", 8675.6, ".."])
    frame = parse(payload("worldbank", body), Scope((ALUMINIUM, COPPER), ())).frames["benchmark_prices"]
    assert frame.groupby("metal")["mean_usd_t"].apply(list).to_dict() == {
        "AL": [2191.3, 2182.0],
        "CU": [8344.6, 8675.6],
    }
    assert frame["period_end"].max() == pd.Timestamp("2024-03-31")
    assert set(frame["benchmark"]) == {"WORLD_BANK"}


def test_unreadable_cells_of_the_workbook():
    body = prices(["2024M01", 1, "1,8x1.2"], ["2024M13", 1, 2000], ["2024M03", 1, True], ["2024M04", 1, 2400.5])
    result = parse(payload("worldbank", body))
    assert result.frames["benchmark_prices"]["mean_usd_t"].tolist() == [2400.5]
    assert [(bad.where, bad.reason) for bad in result.rejected] == [
        ("Monthly Prices row 5, column Aluminum", "mean_usd_t: '1,8x1.2' is not a number"),
        ("Monthly Prices row 6, column Aluminum", "period_end: '2024M13' is not a month like 2024M05"),
        ("Monthly Prices row 7, column Aluminum", "mean_usd_t: True is not a number"),
    ]


def test_a_cell_at_the_far_corner_needs_no_memory():
    """Some libraries allocate memory for all cells up to the last one, which may end the process."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(prices(["2024M01", 1, 2400.5]))) as good, zipfile.ZipFile(file, "w") as packed:
        for name in good.namelist():
            body = good.read(name)
            if name.endswith("sheet1.xml"):
                far = b'<row r="1048576"><c r="XFD1048576"><v>1</v></c></row></sheetData>'
                assert b"</sheetData>" in body
                body = body.replace(b"</sheetData>", far)
            packed.writestr(name, body)
    frame = parse(payload("worldbank", file.getvalue())).frames["benchmark_prices"]
    assert frame["mean_usd_t"].tolist() == [2400.5]


def bomb() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for sheet in range(3):
            archive.writestr(f"xl/worksheets/sheet{sheet}.xml", bytes(70 * 1024 * 1024))
    return file.getvalue()


def liar() -> bytes:
    """A zip whose directory claims that a 1 MB member has ten bytes."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/workbook.xml", bytes(1024 * 1024))
    size = (1024 * 1024).to_bytes(4, "little")
    return file.getvalue().replace(size, (10).to_bytes(4, "little"))


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"<html>moved</html>", r"no xlsx file \(File is not a zip file\): it starts '<html>moved</html>'"),
        (prices(["2024M01", 1, 2])[:-300], "no xlsx file"),
        (bomb(), "the workbook unpacks to 210 MB; expected at most 64 MB"),
        (liar(), "damaged|no xlsx file"),
        (workbook([["2024M01", 1]], title="Prices"), "no sheet 'Monthly Prices', only Prices"),
        (workbook([["nothing"]]), "no month in the first column"),
        (prices(["2024M01", 1, 2], unit="($/kg)"), r"column 'Aluminum' of 'Monthly Prices' is in '\(\$/kg\)'"),
        (
            workbook([[None, "Tin"], [None, "($/mt)"], ["2024M01", 1]]),
            "no column 'Aluminum' in 'Monthly Prices', only Tin",
        ),
    ],
    ids=["html", "cut", "bomb", "liar", "sheet gone", "no month", "unit", "column gone"],
)
def test_a_workbook_that_is_not_the_expected_one(body, problem):
    with pytest.raises(SourceError, match=problem) as caught:
        parse(payload("worldbank", body, name="CMO.xlsx"))
    assert str(caught.value).startswith("worldbank CMO.xlsx: ")


def test_a_metal_without_a_column_is_not_searched():
    cobalt = Metal("CO", "Cobalt", "", "", "", "")
    assert (
        len(parse(payload("worldbank", prices(["2024M01", 1, 2])), Scope((cobalt,), ())).frames["benchmark_prices"])
        == 0
    )


@pytest.mark.parametrize("series", ["SOFR", "EFFR"])
def test_fred_rates(series):
    lines = [
        "2024-05-24,5.32",
        "2024-05-27,.",
        "2024-05-28,",
        "2024-05-29,5.3x",
        "29.05.2024,5.33",
        "2024-05-30",
        "2024-05-31,-0.10",
    ]
    body = "\n".join([f"observation_date,{series}", *lines, ""]).encode()
    result = parse(payload("fred", body, entity=series))
    assert result.frames["rates"]["rate_pct"].tolist() == [5.32, -0.10]
    assert set(result.frames["rates"]["rate_id"]) == {series}
    assert [(bad.where, bad.raw, bad.reason) for bad in result.rejected] == [
        ("line 5", "2024-05-29,5.3x", "rate_pct: '5.3x' is not a number"),
        ("line 6", "29.05.2024,5.33", "obs_date: '29.05.2024' is not a date YYYY-MM-DD"),
        ("line 7", "2024-05-30", "rate_pct: '(no cell)' is not a number"),
    ]


def test_fred_of_another_series_or_with_a_bad_cell():
    with pytest.raises(SourceError, match="no column SOFR in the first line: 'observation_date,DFF"):
        parse(payload("fred", b"observation_date,DFF\n2024-05-24,5.33\n", entity="SOFR"))
    with pytest.raises(SourceError, match="no column EFFR in the first line: 'observation_date,DFF"):
        parse(payload("fred", b"observation_date,DFF\n2024-05-24,5.33\n", entity="EFFR"))
    with pytest.raises(SourceError, match="no column PALUMUSDM in the first line: 'observation_date,SOFR"):
        parse(payload("fred", b"observation_date,SOFR\n2024-05-24,5.33\n", entity="AL"))
    result = parse(payload("fred", b'observation_date,PALUMUSDM\n2024-04-01,2500\n2024-05-01,"1,x"\n', entity="AL"))
    assert result.frames["benchmark_prices"].values.tolist() == [["AL", "FRED", pd.Timestamp("2024-04-30"), 2500.0]]
    assert [bad.reason for bad in result.rejected] == ["mean_usd_t: '1,x' is not a number"]


def test_a_month_of_fred_without_a_mean_is_missing():
    body = b"observation_date,PALUMUSDM\n2024-04-01,.\n2024-05-01,\n2024-06-01,2500.5\n"
    result = parse(payload("fred", body, entity="AL"))
    assert result.frames["benchmark_prices"]["mean_usd_t"].tolist() == [2500.5]
    assert result.rejected == []


def test_requests():
    (book,) = SOURCES["worldbank"].requests(month("1999-01"), SCOPE)
    assert book.name == "CMO-Historical-Data-Monthly.xlsx"
    assert book.url.endswith("/74e8be41ceb20fa0da750cda2f6b9e4e-0050012026/related/CMO-Historical-Data-Monthly.xlsx")
    effr, means = SOURCES["fred"].requests(month("2018-03"), SCOPE)
    page = "https://fred.stlouisfed.org/graph/fredgraph.csv"
    assert (means.name, means.url, means.entity) == ("PALUMUSDM.csv", f"{page}?id=PALUMUSDM", "AL")
    assert (effr.name, effr.url, effr.entity) == ("EFFR.csv", f"{page}?id=EFFR", "EFFR")
    sofr, *again = SOURCES["fred"].requests(month("2018-04"), SCOPE)
    assert (sofr.name, sofr.url) == ("SOFR.csv", f"{page}?id=SOFR")
    assert again == [effr, means]
    unknown = Metal("CO", "Cobalt", "", "", "", "")
    assert SOURCES["fred"].requests(month("2000-06"), Scope((unknown,), ())) == []


@pytest.mark.parametrize(
    "page",  # written by hand: the landing page is not recorded
    [
        '<a href="{}" class="x">Monthly prices</a>',
        "<a href='{}?v=2'>Monthly prices</a>",
        '<script>{{"file": "{}"}}</script>',
        '<a href="https://thedocs.worldbank.org/a/CMO-Historical-Data-Annual.xlsx">Annual</a><a href="{}">Monthly</a>',
    ],
)
@pytest.mark.parametrize("slash", ["/", "\\/", "&#47;"])
def test_the_landing_page_has_the_address_of_the_workbook(page, slash):
    (request,) = SOURCES["worldbank"].requests(month("2024-05"), SCOPE)
    (listing,) = SOURCES["worldbank"].listings(request)
    link = "https://thedocs.worldbank.org/en/doc/5d90-0350012026/related/CMO-Historical-Data-Monthly.xlsx"
    response = Payload(listing, page.format(link.replace("/", slash)).encode(), dt.datetime(2026, 1, 1, tzinfo=dt.UTC))
    assert SOURCES["worldbank"].resolve_url(response, request) == link


def test_a_landing_page_without_the_workbook():
    (request,) = SOURCES["worldbank"].requests(month("2024-05"), SCOPE)
    for body in (BOT_WALL, b"", b"see CMO-Historical-Data-Monthly.xlsx", b'"/CMO-Historical-Data-Monthly.xlsx.html"'):
        with pytest.raises(SourceError, match=r"worldbank CMO-.*: https://example.org links to no CMO-Historical"):
            SOURCES["worldbank"].resolve_url(payload("worldbank", body), request)
    relative = payload("worldbank", b"href='/en/doc/x/CMO-Historical-Data-Monthly.xlsx'")
    assert SOURCES["worldbank"].resolve_url(relative, request) == (
        "https://example.org/en/doc/x/CMO-Historical-Data-Monthly.xlsx"
    )
