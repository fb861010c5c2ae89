"""What a source module offers: requests out, frames in.

A source is pure. `requests(month, scope)` says what a month needs, `parse(payload, scope)` turns an answer into typed
frames. It never opens a socket or a file and never asks the time. The same request may serve many months (a page holds
a year): requests are values, so that a run asks each one once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import pandas as pd

from pipelines.sources.base import Access, Parsed, Payload, Request, Scope
from pipelines.sources.contract import ResponseContract


class Source(Protocol):
    """What a module in this package offers as `SOURCE: Final[Source]`, a line at which mypy checks it."""

    NAME: str
    TITLE: str
    LICENCE: str  # OPEN | BYO | RESTRICTED
    DATASETS: tuple[str, ...]
    ACCESS: Access
    CONTRACT: ResponseContract

    def requests(self, month: pd.Period, scope: Scope) -> Sequence[Request]: ...
    def parse(self, payload: Payload, scope: Scope) -> Parsed: ...


@runtime_checkable
class IndexedSource(Protocol):
    """A source whose answers have no lasting address: a page of the publisher links to them.

    A request's own url is the last good address, unless it carries a fragment: then there is none.
    """

    def listings(self, request: Request) -> Sequence[Request]:
        """The pages that may link to the answer, to be asked in this order."""
        ...

    def resolve_url(self, page: Payload, request: Request) -> str:
        """The address on such a page. Raises `NoData` when it is not there yet, `SourceError` for another page."""
        ...
