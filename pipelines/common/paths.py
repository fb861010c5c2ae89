"""Locations of files and folders under the data folder. Nothing is created or opened here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class DataPaths:
    """Paths under one data folder (`TIGHTNESS_DATA_DIR`)."""

    root: Path

    @property
    def archive(self) -> Path:
        """Archived payloads and receipts."""
        return self.root / "raw"

    @property
    def lake(self) -> Path:
        """Bitemporal Parquet, one folder for each dataset."""
        return self.root / "lake"

    @property
    def quarantine(self) -> Path:
        """Rejected rows and refused responses."""
        return self.root / "quarantine"

    @property
    def warehouse(self) -> Path:
        """The private DuckDB file. Its name is part of the dbt manifest."""
        return self.root / "warehouse" / "warehouse.duckdb"

    @property
    def reference_copies(self) -> Path:
        """Reference tables as Parquet, read by dbt."""
        return self.warehouse.with_name("reference")

    @property
    def build_record(self) -> Path:
        """Inputs and result of the last complete build."""
        return self.warehouse.with_name("build.json")

    @property
    def last_build(self) -> Path:
        """Time of the last build, one ISO line."""
        return self.warehouse.with_name("built_as_of")

    @property
    def plots(self) -> Path:
        """Cached pictures of the tables."""
        return self.warehouse.with_name("plots")

    @property
    def failures(self) -> Path:
        """Failure log, one JSON file for each dataset."""
        return self.warehouse.with_name("health")

    @property
    def outbox(self) -> Path:
        """Notifications that are not yet delivered."""
        return self.warehouse.with_name("outbox")

    @property
    def rate_limits(self) -> Path:
        """State of the rate limits, shared by all processes."""
        return self.warehouse.with_name("pace")

    @property
    def published(self) -> Path:
        """The published folder, read by users."""
        return self.root / "published"

    @property
    def database(self) -> Path:
        """The published DuckDB file of the current release."""
        return self.published / "marts.duckdb"

    @property
    def manifest(self) -> Path:
        """Manifest of the current release."""
        return self.published / "manifest.json"
