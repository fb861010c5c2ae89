"""Shared by the tests of sources: a scope, and payloads as a transport returns them."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path

import pandas as pd

from pipelines.sources import SOURCES
from pipelines.sources.base import Exporter, Metal, Parsed, Payload, Request, Scope, Zone
from schemas.base import columns_of
from schemas.datasets import DATASETS

ALUMINIUM = Metal("AL", "Aluminium", "Al", "Aluminum", "PALUMUSDM", "(?i)unwrought alumini?um", "7601 7604", "铝")
COPPER = Metal("CU", "Copper", "Cu", "Copper", "PCOPPUSDM", "(?i)unwrought copper", chinese_name="铜")
GERMANY = Zone("DE-LU", "10Y1001A1001A82H", "Europe/Berlin", "energy_charts")
BELGIUM = Zone("BE", "10YBE----------2", "Europe/Brussels", "entsoe")
CHINA = Exporter("CN", "China", 156, "customs")
CANADA = Exporter("CA", "Canada", 124, "comtrade")
SCOPE = Scope((ALUMINIUM,), (GERMANY, BELGIUM), (CHINA, CANADA), ("AA",), contracts=("191691",))
BOT_WALL = b"<!DOCTYPE html><html><head><title>Just a moment...</title></head><body>Checking your browser</body></html>"


def payload(source: str, body: bytes | Path, period: str = "", entity: str = "", name: str = "request") -> Payload:
    """A response to a request of this source."""
    request = Request(source, name, "https://example.org", entity, period)
    return Payload(
        request, body if isinstance(body, bytes) else body.read_bytes(), dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    )


def parse(response: Payload, scope: Scope = SCOPE) -> Parsed:
    """Parse a response and check that columns and types are those of the schema, as for every source."""
    result = SOURCES[response.request.source].parse(response, scope)
    for dataset, frame in result.frames.items():
        assert list(frame.columns) == list(columns_of(DATASETS[dataset].model))
        assert not frame.duplicated(list(DATASETS[dataset].key)).any()
        for column in frame.columns:
            if re.search("date|period_end", column):
                assert frame[column].dtype == "datetime64[us]"
                assert (frame[column] == frame[column].dt.normalize()).all()
    return result


def month(text: str) -> pd.Period:
    return pd.Period(text, "M")
