"""`tightness`: a thin command line over the same definitions that the UI shows.

Exit codes: 0 ok, 1 failed, 2 bad usage. Heavy imports stand inside the commands, so that --help is quick.
"""

from __future__ import annotations

import json
import sys
import time
from datetime import UTC, datetime
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
# Piped, a table keeps the width that it needs: what reads it is a file or a pager.
out = Console(width=None if sys.stdout.isatty() else 160)
err = Console(stderr=True)

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def main() -> None:
    """Entry point of the console script."""
    app()


def _fail(message: str, code: int) -> NoReturn:
    err.print(message, style="red" if code == 1 else "yellow", markup=False, soft_wrap=True)
    raise typer.Exit(code)


def _workspace(metals: tuple[str, ...] = (), **overrides: object) -> Any:
    from pipelines.reference import ReferenceError
    from pipelines.settings import SettingsError
    from pipelines.workspace import Workspace

    try:
        workspace = Workspace.open(metals, **overrides)
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
) -> None:
    """Extract, validate, model and publish: everything, for a range of months."""
    from pipelines.automation.jobs import FULL_RUN
    from pipelines.reference import ReferenceError
    from pipelines.runs import RunStoppedError, in_short, month_range, run_job
    from pipelines.settings import SettingsError
    from pipelines.warehouse.lock import WriterBusyError
    from pipelines.workspace import ClockError

    workspace = _workspace(tuple(metal or ()), profile=profile)
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
def signals(
    as_of: Annotated[str | None, typer.Option("--as-of", metavar="TS", help="A moment in UTC, ISO.")] = None,
    as_json: Json = False,
) -> None:
    """The latest published signals, or those of a past moment."""
    workspace = _workspace()
    moment, database = _moment(as_of), _database(workspace)
    _print_signals(workspace, _read_signals(database, moment), as_json)


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
        sys.stdout.write(json.dumps({"synthetic": synthetic, "claims": rows}, default=str, indent=1) + "\n")
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
    """The evidence of a claim whose own period is not public yet; else the explanation has the number."""
    if row["status"] != "DATA_NOT_YET_PUBLIC":
        return ""
    return f": {row['evidence_value']:,.4g} {escape(row['unit'])}"


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
        sys.stdout.write(json.dumps({"synthetic": synthetic, "signals": rows}, default=str, indent=1) + "\n")
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
    for label, name in [("database", "marts.duckdb"), ("Parquet", "parquet"), ("manifest", "manifest.json")]:
        out.print(f"{label:9} {workspace.published / name}", highlight=False, soft_wrap=True)


@app.command()
def doctor(as_json: Json = False) -> None:
    """Settings, keys, sources, locks, disk, versions, and what is known to be wrong."""
    from pipelines.doctor import diagnose

    workspace = _workspace()
    findings = diagnose(workspace)
    if as_json:
        sys.stdout.write(json.dumps([finding.__dict__ for finding in findings], default=str, indent=1) + "\n")
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


if __name__ == "__main__":
    main()
