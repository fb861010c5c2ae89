"""Failures of ingestion: what could not be fetched or read, kept until a later run succeeds."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from filelock import FileLock

from pipelines.common.files import write_json


@dataclass(frozen=True)
class Failure:
    """A request or file that could not be fetched or read, and the months (YYYY-MM) that lack its data."""

    source: str
    request: str
    months: tuple[str, ...]
    message: str


@dataclass(frozen=True)
class FailureLog:
    """Current failures by dataset, one JSON file each under `folder`."""

    folder: Path

    def record(self, name: str, months: Collection[str], failures: Sequence[Failure]) -> None:
        """Replace the failures of these months of a dataset. Failures of other months stay."""
        if not failures and not self.read(name):
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self.folder / f".{name}.lock"):  # concurrent runs record other months in the same file
            kept = [
                replace(failure, months=tuple(month for month in failure.months if month not in months))
                for failure in self.read(name)
            ]
            current = [*(failure for failure in kept if failure.months), *failures]
            write_json(self.folder / f"{name}.json", [asdict(failure) for failure in current])

    def read(self, name: str | None = None) -> list[Failure]:
        """Current failures of one dataset, or of all."""
        paths = [self.folder / f"{name}.json"] if name else sorted(self.folder.glob("*.json"))
        return [
            Failure(entry["source"], entry["request"], tuple(entry["months"]), entry["message"])
            for path in paths
            if path.is_file()
            for entry in json.loads(path.read_text())
        ]
