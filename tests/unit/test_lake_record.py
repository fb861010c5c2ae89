"""The record of the lake's files: what is found, what is adopted, and what survives crashed and concurrent writers."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow.parquet as pq
import pytest
from lake_rows import observed

from pipelines.common.settings import Settings, SettingsError
from pipelines.lake.data_kind import claim_data_kind
from pipelines.lake.parquet import rows_sha256
from pipelines.lake.record import Entry, FileRecord, Load
from pipelines.lake.store import Lake
from tests.stress.lake_faults import DAMAGE

T1 = datetime(2026, 2, 1, 12, tzinfo=UTC)
T2 = T1 + timedelta(days=1)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Stocks of two months, one of them with a revision: three files of three appends."""
    lake = Lake(tmp_path / "lake")
    lake.ensure()
    lake.append("stocks", observed([("2025-12-30", 1, None)]), ingest_ts=T1)
    lake.append("stocks", observed([("2026-01-05", 2, None)]), ingest_ts=T1)
    lake.append("stocks", observed([("2026-01-05", 3, None)]), ingest_ts=T2)
    assert lake.damage("stocks") == []
    return lake


def files(lake: Lake) -> list[Path]:
    return sorted((lake.root / "stocks").glob("[0-9]*.parquet"))


REMOVED: dict[str, Callable[[Path], object]] = {
    "its dataset removed": lambda path: shutil.rmtree(path.parent),
    "the lake removed": lambda path: shutil.rmtree(path.parents[1]),
}
PROBLEMS = {
    "deleted": "is gone",
    "truncated": "is damaged",
    "emptied": "is damaged",
    "one byte changed": "is damaged",
    "swapped with another": "is damaged",
    "a folder in its place": "cannot be read (Is a directory)",
    "a dangling link in its place": "is gone",
    **dict.fromkeys(REMOVED, "is gone"),
}


@pytest.mark.parametrize("kind", PROBLEMS)
@pytest.mark.parametrize("number", [0, 1, 2])
def test_each_kind_of_damage_is_found_and_names_the_file(lake: Lake, kind: str, number: int) -> None:
    path = files(lake)[number]
    {**DAMAGE, **REMOVED}[kind](path)
    found = {one.file: one.problem for one in lake.damage("stocks")}
    assert found[path.name].startswith(PROBLEMS[kind])
    assert len(found) <= (3 if kind in REMOVED else 2 if kind == "swapped with another" else 1)


def test_a_copy_a_foreign_file_and_a_renamed_one_are_found(lake: Lake) -> None:
    first = files(lake)[0]
    shutil.copy(first, first.with_name("copy of it.parquet"))
    (lake.root / "stocks" / "month=2026-01").mkdir()
    shutil.copy(first, lake.root / "stocks" / "month=2026-01" / first.name)
    pq.write_table(pq.read_table(first), first.with_name("own.parquet"), compression="none")
    problems = [(one.file, one.problem, bool(one.copy_of)) for one in lake.damage("stocks")]
    assert [(name, is_copy) for name, _, is_copy in problems] == [
        ("copy of it.parquet", True), (f"month=2026-01/{first.name}", True), ("own.parquet", False),
    ]  # fmt: skip
    assert problems[0][1] == f"is a copy of {first.name}"


@pytest.mark.parametrize("place", ["prices", "stocks/month=2026-01", "stocks/month=2025-11"])
@pytest.mark.parametrize("has_record", [True, False])
def test_a_file_in_the_folder_of_another_dataset_or_month_is_found_and_not_adopted(
    lake: Lake, place: str, has_record: bool
) -> None:
    """Its name has the hash of its bytes wherever it is."""
    first = files(lake)[0]
    path = lake.root / place / first.name
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(first, path)
    if not has_record:
        lake.record("stocks").path.unlink()
    name = place.partition("/")[0]
    [damage] = lake.damage(name)
    assert damage.file == path.relative_to(lake.root / name).as_posix()
    assert damage.problem.startswith("is a copy of" if name == "stocks" else "has rows of another dataset or month")
    lake.settle(name)
    assert damage.file not in lake.record(name).read()


def test_an_unfinished_file_and_the_file_without_rows_are_no_damage(lake: Lake) -> None:
    (lake.root / "stocks" / ".tmp-abc").write_bytes(b"half")
    assert lake.damage("stocks") == []
    assert {len(lake.damage(name)) for name in ("prices", "fx")} == {0}


# --- whatever way the folder is reached


@pytest.mark.parametrize("moved", ["copied elsewhere", "the lake is a link", "a dataset is a link"])
def test_a_lake_that_is_moved_or_linked_is_the_same_lake(lake: Lake, tmp_path: Path, moved: str) -> None:
    if moved == "copied elsewhere":
        shutil.copytree(tmp_path / "lake", tmp_path / "other" / "lake")
        shutil.copytree(tmp_path / "lake_record", tmp_path / "other" / "lake_record")
        lake = Lake(tmp_path / "other" / "lake")
    else:
        folder = {"the lake": lake.root, "a dataset": lake.root / "stocks"}
        linked = folder[moved.removesuffix(" is a link")]
        linked.rename(tmp_path / "elsewhere")
        linked.symlink_to(tmp_path / "elsewhere")
    lake.ensure()
    assert lake.damage("stocks") == []
    assert len(lake.read("stocks")) == 3
    # The models read the same files.
    with duckdb.connect() as connection:
        query = f"select count(*) from read_parquet('{lake.root}/stocks/*.parquet')"
        assert connection.execute(query).fetchall() == [(3,)]
    [written] = lake.append("stocks", observed([("2025-12-30", 9, None)]), ingest_ts=T2)
    assert written.revised == 1 and lake.damage("stocks") == []
    files(lake)[0].unlink()
    assert len(lake.damage("stocks")) == 1


# --- without a record, or with a part of it


def test_a_lake_without_a_record_is_adopted(lake: Lake) -> None:
    before = lake.record("stocks").read()
    lake.record("stocks").path.unlink()
    assert lake.damage("stocks") == [], "the name of a file holds its hash"
    lake.settle("stocks")
    adopted = lake.record("stocks").read()
    assert {file: (entry.sha256, entry.rows_sha256) for file, entry in adopted.items()} == {
        file: (entry.sha256, entry.rows_sha256) for file, entry in before.items()
    }
    lake.settle("stocks")
    assert lake.record("stocks").read() == adopted
    files(lake)[1].unlink()
    assert [one.problem for one in lake.damage("stocks")] == ["is gone"]


def test_a_damaged_file_is_not_adopted(lake: Lake) -> None:
    lake.record("stocks").path.unlink()
    DAMAGE["one byte changed"](files(lake)[0])
    lake.settle("stocks")
    assert len(lake.record("stocks").read()) == 2
    assert [one.problem for one in lake.damage("stocks")] == ["is not as the lake wrote it: move it out of the lake"]


def test_a_writer_that_was_killed_before_the_line_accuses_nothing_and_loses_nothing(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(self: FileRecord, entries: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(FileRecord, "append", die)
        with pytest.raises(KeyboardInterrupt):
            lake.append("stocks", observed([("2025-12-31", 5, None)]), ingest_ts=T2)
    assert len(files(lake)) == 4 and lake.damage("stocks") == []
    [again] = lake.append("stocks", observed([("2025-12-31", 5, None)]), ingest_ts=T2)
    assert again.path is None
    assert len(lake.record("stocks").read()) == 4, "its line is before those of later appends, as a repair needs it"
    lake.settle("stocks")
    assert len(lake.record("stocks").read()) == 4


def test_half_a_line_is_left_out_and_the_next_line_is_whole(lake: Lake) -> None:
    record = lake.record("stocks")
    lines = record.path.read_bytes()
    record.path.write_bytes(lines[:-20])
    assert len(record.read()) == 2
    lake.settle("stocks")
    assert len(record.read()) == 3 and lake.damage("stocks") == []
    lake.append("stocks", observed([("2025-12-31", 5, None)]), ingest_ts=T2)
    assert len(record.read()) == 4


@pytest.mark.parametrize("line", [b"", b"null", b"[1]", b'{"file": "../x"}', b'{"other": 1}', b"\0\0\0", b"\xff"])
def test_a_line_that_is_no_entry_is_left_out(lake: Lake, line: bytes) -> None:
    record = lake.record("stocks")
    record.path.write_bytes(line + b"\n" + record.path.read_bytes())
    assert len(record.read()) == 3 and lake.damage("stocks") == []


def test_an_entry_is_returned_as_it_was_stored(tmp_path: Path) -> None:
    record = FileRecord(tmp_path / "new" / "stocks.jsonl")
    name = "20260201T120000000000Z-0123abcd.parquet"
    entries = [
        Entry(
            name, "0123abcd" * 8, "b" * 64, Load("2026-02-01T13:00:00+00:00", "", {"stocks/own.csv": "c" * 64}, ("AL",))
        ),
        Entry(name.replace("0123abcd", "99999999"), "9" * 64, months=("2025-12", "2026-01")),
        Entry(name.replace("0123abcd", "88888888"), replaces=(name,), lengths=(3,)),
        Entry(f"month=2026-01/{name}"),
    ]
    assert record.read() == {}
    record.append(entries)
    assert list(record.read().values()) == entries
    assert entries[1].origin == Load("2026-02-01T12:00:00+00:00"), "by its name"
    assert entries[3].months == ("2026-01",)


def test_files_of_the_release_that_the_record_lacks_are_gone(lake: Lake) -> None:
    """A lake and a record that are older than the release."""
    released = [path.name for path in files(lake)]
    last = max(lake.record("stocks").read())
    record = lake.record("stocks").path
    record.write_bytes(b"".join(line + b"\n" for line in record.read_bytes().splitlines() if last.encode() not in line))
    (lake.root / "stocks" / last).unlink()
    assert lake.damage("stocks") == []
    assert [(one.file, one.problem) for one in lake.damage("stocks", released)] == [(last, "is gone")]


def test_the_hash_of_the_rows_does_not_depend_on_how_the_file_is_encoded(lake: Lake, tmp_path: Path) -> None:
    path = files(lake)[0]
    entry = lake.record("stocks").read()[path.name]
    pq.write_table(pq.read_table(path, partitioning=None), tmp_path / "again.parquet", compression="snappy")
    again = pq.read_table(tmp_path / "again.parquet")
    assert again.equals(pq.read_table(path, partitioning=None))
    assert rows_sha256(again) == entry.rows_sha256
    other = again.to_pandas().assign(total_t=lambda rows: rows["total_t"] + 1e-9)
    assert rows_sha256(again.from_pandas(other, schema=again.schema)) != entry.rows_sha256


@pytest.mark.parametrize("damage", ["deleted", "truncated", "swapped with another", "a folder in its place"])
def test_the_file_without_rows_is_written_again(lake: Lake, damage: str) -> None:
    path = lake.root / "stocks" / "_schema.parquet"
    DAMAGE[damage](path)
    lake.ensure(["stocks"])
    assert pq.read_table(path).num_rows == 0
    assert pd.read_parquet(path).columns.tolist() == lake.read("stocks").columns.tolist()


@pytest.mark.parametrize("kind", ["deleted", "emptied", "truncated", "a folder in its place"])
def test_a_lost_mark_of_the_data_kind_is_written_again_and_still_refuses_the_other_kind(
    tmp_path: Path, kind: str
) -> None:
    demo, drop = (Settings(profile=profile, data_dir=tmp_path) for profile in ("demo", "drop"))
    lake, records = tmp_path / "lake", tmp_path / "raw" / "lake"
    claim_data_kind(lake, records, demo)
    DAMAGE[kind](lake / "KIND")
    with pytest.raises(SettingsError, match="provides real data, but TIGHTNESS_DATA_DIR holds synthetic data"):
        claim_data_kind(lake, records, drop)
    claim_data_kind(lake, records, demo)
    assert (lake / "KIND").read_text() == "synthetic\n"
