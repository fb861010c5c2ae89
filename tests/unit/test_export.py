"""Copies of a release for tools without DuckDB: their content, their folder, and what is rejected."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
import stat
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from sandbox import Sandbox
from small_release import COMMENTS, KEYS, TWO_DAYS, base, release, warehouse

from pipelines.publish import export as exporting
from pipelines.publish.export import ExportError, TargetError, export
from pipelines.publish.release import publish
from pipelines.publish.releases import KeptRelease, UnknownNameError, find

ODD = """create table signals.signals_latest as
    from (values ('AL.Ä "x", y', 0.1::double + 0.2, timestamptz '2026-01-13 18:00:00+01'),
                 ('', null, null), (null, 1e-7, '2026-01-13 18:00:00.25+00'))
    as t(signal_id, value, knowledge_ts_max)"""


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("original")
    source = warehouse(folder / "w.duckdb", TWO_DAYS, signals=ODD)
    publish(source, folder / "published", manifest_base=base(), comments=COMMENTS, keys=KEYS, synthetic=False)
    return folder / "published"


@pytest.fixture
def published(original: Path, tmp_path: Path) -> Path:
    """A copy of a release with odd texts and missing values."""
    return Path(shutil.copytree(original, tmp_path / "published"))


@pytest.fixture
def current(published: Path) -> KeptRelease:
    return find(published, "current")


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_csv_has_a_header_iso_days_instants_with_z_and_whole_numbers(current: KeptRelease, tmp_path: Path) -> None:
    rows = export(current, tmp_path / "out", "csv")

    assert rows == {"marts/price_daily.csv": 2, "signals/signals_latest.csv": 3}
    assert files(tmp_path / "out") == {*rows, "README.txt", "manifest.json"}
    prices = (tmp_path / "out/marts/price_daily.csv").read_bytes()
    assert prices == b"metal,obs_date,cash_usd_t\nAL,2026-01-12,3150.5\nAL,2026-01-13,3200.0\n"
    text = (tmp_path / "out/signals/signals_latest.csv").read_text(encoding="utf-8")
    assert list(csv.reader(text.splitlines())) == [
        ["signal_id", "value", "knowledge_ts_max"],
        ["", "", ""],
        ['AL.Ä "x", y', "0.30000000000000004", "2026-01-13T17:00:00Z"],
        ["", "1e-07", "2026-01-13T18:00:00.25Z"],
    ]
    assert text.splitlines()[1] == '"",,', "an empty text is quoted, a missing value is empty"


def test_parquet_is_the_published_file(current: KeptRelease, tmp_path: Path) -> None:
    export(current, tmp_path / "out", "parquet")
    for name in ("marts/price_daily.parquet", "signals/signals_latest.parquet"):
        assert (tmp_path / "out" / name).read_bytes() == (current.path / "parquet" / name).read_bytes()
    metadata = pq.read_metadata(tmp_path / "out/marts/price_daily.parquet").metadata
    assert metadata[b"release_id"].decode() == current.release_id


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_the_manifest_names_the_release_and_describes_the_files(
    current: KeptRelease, tmp_path: Path, kind: exporting.Format
) -> None:
    export(current, tmp_path / "out", kind)
    about = json.loads((tmp_path / "out/manifest.json").read_text())
    assert (about["release_id"], about["synthetic"], about["format"]) == (current.release_id, False, kind)
    assert about["tables"]["marts.price_daily"] == {"rows": 2, "key": ["metal", "obs_date"]}
    for name, facts in about["files"].items():
        content = (tmp_path / "out" / name).read_bytes()
        assert (facts["bytes"], facts["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
    readme = (tmp_path / "out/README.txt").read_text()
    assert current.release_id in readme
    assert "SYNTHETIC" not in readme


def test_generated_data_is_marked_in_every_file_name_and_file(tmp_path: Path) -> None:
    release(warehouse(tmp_path / "w.duckdb", TWO_DAYS), tmp_path / "published")
    rows = export(find(tmp_path / "published", "current"), tmp_path / "out", "csv")
    assert set(rows) == {"marts/price_daily.SYNTHETIC.csv", "signals/signals_latest.SYNTHETIC.csv"}
    assert (tmp_path / "out/README.txt").read_text().startswith("SYNTHETIC DEMO DATA\n")
    assert json.loads((tmp_path / "out/manifest.json").read_text())["synthetic"] is True


def test_the_copies_are_readable_by_all(current: KeptRelease, tmp_path: Path) -> None:
    export(current, tmp_path / "out", "csv")
    modes = {stat.S_IMODE(path.stat().st_mode) for path in [tmp_path / "out", *(tmp_path / "out").rglob("*")]}
    assert modes == {0o755, 0o644}


def test_an_earlier_export_is_replaced_whole(current: KeptRelease, tmp_path: Path) -> None:
    export(current, tmp_path / "out", "csv")
    export(current, tmp_path / "out", "parquet", ["price_daily"])
    assert files(tmp_path / "out") == {"marts/price_daily.parquet", "README.txt", "manifest.json"}
    assert {path.name for path in tmp_path.iterdir()} == {"out", "published"}, "nothing else is left"


def test_an_empty_folder_is_filled_and_a_folder_of_the_user_is_not_changed(
    current: KeptRelease, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    export(current, tmp_path / "empty", "csv")
    assert (tmp_path / "empty/README.txt").is_file()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/manifest.json").write_text('{"release_id": "x"}')
    (tmp_path / "file").write_text("x")
    for name in ("mine", "file"):
        with pytest.raises(TargetError, match=f"{name} exists and is not an earlier export"):
            export(current, tmp_path / name, "csv")
    assert files(tmp_path / "mine") == {"manifest.json"}
    assert (tmp_path / "file").read_text() == "x"


def test_a_file_of_the_user_beside_the_copies_is_not_deleted(current: KeptRelease, tmp_path: Path) -> None:
    export(current, tmp_path / "out", "csv")
    (tmp_path / "out/marts/mine.xlsx").write_text("x")
    with pytest.raises(TargetError, match=r"mine\.xlsx is not part of the earlier export"):
        export(current, tmp_path / "out", "csv")
    assert "marts/mine.xlsx" in files(tmp_path / "out")


@pytest.mark.parametrize("inside", ["published", "published/parquet/marts", "."])
def test_published_files_are_never_overwritten(current: KeptRelease, tmp_path: Path, inside: str) -> None:
    before = files(tmp_path)
    with pytest.raises(TargetError, match="export to another folder"):
        export(current, tmp_path / inside, "csv")
    assert files(tmp_path) == before


def test_a_newer_release_does_not_mix_in(current: KeptRelease, published: Path, tmp_path: Path) -> None:
    """The release was looked up, then another one was published: the copies are of the first."""
    release(warehouse(tmp_path / "w.duckdb", {"2026-01-14": 1.0}), published)
    export(current, tmp_path / "out", "csv")
    assert "2026-01-12,3150.5" in (tmp_path / "out/marts/price_daily.csv").read_text()
    assert json.loads((tmp_path / "out/manifest.json").read_text())["release_id"] == current.release_id


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_release_that_is_removed_during_an_export_leaves_the_earlier_export(
    current: KeptRelease, tmp_path: Path, kind: exporting.Format
) -> None:
    export(current, tmp_path / "out", kind)
    before = {name: (tmp_path / "out" / name).read_bytes() for name in files(tmp_path / "out")}
    shutil.rmtree(current.path)
    with pytest.raises(ExportError, match="a newer release has replaced it in the meantime: export again"):
        export(current, tmp_path / "out", kind)
    assert {name: (tmp_path / "out" / name).read_bytes() for name in files(tmp_path / "out")} == before
    assert not list(tmp_path.glob(".out-*"))


def test_a_failed_move_restores_the_earlier_export(
    current: KeptRelease, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export(current, tmp_path / "out", "csv")
    rename = Path.rename

    def full(self: Path, target: Path) -> Path:
        if self.name == "new":
            raise OSError(28, "No space left on device")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", full)
    with pytest.raises(ExportError, match="No space left on device"):
        export(current, tmp_path / "out", "parquet")
    assert "marts/price_daily.csv" in files(tmp_path / "out")


def test_a_damaged_parquet_file_is_not_copied(current: KeptRelease, tmp_path: Path) -> None:
    file = current.path / "parquet/marts/price_daily.parquet"
    file.write_bytes(file.read_bytes() + b"x")
    with pytest.raises(ExportError, match=r"marts/price_daily\.parquet of release .* differs from its manifest"):
        export(current, tmp_path / "out", "parquet")
    assert not (tmp_path / "out").exists()


def test_an_unknown_table_is_an_error_that_lists_the_tables(current: KeptRelease, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match=r"no table 'prices'; known: marts\.price_daily, signals"):
        export(current, tmp_path / "out", "csv", ["prices"])


# --- the command


@pytest.mark.slow
def test_the_command_writes_below_the_data_folder_or_to_a_given_folder(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path, "drop", "2026-01-20T20:00:00Z")
    done = release(warehouse(tmp_path / "w.duckdb", TWO_DAYS), sandbox.data / "published")
    code, out, errors = sandbox.call("export", "--format", "csv", "--table", "price_daily")
    assert (code, out[0]) == (0, f"release   {done.release_id}")
    assert out[1].startswith("1 file(s), 2 rows in ")
    assert "SYNTHETIC DEMO DATA" in errors[-1]
    assert (sandbox.data / "exports/csv/marts/price_daily.SYNTHETIC.csv").is_file()
    assert sandbox.call("export", "--format", "parquet", "--to", str(tmp_path / "out"))[0] == 0
    assert (tmp_path / "out/signals/signals_latest.parquet").is_file()


def test_the_command_reports_errors_and_bad_usage(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path, "drop", "2026-01-20T20:00:00Z")
    assert sandbox.call("export", "--format", "csv")[0] == 1, "nothing is published"
    assert sandbox.call("export", "--format", "ods")[0] == 2
    release(warehouse(tmp_path / "w.duckdb", TWO_DAYS), sandbox.data / "published")
    assert sandbox.call("export", "--format", "csv", "--table", "prices")[0] == 2
    code, out, [line] = sandbox.call("export", "--format", "csv", "--to", str(sandbox.data / "published"))
    assert (code, out) == (2, [])
    assert "export to another folder" in line
