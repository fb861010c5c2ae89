"""A disk that is full or read-only: nothing stored is lost, the last release stays, and the next run completes it."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sandbox import Sandbox, assert_same_rows

from tests.stress.crash import torn

NOW = "2026-01-20T20:00:00Z"
MONTHS = ("2026-01", "2026-01")
DATASETS = ["prices", "stocks"]
pytestmark = pytest.mark.slow


@dataclass
class FullAfter:
    """Replacement of `Path.replace`: the first `room` calls succeed, later ones fail as on a full disk."""

    move: Callable[[Path, Any], Path]
    room: int
    number: int = errno.ENOSPC
    refused: int = 0

    def __call__(self, path: Path, target: Any) -> Path:
        if self.room <= 0:
            self.refused += 1
            raise OSError(self.number, os.strerror(self.number), str(path))
        self.room -= 1
        return self.move(path, target)


@contextmanager
def full_after(room: int) -> Iterator[FullAfter]:
    """Fail after `room` file renames; every stored file is written to a temporary name and then renamed."""
    disk = FullAfter(Path.replace, room)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "replace", lambda path, target: disk(path, target))
        yield disk


def test_a_disk_that_is_full_at_any_write_loses_nothing_and_the_next_run_completes_it(tmp_path: Path) -> None:
    """Archive, lake, quarantine and ledger: full at the first write, at the second, and so on to the last."""
    clean = Sandbox(tmp_path / "clean", "drop", NOW)
    clean.drop_month()
    clean.ingest(MONTHS, DATASETS)
    wanted = clean.rows(DATASETS)
    assert [len(frame) for frame in wanted.values()] == [13, 12, 1]
    for room in range(100):
        sandbox = Sandbox(tmp_path / f"full{room}", "drop", NOW)
        sandbox.drop_month()
        with full_after(room) as disk:
            if disk_refused := _full(sandbox):
                assert "No space left on device" in disk_refused
        before = {name: about for name, about in sandbox.stored().items() if name.endswith(".parquet")}
        assert not [path for path in sandbox.data.rglob(".tmp-*") if path.is_file()], "the unfinished file is gone"
        if not disk.refused:
            break
        sandbox.ingest(MONTHS, DATASETS)
        assert_same_rows(sandbox.rows(DATASETS), wanted)
        assert before.items() <= sandbox.stored().items(), "what was stored is what it was"
    assert 8 < room < 99, "the fault has come to every write"


def _full(sandbox: Sandbox) -> str:
    try:
        sandbox.ingest(MONTHS, DATASETS)
    except OSError as error:
        return str(error)
    return ""


def test_a_disk_that_is_full_while_a_release_is_made_leaves_the_last_one(drop_market: Sandbox, tmp_path: Path) -> None:
    sandbox = drop_market.copy(tmp_path / "sandbox")
    sandbox.drop_month(stock=450_000.0)
    later = sandbox.at("2026-01-21T20:00:00Z")
    later.ingest(MONTHS)
    assert later.build().failed == []
    with full_after(1000) as disk:
        clean = later.copy(tmp_path / "clean").publish()
    moves, had = 1000 - disk.room, sandbox.published()
    for room in (0, 1, moves // 2, moves - 1):
        one = later.copy(tmp_path / f"full{room}")
        with full_after(room) as disk, pytest.raises(OSError, match="No space left on device"):
            one.publish()
        assert disk.refused == 1
        assert torn(one.data, had_release=True) == []
        if room < 2:  # the record of the build, and the folder of the release
            assert one.published() == had
        release = one.publish()
        assert {n: t["content_sha256"] for n, t in release.manifest["tables"].items()} == {
            n: t["content_sha256"] for n, t in clean.manifest["tables"].items()
        }
        assert torn(one.data, had_release=True) == []
        shutil.rmtree(one.root)


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[None]:
    """A file system of that size over the folder, which keeps its content."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("only root can mount a small disk, on Linux")
    kept = folder.with_name("kept")
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], capture_output=True)
    if done.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {done.stderr.decode().strip()}")
    try:
        yield
        shutil.copytree(folder, kept)
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)
    shutil.rmtree(folder)
    kept.rename(folder)


@pytest.mark.parametrize("size", ["400k", "6m"])
def test_a_run_on_a_full_disk_fails_with_one_line(tmp_path: Path, size: str) -> None:
    """One size is too small for the lake, one for the warehouse, where DuckDB has another error message."""
    sandbox = Sandbox(tmp_path, "drop", NOW)
    sandbox.drop_month()
    with small_disk(sandbox.data, size):
        code, _, errors = sandbox.call("run", "--from", MONTHS[0])
        assert code == 1
        [line] = [line for line in errors if "disk" in line]
        assert line == (
            "the disk of the data folder is full: free some space, then run again. "
            "Nothing is lost, the last release stays"
        )
        assert not sandbox.database.exists()
    clean = Sandbox(tmp_path / "clean", "drop", NOW)
    clean.drop_month()
    wanted, release = clean.ingest(MONTHS, DATASETS), sandbox.run(MONTHS)
    assert wanted.failures == [] and not release.unchanged
    assert_same_rows(sandbox.rows(DATASETS), clean.rows(DATASETS))


# --- the data folder cannot be written


def test_a_read_only_data_folder_is_reported_in_one_line_and_published_data_can_be_read(
    drop_market: Sandbox, tmp_path: Path
) -> None:
    sandbox = drop_market.copy(tmp_path)
    with read_only(sandbox.data):
        code, printed, errors = sandbox.at("2026-01-21T20:00:00Z").call("run", "--from", MONTHS[0])
        assert code == 1
        assert [line for line in errors if "read-only" in line] == [
            "the data folder is on a read-only file system: make it writable, then run again. "
            "Nothing is lost, the last release stays"
        ]
        assert not any("Traceback" in line for line in [*errors, *printed])
        code, printed, _ = sandbox.call("signals")
        assert code == 0 and any("AL.INVENTORY.STOCK_DAYS" in line for line in printed)
    assert sandbox.published() == drop_market.published()


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """The folder mounted over itself, read-only: root passes over mode bits."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("only root can mount a folder read-only, on Linux")
    done = subprocess.run(["mount", "--bind", folder, folder], capture_output=True)
    if done.returncode:
        pytest.skip(f"a folder cannot be mounted here: {done.stderr.decode().strip()}")
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", folder], check=True)
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)
