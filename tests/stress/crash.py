"""Runs that are killed: `python -m tests.stress.crash --kills 100 --seed 1`.

Full and incremental runs of a small demo market are killed (SIGKILL, the whole process group) at moments that the seed
draws over four phases: before the models, in them, while a release is written, while it is made current. After each
kill every published file must be whole; a normal run, in a copy of what the kill left, must leave everything as a run
without a kill does, but for `run_id` and `computed_ts`. Most recoveries are killed as well, up to four times. Exit code
1 when anything is not so.

Runs are forked from a process that has imported everything: an import writes nothing, and killed while it lasts a run
has not begun. So all kills fall into work. POSIX only.
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
from pathlib import Path
from typing import Any, Final

PROJECT: Final = Path(__file__).resolve().parents[2]
OURS: Final = ("TIGHTNESS_", "DAGSTER_", "ENTSOE_")
MONTHS: Final = ("2025-12", "2026-01")
FIRST, NEXT_DAY, NEXT_HOUR = "2026-01-14T20:00:00Z", "2026-01-15T20:00:00Z", "2026-01-14T21:00:00Z"
POLL_S: Final = 0.004
MAX_RETRY_AFTER_S: Final = 600.0
HANGS: Final = 124  # as `timeout` says it
MOST_KILLS: Final = 5  # in one case, before it may recover
PER_RUN: Final = {"run_id", "computed_ts"}

# The phases of a run, each from its mark to the next one's.
PHASES: Final = ("ingest", "models", "write", "current")


@dataclass(frozen=True)
class Scenario:
    """A run: from which folders it starts, at what time, and what it should leave."""

    name: str
    base: str  # folders it starts from
    now: str
    clean: str  # folders as a run without a kill leaves them
    revised: bool = False  # a drop file has another figure than in `base`


FULL = Scenario("full", "empty", FIRST, "full")
CLOCK = Scenario("a day later", "full", NEXT_DAY, "clock")
DROP = Scenario("changed drop", "full", NEXT_HOUR, "drop", revised=True)
BUILT = Scenario("built, not published", "built", NEXT_DAY, "clock")

# Where a phase is reached soon: a run whose models are built already publishes after a few seconds.
STARTS: Final = {
    "ingest": (FULL, CLOCK, DROP),
    "models": (FULL, CLOCK, DROP),
    "write": (BUILT, BUILT, BUILT, FULL, DROP),
    "current": (BUILT, BUILT, BUILT, FULL, DROP),
}


@dataclass(frozen=True)
class Moment:
    """When a kill falls: so long after a phase has begun, as a share of how long the phase takes."""

    phase: str
    share: float


@dataclass
class Kill:
    """What a kill met and left."""

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
    recoveries: list[list[str]] = field(default_factory=list)  # of each one what differs from a clean run

    @property
    def faults(self) -> list[str]:
        """Everything that is not as it should be."""
        return [fault for found in (*(kill.faults for kill in self.kills), *self.recoveries) for fault in found]


class Folders:
    """The data, drop and Dagster folders of one run."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.data, self.drop, self.home = root / "data", root / "drop", root / "dagster"

    def copy(self, root: Path) -> Folders:
        """The same state in another place."""
        shutil.rmtree(root, ignore_errors=True)
        shutil.copytree(self.root, root)
        return Folders(root)

    def put_drop(self, last: int) -> None:
        """A user's stocks, of which the last figure is given."""
        rows = [f"AL,2026-01-{day:02d},{500_000 - 1000 * day}" for day in (5, 6, 7, 8, 9, 12)]
        self.drop.joinpath("stocks").mkdir(parents=True, exist_ok=True)
        text = "\n".join(["metal,obs_date,total_t", *rows, f"AL,2026-01-13,{last}", ""])
        (self.drop / "stocks" / "own.csv").write_text(text)

    def environment(self, now: str) -> dict[str, str]:
        """The settings of a run here; nothing of the caller's is in it."""
        return {name: value for name, value in os.environ.items() if not name.startswith(OURS)} | {
            "TIGHTNESS_PROFILE": "demo",
            "TIGHTNESS_NOW": now,
            "TIGHTNESS_DATA_DIR": str(self.data),
            "TIGHTNESS_DROP_DIR": str(self.drop),
            "DAGSTER_HOME": str(self.home),
            "DAGSTER_EVENT_BATCH_SIZE": "1000",
            "COLUMNS": "200",
            "NO_COLOR": "1",
        }


# --- processes


def forked(work: Callable[[], int]) -> int:
    """Starts `work` in a process (and group) of its own; returns its pid."""
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


def told(work: Callable[[], Any]) -> Any:
    """What `work` returns, computed in a process of its own: who forks runs keeps no database and no thread."""
    with tempfile.NamedTemporaryFile("r") as answer:

        def write() -> int:
            Path(answer.name).write_text(json.dumps(work()))
            return 0

        _, status = os.waitpid(forked(write), 0)
        if status:
            raise RuntimeError("a check could not be made; its traceback is above")
        return json.loads(Path(answer.name).read_text())


def start(folders: Folders, now: str) -> int:
    """`tightness run` in these folders, in a process group of its own; its output goes to run.log."""

    def work() -> int:
        from pipelines.cli.app import app

        handle = os.open(folders.root / "run.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(handle, 1)
        os.dup2(handle, 2)
        os.chdir(folders.root)  # no .env of a developer is found here
        os.environ.clear()
        os.environ.update(folders.environment(now))
        try:
            app(["run", "--from", MONTHS[0], "--to", MONTHS[1]])
        except SystemExit as done:
            return int(done.code or 0)
        return 0

    return forked(work)


class ProgressCallback:
    """The marks that a run leaves on disk when it comes to a phase; those of an earlier run do not count."""

    def __init__(self, folders: Folders) -> None:
        self.data = folders.data
        self.before = {phase: self._mark(phase) for phase in PHASES}
        self.begun = {"ingest": time.monotonic()}

    def look(self) -> None:
        """Notes which phases have begun."""
        for phase in PHASES:
            if phase not in self.begun and (mark := self._mark(phase)) and not mark <= self.before[phase]:
                self.begun[phase] = time.monotonic()

    def _mark(self, phase: str) -> set[tuple[str, int, int]]:
        published = self.data / "published"
        pattern = {
            "ingest": [],
            "models": [self.data / "warehouse" / ".writer.json"],
            "write": published.glob(".tmp-2*"),
            "current": published.glob("releases/*"),
        }
        found = set()
        for path in pattern[phase]:
            try:
                about = path.stat()
            except FileNotFoundError:
                continue
            # A folder's time changes with its content; a file's says when it was written anew.
            found.add((path.name, about.st_ino, 0 if phase != "models" else about.st_mtime_ns))
        return found


def finish(pid: int, watch: ProgressCallback) -> int:
    """Waits for a run; returns its exit code, or `HANGS`."""
    end = time.monotonic() + MAX_RETRY_AFTER_S
    while time.monotonic() < end:
        watch.look()
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(POLL_S)
    os.killpg(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return HANGS


def kill_at(pid: int, watch: ProgressCallback, moment: Moment, lengths: dict[str, float]) -> int | None:
    """Kills the run's group at its moment; returns the exit code instead where the run has ended before."""
    while True:
        watch.look()
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        begun = watch.begun.get(moment.phase)
        if begun is not None and time.monotonic() >= begun + moment.share * lengths[moment.phase]:
            os.killpg(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return None
        time.sleep(POLL_S)


# --- what must hold


def sha256(path: Path) -> str:
    """The hash of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def torn(folders: Folders, had_release: bool) -> list[str]:
    """Every file that is not whole, and every published one that is missing."""
    return [*_torn_publication(folders.data / "published", had_release), *_torn_stores(folders.data)]


def _torn_publication(published: Path, had_release: bool) -> Iterator[str]:
    import duckdb

    known: dict[str, set[str]] = {}  # the hashes that a visible file may have: those of the releases that are there
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
    visible = [published / "marts.duckdb", *sorted(published.glob("parquet/*/*.parquet"))]
    for path in filter(Path.is_file, visible):
        name = path.relative_to(published).as_posix()
        if sha256(path) not in known.get(name, set()):
            yield f"published {name} is the file of no release"
    if (published / "marts.duckdb").is_file():
        try:
            with duckdb.connect(str(published / "marts.duckdb"), read_only=True) as con:
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
        except Exception as error:  # whatever it is, a reader would meet it
            yield f"{path.relative_to(data)} does not open: {error}"
    for path in data.glob("raw/*/??/*"):
        if not path.name.startswith(".") and path.stem != sha256(path):
            yield f"{path.relative_to(data)} has other bytes than its name says"
    for path in [*data.glob("raw/*/receipts/*.json"), *data.glob("lake/*/*.json"), *data.glob("warehouse/**/*.json")]:
        try:
            if not path.name.startswith("."):  # the lock's holder is a hint
                json.loads(path.read_text())
        except ValueError as error:
            yield f"{path.relative_to(data)} is torn: {error}"


def state(folders: Folders) -> dict[str, str]:
    """What a run has left, each part as a hash of its content: lake, archive, quarantine, published tables."""
    from pipelines.lake.quarantine import Quarantine
    from pipelines.lake.store import Lake
    from pipelines.publish.manifest import table_facts
    from pipelines.warehouse.sql import reader, sql_literal, tables_in
    from schemas.datasets import DATASETS

    data, found = folders.data, {}
    for name in DATASETS:
        rows = Lake(data / "lake").read(name)
        found[f"lake {name}"] = hashlib.sha256(rows.to_csv(index=False).encode()).hexdigest()
    aside = Quarantine(data / "quarantine").read().sort_values(["dataset", "payload_sha256", "where", "reason"])
    found["quarantine"] = hashlib.sha256(aside.to_csv(index=False).encode()).hexdigest()
    for path in sorted((data / "raw").rglob("*")):
        if path.is_file() and not path.name.startswith("."):
            found[path.relative_to(data).as_posix()] = sha256(path)
    with reader() as con:
        con.execute(f"attach {sql_literal(data / 'published' / 'marts.duckdb')} as release (read_only)")
        for table, columns in tables_in(con, "release").items():
            kept = {name: kind for name, kind in columns.items() if name not in PER_RUN}
            found[".".join(table)] = table_facts(con, "release", table, kept).content_sha256
    # The database and the Parquet files of a settled publication are those of one release.
    manifest = json.loads((data / "published" / "manifest.json").read_text())
    of_release = all(sha256(data / "published" / name) == facts["sha256"] for name, facts in manifest["files"].items())
    found["one release is visible"] = str(of_release)
    return found


def step_of(folders: Folders) -> str:
    """The step that the newest run was in, from Dagster's own event log."""
    import sqlite3

    logs = [path for path in folders.home.glob("history/runs/*.db") if path.name != "index.db"]
    if not logs:
        return "before the first step"
    newest = max(logs, key=lambda path: path.stat().st_mtime_ns)
    with sqlite3.connect(newest) as con:
        if not con.execute("select 1 from sqlite_master where name = 'event_logs'").fetchall():
            return "before the first step"  # killed between the file and its tables
        rows = con.execute(
            "select dagster_event_type, step_key from event_logs "
            "where dagster_event_type in ('STEP_START', 'STEP_SUCCESS', 'RUN_SUCCESS') order by id desc limit 1"
        ).fetchall()
    if not rows:
        return "before the first step"
    event, step = rows[0]
    name = str(step or "run").replace("__", " ")
    return name if event == "STEP_START" else f"after {name}"


# --- the program


def prepare(root: Path) -> dict[str, float]:
    """The states that cases start from and end in; returns how long each phase takes."""
    empty = Folders(root / "empty")
    empty.root.mkdir(parents=True)
    empty.put_drop(last=487_000)
    lengths: dict[str, float] = {}

    def clean(base: str, name: str, now: str, revised: bool = False) -> None:
        folders = Folders(root / base).copy(root / name)
        if revised:
            folders.put_drop(last=450_000)
        watch = ProgressCallback(folders)
        code = finish(start(folders, now), watch)
        if code:
            raise RuntimeError(f"the run without a kill ended with {code}:\n{(folders.root / 'run.log').read_text()}")
        marks = [*(watch.begun[phase] for phase in PHASES), time.monotonic()]
        for phase, begun, ended in zip(PHASES, marks, marks[1:], strict=False):
            lengths[phase] = min(lengths.get(phase, MAX_RETRY_AFTER_S), ended - begun)

    clean("empty", "full", FULL.now)
    # Dagster makes its databases anew once; cases with an empty data folder start with them.
    shutil.copytree(root / "full" / "dagster", root / "empty" / "dagster")
    clean("full", "clock", CLOCK.now)
    clean("full", "drop", DROP.now, revised=True)
    built = Folders(root / "full").copy(root / "built")
    if kill_at(start(built, BUILT.now), ProgressCallback(built), Moment("write", 0.0), lengths) is not None:
        raise RuntimeError("the run that should be killed before its publication has ended")
    return lengths


def plan(seed: int, number: int) -> tuple[Scenario, list[Moment]]:
    """What happens in a case: the scenario, its kill, and the kills of what should have recovered it."""
    draw = random.Random(f"{seed}/{number}")
    phase = PHASES[number % len(PHASES)]
    scenario = draw.choice(STARTS[phase])
    phases = [phase, *draw.choices(PHASES, k=draw.randrange(MOST_KILLS))]
    return scenario, [Moment(phase, draw.uniform(0, 0.95)) for phase in phases]


def play(root: Path, place: Path, seed: int, number: int, lengths: dict[str, float], wanted: int) -> Case:
    """One case in a copy of its base, killed again and again, at most `wanted` times; what each kill left is looked at,
    and recovered and compared in a copy, while the case goes on to the next kill."""
    scenario, moments = plan(seed, number)
    folders = Folders(root / scenario.base).copy(place)
    if scenario.revised:
        folders.put_drop(last=450_000)
    case = Case(number, scenario.name)
    had_release = (folders.data / "published" / "manifest.json").is_file()
    for moment in moments[:wanted]:
        code = kill_at(start(folders, scenario.now), ProgressCallback(folders), moment, lengths)
        if code is not None:  # it has ended before: that was the last recovery
            case.recoveries.append(compared(root, folders, scenario, code))
            break
        kill = Kill(number, scenario.name, moment, told(partial(step_of, folders)))
        kill.faults = told(partial(torn, folders, had_release))
        case.kills.append(kill)
        left = folders.copy(place.with_name(f"{place.name}-recovered"))
        code = finish(start(left, scenario.now), ProgressCallback(left))
        case.recoveries.append(compared(root, left, scenario, code))
        if kill.faults or case.recoveries[-1]:
            break  # kept as it is, for whoever looks for the cause
    return case


def compared(root: Path, folders: Folders, scenario: Scenario, code: int) -> list[str]:
    """What a run after a kill has left that a clean one would not have."""
    if code:
        log = (folders.root / "run.log").read_text().splitlines()
        return [f"the run after the kill ended with {code}: {' | '.join(log[-3:])}"]
    wished, found = json.loads((root / scenario.clean / "state.json").read_text()), told(partial(state, folders))
    parts = sorted(name for name in wished.keys() | found.keys() if wished.get(name) != found.get(name))
    return [*told(partial(torn, folders, True)), *(f"{name} differs from a clean run" for name in parts)]


def work(root: Path, worker: int, workers: int, kills: int, seed: int, lengths: dict[str, float]) -> int:
    """Plays every `workers`-th case until `kills` kills have fallen; one line of JSON each."""
    fallen, number = 0, worker
    with (root / f"worker{worker}.jsonl").open("w") as results:
        while fallen < kills:
            begun = time.monotonic()
            case = play(root, root / f"case{worker}", seed, number, lengths, kills - fallen)
            fallen += len(case.kills)
            results.write(json.dumps(asdict(case)) + "\n")
            results.flush()
            faults = case.faults
            where = ", then ".join(kill.step for kill in case.kills) or "not killed: it had ended"
            said = "; ".join(faults) or "whole, recovered, equal"
            sys.stdout.write(f"case {number}, {case.scenario}: {where}: {said} ({time.monotonic() - begun:.0f} s)\n")
            sys.stdout.flush()
            if faults:  # kept for whoever looks for the cause
                for left in (f"case{worker}", f"case{worker}-recovered"):
                    if (root / left).is_dir():
                        shutil.copytree(root / left, root / f"fault{number}" / left)
            number += workers
    return 0


def summary(cases: list[dict[str, Any]], seconds: float) -> tuple[list[str], int]:
    """The report's lines, and the number of faults."""
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
    """Kills, checks, and says whether all is well."""
    parser = argparse.ArgumentParser(prog="python -m tests.stress.crash", description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--keep", type=Path, help="a folder that is kept, with the state of every fault")
    asked = parser.parse_args()
    begun = time.monotonic()
    _preload()
    with tempfile.TemporaryDirectory(prefix="tightness-crash-") as temporary:
        root = (asked.keep or Path(temporary)).resolve()
        lengths = prepare(root)
        for name in ("full", "clock", "drop"):
            (root / name / "state.json").write_text(json.dumps(told(partial(state, Folders(root / name)))))
        phases = ", ".join(f"{phase} {seconds:.1f} s" for phase, seconds in lengths.items())
        sys.stdout.write(f"phases of a run: {phases}\n")
        share = [asked.kills // asked.workers + (n < asked.kills % asked.workers) for n in range(asked.workers)]
        pids = [
            forked(partial(work, root, n, asked.workers, share[n], asked.seed, lengths)) for n in range(asked.workers)
        ]
        ended = [os.waitpid(pid, 0)[1] for pid in pids]
        cases = [json.loads(line) for path in sorted(root.glob("worker*.jsonl")) for line in path.open()]
    lines, faults = summary(cases, time.monotonic() - begun)
    sys.stdout.write("\n".join(lines) + "\n")
    return 1 if faults or any(ended) or sum(len(case["kills"]) for case in cases) < asked.kills else 0


def _preload() -> None:
    """Imports what a run needs, and parses the models where one is newer than the manifest."""
    import dagster_dbt  # noqa: F401
    import dbt.adapters.duckdb
    import dbt.cli.main  # noqa: F401

    import pipelines.cli.app
    import pipelines.orchestration.definitions
    import pipelines.orchestration.run
    import pipelines.transports.demo  # noqa: F401
    from pipelines.warehouse.dbt import manifest

    manifest()


if __name__ == "__main__":
    sys.exit(main())
