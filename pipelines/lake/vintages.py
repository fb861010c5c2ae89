"""Vintage rules: which rows are new vintages of an observation, and since when their values are known.

Pure: rows and stored vintages in, new vintages out. An observation is a key, separately for drop files and sources:
the vintages of drop rows and of source rows do not depend on each other.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Final, NamedTuple

import pandas as pd

from pipelines.datasets import DROP
from schemas.base import VINTAGE, Spec, columns_of

OBSERVED: Final = "OBSERVED"
SUSPECT: Final = "is_suspect"


def compared_columns(spec: Spec) -> list[str]:
    """Columns of stored rows that `new_vintages` reads."""
    return [*columns_of(spec.model), "knowledge_ts", "vintage_no", "ingest_ts", "source", SUSPECT]


def new_vintages(spec: Spec, rows: pd.DataFrame, stored: pd.DataFrame) -> pd.DataFrame:
    """The rows that are new vintages, with vintage_no and is_suspect, and the knowledge_ts to store.

    `rows`: stored columns without vintage_no and is_suspect, and the boolean columns `is_drop`, `is_explicit` (the drop
    file gives the knowledge time) and `is_late` (the publisher did not have the value when it was due). `stored`: all
    vintages of their months, with `compared_columns`. `Lake.append` states the rules.
    """
    observation = [*spec.key, "is_drop"]
    stored = stored.assign(is_drop=stored["source"] == DROP)
    both = pd.concat([rows[observation], stored[observation]], ignore_index=True)
    numbered = both.groupby(observation, sort=False).ngroup().to_numpy()
    rows = rows.assign(observation=numbered[: len(rows)])
    stored = stored.assign(observation=numbered[len(rows) :]).sort_values(["knowledge_ts", "vintage_no"])
    last = stored.drop_duplicates("observation", keep="last").set_index("observation")

    is_known = rows["observation"].isin(last.index)
    late = ~is_known & rows["is_late"]
    rows.loc[late, "knowledge_ts"] = rows.loc[late, "ingest_ts"]
    rows.loc[late, "knowledge_basis"] = OBSERVED
    # Nearly all rows are new or unchanged observations: these are found by column, the rest is processed row by row.
    is_single = ~rows.duplicated("observation", keep=False)
    last = last.reindex(rows["observation"]).set_axis(rows.index)
    is_unchanged = is_known & equal_rows(rows, last, value_columns(spec))
    # A knowledge time before that of the last vintage has to be compared with an earlier vintage.
    is_unchanged &= ~rows["is_explicit"] | (rows["knowledge_ts"] >= last["knowledge_ts"])
    first = rows[is_single & ~is_known].assign(vintage_no=1, is_suspect=False)
    rest = rows[~(is_single & (is_unchanged | ~is_known))]
    return pd.concat([first, _further_vintages(spec, rest, stored)]) if len(rest) else first


def value_columns(spec: Spec) -> list[str]:
    """Columns whose change is a new vintage."""
    return [column for column in columns_of(spec.model) if column not in (*spec.key, VINTAGE)]


def equal_rows(left: pd.DataFrame, right: pd.DataFrame, columns: list[str]) -> pd.Series:
    """Row by row: exactly the same values, a missing one equal to a missing one."""
    same = pd.Series(True, index=left.index)
    for column in columns:
        a, b = left[column], right[column]
        same &= (a == b).fillna(False).astype(bool) | (a.isna() & b.isna())
    return same


class _Vintage(NamedTuple):
    knowledge: int  # microseconds since 1970
    number: int
    captured: int  # microseconds since 1970
    values: tuple[object, ...]
    release: int | None = None  # the publisher's release number, where there is one
    suspect: bool = False
    stored: bool = False  # before this call

    def contradicts(self, other: _Vintage) -> bool:
        """Whether both have different values under one release number."""
        return self.release is not None and self.release == other.release and self.values != other.values


def _further_vintages(spec: Spec, rows: pd.DataFrame, stored: pd.DataFrame) -> pd.DataFrame:
    """New vintages among rows whose observation is stored already or occurs several times."""
    numbered = [VINTAGE] if VINTAGE in rows else []
    rows = rows.sort_values(["observation", "knowledge_ts", *numbered, "payload_sha256", *value_columns(spec)])
    history: dict[int, list[_Vintage]] = defaultdict(list)
    stored = stored[stored["observation"].isin(rows["observation"])]
    columns = zip(stored["vintage_no"].tolist(), stored[SUSPECT].tolist(), _vintages(spec, stored), strict=True)
    for observation, (number, suspect, vintage) in zip(stored["observation"], columns, strict=True):
        history[observation].append(vintage._replace(number=number, suspect=suspect, stored=True))

    chosen: list[int] = []
    vintages: list[_Vintage] = []
    for position, (observation, is_drop, is_explicit, is_last, is_last_then, is_last_of_release, vintage) in enumerate(
        zip(
            rows["observation"],
            rows["is_drop"],
            rows["is_explicit"],
            ~rows.duplicated("observation", keep="last"),
            ~rows.duplicated(["observation", "knowledge_ts"], keep="last"),
            ~rows.duplicated(["observation", *numbered], keep="last"),
            _vintages(spec, rows),
            strict=True,
        )
    ):
        before = history[observation]
        suspect = any(vintage.contradicts(earlier) for earlier in before)
        if not before:
            knowledge: int | None = vintage.knowledge
        elif is_drop and suspect:
            knowledge = _correction_time(before, vintage, is_explicit, is_last_of_release)
        elif is_drop and is_last and _is_displaced(before, vintage):
            knowledge = max(vintage.captured, before[-1].knowledge)
        elif is_explicit:
            knowledge = _declared_time(before, vintage, is_last_then)
        else:
            knowledge = _revision_time(before, vintage, is_last, is_drop)
        if knowledge is None:
            continue
        number = 1 + max((earlier.number for earlier in before), default=0)
        vintage = vintage._replace(knowledge=knowledge, number=number, suspect=suspect)
        before.append(vintage)
        before.sort(key=lambda one: (one.knowledge, one.number))
        chosen.append(position)
        vintages.append(vintage)

    added = rows.iloc[chosen]
    knowledge_ts = pd.to_datetime([one.knowledge for one in vintages], unit="us", utc=True).as_unit("us")
    is_own_time = (added["knowledge_ts"] == knowledge_ts).to_numpy(dtype=bool)
    return added.assign(
        knowledge_ts=knowledge_ts,
        knowledge_basis=added["knowledge_basis"].where(is_own_time, OBSERVED),
        vintage_no=[one.number for one in vintages],
        is_suspect=[one.suspect for one in vintages],
    )


def _vintages(spec: Spec, rows: pd.DataFrame) -> Iterator[_Vintage]:
    columns = (rows[column].astype("object").where(rows[column].notna(), None) for column in value_columns(spec))
    times = (rows[column].astype("int64").tolist() for column in ("knowledge_ts", "ingest_ts"))
    releases = (
        [None if pd.isna(number) else int(number) for number in rows[VINTAGE]]
        if VINTAGE in rows
        else [None] * len(rows)
    )
    for knowledge, captured, release, values in zip(*times, releases, zip(*columns, strict=True), strict=True):
        yield _Vintage(knowledge, 0, captured, values, release)


# --- knowledge times. `before`: vintages of the observation by knowledge time; None: the row adds nothing.


def _revision_time(before: list[_Vintage], vintage: _Vintage, is_last: bool, is_drop: bool) -> int | None:
    """Knowledge time of a row without an explicit one; `is_last`: of the observation's rows."""
    last = before[-1]
    if vintage.values == last.values:
        return None
    if vintage.knowledge > last.knowledge:
        return vintage.knowledge
    revised_at = max(vintage.captured, last.knowledge)
    already_known = any(_already_known(before, vintage.values, moment) for moment in (vintage.knowledge, revised_at))
    if already_known and not is_last:
        return None
    # A drop file states the current values. A source's payload may be an archived one that is read again: later
    # captures stay valid. The same values captured again after others are a change back, which is a revision.
    if not is_drop and (vintage.captured < last.captured or (already_known and vintage.captured == last.captured)):
        return None
    return revised_at


def _declared_time(before: list[_Vintage], vintage: _Vintage, is_last: bool) -> int | None:
    """Knowledge time that a drop file declares; `is_last`: of the rows with this time."""
    until_then = _until(before, vintage.knowledge)
    if until_then and until_then[-1].values == vintage.values:
        return None
    return None if not is_last and _already_known(before, vintage.values, vintage.knowledge) else vintage.knowledge


def _correction_time(before: list[_Vintage], vintage: _Vintage, is_explicit: bool, is_last: bool) -> int | None:
    """Knowledge time of other values under a stored release number; `is_last`: of the rows with this number."""
    same = [earlier for earlier in before if earlier.release == vintage.release]
    # The release calendar's time is that of the first print: a figure that replaces a stored one is known later.
    if vintage.knowledge > same[-1].knowledge and (is_explicit or not same[-1].stored):
        return None if _until(before, vintage.knowledge)[-1].values == vintage.values else vintage.knowledge
    if same[-1].values == vintage.values or (not is_last and any(one.values == vintage.values for one in same)):
        return None
    return max(vintage.captured, before[-1].knowledge)


def _is_displaced(before: list[_Vintage], vintage: _Vintage) -> bool:
    """Whether a suspect correction of an earlier release is the last vintage: then the later release is added again,
    because a corrected release stays earlier than its successor."""
    last = before[-1]
    if vintage.release is None or last.release is None or vintage.knowledge > last.knowledge:
        return False
    return last.suspect and last.release < vintage.release and last.values != vintage.values


def _already_known(before: list[_Vintage], values: tuple[object, ...], moment: int) -> bool:
    """Whether these values are those of the last vintage known by a moment, or of any vintage of that moment."""
    until_then = _until(before, moment)
    return any(one.values == values for one in until_then[-1:] + [v for v in until_then if v.knowledge == moment])


def _until(before: list[_Vintage], moment: int) -> list[_Vintage]:
    return [vintage for vintage in before if vintage.knowledge <= moment]
