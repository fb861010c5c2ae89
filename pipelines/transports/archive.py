"""Payload archive: unchanged bodies by content hash, and a receipt of each request with its captures."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from pipelines.common.files import write_atomically
from pipelines.sources.base import Payload, Request, SourceError
from pipelines.transports.receipts import Capture, Receipt, ReceiptLog

_UNSAFE: Final = re.compile(r"[^A-Za-z0-9._-]|^\.")
_SUFFIX: Final = re.compile(r"\.[A-Za-z0-9]{1,8}")


@dataclass(frozen=True)
class Archive:
    """Payloads under `<root>/<source>/<first two of hash>/<hash><ext>`, receipts in `<root>/<source>/receipts.jsonl`.

    Archived payloads are never changed or removed.
    """

    root: Path
    _receipts: dict[str, ReceiptLog] = field(default_factory=dict, kw_only=True, compare=False, repr=False)

    def put(self, payload: Payload) -> str:
        """Store a payload's body unless it is already there, and return its SHA-256."""
        sha256 = hashlib.sha256(payload.body).hexdigest()
        path = self._path(payload.request, sha256)
        # A file whose content differs from its name is damaged and replaced.
        if not path.is_file() or path.read_bytes() != payload.body:
            write_atomically(path, lambda temporary: temporary.write_bytes(payload.body))
        return sha256

    def record(self, request: Request, payloads: Sequence[Payload], *, answered_at: datetime | None = None) -> Receipt:
        """Store a response (payloads oldest first), add its new captures to the receipt and clear an earlier error.

        Known bytes keep their first `captured_at`. Exception: when the newest payload differs from the newest capture
        but equals an earlier one, the publisher changed back, which is a new capture.
        """
        stored = [(self.put(payload), payload) for payload in payloads]

        def answered(before: Receipt) -> Receipt:
            captures = list(before.captures)
            seen = {capture.sha256 for capture in captures}
            newest = captures[-1].sha256 if captures else None
            for number, (sha256, payload) in enumerate(stored, start=1):
                about = (payload.etag, payload.last_modified, payload.address, payload.refused)
                if sha256 not in seen or (number == len(stored) and sha256 != newest):
                    captures.append(Capture(sha256, _iso(payload.captured_at), len(payload.body), *about))
                    seen.add(sha256)
                elif sha256 == captures[-1].sha256:  # the same bytes, perhaps with new validators or accepted whole
                    last = captures[-1]
                    captures[-1] = Capture(sha256, last.captured_at, last.bytes, *about)
            captures.sort(key=lambda capture: capture.captured_at)
            moment = _iso(answered_at) if answered_at else None
            return Receipt(_describe(request), tuple(captures), answered_at=moment)

        return self._change(request, answered)

    def record_error(self, request: Request, message: str, at: datetime) -> Receipt:
        """Record that a request failed; its captures stay."""
        error = {"at": _iso(at), "message": message}
        return self._change(request, lambda before: replace(before, error=error, no_data_at=None))

    def record_no_data(self, request: Request, at: datetime) -> Receipt:
        """Record that the publisher had no data for a request, which is no failure; its captures stay."""
        return self._change(request, lambda before: replace(before, error=None, no_data_at=_iso(at)))

    def receipt(self, source: str, name: str) -> Receipt | None:
        """The receipt of a request by source and name; None when it was never sent."""
        return self._log(source).get(name)

    def load(self, request: Request) -> list[Payload]:
        """The captured payloads of a request, oldest first; empty without a response.

        Raises `SourceError` when an archived file is missing or its content does not match its hash.
        """
        return [self.open(request, capture) for capture in self._read(request).captures]

    def open(self, request: Request, capture: Capture) -> Payload:
        """One capture of a request. Raises `SourceError` when its file is missing or damaged."""
        path = self._path(request, capture.sha256)
        body = path.read_bytes() if path.is_file() else b""
        if hashlib.sha256(body).hexdigest() != capture.sha256:
            state = "damaged" if path.is_file() else "missing"
            problem = f"the archived payload {path.relative_to(self.root)} is {state}"
            raise SourceError(request, problem, "bytes with that SHA-256: fetch the request again")
        captured_at = datetime.fromisoformat(capture.captured_at)
        about = (capture.etag, capture.last_modified, capture.address, capture.refused)
        return Payload(request, body, captured_at, *about)

    def get(self, request: Request, sha256: str, captured_at: datetime) -> Payload:
        """An archived body as the payload of a request. Raises `SourceError` when it is missing or damaged."""
        return self.open(request, Capture(sha256, _iso(captured_at), 0))

    def newest(self, request: Request) -> Payload | None:
        """The last payload of the same URL; None when there is none, or its file is damaged."""
        receipt = self._read(request)
        if not receipt.captures or receipt.request["url"] != request.url:
            return None
        try:
            return self.open(request, receipt.captures[-1])
        except SourceError:
            return None

    def _path(self, request: Request, sha256: str) -> Path:
        suffix = Path(request.name).suffix
        ext = suffix if _SUFFIX.fullmatch(suffix) else ""
        return self.root / _file_name(request.source) / sha256[:2] / f"{sha256}{ext}"

    def _log(self, source: str) -> ReceiptLog:
        return self._receipts.setdefault(source, ReceiptLog(self.root / _file_name(source)))

    def _read(self, request: Request) -> Receipt:
        return self.receipt(request.source, request.name) or Receipt(_describe(request))

    def _change(self, request: Request, change: Callable[[Receipt], Receipt]) -> Receipt:
        """Replace the receipt of a request by the changed one. Only a writer that changes something holds the lock."""
        before = self._read(request)
        if change(before) == before:
            return before
        log = self._log(request.source)
        with log.writing():
            receipt = change(self._read(request))
            log.put(receipt)
        return receipt


@dataclass(frozen=True)
class ArchiveAt(Archive):
    """The archive as it was at an earlier moment (UTC), read only: captures that came later are left out."""

    moment: datetime

    def receipt(self, source: str, name: str) -> Receipt | None:
        """The receipt of a request with the captures of that time, without a later error."""
        receipt = super().receipt(source, name)
        if receipt is None:
            return None
        last = _iso(self.moment)
        captures = tuple(capture for capture in receipt.captures if capture.captured_at <= last)
        return replace(receipt, captures=captures, error=None)


def _describe(request: Request) -> dict[str, str]:
    # Without the secret and its name: the URL alone identifies the request.
    return {"name": request.name, "url": request.url, "entity": request.entity, "period": request.period}


def _file_name(name: str) -> str:
    """A safe file name; a changed name gets a hash suffix, so that different names never collide."""
    safe = _UNSAFE.sub("_", name)
    return safe if safe == name and name else f"{safe}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _iso(moment: datetime) -> str:
    if moment.tzinfo is None:
        raise ValueError(f"{moment.isoformat()} has no time zone: give a time in UTC")
    return moment.astimezone(UTC).isoformat(timespec="microseconds")
