"""Replay transport: payloads from a folder of recordings, never from the network.

A recording is `<root>/<source>/<request name>`. For some sources other layouts are accepted too: Energy-Charts by day,
Yahoo by month, Comtrade with the rows alone, and ENTSO-E under any name, selected by area and interval of the document.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlsplit

from pipelines.sources.base import NotRequested, Payload, Request, SourceError
from pipelines.transports.record import recorded

HEAD_BYTES: Final = 8192  # of an ENTSO-E document; they hold its area and interval
_INTERVAL: Final = re.compile(rb"<period\.timeInterval>\s*<start>([^<]+)</start>\s*<end>([^<]+)</end>")
_AREA: Final = re.compile(rb"<in_Domain\.mRID[^>]*>\s*([^<\s]+)\s*<")


@dataclass(frozen=True)
class _Document:
    """Area and interval of a recorded ENTSO-E document."""

    path: Path
    area: str
    start: datetime
    end: datetime


@dataclass(frozen=True)
class ReplayTransport:
    """Payloads of the files under `root`, one folder per source.

    `captured_at` is the capture time of `--record`; for other files it is `now` (UTC), since their file times mean
    nothing.
    """

    root: Path
    now: datetime
    _entsoe: dict[Path, list[_Document]] = field(default_factory=dict, compare=False, repr=False)

    def fetch(self, request: Request) -> list[Payload]:
        """Recorded payloads of a request: every capture of `--record`, else the files selected by name.

        Raises `NotRequested` when nothing is recorded for it, `SourceError` for an unreadable file or a link that
        leaves the folder.
        """
        if captures := recorded(self.root, request):
            return captures
        exact = self.root / request.source / request.name
        if exact.is_file() or exact.is_symlink():
            paths = [exact]
        elif request.source == "energy_charts":
            month = request.period.replace("-", "")
            paths = sorted(exact.parent.glob(f"price_{request.entity}_{month}[0-3][0-9]*.json")) if month else []
        elif request.source == "yahoo":
            paths = sorted(exact.parent.glob(f"{exact.stem}-[01][0-9].json"))
        elif request.source == "comtrade":
            paths = [path for path in [exact.with_suffix(".rows.json")] if path.is_file()]
        elif request.source == "entsoe":
            paths = self._overlapping(request)
        else:
            paths = []
        if not paths:
            raise NotRequested(f"nothing is recorded for {request.source}/{request.name}")
        return [Payload(request, self._read(request, path), self.now) for path in paths]

    def _overlapping(self, request: Request) -> list[Path]:
        """Documents of the requested area whose interval overlaps the requested one."""
        folder = self.root / request.source
        if folder not in self._entsoe:
            found = (self._document(request, path) for path in sorted(folder.glob("*.xml")))
            self._entsoe[folder] = [document for document in found if document]
        query = parse_qs(urlsplit(request.url).query)
        if not {"in_Domain", "periodStart", "periodEnd"} <= set(query):
            return []
        start, end = (_minute(query[name][0]) for name in ("periodStart", "periodEnd"))
        area = query["in_Domain"][0]
        return [d.path for d in self._entsoe[folder] if d.area == area and d.start < end and start < d.end]

    def _document(self, request: Request, path: Path) -> _Document | None:
        head = self._read(request, path)[:HEAD_BYTES]
        interval, area = _INTERVAL.search(head), _AREA.search(head)
        if not interval or not area:
            return None  # an acknowledgement or another document without prices
        try:
            start, end = (datetime.fromisoformat(text.decode("ascii").strip()) for text in interval.groups())
        except ValueError:
            problem = f"{path.name}: the interval {interval.group(0)[:120]!r} cannot be read"
            raise SourceError(request, problem, "two instants such as 2024-10-05T22:00Z") from None
        return _Document(path, area.group(1).decode("ascii", "replace"), start, end)

    def _read(self, request: Request, path: Path) -> bytes:
        relative = path.relative_to(self.root)
        try:
            if not path.resolve(strict=True).is_relative_to(self.root.resolve()):
                problem = f"{relative} is a link to a file outside the replay folder and is not followed"
                raise SourceError(request, problem, "a file inside the folder")
            return path.read_bytes()
        except (OSError, RuntimeError) as error:  # RuntimeError: a link to itself
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise SourceError(request, f"{relative} cannot be read: {reason}", "a readable file") from None


def _minute(text: str) -> datetime:
    return datetime.strptime(text, "%Y%m%d%H%M").replace(tzinfo=UTC)
