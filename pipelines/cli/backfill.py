"""Assets and plan of a run: which assets names select, which requests they need and the expected time.

The run itself is `orchestration.run.run_job`.
"""

from __future__ import annotations

import json
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pipelines.common.calendar import months_between
from pipelines.common.settings import SettingsError
from pipelines.datasets import DROP, FEEDS
from pipelines.ingestion.extract import plan_requests
from pipelines.sources import SOURCES
from pipelines.workspace import Workspace

if TYPE_CHECKING:
    from dagster import DagsterInstance, DagsterRun, Definitions

# Expected seconds where no earlier run was measured, on one core of a small machine.
START_S: Final = 6.0
REQUEST_S: Final = {"demo": 0.01, "replay": 0.01, "live": 1.0, "drop": 0.0}
MONTH_S: Final = 0.01
STEP_S: Final = {"models": 15.0, "evaluation": 60.0, "publish__release": 4.0}
OTHER_S: Final = 0.2
EARLIER_RUNS: Final = 5  # runs that rates are measured on


# --- assets


@dataclass(frozen=True)
class Asset:
    """An asset by its name in the UI, the unit of work that makes it, and whether it has months.

    The unit is the asset itself where a step makes its assets one by one, and the step otherwise.
    """

    name: str
    step: str
    partitioned: bool


def select(defs: Definitions, patterns: Sequence[str]) -> list[Asset]:
    """The assets that these names select, in the graph's order; all when there are none.

    `lake/prices` is that asset, `raw/*` every asset that matches. A short name is the one asset with that last part,
    or a dataset together with its sources. Names may be separated by commas. Raises `SettingsError` for a name that
    matches nothing, or several assets.
    """
    graph = defs.resolve_asset_graph()
    keys = {key.to_user_string(): key for key in graph.toposorted_asset_keys}
    keys = {name: key for name, key in keys.items() if graph.get(key).group_name != "evaluation"}  # a job of its own
    names = [name.strip() for text in patterns for name in text.split(",") if name.strip()]
    if patterns and not names:
        raise SettingsError("--assets is empty: write for example --assets prices or --assets raw/westmetall")
    chosen = {name for pattern in names for name in _matches(pattern, list(keys))} if names else set(keys)
    # A step that makes several assets makes all of them or none.
    whole = {key.to_user_string() for name in chosen for key in graph.get(keys[name]).execution_set_asset_keys} | chosen
    return [Asset(name, _step(name), graph.get(key).is_partitioned) for name, key in keys.items() if name in whole]


def _matches(pattern: str, names: list[str]) -> list[str]:
    if pattern in names:
        return [pattern]
    if pattern in FEEDS:
        feed = FEEDS[pattern]
        return [f"raw/{name}" for name in (*feed.sources, *([DROP] if feed.droppable else []))] + [f"lake/{pattern}"]
    if "*" in pattern:
        found = [name for name in names if fnmatchcase(name, pattern)]
    else:
        found = [name for name in names if name.rsplit("/", 1)[-1] == pattern]
        if len(found) > 1:
            raise SettingsError(f"--assets {pattern!r} matches several assets: write one of {', '.join(found)}")
    if not found:
        raise SettingsError(
            f"--assets {pattern!r} matches no asset: write a dataset ({', '.join(FEEDS)}; each with its sources) or "
            f"an asset ({', '.join(names)})"
        )
    return found


def _step(name: str) -> str:
    group = name.split("/")[0]
    if group == "reference":
        return "reference_tables"
    return name.replace("/", "__") if group in {"raw", "lake", "publish"} else "models"


# --- plan


@dataclass(frozen=True)
class Part:
    """One unit of work of a run: its assets, its months (0 without partitions), those read before, expected seconds."""

    step: str
    assets: list[str]
    partitions: int
    read_before: int
    seconds: float


@dataclass(frozen=True)
class SourceRequests:
    """Number of a source's requests that are to be sent, and that the archive answers; the reason if it is off."""

    source: str
    pending: int
    archived: int
    reason: str = ""


@dataclass(frozen=True)
class Plan:
    """The work of a run. `basis`: what the expected seconds are based on."""

    months: list[str]
    parts: list[Part]
    requests: list[SourceRequests]
    seconds: float
    basis: str

    @property
    def partitions(self) -> int:
        """Months of all partitioned assets together."""
        return sum(part.partitions for part in self.parts)


def plan(workspace: Workspace, assets: Sequence[Asset], first: str, last: str, refresh: bool = False) -> Plan:
    """The plan for these assets and months. Sends no request and writes nothing.

    `refresh`: requests that the archive answers are sent as well.
    """
    months = [str(month) for month in months_between(first, last)]
    requests = {r.source: r for asset in assets if (r := _requests(workspace, asset, first, last, refresh))}
    rates, runs = _measured_rates(workspace.settings.instance, assets)
    steps: defaultdict[str, list[Asset]] = defaultdict(list)
    for asset in assets:
        steps[asset.step].append(asset)
    parts = []
    for step, made in steps.items():
        n = len(months) if made[0].partitioned else 0
        seconds = _seconds(step, n, requests.get(made[0].name.removeprefix("raw/")), rates, workspace.settings.profile)
        parts.append(Part(step, [asset.name for asset in made], n, _read_before(workspace, made[0], months), seconds))
    known = sum(part.step in rates for part in parts)
    basis = f"from {runs} earlier run{'s' if runs > 1 else ''}" if known else "from default rates: no earlier run"
    if 0 < known < len(parts):
        basis += f", {len(parts) - known} unit(s) of work from default rates"
    total = START_S + sum(part.seconds for part in parts)
    return Plan(months, parts, list(requests.values()), round(total, 1), basis)


def _requests(workspace: Workspace, asset: Asset, first: str, last: str, refresh: bool) -> SourceRequests | None:
    source = asset.name.removeprefix("raw/")
    if not asset.name.startswith("raw/") or source not in SOURCES:
        return None
    if workspace.settings.profile == "drop":
        return SourceRequests(source, 0, 0, "the drop profile sends no requests")
    if not workspace.fetches(source):
        return SourceRequests(source, 0, 0, "off because of its terms: see TIGHTNESS_OPTIONAL_SOURCES")
    requests = plan_requests(source, months_between(first, last), workspace.scope)
    archived = 0 if refresh else sum(workspace.is_complete(request) for request in requests)
    return SourceRequests(source, len(requests) - archived, archived)


def _read_before(workspace: Workspace, asset: Asset, months: list[str]) -> int:
    """Number of a dataset's months that were read before; one is read again when a response or a rule has changed."""
    ledger = workspace.settings.data / asset.name / "_ingested.json"
    if not asset.name.startswith("lake/") or not ledger.is_file():
        return 0
    return len(set(months) & set(json.loads(ledger.read_text())))


def _seconds(
    step: str, months: int, requests: SourceRequests | None, rates: Mapping[str, float], profile: str
) -> float:
    if step in rates:
        share = 1.0
        if requests and requests.pending + requests.archived:
            share = requests.pending / (requests.pending + requests.archived)
        return rates[step] * (months or 1) * share
    if requests:
        return OTHER_S + requests.pending * REQUEST_S[profile]
    return STEP_S.get(step, OTHER_S) + months * (MONTH_S if step.startswith("lake__") else 0)


def _measured_rates(home: Path, assets: Sequence[Asset]) -> tuple[dict[str, float], int]:
    """Seconds of each step, and of each partitioned asset per month; the number of earlier runs that succeeded.

    Of a step the median of these runs, of an asset what it took when it was made last.
    """
    if not (home / "dagster.yaml").is_file() or not (home / "history").is_dir():
        return {}, 0  # to open an instance would create one
    from dagster import AssetKey, DagsterRunStatus, RunsFilter

    from pipelines.orchestration.assets.raw import SECONDS
    from pipelines.orchestration.instance import open_instance

    spent: defaultdict[str, list[float]] = defaultdict(list)
    rates: dict[str, float] = {}
    with open_instance(home) as instance:
        runs = instance.get_runs(RunsFilter(statuses=[DagsterRunStatus.SUCCESS]), limit=EARLIER_RUNS)
        for run in runs:
            for step, seconds in _step_seconds(instance, run):
                spent[step].append(seconds)
        keys = {AssetKey(asset.name.split("/")): asset.step for asset in assets if asset.partitioned}
        months = cache(lambda run_id: _months_of(instance.get_run_by_id(run_id)))
        for record in instance.get_asset_records(list(keys)) if keys else []:
            last = record.asset_entry.last_materialization
            made = last.asset_materialization if last else None
            if last and made and SECONDS in made.metadata and months(last.run_id):
                seconds = float(str(made.metadata[SECONDS].value))
                rates[keys[record.asset_entry.asset_key]] = seconds / months(last.run_id)
    return rates | {step: statistics.median(costs) for step, costs in spent.items()}, len(runs)


def _months_of(run: DagsterRun | None) -> int:
    from pipelines.orchestration.partitions import RANGE_END, RANGE_START

    if run is None:  # deleted
        return 0
    one = run.tags.get("dagster/partition")
    first, last = run.tags.get(RANGE_START, one), run.tags.get(RANGE_END, one)
    return len(months_between(first, last)) if first and last else 0


def _step_seconds(instance: DagsterInstance, run: DagsterRun) -> list[tuple[str, float]]:
    from dagster import DagsterEventType

    began: dict[str, float] = {}
    found = []
    # Only these events are read: a run over a range of months has thousands of others.
    kinds = {DagsterEventType.STEP_START, DagsterEventType.STEP_SUCCESS}
    for record in instance.get_records_for_run(run.run_id, of_type=kinds).records:
        entry, step = record.event_log_entry, record.event_log_entry.step_key or ""
        if entry.get_dagster_event().event_type == DagsterEventType.STEP_START:
            began[step] = entry.timestamp
        elif step in began:
            found.append((step, entry.timestamp - began[step]))
    return found
