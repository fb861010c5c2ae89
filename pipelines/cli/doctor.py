"""`tightness doctor`: settings, stores, sources, locks and versions, each as a finding."""

from __future__ import annotations

import errno
import os
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipelines.common.paths import DATABASE
from pipelines.common.settings import ENV_FILE
from pipelines.common.version import code_version
from pipelines.datasets import DROP, FEEDS
from pipelines.ingestion.drop_folder import drop_states
from pipelines.ingestion.repair import SHOWN
from pipelines.orchestration.automation.outbox import Outbox
from pipelines.publish.build_clock import ClockError
from pipelines.publish.manifest import database_file, packages, read_manifest, released_lake_files
from pipelines.sources.base import plain
from pipelines.warehouse.damage import database_damage
from pipelines.warehouse.dbt import MANIFEST
from pipelines.warehouse.lock import current_writer
from pipelines.workspace import Workspace

NEEDED_BYTES = 1_000_000_000


@dataclass(frozen=True)
class Finding:
    """One line of the report."""

    what: str
    state: Literal["ok", "warn", "bad"]
    detail: str


def diagnose(workspace: Workspace) -> list[Finding]:
    """All findings. Only reads; what this user may not read is a finding."""
    checks: dict[str, Callable[[Workspace], Iterable[Finding]]] = {
        "settings": _settings,
        "folders": _folders,
        "drop files": _drop_files,
        "clock": _clock,
        "lake": _lake,
        "sources": _failures,
        "quarantine": _quarantine,
        "notifications": _outbox,
        "writer lock": _lock,
        "publication": _publication,
        "versions": _versions,
    }
    found: list[Finding] = []
    for what, check in checks.items():
        try:
            found += check(workspace)
        except PermissionError as error:
            found.append(Finding(what, "warn", f"cannot be looked at: this user may not read {error.filename}"))
        except OSError as error:  # a disk fault, or a folder in the place of a file
            found.append(Finding(what, "bad", f"{error.filename} cannot be read: {error.strerror or error}"))
    return found


def _readable(path: Path) -> bool:
    """Whether something is there. Raises `PermissionError` where it may not be read: a pattern would match nothing."""
    if not path.exists():
        return False
    if not os.access(path, os.R_OK | (os.X_OK if path.is_dir() else 0)):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
    return True


def _settings(workspace: Workspace) -> Iterator[Finding]:
    settings = workspace.settings
    file = ENV_FILE if ENV_FILE.is_file() else f"{ENV_FILE} does not exist: environment and defaults"
    yield Finding("settings file", "ok", str(file))
    yield Finding("profile", "ok", settings.profile + (" (SYNTHETIC DEMO DATA)" if settings.synthetic else ""))
    tables, sha256 = workspace.reference.tables, workspace.reference.sha256[:12]
    yield Finding("reference tables", "ok", f"{len(tables)} tables, sha256 {sha256}, in {settings.reference}")
    if settings.secrets():
        yield Finding("ENTSOE_API_TOKEN", "ok", "set")
    elif settings.profile == "live":
        yield Finding("ENTSOE_API_TOKEN", "warn", "not set; zones served by ENTSO-E have no data")
    else:
        yield Finding("ENTSOE_API_TOKEN", "ok", "not set")


def _folders(workspace: Workspace) -> Iterator[Finding]:
    settings = workspace.settings
    replay = {"replay": settings.replay} if settings.replay else {}
    folders = {"data": settings.data, "drop": settings.drop, **replay, "DAGSTER_HOME": settings.instance}
    for what, folder in folders.items():
        try:
            yield Finding(f"folder {what}", "ok", f"{folder}{'' if _readable(folder) else ' does not exist'}")
        except PermissionError:
            yield Finding(f"folder {what}", "warn", f"{folder} cannot be looked at: this user may not read it")
    existing = next(path for path in (settings.data, *settings.data.parents) if os.path.exists(path))  # noqa: PTH110
    free = shutil.disk_usage(existing).free
    yield Finding("free disk", "ok" if free > NEEDED_BYTES else "bad", f"{free / 1e9:.1f} GB free, 1 GB needed")


def _drop_files(workspace: Workspace) -> Iterator[Finding]:
    settings = workspace.settings
    if not _readable(settings.drop) and not settings.drop.is_symlink():
        yield Finding("drop files", "ok", "none")
        return
    states = drop_states(workspace.paths, settings.drop, workspace.now, max_mb=settings.drop_max_mb)
    counts = Counter(str(state.state) for state in states)
    summary = ", ".join(f"{counts[state]} {state}" for state in ("landed", "pending", "refused") if counts[state])
    yield Finding("drop files", "ok", summary or "none")
    levels: dict[str, Literal["ok", "warn", "bad"]] = {"landed": "ok", "pending": "warn", "refused": "bad"}
    for state in states:
        if state.detail:
            yield Finding(f"drop {state.relative}", levels[state.state], f"{state.state}{state.detail}")


def _clock(workspace: Workspace) -> Iterator[Finding]:
    moment = f"{workspace.now:%Y-%m-%dT%H:%M:%SZ}"
    try:
        workspace.build_clock.check()
    except ClockError as error:
        yield Finding("clock", "bad", str(error))
    else:
        yield Finding("clock", "ok", moment + (" (fixed by TIGHTNESS_NOW)" if workspace.settings.now else ""))


def _lake(workspace: Workspace) -> Iterator[Finding]:
    """Months of each dataset, and files that are lost or damaged: every byte is read, nothing is written or locked."""
    lake, released = workspace.stored_lake, released_lake_files(workspace.paths.published)
    is_there = _readable(workspace.paths.lake)
    for name in FEEDS:
        _readable(workspace.paths.lake / name)
        damaged = lake.damage(name, released.get(name, ()))
        months = lake.months(name)
        detail = f"{len(months)} months, {months[0]} to {months[-1]}" if months else "empty"
        if damaged and all(one.is_denied for one in damaged):
            yield Finding(f"lake {name}", "warn", f"cannot be looked at: this user may not read {damaged[0].file}")
        elif damaged:
            files = "; ".join(f"{one.file} {one.problem}" for one in damaged[:SHOWN])
            more = f" and {len(damaged) - SHOWN} more" if len(damaged) > SHOWN else ""
            yield Finding(f"lake {name}", "bad", f"{detail}. {files}{more}: run `tightness repair --dry-run`")
        elif months or is_there:
            yield Finding(f"lake {name}", "ok" if months else "warn", detail)


def _failures(workspace: Workspace) -> Iterator[Finding]:
    failures = list(dict.fromkeys(workspace.failures.read())) if _readable(workspace.paths.failures) else []
    # That of a refused drop file has no months and stays until the next run: `_drop_files` looks at the file itself.
    failures = [failure for failure in failures if failure.source != DROP or failure.months]
    if not failures:
        yield Finding("sources", "ok", "no known failure")
    for failure in failures[:20]:
        yield Finding(f"{failure.source} {failure.request}", "bad", failure.message)


def _quarantine(workspace: Workspace) -> Iterator[Finding]:
    if not _readable(workspace.paths.quarantine):
        return
    rows = workspace.quarantine.read()
    last = rows.drop_duplicates("dataset", keep="last").set_index("dataset")
    for name, count in workspace.quarantine.counts().items():
        source, period, where, reason = (last[column][name] for column in ("source", "period", "where", "reason"))
        detail = f"{count} row(s), the last: {source} {period}, {where}: {plain(reason, 200)}"
        yield Finding(f"quarantine {name}", "warn", detail)
    for source, count in workspace.quarantine.payloads().items():
        yield Finding(f"refused responses of {source}", "warn", f"{count} in quarantine/payloads/{source}")


def _outbox(workspace: Workspace) -> Iterator[Finding]:
    folder = workspace.paths.outbox
    waiting = Outbox(folder).waiting() if _readable(folder) else []
    if not waiting:
        yield Finding("notifications", "ok", "none waiting")
        return
    tries = max(entry["tries"] for _, entry in waiting)
    oldest = min(entry["at"] for _, entry in waiting)
    detail = f"{len(waiting)} waiting for delivery, the oldest from {oldest}, tried up to {tries} times"
    yield Finding("notifications", "warn", detail)


def _lock(workspace: Workspace) -> Iterator[Finding]:
    writer = current_writer(workspace.settings.data)
    if writer is None:
        yield Finding("writer lock", "ok", "free")
    else:
        yield Finding("writer lock", "warn", f"another run{writer} is writing {workspace.settings.data}")


def _publication(workspace: Workspace) -> Iterator[Finding]:
    manifest = read_manifest(workspace.paths.manifest) if _readable(workspace.paths.manifest) else None
    restore = "restore published/ from a backup, or copy the file of the newest whole folder in published/releases/"
    if manifest is None:
        yield Finding("publication", "warn", "nothing is published yet: run `tightness run`")
    elif database_file(manifest) != DATABASE:
        detail = f"{manifest['release_id']} is of an earlier version ({database_file(manifest)}): run `tightness run`"
        yield Finding("publication", "warn", detail)
    elif not _readable(database := workspace.paths.database):
        yield Finding("publication", "bad", f"{database} is gone: {restore}")
    elif damage := database_damage(database):
        yield Finding("publication", "bad", f"{database} is damaged ({damage}): {restore}")
    else:
        detail = f"{manifest['release_id']}, knowledge to {manifest['knowledge_ts_max']}"
        yield Finding("publication", "ok", detail)


def _versions(_: Workspace) -> Iterator[Finding]:
    installed = ", ".join(f"{name} {number}" for name, number in packages().items())
    yield Finding("code", "ok", code_version())
    yield Finding("packages", "ok", f"Python {sys.version.split()[0]}, {installed}")
    built = MANIFEST.is_file()
    yield Finding("dbt manifest", "ok" if built else "warn", "built" if built else "not built: make")
