"""The way out: the publication, and the step that fails a run whose sources failed, after everything else landed."""

import dagster as dg

from pipelines.assets.lake import RUN_HEALTH
from pipelines.assets.models import POOL
from pipelines.assets.reference import OWNER
from pipelines.assets.resources import WorkspaceResource
from pipelines.warehouse.log import TABLE_MACROS
from pipelines.warehouse.publish import Release, publish
from pipelines.warehouse.unchanged import lake_fingerprint
from pipelines.workspace import Workspace, git_commit
from schemas.dbt_yaml import comments, keys
from schemas.marts import MARTS
from schemas.signals import SIGNALS

RELEASE = dg.AssetKey(["publish", "release"])
MODELS = MARTS | SIGNALS
SHOWN = 10  # failures that the message names


@dg.asset(
    key=RELEASE,
    group_name="publish",
    owners=[OWNER],
    kinds={"duckdb", "parquet"},
    pool=POOL,
    deps=[dg.AssetKey([schema, name]) for schema, name in keys(MODELS)],
    description="What readers open: marts.duckdb, Parquet copies and the manifest; written aside, verified, moved.",
)
def release(workspace: WorkspaceResource) -> dg.MaterializeResult:
    """Publishes the marts and signals."""
    open_workspace = workspace.open()
    with open_workspace.writing():
        done = publish_release(open_workspace)
    return dg.MaterializeResult(
        metadata={
            "release": done.release_id,
            "unchanged": done.unchanged,
            "profile": open_workspace.settings.profile,
            "synthetic": open_workspace.settings.synthetic,
            "knowledge to": str(done.manifest["knowledge_ts_max"]),
            "rows": dg.MetadataValue.json({name: table["rows"] for name, table in done.manifest["tables"].items()}),
            "difference": dg.MetadataValue.json(done.manifest["difference"] or "first release"),
        }
    )


def publish_release(workspace: Workspace) -> Release:
    """Publishes what the private warehouse holds. The caller holds the writer's lock."""
    return publish(
        workspace.warehouse,
        workspace.published,
        manifest_base={
            "profile": workspace.settings.profile,
            "computed_ts": workspace.building_as_of().strftime("%Y-%m-%dT%H:%M:%SZ"),
            "git_commit": git_commit(),
            "inputs": {
                "reference": workspace.reference.sha256,
                "lake": lake_fingerprint(workspace.settings.data / "lake"),
            },
        },
        comments=comments(MODELS),
        keys=keys(MODELS),
        macros=TABLE_MACROS,
        synthetic=workspace.settings.synthetic,
    )


@dg.asset(
    key=RUN_HEALTH,
    group_name="publish",
    owners=[OWNER],
    kinds={"python"},
    deps=[RELEASE],
    description="Fails when a source or file failed, naming each: after the publication, so that what is good landed.",
)
def run_health(workspace: WorkspaceResource) -> dg.MaterializeResult:
    """Fails with the list of what is wrong."""
    open_workspace = workspace.open()
    failures = list(dict.fromkeys(open_workspace.failures()))
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
