"""`tightness`: a thin command line over the definitions that the UI shows.

Exit codes: 0 ok, 1 failed, 2 bad usage. Heavy imports are inside the commands, so that --help is quick.
"""

from __future__ import annotations

import atexit
import errno
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from pipelines.cli.console import (
    err,
    out,
    print_backfill,
    print_banner,
    print_claims,
    print_diff,
    print_doctor,
    print_evaluation,
    print_plan,
    print_probes,
    print_rejected,
    print_release,
    print_repair,
    print_rewritten,
    print_signals,
    robust,
)
from pipelines.cli.progress import RunProgress
from pipelines.common.paths import FORMER_DATABASE

if TYPE_CHECKING:
    from pipelines.cli.backfill import Asset, Plan
    from pipelines.orchestration.run import RunOutcome
    from pipelines.workspace import Workspace

# Errors of the system that the user can end: everything else is a fault of the program, with its traceback.
NOT_OURS = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT}

app = typer.Typer(
    help="Point-in-time tightness of metals: run the pipeline, read its signals, check its health.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Profile = Annotated[str | None, typer.Option(help="demo, live, replay or drop.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Tables = Annotated[list[str] | None, typer.Option("--table", help="Only this table; may be repeated.")]
AsOf = Annotated[str | None, typer.Option("--as-of", metavar="TS", help="A moment in UTC, ISO 8601.")]


def main() -> None:
    """Entry point of the console script."""
    if sys.stdout is not None:  # the caller may have closed it
        sys.stdout = robust(sys.stdout)
    # While a step runs, Dagster redirects standard error to the step's log: progress is written to a copy of it.
    if sys.stderr is not None:
        sys.stderr = robust(sys.stderr)
        err.file = robust(sys.stderr, os.dup(sys.stderr.fileno()))
    try:
        app()
    except SystemExit as end:
        _end(end.code)
        raise
    except OSError as error:
        if error.errno not in NOT_OURS:
            raise
        reason = f"{error.filename or 'standard output'}: {error.strerror}"
        err.print(f"{reason}: give this user the right, or make room", style="red", markup=False, soft_wrap=True)
        sys.exit(1)


def _end(code: object) -> None:
    """End the process, unless its output cannot be written: the usual end reports that.

    The interpreter would first free a million objects one by one, which takes half a second.
    """
    with suppress(OSError, ValueError):
        for stream in (sys.stdout, sys.stderr, err.file):
            if stream is not None:
                stream.flush()
        atexit._run_exitfuncs()
        os._exit(code if isinstance(code, int) else bool(code))


def _fail(message: str, code: int) -> NoReturn:
    err.print(message, style="red" if code == 1 else "yellow", markup=False, soft_wrap=True)
    raise typer.Exit(code)


def _workspace(metals: tuple[str, ...] = (), record: Path | None = None, **overrides: object) -> Workspace:
    from pipelines.common.settings import SettingsError
    from pipelines.reference import ReferenceDataError
    from pipelines.workspace import Workspace

    try:
        workspace = Workspace.open(metals, record, **overrides)
        workspace.scope  # noqa: B018 -- a bad reference table or an unknown metal is bad usage, reported first
    except (SettingsError, ReferenceDataError) as error:
        _fail(str(error), 2)
    except PermissionError as error:
        _fail(f"{error.filename} may not be read by this user: give it the right, or name another folder", 2)
    return workspace


def _plan(
    workspace: Workspace,
    progress: RunProgress,
    first: str | None,
    last: str | None,
    assets: Sequence[str] = (),
    *,
    refresh: bool,
) -> tuple[Any, list[Asset], Plan]:
    """The definitions of a run, its assets and its plan; `refresh`: also send requests that the archive answers."""
    from pipelines.cli.backfill import plan, select
    from pipelines.common.settings import SettingsError
    from pipelines.orchestration.run import definitions, month_range

    try:
        months = month_range(workspace, first, last)
        defs = definitions(workspace, skip_answered=not refresh, progress=progress.update)
        chosen = select(defs, assets)
    except SettingsError as error:
        _fail(str(error), 2)
    return defs, chosen, plan(workspace, chosen, *months, refresh=refresh)


def _execute(
    workspace: Workspace, progress: RunProgress, defs: Any, work: Plan, assets: Sequence[str], job: str = "full_run"
) -> RunOutcome:
    """Run what was planned; `assets`: only these, all of the job's when empty."""
    from pipelines.common.settings import SettingsError
    from pipelines.orchestration.run import RunStoppedError, run_job, shorten
    from pipelines.publish.build_clock import ClockError

    try:
        workspace.lake  # noqa: B018 -- refuses to mix generated and real data before anything runs
        workspace.build_clock.check()
        progress.begin(work)
        home, months = workspace.settings.instance, work.months
        return run_job(job, months[0], months[-1], defs, home=home, assets=assets, on_step=progress.step)
    except SettingsError as error:
        _fail(str(error), 2)
    except (ClockError, RunStoppedError, OSError) as error:
        _fail(shorten([str(error)])[0], 1)


def _exit(outcome: RunOutcome) -> None:
    if outcome.repaired:
        more = f" and {len(outcome.repaired) - 3} more" if len(outcome.repaired) > 3 else ""
        named = "; ".join(outcome.repaired[:3]) + more
        err.print(f"the lake was damaged and is repaired from the archive: {named}", markup=False, soft_wrap=True)
    print_rewritten(outcome)
    if not outcome.success:
        _fail("\n".join(outcome.problems) or "the run failed: open the UI (make ui) to see its events", 1)


@app.command()
def run(
    profile: Profile = None,
    first: Annotated[str | None, typer.Option("--from", metavar="YYYY-MM", help="First month.")] = None,
    last: Annotated[str | None, typer.Option("--to", metavar="YYYY-MM", help="Last month.")] = None,
    metal: Annotated[list[str] | None, typer.Option(help="Metals; all of metals.csv by default.")] = None,
    record: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Save the responses there, for TIGHTNESS_REPLAY_DIR.")
    ] = None,
) -> None:
    """Extract, validate, model and publish everything, for a range of months."""
    from pipelines.publish.queries import FormerReleaseError, latest_signals
    from pipelines.warehouse.damage import database_damage

    with RunProgress(err) as progress:
        workspace = _workspace(tuple(metal or ()), record and record.resolve(), profile=profile)
        defs, _, work = _plan(workspace, progress, first, last, refresh=True)
        print_banner(workspace.settings.synthetic)
        outcome = _execute(workspace, progress, defs, work, [])
    if (database := workspace.paths.database).is_file() and not database_damage(database):
        with suppress(FormerReleaseError):  # the run failed, and the last release of another version stays
            print_signals(workspace, latest_signals(database), as_json=False)
        print_release(workspace)
    print_rejected(outcome)
    err.print(f"{work.months[0]} to {work.months[-1]} in {progress.seconds:.1f} s, run {outcome.run_id}")
    _exit(outcome)


@app.command()
def backfill(
    first: Annotated[str, typer.Option("--from", metavar="YYYY-MM", help="First month.")],
    last: Annotated[str, typer.Option("--to", metavar="YYYY-MM", help="Last month.")],
    assets: Annotated[
        list[str] | None,
        typer.Option(
            help="Names as in the UI (lake/prices, raw/*), or a dataset with its sources (prices). Default: all."
        ),
    ] = None,
    show_plan: Annotated[bool, typer.Option("--plan", help="Only print the plan: requests and expected time.")] = False,
    refresh: Annotated[
        bool, typer.Option("--refresh", help="Send also the requests that the archive already answers.")
    ] = False,
    profile: Profile = None,
    as_json: Json = False,
) -> None:
    """Extract a range of months for the first time or again, for any assets, and print what changed."""
    with RunProgress(err) as progress:
        workspace = _workspace(profile=profile)
        defs, chosen, work = _plan(workspace, progress, first, last, assets or [], refresh=refresh)
        print_banner(workspace.settings.synthetic)
        if show_plan:
            print_plan(workspace, work, as_json)
            return
        outcome = _execute(workspace, progress, defs, work, [asset.name for asset in chosen] if assets else [])
    print_backfill(workspace, work, progress, outcome, as_json)
    print_rejected(outcome)
    _exit(outcome)


@app.command()
def signals(as_of: AsOf = None, as_json: Json = False) -> None:
    """Print the latest published signals, or those of a past moment."""
    from pipelines.publish.queries import latest_signals

    workspace = _workspace()
    moment = _moment(as_of)
    with _reading():
        rows = latest_signals(_database(workspace), moment)
    if not rows:
        _fail(f"no signal was published by {as_of or 'now'}: the first decision time is later", 1)
    print_signals(workspace, rows, as_json)


@app.command()
def claims(as_of: AsOf = None, as_json: Json = False) -> None:
    """Print the claims of the article, checked against the data known now or at a past moment."""
    from pipelines.publish.queries import latest_claims

    workspace = _workspace()
    moment = _moment(as_of)
    with _reading():
        rows = latest_claims(_database(workspace), moment)
    if not rows:
        _fail(f"no claim was audited by {as_of or 'now'}: see valid_from in claims.csv for the first day of each", 1)
    print_claims(workspace, rows, as_json)


@app.command()
def evaluate(
    signal: Annotated[
        list[str] | None, typer.Option(help="Print this signal with all its tests; may be repeated.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Evaluate what followed each signal, unless nothing has changed since, and publish and print the result."""
    from pipelines.cli.backfill import Asset, plan
    from pipelines.common.calendar import month_of
    from pipelines.orchestration.automation.jobs import EVALUATE
    from pipelines.orchestration.run import definitions
    from pipelines.publish.queries import evaluation

    steps = {
        "signals/eval_signal": "evaluation",
        "signals/eval_summary": "evaluation",
        "publish/release": "publish__release",
        "publish/report": "publish__report",
    }
    with RunProgress(err) as progress:
        workspace = _workspace()
        database = _database(workspace)
        planned = sorted(set(workspace.reference["evaluation_plan"]["signal_id"]))
        if unknown := sorted(set(signal or ()) - set(planned)):
            _fail(f"--signal {unknown[0]!r} has no test in evaluation_plan.csv: use one of {', '.join(planned)}", 2)
        print_banner(workspace.settings.synthetic)
        month = month_of(workspace.now)
        work = plan(workspace, [Asset(name, step, False) for name, step in steps.items()], month, month)
        defs = definitions(workspace, progress=progress.update)
        outcome = _execute(workspace, progress, defs, work, [], EVALUATE)
    with _reading():
        found = evaluation(database, signal or ())
    print_evaluation(workspace, *found, as_json)
    _exit(outcome)


@contextmanager
def _reading() -> Iterator[None]:
    from pipelines.publish.queries import FormerReleaseError

    try:
        yield
    except FormerReleaseError as error:
        _fail(str(error), 1)


def _database(workspace: Workspace) -> Path:
    database = workspace.paths.database
    if not database.is_file():
        if database.with_name(FORMER_DATABASE).is_file():
            _fail(f"the release is of an earlier version ({FORMER_DATABASE}): `tightness run` publishes it anew", 1)
        _fail("nothing is published yet: run `tightness run` first", 1)
    if not os.access(database, os.R_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(database))
    return database


def _moment(as_of: str | None) -> datetime | None:
    if as_of is None:
        return None
    try:
        moment = datetime.fromisoformat(as_of)
    except ValueError:
        _fail(f"--as-of {as_of!r} is not an ISO time: write for example 2026-01-13T18:00:00Z", 2)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


@app.command()
def diff(
    old: Annotated[str, typer.Argument(metavar="A", help="A release id, current or previous.")],
    new: Annotated[str, typer.Argument(metavar="B", help="The release that A is compared with.")],
    table: Tables = None,
    rows: Annotated[int, typer.Option(min=0, help="Print this many changed, added and removed rows a table.")] = 0,
    as_json: Json = False,
) -> None:
    """Print the difference between releases A and B: rows added, removed and changed, by key and column."""
    from pipelines.publish.releases import NoReleaseError, UnknownNameError, compare, find

    workspace = _workspace()
    try:
        before, after = (find(workspace.paths.published, name) for name in (old, new))
        with err.status(f"{before.release_id} to {after.release_id}"):
            tables = compare(before, after, table or (), rows)
    except (NoReleaseError, UnknownNameError) as error:
        _fail(str(error), 2 if isinstance(error, UnknownNameError) else 1)
    print_diff(before, after, tables, as_json)


class ExportFormat(StrEnum):
    """File format of `tightness export`."""

    PARQUET = "parquet"
    CSV = "csv"
    XLSX = "xlsx"


@app.command()
def export(
    kind: Annotated[ExportFormat, typer.Option("--format", help="Parquet as published, CSV, or one Excel workbook.")],
    to: Annotated[
        Path | None, typer.Option(metavar="DIR", help="A new folder or an earlier export; exports/<format> by default.")
    ] = None,
    table: Tables = None,
) -> None:
    """Copy the tables of the current release, for tools that cannot open DuckDB."""
    from pipelines.publish.export import ExportError, TargetError
    from pipelines.publish.export import export as copy
    from pipelines.publish.releases import CURRENT, NoReleaseError, UnknownNameError, find

    workspace = _workspace()
    target = to or workspace.settings.data / "exports" / kind.value
    try:
        release = find(workspace.paths.published, CURRENT)
        with err.status(f"{release.release_id} to {target}"):
            written = copy(release, target, kind.value, table or ())
    except (NoReleaseError, ExportError, UnknownNameError, TargetError) as error:
        _fail(str(error), 2 if isinstance(error, UnknownNameError | TargetError) else 1)
    print_banner(release.manifest["synthetic"])
    out.print(f"release   {release.release_id}", highlight=False)
    out.print(f"{len(written)} file(s), {sum(written.values()):,} rows in {target}", highlight=False, soft_wrap=True)


@app.command()
def mcp() -> None:
    """Serve the published database to an agent, read-only, over standard input and output (MCP)."""
    from importlib.util import find_spec

    from pipelines.publish.agents import Answers, serve

    if find_spec("mcp") is None:
        _fail("`tightness mcp` needs the package mcp: `make mcp` installs it", 1)
    paths = _workspace().paths
    serve(Answers(paths.database, paths.manifest))


@app.command()
def doctor(
    live: Annotated[bool, typer.Option("--live", help="Send one request to each publisher; store nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Check settings, keys, sources, locks, disk and versions, and list known failures."""
    workspace = _workspace()
    if live:
        from pipelines.cli.probe import planned_requests, probe_all
        from pipelines.common.settings import SettingsError

        requests = planned_requests(workspace)
        try:
            with err.status(f"{len(requests)} publishers"):
                probes = probe_all(workspace, requests)
        except SettingsError as error:
            _fail(str(error), 2)
        print_probes(probes, as_json)
        failed = any(probe.status == "failed" for probe in probes)
    else:
        from pipelines.cli.doctor import diagnose

        findings = diagnose(workspace)
        print_doctor(findings, as_json)
        failed = any(finding.state == "bad" for finding in findings)
    if failed:
        raise typer.Exit(1)


@app.command()
def repair(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print what would be done.")] = False,
    accept_loss: Annotated[
        bool, typer.Option("--accept-loss", help="Go on without the files that cannot be repaired.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Find lost and damaged files of the lake, and make them again from the archive with the same rows and times."""
    from pipelines.common.settings import SettingsError
    from pipelines.datasets import FEEDS
    from pipelines.ingestion import repair as lake_repair

    if dry_run and accept_loss:
        _fail("--dry-run and --accept-loss exclude each other: give one of them", 2)
    workspace = _workspace()
    results: list[lake_repair.Repaired] = []
    try:
        ingestion = workspace.ingestion(workspace.stored_lake if dry_run else None)
        with err.status("reading the lake"):
            for name in FEEDS:
                found = lake_repair.repair(ingestion, name, dry_run=dry_run)
                if accept_loss:
                    lake_repair.accept_loss(ingestion, name, found)
                results += found
    except SettingsError as error:
        _fail(str(error), 2)
    except OSError as error:
        verb = "read" if dry_run else "read or written"
        _fail(f"{error.filename or workspace.paths.lake} cannot be {verb}: {error.strerror or error}", 1)
    print_repair(workspace, results, dry_run=dry_run, accepted=accept_loss, as_json=as_json)
    lost = [one.damage.entry for one in results if one.reason and one.damage.entry]
    if accept_loss and (months := sorted({month for entry in lost for month in entry.months})):
        command = f"tightness backfill --from {months[0]} --to {months[-1]}"
        err.print(f"what is still in the archive of these files is read again by: {command}", soft_wrap=True)
    if not accept_loss and (message := lake_repair.problem(results)):
        _fail(message, 1)


if __name__ == "__main__":
    main()
