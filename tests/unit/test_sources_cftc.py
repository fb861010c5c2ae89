"""CFTC: positions by contract. No response was recorded: those below are written by hand, in the form that public code
and the site's documentation show: texts for numbers and timestamps, and no field where there is no value.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pandas as pd
import pytest
from sourcing import SCOPE, month, parse, payload

from pipelines.sources import SOURCES
from pipelines.sources.base import NoData, Parsed, Scope, SourceError

CODE = "191693"


def entry(day: str = "2025-09-23", code: str = CODE, **cells: Any) -> dict[str, Any]:
    """One week as the site has it, with some of its further fields."""
    row = {
        "id": "250923191693F",
        "market_and_exchange_names": "ALUMINUM MWP - COMMODITY EXCHANGE INC.",
        "report_date_as_yyyy_mm_dd": f"{day}T00:00:00.000",
        "cftc_contract_market_code": code,
        "cftc_commodity_code": "191",
        "futonly_or_combined": "FutOnly",
        "open_interest_all": "29405",
        "m_money_positions_long_all": "7812",
        "m_money_positions_short_all": "903",
        "m_money_positions_spread": "1204",
    }
    return {name: value for name, value in (row | cells).items() if value is not None}


def answer(*entries: Any, code: str = CODE) -> Parsed:
    return parse(payload("cftc", json.dumps(entries).encode(), entity=code, name=f"{code}.json"))


def rows(result: Parsed) -> list[list[Any]]:
    frame = result.frames["positions"]
    return frame.assign(obs_date=frame["obs_date"].dt.strftime("%Y-%m-%d")).values.tolist()


def test_texts_become_whole_numbers_by_day() -> None:
    result = answer(entry(), entry("2025-09-16", open_interest_all="30000"))
    assert rows(result) == [[CODE, "2025-09-16", 7812, 903, 30_000], [CODE, "2025-09-23", 7812, 903, 29_405]]
    assert result.rejected == []
    numbers = entry(open_interest_all=29_405, m_money_positions_long_all=7812.0)
    assert rows(answer(numbers)) == [[CODE, "2025-09-23", 7812, 903, 29_405]], "a site that sends numbers"


def test_a_code_keeps_its_leading_zero_and_its_letters() -> None:
    assert rows(answer(entry(code="085692"), code="085692"))[0][0] == "085692"
    assert rows(answer(entry(code="06765A"), code="06765A"))[0][0] == "06765A"


def test_weeks_published_together_and_one_on_a_monday_are_rows_of_their_own() -> None:
    days = ("2025-11-10", "2025-10-28", "2025-11-04")
    assert [row[1] for row in rows(answer(*map(entry, days)))] == sorted(days)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (entry("2025-09-31"), "obs_date: '2025-09-31' is not a date YYYY-MM-DD"),
        (entry(report_date_as_yyyy_mm_dd="09/16/2025"), "obs_date: '09/16/2025' is not a date YYYY-MM-DD"),
        (
            entry(report_date_as_yyyy_mm_dd="2025-09-16T12:00:00.000"),
            "obs_date: '2025-09-16T12:00:00.000' is not a date YYYY-MM-DD",
        ),
        (entry("2025-09-16", open_interest_all=None), "open_interest: null is not a number"),
        (entry("2025-09-16", m_money_positions_long_all="."), "managed_long: '.' is not a number"),
        (entry("2025-09-16", m_money_positions_short_all="9.5"), "managed_short: '9.5' is not a whole number"),
        (entry("2025-09-16", code="191691"), "contract: the row is not of 191693"),
        ("2025-09-16", "contract: the row is not of 191693"),
        (
            entry(open_interest_all="1"),
            "contradicts an earlier row of contract 191693 and obs_date 2025-09-23, which is kept",
        ),
    ],
)
def test_a_row_that_cannot_be_read_is_rejected_alone(bad: Any, reason: str) -> None:
    result = answer(entry(), bad)
    assert rows(result) == [[CODE, "2025-09-23", 7812, 903, 29_405]]
    assert [(row.where, row.reason) for row in result.rejected] == [("row 1", reason)]


def test_an_empty_list_is_no_data() -> None:
    with pytest.raises(NoData, match="no rows of contract 191693"):
        answer()


@pytest.mark.parametrize(
    ("entries", "problem"),
    [
        ([entry(code="191691")], "no row of contract 191693, only 191691"),
        (["x"], "no row of contract 191693, only no contract"),
        ([entry()] * 50_000, "50000 rows: the page is full, there may be more"),
    ],
)
def test_another_contract_or_a_full_page_is_an_error(entries: list[Any], problem: str) -> None:
    with pytest.raises(SourceError) as caught:
        answer(*entries)
    assert str(caught.value).startswith(f"cftc 191693.json: {problem}; expected ")


def test_an_error_of_the_site_is_quoted() -> None:
    """The form of Socrata's errors, as its documentation describes it."""
    body = b'{"code":"query.soql.no-such-column","error":true,"message":"No such column: open_interest"}'
    with pytest.raises(SourceError, match=r"the response is no JSON list: '.*no-such-column"):
        parse(payload("cftc", body, entity=CODE))


def test_requests_name_contract_columns_order_and_page() -> None:
    cftc, scope = SOURCES["cftc"], Scope((), (), contracts=("191693", "085692"))
    assert cftc.requests(month("2006-05"), scope) == []
    requests = cftc.requests(month("2025-10"), scope)
    assert requests == cftc.requests(month("2011-01"), scope), "one response has the whole history"
    assert [(request.name, request.entity, request.period) for request in requests] == [
        ("191693.json", "191693", ""),
        ("085692.json", "085692", ""),
    ]
    address = urlsplit(requests[1].url)
    assert address.path == "/resource/72hh-3qpy.json"
    assert {name: value for name, [value] in parse_qs(address.query).items()} == {
        "cftc_contract_market_code": "085692",
        "$select": "report_date_as_yyyy_mm_dd,market_and_exchange_names,cftc_contract_market_code,"
        "m_money_positions_long_all,m_money_positions_short_all,open_interest_all",
        "$order": "report_date_as_yyyy_mm_dd",
        "$limit": "50000",
    }
    assert cftc.requests(month("2025-10"), SCOPE)[0].entity == "191691"


def test_a_year_without_reports_is_no_finding_and_an_old_report_is_a_warning() -> None:
    """Contracts with few traders are left out for long, and in a shutdown nothing is published."""
    from pipelines.ingestion.inspection import ParsedResponse, inspect

    days = [*pd.date_range("2019-06-04", periods=30, freq="7D"), *pd.date_range("2021-06-01", "2025-09-30", freq="7D")]
    body = json.dumps([entry(f"{day:%Y-%m-%d}", code="191691") for day in days]).encode()
    [finding] = inspect(ParsedResponse([payload("cftc", body, entity="191691")], SCOPE))
    assert (finding.severity, finding.text) == ("warning", "191691: newest day 2025-09-30 is 93 days old")
