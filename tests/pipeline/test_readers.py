"""Readers during publications: the stress program finds no fault in the product, and detects each injected one."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest
from sandbox import Sandbox

from pipelines.common.settings import PROJECT
from tests.stress import readers
from tests.stress.readers import MixedError, Seen, content_of, judge, prepare, publish_content, read, sum_up


@pytest.mark.slow
def test_six_readers_see_whole_releases_only(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.stress.readers", "--readers", "6", "--seconds", "5", "--json"],
        capture_output=True,
        text=True,
        cwd=PROJECT,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert (found["mixed or torn"], found["errors"], found["problems"]) == (0, 0, [])
    assert found["readers"] == 6
    assert found["reads by reader"][0] > 0
    assert found["publications"] >= 1
    assert found["releases seen"] >= 2


@pytest.mark.slow
@pytest.mark.parametrize("page", ["README.md", "docs/readers.md"])
def test_every_python_block_of_the_page_runs_unchanged(demo_of_months: Sandbox, page: str) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (PROJECT / page).read_text(), re.DOTALL)
    assert blocks
    for block in blocks:
        done = subprocess.run(
            [sys.executable, "-c", block], capture_output=True, text=True, cwd=demo_of_months.root, timeout=600
        )
        assert done.returncode == 0, block + done.stderr
        assert done.stdout.strip()


@pytest.mark.slow
def test_a_second_connection_sees_the_old_file_until_all_are_closed(tmp_path: Path) -> None:
    """The limitation that docs/readers.md describes; it is DuckDB's behaviour and may change with its version."""
    warehouses = [prepare(tmp_path, content) for content in (0, 1)]
    first = publish_content(warehouses, tmp_path / "published", 0, keep=5)
    database = str(tmp_path / "published" / "tightness.duckdb")
    with duckdb.connect(database, read_only=True):
        second = publish_content(warehouses, tmp_path / "published", 1, keep=5)
        with duckdb.connect(database, read_only=True) as again:
            assert again.execute("select release_id()").fetchone() == (first.release_id,)
    with duckdb.connect(database, read_only=True) as after:
        assert after.execute("select release_id()").fetchone() == (second.release_id,)


# --- injected faults that the program detects


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """Two publications, the second one current."""
    warehouses = [prepare(tmp_path, content) for content in (0, 1)]
    for n in (0, 1):
        publish_content(warehouses, tmp_path / "published", n, keep=5)
    return tmp_path / "published"


def test_a_good_release_is_read_with_its_id(published: Path) -> None:
    release_id, current, there = read(published, pause=0)
    assert (content_of(release_id), current, there) == (1, release_id, True)


# Half of a publication in place, rows lost, and the id of one release in the file of another.
DAMAGES = {
    "mixed": "update signals.signals_latest set content = 0",
    "partly mixed": "update marts.price_daily set content = 0 where n = 17",
    "torn": "delete from marts.price_daily where n > 100",
    "another row": "update marts.price_daily set n = n + 1 where n = 17",
    "another id": "create or replace macro release_id() as '20260101T000000Z-00000000'",
}


@pytest.mark.slow
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_partial_or_mixed_release_is_detected(published: Path, damage: str) -> None:
    with duckdb.connect(str(published / "tightness.duckdb")) as con:
        con.execute(DAMAGES[damage])
    with pytest.raises(MixedError):
        read(published, pause=0)


def test_a_manifest_that_does_not_match_its_database_is_detected(published: Path) -> None:
    release_id, _, _ = read(published, pause=0)
    path = published / "releases" / release_id / "manifest.json"
    path.write_text(path.read_text().replace(f'"rows": {readers.ROWS[readers.TABLES[0]][1]}', '"rows": 1'))
    with pytest.raises(MixedError, match="its manifest has other row counts"):
        read(published, pause=0)


def test_a_file_that_is_missing_or_cut_is_an_error(published: Path) -> None:
    whole = (published / "tightness.duckdb").read_bytes()
    (published / "tightness.duckdb").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(duckdb.Error):
        read(published, pause=0)
    (published / "tightness.duckdb").unlink()
    with pytest.raises(duckdb.Error):
        read(published, pause=0)


def test_a_newer_release_and_a_removed_one_are_counted_and_no_fault(published: Path) -> None:
    first = sorted((published / "releases").iterdir())[0]
    (published / "tightness.duckdb").write_bytes(
        (first / "tightness.duckdb").read_bytes()
    )  # opened before the manifest moved
    release_id, current, there = read(published, pause=0)
    assert (release_id, there) == (first.name, True)
    assert current != release_id


IDS = ["20260101T000000Z-a", "20260101T000001Z-b"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda seen: seen[0].mixed.append("two releases"), "two releases"),
        (lambda seen: seen[1].errors.append("IOException: gone"), "IOException: gone"),
        (lambda seen: setattr(seen[1], "reads", 0), "a reader read nothing"),
        (lambda seen: seen.clear(), "a reader read nothing"),
        (lambda seen: [one.releases.pop() for one in seen], r"saw 1 release\(s\)"),
        (lambda seen: seen[0].releases.append("20260101T000002Z-c"), "never published: .*-c"),
    ],
)
def test_each_fault_of_a_reader_is_reported(change: Callable[[list[Seen]], object], message: str) -> None:
    seen = [Seen(reads=3, releases=list(IDS)) for _ in range(2)]
    assert sum_up(seen, IDS, [])["problems"] == []
    change(seen)
    with pytest.raises(AssertionError, match=message):
        assert not (problems := sum_up(seen, IDS, [])["problems"]), problems


def test_the_content_follows_from_the_id() -> None:
    assert [content_of(name) for name in IDS] == [0, 1]
    rows = {table: counts[1] for table, counts in readers.ROWS.items()}
    judge(IDS[1], {table: (n, 1, 1, n * (n - 1) // 2) for table, n in rows.items()})


def test_bad_usage_ends_with_2() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.stress.readers", "--readers", "0"], capture_output=True, text=True, cwd=PROJECT
    )
    assert (done.returncode, done.stdout) == (2, "")
