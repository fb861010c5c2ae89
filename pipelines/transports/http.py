"""The HTTP transport: asks publishers. Bounded in time and size, and careful with keys."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from urllib.parse import quote

import httpx
import stamina

from pipelines.sources.base import NoData, Payload, Request, SourceError

ATTEMPTS: Final = 3
MAX_BODY: Final = 64 * 1024 * 1024
MAX_REDIRECTS: Final = 5
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

        Raises `NoData` when the request needs a key that is not set, `SourceError` for everything else than status 200.
        """
        url, key = httpx.URL(request.url), ""
        if request.secret:
            parameter, setting = request.secret
            if not (key := self.secrets.get(setting, "")):
                raise NoData(f"{request.source} {request.name}: needs {setting}")
            url = url.copy_merge_params({parameter: key})
        try:
            for attempt in stamina.retry_context(on=(_BusyError, httpx.TransportError), attempts=ATTEMPTS):
                with attempt:
                    return [Payload(request, self._get(request, url), self.now_fn())]
        except (_BusyError, httpx.HTTPError, httpx.InvalidURL) as error:
            text = f"{type(error).__name__.strip('_')}: {error}"
            for secret in filter(None, (key, quote(key, safe=""))):
                text = text.replace(secret, "***")
            raise SourceError(request, text, EXPECTED) from None
        raise AssertionError("the last attempt returns or raises")

    def _get(self, request: Request, url: httpx.URL) -> bytes:
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
                if response.status_code != 200:
                    raise SourceError(request, f"status {response.status_code}", EXPECTED)
                body = bytearray()
                for chunk in response.iter_bytes():
                    body += chunk
                    if len(body) > MAX_BODY:
                        raise SourceError(request, f"the answer exceeds {MAX_BODY // 1024**2} MiB", "a smaller answer")
                return bytes(body)
        raise SourceError(request, f"more than {MAX_REDIRECTS} redirects", EXPECTED)
