"""Files that are generated from the schemas: contracts, sources, comments, the dictionary; and the check for drift."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path

import pytest
import yaml

from schemas.__main__ import main
from schemas.base import Mart, Table, field
from schemas.datasets import DATASETS
from schemas.generate.dbt import comments, keys, models_yaml, sources_yaml
from schemas.generate.docs import dictionary_md
from schemas.marts import MARTS
from schemas.signals import SIGNALS


class Example(Table):
    """An example."""

    metal = field("Metal: {yes}, # or | no")
    day = field("Day", dtype=date)
    known = field("Known since", "UTC", dtype=datetime)
    price_usd_t = field("Price", "USD/t", dtype=float, nullable=True)
    age = field("Age", "days", dtype=int, nullable=True)
    vintage_no = field("Vintage")
    is_new = field("New", dtype=bool)
    may_be = field("Maybe", dtype=bool, nullable=True)


MODELS = {"example": Mart(Example, "marts", key=("metal", "day"))}


def test_a_contract_names_every_column_with_its_sql_type() -> None:
    *_, model = yaml.safe_load(models_yaml(MODELS))["models"]
    assert (model["name"], model["description"], model["config"]["contract"]) == (
        "example",
        "An example. One row for each metal, day.",
        {"enforced": True},
    )
    assert {c["name"]: c["data_type"] for c in model["columns"]} == {
        "metal": "varchar",
        "day": "date",
        "known": "timestamptz",
        "price_usd_t": "double",
        "age": "integer",
        "vintage_no": "integer",
        "is_new": "boolean",
        "may_be": "boolean",
    }
    assert model["columns"][0]["description"] == "Metal: {yes}, # or | no"
    assert model["columns"][3]["description"] == "Price [USD/t]"
    assert model["columns"][3]["config"] == {"meta": {"unit": "USD/t"}}


def test_every_dataset_of_the_lake_is_a_source_with_its_own_and_the_bitemporal_columns() -> None:
    lake, reference = yaml.safe_load(sources_yaml())["sources"]
    assert [table["name"] for table in lake["tables"]] == list(DATASETS)
    rates = next(table for table in lake["tables"] if table["name"] == "rates")
    assert [c["name"] for c in rates["columns"]] == [
        *["rate_id", "obs_date", "rate_pct"],
        *["obs_start", "obs_end", "knowledge_ts", "knowledge_basis", "vintage_no", "is_suspect"],
        *["ingest_ts", "source", "payload_sha256", "licence_class"],
    ]
    assert {"metals", "parameters", "trading_calendar"} <= {table["name"] for table in reference["tables"]}


def test_comments_and_keys_are_by_schema_and_table() -> None:
    comment_of = comments(MODELS)[("marts", "example")]
    assert (comment_of[""], comment_of["price_usd_t"], comment_of["day"]) == ("An example", "Price [USD/t]", "Day")
    assert keys(MODELS) == {("marts", "example"): ("metal", "day")}


def test_the_dictionary_shows_type_unit_and_missing_and_keeps_its_table_whole() -> None:
    text = dictionary_md(MODELS)
    assert "| `price_usd_t` | double | USD/t | yes | Price |" in text
    assert "| `metal` | varchar |  |  | Metal: {yes}, # or \\| no |" in text


def test_a_column_without_description_or_sql_type_is_named() -> None:
    class Silent(Table):
        x = field("", dtype=float)

    class Odd(Table):
        y = field("Complex", dtype=complex)

    with pytest.raises(ValueError, match=r"no description of Silent\.x"):
        models_yaml({"silent": Mart(Silent, "marts", key=("x",))})
    with pytest.raises(TypeError, match=r"no SQL type for column Odd\.y of type complex128"):
        models_yaml({"odd": Mart(Odd, "marts", key=("y",))})


@pytest.mark.parametrize("name", MARTS | SIGNALS)
def test_the_key_of_a_published_table_is_made_of_its_columns(name: str) -> None:
    mart = (MARTS | SIGNALS)[name]
    assert set(mart.key) <= set(mart.model.to_schema().columns)
    assert mart.key


@pytest.mark.slow
def test_check_names_the_file_that_drifted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check"], tmp_path) == 1
    assert main([], tmp_path) == 0
    capsys.readouterr()
    assert main(["--check"], tmp_path) == 0
    (tmp_path / "docs" / "dictionary.md").write_text("edited by hand")
    assert main(["--check"], tmp_path) == 1
    assert capsys.readouterr().err == "docs/dictionary.md is out of date: run `make docs` and commit it\n"
    assert main(["--chekc"], tmp_path) == 2
