"""Repair of lost lake files: the loads that wrote them are repeated from the archive in a scratch folder, and compared.

A file is replaced only by the same bytes, or by the same rows where another version of the Parquet writer encodes them
differently. So knowledge times, vintage numbers and capture times stay, whatever was loaded since.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.ingestion.drop_folder import drop_payload
from pipelines.ingestion.ledger import Ledger
from pipelines.lake.parquet import rows_sha256
from pipelines.lake.quarantine import Quarantine
from pipelines.lake.record import Entry, Load, file_sha256
from pipelines.lake.store import Damage, Lake
from pipelines.reference import ReferenceDataError, ReferenceTables, load_reference
from pipelines.sources.base import SourceError
from pipelines.transports.archive import Archive, ArchiveAt

if TYPE_CHECKING:
    from pipelines.ingestion.load import Ingestion

SHOWN: Final = 3  # files in a message
ADVICE: Final = (
    "restore lake/, raw/ and published/ of the same day from a backup, or run `tightness repair --accept-loss` to do "
    "without what is lost"
)


class LakeDamageError(Exception):
    """Lake files that are lost and cannot be repaired, described in one line."""


@dataclass(frozen=True)
class Repaired:
    """A damaged file and why it cannot be repaired; empty for one that was, or could be."""

    damage: Damage
    reason: str = ""

    def __str__(self) -> str:
        return f"{self.damage} ({self.reason})" if self.reason else str(self.damage)


def repair(ingestion: Ingestion, name: str, *, dry_run: bool = False) -> list[Repaired]:
    """Find the damaged files of a dataset and write them again. `dry_run` writes nothing to the data folder."""
    lake, released = ingestion.lake, ingestion.released.get(name, ())
    damaged = lake.damage(name, released)
    if not damaged:
        return []
    results = []
    with tempfile.TemporaryDirectory(prefix="tightness-repair-") as scratch:
        replay = _Replay(ingestion, name, lake.entries(name, released), damaged, Path(scratch))
        replay.run()
        for damage in damaged:
            reason = replay.reasons.get(damage.file, "")
            if damage.entry is not None and not reason and not dry_run:
                try:
                    lake.restore(damage, replay.good[damage.file].read_bytes())
                except OSError as error:
                    reason = f"it cannot be written: {error.strerror or error}"
            results.append(Repaired(damage, reason))
    for result in results:
        # A copy is removed last: another copy or the file itself has the rows now.
        damage = result.damage
        original = next((one for one in results if one.damage.file == damage.copy_of), None)
        if damage.entry is None and damage.copy_of and not dry_run and not (original and original.reason):
            (lake.root / name / damage.file).unlink()
    return results


def problem(results: Iterable[Repaired]) -> str:
    """One line that names what cannot be repaired; empty when everything is."""
    left = [str(one) for one in results if one.reason]
    more = f" and {len(left) - SHOWN} more" if len(left) > SHOWN else ""
    return f"the lake is damaged: {'; '.join(left[:SHOWN])}{more}. To go on, {ADVICE}" if left else ""


def accept_loss(ingestion: Ingestion, name: str, results: Sequence[Repaired]) -> None:
    """Record files that cannot be repaired as lost. Their months are read again by the next run, as far as the archive
    has them. What is left of a file goes to quarantine."""
    lake = ingestion.lake
    lost = [one.damage for one in results if one.reason]
    for damage in lost:
        path, target = lake.root / name / damage.file, ingestion.quarantine.root / "lake" / name / damage.file
        if path.exists() or path.is_symlink():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(path, target)
    entries = [damage.entry for damage in lost if damage.entry is not None]
    lake.record(name).append([replace(entry, lost_at=ingestion.now.isoformat()) for entry in entries])
    Ledger(lake.root / name / "_ingested.json").invalidate(entry.month for entry in entries)


def saved_reference(archive: Archive, sha256: str) -> Path:
    """The archive's copy of reference tables."""
    return archive.root / "reference" / sha256[:16]


@dataclass
class _Replay:
    """Makes the lost files of a dataset again, load by load. `good`: where each file is; `reasons`: why one is not."""

    ingestion: Ingestion
    name: str
    entries: dict[str, Entry]
    damaged: list[Damage]
    scratch: Path
    good: dict[str, Path] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)

    def run(self) -> None:
        folder = self.ingestion.lake.root / self.name
        lost = {damage.file: damage.entry for damage in self.damaged if damage.entry is not None}
        self.good = {f: folder / f for f, entry in self.entries.items() if f not in lost and not entry.lost_at}
        self.reasons = {d.file: "the lake has no such file" for d in self.damaged if d.entry is None and not d.copy_of}
        copies = {damage.copy_of: folder / damage.file for damage in self.damaged if damage.copy_of in lost}
        for number, (file, path) in enumerate(copies.items()):  # two files may have been exchanged
            self.good[file] = Path(shutil.copyfile(path, self.scratch / f"copy{number}"))
        loads: list[tuple[Load, list[Entry]]] = []
        for entry in self.entries.values():
            if entry.file not in lost or entry.file in copies:
                continue
            wanted = next((entries for load, entries in loads if load == entry.origin), None)
            if wanted is None:
                loads.append((entry.origin, wanted := []))
            wanted.append(entry)
        for number, (load, wanted) in enumerate(loads):
            self._repeat(load, wanted, self.scratch / str(number))

    def _repeat(self, load: Load, wanted: list[Entry], scratch: Path) -> None:
        lake = Lake(scratch / "lake")
        seeds = self._seed(lake, wanted)
        try:
            failures = self._load(load, lake, sorted({entry.month for entry in wanted}), scratch)
        except (SourceError, ReferenceDataError) as error:
            failures = [str(error)]
        for entry in wanted:
            folder = lake.root / self.name
            made = [path for path in (folder / entry.file).parent.glob("*.parquet") if path not in seeds]
            same = next((path for path in made if _is_same(path, folder, entry)), None)
            if same is not None:
                self.good[entry.file] = same
            else:
                other = "the archive gives other rows: the code or the archive has changed since"
                missing = "the archive has no response of that time"
                self.reasons[entry.file] = "; ".join(failures[:1]) or (other if made else missing)

    def _seed(self, lake: Lake, wanted: list[Entry]) -> set[Path]:
        """Put the files that were there before into the scratch lake: a load compares its rows with them."""
        stop = {entry.file for entry in wanted}
        seeds = set()
        for month in {entry.month for entry in wanted}:
            of_month = [entry for entry in self.entries.values() if entry.month == month]
            before = [e for e in takewhile(lambda entry: entry.file not in stop, of_month) if e.file in self.good]
            for entry in before:
                path = lake.root / self.name / entry.file
                path.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(self.good[entry.file], path)
                seeds.add(path)
            lake.record(self.name).append([replace(e, sha256=file_sha256(self.good[e.file])) for e in before])
        return seeds

    def _load(self, load: Load, lake: Lake, months: list[str], scratch: Path) -> list[str]:
        """Repeat a load as of its time; returns what failed."""
        archive, at = self.ingestion.archive, datetime.fromisoformat(load.at)
        dropped = []
        for file, sha256 in load.dropped.items():
            dropped.append(archive.get(drop_payload(file, b"", at).request, sha256, at))
        reference = self._reference(load)
        repeated = replace(
            self.ingestion,
            lake=lake,
            archive=ArchiveAt(archive.root, datetime.fromisoformat(load.until or load.at)),
            quarantine=Quarantine(scratch / "quarantine"),
            reference=reference,
            scope=reference.scope(tuple(load.metals)),
            now=at,
            use_sources=True,
            released={},
        )
        report = repeated.run(self.name, [pd.Period(month, "M") for month in months], dropped)
        return [failure.message for failure in report.failures]

    def _reference(self, load: Load) -> ReferenceTables:
        """The reference tables of that time; today's where they are lost or no longer valid."""
        now = self.ingestion.reference
        try:
            saved = load_reference(saved_reference(self.ingestion.archive, load.reference or now.sha256))
        except (ReferenceDataError, OSError):
            return now
        return saved if saved.sha256 == load.reference else now


def _is_same(path: Path, folder: Path, entry: Entry) -> bool:
    if path.relative_to(folder).as_posix() == entry.file and entry.matches(file_sha256(path)):
        return True
    table: pa.Table = pq.read_table(path, partitioning=None)
    return bool(entry.rows_sha256) and rows_sha256(table) == entry.rows_sha256
