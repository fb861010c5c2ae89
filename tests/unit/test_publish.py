"""Lock, manifest and publication, on a small warehouse made by hand."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest
from small_release import COMMENTS, KEYS, LATEST, PRICES, TWO_DAYS, base, opened, release, warehouse

from pipelines.orchestration.assets.publish import MODELS, with_keys
from pipelines.publish import release as publishing
from pipelines.publish.diff import TableDiff, diff_releases
from pipelines.publish.release import publish
from pipelines.publish.release_tables import PublicationError
from pipelines.warehouse.lock import writer_lock
from schemas.generate.dbt import comments, keys


def prices_in(database: Path) -> list[tuple[str, float]]:
    with opened(database) as con:
        return con.execute("select cast(obs_date as varchar), cash_usd_t from marts.price_daily").fetchall()


def tree(folder: Path) -> dict[str, tuple[int, int]]:
    """Every file with its inode and modification time, which any write changes."""
    return {
        str(p.relative_to(folder)): (p.stat().st_ino, p.stat().st_mtime_ns) for p in folder.rglob("*") if p.is_file()
    }


@pytest.fixture
def published(tmp_path: Path) -> Path:
    return tmp_path / "published"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return warehouse(tmp_path_factory.mktemp("source") / "warehouse.duckdb", TWO_DAYS)


@pytest.fixture(scope="module")
def first_release(source: Path) -> Path:
    release(source, source.with_name("published"))
    return source.with_name("published")


@pytest.fixture
def released(first_release: Path, published: Path) -> Path:
    """A publication folder with the release of `source`, as a copy."""
    return Path(shutil.copytree(first_release, published))


# --- what readers see -------------------------------------------------------------------------------------------------


def test_readers_find_the_tables_in_key_order_with_their_descriptions(released: Path) -> None:
    assert prices_in(released / "tightness.duckdb") == [("2026-01-12", 3150.5), ("2026-01-13", 3200.0)]
    with opened(released / "tightness.duckdb") as con:
        tables = con.execute("select schema_name, table_name, comment from duckdb_tables() order by 1").fetchall()
        columns = con.execute(
            "select column_name, comment from duckdb_columns() where schema_name = 'signals'"
        ).fetchall()
    assert tables == [
        ("marts", "price_daily", "SYNTHETIC DEMO DATA. Prices by day"),
        ("signals", "signals_latest", "SYNTHETIC DEMO DATA. Newest signal"),
    ]
    assert dict(columns) == {k: v for k, v in COMMENTS[LATEST].items() if k}


@pytest.mark.slow
def test_the_database_names_its_release(source: Path, published: Path, tmp_path: Path) -> None:
    first = release(source, published)
    second = release(warehouse(tmp_path / "next.duckdb", {"2026-01-14": 1.0}), published)
    for database, done in (
        (first.path / "tightness.duckdb", first),
        (second.path / "tightness.duckdb", second),
        (published / "tightness.duckdb", second),
    ):
        with opened(database) as con:
            assert con.execute("select release_id()").fetchone() == (done.release_id,)
        with duckdb.connect() as con:
            con.execute(f"attach '{database}' as t (read_only)")
            assert con.execute("select t.release_id()").fetchone() == (done.release_id,)


def test_parquet_has_the_same_rows_and_the_synthetic_mark(source: Path, published: Path) -> None:
    done = release(source, published)

    file = published / "parquet" / "marts" / "price_daily.parquet"
    assert pq.read_table(file).column("cash_usd_t").to_pylist() == [3150.5, 3200.0]
    metadata = pq.read_metadata(file).metadata
    assert (metadata[b"synthetic"], metadata[b"release_id"]) == (b"true", done.release_id.encode())


def test_real_data_is_not_called_synthetic(source: Path, published: Path) -> None:
    done = publish(source, published, manifest_base=base(), comments=COMMENTS, keys=KEYS, synthetic=False)

    with opened(published / "tightness.duckdb") as con:
        comments = con.execute("select comment from duckdb_tables() order by 1").fetchall()
    assert comments == [("Newest signal",), ("Prices by day",)]
    assert (done.manifest["synthetic"], done.manifest["note"]) == (False, "")


def test_manifest_describes_the_files_beside_it(source: Path, published: Path) -> None:
    done = release(source, published)

    manifest = json.loads((published / "manifest.json").read_text())
    assert manifest == done.manifest
    assert manifest["release_id"].startswith("20260113T180000Z-")
    assert manifest["knowledge_ts_max"] == "2026-01-13T18:00:00Z"
    assert manifest["inputs"] == {"prices": "aa"}
    assert manifest["tables"]["marts.price_daily"]["rows"] == 2
    assert manifest["tables"]["marts.price_daily"]["key"] == ["metal", "obs_date"]
    assert manifest["packages"]["duckdb"] == duckdb.__version__
    assert set(manifest["files"]) == {
        "datapackage.json",
        "tightness.duckdb",
        "parquet/marts/price_daily.parquet",
        "parquet/signals/signals_latest.parquet",
    }
    for name, facts in manifest["files"].items():
        assert hashlib.sha256((published / name).read_bytes()).hexdigest() == facts["sha256"], name
        assert (done.path / name).read_bytes() == (published / name).read_bytes(), name


def test_nothing_published_names_a_folder_of_this_machine(source: Path, published: Path, tmp_path: Path) -> None:
    release(source, published)

    for path in published.rglob("*"):
        assert path.is_dir() or str(tmp_path).encode() not in path.read_bytes(), path.name


def test_published_files_are_readable_by_all_whatever_the_umask(source: Path, published: Path) -> None:
    before = os.umask(0o077)
    try:
        release(source, published)
    finally:
        os.umask(before)
    modes = {str(p.relative_to(published)): p.stat().st_mode & 0o777 for p in published.rglob("*") if p.is_file()}
    assert set(modes.values()) == {0o644}, modes


# --- again and again --------------------------------------------------------------------------------------------------


def test_the_same_content_in_another_row_order_changes_no_file(source: Path, published: Path, tmp_path: Path) -> None:
    first = release(source, published)
    before = tree(published)
    again = warehouse(tmp_path / "again.duckdb", dict(reversed(TWO_DAYS.items())))
    second = release(again, published, computed="2026-01-14T18:00:00Z")

    assert (second.unchanged, second.release_id) == (True, first.release_id)
    assert tree(published) == before


@pytest.mark.slow
@pytest.mark.parametrize(
    "changed",
    [
        {"manifest_base": base(prices="bb")},
        {"synthetic": False},
        {"comments": COMMENTS | {PRICES: COMMENTS[PRICES] | {"metal": "Symbol"}}},
        {"keys": {PRICES: KEYS[PRICES]}},
    ],
    ids=["input", "synthetic", "description", "key"],
)
def test_the_same_rows_with_other_metadata_are_a_new_release(
    source: Path, published: Path, changed: dict[str, object]
) -> None:
    given: dict[str, object] = {"manifest_base": base(), "comments": COMMENTS, "keys": KEYS, "synthetic": True}
    first = publish(source, published, **given)  # type: ignore[arg-type]
    second = publish(source, published, **given | changed)  # type: ignore[arg-type]

    assert not second.unchanged
    assert second.manifest["previous_release_id"] == first.release_id
    assert second.manifest["difference"]["marts.price_daily"]["changed"] == 0


def test_the_manifest_of_a_new_release_counts_its_changes(released: Path, tmp_path: Path) -> None:
    later = warehouse(tmp_path / "later.duckdb", {"2026-01-13": 3201.0, "2026-01-12": 3150.5, "2026-01-14": 3300.0})
    second = release(later, released)

    assert not second.unchanged
    assert second.manifest["difference"]["marts.price_daily"] == {
        "added": 1,
        "removed": 0,
        "changed": 1,
        "changed_columns": {"cash_usd_t": 1},
        "columns_added": [],
        "columns_removed": [],
    }
    assert prices_in(released / "tightness.duckdb")[-1] == ("2026-01-14", 3300.0)


@pytest.mark.slow
def test_a_change_of_the_last_bit_is_a_change(published: Path, tmp_path: Path) -> None:
    release(warehouse(tmp_path / "a.duckdb", {"2026-01-13": 0.1}), published)
    second = release(warehouse(tmp_path / "b.duckdb", {"2026-01-13": 0.1 + 2**-56}), published)

    assert second.manifest["difference"]["marts.price_daily"]["changed"] == 1


@pytest.mark.slow
def test_content_that_returns_under_a_fixed_clock_gets_a_new_id(published: Path, tmp_path: Path) -> None:
    a = warehouse(tmp_path / "a.duckdb", {"2026-01-13": 1.0})
    b = warehouse(tmp_path / "b.duckdb", {"2026-01-13": 2.0})
    ids = [release(source, published).release_id for source in (a, b, a, b)]

    assert len(set(ids)) == 4
    assert prices_in(published / "tightness.duckdb") == [("2026-01-13", 2.0)]


@pytest.mark.slow
def test_only_the_last_releases_are_kept_and_the_current_one_always(published: Path, tmp_path: Path) -> None:
    # The clock runs backwards: the time at which a release was written counts.
    ids = [
        release(warehouse(tmp_path / "w.duckdb", {"2026-01-13": n}), published, f"2026-01-{20 - n}T18:00:00Z", keep=2)
        for n in range(1, 5)
    ]
    assert {path.name for path in (published / "releases").iterdir()} == {r.release_id for r in ids[-2:]}
    assert not list(published.glob(".tmp-*"))


@pytest.mark.slow
def test_a_removed_table_leaves_no_parquet_file(published: Path, tmp_path: Path) -> None:
    extra, described = ("marts", "fx_daily"), {"": "Rates", "rate": "Rate"}
    two = warehouse(tmp_path / "two.duckdb", TWO_DAYS, "create table marts.fx_daily as select 1.5::double as rate")
    publish(two, published, manifest_base=base(), comments=COMMENTS | {extra: described}, keys=KEYS, synthetic=True)
    assert (published / "parquet" / "marts" / "fx_daily.parquet").is_file()

    second = release(warehouse(tmp_path / "one.duckdb", TWO_DAYS), published)
    assert not (published / "parquet" / "marts" / "fx_daily.parquet").exists()
    assert second.manifest["difference"]["marts.fx_daily"]["removed"] == 1


@pytest.mark.parametrize(
    ("name", "damage"),
    [("tightness.duckdb", "gone"), ("manifest.json", "cut"), ("parquet/signals/signals_latest.parquet", "cut")],
)
def test_a_lost_or_damaged_visible_file_is_restored(source: Path, released: Path, name: str, damage: str) -> None:
    good = prices_in(released / "tightness.duckdb")
    if damage == "gone":
        (released / name).unlink()
    else:
        (released / name).write_bytes((released / name).read_bytes()[:100])
    second = release(source, released)

    assert not second.unchanged
    assert prices_in(released / "tightness.duckdb") == good
    assert pq.read_metadata(released / "parquet/signals/signals_latest.parquet").num_rows == 2
    assert release(source, released).unchanged


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("create table marts.extra as select 1 as x", "marts.extra has no description"),
        ("drop table marts.price_daily", "marts.price_daily is not in the warehouse"),
        ("alter table marts.price_daily add column note varchar", "marts.price_daily.note has no description"),
        ("alter table marts.price_daily drop column obs_date", "marts.price_daily has no column obs_date"),
        (
            "insert into marts.price_daily values ('AL', '2026-01-13', 1)",
            "marts.price_daily has 2 rows with metal=AL, obs_date=2026-01-13",
        ),
    ],
)
def test_an_invalid_release_leaves_the_last_one(released: Path, tmp_path: Path, sql: str, message: str) -> None:
    before = tree(released)
    with pytest.raises(PublicationError, match=message):
        release(warehouse(tmp_path / "bad.duckdb", TWO_DAYS, sql), released)
    assert tree(released) == before


def test_an_empty_schema_is_an_error(published: Path, tmp_path: Path) -> None:
    source = warehouse(tmp_path / "w.duckdb", TWO_DAYS, "drop table signals.signals_latest")
    marts = {name: texts for name, texts in COMMENTS.items() if name[0] == "marts"}
    with pytest.raises(PublicationError, match="schema signals would be empty"):
        publish(source, published, manifest_base=base(), comments=marts, keys=KEYS, synthetic=True)


def test_a_missing_or_unreadable_warehouse_is_an_error_that_names_it(published: Path, tmp_path: Path) -> None:
    with pytest.raises(PublicationError, match="build the marts first"):
        release(tmp_path / "none.duckdb", published)
    (tmp_path / "text.duckdb").write_text("not a database, but long enough to be looked at" * 500)
    with pytest.raises(PublicationError, match=r"text\.duckdb cannot be read"):
        release(tmp_path / "text.duckdb", published)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("delete from marts.price_daily where cash_usd_t > 3160", "price_daily differs from the warehouse"),
        ("update marts.price_daily set cash_usd_t = 1 where cash_usd_t > 3160", "price_daily differs"),
        ("comment on table signals.signals_latest is null", "signals.signals_latest lost its description"),
        ("comment on column marts.price_daily.metal is null", "marts.price_daily.metal lost its description"),
        ("drop table signals.signals_latest", "other tables"),
        ("create or replace macro release_id() as 'another'", r"returns another release_id\(\)"),
    ],
)
def test_damage_in_a_written_release_is_found_before_it_is_shown(
    source: Path, released: Path, monkeypatch: pytest.MonkeyPatch, damage: str, message: str
) -> None:
    shown = (released / "manifest.json").read_text()
    verify = publishing.verify

    def damaged(staged: Path, *args: object) -> None:
        with duckdb.connect(staged / "tightness.duckdb") as con:
            con.execute(damage)
        verify(staged, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(publishing, "verify", damaged)
    with pytest.raises(PublicationError, match=message):
        publish(source, released, manifest_base=base(prices="bb"), comments=COMMENTS, keys=KEYS, synthetic=True)
    assert (released / "manifest.json").read_text() == shown
    assert len(list((released / "releases").iterdir())) == 1


# --- crash and concurrency --------------------------------------------------------------------------------------------


def test_an_open_reader_keeps_the_old_release(released: Path, tmp_path: Path) -> None:
    with duckdb.connect(released / "tightness.duckdb", read_only=True) as reader:
        release(warehouse(tmp_path / "next.duckdb", {"2026-01-14": 1.0}), released)
        assert reader.execute("select count(*) from marts.price_daily").fetchone() == (2,)
    assert prices_in(released / "tightness.duckdb") == [("2026-01-14", 1.0)]


@pytest.mark.slow
def test_a_write_to_the_visible_file_changes_no_release(source: Path, published: Path, tmp_path: Path) -> None:
    first = release(source, published)
    with duckdb.connect(published / "tightness.duckdb") as con:
        con.execute("delete from marts.price_daily")
    (published / "tightness.duckdb.wal").write_bytes(b"left behind")
    assert len(prices_in(first.path / "tightness.duckdb")) == 2

    release(warehouse(tmp_path / "next.duckdb", {"2026-01-14": 1.0}), published)
    assert prices_in(published / "tightness.duckdb") == [("2026-01-14", 1.0)]
    assert not (published / "tightness.duckdb.wal").exists()


# --- difference -------------------------------------------------------------------------------------------------------


def table(name: str, values: str, columns: str = "k, v") -> str:
    return f"create table marts.{name} as from (values {values}) as t({columns});"


# name: old rows, new rows, (added, removed, changed, changed columns)
MATCHED = {
    "all_kinds": ("(1, 'a'), (2, 'b'), (3, 'c')", "(3, 'c'), (2, 'x'), (4, 'd')", (1, 1, 1, {"v": 1})),
    "value_to_null": ("(1, 'a')", "(1, null)", (0, 0, 1, {"v": 1})),
    "null_stays": ("(1, null::varchar)", "(1, null::varchar)", (0, 0, 0, {})),
    "nan_stays": ("(1, 'nan'::double)", "(1, 'nan'::double)", (0, 0, 0, {})),
    "null_key": ("(null::int, 'a'), (1, 'b')", "(null::int, 'z'), (1, 'b')", (0, 0, 1, {"v": 1})),
    "other_type": ("(1, 7)", "(1, '7')", (0, 0, 0, {})),
    "other_type_and_value": ("(1, 7)", "(1, 'seven')", (0, 0, 1, {"v": 1})),
    "key_twice": ("(1, 'a'), (1, 'b')", "(1, 'a'), (1, 'b'), (1, 'c')", (1, 0, 0, {})),
    "no_key": ("(1, 'a'), (2, 'b')", "(1, 'a'), (2, 'x'), (2, 'x')", (2, 1, 0, {})),
}
ODD = 'create table marts.odd as select 1 as "order", 2 as "t", 3 as "a""b", \'x\' as "select";'


@pytest.fixture(scope="module")
def differences(tmp_path_factory: pytest.TempPathFactory) -> dict[str, TableDiff]:
    folder = tmp_path_factory.mktemp("diff")
    old = [table(name, rows) for name, (rows, _, _) in MATCHED.items()] + [
        table("two_columns", "(1, 1, 1), (2, 2, 2)", "k, v, w"),
        table("columns_come_and_go", "(1, 1, 1)", "k, v, gone"),
        table("nothing_in_common", "(1, 1), (2, 2)", "a, b"),
        "create table signals.gone as select unnest([1, 2, 3]) as k;",
        ODD,
    ]
    new = [table(name, rows) for name, (_, rows, _) in MATCHED.items()] + [
        table("two_columns", "(1, 9, 9), (2, 2, 9)", "k, v, w"),
        table("columns_come_and_go", "(1, 2, 1)", "k, v, fresh"),
        table("nothing_in_common", "(1, 1)", "c, d"),
        "create table signals.fresh as select unnest([1, 2]) as k;",
        ODD.replace("3 as", "4 as"),
    ]
    for name, statements in (("old", old), ("new", new)):
        with duckdb.connect(folder / f"{name}.duckdb") as con:
            con.execute("create schema marts; create schema signals;" + "".join(statements))
    keys = {("marts", name): ("k",) for name in [*MATCHED, "two_columns", "columns_come_and_go", "nothing_in_common"]}
    keys |= {("marts", "no_key"): ("k", "a column that is not there"), ("marts", "odd"): ("order", "t")}
    return diff_releases(folder / "old.duckdb", folder / "new.duckdb", keys)


def counts(found: TableDiff) -> tuple[int, int, int, dict[str, int]]:
    return found["added"], found["removed"], found["changed"], found["changed_columns"]


@pytest.mark.parametrize("name", MATCHED)
def test_rows_are_matched_by_key(differences: dict[str, TableDiff], name: str) -> None:
    assert counts(differences[f"marts.{name}"]) == MATCHED[name][2]


def test_a_row_with_two_changed_columns_is_one_changed_row(differences: dict[str, TableDiff]) -> None:
    assert counts(differences["marts.two_columns"]) == (0, 0, 2, {"v": 1, "w": 2})


def test_added_and_removed_columns_are_listed_and_change_no_row(differences: dict[str, TableDiff]) -> None:
    found = differences["marts.columns_come_and_go"]
    assert counts(found) == (0, 0, 1, {"v": 1})
    assert (found["columns_added"], found["columns_removed"]) == (["fresh"], ["gone"])


def test_tables_of_one_release_only_and_tables_without_common_columns(differences: dict[str, TableDiff]) -> None:
    names = ["marts.nothing_in_common", "signals.fresh", "signals.gone"]
    assert [counts(differences[name])[:2] for name in names] == [(1, 2), (2, 0), (0, 3)]


def test_column_names_may_be_sql_words_or_contain_quotes(
    differences: dict[str, TableDiff], tmp_path: Path, published: Path
) -> None:
    assert counts(differences["marts.odd"]) == (0, 0, 1, {'a"b': 1})

    source = warehouse(tmp_path / "odd.duckdb", TWO_DAYS, ODD.replace("table odd", "table marts.odd"))
    described = {"": "it's odd", "order": "x", "t": "x", 'a"b': "x", "select": "x"}
    comments, keys = COMMENTS | {("marts", "odd"): described}, KEYS | {("marts", "odd"): ("order", "t")}
    done = publish(source, published, manifest_base=base(), comments=comments, keys=keys, synthetic=True)
    assert done.manifest["tables"]["marts.odd"]["rows"] == 1


# --- the lock ---------------------------------------------------------------------------------------------------------


def test_the_lock_is_released_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), writer_lock(tmp_path, 0):
        raise ZeroDivisionError
    assert not (tmp_path / "warehouse" / ".writer.json").exists()
    with writer_lock(tmp_path, 0):
        pass


def test_the_comment_of_every_published_table_ends_with_its_key() -> None:
    texts = with_keys(comments(MODELS), keys(MODELS))
    assert texts["marts", "tightness_daily"][""].endswith(": one wide row. Key: metal, as_of_date")
    assert all(". Key: " in columns[""] for columns in texts.values())
    assert texts["marts", "price_daily"]["cash_usd_t"] == comments(MODELS)["marts", "price_daily"]["cash_usd_t"]
