"""The HTTP transport against a publisher that is slow, busy, large, redirects, or echoes keys."""

from __future__ import annotations

import gzip
import json
import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import httpx
import pandas as pd
import pytest
import stamina

from pipelines.common.settings import PROJECT
from pipelines.reference import load_reference
from pipelines.sources import SOURCES
from pipelines.sources.base import Access, NoData, Payload, Request, SourceError
from pipelines.transports import http
from pipelines.transports.archive import Archive
from pipelines.transports.http import HttpTransport
from pipelines.transports.rate_limit import RateLimiter

NOW = datetime(2026, 2, 1, 12, tzinfo=UTC)
KEY = "s3cret/+key"
PLAIN = Request("fred", "SOFR.csv", "https://publisher.example/data?id=SOFR")
KEYED = Request("entsoe", "A44.xml", "https://publisher.example/api?a=1", secret=("securityToken", "ENTSOE_API_TOKEN"))


@pytest.fixture(autouse=True)
def no_waiting() -> Iterator[None]:
    with stamina.set_testing(True, attempts=3):
        yield


class Publisher:
    """Responses in turn; the last response is repeated."""

    def __init__(self, *responses: httpx.Response | Exception | Callable[[], httpx.Response]) -> None:
        self.responses = responses
        self.requested: list[httpx.URL] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        response = self.responses[min(len(self.requested), len(self.responses) - 1)]
        self.requested.append(request.url)
        if isinstance(response, Exception):
            raise response
        return response if isinstance(response, httpx.Response) else response()


def transport(publisher: Publisher, **secrets: str) -> HttpTransport:
    return HttpTransport(lambda: NOW, secrets, httpx.Client(transport=httpx.MockTransport(publisher)))


def test_attempts_are_written_to_the_log_only(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """The output of a command may be JSON, and the text of an error may contain a key."""
    secret = httpx.ConnectError(f"cannot reach https://publisher.example/?securityToken={KEY}")
    with caplog.at_level(logging.DEBUG):
        transport(Publisher(secret, httpx.Response(200)), ENTSOE_API_TOKEN=KEY).fetch(KEYED)
    assert "entsoe A44.xml: retry, attempt 2 of 4" in caplog.text
    assert KEY not in caplog.text
    assert capsys.readouterr() == ("", "")


def status(code: int, **headers: str) -> Callable[[], httpx.Response]:
    return lambda: httpx.Response(code, headers=headers)


def test_a_response_is_an_unchanged_payload() -> None:
    publisher = Publisher(httpx.Response(200, content=b"a\r\n\xff"))
    [payload] = transport(publisher).fetch(PLAIN)
    assert (payload.request, payload.body, payload.captured_at) == (PLAIN, b"a\r\n\xff", NOW)
    assert publisher.requested == [httpx.URL(PLAIN.url)]


@pytest.mark.parametrize(
    "trouble",
    [status(408), status(425), status(500), status(504), httpx.ReadTimeout("slow"), httpx.ConnectError("no route")],
)
def test_transient_faults_are_tried_three_times(trouble: Callable[[], httpx.Response] | Exception) -> None:
    assert len(transport(Publisher(trouble, trouble, httpx.Response(200))).fetch(PLAIN)) == 1
    publisher = Publisher(trouble)
    with pytest.raises(SourceError, match=r"fred SOFR\.csv: .*expected a response with status 200"):
        transport(publisher).fetch(PLAIN)
    assert len(publisher.requested) == 3


def test_a_throttling_message_is_no_response(tmp_path: Path) -> None:
    """Comtrade sends it with status 200; every process respects the pause."""
    request = Request("comtrade", "canada.json", "https://publisher.example/C/M/HS")
    throttled = b'{"statusCode": 429, "message": "Rate limit is exceeded. Try again in 1 seconds."}'
    slept: list[float] = []
    limiter = RateLimiter(tmp_path, lambda: 1_000.0 + sum(slept), slept.append)
    responses = Publisher(*[httpx.Response(200, content=throttled)] * 2, httpx.Response(200, content=b'{"data": []}'))
    client = httpx.Client(transport=httpx.MockTransport(responses))
    [payload] = HttpTransport(lambda: NOW, {}, client, rate_limiter=limiter).fetch(request)
    assert payload.body == b'{"data": []}'
    assert sum(slept) >= 5 + 10, "the pause of the source, doubled"
    # The same text of another publisher is a response.
    assert transport(Publisher(httpx.Response(200, content=throttled))).fetch(PLAIN)[0].body == throttled


@pytest.mark.parametrize("code", [400, 403, 404, 412, 304, 204])
def test_permanent_faults_are_requested_once(code: int) -> None:
    publisher = Publisher(status(code))
    with pytest.raises(SourceError, match=f"status {code}"):
        transport(publisher).fetch(PLAIN)
    assert len(publisher.requested) == 1


class Clock:
    """A clock that advances only by what is slept."""

    def __init__(self) -> None:
        self.now = NOW.timestamp()
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def limiter(self, folder: Path) -> RateLimiter:
        return RateLimiter(folder, lambda: self.now, self.sleep)


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"retry-after": "17"}, 17),
        ({"retry-after": "Sun, 01 Feb 2026 12:00:42 GMT"}, 42),
        ({"retry-after": "Sun, 01 Feb 2026 09:00:42 GMT", "date": "Sun, 01 Feb 2026 09:00:02 GMT"}, 40),
        ({"retry-after": "Sun, 01 Feb 2026 11:00:00 GMT"}, 0),
        ({"retry-after": "soon"}, 60),  # without Retry-After: the source's own pause
        ({}, 60),
    ],
)
def test_retry_after_is_respected(tmp_path: Path, headers: dict[str, str], wait: float) -> None:
    clock = Clock()
    http_transport = transport(Publisher(status(429, **headers), httpx.Response(200, content=b"x")))
    http_transport.rate_limiter = clock.limiter(tmp_path)
    assert http_transport.fetch(PLAIN)[0].body == b"x"
    # FRED's two requests a second have their interval too.
    assert sum(clock.slept) == pytest.approx(max(wait, 0.5))


def test_each_429_without_a_time_doubles_the_pause_up_to_the_limit(tmp_path: Path) -> None:
    clock, publisher = Clock(), Publisher(status(429))
    http_transport = transport(publisher)
    http_transport.rate_limiter = clock.limiter(tmp_path)
    message = r"the publisher accepts no requests until 2026-02-01T12:07:00Z; expected a run after that time"
    with pytest.raises(SourceError, match=rf"^fred SOFR\.csv: {message}$"):
        http_transport.fetch(PLAIN)
    assert clock.slept == pytest.approx([60, 120])
    assert len(publisher.requested) == 3


@pytest.mark.parametrize("shares_files", [False, True])
def test_after_a_long_retry_after_the_run_makes_no_request(tmp_path: Path, shares_files: bool) -> None:
    clock, publisher = Clock(), Publisher(status(503, **{"retry-after": "3600"}), httpx.Response(200, content=b"x"))
    http_transport, other = transport(publisher), transport(publisher)
    http_transport.rate_limiter = clock.limiter(tmp_path)
    if shares_files:
        other.rate_limiter = clock.limiter(tmp_path)
    texts = []
    for who, name in ((http_transport, "SOFR.csv"), (http_transport, "other.csv"), (other, "third.csv")):
        try:
            who.fetch(Request("fred", name, PLAIN.url))
        except SourceError as error:
            texts.append(error.problem)
    assert texts == ["the publisher accepts no requests until 2026-02-01T13:00:00Z"] * (3 if shares_files else 2)
    assert len(publisher.requested) == (1 if shares_files else 2)
    assert clock.slept == []
    assert http_transport.fetch(Request("nyfed", "x", PLAIN.url)), "another publisher is requested"
    clock.now += 3601
    assert http_transport.fetch(PLAIN), "and this one after its pause"


@pytest.mark.parametrize(
    "trouble",
    [
        httpx.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED] self-signed"),
        status(200, **{"content-encoding": "br"}),
        status(200, **{"content-encoding": "gzip, gzip"}),
        lambda: httpx.Response(200, headers={"content-encoding": "gzip"}, content=iter([b"no gzip at all"])),
        lambda: httpx.Response(200, headers={"content-encoding": "gzip"}, content=iter([gzip.compress(b"x") + b"y"])),
    ],
)
def test_faults_that_a_retry_would_repeat_are_requested_once(trouble: Callable[[], httpx.Response]) -> None:
    publisher = Publisher(trouble)
    with pytest.raises(SourceError, match=r"^fred SOFR\.csv: "):
        transport(publisher).fetch(PLAIN)
    assert len(publisher.requested) == 1


def test_a_truncated_gzip_is_requested_again_and_a_whole_one_is_unpacked() -> None:
    packed, headers = gzip.compress(b"0123456789" * 1000), {"content-encoding": "gzip"}
    cut = httpx.Response(200, headers=headers, content=iter([packed[:-9]]))
    pieces = httpx.Response(200, headers=headers, content=iter([packed[:7], packed[7:30], packed[30:]]))
    publisher = Publisher(cut, pieces)
    assert transport(publisher).fetch(PLAIN)[0].body == b"0123456789" * 1000
    assert len(publisher.requested) == 2


def test_redirects_stay_on_the_host_and_on_https() -> None:
    publisher = Publisher(status(302, location="/moved?x=1"), httpx.Response(200, content=b"x"))
    assert transport(publisher).fetch(PLAIN)[0].body == b"x"
    assert publisher.requested[1] == httpx.URL("https://publisher.example/moved?x=1")
    for elsewhere in ("https://other.example/", "http://publisher.example/", "file:///etc/passwd"):
        publisher = Publisher(status(302, location=elsewhere))
        with pytest.raises(SourceError, match=r"redirected to .*expected the same host"):
            transport(publisher).fetch(PLAIN)
        assert len(publisher.requested) == 1
    with pytest.raises(SourceError, match="more than 5 redirects"):
        transport(Publisher(status(302, location="/again"))).fetch(PLAIN)


@pytest.mark.parametrize(
    ("location", "followed"),
    [
        ("https://www.worldbank.org/x", True),
        ("https://user:word@www.worldbank.org/x", False),
        ("https://www.worldbank.org:8443/x", False),
        ("https://www.worldbank.org.example/x", False),
        ("http://www.worldbank.org/x", False),
        ("//elsewhere.example/x", False),
    ],
)
def test_redirects_may_go_to_other_hosts_of_the_publisher(location: str, followed: bool) -> None:
    page = Request("worldbank", "sheet.xlsx", "https://thedocs.worldbank.org/sheet.xlsx#it")
    publisher = Publisher(status(302, location=location), httpx.Response(200, content=b"x"))
    http_transport = transport(publisher)
    if followed:
        assert http_transport._fetch_url(page, page.url, None).body == b"x"
    else:
        with pytest.raises(
            SourceError, match=r"redirected to .*expected the same host or www\.worldbank\.org"
        ) as error:
            http_transport._fetch_url(page, page.url, None)
        assert "word" not in str(error.value).replace("worldbank", "")
    assert len(publisher.requested) == (2 if followed else 1)


def test_a_redirect_takes_no_key_to_another_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """This includes other hosts of the same publisher."""
    monkeypatch.setattr(SOURCES["entsoe"], "ACCESS", Access(("publisher.example", "cdn.example")), raising=False)
    publisher = Publisher(status(302, location=f"https://cdn.example/?securityToken={quote(KEY)}"))
    with pytest.raises(
        SourceError, match=r"redirected to https://cdn\.example; expected the same host, https"
    ) as error:
        transport(publisher, ENTSOE_API_TOKEN=KEY).fetch(KEYED)
    assert "s3cret" not in str(error.value)
    assert len(publisher.requested) == 1


def test_plain_http_is_only_for_a_publisher_without_https() -> None:
    publisher = Publisher(httpx.Response(200, content=b"x"))
    with pytest.raises(SourceError, match="the URL uses http"):
        transport(publisher).fetch(Request("fred", "x", "http://fred.stlouisfed.org/"))
    assert publisher.requested == []
    page, http_transport = Request("customs", "x", "http://english.customs.gov.cn/x"), transport(publisher)
    assert http_transport._fetch_url(page, page.url, None).body == b"x"
    publisher = Publisher(status(302, location="https://english.customs.gov.cn/x"), status(302, location=page.url))
    with pytest.raises(SourceError, match="redirected to http://english"):
        transport(publisher)._fetch_url(page, page.url, None)
    assert [url.scheme for url in publisher.requested] == ["http", "https"], "up to HTTPS, and not down again"


@pytest.mark.parametrize("headers", [{}, {"content-encoding": "gzip"}])
def test_the_size_of_a_response_is_limited_after_unpacking_too(
    monkeypatch: pytest.MonkeyPatch, headers: dict[str, str]
) -> None:
    monkeypatch.setattr(http, "MAX_BODY", 1024**2)
    body = b"\0" * (1024**2 + 1)
    content = gzip.compress(body) if headers else body
    with pytest.raises(SourceError, match="the response exceeds 1 MiB"):
        transport(Publisher(httpx.Response(200, content=content, headers=headers))).fetch(PLAIN)
    exact = httpx.Response(200, content=body[1:])
    assert len(transport(Publisher(exact)).fetch(PLAIN)[0].body) == 1024**2


def test_a_key_goes_into_the_query_and_nowhere_else(caplog: pytest.LogCaptureFixture) -> None:
    publisher = Publisher(httpx.Response(200, content=b"x"))
    with caplog.at_level(logging.DEBUG):
        [payload] = transport(publisher, ENTSOE_API_TOKEN=KEY).fetch(KEYED)
    assert dict(publisher.requested[0].params) == {"a": "1", "securityToken": KEY}
    for text in (repr(payload), str(payload.request.url), caplog.text):
        assert "s3cret" not in text


@pytest.mark.parametrize("key", [KEY, "plain"])
def test_a_key_in_an_error_is_masked(key: str, caplog: pytest.LogCaptureFixture) -> None:
    requested = httpx.URL(KEYED.url).copy_merge_params({"securityToken": key})
    publisher = Publisher(httpx.ConnectError(f"cannot reach {requested} with {key}"))
    with caplog.at_level(logging.DEBUG), pytest.raises(SourceError) as error:
        transport(publisher, ENTSOE_API_TOKEN=key).fetch(KEYED)
    assert "cannot reach https://publisher.example/api?a=1&securityToken=*** with ***" in str(error.value)
    assert error.value.__suppress_context__
    assert error.value.__cause__ is None


def test_a_missing_key_is_reported_and_no_request_is_made() -> None:
    publisher = Publisher(httpx.Response(200))
    with pytest.raises(NoData, match=r"entsoe A44\.xml: needs ENTSOE_API_TOKEN"):
        transport(publisher).fetch(KEYED)
    assert publisher.requested == []


def test_a_404_of_a_weekly_file_is_no_data() -> None:
    """Only for a publisher of weekly files; for others a 404 is an error."""
    week = Request("smard", "4169_DE-LU_hour_1708902000000.json", "https://publisher.example/week.json")
    publisher = Publisher(status(404))
    with pytest.raises(NoData, match=r"smard 4169_DE-LU_hour_1708902000000\.json: status 404"):
        transport(publisher).fetch(week)
    assert len(publisher.requested) == 1
    with pytest.raises(SourceError, match="status 404"):
        transport(publisher).fetch(PLAIN)
    with pytest.raises(SourceError, match="status 403"):
        transport(Publisher(status(403))).fetch(week)


def test_the_user_agent_names_the_program_and_a_contact() -> None:
    agents = []

    def response(request: httpx.Request) -> httpx.Response:
        agents.append(request.headers["user-agent"])
        return httpx.Response(200)

    client = httpx.Client(transport=httpx.MockTransport(response))
    HttpTransport(lambda: NOW, {}, client).fetch(PLAIN)
    HttpTransport(lambda: NOW, {}, client, contact="desk@example.org").fetch(PLAIN)
    assert agents[0].startswith("metal-tightness/0.")
    assert agents[1] == f"{agents[0]} (+desk@example.org)"


def test_a_long_download_logs_its_progress_and_a_short_one_does_not(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def response() -> httpx.Response:
        return httpx.Response(200, headers={"content-length": "3000000"}, content=iter([b"x" * 1_000_000] * 3))

    with caplog.at_level(logging.INFO, http.__name__):
        transport(Publisher(response)).fetch(PLAIN)
        assert caplog.messages == []
        monkeypatch.setattr(http, "PROGRESS_S", 0.0)
        transport(Publisher(response), ENTSOE_API_TOKEN=KEY).fetch(KEYED)
    assert caplog.messages == [f"entsoe A44.xml: {n}.0 of 3.0 MB" for n in (1, 2, 3)]


# --- the publisher's reason in an error response

ACKNOWLEDGEMENT = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<Acknowledgement_MarketDocument '
    'xmlns="urn:iec62325.351:tc57wg16:451-1:acknowledgementdocument:7:0">\n<mRID>0f1b4861-0c96-4</mRID>\n'
    "<Reason>\n<code>999</code>\n<text>{}</text>\n</Reason>\n</Acknowledgement_MarketDocument>"
)
INVALID_AREA = "Delivered Area EIC 10Y1001A1001A016 is not valid."
NO_MATCH = "No matching data found for Data item ENERGY_PRICES [12.1.D] (10YFR-RTE------C) and interval 2015-01-01/P1D."


def problem_of(response: httpx.Response, request: Request = PLAIN, key: str = KEY) -> str:
    with pytest.raises(SourceError) as error:
        transport(Publisher(lambda: response), ENTSOE_API_TOKEN=key).fetch(request)
    return error.value.problem


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (ACKNOWLEDGEMENT.format(INVALID_AREA), INVALID_AREA),
        ('{"detail":"Not Found"}', "Not Found"),
        ('{"detail":[{"loc":["query","start"],"msg":"invalid date"}]}', "query: start: invalid date"),
        ('{"statusCode": 403, "message": "Out of call volume quota."}', "Out of call volume quota."),
        (
            '{"chart":{"result":null,"error":{"code":"Bad Request","description":"Bad range"}}}',
            "Bad Request: Bad range",
        ),
        ('{"timestamp":"2025-03-03","status":404,"error":"Not Found","path":"/service/data/FM"}', "Not Found"),
        ('"only a text"', '"only a text"'),
        ('{"error":"invalid_request","error_description":"no such zone"}', "invalid_request: no such zone"),
        ("<Reason><text><![CDATA[a < b & c]]></text></Reason>", "a < b & c"),
        ("<Error><Code>NoSuchKey</Code><Message>The key does not exist.</Message></Error>", "The key does not exist."),
        (
            "<html><head><title>403 Forbidden</title></head><body><h1>No</h1><script>x()</script></body></html>",
            "403 Forbidden",
        ),
        (
            "<!DOCTYPE html><html><style>p {}</style><body><p>Down for\n maintenance &amp; back</p>",
            "Down for maintenance & back",
        ),
        ("  Service\n\tnot available \x1b[31m", "Service not available \\x1b[31m"),
        ("{broken", "{broken"),
        ("", ""),
        ("\0\x01\x02", ""),
    ],
)
@pytest.mark.parametrize("code", [400, 503])
def test_the_reason_of_the_publisher_is_quoted(body: str, reason: str, code: int) -> None:
    attempts = " in 4 attempts" if code == 503 else ""
    quoted = f": {reason}" if reason else ""
    assert problem_of(httpx.Response(code, content=body.encode())) == f"status {code}{attempts}{quoted}"


def test_a_packed_reason_is_unpacked_and_one_in_another_charset_is_read() -> None:
    packed = gzip.compress(b'{"message": "quota"}')
    assert problem_of(httpx.Response(400, headers={"content-encoding": "gzip"}, content=iter([packed]))) == (
        "status 400: quota"
    )
    damaged = httpx.Response(400, headers={"content-encoding": "gzip"}, content=iter([b"no gzip"]))
    assert problem_of(damaged) == "status 400"
    chinese = httpx.Response(412, headers={"content-type": "text/html; charset=gbk"}, content="拒绝".encode("gbk"))
    assert problem_of(chinese) == "status 412: 拒绝"
    unknown = httpx.Response(412, headers={"content-type": "text/html; charset=none-such"}, content=b"no")
    assert problem_of(unknown) == "status 412: no"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "latin-1"])
def test_a_reason_without_a_stated_charset_is_read(encoding: str) -> None:
    mark = {"utf-16-le": "\ufeff", "utf-16-be": "\ufeff"}.get(encoding, "")
    body = (mark + '{"detail": "ungültig: Zähler für öl"}').encode(encoding)
    assert problem_of(httpx.Response(400, content=body)) == "status 400: ungültig: Zähler für öl"


@pytest.mark.parametrize("body", [gzip.compress(b"a text " * 40, mtime=0), bytes(range(256)) * 4])
def test_a_body_that_is_no_text_is_not_quoted(body: bytes) -> None:
    assert problem_of(httpx.Response(400, content=body)) == "status 400"


def test_a_reason_is_read_and_quoted_in_part() -> None:
    sent: list[int] = []

    def endless() -> Iterator[bytes]:
        while True:
            sent.append(1024)
            yield b"word " * 200 + b" " * 24

    problem = problem_of(httpx.Response(400, content=endless()))
    assert problem.startswith("status 400: word word ")
    assert len(problem) < 350
    assert sum(sent) <= http.MAX_ERROR_BODY


@pytest.mark.parametrize("code", [400, 401, 403, 429, 500])
@pytest.mark.parametrize(
    "echo",
    [
        "no such token: {key}",
        "https://publisher.example/api?securityToken={quoted}&a=1",
        "https://publisher.example/api?a=1&securityToken%3D{twice}",
        '{{"message": "{escaped} is no token"}}',
        ACKNOWLEDGEMENT.replace("{}", "{key} is unknown"),
        "x" * 291 + " {key}",  # the quotation would end inside the key
        "GET /api?securityToken={part}",
        "<html><title>{entities}</title></html>",
        "no such token: {lower} {upper}",
    ],
)
def test_a_reason_never_shows_the_key(code: int, echo: str, caplog: pytest.LogCaptureFixture) -> None:
    spellings = {
        "key": KEY,
        "quoted": quote(KEY, safe=""),
        "twice": quote(quote(KEY, safe=""), safe=""),
        "escaped": KEY.replace("/", "\\/"),
        "part": KEY[:7],
        "entities": KEY.replace("+", "&#43;"),
        "lower": quote(KEY, safe="").lower(),
        "upper": KEY.upper(),
    }
    with caplog.at_level(logging.DEBUG):
        problem = problem_of(httpx.Response(code, content=echo.format(**spellings).encode()), KEYED)
    assert "s3cret" not in (problem + caplog.text).lower()
    assert str(code) in problem or code == 429


@pytest.mark.parametrize("code", [400, 401])
def test_a_refusal_of_entsoe_is_quoted_whatever_its_status(code: int) -> None:
    body = ACKNOWLEDGEMENT.format(INVALID_AREA).encode()
    assert problem_of(httpx.Response(code, content=body), KEYED) == f"status {code}: {INVALID_AREA}"


@pytest.mark.parametrize("code", [400, 404, 503])
def test_no_matching_data_is_no_data_whatever_its_status(code: int) -> None:
    body = ACKNOWLEDGEMENT.format(f"{NO_MATCH} ({KEY})").encode()
    publisher = Publisher(lambda: httpx.Response(code, content=body))
    with pytest.raises(NoData, match=rf"^entsoe A44\.xml: status {code}: No matching data found .*\(\*\*\*\)$"):
        transport(publisher, ENTSOE_API_TOKEN=KEY).fetch(KEYED)
    assert len(publisher.requested) == 1
    # The same words of another publisher are an error.
    assert f"status {code}" in problem_of(httpx.Response(code, content=body))


def test_throttling_inside_an_error_response_pauses_the_publisher(tmp_path: Path) -> None:
    clock, body = Clock(), ACKNOWLEDGEMENT.format("Too many requests from this address.").encode()
    http_transport = transport(Publisher(lambda: httpx.Response(400, content=body)), ENTSOE_API_TOKEN=KEY)
    http_transport.rate_limiter = clock.limiter(tmp_path)
    message = r"no requests until 2026-02-01T12:10:00Z: Too many requests from this address\.; expected"
    with pytest.raises(SourceError, match=message):
        http_transport.fetch(KEYED)


# --- conditional requests


class Versioned:
    """A publisher whose page has a version; it records the validators that it receives."""

    def __init__(self, body: bytes, etag: str) -> None:
        self.body, self.etag = body, etag
        self.sent: list[str | None] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.sent.append(request.headers.get("if-none-match"))
        if self.sent[-1] == self.etag:
            return httpx.Response(304, headers={"etag": self.etag})
        return httpx.Response(200, content=self.body, headers={"etag": self.etag, "last-modified": "yesterday"})


def test_an_unchanged_response_is_not_sent_again(tmp_path: Path) -> None:
    archive, publisher = Archive(tmp_path), Versioned(b"one", '"v1"')

    def fetch(url: str = PLAIN.url, later: int = 0) -> Payload:
        now = NOW + timedelta(days=later)
        client = httpx.Client(transport=httpx.MockTransport(publisher))
        request = Request(PLAIN.source, PLAIN.name, url)
        [payload] = HttpTransport(lambda: now, {}, client, archive).fetch(request)
        archive.record(request, [payload], answered_at=now)
        return payload

    assert fetch().captured_at == NOW
    again = fetch(later=1)
    assert (again.body, again.captured_at) == (b"one", NOW), "the archived response, with its first time"
    receipt = archive.receipt("fred", PLAIN.name)
    assert receipt and len(receipt.captures) == 1
    assert receipt.answered_at == "2026-02-02T12:00:00.000000+00:00", "the run continues as after a response"
    publisher.body, publisher.etag = b"two", '"v2"'
    assert fetch(later=2).body == b"two"
    assert fetch(PLAIN.url + "&other", later=3).body == b"two"
    assert fetch(PLAIN.url + "&other", later=4).body == b"two"
    assert publisher.sent == [None, '"v1"', '"v1"', None, '"v2"'], "another request has no validator"
    [damaged] = [path for path in tmp_path.glob("fred/??/*") if path.read_bytes() == b"two"]
    damaged.write_bytes(b"???")
    assert fetch(PLAIN.url + "&other", later=5).body == b"two"
    assert publisher.sent[-1] is None, "a damaged payload is requested whole"


def test_a_304_to_an_unconditional_request_is_an_error(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    archive.record(PLAIN, [Payload(PLAIN, b"one", NOW)])
    http_transport = transport(Publisher(status(304)))
    http_transport.archive = archive
    with pytest.raises(SourceError, match="status 304"):
        http_transport.fetch(PLAIN)


def test_a_validator_is_no_part_of_a_response_and_invalid_ones_are_not_stored(tmp_path: Path) -> None:
    response = httpx.Response(200, content=b"x", headers=[(b"etag", b'"\xe9"'), (b"last-modified", b"x" * 300)])
    [payload] = transport(Publisher(response)).fetch(PLAIN)
    assert (payload.etag, payload.last_modified) == ("", "")
    named = Payload(PLAIN, b"x", NOW, '"v1"', "now", "https://publisher.example/")
    assert (payload, hash(payload)) == (named, hash(named))
    archive = Archive(tmp_path)
    archive.record(PLAIN, [payload])
    written = json.loads((tmp_path / "fred" / "receipts.jsonl").read_text())
    assert set(written["captures"][0]) == {"sha256", "captured_at", "bytes"}, "and as older receipts"
    [held] = archive.load(PLAIN)
    assert held.etag == ""


# --- responses that a page links to

SCOPE = load_reference(PROJECT / "data" / "reference").scope(())
[SHEET] = SOURCES["worldbank"].requests(pd.Period("2024-05", "M"), SCOPE)
[TABLE] = SOURCES["customs"].requests(pd.Period("2024-05", "M"), SCOPE)
CURRENT = "https://thedocs.worldbank.org/en/doc/new-hash/related/CMO-Historical-Data-Monthly.xlsx"


class Site:
    """A publisher's pages by address; others are 404."""

    def __init__(self, pages: dict[str, bytes]) -> None:
        self.pages = pages
        self.requested: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requested.append(str(request.url))
        body = self.pages.get(str(request.url).split("#")[0])
        return httpx.Response(404) if body is None else httpx.Response(200, content=body)

    def http_transport(self, archive: Archive | None = None) -> HttpTransport:
        return HttpTransport(lambda: NOW, {}, httpx.Client(transport=httpx.MockTransport(self)), archive)


LANDING = "https://www.worldbank.org/en/research/commodity-markets"


def test_the_workbook_is_requested_at_the_address_on_the_page(tmp_path: Path) -> None:
    site, archive = Site({LANDING: f'<a href="{CURRENT}">monthly</a>'.encode(), CURRENT: b"new"}), Archive(tmp_path)
    http_transport = site.http_transport(archive)
    [payload] = http_transport.fetch(SHEET)
    assert (payload.body, payload.address, payload.request.url) == (b"new", CURRENT, SHEET.url)
    http_transport.fetch(SHEET)
    assert site.requested.count(LANDING) == 1, "a listing is requested once a run"
    archive.record(SHEET, [payload], answered_at=NOW)
    receipt = archive.receipt("worldbank", SHEET.name)
    assert receipt and receipt.request["url"] == SHEET.url
    assert receipt.captures[-1].address == CURRENT


@pytest.mark.parametrize(
    "landing",
    [
        None,
        b"<html>Just a moment...</html>",
        b'<a href="https://elsewhere.example/CMO-Historical-Data-Monthly.xlsx">',
        b'<a href="http://thedocs.worldbank.org/x/CMO-Historical-Data-Monthly.xlsx">',
        b'<a href="https://a:b@thedocs.worldbank.org/x/CMO-Historical-Data-Monthly.xlsx">',
        b'<a href="https://thedocs.worldbank.org/gone/CMO-Historical-Data-Monthly.xlsx">',
        b'<a href="https://[::1/CMO-Historical-Data-Monthly.xlsx">',
    ],
)
def test_without_a_usable_link_the_last_good_address_is_requested(
    tmp_path: Path, landing: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    pages = {CURRENT: b"last year's", SHEET.url: b"the module's"} | ({LANDING: landing} if landing else {})
    archive = Archive(tmp_path)
    assert Site(pages).http_transport(archive).fetch(SHEET)[0].body == b"the module's", "there was no response before"
    assert "trying the last known URL" in caplog.text
    archive.record(SHEET, [Payload(SHEET, b"last year's", NOW, address=CURRENT)])
    site = Site(pages)
    assert site.http_transport(archive).fetch(SHEET)[0].body == b"last year's"
    assert all("elsewhere" not in url and "@" not in url and url.startswith("https") for url in site.requested)
    with pytest.raises(SourceError, match=r"worldbank CMO-Historical-Data-Monthly\.xlsx: status 404"):
        Site({}).http_transport(archive).fetch(SHEET)


def test_a_validator_belongs_to_one_address(tmp_path: Path) -> None:
    """The version of the old address is not that of the new one."""
    archive = Archive(tmp_path)
    archive.record(SHEET, [Payload(SHEET, b"old", NOW, etag='"v1"', address="https://thedocs.worldbank.org/old")])
    requested: list[tuple[str, str | None]] = []

    def response(request: httpx.Request) -> httpx.Response:
        requested.append((str(request.url), request.headers.get("if-none-match")))
        return httpx.Response(200, content=f'<a href="{CURRENT}">'.encode())

    client = httpx.Client(transport=httpx.MockTransport(response))
    HttpTransport(lambda: NOW, {}, client, archive).fetch(SHEET)
    archive.record(SHEET, [Payload(SHEET, b"new", NOW + timedelta(1), etag='"v2"', address=CURRENT)])
    HttpTransport(lambda: NOW, {}, client, archive).fetch(SHEET)
    assert requested == [(LANDING, None), (CURRENT, None), (LANDING, None), (CURRENT, '"v2"')]


REPORTS = "http://english.customs.gov.cn/statics/report/monthly"
# Written by hand after the description of the index; no recording of it exists.
ROW = "<tr><td>(13) Major Export Commodities</td><td><a href='/Statics/{id}.html'>May</a></td></tr>"


@pytest.mark.parametrize("year", ["2024", ""])
def test_the_table_of_a_month_is_requested_at_the_address_on_the_index(year: str) -> None:
    """The current year's index may not have its number yet."""
    link = "http://english.customs.gov.cn/Statics/abc.html"
    site = Site({f"{REPORTS}{year}.html": ROW.format(id="abc").encode(), link: b"table"})
    [payload] = site.http_transport().fetch(TABLE)
    assert (payload.body, payload.address) == (b"table", link)


def test_a_month_that_is_not_linked_has_no_data_and_another_page_is_an_error() -> None:
    with pytest.raises(NoData, match=r"customs table13_2024-05\.html: not linked yet on .*monthly2024\.html"):
        Site({f"{REPORTS}2024.html": ROW.replace("May", "April").encode()}).http_transport().fetch(TABLE)
    site = Site({f"{REPORTS}2024.html": b"<html>Just a moment...</html>", f"{REPORTS}.html": b"<p></p>"})
    with pytest.raises(SourceError, match=r"customs table13_2024-05\.html: no table \(13\) on"):
        site.http_transport().fetch(TABLE)
    assert f"{REPORTS}2024.html#table13-05" not in site.requested, "the index is no response"
    with pytest.raises(SourceError, match=r"monthly\.html: status 404"):
        Site({}).http_transport().fetch(TABLE)
