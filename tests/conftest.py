"""Shared fixtures: folders of recorded data, sandboxes that are built once a test run, and the order of the tests."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

os.environ["COLUMNS"] = "200"  # rich reads the width once, when it is first imported

import acceptance as acceptance_fixture
import pytest
from filelock import FileLock
from sandbox import Sandbox

from pipelines.common import settings

settings.ENV_FILE = Path("/nonexistent/.env")  # nothing of a developer's settings

ROOT: Final = Path(__file__).resolve().parents[1]
SHARED: Final = ROOT.parent / "shared"
# Files that take longest, the longest first: a long one at the end leaves the other worker idle.
LONGEST: Final = (
    "test_no_look_ahead", "test_crash", "test_idempotency", "test_interrupted_runs", "test_backfill_runs", "test_disks",
    "test_faults", "test_any_market", "test_replayed_run", "test_claims", "test_automation", "test_postgres",
    "test_real_history", "test_misbehaving_publishers", "test_publish", "test_lake_store", "test_demo_market",
    "test_bad_input", "test_fuzz", "test_releases", "test_inspection", "test_demo_through_parsers",
)  # fmt: skip

Make = Callable[[Path], Sandbox]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put files that take long first."""
    items.sort(key=lambda item: LONGEST.index(item.path.stem) if item.path.stem in LONGEST else len(LONGEST))


# --- data beside the project


def _folder(path: Path) -> Path:
    if not path.is_dir():
        pytest.skip(f"{path.relative_to(ROOT.parent)} is not beside the project (it may not be redistributed)")
    return path


@pytest.fixture(scope="session")
def real() -> Path:
    """The folder with recorded real payloads and tables."""
    return _folder(SHARED / "real")


@pytest.fixture(scope="session")
def cases() -> Path:
    """The folder with cases from public reports."""
    return _folder(SHARED / "cases")


@pytest.fixture(scope="session")
def acceptance() -> Path:
    """The folder with the acceptance fixture."""
    return _folder(SHARED / "fixtures" / "acceptance")


# --- sandboxes, built once a test run. Tests that write take a copy.


@pytest.fixture(scope="session")
def built_once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Make], Sandbox]:
    """Build a sandbox once for all tests of this run, in whichever xdist worker needs it first."""
    base = tmp_path_factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base  # the workers' own folders lie side by side

    def get(name: str, make: Make) -> Sandbox:
        root = base / "shared" / name
        made = root.with_suffix(".made")
        root.parent.mkdir(exist_ok=True)
        with FileLock(root.with_suffix(".lock")):
            if not made.is_file():
                shutil.rmtree(root, ignore_errors=True)  # of a worker that failed
                sandbox = make(root)
                made.write_text(f"{sandbox.profile} {sandbox.now}")
            profile, now = made.read_text().split()
        return Sandbox(root, profile, now)

    return get


@pytest.fixture(scope="session")
def acceptance_market(acceptance: Path, built_once: Callable[[str, Make], Sandbox]) -> Sandbox:
    """The acceptance fixture through the drop folder, built by dbt and published. Read only."""
    return built_once("acceptance", lambda root: acceptance_fixture.publish_market(root, acceptance))


@pytest.fixture(scope="session")
def drop_market(built_once: Callable[[str, Make], Sandbox]) -> Sandbox:
    """A month of a user's prices and stocks, one stock invalid, published at 2026-01-20T20:00Z. Read only."""

    def make(root: Path) -> Sandbox:
        sandbox = Sandbox(root, "drop", "2026-01-20T20:00:00Z")
        sandbox.drop_month()
        sandbox.run(("2026-01", "2026-01"))
        return sandbox

    return built_once("drop_market", make)


@pytest.fixture(scope="session")
def demo_of_months(built_once: Callable[[str, Make], Sandbox]) -> Sandbox:
    """The demo market of 2025-11 and 2025-12, published at 2026-01-14T20:00Z. Read only."""
    return built_once("demo_of_months", lambda root: _demo(root, "2026-01-14T20:00:00Z", ("2025-11", "2025-12")))


@pytest.fixture(scope="session")
def demo_of_a_year(built_once: Callable[[str, Make], Sandbox]) -> Sandbox:
    """The demo market of 2024-10 to 2026-01, published at 2026-01-14T20:00Z. Read only."""
    return built_once("demo_of_a_year", lambda root: _demo(root, "2026-01-14T20:00:00Z", ("2024-10", "2026-01")))


@pytest.fixture(scope="session")
def demo_of_years(built_once: Callable[[str, Make], Sandbox]) -> Sandbox:
    """The demo market of 2021-06 to 2026-02, from compiled SQL, published at 2026-02-16T20:00Z. Read only."""

    def make(root: Path) -> Sandbox:
        sandbox = Sandbox(root, "demo", "2026-02-16T20:00:00Z")
        sandbox.run_compiled(("2021-06", "2026-02"))
        return sandbox

    return built_once("demo_of_years", make)


def _demo(root: Path, now: str, months: tuple[str, str]) -> Sandbox:
    sandbox = Sandbox(root, "demo", now)
    sandbox.run(months)
    return sandbox
