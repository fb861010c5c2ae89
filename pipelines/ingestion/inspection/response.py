"""Responses and what their source's parser reads from them."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby
from threading import Lock
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipelines.sources import SOURCES
from pipelines.sources.base import NoData, Parsed, Payload, Request, Scope, Series, SourceError
from pipelines.sources.contract import ResponseContract
from pipelines.transports.archive import Archive
from schemas.datasets import DATASETS
from schemas.fields import PLAUSIBLE

Days = NDArray[np.datetime64]

# A response is parsed once a process: for its inspection and for every dataset that reads it. The responses of a full
# history have 20 MB, and their rows about as many. Beyond this size the ones not used for longest are parsed again.
CACHE_BYTES: Final = 64_000_000  # of bodies, which are not kept themselves
_Result = Parsed | NoData | SourceError


@dataclass
class _Cache:
    """Results of parsers by what they depend on, the last used at the end."""

    results: OrderedDict[Hashable, tuple[_Result, int]] = field(default_factory=OrderedDict)
    size: int = 0
    lock: Lock = field(default_factory=Lock)

    def get(self, key: Hashable) -> _Result | None:
        with self.lock:
            if key not in self.results:
                return None
            self.results.move_to_end(key)
            return self.results[key][0]

    def put(self, key: Hashable, result: _Result, size: int) -> None:
        with self.lock:
            self.size += size - self.results.get(key, (result, 0))[1]
            self.results[key] = (result, size)
            while self.size > CACHE_BYTES and len(self.results) > 1:
                _, (_, removed) = self.results.popitem(last=False)
                self.size -= removed


_CACHE: Final = _Cache()


def parse(payload: Payload, scope: Scope) -> Parsed:
    """Rows of a payload, without its refused series. Raises `NoData` or `SourceError` like its source's parser.

    Later callers get the same object: it must not be changed.
    """
    key = (payload.request, payload.sha256, payload.captured_at, payload.refused, scope)
    result = _CACHE.get(key)
    if result is None:
        result = _parse(payload, scope)
        _CACHE.put(key, result, len(payload.body))
    if isinstance(result, Exception):
        raise result.with_traceback(None)  # a traceback would keep the variables of the parser
    return result


def _parse(payload: Payload, scope: Scope) -> _Result:
    try:
        parsed = SOURCES[payload.request.source].parse(payload, scope)
    except (NoData, SourceError) as error:
        return error
    if payload.refused:
        parsed.frames = {name: _without(name, rows, payload.refused) for name, rows in parsed.frames.items()}
    return parsed


def _without(name: str, rows: pd.DataFrame, refused: Sequence[Series]) -> pd.DataFrame:
    series = list(zip(*(rows[column] for column in DATASETS[name].series), strict=True))
    return rows[[one not in refused for one in series]]


def group_by_capture(payloads: Sequence[Payload]) -> list[list[Payload]]:
    """Payloads of a request as responses: those of one capture time are parts of one response."""
    return [list(parts) for _, parts in groupby(payloads, key=lambda payload: payload.captured_at)]


def archived_responses(request: Request, archive: Archive) -> Iterator[list[Payload]]:
    """Payloads of the accepted responses, newest first; each is read from the archive when it is reached.

    Raises `SourceError` when a file cannot be read.
    """
    receipt = archive.receipt(request.source, request.name)
    captures = receipt.captures if receipt else ()
    for _, parts in groupby(reversed(captures), key=lambda capture: capture.captured_at):
        yield [archive.open(request, capture) for capture in reversed(list(parts))]


def newest_response(request: Request, archive: Archive) -> list[Payload]:
    """Payloads of the last accepted response; empty without one, or when its files cannot be read."""
    try:
        return next(archived_responses(request, archive), [])
    except SourceError:
        return []


@dataclass(frozen=True)
class ParsedResponse:
    """One response in one or more parts, parsed when it is first read."""

    payloads: Sequence[Payload]
    scope: Scope

    @property
    def request(self) -> Request:
        """The request of all its payloads."""
        return self.payloads[0].request

    @property
    def contract(self) -> ResponseContract:
        """The contract of its source."""
        return SOURCES[self.request.source].CONTRACT

    @cached_property
    def _parsed(self) -> tuple[list[Parsed], SourceError | None]:
        parsed, error = [], None
        for payload in self.payloads:
            try:
                parsed.append(parse(payload, self.scope))
            except NoData:
                pass
            except SourceError as problem:
                error = error or problem
            except Exception as fault:  # a bug in one parser must not end the run of all other sources
                text = f"its parser failed ({type(fault).__name__}: {fault}), which is a fault of this program"
                error = error or SourceError(payload.request, text, "rows, or a refusal by the parser")
        return parsed, error

    @property
    def error(self) -> SourceError | None:
        """The error of the first part that cannot be parsed; None when all can."""
        return self._parsed[1]

    @cached_property
    def shape(self) -> Mapping[str, str]:
        """Column or field to its type, as the contract's `shape` infers it."""
        shape: dict[str, str] = {}
        for payload in self.payloads:
            with suppress(Exception):  # the parser reports the problem better
                shape |= self.contract.shape(payload)
        return shape

    @cached_property
    def frames(self) -> dict[str, pd.DataFrame]:
        """Rows by dataset."""
        parts: dict[str, list[pd.DataFrame]] = {}
        for parsed in self._parsed[0]:
            for name, frame in parsed.frames.items():
                if len(frame):
                    parts.setdefault(name, []).append(frame)
        return {name: own[0] if len(own) == 1 else pd.concat(own) for name, own in parts.items()}

    @cached_property
    def series(self) -> list[tuple[str, Series, pd.DataFrame]]:
        """Rows by dataset and series."""
        return [(name, series, own) for name, rows in self.frames.items() for series, own in _by_series(name, rows)]

    @cached_property
    def days(self) -> dict[tuple[str, Series], Days]:
        """Days or month ends with a row, by dataset and series, ascending."""
        return {
            (name, series): np.unique(own[DATASETS[name].period].to_numpy().astype("datetime64[D]"))
            for name, series, own in self.series
        }

    @cached_property
    def levels(self) -> dict[tuple[str, str, Series], float]:
        """Level of each column with limits, by dataset, column and series."""
        return {
            (name, column, series): level(own[column].to_numpy(dtype=float))
            for name, series, own in self.series
            for column in PLAUSIBLE
            if column in own
        }

    @property
    def row_count(self) -> int:
        """Number of rows that could be parsed."""
        return sum(map(len, self.frames.values()))

    @property
    def rejected(self) -> list[str]:
        """Reasons of the rows that could not be parsed."""
        return [row.reason for parsed in self._parsed[0] for row in parsed.rejected]

    @property
    def refused(self) -> dict[Series, str]:
        """Series that the parser refused, with the reason."""
        return {series: reason for parsed in self._parsed[0] for series, reason in parsed.refused.items()}

    @cached_property
    def is_stated_absence(self) -> bool:
        """Whether each part states that there is no data, which is no failure even of a whole history."""
        return not self.error and not self._parsed[0]

    @property
    def is_empty(self) -> bool:
        """Whether it is readable and has no rows, good or bad."""
        return not self.error and not self.frames and not self.rejected and not self.refused


def level(values: NDArray[np.float64]) -> float:
    """The 90th percentile of the absolute values; NaN without any."""
    there = np.abs(values[~np.isnan(values)])
    return float(np.percentile(there, 90)) if len(there) else math.nan


def _by_series(name: str, rows: pd.DataFrame) -> Iterable[tuple[Series, pd.DataFrame]]:
    columns = list(DATASETS[name].series)
    first = tuple(str(rows[column].iloc[0]) for column in columns)
    # Most responses have one series, and a comparison is much cheaper than grouping.
    if all((rows[column] == rows[column].iloc[0]).all() for column in columns):
        return [(first, rows)]
    return [(tuple(map(str, series)), own) for series, own in rows.groupby(columns, sort=False)]
