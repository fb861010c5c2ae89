"""Jin10: copy of the daily LME stock report with cancelled warrants; one JSON file with the whole history."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

import pandas as pd

from pipelines.sources.base import Access, Metal, Parsed, Payload, Request, Scope, SourceError
from pipelines.sources.contract import ResponseContract
from pipelines.sources.parsing import Rows, iso_date, json_number, json_object, json_shape, number, parsed
from pipelines.sources.protocol import Source

FIRST_MONTH: Final = pd.Period("2014-07", "M")  # the file starts on 2014-07-02
EXPECTED: Final = "JSON with values{date: {metal: [stock, registered, cancelled]}} in tonnes"
CELLS: Final = ("total_t", "registered", "cancelled_t")
TOLERANCE_T: Final = 1.0


class Jin10:
    """Registered stock and its cancelled part. The file has no days from 2021-10 to 2022-02."""

    NAME = "jin10"
    TITLE = "Jin10: LME stock with cancelled warrants"
    LICENCE = "RESTRICTED"
    DATASETS: tuple[str, ...] = ("stocks",)
    ACCESS = Access(("cdn.jin10.com",))
    # The file has a gap of five months, and two months are incomplete.
    CONTRACT = ResponseContract(json_shape, {"values.[*].*": "number"}, "LONDON", gap=150, age=6, min_row_share=0.85)

    def requests(self, month: pd.Period, scope: Scope) -> Sequence[Request]:
        """The one file, whichever month; none before July 2014."""
        if month < FIRST_MONTH:
            return []
        url = "https://cdn.jin10.com/data_center/reports/lme_stock.json"
        return [Request(source=self.NAME, name="lme_stock.json", url=url)]

    def parse(self, payload: Payload, scope: Scope) -> Parsed:
        """Stock and cancelled warrants in t by metal and day of the report; metals out of scope are ignored.

        Rejects a row whose registered and cancelled warrants differ from the stock by more than a tonne. Raises
        SourceError when the response is no such JSON, or has none of the metals in scope on any day.
        """
        values = json_object(payload, EXPECTED).get("values")
        if not isinstance(values, dict) or not values:
            raise SourceError(payload.request, "no days under values in the response", EXPECTED)
        rows, labels = Rows("stocks"), set[str]()
        for text, metals in values.items():
            try:
                day = iso_date(text)
                if not isinstance(metals, dict):
                    raise ValueError(f"{json.dumps(metals, ensure_ascii=False)} is no object of metals")
            except ValueError as error:
                rows.reject(text, json.dumps(metals, ensure_ascii=False), f"obs_date: {error}")
                continue
            labels |= metals.keys()
            for metal in scope.metals:
                label = next((name for name in _labels(metal) if name in metals), None)
                if label is None:
                    continue
                where, raw = f"{text} {label}", json.dumps(metals[label], ensure_ascii=False)
                try:
                    rows.add({"metal": metal.metal, "obs_date": day} | _warrants(metals[label]), where, raw)
                except ValueError as error:
                    rows.reject(where, raw, str(error))
        expected = [name for metal in scope.metals for name in _labels(metal)]
        if expected and labels and labels.isdisjoint(expected):
            problem = f"none of {', '.join(expected)} on any day, only {', '.join(sorted(labels))}"
            raise SourceError(payload.request, problem, EXPECTED)
        return parsed(rows)


def _labels(metal: Metal) -> list[str]:
    return [name for name in (metal.chinese_name, metal.metal) if name]


def _warrants(cells: Any) -> dict[str, float]:
    if not isinstance(cells, list) or len(cells) != len(CELLS):
        raise ValueError(f"total_t: {json.dumps(cells, ensure_ascii=False)} is not [stock, registered, cancelled]")
    total, registered, cancelled = (_tonnes(name, cell) for name, cell in zip(CELLS, cells, strict=True))
    if abs(registered + cancelled - total) > TOLERANCE_T:
        raise ValueError(
            f"total_t: stock {total:.10g} is not registered {registered:.10g} + cancelled {cancelled:.10g} "
            f"(within {TOLERANCE_T:g} t)"
        )
    return {"total_t": total, "cancelled_t": cancelled}


def _tonnes(name: str, cell: object) -> float:
    try:
        return number(cell) if isinstance(cell, str) else json_number(cell)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


SOURCE: Final[Source] = Jin10()
