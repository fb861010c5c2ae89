"""Jin10's copy of the LME stock report with cancelled warrants. Figures here are invented."""

from __future__ import annotations

import json

import pytest
from sourcing import ALUMINIUM, COPPER, SCOPE, month, parse, payload

from pipelines.sources import SOURCES
from pipelines.sources.base import Metal, Parsed, Scope, SourceError

BOTH = Scope((ALUMINIUM, COPPER), ())
ZINC = Scope((Metal("ZN", "Zinc", "Zn", "Zinc", "PZINCUSDM", "zinc"),), ())


def file(values: object) -> bytes:
    return json.dumps({"keys": [{"name": "库存"}], "values": values}, ensure_ascii=False).encode()


def read(values: object, scope: Scope = SCOPE) -> Parsed:
    return parse(payload("jin10", file(values), name="lme_stock.json"), scope)


def rows(response: Parsed) -> list[tuple[str, str, float, float]]:
    return [
        (row.metal, f"{row.obs_date:%Y-%m-%d}", row.total_t, row.cancelled_t)
        for row in response.frames["stocks"].itertuples()
    ]


@pytest.mark.parametrize("text", ["2014-07", "2021-12", "2026-11"])
def test_every_month_requests_the_one_file(text: str) -> None:
    (request,) = SOURCES["jin10"].requests(month(text), SCOPE)
    assert (request.name, request.period) == ("lme_stock.json", "")
    assert request.url == "https://cdn.jin10.com/data_center/reports/lme_stock.json"


def test_months_before_the_file_request_nothing() -> None:
    assert SOURCES["jin10"].requests(month("2014-06"), SCOPE) == []


def test_stock_and_cancelled_by_day_and_metal() -> None:
    response = read(
        {
            "2024-05-10": {"铜": [103_450, 90_450, 13_000], "铝": [903_850, 480_000, 423_850], "锌": [1, 1, 0]},
            "2024-05-09": {"铝": [480_000, 200_000, 280_000]},
        },
        BOTH,
    )
    assert rows(response) == [
        ("AL", "2024-05-09", 480_000, 280_000),
        ("AL", "2024-05-10", 903_850, 423_850),
        ("CU", "2024-05-10", 103_450, 13_000),
    ]
    assert response.rejected == []


def test_metals_out_of_scope_are_ignored() -> None:
    response = read({"2024-05-10": {"铝": [300, 200, 100], "铜": ["?"], "镍": None}})
    assert rows(response) == [("AL", "2024-05-10", 300, 100)]
    assert response.rejected == []


@pytest.mark.parametrize(
    ("scope", "label", "metal"), [(SCOPE, "铝", "AL"), (SCOPE, "AL", "AL"), (BOTH, "铜", "CU"), (ZINC, "ZN", "ZN")]
)
def test_a_metal_has_its_chinese_name_or_its_symbol(scope: Scope, label: str, metal: str) -> None:
    assert rows(read({"2024-05-10": {label: [300, 200, 100]}}, scope)) == [(metal, "2024-05-10", 300, 100)]


def test_figures_may_be_text() -> None:
    assert rows(read({"2024-05-10": {"铝": ["1,300", "1200.5", 100]}})) == [("AL", "2024-05-10", 1300, 100)]


def test_a_day_without_cancelled_warrants_is_zero_not_missing() -> None:
    assert rows(read({"2024-05-10": {"铝": [300, 300, 0]}})) == [("AL", "2024-05-10", 300, 0)]


@pytest.mark.parametrize("registered", [199, 200, 201])
def test_parts_may_differ_from_the_whole_by_a_tonne(registered: int) -> None:
    assert len(rows(read({"2024-05-10": {"铝": [300, registered, 100]}}))) == 1


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ([300, 198.9, 100], "total_t: stock 300 is not registered 198.9 + cancelled 100 (within 1 t)"),
        ([300, 300, 100], "total_t: stock 300 is not registered 300 + cancelled 100 (within 1 t)"),
        ([1_129_175, 725_000, "12x5"], "cancelled_t: '12x5' is not a number"),
        ([None, 200, 100], "total_t: null is not a number"),
        ([300, True, 100], "registered: true is not a number"),
        ([300, 200, float("nan")], "cancelled_t: NaN is not a number"),
        ([300, 200], "total_t: [300, 200] is not [stock, registered, cancelled]"),
        (300, "total_t: 300 is not [stock, registered, cancelled]"),
        (None, "total_t: null is not [stock, registered, cancelled]"),
    ],
)
def test_a_row_that_is_unreadable_or_does_not_add_up_is_rejected_alone(cells: object, reason: str) -> None:
    response = read({"2024-05-09": {"铝": [300, 200, 100]}, "2024-05-10": {"铝": cells}})
    assert rows(response) == [("AL", "2024-05-09", 300, 100)]
    (bad,) = response.rejected
    assert (bad.dataset, bad.where, bad.raw, bad.reason) == ("stocks", "2024-05-10 铝", json.dumps(cells), reason)


@pytest.mark.parametrize(
    ("day", "metals", "reason"),
    [
        ("2024-02-30", {"铝": [300, 200, 100]}, "obs_date: '2024-02-30' is not a date YYYY-MM-DD"),
        ("20240510", {"铝": [300, 200, 100]}, "obs_date: '20240510' is not a date YYYY-MM-DD"),
        ("2024-05-10", [300, 200, 100], "obs_date: [300, 200, 100] is no object of metals"),
    ],
)
def test_an_invalid_day_is_rejected_alone(day: str, metals: object, reason: str) -> None:
    response = read({"2024-05-09": {"铝": [300, 200, 100]}, day: metals})
    assert rows(response) == [("AL", "2024-05-09", 300, 100)]
    assert [(bad.where, bad.reason) for bad in response.rejected] == [(day, reason)]


@pytest.mark.parametrize("values", [None, {}, [], "2024-05-10"])
def test_a_response_without_days_is_an_error(values: object) -> None:
    with pytest.raises(
        SourceError, match=r"^jin10 lme_stock\.json: no days under values in the response; expected JSON"
    ):
        read(values)


def test_a_renamed_metal_is_an_error() -> None:
    with pytest.raises(SourceError, match="none of 铝, AL on any day, only 铜, 锌"):
        read({"2024-05-10": {"铜": [3, 2, 1], "锌": [3, 2, 1]}})


def test_an_empty_scope_reads_nothing() -> None:
    assert rows(read({"2024-05-10": {"铝": [300, 200, 100]}}, Scope((), ()))) == []
