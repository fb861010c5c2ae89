"""`tightness`: a thin command line over the same definitions that the UI shows.

Exit codes: 0 ok, 1 failed, 2 bad usage. Heavy imports stand inside the commands, so that --help is quick.
"""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import asdict
from datetime import UTC, date, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

app = typer.Typer(
    help="Point-in-time tightness of metals: run the pipeline, read its signals, check its health.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
# Piped, a table is as wide as COLUMNS says, else wide enough for a file or a pager.
out = Console(width=None if sys.stdout.isatty() or "COLUMNS" in os.environ else 160)
err = Console(stderr=True)

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def main() -> None:
    """Entry point of the console script."""
    app()


def _fail(message: str, code: int) -> NoReturn:
    err.print(message, style="red" if code == 1 else "yellow", markup=False, soft_wrap=True)
    raise typer.Exit(code)


def _workspace(metals: tuple[str, ...] = (), record: Path | None = None, **overrides: object) -> Any:
    from pipelines.reference import ReferenceError
    from pipelines.settings import SettingsError
    from pipelines.workspace import Workspace

    try:
        workspace = Workspace.open(metals, record, **overrides)
        workspace.reference  # noqa: B018 -- a bad reference table is bad usage, said before anything runs
    except (SettingsError, ReferenceError) as error:
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
    from pipelines.automation.jobs import FULL_RUN
    from pipelines.reference import ReferenceError
    from pipelines.runs import RunStoppedError, in_short, month_range, run_job
    from pipelines.settings import SettingsError
    from pipelines.warehouse.lock import WriterBusyError
    from pipelines.workspace import ClockError

    workspace = _workspace(tuple(metal or ()), record and record.resolve(), profile=profile)
    try:
        months = month_range(workspace, first, last)
        workspace.scope  # noqa: B018 -- an unknown metal is bad usage
        workspace.lake  # noqa: B018 -- refuses to mix generated and real data before anything runs
    except (SettingsError, ReferenceError) as error:
        _fail(str(error), 2)
    except OSError as error:
        _fail(in_short([str(error)])[0], 1)
    try:
        workspace.check_clock()
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
    if (workspace.published / "marts.duckdb").is_file():
        _print_signals(workspace, _read_signals(workspace.published / "marts.duckdb", None), as_json=False)
        _print_release(workspace)
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
    from pipelines.backfill import Meter, plan, select
    from pipelines.definitions import build_defs
    from pipelines.reference import ReferenceError
    from pipelines.runs import month_range
    from pipelines.settings import SettingsError

    workspace = _workspace(profile=profile)
    try:
        months = month_range(workspace, first, last)
        chosen = select(build_defs(workspace.settings).resolve_asset_graph(), assets or [])
        work = plan(workspace, chosen, *months, refresh=refresh)
        if not show_plan:
            workspace.lake  # noqa: B018 -- refuses to mix generated and real data before anything runs
    except (SettingsError, ReferenceError) as error:
        _fail(str(error), 2)
    _banner(workspace)
    if show_plan:
        _print_plan(workspace, work, as_json)
        return
    meter = Meter(work)
    outcome = _run_metered(workspace, meter, [asset.name for asset in chosen] if assets else [], months, refresh)
    _print_backfill(workspace, meter, outcome, as_json)
    if not outcome.success:
        _fail("\n".join(outcome.problems) or "the run failed; see the UI (make ui) for its events", 1)


def _run_metered(workspace: Any, meter: Any, assets: list[str], months: tuple[str, str], refresh: bool) -> Any:
    """The run, with one line that is kept up to date on a terminal, and a line now and then where there is none."""
    from pipelines.automation.jobs import FULL_RUN
    from pipelines.runs import RunStoppedError, run_job
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
            return run_job(
                workspace, FULL_RUN, *months, report, assets=assets, spare_answered=not refresh, follow=follow
            )
        except (WriterBusyError, RunStoppedError) as error:
            _fail(str(error), 1)


def _print_plan(workspace: Any, work: Any, as_json: bool) -> None:
    about = {"synthetic": workspace.settings.synthetic, "profile": workspace.settings.profile}
    if as_json:
        sys.stdout.write(json.dumps({**about, "partitions": work.partitions, **asdict(work)}, indent=1) + "\n")
        return
    months = f"{work.months[0]} to {work.months[-1]}"
    table = Table(title=f"Plan: {months}, {len(work.months)} months, profile {about['profile']}", title_justify="left")
    for name in ("assets", "partitions", "read before", "expected s"):
        table.add_column(name, justify="left" if name == "assets" else "right", overflow="fold")
    for part in work.parts:
        named = part.assets[0] if len(part.assets) == 1 else f"{len(part.assets)} assets: {part.step}"
        table.add_row(
            named,
            str(part.partitions or ""),
            str(part.read_before) if named.startswith("lake/") else "",
            f"{part.seconds:.1f}",
        )
    out.print(table)
    if work.asked:
        asked = Table(title="Requests", title_justify="left")
        for name in ("source", "to ask", "answered by the archive", ""):
            asked.add_column(name, justify="right" if "a" in name and name != "source" else "left")
        for line in work.asked:
            asked.add_row(line.source, str(line.to_ask), str(line.archived), line.why_not)
        out.print(asked)
    to_ask, archived = sum(line.to_ask for line in work.asked), sum(line.archived for line in work.asked)
    out.print(f"{work.partitions:,} partitions, {to_ask:,} requests to ask, {archived:,} answered by the archive")
    out.print(f"expected time {work.seconds:.0f} s, {work.basis}. Nothing was run or written.", highlight=False)


def _print_backfill(workspace: Any, meter: Any, outcome: Any, as_json: bool) -> None:
    published = any("publish/release" in part.assets for part in meter.plan.parts)
    if as_json:
        about = {
            "synthetic": workspace.settings.synthetic,
            "profile": workspace.settings.profile,
            "run_id": outcome.run_id,
            "success": outcome.success,
            "problems": outcome.problems,
            "from": meter.plan.months[0],
            "to": meter.plan.months[-1],
            "assets": [name for part in meter.plan.parts for name in part.assets],
            "partitions": {"done": meter.done, "of": meter.plan.partitions},
            "requests": [asdict(asked) for asked in meter.plan.asked],
            "rows_read": meter.rows,
            "seconds": round(meter.elapsed, 1),
            "changes": [asdict(news) for news in outcome.changes],
        }
        sys.stdout.write(json.dumps(about, indent=1) + "\n")
        return
    if outcome.changes:
        table = Table(title="What changed in the lake", title_justify="left")
        for name in ("dataset", "months", "new", "revised"):
            table.add_column(name, justify="left" if name == "dataset" else "right")
        for news in outcome.changes:
            style = None if news.months else "dim"
            table.add_row(news.dataset, f"{news.months:,}", f"{news.new:,}", f"{news.revised:,}", style=style)
        out.print(table)
    revisions = [(news, revision) for news in outcome.changes for revision in news.first]
    if revisions:
        table = Table(title="Revised, the first of each dataset", title_justify="left")
        for name in ("dataset", "observation", "before", "after", "known since", "source"):
            table.add_column(name, overflow="fold")
        for news, revision in revisions:
            table.add_row(news.dataset, *(escape(str(value)) for value in asdict(revision).values()))
        out.print(table)
    if not published:
        err.print("The publication stays as it was: publish/release was not chosen.", highlight=False)
    elif (workspace.published / "marts.duckdb").is_file():
        _print_release(workspace)
    err.print(
        f"partitions {meter.done:,} of {meter.plan.partitions:,}, {meter.rows:,} rows in {meter.elapsed:.1f} s, "
        f"run {outcome.run_id}",
        highlight=False,
    )


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
    _print_signals(workspace, rows, as_json)


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
    _print_claims(workspace, rows, as_json)


def _database(workspace: Any) -> Path:
    database: Path = workspace.published / "marts.duckdb"
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


def _print_claims(workspace: Any, rows: list[dict[str, Any]], as_json: bool) -> None:
    synthetic = bool(_manifest(workspace).get("synthetic"))
    if as_json:
        sys.stdout.write(json.dumps({"synthetic": synthetic, "claims": rows}, default=_iso, indent=1) + "\n")
        return
    table = Table(
        title="Claims" + (" against SYNTHETIC DEMO DATA" if synthetic else ""), title_justify="left", show_lines=True
    )
    for name in ("claim", "how it is understood", "verdict", "evidence", "of", "known since", "as of"):
        table.add_column(name, overflow="fold", no_wrap=name in {"of", "as of"})
    styles = {"SUPPORTED": "green", "CONTRADICTED": "red", "PARTIAL": "yellow"}
    for row in rows:
        known = row["evidence_knowledge_ts"]
        table.add_row(
            f"[bold]{row['claim_id']}[/]\n{escape(row['claim_text'])}",
            escape(row["definition"]),
            f"[{styles.get(row['status'], 'dim')}]{row['status']}[/]",
            escape(row["explanation"]) + ("" if row["evidence_value"] is None else _shown(row)),
            str(row["evidence_obs_date"] or ""),
            f"{known:%Y-%m-%d %H:%M} UTC" if known else "",
            f"{row['as_of_ts']:%Y-%m-%d}",
        )
    out.print(table)


def _shown(row: dict[str, Any]) -> str:
    """The evidence where there is no verdict on it; else the explanation has the number."""
    if row["status"] in {"SUPPORTED", "CONTRADICTED", "PARTIAL"}:
        return ""
    return f": {row['evidence_value']:,.4g} {escape(row['unit'])}"


def _iso(value: object) -> str:
    """Days and instants as ISO in JSON, instants in UTC with Z."""
    return value.isoformat().replace("+00:00", "Z") if isinstance(value, date) else str(value)


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


def _print_signals(workspace: Any, rows: list[dict[str, Any]], as_json: bool) -> None:
    synthetic = bool(_manifest(workspace).get("synthetic"))
    if as_json:
        sys.stdout.write(json.dumps({"synthetic": synthetic, "signals": rows}, default=_iso, indent=1) + "\n")
        return
    table = Table(title="Signals" + (" (SYNTHETIC DEMO DATA)" if synthetic else ""), title_justify="left")
    for name, right in [
        ("signal", False),
        ("day", False),
        ("value", True),
        ("unit", False),
        ("score", True),
        ("state", False),
        ("since", False),
        ("quality", False),
    ]:
        table.add_column(name, justify="right" if right else "left", no_wrap=name in {"signal", "day"})
    arrows = {1: "▲", 0: "", -1: "▼"}
    for row in rows:
        value = (
            ""
            if row["value"] is None
            else f"{row['value']:,.4g}"
            if abs(row["value"]) < 1000
            else f"{row['value']:,.0f}"
        )
        score = "" if row["score"] is None else f"{row['score']:.2f}"
        table.add_row(
            row["signal_id"],
            str(row["as_of_date"]),
            value,
            row["unit"],
            score,
            f"{row['state'] or ''} {arrows[row['direction']]}".strip(),
            str(row["state_since"] or ""),
            row["quality"],
            style=None if row["quality"] == "OK" else "dim",
        )
    out.print(table)


def _manifest(workspace: Any) -> dict[str, Any]:
    path = workspace.published / "manifest.json"
    return dict(json.loads(path.read_text())) if path.is_file() else {}


def _print_release(workspace: Any) -> None:
    manifest = _manifest(workspace)
    out.print(f"release   {manifest.get('release_id')}", highlight=False)
    for label, name in [
        ("database", "marts.duckdb"),
        ("Parquet", "parquet"),
        ("manifest", "manifest.json"),
        ("report", "report.html"),
    ]:
        out.print(f"{label:9} {workspace.published / name}", highlight=False, soft_wrap=True)


@app.command()
def diff(
    old: Annotated[str, typer.Argument(metavar="A", help="A release id, current or previous.")],
    new: Annotated[str, typer.Argument(metavar="B", help="The release that A is held against.")],
    table: Annotated[list[str] | None, typer.Option(help="Only this table; may be given again.")] = None,
    rows: Annotated[int, typer.Option(min=0, help="Show so many changed, added and removed rows a table.")] = 0,
    as_json: Json = False,
) -> None:
    """What changed from release A to release B: rows added, removed and changed, by key and column."""
    from pipelines.warehouse.releases import NoReleaseError, UnknownNameError, compare, find

    workspace = _workspace()
    try:
        before, after = (find(workspace.published, name) for name in (old, new))
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
    _print_diff(before, after, found)


def _print_diff(before: Any, after: Any, found: dict[str, Any]) -> None:
    synthetic = " (SYNTHETIC DEMO DATA)" if after.manifest["synthetic"] else ""
    title = f"{before.release_id} to {after.release_id}{synthetic}"
    if all(one.same for one in found.values()):
        out.print(f"{title}: no row differs in {len(found)} tables", highlight=False, soft_wrap=True)
        return
    table = Table(title=title, title_justify="left")
    for name in ("table", "added", "removed", "changed", "columns"):
        table.add_column(name, justify="left" if name in {"table", "columns"} else "right", overflow="fold")
    for name, one in found.items():
        counts = one.counts
        notes = [f"only in {before.release_id if one.only_in == 'old' else after.release_id}"] if one.only_in else []
        notes += [f"{column} {n:,}" for column, n in counts["changed_columns"].items()]
        notes += [f"+{column}" for column in counts["columns_added"]]
        notes += [f"-{column}" for column in counts["columns_removed"]]
        numbers = [f"{counts[kind]:,}" for kind in ("added", "removed", "changed")]
        table.add_row(name, *numbers, escape(", ".join(notes)), style="dim" if one.same else None)
    out.print(table)
    if any(one.rows for one in found.values()):
        cells = Table(title="First rows" + synthetic, title_justify="left")
        for name in ("table", "", "key", "column", "before", "after"):
            cells.add_column(name, overflow="fold")
        for name, one in found.items():
            for row in one.rows:
                key = ", ".join(f"{column}={_cell(value)}" for column, value in row["key"].items())
                for column, values in row["cells"].items() or [("", ("", ""))]:
                    cells.add_row(name, row["kind"], escape(key), column, *(escape(_cell(value)) for value in values))
        out.print(cells)


def _cell(value: str | None) -> str:
    return "NULL" if value is None else value


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
    from pipelines.warehouse.export import ExportError, TargetError
    from pipelines.warehouse.export import export as copy
    from pipelines.warehouse.releases import CURRENT, NoReleaseError, UnknownNameError, find

    workspace = _workspace()
    target = to or workspace.settings.data / "exports" / kind.value
    try:
        release = find(workspace.published, CURRENT)
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
    from pipelines.doctor import diagnose

    workspace = _workspace()
    if live:
        _probe(workspace, as_json)
        return
    findings = diagnose(workspace)
    if as_json:
        sys.stdout.write(json.dumps([finding.__dict__ for finding in findings], default=_iso, indent=1) + "\n")
    else:
        table = Table(title="Doctor", title_justify="left")
        for name in ("what", "state", "detail"):
            table.add_column(name, overflow="fold")
        styles = {"ok": "green", "warn": "yellow", "bad": "red"}
        for finding in findings:
            table.add_row(finding.what, f"[{styles[finding.state]}]{finding.state}[/]", finding.detail)
        out.print(table)
    if any(finding.state == "bad" for finding in findings):
        raise typer.Exit(1)


def _probe(workspace: Any, as_json: bool) -> None:
    from pipelines.probe import probe, question
    from pipelines.sources import SOURCES

    transport, rules = workspace.live_transport(), workspace.reference["release_calendar"]
    keys, found = workspace.settings.secrets(), []
    with err.status("asking") as status:
        for name in (name for name in SOURCES if workspace.may_ask(name)):
            request = question(name, workspace.scope, workspace.now, rules)
            if request is None or (request.secret and request.secret[1] not in keys):
                continue
            status.update(f"asking {name}")
            found.append(probe(request, workspace.scope, transport))
    if as_json:
        sys.stdout.write(json.dumps([asdict(one) for one in found], default=_iso, indent=1) + "\n")
    else:
        table = Table(title="Publishers", title_justify="left")
        for name in ("source", "asked", "status", "seconds", "bytes", "newest", "findings"):
            table.add_column(name, justify="right" if name in {"seconds", "bytes"} else "left", overflow="fold")
        styles = {"ok": "green", "no data": "yellow", "failed": "red"}
        for one in found:
            state = f"[{styles[one.status]}]{one.status}[/]"
            numbers = (f"{one.seconds:.2f}", f"{one.bytes:,}", str(one.newest or ""))
            table.add_row(one.source, escape(one.asked), state, *numbers, escape(one.detail))
        out.print(table)
    if any(one.status == "failed" for one in found):
        raise typer.Exit(1)


if __name__ == "__main__":
    main()
