"""Quarantine: rejected rows are stored once, with their origin."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from pipelines.lake.quarantine import KEPT, Quarantine
from pipelines.sources.base import Payload, Request

NOW = datetime(2026, 2, 1, 12, tzinfo=UTC)


def rows(*wheres: str, reason: str = "total_t=-1.0 breaks >= 0") -> pd.DataFrame:
    return pd.DataFrame(
        {
            "dataset": "stocks",
            "source": "westmetall",
            "payload_sha256": "a" * 64,
            "where": list(wheres),
            "raw": '{"total_t": -1.0}',
            "reason": reason,
            "period": "2026-01",
        }
    )


def test_the_same_fault_is_stored_once(tmp_path: Path) -> None:
    quarantine = Quarantine(tmp_path)
    assert quarantine.put("stocks", rows("row 1", "row 2", "row 2"), NOW) == 2
    files = sorted(tmp_path.rglob("*.parquet"))
    assert quarantine.put("stocks", rows("row 2", "row 1"), NOW + timedelta(days=1)) == 0
    assert sorted(tmp_path.rglob("*.parquet")) == files
    assert quarantine.put("stocks", rows("row 2", "row 3"), NOW + timedelta(days=1)) == 1
    kept = quarantine.read("stocks")
    assert kept["where"].tolist() == ["row 1", "row 2", "row 3"]
    assert kept["ingest_ts"].tolist() == [NOW, NOW, NOW + timedelta(days=1)]


@pytest.mark.parametrize("change", [{"source": "drop"}, {"payload_sha256": "b" * 64}, {"reason": "other"}])
def test_another_source_payload_or_reason_is_another_fault(tmp_path: Path, change: dict[str, str]) -> None:
    quarantine = Quarantine(tmp_path)
    quarantine.put("stocks", rows("row 1"), NOW)
    assert quarantine.put("stocks", rows("row 1").assign(**change), NOW) == 1


def test_reading_one_dataset_all_and_none(tmp_path: Path) -> None:
    quarantine = Quarantine(tmp_path)
    assert quarantine.read().empty
    assert quarantine.counts() == {}
    quarantine.put("stocks", rows("row 1", "row 2"), NOW)
    quarantine.put("power", rows("row 1").assign(dataset="power"), NOW)
    assert quarantine.counts() == {"power": 1, "stocks": 2}
    assert quarantine.read("power")["dataset"].tolist() == ["power"]
    assert quarantine.read("rates").empty
    first = quarantine.read("stocks").iloc[0]
    assert (first["raw"], first["reason"], first["period"]) == (
        '{"total_t": -1.0}',
        "total_t=-1.0 breaks >= 0",
        "2026-01",
    )


def test_rows_without_their_place_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="quarantine of stocks: the rows have no where"):
        Quarantine(tmp_path).put("stocks", rows("row 1").drop(columns="where"), NOW)


def refused(body: bytes, day: int, name: str = "page.html") -> Payload:
    return Payload(Request("westmetall", name, "https://example.org"), body, NOW + timedelta(days=day))


def test_only_the_newest_refused_responses_of_a_request_are_kept(tmp_path: Path) -> None:
    """The error page of a bot protection differs each time: one a day must not fill the disk."""
    quarantine = Quarantine(tmp_path)
    other = quarantine.put_payload(refused(b"another request", 0, "other.html"), ["why"])
    for day in range(KEPT + 3):
        quarantine.put_payload(refused(b"wall %d" % day, day), ["no table"])
    kept = [payload.body for payload in quarantine.refused(refused(b"", 0).request, [""])]
    assert kept == [b"wall %d" % day for day in range(3, KEPT + 3)]
    assert (tmp_path / other).read_bytes() == b"another request"
    assert len(list(tmp_path.rglob("*.html"))) == len(list(tmp_path.rglob("*.about.json"))) == KEPT + 1

    before = sorted(tmp_path.rglob("*"))
    quarantine.put_payload(refused(b"wall 9", 99), ["no table"])
    assert sorted(tmp_path.rglob("*")) == before, "the same bytes are stored once"


def test_a_file_that_another_process_has_just_deleted_is_no_error(tmp_path: Path) -> None:
    """A broken link simulates a file that is deleted between listing and reading."""
    quarantine = Quarantine(tmp_path)
    kept = tmp_path / quarantine.put_payload(refused(b"one", 0), ["why"])
    gone = tmp_path / quarantine.put_payload(refused(b"two", 1), ["why"])
    gone.unlink()
    (kept.parent / "0.about.json").symlink_to(tmp_path / "nowhere")
    assert [payload.body for payload in quarantine.refused(refused(b"", 0).request, [""])] == [b"one"]
