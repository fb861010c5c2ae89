"""The HTTP transport: asks publishers. Bounded in time and size, and careful with keys."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from urllib.parse import quote

import httpx
import stamina

from pipelines.sources import SOURCES
from pipelines.sources.base import NoData, Payload, Request, SourceError

ATTEMPTS: Final = 3
MAX_BODY: Final = 64 * 1024 * 1024
MAX_REDIRECTS: Final = 5
MAX_SECONDS: Final = 300.0
TIMEOUT: Final = httpx.Timeout(60.0, connect=10.0)
EXPECTED: Final = "an answer with status 200"


class _BusyError(Exception):
    """The publisher may answer the same question a little later."""


@dataclass
class HttpTransport:
    """Asks over HTTPS. `secrets` holds keys by setting name; they go into the query and nowhere else."""

    now_fn: Callable[[], datetime]
    secrets: Mapping[str, str]
    client: httpx.Client | None = None
    _client: httpx.Client = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._client = self.client or httpx.Client(timeout=TIMEOUT)
        # At INFO httpx logs every address, with the key in it.
        logging.getLogger("httpx").setLevel(logging.WARNING)

    def fetch(self, request: Request) -> list[Payload]:
        """The publisher's answer, tried three times where waiting may help (429, 5xx, broken connections).

        Raises `NoData` when the request needs a key that is not set, or for a status by which this publisher says that
        it has nothing; `SourceError` for everything else than status 200.
        """
        url, key = httpx.URL(request.url), ""
        if request.secret:
            parameter, setting = request.secret
            if not (key := self.secrets.get(setting, "")):
                raise NoData(f"{request.source} {request.name}: needs {setting}")
            if url.scheme != "https":
                raise SourceError(request, "a key is sent over https only", "an https address")
            url = url.copy_merge_params({parameter: key})
        try:
            for attempt in stamina.retry_context(on=_BusyError, attempts=ATTEMPTS):
                with attempt:
                    return [Payload(request, self._without_key(request, url, key), self.now_fn())]
        except _BusyError as error:
            raise SourceError(request, str(error), EXPECTED) from None
        raise AssertionError("the last attempt returns or raises")

    def _without_key(self, request: Request, url: httpx.URL, key: str) -> bytes:
        """The answer, or why there is none; the key is blanked in both before anything logs, keeps or raises it."""
        spellings = [spelling for spelling in dict.fromkeys((key, quote(key, safe=""), quote(key))) if spelling]

        def blank(text: str) -> str:
            for spelling in spellings:
                text = text.replace(spelling, "***")
            return text

        try:
            body = self._get(request, url)
        except _BusyError as error:
            raise _BusyError(f"Busy: {error}") from None
        except httpx.TransportError as error:
            raise _BusyError(blank(f"{type(error).__name__}: {error}")) from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise SourceError(request, blank(f"{type(error).__name__}: {error}"), EXPECTED) from None
        except SourceError as error:
            raise SourceError(request, blank(error.problem), error.expected) from None
        for spelling in spellings:  # a publisher that says the question again
            body = body.replace(spelling.encode(), b"***")
        return body

    def _get(self, request: Request, url: httpx.URL) -> bytes:
        end = time.monotonic() + MAX_SECONDS
        for _ in range(MAX_REDIRECTS + 1):
            with self._client.stream("GET", url, follow_redirects=False) as response:
                if response.has_redirect_location:
                    target = url.join(response.headers["location"])
                    if target.scheme != "https" or target.host != url.host:
                        raise SourceError(
                            request, f"redirected to {target.scheme}://{target.host}", "the same host, https"
                        )
                    url = target
                    continue
                if response.status_code == 429 or response.status_code >= 500:
                    raise _BusyError(f"status {response.status_code}, {ATTEMPTS} times")
                if response.status_code in SOURCES[request.source].ACCESS.absent:
                    raise NoData(f"{request.source} {request.name}: status {response.status_code}, nothing there")
                if response.status_code != 200:
                    raise SourceError(request, f"status {response.status_code}", EXPECTED)
                body = bytearray()
                for chunk in response.iter_bytes():
                    body += chunk
                    if len(body) > MAX_BODY:
                        raise SourceError(request, f"the answer exceeds {MAX_BODY // 1024**2} MiB", "a smaller answer")
                    if time.monotonic() > end:  # a trickle never reaches the time limit of a single read
                        raise _BusyError(f"the answer takes longer than {MAX_SECONDS:.0f} s")
                return bytes(body)
        raise SourceError(request, f"more than {MAX_REDIRECTS} redirects", EXPECTED)
