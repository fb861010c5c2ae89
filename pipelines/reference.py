"""Reference tables: read, checked against their models, and handed on (to sources as a `Scope`, to dbt as Parquet)."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Any

import pandas as pd
import pandera.errors

from pipelines.sources.base import Exporter, Metal, Scope, Zone
from schemas.base import columns_of
from schemas.reference import PARAMETERS, REFERENCE, Reference


class ReferenceError(Exception):
    """A reference file that cannot be used: file, row, column, value and rule."""


@dataclass(frozen=True)
class ReferenceTables:
    """All reference tables and what identifies their content."""

    tables: dict[str, pd.DataFrame]
    sha256: str

    def __getitem__(self, name: str) -> pd.DataFrame:
        return self.tables[name]

    def rows(self, name: str) -> list[dict[str, Any]]:
        """A table's rows as plain dictionaries."""
        return [{str(key): value for key, value in row.items()} for row in self[name].to_dict("records")]

    def scope(self, metals: tuple[str, ...] = ()) -> Scope:
        """Metals (all, or those asked for) with their shares, zones and exporters as sources need them.

        Raises `ReferenceError` for an unknown metal.
        """
        known = {row["metal"]: row for row in self.rows("metals")}
        for metal in metals:
            if metal not in known:
                raise ReferenceError(f"metal {metal!r} is not in metals.csv; known: {', '.join(known)}")
        return Scope(
            metals=tuple(
                Metal(**{field.name: row[field.name] for field in fields(Metal)})
                for symbol, row in known.items()
                if not metals or symbol in metals
            ),
            zones=tuple(
                Zone(row["zone"], row["eic"], row["timezone"], row["data_source"]) for row in self.rows("power_zones")
            ),
            exporters=tuple(
                Exporter(row["country"], row["name"], int(row["comtrade_code"]), row["data_source"])
                for row in self.rows("exporters")
            ),
            # A share may stand for several metals; it is asked once.
            tickers=tuple(
                dict.fromkeys(row["ticker"] for row in self.rows("equities") if not metals or row["metal"] in metals)
            ),
        )


def load_reference(folder: Path) -> ReferenceTables:
    """Every table of `schemas.reference`, validated. Raises `ReferenceError` for the first thing that is wrong."""
    bodies: dict[str, bytes] = {}
    for name in REFERENCE:
        path = folder / f"{name}.csv"
        if not path.is_file():
            raise ReferenceError(f"{path.name} is missing from the reference folder")
        bodies[name] = path.read_bytes()
    return _load(tuple(bodies.items()))


@lru_cache(maxsize=4)
def _load(bodies: tuple[tuple[str, bytes], ...]) -> ReferenceTables:
    # Every step of a run asks for them; the same bytes are validated once a process.
    tables = {name: _checked(f"{name}.csv", body, REFERENCE[name]) for name, body in bodies}
    _check_parameters(tables["parameters"], list(tables["metals"]["metal"]))
    digest = hashlib.sha256(b"".join(name.encode() + b"\0" + body + b"\0" for name, body in bodies))
    return ReferenceTables(tables, digest.hexdigest())


# What only a smelter has: a metal without it simply has no such figures.
_OPTIONAL = {"mwh_per_t", "power_line_high_usd_mwh", "power_line_low_usd_mwh"}


def _check_parameters(parameters: pd.DataFrame, metals: list[str]) -> None:
    for name, unit in PARAMETERS.items():
        rows = parameters[parameters["name"] == name]
        wrong = rows[rows["unit"] != unit]
        if len(wrong):
            line, found = int(wrong.index[0]) + 2, wrong["unit"].iloc[0]
            raise ReferenceError(f"parameters.csv line {line}: {name} is in {found!r}, the formulas take {unit!r}")
        for metal in metals:
            if name not in _OPTIONAL and not rows["metal"].isin([metal, "*"]).any():
                raise ReferenceError(f"parameters.csv: {name} ({unit}) has no row for {metal}, and none for *: add one")
    unknown = parameters[~parameters["name"].isin(list(PARAMETERS))]
    if len(unknown):
        line, name = int(unknown.index[0]) + 2, unknown["name"].iloc[0]
        raise ReferenceError(f"parameters.csv line {line}: {name!r} is no parameter of any formula; check its spelling")


def _checked(file: str, body: bytes, model: type[Reference]) -> pd.DataFrame:
    try:
        frame = pd.read_csv(io.BytesIO(body), dtype=str, keep_default_na=False, encoding="utf-8")
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
    # A rule about a whole row names its line, one about a cell the column and its value as well.
    case = cases.iloc[0]
    where = "" if pd.isna(case["index"]) else f" line {int(case['index']) + 2}"
    column = case["column"] if case["schema_context"] == "Column" else ""
    value = f" {frame[column].iloc[int(case['index'])]!r}" if column and where else ""
    return f"{file}{where}: {column}{value} breaks the rule: {case['check']}".replace(":  ", ": ")
