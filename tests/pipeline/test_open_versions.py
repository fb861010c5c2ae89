"""A published file opens in the oldest driver that the contract names, in a 1.x of today, and in the locked one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest
from sandbox import Sandbox

from pipelines.publish.release import publish
from pipelines.warehouse.asof import BY_VINTAGE, LATEST_STATE
from pipelines.warehouse.signal_log import TABLE_MACROS
from schemas.generate.dbt import vintage_keys

PRICES, LATEST, LOG = ("marts", "price_daily"), ("signals", "signals_latest"), ("signals", "signals")
COMMENTS = {
    PRICES: {
        "": "Prices by day",
        "metal": "Metal",
        "obs_date": "Day",
        "cash_usd_t": "Cash price [USD/t]",
        "up": "Rose",
    },
    LATEST: {"": "Newest signal", "signal_id": "Name", "n": "Count", "knowledge_ts_max": "Known since [UTC]"},
    LOG: {
        "": "Log",
        "signal_id": "Name",
        "signal_version": "Version",
        "metal": "Metal",
        "region": "Region",
        "as_of_ts": "Decision time",
        "revision_no": "Revision",
        "computed_ts": "Published",
        "value": "Value",
    },
}
READ = """
import json, sys, duckdb
con = duckdb.connect(sys.argv[1], read_only=True)
con.execute("set TimeZone = 'UTC'")
one = lambda sql: [str(value) for value in con.execute(sql).fetchone()]
print(json.dumps({
    "version": duckdb.__version__,
    "release": one("select release_id()")[0][:17],
    "row": one("select metal, obs_date, cash_usd_t, up from marts.price_daily order by obs_date desc limit 1"),
    "instant": one("select signal_id, n, cast(knowledge_ts_max as varchar) from signals.signals_latest"),
    "counts": one("select (select count(*) from marts.price_daily), (select count(*) from signals.signals_latest)"),
    "asof": one("select revision_no, value from signals.signals_asof('2026-01-13 20:00:00+00')"),
    "comment": one("select comment from duckdb_tables() where table_name = 'price_daily'"),
    "unit": one("select comment from duckdb_columns() where table_name = 'price_daily' and column_name = 'cash_usd_t'"),
}))
con.close()
con = duckdb.connect()
con.execute(f"attach '{sys.argv[1]}' as t (read_only)")
con.execute("use t")
assert con.execute("select revision_no from signals.signals_asof(now())").fetchone() == (2,)
"""


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("versions")
    with duckdb.connect(folder / "warehouse.duckdb") as con:
        con.execute("create schema marts; create schema signals")
        con.execute(
            "create table marts.price_daily as select 'AL' as metal, date '2020-01-01' + cast(i as int) as obs_date, "
            "3000.5 + i::double as cash_usd_t, i % 2 = 1 as up from range(2000) r(i)"
        )
        con.execute(
            "create table signals.signals_latest as "
            "select 'AL.A' as signal_id, 7::bigint as n, timestamptz '2026-01-13 18:00:00+00' as knowledge_ts_max"
        )
        con.execute(
            "create table signals.signals as select 'AL.A' as signal_id, '1.0.0' as signal_version, 'AL' as metal, "
            "'GLOBAL' as region, "
            "timestamptz '2026-01-13 18:00:00+00' as as_of_ts, n::int as revision_no, "
            "timestamptz '2026-01-13 19:00:00+00' + interval (n) hour as computed_ts, 10.5 * n::double as value "
            "from range(1, 3) r(n)"
        )
    publish(
        folder / "warehouse.duckdb",
        folder / "published",
        manifest_base={"profile": "demo", "git_commit": None, "computed_ts": "2026-01-13T18:00:00Z", "inputs": {}},
        comments=COMMENTS,
        keys={PRICES: ("metal", "obs_date"), LATEST: ("signal_id",), LOG: ("signal_id", "as_of_ts", "revision_no")},
        macros=TABLE_MACROS,
        synthetic=True,
    )
    return folder / "published" / "tightness.duckdb"


def driver(version: str, tmp_path: Path) -> Path:
    """A folder with that DuckDB, installed once; TIGHTNESS_TEST_DRIVERS names a folder to keep it in between runs."""
    folder = Path(os.environ.get("TIGHTNESS_TEST_DRIVERS") or tmp_path) / f"duckdb-{version}"
    if not (folder / "duckdb").is_dir():
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--retries", "2"]
        options = ["--timeout", "20", "--no-deps", "--only-binary", ":all:", "--target", str(folder)]
        done = subprocess.run([*pip, *options, f"duckdb=={version}"], capture_output=True, text=True)
        if "No matching distribution" in done.stderr:
            python = f"{sys.version_info.major}.{sys.version_info.minor}"
            pytest.skip(f"pip finds no duckdb {version}: no package index in reach, or no wheel for Python {python}")
        assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(
    "version",
    [*(pytest.param(old, marks=pytest.mark.exhaustive) for old in ("1.0.0", "1.3.2", "1.4.4", "1.5.6")), "locked"],
)
def test_a_published_file_opens_in(version: str, database: Path, tmp_path: Path) -> None:
    environment = dict(os.environ)
    if version != "locked":
        environment["PYTHONPATH"] = str(driver(version, tmp_path))
    done = subprocess.run(
        [sys.executable, "-c", READ, database], capture_output=True, text=True, env=environment, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "version": duckdb.__version__ if version == "locked" else version,
        "release": "20260113T180000Z-",
        "row": ["AL", "2025-06-22", "4999.5", "True"],
        "instant": ["AL.A", "7", "2026-01-13 18:00:00+00"],
        "counts": ["2000", "1"],
        "asof": ["1", "10.5"],
        "comment": ["SYNTHETIC DEMO DATA. Prices by day"],
        "unit": ["Cash price [USD/t]"],
    }


CALL = """
import sys, duckdb
con = duckdb.connect(sys.argv[1], read_only=True)
con.execute("set TimeZone = 'America/Los_Angeles'")
macros = con.execute("select schema_name, function_name from duckdb_functions() where function_type = 'table_macro' "
                     "and schema_name in ('marts', 'signals', 'vintages')").fetchall()
for schema, name in macros:
    latest = f"{schema}.{name}('2026-01-14T20:00:00Z')"
    con.execute(f"select count(*) from {latest}").fetchall()
    if schema == "marts":
        table = f"{schema}.{name.removesuffix('_asof')}"
        for one, other in ((latest, table), (table, latest)):
            assert con.execute(f"select count(*) from (from {one} except all from {other})").fetchall() == [(0,)], name
print(len(macros))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "version",
    [*(pytest.param(old, marks=pytest.mark.exhaustive) for old in ("1.0.0", "1.3.2", "1.4.4", "1.5.6")), "locked"],
)
def test_every_macro_is_called_in(version: str, demo_of_a_year: Sandbox, tmp_path: Path) -> None:
    """The marts as of the run's time are the published ones, in each version and whatever its time zone."""
    environment = dict(os.environ)
    if version != "locked":
        environment["PYTHONPATH"] = str(driver(version, tmp_path))
    done = subprocess.run(
        [sys.executable, "-c", CALL, demo_of_a_year.database], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == len(vintage_keys()) + len(BY_VINTAGE) + len(LATEST_STATE) + len(TABLE_MACROS)


@pytest.mark.exhaustive
def test_an_old_driver_cannot_open_the_default_storage(tmp_path: Path) -> None:
    """DuckDB 1.0.0 cannot open the default storage of the locked version, so the test above detects its use."""
    with duckdb.connect(tmp_path / "default.duckdb") as con:
        con.execute("create schema marts; create table marts.price_daily as select 1 as x")
    environment = os.environ | {"PYTHONPATH": str(driver("1.0.0", tmp_path))}
    done = subprocess.run(
        [sys.executable, "-c", READ, tmp_path / "default.duckdb"],
        capture_output=True,
        text=True,
        env=environment,
        cwd=tmp_path,
    )
    assert done.returncode != 0
    assert "version number" in done.stderr
