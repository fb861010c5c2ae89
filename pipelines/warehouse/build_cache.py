"""Build cache: skip dbt when the inputs of the models are unchanged.

The models depend on the lake's files, the reference tables, the dbt project, and on the clock only at certain moments:
the next decision time, and the next knowledge time of a row that is already stored.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from pipelines.common.files import write_atomically
from pipelines.lake.store import Lake
from pipelines.warehouse.dbt import BuildResult, NodeResult
from pipelines.warehouse.sql import plain_path
from schemas.datasets import DATASETS


@dataclass(frozen=True)
class Record:
    """The last whole build: fingerprint of its inputs, its moment, and until when a new one would be equal."""

    inputs: str
    as_of: str  # ISO, UTC
    holds_until: str  # ISO, UTC
    nodes: list[dict[str, str | int | float]]


def fingerprint(*parts: str) -> str:
    """One hash of all inputs."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def holds_until(lake: Lake, reference: Path, as_of: datetime) -> datetime:
    """The first moment after `as_of` with a new input: the knowledge time of a stored row, or a decision time."""
    moments = [_next_decision(plain_path(reference) / "trading_calendar.parquet", as_of)]
    moments += [lake.next_known(name, as_of) for name in DATASETS]
    return min(moment for moment in moments if moment is not None)


def _next_decision(calendar: Path, after: datetime) -> datetime | None:
    with duckdb.connect() as connection:
        row = connection.execute(
            "select epoch_us(min(as_of_ts)) from read_parquet(?) where epoch_us(as_of_ts) > ? and is_business_day",
            [str(calendar), int(after.timestamp() * 1_000_000)],
        ).fetchone()
    return datetime.fromtimestamp(row[0] / 1_000_000, UTC) if row and row[0] is not None else None


def save(path: Path, inputs: str, as_of: datetime, until: datetime, result: BuildResult) -> None:
    """Store the record of a whole build that succeeded."""
    record = Record(inputs, as_of.isoformat(), until.isoformat(), [asdict(node) for node in result.nodes])
    write_atomically(path, lambda temporary: temporary.write_text(json.dumps(asdict(record))))


def invalidate(path: Path) -> None:
    """Delete the record before a build: until it succeeds, no record describes the warehouse."""
    path.unlink(missing_ok=True)


def load(path: Path, inputs: str, now: datetime) -> BuildResult | None:
    """The results of the last build if it is still valid; None when the models must be built."""
    if not path.is_file():
        return None
    record = Record(**json.loads(path.read_text()))
    valid = datetime.fromisoformat(record.as_of) <= now < datetime.fromisoformat(record.holds_until)
    if record.inputs != inputs or not valid:
        return None
    return BuildResult([NodeResult(**node) for node in record.nodes])  # type: ignore[arg-type]
