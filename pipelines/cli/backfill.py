"""Backfills as the command line shows them: which assets, what it would take, and how far it is.

The backfill itself is a run of the definitions like every other (`runs.run_job`).
"""

from __future__ import annotations

import json
import os
import statistics
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pipelines.common.calendar import months_between
from pipelines.common.settings import PROJECT, SettingsError
from pipelines.datasets import DROP, FEEDS
from pipelines.ingestion.extract import plan_requests
from pipelines.ingestion.progress import Progress
from pipelines.sources import SOURCES
from pipelines.workspace import Workspace

if TYPE_CHECKING:
    from dagster._core.definitions.assets.graph.asset_graph import AssetGraph

# Where no earlier run tells: seconds, on one core of a small machine.
START_S: Final = 6.0
REQUEST_S: Final = {"demo": 0.01, "replay": 0.01, "live": 1.0, "drop": 0.0}
MONTH_S: Final = 0.01
STEP_S: Final = {"models": 15.0, "publish__release": 4.0}
OTHER_S: Final = 0.2
LEARNT_FROM: Final = 5  # earlier runs


# --- which assets


@dataclass(frozen=True)
class Asset:
    """An asset as the UI names it, the step that makes it, and whether it has months."""

    name: str
    step: str
    partitioned: bool


def select(graph: AssetGraph, given: Sequence[str]) -> list[Asset]:
    """The assets that these names mean, in the graph's order; all without any.

    `lake/prices` is that asset, `raw/*` all that fit. A short name is that of one asset, or of a dataset: that is the
    dataset with its sources. Raises `SettingsError` for a name that fits nothing or several.
    """
    every = {key.to_user_string(): key for key in graph.toposorted_asset_keys}
    names = [name.strip() for text in given for name in text.split(",") if name.strip()]
    if given and not names:
        raise SettingsError("--assets names nothing: write for example --assets prices or --assets raw/westmetall")
    chosen = {name for wanted in names for name in _meant(wanted, list(every))} if names else set(every)
    # Some steps make several assets or none of them.
    whole = {
        key.to_user_string() for name in chosen for key in graph.get(every[name]).execution_set_asset_keys
    } | chosen
    return [Asset(name, _step(name), graph.get(key).is_partitioned) for name, key in every.items() if name in whole]


def _meant(wanted: str, every: list[str]) -> list[str]:
    if wanted in every:
        return [wanted]
    if wanted in FEEDS:
        feed = FEEDS[wanted]
        return [f"raw/{name}" for name in (*feed.sources, *([DROP] if feed.droppable else []))] + [f"lake/{wanted}"]
    if "*" in wanted:
        found = [name for name in every if fnmatchcase(name, wanted)]
    else:
        found = [name for name in every if name.rsplit("/", 1)[-1] == wanted]
        if len(found) > 1:
            raise SettingsError(f"--assets {wanted!r} fits several assets, write one in full: {', '.join(found)}")
    if not found:
        raise SettingsError(
            f"--assets {wanted!r} is no asset. There are the datasets {', '.join(FEEDS)} (each with its sources), and "
            f"the assets {', '.join(every)}"
        )
    return found


def _step(name: str) -> str:
    group = name.split("/")[0]
    if group == "reference":
        return "reference_tables"
    return name.replace("/", "__") if group in {"raw", "lake", "publish"} else "models"


# --- what it would take


@dataclass(frozen=True)
class Part:
    """One step of a backfill: its assets, its months (0 without partitions), those that were read before, seconds."""

    step: str
    assets: list[str]
    partitions: int
    read_before: int
    seconds: float


@dataclass(frozen=True)
class Asked:
    """A source's requests: those that are to be asked, and those that the archive answers."""

    source: str
    to_ask: int
    archived: int
    why_not: str = ""


@dataclass(frozen=True)
class Plan:
    """What a backfill takes. `basis` says where the expected seconds come from."""

    months: list[str]
    parts: list[Part]
    asked: list[Asked]
    seconds: float
    basis: str

    @property
    def partitions(self) -> int:
        """Months of all partitioned assets together."""
        return sum(part.partitions for part in self.parts)


def plan(workspace: Workspace, assets: Sequence[Asset], first: str, last: str, refresh: bool = False) -> Plan:
    """What a backfill of these assets and months would take. Asks nobody and writes nothing."""
    months = [str(month) for month in months_between(first, last)]
    asked = {a.source: a for asset in assets if (a := _asked(workspace, asset, first, last, refresh))}
    rates, runs = _learnt()
    steps: defaultdict[str, list[Asset]] = defaultdict(list)
    for asset in assets:
        steps[asset.step].append(asset)
    parts = []
    for step, made in steps.items():
        n = len(months) if made[0].partitioned else 0
        question = asked.get(made[0].name.removeprefix("raw/"))
        seconds = _seconds(step, n, question, rates, workspace.settings.profile)
        parts.append(Part(step, [asset.name for asset in made], n, _read_before(workspace, made[0], months), seconds))
    known = sum(part.step in rates for part in parts)
    basis = f"from {runs} earlier run{'s' if runs > 1 else ''}" if known else "from stated rates: no earlier run"
    if 0 < known < len(parts):
        basis += f", {len(parts) - known} step(s) from stated rates"
    total = START_S + sum(part.seconds for part in parts)
    return Plan(months, parts, list(asked.values()), round(total, 1), basis)


def _asked(workspace: Workspace, asset: Asset, first: str, last: str, refresh: bool) -> Asked | None:
    source = asset.name.removeprefix("raw/")
    if not asset.name.startswith("raw/") or source not in SOURCES:
        return None
    if workspace.settings.profile == "drop":
        return Asked(source, 0, 0, "the drop profile asks nobody")
    if not workspace.fetches(source):
        return Asked(source, 0, 0, "off, because of its terms: see TIGHTNESS_OPTIONAL_SOURCES")
    requests = plan_requests(source, months_between(first, last), workspace.scope)
    archived = 0 if refresh else sum(workspace.is_complete(request) for request in requests)
    return Asked(source, len(requests) - archived, archived)


def _read_before(workspace: Workspace, asset: Asset, months: list[str]) -> int:
    """How many of a dataset's months were read before; they are read again where an answer or a rule has changed."""
    ledger = workspace.settings.data / asset.name / "_ingested.json"
    if not asset.name.startswith("lake/") or not ledger.is_file():
        return 0
    return len(set(months) & set(json.loads(ledger.read_text())))


def _seconds(step: str, months: int, question: Asked | None, rates: Mapping[str, float], profile: str) -> float:
    if step in rates:
        share = 1.0
        if question and question.to_ask + question.archived:
            share = question.to_ask / (question.to_ask + question.archived)
        return rates[step] * (months or 1) * share
    if question:
        return OTHER_S + question.to_ask * REQUEST_S[profile]
    return STEP_S.get(step, OTHER_S) + months * (MONTH_S if step.startswith("lake__") else 0)


def _learnt() -> tuple[dict[str, float], int]:
    """Seconds of each step of the last runs that succeeded, those of partitioned steps a month; and how many runs."""
    home = Path(os.environ.get("DAGSTER_HOME") or PROJECT / ".dagster")
    if not (home / "dagster.yaml").is_file() or not (home / "history").is_dir():
        return {}, 0  # opening an instance would make one
    from dagster import DagsterEventType, DagsterRunStatus, RunsFilter
    from dagster._core.storage.tags import ASSET_PARTITION_RANGE_END_TAG, ASSET_PARTITION_RANGE_START_TAG

    from pipelines.orchestration.instance import open_instance

    spent: defaultdict[str, list[tuple[float, int]]] = defaultdict(list)
    with open_instance() as instance:
        runs = instance.get_runs(RunsFilter(statuses=[DagsterRunStatus.SUCCESS]), limit=LEARNT_FROM)
        for run in runs:
            ends = [run.tags.get(tag) for tag in (ASSET_PARTITION_RANGE_START_TAG, ASSET_PARTITION_RANGE_END_TAG)]
            one = run.tags.get("dagster/partition")
            first, last = ends if all(ends) else (one, one)
            n = len(months_between(first, last)) if first and last else 0
            begun: dict[str, float] = {}
            # Of all events of a run only these are read: a range has thousands of others.
            kinds = {DagsterEventType.STEP_START, DagsterEventType.STEP_SUCCESS}
            for record in instance.get_records_for_run(run.run_id, of_type=kinds).records:
                entry, step = record.event_log_entry, record.event_log_entry.step_key or ""
                if entry.get_dagster_event().event_type == DagsterEventType.STEP_START:
                    begun[step] = entry.timestamp
                elif step in begun:
                    spent[step].append((entry.timestamp - begun[step], n))
    rates = {}
    for step, costs in spent.items():
        if step.startswith(("raw__", "lake__")):
            months = sum(n for _, n in costs)
            if months:
                rates[step] = sum(seconds for seconds, _ in costs) / months
        else:
            rates[step] = statistics.median(seconds for seconds, _ in costs)
    return rates, len(runs)


# --- how far it is


@dataclass
class Meter:
    """How far a backfill is: partitions done of all, rows read, and how long the rest may take."""

    plan: Plan
    clock: Callable[[], float] = time.monotonic
    rows: int = 0
    doing: str = "starting"
    _begun: float = field(init=False)
    _share: dict[str, float] = field(default_factory=dict)  # of each step that has begun, 0 to 1
    _rows: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._begun = self.clock()

    def report(self, step: str, state: str) -> None:
        """A step began or ended."""
        self.doing = step.replace("__", "/") if state == "started" else f"{step.replace('__', '/')} {state}"
        self._share[step] = 0.0 if state == "started" else 1.0

    def follow(self, step: str, progress: Progress) -> None:
        """A step is so far."""
        self._share[step] = progress.done / progress.total if progress.total else 1.0
        self._rows[step] = progress.rows
        self.rows = self._rows.total()

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return self.clock() - self._begun

    @property
    def done(self) -> int:
        """Partitions that are done."""
        return sum(int(part.partitions * self._share.get(part.step, 0.0)) for part in self.plan.parts)

    @property
    def rows_per_s(self) -> float:
        """Rows read a second, since the start."""
        return self.rows / self.elapsed if self.elapsed > 0 else 0.0

    @property
    def left(self) -> float:
        """Expected seconds that are left: what the plan said of the rest, at the pace so far."""
        done = sum(part.seconds * self._share.get(part.step, 0.0) for part in self.plan.parts)
        rest = sum(part.seconds for part in self.plan.parts) - done
        # Before anything is done there is no pace; a short start says little of it.
        pace = self.elapsed / (done + START_S) if done > 0 else 1.0
        return max(rest, 0.0) * pace

    def line(self) -> str:
        """One line for the terminal or a log."""
        minutes, seconds = divmod(round(self.left), 60)
        return (
            f"partitions {self.done:,} of {self.plan.partitions:,} · {self.rows:,} rows · {self.rows_per_s:,.0f} rows/s"
            f" · about {minutes}:{seconds:02d} left · {self.doing}"
        )
