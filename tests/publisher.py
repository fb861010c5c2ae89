"""A publisher on this machine that can be told to misbehave, over real sockets.

`Publisher.client()` leads every host to it, so that a transport asks production addresses by production rules.
"""

from __future__ import annotations

import gzip
import re
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

import httpx

BOT_WALL = b"<!DOCTYPE html><html><head><title>Just a moment...</title></head><body>Checking your browser</body></html>"
PATIENCE_S = 10.0  # how long a stalled or endless answer goes on when nobody hangs up
KEY = re.compile(r"[?&]securityToken=[^&]*")

Play = Callable[["Handler", bytes], None]  # what is done instead of sending this good answer


class Handler(BaseHTTPRequestHandler):
    """One connection. `server.publisher` says what to do."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        try:
            self.server.publisher.answer(self)  # type: ignore[attr-defined]
        except OSError:  # the other side hung up
            self.close_connection = True

    def log_message(self, *args: object) -> None:
        pass

    def send(self, status: int, body: bytes = b"", **headers: str) -> None:
        """A whole answer; `headers` with underscores for hyphens. A length that is given is sent as it is."""
        self.start(status, **{"content_length": str(len(body)), **headers})
        self.wfile.write(body)

    def start(self, status: int, **headers: str) -> None:
        """The head of an answer."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def hang_up(self) -> None:
        """Ends the connection after what was sent."""
        self.close_connection = True

    def reset(self) -> None:
        """Ends the connection as a crash does: without a farewell."""
        self.wfile.flush()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def wait(self, seconds: float) -> None:
        """Waits, but not longer than the server lives."""
        self.server.publisher.closing.wait(seconds)  # type: ignore[attr-defined]


def status(code: int, **headers: str) -> Play:
    return lambda handler, good: handler.send(code, b"sorry", **headers)


def says(body: bytes | Callable[[bytes], bytes], **headers: str) -> Play:
    """Another body with status 200: these bytes, or what is made of the good ones."""
    return lambda handler, good: handler.send(200, body if isinstance(body, bytes) else body(good), **headers)


def reset(handler: Handler, good: bytes) -> None:
    handler.start(200, content_length=str(len(good)))
    handler.wfile.write(good[: len(good) // 2])
    handler.reset()


def reset_at_once(handler: Handler, good: bytes) -> None:
    handler.reset()


def stall(handler: Handler, good: bytes) -> None:
    handler.wait(PATIENCE_S)
    handler.hang_up()


def stall_in_the_body(handler: Handler, good: bytes) -> None:
    handler.start(200, content_length=str(len(good)))
    handler.wfile.write(good[: len(good) // 2])
    stall(handler, good)


def trickle(handler: Handler, good: bytes) -> None:
    handler.start(200, content_length=str(10**6))
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        handler.wfile.write(b"x")
        handler.wait(0.01)


def cut(handler: Handler, good: bytes) -> None:
    handler.send(200, good[: len(good) // 2], content_length=str(len(good)))
    handler.hang_up()


def cut_in_chunks(handler: Handler, good: bytes) -> None:
    handler.start(200, transfer_encoding="chunked")
    handler.wfile.write(b"%x\r\n" % len(good) + good[: len(good) // 2])
    handler.hang_up()


def cut_gzip(handler: Handler, good: bytes) -> None:
    """The length is that of what is sent: only the gzip stream knows that its end is missing."""
    packed = gzip.compress(good)
    handler.send(200, packed[: len(packed) // 2], content_encoding="gzip")


def endless(handler: Handler, good: bytes) -> None:
    handler.start(200, transfer_encoding="chunked")
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        handler.wfile.write(b"10000\r\n" + b"\0" * 0x10000 + b"\r\n")


def bomb(megabytes: int) -> Play:
    """A small answer that unpacks to so much."""
    return says(gzip.compress(b"\0" * megabytes * 1024**2), content_encoding="gzip")


class _Rerouted(httpx.BaseTransport):
    """Brings requests to any host to a port of this machine; what is asked, and of whom, stays as it was."""

    def __init__(self, port: int) -> None:
        self._here = httpx.HTTPTransport(trust_env=False, verify=False)  # plain, so nothing is verified
        self._port = port

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url.copy_with(scheme="http", host="127.0.0.1", port=self._port)
        headers = [
            *((k, v) for k, v in request.headers.raw if k.lower() != b"host"),
            (b"Host", request.url.host.encode()),
        ]
        return self._here.handle_request(
            httpx.Request(request.method, url, headers=headers, stream=request.stream, extensions=request.extensions)
        )

    def close(self) -> None:
        self._here.close()


class Publisher:
    """Serves `good` answers by address (without keys); before each one it first plays `trouble`, in turn.

    With `forever` the last trouble is repeated and the good answer never comes. `pages` have no trouble.
    """

    def __init__(
        self,
        good: Mapping[str, bytes],
        trouble: Sequence[Play] = (),
        forever: bool = False,
        pages: Mapping[str, bytes] | None = None,
    ) -> None:
        self.good = {_path(url): body for url, body in good.items()}
        self.pages = {_path(url): body for url, body in (pages or {}).items()}
        self.trouble, self.forever = trouble, forever
        self.asked: Counter[str] = Counter()
        self.heads: list[Any] = []
        self.closing = threading.Event()
        self._lock = threading.Lock()

    def __enter__(self) -> Publisher:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.publisher = self  # type: ignore[attr-defined]
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()

    def client(self, timeout: float = 10.0) -> httpx.Client:
        """A client that reaches this publisher wherever it asks. `timeout`: seconds without a byte."""
        return httpx.Client(transport=_Rerouted(self._server.server_address[1]), timeout=timeout, trust_env=False)

    def answer(self, handler: Handler) -> None:
        path = KEY.sub("", handler.path)
        with self._lock:
            number = self.asked[path]
            self.asked[path] += 1
            self.heads.append(handler.headers)
        if path in self.pages:
            handler.send(200, self.pages[path])
        elif path not in self.good:
            handler.send(404)
        elif number < len(self.trouble):
            self.trouble[number](handler, self.good[path])
        elif self.forever:
            self.trouble[-1](handler, self.good[path])
        else:
            handler.send(200, self.good[path])


def _path(url: str) -> str:
    return httpx.URL(url).raw_path.decode("ascii")
