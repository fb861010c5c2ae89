"""Repair of a damaged lake: the same files from the archive, or a refusal that names what is lost."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from sandbox import Sandbox

from pipelines.ingestion.repair import ADVICE, LakeDamageError, accept_loss, problem, repair
from pipelines.lake import merge, parquet
from tests.former_lake import to_former_layout
from tests.stress.lake_faults import DAMAGE, add_history, lake_bytes, lake_files

MONTHS = ("2025-12", "2026-01")
DATASETS = ["prices", "stocks", "exports"]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Sandbox:
    """Three days of loads, with revised, late, suspect and dropped values. Read only."""
    return add_history(tmp_path_factory.mktemp("made"), MONTHS, DATASETS)


@pytest.fixture
def sandbox(made: Sandbox, tmp_path: Path) -> Sandbox:
    return made.copy(tmp_path / "sandbox")


def in_tiers(names: Iterable[str], fast: Sequence[str]) -> list[object]:
    """Parameters of a test, all but a few of them in the last tier."""
    return [name if name in fast else pytest.param(name, marks=pytest.mark.exhaustive) for name in names]


def file_of(sandbox: Sandbox, dataset: str, number: int = 0) -> Path:
    return [path for path in lake_files(sandbox) if path.parent.name == dataset][number]


def changed(sandbox: Sandbox, months: tuple[str, str] = MONTHS) -> int:
    """Vintages that a further load adds."""
    report = sandbox.ingest(months, DATASETS)
    assert report.failures == []
    return sum(one.new + one.revised for one in report.read.values())


def test_the_history_of_this_test_has_every_kind_of_row(made: Sandbox) -> None:
    rows = {name: made.open().lake.read(name) for name in DATASETS}
    stocks, exports = rows["stocks"], rows["exports"]
    assert set(stocks["source"]) == {"drop", "westmetall", "jin10"}, "the preferred source came later"
    assert stocks[stocks["source"] == "drop"]["vintage_no"].max() == 3
    assert exports["is_suspect"].any()
    prices = rows["prices"].set_index(["obs_date", "vintage_no"])
    assert prices["cash_usd_t"][pd.Timestamp("2026-01-06")].index.tolist() == [1, 2, 3], "revised, and back"
    assert prices["knowledge_basis"][pd.Timestamp("2026-01-05"), 1] == "OBSERVED", "late"
    assert len(lake_files(made)) == 8
    assert not (made.root / "drop" / "stocks" / "own.csv").exists(), "the user has removed it since"


@pytest.mark.parametrize("kind", in_tiers(DAMAGE, fast=("deleted", "one byte changed", "swapped with another")))
def test_a_load_repairs_each_kind_of_damage_with_the_same_bytes(sandbox: Sandbox, kind: str) -> None:
    before = lake_bytes(sandbox)
    DAMAGE[kind](file_of(sandbox, "stocks", 1))
    assert changed(sandbox) == 0
    assert lake_bytes(sandbox) == before


@pytest.mark.parametrize("lost", in_tiers(["lake/stocks", "lake"], fast=("lake/stocks",)))
def test_a_lost_folder_is_made_again_before_a_build(sandbox: Sandbox, lost: str) -> None:
    before = lake_bytes(sandbox)
    shutil.rmtree(sandbox.data / lost)
    assert sandbox.open().check_lake()
    assert lake_bytes(sandbox) == before
    assert changed(sandbox) == 0


def test_files_that_were_moved_or_copied_are_where_they_belong_again(sandbox: Sandbox) -> None:
    before = lake_bytes(sandbox)
    one, other = file_of(sandbox, "stocks", 0), file_of(sandbox, "stocks", 1)
    one.rename(one.with_name("moved by hand.parquet"))
    shutil.copy(other, other.with_name("copy.parquet"))
    shutil.rmtree(sandbox.data / "raw" / "westmetall")
    shutil.rmtree(sandbox.data / "raw" / "drop")
    sandbox.open().check_lake()
    assert lake_bytes(sandbox) == before


def test_a_file_of_an_earlier_load_is_repaired_between_intact_ones(sandbox: Sandbox) -> None:
    """The files of later loads stay: the first vintages are those of the first load, not of the archive now."""
    before = lake_bytes(sandbox)
    for path in lake_files(sandbox):
        if path.name.startswith("20260107"):
            path.unlink()
    sandbox.open().check_lake()
    assert lake_bytes(sandbox) == before


def test_another_parquet_writer_makes_files_with_the_same_rows(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = sandbox.rows(DATASETS)
    names = set(lake_bytes(sandbox))
    for path in lake_files(sandbox):
        path.unlink()
    write = pq.write_table
    monkeypatch.setattr(parquet.pq, "write_table", lambda table, sink, **_: write(table, sink, compression="snappy"))
    sandbox.open().check_lake()
    assert set(lake_bytes(sandbox)) == names
    for name, frame in sandbox.rows(DATASETS).items():
        pd.testing.assert_frame_equal(frame, wanted[name], obj=name)
    assert sandbox.open().check_lake() == [], "the record has the new hashes"


# --- files that replaced others


@pytest.fixture
def merged(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """All files of a dataset but its largest ones replaced by one, and that one with a later file by another one."""
    lake = sandbox.open().lake
    for few in (2, 1):
        monkeypatch.setattr(merge, "MAX_FILES", few)
        monkeypatch.setattr(merge, "MERGED_FILES", 2)
        for name in DATASETS:
            lake.compact(name, lake.appended(name))
    assert len(lake_files(sandbox)) == len(DATASETS)
    return sandbox


def test_a_lost_merged_file_is_made_again_from_the_loads_of_the_files_that_it_replaced(merged: Sandbox) -> None:
    before = lake_bytes(merged)
    for path in lake_files(merged):
        path.unlink()
    assert len(merged.open().check_lake()) == len(DATASETS)
    assert lake_bytes(merged) == before
    assert changed(merged) == 0


def test_a_file_after_a_merged_one_is_repaired_with_the_rows_that_were_stored_before_it(
    made: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The merged file also has rows of later loads."""
    sandbox = made.copy(tmp_path / "sandbox")
    lake = sandbox.open().lake
    monkeypatch.setattr(merge, "MAX_FILES", 1)
    monkeypatch.setattr(merge, "MERGED_FILES", 2)
    between = lake.appended("prices")[1]
    lake.compact("prices", [file for file in lake.appended("prices") if file != between])
    before = lake_bytes(sandbox)
    (sandbox.data / "lake" / "prices" / between).unlink()
    assert [one.reason for one in sandbox.open().check_lake()] == [""]
    assert lake_bytes(sandbox) == before


def test_a_merged_file_whose_loads_are_lost_is_named_and_its_months_are_read_again(merged: Sandbox) -> None:
    no_archive(merged)
    [path] = [path for path in lake_files(merged) if path.parent.name == "prices"]
    path.write_bytes(b"half")
    ingestion = merged.open().ingestion()
    results = repair(ingestion, "prices")
    assert f"prices/{path.name} is damaged" in problem(results) and "the archived payload" in problem(results)
    accept_loss(ingestion, "prices", results)
    ledger = json.loads((merged.data / "lake" / "prices" / "_ingested.json").read_text())
    assert not {*MONTHS} & ledger.keys()
    assert merged.open().check_lake() == []
    assert merged.open().lake.months("prices") == []


def test_rows_that_are_loaded_again_after_a_lost_merged_file_are_watched_again(made: Sandbox, merged: Sandbox) -> None:
    """The file of such a load may have the name of one that the lost file had replaced."""
    first = file_of(made, "prices")
    file_of(merged, "prices").unlink()
    no_archive(merged)
    ingestion = merged.open().ingestion()
    accept_loss(ingestion, "prices", repair(ingestion, "prices"))
    lake = merged.open().lake
    rows = pq.read_table(first).to_pandas(date_as_object=False)
    lake.append("prices", rows.assign(captured_ts=rows["ingest_ts"], explicit_knowledge=False))
    assert lake.present("prices") == lake.appended("prices") == [first.name]
    file_of(merged, "prices").unlink()
    assert [one.file for one in lake.damage("prices")] == [first.name]


def test_a_lake_of_the_former_layout_is_repaired_and_migrated(sandbox: Sandbox) -> None:
    wanted = sandbox.rows(DATASETS)
    files = {name: to_former_layout(sandbox.open().lake, name) for name in DATASETS}
    release(sandbox)
    for name in DATASETS:
        for file in files[name][::2]:
            (sandbox.data / "lake" / name / file).unlink()
    assert len(sandbox.open().check_lake()) == sum(len(files[name][::2]) for name in DATASETS)
    before = lake_bytes(sandbox)
    for again in range(2):
        for name, frame in sandbox.rows(DATASETS).items():
            pd.testing.assert_frame_equal(frame, wanted[name], obj=name)
        assert len(lake_files(sandbox)) == len(DATASETS) and not list(sandbox.data.glob("lake/*/month=*"))
        assert lake_bytes(sandbox) == before
        if not again:
            for path in lake_files(sandbox):
                path.unlink()
            assert len(sandbox.open().check_lake()) == len(DATASETS)
    assert changed(sandbox) == 0


# --- what cannot be repaired


def no_archive(sandbox: Sandbox) -> None:
    for path in (sandbox.data / "raw" / "westmetall").glob("??/*"):
        path.unlink()


def test_what_the_archive_does_not_have_is_named_and_other_datasets_land(sandbox: Sandbox) -> None:
    path = file_of(sandbox, "prices")
    path.unlink()
    no_archive(sandbox)
    later = sandbox.at("2026-01-15T20:00:00Z")
    before = lake_bytes(sandbox)
    report = later.open().ingestion().run("prices", [pd.Period("2026-01", "M")])
    assert report.is_damaged and report.written == []
    [failure] = report.failures
    assert failure.message.startswith(f"the lake is damaged: prices/{path.name} is gone (")
    assert "the archived payload westmetall/" in failure.message and failure.message.endswith(ADVICE)
    assert "\n" not in failure.message
    assert lake_bytes(later) == before, "nothing is compared with a hole"
    later.ingest(("2026-01", "2026-01"), ["exports"])
    with pytest.raises(LakeDamageError, match=r"is gone \(.*Nothing is published, the last release stays$"):
        later.build()


def test_other_rows_are_not_taken_for_the_lost_ones(sandbox: Sandbox) -> None:
    """The release calendar has changed since: with it alone the rows would have other knowledge times."""
    before, path = lake_bytes(sandbox), file_of(sandbox, "prices")
    path.unlink()
    calendar = sandbox.reference() / "release_calendar.csv"
    calendar.write_text(calendar.read_text().replace("09:00", "10:00"))
    sandbox.open().check_lake()
    assert lake_bytes(sandbox) == before, "the archive has the reference tables of that time"
    path.unlink()
    shutil.rmtree(sandbox.data / "raw" / "reference")
    with pytest.raises(LakeDamageError, match="the archive gives other rows"):
        sandbox.open().check_lake()
    assert not path.exists()


def test_a_foreign_file_is_named_and_kept(sandbox: Sandbox) -> None:
    path = file_of(sandbox, "stocks").with_name("own.parquet")
    path.write_bytes(b"anything")
    with pytest.raises(LakeDamageError, match=r"own\.parquet is not as the lake wrote it: move it out of the lake"):
        sandbox.open().check_lake()
    assert path.read_bytes() == b"anything"


def test_a_file_that_comes_back_after_its_loss_was_accepted_is_named(sandbox: Sandbox, made: Sandbox) -> None:
    """Its rows may have been read again since, and would count twice."""
    path = file_of(sandbox, "prices")
    path.unlink()
    no_archive(sandbox)
    ingestion = sandbox.open().ingestion()
    accept_loss(ingestion, "prices", repair(ingestion, "prices"))
    assert sandbox.open().check_lake() == []
    shutil.copyfile(file_of(made, "prices"), path)
    with pytest.raises(LakeDamageError, match=rf"{path.name} is there again after its loss was accepted"):
        sandbox.open().check_lake()
    accept_loss(ingestion, "prices", repair(ingestion, "prices"))
    assert sandbox.open().check_lake() == []
    assert (sandbox.data / "quarantine" / "lake" / "prices" / path.name).is_file()


def test_a_loss_that_is_accepted_is_read_again_as_far_as_the_archive_has_it(sandbox: Sandbox) -> None:
    file_of(sandbox, "stocks", -1).unlink()
    spoiled = file_of(sandbox, "stocks")
    spoiled.write_bytes(b"half")
    for path in (sandbox.data / "raw" / "drop").glob("??/*"):
        path.unlink()
    workspace = sandbox.open()
    ingestion = workspace.ingestion()
    results = repair(ingestion, "stocks")
    assert problem(results)
    accept_loss(ingestion, "stocks", results)
    assert sandbox.open().check_lake() == []
    kept = sandbox.data / "quarantine" / "lake" / "stocks" / spoiled.name
    assert kept.read_bytes() == b"half" or not any(one.reason and one.damage.file == spoiled.name for one in results)
    assert changed(sandbox) > 0, "the months are read again"
    assert sandbox.open().check_lake() == []


# --- older and newer copies


def release(sandbox: Sandbox) -> None:
    """Publish only what a check of the lake reads of a release."""
    folder = sandbox.data / "published" / "releases" / "r"
    folder.mkdir(parents=True)
    lake = sandbox.open().lake
    (folder / "lake.json").write_text(json.dumps({name: lake.present(name) for name in DATASETS}))
    (folder.parents[1] / "manifest.json").write_text('{"release_id": "r", "computed_ts": "2026-01-14T20:00:00+00:00"}')


@pytest.fixture(scope="module")
def day_before(tmp_path_factory: pytest.TempPathFactory) -> Sandbox:
    """The same history but for its last day. Read only."""
    return add_history(tmp_path_factory.mktemp("before"), MONTHS, DATASETS, days=2)


def swap(sandbox: Sandbox, older: Sandbox, *rooms: str) -> None:
    for room in rooms:
        shutil.rmtree(sandbox.data / room)
        shutil.copytree(older.data / room, sandbox.data / room)


def test_a_lake_that_is_a_day_old_is_brought_to_the_record(sandbox: Sandbox, day_before: Sandbox) -> None:
    before = lake_bytes(sandbox)
    release(sandbox)
    swap(sandbox, day_before, "lake")
    assert lake_bytes(sandbox) != before
    assert changed(sandbox) == 0
    assert lake_bytes(sandbox) == before


def test_a_lake_and_archive_older_than_the_release_are_refused(sandbox: Sandbox, day_before: Sandbox) -> None:
    release(sandbox)
    swap(sandbox, day_before, "lake", "raw")
    before = lake_bytes(sandbox)
    with pytest.raises(LakeDamageError, match=r"stocks/20260114.* is gone"):
        sandbox.open().check_lake()
    report = sandbox.at("2026-01-15T20:00:00Z").ingest(MONTHS, ["stocks"])
    assert report.read["stocks"].is_damaged and lake_bytes(sandbox) == before


def test_an_old_copy_of_everything_is_the_state_of_that_day(day_before: Sandbox, tmp_path: Path) -> None:
    sandbox = day_before.copy(tmp_path / "sandbox")
    release(sandbox)
    assert sandbox.open().check_lake() == []
    assert changed(sandbox.at("2026-01-14T20:00:00Z")) > 0


def test_an_archive_that_is_a_day_old_loses_nothing(sandbox: Sandbox, day_before: Sandbox) -> None:
    before = lake_bytes(sandbox)
    release(sandbox)
    swap(sandbox, day_before, "raw")
    assert sandbox.open().check_lake() == [], "the files have the hashes in their names"
    assert lake_bytes(sandbox) == before


# --- the ledger and the record


@pytest.mark.parametrize("state", ["lost", "half"])
def test_a_lost_ledger_is_made_again(sandbox: Sandbox, state: str) -> None:
    before, ledger = lake_bytes(sandbox), sandbox.data / "lake" / "stocks" / "_ingested.json"
    whole = ledger.read_bytes()
    ledger.unlink() if state == "lost" else ledger.write_bytes(whole[:40])
    assert changed(sandbox) == 0
    assert lake_bytes(sandbox) == before
    assert json.loads(ledger.read_text()).keys() == json.loads(whole).keys()


def test_without_a_record_the_ledger_is_not_trusted(sandbox: Sandbox) -> None:
    """Record and files are lost: the months are read again from the archive, with their knowledge times."""
    before = sandbox.open().lake.read("prices").drop(columns=["vintage_no", "is_suspect"])
    shutil.rmtree(sandbox.data / "raw" / "lake")
    for path in (sandbox.data / "lake" / "prices").glob("[0-9]*.parquet"):
        path.unlink()
    assert changed(sandbox) > 0
    pd.testing.assert_frame_equal(sandbox.open().lake.read("prices").drop(columns=["vintage_no", "is_suspect"]), before)
    assert changed(sandbox) == 0


def test_a_lost_record_is_made_again_and_still_repairs(sandbox: Sandbox) -> None:
    """As in a lake of an earlier version: the capture time in the name is when the file was loaded."""
    before = lake_bytes(sandbox)
    shutil.rmtree(sandbox.data / "raw" / "lake")
    assert changed(sandbox) == 0
    for path in [path for path in lake_files(sandbox) if path.parent.name == "prices"]:
        path.unlink()
    sandbox.open().check_lake()
    assert lake_bytes(sandbox) == before


# --- the commands


def test_doctor_and_repair(sandbox: Sandbox) -> None:
    before = lake_bytes(sandbox)
    assert sandbox.call("repair") == (0, ["the lake is whole: every file of its record is there, unchanged"], [])
    path = file_of(sandbox, "prices")
    path.unlink()
    state = tree(sandbox.data)
    code, lines, _ = sandbox.call("doctor", "--json")
    [finding] = [one for one in json.loads("\n".join(lines)) if one["what"] == "lake prices"]
    assert (code, finding["state"]) == (1, "bad")
    assert f"{path.name} is gone: run `tightness repair --dry-run`" in finding["detail"]
    code, lines, _ = sandbox.call("repair", "--dry-run", "--json")
    [about] = json.loads("\n".join(lines))["files"]
    assert (code, about["dataset"], about["problem"], about["result"]) == (0, "prices", "is gone", "would be repaired")
    assert tree(sandbox.data) == state, "nothing is written"
    assert sandbox.call("repair")[0] == 0
    assert lake_bytes(sandbox) == before
    path.unlink()
    no_archive(sandbox)
    code, lines, [message] = sandbox.call("repair")
    assert code == 1 and any("cannot be repaired" in line for line in lines) and path.name in message
    assert sandbox.call("repair", "--dry-run", "--accept-loss")[0] == 2
    code, _, [remedy] = sandbox.call("repair", "--accept-loss")
    assert code == 0 and remedy.endswith(f"is read again by: tightness backfill --from {MONTHS[0]} --to {MONTHS[1]}")
    assert sandbox.call("repair") == (0, ["the lake is whole: every file of its record is there, unchanged"], [])


def tree(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in sorted(folder.rglob("*")) if path.is_file()}
