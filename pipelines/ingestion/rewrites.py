"""Rewritten history: responses that contradict stored rows, and series that would stand on two bases.

A publisher that restates its past (a share split, a new base year, a corrected unit) does so in responses that also
hold months for which the run was not started. Pure, but for `find_rewrites`, which reads the lake.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from math import gcd
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipelines.datasets import DROP
from pipelines.lake.store import Lake, Written
from pipelines.lake.vintages import equal_rows, value_columns
from schemas.base import Spec
from schemas.datasets import DATASETS
from schemas.fields import RESTATED

SAME_FACTOR: Final = 0.005  # relative tolerance of one factor: publishers round
FACTOR_SHARE: Final = 0.9  # of a series' rewritten rows that one factor explains
MIN_FACTOR: Final = 0.01  # a smaller relative change is a revision
MIN_VALUES: Final = 3  # different values from which on a factor is no coincidence, unless it is a usual split
# Usual splits as (new, old) numbers of shares: up to 100 for one, one for as many, and ratios such as 3:2 or 5:4.
SPLITS: Final = [
    (new, old)
    for new in range(1, 101)
    for old in range(1, 101)
    if new != old and gcd(new, old) == 1 and (min(new, old) == 1 or new * old <= 30)
]


@dataclass(frozen=True)
class Rewrite:
    """Stored rows of one series that a later response replaced."""

    source: str
    series: str  # `AA`; empty where the dataset has one series
    rows: int
    months: list[str]  # YYYY-MM
    column: str = ""  # the column whose values all changed by `factor`
    factor: float | None = None  # None: by different factors, as revisions are
    stale: list[str] = field(default_factory=list)  # months (YYYY-MM) with rows that are still on the old basis
    dropped: list[str] = field(default_factory=list)  # those of them whose rows are of the drop folder

    def __str__(self) -> str:
        name = f"{self.source} {self.series}".strip()
        count = f"{self.rows:,} stored row{'s' if self.rows != 1 else ''} of {_span(self.months)}"
        if self.factor is None:
            return f"{name}: {count} revised by the publisher, stored as new vintages"
        cause = f"looks like a {_split(self.column, self.factor) or 'new base or unit'}"
        factor = f"{self.column} by the factor {self.factor:.6g}"
        return f"{name}: {count} rewritten by the publisher, {factor} ({cause}), stored as new vintages"

    @property
    def remedy(self) -> str:
        """What is left on the old basis, and how it is replaced."""
        left = f"{self}, but {_span(self.stale)} of the series are on the old basis"
        fetched = sorted(set(self.stale) - set(self.dropped))
        command = fetched and f"`tightness backfill --from {fetched[0]} --to {fetched[-1]} --refresh`"
        remedies = [f"fetch these months again with {command}"] if fetched else []
        remedies += [f"put rows of {_span(self.dropped)} on the new basis into the drop folder"] if self.dropped else []
        return f"{left}: {', and '.join(remedies)}"


def compare(spec: Spec, rows: pd.DataFrame, known: pd.DataFrame, by: Sequence[str] = ()) -> pd.DataFrame:
    """Rows that are also in `known`, by key and the columns `by`, with two flags.

    `differs`: a value is another one (the publisher's release number is none). `is_first`: the row is of the first day
    of its series among these rows. The known columns have the suffix `_known`.
    """
    both = rows.merge(known, on=[*spec.key, *by], suffixes=("", "_known"))
    values = [column for column in value_columns(spec) if column in rows and column in known]
    same = equal_rows(both, both[[f"{column}_known" for column in values]].set_axis(values, axis=1), values)
    series = [column for column in spec.series if column in both]
    first = both.groupby(series)[spec.period].transform("min") if series else both[spec.period].min()
    return both.assign(differs=~same, is_first=both[spec.period] == first)


def is_rebased(spec: Spec, before: pd.DataFrame, after: pd.DataFrame) -> bool:
    """Whether a response has changed values of the previous one by one factor, for any of its series."""
    both = compare(spec, after, before)
    changed = both[both["differs"]]
    series = changed.groupby(list(spec.series)) if spec.series else [((), changed)]
    return any(_common_factor(spec, rows)[1] is not None for _, rows in series)


def find_rewrites(
    lake: Lake,
    dataset: str,
    written: Sequence[Written],
    asked: Collection[str],
    current: Callable[[], pd.DataFrame],
) -> list[Rewrite]:
    """Series that one ingestion revised outside the months `asked` (YYYY-MM), or by one factor in any months.

    `current`: rows of the newest responses, with their `source`; called only where one factor explains a revision.
    """
    revised = [part for part in written if part.path and part.revised]
    if not revised:
        return []
    spec = DATASETS[dataset]
    stored = lake.read(dataset, (min(part.month for part in revised), max(part.month for part in revised)))
    changed = _changed(spec, stored, revised)
    if changed.empty:
        return []
    found = []
    for (source, *series), rows in changed.groupby(["source", *spec.series], sort=True):
        months = sorted(rows[spec.period].dt.strftime("%Y-%m").unique())
        column, factor = _common_factor(spec, rows)
        if factor is None and set(months) <= set(asked):
            continue
        stale, dropped = (
            ([], []) if factor is None else _stale_months(spec, lake.read(dataset), current(), rows, column, factor)
        )
        found.append(
            Rewrite(str(source), " ".join(map(str, series)), len(rows), months, column, factor, stale, dropped)
        )
    return found


def _changed(spec: Spec, stored: pd.DataFrame, revised: Sequence[Written]) -> pd.DataFrame:
    """Observations that this ingestion revised at a later capture: their new values and, as `…_known`, the old ones.

    Revisions that are dated by the publisher, a calendar or a drop file are no rewritten history.
    """
    identity = [*spec.key, "source", "vintage_no"]
    added = pd.concat([part.revisions for part in revised])
    observation = [*spec.key, "is_drop"]
    rows = stored.assign(is_drop=stored["source"] == DROP)
    rows = rows.sort_values([*observation, "knowledge_ts", "vintage_no"], kind="stable")
    before = rows.groupby(observation, sort=False)[value_columns(spec)].shift().add_suffix("_known")
    rows = rows.join(before).merge(added, on=identity)
    rows = rows[rows["knowledge_ts"] == rows["ingest_ts"]]
    # Of several captures in one run: the value before the first one, and after the last one.
    oldest = rows.drop_duplicates(observation).set_index(observation)
    newest = rows.drop_duplicates(observation, keep="last").set_index(observation)
    return newest.drop(columns=before.columns).join(oldest[before.columns]).reset_index()


def _common_factor(spec: Spec, rows: pd.DataFrame) -> tuple[str, float | None]:
    """The column whose values all changed by one factor, and the factor; none when there is no such column."""
    for column in value_columns(spec):
        if rows[column].dtype != "float64":
            continue
        old, new = rows[f"{column}_known"].to_numpy(dtype=float), rows[column].to_numpy(dtype=float)
        usable = np.isfinite(old) & np.isfinite(new) & (old != 0) & (new != 0)
        if not usable.any():
            continue
        ratios = new[usable] / old[usable]
        factor = float(np.median(ratios))
        share = float(np.mean(np.abs(ratios / factor - 1) <= SAME_FACTOR))
        is_common = share >= FACTOR_SHARE and factor > 0 and abs(factor - 1) >= MIN_FACTOR
        if is_common and (len(np.unique(old[usable])) >= MIN_VALUES or _split(column, factor)):
            return column, round(factor, 6)
    return "", None


def _stale_months(
    spec: Spec, stored: pd.DataFrame, current: pd.DataFrame, rows: pd.DataFrame, column: str, factor: float
) -> tuple[list[str], list[str]]:
    """Months with rows of the series that stayed on the old basis: captured before the rewrite, not rewritten, and
    further from their rewritten neighbour than from its value on the old basis. And those of them with drop rows, which
    replace the source's.

    Rows that the publisher repeats unchanged in `current` are right as they are, other than closes: a split changes
    the whole past.
    """
    one = rows.iloc[0]
    chosen = stored["source"].isin([one["source"], DROP])
    for name in spec.series:
        chosen &= stored[name] == one[name]
    month, is_drop = stored[spec.period].dt.to_period("M"), stored["source"] == DROP
    chosen &= is_drop | ~month.isin(month[chosen & is_drop])
    series = stored[chosen].sort_values(["knowledge_ts", "vintage_no"], kind="stable")
    series = series.drop_duplicates(list(spec.key), keep="last").sort_values([spec.period, *spec.key])
    series = series[series[column] > 0].reset_index(drop=True)
    is_old = (series["ingest_ts"] < rows["ingest_ts"].min()).to_numpy()
    if column not in RESTATED:
        key = [*spec.key, "source"]
        is_old = is_old & ~pd.MultiIndex.from_frame(series[key]).isin(pd.MultiIndex.from_frame(current[key]))
    values = series[column].to_numpy(dtype=float)
    stale: list[int] = []
    for start, end in _runs(is_old):
        neighbours = [(start, start - 1)] if start else []
        neighbours += [(end - 1, end)] if end < len(values) else []
        steps = [(values[other] / values[own], values[other] / factor / values[own]) for own, other in neighbours]
        if any(abs(np.log(now)) > abs(np.log(before)) for now, before in steps):
            stale.extend(range(start, end))
    left = series.iloc[stale]
    months = left[spec.period].dt.strftime("%Y-%m")
    return sorted(set(months)), sorted(set(months[left["source"] == DROP]))


def _runs(flags: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """First position and the one after the last of each run of true flags."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(int)))
    yield from zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)


def _split(column: str, factor: float) -> str:
    """Name of the share split that changes closes by this factor (`2:1 split`); empty for other columns or factors."""
    new, old = min(SPLITS, key=lambda split: abs(split[0] / split[1] * factor - 1))
    if column not in RESTATED or abs(new / old * factor - 1) > SAME_FACTOR:
        return ""
    return f"{new}:{old} {'split' if new > old else 'reverse split'}"


def _span(months: Sequence[str]) -> str:
    return months[0] if len(months) == 1 else f"{min(months)} to {max(months)}"
