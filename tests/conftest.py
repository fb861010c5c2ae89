"""Shared fixtures: where the recorded data and the acceptance fixture are, beside the project."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"


def _folder(path: Path) -> Path:
    if not path.is_dir():
        pytest.skip(f"{path.relative_to(ROOT.parent)} is not beside the project (it may not be redistributed)")
    return path


@pytest.fixture(scope="session")
def real() -> Path:
    """The folder with recorded real payloads and tables."""
    return _folder(SHARED / "real")


@pytest.fixture(scope="session")
def acceptance() -> Path:
    """The folder with the acceptance fixture."""
    return _folder(SHARED / "fixtures" / "acceptance")
