"""Extraction: one raw asset a source and one of the drop folder, all made by one step."""

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

import dagster as dg
import pandas as pd

from pipelines.datasets import DROP
from pipelines.ingestion.extract import FetchReport, fetch
from pipelines.ingestion.failures import Failure
from pipelines.ingestion.progress import Progress, ProgressCallback
from pipelines.orchestration.assets.describe import OWNER, source_tags, tags
from pipelines.orchestration.partitions import months
from pipelines.orchestration.resources import StepProgress, WorkspaceResource
from pipelines.sources import SOURCES
from pipelines.transports.base import Transport

if TYPE_CHECKING:
    from pipelines.workspace import Workspace

EXTRACT: Final = "extract"  # the step
SAMPLE: Final = 5  # failures shown
SHOWN: Final = 500  # characters of a check's description
LOG_EVERY_S: Final = 2.0  # each line of the run's log is a database transaction
SECONDS: Final = "seconds"  # in the metadata: what the asset took
CHECKS: Final = {
    "requests_succeeded": "No request failed, and no response was refused.",
    "responses_within_contract": "No accepted response is unusual for its source (a new column, for example).",
}

Result = dg.MaterializeResult[Any]


def raw_key(source: str) -> dg.AssetKey:
    """Key of a source's raw asset."""
    return dg.AssetKey(["raw", source])


def raw_assets(partitions: dg.PartitionsDefinition[str]) -> dg.AssetsDefinition:
    """The raw assets of all sources and of the drop folder: payloads of these months, archived by hash.

    One step, as Dagster takes longer for each step than most of these assets. The drop folder is partitioned like the
    others, although a file may hold any months: an unpartitioned parent would split every backfill of the datasets
    into several runs.
    """

    @dg.multi_asset(
        name=EXTRACT,
        specs=[*map(_spec, SOURCES), _drop_spec()],
        check_specs=[
            *(
                dg.AssetCheckSpec(check, asset=raw_key(name), description=description)
                for name in SOURCES
                for check, description in CHECKS.items()
            ),
            dg.AssetCheckSpec("files_accepted", asset=raw_key(DROP), description="Every file was accepted."),
        ],
        partitions_def=partitions,
        backfill_policy=dg.BackfillPolicy.single_run(),
        can_subset=True,
    )
    def extract(
        context: dg.AssetExecutionContext, workspace: WorkspaceResource, progress: dg.ResourceParam[StepProgress]
    ) -> Iterator[Result | dg.AssetCheckResult]:
        open_workspace, wanted = workspace.open(), months(context)
        open_workspace.build_clock.check()
        transport = open_workspace.transport()

        def made(name: str) -> Result:
            if name == DROP:
                return _dropped(open_workspace)
            watch = reporter(context, progress, raw_key(name))
            return _fetched(name, wanted, open_workspace, transport, workspace.skip_answered, watch)

        yield from each(context, (*SOURCES, DROP), raw_key, made)

    return extract


def _spec(name: str) -> dg.AssetSpec:
    return dg.AssetSpec(
        raw_key(name),
        group_name="raw",
        owners=[OWNER],
        kinds={"python", "file"},
        tags=source_tags(name),
        description=f"{SOURCES[name].TITLE}: responses as received, archived by hash before they are parsed.",
    )


def _drop_spec() -> dg.AssetSpec:
    return dg.AssetSpec(
        raw_key(DROP),
        group_name="raw",
        owners=[OWNER],
        kinds={"csv", "parquet"},
        tags=tags(DROP, "BYO", "daily"),
        description="The user's own files in the drop folder, archived by hash. They override every other source.",
    )


def _fetched(
    name: str,
    wanted: Sequence[pd.Period],
    workspace: "Workspace",
    transport: Transport | None,
    skip_answered: bool,
    watch: ProgressCallback,
) -> Result:
    report, key, faults = FetchReport(), raw_key(name), list[Failure]()
    if transport is not None and workspace.fetches(name):
        try:
            report = fetch(
                name,
                wanted,
                workspace.scope,
                transport,
                workspace.archive,
                workspace.now,
                quarantine=workspace.quarantine,
                accepted=workspace.settings.accepted,
                skip_if=workspace.is_complete if skip_answered else lambda request: False,
                watch=watch,
            )
        except OSError:  # of the data folder, which all sources share
            raise
        except Exception as fault:  # a bug in one source must not stop the others
            text = f"it failed ({type(fault).__name__}: {fault}), which is a fault of this program"
            faults = report.failures = [Failure(name, "requests", (), text)]
    workspace.failures.record(f"raw_{name}", [], faults)
    succeeded, within = CHECKS
    return dg.MaterializeResult(
        asset_key=key,
        metadata={
            "requests": report.requests,
            "answered by the archive": report.skipped,
            "payloads": report.payloads,
            "bytes": report.bytes,
            "without data": report.no_data,
            "warnings": len(report.warnings),
            "profile": workspace.settings.profile,
        },
        check_results=[
            failures_check(key, succeeded, report.failures),
            failures_check(key, within, report.warnings, dg.AssetCheckSeverity.WARN),
        ],
    )


def _dropped(workspace: "Workspace") -> Result:
    payloads, failures = workspace.dropped()
    for payload in payloads:
        workspace.archive.put(payload)
    workspace.failures.record("raw_drop", [], failures)
    return dg.MaterializeResult(
        asset_key=raw_key(DROP),
        metadata={"files": len(payloads), "bytes": sum(len(payload.body) for payload in payloads)},
        check_results=[failures_check(raw_key(DROP), "files_accepted", failures)],
    )


# --- what the steps of the raw and the lake assets have in common


def each(
    context: dg.AssetExecutionContext,
    names: Collection[str],
    key: Callable[[str], dg.AssetKey],
    make: Callable[[str], Result],
) -> Iterator[Result | dg.AssetCheckResult]:
    """The results of the selected assets in turn. An error of one does not stop the others: it is raised at the end.

    Of an asset of which only checks are selected, their results.
    """
    selected = context.selected_asset_keys
    checked = {check.asset_key for check in context.selected_asset_check_keys}
    errors: list[Exception] = []
    for name in names:
        if key(name) in selected | checked:
            start = time.monotonic()
            try:
                result = make(name)
            except Exception as error:
                context.log.exception(f"{key(name).to_user_string()} failed")
                errors.append(error)
                continue
            if key(name) in selected:
                taken = {SECONDS: round(time.monotonic() - start, 3)}
                yield result._replace(metadata={**(result.metadata or {}), **taken})
            else:
                yield from result.check_results or []
    if errors:
        raise errors[0]


def reporter(context: dg.AssetExecutionContext, progress: StepProgress, key: dg.AssetKey) -> ProgressCallback:
    """Pass progress on to the command that started the run, and every few seconds to the log of the run."""
    last = time.monotonic()

    def report(current: Progress) -> None:
        nonlocal last
        progress(key.to_python_identifier(), current)
        if current.done == current.total or time.monotonic() - last >= LOG_EVERY_S:
            last = time.monotonic()
            context.log.info(f"{key.to_user_string()}: {current}")

    return report


def failures_check(
    key: dg.AssetKey,
    name: str,
    failures: Sequence[Failure],
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR,
) -> dg.AssetCheckResult:
    """The result of a check that passes without failures."""
    shown = [f"{f.source} {f.request}: {f.message}" for f in failures[:SAMPLE]]
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=name,
        passed=not failures,
        severity=severity,
        description="; ".join(shown)[:SHOWN] or "Nothing failed",
        metadata={"failures": len(failures), **({"first": dg.MetadataValue.md("\n\n".join(shown))} if shown else {})},
    )
