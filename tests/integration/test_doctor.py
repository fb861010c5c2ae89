"""`tightness doctor` for users who may only read, or not even that: it says so and writes nothing."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock
from sandbox import Sandbox

from pipelines.common import settings as settings_module
from pipelines.warehouse.lock import current_writer, writer_lock

NOW = "2026-01-20T20:00:00Z"


def files(root: Path) -> list[tuple[str, int]]:
    return sorted((str(path), path.lstat().st_mtime_ns) for path in root.rglob("*"))


def details(sandbox: Sandbox) -> dict[str, tuple[str, str]]:
    """State and detail of each finding."""
    _, lines, errors = sandbox.call("doctor", "--json")
    assert errors == []
    return {finding["what"]: (finding["state"], finding["detail"]) for finding in json.loads("\n".join(lines))}


def test_doctor_shows_what_is_in_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sandbox = Sandbox(tmp_path / "metals [prod]", "drop", NOW)
    sandbox.drop_month()
    sandbox.reference()
    before = files(tmp_path)
    found = details(sandbox)
    assert found["settings file"][1].endswith("does not exist: environment and defaults")
    assert found["folder data"] == ("ok", f"{sandbox.data} does not exist")
    assert found["folder drop"] == ("ok", f"{sandbox.root}/drop")
    assert found["folder DAGSTER_HOME"] == ("ok", f"{sandbox.root}/dagster does not exist")
    assert found["reference tables"][1].endswith(f", in {sandbox.root}/reference")
    assert files(tmp_path) == before
    (tmp_path / "project.env").write_text("TIGHTNESS_PROFILE=drop\n")
    monkeypatch.setattr("pipelines.cli.doctor.ENV_FILE", tmp_path / "project.env")
    monkeypatch.setattr(settings_module, "ENV_FILE", tmp_path / "project.env")
    assert details(sandbox)["settings file"] == ("ok", f"{tmp_path}/project.env")


def test_the_lock_is_looked_at_and_not_taken(tmp_path: Path) -> None:
    assert current_writer(tmp_path) is None
    assert list(tmp_path.iterdir()) == []
    with writer_lock(tmp_path, 0):
        assert (current_writer(tmp_path) or "").startswith(f" (pid {os.getpid()}, since ")
    assert current_writer(tmp_path) is None
    with FileLock(tmp_path / "warehouse" / ".writer.lock"):
        assert current_writer(tmp_path) == "", "held, and not named"


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may enter; pytest's own folders are closed."""
    folder = Path(tempfile.mkdtemp(prefix="tightness-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_user_without_rights_is_shown_what_cannot_be_looked_at(drop_market: Sandbox, open_folder: Path) -> None:
    sandbox = drop_market.copy(open_folder / "copy")
    assert details(sandbox)["lake stocks"][0] == "ok"  # and imports what another user may not read here
    closed = {"lake": "lake/stocks", "quarantine": "quarantine", "publication": "published/manifest.json"}
    for name in closed.values():
        (sandbox.data / name).chmod(0o700)
    before = files(sandbox.data)
    reader, writer = os.pipe()
    if (child := os.fork()) == 0:
        try:
            os.setgroups([])
            os.setresgid(65534, 65534, 65534)
            os.setresuid(65534, 65534, 65534)
            answer = json.dumps(details(sandbox))
        except BaseException:
            answer = traceback.format_exc()
        os.write(writer, answer.encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        answer = pipe.read()
    assert answer.startswith("{"), answer
    found = json.loads(answer)
    os.waitpid(child, 0)
    for what, name in closed.items():
        assert found[what] == ["warn", f"cannot be looked at: this user may not read {sandbox.data / name}"]
    assert found["lake prices"][0] == found["writer lock"][0] == found["clock"][0] == "ok"
    assert files(sandbox.data) == before


def test_what_cannot_be_read_for_another_reason_is_a_fault(tmp_path: Path) -> None:
    """A disk fault raises the same kind of error as a folder in the place of a file."""
    sandbox = Sandbox(tmp_path / "sandbox", "drop", NOW)
    sandbox.drop_month()
    sandbox.ingest(("2026-01", "2026-01"), ["stocks"])
    record = sandbox.open().stored_lake.record("stocks").path
    record.unlink()
    record.mkdir()
    found = details(sandbox)
    assert found["lake"] == ["bad", f"{record} cannot be read: Is a directory"]
    assert found["publication"][0] == "warn", "the other findings are there"
