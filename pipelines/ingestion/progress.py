"""Progress of a step."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """How far one asset is: requests answered, or months read, of all; rows read so far. It reads itself back."""

    done: int
    total: int
    unit: str
    rows: int = 0

    def __str__(self) -> str:
        return f"{self.unit} {self.done} of {self.total}, rows {self.rows}"

    @classmethod
    def read(cls, text: str) -> Progress | None:
        """The progress that a line of a log speaks of; None when it speaks of something else."""
        found = _PROGRESS.fullmatch(text.strip())
        return cls(int(found[2]), int(found[3]), found[1], int(found[4])) if found else None


_PROGRESS = re.compile(r"(months|requests) (\d+) of (\d+), rows (\d+)")
ProgressCallback = Callable[[Progress], None]


def no_progress(_: Progress) -> None:
    """Nobody wants to know how far it is."""
