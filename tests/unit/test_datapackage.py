"""The data package of a release: every Parquet file with its columns, types, units, keys and rows."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from small_release import TWO_DAYS, release, warehouse

ARROW = {
    "string": "string", "double": "number", "date32[day]": "date", "timestamp[us, tz=UTC]": "datetime",
    "int32": "integer", "int64": "integer", "bool": "boolean", "decimal128(3, 2)": "number",
}  # fmt: skip


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("package")
    release(warehouse(folder / "w.duckdb", TWO_DAYS), folder / "published")
    return folder / "published"


def test_every_parquet_file_is_described_as_it_is(published: Path) -> None:
    package = json.loads((published / "datapackage.json").read_text())
    files = {path.relative_to(published).as_posix() for path in (published / "parquet").rglob("*.parquet")}
    assert {resource["path"] for resource in package["resources"]} == files
    for resource in package["resources"]:
        table = pq.read_table(published / resource["path"])
        described = {field["name"]: field["type"] for field in resource["schema"]["fields"]}
        assert described == {field.name: ARROW[str(field.type)] for field in table.schema}
        assert resource["rows"] == table.num_rows


def test_units_keys_and_the_synthetic_mark_are_there(published: Path) -> None:
    package = json.loads((published / "datapackage.json").read_text())
    manifest = json.loads((published / "manifest.json").read_text())
    assert (package["version"], package["synthetic"]) == (manifest["release_id"], True)
    [prices] = [one for one in package["resources"] if one["title"] == "marts.price_daily"]
    assert prices["schema"]["primaryKey"] == ["metal", "obs_date"]
    assert prices["schema"]["fields"][2] == {
        "name": "cash_usd_t", "type": "number", "description": "Cash price", "unit": "USD/t"
    }  # fmt: skip
    assert prices["content_sha256"] == manifest["tables"]["marts.price_daily"]["content_sha256"]
