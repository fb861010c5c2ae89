"""The folders are those of docs/architecture.md: few modules beside the packages, and each package describes itself."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from pipelines.common.settings import PROJECT

PACKAGES = sorted(path for room in ("pipelines", "schemas") for path in (PROJECT / room).rglob("__init__.py"))


def test_at_most_four_modules_are_beside_the_packages() -> None:
    modules = sorted(path.name for path in (PROJECT / "pipelines").glob("*.py") if path.name != "__init__.py")
    assert len(modules) <= 4, modules


@pytest.mark.parametrize("path", PACKAGES, ids=lambda path: path.parent.relative_to(PROJECT).as_posix())
def test_every_package_has_a_docstring(path: Path) -> None:
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    assert docstring and docstring.strip().endswith("."), "a docstring of whole sentences"
