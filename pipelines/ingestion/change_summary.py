"""What a run changed in the lake: what is new or revised, and the first revised observations before and after.

Read from the files that the run wrote, so that it says what is stored and not what was meant.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import pyarrow.parquet as pq

from pipelines.datasets import DROP
from pipelines.lake.store import Lake, Written
from schemas.base import VINTAGE, Spec, columns_of
from schemas.datasets import DATASETS

SHOWN = 10  # revised observations that a summary names


@dataclass(frozen=True)
class Revision:
    """One vintage that was added to a known observation: what differs, before and after, and since when it is known."""

    observation: str  # its key, as in `AL 2026-01-13`
    before: str  # `total_t=500000`; empty where a user states what was known before all that was stored
    after: str
    known_since: str  # ISO, UTC
    source: str


@dataclass(frozen=True)
class Changes:
    """A dataset's months with news, its observations seen first and vintages added, and the first of the latter."""

    dataset: str
    months: int = 0
    new: int = 0
    revised: int = 0
    first: list[Revision] = field(default_factory=list)


def changes(lake: Lake, dataset: str, written: Sequence[Written], shown: int = SHOWN) -> Changes:
    """The summary of what an ingestion wrote; at most `shown` revisions are named, by month and then as stored."""
    news = [part for part in written if part.path]
    first: list[Revision] = []
    for month in sorted({part.month for part in news if part.revised}):
        if len(first) >= shown:
            break
        files = {part.path for part in news if part.month == month and part.revised}
        added = pd.concat([pq.read_table(path).to_pandas(date_as_object=False) for path in sorted(map(str, files))])
        added = added[added["vintage_no"] > 1]
        first += _revisions(DATASETS[dataset], lake.read(dataset, (month, month)), added)[: shown - len(first)]
    return Changes(
        dataset,
        months=len({part.month for part in news}),
        new=sum(part.new for part in news),
        revised=sum(part.revised for part in news),
        first=first,
    )


def _revisions(spec: Spec, stored: pd.DataFrame, added: pd.DataFrame) -> list[Revision]:
    """Each added vintage beside the one known before it, within the same observation."""
    key = list(spec.key)
    values = [column for column in columns_of(spec.model) if column not in (*key, VINTAGE) and column in stored]
    # A user's drops are a series of their own, with vintages of their own.
    stored = stored.assign(is_drop=stored["source"] == DROP)
    stored = stored.sort_values([*key, "is_drop", "knowledge_ts", "vintage_no"], kind="stable").reset_index(drop=True)
    before = stored.groupby([*key, "is_drop"], sort=False, dropna=False)[[*values, "vintage_no"]].shift()
    wanted = pd.MultiIndex.from_frame(_identity(added.assign(is_drop=added["source"] == DROP), key))
    chosen = pd.MultiIndex.from_frame(_identity(stored, key)).isin(wanted)
    found = []
    for place in stored.index[chosen]:
        row, was = stored.loc[place], before.loc[place]
        had = not pd.isna(was["vintage_no"])
        differing = [name for name in values if not had or _text(row[name]) != _text(was[name])]
        found.append(
            Revision(
                observation=" ".join(_text(row[name]) for name in key),
                before="; ".join(f"{name}={_text(was[name])}" for name in differing) if had else "",
                after="; ".join(f"{name}={_text(row[name])}" for name in differing),
                known_since=row["knowledge_ts"].strftime("%Y-%m-%dT%H:%M:%SZ"),
                source=str(row["source"]),
            )
        )
    return found


def _identity(rows: pd.DataFrame, key: list[str]) -> pd.DataFrame:
    """What tells one stored vintage from another, as text: files and the lake need not agree on types."""
    return pd.DataFrame({name: [_text(value) for value in rows[name]] for name in [*key, "is_drop", "vintage_no"]})


def _text(value: Any) -> str:
    """A value as a user writes it: days without a time, numbers without noise, nothing for what is missing."""
    if pd.isna(value):
        return ""
    if isinstance(value, pd.Timestamp):
        return value.strftime("%Y-%m-%d")
    return f"{value:.12g}" if isinstance(value, float) else str(value)
