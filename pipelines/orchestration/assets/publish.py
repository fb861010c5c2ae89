"""Release, report and health check: the last step fails a run whose sources failed, after everything else."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg

from pipelines.common.files import read_json, write_atomically, write_json
from pipelines.common.settings import PROJECT
from pipelines.common.version import git_commit
from pipelines.orchestration.assets.describe import DERIVED, KNOWN, OWNER, tags
from pipelines.orchestration.assets.lake import RUN_HEALTH
from pipelines.orchestration.assets.models import POOL
from pipelines.orchestration.resources import WorkspaceResource
from pipelines.publish.manifest import database_file, packages, read_manifest
from pipelines.warehouse.sql import Name, opened
from schemas.datasets import DATASETS
from schemas.evaluation import EVALUATION
from schemas.generate.dbt import comments, keys, vintage_comments, vintage_keys
from schemas.marts import MARTS
from schemas.signals import SIGNALS

if TYPE_CHECKING:
    from pipelines.publish.manifest import ManifestBase
    from pipelines.publish.release import Release
    from pipelines.workspace import Workspace

RELEASE = dg.AssetKey(["publish", "release"])
REPORT = dg.AssetKey(["publish", "report"])
MODELS = MARTS | SIGNALS | EVALUATION
# A release holds rows of every source that a user may switch on.
TAGS = tags(DERIVED, "RESTRICTED", "daily")
SHOWN = 10  # failures in the message


@dg.asset(
    key=RELEASE,
    group_name="publish",
    owners=[OWNER],
    kinds={"duckdb", "parquet"},
    tags=TAGS,
    pool=POOL,
    deps=[
        *(dg.AssetKey([schema, name]) for schema, name in keys(MODELS)),
        *(dg.AssetKey(["staging", f"stg_{name}"]) for _, name in vintage_keys()),
    ],
    description="The files for readers: tightness.duckdb, Parquet copies, manifest. Verified before they are replaced.",
)
def release(workspace: WorkspaceResource) -> dg.MaterializeResult:
    """Publish marts, signals and vintages."""
    open_workspace = workspace.open()
    with open_workspace.writing():
        done = publish_release(open_workspace)
    return dg.MaterializeResult(
        metadata={
            "release": done.release_id,
            "unchanged": done.unchanged,
            "profile": open_workspace.settings.profile,
            "synthetic": open_workspace.settings.synthetic,
            KNOWN: str(done.manifest["knowledge_ts_max"]),
            "rows": dg.MetadataValue.json({name: table["rows"] for name, table in done.manifest["tables"].items()}),
            "difference": dg.MetadataValue.json(done.manifest["difference"] or "first release"),
        }
    )


def with_keys(
    comments: Mapping[Name, Mapping[str, str]], keys: Mapping[Name, tuple[str, ...]]
) -> dict[Name, dict[str, str]]:
    """The comments, of which that of a table ends with its key: the file holds no keys, which cost much to load."""
    return {name: {**texts, "": f"{texts['']}. Key: {', '.join(keys[name])}"} for name, texts in comments.items()}


def publish_release(workspace: "Workspace") -> "Release":
    """Publish the private warehouse, unless nothing has changed since it was published. The caller holds the writer
    lock."""
    from pipelines.evaluation.tables import ensure
    from pipelines.publish.release import current, publish
    from pipelines.warehouse.asof import table_macros

    paths, identified = workspace.paths, keys(MODELS) | vintage_keys()
    if paths.warehouse.is_file():
        manifest = read_manifest(paths.manifest)
        own = [paths.published / "releases" / manifest["release_id"] / database_file(manifest)] if manifest else []
        ensure(paths.warehouse, [*own, paths.database])
    about: ManifestBase = {
        "profile": workspace.settings.profile,
        "computed_ts": workspace.build_clock.advance().strftime("%Y-%m-%dT%H:%M:%SZ"),
        "git_commit": git_commit(),
        "inputs": {
            "reference": workspace.reference.sha256,
            "lake": workspace.lake.fingerprint(),
        },
    }
    lake_files = {name: workspace.lake.present(name) for name in DATASETS}
    keep = workspace.settings.keep_releases
    made_from = _fingerprint({**about, "computed_ts": ""}, lake_files, keep, _state(paths.warehouse))
    noted = read_json(paths.publication)
    if noted.get("made_from") == made_from and (release := current(paths.published, noted.get("release_id"))):
        return release
    release = publish(
        paths.warehouse,
        paths.published,
        manifest_base=about,
        comments=with_keys(comments(MODELS) | vintage_comments(), identified),
        keys=identified,
        macros=table_macros(paths.reference_copies, [name for _, name in vintage_keys()]),
        synthetic=workspace.settings.synthetic,
        keep=keep,
        lake_files=lake_files,
    )
    write_json(paths.publication, {"made_from": made_from, "release_id": release.release_id})
    return release


def _fingerprint(*parts: object) -> str:
    """Hash of inputs, and of the program with its packages: also of changes that are not committed."""
    digest = hashlib.sha256(json.dumps([packages(), *parts], sort_keys=True).encode())
    for folder in (PROJECT / "pipelines", PROJECT / "schemas"):
        for path in sorted(folder.rglob("*.*")):
            if path.is_file() and path.suffix != ".pyc":
                digest.update(path.read_bytes())
    return digest.hexdigest()


def _state(database: Path) -> list[int]:
    """State of a database file: every write changes it."""
    about = database.stat() if database.is_file() else None
    return [about.st_ino, about.st_size, about.st_mtime_ns] if about else []


@dg.asset(
    key=REPORT,
    group_name="publish",
    owners=[OWNER],
    kinds={"python"},
    tags=TAGS,
    pool=POOL,
    deps=[RELEASE],
    description="One page for people, report.html: index, charts, signals, claims and assumptions of the release.",
)
def report(workspace: WorkspaceResource) -> dg.MaterializeResult:
    """Render the report of the current release."""
    open_workspace = workspace.open()
    with open_workspace.writing():
        page, release_id = write_report(open_workspace)
        copy_docs(open_workspace)
    return dg.MaterializeResult(
        metadata={"file": dg.MetadataValue.path(str(page)), "bytes": page.stat().st_size, "release": release_id}
    )


def copy_docs(workspace: "Workspace") -> None:
    """Copy dbt's documentation, which set-up has written, beside the report where it is another."""
    from pipelines.publish.release_files import file_facts, is_file, replace_file
    from pipelines.warehouse.dbt import DOCS

    if DOCS.is_file() and not is_file(workspace.paths.published / DOCS.name, file_facts(DOCS)):
        replace_file(workspace.paths.published, DOCS.name, DOCS)


def write_report(workspace: "Workspace") -> tuple[Path, str]:
    """Write report.html for the current release: its path and the release's id. The caller holds the writer lock."""
    from pipelines.publish import vega
    from pipelines.publish.report import is_current, key, read, render

    manifest = read_manifest(workspace.paths.manifest)
    if manifest is None:
        raise dg.Failure("nothing is published yet: materialize publish/release first", allow_retries=False)
    database = workspace.paths.published / "releases" / manifest["release_id"] / database_file(manifest)
    parameters = workspace.reference["parameters"]
    holding = parameters[parameters["valid_from"] <= workspace.now.strftime("%Y-%m-%d")].sort_values("valid_from")
    holding = holding.drop_duplicates(["name", "metal"], keep="last").sort_values(["name", "metal"])
    assumed = holding[holding["status"] == "ASSUMPTION"].assign(valid_from=lambda f: f["valid_from"].dt.date)
    rows = [dict(row) for _, row in assumed.iterrows()]
    path = workspace.paths.published / "report.html"
    if is_current(path, key(manifest, rows)):
        return path, str(manifest["release_id"])
    with opened(database) as connection:
        page = render(read(connection, manifest, rows), vega.script())
    write_atomically(path, lambda temporary: temporary.write_text(page, encoding="utf-8"))
    path.chmod(0o644)
    return path, str(manifest["release_id"])


@dg.asset(
    key=RUN_HEALTH,
    group_name="publish",
    owners=[OWNER],
    kinds={"python"},
    tags=TAGS,
    deps=[RELEASE],
    description="Fails when a source or file failed, and names each. Runs after the release, which has all good data.",
)
def run_health(workspace: WorkspaceResource) -> dg.MaterializeResult:
    """Fail with the list of known failures."""
    open_workspace = workspace.open()
    failures = list(dict.fromkeys(open_workspace.failures.read()))
    if failures:
        named = [f"{f.source} {f.request} ({_span(f.months)}): {f.message}" for f in failures[:SHOWN]]
        more = [f"and {len(failures) - SHOWN} more: see `tightness doctor`"] if len(failures) > SHOWN else []
        raise dg.Failure(
            f"{len(failures)} source(s) or file(s) failed; everything else is published. " + "; ".join(named + more),
            allow_retries=False,
        )
    counts = open_workspace.quarantine.counts()
    return dg.MaterializeResult(metadata={"rows in quarantine": dg.MetadataValue.json(counts)})


def _span(months: tuple[str, ...]) -> str:
    if not months:
        return "whole file"
    return months[0] if len(months) == 1 else f"{min(months)} to {max(months)}"
