"""Delivery of messages to a webhook on this machine: at least once, always with the same key, without secrets."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from pipelines.orchestration.automation.notify import (
    DeliveryError,
    LogSink,
    Message,
    WebhookSink,
)
from pipelines.orchestration.automation.outbox import BUDGET_S, Outbox

pytestmark = pytest.mark.xdist_group("webhook")
TOKEN, PATH = "token-that-is-secret", "/hooks/path-that-is-secret"


@dataclass
class Receiver:
    """A webhook on this machine. It responds with the given statuses in turn, then with 200."""

    port: int
    statuses: list[int] = field(default_factory=list)
    received: list[tuple[dict[str, str], dict[str, Any]]] = field(default_factory=list)

    def sink(self, token: str = "") -> WebhookSink:
        return WebhookSink(f"http://127.0.0.1:{self.port}{PATH}", token, first_wait_s=0.001)

    @property
    def keys(self) -> list[str]:
        return [headers["idempotency-key"] for headers, _ in self.received]


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            known.received.append(({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(known.statuses.pop(0) if known.statuses else 200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        known = Receiver(server.server_address[1])
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield known
        server.shutdown()
        thread.join()


def message(key: str = "k1", at: str = "2026-01-13T18:00:00Z") -> Message:
    return Message(key, at, {"text": f"text of {key}"})


def test_a_webhook_that_fails_twice_gets_the_same_key_three_times(receiver: Receiver) -> None:
    receiver.statuses = [503, 429]
    receiver.sink(TOKEN).send(message())
    assert receiver.keys == ["k1", "k1", "k1"]
    headers, body = receiver.received[-1]
    assert headers["authorization"] == f"Bearer {TOKEN}"
    assert headers["content-type"] == "application/json"
    assert body == {"key": "k1", "text": "text of k1"}


@pytest.mark.parametrize(("status", "times"), [(500, 3), (400, 1), (302, 1)])
def test_a_rejected_message_is_an_error_without_a_secret(
    receiver: Receiver, caplog: pytest.LogCaptureFixture, status: int, times: int
) -> None:
    receiver.statuses = [status] * 3
    caplog.set_level(logging.INFO)
    sink = receiver.sink(TOKEN)
    with pytest.raises(DeliveryError, match=f"status {status}") as raised:
        sink.send(message())
    assert len(receiver.received) == times
    for text in (str(raised.value), repr(sink), caplog.text):
        assert TOKEN not in text
        assert PATH not in text


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/secret-path", "http://no such host/secret-path"])
def test_an_unreachable_webhook_is_an_error_without_a_secret(url: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with pytest.raises(DeliveryError) as raised:
        WebhookSink(url, first_wait_s=0.001, timeout_s=1.0).send(message())
    assert "secret-path" not in str(raised.value) + caplog.text
    assert raised.value.__suppress_context__, "the original error could name the address"


def test_a_message_waits_until_it_is_delivered_and_delays_no_other(tmp_path: Path, receiver: Receiver) -> None:
    outbox, sinks = Outbox(tmp_path / "outbox"), [receiver.sink()]
    for key, at in (("k1", "2026-01-12"), ("k2", "2026-01-13")):
        outbox.put(message(key, at), ["webhook"])
    receiver.statuses = [500, 500, 500]
    first = outbox.deliver(sinks)
    assert (first.sent, first.waiting) == (1, 1)
    assert first.problems == ["webhook did not accept k1: RetryableStatusError: status 500, 3 times"]
    assert receiver.keys == ["k1", "k1", "k1", "k2"]
    second = outbox.deliver(sinks)
    assert (second.sent, second.waiting, second.problems) == (1, 0, [])
    assert receiver.keys[-1] == "k1", "the same key again"
    assert outbox.deliver(sinks).sent == 0
    assert not list(outbox.folder.glob("*.json"))


def test_a_sink_that_has_a_message_gets_it_once_although_another_fails(tmp_path: Path, receiver: Receiver) -> None:
    lines: list[str] = []
    log = logging.getLogger("test.notify")
    log.setLevel(logging.INFO)
    log.addHandler(handler := _Lines(lines))
    outbox = Outbox(tmp_path / "outbox")
    outbox.put(message(), ["log", "webhook"])
    receiver.statuses = [500] * 3
    for _ in range(2):
        outbox.deliver([LogSink(log), receiver.sink()])
    log.removeHandler(handler)
    assert lines == ["text of k1"]
    assert len(receiver.received) == 4


class _Lines(logging.Handler):
    def __init__(self, lines: list[str]) -> None:
        super().__init__()
        self.lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def test_a_message_for_a_disabled_sink_waits_for_it(tmp_path: Path, receiver: Receiver) -> None:
    outbox = Outbox(tmp_path / "outbox")
    outbox.put(message(), ["webhook"])
    off = outbox.deliver([])
    assert (off.sent, off.waiting) == (0, 1)
    assert outbox.deliver([receiver.sink()]).sent == 1


def test_a_delivery_ends_within_its_budget_and_the_next_one_continues(tmp_path: Path, receiver: Receiver) -> None:
    outbox = Outbox(tmp_path / "outbox")
    for number in range(3):
        outbox.put(message(f"k{number}"), ["webhook"])
    moments = iter([0.0, 1.0, BUDGET_S + 1])
    assert outbox.deliver([receiver.sink()], clock=lambda: next(moments)).waiting == 2
    assert outbox.deliver([receiver.sink()]).waiting == 0


def test_a_message_that_is_put_twice_is_delivered_once(tmp_path: Path, receiver: Receiver) -> None:
    outbox = Outbox(tmp_path / "outbox")
    for _ in range(2):
        outbox.put(message(), ["webhook"])
    assert outbox.deliver([receiver.sink()]).sent == 1
