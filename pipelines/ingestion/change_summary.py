"""Summary of a run's changes in the lake: new and revised observations, and the first revisions before and after.

It is made from the vintages that the run appended.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from pipelines.datasets import DROP
from pipelines.lake.store import Lake, Written
from schemas.base import VINTAGE, Spec, columns_of
from schemas.datasets import DATASETS

SHOWN = 10  # revised observations that a summary names


@dataclass(frozen=True)
class Revision:
    """A vintage that was added to a known observation: the values that differ, and since when it is known."""

    observation: str  # its key: `AL 2026-01-13`
    before: str  # `total_t=500000`; empty for a vintage that a drop file declares known before all stored ones
    after: str
    known_since: str  # ISO, UTC
    source: str


@dataclass(frozen=True)
class Changes:
    """Number of a dataset's changed months, new observations and added vintages, the first of these vintages, and the
    series whose stored history was rewritten."""

    dataset: str
    months: int = 0
    new: int = 0
    revised: int = 0
    first: list[Revision] = field(default_factory=list)
    rewritten: list[str] = field(default_factory=list)  # one line each


def changes(lake: Lake, dataset: str, written: Sequence[Written], shown: int = SHOWN) -> Changes:
    """Summary of the files of one ingestion, with at most `shown` revisions, by month and then as stored."""
    changed = [part for part in written if part.path]
    first: list[Revision] = []
    for month in sorted({part.month for part in changed if part.revised}):
        if len(first) >= shown:
            break
        added = pd.concat([part.revisions for part in changed if part.month == month])
        first += _revisions(DATASETS[dataset], lake.read(dataset, (month, month)), added)[: shown - len(first)]
    return Changes(
        dataset,
        months=len({part.month for part in changed}),
        new=sum(part.new for part in changed),
        revised=sum(part.revised for part in changed),
        first=first,
    )


def _revisions(spec: Spec, stored: pd.DataFrame, added: pd.DataFrame) -> list[Revision]:
    """Added vintages of a month, each compared with the vintage known before it."""
    key = list(spec.key)
    values = [column for column in columns_of(spec.model) if column not in (*key, VINTAGE) and column in stored]
    # Drop rows and source rows of a key are separate observations.
    stored = stored.assign(is_drop=stored["source"] == DROP)
    stored = stored.sort_values([*key, "is_drop", "knowledge_ts", "vintage_no"], kind="stable").reset_index(drop=True)
    previous = stored.groupby([*key, "is_drop"], sort=False, dropna=False)[[*values, "vintage_no"]].shift()
    wanted = pd.MultiIndex.from_frame(_identity(added.assign(is_drop=added["source"] == DROP), key))
    chosen = pd.MultiIndex.from_frame(_identity(stored, key)).isin(wanted)
    found = []
    for index in stored.index[chosen]:
        row, before = stored.loc[index], previous.loc[index]
        is_first = pd.isna(before["vintage_no"])
        differing = [name for name in values if is_first or _text(row[name]) != _text(before[name])]
        found.append(
            Revision(
                observation=" ".join(_text(row[name]) for name in key),
                before="" if is_first else "; ".join(f"{name}={_text(before[name])}" for name in differing),
                after="; ".join(f"{name}={_text(row[name])}" for name in differing),
                known_since=row["knowledge_ts"].strftime("%Y-%m-%dT%H:%M:%SZ"),
                source=str(row["source"]),
            )
        )
    return found


def _identity(rows: pd.DataFrame, key: list[str]) -> pd.DataFrame:
    """Columns that identify a vintage, as text: types may differ between one file and the whole lake."""
    return pd.DataFrame({name: [_text(value) for value in rows[name]] for name in [*key, "is_drop", "vintage_no"]})


def _text(value: Any) -> str:
    """A value as text: days without a time, numbers without rounding noise, a missing value as empty text."""
    if pd.isna(value):
        return ""
    if isinstance(value, pd.Timestamp):
        return value.strftime("%Y-%m-%d")
    return f"{value:.12g}" if isinstance(value, float) else str(value)
