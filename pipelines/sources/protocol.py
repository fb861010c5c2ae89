"""Interfaces of a source module: plan the requests of a month, parse a payload.

A source is pure: it opens no socket and no file and does not read the clock. One request may serve many months (a page
holds a year); requests are compared by value, so that a run sends each one once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import pandas as pd

from pipelines.sources.base import Access, Parsed, Payload, Request, Scope
from pipelines.sources.contract import ResponseContract


class Source(Protocol):
    """The object that each module of this package defines as `SOURCE: Final[Source]`; mypy checks it there."""

    NAME: str
    TITLE: str
    LICENCE: str  # OPEN | BYO | RESTRICTED
    DATASETS: tuple[str, ...]
    ACCESS: Access
    CONTRACT: ResponseContract

    def requests(self, month: pd.Period, scope: Scope) -> Sequence[Request]:
        """The requests whose responses hold data of the month; none where the source has none."""
        ...

    def parse(self, payload: Payload, scope: Scope) -> Parsed:
        """Typed frames and rejected rows of a payload. Raises `NoData`, or `SourceError` for an unusable response."""
        ...


@runtime_checkable
class IndexedSource(Protocol):
    """A source whose responses have no permanent URL: an index page of the publisher links to them.

    The URL of a request is the last known one, unless it carries a fragment: then none is known.
    """

    def listings(self, request: Request) -> Sequence[Request]:
        """Requests for the index pages that may link to the response, in the order to try."""
        ...

    def resolve_url(self, page: Payload, request: Request) -> str:
        """The URL that an index page links to. Raises `NoData` when it is not linked yet, `SourceError` otherwise."""
        ...
