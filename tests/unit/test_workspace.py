"""State that the runs of one data folder share."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sandbox import Sandbox

from pipelines.ingestion.progress import Failure
from pipelines.workspace import Workspace


def test_concurrent_failures_of_different_months_are_all_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = Sandbox(tmp_path, "demo", "2026-01-14T20:00:00Z").open()
    read = Workspace.failures

    def slowly(self: Workspace, part: str | None = None) -> list[Failure]:
        found = read(self, part)
        time.sleep(0.05)  # long enough for the others to read the same
        return found

    monkeypatch.setattr(Workspace, "failures", slowly)
    months = [f"2025-{month:02d}" for month in range(1, 7)]
    with ThreadPoolExecutor(len(months)) as pool:
        for noted in [
            pool.submit(workspace.note_failures, "prices", [month], [Failure("fred", month, (month,), "no answer")])
            for month in months
        ]:
            noted.result()
    assert sorted(failure.request for failure in read(workspace, "prices")) == months
