"""The drop folder across runs: which files have landed, are pending or refused, and what `tightness doctor` shows."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from sandbox import Sandbox

from pipelines.cli.doctor import Finding, diagnose
from pipelines.common.calendar import months_between
from pipelines.ingestion.drop_folder import DropState, drop_states
from pipelines.ingestion.landings import Landings
from pipelines.lake.store import Lake

NOW = "2026-01-20T20:00:00Z"
HEADER = "metal,obs_date,total_t\n"
WINTER = ("2025-11", "2026-01")


@pytest.fixture
def sandbox(tmp_path: Path) -> Sandbox:
    return Sandbox(tmp_path, "drop", NOW)


def rows(*days: str) -> str:
    return HEADER + "".join(f"AL,{day},500000\n" for day in days)


def states(sandbox: Sandbox) -> dict[str, DropState]:
    workspace = sandbox.open()
    found = drop_states(workspace.paths, workspace.settings.drop, workspace.now, max_mb=100)
    return {state.relative: state for state in found}


def landings(sandbox: Sandbox) -> Landings:
    return Landings(sandbox.open().lake, "stocks")


@pytest.mark.slow
def test_a_file_is_pending_until_all_its_months_are_loaded(sandbox: Sandbox) -> None:
    path = sandbox.drop("stocks/mine.csv", rows("2025-11-03", "2025-12-01", "2026-01-05"))
    os.utime(path, (0, 0))  # copied with its time
    before = states(sandbox)["stocks/mine.csv"]
    assert before.state == "pending"
    since = pd.Timestamp(path.stat().st_ctime, unit="s")
    assert before.detail == (
        f" since {since:%Y-%m-%d %H:%M} UTC: its rows are not in the lake; `tightness run --from 2025-11 --to 2026-01`"
    )
    for months, missing in (
        (("2026-01", "2026-01"), "2025-11 --to 2025-12"),
        (("2025-12", "2025-12"), "2025-11 --to 2025-11"),
    ):
        sandbox.ingest(months, ["stocks"])
        pending = states(sandbox)["stocks/mine.csv"]
        assert pending.state == "pending"
        assert f"`tightness run --from {missing}`" in pending.detail
    sandbox.ingest(("2025-11", "2025-11"), ["stocks"])
    assert states(sandbox) == {"stocks/mine.csv": DropState("stocks/mine.csv", "landed")}
    assert len(sandbox.open().lake.read("stocks")) == 3


@pytest.mark.slow
def test_whole_files_are_loaded_with_the_months_outside_the_run(sandbox: Sandbox) -> None:
    sandbox.drop("stocks/mine.csv", rows("2024-05-06", "2025-12-01", "2026-01-05"))
    workspace, months = sandbox.open(), months_between("2026-01", "2026-01")
    for whole_files, stored in ((False, 1), (True, 3), (True, 3)):
        workspace.ingestion().run("stocks", months, workspace.dropped("stocks")[0], whole_files=whole_files)
        assert len(workspace.lake.read("stocks")) == stored
    assert states(sandbox)["stocks/mine.csv"].state == "landed"
    sandbox.ingest(("2024-05", "2026-01"), ["stocks"])
    assert len(workspace.lake.read("stocks")) == 3


@pytest.mark.slow
def test_a_load_that_stops_in_between_is_continued(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    sandbox.drop("stocks/mine.csv", rows(*(f"2025-{month:02d}-03" for month in range(1, 13))))
    append, calls = Lake.append, []

    def killed(*arguments: object, **named: object) -> object:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return append(*arguments, **named)  # type: ignore[arg-type]

    workspace = sandbox.open()
    ingestion = replace(workspace.ingestion(), chunk_bytes=100)
    monkeypatch.setattr(Lake, "append", killed)
    with pytest.raises(KeyboardInterrupt):
        ingestion.run("stocks", months_between("2025-01", "2025-12"), workspace.dropped("stocks")[0])
    monkeypatch.undo()
    stored = set(sandbox.open().lake.read("stocks")["obs_date"].dt.strftime("%Y-%m"))
    assert 0 < len(stored) < 12
    [landing] = landings(sandbox).read().values()
    assert set(landing.missing) == {f"2025-{month:02d}" for month in range(1, 13)} - stored
    assert states(sandbox)["stocks/mine.csv"].state == "pending"
    sandbox.ingest(("2025-01", "2025-12"), ["stocks"])
    assert states(sandbox)["stocks/mine.csv"].state == "landed"
    assert len(sandbox.open().lake.read("stocks")) == 12


def test_a_record_that_was_lost_is_made_again_by_the_next_run(sandbox: Sandbox) -> None:
    sandbox.drop("stocks/mine.csv", rows("2025-12-01"))
    sandbox.ingest(WINTER, ["stocks"])
    landings(sandbox).path.unlink()
    assert states(sandbox)["stocks/mine.csv"].state == "pending"
    files = sorted(sandbox.data.rglob("*.parquet"))
    sandbox.ingest(WINTER, ["stocks"])
    assert states(sandbox)["stocks/mine.csv"].state == "landed"
    assert sorted(sandbox.data.rglob("*.parquet")) == files


@pytest.mark.parametrize("gone", ["lake", "lake/stocks", "lake/stocks/[0-9]*.parquet"])
def test_a_file_whose_rows_the_lake_has_lost_is_pending(sandbox: Sandbox, gone: str) -> None:
    sandbox.drop("stocks/mine.csv", rows("2025-12-01", "2026-01-05"))
    sandbox.ingest(WINTER, ["stocks"])
    [path] = sandbox.data.glob(gone)
    path.rename(sandbox.root / "gone")
    assert states(sandbox)["stocks/mine.csv"].state == "pending"


def test_a_file_of_rejected_rows_or_without_rows_has_landed(sandbox: Sandbox) -> None:
    sandbox.drop("stocks/bad.csv", HEADER + "AL,2025-12-01,-1\nAL,1999-01-04,5\nAL,2027-01-04,5\nAL,,5\n")
    sandbox.drop("stocks/none.csv", HEADER)
    sandbox.ingest(WINTER, ["stocks"])
    assert {state.state for state in states(sandbox).values()} == {"landed"}
    assert len(sandbox.open().quarantine.read("stocks")) == 4


def test_a_new_content_is_pending_and_the_same_content_is_not(sandbox: Sandbox) -> None:
    path = sandbox.drop("stocks/mine.csv", rows("2025-12-01"))
    sandbox.ingest(WINTER, ["stocks"])
    path.touch()
    assert states(sandbox)["stocks/mine.csv"].state == "landed"
    path.write_text(rows("2025-12-02"))
    assert states(sandbox)["stocks/mine.csv"].state == "pending"
    path.rename(path.with_name("other.csv"))
    assert states(sandbox)["stocks/other.csv"].state == "pending"


def test_a_refused_file_keeps_no_other_from_landing(sandbox: Sandbox) -> None:
    sandbox.drop("stocks/bad.csv", "metal,what\nAL,1\n")
    sandbox.drop("stocks/good.csv", rows("2025-12-01"))
    assert states(sandbox)["stocks/bad.csv"].state == "refused"
    sandbox.ingest(WINTER, ["stocks"])
    found = states(sandbox)
    assert (found["stocks/bad.csv"].state, found["stocks/good.csv"].state) == ("refused", "landed")
    assert found["stocks/bad.csv"].detail.startswith(": stocks/bad.csv, line 1: 'what' is no column of stocks")


def test_the_same_run_again_writes_no_record(sandbox: Sandbox) -> None:
    sandbox.drop("stocks/mine.csv", rows("2025-12-01"))
    sandbox.ingest(WINTER, ["stocks"])
    path = landings(sandbox).path
    before = path.stat().st_mtime_ns
    sandbox.at("2026-01-21T20:00:00Z").ingest(WINTER, ["stocks"])
    assert path.stat().st_mtime_ns == before
    assert json.loads(path.read_text())["stocks/mine.csv"]["at"] == "2026-01-20T20:00:00Z"


def test_doctor_shows_each_state_and_changes_nothing(sandbox: Sandbox) -> None:
    def found() -> list[Finding]:
        return [finding for finding in diagnose(sandbox.open()) if finding.what.startswith("drop")]

    assert found() == [Finding("drop files", "ok", "none")]
    sandbox.drop(
        "stocks/excel.csv", "\ufeff" + "".join(f"{line},,\r\n" for line in rows("2025-12-01").split()) + ",,,,\r\n"
    )
    sandbox.drop("stocks/bad.csv", rows("01.12.2025"))
    sandbox.drop("stocks/Thumbs.db", "x")
    sandbox.drop("notes.txt", "x")
    for landed in (False, True):
        summary, *each = found()
        assert summary == Finding("drop files", "ok", f"{'1 landed' if landed else '1 pending'}, 2 refused")
        shown = {finding.what: (finding.state, finding.detail) for finding in each}
        assert list(shown) == ["drop notes.txt", "drop stocks/bad.csv", "drop stocks/excel.csv"]
        assert shown["drop notes.txt"][0] == shown["drop stocks/bad.csv"][0] == "bad"
        assert "line 2, column obs_date: '01.12.2025' must be a day" in shown["drop stocks/bad.csv"][1]
        if not landed:
            assert shown["drop stocks/excel.csv"][0] == "warn"
            assert shown["drop stocks/excel.csv"][1].startswith("pending since ")
            assert not sandbox.data.exists()
            sandbox.ingest(WINTER, ["stocks"])
    assert shown["drop stocks/excel.csv"] == (
        "ok",
        "landed 2026-01-20T20:00:00Z, 1 row(s); left out: 1 empty row, 2 empty columns",
    )


def test_doctor_shows_the_last_reason_in_quarantine(sandbox: Sandbox) -> None:
    sandbox.drop("stocks/a.csv", HEADER + "AL,2026-01-05,-1\nAL,2026-01-06,-2\nAL,2026-01-07,500000\n")
    sandbox.drop("rates/a.csv", "obs_date,sofr_pct\n2026-01-05,500\n")
    sandbox.ingest(WINTER, ["stocks", "rates"])
    found = [finding for finding in diagnose(sandbox.open()) if finding.what.startswith("quarantine ")]
    assert [(finding.what, finding.state) for finding in found] == [
        ("quarantine rates", "warn"),
        ("quarantine stocks", "warn"),
    ]
    assert found[0].detail.startswith("1 row(s), the last: drop rates/a.csv, line 2: rate_pct=500.0 breaks <= ")
    assert found[1].detail == "2 row(s), the last: drop stocks/a.csv, line 3: total_t=-2.0 breaks >= 0"


# --- files that change while they are read


def test_a_file_that_changes_while_it_is_read_is_not_loaded(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    path = sandbox.drop("stocks/mine.csv", rows("2025-12-01"))
    read = Path.read_bytes

    def growing(self: Path) -> bytes:
        body = read(self)
        if self == path:
            path.write_bytes(body + b"AL,2025-12-02,500000\n")
        return body

    monkeypatch.setattr(Path, "read_bytes", growing)
    done = sandbox.ingest(WINTER, ["stocks"])
    monkeypatch.undo()
    [failure] = done.failures
    assert failure.message == "stocks/mine.csv changed while it was read; run again when it is complete"
    assert sandbox.open().lake.read("stocks").empty
    assert states(sandbox)["stocks/mine.csv"].state == "pending"


def test_a_file_that_is_removed_meanwhile_is_no_failure(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    path = sandbox.drop("stocks/mine.csv", rows("2025-12-01"))
    read = Path.read_bytes

    def removed(self: Path) -> bytes:
        if self == path:
            path.unlink()
        return read(self)

    monkeypatch.setattr(Path, "read_bytes", removed)
    assert sandbox.ingest(WINTER, ["stocks"]).failures == []
