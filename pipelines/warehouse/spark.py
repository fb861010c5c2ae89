"""The build on Apache Spark: the same dbt project on a cluster, its tables imported into the private warehouse.

What follows a build (evaluation, publication, readers) is the same on both engines. Spark makes every table whole
(docs/adr/0034). The server and its workers read the lake, the reference tables and the folder of this build where they
are, so all of them need the data folder at the same path.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import duckdb

from pipelines.warehouse import dbt
from pipelines.warehouse.sql import identifier, sql_literal
from schemas.datasets import DATASETS
from schemas.generate.arrow import arrow_schema
from schemas.generate.dbt import table_columns
from schemas.marts import MARTS
from schemas.signals import SIGNALS

if TYPE_CHECKING:
    from pyspark.sql.connect.session import SparkSession

REMOTE: Final = "SPARK_REMOTE"
LOG: Final = ("signals", "signals")  # the log of signals, which a build continues
SCHEMAS: Final = ("staging", "intermediate", "marts", "metrics", "signals")
_TYPES: Final = {
    "string": "string",
    "double": "double",
    "bool": "boolean",
    "int64": "bigint",
    "date32[day]": "date",
    "timestamp[us, tz=UTC]": "timestamp",
}
EXTRA: Final = "`make cluster` sets up .venv-spark, or pip install 'metal-tightness[spark]'"


class SparkError(Exception):
    """A cluster that cannot be used: the reason, and what to do."""


def build(remote: str, variables: Mapping[str, str], folder: Path, select: Sequence[str] = ()) -> dbt.BuildResult:
    """Build models on a cluster, by default all of them, and import their tables where nothing failed.

    remote: address of its Connect server. variables: of the run, for every decision time. folder: of the tables until
    they are imported; the workers write it. select: dbt's options; the models that these read must be among them.
    Raises `SparkError`, and `DbtError` when dbt could not run.
    """
    warehouse = Path(variables["warehouse"])
    schemas = _schema_prefix(warehouse)
    shutil.rmtree(folder, ignore_errors=True)  # of a build that was killed
    with _session(remote) as session:
        try:
            _make_schemas(session, schemas, folder)
            _show_lake(session, Path(variables["lake"]))
            _copy_log(session, schemas, warehouse, folder / "log.parquet")
            result = dbt.build(dict(variables) | {"spark_schemas": schemas}, select, on="spark")
            if result.failed:
                session.sql("select 1").collect()  # a server that is gone is the reason, not the models
            else:
                _import(warehouse, folder)
            return result
        finally:
            _drop_schemas(session, schemas)
            shutil.rmtree(folder, ignore_errors=True)


def _schema_prefix(warehouse: Path) -> str:
    """What the names of the schemas begin with: data folders that share a cluster do not meet."""
    return f"tightness_{hashlib.sha256(str(warehouse.resolve()).encode()).hexdigest()[:12]}_"


@contextmanager
def _session(address: str) -> Iterator[SparkSession]:
    """A session on the cluster, which dbt-spark uses too. Raises `SparkError` where there is none or it ends."""
    warnings.filterwarnings("ignore", module=r"pyspark\.")  # of newer pandas, and of settings of dbt-spark
    try:
        import dbt.adapters.spark  # noqa: F401  # the extra has both
        from pyspark.errors import PySparkException
        from pyspark.sql import SparkSession
        from pyspark.sql.connect.client.retries import DefaultPolicy
    except ImportError as error:
        raise SparkError(f"{error.name} is not installed, which TIGHTNESS_ENGINE=spark needs: {EXTRA}") from None
    os.environ[REMOTE] = address  # where dbt-spark finds it
    try:
        session: Any = SparkSession.builder.remote(address).getOrCreate()
        # By default a call is repeated for ten minutes.
        session.client.set_retry_policies([DefaultPolicy(max_retries=4, max_backoff=2_000)])
        session.sql("select 1").collect()
    except Exception as error:  # gRPC's and pyspark's own have no common type
        raise SparkError(f"no Spark Connect server answers at {address}: {_reason(error)}") from None
    try:
        yield session
    except PySparkException as error:
        raise SparkError(f"the Spark Connect server at {address} failed: {_reason(error)}") from None
    finally:
        with suppress(Exception):  # a server that is gone has nothing to end
            session.stop()


def _make_schemas(session: SparkSession, schemas: str, folder: Path) -> None:
    for name in SCHEMAS:
        session.sql(f"drop schema if exists {schemas}{name} cascade")
        (folder / name).mkdir(parents=True)
        session.sql(f"create schema {schemas}{name} location {sql_literal((folder / name).as_uri())}")


def _drop_schemas(session: SparkSession, schemas: str) -> None:
    for name in SCHEMAS:
        try:
            session.sql(f"drop schema if exists {schemas}{name} cascade")
        except Exception:  # the server is gone, and with it the schemas or the next build drops them
            return


def _show_lake(session: SparkSession, lake: Path) -> None:
    """Make a view of each dataset, for this session alone, with its columns also where no file has them."""
    for name in DATASETS:
        columns = ", ".join(f"{one.name} {_TYPES[str(one.type)]}" for one in arrow_schema(name))
        path = sql_literal((lake / name).as_uri())
        session.sql(f"create or replace temporary view lake_{name} ({columns}) using parquet options (path {path})")


def _copy_log(session: SparkSession, schemas: str, warehouse: Path, copy: Path) -> None:
    """Give the cluster the log of signals, to which a build appends."""
    with duckdb.connect(str(warehouse)) as connection:
        connection.execute("set TimeZone = 'UTC'")
        connection.execute(f"create schema if not exists {identifier(LOG[0])}")
        columns = table_columns(SIGNALS)[LOG]
        connection.execute(f"create table if not exists {identifier(*LOG)} ({columns})")
        connection.execute(f"copy {identifier(*LOG)} to {sql_literal(copy)} (format parquet)")
    table = ".".join(LOG)
    session.sql(f"create table {schemas}{table} using parquet as select * from parquet.`{copy}`")


def _import(warehouse: Path, folder: Path) -> None:
    """Replace the tables of the warehouse by those that Spark wrote, all or none; published ones by their contract."""
    declared = table_columns(MARTS | SIGNALS)
    with duckdb.connect(str(warehouse)) as connection:
        connection.execute("set TimeZone = 'UTC'")
        connection.begin()
        for table in sorted(path for path in folder.glob("*/*") if path.is_dir()):
            schema, name = table.parent.name, table.name
            files = sql_literal(table / "*.parquet")
            connection.execute(f"create schema if not exists {identifier(schema)}")
            connection.execute(f"drop table if exists {identifier(schema, name)}")
            columns = declared.get((schema, name))
            made = f"({columns})" if columns else f"as from read_parquet({files}) limit 0"
            connection.execute(f"create table {identifier(schema, name)} {made}")
            connection.execute(f"insert into {identifier(schema, name)} by name from read_parquet({files})")
        connection.commit()


def _reason(error: Exception) -> str:
    """The details of an error of gRPC, else the first line of an error."""
    text = str(error).strip()
    details = re.search(r'details = "(.+?)"\n', text)
    return details[1] if details else next(iter(text.splitlines()), type(error).__name__)
