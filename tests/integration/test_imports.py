"""Libraries and files that an import of the package loads, each import in a separate process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.common.settings import PROJECT


def printed(code: str, cwd: Path = PROJECT, **environment: str) -> str:
    """The standard output of a Python program."""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=cwd, env=os.environ | environment
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.slow
def test_sources_import_no_heavy_library() -> None:
    heavy = ["lxml", "openpyxl", "entsoe", "defusedxml", "dagster", "duckdb"]
    assert printed(f"import sys, pipelines.sources; print(*[m for m in {heavy} if m in sys.modules])") == ""


@pytest.mark.slow
def test_the_definitions_load_only_what_they_need(tmp_path: Path) -> None:
    """Loaded a second time: the times of schedules are stored, and no graph of dbt's is made to select all models."""
    code = (
        "import sys; from pipelines.orchestration.definitions import build_defs; "
        "from pipelines.common.settings import load_settings; "
        "build_defs(load_settings(profile='demo')).get_repository_def(); "
        "heavy = {'networkx', 'holidays', 'dbt.graph', 'dbt.cli', 'duckdb', 'scipy', 'statsmodels'}; "
        "print(*sorted(heavy & sys.modules.keys()))"
    )
    stored = "from pipelines.orchestration.automation.timetable import store; store(load_settings(profile='demo'))"
    printed(f"from pipelines.common.settings import load_settings; {stored}", TIGHTNESS_DATA_DIR=str(tmp_path))
    assert printed(code, TIGHTNESS_DATA_DIR=str(tmp_path)) == ""


@pytest.mark.slow
def test_a_process_that_loads_definitions_and_uses_duckdb_ends_without_a_message(tmp_path: Path) -> None:
    code = (
        "from pipelines.orchestration.definitions import build_defs; "
        "from pipelines.common.settings import load_settings; build_defs(load_settings(profile='demo')); "
        "from dbt.adapters.factory import FACTORY; FACTORY.load_plugin('duckdb')"
    )
    environment = os.environ | {"TIGHTNESS_DATA_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=PROJECT, env=environment)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.slow
def test_an_import_reads_neither_settings_nor_files(tmp_path: Path) -> None:
    """An environment that no run accepts must not break an import, nor --help."""
    invalid = {"TIGHTNESS_PROFILE": "nonsense", "TIGHTNESS_NOW": "never", "TIGHTNESS_REFERENCE_DIR": "/nowhere"}
    modules = ("orchestration.definitions", "cli.app", "sources", "transports.http")
    code = f"import {', '.join(f'pipelines.{name}' for name in modules)}; print('imported')"
    assert printed(code, tmp_path, DAGSTER_HOME=str(tmp_path / "none"), **invalid) == "imported"
    assert list(tmp_path.iterdir()) == []
