"""The project on Apache Spark: its parser accepts every model, and a cluster's tables equal DuckDB's.

Runs where pyspark is installed: `make test` and `make test-all` call it in the environment of `make cluster`.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pytest
from copper import add_copper, drop_market
from markets import market, to_drop
from sandbox import Sandbox

from benchmarks.cluster import Cluster, cluster
from pipelines.warehouse import dbt
from pipelines.warehouse.spark import SparkError
from schemas.marts import MARTS
from schemas.signals import SIGNALS

pytest.importorskip("pyspark", reason="`make test-spark` has an environment with pyspark")
pytestmark = pytest.mark.filterwarnings("ignore")  # of pyspark, about a newer pandas

OF_THE_RUN = {"run_id", "published_ts"}
TOLERANCE = 1e-9
HASHED = {"inputs_hash": "value"}  # a hash of a number's text is compared where the numbers have the same bits
MARKET_NOW = "2026-01-15T20:00:00Z"


# --- Spark's own parser


@pytest.fixture(scope="module")
def parser() -> Iterator[Any]:
    from pyspark.java_gateway import launch_gateway

    gateway = launch_gateway()
    yield gateway.jvm.org.apache.spark.sql.execution.SparkSqlParser()
    gateway.shutdown()


def refused(parser: Any, sql: str) -> str:
    """The first line of the parser's error; nothing for SQL that it accepts."""
    from py4j.protocol import Py4JJavaError

    try:
        parser.parsePlan(sql)
    except Py4JJavaError as error:
        return str(error.java_exception.getMessage()).strip().splitlines()[0]
    return ""


@pytest.mark.slow
def test_every_model_and_test_is_sql_that_spark_accepts(parser: Any) -> None:
    nodes = {node.name: node.compiled_code for node in dbt.compile_project(None, is_partial=False, on="spark")}
    assert {*MARTS, *SIGNALS} <= nodes.keys()
    assert {name: found for name, sql in nodes.items() if (found := refused(parser, sql))} == {}


@pytest.mark.slow
@pytest.mark.parametrize("sql", [
    "select lag(x ignore nulls) over (order by y) from t",
    "select 7 // 2",
    'select x from "staging"."stg_prices"',
    "select list_reduce(x, lambda a, b: a + b) from t",
])  # fmt: skip
def test_sql_of_duckdb_alone_is_refused(parser: Any, sql: str) -> None:
    assert "PARSE_SYNTAX_ERROR" in refused(parser, sql)


# --- A cluster


@pytest.fixture(scope="module")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster(folder=tmp_path_factory.mktemp("cluster")) as running:
        yield running


def of_market(root: Path, seed: int) -> Sandbox:
    sandbox = Sandbox(root, "drop", MARKET_NOW, first_day=date(2020, 1, 1))
    to_drop(market(seed), sandbox)
    return sandbox


def of_copper(root: Path) -> Sandbox:
    sandbox = Sandbox(root, "drop", "2026-01-21T20:00:00Z", first_day=date(2021, 1, 1))
    add_copper(sandbox.reference())
    for metal, price in (("AL", 2_600), ("CU", 9_500)):
        drop_market(sandbox, metal, price)
    return sandbox


def without_tables(sandbox: Sandbox, root: Path) -> Sandbox:
    """The same lake in other folders, with nothing built."""
    copy = sandbox.copy(root)
    for folder in ("warehouse", "published"):
        shutil.rmtree(copy.data / folder, ignore_errors=True)
    return copy


def publish_on(running: Cluster, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    monkeypatch.setenv("TIGHTNESS_ENGINE", "spark")
    monkeypatch.setenv("SPARK_REMOTE", running.remote)
    result = sandbox.build()
    assert {node.unique_id: node.message[:300] for node in result.failed} == {}
    sandbox.publish()
    return sandbox


def run_on(running: Cluster, sandbox: Sandbox, *more: str) -> subprocess.CompletedProcess[str]:
    return sandbox.tightness("run", *more, timeout_s=3600, TIGHTNESS_ENGINE="spark", SPARK_REMOTE=running.remote)


def assert_equal(wanted: Sandbox, found: Sandbox) -> None:
    """Every published table: the same keys, texts and times, numbers to 1e-9."""
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        connection.execute(f"attach '{wanted.database}' as a (read_only); attach '{found.database}' as b (read_only)")
        different = {}
        for table, about in (MARTS | SIGNALS).items():
            name = f"{about.schema}.{table}"
            types = dict(connection.execute(f"select column_name, column_type from (describe a.{name})").fetchall())
            assert types == dict(
                connection.execute(f"select column_name, column_type from (describe b.{name})").fetchall()
            )
            key = " and ".join(f"a.{column} is not distinct from b.{column}" for column in about.key)
            apart = {
                column: f"a.{column} is distinct from b.{column} and not coalesce("
                f"abs(a.{column} - b.{column}) <= {TOLERANCE} * greatest(1, abs(a.{column})), false)"
                if data_type == "DOUBLE"
                else f"a.{column} is distinct from b.{column}"
                + (f" and a.{HASHED[column]} is not distinct from b.{HASHED[column]}" if column in HASHED else "")
                for column, data_type in types.items()
                if column not in {*about.key, *OF_THE_RUN}
            }
            counted = ", ".join(f"count(*) filter ({condition})" for condition in apart.values()) or "0"
            n_wanted, n_found = (
                connection.execute(f"select count(*) from {side}.{name}").fetchone()[0] for side in "ab"
            )
            both, *counts = connection.execute(
                f"select count(*), {counted} from a.{name} as a inner join b.{name} as b on {key}"
            ).fetchone()
            if not n_wanted == n_found == both or any(counts):
                columns = {column: n for column, n in zip(apart, counts, strict=False) if n}
                different[name] = (n_wanted, n_found, both, columns)
    assert different == {}, "rows here, rows there, rows with the same key, cells that differ"


@pytest.fixture(scope="module")
def on_duckdb(tmp_path_factory: pytest.TempPathFactory) -> Sandbox:
    """A market of the generator, published by DuckDB."""
    sandbox = of_market(tmp_path_factory.mktemp("market"), 1)
    sandbox.run()
    return sandbox


@pytest.mark.exhaustive
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_market_of_the_generator(seed: int, spark: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = of_market(tmp_path / "duckdb", seed)
    wanted.run()
    found = publish_on(spark, without_tables(wanted, tmp_path / "spark"), monkeypatch)
    assert_equal(wanted, found)
    with duckdb.connect(str(found.database)) as connection:
        connection.execute("update marts.tightness_daily set tightness_index = tightness_index + 1e-6")
    with pytest.raises(AssertionError, match="tightness_index"):
        assert_equal(wanted, found)


@pytest.mark.exhaustive
def test_copper_beside_aluminium(spark: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = of_copper(tmp_path / "duckdb")
    wanted.run(("2022-01", "2026-01"))
    assert_equal(wanted, publish_on(spark, without_tables(wanted, tmp_path / "spark"), monkeypatch))


@pytest.mark.exhaustive
def test_the_whole_history_of_the_demo_market_by_the_command_line(spark: Cluster, tmp_path: Path) -> None:
    wanted = Sandbox(tmp_path / "duckdb", "demo", "2026-11-20T20:00:00Z")
    assert wanted.tightness("run").returncode == 0
    found = without_tables(wanted, tmp_path / "spark")
    done = run_on(spark, found)
    assert done.returncode == 0, done.stdout + done.stderr
    assert_equal(wanted, found)
    assert not (found.data / "warehouse" / "spark").exists()
    executors = Counter(
        event["Task Info"]["Executor ID"]
        for path in spark.event_logs
        for event in map(json.loads, path.read_text().splitlines())
        if event["Event"] == "SparkListenerTaskEnd"
    )
    assert len(executors) == 2, executors
    assert min(executors.values()) > 0.1 * max(executors.values()), executors


@pytest.mark.exhaustive
def test_a_worker_that_is_killed_during_a_build(
    on_duckdb: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = without_tables(on_duckdb, tmp_path / "spark")
    with cluster(folder=tmp_path / "cluster") as running, ThreadPoolExecutor(1) as thread:
        done = thread.submit(publish_on, running, found, monkeypatch)
        wait_for_tables(found)
        running.kill("worker-1")
        done.result()
    assert_equal(on_duckdb, found)


@pytest.mark.exhaustive
def test_a_server_that_is_killed_leaves_the_last_publication(
    on_duckdb: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = on_duckdb.copy(tmp_path / "spark")
    found.forget_build()
    before = found.published()
    with cluster(folder=tmp_path / "cluster") as running, ThreadPoolExecutor(1) as thread:
        done = thread.submit(run_on, running, found)
        wait_for_tables(found)
        running.kill("connect")
        failed = done.result()
    assert failed.returncode == 1
    assert running.remote in failed.stdout + failed.stderr
    assert "Traceback" not in failed.stderr
    assert found.published() == before
    with pytest.raises(SparkError, match=f"no Spark Connect server answers at {running.remote}"):
        publish_on(running, found, monkeypatch)
    with cluster(folder=tmp_path / "next") as running:
        publish_on(running, found, monkeypatch)
    assert_equal(on_duckdb, found)


@pytest.mark.exhaustive
def test_two_data_folders_at_once_on_one_cluster(spark: Cluster, tmp_path: Path) -> None:
    wanted = [of_market(tmp_path / "aluminium", 4), of_copper(tmp_path / "copper")]
    for sandbox in wanted:
        assert sandbox.tightness("run").returncode == 0
    found = [without_tables(sandbox, tmp_path / "spark" / sandbox.root.name) for sandbox in wanted]
    with ThreadPoolExecutor(2) as threads:
        done = list(threads.map(lambda sandbox: run_on(spark, sandbox), found))
    assert [one.returncode for one in done] == [0, 0], [one.stdout + one.stderr for one in done]
    for one, other in zip(wanted, found, strict=True):
        assert_equal(one, other)


@pytest.mark.exhaustive
def test_two_runs_of_one_data_folder_at_once(spark: Cluster, tmp_path: Path) -> None:
    wanted = of_market(tmp_path / "duckdb", 5)
    assert wanted.tightness("run").returncode == 0
    found = without_tables(wanted, tmp_path / "spark")
    with ThreadPoolExecutor(2) as threads:
        done = list(threads.map(lambda _: run_on(spark, found), range(2)))
    assert [one.returncode for one in done] == [0, 0], [one.stdout + one.stderr for one in done]
    assert_equal(wanted, found)


def wait_for_tables(sandbox: Sandbox) -> None:
    """Wait until a build on the cluster has written tables, and is not at its end."""
    end = time.monotonic() + 600
    while len(list((sandbox.data / "warehouse" / "spark").glob("*/*/_SUCCESS"))) < 20:
        assert time.monotonic() < end, "no tables after ten minutes"
        time.sleep(0.2)
