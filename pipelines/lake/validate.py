"""Validation of rows before they are stored: a frame of another shape is refused, single invalid rows are rejected."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api import types

from schemas.base import VINTAGE, Spec, columns_of
from schemas.datasets import DATASETS
from schemas.generate.arrow import pandas_types

KNOWN: Final = "knowledge_ts"
_RULES: Final = {
    "greater_than_or_equal_to": ">= {min_value}",
    "greater_than": "> {min_value}",
    "less_than_or_equal_to": "<= {max_value}",
    "less_than": "< {max_value}",
    "isin": "one of {allowed_values}",
    "str_matches": "pattern {pattern}",
}
Mask = NDArray[np.bool_]


class SchemaMismatch(Exception):  # noqa: N818
    """A frame whose columns or types are not the dataset's; the text names what differs and what is expected."""


@dataclass(frozen=True)
class Validated:
    """Valid and rejected rows of a frame. `good` has the model's columns and types, in the order given.

    `rejected`: `row` (position from 0), `label` (the row's index label), `raw` (the row as JSON text), `reason`
    (`column=value breaks rule`, several joined by `; `).
    """

    good: pd.DataFrame
    rejected: pd.DataFrame
    positions: NDArray[np.int64]  # of each row of `good` in the given frame


def validate(name: str, frame: pd.DataFrame) -> Validated:
    """Validate a frame against its dataset's pandera model.

    A nullable column may be absent. `knowledge_ts` may be present and is kept; a row whose time is before its period
    could be known is rejected. Of equal rows with one key (and knowledge_ts) one is kept; rows with one key and
    different values are all rejected. Raises `SchemaMismatch` for missing or unknown columns and for a column in which
    no value has the expected type.
    """
    spec = DATASETS[name]
    _check_columns(name, spec, frame)
    given = frame.reset_index(drop=True)
    faults = _Faults(len(given))
    about = pandas_types(name)
    columns = [*columns_of(spec.model), *([KNOWN] if KNOWN in given else [])]
    typed = pd.DataFrame({column: _typed(name, given, column, about[column], faults) for column in columns})
    readable = ~faults.bad
    _check_rules(spec, typed, readable, faults)
    _check_knowledge_time(spec, typed, faults)
    repeated = _repeated(spec, typed, faults) & readable

    kept = ~faults.bad & ~repeated
    good = typed[kept].reset_index(drop=True).astype({column: about[column] for column in columns})
    # The rules were applied one by one to find the rows that break them. The model itself confirms the result.
    if len(good):
        spec.model.validate(good.drop(columns=KNOWN, errors="ignore"), lazy=True)
    bad = np.flatnonzero(faults.bad).tolist()
    rejected = pd.DataFrame(
        {
            "row": pd.Series(bad, dtype="int64"),
            "label": frame.index[bad],
            "raw": pd.Series(list(_json_rows(given.iloc[bad])), dtype="str"),
            "reason": pd.Series(["; ".join(faults.reasons[row]) for row in bad], dtype="str"),
        }
    )
    return Validated(good, rejected, np.flatnonzero(kept))


class _Faults:
    """Invalid rows and their reasons."""

    def __init__(self, rows: int) -> None:
        self.bad: Mask = np.zeros(rows, dtype=bool)
        self.reasons: dict[int, list[str]] = {}

    def add(self, broken: Mask, values: pd.DataFrame, rule: str) -> None:
        """Add a broken rule. `broken`: rows that break it; `values`: columns that the reason shows."""
        self.bad |= broken
        names = [str(column) for column in values.columns]
        cells = values[broken].astype("object").itertuples(index=False, name=None)
        for row, row_cells in zip(np.flatnonzero(broken).tolist(), cells, strict=True):
            shown = ", ".join(f"{name}={_text(cell)}" for name, cell in zip(names, row_cells, strict=True))
            self.reasons.setdefault(row, []).append(f"{shown} breaks {rule}")


def _check_columns(name: str, spec: Spec, frame: pd.DataFrame) -> None:
    about = columns_of(spec.model)
    given = [str(column) for column in frame.columns]
    differences = [
        f"{what} {', '.join(sorted(columns))}"
        for what, columns in (
            ("missing column", {column for column, col in about.items() if not col["nullable"]} - set(given)),
            ("unknown column", set(given) - set(about) - {KNOWN}),
            ("repeated column", {column for column in given if given.count(column) > 1}),
        )
        if columns
    ]
    if differences:
        listed = ", ".join(f"[{column}]" if col["nullable"] else column for column, col in about.items())
        raise SchemaMismatch(f"{name}: {'; '.join(differences)}; expected {listed}, [{KNOWN}] ([] may be left out)")


# --- types


def _typed(name: str, frame: pd.DataFrame, column: str, kind: str, faults: _Faults) -> pd.Series:
    """A column in its stored type; NA for a missing value, and for one of another type, which is a fault."""
    wanted, read = next((text, read) for start, text, read in _READERS if kind.lower().startswith(start))
    if column not in frame:
        return read(pd.Series(None, index=frame.index, dtype="object"))
    values = frame[column]
    typed = read(values)
    unreadable = (values.notna() & typed.isna()).to_numpy()
    if unreadable.any() and unreadable.sum() == values.notna().sum():
        row = int(np.flatnonzero(unreadable)[0])
        raise SchemaMismatch(
            f"{name}: column {column} holds {values.dtype}, for example {_text(values[row])} in row {row}; "
            f"expected {kind}, {wanted}"
        )
    faults.add(unreadable, frame[[column]], wanted)
    return typed


def _numbers(values: pd.Series) -> pd.Series:
    if types.is_bool_dtype(values) or types.is_datetime64_any_dtype(values):
        return pd.Series(np.nan, index=values.index, dtype="float64")
    numbers = pd.to_numeric(values, errors="coerce").astype("float64")
    return numbers.where(np.isfinite(numbers))


def _whole(values: pd.Series) -> pd.Series:
    numbers = _numbers(values)
    # Beyond 2**53 floats do not distinguish successive whole numbers.
    return numbers.where((numbers % 1 == 0) & (numbers.abs() <= 2**53)).astype("Int64")


def _texts(values: pd.Series) -> pd.Series:
    if isinstance(values.dtype, pd.StringDtype | pd.CategoricalDtype):
        return values.astype("str")
    is_text = values.map(lambda value: isinstance(value, str)).astype(bool)
    return values.astype("object").where(is_text, None).astype("str")


def _days(values: pd.Series) -> pd.Series:
    moments = _parsed(values, utc=False)
    # pandera computes in nanoseconds, which have these limits.
    fits = (moments >= pd.Timestamp.min.ceil("D")) & (moments <= pd.Timestamp.max.floor("D"))
    return moments.where(fits & (moments == moments.dt.normalize()))


def _moments(values: pd.Series) -> pd.Series:
    return _parsed(values, utc=True)


def _parsed(values: pd.Series, utc: bool) -> pd.Series:
    """Datetimes with a time zone (`utc`) or without; NaT for other values."""
    nothing = pd.Series(pd.NaT, index=values.index, dtype="datetime64[us, UTC]" if utc else "datetime64[us]")
    if types.is_numeric_dtype(values) or types.is_bool_dtype(values):
        return nothing
    if types.is_datetime64_any_dtype(values):
        has_zone = isinstance(values.dtype, pd.DatetimeTZDtype)
        return values.astype(nothing.dtype) if has_zone == utc else nothing
    try:
        return pd.to_datetime(values, errors="coerce", format="ISO8601", utc=utc).astype(nothing.dtype)
    except (ValueError, TypeError):  # times with and without a zone in one column
        return nothing


_READERS: Final[tuple[tuple[str, str, Callable[[pd.Series], pd.Series]], ...]] = (
    ("datetime64[us, utc]", "a moment in UTC", _moments),
    ("datetime64", "a day (YYYY-MM-DD)", _days),
    ("float", "a number", _numbers),
    ("int", "a whole number", _whole),
    ("str", "text", _texts),
)


# --- rules


def _check_rules(spec: Spec, typed: pd.DataFrame, readable: Mask, faults: _Faults) -> None:
    schema = spec.model.to_schema()
    for column, about in schema.columns.items():
        given = typed[column].notna()
        if not about.nullable:
            # A value of another type has its reason already.
            faults.add(~given.to_numpy() & readable, typed[[column]], "not null")
        for check in about.checks:
            faults.add(_breaks(check, typed[column][given], len(typed)), typed[[column]], _rule(check))
    # A rule over several columns needs all of its required columns.
    required = [column for column, about in schema.columns.items() if not about.nullable]
    whole = typed[readable & typed[required].notna().all(axis=1).to_numpy()]
    whole = whole.astype({column: str(about.dtype) for column, about in schema.columns.items()})
    for check in schema.checks:
        named = [column for column in schema.columns if column in str(check.error).split()]
        faults.add(_breaks(check, whole, len(typed)), typed[named], f"{check.name}: {check.error}")


def _check_knowledge_time(spec: Spec, typed: pd.DataFrame, faults: _Faults) -> None:
    """Reject a knowledge time before the period could be known: with it a backtest would look ahead."""
    if KNOWN not in typed:
        return
    earliest = typed[spec.period].dt.tz_localize("UTC") + pd.Timedelta(hours=spec.known_from_hours)
    days, hour = divmod(spec.known_from_hours, 24)
    day = {0: spec.period, -1: f"the day before {spec.period}"}.get(days, f"{spec.period} {days:+d} days")
    rule = f"known_too_early: the value cannot be known before {hour:02d}:00 UTC of {day}"
    faults.add((typed[KNOWN] < earliest).to_numpy(), typed[[KNOWN, spec.period]], rule)


def _breaks(check: Any, values: pd.Series | pd.DataFrame, length: int) -> Mask:
    broken = np.zeros(length, dtype=bool)
    if len(values):
        broken[values.index] = ~np.asarray(check(values).check_output, dtype=bool)
    return broken


def _rule(check: Any) -> str:
    if check.name not in _RULES:
        return str(check.error or check.name)
    given = {k: ", ".join(map(str, v)) if isinstance(v, list | tuple) else v for k, v in check.statistics.items()}
    return _RULES[check.name].format(**given)


def _repeated(spec: Spec, typed: pd.DataFrame, faults: _Faults) -> Mask:
    """Rows that repeat an earlier one. All rows of one key with different values are faults."""
    # On a large frame, pandera's own uniqueness rule takes longer than everything else here.
    key = [*spec.key, *([KNOWN] if KNOWN in typed else [])]
    repeated = np.zeros(len(typed), dtype=bool)
    rows = typed[typed.duplicated(key, keep=False) & typed[list(spec.key)].notna().all(axis=1)]
    if rows.empty:
        return repeated
    if VINTAGE in rows:
        # Rows that differ only in the release number are equal. The lowest number is kept.
        rows = rows.sort_values(VINTAGE, kind="stable")
    again = rows.duplicated([column for column in rows if column != VINTAGE])
    group = rows.groupby(key, dropna=False, sort=False).ngroup()
    differing = np.zeros(len(typed), dtype=bool)
    differing[rows.index[group.map(group[~again].value_counts()) > 1]] = True
    faults.add(differing, typed[key], "unique key: rows with the same key have different values")
    repeated[rows.index[again]] = True
    return repeated


# --- text


def _text(value: Any) -> str:
    plain = _plain(value)
    text = "null" if plain is None else str(plain)
    return text if len(text) <= 80 else text[:80] + "…"


def _plain(value: Any) -> Any:
    """A cell as a JSON value: days without a time, no NaN, no numpy types."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if pd.api.types.is_scalar(value) and pd.isna(value):
        return None
    if isinstance(value, pd.Timestamp):
        return value.isoformat() if value.tzinfo or value != value.normalize() else str(value.date())
    if isinstance(value, np.generic):
        value = value.item()
    return value if isinstance(value, int | float) and np.isfinite(value) else str(value)


def _json_rows(rows: pd.DataFrame) -> Iterator[str]:
    columns = [str(column) for column in rows.columns]
    for values in rows.itertuples(index=False, name=None):
        yield json.dumps({column: _plain(value) for column, value in zip(columns, values, strict=True)})
