"""Lake assets: one a dataset (parse, validate, append), all made by one step."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import dagster as dg
import pandas as pd

from pipelines.datasets import DROP, FEEDS, Feed
from pipelines.ingestion.change_summary import Changes, Revision, changes
from pipelines.ingestion.failures import Failure
from pipelines.ingestion.report import IngestReport
from pipelines.orchestration.assets.describe import (
    COLUMNS,
    KNOWN,
    OWNER,
    ROWS,
    feed_tags,
    moment,
    table_schema,
)
from pipelines.orchestration.assets.raw import SAMPLE, SHOWN, Result, each, failures_check, raw_key, reporter
from pipelines.orchestration.partitions import months
from pipelines.orchestration.resources import StepProgress, WorkspaceResource
from schemas.base import Bitemporal

if TYPE_CHECKING:
    from pipelines.workspace import Workspace

RUN_HEALTH = dg.AssetKey(["publish", "run_health"])
LOAD: Final = "load"  # the step
SCHEDULED = "dagster/schedule_name"  # tag of a run that a schedule requested
REJECTED = "rejected"  # in the metadata of the check `rows_valid`
REPAIRED = "files repaired in this run"
CHANGED, REVISIONS = "changes in this run", "revised observations, before and after"
CHECKS: Final = {
    "rows_valid": "Every row in the payloads of these months is valid by the schema.",
    "months_complete": "Every payload of these months could be parsed.",
    "history_unchanged": "No response rewrote stored history outside these months, or all of it by one factor.",
}


def lake_key(dataset: str) -> dg.AssetKey:
    """Key of a dataset in the lake."""
    return dg.AssetKey(["lake", dataset])


def lake_assets(
    partitions: dg.PartitionsDefinition[str], policies: Mapping[str, dg.FreshnessPolicy]
) -> dg.AssetsDefinition:
    """The lake assets of all datasets: their months, updated from the archive and the drop folder. `policies`: by
    dataset."""

    @dg.multi_asset(
        name=LOAD,
        specs=[_spec(feed, policies[name]) for name, feed in FEEDS.items()],
        check_specs=[
            dg.AssetCheckSpec(check, asset=lake_key(name), description=description)
            for name in FEEDS
            for check, description in CHECKS.items()
        ],
        partitions_def=partitions,
        backfill_policy=dg.BackfillPolicy.single_run(),
        can_subset=True,
    )
    def load(
        context: dg.AssetExecutionContext, workspace: WorkspaceResource, progress: dg.ResourceParam[StepProgress]
    ) -> Iterator[Result | dg.AssetCheckResult]:
        open_workspace, wanted = workspace.open(), months(context)
        ingestion = open_workspace.ingestion()
        # The months of a schedule are those of its sources: pending drop files have their own. The demo's have all.
        whole_files = SCHEDULED in context.run.tags and not open_workspace.settings.synthetic
        failed: list[Failure] = []

        def made(name: str) -> Result:
            dropped, unusable = open_workspace.dropped(name) if FEEDS[name].droppable else ([], [])
            watch = reporter(context, progress, lake_key(name))
            report = ingestion.run(name, wanted, dropped, watch, whole_files=whole_files)
            for one in report.repaired:
                context.log.warning(f"{'lost' if one.reason else 'repaired from the archive'}: {one}")
            failures = [*report.failures, *unusable]
            # Of damaged files nothing was read; the models and `tightness doctor` look at the files themselves.
            if not report.is_damaged:
                loaded = [*(str(month) for month in wanted), *report.further_months]
                open_workspace.failures.record(name, loaded, failures)
            failed.extend(failures)
            return _result(open_workspace, name, report, failures)

        yield from each(context, FEEDS, lake_key, made)
        if failed and not _health_follows(context):
            # Run alone, the step fails itself. In a run that ends with run_health, that step fails the run, after every
            # other dataset and the release.
            raise dg.Failure("; ".join(f"{f.source} {f.request}: {f.message}" for f in failed[:SAMPLE]))

    return load


def _spec(feed: Feed, policy: dg.FreshnessPolicy) -> dg.AssetSpec:
    spec = feed.spec
    return dg.AssetSpec(
        lake_key(feed.name),
        deps=_upstream(feed),
        group_name="lake",
        owners=[OWNER],
        kinds={"python", "pandera", "parquet"},
        tags=feed_tags(feed),
        description=(spec.model.__doc__ or "").strip(),
        metadata={COLUMNS: table_schema(spec.model, Bitemporal), "key": ", ".join(spec.key)},
        freshness_policy=policy,
    )


def _result(workspace: "Workspace", name: str, report: IngestReport, failures: Sequence[Failure]) -> Result:
    changed, key = changes(workspace.lake, name, report.written), lake_key(name)
    changed.rewritten.extend(map(str, report.rewrites))
    extent = (0, None) if report.is_damaged else workspace.lake.extent(name)
    valid, complete, unchanged = CHECKS
    return dg.MaterializeResult(
        asset_key=key,
        metadata={**_metadata(report, *extent), **_changed(changed)},
        check_results=[
            _rows_check(key, valid, report),
            failures_check(key, complete, failures),
            _history_check(key, unchanged, changed.rewritten),
        ],
    )


def _upstream(feed: Feed) -> list[dg.AssetKey]:
    drop = [raw_key(DROP)] if feed.droppable else []
    return [*(raw_key(source) for source in feed.sources), *drop]


def _health_follows(context: dg.AssetExecutionContext) -> bool:
    return RUN_HEALTH in context.job_def.asset_layer.selected_asset_keys


def _metadata(report: IngestReport, rows: int, known: datetime | None) -> dict[str, dg.MetadataValue[Any] | int | str]:
    return {
        ROWS: rows,
        KNOWN: moment(known),
        "rows read in this run": report.rows_read,
        "new observations in this run": report.new,
        "revised observations in this run": report.revised,
        "rows in quarantine": len(report.rejected),
        "months unchanged": report.months_unchanged,
        "files written in this run": sum(1 for part in report.written if part.path),
        REPAIRED: dg.MetadataValue.json([str(one) for one in report.repaired if not one.reason]),
        **({"left out of drop files": dg.MetadataValue.json(report.left_out)} if report.left_out else {}),
    }


def _changed(found: Changes) -> dict[str, dg.MetadataValue[Any]]:
    """The changes of a dataset as metadata; `changes_of` reads them back."""
    counts = {
        "dataset": found.dataset,
        "months": found.months,
        "new": found.new,
        "revised": found.revised,
        "rewritten": found.rewritten,
    }
    if not found.first:
        return {CHANGED: dg.MetadataValue.json(counts)}
    schema = dg.TableSchema([dg.TableColumn(name) for name in asdict(found.first[0])])
    records = [dg.TableRecord(asdict(revision)) for revision in found.first]
    return {CHANGED: dg.MetadataValue.json(counts), REVISIONS: dg.MetadataValue.table(records, schema)}


def changes_of(metadata: Mapping[str, dg.MetadataValue[Any]]) -> Changes | None:
    """The changes in the metadata of a materialization; None when it is not of a dataset."""
    counts, table = metadata.get(CHANGED), metadata.get(REVISIONS)
    if not isinstance(counts, dg.JsonMetadataValue) or not isinstance(counts.data, dict):
        return None
    records = table.records if isinstance(table, dg.TableMetadataValue) else []
    return Changes(**counts.data, first=[Revision(**{k: str(v) for k, v in record.data.items()}) for record in records])


def repaired_of(metadata: Mapping[str, dg.MetadataValue[Any]]) -> list[str]:
    """The repaired files in the metadata of a materialization."""
    found = metadata.get(REPAIRED)
    return [str(one) for one in found.data] if isinstance(found, dg.JsonMetadataValue) and found.data else []


def _rows_check(key: dg.AssetKey, name: str, report: IngestReport) -> dg.AssetCheckResult:
    metadata: dict[str, dg.MetadataValue[Any] | int] = {REJECTED: len(report.rejected)}
    if len(report.rejected):
        metadata["sample"] = dg.MetadataValue.md(_markdown(report.rejected.head(SAMPLE)))
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=name,
        passed=report.rejected.empty,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{report.rows_read:,} rows read, {len(report.rejected):,} in quarantine",
        metadata=metadata,
    )


def _history_check(key: dg.AssetKey, name: str, rewritten: Sequence[str]) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=name,
        passed=not rewritten,
        severity=dg.AssetCheckSeverity.WARN,
        description="; ".join(rewritten)[:SHOWN] or "No stored history was rewritten",
        metadata={"series": len(rewritten), "all": dg.MetadataValue.md("\n\n".join(rewritten))},
    )


def _markdown(rows: pd.DataFrame) -> str:
    lines = ["| source | period | where | value | reason |", "|---|---|---|---|---|"]
    for row in rows.itertuples():
        cells = (row.source, row.period, row.where, row.raw, row.reason)
        lines.append("| " + " | ".join(str(cell).replace("|", "\\|").replace("\n", " ")[:200] for cell in cells) + " |")
    return "\n".join(lines)
