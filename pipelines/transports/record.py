"""Recordings: responses stored in the layout that the replay transport reads.

`<root>/<source>/<request name>` holds the newest response to a request, for people and other tools. `.captures/` beside
it holds every response by hash and capture time, so that a replay returns each with its own time.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from filelock import FileLock

from pipelines.common.files import write_atomically
from pipelines.sources.base import Payload, Request, SourceError
from pipelines.transports.base import Transport

CAPTURES: Final = ".captures"


@dataclass(frozen=True)
class RecordingTransport:
    """Transport that also stores the payloads of another transport under `root`."""

    inner: Transport
    root: Path

    def fetch(self, request: Request) -> list[Payload]:
        """The other transport's payloads; its `NoData` and `SourceError` are not recorded.

        Raises `SourceError` for a response that cannot be stored, since a replay would then differ from the lake.
        """
        payloads = self.inner.fetch(request)
        for payload in payloads:
            try:
                self._store(payload)
            except OSError as error:
                problem = f"the response cannot be recorded in {self.root}: {error.strerror or error}"
                raise SourceError(request, problem, "a writable folder with free space") from None
        return payloads

    def _store(self, payload: Payload) -> None:
        path = recorded_path(self.root, payload.request)
        index = _index(path)
        index.parent.mkdir(parents=True, exist_ok=True)
        sha256 = hashlib.sha256(payload.body).hexdigest()
        with FileLock(index.parent / ".lock"):
            known = _captures(path)
            if not known or known[-1]["sha256"] != sha256:
                write_atomically(index.parent / sha256, lambda temporary: temporary.write_bytes(payload.body))
                known.append({"sha256": sha256, "captured_at": payload.captured_at.astimezone(UTC).isoformat()})
                write_atomically(index, lambda temporary: temporary.write_text(json.dumps(known, indent=1)))
            if not path.is_file() or path.read_bytes() != payload.body:  # new, or a killed process left it undone
                write_atomically(path, lambda temporary: temporary.write_bytes(payload.body))


def recorded_path(root: Path, request: Request) -> Path:
    """Path of the newest recorded response to a request. Raises `SourceError` for a name outside the folder."""
    for name in (request.source, request.name):
        if name in {"", ".", ".."} or Path(name).name != name:
            problem = f"{name!r} would lie outside the replay folder"
            raise SourceError(request, problem, "the name of a file")
    return root / request.source / request.name


def recorded(root: Path, request: Request) -> list[Payload]:
    """Every recorded response to a request with its capture time, oldest first; empty for files not made by `--record`.

    Raises `SourceError` when a file is missing or its content is not what was recorded.
    """
    path = recorded_path(root, request)
    payloads = []
    captures = _captures(path)
    for number, capture in enumerate(captures, start=1):
        file = path if number == len(captures) else _index(path).parent / capture["sha256"]
        body = file.read_bytes() if file.is_file() else b""
        if hashlib.sha256(body).hexdigest() != capture["sha256"]:
            problem = f"{file.relative_to(root)} does not hold what was captured at {capture['captured_at']}"
            expected = f"the recorded bytes: record again, or remove {_index(path).relative_to(root)} to use the file"
            raise SourceError(request, problem, expected)
        payloads.append(Payload(request, body, datetime.fromisoformat(capture["captured_at"])))
    return payloads


def _index(path: Path) -> Path:
    return path.parent / CAPTURES / f"{path.name}.json"


def _captures(path: Path) -> list[dict[str, str]]:
    index = _index(path)
    return list(json.loads(index.read_text())) if index.is_file() else []
