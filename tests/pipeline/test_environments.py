"""The same release whatever the folders are called, whoever runs it, and with whatever environment."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sandbox import Sandbox

pytestmark = pytest.mark.slow
NOW = "2026-01-20T20:00:00Z"
NAMES = {
    "spaces": " two  spaces ",
    "umlauts": "M\u00e4rkte \u00df",
    "apostrophe": "it's",
    "quotes": 'say "x"',
    "brackets": "metals [prod]",
    "percent": "100%s %25",
    "braces": "{{ lake }} {% if %}",
    "dash": "-dash",
    "200 characters": "x" * 200,
    "emoji": "\N{CHART WITH UPWARDS TREND}\U0001f468\u200d\U0001f469",
    "dollar": "do$lar $",
    "hash": "a#b;c",
    "backslash": "back\\slash",  # all but the data folder, see `unopenable`
    "question mark": "what?",  # drop, replay and reference only
    "star": "*",
    "assignment": "stage=prod",
    "colon": "md:x",
    "comma": "a,b&c|d",
    "decomposed": "Ma\u0308rkte",
}
SHORT = {"brackets"}


def market(root: Path, folders: dict[str, Path]) -> Sandbox:
    """A month of a user's prices and stocks, and a recorded exchange rate; `folders` by setting."""
    sandbox = Sandbox(root, "replay", NOW)
    sandbox.drop_month()
    header = "CURRENCY,CURRENCY_DENOM,TIME_PERIOD,OBS_VALUE"
    sandbox.record("ecb/EXR_2026.csv", f"{header}\nUSD,EUR,2026-01-12,1.16\nUSD,EUR,2026-01-13,1.17\n")
    for name in ("drop", "replay"):
        if folders[name] != sandbox.root / name:
            folders[name].parent.mkdir(parents=True, exist_ok=True)
            (sandbox.root / name).rename(folders[name])
    if folders["reference"] != sandbox.reference():
        sandbox.reference().rename(folders["reference"])
    return sandbox


def variables(folders: dict[str, Path]) -> dict[str, str]:
    named = {f"TIGHTNESS_{name.upper()}_DIR": str(folder) for name, folder in folders.items() if name != "dagster"}
    return {**named, "DAGSTER_HOME": str(folders["dagster"])}


def in_one(root: Path) -> dict[str, Path]:
    return {name: root / name for name in ("data", "drop", "replay", "reference", "dagster")}


def release(data: Path) -> dict[str, pa.Table]:
    """Every published table, without the id of the run."""
    folder = data / "published" / "parquet"
    tables = {path.relative_to(folder).as_posix(): pq.ParquetFile(path).read() for path in folder.rglob("*.parquet")}
    return {
        name: table.drop_columns([column for column in table.column_names if column == "run_id"])
        for name, table in tables.items()
    }


def assert_same(found: Path, wanted: Path) -> None:
    """Compare two releases by value."""
    these, those = release(found), release(wanted)
    assert these.keys() == those.keys() and len(those) > 15
    assert [name for name, table in those.items() if not these[name].equals(table)] == []


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Sandbox:
    """The run in folders with plain names that all others are compared with."""
    root = tmp_path_factory.mktemp("plain")
    sandbox = market(root, in_one(root))
    code, _, errors = sandbox.call("run", "--from", "2026-01")
    assert code == 0, errors
    assert len(sandbox.open().lake.read("prices")) == 13 and len(sandbox.open().lake.read("fx")) == 2
    return sandbox


def long(name: str) -> object:
    return pytest.param(name, marks=() if name in SHORT else pytest.mark.exhaustive)


@pytest.mark.parametrize("name", [long(name) for name in NAMES])
def test_folders_of_any_name_give_the_same_release(plain: Sandbox, tmp_path: Path, name: str) -> None:
    odd = tmp_path / NAMES[name]
    odd.mkdir()
    # Each folder also has the name itself, but for 200 characters: SQLite opens no path over 512 bytes.
    folders = {setting: odd / f"{'' if name == '200 characters' else NAMES[name]}{setting}" for setting in in_one(odd)}
    unopenable = {"backslash": ["data"], "question mark": ["data", "dagster"]}.get(name, [])
    for setting in unopenable:
        folders[setting] = tmp_path / setting
    sandbox = market(tmp_path / "inputs", folders)
    code, _, errors = sandbox.call("run", "--from", "2026-01", **variables(folders))
    assert code == 0, errors
    assert_same(folders["data"], plain.data)
    assert {path.name for path in (folders["dagster"]).iterdir()} >= {"dagster.yaml", "history"}
    code, printed, errors = sandbox.call("signals", "--json", **variables(folders))
    assert (code, printed) == (0, plain.call("signals", "--json")[1])
    before = sorted(path.name for path in tmp_path.iterdir())
    for setting in unopenable:
        wrong = {**folders, setting: odd / setting}
        code, _, errors = sandbox.call("run", "--from", "2026-01", **variables(wrong))
        assert code == 2 and len(errors) == 1 and "in which no database can be opened" in errors[0]
        assert not (odd / setting).exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == before


# --- another user, a minimal environment, another locale


@pytest.fixture
def own_folder() -> Iterator[Path]:
    """A folder of the user nobody; pytest's own folders are closed to others."""
    folder = Path(tempfile.mkdtemp(prefix="tightness-"))
    yield folder
    shutil.rmtree(folder)


def as_nobody() -> list[str]:
    """Command prefix; where the interpreter is in a closed folder, with the right to read (not to write) everything."""
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        return []
    prefix = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
    shown = [*prefix, sys.executable, "-c", "import sys; print(sys.base_prefix)"]
    found = subprocess.run(shown, env={}, cwd="/", capture_output=True, text=True, timeout=60).stdout.strip()
    may_read = found == sys.base_prefix
    return prefix if may_read else [*prefix, "--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]


@pytest.mark.parametrize(
    "locale", [pytest.param({}, id="minimal"), pytest.param({"LC_ALL": "C"}, id="C", marks=pytest.mark.exhaustive)]
)
def test_another_user_with_a_minimal_environment_gives_the_same_release(
    plain: Sandbox, own_folder: Path, locale: dict[str, str]
) -> None:
    folders = in_one(own_folder)
    market(own_folder, folders)
    for path in (own_folder, *own_folder.rglob("*")):
        os.chown(path, 65534, -1)
    del folders["dagster"]  # by default in the data folder
    settings = {f"TIGHTNESS_{name.upper()}_DIR": str(folder) for name, folder in folders.items()}
    done = subprocess.run(
        [*as_nobody(), sys.executable, "-m", "pipelines.cli.app", "run", "--from", "2026-01"],
        env={"PATH": os.defpath, "TIGHTNESS_PROFILE": "replay", "TIGHTNESS_NOW": NOW, **settings, **locale},
        cwd="/",
        capture_output=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr.decode()
    assert b"Traceback" not in done.stderr and b"AL.TIGHTNESS.INDEX" in done.stdout
    assert_same(folders["data"], plain.data)
    assert (folders["data"] / "instance" / "history").is_dir()
