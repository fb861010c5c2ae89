"""Output of the command line: a rich table for people, JSON for programs. No decision is made here."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import date
from typing import TYPE_CHECKING, Any, TextIO

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pipelines.common.paths import DATABASE

if TYPE_CHECKING:
    from pipelines.cli.backfill import Plan
    from pipelines.cli.doctor import Finding
    from pipelines.cli.probe import Probe
    from pipelines.cli.progress import RunProgress
    from pipelines.ingestion.repair import Repaired
    from pipelines.orchestration.run import RunOutcome
    from pipelines.publish.releases import KeptRelease, TableComparison
    from pipelines.workspace import Workspace

_IS_TERMINAL = sys.stdout is not None and sys.stdout.isatty()
# In a pipe a table is as wide as COLUMNS, else wide enough for a file or a pager.
out = Console(width=None if _IS_TERMINAL or "COLUMNS" in os.environ else 160)
err = Console(stderr=True)
ARROWS = {1: ("▲", "up"), 0: ("", ""), -1: ("▼", "down")}  # in Unicode, in any other encoding
STYLES = {
    "ok": "green",
    "warn": "yellow",
    "no data": "yellow",
    "bad": "red",
    "failed": "red",
    "SUPPORTED": "green",
    "REVERSED": "red",
    "WEAK": "yellow",
    "CONTRADICTED": "red",
    "PARTIAL": "yellow",
}


class _Descriptor(io.FileIO):
    """A file descriptor that drops what is written after its reader has closed the pipe: the command itself goes on."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            return len(data)


def robust(stream: TextIO, descriptor: int | None = None) -> TextIO:
    """The same stream for any reader: what its encoding lacks is written as \\uXXXX, a closed pipe is ignored.

    `descriptor`: another file descriptor to write to.
    """
    raw = _Descriptor(stream.fileno() if descriptor is None else descriptor, "w", closefd=False)
    by_line = stream is sys.stderr or raw.isatty()
    return io.TextIOWrapper(io.BufferedWriter(raw), stream.encoding, "backslashreplace", line_buffering=by_line)


def _json(content: object) -> None:
    """Print JSON; days and instants as ISO, instants in UTC with Z."""
    sys.stdout.write(json.dumps(content, default=_iso, indent=1) + "\n")


def _iso(value: object) -> str:
    return value.isoformat().replace("+00:00", "Z") if isinstance(value, date) else str(value)


def _table(title: str, columns: str, **options: Any) -> Table:
    """A table with these columns, separated by commas; one that ends in > is aligned right, in ! is not wrapped."""
    table = Table(title=title, title_justify="left", **options)
    for name in columns.split(","):
        justify, no_wrap = "right" if name.endswith(">") else "left", name.endswith("!")
        table.add_column(name.strip(" >!"), justify=justify, no_wrap=no_wrap, overflow="fold")  # type: ignore[arg-type]
    return table


def _styled(text: str) -> str:
    """A state or verdict in its colour."""
    return f"[{STYLES.get(text, 'dim')}]{escape(text)}[/]"


def print_banner(synthetic: bool) -> None:
    """A warning where the data are generated."""
    if synthetic:
        err.print("SYNTHETIC DEMO DATA: a generated market, not real prices or stocks", style="bold magenta")


def print_plan(workspace: Workspace, plan: Plan, as_json: bool) -> None:
    """The plan of a backfill."""
    about = {"synthetic": workspace.settings.synthetic, "profile": workspace.settings.profile}
    if as_json:
        _json({**about, "partitions": plan.partitions, **asdict(plan)})
        return
    months = f"{plan.months[0]} to {plan.months[-1]}, {len(plan.months)} months"
    table = _table(f"Plan: {months}, profile {about['profile']}", "assets,partitions>,read before>,expected s>")
    for part in plan.parts:
        name = part.assets[0] if len(part.assets) == 1 else f"{len(part.assets)} assets: {part.step}"
        read_before = str(part.read_before) if name.startswith("lake/") else ""
        table.add_row(name, str(part.partitions or ""), read_before, f"{part.seconds:.1f}")
    out.print(table)
    if plan.requests:
        table = _table("Requests", "source,to send>,answered by the archive>,")
        for line in plan.requests:
            table.add_row(line.source, str(line.pending), str(line.archived), line.reason)
        out.print(table)
    pending, archived = (sum(getattr(line, name) for line in plan.requests) for name in ("pending", "archived"))
    out.print(f"{plan.partitions:,} partitions, {pending:,} requests to send, {archived:,} answered by the archive")
    out.print(f"expected time {plan.seconds:.0f} s, {plan.basis}. Nothing was run or written.", highlight=False)


def print_backfill(workspace: Workspace, plan: Plan, progress: RunProgress, outcome: RunOutcome, as_json: bool) -> None:
    """The result of a backfill and what it changed."""
    assets = [name for part in plan.parts for name in part.assets]
    if as_json:
        _json(
            {
                "synthetic": workspace.settings.synthetic,
                "profile": workspace.settings.profile,
                "run_id": outcome.run_id,
                "success": outcome.success,
                "problems": outcome.problems,
                "from": plan.months[0],
                "to": plan.months[-1],
                "assets": assets,
                "partitions": {"done": progress.partitions, "of": plan.partitions},
                "requests": [asdict(requests) for requests in plan.requests],
                "rows_read": progress.rows,
                "seconds": round(progress.seconds, 1),
                "changes": [asdict(changes) for changes in outcome.changes],
            }
        )
        return
    if outcome.changes:
        table = _table("Changes in the lake", "dataset,months>,new>,revised>")
        for one in outcome.changes:
            style = None if one.months else "dim"
            table.add_row(one.dataset, f"{one.months:,}", f"{one.new:,}", f"{one.revised:,}", style=style)
        out.print(table)
    revisions = [(one.dataset, revision) for one in outcome.changes for revision in one.first]
    if revisions:
        table = _table("First revisions of each dataset", "dataset,observation,before,after,known since,source")
        for dataset, revision in revisions:
            table.add_row(dataset, *(escape(str(value)) for value in asdict(revision).values()))
        out.print(table)
    if "publish/release" not in assets:
        err.print("The publication is unchanged: publish/release was not selected.", highlight=False)
    elif (workspace.paths.database).is_file():
        print_release(workspace)
    err.print(
        f"partitions {progress.partitions:,} of {plan.partitions:,}, {progress.rows:,} rows in {progress.seconds:.1f} s"
        f", run {outcome.run_id}",
        highlight=False,
    )


def print_rewritten(outcome: RunOutcome) -> None:
    """Series whose stored history a publisher rewrote, on standard error."""
    for one in outcome.changes:
        for line in one.rewritten:
            err.print(f"rewritten history: {one.dataset}: {line}", style="yellow", markup=False, soft_wrap=True)


def print_claims(workspace: Workspace, rows: Sequence[Mapping[str, Any]], as_json: bool) -> None:
    """Each claim with its verdict and evidence."""
    synthetic = bool(_manifest(workspace).get("synthetic"))
    if as_json:
        _json({"synthetic": synthetic, "claims": rows})
        return
    table = _table(
        "Claims" + (" against SYNTHETIC DEMO DATA" if synthetic else ""),
        "claim,definition,on its day,latest,evidence,of!,known since,as of!",
        show_lines=True,
    )
    for row in rows:
        known = row["evidence_knowledge_ts"]
        table.add_row(
            f"[bold]{row['claim_id']}[/]\n{escape(row['claim_text'])}",
            escape(row["definition"]),
            _styled(row["status_at_claim"] or ""),
            _styled(row["status"]),
            escape(row["explanation"]) + _evidence(row),
            str(row["evidence_obs_date"] or ""),
            f"{known:%Y-%m-%d %H:%M} UTC" if known else "",
            f"{row['as_of_ts']:%Y-%m-%d}",
        )
    out.print(table)


def _evidence(row: Mapping[str, Any]) -> str:
    """The value of the evidence where there is no verdict on it; else the explanation contains it."""
    if row["evidence_value"] is None or row["status"] in STYLES:
        return ""
    return f": {row['evidence_value']:,.4g} {escape(row['unit'])}"


def print_signals(workspace: Workspace, rows: Sequence[Mapping[str, Any]], as_json: bool) -> None:
    """The newest row of each signal."""
    synthetic = bool(_manifest(workspace).get("synthetic"))
    if as_json:
        _json({"synthetic": synthetic, "signals": rows})
        return
    table = _table(
        "Signals" + (" (SYNTHETIC DEMO DATA)" if synthetic else ""),
        "signal!,day!,value>,unit,score>,state,since,quality",
    )
    in_other_encoding = not out.encoding.lower().startswith("utf")
    for row in rows:
        table.add_row(
            row["signal_id"],
            str(row["as_of_date"]),
            _value(row["value"]),
            row["unit"],
            "" if row["score"] is None else f"{row['score']:.2f}",
            f"{row['state'] or ''} {ARROWS[row['direction']][in_other_encoding]}".strip(),
            str(row["state_since"] or ""),
            row["quality_flags"],
            style=None if row["quality"] == "OK" else "dim",
        )
    out.print(table)


def _value(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"


def _manifest(workspace: Workspace) -> dict[str, Any]:
    from pipelines.publish.manifest import read_manifest

    return read_manifest(workspace.paths.manifest) or {}


def print_release(workspace: Workspace) -> None:
    """The id of the current release and the paths of its files."""
    out.print(f"release   {_manifest(workspace).get('release_id')}", highlight=False)
    files = {"database": DATABASE, "Parquet": "parquet", "manifest": "manifest.json", "report": "report.html"}
    for label, name in files.items():
        out.print(f"{label:9} {workspace.paths.published / name}", highlight=False, soft_wrap=True)


def print_rejected(outcome: RunOutcome) -> None:
    """The datasets with rows in quarantine, which are no failure of a run."""
    if outcome.rejected:
        counts = ", ".join(f"{name} {count:,} row(s)" for name, count in outcome.rejected.items())
        text = f"in quarantine: {counts}; `tightness doctor` shows the last reason of each dataset"
        err.print(text, style="yellow", markup=False, highlight=False, soft_wrap=True)


def print_diff(before: KeptRelease, after: KeptRelease, tables: Mapping[str, TableComparison], as_json: bool) -> None:
    """The difference between two releases."""
    same = all(one.same for one in tables.values())
    synthetic = bool(after.manifest["synthetic"])
    if as_json:
        _json(
            {
                "synthetic": synthetic,
                "old": before.release_id,
                "new": after.release_id,
                "same": same,
                "tables": {
                    name: {"only_in": one.only_in, **one.counts} | ({} if one.rows is None else {"rows": one.rows})
                    for name, one in tables.items()
                },
            }
        )
        return
    stamp = " (SYNTHETIC DEMO DATA)" if synthetic else ""
    title = f"{before.release_id} to {after.release_id}{stamp}"
    if same:
        out.print(f"{title}: no row differs in {len(tables)} tables", highlight=False, soft_wrap=True)
        return
    table = _table(title, "table,added>,removed>,changed>,columns")
    for name, one in tables.items():
        counts = one.counts
        notes = [f"only in {before.release_id if one.only_in == 'old' else after.release_id}"] if one.only_in else []
        notes += [f"{column} {n:,}" for column, n in counts["changed_columns"].items()]
        notes += [f"+{column}" for column in counts["columns_added"]]
        notes += [f"-{column}" for column in counts["columns_removed"]]
        numbers = [f"{n:,}" for n in (counts["added"], counts["removed"], counts["changed"])]
        table.add_row(name, *numbers, escape(", ".join(notes)), style="dim" if one.same else None)
    out.print(table)
    if any(one.rows for one in tables.values()):
        out.print(_first_rows(tables, stamp))


def _first_rows(tables: Mapping[str, TableComparison], stamp: str) -> Table:
    cells = _table("First rows" + stamp, "table,,key,column,before,after")
    for name, one in tables.items():
        for row in one.rows or ():
            key = ", ".join(f"{column}={_cell(value)}" for column, value in row["key"].items())
            for column, values in row["cells"].items() or [("", ("", ""))]:
                cells.add_row(name, row["kind"], escape(key), column, *(escape(_cell(value)) for value in values))
    return cells


def _cell(value: str | None) -> str:
    return "NULL" if value is None else value


def print_evaluation(
    workspace: Workspace, summary: Sequence[Mapping[str, Any]], tests: Sequence[Mapping[str, Any]], as_json: bool
) -> None:
    """What each signal was followed by, and tests out of sample."""
    synthetic = bool(_manifest(workspace).get("synthetic"))
    if as_json:
        _json({"synthetic": synthetic, "signals": summary, "tests": tests})
        return
    stamp = " (SYNTHETIC DEMO DATA: a generated market)" if synthetic else ""
    table = _table(f"Evaluation{stamp}", "signal!,verdict!,result")
    for row in summary:
        table.add_row(row["signal_id"], _styled(row["verdict"]), escape(row["sentence"]))
    out.print(table)
    shown = [row for row in tests if (row["split"], row["basis_subset"], row["entry_lag"]) == ("OOS", "ALL", 1)]
    if not shown:
        return
    columns = "bucket!,outcome!,over>,n>,episodes>,diff>,error>,detectable>,placebo p>,adjusted p>,verdict!"
    table = _table(f"Tests since 2019{stamp}", f"signal!,{columns}")
    for row in shown:
        numbers = [_value(row[name]) for name in ("diff", "hac_se", "mde", "placebo_p", "p_adj")]
        counts = [f"{row[name]:,}" for name in ("horizon_obs", "n", "episodes")]
        table.add_row(row["signal_id"], row["bucket"], row["outcome"], *counts, *numbers, _styled(row["verdict"]))
    out.print(table)


def print_probes(probes: Sequence[Probe], as_json: bool) -> None:
    """The response of each publisher."""
    if as_json:
        _json([asdict(probe) for probe in probes])
        return
    table = _table("Publishers", "source,url,status,seconds>,bytes>,newest,findings")
    for one in probes:
        numbers = (f"{one.seconds:.2f}", f"{one.bytes:,}", str(one.newest or ""))
        table.add_row(one.source, escape(one.url), _styled(one.status), *numbers, escape(one.detail))
    out.print(table)


def print_repair(
    workspace: Workspace, results: Sequence[Repaired], *, dry_run: bool, accepted: bool, as_json: bool
) -> None:
    """Damaged files of the lake and what was, or would be, done with each."""
    left = "accepted as lost" if accepted else "cannot be repaired"
    done = "would be repaired" if dry_run else "repaired"
    columns = "dataset,file,problem,result,reason"
    rows = [
        (one.damage.dataset, one.damage.file, one.damage.problem, left if one.reason else done, one.reason)
        for one in results
    ]
    if as_json:
        files = [dict(zip(columns.split(","), row, strict=True)) for row in rows]
        _json({"synthetic": workspace.settings.synthetic, "dry_run": dry_run, "files": files})
        return
    if not results:
        out.print("the lake is whole: every file of its record is there, unchanged", highlight=False)
        return
    table = _table("Lake", columns)
    for row in rows:
        table.add_row(*map(escape, row))
    out.print(table)


def print_doctor(findings: Sequence[Finding], as_json: bool) -> None:
    """All findings, good and bad."""
    if as_json:
        _json([asdict(finding) for finding in findings])
        return
    table = _table("Doctor", "what,state,detail")
    for finding in findings:
        table.add_row(escape(finding.what), _styled(finding.state), escape(finding.detail))
    out.print(table)
