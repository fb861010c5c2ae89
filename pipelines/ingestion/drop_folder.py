"""Payloads from the drop folder."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from pipelines.datasets import DROP, FEEDS
from pipelines.ingestion.failures import Failure
from pipelines.sources.base import Payload, Request
from pipelines.transports.drop import DropProblem, scan


def read_drop_folder(
    folder: Path, captured_at: datetime, *, max_mb: int, dataset: str | None = None
) -> tuple[list[Payload], list[Failure]]:
    """Payloads of the files of one dataset, or of all, and a failure for each file that cannot be used."""
    payloads, failures = [], []
    for item in scan(folder, [name for name, feed in FEEDS.items() if feed.droppable], max_mb=max_mb):
        if dataset is not None and item.dataset != dataset:
            continue
        if isinstance(item, DropProblem):
            failures.append(Failure(DROP, item.relative, (), item.message))
        else:
            payloads.append(drop_payload(item.relative, item.path.read_bytes(), captured_at))
    return payloads, failures


def drop_payload(name: str, body: bytes, captured_at: datetime) -> Payload:
    """A drop file (`<dataset>/<file>`) as a payload."""
    return Payload(Request(source=DROP, name=name, url="", entity=name.split("/")[0]), body, captured_at)
