"""Extraction: one raw asset a source (fetch, archive), one lake asset a dataset (parse, validate, append)."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

import dagster as dg
import pandas as pd

from pipelines.datasets import DROP, Feed
from pipelines.ingestion.change_summary import Changes, Revision, changes
from pipelines.ingestion.extract import FetchReport, fetch
from pipelines.ingestion.failures import Failure
from pipelines.ingestion.load import IngestReport
from pipelines.ingestion.progress import Progress, ProgressCallback
from pipelines.orchestration.assets.describe import (
    COLUMNS,
    KNOWN,
    OWNER,
    ROWS,
    feed_tags,
    moment,
    source_tags,
    table_schema,
    tags,
)
from pipelines.orchestration.partitions import months
from pipelines.orchestration.resources import StepProgress, WorkspaceResource
from pipelines.sources import SOURCES
from schemas.base import Bitemporal

RUN_HEALTH = dg.AssetKey(["publish", "run_health"])
SCHEDULED = "dagster/schedule_name"  # tag of a run that a schedule requested
SAMPLE = 5
REJECTED = "rejected"  # in the metadata of the check `rows_valid`
SHOWN = 500  # characters of a check's description
LOG_EVERY_S = 2.0  # each line of the run's log is a database transaction
REPAIRED = "files repaired in this run"
CHANGED, REVISIONS = "changes in this run", "revised observations, before and after"


def raw_key(source: str) -> dg.AssetKey:
    """Key of a source's raw asset."""
    return dg.AssetKey(["raw", source])


def lake_key(dataset: str) -> dg.AssetKey:
    """Key of a dataset in the lake."""
    return dg.AssetKey(["lake", dataset])


def source_asset(name: str, partitions: dg.PartitionsDefinition[str]) -> dg.AssetsDefinition:
    """The raw asset of a source: its payloads of these months, archived by hash."""
    source = SOURCES[name]

    @dg.asset(
        key=raw_key(name),
        group_name="raw",
        partitions_def=partitions,
        owners=[OWNER],
        backfill_policy=dg.BackfillPolicy.single_run(),
        kinds={"python", "file"},
        tags=source_tags(name),
        description=f"{source.TITLE}: responses as received, archived by hash before they are parsed.",
        check_specs=[
            dg.AssetCheckSpec(
                "requests_succeeded",
                asset=raw_key(name),
                description="No request failed, and no response was refused.",
            ),
            dg.AssetCheckSpec(
                "responses_within_contract",
                asset=raw_key(name),
                description="No accepted response is unusual for its source (a new column, for example).",
            ),
        ],
    )
    def raw(
        context: dg.AssetExecutionContext, workspace: WorkspaceResource, progress: dg.ResourceParam[StepProgress]
    ) -> dg.MaterializeResult:
        open_workspace, wanted = workspace.open(), months(context)
        open_workspace.build_clock.check()
        transport = open_workspace.transport()
        report = FetchReport()
        if transport is not None and open_workspace.fetches(name):
            report = fetch(
                name,
                wanted,
                open_workspace.scope,
                transport,
                open_workspace.archive,
                open_workspace.now,
                quarantine=open_workspace.quarantine,
                accepted=open_workspace.settings.accepted,
                skip_if=open_workspace.is_complete if workspace.skip_answered else lambda request: False,
                watch=_reporter(context, progress),
            )
        return dg.MaterializeResult(
            metadata={
                "requests": report.requests,
                "answered by the archive": report.skipped,
                "payloads": report.payloads,
                "bytes": report.bytes,
                "without data": report.no_data,
                "warnings": len(report.warnings),
                "profile": open_workspace.settings.profile,
            },
            check_results=[
                _check("requests_succeeded", report.failures),
                _check("responses_within_contract", report.warnings, dg.AssetCheckSeverity.WARN),
            ],
        )

    return raw


def drop_asset(partitions: dg.PartitionsDefinition[str]) -> dg.AssetsDefinition:
    """The raw asset of the drop folder.

    Partitioned like the others, although a file may hold any months: an unpartitioned parent would split every backfill
    of the datasets into several runs.
    """

    @dg.asset(
        key=raw_key(DROP),
        group_name="raw",
        partitions_def=partitions,
        backfill_policy=dg.BackfillPolicy.single_run(),
        owners=[OWNER],
        kinds={"csv", "parquet"},
        tags=tags(DROP, "BYO", "daily"),
        description="The user's own files in the drop folder, archived by hash. They override every other source.",
        check_specs=[dg.AssetCheckSpec("files_accepted", asset=raw_key(DROP), description="Every file was accepted.")],
    )
    def raw_drop(workspace: WorkspaceResource) -> dg.MaterializeResult:
        open_workspace = workspace.open()
        payloads, failures = open_workspace.dropped()
        for payload in payloads:
            open_workspace.archive.put(payload)
        open_workspace.failures.record("raw_drop", [], failures)
        return dg.MaterializeResult(
            metadata={"files": len(payloads), "bytes": sum(len(payload.body) for payload in payloads)},
            check_results=[_check("files_accepted", failures)],
        )

    return raw_drop


def dataset_asset(feed: Feed, partitions: dg.PartitionsDefinition[str]) -> dg.AssetsDefinition:
    """The lake asset of a dataset: its months, updated from the archive and the drop folder."""
    key = lake_key(feed.name)
    spec = feed.spec

    @dg.asset(
        key=key,
        group_name="lake",
        partitions_def=partitions,
        owners=[OWNER],
        deps=_upstream(feed),
        backfill_policy=dg.BackfillPolicy.single_run(),
        kinds={"python", "pandera", "parquet"},
        tags=feed_tags(feed),
        description=(spec.model.__doc__ or "").strip(),
        metadata={COLUMNS: table_schema(spec.model, Bitemporal), "key": ", ".join(spec.key)},
        check_specs=[
            dg.AssetCheckSpec(
                "rows_valid",
                asset=key,
                description="Every row in the payloads of these months is valid by the schema.",
            ),
            dg.AssetCheckSpec(
                "months_complete", asset=key, description="Every payload of these months could be parsed."
            ),
            dg.AssetCheckSpec(
                "history_unchanged",
                asset=key,
                description="No response rewrote stored history outside these months, or all of it by one factor.",
            ),
        ],
    )
    def lake(
        context: dg.AssetExecutionContext, workspace: WorkspaceResource, progress: dg.ResourceParam[StepProgress]
    ) -> dg.MaterializeResult:
        open_workspace, wanted = workspace.open(), months(context)
        dropped, unusable = open_workspace.dropped(feed.name) if feed.droppable else ([], [])
        # The months of a schedule are those of its sources: pending drop files have their own. The demo's have all.
        whole_files = SCHEDULED in context.run.tags and not open_workspace.settings.synthetic
        watch = _reporter(context, progress)
        report = open_workspace.ingestion().run(feed.name, wanted, dropped, watch, whole_files=whole_files)
        for one in report.repaired:
            context.log.warning(f"{'lost' if one.reason else 'repaired from the archive'}: {one}")
        changed = changes(open_workspace.lake, feed.name, report.written)
        changed.rewritten.extend(map(str, report.rewrites))
        failures = [*report.failures, *unusable]
        if not report.is_damaged:  # nothing was read; the models and `tightness doctor` look at the files themselves
            loaded = [*(str(month) for month in wanted), *report.further_months]
            open_workspace.failures.record(feed.name, loaded, failures)
        if failures and not _health_follows(context):
            # Run alone, the asset fails itself. In a run that ends with run_health, that step fails the run, after
            # every other dataset and the release.
            named = "; ".join(f"{f.source} {f.request}: {f.message}" for f in failures[:SAMPLE])
            raise dg.Failure(named, metadata=_changed(changed))
        extent = (0, None) if report.is_damaged else open_workspace.lake.extent(feed.name)
        return dg.MaterializeResult(
            metadata={**_metadata(report, *extent), **_changed(changed)},
            check_results=[
                _rows_check(report),
                _check("months_complete", failures),
                _history_check(changed.rewritten),
            ],
        )

    return lake


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


def _reporter(context: dg.AssetExecutionContext, progress: StepProgress) -> ProgressCallback:
    """Pass progress on to the command that started the run, and every few seconds to the log of the run."""
    step = context.asset_key.to_python_identifier()
    last = time.monotonic()

    def report(current: Progress) -> None:
        nonlocal last
        progress(step, current)
        if current.done == current.total or time.monotonic() - last >= LOG_EVERY_S:
            last = time.monotonic()
            context.log.info(str(current))

    return report


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


def _rows_check(report: IngestReport) -> dg.AssetCheckResult:
    metadata: dict[str, dg.MetadataValue[Any] | int] = {REJECTED: len(report.rejected)}
    if len(report.rejected):
        metadata["sample"] = dg.MetadataValue.md(_markdown(report.rejected.head(SAMPLE)))
    return dg.AssetCheckResult(
        check_name="rows_valid",
        passed=report.rejected.empty,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{report.rows_read:,} rows read, {len(report.rejected):,} in quarantine",
        metadata=metadata,
    )


def _history_check(rewritten: Sequence[str]) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        check_name="history_unchanged",
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


def _check(
    name: str, failures: Sequence[Failure], severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR
) -> dg.AssetCheckResult:
    shown = [f"{f.source} {f.request}: {f.message}" for f in failures[:SAMPLE]]
    return dg.AssetCheckResult(
        check_name=name,
        passed=not failures,
        severity=severity,
        description="; ".join(shown)[:SHOWN] or "Nothing failed",
        metadata={"failures": len(failures), **({"first": dg.MetadataValue.md("\n\n".join(shown))} if shown else {})},
    )
