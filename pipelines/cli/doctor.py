"""`tightness doctor`: settings, stores, sources, locks and versions, each as a finding."""

from __future__ import annotations

import shutil
import sys
from collections import Counter
from dataclasses import dataclass
from typing import Literal

from pipelines.common.version import code_version
from pipelines.datasets import DROP, FEEDS
from pipelines.ingestion.drop_folder import drop_states
from pipelines.orchestration.automation.outbox import Outbox
from pipelines.publish.build_clock import ClockError
from pipelines.publish.manifest import packages, read_manifest
from pipelines.sources.base import plain
from pipelines.warehouse.dbt import MANIFEST
from pipelines.warehouse.lock import WriterBusyError, writer_lock
from pipelines.workspace import Workspace

NEEDED_BYTES = 1_000_000_000


@dataclass(frozen=True)
class Finding:
    """One line of the report."""

    what: str
    state: Literal["ok", "warn", "bad"]
    detail: str


def diagnose(workspace: Workspace) -> list[Finding]:
    """All findings. Changes nothing."""
    return [
        *_settings(workspace),
        *_stores(workspace),
        *_sources(workspace),
        _outbox(workspace),
        _lock(workspace),
        *_publication(workspace),
        *_versions(),
    ]


def _settings(workspace: Workspace) -> list[Finding]:
    settings = workspace.settings
    clock = f"{workspace.now:%Y-%m-%dT%H:%M:%SZ}" + (" (fixed by TIGHTNESS_NOW)" if settings.now else "")
    keys = settings.secrets()
    return [
        Finding("profile", "ok", settings.profile + (" (SYNTHETIC DEMO DATA)" if settings.synthetic else "")),
        _clock(workspace, clock),
        Finding(
            "reference tables",
            "ok",
            f"{len(workspace.reference.tables)} tables, sha256 {workspace.reference.sha256[:12]}",
        ),
        Finding(
            "ENTSOE_API_TOKEN",
            "ok" if keys or settings.profile != "live" else "warn",
            "set"
            if keys
            else "not set" + ("; zones served by ENTSO-E have no data" if settings.profile == "live" else ""),
        ),
    ]


def _clock(workspace: Workspace, clock: str) -> Finding:
    try:
        workspace.build_clock.check()
    except ClockError as error:
        return Finding("clock", "bad", str(error))
    return Finding("clock", "ok", clock)


def _stores(workspace: Workspace) -> list[Finding]:
    data = workspace.settings.data
    existing = next(path for path in [data, *data.parents] if path.exists())
    free = shutil.disk_usage(existing).free
    found = [
        Finding("free disk", "ok" if free > NEEDED_BYTES else "bad", f"{free / 1e9:.1f} GB free, 1 GB needed"),
        *_drop_folder(workspace),
    ]
    if (data / "lake").is_dir():
        for name in FEEDS:
            months = sorted(
                {path.parent.name.removeprefix("month=") for path in (data / "lake" / name).rglob("month=*/*.parquet")}
            )
            detail = f"{len(months)} months, {months[0]} to {months[-1]}" if months else "empty"
            found.append(Finding(f"lake {name}", "ok" if months else "warn", detail))
    return found


def _drop_folder(workspace: Workspace) -> list[Finding]:
    settings = workspace.settings
    states = drop_states(workspace.paths, settings.drop, workspace.now, max_mb=settings.drop_max_mb)
    if not states and not settings.drop.is_dir():
        return [Finding("drop folder", "ok", "does not exist")]
    counts = Counter(str(state.state) for state in states)
    summary = ", ".join(f"{counts[state]} {state}" for state in ("landed", "pending", "refused") if counts[state])
    levels: dict[str, Literal["ok", "warn", "bad"]] = {"landed": "ok", "pending": "warn", "refused": "bad"}
    found = [Finding("drop folder", "ok", f"exists, {summary or 'no files'}")]
    return found + [
        Finding(f"drop {state.relative}", levels[state.state], f"{state.state}{state.detail}")
        for state in states
        if state.detail
    ]


def _sources(workspace: Workspace) -> list[Finding]:
    failures = list(dict.fromkeys(workspace.failures.read()))
    # That of a refused drop file has no months and stays until the next run: `_drop_folder` looks at the file itself.
    failures = [failure for failure in failures if failure.source != DROP or failure.months]
    found = [Finding(f"{f.source} {f.request}", "bad", f.message) for f in failures[:20]]
    found += _quarantine(workspace)
    found += [
        Finding(f"refused responses of {source}", "warn", f"{count} in quarantine/payloads/{source}")
        for source, count in workspace.quarantine.payloads().items()
    ]
    return found or [Finding("sources", "ok", "no known failure")]


def _quarantine(workspace: Workspace) -> list[Finding]:
    rows = workspace.quarantine.read()
    last = rows.drop_duplicates("dataset", keep="last").set_index("dataset")
    return [
        Finding(
            f"quarantine {name}",
            "warn",
            f"{count} row(s), the last: {last['source'][name]} {last['period'][name]}, {last['where'][name]}: "
            f"{plain(last['reason'][name], 200)}",
        )
        for name, count in workspace.quarantine.counts().items()
    ]


def _outbox(workspace: Workspace) -> Finding:
    waiting = Outbox(workspace.paths.outbox).waiting()
    if not waiting:
        return Finding("notifications", "ok", "none waiting")
    tries = max(entry["tries"] for _, entry in waiting)
    oldest = min(entry["at"] for _, entry in waiting)
    detail = f"{len(waiting)} waiting for delivery, the oldest from {oldest}, tried up to {tries} times"
    return Finding("notifications", "warn", detail)


def _lock(workspace: Workspace) -> Finding:
    if not (workspace.settings.data / "warehouse").is_dir():
        return Finding("writer lock", "ok", "free")
    try:
        with writer_lock(workspace.settings.data, 0):
            return Finding("writer lock", "ok", "free")
    except WriterBusyError as error:
        return Finding("writer lock", "warn", str(error))


def _publication(workspace: Workspace) -> list[Finding]:
    manifest = read_manifest(workspace.paths.manifest)
    if manifest is None:
        return [Finding("publication", "warn", "nothing is published yet: run `tightness run`")]
    return [Finding("publication", "ok", f"{manifest['release_id']}, knowledge to {manifest['knowledge_ts_max']}")]


def _versions() -> list[Finding]:
    installed = ", ".join(f"{name} {number}" for name, number in packages().items())
    return [
        Finding("code", "ok", code_version()),
        Finding("packages", "ok", f"Python {sys.version.split()[0]}, {installed}"),
        Finding(
            "dbt manifest", "ok" if MANIFEST.is_file() else "warn", "built" if MANIFEST.is_file() else "not built: make"
        ),
    ]
