"""Wire formats of the publishers: arrays and texts in, response bytes out.

Encoders are deterministic and write the cells as given; values, release times and defects are elsewhere. Every response
is marked as synthetic in a place that parsers ignore.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
import zipfile
from calendar import month_name
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from html import escape
from typing import Any, Final

NOTE: Final = "SYNTHETIC DEMO DATA"


def westmetall_page(metal: str, code: str, year: int, rows: Sequence[tuple[date, str, str, str]]) -> bytes:
    """Page of a metal and year, newest day first, monthly headers; `rows`: (day, cash, 3M, stock), oldest first."""
    header = (
        f'<tr class="shaded"><th class="text">date</th><th class="text">LME {metal} Cash-Settlement</th>'
        f'<th class="text">LME {metal} 3-month</th><th class="text last">LME {metal} stock</th></tr>'
    )
    lines: list[str] = []
    month = 0
    for day, cash, m3, stock in reversed(rows):
        if day.month != month and month:
            lines.append(header)
        month = day.month
        lines.append(
            f"<tr>\n<td >{day.day:02d}. {month_name[month]} {day.year}</td>\n<td >{cash}</td>\n<td >{m3}</td>\n"
            f'<td class="last">{stock}</td>\n</tr>'
        )
    url = f"https://www.westmetall.com/en/markdaten.php?action=table&amp;field=LME_{code}_cash&amp;year={year}"
    return "\n".join(
        [
            '<!DOCTYPE html>\n<html lang="en">\n<head>',
            '<meta http-equiv="Content-Type" content="text/html; charset=UTF-8">',
            f"<title>market data . {NOTE}</title>\n</head>\n<body>",
            f'<div id="mainheadline"><h1>Market data</h1></div>\n<p>{NOTE}</p>\n<a id="y{year}"></a>\n<h2>{metal}</h2>',
            f'<div class="year"><p>\n<a class="active" href="{url}">{year}</a>\n</p></div>',
            f"<table >\n<thead>\n{header} </thead>\n<tbody>",
            *lines,
            "</tbody>\n</table>\n</body>\n</html>\n",
        ]
    ).encode()


def world_bank_workbook(months: Sequence[str], columns: Mapping[str, Sequence[float | str]], updated: date) -> bytes:
    """Workbook with the sheet `Monthly Prices`: `months` as 1960M01, one value per month and column ($/mt)."""
    import openpyxl

    book = openpyxl.Workbook(write_only=True)
    book.properties.title = NOTE
    book.properties.created = datetime(updated.year, updated.month, updated.day)  # noqa: DTZ001 (the format has no zone)
    sheet = book.create_sheet("Monthly Prices")
    for line in (
        ["World Bank Commodity Price Data (The Pink Sheet)"],
        ["monthly prices in nominal US dollars, 1960 to present"],
        [f"(monthly series are available only in nominal US dollars) {NOTE}"],
        [f"Updated on {month_name[updated.month]} {updated.day:02d}, {updated.year}"],
        [None, *columns],
        [None, *("($/mt)" for _ in columns)],
        *([month, *values] for month, *values in zip(months, *columns.values(), strict=True)),
    ):
        sheet.append(line)
    file = io.BytesIO()
    book.save(file)
    return _without_clock(file, updated)


def _without_clock(workbook: io.BytesIO, stamp: date) -> bytes:
    """The workbook without the time of writing in its zip members and document properties."""
    file = io.BytesIO()
    with zipfile.ZipFile(workbook) as old, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as new:
        for name in sorted(old.namelist()):
            body = old.read(name)
            if name == "docProps/core.xml":
                body = re.sub(
                    rb"(<dcterms:modified[^>]*>)[^<]*", rb"\g<1>%sT00:00:00Z" % stamp.isoformat().encode(), body
                )
            member = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            member.compress_type = zipfile.ZIP_DEFLATED
            new.writestr(member, body)
    return file.getvalue()


def rates_json(name: str, rates: Sequence[tuple[str, float | str]]) -> bytes:
    """Response of the New York Fed, newest day first; `rates`: (day, percent) in time order.

    EFFR has the target of the Federal Reserve, a range from 2008-12-16 on; its percentiles begin on 2016-03-01.
    """
    entries: list[dict[str, Any]] = []
    for day, rate in reversed(rates):
        entry: dict[str, Any] = {"effectiveDate": day, "type": name, "percentRate": rate}
        if isinstance(rate, float) and (name == "SOFR" or day >= "2016-03-01"):
            entry |= {"percentPercentile1": round(rate - 0.05, 2), "percentPercentile99": round(rate + 0.08, 2)}
        if name == "SOFR":
            entry |= {"volumeInBillions": 2000}
        elif isinstance(rate, float):
            target = math.floor(rate * 4) / 4
            entry |= {"targetRateFrom": target} | ({"targetRateTo": target + 0.25} if day >= "2008-12-16" else {})
        entries.append(entry | {"revisionIndicator": ""})
    return json.dumps({"refRates": entries, "note": NOTE}).encode()


def jin10_json(metals: Sequence[str], days: Mapping[str, Mapping[str, Sequence[float | str]]]) -> bytes:
    """Jin10's copy of the LME stock report: stock, registered and cancelled warrants by day and metal, in tonnes."""
    content = {
        "date": max(days, default=""),
        "keys": [{"name": name} for name in ("库存", "注册仓单", "注销仓单")],
        "products": list(metals),
        "values": days,
        "note": NOTE,
    }
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


def fred_csv(series: str, values: Iterable[tuple[str, str]]) -> bytes:
    """CSV download of a FRED series; an empty text is a day without a value."""
    lines = "".join(f"{day},{value},\n" for day, value in values)
    return f"observation_date,{series},{NOTE}\n{lines}".encode()


def smard_json(starts: Iterable[int], prices: Iterable[float | None]) -> bytes:
    """Weekly file of SMARD: starts in unix seconds, EUR/MWh, null where not published yet."""
    series = [[start * 1000, price] for start, price in zip(starts, prices, strict=True)]
    return json.dumps({"meta_data": {"version": 1, "note": NOTE}, "series": series}, separators=(",", ":")).encode()


def ember_csv(rows: Iterable[tuple[str, str, str]]) -> bytes:
    """Daily file of Ember; `rows`: (ISO3 code, day, mean in EUR/MWh or empty)."""
    lines = "".join(f"{NOTE},{country},{day},{mean}\n" for country, day, mean in rows)
    return f"Country,ISO3 Code,Date,Price (EUR/MWhe)\n{lines}".encode()


def shfe_page(day: date, totals: Mapping[str, Sequence[tuple[int, int]]]) -> bytes:
    """Weekly report of the Shanghai exchange; `totals` by metal, in one warehouse: the stock of last and of this week,
    each with its part on warrant.
    """
    head = (
        '<tr><th rowspan="2">地区</th><th rowspan="2">仓库</th>'
        '<th colspan="2">上周库存</th><th colspan="2">本周库存</th><th colspan="2">库存增减</th>'
        '<th colspan="3">可用库容量</th></tr>\n'
        f"<tr>{'<th>小计</th><th>期货</th>' * 3}<th>上周</th><th>本周</th><th>增减</th></tr>"
    )

    def row(first: str, before: tuple[int, int], now: tuple[int, int]) -> str:
        figures = (*before, *now, now[0] - before[0], now[1] - before[1], 0, 0, 0)
        return f"<tr>{first}{''.join(f'<td>{figure}</td>' for figure in figures)}</tr>"

    tables = "\n".join(
        f"<table><thead>\n{head}\n</thead><tbody>\n"
        f'<tr><td colspan="2">{metal}</td><td colspan="9">单位\uff1a吨</td></tr>\n'
        f"{row('<td>上海</td><td>SYNTHETIC</td>', *stock)}\n{row('<td colspan=2>总计</td>', *stock)}\n</tbody></table>"
        for metal, stock in totals.items()
    )
    return (
        f'<!DOCTYPE html>\n<html>\n<head><meta charset="utf-8"><title>{NOTE}</title></head>\n<body>\n'
        f"<table><tr><td>{day} 指定交割仓库库存周报</td></tr></table>\n{tables}\n</body>\n</html>\n"
    ).encode()


def cftc_json(contract: str, rows: Iterable[tuple[date, int, int, int]]) -> bytes:
    """Response of the CFTC's open-data site; `rows`: (day, long and short of money managers, open interest)."""
    entries = [
        {
            "market_and_exchange_names": NOTE,
            "report_date_as_yyyy_mm_dd": f"{day}T00:00:00.000",
            "cftc_contract_market_code": contract,
            "open_interest_all": str(interest),
            "m_money_positions_long_all": str(long),
            "m_money_positions_short_all": str(short),
        }
        for day, long, short, interest in rows
    ]
    return ("[" + "\n,".join(json.dumps(entry, separators=(",", ":")) for entry in entries) + "]\n").encode()


def energy_charts_json(seconds: list[int], prices: list[float]) -> bytes:
    """Price response of Energy-Charts: starts in unix seconds, EUR/MWh."""
    content = {
        "license_info": f"CC BY 4.0 (creativecommons.org/licenses/by/4.0) {NOTE}",
        "unix_seconds": seconds,
        "price": prices,
        "unit": "EUR / MWh",
        "deprecated": False,
    }
    return json.dumps(content, separators=(",", ":")).encode()


Curve = Sequence[tuple[int, int, Sequence[str]]]


def entsoe_document(eic: str, mrid: str, created: datetime, sequences: Mapping[int, tuple[int, Curve]]) -> bytes:
    """Publication document A44; `sequences`: minutes of a market time unit and curve, by auction sequence.

    A curve is a sequence of local days (start and end in unix seconds, a price text per market time unit). Curve type
    A03 omits a price that equals the one before it.
    """
    series = []
    for sequence, (minutes, curve) in sequences.items():
        periods = "".join(_period(start, end, minutes, texts) for start, end, texts in curve)
        series.append(
            f"<TimeSeries>\n<mRID>{sequence}</mRID>\n<auction.type>A01</auction.type>\n<businessType>A62</businessType>\n"
            f'<in_Domain.mRID codingScheme="A01">{eic}</in_Domain.mRID>\n'
            f'<out_Domain.mRID codingScheme="A01">{eic}</out_Domain.mRID>\n'
            "<contract_MarketAgreement.type>A01</contract_MarketAgreement.type>\n"
            "<currency_Unit.name>EUR</currency_Unit.name>\n<price_Measure_Unit.name>MWH</price_Measure_Unit.name>\n"
            "<classificationSequence_AttributeInstanceComponent.position>"
            f"{sequence}</classificationSequence_AttributeInstanceComponent.position>\n"
            f"<curveType>A03</curveType>\n{periods}</TimeSeries>\n"
        )
    curve = next(iter(sequences.values()))[1]
    return (
        f'<?xml version="1.0" encoding="utf-8"?>\n<!-- {NOTE} -->\n'
        '<Publication_MarketDocument xmlns="urn:iec62325.351:tc57wg16:451-3:publicationdocument:7:3">\n'
        f"<mRID>{mrid}</mRID>\n<revisionNumber>1</revisionNumber>\n<type>A44</type>\n"
        f"<createdDateTime>{created:%Y-%m-%dT%H:%M:%SZ}</createdDateTime>\n"
        f"<period.timeInterval>\n{_interval(curve[0][0], curve[-1][1])}</period.timeInterval>\n"
        f"{''.join(series)}</Publication_MarketDocument>\n"
    ).encode()


def _period(start: int, end: int, minutes: int, texts: Sequence[str]) -> str:
    points = "".join(
        f"<Point>\n<position>{i}</position>\n<price.amount>{text}</price.amount>\n</Point>\n"
        for i, (text, before) in enumerate(zip(texts, ("", *texts), strict=False), start=1)
        if text != before
    )
    return (
        f"<Period>\n<timeInterval>\n{_interval(start, end)}</timeInterval>\n"
        f"<resolution>PT{minutes}M</resolution>\n{points}</Period>\n"
    )


def _interval(start: int, end: int) -> str:
    first, last = (datetime.fromtimestamp(seconds, UTC) for seconds in (start, end))
    return f"<start>{first:%Y-%m-%dT%H:%MZ}</start>\n<end>{last:%Y-%m-%dT%H:%MZ}</end>\n"


def customs_page(year: int, month: int, rows: Iterable[tuple[str, ...]]) -> bytes:
    """Table (13) of a month: eight texts per row, from commodity to change of value. February includes January."""
    name = "January-February" if month == 2 else month_name[month]
    group = f"1 to {month}"
    body = "\n".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return (
        '<!DOCTYPE html>\n<html>\n<head><meta charset="utf-8"><title>Major Export Commodities</title></head>\n<body>\n'
        f"<!-- {NOTE} -->\n<h2>(13) Major Export Commodities in Quantity and Value, {name}, {year}</h2>\n"
        f"<p>Value: USD 1,000. {NOTE}</p>\n<table>\n"
        f'<tr><th rowspan="2">Commodity</th><th rowspan="2">Unit</th><th colspan="2">{name}</th>'
        f'<th colspan="2">{group}</th><th colspan="2">Percentage change of {group} (%)</th></tr>\n'
        f"<tr>{'<th>Quantity</th><th>Value</th>' * 3}</tr>\n{body}\n</table>\n</body>\n</html>\n"
    ).encode()


def comtrade_json(
    reporter: int, period: str, weights: Mapping[tuple[str, int], float | None], usd: Mapping[tuple[str, int], float]
) -> bytes:
    """Comtrade preview of a month (YYYYMM): net weight in kg and value by customs code and partner (0: world)."""
    rows = [
        {
            "typeCode": "C", "freqCode": "M", "period": period, "reporterCode": reporter, "flowCode": "X",
            "partnerCode": partner, "partner2Code": 0, "classificationCode": "H6", "cmdCode": code,
            "customsCode": "C00", "mosCode": "0", "motCode": 0, "netWgt": weight, "isNetWgtEstimated": False,
            "fobvalue": usd[code, partner], "primaryValue": usd[code, partner], "isAggregate": True,
        }
        for (code, partner), weight in weights.items()
    ]  # fmt: skip
    content = {"elapsedTime": "0.01 secs", "count": len(rows), "data": rows, "error": "", "note": NOTE}
    return json.dumps(content, separators=(",", ":")).encode()


def yahoo_json(ticker: str, zone: str, offset: int, sessions: Sequence[int], closes: Sequence[float | None]) -> bytes:
    """Yahoo chart of a share: session starts (unix seconds) and closing prices in USD, null for none.

    `zone` and `offset` (seconds): time zone of the exchange. Adjusted closes differ, as after dividends.
    """
    meta = {
        "currency": "USD", "symbol": ticker, "exchangeName": "NYQ", "instrumentType": "EQUITY", "gmtoffset": offset,
        "exchangeTimezoneName": zone, "dataGranularity": "1d", "longName": NOTE,
    }  # fmt: skip
    adjusted = [None if close is None else round(close * 0.97, 4) for close in closes]
    indicators = {"quote": [{"close": closes}], "adjclose": [{"adjclose": adjusted}]}
    result = {"meta": meta, "timestamp": sessions, "indicators": indicators}
    return json.dumps({"chart": {"result": [result], "error": None}}, separators=(",", ":")).encode()


ECB_COLUMNS: Final = (
    "KEY", "FREQ", "CURRENCY", "CURRENCY_DENOM", "EXR_TYPE", "EXR_SUFFIX", "TIME_PERIOD", "OBS_VALUE", "OBS_STATUS",
    "OBS_CONF", "OBS_COM", "DECIMALS", "TITLE", "UNIT", "UNIT_MULT",
)  # fmt: skip


def ecb_csv(series: Mapping[str, Iterable[tuple[str, str]]]) -> bytes:
    """ECB format `csvdata`; `series`: (day, units per euro) by currency."""
    file = io.StringIO(newline="")
    lines = csv.writer(file, lineterminator="\r\n")
    lines.writerow(ECB_COLUMNS)
    for currency, values in series.items():
        key = f"EXR.D.{currency}.EUR.SP00.A"
        for day, rate in values:
            lines.writerow(
                (key, "D", currency, "EUR", "SP00", "A", day, rate, "A", "F", NOTE, 4, f"{currency}/Euro", currency, 0)
            )
    return file.getvalue().encode()


def drop_csv(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    """CSV file for the drop folder. The format has no place for a note, so the file name marks it as synthetic."""
    file = io.StringIO(newline="")
    lines = csv.writer(file, lineterminator="\n")
    lines.writerow(columns)
    lines.writerows(rows)
    return file.getvalue().encode()
