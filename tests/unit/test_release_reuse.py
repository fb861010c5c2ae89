"""Releases made from the one before: equal to one that is written whole, with shared files where nothing changed."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest
from small_release import COMMENTS, KEYS, TWO_DAYS, base, opened, release, warehouse

from pipelines.publish.content import content_sha256, row_hashes
from pipelines.publish.diff import diff_releases
from pipelines.publish.release import Release, publish
from pipelines.warehouse.sql import reader, tables_in

PARQUET = ("parquet/marts/price_daily.parquet", "parquet/signals/signals_latest.parquet")
Row = tuple[str, str, float]

DAYS = [f"2026-01-{day:02}" for day in range(1, 29)]


def changed_prices(chance: random.Random, rows: Sequence[Row]) -> list[Row]:
    """The rows after a random change: new ones at the end or in the past, changed ones, removed ones, or none."""
    kind, found = (
        chance.choice(["append", "past", "change", "remove", "nothing", "all"]),
        {row[:2]: row for row in rows},
    )
    if kind == "append":
        last = max((day for _, day in found), default=DAYS[0])
        for day in [day for day in DAYS if day >= last][: chance.randint(1, 3)]:
            for metal in ("AL", "CU"):
                found.setdefault((metal, day), (metal, day, chance.random()))
    elif kind == "past":
        key = (chance.choice(["AL", "CU", "ZN"]), chance.choice(DAYS))
        found[key] = (*key, chance.random())
    elif kind == "change" and found:
        key = chance.choice(sorted(found))
        found[key] = (*key, chance.choice([0.0, 1.5, float("nan"), found[key][2]]))
    elif kind == "remove" and found:
        del found[chance.choice(sorted(found))]
    elif kind == "all":
        found = {key: (*key, row[2] + 1) for key, row in found.items()}
    shuffled = list(found.values())
    chance.shuffle(shuffled)
    return shuffled


def warehouse_of(path: Path, rows: Sequence[Row], signal: float) -> Path:
    insert = "insert into marts.price_daily values " + ", ".join(f"('{m}', '{d}', '{v}')" for m, d, v in rows)
    latest = f"update signals.signals_latest set value = {signal} where signal_id = 'AL.A'"
    return warehouse(path, {}, *([insert] if rows else []), latest)


def rows_of(folder: Path) -> dict[str, list[tuple[object, ...]]]:
    """Rows of the tables of a release in stored order, from the database and the Parquet files; as text, for NaN."""
    with opened(folder / "tightness.duckdb") as con:
        sources = ["marts.price_daily", "signals.signals_latest", *(f"'{folder / name}'" for name in PARQUET)]
        return {
            source.replace(str(folder), ""): [tuple(map(str, row)) for row in con.execute(f"from {source}").fetchall()]
            for source in sources
        }


def hashes(database: Path) -> dict[str, str]:
    with reader() as con:
        con.execute(f"attach '{database}' as release (read_only)")
        return {
            ".".join(name): content_sha256(row_hashes(con, "release", name, columns))
            for name, columns in tables_in(con, "release").items()
        }


def published_hashes(done: Release) -> dict[str, str]:
    return {name: table["content_sha256"] for name, table in done.manifest["tables"].items()}


@pytest.mark.parametrize(
    "seed",
    [pytest.param(n, marks=pytest.mark.slow if n < 3 else pytest.mark.exhaustive) for n in range(40)],
)
def test_a_chain_of_releases_equals_releases_written_whole(tmp_path: Path, seed: int) -> None:
    chance, rows, signal = random.Random(seed), list[Row](), 0.25
    chain, before = tmp_path / "chain", None
    for _ in range(6):
        rows, signal = changed_prices(chance, rows), chance.choice([signal, signal, signal + 1])
        source = warehouse_of(tmp_path / "w.duckdb", rows, signal)
        done = release(source, chain, keep=2)
        whole = release(source, tmp_path / f"whole{_}")

        assert rows_of(done.path) == rows_of(whole.path) == rows_of(chain)
        assert published_hashes(done) == published_hashes(whole) == hashes(done.path / "tightness.duckdb")
        if before is not None and not done.unchanged:
            by_rows = diff_releases(
                before.path / "tightness.duckdb", done.path / "tightness.duckdb", {}
            )  # without keys
            found = done.manifest["difference"]
            for name, counts in by_rows.items():
                changed = found[name]["changed"]
                assert (counts["added"], counts["removed"]) == (
                    found[name]["added"] + changed,
                    found[name]["removed"] + changed,
                )
        before = done


def test_the_content_hash_is_the_sum_of_the_hashes_of_the_rows(tmp_path: Path) -> None:
    import hashlib

    done = release(warehouse(tmp_path / "w.duckdb", TWO_DAYS), tmp_path / "published")
    rows = ['["AL","2026-01-12",3150.5]', '["AL","2026-01-13",3200.0]']
    total = sum(int(hashlib.sha256(row.encode()).hexdigest(), 16) for row in rows) % 2**256
    assert done.manifest["tables"]["marts.price_daily"]["content_sha256"] == f"{total:064x}"


@pytest.fixture
def two(tmp_path: Path) -> tuple[Release, Release, Path]:
    """Two releases and their folder: the second has one more price and the same signals."""
    published = tmp_path / "published"
    first = release(warehouse(tmp_path / "w.duckdb", TWO_DAYS), published)
    second = release(warehouse(tmp_path / "w.duckdb", TWO_DAYS | {"2026-01-14": 1.0}), published)
    return first, second, published


def test_a_release_shares_the_parquet_files_of_unchanged_tables(two: tuple[Release, Release, Path]) -> None:
    first, second, published = two
    prices, signals = PARQUET
    assert (first.path / signals).samefile(second.path / signals)
    assert not (first.path / prices).samefile(second.path / prices)
    assert second.manifest["files"][signals] == first.manifest["files"][signals]
    # A tool may open a visible file for writing, so it is never a second name of a release's file.
    for name in [*PARQUET, "tightness.duckdb"]:
        assert (published / name).stat().st_nlink == 1, name
    for done in (first, second):
        about = pq.read_metadata(done.path / prices).metadata
        assert about[b"content_sha256"].decode() == done.manifest["tables"]["marts.price_daily"]["content_sha256"]
    assert pq.read_metadata(second.path / signals).metadata[b"release_id"].decode() == first.release_id


def test_a_visible_file_of_an_unchanged_table_is_not_written_again(tmp_path: Path) -> None:
    published = tmp_path / "published"
    release(warehouse(tmp_path / "w.duckdb", TWO_DAYS), published)
    before = (published / PARQUET[1]).stat()
    release(warehouse(tmp_path / "w.duckdb", TWO_DAYS | {"2026-01-14": 1.0}), published)
    after = (published / PARQUET[1]).stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)

    (published / PARQUET[1]).write_bytes(b"changed by a tool")
    third = release(warehouse(tmp_path / "w.duckdb", TWO_DAYS | {"2026-01-15": 1.0}), published)
    assert (published / PARQUET[1]).read_bytes() == (third.path / PARQUET[1]).read_bytes()


def test_without_links_the_files_are_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unsupported(*_: object) -> None:
        raise OSError("the file system has no links")

    monkeypatch.setattr(os, "link", unsupported)
    first = release(warehouse(tmp_path / "w.duckdb", TWO_DAYS), tmp_path / "published")
    second = release(warehouse(tmp_path / "w.duckdb", TWO_DAYS | {"2026-01-14": 1.0}), tmp_path / "published")
    assert (second.path / PARQUET[1]).read_bytes() == (first.path / PARQUET[1]).read_bytes()
    assert not (first.path / PARQUET[1]).samefile(second.path / PARQUET[1])


@pytest.mark.parametrize("name", ["tightness.duckdb", *PARQUET])
def test_a_damaged_file_of_the_last_release_does_not_reach_the_next(tmp_path: Path, name: str) -> None:
    published = tmp_path / "published"
    first = release(warehouse(tmp_path / "w.duckdb", TWO_DAYS), published)
    if name == "tightness.duckdb":
        with duckdb.connect(first.path / name) as con:
            con.execute("update marts.price_daily set cash_usd_t = 7 where obs_date = '2026-01-12'")
    else:
        (first.path / name).write_bytes(b"damaged")
    second = release(warehouse(tmp_path / "w.duckdb", TWO_DAYS | {"2026-01-14": 1.0}), published)

    assert [row[2] for row in rows_of(second.path)["marts.price_daily"]] == ["3150.5", "3200.0", "1.0"]
    counts = second.manifest["difference"]["marts.price_daily"]
    assert (counts["added"], counts["changed"]) == (1, 0)
    assert published_hashes(second) == hashes(second.path / "tightness.duckdb")
    assert len(rows_of(second.path)[f"'/{PARQUET[1]}'"]) == 2


def write_to(database: Path, sql: str) -> None:
    """Write to a database as a program that is killed: the change stays in the log beside the file."""
    code = "import duckdb, os, sys; con = duckdb.connect(sys.argv[1]); con.execute(sys.argv[2]); os._exit(0)"
    subprocess.run([sys.executable, "-c", code, str(database), sql], check=True)
    assert database.with_name("tightness.duckdb.wal").exists()


@contextmanager
def open_for_writing(database: Path) -> Iterator[None]:
    code = "import duckdb, sys; con = duckdb.connect(sys.argv[1]); print(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(database)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as program:
        assert program.stdout
        program.stdout.readline()
        try:
            yield
        finally:
            program.communicate(b"\n")


@pytest.mark.parametrize("damage", ["database", "folder"])
def test_a_release_made_from_the_visible_database_shares_no_visible_file(tmp_path: Path, damage: str) -> None:
    published = tmp_path / "published"
    first = release(warehouse(tmp_path / "w.duckdb", TWO_DAYS), published)
    if damage == "database":
        (first.path / "tightness.duckdb").unlink()
    else:
        shutil.rmtree(first.path)
    second = release(warehouse(tmp_path / "w.duckdb", TWO_DAYS | {"2026-01-14": 1.0}), published)

    assert second.manifest["difference"]["marts.price_daily"]["added"] == 1
    for name in [*PARQUET, "tightness.duckdb"]:
        assert not (published / name).samefile(second.path / name), name


@pytest.mark.slow
@pytest.mark.parametrize("changed", [True, False])
@pytest.mark.parametrize("place", ["release", "visible"])
def test_what_a_killed_program_wrote_to_a_published_database_is_discarded(
    tmp_path: Path, place: str, changed: bool
) -> None:
    published = tmp_path / "published"
    first = release(warehouse(tmp_path / "w.duckdb", TWO_DAYS), published)
    prices = TWO_DAYS | ({"2026-01-14": 1.0} if changed else {})
    write_to((first.path if place == "release" else published) / "tightness.duckdb", "delete from marts.price_daily")
    second = release(warehouse(tmp_path / "w.duckdb", prices), published)

    for folder in (second.path, published):
        assert [float(row[2]) for row in rows_of(folder)["marts.price_daily"]] == [
            prices[day] for day in sorted(prices)
        ]
    assert published_hashes(second) == hashes(second.path / "tightness.duckdb")
    assert second.manifest["difference"]["marts.price_daily"]["added"] == len(prices) - 2
    assert release(warehouse(tmp_path / "w.duckdb", prices), published).unchanged


@pytest.mark.slow
@pytest.mark.parametrize("places", [["release"], ["visible"], ["release", "visible"]])
def test_a_program_that_has_a_published_database_open_for_writing_stops_no_publication(
    tmp_path: Path, places: Sequence[str]
) -> None:
    published = tmp_path / "published"
    first = release(warehouse(tmp_path / "w.duckdb", TWO_DAYS), published)
    with ExitStack() as programs:
        for place in places:
            folder = first.path if place == "release" else published
            programs.enter_context(open_for_writing(folder / "tightness.duckdb"))
        second = release(warehouse(tmp_path / "w.duckdb", TWO_DAYS | {"2026-01-14": 1.0}), published)
    for folder in (second.path, published):
        assert len(rows_of(folder)["marts.price_daily"]) == 3
    assert published_hashes(second) == hashes(second.path / "tightness.duckdb")


@pytest.mark.parametrize("name", ["tightness.duckdb", "manifest.json", *PARQUET])
def test_a_damaged_file_in_the_folder_of_an_unchanged_release_makes_a_new_one(tmp_path: Path, name: str) -> None:
    published, source = tmp_path / "published", warehouse(tmp_path / "w.duckdb", TWO_DAYS)
    first = release(source, published)
    (first.path / name).write_bytes(b"damaged")
    second = release(source, published)

    assert not second.unchanged and second.path != first.path
    assert rows_of(second.path) == rows_of(published)
    assert release(source, published).unchanged


def test_a_release_of_an_earlier_layout_is_compared_and_not_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    published = tmp_path / "published"
    monkeypatch.setattr("pipelines.publish.manifest.LAYOUT", 1)
    first = release(warehouse(tmp_path / "w.duckdb", TWO_DAYS), published)
    monkeypatch.undo()
    second = release(warehouse(tmp_path / "w.duckdb", TWO_DAYS | {"2026-01-14": 1.0}), published)

    assert not (first.path / PARQUET[1]).samefile(second.path / PARQUET[1])
    assert second.manifest["difference"]["marts.price_daily"]["added"] == 1
    assert published_hashes(second) == hashes(second.path / "tightness.duckdb")


def test_a_macro_of_the_last_release_is_replaced_and_one_without_a_definition_is_gone(tmp_path: Path) -> None:
    published, given = tmp_path / "published", {"comments": COMMENTS, "keys": KEYS, "synthetic": True}
    query = "select 1 as x, ts from (select cast(ts as timestamptz) as ts)"
    for prices, macros in (
        ({"2026-01-13": 1.0}, {("signals", "one"): ("ts", query), ("signals", "other"): ("ts", query)}),
        ({"2026-01-14": 1.0}, {("signals", "one"): ("ts", query.replace("1 as x", "2 as x"))}),
    ):
        source = warehouse(tmp_path / "w.duckdb", prices)
        done = publish(source, published, manifest_base=base(), macros=macros, **given)  # type: ignore[arg-type]
    with opened(done.path / "tightness.duckdb") as con:
        assert con.execute("select x from signals.one(now())").fetchall() == [(2,)]
        with pytest.raises(duckdb.Error, match="other"):
            con.execute("from signals.other(now())")


@pytest.mark.slow
def test_the_database_does_not_grow_from_release_to_release(tmp_path: Path) -> None:
    """Rows of the last days are replaced, as by late figures: after the first ones the size stays."""
    published, made = tmp_path / "published", tmp_path / "w.duckdb"
    sizes = []
    for n in range(12):
        late = f"i > {9_000 + n * 10} and {n % 2} = 1"  # every second release changes the last rows of the one before
        more = (
            "insert into marts.price_daily select 'CU', date '2000-01-01' + i::int, "
            f"hash(i, case when {late} then {n} end) from range({9_020 + n * 10}) r(i)"
        )
        sizes.append((release(warehouse(made, {}, more), published, keep=1).path / "tightness.duckdb").stat().st_size)
    assert max(sizes) <= 2 * sizes[0]
    assert max(sizes[8:]) <= max(sizes[2:8])


def test_a_table_that_changed_in_one_value_only_is_not_taken_for_unchanged(tmp_path: Path) -> None:
    """Same number of rows, same key and same knowledge time: only a value differs, then two exchange theirs."""
    published = tmp_path / "published"
    for prices in ({"2026-01-12": 1.0, "2026-01-13": 2.0}, {"2026-01-12": 3.0, "2026-01-13": 2.0},
                   {"2026-01-12": 2.0, "2026-01-13": 3.0}):  # fmt: skip
        done = release(warehouse(tmp_path / "w.duckdb", prices), published)
        for folder in (done.path, published):
            assert [float(row[2]) for row in rows_of(folder)[f"'/{PARQUET[0]}'"]] == list(prices.values())
            assert [float(row[2]) for row in rows_of(folder)["marts.price_daily"]] == list(prices.values())
