"""Runs that are killed: `python -m tests.stress.crash --kills 100 --seed 1`.

Full and incremental runs of a small demo market are killed (SIGKILL, the whole process group) at moments that the seed
draws over four phases: before the models, in them, while a release is written, while it becomes current. After each
kill every published file must be whole. A normal run in a copy of the folders must then leave everything as a run
without a kill does, except `run_id` and `computed_ts`. Most recoveries are killed as well, up to four times. Exit code
1 when any of this does not hold.

Runs are forked from a process that has imported everything: an import writes nothing, so that every kill falls into
work. POSIX only.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from tests.sandbox import Sandbox

MONTHS: Final = ("2025-12", "2026-01")
FIRST, NEXT_DAY, NEXT_HOUR = "2026-01-14T20:00:00Z", "2026-01-15T20:00:00Z", "2026-01-14T21:00:00Z"
POLL_S: Final = 0.004
MAX_RUN_S: Final = 600.0
TIMED_OUT: Final = 124  # the exit code of `timeout`
MAX_KILLS: Final = 5  # in one case
PER_RUN: Final = {"run_id", "computed_ts"}

# The phases of a run, each from its mark to the next one's.
PHASES: Final = ("ingest", "models", "write", "current")


@dataclass(frozen=True)
class Scenario:
    """A run: the folders it starts from, its time, and the folders that it should end with."""

    name: str
    base: str  # folders it starts from
    now: str
    clean: str  # folders that a run without a kill leaves
    revised: bool = False  # a drop file has another figure than in `base`


FULL = Scenario("full", "empty", FIRST, "full")
CLOCK = Scenario("a day later", "full", NEXT_DAY, "clock")
DROP = Scenario("changed drop", "full", NEXT_HOUR, "drop", revised=True)
BUILT = Scenario("built, not published", "built", NEXT_DAY, "clock")

# Scenarios in which a phase begins soon: a run whose models are built publishes after a few seconds.
STARTS: Final = {
    "ingest": (FULL, CLOCK, DROP),
    "models": (FULL, CLOCK, DROP),
    "write": (BUILT, BUILT, BUILT, FULL, DROP),
    "current": (BUILT, BUILT, BUILT, FULL, DROP),
}


@dataclass(frozen=True)
class Moment:
    """The time of a kill: after the beginning of a phase, as a share of the phase's length."""

    phase: str
    share: float


@dataclass
class Kill:
    """A kill, the step of the run that it hit, and the faults that it left."""

    case: int
    scenario: str
    moment: Moment
    step: str = ""
    faults: list[str] = field(default_factory=list)


@dataclass
class Case:
    """One scenario, killed once or more, and recovered after each kill."""

    number: int
    scenario: str
    kills: list[Kill] = field(default_factory=list)
    recoveries: list[list[str]] = field(default_factory=list)  # of each one the differences from a clean run

    @property
    def faults(self) -> list[str]:
        return [fault for found in (*(kill.faults for kill in self.kills), *self.recoveries) for fault in found]


def sandbox(root: Path, now: str = FIRST) -> Sandbox:
    return Sandbox(root, "demo", now)


def copy(source: Sandbox, root: Path) -> Sandbox:
    """The same state in a folder that is made anew."""
    shutil.rmtree(root, ignore_errors=True)
    return source.copy(root)


def drop_stocks(into: Sandbox, last: int) -> None:
    """Put a file of a user's stocks into the drop folder. `last`: the newest figure [t]."""
    rows = [f"AL,2026-01-{day:02d},{500_000 - 1000 * day}" for day in (5, 6, 7, 8, 9, 12)]
    into.drop("stocks/own.csv", "\n".join(["metal,obs_date,total_t", *rows, f"AL,2026-01-13,{last}", ""]))


# --- processes


def fork(work: Callable[[], int]) -> int:
    """Start `work` in a process (and group) of its own; return its pid."""
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        return pid
    code = 70
    try:
        os.setsid()
        code = work()
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def in_child(work: Callable[[], Any]) -> Any:
    """The result of `work`, computed in a child process: a process that forks must hold no database and no thread."""
    with tempfile.NamedTemporaryFile("r") as result:

        def write() -> int:
            Path(result.name).write_text(json.dumps(work()))
            return 0

        _, status = os.waitpid(fork(write), 0)
        if status:
            raise RuntimeError("a check failed to run; its traceback is above")
        return json.loads(Path(result.name).read_text())


def start(run: Sandbox) -> int:
    """Start `tightness run` in a process group of its own, with its output in run.log; return its pid."""

    def work() -> int:
        from pipelines.cli.app import app

        log = os.open(run.root / "run.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.chdir(run.root)  # where no developer's .env is found
        environment = run.environment()
        os.environ.clear()
        os.environ.update(environment)
        try:
            app(["run", "--from", MONTHS[0], "--to", MONTHS[1]])
        except SystemExit as done:
            return int(done.code or 0)
        return 0

    return fork(work)


class PhaseMonitor:
    """The beginning of each phase of a run, from the marks that it leaves on disk; earlier runs' marks do not count."""

    def __init__(self, run: Sandbox) -> None:
        self.data = run.data
        self.before = {phase: self._marks(phase) for phase in PHASES}
        self.begun = {"ingest": time.monotonic()}

    def update(self) -> None:
        for phase in PHASES:
            if phase not in self.begun and (marks := self._marks(phase)) and not marks <= self.before[phase]:
                self.begun[phase] = time.monotonic()

    def _marks(self, phase: str) -> set[tuple[str, int, int]]:
        published = self.data / "published"
        paths = {
            "ingest": [],
            "models": [self.data / "warehouse" / ".writer.json"],
            "write": published.glob(".tmp-2*"),
            "current": published.glob("releases/*"),
        }
        found = set()
        for path in paths[phase]:
            try:
                about = path.stat()
            except FileNotFoundError:
                continue
            # The time of a folder changes with its content; that of a file when it is written again.
            found.add((path.name, about.st_ino, 0 if phase != "models" else about.st_mtime_ns))
        return found


def finish(pid: int, monitor: PhaseMonitor) -> int:
    """Wait for a run; return its exit code, or `TIMED_OUT`."""
    end = time.monotonic() + MAX_RUN_S
    while time.monotonic() < end:
        monitor.update()
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(POLL_S)
    os.killpg(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return TIMED_OUT


def kill_at(pid: int, monitor: PhaseMonitor, moment: Moment, lengths: dict[str, float]) -> int | None:
    """Kill the run's process group at the moment; return the exit code instead where the run has ended before."""
    while True:
        monitor.update()
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        begun = monitor.begun.get(moment.phase)
        if begun is not None and time.monotonic() >= begun + moment.share * lengths[moment.phase]:
            os.killpg(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return None
        time.sleep(POLL_S)


# --- checks


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def torn(data: Path, had_release: bool) -> list[str]:
    """Every file below the data folder that is not whole, and every published file that is missing."""
    return [*_torn_publication(data / "published", had_release), *_torn_stores(data)]


def _torn_publication(published: Path, had_release: bool) -> Iterator[str]:
    import duckdb

    known: dict[str, set[str]] = {}  # the hashes that a visible file may have: those of the kept releases
    manifest_path = published / "manifest.json"
    for folder in sorted(published.glob("releases/*")):
        try:
            files = json.loads((folder / "manifest.json").read_text())["files"]
        except (OSError, ValueError, KeyError) as error:
            yield f"release {folder.name} has no readable manifest: {error}"
            continue
        for name, facts in files.items():
            known.setdefault(name, set()).add(facts["sha256"])
            if not (folder / name).is_file():
                yield f"release {folder.name} lacks {name}"
            elif sha256(folder / name) != facts["sha256"]:
                yield f"release {folder.name}: {name} is torn"
    manifest: dict[str, Any] = {"files": {}}
    if manifest_path.is_file():
        try:
            manifest = json.loads(manifest_path.read_text())
        except ValueError as error:
            yield f"manifest.json is torn: {error}"
    elif had_release:
        yield "manifest.json is missing"
    for name, facts in manifest["files"].items():
        known.setdefault(name, set()).add(facts["sha256"])
        if not (published / name).is_file():
            yield f"published {name} is missing"
    visible = [published / "tightness.duckdb", *sorted(published.glob("parquet/*/*.parquet"))]
    for path in filter(Path.is_file, visible):
        name = path.relative_to(published).as_posix()
        if sha256(path) not in known.get(name, set()):
            yield f"published {name} is the file of no release"
    if (published / "tightness.duckdb").is_file():
        try:
            with duckdb.connect(str(published / "tightness.duckdb"), read_only=True) as con:
                row = con.execute("select count(*) from signals.signals_latest").fetchone()
                con.execute("select * from signals.signals_asof(now())").fetchall()
            if not row or not row[0]:
                yield "the published database has no signals"
        except duckdb.Error as error:
            yield f"the published database does not open: {error}"


def _torn_stores(data: Path) -> Iterator[str]:
    import pyarrow.parquet as pq

    for path in [*data.glob("lake/**/*.parquet"), *data.glob("quarantine/**/*.parquet")]:
        try:
            pq.read_table(path)
        except Exception as error:  # of any type: a reader would get it too
            yield f"{path.relative_to(data)} does not open: {error}"
    for path in data.glob("raw/*/??/*"):
        if not path.name.startswith(".") and path.stem != sha256(path):
            yield f"{path.relative_to(data)} does not have the hash of its name"
    for path in data.glob("raw/*/receipts.jsonl"):
        whole, _, _ = path.read_text().rpartition("\n")  # the next writer removes what a killed one left of a line
        for number, line in enumerate(whole.splitlines(), start=1):
            try:
                json.loads(line)
            except ValueError as error:
                yield f"{path.relative_to(data)} line {number} is torn: {error}"
    for path in [*data.glob("lake/*/*.json"), *data.glob("warehouse/**/*.json")]:
        try:
            if not path.name.startswith("."):  # the file of the lock's holder is only a hint
                json.loads(path.read_text())
        except ValueError as error:
            yield f"{path.relative_to(data)} is torn: {error}"


def state(data: Path) -> dict[str, str]:
    """The result of a run, each part as a hash of its content: lake, archive, quarantine, published tables."""
    from pipelines.lake.quarantine import Quarantine
    from pipelines.lake.store import Lake
    from pipelines.publish.content import content_sha256, row_hashes
    from pipelines.warehouse.sql import reader, sql_literal, tables_in
    from schemas.datasets import DATASETS

    found = {}
    for name in DATASETS:
        rows = Lake(data / "lake", records=data / "raw" / "lake").read(name)
        found[f"lake {name}"] = hashlib.sha256(rows.to_csv(index=False).encode()).hexdigest()
    rows = Quarantine(data / "quarantine").read().sort_values(["dataset", "payload_sha256", "where", "reason"])
    found["quarantine"] = hashlib.sha256(rows.to_csv(index=False).encode()).hexdigest()
    for path in sorted((data / "raw").rglob("*")):
        if path.is_file() and not path.name.startswith("."):
            found[path.relative_to(data).as_posix()] = sha256(path)
    with reader() as con:
        con.execute(f"attach {sql_literal(data / 'published' / 'tightness.duckdb')} as release (read_only)")
        for table, columns in tables_in(con, "release").items():
            kept = {name: kind for name, kind in columns.items() if name not in PER_RUN}
            found[".".join(table)] = content_sha256(row_hashes(con, "release", table, kept))
    # The database and the Parquet files of a finished publication are those of one release.
    manifest = json.loads((data / "published" / "manifest.json").read_text())
    of_release = all(sha256(data / "published" / name) == facts["sha256"] for name, facts in manifest["files"].items())
    found["one release is visible"] = str(of_release)
    return found


def step_of(root: Path) -> str:
    """The step that the newest run was in, from Dagster's event log."""
    import sqlite3

    log = root / "dagster" / "history" / "runs" / "index.db"
    if not log.exists():
        return "before the first step"
    with sqlite3.connect(log) as con:
        if not con.execute("select 1 from sqlite_master where name = 'event_logs'").fetchall():
            return "before the first step"  # killed between the file and its tables
        rows = con.execute(
            "select dagster_event_type, step_key from event_logs "
            "where dagster_event_type in ('STEP_START', 'STEP_SUCCESS', 'RUN_SUCCESS') "
            "and run_id = (select run_id from event_logs order by id desc limit 1) order by id desc limit 1"
        ).fetchall()
    if not rows:
        return "before the first step"
    event, step = rows[0]
    name = str(step or "run").replace("__", " ")
    return name if event == "STEP_START" else f"after {name}"


# --- cases


def prepare(root: Path) -> dict[str, float]:
    """Make the states that cases start from and end in; return the length of each phase [s]."""
    empty = sandbox(root / "empty")
    empty.root.mkdir(parents=True)
    drop_stocks(empty, last=487_000)
    lengths: dict[str, float] = {}

    def clean(base: str, name: str, now: str, revised: bool = False) -> None:
        run = copy(sandbox(root / base, now), root / name)
        if revised:
            drop_stocks(run, last=450_000)
        monitor = PhaseMonitor(run)
        code = finish(start(run), monitor)
        if code:
            raise RuntimeError(f"the run without a kill ended with {code}:\n{(run.root / 'run.log').read_text()}")
        marks = [*(monitor.begun[phase] for phase in PHASES), time.monotonic()]
        for phase, begun, ended in zip(PHASES, marks, marks[1:], strict=False):
            lengths[phase] = min(lengths.get(phase, MAX_RUN_S), ended - begun)

    clean("empty", "full", FULL.now)
    # Dagster creates its databases once; cases with an empty data folder start with them.
    shutil.copytree(root / "full" / "dagster", root / "empty" / "dagster")
    clean("full", "clock", CLOCK.now)
    clean("full", "drop", DROP.now, revised=True)
    built = copy(sandbox(root / "full", BUILT.now), root / "built")
    if kill_at(start(built), PhaseMonitor(built), Moment("write", 0.0), lengths) is not None:
        raise RuntimeError("the run that should be killed before its publication has ended")
    for name in ("full", "clock", "drop"):
        (root / name / "state.json").write_text(json.dumps(in_child(partial(state, root / name / "data"))))
    return lengths


def plan(seed: int, number: int) -> tuple[Scenario, list[Moment]]:
    """The scenario of a case, the moment of its kill, and those of the kills of its recoveries."""
    draw = random.Random(f"{seed}/{number}")
    phase = PHASES[number % len(PHASES)]
    scenario = draw.choice(STARTS[phase])
    phases = [phase, *draw.choices(PHASES, k=draw.randrange(MAX_KILLS))]
    return scenario, [Moment(phase, draw.uniform(0, 0.95)) for phase in phases]


def run_case(root: Path, folder: Path, seed: int, number: int, lengths: dict[str, float], max_kills: int) -> Case:
    """Kill a run in a copy of its base again and again. After each kill check the files, and recover and compare in a
    second copy, while the first goes on to the next kill."""
    scenario, moments = plan(seed, number)
    run = copy(sandbox(root / scenario.base, scenario.now), folder)
    if scenario.revised:
        drop_stocks(run, last=450_000)
    case = Case(number, scenario.name)
    had_release = (run.data / "published" / "manifest.json").is_file()
    for moment in moments[:max_kills]:
        code = kill_at(start(run), PhaseMonitor(run), moment, lengths)
        if code is not None:  # it ended before the kill: that was the last recovery
            case.recoveries.append(differences(root, run, scenario, code))
            break
        kill = Kill(number, scenario.name, moment, in_child(partial(step_of, run.root)))
        kill.faults = in_child(partial(torn, run.data, had_release))
        case.kills.append(kill)
        recovery = copy(run, folder.with_name(f"{folder.name}-recovered"))
        code = finish(start(recovery), PhaseMonitor(recovery))
        case.recoveries.append(differences(root, recovery, scenario, code))
        if kill.faults or case.recoveries[-1]:
            break  # the folders stay as they are, to find the cause
    return case


def differences(root: Path, run: Sandbox, scenario: Scenario, code: int) -> list[str]:
    """Differences of a run after a kill from a clean one. `code`: its exit code."""
    if code:
        log = (run.root / "run.log").read_text().splitlines()
        return [f"the run after the kill ended with {code}: {' | '.join(log[-3:])}"]
    expected = json.loads((root / scenario.clean / "state.json").read_text())
    found = in_child(partial(state, run.data))
    parts = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
    return [*in_child(partial(torn, run.data, True)), *(f"{name} differs from a clean run" for name in parts)]


def run_cases(root: Path, worker: int, workers: int, kills: int, seed: int, lengths: dict[str, float]) -> int:
    """Run every `workers`-th case until there were `kills` kills; write one line of JSON for each."""
    done, number = 0, worker
    with (root / f"worker{worker}.jsonl").open("w") as results:
        while done < kills:
            begun = time.monotonic()
            case = run_case(root, root / f"case{worker}", seed, number, lengths, kills - done)
            done += len(case.kills)
            results.write(json.dumps(asdict(case)) + "\n")
            results.flush()
            where = ", then ".join(kill.step for kill in case.kills) or "not killed: it had ended"
            result = "; ".join(case.faults) or "whole, recovered, equal"
            sys.stdout.write(f"case {number}, {case.scenario}: {where}: {result} ({time.monotonic() - begun:.0f} s)\n")
            sys.stdout.flush()
            if case.faults:  # kept to find the cause
                for name in (f"case{worker}", f"case{worker}-recovered"):
                    if (root / name).is_dir():
                        shutil.copytree(root / name, root / f"fault{number}" / name)
            number += workers
    return 0


# --- the program


def summary(cases: list[dict[str, Any]], seconds: float) -> tuple[list[str], int]:
    """The lines of the report, and the number of faults."""
    kills = [kill for case in cases for kill in case["kills"]]
    torn_after = sum(bool(kill["faults"]) for kill in kills)
    recoveries = [recovery for case in cases for recovery in case["recoveries"]]
    unequal = sum(map(bool, recoveries))
    killed = [case for case in cases if case["kills"]]
    again = sum(len(case["kills"]) > 1 for case in killed)
    lines = [
        f"{len(kills)} kills in {len(killed)} cases, of which {again} were killed again while they recovered",
        "by phase: " + _counted(kill["moment"]["phase"] for kill in kills),
        "by scenario: " + _counted(kill["scenario"] for kill in kills),
        "by step: " + _counted(kill["step"] for kill in kills),
        f"torn or missing files after a kill: {torn_after}",
        f"recoveries equal to a clean run: {len(recoveries) - unequal} of {len(recoveries)}",
        f"{seconds / 60:.1f} minutes",
    ]
    return lines, torn_after + unequal


def _counted(names: Iterator[str]) -> str:
    return ", ".join(f"{name} {n}" for name, n in sorted(Counter(names).items(), key=lambda item: -item[1]))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.stress.crash", description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--keep", type=Path, help="a folder that is kept, with the state of every fault")
    args = parser.parse_args()
    begun = time.monotonic()
    _preload()
    with tempfile.TemporaryDirectory(prefix="tightness-crash-") as temporary:
        root = (args.keep or Path(temporary)).resolve()
        lengths = prepare(root)
        phases = ", ".join(f"{phase} {seconds:.1f} s" for phase, seconds in lengths.items())
        sys.stdout.write(f"phases of a run: {phases}\n")
        share = [args.kills // args.workers + (n < args.kills % args.workers) for n in range(args.workers)]
        pids = [
            fork(partial(run_cases, root, n, args.workers, share[n], args.seed, lengths)) for n in range(args.workers)
        ]
        ended = [os.waitpid(pid, 0)[1] for pid in pids]
        cases = [json.loads(line) for path in sorted(root.glob("worker*.jsonl")) for line in path.open()]
    lines, faults = summary(cases, time.monotonic() - begun)
    sys.stdout.write("\n".join(lines) + "\n")
    return 1 if faults or any(ended) or sum(len(case["kills"]) for case in cases) < args.kills else 0


def _preload() -> None:
    """Import what a run needs, and parse the models where one is newer than the manifest."""
    for module in ("cli.app", "orchestration.definitions", "orchestration.run", "transports.demo", "warehouse.dbt"):
        import_module(f"pipelines.{module}")
    for module in ("dagster_dbt", "dbt.adapters.duckdb", "dbt.cli.main"):
        import_module(module)
    import_module("pipelines.warehouse.dbt").manifest()


if __name__ == "__main__":
    sys.exit(main())
