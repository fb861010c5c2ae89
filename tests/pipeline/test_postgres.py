"""The instance on PostgreSQL (docs/dagster_postgres.yaml), against a server that this test starts and stops."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sandbox import Sandbox

from pipelines.common.settings import PROJECT

NOW = "2026-01-20T20:00:00Z"
MONTHS = ("2025-11", "2026-01")
pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Server:
    """A running server and its one database."""

    url: str

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        import sqlalchemy

        engine = sqlalchemy.create_engine(self.url)
        with engine.connect() as connection:
            found = [tuple(row) for row in connection.execute(sqlalchemy.text(query))]
        engine.dispose()
        return found


def _programs() -> Path:
    """The folder with initdb and pg_ctl: on the path, or where Debian puts them."""
    found = [Path(path).parent for path in [shutil.which("initdb")] if path]
    found += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    if not found:
        pytest.skip("no PostgreSQL server is installed (Debian: apt-get install postgresql)")
    return found[0]


def _unprivileged() -> tuple[list[str], int | None]:
    """Command prefix to start the server: PostgreSQL refuses root, so it runs as another user."""
    if os.geteuid() != 0:
        return [], None
    import pwd

    for name in ("postgres", "nobody"):
        try:
            return ["setpriv", f"--reuid={name}", f"--regid={pwd.getpwnam(name).pw_gid}", "--clear-groups"], (
                pwd.getpwnam(name).pw_uid
            )
        except KeyError:
            continue
    pytest.skip("PostgreSQL does not run as root, and there is no user postgres or nobody")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    if find_spec("dagster_postgres") is None:
        pytest.skip("dagster-postgres is not installed (the extra `postgres`)")
    programs, (prefix, owner) = _programs(), _unprivileged()
    # Not pytest's folder, which only its own user may enter; and a socket's path may not be long.
    import tempfile

    root = Path(tempfile.mkdtemp(prefix="tightness-pg-"))
    if owner is not None:
        os.chown(root, owner, -1)

    def do(program: str, *args: str) -> None:
        done = subprocess.run(
            [*prefix, str(programs / program), *args],
            cwd=root,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, f"{program}: {done.stderr}"

    data = str(root / "data")
    try:
        do("initdb", "-D", data, "-U", "tightness", "--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        options = f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories={root}"
        do("pg_ctl", "-D", data, "-o", options, "-l", str(root / "log"), "-w", "start")
        try:
            yield Server(f"postgresql://tightness@127.0.0.1:{port}/postgres")
        finally:
            do("pg_ctl", "-D", data, "-m", "fast", "-w", "stop")
    finally:
        shutil.rmtree(root, ignore_errors=True)


@pytest.fixture
def sandbox(tmp_path: Path) -> Sandbox:
    """Prices and stocks of a user, and an instance as docs/dagster_postgres.yaml sets it up."""
    sandbox = Sandbox(tmp_path, "drop", NOW)
    days = pd.bdate_range("2025-11-03", "2026-01-20").strftime("%Y-%m-%d")
    prices = pd.DataFrame({"metal": "AL", "obs_date": days, "cash_usd_t": 3150.0, "m3_usd_t": 3160})
    sandbox.drop("prices/own.csv", prices)
    sandbox.drop("stocks/own.csv", pd.DataFrame({"metal": "AL", "obs_date": days, "total_t": 500_000.0}))
    (tmp_path / "dagster").mkdir()
    shutil.copyfile(PROJECT / "docs" / "dagster_postgres.yaml", tmp_path / "dagster" / "dagster.yaml")
    return sandbox


def test_a_run_is_logged_on_the_server_and_in_no_file(server: Server, sandbox: Sandbox) -> None:
    done = sandbox.tightness("run", "--from", MONTHS[0], DAGSTER_POSTGRES_URL=server.url)
    assert done.returncode == 0, done.stderr
    [(run_id, status)] = server.rows("select run_id, status from runs")
    assert status == "SUCCESS"
    assert run_id in done.stderr
    assert not (sandbox.root / "dagster" / "history").exists(), "nothing is kept in SQLite beside it"

    # Partitioned assets are stored in batches by dagster-postgres itself: every month of them is there.
    months = server.rows(
        "select partition from event_logs where dagster_event_type = 'ASSET_MATERIALIZATION' "
        """and asset_key = '["lake", "prices"]' order by partition"""
    )
    assert months == [("2025-11",), ("2025-12",), ("2026-01",)]
    [(assets,)] = server.rows("select count(*) from asset_keys where last_materialization is not null")
    [(stored,)] = server.rows(
        "select count(distinct asset_key) from event_logs where dagster_event_type = 'ASSET_MATERIALIZATION'"
    )
    assert assets == stored > 50
    [(steps,)] = server.rows("select count(*) from event_logs where dagster_event_type = 'STEP_SUCCESS'")
    assert steps >= 8, "extract, load, reconcile, models, …"
    checks = server.rows("select distinct execution_status from asset_check_executions")
    assert checks == [("SUCCEEDED",)]
    # The writer's pool is also stored on the server, and no run occupies it.
    assert server.rows("select concurrency_key, run_id from concurrency_slots") == [("duckdb_writer", None)]


def test_an_unreachable_server_is_reported_in_one_line(sandbox: Sandbox) -> None:
    if find_spec("dagster_postgres") is None:
        pytest.skip("dagster-postgres is not installed (the extra `postgres`)")
    url = "postgresql://tightness:s3cret@127.0.0.1:1/none"
    code, printed, errors = sandbox.call("run", "--from", MONTHS[0], DAGSTER_POSTGRES_URL=url)
    assert code == 1
    [line] = [line for line in errors if "Dagster's log of runs cannot be written" in line]
    assert "Connection refused" in line
    assert not any("Traceback" in line or "s3cret" in line for line in [*printed, *errors])
