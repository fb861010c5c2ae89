"""Sandboxes: whole runs in separate folders, by function calls in this process or by the command line."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from numbers import Real
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd

from pipelines.common.calendar import FIRST_MONTH, calendar_end, month_of, months_between
from pipelines.common.settings import PROJECT, variable_names
from pipelines.datasets import FEEDS
from pipelines.ingestion.extract import FetchReport, fetch
from pipelines.ingestion.failures import Failure
from pipelines.ingestion.report import IngestReport
from pipelines.publish.release import Release
from pipelines.warehouse.dbt import BuildResult, write_reference
from pipelines.workspace import Workspace
from schemas.reference import PARAMETERS

Months = tuple[str, str]
OURS = ("TIGHTNESS_", "DAGSTER_", "ENTSOE_")
SETTINGS = [name for name in variable_names().values() if name != "DAGSTER_HOME"]


@dataclass(frozen=True)
class Sandbox:
    """A data folder with its own drop, replay and reference folders under `root`, and a fixed clock.

    `first_day` of the trading calendar: a build takes longer the earlier it is. No month before 2008 is stored.
    """

    root: Path
    profile: str
    now: str
    first_day: date = date(2007, 1, 1)

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def database(self) -> Path:
        return self.data / "published" / "tightness.duckdb"

    def at(self, now: str) -> Sandbox:
        """The same folders at another time."""
        return replace(self, now=now)

    def copy(self, root: Path) -> Sandbox:
        """The same content in other folders."""
        shutil.copytree(self.root, root, dirs_exist_ok=True)
        return replace(self, root=root)

    # --- inputs of a run

    def reference(self) -> Path:
        """The sandbox's own copy of the reference tables."""
        folder = self.root / "reference"
        if not folder.is_dir():
            shutil.copytree(PROJECT / "data" / "reference", folder)
        return folder

    def set_parameters(self, **values: float) -> None:
        """Set parameters to other values, for every metal and from the beginning."""
        self._change("parameters", "name", "value", values)
        self.begin_parameters(**{name: "2008-01-01" for name in values if PARAMETERS[name].begins})

    def begin_parameters(self, **days: str) -> None:
        """Set the first days of parameters that begin."""
        self._change("parameters", "name", "valid_from", days)

    def set_max_age(self, **days: int) -> None:
        """Set other age limits for components of the index."""
        self._change("index_components", "indicator", "max_age_days", days)

    def set_rate_chain(self, **first: str) -> None:
        """Set the first observation date (YYYY-MM-DD) from which each rate counts."""
        self._change("rate_chain", "rate_id", "valid_from", first)

    def add_break(self, metric_id: str, break_date: str, valid_from: str) -> None:
        """Add a break of an aluminium series, known from `valid_from` on (ISO days)."""
        path = self.reference() / "series_breaks.csv"
        rows = pd.read_csv(path, dtype=str, keep_default_na=False)
        own = rows.tail(1).assign(
            break_id="OWN", metal="AL", metric_id=metric_id, break_date=break_date, valid_from=valid_from
        )
        pd.concat([rows, own]).to_csv(path, index=False)

    def _change(self, table: str, by: str, column: str, values: Mapping[str, float | str]) -> None:
        path = self.reference() / f"{table}.csv"
        rows = pd.read_csv(path, dtype=str, keep_default_na=False)
        for name, value in values.items():
            assert (rows[by] == name).any(), f"{table}.csv has no {name}"
            rows.loc[rows[by] == name, column] = f"{value}"
        rows.to_csv(path, index=False)

    def drop(self, name: str, content: pd.DataFrame | str | bytes | Path) -> Path:
        """Put a file into the drop folder."""
        return self._put(self.root / "drop" / name, content)

    def drop_month(self, stock: float = 500_000.0) -> None:
        """Put January 2026 of a user's prices and stocks into the drop folder; one stock is for the quarantine."""
        days = pd.bdate_range("2026-01-02", "2026-01-20").strftime("%Y-%m-%d")
        prices = pd.DataFrame({"metal": "AL", "obs_date": days, "cash_usd_t": 3150.0, "m3_usd_t": 3160})
        stocks = pd.DataFrame({"metal": "AL", "obs_date": days, "total_t": stock})
        stocks.loc[3, "total_t"] = -1
        self.drop("prices/own.csv", prices)
        self.drop("stocks/own.csv", stocks)

    def record(self, name: str, content: pd.DataFrame | str | bytes | Path) -> Path:
        """Put a recorded response into the replay folder."""
        return self._put(self.root / "replay" / name, content)

    @staticmethod
    def _put(path: Path, content: pd.DataFrame | str | bytes | Path) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, pd.DataFrame):
            content.to_csv(path, index=False)
        elif isinstance(content, Path):
            shutil.copyfile(content, path)
        else:
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    # --- runs

    def open(self) -> Workspace:
        """The workspace of these folders."""
        replay = self.root / "replay"
        return Workspace.open(
            profile=self.profile,
            data_dir=self.data,
            drop_dir=self.root / "drop",
            reference_dir=self.reference(),
            replay_dir=replay if replay.is_dir() else None,
            now=self.now,
        )

    def ingest(self, months: Months | None = None, datasets: Iterable[str] = FEEDS) -> Ingested:
        """The steps of a run before the models: fetch every source, load every dataset."""
        workspace, datasets = self.open(), list(datasets)
        first, last = months or (FIRST_MONTH, month_of(workspace.now))
        periods, transport = months_between(first, last), workspace.transport()
        fetched = {}
        for name in dict.fromkeys(source for dataset in datasets for source in FEEDS[dataset].sources):
            if transport is not None and workspace.fetches(name):
                fetched[name] = fetch(
                    name,
                    periods,
                    workspace.scope,
                    transport,
                    workspace.archive,
                    workspace.now,
                    quarantine=workspace.quarantine,
                    accepted=workspace.settings.accepted,
                )
        ingestion, read, unusable = workspace.ingestion(), {}, []
        for dataset in datasets:
            dropped, refused = workspace.dropped(dataset) if FEEDS[dataset].droppable else ([], [])
            unusable += refused
            read[dataset] = ingestion.run(dataset, periods, dropped)
        return Ingested(fetched, read, unusable)

    def build(self, select: Sequence[str] = ()) -> BuildResult:
        """Build the models as of the clock. Errors of dbt itself raise; failed models and tests are in the result."""
        from pipelines.orchestration.assets.models import build, selected

        workspace = self.open()
        with workspace.writing():
            return build(workspace, "test", selected(select), self.first_day)

    def check(self, test: str) -> BuildResult:
        """Execute one data test alone."""
        from pipelines.orchestration.assets.models import build, selected

        workspace = self.open()
        with workspace.writing():
            return build(workspace, "test", selected([test]), self.first_day, is_check=True)

    def build_compiled(self) -> None:
        """Build every model from the compiled SQL, without dbt, and run the data tests.

        The tables are those of a build of everything with dbt (tests/pipeline/test_compiled.py) in a third of its time;
        a log of signals that the warehouse has is continued.
        """
        import compiled

        workspace = self.open()
        paths, end = workspace.paths, calendar_end(workspace.now).date()
        with workspace.writing():
            write_reference(workspace.reference, paths.reference_copies, end, self.first_day)
            with compiled.build(
                workspace.lake.root, paths.reference_copies, workspace.now, warehouse=paths.warehouse
            ) as warehouse:
                assert compiled.failing_tests(warehouse) == {}

    def publish(self) -> Release:
        """Publish what the warehouse holds."""
        from pipelines.orchestration.assets.publish import publish_release

        workspace = self.open()
        with workspace.writing():
            return publish_release(workspace)

    def run(self, months: Months | None = None, datasets: Iterable[str] = FEEDS) -> Release:
        """Ingest, build and publish; a model or data test that fails is an assertion."""
        self.ingest(months, datasets)
        result = self.build()
        assert not result.failed, [(node.unique_id, node.message) for node in result.failed]
        return self.publish()

    def run_compiled(self, months: Months | None = None, datasets: Iterable[str] = FEEDS) -> Release:
        """`run` without dbt: for tests of the SQL."""
        self.ingest(months, datasets)
        self.build_compiled()
        return self.publish()

    def call(self, *args: str, **more: str) -> tuple[int, list[str], list[str]]:
        """Run the command line in this process, which is quicker: exit code, lines of standard output and error."""
        from typer.testing import CliRunner

        from pipelines.cli.app import app

        was = Path.cwd()
        os.chdir(self.root)
        try:
            done = CliRunner().invoke(app, list(args), env=_only(self.environment() | more))
        finally:
            os.chdir(was)
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return done.exit_code, done.stdout.splitlines(), done.stderr.splitlines()

    def tightness(self, *args: str, timeout_s: float = 900, **more: str) -> subprocess.CompletedProcess[str]:
        """Run the command line in a process of its own, with the sandbox's environment and `more` variables."""
        return subprocess.run(
            [sys.executable, "-m", "pipelines.cli.app", *args],
            capture_output=True,
            text=True,
            env=self.environment() | more,
            cwd=self.root,
            timeout=timeout_s,  # against a hang, on a busy machine too
        )

    def environment(self) -> dict[str, str]:
        """The environment of a run in these folders; nothing of the caller's settings is in it."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
        replay = self.root / "replay"
        return (
            inherited
            | dict.fromkeys(SETTINGS, "")
            | {  # nothing of a developer's .env either
                "TIGHTNESS_PROFILE": self.profile,
                "TIGHTNESS_NOW": self.now,
                "TIGHTNESS_DATA_DIR": str(self.data),
                "TIGHTNESS_DROP_DIR": str(self.root / "drop"),
                "TIGHTNESS_REFERENCE_DIR": str(self.reference()),
                "TIGHTNESS_REPLAY_DIR": str(replay) if replay.is_dir() else "",
                "DAGSTER_HOME": str(self.root / "dagster"),
                "DAGSTER_EVENT_BATCH_SIZE": "1000",
                "COLUMNS": "200",
                "NO_COLOR": "1",
            }
        )

    # --- results of a run

    def query(self, sql: str, *parameters: object) -> pd.DataFrame:
        """Rows of the published database, instants in UTC."""
        with duckdb.connect(str(self.database), read_only=True) as connection:
            connection.execute("set TimeZone = 'UTC'")
            return connection.sql(sql, params=list(parameters)).to_arrow_table().to_pandas(date_as_object=False)

    def forget_build(self) -> None:
        """Makes the next build run every model, also where nothing has changed."""
        self.open().paths.build_record.unlink()

    def rows(self, datasets: Iterable[str]) -> dict[str, pd.DataFrame]:
        """The rows of these datasets and of the quarantine."""
        workspace = self.open()
        quarantined = workspace.quarantine.read().sort_values("where", ignore_index=True)
        return {name: workspace.lake.read(name) for name in datasets} | {"quarantine": quarantined}

    def published(self) -> dict[str, str]:
        """Every current published file by name, with the hash of its bytes."""
        folder = self.data / "published"
        files = [
            folder / "tightness.duckdb",
            folder / "manifest.json",
            *sorted((folder / "parquet").rglob("*.parquet")),
        ]
        return {file.relative_to(folder).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}

    def stored(self) -> dict[str, tuple[int, int]]:
        """Every file of the lake, archive and quarantine by name, with size and time of its last change (ns)."""
        found = {}
        for room in ("lake", "raw", "quarantine"):
            for path in sorted((self.data / room).rglob("*")):
                if path.is_file() and not path.name.startswith(".") and path.suffix != ".lock":
                    about = path.stat()
                    found[path.relative_to(self.data).as_posix()] = (about.st_size, about.st_mtime_ns)
        return found


@dataclass(frozen=True)
class Ingested:
    """The reports of every source, dataset and file."""

    fetched: dict[str, FetchReport]
    read: dict[str, IngestReport]
    unusable: list[Failure]

    @property
    def failures(self) -> list[Failure]:
        """Everything that failed."""
        reports: list[Any] = [*self.fetched.values(), *self.read.values()]
        return [*(failure for report in reports for failure in report.failures), *self.unusable]


def _only(environment: Mapping[str, str]) -> dict[str, str | None]:
    """An environment for CliRunner: variables of the project that are not named are unset."""
    return dict.fromkeys((name for name in os.environ if name.startswith(OURS)), None) | dict(environment)


def assert_same_rows(found: Mapping[str, pd.DataFrame], wanted: Mapping[str, pd.DataFrame]) -> None:
    """Compare frames by name, whatever their index."""
    assert found.keys() == wanted.keys()
    for name, frame in wanted.items():
        pd.testing.assert_frame_equal(found[name].reset_index(drop=True), frame.reset_index(drop=True), obj=name)


def differences(expected: pd.DataFrame, actual: pd.DataFrame, key: list[str], tolerance: float) -> list[str]:
    """Every cell of `expected` that `actual` lacks: rows by key, numbers within the tolerance, the rest as text.

    A missing value is only equal to a missing one. Rows and columns that only `actual` has are not compared.
    """
    missing = sorted(set(expected) - set(actual))
    if missing:
        return [f"column {name} is missing" for name in missing]
    rows = actual.assign(**{name: actual[name].map(_text) for name in key}).set_index(key)
    wanted = expected.assign(**{name: expected[name].map(_text) for name in key}).set_index(key)
    found = [
        f"{at} is {'missing' if at not in rows.index else 'there twice'}"
        for at in wanted.index[[(rows.index == at).sum() != 1 for at in wanted.index]]
    ]
    if found:
        return found
    for at, row in wanted.iterrows():
        for name, want in row.items():
            have = rows.loc[at, name]
            if not _same(want, have, tolerance):
                found.append(f"{at} {name}: expected {want!r}, found {have!r}")
    return found


def _same(expected: Any, actual: Any, tolerance: float) -> bool:
    if pd.isna(expected) or pd.isna(actual):
        return bool(pd.isna(expected) and pd.isna(actual))
    if isinstance(expected, Real) and not isinstance(actual, str):
        return abs(float(expected) - float(actual)) <= tolerance
    return _text(expected) == _text(actual)


def _text(value: Any) -> str:
    """A value as text in the form of the expected files: days without a time, moments as ISO in UTC."""
    if isinstance(value, pd.Timestamp):
        return value.strftime("%Y-%m-%dT%H:%M:%SZ") if value.tzinfo else value.strftime("%Y-%m-%d")
    return str(value)
