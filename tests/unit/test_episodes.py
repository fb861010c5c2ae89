"""The figures of an episode, and the skipped run without the tables."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from benchmarks.episodes import effective_rates, figures
from pipelines.common.settings import PROJECT


def test_the_figures_of_an_episode_are_those_of_its_rows() -> None:
    days = pd.to_datetime(["2022-03-01", "2022-03-02", "2022-03-03", "2022-03-04"])
    daily = pd.DataFrame(
        {
            "tightness_index": [80.0, None, 90.0, 70.0],
            "tightness_index_v2": [None, None, 60.0, 62.0],
            "index_pca": float("nan"),
            "cash_3m_spread_usd_t": [5.0, 5.0, -5.0, 0.0],
            "contango_share_of_full_carry": 0.5,
            "stock_days": 4.0,
            "total_t": [700_000.0, 700_000.0, 650_000.0, 690_000.0],
            "cancelled_ratio": float("nan"),
            "regime": ["TIGHT", "TIGHT", "SQUEEZE", "TIGHT"],
            "regime_v2": ["UNKNOWN", "UNKNOWN", "TIGHT", "TIGHT"],
            "quality_flags": ["OK", "MISSING PARTIAL", "OK", "OK"],
        },
        index=days,
    )
    found = dict(figures(daily))
    assert found["days"] == "4, 3 with version 1, 2 with version 2"
    assert found["index, version 2"] == "mean 61, from 60 (2022-03-03) to 62 (2022-03-04)"
    assert found["principal component"] == "none"
    assert found["regime 2, share of days"] == "UNKNOWN 50%, TIGHT 50%"
    assert found["index, version 1"] == "mean 80, from 70 (2022-03-04) to 90 (2022-03-03)"
    assert found["registered stock, kt"] == "mean 685, from 650 (2022-03-03) to 700 (2022-03-01)"
    assert found["cancelled ratio"] == "none"
    assert found["regime 1, share of days"] == "TIGHT 75%, SQUEEZE 25%"
    assert found["flags of version 1, share of days"] == "OK 75%, MISSING PARTIAL 25%"


def test_rates_of_weekends_and_holidays_are_no_observations(tmp_path: Path) -> None:
    rows = "obs_date,effr_pct\n2025-01-17,4.33\n2025-01-18,4.33\n2025-01-20,4.33\n2025-01-21,4.33\n"
    (tmp_path / "effr_daily.csv").write_text(rows)
    assert effective_rates(tmp_path)["obs_date"].tolist() == ["2025-01-17", "2025-01-21"]


@pytest.mark.slow
def test_without_the_tables_nothing_is_done(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.episodes", str(tmp_path / "absent"), str(tmp_path / "out")]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and done.stderr == f"skipped: {tmp_path / 'absent'} is not there\n"
    assert list(tmp_path.iterdir()) == []
