"""Reference tables: read, checked against their models, and handed on (to sources as a `Scope`, to dbt as Parquet)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pandera.errors

from pipelines.sources.base import Metal, Scope, Zone
from schemas.base import columns_of
from schemas.reference import REFERENCE, Reference


class ReferenceError(Exception):
    """A reference file that cannot be used: file, row, column, value and rule."""


@dataclass(frozen=True)
class ReferenceTables:
    """All reference tables and what identifies their content."""

    tables: dict[str, pd.DataFrame]
    sha256: str

    def __getitem__(self, name: str) -> pd.DataFrame:
        return self.tables[name]

    def scope(self, metals: tuple[str, ...] = ()) -> Scope:
        """Metals (all, or those asked for) and zones as sources need them. `ReferenceError` for an unknown metal."""
        known = {row.metal: row for row in self["metals"].itertuples()}
        for metal in metals:
            if metal not in known:
                raise ReferenceError(f"metal {metal!r} is not in metals.csv; known: {', '.join(known)}")
        return Scope(
            metals=tuple(
                Metal(r.metal, r.name, r.westmetall_code, r.worldbank_column, r.fred_series, r.customs_label)
                for symbol, r in known.items()
                if not metals or symbol in metals
            ),
            zones=tuple(Zone(r.zone, r.eic, r.timezone, r.data_source) for r in self["power_zones"].itertuples()),
        )


def load_reference(folder: Path) -> ReferenceTables:
    """Every table of `schemas.reference`, validated. Raises `ReferenceError` for the first thing that is wrong."""
    tables: dict[str, pd.DataFrame] = {}
    digest = hashlib.sha256()
    for name, model in REFERENCE.items():
        path = folder / f"{name}.csv"
        if not path.is_file():
            raise ReferenceError(f"{path.name} is missing from the reference folder")
        body = path.read_bytes()
        digest.update(name.encode() + b"\0" + body + b"\0")
        tables[name] = _checked(path.name, path, model)
    return ReferenceTables(tables, digest.hexdigest())


def _checked(file: str, path: Path, model: type[Reference]) -> pd.DataFrame:
    try:
        frame = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8")
    except (UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise ReferenceError(f"{file}: cannot be read as UTF-8 CSV with a header: {error}") from None
    expected = list(columns_of(model))
    missing, unknown = set(expected) - set(frame.columns), set(frame.columns) - set(expected)
    if missing or unknown:
        problem = f"column {min(missing)} is missing" if missing else f"column {min(unknown)} is unknown"
        raise ReferenceError(f"{file} line 1: {problem}; expected {', '.join(expected)}")
    try:
        return model.validate(frame[expected], lazy=True)
    except pandera.errors.SchemaErrors as error:
        raise ReferenceError(_first_failure(file, frame, error.failure_cases)) from None


def _first_failure(file: str, frame: pd.DataFrame, cases: pd.DataFrame) -> str:
    # A rule about the whole table names no row; a cell that is no number names the value.
    case: dict[str, Any] = cases.iloc[0].to_dict()
    where = "" if pd.isna(case["index"]) else f" line {int(case['index']) + 2}"
    column = case["column"] if case["column"] in frame.columns else ""
    value = f" {frame[column].iloc[int(case['index'])]!r}" if column and where else ""
    return f"{file}{where}: {column}{value} breaks the rule: {case['check']}".replace(":  ", ": ")
