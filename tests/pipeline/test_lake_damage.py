"""A damaged lake before a whole run: repaired without a revision, or refused with the last release in place."""

from __future__ import annotations

from pathlib import Path

import pytest
from sandbox import Sandbox

from tests.stress.lake_faults import lake_bytes, matrix

pytestmark = pytest.mark.slow


def test_files_removed_by_hand_are_no_revision_and_without_an_archive_nothing_is_published(
    drop_market: Sandbox, tmp_path: Path
) -> None:
    sandbox = drop_market.copy(tmp_path)
    assert sandbox.call("run", "--from", "2026-01")[0] == 0  # with the calendar of the command line
    before, released = lake_bytes(sandbox), sandbox.published()
    for path in (sandbox.data / "lake" / "prices").glob("[0-9]*.parquet"):
        path.unlink()
    code, _, errors = sandbox.call("run", "--from", "2026-01")
    assert any("is repaired from the archive: prices/20" in line for line in errors)
    assert (code, lake_bytes(sandbox), sandbox.published()) == (0, before, released), errors

    [prices] = (sandbox.data / "lake" / "prices").glob("[0-9]*.parquet")
    prices.write_bytes(b"PAR1")
    for path in (sandbox.data / "raw" / "drop").glob("??/*"):
        path.unlink()
    (sandbox.root / "drop" / "prices" / "own.csv").unlink()
    sandbox.drop("stocks/own.csv", "metal,obs_date,total_t\nAL,2026-01-19,450000\n")
    later = sandbox.at("2026-01-21T20:00:00Z")
    code, _, errors = later.call("run", "--from", "2026-01")
    [line] = [line for line in errors if "damaged" in line]
    assert code == 1 and f"prices/{prices.name} is damaged: its bytes have another hash (" in line
    assert "the archived payload drop/" in line and line.endswith("Nothing is published, the last release stays")
    assert sandbox.published() == released
    assert 450_000 in later.open().lake.read("stocks")["total_t"].tolist(), "the other dataset has landed"


@pytest.mark.exhaustive
def test_every_file_damaged_in_every_way_is_repaired_or_refused(tmp_path: Path) -> None:
    counts, faults = matrix(tmp_path)
    assert faults == []
    assert min(counts.values()) > 100 and len(counts) == 3
