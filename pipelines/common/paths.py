"""Locations of files and folders under the data folder. Nothing is created or opened here."""

from __future__ import annotations

from pathlib import Path

DATABASE = "tightness.duckdb"  # of a release
FORMER_DATABASE = "marts.duckdb"  # before schemas `marts` and `vintages`: docs/readers.md


class DataPaths:
    """Paths under one data folder (`TIGHTNESS_DATA_DIR`)."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.archive = root / "raw"  # payloads and receipts
        self.lake = root / "lake"
        self.lake_record = self.archive / "lake"  # records of the lake's files; with the archive they make it again
        self.quarantine = root / "quarantine"
        self.warehouse = root / "warehouse" / "warehouse.duckdb"  # the private database; the dbt manifest has its name
        self.reference_copies = self.warehouse.with_name("reference")  # reference tables as Parquet, read by dbt
        self.spark = self.warehouse.with_name("spark")  # tables of a build on Spark, until they are imported
        self.reference_tables = self.warehouse.with_name("reference_tables")  # the same as validated, with their types
        self.build_record = self.warehouse.with_name("build.json")  # inputs and result of the last complete build
        self.evaluation = self.warehouse.with_name("evaluation.json")  # what the last evaluation rests on
        self.last_build = self.warehouse.with_name("built_as_of")  # its time, one ISO line
        self.publication = self.warehouse.with_name("publication.json")  # what the current release was made from
        self.failures = self.warehouse.with_name("health")  # the failure log
        self.outbox = self.warehouse.with_name("outbox")  # notifications that are not yet delivered
        self.rate_limits = self.warehouse.with_name("pace")  # shared by all processes
        self.published = root / "published"  # the folder for readers
        self.database = self.published / DATABASE  # the current release
        self.manifest = self.published / "manifest.json"  # of the current release

    @property
    def rooms(self) -> tuple[Path, ...]:
        """The folders that only the product writes."""
        return self.lake, self.archive, self.quarantine, self.warehouse.parent, self.published
