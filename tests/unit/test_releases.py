"""The kept releases: how they are found, and what changed between two."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from pathlib import Path

import duckdb
import pytest
from sandbox import Sandbox
from small_release import COMMENTS, KEYS, SIGNALS_SQL, TWO_DAYS, base, release, warehouse

from pipelines.publish.release import publish
from pipelines.publish.releases import NoReleaseError, UnknownNameError, compare, find, list_releases, select_tables

EXTRA = ("marts", "fx_daily")
THREE_DAYS = {"2026-01-12": 3150.5, "2026-01-13": 3201.0, "2026-01-14": 3300.0}


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Sandbox:
    """Three releases: two days; one day changed and one added; a table added and a column removed."""
    sandbox = Sandbox(tmp_path_factory.mktemp("releases"), "drop", "2026-01-20T20:00:00Z")
    published = sandbox.data / "published"
    release(warehouse(sandbox.root / "1.duckdb", TWO_DAYS), published, "2026-01-13T18:00:00Z")
    release(warehouse(sandbox.root / "2.duckdb", THREE_DAYS), published, "2026-01-14T18:00:00Z")
    statements = "alter table marts.price_daily drop cash_usd_t", "create table marts.fx_daily as select 1.5 as rate"
    prices = {name: text for name, text in COMMENTS[("marts", "price_daily")].items() if name != "cash_usd_t"}
    publish(
        warehouse(sandbox.root / "3.duckdb", THREE_DAYS, *statements),
        published,
        manifest_base=base("2026-01-15T18:00:00Z"),
        comments=COMMENTS | {("marts", "price_daily"): prices, EXTRA: {"": "Rates", "rate": "Rate"}},
        keys=KEYS,
        synthetic=True,
    )
    return sandbox


@pytest.fixture(scope="module")
def ids(sandbox: Sandbox) -> list[str]:
    """The ids in the order of their publication."""
    return [one.release_id for one in reversed(list_releases(sandbox.data / "published"))]


# --- a release of the former layout: marts.duckdb, with the marts in its main schema


def in_the_former_layout(published: Path) -> str:
    """Turn the current release into one of the former layout. Returns its id."""
    manifest = json.loads((published / "manifest.json").read_text())
    folder = published / "releases" / manifest["release_id"]
    with duckdb.connect() as con:
        con.execute(f"attach '{folder / 'tightness.duckdb'}' as new; attach '{folder / 'marts.duckdb'}' as old")
        con.execute("create schema old.signals")
        con.execute("create table old.price_daily as from new.marts.price_daily")
        con.execute("create table old.signals.signals_latest as from new.signals.signals_latest")
    shutil.copyfile(folder / "marts.duckdb", published / "marts.duckdb")
    digest = hashlib.sha256((folder / "marts.duckdb").read_bytes()).hexdigest()
    del manifest["files"]["tightness.duckdb"]
    manifest["files"]["marts.duckdb"] = {"bytes": (folder / "marts.duckdb").stat().st_size, "sha256": digest}
    for place in (folder, published):
        (place / "tightness.duckdb").unlink()
        (place / "manifest.json").write_text(json.dumps(manifest))
    return str(manifest["release_id"])


def test_a_release_of_the_former_layout_is_one_clear_line_and_goes_with_the_next_publication(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path, "drop", "2026-01-20T20:00:00Z")
    published = sandbox.data / "published"
    release(warehouse(tmp_path / "1.duckdb", TWO_DAYS), published)
    former = in_the_former_layout(published)
    line = "the release is of an earlier version (marts.duckdb): `tightness run` publishes it anew"
    for command in ("signals", "claims"):
        assert sandbox.call(command) == (1, [], [line])
    for command in (["diff", former, "current"], ["export", "--format", "csv"]):
        code, printed, [error] = sandbox.call(*command)
        assert (code, printed) == (1, [])
        assert f"release {former} is of an earlier version (its database is marts.duckdb): use one published" in error
    [found] = [
        one for one in json.loads("\n".join(sandbox.call("doctor", "--json")[1])) if one["what"] == "publication"
    ]
    assert found["state"] == "warn"
    assert found["detail"] == f"{former} is of an earlier version (marts.duckdb): run `tightness run`"

    (published / "marts.duckdb.wal").write_bytes(b"left behind")
    done = release(warehouse(tmp_path / "2.duckdb", TWO_DAYS), published)
    assert {path.name for path in published.glob("*.duckdb*")} == {"tightness.duckdb"}
    assert (done.unchanged, done.manifest["previous_release_id"], done.manifest["difference"]) == (False, former, None)
    assert [one.database.name for one in list_releases(published)] == ["tightness.duckdb", "marts.duckdb"]
    with duckdb.connect(str(published / "releases" / former / "marts.duckdb"), read_only=True) as con:
        assert con.execute("select count(*) from marts.price_daily").fetchone() == (2,)


def test_a_release_without_a_column_of_this_version_is_one_clear_line(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path, "drop", "2026-01-20T20:00:00Z")
    release(warehouse(tmp_path / "1.duckdb", TWO_DAYS), sandbox.data / "published")
    for command, lacks in (("signals", 'Referenced column "as_of_date" not found'), ("claims", "claim_audit")):
        code, printed, [line] = sandbox.call(command)
        assert (code, printed) == (1, [])
        assert re.fullmatch(
            rf"tightness.duckdb is of an earlier version \(.*{lacks}.*\): `tightness run` .* anew", line
        )


# --- which release


@pytest.mark.slow
def test_a_release_is_found_by_its_id_and_by_its_place(sandbox: Sandbox, ids: list[str]) -> None:
    published = sandbox.data / "published"
    assert [name[:8] for name in ids] == ["20260113", "20260114", "20260115"]
    assert [find(published, name).release_id for name in ("current", "previous", ids[0])] == [ids[2], ids[1], ids[0]]


def test_an_unknown_id_is_an_error_that_lists_the_releases(sandbox: Sandbox, ids: list[str]) -> None:
    code, printed, [line] = sandbox.call("diff", "20991231T000000Z-00000000", "current")
    assert (code, printed) == (2, [])
    assert line == (
        f"there is no release '20991231T000000Z-00000000'; known: current, previous, {', '.join(reversed(ids))}"
    )


@pytest.mark.parametrize("name", ["", "..", "../releases", "/"])
def test_a_name_cannot_leave_the_folder(sandbox: Sandbox, name: str) -> None:
    with pytest.raises(UnknownNameError):
        find(sandbox.data / "published", name)


def test_without_a_publication_nothing_can_be_compared(tmp_path: Path) -> None:
    code, printed, [line] = Sandbox(tmp_path, "drop", "2026-01-20T20:00:00Z").call("diff", "previous", "current")
    assert (code, printed, line) == (1, [], "nothing is published yet: run `tightness run` first")


@pytest.mark.slow
def test_the_first_release_has_no_previous_one_and_a_removed_one_is_reported(tmp_path: Path) -> None:
    first = release(warehouse(tmp_path / "w.duckdb", TWO_DAYS), tmp_path)
    with pytest.raises(NoReleaseError, match=f"there is no previous release: {first.release_id} is the first"):
        find(tmp_path, "previous")
    second = release(warehouse(tmp_path / "w.duckdb", THREE_DAYS), tmp_path, keep=1)
    with pytest.raises(NoReleaseError, match=rf"previous release {first.release_id} is no longer kept: TIGHTNESS_KEEP"):
        find(tmp_path, "previous")
    shutil.rmtree(second.path)
    with pytest.raises(NoReleaseError, match=f"folder of the current release {second.release_id} is missing"):
        find(tmp_path, "current")


def test_tables_are_chosen_with_or_without_their_schema() -> None:
    tables = ["signals.a", "marts.a", "marts.b"]
    assert select_tables(tables, []) == ["marts.a", "marts.b", "signals.a"]
    assert select_tables(tables, ["a"]) == ["marts.a", "signals.a"]
    assert select_tables(tables, ["signals.a", "b"]) == ["marts.b", "signals.a"]
    with pytest.raises(UnknownNameError, match=r"no table 'c'; known: marts\.a, marts\.b, signals\.a"):
        select_tables(tables, ["a", "c"])


# --- how many are kept


@pytest.mark.parametrize("keep", [1, 3])
def test_the_number_of_kept_releases_is_a_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keep: int) -> None:
    from pipelines.orchestration.assets.publish import publish_release
    from pipelines.publish import release as publishing
    from pipelines.workspace import Workspace

    given = {}

    def publish(*_: object, **more: object) -> publishing.Release:
        given.update(more)
        return publishing.Release("r1", False, tmp_path, {})

    monkeypatch.setattr(publishing, "publish", publish)
    monkeypatch.setattr(
        "pipelines.warehouse.asof.table_macros", lambda *_: {}
    )  # of reference tables that a build copies
    monkeypatch.setenv("TIGHTNESS_KEEP_RELEASES", str(keep))
    publish_release(Workspace.open(profile="drop", data_dir=tmp_path))
    assert given["keep"] == keep


@pytest.mark.slow
def test_a_reader_of_a_removed_release_is_not_disturbed(tmp_path: Path) -> None:
    days = {f"{year}-{month:02}-{day:02}": 1.0 for year in (2024, 2025) for month in range(1, 13) for day in (1, 2)}
    first = release(warehouse(tmp_path / "a.duckdb", days), tmp_path, keep=1)
    with duckdb.connect(
        first.path / "tightness.duckdb", read_only=True
    ) as reader:  # nothing is read before it is deleted
        second = release(warehouse(tmp_path / "b.duckdb", THREE_DAYS), tmp_path, keep=1)
        assert not first.path.exists()
        assert reader.execute("select count(*), sum(cash_usd_t) from marts.price_daily").fetchone() == (48, 48.0)
        assert reader.execute("select count(*) from signals.signals_latest").fetchone() == (2,)
    assert [one.release_id for one in list_releases(tmp_path)] == [second.release_id]


def test_the_current_release_stays_when_nothing_changes_or_a_publication_fails(tmp_path: Path) -> None:
    from pipelines.publish.release_tables import PublicationError

    source = warehouse(tmp_path / "a.duckdb", TWO_DAYS)
    first = release(source, tmp_path, keep=1)
    assert release(source, tmp_path, keep=1).unchanged
    with pytest.raises(PublicationError):
        release(warehouse(tmp_path / "b.duckdb", TWO_DAYS, "drop table marts.price_daily"), tmp_path, keep=1)
    assert find(tmp_path, "current").release_id == first.release_id


# --- what changed


def test_json_has_every_count_and_the_requested_rows(sandbox: Sandbox, ids: list[str]) -> None:
    code, out, _ = sandbox.call("diff", ids[0], ids[1], "--rows", "5", "--json")
    found = json.loads("\n".join(out))
    assert code == 0
    assert {name: found[name] for name in ("old", "new", "same", "synthetic")} == {
        "old": ids[0],
        "new": ids[1],
        "same": False,
        "synthetic": True,
    }
    assert found["tables"]["marts.price_daily"] == {
        "only_in": None,
        "added": 1,
        "removed": 0,
        "changed": 1,
        "changed_columns": {"cash_usd_t": 1},
        "columns_added": [],
        "columns_removed": [],
        "rows": [
            {
                "kind": "changed",
                "key": {"metal": "AL", "obs_date": "2026-01-13"},
                "cells": {"cash_usd_t": ["3200.0", "3201.0"]},
            },
            {"kind": "added", "key": {"metal": "AL", "obs_date": "2026-01-14"}, "cells": {}},
        ],
    }
    assert found["tables"]["signals.signals_latest"]["rows"] == []


def test_in_reverse_an_added_row_is_removed(sandbox: Sandbox, ids: list[str]) -> None:
    published = sandbox.data / "published"
    found = compare(find(published, ids[1]), find(published, ids[0]), rows=5)["marts.price_daily"]
    assert (found.counts["added"], found.counts["removed"]) == (0, 1)
    assert [(row["kind"], row["cells"]) for row in found.rows] == [
        ("changed", {"cash_usd_t": ("3201.0", "3200.0")}),
        ("removed", {}),
    ]


def test_a_table_of_one_release_and_a_removed_column_are_reported(sandbox: Sandbox, ids: list[str]) -> None:
    code, out, _ = sandbox.call("diff", "previous", "current", "--json")
    tables = json.loads("\n".join(out))["tables"]
    assert code == 0
    assert (tables["marts.fx_daily"]["only_in"], tables["marts.fx_daily"]["added"]) == ("new", 1)
    assert tables["marts.price_daily"]["columns_removed"] == ["cash_usd_t"]
    assert tables["marts.price_daily"]["changed"] == 0
    code, out, _ = sandbox.call("diff", "current", "previous", "--json", "--rows", "3")
    back = json.loads("\n".join(out))["tables"]
    assert (back["marts.fx_daily"]["only_in"], back["marts.fx_daily"]["removed"]) == ("old", 1)
    assert (back["marts.fx_daily"]["rows"], back["marts.price_daily"]["columns_added"]) == ([], ["cash_usd_t"])


@pytest.mark.slow
def test_the_table_shows_counts_columns_and_cells(sandbox: Sandbox, ids: list[str]) -> None:
    code, out, _ = sandbox.call("diff", ids[0], "current", "--rows", "1")
    shown = "\n".join(out)
    assert code == 0
    assert f"{ids[0]} to {ids[2]} (SYNTHETIC DEMO DATA)" in shown
    assert f"only in {ids[2]}" in shown
    assert "-cash_usd_t" in shown
    code, out, _ = sandbox.call("diff", ids[0], ids[1], "--rows", "1")
    cells = [line for line in out if "3200.0" in line]
    assert len(cells) == 1
    assert "metal=AL, obs_date=2026-01-13" in cells[0]
    assert "3201.0" in cells[0]


def test_a_release_does_not_differ_from_itself(sandbox: Sandbox) -> None:
    code, out, _ = sandbox.call("diff", "current", "current")
    assert code == 0
    assert out[0].endswith("no row differs in 3 tables")
    code, out, _ = sandbox.call("diff", "current", "current", "--json")
    assert json.loads("\n".join(out))["same"] is True


def test_one_table_only(sandbox: Sandbox, ids: list[str]) -> None:
    code, out, _ = sandbox.call("diff", ids[0], ids[1], "--table", "price_daily", "--json")
    assert (code, list(json.loads("\n".join(out))["tables"])) == (0, ["marts.price_daily"])
    code, printed, [line] = sandbox.call("diff", ids[0], ids[1], "--table", "prices")
    assert (code, printed) == (2, [])
    assert line == "there is no table 'prices'; known: marts.price_daily, signals.signals_latest"


@pytest.mark.slow
def test_rows_are_limited_by_kind_and_in_order_of_their_key(tmp_path: Path) -> None:
    days = {f"2026-01-{day:02}": float(day) for day in range(1, 21)}
    release(warehouse(tmp_path / "a.duckdb", days), tmp_path)
    later = {day: value + (value > 5) for day, value in days.items() if value > 2} | {"2026-02-01": 1.0}
    release(warehouse(tmp_path / "b.duckdb", later), tmp_path)
    found = compare(find(tmp_path, "previous"), find(tmp_path, "current"), rows=3)["marts.price_daily"]

    assert (found.counts["changed"], found.counts["added"], found.counts["removed"]) == (15, 1, 2)
    assert [(row["kind"], row["key"]["obs_date"]) for row in found.rows] == [
        ("changed", "2026-01-06"),
        ("changed", "2026-01-07"),
        ("changed", "2026-01-08"),
        ("added", "2026-02-01"),
        ("removed", "2026-01-01"),
        ("removed", "2026-01-02"),
    ]


@pytest.mark.slow
def test_a_missing_value_is_not_text_and_only_changed_cells_are_shown(tmp_path: Path) -> None:
    release(warehouse(tmp_path / "a.duckdb", TWO_DAYS), tmp_path)
    changed = SIGNALS_SQL.replace("'AL.B', null", "'AL.B', 0.5")
    release(warehouse(tmp_path / "b.duckdb", TWO_DAYS, signals=changed), tmp_path)
    found = compare(find(tmp_path, "previous"), find(tmp_path, "current"), rows=3)["signals.signals_latest"]
    assert found.rows == [{"kind": "changed", "key": {"signal_id": "AL.B"}, "cells": {"value": (None, "0.50")}}]


@pytest.mark.slow
def test_a_release_that_lost_its_database_cannot_be_compared(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path, "drop", "2026-01-20T20:00:00Z")
    published = sandbox.data / "published"
    first = release(warehouse(tmp_path / "a.duckdb", TWO_DAYS), published)
    release(warehouse(tmp_path / "b.duckdb", THREE_DAYS), published)
    (first.path / "tightness.duckdb").unlink()
    code, printed, [line] = sandbox.call("diff", "previous", "current")
    assert (code, printed) == (1, [])
    assert "cannot be compared" in line
