"""The report of a release: one self-contained page, rendered by `report.html.j2`.

Pure except `read`: the page depends only on the published database, its manifest and the assumptions. All text is
escaped. The content security policy forbids the page to load or send anything, and to run a script that is not its own;
Vega's expressions are interpreted, not evaluated as code. The first part is the desk's page.
"""

from __future__ import annotations

import hashlib
import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import duckdb
from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

from pipelines.publish import charts, desk, evaluation_plots, past
from pipelines.publish.charts import Drawn
from pipelines.publish.plots import REGIMES, data_url
from pipelines.publish.vega import script_version
from pipelines.warehouse.sql import Row, fetch_rows

FOLDER: Final = Path(__file__).parent
KEY_BYTES: Final = 2048  # of a page, which hold its key
VERDICTS: Final = {
    "SUPPORTED": "good", "CONTRADICTED": "bad", "PARTIAL": "warn", "REVERSED": "bad", "WEAK": "warn",
}  # fmt: skip
DIRECTIONS: Final = {1: ("▲", "tighter"), 0: ("●", "neither"), -1: ("▼", "looser")}
CHANGES: Final = 12  # latest changes of state on the page

RANGES: Final = {"1 year": 1, "2 years": 2, "5 years": 5, "10 years": 10, "all": 0}  # of the charts
SECTIONS: Final = {
    "desk": "Index", "charts": "Charts", "asof": "As of", "signals": "Signals", "changes": "Changes",
    "revisions": "Revisions", "events": "Events", "followed": "What followed", "claims": "Claims",
    "dictionary": "Dictionary", "assumptions": "Assumptions",
}  # fmt: skip

_QUERIES: Final = {
    "index": """
        select * from marts.tightness_daily
        qualify row_number() over (partition by metal order by as_of_date desc) = 1 order by metal""",
    "history": """
        select metal, as_of_date, columns('^tightness_index(_v2)?$')
        from marts.tightness_daily order by metal, as_of_date""",
    "parts": """
        select
            parts.metal, signal_version, parts.as_of_date, component, family, value, score, weight, contribution,
            max(obs_date) as obs_end, max_by(known_from, obs_date) as knowledge_ts
        from signals.signal_contributions as parts join (
            select metal, unnest([
                last, max(as_of_date) filter (as_of_date < last), max(as_of_date) filter (as_of_date <= last - 7)
            ]) as as_of_date
            from (
                select metal, as_of_date, max(as_of_date) over (partition by metal) as last from marts.tightness_daily
            ) group by metal, last
        ) as days using (metal, as_of_date)
        -- Premia are the components that no signal rests on.
        left join vintages.premia on premia.metal = parts.metal and component = 'premium_' || lower(premia.region)
            and known_from <= parts.as_of_ts and parts.as_of_ts < known_to
        where signal_id like '%.TIGHTNESS.INDEX'
        group by all
        order by parts.metal, signal_version, contribution desc nulls last, component""",
    "signals": """
        select latest.*, metric_id, entity, description, formula, parameters, previous.obs_end_max as previous_obs_end
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


# Name, table and text of every column, and every signal with its formula.
_DICTIONARY: Final = """
    select column_name, schema_name || '.' || table_name, coalesce(comment, ''), ''
    from duckdb_columns() where database_name = current_database() and not internal and schema_name <> 'vintages'
    union all
    select signal_id, 'signal ' || signal_version, coalesce(description, ''), concat_ws(' · ', formula, parameters)
    from signals.signal_dictionary order by all"""


@dataclass(frozen=True)
class Content:
    """The values of a page."""

    manifest: Mapping[str, Any]
    tables: Mapping[str, Sequence[Row]]  # by name of their query
    assumptions: Sequence[Row]  # name, metal, value, unit, valid_from, source
    charts: Sequence[Drawn]
    states: Mapping[str, Any]  # signals and claims at every decision time
    revisions: past.Revisions
    dictionary: Sequence[Sequence[str]]
    followed: Mapping[str, str]  # SVG images of the evaluation, by title


def read(con: duckdb.DuckDBPyConnection, manifest: Mapping[str, Any], assumptions: Sequence[Row]) -> Content:
    """What the report shows of a published database."""
    synthetic = bool(manifest.get("synthetic"))
    return Content(
        manifest,
        {name: fetch_rows(con, query) for name, query in _QUERIES.items()},
        assumptions,
        charts.read(con, synthetic=synthetic),
        past.states(con),
        past.revisions(con, synthetic=synthetic),
        con.execute(_DICTIONARY).fetchall(),
        evaluation_plots.charts(con, synthetic=synthetic),
    )


def key(manifest: Mapping[str, Any], assumptions: Sequence[Row]) -> str:
    """A hash of all that the page depends on: release, assumptions, the code of this package and the charts' script."""
    code = [path.read_bytes() for path in sorted(FOLDER.iterdir()) if path.is_file()]
    facts = [manifest["release_id"], script_version(), *([str(value) for value in row.values()] for row in assumptions)]
    return hashlib.sha256(b"".join([*code, json.dumps(facts).encode()])).hexdigest()


def is_current(page: Path, key: str) -> bool:
    """True when a page was rendered from what has this key."""
    try:
        with page.open("rb") as file:
            return f'<meta name="content-key" content="{key}">'.encode() in file.read(KEY_BYTES)
    except OSError:
        return False


def render(content: Content, vega: str) -> str:
    """The page as HTML. `vega`: the script of the charts."""
    manifest, tables = content.manifest, content.tables
    history: dict[str, list[Row]] = {}
    for row in tables["history"]:
        history.setdefault(row["metal"], []).append(row)
    computed = datetime.fromisoformat(manifest["computed_ts"])
    scripts = [vega, (FOLDER / "report.js").read_text(encoding="utf-8")]
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
        charts=content.charts,
        revisions=content.revisions,
        followed={title: data_url(image) for title, image in content.followed.items()},
        about={
            "release": manifest["release_id"],
            "knowledge to": _when(manifest.get("knowledge_ts_max")),
            "computed": _when(manifest.get("computed_ts")),
            "profile": manifest.get("profile"),
            "commit": (manifest.get("git_commit") or "")[:12],
        },
        data=charts.compressed(_data(content)),
        style=Markup((FOLDER / "report.css").read_text(encoding="utf-8")),
        scripts=[Markup(script) for script in scripts],
        key=key(manifest, content.assumptions),
        policy=" ".join(f"'sha256-{_sha256(script)}'" for script in scripts),
        sections=SECTIONS,
        ranges=RANGES,
        regimes=REGIMES,
        verdicts=VERDICTS,
        directions=DIRECTIONS,
    )


def _data(content: Content) -> dict[str, Any]:
    """What `report.js` reads."""
    signals = [
        signal | {"name": f"{signal['metal']} {desk.name(signal['signal_id'])}"}
        for signal in content.states.get("signals", ())
    ]
    return {
        "charts": [
            {"id": chart.id, "spec": chart.spec, "fields": chart.fields, "columns": chart.columns}
            for chart in [*content.charts, *content.revisions.drawn]
        ],
        "states": {**content.states, "signals": signals},
        "dictionary": content.dictionary,
    }


def _sha256(script: str) -> str:
    return b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: "" if value is None else value,
    )
    environment.filters |= {
        "number": _number,
        "fixed": _fixed,
        "when": _when,
        "label": desk.label,
        "group": desk.group,
        "shown": desk.shown,
    }
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
