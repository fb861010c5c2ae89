"""Headless Chromium over its DevTools protocol: opens pages, runs JavaScript, records responses, takes pictures."""

from __future__ import annotations

import base64
import contextlib
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from websockets.sync.client import ClientConnection, connect

CHROMIUM = shutil.which("chromium")


@dataclass
class Page:
    """One tab. `events`: what the browser has reported so far; errors of the console are `errors`."""

    socket: ClientConnection
    events: list[dict[str, Any]] = field(default_factory=list)
    _last: int = 0

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """The result of one command. Raises `RuntimeError` with the browser's reason."""
        self._last += 1
        self.socket.send(json.dumps({"id": self._last, "method": method, "params": params}))
        while (message := json.loads(self.socket.recv(timeout=60))).get("id") != self._last:
            self.events.append(message)
        if "error" in message:
            raise RuntimeError(f"{method}: {message['error']}")
        return dict(message["result"])

    def run(self, script: str) -> Any:
        """The value of a JavaScript expression. Raises `RuntimeError` where it throws."""
        result = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise RuntimeError(f"{script}: {result['exceptionDetails']}")
        return result["result"].get("value")

    def wait(self, condition: str, seconds: float = 60) -> None:
        """Wait until a JavaScript expression holds. Raises `TimeoutError` with the page's text."""
        end = time.monotonic() + seconds
        while not self.run(f"Boolean({condition})"):
            if time.monotonic() > end:
                raise TimeoutError(f"not true in {seconds} s: {condition}\n{self.run('document.body.innerText')}")
            time.sleep(0.2)

    def open(self, url: str) -> None:
        """Go to an address and wait for its document."""
        self.call("Page.navigate", url=url)
        self.wait("document.readyState == 'complete'")

    @property
    def errors(self) -> list[str]:
        """Errors of the console and exceptions so far."""
        return [
            str(event["params"])
            for event in self.events
            if event["method"] == "Runtime.exceptionThrown"
            or (event["method"] == "Log.entryAdded" and event["params"]["entry"]["level"] == "error")
        ]

    def responses(self, part: str) -> list[tuple[str, int, str]]:
        """(URL, status, body) of each finished response whose URL has this part."""
        finished = {e["params"]["requestId"] for e in self.events if e["method"] == "Network.loadingFinished"}
        return [
            (about["url"], about["status"], self.call("Network.getResponseBody", requestId=request)["body"])
            for event in list(self.events)
            if event["method"] == "Network.responseReceived"
            for request, about in [(event["params"]["requestId"], event["params"]["response"])]
            if part in about["url"] and request in finished
        ]

    def picture(self, path: Path) -> None:
        """Write the visible part as PNG."""
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))

    def size(self, width: int, height: int) -> None:
        """Set the size of the visible part, in pixels."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)


@contextlib.contextmanager
def chromium(profile: Path, width: int = 1600, height: int = 1000) -> Iterator[Page]:
    """A tab of a Chromium of its own, with an empty profile in this folder; ended with the block."""
    arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
    process = subprocess.Popen(
        [str(CHROMIUM), *arguments, f"--user-data-dir={profile}", "--remote-debugging-port=0", "about:blank"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        port = profile / "DevToolsActivePort"
        end = time.monotonic() + 60
        while not (port.is_file() and port.read_text().strip()) and time.monotonic() < end:
            time.sleep(0.1)
        with urlopen(f"http://127.0.0.1:{port.read_text().split()[0]}/json") as response:
            tab = next(tab for tab in json.load(response) if tab["type"] == "page")
        with connect(tab["webSocketDebuggerUrl"], max_size=None, compression=None) as socket:
            page = Page(socket)
            for domain in ("Page", "Runtime", "Log", "Network"):
                page.call(f"{domain}.enable")
            page.size(width, height)
            yield page
    finally:
        process.terminate()
        process.wait(20)
