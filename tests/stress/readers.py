"""Readers during publications: `python -m tests.stress.readers`.

Each reader is a process that opens tightness.duckdb again and again, as a BI tool does, and reads the release id and
two tables in one connection. The content of a release follows from its id, so that every read can be checked by itself:
both tables must be of that release, and whole. Exit codes: 0 all were; 1 a read failed, was mixed or torn, or no
publication fell between reads.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from multiprocessing.synchronize import Barrier, Event
from pathlib import Path
from typing import Any

import duckdb
from rich.console import Console

from pipelines.publish.release import Release, publish

START = datetime(2026, 1, 1, tzinfo=UTC)  # publication n is computed n seconds later; its content is that of n % 2
TABLES = ("marts.price_daily", "signals.signals_latest")
ROWS = {TABLES[0]: (6_000, 7_000), TABLES[1]: (2_000, 1_500)}  # by content
MAX_PAUSE_S = 0.2  # after each table and between reads, so that publications fall into many reads
MAX_LISTED = 20  # problems that are printed; all are counted


class MixedError(Exception):
    """A connection read something else than one whole release."""


@dataclass
class Seen:
    """Results of one reader. `overtaken`: reads during which another release became current."""

    reads: int = 0
    overtaken: int = 0
    removed: int = 0  # the release's own folder was gone when the read ended: more than `keep` publications went by
    releases: list[str] = field(default_factory=list)  # each once, in order
    mixed: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


def content_of(release_id: str) -> int:
    """Number of the content of a release (0 or 1), from the time in its id."""
    moment = datetime.strptime(release_id.split("-")[0], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    return int((moment - START).total_seconds()) % 2


def judge(release_id: str, tables: Mapping[str, tuple[Any, ...]]) -> None:
    """Raise `MixedError` unless every table (rows, least and greatest content, sum of `n`) is that release, whole."""
    content = content_of(release_id)
    for table, found in tables.items():
        rows = ROWS[table][content]
        if found != (rows, content, content, rows * (rows - 1) // 2):
            raise MixedError(f"{release_id}: {table} has (rows, contents, sum) {found}, not {rows} rows of {content}")


def read(published: Path, pause: float) -> tuple[str, str | None, bool]:
    """One read: its release, the one that is current afterwards, and whether the folder of its release still exists.

    Raises `MixedError`, `duckdb.Error` or `OSError`.
    """
    with duckdb.connect(str(published / "tightness.duckdb"), read_only=True) as con:
        (release_id,) = _one(con, "select release_id()")
        tables = {}
        for table in TABLES:
            tables[table] = _one(con, f"select count(*), min(content), max(content), sum(n)::bigint from {table}")
            time.sleep(pause)
        if _one(con, "select release_id()") != (release_id,):
            raise MixedError(f"{release_id} became another release inside one connection")
    judge(release_id, tables)
    current = json.loads((published / "manifest.json").read_text())["release_id"]  # whole at every moment
    try:
        own = json.loads((published / "releases" / release_id / "manifest.json").read_text())
    except FileNotFoundError:
        return release_id, current, False
    if {name: own["tables"][name]["rows"] for name in TABLES} != {name: rows[0] for name, rows in tables.items()}:
        raise MixedError(f"{release_id}: its manifest has other row counts than its database")
    return release_id, current, True


def read_on(published: Path, report: Path, seed: int, started: Barrier, stop: Event) -> None:
    """One reader: read until `stop` is set, then write the result to `report`."""
    seen, releases, chance = Seen(), set[str](), random.Random(seed)
    started.wait()
    while not stop.is_set():
        seen.reads += 1
        try:
            release_id, current, there = read(published, chance.random() * MAX_PAUSE_S)
        except MixedError as error:
            seen.mixed.append(str(error))
        except Exception as error:  # every error of a reader counts
            seen.errors.append(f"{type(error).__name__}: {error}")
        else:
            releases.add(release_id)
            seen.overtaken += current != release_id
            seen.removed += not there
        time.sleep(chance.random() * MAX_PAUSE_S)
    seen.releases = sorted(releases)
    report.write_text(json.dumps(asdict(seen)))


def prepare(folder: Path, content: int) -> Path:
    """A warehouse with one of the two contents, which is in every row; `n` counts the rows of a table from 0."""
    path = folder / f"content{content}.duckdb"
    with duckdb.connect(str(path)) as con:
        con.execute("create schema marts; create schema signals")
        for table, rows in ROWS.items():
            con.execute(f"create table {table} as select i as n, {content} as content from range({rows[content]}) r(i)")
    return path


def publish_content(warehouses: list[Path], published: Path, n: int, keep: int) -> Release:
    """Publish release number `n` by the product's own code."""
    names = [(schema, table) for schema, table in (name.split(".") for name in TABLES)]
    return publish(
        warehouses[n % 2],
        published,
        manifest_base={
            "profile": "demo",
            "computed_ts": (START + timedelta(seconds=n)).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "git_commit": None,
            "inputs": {},
        },
        comments={name: {"": "Made for readers", "n": "Row", "content": "Which content"} for name in names},
        keys=dict.fromkeys(names, ("n",)),
        synthetic=True,
        keep=keep,
    )


def run(root: Path, readers: int, seconds: float, keep: int) -> dict[str, Any]:
    """Publish for `seconds` beside so many readers, in folders under `root`; return counts and all `problems`."""
    published = root / "published"
    warehouses = [prepare(root, content) for content in (0, 1)]
    first = publish_content(warehouses, published, 0, keep)
    spawn = multiprocessing.get_context("spawn")  # a process that shares nothing, as a reader's is
    started, stop = spawn.Barrier(readers + 1), spawn.Event()
    reports = [root / f"reader{n}.json" for n in range(readers)]
    processes = [
        spawn.Process(target=read_on, args=(published, report, n, started, stop), daemon=True)
        for n, report in enumerate(reports)
    ]
    for process in processes:
        process.start()
    done = [first.release_id]
    try:
        started.wait(timeout=120 + readers * 10)
        begun = time.monotonic()
        # On a slow disk too: without a few publications nothing can be mixed.
        while time.monotonic() - begun < seconds or len(done) < 3:
            done.append(publish_content(warehouses, published, len(done), keep).release_id)
        took = time.monotonic() - begun
    finally:
        stop.set()
        for process in processes:
            process.join(timeout=120)
    problems = [
        f"reader {n} ended with exit code {process.exitcode} and no report"
        for n, (process, report) in enumerate(zip(processes, reports, strict=True))
        if not report.is_file()
    ]
    seen = [Seen(**json.loads(report.read_text())) for report in reports if report.is_file()]
    return sum_up(seen, done, problems) | {"seconds": round(took, 1), "kept releases": keep}


def sum_up(seen: Sequence[Seen], published: Sequence[str], problems: list[str]) -> dict[str, Any]:
    """The counts of all readers, and every problem; a run without a publication during a read is one."""
    mixed = [text for one in seen for text in one.mixed]
    errors = [text for one in seen for text in one.errors]
    releases = {release for one in seen for release in one.releases}
    problems = problems + mixed + errors
    if any(not one.reads for one in seen) or not seen:
        problems.append("a reader read nothing")
    if len(releases) < 2:
        problems.append(f"the readers saw {len(releases)} release(s): no publication fell between their reads")
    if releases - set(published):
        problems.append(f"the readers saw releases that were never published: {sorted(releases - set(published))}")
    return {
        "readers": len(seen),
        "reads": sum(one.reads for one in seen),
        "reads by reader": [min((one.reads for one in seen), default=0), max((one.reads for one in seen), default=0)],
        "publications": len(published) - 1,
        "releases seen": len(releases),
        "reads that a publication overtook": sum(one.overtaken for one in seen),
        "reads whose release was removed meanwhile": sum(one.removed for one in seen),
        "mixed or torn": len(mixed),
        "errors": len(errors),
        "problems": problems,
    }


def _one(con: duckdb.DuckDBPyConnection, sql: str) -> tuple[Any, ...]:
    row = con.execute(sql).fetchone()
    assert row is not None
    return row


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.stress.readers", description=__doc__)
    parser.add_argument("--readers", type=int, default=20, help="processes that read (20)")
    parser.add_argument("--seconds", type=float, default=60, help="how long (60)")
    parser.add_argument("--keep", type=int, default=5, help="releases that stay, as TIGHTNESS_KEEP_RELEASES (5)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of lines")
    args = parser.parse_args()
    if args.readers < 1 or args.seconds <= 0 or args.keep < 1:
        parser.error("--readers, --seconds and --keep must be above 0")
    err = Console(stderr=True)
    with (
        tempfile.TemporaryDirectory(prefix="tightness-readers-") as root,
        err.status(f"{args.readers} readers, {args.seconds:g} s"),
    ):
        found = run(Path(root).resolve(), args.readers, args.seconds, args.keep)
    found["machine"] = (
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"DuckDB {duckdb.__version__}"
    )
    if args.json:
        sys.stdout.write(json.dumps(found, indent=1) + "\n")
    else:
        for name, value in found.items():
            if name != "problems":
                sys.stdout.write(f"{name:42} {' to '.join(map(str, value)) if isinstance(value, list) else value}\n")
        for problem, times in Counter(found["problems"]).most_common(MAX_LISTED):
            err.print(f"{times} x {problem}", style="red", markup=False, soft_wrap=True)
    return 1 if found["problems"] else 0


if __name__ == "__main__":
    sys.exit(main())
