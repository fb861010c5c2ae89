"""The lake: bitemporal Parquet that is only ever added to.

One file for each dataset, month and write that changed something: `<dataset>/month=YYYY-MM/<captured>-<hash>.parquet`.
The month is that of the dataset's period. Writers of different months never meet; those of one month take turns.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.common.files import sweep, write_aside
from schemas.base import VINTAGE, Spec, columns_of
from schemas.datasets import DATASETS
from schemas.generate.arrow import arrow_schema, pandas_types

DROP: Final = "drop"
EMPTY: Final = "_schema.parquet"
OBSERVED: Final = "OBSERVED"
SUSPECT: Final = "is_suspect"
ADDED: Final = ("vintage_no", "ingest_ts", SUSPECT)  # what append itself gives a row


@dataclass(frozen=True)
class Written:
    """What an append did to one month: rows given, observations seen first, vintages added to known ones.

    `path` is the file that holds them; None when everything was known.
    """

    month: str
    rows: int
    new: int
    revised: int
    path: Path | None


@dataclass(frozen=True)
class Lake:
    """The vintages of every dataset under one folder. `lock_timeout` (seconds) bounds the wait for another writer."""

    root: Path
    lock_timeout: float = 600.0

    def ensure(self, names: Iterable[str] = tuple(DATASETS)) -> None:
        """Gives each dataset a file without rows, so that `<dataset>/**/*.parquet` always matches and has all columns.

        Also removes what writers that were killed more than an hour ago left behind.
        """
        for name in names:
            path, schema = self.root / name / EMPTY, arrow_schema(name)
            if not path.is_file() or not pq.read_schema(path).equals(schema):
                write_aside(path, partial(pq.write_table, schema.empty_table()))
            sweep(self.root / name)

    def append(self, name: str, frame: pd.DataFrame, *, ingest_ts: datetime) -> list[Written]:
        """Adds what is not yet known; one `Written` for each month in the frame.

        `frame`: the dataset's value columns and the bitemporal ones without vintage_no, ingest_ts and is_suspect, which
        are added here; further columns are ignored. `ingest_ts` is when the rows were captured (with time zone).

        A new observation that was due by `absent_at`, a column that may say when the publisher was asked before and did
        not have it yet, came late: it is known since `ingest_ts` (basis OBSERVED), whatever the release calendar says.

        An observation (key, and whether it is a user's drop) that is new becomes vintage 1. Values other than those
        last known become the next vintage; one that is not stated to be known after the last one is known since
        `ingest_ts` (basis OBSERVED): the publisher changed its history, and that was seen now. A drop row marked in the
        column `explicit_knowledge` keeps its own knowledge_ts, also before stored ones. What an older capture than the
        stored one says adds nothing.

        Where the publisher numbers its releases (column `vintage`), the number itself is no news. Other values under a
        number that is already there are a new vintage that is suspect: known at its own time where that is later, else
        since `ingest_ts`, so that what was known before stays as it was.

        Raises `ValueError` for a frame that cannot be stored, `TimeoutError` when another writer keeps a month longer
        than `lock_timeout`.
        """
        captured = _utc(ingest_ts, "ingest_ts")
        given = _given(name, frame, captured)
        months = {str(month): rows for month, rows in given.groupby("month").groups.items()}
        seen = {month: self._files(name, month) for month in months}
        fresh = _fresh(name, given, _load(name, [path for paths in seen.values() for path in paths], _compared(name)))
        news = _tables(name, fresh)
        written = []
        for month, rows in months.items():
            table, path = news.get(month), None
            if table is not None:
                with self._lock(name, month):
                    if (there := self._files(name, month)) != seen[month]:
                        fresh = _fresh(name, given.loc[rows], _load(name, there, _compared(name)))
                        table = _tables(name, fresh).get(month)
                    if table is not None:
                        path = _add(self.root / name / f"month={month}", table, captured)
            vintages = np.array([]) if table is None else table["vintage_no"].to_numpy()
            new = int((vintages == 1).sum())
            written.append(Written(month, len(rows), new, len(vintages) - new, path))
        return written

    def read(
        self, name: str, months: tuple[object, object] | None = None, as_of: datetime | None = None
    ) -> pd.DataFrame:
        """Stored rows, value and bitemporal columns, by key and knowledge_ts.

        `months`: first and last as `YYYY-MM` (text or pandas periods), both included. `as_of`: per observation the last
        vintage known by then; where a user's drop holds a month of a series, only the drop's.
        """
        first, last = (str(month) for month in months) if months else ("", "9999-12")
        folders = (self.root / name).glob("month=*")
        paths = [path for folder in folders if first <= folder.name[6:] <= last for path in folder.glob("*.parquet")]
        rows = _load(name, sorted(paths))
        spec = DATASETS[name]
        if as_of is not None:
            rows = rows[rows["knowledge_ts"] <= _utc(as_of, "as_of")]
            series = [rows[spec.period].dt.to_period("M"), *(rows[column] for column in spec.series)]
            is_drop = rows["source"] == DROP
            rows = rows[is_drop == is_drop.groupby(series).transform("any")]
        rows = rows.sort_values([*spec.key, "knowledge_ts", "vintage_no", "ingest_ts"], kind="stable")
        if as_of is not None:
            rows = rows.drop_duplicates(list(spec.key), keep="last")
        return rows.reset_index(drop=True)

    def extent(self, name: str) -> tuple[int, datetime | None]:
        """How many vintages of a dataset are stored, and when the last of them could be known; reads footers only."""
        column = arrow_schema(name).get_field_index("knowledge_ts")
        rows, known = 0, []
        for path in (self.root / name).glob("month=*/*.parquet"):
            footer = pq.read_metadata(path)
            rows += footer.num_rows
            groups = [footer.row_group(n).column(column).statistics for n in range(footer.num_row_groups)]
            known += [about.max for about in groups if about is not None and about.has_min_max]
        return rows, max(known, default=None)

    def _files(self, name: str, month: str) -> list[Path]:
        return sorted((self.root / name / f"month={month}").glob("*.parquet"))

    @contextmanager
    def _lock(self, name: str, month: str) -> Iterator[None]:
        from filelock import FileLock, Timeout

        path = self.root / name / ".locks" / f"{month}.lock"
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(path, timeout=self.lock_timeout):
                yield
        except Timeout:
            problem = f"lake {name} {month}: another process has been writing for more than {self.lock_timeout:g} s"
            raise TimeoutError(f"{problem}; wait for it or stop it") from None


def _load(name: str, paths: Sequence[Path], columns: Sequence[str] | None = None) -> pd.DataFrame:
    """These files' rows with all columns, or with some."""
    import pyarrow.dataset as ds

    schema = arrow_schema(name)
    table = ds.dataset([str(path) for path in paths], schema=schema, format="parquet").to_table(columns=columns)
    types = pandas_types(name)
    frame: pd.DataFrame = table.to_pandas(date_as_object=False)
    if SUSPECT in frame:
        # Files from before the column was there hold nothing that was suspected.
        frame[SUSPECT] = frame[SUSPECT].eq(True)
    return frame.astype({str(column): types[str(column)] for column in frame})


def _compared(name: str) -> list[str]:
    """The columns that decide whether a row is news."""
    return [*columns_of(DATASETS[name].model), "knowledge_ts", "vintage_no", "ingest_ts", "source", SUSPECT]


def _tables(name: str, rows: pd.DataFrame) -> dict[str, pa.Table]:
    """Rows as Arrow by month, in an order that does not depend on theirs."""
    rows = rows.sort_values(["month", *DATASETS[name].key, "source", "knowledge_ts", "vintage_no"])
    table = pa.Table.from_pandas(rows, schema=arrow_schema(name), preserve_index=False).replace_schema_metadata(None)
    ends = rows["month"].value_counts().sort_index().cumsum()
    starts = [0, *ends.tolist()]
    return {
        str(month): table.slice(start, end - start) for (month, end), start in zip(ends.items(), starts, strict=False)
    }


def _add(folder: Path, table: pa.Table, captured: pd.Timestamp) -> Path:
    """Writes rows to a new file that is named after their capture and content."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    body = sink.getvalue()
    path = folder / f"{captured:%Y%m%dT%H%M%S%fZ}-{hashlib.sha256(body).hexdigest()[:8]}.parquet"
    write_aside(path, lambda aside: aside.write_bytes(body))
    return path


def _utc(moment: datetime, what: str) -> pd.Timestamp:
    if moment.tzinfo is None:
        raise ValueError(f"{what}={moment.isoformat()} has no time zone: give a moment in UTC")
    return pd.Timestamp(moment).tz_convert("UTC").as_unit("us")


def _given(name: str, frame: pd.DataFrame, captured: pd.Timestamp) -> pd.DataFrame:
    """The frame in stored types, with its months and what decides about its vintages."""
    spec, types = DATASETS[name], pandas_types(name)
    stated = [column for column in types if column not in ADDED]
    if missing := [column for column in stated if column not in frame]:
        raise ValueError(f"{name}: the frame has no {', '.join(missing)}")
    given = frame[stated].reset_index(drop=True)
    optional = {column for column, about in columns_of(spec.model).items() if about["nullable"]}
    for column in stated:
        if column not in optional and (gaps := given[column].isna().to_numpy()).any():
            raise ValueError(f"{name}: row {gaps.argmax()} has no {column}: validate the frame before it is stored")
    try:
        given = given.astype({column: types[column] for column in stated})
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}: {error}; validate the frame before it is stored") from error
    number = given[spec.period].dt.year * 100 + given[spec.period].dt.month
    labels = {month: f"{month // 100:04d}-{month % 100:02d}" for month in number.unique()}
    is_drop = given["source"] == DROP
    explicit = frame["explicit_knowledge"].to_numpy(dtype=bool) if "explicit_knowledge" in frame else False
    if "absent_at" in frame:
        is_late = (given["knowledge_ts"] <= frame["absent_at"].reset_index(drop=True)) & ~is_drop
    else:
        is_late = pd.Series(False, index=given.index)
    return given.assign(
        ingest_ts=captured,
        month=number.map(labels),
        is_drop=is_drop,
        explicit=is_drop & explicit,
        is_late=is_late,
    )


# --- which rows are news


def _fresh(name: str, given: pd.DataFrame, stored: pd.DataFrame) -> pd.DataFrame:
    """The rows of `given` that are news, with their vintage_no and the knowledge_ts that they are stored with."""
    spec = DATASETS[name]
    # A user's drops are a series of their own: their vintages say nothing about the configured source's.
    series = [*spec.key, "is_drop"]
    stored = stored.assign(is_drop=stored["source"] == DROP)
    both = pd.concat([given[series], stored[series]], ignore_index=True)
    numbered = both.groupby(series, sort=False).ngroup().to_numpy()
    given = given.assign(observation=numbered[: len(given)])
    stored = stored.assign(observation=numbered[len(given) :]).sort_values(["knowledge_ts", "vintage_no"])
    last = stored.drop_duplicates("observation", keep="last").set_index("observation")

    # Nearly all rows are either quite new or quite known, which columns can tell; the others are gone through.
    known = given["observation"].isin(last.index)
    late = ~known & given["is_late"]
    given.loc[late, "knowledge_ts"] = given.loc[late, "ingest_ts"]
    given.loc[late, "knowledge_basis"] = OBSERVED
    alone = ~given.duplicated("observation", keep=False)
    last = last.reindex(given["observation"]).set_axis(given.index)
    unchanged = known & _equal(given, last, _values(spec))
    # What a user states to have been known before the last vintage has to be held against an earlier one.
    unchanged &= ~given["explicit"] | (given["knowledge_ts"] >= last["knowledge_ts"])
    first = given[alone & ~known].assign(vintage_no=1, is_suspect=False)
    rest = given[~(alone & (unchanged | ~known))]
    return pd.concat([first, _further(spec, rest, stored)]) if len(rest) else first


def _values(spec: Spec) -> list[str]:
    """The columns that are news when they change."""
    return [column for column in columns_of(spec.model) if column not in (*spec.key, VINTAGE)]


def _equal(left: pd.DataFrame, right: pd.DataFrame, columns: list[str]) -> pd.Series:
    """Row by row: exactly the same values, a missing one equal to a missing one."""
    same = pd.Series(True, index=left.index)
    for column in columns:
        a, b = left[column], right[column]
        same &= (a == b).fillna(False).astype(bool) | (a.isna() & b.isna())
    return same


class _Vintage(NamedTuple):
    knowledge: int  # microseconds since 1970
    number: int
    captured: int
    values: tuple[object, ...]
    release: int | None = None  # its number as the publisher states it, where there is one
    suspect: bool = False
    stored: bool = False  # before the rows at hand

    def contradicts(self, other: _Vintage) -> bool:
        """Whether the publisher gave one number to two different figures."""
        return self.release is not None and self.release == other.release and self.values != other.values


def _further(spec: Spec, rows: pd.DataFrame, stored: pd.DataFrame) -> pd.DataFrame:
    """Of rows whose observation is stored already, or stands here several times, those that add a vintage to it."""
    numbered = [VINTAGE] if VINTAGE in rows else []
    rows = rows.sort_values(["observation", "knowledge_ts", *numbered, "payload_sha256", *_values(spec)])
    history: dict[int, list[_Vintage]] = defaultdict(list)
    stored = stored[stored["observation"].isin(rows["observation"])]
    about = zip(stored["vintage_no"].tolist(), stored[SUSPECT].tolist(), _vintages(spec, stored), strict=True)
    for observation, (number, suspect, vintage) in zip(stored["observation"], about, strict=True):
        history[observation].append(vintage._replace(number=number, suspect=suspect, stored=True))
    last_said = ~rows.duplicated("observation", keep="last")
    last_at_moment = ~rows.duplicated(["observation", "knowledge_ts"], keep="last")
    last_of_release = ~rows.duplicated(["observation", *numbered], keep="last")

    chosen: list[int] = []
    vintages: list[_Vintage] = []
    for place, (observation, is_drop, explicit, is_last, is_last_then, is_last_of_release, vintage) in enumerate(
        zip(
            rows["observation"],
            rows["is_drop"],
            rows["explicit"],
            last_said,
            last_at_moment,
            last_of_release,
            _vintages(spec, rows),
            strict=True,
        )
    ):
        before = history[observation]
        suspect = any(vintage.contradicts(v) for v in before)
        if not before:
            knowledge: int | None = vintage.knowledge
        elif is_drop and suspect:
            knowledge = _contradicting(before, vintage, explicit, is_last_of_release)
        elif is_drop and is_last and _is_displaced(before, vintage):
            knowledge = max(vintage.captured, before[-1].knowledge)
        elif explicit:
            knowledge = _stated(before, vintage, is_last_then)
        else:
            knowledge = _noticed(before, vintage, is_last, is_drop)
        if knowledge is None:
            continue
        number = 1 + max((v.number for v in before), default=0)
        vintage = vintage._replace(knowledge=knowledge, number=number, suspect=suspect)
        before.append(vintage)
        before.sort(key=lambda v: (v.knowledge, v.number))
        chosen.append(place)
        vintages.append(vintage)

    added = rows.iloc[chosen]
    knowledge_ts = pd.to_datetime([v.knowledge for v in vintages], unit="us", utc=True).as_unit("us")
    own = (added["knowledge_ts"] == knowledge_ts).to_numpy(dtype=bool)
    return added.assign(
        knowledge_ts=knowledge_ts,
        knowledge_basis=added["knowledge_basis"].where(own, OBSERVED),
        vintage_no=[v.number for v in vintages],
        is_suspect=[v.suspect for v in vintages],
    )


def _vintages(spec: Spec, rows: pd.DataFrame) -> Iterator[_Vintage]:
    columns = (rows[column].astype("object").where(rows[column].notna(), None) for column in _values(spec))
    moments = (rows[column].astype("int64").tolist() for column in ("knowledge_ts", "ingest_ts"))
    releases = (
        [None if pd.isna(number) else int(number) for number in rows[VINTAGE]]
        if VINTAGE in rows
        else [None] * len(rows)
    )
    about = zip(*moments, releases, strict=True)
    for (knowledge, captured, release), values in zip(about, zip(*columns, strict=True), strict=True):
        yield _Vintage(knowledge, 0, captured, values, release)


def _said(before: list[_Vintage], values: tuple[object, ...], moment: int) -> bool:
    """Whether these values were already given for that moment, as news or as what still held."""
    until_then = [v for v in before if v.knowledge <= moment]
    return any(v.values == values for v in until_then[-1:] + [v for v in until_then if v.knowledge == moment])


def _contradicting(before: list[_Vintage], vintage: _Vintage, explicit: bool, is_last: bool) -> int | None:
    """When a user's other figure under a number that is there became known; None when it has been said.

    `is_last`: the file says nothing later under that number, so that this is what it now holds to be true.
    """
    same = [v for v in before if v.release == vintage.release]
    # The calendar's time is the first print's: a figure that replaces a stored one cannot have been known then.
    if vintage.knowledge > same[-1].knowledge and (explicit or not same[-1].stored):
        until_then = [v for v in before if v.knowledge <= vintage.knowledge]
        return None if until_then[-1].values == vintage.values else vintage.knowledge
    if same[-1].values == vintage.values or (not is_last and any(v.values == vintage.values for v in same)):
        return None
    return max(vintage.captured, before[-1].knowledge)


def _is_displaced(before: list[_Vintage], vintage: _Vintage) -> bool:
    """Whether a suspect figure of an earlier release stands after this one: corrected, the earlier release has not
    become the later one. The later one is said again."""
    last = before[-1]
    if vintage.release is None or last.release is None or vintage.knowledge > last.knowledge:
        return False
    return last.suspect and last.release < vintage.release and last.values != vintage.values


def _stated(before: list[_Vintage], vintage: _Vintage, is_last: bool) -> int | None:
    """A user's statement of when something was known holds as it stands, unless it says nothing more."""
    until_then = [v for v in before if v.knowledge <= vintage.knowledge]
    if until_then and until_then[-1].values == vintage.values:
        return None
    return None if not is_last and _said(before, vintage.values, vintage.knowledge) else vintage.knowledge


def _noticed(before: list[_Vintage], vintage: _Vintage, is_last: bool, is_drop: bool) -> int | None:
    """When a value that differs from the one last known became known; None when it adds nothing."""
    last = before[-1]
    if vintage.values == last.values:
        return None
    if vintage.knowledge > last.knowledge:
        return vintage.knowledge
    noticed = max(vintage.captured, last.knowledge)
    said = any(_said(before, vintage.values, moment) for moment in (vintage.knowledge, noticed))
    if said and not is_last:
        return None
    # A drop file says what holds now. An answer of a publisher may be an archived one that is read again: what was
    # captured later stands. The same value captured anew after another one is a change back, and that is news.
    if not is_drop and (vintage.captured < last.captured or (said and vintage.captured == last.captured)):
        return None
    return noticed
