"""Proxies of the environment: each kind works, or is refused in one line before a request."""

from __future__ import annotations

import os
import socket
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipelines.common.proxies import check_proxies
from pipelines.common.settings import SettingsError
from pipelines.orchestration.automation.notify import DeliveryError, Message, WebhookSink
from pipelines.transports.archive import Archive
from pipelines.transports.factory import make_http_transport
from pipelines.workspace import Workspace

GIVE = "is not accepted: give http://, https://, socks5:// or socks5h:// with a host and a port"


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("variable", "address", "shown"),
    [
        ("ALL_PROXY", "socks4://desk:secret@proxy:1080", "socks4://proxy:1080"),
        ("all_proxy", "socks://proxy:1080", "socks://proxy:1080"),
        ("HTTPS_PROXY", "ftp://desk:sec@ret@proxy:21", "ftp://proxy:21"),
        ("https_proxy", "http://proxy:port", "http://proxy:port"),
        ("HTTP_PROXY", "http://", "http://"),
    ],
)
def test_a_proxy_that_cannot_be_used_is_named_without_credentials(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str, address: str, shown: str
) -> None:
    monkeypatch.setenv(variable, address)
    line = f"{variable}={shown!r} {GIVE}"
    with pytest.raises(SettingsError) as error:
        check_proxies()
    assert str(error.value) == line
    for folder in ("TIGHTNESS_DATA_DIR", "DAGSTER_HOME"):
        monkeypatch.setenv(folder, str(tmp_path / "data"))
    with pytest.raises(SettingsError, match=variable):
        Workspace.open(profile="live")
    settings = Workspace.open(profile="demo").settings  # sends no request
    with pytest.raises(SettingsError, match=variable):
        make_http_transport(settings, Archive(tmp_path))
    with pytest.raises(DeliveryError) as refused:
        WebhookSink("http://127.0.0.1:9/").send(Message("key", "2026-01-01T00:00:00Z", {}))
    assert str(refused.value) == line


@pytest.mark.parametrize(
    ("variable", "address"),
    [
        ("HTTP_PROXY", "proxy:3128"),
        ("HTTPS_PROXY", "http://desk:secret@proxy:3128"),
        ("https_proxy", "https://proxy"),
        ("NO_PROXY", "localhost,127.0.0.1,::1,.example.org,10.0.0.0/8"),
        ("ALL_PROXY", ""),
    ],
)
def test_usual_proxies_are_accepted(monkeypatch: pytest.MonkeyPatch, variable: str, address: str) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://proxy:3128")
    monkeypatch.setenv(variable, address)
    check_proxies()


def test_hosts_without_a_proxy_that_cannot_be_read_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://proxy:3128")
    monkeypatch.setenv("NO_PROXY", "http://[::")
    with pytest.raises(SettingsError) as error:
        check_proxies()
    assert str(error.value).startswith("NO_PROXY='http://[::' is not accepted: give hosts")
    monkeypatch.setenv("ALL_PROXY", "socks4://proxy")
    monkeypatch.setenv("NO_PROXY", "*")
    check_proxies()  # no proxy is used at all


@pytest.fixture
def proxy() -> Iterator[tuple[int, list[bytes]]]:
    """A proxy that speaks SOCKS 5 or HTTP and answers every request itself: its port, and what it was sent."""
    seen: list[bytes] = []

    def serve(client: socket.socket) -> None:
        with client:
            begin = client.recv(4096)
            if begin[:1] == b"\x05":
                client.sendall(b"\x05\x00")
                seen.append(client.recv(4096))  # version, connect, 0, type of address, address, port
                client.sendall(b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00")
                begin = client.recv(4096)
            seen.append(begin)
            client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            while True:
                try:
                    serve(server.accept()[0])
                except OSError:
                    return

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield server.getsockname()[1], seen
        server.shutdown(socket.SHUT_RDWR)
        thread.join(10)


@pytest.mark.parametrize("scheme", ["http", "socks5", "socks5h"])
def test_a_notification_is_sent_through_the_proxy(
    monkeypatch: pytest.MonkeyPatch, proxy: tuple[int, list[bytes]], scheme: str
) -> None:
    if scheme != "http":
        pytest.importorskip("socksio", reason="make setup installs it with httpx[socks]")
    port, seen = proxy
    monkeypatch.setenv("ALL_PROXY", f"{scheme}://127.0.0.1:{port}")
    WebhookSink("http://hooks.example/x").send(Message("key", f"{datetime.now(UTC):%Y}", {"text": "hello"}))
    if scheme == "http":
        assert seen[0].startswith(b"POST http://hooks.example/x HTTP/1.1")
    else:
        assert seen[0] == b"\x05\x01\x00\x03\x0dhooks.example\x00\x50", "the proxy resolves the name"
        assert seen[1].startswith(b"POST /x HTTP/1.1")


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "socksio", None)  # as if it were not installed
    monkeypatch.setenv("ALL_PROXY", "socks5://desk:secret@127.0.0.1:1080")
    with pytest.raises(SettingsError) as error:
        check_proxies()
    assert str(error.value) == "ALL_PROXY='socks5://127.0.0.1:1080' needs the package socksio: make setup installs it"
