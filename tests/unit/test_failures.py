"""The failure log of concurrent runs."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipelines.ingestion.failures import Failure, FailureLog


def test_concurrent_records_of_other_months_lose_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log, read = FailureLog(tmp_path), FailureLog.read

    def slowly(self: FailureLog, name: str | None = None) -> list[Failure]:
        found = read(self, name)
        time.sleep(0.05)  # long enough for the others to read the same
        return found

    monkeypatch.setattr(FailureLog, "read", slowly)
    months = [f"2025-{month:02d}" for month in range(1, 7)]
    with ThreadPoolExecutor(len(months)) as pool:
        for noted in [
            pool.submit(log.record, "prices", [month], [Failure("fred", month, (month,), "no response")])
            for month in months
        ]:
            noted.result()
    assert sorted(failure.request for failure in read(log, "prices")) == months
