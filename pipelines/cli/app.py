"""`tightness`: a thin command line over the same definitions that the UI shows.

Exit codes: 0 ok, 1 failed, 2 bad usage. Heavy imports stand inside the commands, so that --help is quick.
"""

from __future__ import annotations

import json
import sys
import time
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from pipelines.cli.console import (
    err,
    out,
    print_backfill,
    print_claims,
    print_diff,
    print_doctor,
    print_plan,
    print_probes,
    print_release,
    print_signals,
)

app = typer.Typer(
    help="Point-in-time tightness of metals: run the pipeline, read its signals, check its health.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def main() -> None:
    """Entry point of the console script."""
    app()


def _fail(message: str, code: int) -> NoReturn:
    err.print(message, style="red" if code == 1 else "yellow", markup=False, soft_wrap=True)
    raise typer.Exit(code)


def _workspace(metals: tuple[str, ...] = (), record: Path | None = None, **overrides: object) -> Any:
    from pipelines.common.settings import SettingsError
    from pipelines.reference import ReferenceDataError
    from pipelines.workspace import Workspace

    try:
        workspace = Workspace.open(metals, record, **overrides)
        workspace.reference  # noqa: B018 -- a bad reference table is bad usage, said before anything runs
    except (SettingsError, ReferenceDataError) as error:
        _fail(str(error), 2)
    return workspace


def _banner(workspace: Any) -> None:
    if workspace.settings.synthetic:
        err.print("SYNTHETIC DEMO DATA: a generated market, not real prices or stocks", style="bold magenta")


@app.command()
def run(
    profile: Annotated[str | None, typer.Option(help="demo, live, replay or drop.")] = None,
    first: Annotated[str | None, typer.Option("--from", metavar="YYYY-MM", help="First month.")] = None,
    last: Annotated[str | None, typer.Option("--to", metavar="YYYY-MM", help="Last month.")] = None,
    metal: Annotated[list[str] | None, typer.Option(help="Metals; all of metals.csv unless given.")] = None,
    record: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Keep what publishers answer there, for TIGHTNESS_REPLAY_DIR.")
    ] = None,
) -> None:
    """Extract, validate, model and publish: everything, for a range of months."""
    from pipelines.common.settings import SettingsError
    from pipelines.orchestration.automation.jobs import FULL_RUN
    from pipelines.orchestration.run import RunStoppedError, in_short, month_range, run_job
    from pipelines.publish.build_clock import ClockError
    from pipelines.reference import ReferenceDataError
    from pipelines.warehouse.lock import WriterBusyError

    workspace = _workspace(tuple(metal or ()), record and record.resolve(), profile=profile)
    try:
        months = month_range(workspace, first, last)
        workspace.scope  # noqa: B018 -- an unknown metal is bad usage
        workspace.lake  # noqa: B018 -- refuses to mix generated and real data before anything runs
    except (SettingsError, ReferenceDataError) as error:
        _fail(str(error), 2)
    except OSError as error:
        _fail(in_short([str(error)])[0], 1)
    try:
        workspace.build_clock.check()
    except ClockError as error:
        _fail(str(error), 1)
    _banner(workspace)
    begun = time.monotonic()
    with err.status(f"{months[0]} to {months[1]}: starting") as status:

        def report(step: str, state: str) -> None:
            if state == "started":
                status.update(f"{months[0]} to {months[1]}: {step.replace('__', ' ')}")
            elif state == "failed":
                err.print(f"failed: {step.replace('__', ' ')}", style="red")

        try:
            outcome = run_job(workspace, FULL_RUN, *months, report)
        except (WriterBusyError, RunStoppedError) as error:
            _fail(str(error), 1)
    seconds = time.monotonic() - begun
    if workspace.paths.database.is_file():
        print_signals(workspace, _read_signals(workspace.paths.database, None), as_json=False)
        print_release(workspace)
    err.print(f"{months[0]} to {months[1]} in {seconds:.1f} s, run {outcome.run_id}")
    if not outcome.success:
        _fail("\n".join(outcome.problems) or "the run failed; see the UI (make ui) for its events", 1)


@app.command()
def backfill(
    first: Annotated[str, typer.Option("--from", metavar="YYYY-MM", help="First month.")],
    last: Annotated[str, typer.Option("--to", metavar="YYYY-MM", help="Last month.")],
    assets: Annotated[
        list[str] | None,
        typer.Option(help="As in the UI (lake/prices, raw/*), or a dataset with its sources (prices). Default: all."),
    ] = None,
    show_plan: Annotated[bool, typer.Option("--plan", help="Only say what it would take.")] = False,
    refresh: Annotated[bool, typer.Option("--refresh", help="Ask also what the archive answers.")] = False,
    profile: Annotated[str | None, typer.Option(help="demo, live, replay or drop.")] = None,
    as_json: Json = False,
) -> None:
    """Extract a range of months again, or for the first time: any assets, as one run. Says what it changed."""
    from pipelines.cli.backfill import Meter, plan, select
    from pipelines.common.settings import SettingsError
    from pipelines.orchestration.run import definitions, month_range
    from pipelines.reference import ReferenceDataError

    workspace = _workspace(profile=profile)
    try:
        months = month_range(workspace, first, last)
        defs = definitions(workspace, skip_answered=not refresh)
        chosen = select(defs.resolve_asset_graph(), assets or [])
        work = plan(workspace, chosen, *months, refresh=refresh)
        if not show_plan:
            workspace.lake  # noqa: B018 -- refuses to mix generated and real data before anything runs
    except (SettingsError, ReferenceDataError) as error:
        _fail(str(error), 2)
    _banner(workspace)
    if show_plan:
        print_plan(workspace, work, as_json)
        return
    meter = Meter(work)
    outcome = _run_metered(workspace, meter, [asset.name for asset in chosen] if assets else [], months, defs)
    print_backfill(workspace, meter, outcome, as_json)
    if not outcome.success:
        _fail("\n".join(outcome.problems) or "the run failed; see the UI (make ui) for its events", 1)


def _run_metered(workspace: Any, meter: Any, assets: list[str], months: tuple[str, str], defs: Any) -> Any:
    """The run, with one line that is kept up to date on a terminal, and a line now and then where there is none."""
    from pipelines.orchestration.automation.jobs import FULL_RUN
    from pipelines.orchestration.run import RunStoppedError, run_job
    from pipelines.warehouse.lock import WriterBusyError

    said = time.monotonic()
    with err.status(meter.line()) as status:

        def tell(now: bool) -> None:
            nonlocal said
            status.update(meter.line())
            if not err.is_terminal and (now or time.monotonic() - said >= 5):
                said = time.monotonic()
                err.print(meter.line(), highlight=False, soft_wrap=True)

        def report(step: str, state: str) -> None:
            meter.report(step, state)
            if state == "failed" and err.is_terminal:
                err.print(f"failed: {step.replace('__', '/')}", style="red")
            tell(state != "started")

        def follow(step: str, progress: Any) -> None:
            meter.follow(step, progress)
            tell(False)

        try:
            return run_job(workspace, FULL_RUN, *months, report, assets=assets, follow=follow, defs=defs)
        except (WriterBusyError, RunStoppedError) as error:
            _fail(str(error), 1)


@app.command()
def signals(
    as_of: Annotated[str | None, typer.Option("--as-of", metavar="TS", help="A moment in UTC, ISO.")] = None,
    as_json: Json = False,
) -> None:
    """The latest published signals, or those of a past moment."""
    workspace = _workspace()
    moment, database = _moment(as_of), _database(workspace)
    rows = _read_signals(database, moment)
    if not rows:
        _fail("no signal had been published by then: the first decision time lies later", 1)
    print_signals(workspace, rows, as_json)


@app.command()
def claims(
    as_of: Annotated[str | None, typer.Option("--as-of", metavar="TS", help="A moment in UTC, ISO.")] = None,
    as_json: Json = False,
) -> None:
    """The claims of the article held against the data as known now, or at a past moment."""
    workspace = _workspace()
    moment, database = _moment(as_of), _database(workspace)
    rows = _rows(
        database,
        """
        select
            claim_id, claim_text, claim_date, definition, status, explanation, evidence_value, unit, evidence_obs_date,
            evidence_knowledge_ts, as_of_ts, operator, threshold, threshold_high, tolerance
        from signals.claim_audit
        where as_of_ts <= coalesce(?::timestamptz, 'infinity'::timestamptz)
        qualify row_number() over (partition by claim_id order by as_of_ts desc) = 1
        order by claim_id
        """,
        moment,
    )
    if not rows:
        _fail("no claim was audited by then: claims.csv says from which day on each one is (valid_from)", 1)
    print_claims(workspace, rows, as_json)


def _database(workspace: Any) -> Path:
    database: Path = workspace.paths.database
    if not database.is_file():
        _fail("nothing is published yet: run `tightness run` first", 1)
    return database


def _moment(as_of: str | None) -> datetime | None:
    if as_of is None:
        return None
    try:
        moment = datetime.fromisoformat(as_of)
    except ValueError:
        _fail(f"--as-of {as_of!r} is no ISO time: write for example 2026-01-13T18:00:00Z", 2)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _read_signals(database: Path, moment: datetime | None) -> list[dict[str, Any]]:
    """The newest row of each signal; where a moment is given, as it was published then."""
    columns = "signal_id, as_of_date, value, unit, score, state, direction, quality, state_since, knowledge_ts_max"
    if moment is None:
        return _rows(database, f"select {columns} from signals.signals_latest order by signal_id")
    return _rows(database, f"select {columns} from signals.signals_asof(?::timestamptz) order by signal_id", moment)


def _rows(database: Path, query: str, *parameters: object) -> list[dict[str, Any]]:
    import duckdb

    with duckdb.connect(str(database), read_only=True) as connection:
        connection.execute("set TimeZone = 'UTC'")
        cursor = connection.execute(query, parameters)
        names = [column[0] for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


@app.command()
def diff(
    old: Annotated[str, typer.Argument(metavar="A", help="A release id, current or previous.")],
    new: Annotated[str, typer.Argument(metavar="B", help="The release that A is held against.")],
    table: Annotated[list[str] | None, typer.Option(help="Only this table; may be given again.")] = None,
    rows: Annotated[int, typer.Option(min=0, help="Show so many changed, added and removed rows a table.")] = 0,
    as_json: Json = False,
) -> None:
    """What changed from release A to release B: rows added, removed and changed, by key and column."""
    from pipelines.publish.releases import NoReleaseError, UnknownNameError, compare, find

    workspace = _workspace()
    try:
        before, after = (find(workspace.paths.published, name) for name in (old, new))
        with err.status(f"{before.release_id} to {after.release_id}"):
            found = compare(before, after, table or (), rows)
    except (NoReleaseError, UnknownNameError) as error:
        _fail(str(error), 2 if isinstance(error, UnknownNameError) else 1)
    if as_json:
        about = {
            "synthetic": bool(after.manifest["synthetic"]),
            "old": before.release_id,
            "new": after.release_id,
            "same": all(one.same for one in found.values()),
            "tables": {
                name: {"only_in": one.only_in, **one.counts} | ({"rows": one.rows} if rows else {})
                for name, one in found.items()
            },
        }
        sys.stdout.write(json.dumps(about, indent=1) + "\n")
        return
    print_diff(before, after, found)


class ExportFormat(StrEnum):
    """What `tightness export` can write."""

    PARQUET = "parquet"
    CSV = "csv"


@app.command()
def export(
    kind: Annotated[ExportFormat, typer.Option("--format", help="Parquet as published, or CSV.")],
    to: Annotated[
        Path | None, typer.Option(metavar="DIR", help="A new folder or an earlier export; exports/<format> by default.")
    ] = None,
    table: Annotated[list[str] | None, typer.Option(help="Only this table; may be given again.")] = None,
) -> None:
    """Copies of the current release's tables, for tools that cannot open DuckDB."""
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
    if release.manifest["synthetic"]:
        err.print("SYNTHETIC DEMO DATA: a generated market, not real prices or stocks", style="bold magenta")
    out.print(f"release   {release.release_id}", highlight=False)
    out.print(f"{len(written)} tables, {sum(written.values()):,} rows in {target}", highlight=False, soft_wrap=True)


@app.command()
def doctor(
    live: Annotated[bool, typer.Option("--live", help="Ask each publisher one thing; nothing is kept.")] = False,
    as_json: Json = False,
) -> None:
    """Settings, keys, sources, locks, disk, versions, and what is known to be wrong."""
    from pipelines.cli.doctor import diagnose

    workspace = _workspace()
    if live:
        _probe(workspace, as_json)
        return
    findings = diagnose(workspace)
    print_doctor(findings, as_json)
    if any(finding.state == "bad" for finding in findings):
        raise typer.Exit(1)


def _probe(workspace: Any, as_json: bool) -> None:
    from pipelines.cli.probe import ATTEMPTS, probes, question
    from pipelines.sources import SOURCES

    keys, rules = workspace.settings.secrets(), workspace.reference["release_calendar"]
    named = [question(name, workspace.scope, workspace.now, rules) for name in SOURCES if workspace.is_enabled(name)]
    asked = [one for one in named if one and (not one.secret or one.secret[1] in keys)]
    with err.status(f"asking {len(asked)} publishers"):
        found = probes(asked, workspace.scope, workspace.live_transport(ATTEMPTS))
    print_probes(found, as_json)
    if any(one.status == "failed" for one in found):
        raise typer.Exit(1)


if __name__ == "__main__":
    main()
