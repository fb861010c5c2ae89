"""Components of one run, built from the settings. Opened by Dagster's assets and by the command line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path

from pipelines.common.files import write_atomically
from pipelines.common.paths import DataPaths
from pipelines.common.proxies import check_proxies
from pipelines.common.settings import Settings, SettingsError, load_settings
from pipelines.datasets import OPTIONAL_SOURCES
from pipelines.ingestion.drop_folder import drop_payload, read_drop_folder
from pipelines.ingestion.extract import complete_responses
from pipelines.ingestion.failures import Failure, FailureLog
from pipelines.ingestion.load import Ingestion
from pipelines.ingestion.repair import LakeDamageError, Repaired, problem, repair
from pipelines.lake.data_kind import claim_data_kind
from pipelines.lake.quarantine import Quarantine
from pipelines.lake.store import Lake
from pipelines.publish.build_clock import BuildClock
from pipelines.publish.manifest import released_lake_files
from pipelines.reference import ReferenceTables, load_reference
from pipelines.sources import SOURCES
from pipelines.sources.base import Payload, Request, Scope
from pipelines.transports.archive import Archive
from pipelines.transports.base import Transport
from pipelines.transports.factory import make_http_transport, make_transport
from pipelines.warehouse.lock import writer_lock
from schemas.datasets import DATASETS


@dataclass(frozen=True)
class Workspace:
    """Settings, paths and components of one run. Cheap to create: components open on first use."""

    settings: Settings
    metals: tuple[str, ...] = ()  # every metal of the reference tables unless some are named
    record: Path | None = None  # folder for recorded responses, to replay them later

    @classmethod
    def open(cls, metals: tuple[str, ...] = (), record: Path | None = None, **overrides: object) -> Workspace:
        """A workspace of the environment's settings, with overrides. Raises `SettingsError` with one line."""
        settings = load_settings(**overrides)
        if unknown := sorted(settings.enabled_sources - SOURCES.keys()):
            optional = ", ".join(sorted(OPTIONAL_SOURCES))
            raise SettingsError(
                f"TIGHTNESS_OPTIONAL_SOURCES contains {unknown[0]!r}, which is no source: give {optional}"
            )
        _check_demo_metals(settings)
        if settings.profile == "live":
            check_proxies()
        if record is not None and settings.profile != "live":
            raise SettingsError(
                f"--record needs the live profile: the profile is {settings.profile}, which sends no requests. "
                "Add --profile live"
            )
        if record is not None:
            try:
                write_atomically(record / ".written", lambda temporary: temporary.write_text(""))
                (record / ".written").unlink(missing_ok=True)
            except OSError as error:
                problem = f"--record {str(record)!r} cannot be written: {error.strerror or error}"
                raise SettingsError(f"{problem}. Name a folder that can") from None
        return cls(settings, metals, record)

    @cached_property
    def now(self) -> datetime:
        """The clock (UTC), read once a run."""
        return self.settings.clock()

    @cached_property
    def paths(self) -> DataPaths:
        """Locations under the data folder."""
        return DataPaths(self.settings.data)

    @cached_property
    def reference(self) -> ReferenceTables:
        """Validated reference tables, with rows for every metal of the demo market. Raises `ReferenceDataError`."""
        tables = load_reference(self.settings.reference, self.paths.reference_tables)
        if not self.settings.demo:
            return tables
        from pipelines.transports.demo.reference import add_metals

        return add_metals(tables, self.settings.demo)

    def keep_reference(self) -> None:
        """Keep the validated reference tables for later processes. The caller holds the writer lock."""
        with suppress(OSError):  # a folder that cannot be written costs the next processes a validation each
            load_reference(self.settings.reference, self.paths.reference_tables).keep(self.paths.reference_tables)

    @cached_property
    def scope(self) -> Scope:
        """Metals and zones of the run. Raises `ReferenceDataError` for an unknown metal."""
        return self.reference.scope(self.metals or self.settings.demo)

    @cached_property
    def lake(self) -> Lake:
        """The lake, with a schema file for every dataset. Raises `SettingsError` for a lake of the other data kind."""
        claim_data_kind(self.paths.lake, self.paths.lake_record, self.settings)
        lake = self.stored_lake
        lake.ensure(DATASETS)
        return lake

    @property
    def stored_lake(self) -> Lake:
        """The lake as it is, for reading: nothing is created."""
        return Lake(self.paths.lake, records=self.paths.lake_record)

    @cached_property
    def archive(self) -> Archive:
        """Archived payloads."""
        return Archive(self.paths.archive)

    @cached_property
    def quarantine(self) -> Quarantine:
        """Rejected rows and refused responses."""
        return Quarantine(self.paths.quarantine)

    @cached_property
    def failures(self) -> FailureLog:
        """Failures that later runs have not resolved."""
        return FailureLog(self.paths.failures)

    @cached_property
    def build_clock(self) -> BuildClock:
        """The clock, checked against the last build."""
        return BuildClock(self.paths, self.now)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the writer's lock: one process at a time writes the warehouse and the publication."""
        with writer_lock(self.paths.root, self.settings.lock_timeout_s):
            yield

    def transport(self) -> Transport | None:
        """Transport of the profile; None in the drop profile."""
        return make_transport(self.settings, now=self.now, scope=self.scope, archive=self.archive, record=self.record)

    def live_transport(self, attempts: int | None = None) -> Transport:
        """Transport that contacts the publishers, whatever the profile; `attempts` if not the usual number."""
        return make_http_transport(self.settings, self.archive, attempts)

    def is_enabled(self, source: str) -> bool:
        """Whether a source may be contacted: an optional one only where TIGHTNESS_OPTIONAL_SOURCES names it."""
        return source not in OPTIONAL_SOURCES or source in self.settings.enabled_sources

    def fetches(self, source: str) -> bool:
        """Whether a run fetches this source. Only the live profile contacts it."""
        return self.settings.profile != "live" or self.is_enabled(source)

    @cached_property
    def is_complete(self) -> Callable[[Request], bool]:
        """Predicate: whether a backfill may skip a request, because the archive has its complete response.

        A recording is read again each time: that sends no request, and its files may have changed.
        """
        if self.settings.profile == "replay":
            return lambda request: False
        return complete_responses(self.archive, self.reference["release_calendar"], self.now)

    def dropped(self, dataset: str | None = None) -> tuple[list[Payload], list[Failure]]:
        """Payloads of the drop folder (of one dataset, or of all), and a failure for each file that cannot be used.

        The demo profile adds generated drop files.
        """
        payloads, failures = read_drop_folder(
            self.settings.drop, self.now, max_mb=self.settings.drop_max_mb, dataset=dataset
        )
        if self.settings.profile == "demo":
            from pipelines.transports.demo import DemoTransport

            transport = DemoTransport(self.now, self.scope, metals=self.settings.demo)
            for name, body in transport.dropped(dataset).items():
                payloads.append(drop_payload(name, body, self.now))
        return payloads, failures

    def ingestion(self, lake: Lake | None = None) -> Ingestion:
        """The loader of archived payloads into the lake. `lake`: `stored_lake`, where nothing may be created."""
        return Ingestion(
            lake=lake or self.lake,
            archive=self.archive,
            quarantine=self.quarantine,
            reference=self.reference,
            scope=self.scope,
            now=self.now,
            use_sources=self.settings.profile != "drop",
            synthetic=self.settings.synthetic,
            released=released_lake_files(self.paths.published),
        )

    def check_lake(self) -> list[Repaired]:
        """Repair what is damaged in the lake. Raises `LakeDamageError` with one line for what cannot be repaired."""
        ingestion = self.ingestion()
        results = [one for name in DATASETS for one in repair(ingestion, name)]
        if message := problem(results):
            raise LakeDamageError(f"{message}. Nothing is published, the last release stays")
        return results


def _check_demo_metals(settings: Settings) -> None:
    """Raise `SettingsError` for a metal that the demo market does not have."""
    if not settings.demo:
        return
    from pipelines.transports.demo.levels import LME

    if unknown := next((metal for metal in settings.demo if metal not in LME), None):
        raise SettingsError(
            f"TIGHTNESS_DEMO_METALS contains {unknown!r}, which the demo market does not have: "
            f"give one or more of {', '.join(LME)}, separated by commas"
        )
