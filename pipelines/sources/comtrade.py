"""UN Comtrade, public preview: exports by Harmonised System code; one JSON response per exporter, metal and month."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

import pandas as pd

from pipelines.sources.base import Access, NoData, Parsed, Payload, Request, Scope, SourceError
from pipelines.sources.contract import ResponseContract
from pipelines.sources.parsing import Rows, excerpt, json_number, json_shape, json_value, parsed, requested
from pipelines.sources.protocol import Source

FIRST_MONTH: Final = pd.Period("2010-01", "M")  # monthly figures begin here
EXPECTED: Final = "JSON with data[]: period, reporterCode, cmdCode, netWgt of the requested month and exporter"
MAX_ROWS: Final = 500  # of a preview; a response of that length may be truncated
# The total: world as partner, no second partner, all means of transport, all customs procedures. Other rows are parts.
TOTAL: Final = {"flowCode": "X", "partnerCode": "0", "partner2Code": "0", "motCode": "0", "customsCode": "C00"}


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
        """One request per exporter of this source and metal with codes; none before 2010."""
        if month < FIRST_MONTH:
            return []
        period = f"{month.year}{month.month:02d}"
        return [
            Request(
                source=self.NAME,
                name=f"{'_'.join(exporter.name.lower().split())}_x_{'-'.join(metal.hs_codes.split())}_{period}.json",
                url="https://comtradeapi.un.org/public/v1/preview/C/M/HS"
                f"?reporterCode={exporter.comtrade_code}&period={period}&cmdCode={','.join(metal.hs_codes.split())}&"
                + "&".join(f"{name}={value}" for name, value in TOTAL.items()),
                entity=f"{exporter.country}/{metal.metal}",
                period=str(month),
            )
            for exporter in scope.exporters
            if exporter.source == self.NAME
            for metal in scope.metals
            if metal.hs_codes
        ]

    def parse(self, payload: Payload, scope: Scope) -> Parsed:
        """One row: kilotonnes exported in the month, net weight summed over the metal's codes.

        A code without a row or a weight rejects the month, since the sum would be incomplete. A row of another month or
        exporter is rejected. A recording may hold the list of rows alone. Raises SourceError when the response is no
        such JSON, an error, possibly truncated, or of another month or exporter; NoData when there are no rows.
        """
        request = payload.request
        pairs = [(exporter, metal) for exporter in scope.exporters for metal in scope.metals]
        exporter, metal = requested(request, "exporter and metal", pairs, lambda p: f"{p[0].country}/{p[1].metal}")
        entries = _entries(payload)
        period = request.period.replace("-", "")
        rows, codes = Rows("exports"), metal.hs_codes.split()
        own = []
        for number, entry in enumerate(entries):
            found = (str(entry.get("period")), str(entry.get("reporterCode")))
            if found == (period, str(exporter.comtrade_code)):
                own.append(entry)
                continue
            problem = f"a row is for period {found[0]} and reporter {found[1]}"
            rows.reject(f"data[{number}]", json.dumps(entry), f"period_end: {problem}")
        if not own:
            raise SourceError(request, problem, f"period {period} and reporter {exporter.comtrade_code}")
        totals = [e for e in own if all(str(e.get(name)) == value for name, value in TOTAL.items())]
        raw = json.dumps([{name: e.get(name) for name in ("cmdCode", "netWgt", "primaryValue")} for e in totals])
        where = f"{exporter.name} {request.period}"
        try:
            kilograms = [_weight(code, [e for e in totals if str(e.get("cmdCode")) == code]) for code in codes]
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


def _entries(payload: Payload) -> list[dict[str, Any]]:
    """The rows of a response. Raises SourceError for an error message or a possibly truncated list, NoData for none."""
    request, content = payload.request, json_value(payload, EXPECTED)
    entries = content.get("data") if isinstance(content, dict) else content or None
    if isinstance(content, dict):
        # Errors come with status 200 too: {"statusCode": 429, "message": "Rate limit is exceeded. Try again …"}
        message = next((content[name] for name in ("error", "message", "errorMessage") if content.get(name)), None)
        status = content.get("statusCode", 200)
        if message is not None or status != 200:
            reason = excerpt(str(message or status))
            if status == 429 or "rate limit" in reason.lower():
                raise SourceError(request, f"the publisher throttles: {reason}", EXPECTED)
            raise SourceError(request, f"the publisher returns an error: {reason}", EXPECTED)
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise SourceError(request, f"no list of rows in the response: {excerpt(payload.body)}", EXPECTED)
    if not entries:
        raise NoData(f"{request.source} {request.name}: nothing is reported")
    if len(entries) >= MAX_ROWS:
        raise SourceError(
            request, f"the response has {len(entries)} rows and may be truncated", f"under {MAX_ROWS} rows"
        )
    return entries


def _weight(code: str, entries: list[dict[str, Any]]) -> float:
    """Net weight of one code in kg. Raises ValueError when there is none, or two that differ."""
    if not entries:
        raise ValueError(f"no row for {code}")
    weights = set()
    for entry in entries:
        try:
            weight = json_number(entry.get("netWgt"))
        except ValueError as error:
            raise ValueError(f"netWgt of {code}: {error}") from None
        # Zero for goods with a value means that the reporter stated no weight.
        if weight < 0 or (weight == 0 and entry.get("primaryValue") not in (0, None)):
            raise ValueError(f"netWgt of {code}: {weight:g} kg for a value of {entry.get('primaryValue')} USD")
        weights.add(weight)
    if len(weights) > 1:
        raise ValueError(f"netWgt of {code}: {' and '.join(f'{weight:.10g}' for weight in sorted(weights))} kg")
    return weights.pop()


def _shape(payload: Payload) -> dict[str, str]:
    """Fields of the rows; a recording may hold the list of rows alone."""
    return {name.removeprefix("data."): type_ for name, type_ in json_shape(payload).items()}


SOURCE: Final[Source] = Comtrade()
