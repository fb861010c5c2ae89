"""Arrow schemas of the lake's Parquet files and the pandas types of what is read back, from the pandera models."""

from __future__ import annotations

from functools import cache
from typing import Any, Final

import pyarrow as pa

from schemas.base import Bitemporal, columns_of
from schemas.datasets import DATASETS

_SAME: Final = {
    "float64": pa.float64(),
    "int64": pa.int64(),
    "Int64": pa.int64(),
    "int32": pa.int32(),
    "Int32": pa.int32(),
    "bool": pa.bool_(),
    "boolean": pa.bool_(),
}


@cache
def stored_columns(name: str) -> dict[str, dict[str, Any]]:
    """Stored columns of a dataset, as in `columns_of`: its own, then the bitemporal ones.

    Raises `KeyError` for an unknown dataset.
    """
    if name not in DATASETS:
        raise KeyError(f"no dataset {name!r}: use one of {', '.join(DATASETS)}")
    return {**columns_of(DATASETS[name].model), **columns_of(Bitemporal)}


@cache
def arrow_schema(name: str) -> pa.Schema:
    """Schema of a dataset's Parquet files: its own columns, then the bitemporal ones.

    Dates are date32, instants timestamp[us, UTC]; each field's metadata holds its description and unit.
    Raises `KeyError` for an unknown dataset, `TypeError` for a column type without an Arrow type.
    """
    return pa.schema(
        pa.field(
            column,
            _arrow_type(name, column, str(about["dtype"])),
            metadata={"description": about["description"], "unit": about["unit"]},
        )
        for column, about in stored_columns(name).items()
    )


@cache
def pandas_types(name: str) -> dict[str, str]:
    """Column to pandas dtype of a dataset that is read back: dates and instants in microseconds, text as `str`."""
    types = {}
    for field in arrow_schema(name):
        if pa.types.is_date32(field.type):
            types[field.name] = "datetime64[us]"
        elif pa.types.is_timestamp(field.type):
            types[field.name] = "datetime64[us, UTC]"
        elif pa.types.is_string(field.type):
            types[field.name] = "str"
        else:
            types[field.name] = str(stored_columns(name)[field.name]["dtype"])
    return types


def _arrow_type(name: str, column: str, dtype: str) -> pa.DataType:
    if dtype.startswith("datetime64"):
        return pa.timestamp("us", tz="UTC") if "UTC" in dtype else pa.date32()
    if dtype.startswith(("str", "object")):
        return pa.string()
    if dtype in _SAME:
        return _SAME[dtype]
    raise TypeError(f"no Arrow type for {name}.{column} of type {dtype}: add it in schemas/generate/arrow.py")
