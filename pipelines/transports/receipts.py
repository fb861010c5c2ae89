"""Receipts of a source: a log with a line of JSON for each change, of which the last one of a request counts.

A request writes some hundred bytes; a file each cost more than all else that is done with a response. A line is on disk
before the next request is sent. What a killed writer leaves of a line has no end, and the next writer removes it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from filelock import FileLock

from pipelines.common.files import write_atomically
from pipelines.sources.base import Series

MAX_OLD_LINES: Final = 1000  # and as many as there are receipts; with more the log is written anew


@dataclass(frozen=True)
class Capture:
    """One response: hash and size of its body, and when these bytes were first captured (ISO, UTC).

    `etag`, `last_modified`, `address` and `refused` as in `Payload`.
    """

    sha256: str
    captured_at: str
    bytes: int
    etag: str = ""
    last_modified: str = ""
    address: str = ""
    refused: tuple[Series, ...] = ()


@dataclass(frozen=True)
class Receipt:
    """History of one request: its captures, oldest first, and the result of the last attempt.

    `error`: `{"at", "message"}` when it failed. `no_data_at`: set when the publisher had no data. `answered_at`: time
    of the last response, later than the newest capture when the body was unchanged.
    """

    request: dict[str, str]
    captures: tuple[Capture, ...] = ()
    error: dict[str, str] | None = None
    no_data_at: str | None = None
    answered_at: str | None = None


@dataclass
class ReceiptLog:
    """The receipts in a source's folder: `receipts.jsonl`, and those that a former version kept in a file each."""

    folder: Path
    _lines: dict[str, bytes] = field(default_factory=dict)  # by request
    _inode: int = 0
    _end: int = 0  # of the last whole line, in bytes
    _count: int = 0  # of lines

    @property
    def path(self) -> Path:
        return self.folder / "receipts.jsonl"

    def get(self, name: str) -> Receipt | None:
        """The receipt of a request; None when it was never sent."""
        self._refresh()
        if name not in self._lines:
            return None
        content: dict[str, Any] = json.loads(self._lines[name])
        captures = tuple(
            Capture(**capture | {"refused": tuple(map(tuple, capture.get("refused", ())))})
            for capture in content.pop("captures")
        )
        return Receipt(captures=captures, **content)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the lock of the writers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self.folder / ".receipts.lock"):
            yield

    def put(self, receipt: Receipt) -> None:
        """Replace the receipt of a request. The caller is `writing`."""
        self._refresh()
        former = self._former_files()
        added = [self._lines[name] for name in self._former(former)] if former else []
        line = _line(receipt)
        self._append(b"".join([*added, line]))
        for path in former:
            path.unlink(missing_ok=True)
        if former:
            with suppress(OSError):
                (self.folder / "receipts" / ".lock").unlink(missing_ok=True)
                (self.folder / "receipts").rmdir()
        self._refresh()
        if self._count > 2 * len(self._lines) + MAX_OLD_LINES:
            body = b"".join(self._lines.values())
            write_atomically(self.path, lambda temporary: temporary.write_bytes(body))

    def _append(self, lines: bytes) -> None:
        with self.path.open("ab") as log:
            log.truncate(self._end)  # what a killed writer has left of a line
            log.write(lines)
            log.flush()
            os.fsync(log.fileno())

    def _refresh(self) -> None:
        """Read what was written since the last call, by any process."""
        try:
            about = self.path.stat()
        except FileNotFoundError:
            about = None
        inode = about.st_ino if about else 0
        if inode != self._inode or not self._lines or (about and about.st_size < self._end):
            self._lines, self._inode, self._end, self._count = self._former(self._former_files()), inode, 0, 0
        if about is not None and about.st_size > self._end:
            with self.path.open("rb") as log:
                log.seek(self._end)
                whole, newline, _ = log.read().rpartition(b"\n")
            lines = whole.split(b"\n") if newline else []
            self._lines |= {json.loads(line)["request"]["name"]: line + b"\n" for line in lines}
            self._end += len(whole) + len(newline)
            self._count += len(lines)

    # --- the former layout: receipts/<request>.json

    def _former_files(self) -> list[Path]:
        return sorted((self.folder / "receipts").glob("*.json"))

    @staticmethod
    def _former(files: list[Path]) -> dict[str, bytes]:
        contents = []
        for path in files:
            with suppress(FileNotFoundError):  # another process has just moved it
                contents.append(json.loads(path.read_text(encoding="utf-8")))
        return {content["request"]["name"]: _encoded(content) for content in contents}


def _line(receipt: Receipt) -> bytes:
    content = asdict(receipt)
    content["captures"] = [
        {name: value for name, value in capture.items() if value not in ("", ())} for capture in content["captures"]
    ]
    return _encoded(content)


def _encoded(content: dict[str, Any]) -> bytes:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
