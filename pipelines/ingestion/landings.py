"""Record of the drop files that were loaded: a file is pending until all its months are in the lake."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipelines.common.files import read_json, write_json
from pipelines.lake.store import Lake


@dataclass(frozen=True)
class Landing:
    """A loaded content of a drop file. `at`: ISO time (UTC) at which its last months were loaded."""

    sha256: str
    at: str
    rows: int
    left_out: str  # empty rows and columns
    missing: tuple[str, ...]  # YYYY-MM, its months that no run has loaded yet
    stored: tuple[str, ...]  # YYYY-MM, its loaded months of which the lake had rows then


@dataclass(frozen=True)
class Landings:
    """Loaded drop files of a dataset by name, in one JSON file in its folder of the lake."""

    lake: Lake
    dataset: str

    @property
    def path(self) -> Path:
        """The record."""
        return self.lake.root / self.dataset / "_dropped.json"

    def read(self) -> dict[str, Landing]:
        """All loaded files."""
        entries: dict[str, Any] = read_json(self.path)
        return {
            name: Landing(**{**entry, "missing": tuple(entry["missing"]), "stored": tuple(entry["stored"])})
            for name, entry in entries.items()
        }

    def of(self, name: str, sha256: str) -> Landing | None:
        """The record of this content of a file; None when another content, or none, was loaded last."""
        landing = self.read().get(name)
        return landing if landing is not None and landing.sha256 == sha256 else None

    def has_landed(self, name: str, sha256: str) -> bool:
        """Whether all months of this content were loaded, and the lake still has rows of those that it had then."""
        landing = self.of(name, sha256)
        return landing is not None and not self.open_months(landing)

    def open_months(self, landing: Landing) -> list[str]:
        """Months (YYYY-MM) of a file that were not loaded, or of which the lake has lost its rows."""
        return sorted({*landing.missing, *({*landing.stored} - self.stored_months)})

    @property
    def stored_months(self) -> set[str]:
        """Months (YYYY-MM) of which the lake has rows."""
        return set(self.lake.months(self.dataset))

    def update(self, landings: Mapping[str, Landing]) -> None:
        """Record these files. Other files stay."""
        with self.lake.lock(self.dataset):
            write_json(self.path, {name: asdict(landing) for name, landing in {**self.read(), **landings}.items()})
