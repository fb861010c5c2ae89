"""What the command line prints: a rich table for people, JSON for programs. No decision is made here."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from datetime import date
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

# Piped, a table is as wide as COLUMNS says, else wide enough for a file or a pager.
out = Console(width=None if sys.stdout.isatty() or "COLUMNS" in os.environ else 160)
err = Console(stderr=True)


def print_plan(workspace: Any, work: Any, as_json: bool) -> None:
    """What a backfill would take."""
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


def print_backfill(workspace: Any, meter: Any, outcome: Any, as_json: bool) -> None:
    """What a backfill did and changed."""
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
    elif workspace.paths.database.is_file():
        print_release(workspace)
    err.print(
        f"partitions {meter.done:,} of {meter.plan.partitions:,}, {meter.rows:,} rows in {meter.elapsed:.1f} s, "
        f"run {outcome.run_id}",
        highlight=False,
    )


def print_claims(workspace: Any, rows: list[dict[str, Any]], as_json: bool) -> None:
    """Each claim with its verdict and evidence."""
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


def print_signals(workspace: Any, rows: list[dict[str, Any]], as_json: bool) -> None:
    """The newest row of each signal."""
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
    path = workspace.paths.manifest
    return dict(json.loads(path.read_text())) if path.is_file() else {}


def print_release(workspace: Any) -> None:
    """Where the current release lies."""
    out.print(f"release   {_manifest(workspace).get('release_id')}", highlight=False)
    for label, name in [
        ("database", "marts.duckdb"),
        ("Parquet", "parquet"),
        ("manifest", "manifest.json"),
        ("report", "report.html"),
    ]:
        out.print(f"{label:9} {workspace.paths.published / name}", highlight=False, soft_wrap=True)


def print_diff(before: Any, after: Any, found: dict[str, Any]) -> None:
    """What changed from one release to another."""
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


def print_probes(found: list[Any], as_json: bool) -> None:
    """What each publisher answered."""
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


def print_doctor(findings: list[Any], as_json: bool) -> None:
    """What was found, good and bad."""
    if as_json:
        sys.stdout.write(json.dumps([finding.__dict__ for finding in findings], default=_iso, indent=1) + "\n")
    else:
        table = Table(title="Doctor", title_justify="left")
        for name in ("what", "state", "detail"):
            table.add_column(name, overflow="fold")
        styles = {"ok": "green", "warn": "yellow", "bad": "red"}
        for finding in findings:
            state = f"[{styles[finding.state]}]{finding.state}[/]"
            table.add_row(escape(finding.what), state, escape(finding.detail))
        out.print(table)
