"""Small files replaced by one, and lakes of the former layout: every vintage stays, whenever a writer is killed."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from lake_rows import observed

from pipelines.lake import merge, store
from pipelines.lake.merge import MAX_FILES, MERGED_FILES
from pipelines.lake.record import FileRecord, Load
from pipelines.lake.store import Lake
from tests.former_lake import copy_lake, to_former_layout

pytestmark = pytest.mark.slow
T0 = datetime(2026, 2, 1, 12, tzinfo=UTC)
YEAR = [(f"{day:%Y-%m-%d}", number, None) for number, day in enumerate(pd.bdate_range("2024-12-02", "2025-12-31"))]


def appended(lake: Lake, number: int, first: int = 0) -> Lake:
    """Appends of a day each, every third with a revision of an earlier day; the very first has a year of days."""
    for n in range(first, first + number):
        rows = YEAR if n == 0 else [(f"{pd.Timestamp('2026-01-01') + pd.Timedelta(days=n):%Y-%m-%d}", n, None)]
        if n % 3 == 2:
            rows = [*rows, ("2025-06-02", n, None), (f"2025-{n % 12 + 1:02d}-03", 7 * n, None)]
        at = T0 + timedelta(days=n)
        lake.append("stocks", observed(rows), ingest_ts=at, load=Load(at.isoformat()))
    return lake


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """One append more than a dataset may have files."""
    lake = Lake(tmp_path / "lake")
    lake.ensure(["stocks"])
    lake.settle("stocks")
    return appended(lake, MAX_FILES + 1)


def names(lake: Lake) -> set[str]:
    return {path.name for path in (lake.root / "stocks").glob("[0-9]*.parquet")}


def by_duckdb(lake: Lake) -> int:
    """Number of rows of the pattern that the models read."""
    pattern = f"{lake.root}/stocks/*.parquet"
    [(count,)] = duckdb.execute(f"select count(*) from read_parquet('{pattern}', union_by_name = true)").fetchall()
    return int(count)


# --- compaction


def test_small_files_are_replaced_by_one_and_every_vintage_stays(lake: Lake) -> None:
    before, files, content = lake.read("stocks"), names(lake), lake.fingerprint()
    lake.compact("stocks", lake.appended("stocks"))
    pd.testing.assert_frame_equal(lake.read("stocks"), before)
    [new] = names(lake) - files
    entry = lake.record("stocks").read()[new]
    assert set(entry.replaces) == files - names(lake) and len(entry.replaces) >= MERGED_FILES
    assert sum(entry.lengths) == pq.read_metadata(lake.root / "stocks" / new).num_rows
    assert lake.present("stocks") == sorted(names(lake))
    assert by_duckdb(lake) == len(before)
    assert lake.damage("stocks") == []
    assert lake.fingerprint() == content, "no other content: nothing is built again"
    largest = max(files, key=lambda file: file not in entry.replaces)
    assert largest in names(lake), "the file with a year of days is not written again"


def test_a_dataset_with_few_files_is_left_as_it_is(tmp_path: Path) -> None:
    lake = appended(Lake(tmp_path / "lake"), MAX_FILES)
    files = names(lake)
    lake.compact("stocks", lake.appended("stocks"))
    assert names(lake) == files


def test_rows_of_each_append_are_found_in_files_that_were_merged_twice(lake: Lake) -> None:
    wanted = {}
    for n in range(MAX_FILES + 1, 60):
        known = lake.record("stocks").read()
        for file in names(lake):
            if not known[file].replaces:
                wanted[file] = pq.read_table(lake.root / "stocks" / file)
        appended(lake, 1, n)
        lake.compact("stocks", lake.appended("stocks"))
    entries = lake.record("stocks").read()
    assert any(entries[part].replaces for entry in entries.values() for part in entry.replaces), "merged twice"
    found = {}
    for file in names(lake):
        found |= lake.tables("stocks", lake.root / "stocks" / file, file, entries)
    assert len(found) == 60
    for file, table in wanted.items():
        assert found[file].equals(table), file


@pytest.mark.exhaustive
def test_a_year_of_daily_appends_leave_few_files_and_copy_each_row_a_few_times(tmp_path: Path) -> None:
    lake, most, copied = Lake(tmp_path / "lake"), 0, 0
    for n in range(250):
        appended(lake, 1, n)
        files = names(lake)
        lake.compact("stocks", lake.appended("stocks"))
        copied += sum(pq.read_metadata(lake.root / "stocks" / file).num_rows for file in names(lake) - files)
        most = max(most, len(names(lake)))
    rows = len(lake.read("stocks"))
    assert most <= MAX_FILES
    assert copied < 6 * rows
    assert rows == by_duckdb(lake)


def test_files_of_one_append_that_is_older_than_a_merge_add_nothing(lake: Lake) -> None:
    lake.compact("stocks", lake.appended("stocks"))
    before = lake.read("stocks")
    appended(lake, MAX_FILES + 1)
    pd.testing.assert_frame_equal(lake.read("stocks"), before)


def test_large_files_are_left_as_they_are_and_a_merged_one_is_no_larger_than_memory_allows(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every third append has three rows, the very first one a year, the others one."""
    monkeypatch.setattr(merge, "MAX_ROWS", 2)
    monkeypatch.setattr(merge, "MAX_MERGED", 12)
    files = names(lake)
    lake.compact("stocks", lake.appended("stocks"))
    assert names(lake) == files, "of more than 16 files, 11 are small"
    appended(lake, 13, MAX_FILES + 1)
    before, files = lake.read("stocks"), names(lake)
    lake.compact("stocks", lake.appended("stocks"))
    [merged] = names(lake) - files
    assert lake.record("stocks").read()[merged].lengths == (1,) * 12
    pd.testing.assert_frame_equal(lake.read("stocks"), before)
    assert lake.damage("stocks") == []


# --- killed at each step


def each_step(monkeypatch: pytest.MonkeyPatch, work: Callable[[], object]) -> int:
    """Run `work` until it is killed before its first change of a file, then before its second one, and so on.

    Returns the number of kills; afterwards `work` has run to its end once.
    """
    changes = [(Path, "replace"), (Path, "unlink"), (Path, "rmdir"), (Path, "touch"), (FileRecord, "append")]
    for kills in range(10_000):
        left = kills

        def stop(original: Callable[..., object]) -> Callable[..., object]:
            def call(*arguments: object, **more: object) -> object:
                nonlocal left
                if left == 0:
                    left = -1
                if left < 0:  # a killed process does nothing more, not even clean up
                    raise KeyboardInterrupt
                left -= 1
                return original(*arguments, **more)

            return call

        with monkeypatch.context() as patch:
            for owner, name in changes:
                patch.setattr(owner, name, stop(getattr(owner, name)))
            try:
                work()
            except KeyboardInterrupt:
                continue
            return kills
    raise AssertionError("it does not end")


def test_a_compaction_that_is_killed_loses_nothing_and_shows_nothing_twice(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, content, attempts = lake.read("stocks"), lake.fingerprint(), []

    def attempt() -> None:
        if attempts:
            check(attempts[-1])
        attempts.append(copy_lake(lake, tmp_path / f"copy{len(attempts)}"))
        attempts[-1].compact("stocks", attempts[-1].appended("stocks"))

    def check(left: Lake) -> None:
        pd.testing.assert_frame_equal(left.read("stocks"), before)
        assert left.damage("stocks") == []
        without = Lake(left.root, records=tmp_path / "no record")
        pd.testing.assert_frame_equal(without.read("stocks"), before)
        try:
            assert by_duckdb(left) == len(before)
        except duckdb.InvalidInputException as error:
            assert "compaction_in_progress" in str(error)
        [again] = left.append("stocks", observed([("2026-01-02", 1, None)]), ingest_ts=T0 + timedelta(days=99))
        assert again.path is None, "known"
        left.settle("stocks")
        assert by_duckdb(left) == len(before)
        assert left.fingerprint() == content
        left.compact("stocks", left.appended("stocks"))
        pd.testing.assert_frame_equal(left.read("stocks"), before)
        assert left.damage("stocks") == [] and by_duckdb(left) == len(before)
        assert len(names(left)) <= MAX_FILES

    with monkeypatch.context() as patch:
        assert each_step(patch, attempt) > MERGED_FILES
    check(attempts[-1])


def test_a_file_that_was_replaced_while_it_was_read_is_read_in_the_other(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, load, calls = lake.read("stocks"), store.load_rows, []

    def overtaken(*arguments: object) -> pd.DataFrame:
        calls.append(arguments)
        if len(calls) == 1:
            lake.compact("stocks", lake.appended("stocks"))
        return load(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(store, "load_rows", overtaken)
    pd.testing.assert_frame_equal(lake.read("stocks"), before)
    assert len(calls) == 2


def test_files_that_were_replaced_while_a_check_read_them_are_no_damage(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, calls = store._read_hash, []

    def overtaken(path: Path) -> tuple[str, str]:
        calls.append(path)
        if len(calls) == 2:
            lake.compact("stocks", lake.appended("stocks"))
        return read(path)

    monkeypatch.setattr(store, "_read_hash", overtaken)
    assert lake.damage("stocks") == []


def test_a_damaged_file_is_not_merged(lake: Lake) -> None:
    files = names(lake)
    body = bytearray((lake.root / "stocks" / max(files)).read_bytes())
    body[100] ^= 1
    (lake.root / "stocks" / max(files)).write_bytes(body)
    lake.compact("stocks", lake.appended("stocks"))
    assert max(files) in names(lake) and len(names(lake)) < len(files)
    assert [one.file for one in lake.damage("stocks")] == [max(files)]


def test_files_of_an_older_copy_are_not_deleted_before_the_merged_one_is_there(lake: Lake, tmp_path: Path) -> None:
    older = copy_lake(lake, tmp_path / "older")
    before = lake.read("stocks")
    lake.compact("stocks", lake.appended("stocks"))
    [merged] = names(lake) - names(older)
    for file in names(older):
        (lake.root / "stocks" / file).write_bytes((older.root / "stocks" / file).read_bytes())
    body = (lake.root / "stocks" / merged).read_bytes()
    for spoiled in (None, b"half"):
        path = lake.root / "stocks" / merged
        path.unlink() if spoiled is None else path.write_bytes(spoiled)
        lake.settle("stocks")
        assert names(older) <= names(lake)
    [damage] = lake.damage("stocks")
    lake.restore(damage, body)
    lake.settle("stocks")
    assert names(lake) == {merged, min(names(older))}
    pd.testing.assert_frame_equal(lake.read("stocks"), before)


def test_a_replaced_file_is_not_restored(lake: Lake) -> None:
    file = max(names(lake))
    body = (lake.root / "stocks" / file).read_bytes()
    (lake.root / "stocks" / file).unlink()
    [damage] = lake.damage("stocks")
    (lake.root / "stocks" / file).write_bytes(body)
    lake.compact("stocks", lake.appended("stocks"))  # by another process, which has repaired it before
    lake.restore(damage, body)
    assert file not in names(lake)


# --- the former layout


@pytest.mark.parametrize("has_record", [True, False])
def test_a_lake_of_the_former_layout_is_read_and_becomes_one_file(lake: Lake, has_record: bool) -> None:
    before = lake.read("stocks")
    (lake.root / "stocks" / "_ingested.json").write_text("{}")
    files = to_former_layout(lake, "stocks", has_record=has_record)
    assert len(files) > 30 and not names(lake)
    pd.testing.assert_frame_equal(lake.read("stocks"), before)
    assert lake.damage("stocks") == []
    lake.ensure(["stocks"])
    lake.settle("stocks")
    pd.testing.assert_frame_equal(lake.read("stocks"), before)
    [file] = names(lake)
    entries = lake.record("stocks").read()
    assert sorted(entries[file].replaces) == sorted(files)
    assert lake.months("stocks") == sorted(before["obs_date"].dt.strftime("%Y-%m").unique())
    assert lake.damage("stocks", files) == [], "files that the release lists"
    assert by_duckdb(lake) == len(before)
    kept = {".lock", "_schema.parquet", file} | ({"_ingested.json"} if has_record else set())
    assert {path.name for path in (lake.root / "stocks").iterdir()} == kept, "the ledger is of no lake without a record"


def test_a_large_lake_of_the_former_layout_becomes_several_files(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    before = lake.read("stocks")
    to_former_layout(lake, "stocks")
    monkeypatch.setattr(merge, "MAX_MERGED", 100)
    lake.settle("stocks")
    sizes = [pq.read_metadata(lake.root / "stocks" / file).num_rows for file in names(lake)]
    assert len(sizes) > 2 and max(sizes) <= 100
    assert lake.damage("stocks") == [] and not list((lake.root / "stocks").glob("*/"))
    pd.testing.assert_frame_equal(lake.read("stocks"), before)


def test_a_lake_of_the_former_layout_grows_without_being_migrated(lake: Lake) -> None:
    before = lake.read("stocks")
    to_former_layout(lake, "stocks")
    appended(lake, MAX_FILES + 1)
    pd.testing.assert_frame_equal(lake.read("stocks"), before)
    appended(lake, 1, MAX_FILES + 1)
    assert len(lake.read("stocks")) > len(before)
    lake.settle("stocks")
    assert len(lake.read("stocks")) == by_duckdb(lake) > len(before)


def test_a_migration_that_is_killed_loses_nothing_and_shows_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = appended(Lake(tmp_path / "lake"), 4, first=1)
    before, attempts = lake.read("stocks"), []
    files = to_former_layout(lake, "stocks")

    def attempt() -> None:
        if attempts:
            check(attempts[-1])
        attempts.append(copy_lake(lake, tmp_path / f"copy{len(attempts)}"))
        attempts[-1].settle("stocks")

    def check(left: Lake) -> None:
        pd.testing.assert_frame_equal(left.read("stocks"), before)
        assert left.damage("stocks", files) == []
        left.settle("stocks")
        left.ensure(["stocks"])
        pd.testing.assert_frame_equal(left.read("stocks"), before)
        assert left.damage("stocks", files) == [] and by_duckdb(left) == len(before)
        assert len(names(left)) == 1 and not list((left.root / "stocks").glob("month=*"))

    with monkeypatch.context() as patch:
        assert each_step(patch, attempt) > len(files)
    check(attempts[-1])


@pytest.mark.parametrize("work", ["read", "damage", "ensure", "months"])
def test_a_migration_by_another_process_while_the_folders_are_listed(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, work: str
) -> None:
    before, months = lake.read("stocks"), lake.months("stocks")
    to_former_layout(lake, "stocks")
    scandir, calls = os.scandir, []

    def overtaken(path: str) -> Iterator[os.DirEntry[str]]:
        if "month=" in str(path) and not calls:
            calls.append(path)
            lake.settle("stocks")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", overtaken)
    if work == "read":
        pd.testing.assert_frame_equal(lake.read("stocks"), before)
    elif work == "ensure":
        lake.ensure(["stocks"])
    else:
        assert getattr(lake, work)("stocks") == {"damage": [], "months": months}[work]
    assert calls


def test_damaged_and_foreign_files_of_the_former_layout_stay_and_are_named(lake: Lake) -> None:
    files = to_former_layout(lake, "stocks")
    (lake.root / "stocks" / files[0]).write_bytes(b"half")
    (lake.root / "stocks" / files[1]).unlink()
    own = (lake.root / "stocks" / files[2]).with_name("own.parquet")
    own.write_bytes(b"anything")
    lake.settle("stocks")
    foreign = own.relative_to(lake.root / "stocks").as_posix()
    assert {one.file for one in lake.damage("stocks")} == {files[0], files[1], foreign}
    [merged] = names(lake)
    assert set(lake.record("stocks").read()[merged].replaces) == set(files[2:])


def test_a_month_that_is_a_link_to_another_disk_is_migrated(lake: Lake, tmp_path: Path) -> None:
    before = lake.read("stocks")
    files = to_former_layout(lake, "stocks")
    folder = (lake.root / "stocks" / files[0]).parent
    folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere")
    lake.settle("stocks")
    pd.testing.assert_frame_equal(lake.read("stocks"), before)
    assert not os.path.lexists(folder)


def test_files_that_lack_columns_of_today_are_merged(lake: Lake) -> None:
    before = lake.read("stocks")
    files = to_former_layout(lake, "stocks", has_record=False)
    assert not before["is_suspect"].any()
    for file in files:
        path = lake.root / "stocks" / file
        table = pq.read_table(path, partitioning=None).drop_columns(["is_suspect"])
        store.write_parquet(
            path.parent, table, datetime.strptime(path.name[:21], "%Y%m%dT%H%M%S%f").replace(tzinfo=UTC)
        )
        path.unlink()
    lake.settle("stocks")
    assert len(names(lake)) == 1
    pd.testing.assert_frame_equal(lake.read("stocks"), before)


# --- what a file says of itself


def test_the_replaced_files_are_also_in_the_file(lake: Lake) -> None:
    lake.compact("stocks", lake.appended("stocks"))
    entries = lake.record("stocks").read()
    [merged] = [entry for entry in entries.values() if entry.replaces]
    about = pq.read_metadata(lake.root / "stocks" / merged.file).metadata[b"replaces"]
    assert json.loads(about) == dict(zip(merged.replaces, merged.lengths, strict=True))
    lake.record("stocks").path.unlink()
    lake.settle("stocks")
    assert lake.record("stocks").read()[merged.file] == merged


def test_months_are_read_without_the_row_groups_of_others(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """A month in the middle, a gap and the turn of a year."""
    lake.compact("stocks", lake.appended("stocks"))
    rows = lake.read("stocks")
    month = rows["obs_date"].dt.strftime("%Y-%m")
    for wanted in (["2025-06"], ["2024-12", "2025-01"], ["2025-02", "2025-05", "2025-06"], ["2031-01"]):
        found = lake._rows("stocks", wanted)
        assert len(found) == int(np.isin(month, wanted).sum())
        assert set(found["obs_date"].dt.strftime("%Y-%m")) == set(wanted) - {"2031-01"}
