"""Progress of a step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """Progress of one asset: requests answered or months read, out of the total, and rows read so far."""

    done: int
    total: int
    unit: str
    rows: int = 0

    def __str__(self) -> str:
        return f"{self.unit} {self.done} of {self.total}" + (f", {self.rows:,} rows" if self.rows else "")


ProgressCallback = Callable[[Progress], None]


def no_progress(_: Progress) -> None:
    """No-op progress callback."""
