"""Extraction: one raw asset a source (ask, archive), one lake asset a dataset (parse, validate, append)."""

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
from pipelines.orchestration.resources import WorkspaceResource
from pipelines.sources import SOURCES
from schemas.base import Bitemporal

RUN_HEALTH = dg.AssetKey(["publish", "run_health"])
SAMPLE = 5
SHOWN = 500  # characters of a check's description
LOG_EVERY_S = 2.0  # each line of the log is a transaction
CHANGED, REVISIONS = "changed in this run", "revised observations, before and after"


def raw_key(source: str) -> dg.AssetKey:
    """Key of a source's raw asset."""
    return dg.AssetKey(["raw", source])


def lake_key(dataset: str) -> dg.AssetKey:
    """Key of a dataset in the lake."""
    return dg.AssetKey(["lake", dataset])


def source_asset(name: str, partitions: dg.PartitionsDefinition[str]) -> dg.AssetsDefinition:
    """The raw asset of a source: its payloads of the months asked for, archived by hash."""
    source = SOURCES[name]

    @dg.asset(
        key=raw_key(name),
        group_name="raw",
        partitions_def=partitions,
        owners=[OWNER],
        backfill_policy=dg.BackfillPolicy.single_run(),
        kinds={"python", "file"},
        tags=source_tags(name),
        description=f"{source.TITLE}: answers as they came, archived by hash before they are parsed.",
        check_specs=[
            dg.AssetCheckSpec(
                "answered", asset=raw_key(name), description="Every request had an answer that could be taken."
            ),
            dg.AssetCheckSpec(
                "as_usual", asset=raw_key(name), description="No new answer differs from what its source usually sends."
            ),
        ],
    )
    def raw(context: dg.AssetExecutionContext, workspace: WorkspaceResource) -> dg.MaterializeResult:
        open_workspace, asked = workspace.open(), months(context)
        open_workspace.build_clock.check()
        transport = open_workspace.transport()
        report = FetchReport()
        if transport is not None and open_workspace.fetches(name):
            report = fetch(
                name,
                asked,
                open_workspace.scope,
                transport,
                open_workspace.archive,
                open_workspace.now,
                quarantine=open_workspace.quarantine,
                accepted=open_workspace.settings.accepted,
                skip_if=open_workspace.is_complete if workspace.skip_answered else lambda request: False,
                watch=_logged(context),
            )
        return dg.MaterializeResult(
            metadata={
                "requests": report.requests,
                "answered by the archive": report.skipped,
                "payloads": report.payloads,
                "bytes": report.bytes,
                "without data": report.no_data,
                "unusual": len(report.warnings),
                "profile": open_workspace.settings.profile,
            },
            check_results=[
                _check("answered", report.failures),
                _check("as_usual", report.warnings, dg.AssetCheckSeverity.WARN),
            ],
        )

    return raw


def drop_asset(partitions: dg.PartitionsDefinition[str]) -> dg.AssetsDefinition:
    """The raw asset of the drop folder. Partitioned like the others, though a file may hold any months: an
    unpartitioned parent would cut every backfill of the datasets into several runs."""

    @dg.asset(
        key=raw_key(DROP),
        group_name="raw",
        partitions_def=partitions,
        backfill_policy=dg.BackfillPolicy.single_run(),
        owners=[OWNER],
        kinds={"csv", "parquet"},
        tags=tags(DROP, "BYO", "daily"),
        description="The user's own files in the drop folder, archived by hash. They stand before every other source.",
        check_specs=[dg.AssetCheckSpec("usable", asset=raw_key(DROP), description="Every file can be taken.")],
    )
    def raw_drop(workspace: WorkspaceResource) -> dg.MaterializeResult:
        open_workspace = workspace.open()
        payloads, failures = open_workspace.dropped()
        for payload in payloads:
            open_workspace.archive.put(payload)
        open_workspace.failures.record("raw_drop", [], failures)
        return dg.MaterializeResult(
            metadata={"files": len(payloads), "bytes": sum(len(payload.body) for payload in payloads)},
            check_results=[_check("usable", failures)],
        )

    return raw_drop


def dataset_asset(feed: Feed, partitions: dg.PartitionsDefinition[str]) -> dg.AssetsDefinition:
    """The lake asset of a dataset: its months brought up to what the archive and the drop folder say."""
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
                description="No row of the payloads that these months rest on broke a rule of the schema.",
            ),
            dg.AssetCheckSpec("months_complete", asset=key, description="Every payload of these months could be read."),
        ],
    )
    def lake(context: dg.AssetExecutionContext, workspace: WorkspaceResource) -> dg.MaterializeResult:
        open_workspace, asked = workspace.open(), months(context)
        dropped, unusable = open_workspace.dropped(feed.name) if feed.droppable else ([], [])
        report = open_workspace.ingestion().run(feed.name, asked, dropped, _logged(context))
        news = changes(open_workspace.lake, feed.name, report.written)
        failures = [*report.failures, *unusable]
        open_workspace.failures.record(feed.name, [str(month) for month in asked], failures)
        if failures and not _health_follows(context):
            # Alone, the asset shows its own failure; in a run that ends with run_health every other dataset and the
            # publication come first, and that step fails the run.
            named = "; ".join(f"{f.source} {f.request}: {f.message}" for f in failures[:SAMPLE])
            raise dg.Failure(named, metadata=_changed(news))
        return dg.MaterializeResult(
            metadata={**_metadata(report, *open_workspace.lake.extent(feed.name)), **_changed(news)},
            check_results=[_rows_check(report), _check("months_complete", failures)],
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
    }


def _logged(context: dg.AssetExecutionContext) -> ProgressCallback:
    """Writes how far the asset is into the run's log: at the end, and before that only now and then."""
    last = time.monotonic()

    def tell(progress: Progress) -> None:
        nonlocal last
        if progress.done == progress.total or time.monotonic() - last >= LOG_EVERY_S:
            last = time.monotonic()
            context.log.info(str(progress))

    return tell


def _changed(news: Changes) -> dict[str, dg.MetadataValue[Any]]:
    """What a dataset's run changed, as metadata; `changes_of` reads it back."""
    counts = {"dataset": news.dataset, "months": news.months, "new": news.new, "revised": news.revised}
    if not news.first:
        return {CHANGED: dg.MetadataValue.json(counts)}
    schema = dg.TableSchema([dg.TableColumn(name) for name in asdict(news.first[0])])
    records = [dg.TableRecord(asdict(revision)) for revision in news.first]
    return {CHANGED: dg.MetadataValue.json(counts), REVISIONS: dg.MetadataValue.table(records, schema)}


def changes_of(metadata: Mapping[str, dg.MetadataValue[Any]]) -> Changes | None:
    """What a materialisation says that it changed; None when it is none of a dataset."""
    counts, table = metadata.get(CHANGED), metadata.get(REVISIONS)
    if not isinstance(counts, dg.JsonMetadataValue) or not isinstance(counts.data, dict):
        return None
    records = table.records if isinstance(table, dg.TableMetadataValue) else []
    return Changes(**counts.data, first=[Revision(**{k: str(v) for k, v in record.data.items()}) for record in records])


def _rows_check(report: IngestReport) -> dg.AssetCheckResult:
    metadata: dict[str, dg.MetadataValue[Any] | int] = {"rejected": len(report.rejected)}
    if len(report.rejected):
        metadata["sample"] = dg.MetadataValue.md(_markdown(report.rejected.head(SAMPLE)))
    return dg.AssetCheckResult(
        check_name="rows_valid",
        passed=report.rejected.empty,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{report.rows_read:,} rows read, {len(report.rejected):,} in quarantine",
        metadata=metadata,
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
