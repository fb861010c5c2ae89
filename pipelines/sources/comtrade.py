"""UN Comtrade, public preview: exports by Harmonised System code; one JSON answer an exporter, metal and month."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

import pandas as pd

from pipelines.sources.base import (
    Access,
    Exporter,
    Metal,
    NoData,
    Parsed,
    Payload,
    Request,
    Scope,
    SourceError,
)
from pipelines.sources.contract import ResponseContract
from pipelines.sources.parsing import Rows, excerpt, json_number, json_shape, json_value, parsed
from pipelines.sources.protocol import Source

FIRST_MONTH: Final = pd.Period("2010-01", "M")  # monthly figures begin here
EXPECTED: Final = "JSON with data[]: period, reporterCode, cmdCode, netWgt of the asked month and exporter"
MOST_ROWS: Final = 500  # of a preview; an answer of that length may be cut
# The world as one partner, without a second partner, all means of transport, all customs procedures: the other rows are
# parts of this one.
WHOLE: Final = {"flowCode": "X", "partnerCode": "0", "partner2Code": "0", "motCode": "0", "customsCode": "C00"}


class Comtrade:
    """Exported weight of all codes that count as a metal, by month."""

    NAME = "comtrade"
    TITLE = "UN Comtrade: monthly exports"
    LICENCE = "OPEN"
    DATASETS: tuple[str, ...] = ("exports",)
    ACCESS = Access(("comtradeapi.un.org",), backoff_s=5, throttled=r'"statusCode"\s*:\s*429|rate limit is exceeded')
    CONTRACT = ResponseContract(
        lambda payload: _shape(payload),
        {"period": "number", "reporterCode": "number", "cmdCode": "number", "netWgt": "number"},
    )

    def requests(self, month: pd.Period, scope: Scope) -> Sequence[Request]:
        """One request an exporter that this source serves and a metal that has codes; none before 2010."""
        if month < FIRST_MONTH:
            return []
        period = f"{month.year}{month.month:02d}"
        return [
            Request(
                source=self.NAME,
                name=f"{'_'.join(exporter.name.lower().split())}_x_{'-'.join(metal.hs_codes.split())}_{period}.json",
                url="https://comtradeapi.un.org/public/v1/preview/C/M/HS"
                f"?reporterCode={exporter.comtrade_code}&period={period}&cmdCode={','.join(metal.hs_codes.split())}&"
                + "&".join(f"{name}={value}" for name, value in WHOLE.items()),
                entity=f"{exporter.country}/{metal.metal}",
                period=str(month),
            )
            for exporter in scope.exporters
            if exporter.source == self.NAME
            for metal in scope.metals
            if metal.hs_codes
        ]

    def parse(self, payload: Payload, scope: Scope) -> Parsed:
        """One row: kilotonnes of the month, net weight summed over the metal's codes.

        A code without a row or without a weight rejects the month: its sum would be of another definition. A recording
        may hold the rows alone. Raises SourceError when the answer is no such JSON, says that it was refused, may be
        cut, or speaks of another month or exporter; NoData when there are no rows.
        """
        request = payload.request
        exporter, metal = _asked(request, scope)
        entries = _entries(payload)
        period = request.period.replace("-", "")
        for entry in entries:
            found = (str(entry.get("period")), str(entry.get("reporterCode")))
            if found != (period, str(exporter.comtrade_code)):
                problem = f"a row is for period {found[0]} and reporter {found[1]}"
                raise SourceError(request, problem, f"period {period} and reporter {exporter.comtrade_code}")
        rows, codes = Rows("exports"), metal.hs_codes.split()
        whole = [e for e in entries if all(str(e.get(name)) == value for name, value in WHOLE.items())]
        raw = json.dumps([{name: e.get(name) for name in ("cmdCode", "netWgt", "primaryValue")} for e in whole])
        where = f"{exporter.name} {request.period}"
        try:
            kilograms = [_weight(code, [e for e in whole if str(e.get("cmdCode")) == code]) for code in codes]
        except ValueError as error:
            rows.reject(where, raw, f"exports_kt: {error}; the month is left out")
        else:
            row = {
                "metal": metal.metal,
                "country": exporter.country,
                "period_end": pd.Period(request.period, "M").end_time.normalize(),
                "period_months": 1,
                "exports_kt": sum(kilograms) / 1_000_000,
            }
            rows.add(row, where, raw)
        return parsed(rows)


def _asked(request: Request, scope: Scope) -> tuple[Exporter, Metal]:
    """The exporter and the metal that a request is about; SourceError when the scope has not both."""
    for exporter in scope.exporters:
        for metal in scope.metals:
            if request.entity == f"{exporter.country}/{metal.metal}":
                return exporter, metal
    known = ", ".join(f"{e.country}/{m.metal}" for e in scope.exporters for m in scope.metals) or "none"
    raise SourceError(request, f"exporter and metal {request.entity!r} are not known", f"one of {known}")


def _entries(payload: Payload) -> list[dict[str, Any]]:
    request, answer = payload.request, json_value(payload, EXPECTED)
    entries = answer.get("data") if isinstance(answer, dict) else answer or None
    if isinstance(answer, dict):
        # Refusals come with status 200 too: {"statusCode": 429, "message": "Rate limit is exceeded. Try again …"}
        said = next((answer[name] for name in ("error", "message", "errorMessage") if answer.get(name)), None)
        status = answer.get("statusCode", 200)
        if said is not None or status != 200:
            reason = excerpt(str(said or status))
            if status == 429 or "rate limit" in reason.lower():
                raise SourceError(request, f"the publisher throttles: {reason}", EXPECTED)
            raise SourceError(request, f"the publisher refuses to answer: {reason}", EXPECTED)
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise SourceError(request, f"no list of rows in the answer: {excerpt(payload.body)}", EXPECTED)
    if not entries:
        raise NoData(f"{request.source} {request.name}: nothing is reported")
    if len(entries) >= MOST_ROWS:
        raise SourceError(request, f"the answer has {len(entries)} rows and may be cut", f"under {MOST_ROWS} rows")
    return entries


def _weight(code: str, entries: list[dict[str, Any]]) -> float:
    """The net weight of one code in kg; ValueError when there is none, or two that differ."""
    if not entries:
        raise ValueError(f"no row for {code}")
    weights = set()
    for entry in entries:
        try:
            weight = json_number(entry.get("netWgt"))
        except ValueError as error:
            raise ValueError(f"netWgt of {code}: {error}") from None
        # Goods of some value weigh something: the reporter gave no weight.
        if weight < 0 or (weight == 0 and entry.get("primaryValue") not in (0, None)):
            raise ValueError(f"netWgt of {code}: {weight:g} kg for a value of {entry.get('primaryValue')} USD")
        weights.add(weight)
    if len(weights) > 1:
        raise ValueError(f"netWgt of {code}: {' and '.join(f'{weight:.10g}' for weight in sorted(weights))} kg")
    return weights.pop()


def _shape(payload: Payload) -> dict[str, str]:
    """The fields of the rows, which a recording may hold alone."""
    return {name.removeprefix("data."): kind for name, kind in json_shape(payload).items()}


SOURCE: Final[Source] = Comtrade()
