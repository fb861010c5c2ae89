"""The report of a release: one self-contained page, rendered by `report.html.j2`.

Pure except `read`: the page depends only on the published database, its manifest, the assumptions and the plots. All
text is escaped, and the page's content security policy forbids it to load anything. Its first part is the desk's page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import duckdb
from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

from pipelines.publish import desk
from pipelines.publish.plots import REGIMES, data_url
from pipelines.warehouse.sql import Row, fetch_rows

FOLDER: Final = Path(__file__).parent
VERDICTS: Final = {
    "SUPPORTED": "good", "CONTRADICTED": "bad", "PARTIAL": "warn", "REVERSED": "bad", "WEAK": "warn",
}  # fmt: skip
DIRECTIONS: Final = {1: ("▲", "tighter"), 0: ("●", "neither"), -1: ("▼", "looser")}
CHANGES: Final = 12  # latest changes of state on the page

SECTIONS: Final = {
    "desk": "Index", "charts": "Charts", "signals": "Signals", "changes": "Changes", "events": "Events",
    "followed": "What followed", "claims": "Claims", "assumptions": "Assumptions",
}  # fmt: skip

_QUERIES: Final = {
    "index": """
        select * from marts.tightness_daily
        qualify row_number() over (partition by metal order by as_of_date desc) = 1 order by metal""",
    "history": """
        select metal, as_of_date, columns('^tightness_index(_v2)?$')
        from marts.tightness_daily order by metal, as_of_date""",
    "parts": """
        select metal, signal_version, as_of_date, component, family, value, score, weight, contribution
        from signals.signal_contributions join (
            select metal, unnest([
                last, max(as_of_date) filter (as_of_date < last), max(as_of_date) filter (as_of_date <= last - 7)
            ]) as as_of_date
            from (
                select metal, as_of_date, max(as_of_date) over (partition by metal) as last from marts.tightness_daily
            ) group by metal, last
        ) using (metal, as_of_date)
        where signal_id like '%.TIGHTNESS.INDEX'
        order by metal, signal_version, contribution desc nulls last, component""",
    "signals": """
        select latest.*, metric_id, description, formula, parameters, previous.obs_end_max as previous_obs_end
        from signals.signals_latest as latest
        left join (
            select * from signals.signal_dictionary
            qualify row_number() over (partition by signal_id, signal_version order by valid_from desc) = 1
        ) as dictionary using (signal_id, signal_version)
        left join (
            select signal_id, signal_version, as_of_date, obs_end_max from signals.signals
            where as_of_date < (select max(as_of_date) from signals.signals_latest)
            qualify row_number() over (
                partition by signal_id, signal_version order by as_of_ts desc, revision_no desc
            ) = 1
        ) as previous using (signal_id, signal_version)
        order by signal_id, signal_version""",
    "claims": """
        select * from signals.claim_audit
        qualify row_number() over (partition by claim_id order by as_of_ts desc) = 1 order by claim_id""",
    "events": """
        select title, event_kind, event_date, days_to_event, state, known_since, source from marts.event_calendar
        qualify dense_rank() over (order by as_of_ts desc) = 1
        order by days_to_event < 0, abs(days_to_event), event_id""",
    "evaluation": """
        select * from signals.eval_summary order by starts_with(signal_id, 'BENCH.'), metal, signal_id""",
    "changes": f"""
        select as_of_date, signal_id, prev_state, state, direction from signals.signal_transitions
        order by as_of_ts desc, signal_id limit {CHANGES}""",
}


@dataclass(frozen=True)
class Content:
    """The values of a page: `tables` as `read` returns them, `charts` as SVG by title."""

    manifest: Mapping[str, Any]
    tables: Mapping[str, Sequence[Row]]
    assumptions: Sequence[Row]  # name, metal, value, unit, valid_from, source
    charts: Mapping[str, str]
    followed: Mapping[str, str]  # charts of the evaluation, by title


def read(con: duckdb.DuckDBPyConnection) -> dict[str, list[Row]]:
    """The rows of a published database that the report shows."""
    return {name: fetch_rows(con, query) for name, query in _QUERIES.items()}


def render(content: Content) -> str:
    """The page as HTML."""
    manifest, tables = content.manifest, content.tables
    history: dict[str, list[Row]] = {}
    for row in tables["history"]:
        history.setdefault(row["metal"], []).append(row)
    computed = datetime.fromisoformat(manifest["computed_ts"])
    return _template().render(
        manifest=manifest,
        synthetic=bool(manifest.get("synthetic")),
        **tables,
        cards=desk.cards(tables["index"], history, tables["parts"], tables["signals"], computed),
        groups={
            row["metal"]: desk.groups([one for one in tables["signals"] if one["metal"] == row["metal"]])
            for row in tables["index"]
        },
        assumptions=content.assumptions,
        charts={title: data_url(image) for title, image in content.charts.items()},
        followed={title: data_url(image) for title, image in content.followed.items()},
        about={
            "release": manifest["release_id"],
            "knowledge to": _when(manifest.get("knowledge_ts_max")),
            "computed": _when(manifest.get("computed_ts")),
            "profile": manifest.get("profile"),
            "commit": (manifest.get("git_commit") or "")[:12],
        },
        style=Markup((FOLDER / "report.css").read_text(encoding="utf-8")),
        sections=SECTIONS,
        regimes=REGIMES,
        verdicts=VERDICTS,
        directions=DIRECTIONS,
    )


def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: "" if value is None else value,
    )
    environment.filters |= {"number": _number, "fixed": _fixed, "when": _when, "label": desk.label}
    return environment.get_template("report.html.j2")


def _number(value: Any) -> str:
    if value is None or value != value:
        return ""
    number = float(value)
    if number and abs(number) < 1:
        return f"{number:.3g}"
    return f"{number:,.0f}" if abs(number) >= 1000 or number == round(number) else f"{number:,.1f}"


def _fixed(value: Any, decimals: int) -> str:
    return "" if value is None or value != value else f"{float(value):.{decimals}f}"


def _when(value: Any) -> str:
    if value is None:
        return ""
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    return f"{moment:%Y-%m-%d %H:%M} UTC"
