"""Recordings: what publishers answered, kept in the layout that the replay transport reads.

`<root>/<source>/<request name>` holds the newest answer to a request, for people and other tools. `.captures/` beside
it keeps every answer by its hash and when it was captured, so that a replay sees each at the time at which it was seen.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from filelock import FileLock

from pipelines.common.files import write_aside
from pipelines.sources.base import Payload, Request, SourceError
from pipelines.transports.base import Transport

CAPTURES: Final = ".captures"


@dataclass(frozen=True)
class RecordingTransport:
    """Passes on what another transport answers, and keeps it under `root`."""

    inner: Transport
    root: Path

    def fetch(self, request: Request) -> list[Payload]:
        """The other transport's answer; its `NoData` and `SourceError` leave no trace in the recording.

        `SourceError` for an answer that cannot be kept: a lake that took it would not be the replay's.
        """
        payloads = self.inner.fetch(request)
        for payload in payloads:
            try:
                self._keep(payload)
            except OSError as error:
                problem = f"the answer cannot be recorded in {self.root}: {error.strerror or error}"
                raise SourceError(request, problem, "a folder with room that may be written") from None
        return payloads

    def _keep(self, payload: Payload) -> None:
        path = recorded_path(self.root, payload.request)
        index = _index(path)
        index.parent.mkdir(parents=True, exist_ok=True)
        sha256 = hashlib.sha256(payload.body).hexdigest()
        with FileLock(index.parent / ".lock"):
            known = _captures(path)
            if not known or known[-1]["sha256"] != sha256:
                write_aside(index.parent / sha256, lambda aside: aside.write_bytes(payload.body))
                known.append({"sha256": sha256, "captured_at": payload.captured_at.astimezone(UTC).isoformat()})
                write_aside(index, lambda aside: aside.write_text(json.dumps(known, indent=1)))
            if not path.is_file() or path.read_bytes() != payload.body:  # new, or a kill came before it
                write_aside(path, lambda aside: aside.write_bytes(payload.body))


def recorded_path(root: Path, request: Request) -> Path:
    """Where the newest recorded answer to a request lies. `SourceError` for a name that leads elsewhere."""
    for name in (request.source, request.name):
        if name in {"", ".", ".."} or Path(name).name != name:
            problem = f"{name!r} would lie outside the replay folder"
            raise SourceError(request, problem, "the name of a file")
    return root / request.source / request.name


def recorded(root: Path, request: Request) -> list[Payload]:
    """Every recorded answer to a request with its capture time, oldest first; none for files that `--record` did not
    write. Raises `SourceError` when bytes are gone or are not those that were recorded."""
    path = recorded_path(root, request)
    payloads = []
    captures = _captures(path)
    for place, capture in enumerate(captures, start=1):
        held = path if place == len(captures) else _index(path).parent / capture["sha256"]
        body = held.read_bytes() if held.is_file() else b""
        if hashlib.sha256(body).hexdigest() != capture["sha256"]:
            problem = f"{held.relative_to(root)} does not hold what was captured at {capture['captured_at']}"
            advice = f"the recorded bytes: record again, or remove {_index(path).relative_to(root)} to take it as it is"
            raise SourceError(request, problem, advice)
        payloads.append(Payload(request, body, datetime.fromisoformat(capture["captured_at"])))
    return payloads


def _index(path: Path) -> Path:
    return path.parent / CAPTURES / f"{path.name}.json"


def _captures(path: Path) -> list[dict[str, str]]:
    index = _index(path)
    return list(json.loads(index.read_text())) if index.is_file() else []
