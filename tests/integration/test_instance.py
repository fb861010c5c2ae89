"""Dagster's log of runs: the first process creates it, also where several start at once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

# Each prints when everything is imported, and opens the instance after a line of input.
OPENS = """
import sys
import dagster
from pipelines.orchestration.instance import open_instance
print("ready", flush=True)
sys.stdin.readline()
open_instance()
"""


@pytest.mark.slow
def test_processes_that_start_at_once_create_one_log_of_runs(tmp_path: Path) -> None:
    environment = os.environ | {"DAGSTER_HOME": str(tmp_path / "dagster")}
    pipe = subprocess.PIPE
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", OPENS], env=environment, stdin=pipe, stdout=pipe, stderr=pipe, text=True
        )
        for _ in range(4)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    said = [process.communicate(timeout=120)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0, 0], said
