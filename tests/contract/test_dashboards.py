"""The Superset bundle: references and ids are consistent, and every column that it names exists in the schemas.

An empty database with the published tables of the schemas resolves names and SQL; no Superset is needed.
"""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

import duckdb
import pytest
import yaml

from pipelines.common.settings import PROJECT
from pipelines.publish.release_tables import SYNTHETIC
from schemas.base import columns_of
from schemas.evaluation import EVALUATION
from schemas.generate.dbt import data_type
from schemas.generate.superset import DATABASE
from schemas.marts import MARTS
from schemas.signals import SIGNALS

BUNDLE: Final = PROJECT / "dashboards/superset"
# Parameters of a chart that name columns of its dataset, beside metrics and filters.
COLUMNS: Final = ("all_columns", "groupby", "groupby_b", "x_axis")


def documents(folder: str) -> dict[str, dict[str, Any]]:
    return {path.stem: yaml.safe_load(path.read_text()) for path in sorted((BUNDLE / folder).rglob("*.yaml"))}


DATABASES, DATASETS, CHARTS, DASHBOARDS = map(documents, ("databases", "datasets", "charts", "dashboards"))
BY_UUID: Final = {dataset["uuid"]: dataset for dataset in DATASETS.values()}


@pytest.fixture(scope="module")
def empty() -> Iterator[duckdb.DuckDBPyConnection]:
    """The published tables, without rows."""
    with duckdb.connect() as con:
        con.execute("create schema marts; create schema signals; create macro release_id() as ''")
        for name, mart in (MARTS | SIGNALS | EVALUATION).items():
            columns = ", ".join(f"{c} {data_type(c, about['dtype'])}" for c, about in columns_of(mart.model).items())
            con.execute(f"create table {mart.schema}.{name} ({columns})")
        yield con


def source(dataset: dict[str, Any]) -> str:
    """What a dataset reads, as a FROM clause."""
    return f"({dataset['sql']}) as t" if dataset.get("sql") else f"{dataset['schema']}.{dataset['table_name']} as t"


def metrics(params: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        *params.get("metrics", []),
        *params.get("metrics_b", []),
        *([params["metric"]] if "metric" in params else []),
    ]


def faults(chart: dict[str, Any], dataset: dict[str, Any], con: duckdb.DuckDBPyConnection) -> list[str]:
    """Names and SQL of a chart that its dataset does not have."""
    params = chart["params"]
    known = {column["column_name"] for column in dataset["columns"]}
    filters = [*params.get("adhoc_filters", []), *params.get("adhoc_filters_b", [])]
    named = [
        name for key in COLUMNS for name in ([params[key]] if isinstance(params.get(key), str) else params.get(key, []))
    ]
    named += [json.loads(order)[0] for order in params.get("order_by_cols", [])]
    named += [each["subject"] for each in filters if each["expressionType"] == "SIMPLE"]
    named += [rule["column"] for rule in params.get("conditional_formatting", [])] + [*params.get("column_config", {})]
    found = [f"column {name}" for name in named if name not in known]
    where = [each["sqlExpression"] for each in filters if each["expressionType"] == "SQL"]
    for select, condition in [*((m["sqlExpression"], "true") for m in metrics(params)), *(("1", sql) for sql in where)]:
        try:
            con.execute(f"select {select} from {source(dataset)} where {condition}")
        except duckdb.Error as error:
            found.append(f"{select} where {condition}: {error}")
    return found


def test_the_bundle_has_two_dashboards() -> None:
    assert {name: board["slug"] for name, board in DASHBOARDS.items()} == {
        "desk": "tightness-desk",
        "data": "tightness-data",
    }


def test_ids_are_unique_and_references_resolve() -> None:
    every = [doc["uuid"] for docs in (DATABASES, DATASETS, CHARTS, DASHBOARDS) for doc in docs.values()]
    assert [uuid for uuid, n in Counter(every).items() if n > 1] == []
    assert [database["uuid"] for database in DATABASES.values()] == [DATABASE]
    assert {dataset["database_uuid"] for dataset in DATASETS.values()} == {DATABASE}
    assert {name for name, chart in CHARTS.items() if chart["dataset_uuid"] not in BY_UUID} == set()
    assert {name for name, dataset in DATASETS.items() if dataset["table_name"] != name} == set()
    shown: dict[str, str] = {}
    for board in DASHBOARDS.values():
        position = board["position"]
        for name, part in position.items():
            if isinstance(part, dict):
                assert part["id"] == name
                assert all(child in position for child in part.get("children", []))
        charts = [part["meta"] for part in position.values() if isinstance(part, dict) and part["type"] == "CHART"]
        assert len({meta["chartId"] for meta in charts}) == len(charts)
        shown |= {meta["uuid"]: meta["sliceName"] for meta in charts}
        targets = [t for f in board["metadata"]["native_filter_configuration"] for t in f["targets"] if t]
        for target in targets:
            columns = {column["column_name"] for column in BY_UUID[target["datasetUuid"]]["columns"]}
            assert target["column"]["name"] in columns
    assert shown == {chart["uuid"]: chart["slice_name"] for chart in CHARTS.values()}


@pytest.mark.parametrize("name", DATASETS)
def test_a_dataset_has_the_columns_of_its_table(name: str, empty: duckdb.DuckDBPyConnection) -> None:
    dataset = DATASETS[name]
    found = empty.execute(f"describe select * from {source(dataset)}").fetchall()
    assert [(column["column_name"], column["type"]) for column in dataset["columns"]] == [
        (column, sql_type) for column, sql_type, *_ in found
    ]
    if day := dataset["main_dttm_col"]:
        assert day in {column["column_name"] for column in dataset["columns"] if column["is_dttm"]}


@pytest.mark.parametrize("name", CHARTS)
def test_a_chart_names_columns_that_exist(name: str, empty: duckdb.DuckDBPyConnection) -> None:
    chart = CHARTS[name]
    assert faults(chart, BY_UUID[chart["dataset_uuid"]], empty) == []
    assert chart["viz_type"] == chart["params"]["viz_type"]


@pytest.mark.parametrize(
    "change",
    [
        {"all_columns": ["absent"]},
        {"x_axis": "absent"},
        {"metric": {"sqlExpression": "max(absent)"}},
        {"adhoc_filters": [{"expressionType": "SQL", "sqlExpression": "absent = 1"}]},
        {"order_by_cols": ['["absent", true]']},
        {"conditional_formatting": [{"column": "absent"}]},
    ],
)
def test_a_column_that_does_not_exist_is_found(change: dict[str, Any], empty: duckdb.DuckDBPyConnection) -> None:
    (fault,) = faults({"params": change}, DATASETS["tightness_daily"], empty)
    assert "absent" in fault


def test_the_label_of_synthetic_data_comes_from_the_data(empty: duckdb.DuckDBPyConnection) -> None:
    columns = ", ".join(
        {"metal": "'AL' as metal", "regime": "'TIGHT' as regime"}.get(c, f"null as {c}")
        for c in columns_of(MARTS["tightness_daily"].model)
    )
    empty.execute(f"insert into marts.tightness_daily by name select {columns}")
    sql = f"select label from ({DATASETS['status']['sql']})"
    try:
        for comment, label in ((f"{SYNTHETIC}The inputs.", SYNTHETIC.strip(". ")), ("The inputs.", "")):
            empty.execute(f"comment on table marts.tightness_daily is '{comment}'")
            assert empty.execute(sql).fetchall() == [(label,)]
    finally:
        empty.execute("delete from marts.tightness_daily")


def test_the_levels_in_the_chart_of_the_index_are_those_of_the_regime() -> None:
    with (PROJECT / "data/reference/parameters.csv").open() as file:
        values = {row["name"]: float(row["value"]) for row in csv.DictReader(file) if row["metal"] == "*"}
    drawn = {
        line["name"]: float(line["value"]) for line in CHARTS["index_contributions"]["params"]["annotation_layers"]
    }
    assert drawn == {
        f"{values[f'enter_{regime}']:.0f} {regime}": values[f"enter_{regime}"]
        for regime in ("loose", "tight", "squeeze")
    }


def test_the_lock_names_no_address_and_has_every_hash() -> None:
    lock = (BUNDLE / "requirements.lock").read_text()
    assert not re.search(r"https?:|--index|--extra-index", lock)
    pinned = re.findall(r"^([a-z0-9._-]+(?:\[[a-z]+\])?)==[^\n]+ \\\n    --hash=sha256:", lock, re.MULTILINE)
    assert len(pinned) == len(re.findall(r"^[a-z]", lock, re.MULTILINE)) > 100
    wanted = re.findall(r"^[a-z-]+", (BUNDLE / "requirements.in").read_text(), re.MULTILINE)
    assert set(wanted) <= {name.partition("[")[0] for name in pinned}


def test_the_exposure_names_the_tables_of_the_charts() -> None:
    exposures = yaml.safe_load((PROJECT / "dbt/models/exposures.yml").read_text())["exposures"]
    (dashboards,) = (exposure for exposure in exposures if exposure["name"] == "superset")
    read = {
        table
        for chart in CHARTS.values()
        for dataset in [BY_UUID[chart["dataset_uuid"]]]
        for table in re.findall(r"\b(?:marts|signals)\.(\w+)", dataset.get("sql") or source(dataset))
    }
    assert {ref.split("'")[1] for ref in dashboards["depends_on"]} == read
