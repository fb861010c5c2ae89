"""The HTTP transport: asks publishers. Bounded in time and size, patient where that helps, and careful with keys."""

from __future__ import annotations

import logging
import re
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from importlib.metadata import version
from typing import Final
from urllib.parse import quote

import httpx

from pipelines.common.retry import retrying
from pipelines.sources import SOURCES
from pipelines.sources.base import Access, NoData, Payload, Request, SourceError
from pipelines.sources.protocol import IndexedSource
from pipelines.transports.archive import Archive
from pipelines.transports.rate_limit import LONGEST_S, MAX_PAUSE_S, PausedError, RateLimiter

ATTEMPTS: Final = 4
FIRST_WAIT_S, MAX_WAIT_S = 2.0, 30.0  # before the second attempt, and before any; each is three times the last
MAX_BODY: Final = 64 * 1024 * 1024
MAX_REDIRECTS: Final = 5
HEAD_BYTES: Final = 4096  # of an answer, where it says that it is none
MAX_SECONDS: Final = 300.0  # of one attempt
TIMEOUT: Final = httpx.Timeout(60.0, connect=10.0)
PROGRESS_S: Final = 5.0
EXPECTED: Final = "an answer with status 200"
PASSING: Final = frozenset({408, 425, 429})  # and every 5xx: the same question may be answered a little later
_VALIDATOR: Final = re.compile(r"[ -~]{1,200}")

log = logging.getLogger(__name__)


class _BusyError(Exception):
    """The publisher may answer the same question a little later, or after `wait` seconds where it said so."""

    def __init__(self, problem: str, wait: float | None = None) -> None:
        self.wait = wait
        super().__init__(problem)


@dataclass(frozen=True)
class _Question:
    """One request on its way: its address with the key in it, and the archived answer that may still hold."""

    request: Request
    access: Access
    url: httpx.URL
    key: str
    known: Payload | None

    @property
    def name(self) -> str:
        return f"{self.request.source} {self.request.name}"

    @property
    def spellings(self) -> list[str]:
        """The key in every way in which it may come back."""
        return [text for text in dict.fromkeys((self.key, quote(self.key, safe=""), quote(self.key))) if text]

    def blank(self, text: str) -> str:
        """The text without the key."""
        for spelling in self.spellings:
            text = text.replace(spelling, "***")
        return text


@dataclass
class HttpTransport:
    """Asks over HTTPS. `secrets` holds keys by setting name; they go into the query and nowhere else.

    With an `archive`, only what is newer than its answer is sent again; with a `pace`, all processes keep to each
    publisher's limits together. `contact`: whom a publisher may write to.
    """

    now_fn: Callable[[], datetime]
    secrets: Mapping[str, str]
    client: httpx.Client | None = None
    archive: Archive | None = None
    pace: RateLimiter | None = None
    contact: str = ""
    attempts: int = ATTEMPTS
    _client: httpx.Client = field(init=False, repr=False)
    _agent: str = field(init=False, repr=False)
    _pages: dict[str, Payload | SourceError] = field(init=False, repr=False, default_factory=dict)
    _paused: dict[str, float] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._client = self.client or httpx.Client(timeout=TIMEOUT)
        self._agent = f"metal-tightness/{version('metal-tightness')}" + (f" (+{self.contact})" if self.contact else "")
        # At INFO httpx logs every address, with the key in it.
        logging.getLogger("httpx").setLevel(logging.WARNING)

    def fetch(self, request: Request) -> list[Payload]:
        """The publisher's answer, asked for again where waiting may help (429, 5xx, stalls, cut answers).

        Raises `NoData` when the request needs a key that is not set, when the publisher does not list it yet or says by
        its status that it has nothing; `SourceError` for everything else than status 200.
        """
        if request.secret and not self.secrets.get(request.secret[1]):
            raise NoData(f"{request.source} {request.name}: needs {request.secret[1]}")
        known = self.archive.newest(request) if self.archive else None
        *others, last = self._addresses(request, known)
        for address in others:
            try:
                return [self._ask(request, address, known)]
            except SourceError as error:
                log.warning("%s; asking its last good address", error)
        return [self._ask(request, last, known)]

    # --- where the answer is

    def _addresses(self, request: Request, known: Payload | None) -> list[str]:
        """Where to ask, best first: for a listed source the listed address, then the last good ones."""
        source = SOURCES[request.source]
        if not isinstance(source, IndexedSource):
            return [request.url]
        good = [known.address] if known and known.address else []
        good += [request.url] if "#" not in request.url else []
        try:
            return list(dict.fromkeys([self._located(source, request), *good]))
        except SourceError as error:
            if not good:
                raise
            log.warning("%s; asking its last good address", error)
            return good

    def _located(self, source: IndexedSource, request: Request) -> str:
        problem = SourceError(request, "no page lists it", "a listing page")
        for listing in source.listings(request):
            try:
                address = source.resolve_url(self._page(listing), request)
                _check_address(request, httpx.URL(address), SOURCES[request.source].ACCESS)
                return address
            except (httpx.InvalidURL, ValueError) as error:  # `urljoin` has errors of its own
                problem = SourceError(request, f"{listing.url} links to no address ({error})", "a link")
            except SourceError as error:
                problem = SourceError(request, error.problem, error.expected)
        raise problem

    def _page(self, listing: Request) -> Payload:
        """A listing page; it is asked for once, also when that fails."""
        if listing.url not in self._pages:
            try:
                self._pages[listing.url] = self._ask(listing, listing.url, None)
            except SourceError as error:
                self._pages[listing.url] = error
        page = self._pages[listing.url]
        if isinstance(page, SourceError):
            raise SourceError(page.request, f"{listing.url}: {page.problem}", page.expected)
        return page

    # --- asking

    def _ask(self, request: Request, address: str, known: Payload | None) -> Payload:
        """The answer at an address, which is the archived one where the publisher says that it still holds."""
        url, key, access = httpx.URL(address), "", SOURCES[request.source].ACCESS
        if request.secret:
            key = self.secrets[request.secret[1]]
            if url.scheme != "https":
                raise SourceError(request, "a key is sent over https only", "an https address")
            url = url.copy_merge_params({request.secret[0]: key})
        if url.scheme != "https" and not access.plain_http:
            raise SourceError(request, f"the address is {url.scheme}, which anybody on the way may change", "https")
        holds = known if known and (known.etag or known.last_modified) else None
        if holds and (holds.address or request.url) != address:
            holds = None  # the version of another address says nothing of this one
        question = _Question(request, access, url, key, holds)
        patience = retrying(
            on=_backoff,
            attempts=self.attempts,
            timeout=None,
            wait_initial=FIRST_WAIT_S,
            wait_max=MAX_WAIT_S,
            wait_exp_base=3,
        )
        try:
            for attempt in patience:
                if attempt.num > 1:
                    log.info("%s: asked again, attempt %d of %d", question.name, attempt.num, self.attempts)
                with attempt, self._turn(request.source, access):
                    payload = self._without_key(question, attempt.num)
                    return replace(payload, address="" if address == request.url else address)
        except _BusyError as error:
            raise SourceError(request, str(error), EXPECTED) from None
        except PausedError as error:
            until = datetime.fromtimestamp(error.until, UTC)
            problem = f"the publisher wants to be left alone until {until:%Y-%m-%dT%H:%M:%SZ}"
            raise SourceError(request, problem, "a run after that") from None
        raise AssertionError("the last attempt returns or raises")

    @contextmanager
    def _turn(self, source: str, access: Access) -> Iterator[None]:
        if (until := self._paused.get(source, 0.0)) > self._clock():
            raise PausedError(until)
        if self.pace is None:
            yield
        else:
            with self.pace.acquire(source, access):
                yield

    def _leave_alone(self, question: _Question, status: int, wait: float) -> None:
        """Keeps every process from asking again too early. Raises what ends or repeats this attempt."""
        source, wait = question.request.source, min(wait, LONGEST_S)
        if self.pace:
            self.pace.pause(source, wait)
        if wait > MAX_PAUSE_S:
            self._paused[source] = self._clock() + wait
            raise PausedError(self._paused[source])
        raise _BusyError(f"status {status}, {self.attempts} times", wait)

    def _clock(self) -> float:
        return self.pace.clock() if self.pace else time.time()

    def _without_key(self, question: _Question, attempt: int) -> Payload:
        """The answer, or why there is none; the key is blanked in both before anything logs, keeps or raises it."""
        request, blank = question.request, question.blank
        try:
            payload = self._get(question, attempt)
        except httpx.TransportError as error:
            problem = blank(f"{type(error).__name__}: {error}")
            if "CERTIFICATE_VERIFY_FAILED" in problem:  # the next attempt would meet the same server
                raise SourceError(request, problem, "a certificate that somebody vouches for") from None
            raise _BusyError(problem) from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise SourceError(request, blank(f"{type(error).__name__}: {error}"), EXPECTED) from None
        except SourceError as error:
            raise SourceError(request, blank(error.problem), error.expected) from None
        body = payload.body
        for spelling in question.spellings:  # a publisher that says the question again
            body = body.replace(spelling.encode(), b"***")
        return replace(payload, body=body, etag=blank(payload.etag), last_modified=blank(payload.last_modified))

    def _get(self, question: _Question, attempt: int) -> Payload:
        request, url, end = question.request, question.url, time.monotonic() + MAX_SECONDS
        for _ in range(MAX_REDIRECTS + 1):
            headers = self._headers(question.known)
            with self._client.stream("GET", url, headers=headers, follow_redirects=False) as response:
                if response.has_redirect_location:
                    target = url.join(response.headers["location"])
                    _check_redirect(question, url, target)
                    url = target
                    continue
                if response.status_code == 304 and question.known:
                    return question.known
                if response.status_code in PASSING or response.status_code >= 500:
                    wait = _retry_after(response.headers, self._clock())
                    if wait is None and response.status_code == 429:
                        wait = question.access.backoff_s * 2 ** (attempt - 1)
                    if wait is not None:
                        self._leave_alone(question, response.status_code, wait)
                    raise _BusyError(f"status {response.status_code}, {self.attempts} times")
                if response.status_code in SOURCES[request.source].ACCESS.absent:
                    raise NoData(f"{request.source} {request.name}: status {response.status_code}, nothing there")
                if response.status_code != 200:
                    raise SourceError(request, f"status {response.status_code}", EXPECTED)
                body = _body(question, response, end)
                if question.access.throttled and _throttles(question.access.throttled, body):
                    self._leave_alone(question, 429, question.access.backoff_s * 2 ** (attempt - 1))
                etag, modified = (_validator(response.headers.get(name, "")) for name in ("etag", "last-modified"))
                return Payload(request, body, self.now_fn(), etag, modified)
        raise SourceError(request, f"more than {MAX_REDIRECTS} redirects", EXPECTED)

    def _headers(self, known: Payload | None) -> dict[str, str]:
        headers = {"User-Agent": self._agent, "Accept-Encoding": "gzip"}
        if known and known.etag:
            headers["If-None-Match"] = known.etag
        if known and known.last_modified:
            headers["If-Modified-Since"] = known.last_modified
        return headers


def _throttles(pattern: str, body: bytes) -> bool:
    return re.search(pattern, body[:HEAD_BYTES].decode("utf-8", "replace"), re.IGNORECASE | re.DOTALL) is not None


def _backoff(error: Exception) -> bool | float:
    """Whether an attempt is repeated, and after how many seconds where the publisher said so."""
    if not isinstance(error, _BusyError):
        return False
    return True if error.wait is None else error.wait


def _retry_after(headers: httpx.Headers, now: float) -> float | None:
    """Seconds that a `Retry-After` asks for, which may be a date; None when it is not there or says nothing."""
    said = headers.get("retry-after", "").strip()
    if re.fullmatch(r"\d{1,9}", said, re.ASCII):
        return float(said)
    try:
        until = parsedate_to_datetime(said)
        # The publisher's own clock counts, where it shows it.
        since = parsedate_to_datetime(headers["date"]) if "date" in headers else datetime.fromtimestamp(now, UTC)
        return float(max((until - since).total_seconds(), 0.0))
    except (ValueError, TypeError):  # nothing that is a date; or one without a zone
        return None


def _validator(text: str) -> str:
    # It is sent back in a header: a publisher's odd characters could not be.
    return text if _VALIDATOR.fullmatch(text) else ""


def _check_address(request: Request, url: httpx.URL, access: Access) -> None:
    """SourceError for a listed address that is not the publisher's."""
    schemes = ("https", "http") if access.plain_http else ("https",)
    if url.scheme not in schemes or url.host not in access.hosts or url.userinfo:
        expected = f"{' or '.join(schemes)} at {' or '.join(access.hosts)}"
        raise SourceError(request, f"the page links to {url.scheme}://{url.host}", expected)


def _check_redirect(question: _Question, url: httpx.URL, target: httpx.URL) -> None:
    """SourceError for a redirect to where this publisher is not, to plain http, or with credentials of its own.

    A key stays on its host.
    """
    hosts = {url.host} if question.key else {url.host, *question.access.hosts}
    plain = target.scheme == url.scheme == "http" and question.access.plain_http
    is_there = target.host in hosts and target.port in (None, url.port)
    if not is_there or target.userinfo or not (target.scheme == "https" or plain):
        where = f"{target.scheme}://{'…@' if target.userinfo else ''}{target.netloc.decode('ascii', 'replace')}"
        others = "".join(f" or {host}" for host in sorted(hosts - {url.host}))
        raise SourceError(question.request, f"redirected to {where}", f"the same host{others}, https")


def _body(question: _Question, response: httpx.Response, end: float) -> bytes:
    """The unpacked body. httpx would unpack a chunk whatever its size, and take a cut gzip for a whole one."""
    request = question.request
    encoding = response.headers.get("content-encoding", "").strip().lower()
    if encoding not in ("", "identity", "gzip", "x-gzip"):
        raise SourceError(request, f"the answer is encoded as {encoding[:40]!r}", "gzip or nothing, as was asked for")
    unpack = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS) if "gzip" in encoding else None
    length = response.headers.get("content-length", "")
    total = int(length) if re.fullmatch(r"\d{1,12}", length, re.ASCII) else None
    body, received, told = bytearray(), 0, time.monotonic()
    assert isinstance(response.stream, httpx.SyncByteStream)
    for chunk in response.stream:
        received += len(chunk)
        try:
            body += unpack.decompress(chunk, MAX_BODY + 1 - len(body)) if unpack else chunk
        except zlib.error as error:
            raise SourceError(request, f"the answer is no gzip as it says ({error})", EXPECTED) from None
        if max(len(body), received) > MAX_BODY:
            raise SourceError(request, f"the answer exceeds {MAX_BODY // 1024**2} MiB", "a smaller answer")
        if unpack and unpack.unused_data:
            raise SourceError(request, "bytes follow the end of the gzip answer", "one gzip stream")
        now = time.monotonic()
        if now > end:  # a trickle never reaches the time limit of a single read
            raise _BusyError(f"the answer takes longer than {MAX_SECONDS:.0f} s")
        if now - told >= PROGRESS_S:
            told = now
            of = f" of {total / 1e6:.1f}" if total else ""
            log.info("%s: %.1f%s MB", question.name, received / 1e6, of)
    if unpack and not unpack.eof:
        raise _BusyError("the gzip answer is cut short")
    return bytes(body)
