"""Answers for programs: hostile SQL is refused and leaves nothing behind; rows and time are bounded."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from small_release import TWO_DAYS, release, warehouse

from pipelines.publish import agents
from pipelines.publish.agents import Answers, RefusedError

SECRET = "secret of another file"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("agents")
    release(warehouse(folder / "w.duckdb", TWO_DAYS), folder / "published")
    (folder / "secret.csv").write_text(f"x\n{SECRET}\n")
    return folder


@pytest.fixture
def answers(folder: Path) -> Answers:
    return Answers(folder / "published" / "tightness.duckdb", folder / "published" / "manifest.json")


HOSTILE = [
    "insert into marts.price_daily select * from marts.price_daily",
    "update marts.price_daily set cash_usd_t = 0",
    "delete from marts.price_daily",
    "drop table marts.price_daily",
    "create table x as select 1",
    "create temp table x as select 1",
    "create view x as select 1",
    "create or replace macro release_id() as 'x'",
    "alter table marts.price_daily drop cash_usd_t",
    "truncate marts.price_daily",
    "attach '{folder}/w.duckdb' as w",
    "detach tightness",
    "use signals",
    "copy marts.price_daily to '{folder}/out.csv'",
    "copy (select 1) to '{folder}/out.parquet'",
    "export database '{folder}/out'",
    "import database '{folder}'",
    "select * from read_csv('{folder}/secret.csv')",
    "select * from read_text('{folder}/secret.csv')",
    "select * from read_blob('{folder}/*')",
    "select * from '{folder}/secret.csv'",
    "select * from read_parquet('{folder}/published/parquet/marts/price_daily.parquet')",
    "select * from read_json('https://example.com/x.json')",
    "select * from glob('{folder}/*')",
    "select * from sniff_csv('{folder}/secret.csv')",
    "install httpfs",
    "load httpfs",
    "load '{folder}/x.duckdb_extension'",
    "set enable_external_access = true",
    "set lock_configuration = false",
    "reset memory_limit",
    "pragma database_list",
    "call pragma_version()",
    "create secret s (type s3, key_id 'a', secret 'b')",
    "select 1; drop table marts.price_daily",
    "select 1; select 2",
    "begin; select 1",
    "checkpoint",
    "vacuum",
    "explain analyze select 1",
    "prepare p as select 1",
    "",
    "select * from query('select * from read_text(''{folder}/secret.csv'')')",
    "select * from query_table('{folder}/secret.csv')",
    "select * from answers",
    "select getenv('HOME')",
    "with x as (insert into marts.price_daily select * from marts.price_daily returning *) select * from x",
    "select count(*) from range(100000000000) a(i), range(1000) b(j) where i * j % 7 = 3",
    "select list(i) from range(1000000000) t(i)",
]


@pytest.mark.parametrize("sql", HOSTILE)
def test_hostile_sql_is_refused(answers: Answers, folder: Path, sql: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agents, "SECONDS", 0.2)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    started = time.monotonic()
    with pytest.raises(RefusedError) as refused:
        answers.query(sql.replace("{folder}", str(folder)))
    assert SECRET not in str(refused.value)
    assert time.monotonic() - started < 5
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
    assert answers.query("select count(*) as n from marts.price_daily")["rows"] == [{"n": 2}]


def test_rows_are_bounded_and_named(answers: Answers) -> None:
    found = answers.query("select i, date '2026-01-13' as day from range(500) t(i) order by i", 3)
    assert found["rows"] == [{"i": i, "day": "2026-01-13"} for i in range(3)]
    assert (found["more"], found["synthetic"]) == (True, True)
    assert answers.query("from range(3)", 3)["more"] is False
    for n in (0, -1, agents.MAX_ROWS + 1):
        with pytest.raises(RefusedError, match="give 1 to 1000"):
            answers.query("select 1", n)
    [row] = answers.query("select repeat('x', 3000) as text, 'nan'::double as nan, [1, 2] as list")["rows"]
    assert (len(str(row["text"])), row["nan"], row["list"]) == (agents.MAX_TEXT + 1, None, "[1, 2]")


def test_tables_are_listed_and_described(answers: Answers) -> None:
    names = [row["name"] for row in answers.tables()["rows"]]
    assert names == ["marts.price_daily", "signals.signals_latest"]
    [metal, *_] = answers.describe("marts.price_daily")["rows"]
    assert metal == {"name": "metal", "type": "VARCHAR", "description": "Metal"}
    with pytest.raises(RefusedError, match="there is no table 'x; drop'"):
        answers.describe("x; drop")


def test_a_time_that_is_none_and_an_absent_database_are_refused(answers: Answers, tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="'yesterday' is not an ISO time"):
        answers.signals("yesterday")
    with pytest.raises(RefusedError, match="nothing is published yet"):
        Answers(tmp_path / "none.duckdb", tmp_path / "none.json").tables()
    assert list(tmp_path.iterdir()) == []
