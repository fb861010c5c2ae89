"""Repair of lost lake files: the loads that wrote them are repeated from the archive in a scratch folder, and compared.

A file is replaced only by the same bytes, or by the same rows where another version of the Parquet writer encodes them
differently. So knowledge times, vintage numbers and capture times stay, whatever was loaded since. A file that replaced
others is made again from those.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.ingestion.drop_folder import drop_payload
from pipelines.ingestion.ledger import Ledger
from pipelines.lake.merge import write_merged
from pipelines.lake.parquet import write_parquet
from pipelines.lake.quarantine import Quarantine
from pipelines.lake.record import Entry, Load, file_sha256, originals
from pipelines.lake.rows import in_months, rows_hashes
from pipelines.lake.store import Damage, Lake
from pipelines.reference import ReferenceDataError, ReferenceTables, load_reference
from pipelines.sources.base import SourceError
from pipelines.transports.archive import Archive, ArchiveAt

if TYPE_CHECKING:
    from pipelines.ingestion.load import Ingestion

SHOWN: Final = 3  # files in a message
OTHER_ROWS: Final = "the archive gives other rows: the code or the archive has changed since"
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
    damaged, results = lake.damage(name, released), []
    if damaged:
        with tempfile.TemporaryDirectory(prefix="tightness-repair-") as scratch:
            replay = _Replay(ingestion, name, lake.entries(name, released), damaged, Path(scratch))
            replay.run()
            for damage in damaged:
                reason = replay.reasons.get(damage.file, "")
                if damage.entry is not None and not reason and not dry_run:
                    try:
                        lake.restore(damage, replay.made[damage.file].read_bytes())
                    except OSError as error:
                        reason = f"it cannot be written: {error.strerror or error}"
                results.append(Repaired(damage, reason))
    for result in results:
        # A copy is removed last: another copy or the file itself has the rows now.
        damage = result.damage
        original = next((one for one in results if one.damage.file == damage.copy_of), None)
        if damage.entry is None and damage.copy_of and not dry_run and not (original and original.reason):
            (lake.root / name / damage.file).unlink()
    if not dry_run:
        lake.settle(name)
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
    gone = [part for entry in entries for part in _gone(lake.root / name, entry, lake.record(name).read())]
    lake.record(name).append([replace(entry, lost_at=ingestion.now.isoformat()) for entry in gone])
    if all(entry.months for entry in entries):
        Ledger(lake.ledger(name)).invalidate(month for entry in entries for month in entry.months)
    else:  # a file of the release alone
        lake.ledger(name).unlink(missing_ok=True)


def _gone(folder: Path, entry: Entry, known: Mapping[str, Entry]) -> Iterator[Entry]:
    """The entry of a lost file and of those that it had replaced, without the ones that are still there."""
    yield entry
    for part in entry.replaces:
        if part in known and not (folder / part).is_file():
            yield from _gone(folder, known[part], known)


def saved_reference(archive: Archive, sha256: str) -> Path:
    """The archive's copy of reference tables."""
    return archive.root / "reference" / sha256[:16]


@dataclass
class _Replay:
    """Makes the lost files of a dataset again. `made`: where each file is then; `reasons`: why one is not.

    The rows of each append are those of an intact file, or of a part of one, or are made by repeating its load with
    the rows that were stored before it: `rows`, by the file that was appended.
    """

    ingestion: Ingestion
    name: str
    entries: dict[str, Entry]
    damaged: list[Damage]
    scratch: Path
    made: dict[str, Path] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    rows: dict[str, pa.Table] = field(default_factory=dict)

    def run(self) -> None:
        lake = self.ingestion.lake
        folder = lake.root / self.name
        self.reasons = {d.file: "the lake has no such file" for d in self.damaged if d.entry is None and not d.copy_of}
        lost = {damage.file: damage.entry for damage in self.damaged if damage.entry is not None}
        copies = {damage.copy_of: folder / damage.file for damage in self.damaged if damage.copy_of in lost}
        for number, (file, path) in enumerate(copies.items()):  # two files may have been exchanged
            self.made[file] = Path(shutil.copyfile(path, self.scratch / f"copy{number}"))
        # Also files that a lost one has replaced: a killed writer, or an older copy of the lake, has left them.
        for file, entry in self.entries.items():
            path = self.made.get(file, folder / file)
            if path.is_file() and entry.matches(file_sha256(path)):
                self.rows |= lake.tables(self.name, path, file, self.entries)
        wanted = {file: None for one in lost.keys() - copies.keys() for file in originals(one, self.entries)}
        order = [file for file in self.entries if file in wanted and file not in self.rows]
        for number, (load, files) in enumerate(_by_load([self.entries[file] for file in order])):
            self._repeat(load, files, self.scratch / str(number))
        for file in lost.keys() - copies.keys():
            self._make(lost[file])

    def _make(self, entry: Entry) -> None:
        """Write a lost file from the rows of its appends."""
        folder = self.scratch / "made"
        parts = {part: list(originals(part, self.entries)) for part in entry.replaces or (entry.file,)}
        if missing := [file for files in parts.values() for file in files if file not in self.rows]:
            reason = self.reasons.get(missing[0], "the record does not have the files that it replaced")
            self.reasons[entry.file] = reason if missing[0] == entry.file else f"{missing[0]}: {reason}"
            return
        tables = {part: pa.concat_tables([self.rows[file] for file in files]) for part, files in parts.items()}
        if entry.replaces:
            path = write_merged(folder, tables)
        else:
            path = write_parquet(folder, tables[entry.file].combine_chunks(), entry.captured)
        if entry.matches(file_sha256(path)) or entry.rows_sha256 in rows_hashes(self.name, pq.read_table(path)):
            self.made[entry.file] = path
        else:
            self.reasons[entry.file] = OTHER_ROWS

    def _repeat(self, load: Load, wanted: list[Entry], scratch: Path) -> None:
        """Repeat a load, and take the rows of the files that it appended."""
        lake = Lake(scratch / "lake")
        seed = self._seed(lake, wanted)
        months = sorted({month for entry in wanted for month in entry.months})
        try:
            failures = self._load(load, lake, months, scratch)
        except (SourceError, ReferenceDataError) as error:
            failures = [str(error)]
        files = [file for file in lake.present(self.name) if file != seed]
        appended = [lake.tables(self.name, lake.root / self.name / file, file, {})[file] for file in files]
        for entry in wanted:
            parts = [self._part(table, entry) for table in appended]
            same = next((table for table in parts if self._is_same(table, entry)), None)
            if same is not None:
                self.rows[entry.file] = same
            else:
                missing = "the archive has no response of that time"
                self.reasons[entry.file] = "; ".join(failures[:1]) or (OTHER_ROWS if files else missing)

    def _seed(self, lake: Lake, wanted: list[Entry]) -> str:
        """Write the rows that were stored before to one file of the scratch lake: a load compares its rows with them.
        Returns its name."""
        order = {file: number for number, file in enumerate(self.entries)}
        first: dict[str, int] = {}
        for entry in wanted:
            first = {**dict.fromkeys(entry.months, order[entry.file]), **first}
        before = []
        for file, table in self.rows.items():
            months = sorted(month for month, number in first.items() if order.get(file, -1) < number)
            before.append(table.filter(in_months(self.name, months)))
        stored = pa.concat_tables(before) if before else None
        return write_parquet(lake.root / self.name, stored, wanted[0].captured).name if stored else ""

    def _part(self, table: pa.Table, entry: Entry) -> pa.Table:
        """The rows of an append that are in a file: in the former layout those of one month and capture."""
        if not entry.former_month:
            return table
        captured = pc.field("ingest_ts") == pa.scalar(entry.captured, table.schema.field("ingest_ts").type)
        return table.filter(in_months(self.name, entry.months) & captured)

    def _is_same(self, table: pa.Table, entry: Entry) -> bool:
        if entry.rows_sha256:
            return entry.rows_sha256 in rows_hashes(self.name, table)
        return entry.matches(file_sha256(write_parquet(self.scratch / "compared", table, entry.captured)))

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
            chunk_bytes=inf,
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


def _by_load(entries: Iterable[Entry]) -> list[tuple[Load, list[Entry]]]:
    """Files that one load makes again: each alone, but in the former layout, where an append wrote several."""
    loads: list[tuple[Load, list[Entry]]] = []
    for entry in entries:
        former = [
            files for load, files in loads if entry.former_month and files[0].former_month and load == entry.origin
        ]
        if former:
            former[0].append(entry)
        else:
            loads.append((entry.origin, [entry]))
    return loads
