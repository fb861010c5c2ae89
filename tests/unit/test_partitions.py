"""The monthly partitions, with the system clock and with a fixed one before, at and after it."""

from __future__ import annotations

from datetime import UTC, datetime

import pandas as pd
import pytest

from pipelines.common.settings import load_settings
from pipelines.orchestration.partitions import monthly


@pytest.mark.parametrize("months_from_now", [None, -130, -1, 0, 1, 40])
def test_partitions_are_the_months_from_2008_to_that_of_the_clock(
    monkeypatch: pytest.MonkeyPatch, months_from_now: int | None
) -> None:
    monkeypatch.delenv("TIGHTNESS_NOW", raising=False)
    clock = pd.Timestamp(datetime.now(UTC)).tz_localize(None).to_period("M") + (months_from_now or 0)
    now = f"{clock}-13T18:00:00Z" if months_from_now is not None else None
    keys = monthly(load_settings(now=now)).get_partition_keys()
    assert keys == [str(month) for month in pd.period_range("2008-01", clock, freq="M")]
