"""Batches of a load: what is parsed, validated and written together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipelines.sources.base import Payload, Request
from pipelines.transports.receipts import Capture

# Months are loaded in chunks of about this many bytes of payloads: a second's work, which is what a crash loses. Each
# chunk costs a validation and a write, some tenths of a second.
CHUNK_BYTES: Final = 8_000_000


class Captured(NamedTuple):
    request: Request
    capture: Capture
    months: tuple[str, ...]  # YYYY-MM, the months that need it


class Archived(NamedTuple):
    payload: Payload
    months: tuple[str, ...]  # YYYY-MM, the months that need it


class DropRows(NamedTuple):
    payload: Payload
    rows: pd.DataFrame
    months: pd.Series  # YYYY-MM of each row
    left_out: str


@dataclass(frozen=True)
class Batch:
    """Payloads of one source, or drop files, whose rows are validated together: one validation is much cheaper."""

    licence: str
    payloads: list[Payload] = field(default_factory=list)
    frames: list[pd.DataFrame] = field(default_factory=list)  # by payload; the index is the line or row in it
    published_by: list[datetime] = field(default_factory=list)  # by payload: when it was out at the latest

    def add(self, payload: Payload, rows: pd.DataFrame, published_by: datetime | None = None) -> None:
        """Add a payload's rows. `published_by`: time of publication by the publisher, where it gives one."""
        self.payloads.append(payload)
        self.frames.append(rows)
        self.published_by.append(min(payload.captured_at, published_by or payload.captured_at))


def newest_payloads(archived: Sequence[Archived]) -> list[Payload]:
    """The newest response to each request: one payload or, in a replay, several parts."""
    captured = {payload.request: payload.captured_at for payload, _ in archived}
    parts = (payload for payload, _ in archived if payload.captured_at == captured[payload.request])
    return list({(payload.request, payload.sha256): payload for payload in parts}.values())


def chunks(
    months: set[str], archived: Sequence[Archived], dropped: Sequence[Payload], chunk_bytes: float
) -> Iterator[set[str]]:
    """Months in chunks of about `chunk_bytes`, oldest first. A payload counts in equal parts for each of its months."""
    sizes = dict.fromkeys(sorted(months), sum(len(payload.body) for payload in dropped) / max(len(months), 1))
    for payload, needed in archived:
        for month in sizes.keys() & needed:
            sizes[month] += len(payload.body) / len(needed)
    chunk, size = set[str](), 0.0
    for month, own in sizes.items():
        if chunk and size + own > chunk_bytes:
            yield chunk
            chunk, size = set(), 0.0
        chunk.add(month)
        size += own
    if chunk:
        yield chunk


def in_months(days: pd.Series, months: set[str]) -> NDArray[np.bool_]:
    """Which of these days are in the months (YYYY-MM)."""
    return np.isin(days.to_numpy().astype("datetime64[M]"), np.array(list(months), dtype="datetime64[M]"))


def batches(archived: list[Archived], source: str, chunk: set[str]) -> list[list[Archived]]:
    """A source's payloads of these months: first the first captures of all requests, then the second ones, and so on.

    Within a batch no request occurs at two capture times, so that its rows may not contradict each other.
    """
    batches: list[list[Archived]] = []
    positions: dict[tuple[Request, datetime], int] = {}
    captures: dict[Request, int] = {}
    for one in archived:
        request = one.payload.request
        if request.source != source or chunk.isdisjoint(one.months):
            continue
        capture = (request, one.payload.captured_at)
        if capture not in positions:
            positions[capture] = captures.get(request, 0)
            captures[request] = positions[capture] + 1
        while len(batches) <= positions[capture]:
            batches.append([])
        batches[positions[capture]].append(one)
    return batches
