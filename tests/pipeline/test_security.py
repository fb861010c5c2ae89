"""Security: keys are in no output, published files contain nothing of the machine, and no path leaves its folder."""

from __future__ import annotations

import base64
import getpass
import logging
import os
import re
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import duckdb
import httpx
import pandas as pd
import pyarrow.parquet as pq
import pytest
import stamina
from sandbox import Sandbox

from pipelines.common.settings import PROJECT, load_settings
from pipelines.sources import SOURCES
from pipelines.sources.base import Request, SourceError
from pipelines.transports import http
from pipelines.transports.drop import DropProblem, scan
from pipelines.transports.http import HttpTransport
from pipelines.workspace import Workspace

NOW = "2026-01-20T20:00:00Z"
CANARY = "c4nary/+key=8f21&b7"
WEBHOOK = "hook-c4nary-55e1"
REQUEST = Request(
    "entsoe", "A44.xml", "https://publisher.example/api?a=1", secret=("securityToken", "ENTSOE_API_TOKEN")
)


@pytest.fixture(autouse=True)
def no_waiting() -> Iterator[None]:
    with stamina.set_testing(True, attempts=3):
        yield


def spellings(secret: str) -> list[bytes]:
    """A secret as text, URL-encoded, and in base64 at each of the three alignments."""
    raw = secret.encode()
    shifted = [base64.b64encode(b"x" * n + raw)[4 if n else 0 : -4] for n in range(3)]
    encoded = [quote(secret, safe="").encode(), quote(secret).encode(), quote_plus(secret).encode()]
    return list(dict.fromkeys([raw, *encoded, *shifted]))


def contents(path: Path) -> bytes:
    """Content of a file: its bytes and, for Parquet and DuckDB, the decompressed values."""
    texts = path.read_bytes()
    if path.suffix == ".parquet":
        table = pq.read_table(path)
        texts += repr(table.to_pylist()).encode() + repr(table.schema.metadata).encode()
    if path.suffix == ".duckdb":
        with duckdb.connect(str(path), read_only=True) as con:
            for schema, table in con.execute("select schema_name, table_name from duckdb_tables()").fetchall():
                texts += repr(con.execute(f'select * from "{schema}"."{table}"').fetchall()).encode()
            for about in ("duckdb_tables()", "duckdb_columns()", "duckdb_functions()"):
                own = f"select * from {about} where database_name = current_database()"
                texts += repr(con.execute(own).fetchall()).encode()
    return texts


def holding(root: Path, words: list[bytes]) -> list[str]:
    """The files under a folder with any of these words in content or name."""
    found = []
    for path in sorted(path for path in root.rglob("*") if path.is_file()):
        texts = contents(path) + path.relative_to(root).as_posix().encode()
        found += [f"{path.relative_to(root)}: {word!r}" for word in words if word in texts]
    return found


class Telltale:
    """A publisher that repeats the key in its responses and errors, and fails in each way in turn."""

    def __init__(self) -> None:
        self.keys: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        key = request.url.params.get("securityToken")
        if key is None:
            return httpx.Response(404)
        self.keys.append(key)
        address = str(request.url)
        match len(self.keys) % 6:
            case 0:
                raise httpx.ConnectError(f"cannot reach {address} with {key}")
            case 1:
                return httpx.Response(401, text=f"bad token {key} in {address}")
            case 2:
                return httpx.Response(200, text=f"<Acknowledgement>{key} {address}</Acknowledgement>")
            case 3:
                return httpx.Response(302, headers={"location": f"https://elsewhere.example/?{address}"})
            case 4:
                raise httpx.RemoteProtocolError(f"{address} hung up")
            case _:
                return httpx.Response(503, text=address)


@pytest.mark.slow
def test_a_key_is_in_nothing_that_a_run_writes_prints_or_raises(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """One run with live requests and a user's files. Published files also contain nothing of the machine."""
    publisher = Telltale()
    client = httpx.Client(transport=httpx.MockTransport(publisher))
    monkeypatch.setattr(
        Workspace,
        "transport",
        lambda workspace: HttpTransport(workspace.settings.clock, workspace.settings.secrets(), client),
    )
    sandbox = Sandbox(tmp_path, "live", NOW)
    days = pd.bdate_range("2026-01-02", "2026-01-20").strftime("%Y-%m-%d")
    sandbox.drop(
        "prices/own.csv", pd.DataFrame({"metal": "AL", "obs_date": days, "cash_usd_t": 3150.0, "m3_usd_t": 3160})
    )
    sandbox.drop("stocks/own.csv", pd.DataFrame({"metal": "AL", "obs_date": days, "total_t": 500_000.0}))
    planted = {"ENTSOE_API_TOKEN": CANARY, "TIGHTNESS_WEBHOOK_URL": f"https://hooks.example/{WEBHOOK}"}
    with caplog.at_level(logging.DEBUG):
        code, printed, texts = sandbox.call("run", "--from", "2025-03", **planted)
        _, doctor, _ = sandbox.call("doctor", "--json", **planted)
    assert code == 1, "the publishers have failed"
    assert set(publisher.keys) == {CANARY}, "every request has the key"
    assert len(publisher.keys) > 6
    assert sandbox.database.is_file()

    words = [word for secret in (CANARY, WEBHOOK) for word in spellings(secret)]
    assert holding(tmp_path, words) == []
    everything = "\n".join([*printed, *texts, *doctor, *(repr(record.__dict__) for record in caplog.records)]).encode()
    assert [word for word in words if word in everything] == []

    machine = [
        str(sandbox.root),
        str(tmp_path),
        str(PROJECT),
        str(Path.home()),
        socket.gethostname(),
        getpass.getuser(),
    ]
    # Short names such as "root" also occur as ordinary words; "/root" is a path.
    names = [name.encode() for name in dict.fromkeys(machine) if len(name) > 5 or name.startswith("/")]
    assert holding(sandbox.data / "published", [*names, *words]) == []


def test_a_key_is_in_no_exception_and_no_log_record(caplog: pytest.LogCaptureFixture) -> None:
    """The causes of retries, and the archived body of a response that repeats the key, are included."""
    publisher = Telltale()
    transport = HttpTransport(
        lambda: datetime(2026, 2, 1, tzinfo=UTC),
        {"ENTSOE_API_TOKEN": CANARY},
        httpx.Client(transport=httpx.MockTransport(publisher)),
    )
    texts: list[str] = []
    with caplog.at_level(logging.DEBUG):
        for _ in range(12):
            try:
                texts += [payload.body.decode() for payload in transport.fetch(REQUEST)]
            except SourceError as error:
                texts += [repr(error), str(error)]
                assert error.__cause__ is None and error.__suppress_context__
    assert any("<Acknowledgement>*** https://publisher.example/api?a=1&securityToken=***<" in text for text in texts)
    everything = "\n".join([*texts, *(repr(record.__dict__) for record in caplog.records)]).encode()
    assert [word for word in spellings(CANARY) if word in everything] == []


def test_settings_do_not_show_their_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENTSOE_API_TOKEN", CANARY)
    settings = load_settings()
    assert settings.secrets() == {"ENTSOE_API_TOKEN": CANARY}
    for text in (repr(settings), str(settings), settings.model_dump_json()):
        assert CANARY not in text


# --- the drop folder


def test_links_out_of_the_drop_folder_are_refused(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.csv").write_text("obs_date,sofr_pct\n2026-01-12,3.65\n")
    drop = tmp_path / "drop"
    for name in ("rates", "fx", "stocks"):
        (drop / name).mkdir(parents=True)
    (drop / "rates" / "absolute.csv").symlink_to(outside / "secret.csv")
    (drop / "rates" / "dots.csv").symlink_to("../../outside/secret.csv")
    (drop / "rates" / "chain.csv").symlink_to("absolute.csv")
    (drop / "rates" / "itself.csv").symlink_to("itself.csv")
    (drop / "rates" / "environment.csv").symlink_to("/proc/self/environ")
    (drop / "rates" / "nowhere.csv").symlink_to("/nowhere/at/all.csv")
    (drop / "rates" / "folder.csv").mkdir()
    os.mkfifo(drop / "rates" / "pipe.csv")
    (drop / "prices").symlink_to(outside, target_is_directory=True)
    (drop / "power").symlink_to("..", target_is_directory=True)
    (drop / "fx" / "inside.csv").symlink_to(drop / "stocks" / "own.csv")
    (drop / "stocks" / "own.csv").write_text("metal,obs_date,total_t\nAL,2026-01-12,1\n")
    found = scan(drop, ["rates", "fx", "stocks", "prices", "power"])
    taken = {item.relative for item in found if not isinstance(item, DropProblem)}
    assert taken == {"fx/inside.csv", "stocks/own.csv"}, "a link within the folder is followed"
    refused = {item.relative: item.message for item in found if isinstance(item, DropProblem)}
    assert len(refused) == 10
    for name in ("rates/absolute.csv", "rates/dots.csv", "rates/chain.csv", "prices", "power"):
        assert "leaves the drop folder" in refused[name]
    assert all(str(tmp_path) not in message for message in refused.values())


@pytest.mark.parametrize("name", ["../../up", "/etc/passwd", "..", ".hidden", "a/../../b", "nul\0l"])
def test_no_request_name_leads_out_of_the_archive(tmp_path: Path, name: str) -> None:
    from pipelines.sources.base import Payload
    from pipelines.transports.archive import Archive

    archive = Archive(tmp_path / "raw")
    request = Request(name, name, "https://publisher.example/")
    archive.record(request, [Payload(request, b"x", datetime(2026, 2, 1, tzinfo=UTC))])
    assert [payload.body for payload in archive.load(request)] == [b"x"]
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]


# --- publishers


def test_every_publisher_is_requested_over_https() -> None:
    """Except China customs, which has no https and needs no key."""
    for name, source in SOURCES.items():
        for request in source.requests(pd.Period("2025-12", "M"), load_scope()):
            scheme = httpx.URL(request.url).scheme
            assert scheme == "https" or (name == "customs" and request.secret is None), f"{name} {request.name}"
            assert "securitytoken" not in request.url.lower()


def test_a_key_goes_over_https_only() -> None:
    publisher = Telltale()
    client = httpx.Client(transport=httpx.MockTransport(publisher))
    request = Request("entsoe", "A44.xml", "http://publisher.example/api", secret=REQUEST.secret)
    with pytest.raises(SourceError, match="a key is sent over https only"):
        HttpTransport(lambda: datetime.now(UTC), {"ENTSOE_API_TOKEN": CANARY}, client).fetch(request)
    assert publisher.keys == []


def load_scope() -> Any:
    return Workspace(load_settings()).scope


def test_the_client_checks_certificates_and_follows_no_redirect_by_itself() -> None:
    client = HttpTransport(lambda: datetime.now(UTC), {})._client
    assert client.follow_redirects is False
    context = client._transport._pool._ssl_context  # type: ignore[attr-defined]
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.check_hostname
    assert client.timeout.connect and client.timeout.read


def test_a_server_without_a_trusted_certificate_is_refused(tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl makes the certificate and is not installed")
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    made = "req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    subprocess.run(["openssl", *made.split(), "-keyout", key, "-out", certificate], check=True, capture_output=True)
    requested: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            requested.append(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = HTTPServer(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        request = Request("entsoe", "x", f"https://localhost:{server.server_port}/", secret=REQUEST.secret)
        with pytest.raises(SourceError, match="CERTIFICATE_VERIFY_FAILED"):
            HttpTransport(lambda: datetime.now(UTC), {"ENTSOE_API_TOKEN": CANARY}).fetch(request)
        assert requested == [], "the key was not sent"
    finally:
        server.shutdown()
        server.server_close()


def test_a_response_that_takes_too_long_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "MAX_SECONDS", -1.0)
    client = httpx.Client(transport=httpx.MockTransport(lambda request: httpx.Response(200, content=b"x")))
    with pytest.raises(SourceError, match="the response takes longer than"):
        HttpTransport(lambda: datetime.now(UTC), {}, client).fetch(Request("fred", "x", "https://publisher.example/"))


# --- the UI


def test_the_ui_listens_to_this_machine_only() -> None:
    """It has no authentication: docs/operations.md describes a reverse proxy."""
    commands = [
        line
        for path in (PROJECT / "Makefile", PROJECT / "README.md", PROJECT / "docs" / "operations.md")
        for line in path.read_text().splitlines()
        if re.search(r"dagster(-webserver|\"? dev)\b.*-", line) and "apt" not in line
    ]
    assert any('dagster" dev' in line for line in commands)
    for line in commands:
        assert re.search(r"(--host|-h) 127\.0\.0\.1", line), line
    assert not any("0.0.0.0" in line for line in commands)
