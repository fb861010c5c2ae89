"""HTTP transport: fetches responses from publishers.

Time and size of each response are bounded, temporary failures are retried, and a key appears in no log, error or stored
response. Why conditional requests are not left to a caching library: docs/adr.
"""

from __future__ import annotations

import logging
import re
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from importlib.metadata import version
from typing import Final, NoReturn
from urllib.parse import quote

import httpx

from pipelines.common.retry import retrying
from pipelines.sources import SOURCES
from pipelines.sources.base import Access, NoData, NotRequested, Payload, Request, SourceError, plain
from pipelines.sources.protocol import IndexedSource
from pipelines.sources.reason import reason_of
from pipelines.transports.archive import Archive
from pipelines.transports.rate_limit import MAX_PAUSE_S, MAX_RETRY_AFTER_S, PausedError, RateLimiter

ATTEMPTS: Final = 4
FIRST_WAIT_S, MAX_WAIT_S = 2.0, 30.0  # before the second attempt, and before any; each is three times the last
MAX_BODY: Final = 64 * 1024 * 1024
MAX_REDIRECTS: Final = 5
HEAD_BYTES: Final = 4096  # of a body, in which a throttling message is searched
MAX_ERROR_BODY: Final = 64 * 1024  # of an error response, in which the publisher's reason is searched
MAX_ERROR_SECONDS: Final = 10.0  # to read it
MAX_REASON: Final = 300  # characters of it that are quoted
MAX_SECONDS: Final = 300.0  # of one attempt
TIMEOUT: Final = httpx.Timeout(60.0, connect=10.0)
PROGRESS_S: Final = 5.0
EXPECTED: Final = "a response with status 200"
RETRYABLE: Final = frozenset({408, 425, 429})  # and every 5xx
_VALIDATOR: Final = re.compile(r"[ -~]{1,200}")

log = logging.getLogger(__name__)


class _RetryableError(Exception):
    """A failure after which the same request may succeed; retry after `wait` seconds where the publisher states it."""

    def __init__(self, problem: str, wait: float | None = None) -> None:
        self.wait = wait
        super().__init__(problem)


@dataclass(frozen=True)
class _Call:
    """A request with its URL (key included), its key, and the archived payload to revalidate."""

    request: Request
    access: Access
    url: httpx.URL
    key: str
    archived: Payload | None

    @property
    def name(self) -> str:
        return f"{self.request.source} {self.request.name}"

    @property
    def key_spellings(self) -> list[str]:
        """The key in each encoding in which a publisher may return it."""
        return [text for text in dict.fromkeys((self.key, quote(self.key, safe=""), quote(self.key))) if text]

    def redact(self, text: str) -> str:
        """Replace the key in a text by `***`: in each encoding, and cut off or encoded otherwise in an echoed URL."""
        for spelling in self.key_spellings:
            text = re.sub(re.escape(spelling), "***", text, flags=re.IGNORECASE)
        if self.request.secret:
            parameter = re.escape(self.request.secret[0])
            text = re.sub(rf"({parameter}(?:=|%3D))[^&\s\"'<>]+", r"\1***", text, flags=re.IGNORECASE)
        return text


@dataclass
class HttpTransport:
    """Fetch responses over HTTPS. `secrets`: keys by setting name; they are only added to the query.

    With an `archive`, requests are conditional: an unchanged response is not transferred again. With a `rate_limiter`,
    all processes share each publisher's limits. `contact`: sent in the User-Agent, for questions of a publisher.
    """

    now_fn: Callable[[], datetime]
    secrets: Mapping[str, str]
    client: httpx.Client | None = None
    archive: Archive | None = None
    rate_limiter: RateLimiter | None = None
    contact: str = ""
    attempts: int = ATTEMPTS
    _client: httpx.Client = field(init=False, repr=False)
    _agent: str = field(init=False, repr=False)
    _index_pages: dict[str, Payload | SourceError] = field(init=False, repr=False, default_factory=dict)
    _paused_until: dict[str, float] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._client = self.client or httpx.Client(timeout=TIMEOUT)
        self._agent = f"metal-tightness/{version('metal-tightness')}" + (f" (+{self.contact})" if self.contact else "")
        # At INFO httpx logs every URL, with the key in it.
        logging.getLogger("httpx").setLevel(logging.WARNING)

    def fetch(self, request: Request) -> list[Payload]:
        """The publisher's response, retried after temporary failures (429, 5xx, timeouts, truncated bodies).

        Raises `NotRequested` when the required key is not set; `NoData` when the publisher does not list the response
        yet or states that it has none (`absent` and `no_data` of its `Access`); `SourceError` for every other status
        than 200, with the publisher's reason.
        """
        if request.secret and not self.secrets.get(request.secret[1]):
            raise NotRequested(f"{request.source} {request.name}: needs {request.secret[1]}")
        archived = self.archive.newest(request) if self.archive else None
        *others, last = self._candidate_urls(request, archived)
        for url in others:
            try:
                return [self._fetch_url(request, url, archived)]
            except SourceError as error:
                log.warning("%s; trying the last known URL", error)
        return [self._fetch_url(request, last, archived)]

    # --- URL of the response

    def _candidate_urls(self, request: Request, archived: Payload | None) -> list[str]:
        """URLs to try, in order: for an indexed source the linked URL, then the last ones that worked."""
        source = SOURCES[request.source]
        if not isinstance(source, IndexedSource):
            return [request.url]
        known = [archived.address] if archived and archived.address else []
        known += [request.url] if "#" not in request.url else []
        try:
            return list(dict.fromkeys([self._linked_url(source, request), *known]))
        except SourceError as error:
            if not known:
                raise
            log.warning("%s; trying the last known URL", error)
            return known

    def _linked_url(self, source: IndexedSource, request: Request) -> str:
        problem = SourceError(request, "no index page links to it", "an index page")
        for page in source.listings(request):
            try:
                url = source.resolve_url(self._index_page(page), request)
                _check_linked_url(request, httpx.URL(url), SOURCES[request.source].ACCESS)
                return url
            except (httpx.InvalidURL, ValueError) as error:  # `urljoin` raises ValueError
                problem = SourceError(request, f"{page.url} links to an invalid URL ({error})", "a link")
            except SourceError as error:
                problem = SourceError(request, error.problem, error.expected)
        raise problem

    def _index_page(self, page: Request) -> Payload:
        """An index page, fetched once per transport; a failure is kept too."""
        if page.url not in self._index_pages:
            try:
                self._index_pages[page.url] = self._fetch_url(page, page.url, None)
            except SourceError as error:
                self._index_pages[page.url] = error
        fetched = self._index_pages[page.url]
        if isinstance(fetched, SourceError):
            raise SourceError(fetched.request, f"{page.url}: {fetched.problem}", fetched.expected)
        return fetched

    # --- one URL, with retries

    def _fetch_url(self, request: Request, address: str, archived: Payload | None) -> Payload:
        """The payload at a URL: the archived one where the publisher replies that it is unchanged."""
        url, key, access = httpx.URL(address), "", SOURCES[request.source].ACCESS
        if request.secret:
            key = self.secrets[request.secret[1]]
            if url.scheme != "https":
                raise SourceError(request, "a key is sent over https only", "an https URL")
            url = url.copy_merge_params({request.secret[0]: key})
        if url.scheme != "https" and not access.plain_http:
            raise SourceError(request, f"the URL uses {url.scheme}, which can be altered in transit", "https")
        if archived and ((archived.address or request.url) != address or not (archived.etag or archived.last_modified)):
            archived = None  # only the URL that returned the validators can confirm them
        call = _Call(request, access, url, key, archived)
        attempts = retrying(
            on=_retry_delay,
            attempts=self.attempts,
            timeout=None,
            wait_initial=FIRST_WAIT_S,
            wait_max=MAX_WAIT_S,
            wait_exp_base=3,
        )
        try:
            for attempt in attempts:
                if attempt.num > 1:
                    log.info("%s: retry, attempt %d of %d", call.name, attempt.num, self.attempts)
                with attempt, self._rate_limited(request.source, access):
                    payload = self._fetch_redacted(call, attempt.num)
                    return replace(payload, address="" if address == request.url else address)
        except _RetryableError as error:
            raise SourceError(request, str(error), EXPECTED) from None
        except PausedError as error:
            until = datetime.fromtimestamp(error.until, UTC)
            problem = f"the publisher accepts no requests until {until:%Y-%m-%dT%H:%M:%SZ}{error.reason}"
            raise SourceError(request, problem, "a run after that time") from None
        raise AssertionError("the last attempt returns or raises")

    @contextmanager
    def _rate_limited(self, source: str, access: Access) -> Iterator[None]:
        if (until := self._paused_until.get(source, 0.0)) > self._clock():
            raise PausedError(until)
        if self.rate_limiter is None:
            yield
        else:
            with self.rate_limiter.acquire(source, access):
                yield

    def _pause(self, call: _Call, status: int, reason: str, wait: float) -> NoReturn:
        """Pause the publisher in every process, then end or retry this attempt by raising."""
        source, wait = call.request.source, min(wait, MAX_RETRY_AFTER_S)
        if self.rate_limiter:
            self.rate_limiter.pause(source, wait)
        if wait > MAX_PAUSE_S:
            self._paused_until[source] = self._clock() + wait
            raise PausedError(self._paused_until[source], reason)
        raise _RetryableError(f"status {status} in {self.attempts} attempts{reason}", wait)

    def _clock(self) -> float:
        return self.rate_limiter.clock() if self.rate_limiter else time.time()

    def _fetch_redacted(self, call: _Call, attempt: int) -> Payload:
        """The payload or its error, with the key removed before anything is logged, stored or raised."""
        request, redact = call.request, call.redact
        try:
            payload = self._get(call, attempt)
        except httpx.TransportError as error:
            problem = redact(f"{type(error).__name__}: {error}")
            if "CERTIFICATE_VERIFY_FAILED" in problem:  # a retry would fail in the same way
                raise SourceError(request, problem, "a certificate that can be verified") from None
            raise _RetryableError(problem) from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise SourceError(request, redact(f"{type(error).__name__}: {error}"), EXPECTED) from None
        except SourceError as error:
            raise SourceError(request, redact(error.problem), error.expected) from None
        body = payload.body
        for spelling in call.key_spellings:  # a publisher may return the request's URL in its body
            body = re.sub(re.escape(spelling.encode()), b"***", body, flags=re.IGNORECASE)
        return replace(payload, body=body, etag=redact(payload.etag), last_modified=redact(payload.last_modified))

    def _get(self, call: _Call, attempt: int) -> Payload:
        request, access, url, end = call.request, call.access, call.url, time.monotonic() + MAX_SECONDS
        for _ in range(MAX_REDIRECTS + 1):
            headers = self._headers(call.archived)
            with self._client.stream("GET", url, headers=headers, follow_redirects=False) as response:
                status = response.status_code
                if response.has_redirect_location:
                    target = url.join(response.headers["location"])
                    _check_redirect(call, url, target)
                    url = target
                    continue
                if status == 304 and call.archived:
                    return call.archived
                if status != 200:
                    self._fail(call, response, attempt)
                body = _body(call, response, end)
                if access.throttled and _throttles(access.throttled, body):
                    self._pause(call, 429, _reason(call, body), access.backoff_s * 2 ** (attempt - 1))
                etag, modified = (_validator(response.headers.get(name, "")) for name in ("etag", "last-modified"))
                return Payload(request, body, self.now_fn(), etag, modified)
        raise SourceError(request, f"more than {MAX_REDIRECTS} redirects", EXPECTED)

    def _fail(self, call: _Call, response: httpx.Response, attempt: int) -> NoReturn:
        """Raise what a status other than 200 means, with the reason that the publisher gives in the body."""
        access, status, body = call.access, response.status_code, _error_body(response)
        reason = _reason(call, body, response.charset_encoding or "utf-8")
        if access.no_data and re.search(access.no_data, reason, re.IGNORECASE):
            raise NoData(f"{call.name}: status {status}{reason}")
        throttled = status == 429 or (access.throttled != "" and _throttles(access.throttled, body))
        if throttled or status in RETRYABLE or status >= 500:
            wait = _retry_after(response.headers, self._clock())
            if wait is None and throttled:
                wait = access.backoff_s * 2 ** (attempt - 1)
            if wait is not None:
                self._pause(call, status, reason, wait)
            raise _RetryableError(f"status {status} in {self.attempts} attempts{reason}")
        if status in access.absent:
            raise NoData(f"{call.name}: status {status}, no data{reason}")
        raise SourceError(call.request, f"status {status}{reason}", EXPECTED)

    def _headers(self, archived: Payload | None) -> dict[str, str]:
        headers = {"User-Agent": self._agent, "Accept-Encoding": "gzip"}
        if archived and archived.etag:
            headers["If-None-Match"] = archived.etag
        if archived and archived.last_modified:
            headers["If-Modified-Since"] = archived.last_modified
        return headers


def _throttles(pattern: str, body: bytes) -> bool:
    return re.search(pattern, body[:HEAD_BYTES].decode("utf-8", "replace"), re.IGNORECASE | re.DOTALL) is not None


def _reason(call: _Call, body: bytes, charset: str = "utf-8") -> str:
    """The publisher's reason in an error response after a colon, without the key; empty where there is none."""
    # The key is replaced before the text is cut, since a part of a key would not be found.
    reason = plain(call.redact(reason_of(body, charset)), MAX_REASON)
    return f": {reason}" if reason else ""


def _error_body(response: httpx.Response) -> bytes:
    """The start of an error response, as far as it can be read: the status is the error, not a truncated text."""
    encoding = response.headers.get("content-encoding", "").strip().lower()
    if encoding not in ("", "identity", "gzip", "x-gzip"):
        return b""
    unpack = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS) if "gzip" in encoding else None
    body, received, end = bytearray(), 0, time.monotonic() + MAX_ERROR_SECONDS
    assert isinstance(response.stream, httpx.SyncByteStream)
    with suppress(httpx.TransportError, zlib.error):
        for chunk in response.stream:
            received += len(chunk)
            body += unpack.decompress(chunk, MAX_ERROR_BODY - len(body)) if unpack else chunk
            if max(len(body), received) >= MAX_ERROR_BODY or time.monotonic() > end:
                break
    return bytes(body[:MAX_ERROR_BODY])


def _retry_delay(error: Exception) -> bool | float:
    """Whether to retry, or the seconds until the retry where the publisher states them."""
    if not isinstance(error, _RetryableError):
        return False
    return True if error.wait is None else error.wait


def _retry_after(headers: httpx.Headers, now: float) -> float | None:
    """Seconds of the `Retry-After` header, which may be a date; None when it is missing or unreadable."""
    text = headers.get("retry-after", "").strip()
    if re.fullmatch(r"\d{1,9}", text, re.ASCII):
        return float(text)
    try:
        until = parsedate_to_datetime(text)
        # Relative to the publisher's own clock where the response states it.
        since = parsedate_to_datetime(headers["date"]) if "date" in headers else datetime.fromtimestamp(now, UTC)
        return float(max((until - since).total_seconds(), 0.0))
    except (ValueError, TypeError):  # no date, or a date without a time zone
        return None


def _validator(text: str) -> str:
    # It is sent back in a header, where other characters are not allowed.
    return text if _VALIDATOR.fullmatch(text) else ""


def _check_linked_url(request: Request, url: httpx.URL, access: Access) -> None:
    """Raise SourceError for a linked URL that is not on one of the publisher's hosts."""
    schemes = ("https", "http") if access.plain_http else ("https",)
    if url.scheme not in schemes or url.host not in access.hosts or url.userinfo:
        expected = f"{' or '.join(schemes)} at {' or '.join(access.hosts)}"
        raise SourceError(request, f"the page links to {url.scheme}://{url.host}", expected)


def _check_redirect(call: _Call, url: httpx.URL, target: httpx.URL) -> None:
    """Raise SourceError for a redirect to a foreign host, to plain http, or to a URL with credentials.

    A request with a key may not leave its host.
    """
    hosts = {url.host} if call.key else {url.host, *call.access.hosts}
    plain = target.scheme == url.scheme == "http" and call.access.plain_http
    is_there = target.host in hosts and target.port in (None, url.port)
    if not is_there or target.userinfo or not (target.scheme == "https" or plain):
        where = f"{target.scheme}://{'…@' if target.userinfo else ''}{target.netloc.decode('ascii', 'replace')}"
        others = "".join(f" or {host}" for host in sorted(hosts - {url.host}))
        raise SourceError(call.request, f"redirected to {where}", f"the same host{others}, https")


def _body(call: _Call, response: httpx.Response, end: float) -> bytes:
    """Decompressed body, at most `MAX_BODY` bytes, read before `end` (seconds of `time.monotonic`).

    Read from the raw stream: httpx decompresses a chunk to any size and accepts a truncated gzip body as complete.
    """
    request = call.request
    encoding = response.headers.get("content-encoding", "").strip().lower()
    if encoding not in ("", "identity", "gzip", "x-gzip"):
        raise SourceError(request, f"the response is encoded as {encoding[:40]!r}", "gzip or no encoding, as requested")
    unpack = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS) if "gzip" in encoding else None
    length = response.headers.get("content-length", "")
    total = int(length) if re.fullmatch(r"\d{1,12}", length, re.ASCII) else None
    body, received, logged_at = bytearray(), 0, time.monotonic()
    assert isinstance(response.stream, httpx.SyncByteStream)
    for chunk in response.stream:
        received += len(chunk)
        try:
            body += unpack.decompress(chunk, MAX_BODY + 1 - len(body)) if unpack else chunk
        except zlib.error as error:
            raise SourceError(request, f"the response is not valid gzip ({error})", EXPECTED) from None
        if max(len(body), received) > MAX_BODY:
            raise SourceError(request, f"the response exceeds {MAX_BODY // 1024**2} MiB", "a smaller response")
        if unpack and unpack.unused_data:
            raise SourceError(request, "bytes follow the end of the gzip stream", "one gzip stream")
        now = time.monotonic()
        if now > end:  # a slow stream of bytes never reaches the timeout of a single read
            raise _RetryableError(f"the response takes longer than {MAX_SECONDS:.0f} s")
        if now - logged_at >= PROGRESS_S:
            logged_at = now
            of = f" of {total / 1e6:.1f}" if total else ""
            log.info("%s: %.1f%s MB", call.name, received / 1e6, of)
    if unpack and not unpack.eof:
        raise _RetryableError("the gzip response is truncated")
    return bytes(body)
