"""Bases of all models: columns taken from the field registry, and the columns that datasets share.

A model is a pandera `DataFrameModel` that names its columns in `__columns__`; a `?` marks those that may be missing
(null). Types, descriptions, units and rules come from `schemas.fields`. What differs in one model is an attribute of
the column's name, made with `field`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from typing import Annotated, Any, ClassVar, Final, NamedTuple, cast

import numpy as np
import pandas as pd
import pandera.pandas as pa
from pandera.typing import Series

from schemas.fields import FIELDS, Field

VINTAGE: Final = "vintage"  # the publisher's release number: it orders vintages and is no value

UTC = Annotated[pd.DatetimeTZDtype, "us", "UTC"]

# Physical type of a column without missing values, and of one with; whole numbers of published tables have 32 bits.
_STORED: Final[dict[type, tuple[Any, Any]]] = {
    bool: (bool, pd.BooleanDtype),
    date: (pd.Timestamp, pd.Timestamp),
    datetime: (UTC, UTC),
    int: (int, pd.Int64Dtype),
}
_PUBLISHED: Final = _STORED | {int: (np.int32, pd.Int32Dtype)}


class _Override(NamedTuple):
    description: str | None
    unit: str | None
    options: dict[str, Any]


def field(description: str | None = None, unit: str | None = None, **options: Any) -> Any:
    """Differences of one model from the registry's entry: arguments of `pandera.Field`, `dtype` or `required`.

    A check that is None is removed. Columns that `__columns__` does not name follow those that it names.
    """
    return _Override(description, unit, options)


class Model(pa.DataFrameModel):
    """Base of every model. Raises `TypeError` for a column that has neither an entry in the registry nor a `dtype`."""

    __columns__: ClassVar[str] = ""
    __published__: ClassVar[bool] = False  # without the limits of accepted values, and with smaller whole numbers
    __overrides__: ClassVar[dict[str, _Override]] = {}

    class Config:
        coerce = True

    def __init_subclass__(cls, **kwargs: Any) -> None:
        overrides = {name: own for name, own in vars(cls).items() if isinstance(own, _Override)}
        named = {name.removesuffix("?"): name.endswith("?") for name in vars(cls).get("__columns__", "").split()}
        cls.__overrides__ = cls.__overrides__ | overrides
        cls.__annotations__ = dict(vars(cls).get("__annotations__", {}))
        for name in [*named, *(name for name in overrides if name not in named)]:
            own = overrides.get(name, field())
            cls.__annotations__[name], column = _column(cls, name, named.get(name, False), own)
            column.__set_name__(cls, name)
            setattr(cls, name, column)
        super().__init_subclass__(**kwargs)  # type: ignore[no-untyped-call]


def _column(model: type[Model], name: str, nullable: bool, own: _Override) -> tuple[Any, Any]:
    """Annotation and pandera field of a column."""
    if name not in FIELDS and "dtype" not in own.options:
        raise TypeError(f"{model.__name__}.{name} is not in schemas/fields.py: add it there")
    entry = FIELDS.get(name, Field(object, ""))
    options = {**entry.checks, **({} if model.__published__ else entry.accepts), **own.options}
    dtype, required = options.pop("dtype", entry.dtype), options.pop("required", True)
    options = {"nullable": nullable} | {option: value for option, value in options.items() if value is not None}
    types = (_PUBLISHED if model.__published__ else _STORED).get(dtype, (dtype, dtype))
    series = cast(Any, Series)[types[options["nullable"]]]
    unit = entry.unit if own.unit is None else own.unit
    return series if required else series | None, pa.Field(
        description=entry.description if own.description is None else own.description,
        metadata={"unit": unit, **options.pop("metadata", {})},
        **options,
    )


class Dataset(Model):
    """Base of every lake dataset: unknown columns are refused."""

    class Config:
        strict = True


class Table(Model):
    """Base of every published table: unknown columns are refused."""

    __published__ = True

    class Config:
        strict = True


def title(model: type[pa.DataFrameModel]) -> str:
    """First line of a model's docstring, without its full stop."""
    return (model.__doc__ or model.__name__).strip().splitlines()[0].removesuffix(".")


@dataclass(frozen=True)
class Spec:
    """A dataset: its model, and what identifies and times its observations."""

    model: type[Dataset]
    key: tuple[str, ...]  # identifies one observation
    period: str = "obs_date"  # column with the day, or the last day, of the observation
    entity: str | None = "metal"  # column that names the series: metal, zone, pair; None where there is one series
    cadence: str = "daily"  # or monthly
    within: tuple[str, ...] = ()  # further columns that name the series, where each may have a source of its own
    parts: tuple[str, ...] = ()  # columns that name a part of a series, which a user's file may have alone
    # Hours after 00:00 UTC of the period's last day before which no value can be known, not even an early one.
    known_from_hours: int = 0
    # Users' files and lake files of earlier versions may have former names of columns, and lack those with a default.
    aliases: Mapping[str, str] = dataclasses.field(default_factory=dict)  # former name to name
    defaults: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def title(self) -> str:
        """Title of the dataset, in one line."""
        return title(self.model)

    @property
    def series(self) -> tuple[str, ...]:
        """Columns that name a series: each month of it is from one source, or from one file of the user."""
        return (*([self.entity] if self.entity else []), *self.within)

    @property
    def overridden(self) -> tuple[str, ...]:
        """Columns that name what a user's file overrides, by month: a series, or its parts."""
        return (*self.series, *self.parts)


@dataclass(frozen=True)
class Mart:
    """A published table: its model, its place, and the columns that identify a row."""

    model: type[Table]
    schema: str  # marts or signals
    key: tuple[str, ...]
    cadence: str = "daily"  # or weekly, or monthly, or on-change
    rules: tuple[str, ...] = ()  # rules of a row beside those of its columns: SQL expressions

    @property
    def title(self) -> str:
        """Title of the table, in one line."""
        return title(self.model)


class Bitemporal(Model):
    """The columns that every stored observation has beside its values."""

    __columns__ = (
        "obs_start obs_end knowledge_ts knowledge_basis vintage_no is_suspect ingest_ts source payload_sha256 "
        "licence_class"
    )


class Vintages(Model):
    """The columns that a staging model adds to its dataset's: the interval in which each vintage was the latest."""

    __columns__ = "known_from known_to vintage_no is_suspect source knowledge_basis licence_class"


@cache
def columns_of(model: type[pa.DataFrameModel]) -> dict[str, dict[str, Any]]:
    """Column name to `{dtype, nullable, required, description, unit}`, in the order in which they are written.

    Later callers get the same object: it must not be changed.
    """
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
