"""Payloads from the drop folder, and the state of its files: landed, pending or refused."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

from pipelines.common.calendar import FIRST_MONTH, month_of
from pipelines.common.paths import DataPaths
from pipelines.datasets import DROP, FEEDS
from pipelines.ingestion.failures import Failure, FailureLog
from pipelines.ingestion.landings import Landings
from pipelines.lake.store import Lake
from pipelines.sources.base import Payload, Request
from pipelines.transports.drop import DropProblem, read_file, scan
from pipelines.transports.drop_parser import DropError, parse_drop

DROPPABLE: Final = tuple(name for name, feed in FEEDS.items() if feed.droppable)


def read_drop_folder(
    folder: Path, captured_at: datetime, *, max_mb: int, dataset: str | None = None
) -> tuple[list[Payload], list[Failure]]:
    """Payloads of the files of one dataset, or of all, and a failure for each file that cannot be used."""
    payloads, failures = [], []
    for item in scan(folder, DROPPABLE, max_mb=max_mb):
        if dataset is not None and item.dataset != dataset:
            continue
        found = item if isinstance(item, DropProblem) else read_file(item)
        if isinstance(found, DropProblem):
            failures.append(Failure(DROP, item.relative, (), found.message))
        elif found is not None:
            payloads.append(drop_payload(item.relative, found, captured_at))
    return payloads, failures


def drop_payload(name: str, body: bytes, captured_at: datetime) -> Payload:
    """A drop file (`<dataset>/<file>`) as a payload."""
    return Payload(Request(source=DROP, name=name, url="", entity=name.split("/")[0]), body, captured_at)


@dataclass(frozen=True)
class Content:
    """Content of a drop file: its hash and either its first and last month (none without rows), or why it is refused.

    Months that the lake does not cover are left out.
    """

    sha256: str
    months: tuple[str, ...] = ()
    refusal: str = ""


def content_of(dataset: str, relative: str, body: bytes, now: datetime) -> Content:
    """Parse a drop file. `now`: the clock, whose month is the last that the lake covers."""
    sha256 = hashlib.sha256(body).hexdigest()
    try:
        rows = parse_drop(dataset, relative, body).frames[dataset]
    except DropError as error:
        return Content(sha256, refusal=str(error))
    months = rows[FEEDS[dataset].spec.period].dt.strftime("%Y-%m")
    covered = months[(months >= FIRST_MONTH) & (months <= month_of(now))]
    return Content(sha256, (covered.min(), covered.max()) if len(covered) else ())


def refused(problem: DropProblem) -> Content:
    """An entry of the drop folder that is not read. Another reason is another content."""
    return Content(hashlib.sha256(problem.message.encode()).hexdigest(), refusal=problem.message)


def is_pending(paths: DataPaths, dataset: str, relative: str, content: Content) -> bool:
    """Whether a run must still take this content: it has not landed, or no run has reported that it is refused."""
    if content.refusal:
        return Failure(DROP, relative, (), content.refusal) not in FailureLog(paths.failures).read(dataset)
    return not _landings(paths, dataset).has_landed(relative, content.sha256)


@dataclass(frozen=True)
class DropState:
    """State of an entry of the drop folder; `detail` continues it: since when and what to do, or the reason."""

    relative: str
    state: Literal["landed", "pending", "refused"]
    detail: str = ""


def drop_states(paths: DataPaths, folder: Path, now: datetime, *, max_mb: int) -> list[DropState]:
    """States of all entries of the drop folder, by a look at the files and the lake. Changes nothing."""
    states = []
    for item in scan(folder, DROPPABLE, max_mb=max_mb):
        found = item if isinstance(item, DropProblem) else read_file(item)
        if isinstance(found, DropProblem):
            states.append(DropState(item.relative, "refused", f": {found.message}"))
        elif found is not None and item.dataset is not None:
            states.append(_state(paths, folder, item.dataset, item.relative, found, now))
    return states


def _landings(paths: DataPaths, dataset: str) -> Landings:
    return Landings(Lake(paths.lake, records=paths.lake_record), dataset)


def _state(paths: DataPaths, folder: Path, dataset: str, relative: str, body: bytes, now: datetime) -> DropState:
    landings, sha256 = _landings(paths, dataset), hashlib.sha256(body).hexdigest()
    landing = landings.of(relative, sha256)
    if landing is not None and not landings.open_months(landing):
        left_out = f" {landing.at}, {landing.rows} row(s); left out: {landing.left_out}" if landing.left_out else ""
        return DropState(relative, "landed", left_out)
    content = content_of(dataset, relative, body, now)
    if content.refusal:
        return DropState(relative, "refused", f": {content.refusal}")
    since = datetime.fromtimestamp((folder / relative).stat().st_ctime, UTC)
    months = landings.open_months(landing) if landing else content.months
    command = "`tightness run" + (f" --from {months[0]} --to {months[-1]}`" if months else "`")
    return DropState(relative, "pending", f" since {since:%Y-%m-%d %H:%M} UTC: its rows are not in the lake; {command}")
