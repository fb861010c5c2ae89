"""Holds an answer against its source's contract and the last good answer, before the archive takes it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from itertools import groupby

from pipelines.sources import SOURCES
from pipelines.sources.base import Parsed, Payload, Request, Scope, SourceError
from pipelines.sources.contract import Finding, ParsedResponse, examine, inspect
from pipelines.transports.archive import Archive, Receipt

SHOWN = 3  # findings that a message names
# A run's answers are parsed once, for the examination and for every dataset that reads them: a full history is some
# 700 of them and 40 MB. Where there are more, the datasets parse again.
KEPT = 1024


@lru_cache(maxsize=KEPT)
def parse(payload: Payload, scope: Scope) -> Parsed:
    """What a payload says; raises what its source raises."""
    return SOURCES[payload.request.source].parse(payload, scope)


def answers(payloads: Sequence[Payload]) -> list[list[Payload]]:
    """Payloads of a request by the moment of their capture: those of one moment are one answer in parts."""
    return [list(parts) for _, parts in groupby(payloads, key=lambda payload: payload.captured_at)]


def last_good(request: Request, archive: Archive) -> list[Payload]:
    """The answer that the lake rests on; none when there is none, or its files cannot be read."""
    try:
        return answers(archive.load(request))[-1]
    except (SourceError, IndexError):
        return []


def is_known(parts: Sequence[Payload], receipt: Receipt | None) -> bool:
    """Whether an answer is the newest capture once more, or, in a recording, a capture of its time: it was examined.

    An older page that comes back today, from a cache on the way, is none of them.
    """
    captures = receipt.captures if receipt else ()
    newest = {capture.sha256 for capture in captures if capture.captured_at == captures[-1].captured_at}
    known = {(capture.sha256, datetime.fromisoformat(capture.captured_at)) for capture in captures}
    return all(
        sha256 in newest or (sha256, payload.captured_at) in known
        for payload in parts
        for sha256 in [hashlib.sha256(payload.body).hexdigest()]
    )


def findings(
    parts: Sequence[Payload], before: Sequence[Payload], previous_period: Sequence[Payload], scope: Scope
) -> list[Finding]:
    """What is unusual in an answer, held against the one `before` it, else against its `neighbour`: the answer about
    the same thing in the period before."""
    held = before or previous_period
    contract = SOURCES[parts[0].request.source].CONTRACT
    return examine(contract, _seen(tuple(parts), scope), _seen(tuple(held), scope) if held else None, same=bool(before))


def is_readable(parts: Sequence[Payload], scope: Scope) -> bool:
    """Whether the source's parser can read an answer, whatever is unusual in it."""
    return _seen(tuple(parts), scope).error is None


@lru_cache(maxsize=16)
def _seen(parts: tuple[Payload, ...], scope: Scope) -> ParsedResponse:
    # What one answer is held against was looked at a moment ago, when it was examined itself.
    return inspect(SOURCES[parts[0].request.source].CONTRACT, parts, lambda payload: parse(payload, scope))


def in_words(found: Sequence[Finding]) -> str:
    """Findings on one line."""
    more = f"; and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return "; ".join(finding.text for finding in found[:SHOWN]) + more
