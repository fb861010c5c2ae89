"""The folders and parts of one run, made from the settings: what Dagster's assets and the command line both open."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property, lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import ClassVar

import pandas as pd
from filelock import FileLock
from pandas import Timestamp

from pipelines.common.calendar import FIRST_MONTH, month_of, months_between
from pipelines.common.files import write_aside, write_json
from pipelines.common.settings import PROJECT, Settings, SettingsError, load_settings
from pipelines.datasets import DROP, FEEDS, OPTIONAL_SOURCES
from pipelines.ingestion.extract import is_whole, last_releases, plan_requests
from pipelines.ingestion.inspection import newest_rows
from pipelines.ingestion.load import Ingestion
from pipelines.ingestion.progress import Failure
from pipelines.lake.quarantine import Quarantine
from pipelines.lake.store import Lake
from pipelines.publish.manifest import read_manifest
from pipelines.reference import ReferenceTables, load_reference
from pipelines.sources.base import Payload, Request, Scope
from pipelines.transports.archive import Archive
from pipelines.transports.base import Transport
from pipelines.transports.drop import DropProblem, scan
from pipelines.transports.factory import make_http_transport, make_transport
from pipelines.warehouse.lock import writer_lock
from schemas.datasets import DATASETS

# Runs may overlap: the one that began first may build last, with a clock that is a little older.
OVERLAP = timedelta(hours=1)


class ClockError(Exception):
    """The clock stands before what has been built already: one line that says by how much and what to do."""


@dataclass(frozen=True)
class Workspace:
    """One run's view of the data folder. Cheap to make; parts open when they are first used."""

    RECENT: ClassVar[int] = 13  # months that sources are compared in; older ones were when they came
    settings: Settings
    metals: tuple[str, ...] = ()  # all of the reference tables unless some are named
    record: Path | None = None  # where what publishers answer is kept for a replay

    @classmethod
    def open(cls, metals: tuple[str, ...] = (), record: Path | None = None, **overrides: object) -> Workspace:
        """From the environment, with overrides. Raises `SettingsError` or `ReferenceError` with one clear line."""
        settings = load_settings(**overrides)
        if record is not None and settings.profile != "live":
            problem = f"--record keeps what publishers answer; the profile is {settings.profile}, which asks none"
            raise SettingsError(f"{problem}: give --profile live")
        if record is not None:
            try:
                write_aside(record / ".written", lambda aside: aside.write_text(""))
                (record / ".written").unlink(missing_ok=True)
            except OSError as error:
                problem = f"--record {str(record)!r} cannot be written: {error.strerror or error}"
                raise SettingsError(f"{problem}. Give a folder that can") from None
        return cls(settings, metals, record)

    @cached_property
    def now(self) -> datetime:
        """The clock, read once a run."""
        return self.settings.clock()

    @cached_property
    def reference(self) -> ReferenceTables:
        """Validated reference tables."""
        return load_reference(self.settings.reference)

    @cached_property
    def scope(self) -> Scope:
        """Metals and zones of the run."""
        return self.reference.scope(self.metals)

    @property
    def warehouse(self) -> Path:
        """The writer's private database. Its name is part of dbt's manifest."""
        return self.settings.data / "warehouse" / "warehouse.duckdb"

    @property
    def reference_copies(self) -> Path:
        """Reference tables as dbt reads them."""
        return self.settings.data / "warehouse" / "reference"

    @property
    def outbox(self) -> Path:
        """Messages that wait for a sink."""
        return self.settings.data / "warehouse" / "outbox"

    @property
    def published(self) -> Path:
        """What readers open."""
        return self.settings.data / "published"

    @cached_property
    def lake(self) -> Lake:
        """The lake, with every dataset's schema file there."""
        self._claim_for_one_kind_of_data()
        lake = Lake(self.settings.data / "lake")
        lake.ensure(DATASETS)
        return lake

    @cached_property
    def archive(self) -> Archive:
        """The archived payloads."""
        return Archive(self.settings.data / "raw")

    @cached_property
    def quarantine(self) -> Quarantine:
        """Rejected rows with their reasons."""
        return Quarantine(self.settings.data / "quarantine")

    def transport(self) -> Transport | None:
        """Transport of the profile; None in the drop profile."""
        return make_transport(self.settings, now=self.now, scope=self.scope, archive=self.archive, record=self.record)

    def live_transport(self, attempts: int | None = None) -> Transport:
        """Transport that contacts the publishers, whatever the profile; `attempts` if not the usual number."""
        return make_http_transport(self.settings, self.archive, attempts)

    def asks(self, source: str) -> bool:
        """Whether a run asks this source."""
        return self.settings.profile != "live" or self.may_ask(source)

    def may_ask(self, source: str) -> bool:
        """Whether the publisher itself may be asked: an optional one only where the user has named it."""
        named = {name.strip() for name in self.settings.optional_sources.split(",")}
        return source not in OPTIONAL_SOURCES or source in named

    def is_answered(self, request: Request) -> bool:
        """Whether a backfill need not ask this: the archive holds the whole answer. A recording is always read anew,
        since that asks nobody, and its files may have been replaced."""
        if self.settings.profile == "replay":
            return False
        if request.source not in self._due:
            months = [str(month) for month in months_between(FIRST_MONTH, month_of(self.now))]
            periods = sorted({*months, *(month[:4] for month in months)})
            self._due[request.source] = last_releases(request.source, periods, self.reference["release_calendar"])
        return is_whole(request, self.archive, self._due[request.source].get(request.period))

    @cached_property
    def _due(self) -> dict[str, dict[str, Timestamp]]:
        return {}

    def dropped(self, dataset: str | None = None) -> tuple[list[Payload], list[Failure]]:
        """The drop folder's files (of one dataset, or all) as payloads, and those that cannot be taken."""
        droppable = [name for name, feed in FEEDS.items() if feed.droppable]
        payloads, failures = [], []
        for item in scan(self.settings.drop, droppable, max_mb=self.settings.drop_max_mb):
            if dataset is not None and item.dataset != dataset:
                continue
            if isinstance(item, DropProblem):
                failures.append(Failure(DROP, item.relative, (), item.message))
            else:
                payloads.append(self._dropped(item.relative, item.path.read_bytes()))
        if self.settings.profile == "demo":
            # What a desk would key in by hand is generated too.
            from pipelines.transports.demo import DemoTransport

            generated = DemoTransport(self.now, self.scope).dropped().items()
            payloads += [self._dropped(name, body) for name, body in generated if dataset in (None, name.split("/")[0])]
        return payloads, failures

    def _dropped(self, name: str, body: bytes) -> Payload:
        return Payload(Request(source=DROP, name=name, url="", entity=name.split("/")[0]), body, self.now)

    def ingestion(self) -> Ingestion:
        """What turns archived payloads into stored observations."""
        return Ingestion(
            lake=self.lake,
            archive=self.archive,
            quarantine=self.quarantine,
            reference=self.reference,
            scope=self.scope,
            now=self.now,
            use_sources=self.settings.profile != "drop",
            synthetic=self.settings.synthetic,
        )

    def answered(self, dataset: str, *sources: str) -> list[pd.DataFrame]:
        """What the last good answers of each of these sources say of a dataset in the last `RECENT` months, as far as
        all of them were asked for the same metal or zone. Frames of the dataset's columns, empty where there is none.
        """
        months = months_between(FIRST_MONTH, month_of(self.now))[-self.RECENT :]
        asked = [list(plan_requests(source, months, self.scope)) for source in sources]
        entities = [{request.entity for request in requests} for requests in asked]
        if not any("" in named for named in entities):  # a file of everything names nobody
            shared = set.intersection(*entities)
            asked = [[request for request in requests if request.entity in shared] for requests in asked]
        return [newest_rows(dataset, requests, self.archive, self.scope) for requests in asked]

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Holds the writer's lock: one process at a time writes the warehouse and the publication."""
        with writer_lock(self.settings.data, self.settings.lock_timeout_s):
            yield

    # --- the clock only goes forward

    @property
    def last_built(self) -> datetime | None:
        """The latest time as of which anything was built or published here."""
        told = [self._built_mark.read_text().strip()] if self._built_mark.is_file() else []
        manifest = read_manifest(self.published / "manifest.json")
        told += [manifest["computed_ts"]] if manifest else []
        return max(map(datetime.fromisoformat, told), default=None)

    def check_clock(self) -> None:
        """Refuses a clock that was set back: what is captured by it would seem to have been known before it was, and a
        publication would take back what is out. Raises `ClockError`."""
        last = self.last_built
        if last is not None and self.now < last - OVERLAP:
            raise ClockError(
                f"the clock says {self.now:%Y-%m-%dT%H:%M:%SZ}, before the last build's {last:%Y-%m-%dT%H:%M:%SZ}: "
                "nothing is asked or written, the last release stays. Set the clock (TIGHTNESS_NOW) right; for a past "
                "moment use `tightness signals --as-of`, or another TIGHTNESS_DATA_DIR"
            )

    def building_as_of(self) -> datetime:
        """The time of a build or publication, never before the last one's. The caller holds the writer's lock."""
        self.check_clock()
        moment = max(self.now, self.last_built or self.now)
        write_aside(self._built_mark, lambda aside: aside.write_text(moment.isoformat() + "\n"))
        return moment

    @property
    def _built_mark(self) -> Path:
        return self.settings.data / "warehouse" / "built_as_of"

    # --- what failed, kept until it is mended

    def note_failures(self, part: str, months: list[str], failures: list[Failure]) -> None:
        """Replaces what is known to be wrong with these months of a dataset; other months stay as they are known."""
        self._health.mkdir(parents=True, exist_ok=True)
        with FileLock(self._health / f".{part}.lock"):  # runs of other months note theirs in the same file
            kept = [
                replace(f, months=tuple(month for month in f.months if month not in months))
                for f in self.failures(part)
            ]
            known = [*(f for f in kept if f.months), *failures]
            write_json(self._health / f"{part}.json", [{**f.__dict__, "months": list(f.months)} for f in known])

    def failures(self, part: str | None = None) -> list[Failure]:
        """What is known to be wrong, by part or altogether."""
        paths = [self._health / f"{part}.json"] if part else sorted(self._health.glob("*.json"))
        return [
            Failure(entry["source"], entry["request"], tuple(entry["months"]), entry["message"])
            for path in paths
            if path.is_file()
            for entry in json.loads(path.read_text())
        ]

    @property
    def _health(self) -> Path:
        return self.settings.data / "warehouse" / "health"

    def _claim_for_one_kind_of_data(self) -> None:
        """Generated and real numbers never meet in one lake."""
        mark = self.settings.data / "lake" / "KIND"
        kind = "synthetic" if self.settings.synthetic else "real"
        if not mark.is_file():
            write_aside(mark, lambda aside: aside.write_text(kind + "\n"))  # half a mark would fit no kind
        held = mark.read_text().strip()
        if held != kind:
            raise SettingsError(
                f"TIGHTNESS_PROFILE={self.settings.profile!r} brings {kind} data, but TIGHTNESS_DATA_DIR holds {held} "
                "data: set another TIGHTNESS_DATA_DIR, or empty this one (make clean)"
            )


@lru_cache(maxsize=1)
def code_version() -> str:
    """Package version and, in a git checkout, the commit."""
    commit = git_commit()
    return version("metal-tightness") + (f"+{commit[:12]}" if commit else "")


@lru_cache(maxsize=1)
def git_commit() -> str | None:
    """The checked-out commit; None outside a git checkout."""
    try:
        done = subprocess.run(
            ["git", "-C", str(PROJECT), "rev-parse", "HEAD"], capture_output=True, text=True, check=True, timeout=10
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def calendar_end(now: datetime) -> datetime:
    """How far the trading calendar must reach: power is known a day ahead, prompts lie three months ahead."""
    return now + timedelta(days=7)
