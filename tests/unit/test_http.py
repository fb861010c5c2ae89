"""The HTTP transport against a publisher that is slow, busy, large, evasive or curious about keys."""

from __future__ import annotations

import gzip
import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import httpx
import pytest
import stamina

from pipelines.sources.base import NoData, Request, SourceError
from pipelines.transports import http
from pipelines.transports.http import HttpTransport

NOW = datetime(2026, 2, 1, 12, tzinfo=UTC)
KEY = "s3cret/+key"
PLAIN = Request("fred", "SOFR.csv", "https://publisher.example/data?id=SOFR")
KEYED = Request("entsoe", "A44.xml", "https://publisher.example/api?a=1", secret=("securityToken", "ENTSOE_API_TOKEN"))


@pytest.fixture(autouse=True)
def no_waiting() -> Iterator[None]:
    with stamina.set_testing(True, attempts=3):
        yield


class Publisher:
    """Answers in turn; the last answer is repeated."""

    def __init__(self, *answers: httpx.Response | Exception | Callable[[], httpx.Response]) -> None:
        self.answers = answers
        self.asked: list[httpx.URL] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        answer = self.answers[min(len(self.asked), len(self.answers) - 1)]
        self.asked.append(request.url)
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, httpx.Response) else answer()


def transport(publisher: Publisher, **secrets: str) -> HttpTransport:
    return HttpTransport(lambda: NOW, secrets, httpx.Client(transport=httpx.MockTransport(publisher)))


def status(code: int, **headers: str) -> Callable[[], httpx.Response]:
    return lambda: httpx.Response(code, headers=headers)


def test_an_answer_is_a_payload_as_it_came() -> None:
    publisher = Publisher(httpx.Response(200, content=b"a\r\n\xff"))
    [payload] = transport(publisher).fetch(PLAIN)
    assert (payload.request, payload.body, payload.captured_at) == (PLAIN, b"a\r\n\xff", NOW)
    assert publisher.asked == [httpx.URL(PLAIN.url)]


@pytest.mark.parametrize(
    "trouble", [status(429), status(503), httpx.ReadTimeout("slow"), httpx.ConnectError("no route")]
)
def test_what_may_pass_is_tried_three_times(trouble: Callable[[], httpx.Response] | Exception) -> None:
    assert len(transport(Publisher(trouble, trouble, httpx.Response(200))).fetch(PLAIN)) == 1
    publisher = Publisher(trouble)
    with pytest.raises(SourceError, match=r"fred SOFR\.csv: .*expected an answer with status 200"):
        transport(publisher).fetch(PLAIN)
    assert len(publisher.asked) == 3


@pytest.mark.parametrize("code", [400, 403, 404, 412, 304, 204])
def test_what_will_not_pass_is_asked_once(code: int) -> None:
    publisher = Publisher(status(code))
    with pytest.raises(SourceError, match=f"status {code}"):
        transport(publisher).fetch(PLAIN)
    assert len(publisher.asked) == 1


def test_redirects_stay_on_the_host_and_on_https() -> None:
    publisher = Publisher(status(302, location="/moved?x=1"), httpx.Response(200, content=b"x"))
    assert transport(publisher).fetch(PLAIN)[0].body == b"x"
    assert publisher.asked[1] == httpx.URL("https://publisher.example/moved?x=1")
    for elsewhere in ("https://other.example/", "http://publisher.example/", "file:///etc/passwd"):
        publisher = Publisher(status(302, location=elsewhere))
        with pytest.raises(SourceError, match=r"redirected to .*expected the same host"):
            transport(publisher).fetch(PLAIN)
        assert len(publisher.asked) == 1
    with pytest.raises(SourceError, match="more than 5 redirects"):
        transport(Publisher(status(302, location="/again"))).fetch(PLAIN)


@pytest.mark.parametrize("headers", [{}, {"content-encoding": "gzip"}])
def test_an_answer_is_bounded_also_when_it_unpacks(monkeypatch: pytest.MonkeyPatch, headers: dict[str, str]) -> None:
    monkeypatch.setattr(http, "MAX_BODY", 1024**2)
    body = b"\0" * (1024**2 + 1)
    content = gzip.compress(body) if headers else body
    with pytest.raises(SourceError, match="the answer exceeds 1 MiB"):
        transport(Publisher(httpx.Response(200, content=content, headers=headers))).fetch(PLAIN)
    exact = httpx.Response(200, content=body[1:])
    assert len(transport(Publisher(exact)).fetch(PLAIN)[0].body) == 1024**2


def test_a_key_goes_into_the_query_and_nowhere_else(caplog: pytest.LogCaptureFixture) -> None:
    publisher = Publisher(httpx.Response(200, content=b"x"))
    with caplog.at_level(logging.DEBUG):
        [payload] = transport(publisher, ENTSOE_API_TOKEN=KEY).fetch(KEYED)
    assert dict(publisher.asked[0].params) == {"a": "1", "securityToken": KEY}
    for text in (repr(payload), str(payload.request.url), caplog.text):
        assert "s3cret" not in text


@pytest.mark.parametrize("key", [KEY, "plain"])
def test_a_key_in_an_error_is_blanked(key: str, caplog: pytest.LogCaptureFixture) -> None:
    asked = httpx.URL(KEYED.url).copy_merge_params({"securityToken": key})
    publisher = Publisher(httpx.ConnectError(f"cannot reach {asked} with {key}"))
    with caplog.at_level(logging.DEBUG), pytest.raises(SourceError) as error:
        transport(publisher, ENTSOE_API_TOKEN=key).fetch(KEYED)
    assert "cannot reach https://publisher.example/api?a=1&securityToken=*** with ***" in str(error.value)
    assert error.value.__suppress_context__
    assert error.value.__cause__ is None


def test_a_key_that_is_not_set_is_named_and_nothing_is_asked() -> None:
    publisher = Publisher(httpx.Response(200))
    with pytest.raises(NoData, match=r"entsoe A44\.xml: needs ENTSOE_API_TOKEN"):
        transport(publisher).fetch(KEYED)
    assert publisher.asked == []


def test_a_status_may_say_that_there_is_nothing_yet() -> None:
    """To a publisher of weekly files, and to no other: elsewhere it is an address that has gone."""
    week = Request("smard", "4169_DE-LU_hour_1708902000000.json", "https://publisher.example/week.json")
    publisher = Publisher(status(404))
    with pytest.raises(NoData, match=r"smard 4169_DE-LU_hour_1708902000000\.json: status 404"):
        transport(publisher).fetch(week)
    assert len(publisher.asked) == 1
    with pytest.raises(SourceError, match="status 404"):
        transport(publisher).fetch(PLAIN)
    with pytest.raises(SourceError, match="status 403"):
        transport(Publisher(status(403))).fetch(week)
