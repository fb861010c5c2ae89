"""Odd cells and tables: their cost is bounded, and the result is a value or a ValueError."""

from __future__ import annotations

import pytest
from lxml import html

from pipelines.sources.parsing import json_number, number, table_cells


@pytest.mark.parametrize("cell", ["nan", "inf", "1e5", "1_000", "9" * 400, "-" + "9" * 400, "१", "", "1,00"])
def test_text_that_is_no_finite_decimal_number_is_an_error(cell: str) -> None:
    with pytest.raises(ValueError, match="is not a number"):
        number(cell)


@pytest.mark.parametrize("value", [None, True, "1", float("nan"), float("inf"), 10**400])
def test_json_that_is_no_finite_number_is_an_error(value: object) -> None:
    with pytest.raises(ValueError, match="is not a number"):
        json_number(value)


def test_numbers_are_read_as_they_are_written() -> None:
    assert [number(cell) for cell in ("1", "-2.50", "+1,234,567.8")] == [1.0, -2.5, 1_234_567.8]


@pytest.mark.parametrize("span", ["0", "-1", "x", "", "1.5"])
def test_an_invalid_span_is_one_cell(span: str) -> None:
    table = html.fromstring(f'<table><tr><td colspan="{span}">a</td><td>b</td></tr></table>')
    assert table_cells(table) == [["a", "b"]]


@pytest.mark.parametrize("span", ["1000", "9" * 5000])
def test_a_cell_spans_a_hundred_places_at_most(span: str) -> None:
    table = html.fromstring(f'<table><tr><td colspan="{span}">a</td></tr></table>')
    assert table_cells(table) == [["a"] * 100]
