"""Ledger of ingested months: a month is read again only when its payloads, rules or code changed."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from filelock import FileLock

from pipelines.common.files import read_json, write_json
from pipelines.sources.base import Payload, Request
from pipelines.transports.receipts import Capture


@dataclass(frozen=True)
class Ledger:
    """Digest of the inputs of each ingested month (YYYY-MM) of a dataset, in one JSON file.

    When the file is damaged, every month is read again.
    """

    path: Path

    def changed(self, digests: Mapping[str, str]) -> set[str]:
        """Months whose digest differs from that of their last ingestion."""
        known = read_json(self.path)
        return {month for month, digest in digests.items() if known.get(month) != digest}

    def save(self, digests: Mapping[str, str]) -> None:
        """Record months as ingested. Other months stay."""
        with FileLock(self.path.with_name(".lock")):
            write_json(self.path, {**read_json(self.path), **digests})

    def invalidate(self, months: Iterable[str]) -> None:
        """Remove months, so that they are read again."""
        with FileLock(self.path.with_name(".lock")):
            removed = set(months)
            write_json(
                self.path, {month: digest for month, digest in read_json(self.path).items() if month not in removed}
            )


def month_digests(
    months: Iterable[str],
    captures: Iterable[tuple[Request, Capture, Collection[str]]],
    dropped: Iterable[Payload],
    reference_sha256: str,
) -> dict[str, str]:
    """Digest of the inputs of each month: code, reference tables, drop files, and the captures that name the month."""
    rules = hashlib.sha256((_code_fingerprint() + reference_sha256).encode())
    for payload in dropped:
        rules.update(payload.request.name.encode() + payload.sha256.encode())
    inputs: dict[str, list[str]] = {month: [rules.hexdigest()] for month in months}
    for request, capture, needed in captures:
        refused = f" without {capture.refused}" if capture.refused else ""
        for month in inputs.keys() & needed:
            inputs[month].append(f"{request.name} {capture.sha256}{refused}")
    return {month: hashlib.sha256("\n".join(lines).encode()).hexdigest() for month, lines in inputs.items()}


@lru_cache(maxsize=1)
def _code_fingerprint() -> str:
    """Digest of the code that turns payloads into stored rows."""
    import schemas

    pipelines = Path(__file__).parents[1]
    files = [pipelines / "ingestion" / name for name in ("load.py", "rewrites.py", "timing.py")]
    files += [pipelines / "common" / "calendar.py", pipelines / "transports" / "drop_parser.py"]
    files += [*(pipelines / "sources").glob("*.py"), *(pipelines / "lake").glob("*.py")]
    files += Path(schemas.__file__).parent.rglob("*.py")
    return hashlib.sha256(b"".join(path.read_bytes() for path in sorted(files))).hexdigest()
