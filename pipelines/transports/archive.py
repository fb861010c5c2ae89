"""What publishers answered, as it came: payloads by their hash, and for every request a receipt of its captures."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from filelock import FileLock

from pipelines.common.files import write_aside
from pipelines.sources.base import Payload, Request, SourceError

_UNSAFE: Final = re.compile(r"[^A-Za-z0-9._-]|^\.")
_SUFFIX: Final = re.compile(r"\.[A-Za-z0-9]{1,8}")


@dataclass(frozen=True)
class Capture:
    """One answer: its content's hash and size, and when these bytes were first seen (ISO, UTC).

    What the publisher calls this version, and its address where that is not the request's, as in `Payload`.
    """

    sha256: str
    captured_at: str
    bytes: int
    etag: str = ""
    last_modified: str = ""
    address: str = ""


@dataclass(frozen=True)
class Receipt:
    """What is known of one request: its captures, oldest first, and how the last attempt ended.

    `error` is `{"at", "message"}` when it failed; `no_data_at` is set when the publisher had nothing. `answered_at` is
    when it was last answered, which is later than the newest capture when the answer was the same again.
    """

    request: dict[str, str]
    captures: tuple[Capture, ...] = ()
    error: dict[str, str] | None = None
    no_data_at: str | None = None
    answered_at: str | None = None


@dataclass(frozen=True)
class Archive:
    """Payloads under `<root>/<source>/<first two of hash>/<hash><ext>`, receipts under `<root>/<source>/receipts/`.

    Nothing that is archived is ever changed or removed; a receipt is replaced whole.
    """

    root: Path

    def put(self, payload: Payload) -> str:
        """Stores a payload's bytes unless they are there, and returns their SHA-256."""
        sha256 = hashlib.sha256(payload.body).hexdigest()
        path = self._path(payload.request, sha256)
        # A file with other bytes was damaged; its name says what belongs there.
        if not path.is_file() or path.read_bytes() != payload.body:
            write_aside(path, lambda aside: aside.write_bytes(payload.body))
        return sha256

    def record(self, request: Request, payloads: Sequence[Payload], *, answered_at: datetime | None = None) -> Receipt:
        """Stores an answer (payloads oldest first) and notes what is new in it; an earlier error is over.

        Bytes that are there keep their first `captured_at`; only when the newest payload differs from the newest
        capture it is a new one, also if the same bytes were captured before that: the publisher changed back.
        """
        stored = [(self.put(payload), payload) for payload in payloads]
        with self._lock(request):
            captures = list(self._read(request).captures)
            seen = {capture.sha256 for capture in captures}
            newest = captures[-1].sha256 if captures else None
            for place, (sha256, payload) in enumerate(stored, start=1):
                names = (payload.etag, payload.last_modified, payload.address)
                if sha256 not in seen or (place == len(stored) and sha256 != newest):
                    captures.append(Capture(sha256, _iso(payload.captured_at), len(payload.body), *names))
                    seen.add(sha256)
                elif sha256 == captures[-1].sha256:  # the same bytes may have got another name
                    last = captures[-1]
                    captures[-1] = Capture(sha256, last.captured_at, last.bytes, *names)
            captures.sort(key=lambda capture: capture.captured_at)
            moment = _iso(answered_at) if answered_at else None
            return self._write(request, Receipt(_describe(request), tuple(captures), answered_at=moment))

    def record_error(self, request: Request, message: str, at: datetime) -> Receipt:
        """Notes that a request failed; its captures stay."""
        with self._lock(request):
            receipt = replace(self._read(request), error={"at": _iso(at), "message": message}, no_data_at=None)
            return self._write(request, receipt)

    def record_no_data(self, request: Request, at: datetime) -> Receipt:
        """Notes that the publisher had nothing for a request, which is no failure; its captures stay."""
        with self._lock(request):
            return self._write(request, replace(self._read(request), error=None, no_data_at=_iso(at)))

    def receipt(self, source: str, name: str) -> Receipt | None:
        """The receipt of a source's request by its name; None when it was never asked."""
        path = self._receipt_path(source, name)
        if not path.is_file():
            return None
        held: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        captures = tuple(Capture(**capture) for capture in held.pop("captures"))
        return Receipt(captures=captures, **held)

    def load(self, request: Request) -> list[Payload]:
        """The captures of a request, oldest first; none when it was never answered.

        Raises `SourceError` when an archived file is gone or its content is not what its name says.
        """
        return [self._load(request, capture) for capture in self._read(request).captures]

    def newest(self, request: Request) -> Payload | None:
        """The last answer to the same question; None when there is none, or its bytes are no longer whole."""
        receipt = self._read(request)
        if not receipt.captures or receipt.request["url"] != request.url:
            return None
        try:
            return self._load(request, receipt.captures[-1])
        except SourceError:
            return None

    def _load(self, request: Request, capture: Capture) -> Payload:
        path = self._path(request, capture.sha256)
        body = path.read_bytes() if path.is_file() else b""
        if hashlib.sha256(body).hexdigest() != capture.sha256:
            state = "damaged" if path.is_file() else "missing"
            problem = f"the archived payload {path.relative_to(self.root)} is {state}"
            raise SourceError(request, problem, "the bytes of its name's hash: fetch the request again")
        captured_at = datetime.fromisoformat(capture.captured_at)
        return Payload(request, body, captured_at, capture.etag, capture.last_modified, capture.address)

    def _path(self, request: Request, sha256: str) -> Path:
        suffix = Path(request.name).suffix
        ext = suffix if _SUFFIX.fullmatch(suffix) else ""
        return self.root / _file_name(request.source) / sha256[:2] / f"{sha256}{ext}"

    def _receipt_path(self, source: str, name: str) -> Path:
        return self.root / _file_name(source) / "receipts" / f"{_file_name(name)}.json"

    def _lock(self, request: Request) -> FileLock:
        path = self._receipt_path(request.source, request.name)
        path.parent.mkdir(parents=True, exist_ok=True)
        return FileLock(path.parent / ".lock")

    def _read(self, request: Request) -> Receipt:
        return self.receipt(request.source, request.name) or Receipt(_describe(request))

    def _write(self, request: Request, receipt: Receipt) -> Receipt:
        path = self._receipt_path(request.source, request.name)
        held = asdict(receipt)
        held["captures"] = [{name: value for name, value in c.items() if value != ""} for c in held["captures"]]
        body = json.dumps(held, indent=1, ensure_ascii=False).encode()
        if not path.is_file() or path.read_bytes() != body:
            write_aside(path, lambda aside: aside.write_bytes(body))
        return receipt


def _describe(request: Request) -> dict[str, str]:
    # The secret's name is left out with the secret: the address alone identifies the question.
    return {"name": request.name, "url": request.url, "entity": request.entity, "period": request.period}


def _file_name(name: str) -> str:
    """A name that is safe as a file's; one that had to be changed carries a hash, so that no two fall together."""
    safe = _UNSAFE.sub("_", name)
    return safe if safe == name and name else f"{safe}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _iso(moment: datetime) -> str:
    if moment.tzinfo is None:
        raise ValueError(f"{moment.isoformat()} has no time zone: give a moment in UTC")
    return moment.astimezone(UTC).isoformat(timespec="microseconds")
