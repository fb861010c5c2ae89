"""Dagster's log of runs: created by the first process, and its settings kept up to date."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from pipelines.common.settings import PROJECT
from pipelines.orchestration.event_log import BatchedSqliteEventLog
from pipelines.orchestration.instance import open_instance, prepare_home

OURS = (PROJECT / "dagster.yaml").read_text()

# Prints "ready" after its imports, then waits for a line of input and opens the instance.
OPENS = """
import sys
import dagster
from pipelines.orchestration.instance import open_instance
print("ready", flush=True)
sys.stdin.readline()
open_instance()
"""


@pytest.mark.slow
def test_processes_that_start_at_the_same_time_share_one_run_log(tmp_path: Path) -> None:
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
    errors = [process.communicate(timeout=120)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0, 0], errors


OTHER = "event_log_storage:\n  module: dagster_postgres.event_log\n  class: PostgresEventLogStorage\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, OURS),
        (OURS.replace("pipelines.orchestration.event_log", "pipelines.event_log"), OURS),
        (OTHER, OTHER),
    ],
    ids=["no settings", "a module that has moved", "settings of the user"],
)
def test_an_old_copy_of_the_settings_is_replaced_and_settings_of_the_user_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: str | None, after: str
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    if before is not None:
        (tmp_path / "dagster.yaml").write_text(before)
    prepare_home()
    assert (tmp_path / "dagster.yaml").read_text() == after


@pytest.mark.slow
def test_a_home_with_an_old_copy_of_the_settings_can_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    (tmp_path / "dagster.yaml").write_text(OURS.replace("pipelines.orchestration.event_log", "pipelines.event_log"))
    with open_instance() as instance:
        assert isinstance(instance.event_log_storage, BatchedSqliteEventLog)


@pytest.mark.slow
def test_two_data_folders_of_one_clone_share_no_history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    for runs, name in enumerate(("demo", "live [prod]", "demo"), start=1):
        monkeypatch.setenv("TIGHTNESS_DATA_DIR", str(tmp_path / name))
        with open_instance() as instance:
            assert instance.get_runs_count() == runs // 3, f"{name} begins with the history of no other folder"
            assert instance.root_directory == str(tmp_path / name / "instance")
            dg.materialize([dg.asset(lambda: None, name="probe")], instance=instance)
    assert "DAGSTER_HOME" not in os.environ


@pytest.mark.slow
def test_the_command_for_make_ui_prepares_the_instance_and_prints_its_folder(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("DAGSTER_", "TIGHTNESS_"))}
    command = [sys.executable, "-m", "pipelines.orchestration.instance"]

    def call(**more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, env=environment | more, cwd=tmp_path, capture_output=True, text=True, timeout=120
        )

    found = call(TIGHTNESS_DATA_DIR=str(tmp_path / "my data"))
    assert (found.returncode, found.stdout) == (0, f"{tmp_path}/my data/instance\n"), found.stderr
    assert (tmp_path / "my data" / "instance" / "dagster.yaml").read_text() == OURS
    refused = call(DAGSTER_HOME="dagster")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr == "DAGSTER_HOME='dagster' is relative: give an absolute folder\n"
    assert [path.name for path in tmp_path.iterdir()] == ["my data"], "nothing else is written"
