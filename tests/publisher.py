"""An HTTP server on this machine that can misbehave, over real sockets.

`Publisher.client()` routes every host to it, so that a transport requests production addresses by production rules.
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
MAX_STALL_S = 10.0  # how long a stalled or endless response lasts when the client keeps the connection open
KEY = re.compile(r"[?&]securityToken=[^&]*")

Fault = Callable[["Handler", bytes], None]  # what the server does instead of sending this good body


class Handler(BaseHTTPRequestHandler):
    """One connection. `server.publisher` decides the response."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        try:
            self.server.publisher.response(self)  # type: ignore[attr-defined]
        except OSError:  # the client closed the connection
            self.close_connection = True

    def log_message(self, *args: object) -> None:
        pass

    def send(self, status: int, body: bytes = b"", **headers: str) -> None:
        """Send a whole response; `headers` with underscores for hyphens. A given content length is sent unchanged."""
        self.start(status, **{"content_length": str(len(body)), **headers})
        self.wfile.write(body)

    def start(self, status: int, **headers: str) -> None:
        """Send the status line and the headers."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def close(self) -> None:
        """Close the connection after what was sent."""
        self.close_connection = True

    def reset(self) -> None:
        """Reset the connection (RST), as a crash does."""
        self.wfile.flush()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def wait(self, seconds: float) -> None:
        """Wait, at most until the server closes."""
        self.server.publisher.closing.wait(seconds)  # type: ignore[attr-defined]


def status(code: int, **headers: str) -> Fault:
    return lambda handler, good: handler.send(code, b"sorry", **headers)


def respond(body: bytes | Callable[[bytes], bytes], **headers: str) -> Fault:
    """Status 200 with another body: these bytes, or a function of the good ones."""
    return lambda handler, good: handler.send(200, body if isinstance(body, bytes) else body(good), **headers)


def reset(handler: Handler, good: bytes) -> None:
    handler.start(200, content_length=str(len(good)))
    handler.wfile.write(good[: len(good) // 2])
    handler.reset()


def reset_at_once(handler: Handler, good: bytes) -> None:
    handler.reset()


def stall(handler: Handler, good: bytes) -> None:
    handler.wait(MAX_STALL_S)
    handler.close()


def stall_in_the_body(handler: Handler, good: bytes) -> None:
    handler.start(200, content_length=str(len(good)))
    handler.wfile.write(good[: len(good) // 2])
    stall(handler, good)


def trickle(handler: Handler, good: bytes) -> None:
    handler.start(200, content_length=str(10**6))
    end = time.monotonic() + MAX_STALL_S
    while time.monotonic() < end:
        handler.wfile.write(b"x")
        handler.wait(0.01)


def cut(handler: Handler, good: bytes) -> None:
    handler.send(200, good[: len(good) // 2], content_length=str(len(good)))
    handler.close()


def cut_in_chunks(handler: Handler, good: bytes) -> None:
    handler.start(200, transfer_encoding="chunked")
    handler.wfile.write(b"%x\r\n" % len(good) + good[: len(good) // 2])
    handler.close()


def cut_gzip(handler: Handler, good: bytes) -> None:
    """The content length is that of the sent bytes: only the gzip stream shows that its end is missing."""
    packed = gzip.compress(good)
    handler.send(200, packed[: len(packed) // 2], content_encoding="gzip")


def endless(handler: Handler, good: bytes) -> None:
    handler.start(200, transfer_encoding="chunked")
    end = time.monotonic() + MAX_STALL_S
    while time.monotonic() < end:
        handler.wfile.write(b"10000\r\n" + b"\0" * 0x10000 + b"\r\n")


def gzip_bomb(megabytes: int) -> Fault:
    """A small response that unpacks to `megabytes`."""
    return respond(gzip.compress(b"\0" * megabytes * 1024**2), content_encoding="gzip")


class _Rerouted(httpx.BaseTransport):
    """Sends requests for any host to a port of this machine, with address and Host header unchanged."""

    def __init__(self, port: int) -> None:
        self._local = httpx.HTTPTransport(trust_env=False, verify=False)  # plain HTTP: there is nothing to verify
        self._port = port

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url.copy_with(scheme="http", host="127.0.0.1", port=self._port)
        headers = [
            *((k, v) for k, v in request.headers.raw if k.lower() != b"host"),
            (b"Host", request.url.host.encode()),
        ]
        return self._local.handle_request(
            httpx.Request(request.method, url, headers=headers, stream=request.stream, extensions=request.extensions)
        )

    def close(self) -> None:
        self._local.close()


class Publisher:
    """Serves `good` bodies by address (without keys). Request n of an address gets fault n, later ones the good body.

    With `forever` the last fault repeats and the good body is never sent. `pages` are always served without faults.
    """

    def __init__(
        self,
        good: Mapping[str, bytes],
        faults: Sequence[Fault] = (),
        forever: bool = False,
        pages: Mapping[str, bytes] | None = None,
    ) -> None:
        self.good = {_path(url): body for url, body in good.items()}
        self.pages = {_path(url): body for url, body in (pages or {}).items()}
        self.faults, self.forever = faults, forever
        self.requests: Counter[str] = Counter()  # by path
        self.request_headers: list[Any] = []
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
        """A client that reaches this publisher under every address. `timeout`: seconds without a byte."""
        return httpx.Client(transport=_Rerouted(self._server.server_address[1]), timeout=timeout, trust_env=False)

    def response(self, handler: Handler) -> None:
        path = KEY.sub("", handler.path)
        with self._lock:
            number = self.requests[path]
            self.requests[path] += 1
            self.request_headers.append(handler.headers)
        if path in self.pages:
            handler.send(200, self.pages[path])
        elif path not in self.good:
            handler.send(404)
        elif number < len(self.faults):
            self.faults[number](handler, self.good[path])
        elif self.forever:
            self.faults[-1](handler, self.good[path])
        else:
            handler.send(200, self.good[path])


def _path(url: str) -> str:
    return httpx.URL(url).raw_path.decode("ascii")
