"""Overlapping runs against the same runs in sequence: `python -m tests.stress.overlap [folder]`.

Starts Dagster's webserver and daemon on a free port of this machine, with a data folder and an instance of their own,
and launches over GraphQL, all at once: four asset backfills whose months and datasets overlap, and a refresh that
builds and publishes. Then the same in sequence in another folder. The lake's rows and the content of every published
table must be the same.

Exit codes: 0 the same, 1 a run failed, took too long or something differs. Prints JSON last.
"""

from __future__ import annotations

import hashlib
import json
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

import duckdb

from benchmarks.measure import own_cpu_s
from pipelines.common.calendar import months_between
from pipelines.common.settings import PROJECT
from pipelines.datasets import FEEDS
from schemas.datasets import DATASETS
from tests.sandbox import Sandbox

NOW = "2026-01-14T20:00:00Z"
WHOLE = ("2023-01", "2025-12")
EXTRACTION = ("prices", "stocks", "spreads", "exports", "rates", "fx", "power", "benchmark_prices", "equities")
# Months and datasets of the four backfills; several runs write every month of every dataset at once.
BACKFILLS = [
    (("2023-01", "2024-12"), EXTRACTION),
    (("2024-01", "2025-12"), EXTRACTION),
    (("2023-07", "2025-06"), ("prices", "power", "exports", "off_warrant", "costs")),
    (WHOLE, ("prices", "stocks", "spreads", "power")),
]
PROVENANCE = {"run_id", "code_version", "computed_ts"}
MAX_WAIT_S = 1200.0  # a busy machine needs long for five processes
REPOSITORY = {"repositoryName": "__repository__", "repositoryLocationName": "metal_tightness"}

BACKFILL = """
mutation ($params: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $params) {
    __typename
    ... on LaunchBackfillSuccess { backfillId }
    ... on PythonError { message }
  }
}
"""
RUN = """
mutation ($params: ExecutionParams!) {
  launchRun(executionParams: $params) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
    ... on RunConfigValidationInvalid { errors { message } }
  }
}
"""
STATE = """
query {
  partitionBackfillsOrError { ... on PartitionBackfills { results { id status numPartitions } } }
  runsOrError { ... on Runs { results { runId status startTime endTime tags { key value } } } }
}
"""


class OverlapError(Exception):
    """A run, or Dagster itself, could not be started or has failed."""


class Dagster:
    """The webserver and the daemon, as `make ui` starts them. Ends only its own processes."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.root = sandbox.root
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self.environment = sandbox.environment()
        home = Path(self.environment["DAGSTER_HOME"])
        home.mkdir(parents=True)
        (home / "dagster.yaml").write_bytes((PROJECT / "dagster.yaml").read_bytes())
        self.processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Dagster:
        workspace = ["--workspace", str(PROJECT / "workspace.yaml")]
        web = ["-m", "dagster_webserver", "--host", "127.0.0.1", "--port", str(self.port), *workspace]
        for name, arguments in (("web", web), ("daemon", ["-m", "dagster._daemon", "run", *workspace])):
            with (self.root / f"{name}.log").open("wb") as log:
                command = [sys.executable, *arguments]
                self.processes.append(
                    subprocess.Popen(command, env=self.environment, cwd=self.root, stdout=log, stderr=log)
                )
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def query(self, query: str, **variables: Any) -> dict[str, Any]:
        """The data of a GraphQL response. Raises `OverlapError` for one with errors."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/graphql", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=120) as stream:
            response = json.load(stream)
        if response.get("errors"):
            raise OverlapError(f"GraphQL: {response['errors'][0]['message']}")
        return dict(response["data"])

    def wait_until_up(self) -> None:
        """Wait until the code location is loaded."""
        until = time.monotonic() + 180
        while time.monotonic() < until:
            if any(process.poll() is not None for process in self.processes):
                raise OverlapError(f"the webserver or daemon ended: see {self.root}")
            try:
                response = self.query("{ repositoriesOrError { ... on RepositoryConnection { nodes { name } } } }")
                if response["repositoriesOrError"].get("nodes"):
                    return
            except OSError:
                pass
            time.sleep(0.5)
        raise OverlapError("the webserver has not come up in three minutes")


def overlapping(dagster: Dagster) -> tuple[list[str], int]:
    """Launch everything at once and wait for its end. Returns the problems, and the most runs at one moment."""
    started = []
    for (first, last), datasets in BACKFILLS:
        sources = {name for dataset in datasets for name in (*FEEDS[dataset].sources, "drop")}
        paths = [["raw", name] for name in sorted(sources)] + [["lake", name] for name in datasets]
        params = {
            "assetSelection": [{"path": path} for path in paths],
            "partitionNames": [str(month) for month in months_between(first, last)],
            "tags": [],
        }
        launched = dagster.query(BACKFILL, params=params)["launchPartitionBackfill"]
        if "backfillId" not in launched:
            raise OverlapError(f"backfill {first} to {last}: {launched}")
        started.append(launched["backfillId"])
    tags = [
        {"key": "dagster/asset_partition_range_start", "value": WHOLE[0]},
        {"key": "dagster/asset_partition_range_end", "value": WHOLE[1]},
    ]
    selector = {**REPOSITORY, "pipelineName": "daily_refresh"}
    params = {"selector": selector, "mode": "default", "runConfigData": {}, "executionMetadata": {"tags": tags}}
    launched = dagster.query(RUN, params=params)["launchRun"]
    if "run" not in launched:
        raise OverlapError(f"refresh: {launched}")

    until = time.monotonic() + MAX_WAIT_S
    while time.monotonic() < until:
        time.sleep(2)
        state = dagster.query(STATE)
        backfills = {b["id"]: b["status"] for b in state["partitionBackfillsOrError"]["results"]}
        runs = state["runsOrError"]["results"]
        ended = all(run["status"] in {"SUCCESS", "FAILURE", "CANCELED"} for run in runs)
        if ended and runs and all(status not in {"REQUESTED", "CANCELING"} for status in backfills.values()):
            break
    else:
        return [f"not at its end after {MAX_WAIT_S:.0f} s: {backfills}"], 0
    problems = [f"backfill {key}: {status}" for key, status in backfills.items() if status != "COMPLETED_SUCCESS"]
    problems += [f"run {run['runId']}: {run['status']}" for run in runs if run["status"] != "SUCCESS"]
    if len(runs) != len(BACKFILLS) + 1:
        problems.append(f"{len(runs)} runs for {len(BACKFILLS)} backfills and a refresh: each should be one run")
    concurrent = most_at_once([(run["startTime"], run["endTime"]) for run in runs])
    if concurrent < 3:
        problems.append(f"at most {concurrent} runs at one moment, so that little was shown")
    return problems, concurrent


def in_sequence(sandbox: Sandbox) -> None:
    """Run the same months and datasets by the command line, one after the other."""
    refresh = ["backfill", "--from", WHOLE[0], "--to", WHOLE[1], "--refresh"]
    serial = [
        ["backfill", "--from", first, "--to", last, "--assets", ",".join(datasets), "--refresh"]
        for (first, last), datasets in BACKFILLS
    ]
    for arguments in (*serial, refresh):
        done = sandbox.tightness(*arguments)
        if done.returncode:
            raise OverlapError(f"{' '.join(arguments)}:\n{done.stderr[-2000:]}")


def stored(sandbox: Sandbox) -> set[str]:
    """Each dataset of the lake with the hash of its rows. Their distribution over files depends on the runs."""
    lake = sandbox.open().lake
    rows = {name: lake.read(name).to_csv(index=False).encode() for name in DATASETS}
    return {f"{name} {hashlib.sha256(text).hexdigest()}" for name, text in rows.items()}


def lake_files(sandbox: Sandbox) -> int:
    """Number of the lake's files with rows."""
    return len(list((sandbox.data / "lake").rglob("[0-9]*.parquet")))


def published(sandbox: Sandbox) -> dict[str, str]:
    """Row count and sum of row hashes of every published table, without the columns of the run that wrote a row."""
    folder, found = sandbox.data / "published" / "parquet", {}
    with duckdb.connect() as connection:
        for path in sorted(folder.rglob("*.parquet")):
            names = [row[0] for row in connection.execute("describe from read_parquet(?)", [str(path)]).fetchall()]
            kept = ", ".join(f'"{name}"' for name in names if name not in PROVENANCE)
            query = f"select count(*), sum(hash(t)::hugeint) from (select {kept} from read_parquet(?)) as t"
            found[path.relative_to(folder).as_posix()] = str(connection.execute(query, [str(path)]).fetchone())
    return found


def most_at_once(spans: list[tuple[float, float]]) -> int:
    """The most of these spans (begin, end) at one moment."""
    return max((sum(begin <= moment < end for begin, end in spans) for moment, _ in spans), default=0)


def compare(root: Path) -> dict[str, Any]:
    """Run both ways in folders under `root` and compare the results."""
    together, serial = (Sandbox(root / name, "demo", NOW) for name in ("together", "serial"))
    for sandbox in (together, serial):
        sandbox.root.mkdir()
    begun = time.monotonic()
    with Dagster(together) as dagster:
        dagster.wait_until_up()
        up = time.monotonic()
        problems, concurrent = overlapping(dagster)
        ended = time.monotonic()
    in_sequence(serial)
    lake, tables = stored(together) ^ stored(serial), published(together).items() ^ published(serial).items()
    problems += [f"lake: {name}" for name in sorted(lake)[:10]]
    problems += [f"published: {name}" for name in sorted({name for name, _ in tables})]
    return {
        "start_s": round(up - begun, 1),
        "overlapping_s": round(ended - up, 1),
        "in_sequence_s": round(time.monotonic() - ended, 1),
        "cpu_s": round(own_cpu_s(), 1),
        "runs_at_once": concurrent,
        "lake_files": [lake_files(together), lake_files(serial)],
        "published_tables": len(published(together)),
        "problems": problems,
    }


def main() -> int:
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(sys.argv[1] if len(sys.argv) > 1 else temporary)
        root.mkdir(parents=True, exist_ok=True)
        try:
            found = compare(root)
        except OverlapError as error:
            found = {"problems": [str(error)]}
    sys.stdout.write(json.dumps(found, indent=1) + "\n")
    return 1 if found["problems"] else 0


if __name__ == "__main__":
    sys.exit(main())
