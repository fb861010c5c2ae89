"""Interface of a transport: a request in, payloads out."""

from __future__ import annotations

from typing import Protocol

from pipelines.sources.base import Payload, Request


class Transport(Protocol):
    """Source of payloads for requests."""

    def fetch(self, request: Request) -> list[Payload]:
        """Payloads of a request, oldest first: the response, after earlier captures of it where the transport has any.

        Raises `NoData` when there is none, `SourceError` when the request failed.
        """
        ...
