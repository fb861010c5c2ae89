"""Who answers a request. A transport knows no schema: it takes a `Request` and returns payloads."""

from __future__ import annotations

from typing import Protocol

from pipelines.sources.base import Payload, Request


class Transport(Protocol):
    """Answers requests. More than one payload: earlier captures of the same request, oldest first."""

    def fetch(self, request: Request) -> list[Payload]:
        """The payloads of a request. Raises `NoData` when there is none, `SourceError` when it failed."""
        ...
