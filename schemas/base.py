"""What every dataset shares: the bitemporal columns, units and licences, and how a schema describes itself.

A dataset is one pandera model. Its value columns are what a source parses and what a drop file holds; the bitemporal
columns are added on the way into the lake and are the same for all (DOMAIN section 2).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Final

import pandas as pd
import pandera.pandas as pa
from pandera.typing import Series

BASES = ("OBSERVED", "CALENDAR", "ASSUMED")  # best first: the worst of the inputs travels downstream
LICENCES = ("OPEN", "BYO", "RESTRICTED")  # freest first

# The publisher's own number of a release, where a dataset has it. It tells vintages apart; it is no value.
VINTAGE: Final = "vintage"

UTC = Annotated[pd.DatetimeTZDtype, "us", "UTC"]


def column(description: str, unit: str = "", **checks: Any) -> Any:
    """A pandera field that also carries its description and unit (as metadata)."""
    return pa.Field(description=description, metadata={"unit": unit}, **checks)


class Dataset(pa.DataFrameModel):
    """Base of every lake dataset: types are coerced, unknown columns refused."""

    class Config:
        coerce = True
        strict = True


@dataclass(frozen=True)
class Spec:
    """A dataset: its model and what the model cannot say."""

    model: type[Dataset]
    title: str
    key: tuple[str, ...]  # identifies one observation
    period: str  # the column that says which day or month-end it speaks of
    entity: str | None  # the column that names the series: metal, zone, pair; None where there is one series
    cadence: str  # daily or monthly
    within: tuple[str, ...] = ()  # columns beside the entity that tell its series apart, where each has its own source
    # Hours after 00:00 UTC of the period's last day before which no value can be known: not even an early one.
    known_from_hours: int = 0

    @property
    def series(self) -> tuple[str, ...]:
        """The columns that name what one source gives or a user's file replaces, month by month."""
        return (*([self.entity] if self.entity else []), *self.within)


class Table(pa.DataFrameModel):
    """Base of every published table."""

    class Config:
        coerce = True
        strict = True


@dataclass(frozen=True)
class Mart:
    """A published table: its model, where it stands, and the columns that identify a row."""

    model: type[Table]
    schema: str  # marts or signals
    title: str
    key: tuple[str, ...]
    cadence: str = "daily"  # or monthly, or on-change


class Bitemporal(pa.DataFrameModel):
    """The columns that every stored observation carries beside its values."""

    obs_start: Series[pd.Timestamp] = column("First day of the period that the observation speaks of", "date")
    obs_end: Series[pd.Timestamp] = column("Last day of that period", "date")
    knowledge_ts: Series[UTC] = column("When a user of this source tier could first know the value", "UTC")
    knowledge_basis: Series[str] = column(
        "Where knowledge_ts comes from: captured, release calendar, or assumed lag", isin=list(BASES)
    )
    vintage_no: Series[int] = column("1 for the first value known of an observation, then counted up", "count", ge=1)
    is_suspect: Series[bool] = column(
        "Its publisher had given another value under the same release number: one of the two is a mistake"
    )
    ingest_ts: Series[UTC] = column("When this project captured the value", "UTC")
    source: Series[str] = column("Where it was read: a source module's name, or drop")
    payload_sha256: Series[str] = column("Hash of the archived payload that held it", str_matches="^[0-9a-f]{64}$")
    licence_class: Series[str] = column("May it be passed on", isin=list(LICENCES))

    class Config:
        coerce = True


class Vintages(pa.DataFrameModel):
    """The columns that a staging model gives beside its dataset's: each vintage with the interval in which it held."""

    known_from: Series[UTC] = column("From when on this vintage was the latest known", "UTC")
    known_to: Series[UTC] = column("Until when; far in the future for the one that still is", "UTC")
    vintage_no: Series[int] = column("1 for the first vintage that counts, then counted up", "count", ge=1)
    is_suspect: Series[bool] = column("Its publisher had given another value under the same release number")
    source: Series[str] = column("Where it was read")
    knowledge_basis: Series[str] = column("Where known_from comes from", isin=list(BASES))
    licence_class: Series[str] = column("May it be passed on", isin=list(LICENCES))


def columns_of(model: type[pa.DataFrameModel]) -> dict[str, dict[str, Any]]:
    """Column name to `{dtype, nullable, required, description, unit}` in the order they are written."""
    schema = model.to_schema()
    return {
        name: {
            "dtype": col.dtype,
            "nullable": bool(col.nullable),
            "required": bool(col.required),
            "description": col.description or "",
            "unit": (col.metadata or {}).get("unit", ""),
        }
        for name, col in schema.columns.items()
    }
