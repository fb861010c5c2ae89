"""UN Comtrade's preview: weights summed over codes, never with one missing. Figures here are invented."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sourcing import ALUMINIUM, CANADA, CHINA, COPPER, SCOPE, month, parse, payload

from pipelines.sources import SOURCES
from pipelines.sources.base import Exporter, NoData, Parsed, Scope, SourceError

IRELAND = Exporter("IE", "Republic of Ireland", 372, "comtrade")


def row(code: str, weight: object, **more: object) -> dict[str, Any]:
    """A row of the world's total, as the publisher writes it."""
    return {
        "period": "202405", "reporterCode": 124, "flowCode": "X", "partnerCode": 0, "partner2Code": 0, "motCode": 0,
        "customsCode": "C00", "cmdCode": code, "netWgt": weight, "primaryValue": 5e8,
    } | more  # fmt: skip


BOTH = [row("7601", 200_000_000.0), row("7604", 12_500_000.5)]


def read(body: object, scope: Scope = SCOPE, period: str = "2024-05") -> Parsed:
    return parse(payload("comtrade", json.dumps(body).encode(), period, "CA/AL"), scope)


def rows(response: Parsed) -> list[tuple[str, str, str, int, float]]:
    return [
        (row.metal, row.country, f"{row.period_end:%Y-%m-%d}", row.period_months, row.exports_kt)
        for row in response.frames["exports"].itertuples()
    ]


def test_one_request_for_each_exporter_of_this_source_and_metal() -> None:
    copper = replace(COPPER, hs_codes="7403")
    scope = Scope((ALUMINIUM, copper), (), (CHINA, CANADA, IRELAND))
    requested = SOURCES["comtrade"].requests(month("2024-05"), scope)
    assert [(r.entity, r.name, r.period) for r in requested] == [
        ("CA/AL", "canada_x_7601-7604_202405.json", "2024-05"),
        ("CA/CU", "canada_x_7403_202405.json", "2024-05"),
        ("IE/AL", "republic_of_ireland_x_7601-7604_202405.json", "2024-05"),
        ("IE/CU", "republic_of_ireland_x_7403_202405.json", "2024-05"),
    ]
    assert requested[0].url == (
        "https://comtradeapi.un.org/public/v1/preview/C/M/HS?reporterCode=124&period=202405&cmdCode=7601,7604"
        "&flowCode=X&partnerCode=0&partner2Code=0&motCode=0&customsCode=C00"
    )


def test_nothing_is_requested_outside_the_scope() -> None:
    assert SOURCES["comtrade"].requests(month("2009-12"), SCOPE) == []
    assert SOURCES["comtrade"].requests(month("2024-05"), replace(SCOPE, exporters=(CHINA,))) == []
    assert SOURCES["comtrade"].requests(month("2024-05"), replace(SCOPE, metals=(COPPER,))) == []


def test_an_exporter_comes_from_one_source() -> None:
    """China from Comtrade is not requested from the customs as well."""
    assert len(SOURCES["customs"].requests(month("2024-05"), SCOPE)) == 1
    scope = replace(SCOPE, exporters=(replace(CHINA, source="comtrade"),))
    assert SOURCES["customs"].requests(month("2024-05"), scope) == []
    assert [r.entity for r in SOURCES["comtrade"].requests(month("2024-05"), scope)] == ["CN/AL"]


@pytest.mark.parametrize(
    "body", [BOTH, {"data": BOTH}, {"elapsedTime": "0.1 secs", "count": 2, "data": BOTH, "error": ""}]
)
def test_weights_are_summed_over_the_codes(body: object) -> None:
    response = read(body)
    assert rows(response) == [("AL", "CA", "2024-05-31", 1, 212.5000005)]
    assert response.rejected == []


def test_parts_of_the_whole_do_not_count() -> None:
    parts = [
        row("7601", 150_000_000.0, partnerCode=842),
        row("7601", 1.0, partner2Code=842),
        row("7601", 1.0, motCode=2100),
        row("7601", 1.0, customsCode="C01"),
        row("7601", 1.0, flowCode="M"),
        row("7602", 9.0),
    ]
    assert rows(read([*parts, *BOTH, BOTH[0]])) == rows(read(BOTH))


def test_numbers_written_as_text_name_the_same_rows() -> None:
    text = [
        entry | {"reporterCode": "124", "partnerCode": "0", "motCode": "0", "cmdCode": int(entry["cmdCode"])}
        for entry in BOTH
    ]
    assert rows(read(text)) == rows(read(BOTH))


@pytest.mark.parametrize(
    ("entries", "reason"),
    [
        (BOTH[:1], "exports_kt: no row for 7604"),
        ([BOTH[0], row("7604", 1.0, partnerCode=842)], "exports_kt: no row for 7604"),
        ([BOTH[0], row("7604", None)], "exports_kt: netWgt of 7604: null is not a number"),
        ([BOTH[0], row("7604", "12")], 'exports_kt: netWgt of 7604: "12" is not a number'),
        ([BOTH[0], row("7604", 0.0)], "exports_kt: netWgt of 7604: 0 kg for a value of 500000000.0 USD"),
        ([BOTH[0], row("7604", -5.0)], "exports_kt: netWgt of 7604: -5 kg for a value of 500000000.0 USD"),
        ([*BOTH, row("7604", 3.0)], "exports_kt: netWgt of 7604: 3 and 12500000.5 kg"),
    ],
)
def test_a_code_without_its_weight_rejects_the_month(entries: list[dict[str, Any]], reason: str) -> None:
    response = read(entries)
    assert rows(response) == []
    (bad,) = response.rejected
    assert (bad.dataset, bad.where, bad.reason) == ("exports", "Canada 2024-05", f"{reason}; the month is left out")
    assert "7601" in bad.raw


def test_no_weight_with_no_value_is_zero() -> None:
    assert rows(read([BOTH[0], row("7604", 0.0, primaryValue=0.0)]))[0][-1] == 200


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"statusCode": 403, "message": "Out of call volume quota."}, "Out of call volume quota"),
        ({"count": 0, "data": [], "error": "Quota exceeded"}, "Quota exceeded"),
        ({"statusCode": 500}, "500"),
    ],
)
def test_an_error_message_with_status_200_is_an_error(body: object, message: str) -> None:
    with pytest.raises(SourceError, match=f"the publisher returns an error: .*{message}"):
        read(body)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"statusCode": 429, "message": "Rate limit is exceeded. Try again in 1 seconds."}, "Rate limit is exceeded"),
        ({"statusCode": 429}, "429"),
        ({"count": 0, "data": [], "error": "Rate limit is exceeded"}, "Rate limit is exceeded"),
    ],
)
def test_throttling_inside_a_response_is_a_transient_error(body: object, message: str) -> None:
    """The HTTP client recognises the same text and retries; an exhausted quota is not retried."""
    with pytest.raises(SourceError, match=f"^comtrade request: the publisher throttles: .*{message}"):
        read(body)
    throttled = SOURCES["comtrade"].ACCESS.throttled
    assert re.search(throttled, json.dumps(body), re.IGNORECASE)
    used_up = {"statusCode": 403, "message": "Out of call volume quota."}
    with pytest.raises(SourceError, match="the publisher returns an error"):
        read(used_up)
    assert not re.search(throttled, json.dumps(used_up), re.IGNORECASE)


def test_a_row_of_another_exporter_or_month_is_rejected_and_the_others_count() -> None:
    alone, mixed = read(BOTH), read([*BOTH, row("7601", 1.0, reporterCode=156), row("7604", 1.0, period="202404")])
    assert mixed.frames["exports"].equals(alone.frames["exports"])
    assert [(bad.where, bad.reason) for bad in mixed.rejected] == [
        ("data[2]", "period_end: a row is for period 202405 and reporter 156"),
        ("data[3]", "period_end: a row is for period 202404 and reporter 124"),
    ]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ([row("7601", 1.0, period="202404")], "a row is for period 202404 and reporter 124; expected period 202405"),
        ([row("7601", 1.0, reporterCode=156)], "a row is for period 202405 and reporter 156"),
        ({"data": {}}, "no list of rows in the response"),
        ({"data": [1]}, "no list of rows in the response"),
        ({"validation": True}, "no list of rows in the response"),
        ([], "no list of rows in the response"),
        ([BOTH[0]] * 500, "the response has 500 rows and may be truncated"),
    ],
)
def test_an_unexpected_response_is_an_error(body: object, message: str) -> None:
    with pytest.raises(SourceError, match=f"^comtrade request: {message}"):
        read(body)


def test_an_exporter_that_is_not_in_scope_is_an_error() -> None:
    with pytest.raises(SourceError, match="exporter and metal 'CA/AL' is not known; expected one of CN/AL"):
        read(BOTH, replace(SCOPE, exporters=(CHINA,)))


def test_a_month_that_is_not_reported_is_no_data() -> None:
    with pytest.raises(NoData, match="nothing is reported"):
        read({"elapsedTime": "0.1 secs", "count": 0, "data": [], "error": ""})


def test_the_recording(real: Path) -> None:
    path = real / "payloads" / "comtrade" / "canada_x_7601_202401.rows.json"
    scope = replace(SCOPE, metals=(replace(ALUMINIUM, hs_codes="7601"),))
    (request,) = SOURCES["comtrade"].requests(month("2024-01"), scope)
    assert request.name == path.name.replace(".rows", "")
    response = parse(payload("comtrade", path, "2024-01", "CA/AL"), scope)
    assert rows(response) == [("AL", "CA", "2024-01-31", 1, 235.359811)]
    # The partners that the total is made of are in the recording too.
    partners = pd.read_json(path)
    assert partners.loc[partners["partnerCode"] != 0, "netWgt"].sum() / 1e6 == pytest.approx(235.36, abs=0.01)


def test_the_recording_lacks_a_code_that_counts_as_the_metal(real: Path) -> None:
    path = real / "payloads" / "comtrade" / "canada_x_7601_202401.rows.json"
    (bad,) = parse(payload("comtrade", path, "2024-01", "CA/AL")).rejected
    assert bad.reason == "exports_kt: no row for 7604; the month is left out"
