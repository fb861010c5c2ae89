"""The report of a release: one page that carries everything with it and opens from a file.

Pure but for `read`: the page follows from the published database, its manifest, the assumptions and the pictures, so
that one release has one report. All text is escaped, and the page's own policy lets it load nothing.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape
from pathlib import Path
from typing import Any, Final

from pipelines.publish.plots import REGIMES

Row = Mapping[str, Any]
FAMILIES: Final = {"curve": "#1f6fb2", "inventory": "#c8641b", "flow": "#13877b"}
VERDICTS: Final = {"SUPPORTED": "good", "CONTRADICTED": "bad", "PARTIAL": "warn"}
ARROWS: Final = {1: "▲", 0: "", -1: "▼"}
CHANGES: Final = 12  # how many of the latest changes of state are shown

_QUERIES: Final = {
    "index": """
        select metal, as_of_date, tightness_index, regime, regime_status, coverage, contrib_curve, contrib_inventory,
            contrib_flow, knowledge_ts_max
        from marts.tightness_daily qualify row_number() over (partition by metal order by as_of_date desc) = 1
        order by metal""",
    "parts": """
        select metal, component, family, value, score, weight, contribution
        from signals.signal_contributions where signal_id like '%.TIGHTNESS.INDEX'
        qualify dense_rank() over (partition by metal order by as_of_ts desc) = 1
        order by metal, contribution desc nulls last""",
    "signals": """
        select latest.*, dictionary.description, dictionary.formula
        from signals.signals_latest as latest left join (
            select * from signals.signal_dictionary
            qualify row_number() over (partition by signal_id order by valid_from desc) = 1
        ) as dictionary using (signal_id)
        order by signal_id""",
    "claims": """
        select * from signals.claim_audit
        qualify row_number() over (partition by claim_id order by as_of_ts desc) = 1 order by claim_id""",
    "changes": f"""
        select as_of_date, signal_id, prev_state, state, direction from signals.signal_transitions
        order by as_of_ts desc, signal_id limit {CHANGES}""",
}


@dataclass(frozen=True)
class Content:
    """What a report shows. `tables` is what `read` gives; `pictures` are PNGs by what they show."""

    manifest: Mapping[str, Any]
    tables: Mapping[str, Sequence[Row]]
    assumptions: Sequence[Row]  # name, metal, value, unit, valid_from, source
    pictures: Mapping[str, bytes]


def read(database: Path) -> dict[str, list[Row]]:
    """The rows of a published database that the report shows."""
    import duckdb

    with duckdb.connect(str(database), read_only=True) as connection:
        connection.execute("set TimeZone = 'UTC'")
        found: dict[str, list[Row]] = {}
        for name, query in _QUERIES.items():
            cursor = connection.execute(query)
            columns = [column[0] for column in cursor.description or ()]
            found[name] = [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]
        return found


def render(content: Content) -> str:
    """The page."""
    manifest, tables = content.manifest, content.tables
    synthetic = bool(manifest.get("synthetic"))
    banner = "<p class=banner role=note><b>SYNTHETIC DEMO DATA</b> — a generated market, not real prices or stocks.</p>"
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            '<meta http-equiv="Content-Security-Policy" '
            "content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">",
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            f"<title>Metal Tightness{' (SYNTHETIC)' if synthetic else ''}: {_text(manifest['release_id'])}</title>",
            f"<style>{_STYLE}</style></head><body>",
            banner if synthetic else "",
            "<header><h1>Metal Tightness</h1>"
            f"<p>What was known by <b>{_when(manifest.get('knowledge_ts_max'))}</b> · release "
            f"<code>{_text(manifest['release_id'])}</code></p></header><main>",
            *(
                _index(row, [part for part in tables["parts"] if part["metal"] == row["metal"]])
                for row in tables["index"]
            ),
            _section("Pictures", "The last five years.", _pictures(content.pictures)),
            _section("Signals", "The newest row of each.", _signals(tables["signals"])),
            _section("Latest changes of state", "", _changes(tables["changes"])),
            _section("Claims", "Written claims held against what was known.", _claims(tables["claims"])),
            _section(
                "Assumptions", "Numbers that no one has measured for us: change them.", _given(content.assumptions)
            ),
            "</main>",
            _footer(manifest),
            "</body></html>\n",
        ]
    )


# --- parts of the page ------------------------------------------------------------------------------------------------


def _index(row: Row, parts: Sequence[Row]) -> str:
    index, regime = row["tightness_index"], str(row["regime"])
    shares = {family: row[f"contrib_{family}"] for family in FAMILIES}
    bar = "".join(
        f'<i style="width:{max(0.0, float(share)):.2f}%;background:{colour}" title="{family} {float(share):.1f}"></i>'
        for (family, colour), share in zip(FAMILIES.items(), shares.values(), strict=True)
        if share is not None
    )
    legend = "".join(
        f'<li><i style="background:{colour}"></i>{family} <b>{_number(shares[family])}</b></li>'
        for family, colour in FAMILIES.items()
    )
    table = _table(
        ("component", "family", "value#", "score#", "weight of family#", "points#"),
        [
            (
                _text(p["component"]),
                _text((p["family"] or "").lower()),
                *(_number(p[name]) for name in ("value", "score", "weight", "contribution")),
            )
            for p in parts
        ],
    )
    status = "" if row["regime_status"] == "OK" else f" · {_text(row['regime_status'])}"
    return (
        f"<section class=hero><div class=now><h2>{_text(row['metal'])}</h2><p class=big>{_number(index)}</p>"
        f'<p>tightness index, points of 100</p><p><span class=regime style="background:{REGIMES.get(regime, "#eee")}">'
        f"{_text(regime)}</span></p><p class=dim>{_text(row['as_of_date'])}{status} · coverage "
        f"{_number(row['coverage'])}</p></div>"
        f'<div class=parts><h3>What it is made of</h3><div class=bar role=img aria-label="contributions of '
        f'the families">{bar}</div><ul class=legend>{legend}</ul>{table}</div></section>'
    )


def _pictures(pictures: Mapping[str, bytes]) -> str:
    shown = "".join(
        f'<figure><img alt="{_text(name)}" src="data:image/png;base64,{b64encode(png).decode()}"></figure>'
        for name, png in pictures.items()
    )
    return f"<div class=pictures>{shown}</div>" if shown else "<p class=dim>None could be drawn.</p>"


def _signals(rows: Sequence[Row]) -> str:
    return _table(
        ("signal", "value#", "unit", "score#", "state~", "since~", "as of~", "quality"),
        [
            (
                f"<b>{_text(row['signal_id'])}</b><small>{_text(row.get('description'))}</small>",
                _number(row["value"]),
                _text(row["unit"]),
                _number(row["score"]),
                f"{_text(row['state'])} <span class=arrow>{ARROWS.get(row['direction'], '')}</span>",
                _text(row["state_since"]),
                _text(row["as_of_date"]),
                _pill(row["quality"], "good" if row["quality"] == "OK" else "warn"),
            )
            for row in rows
        ],
    )


def _changes(rows: Sequence[Row]) -> str:
    return _table(
        ("day~", "signal", "from", "to"),
        [
            (
                _text(row["as_of_date"]),
                f"<b>{_text(row['signal_id'])}</b>",
                _text(row["prev_state"]),
                f"{_text(row['state'])} <span class=arrow>{ARROWS.get(row['direction'], '')}</span>",
            )
            for row in rows
        ],
    )


def _claims(rows: Sequence[Row]) -> str:
    return _table(
        ("claim", "how it is understood", "verdict", "evidence", "known since~"),
        [
            (
                f"<b>{_text(row['claim_id'])}</b><small>{_text(row['claim_text'])}</small>",
                _text(row["definition"]),
                _pill(row["status"], VERDICTS.get(row["status"], "")),
                f"{_text(row['explanation'])}<small>{_text(row['evidence_obs_date'])}</small>",
                _when(row["evidence_knowledge_ts"]),
            )
            for row in rows
        ],
    )


def _given(rows: Sequence[Row]) -> str:
    table = _table(
        ("assumption", "metal", "value#", "unit", "from~", "why"),
        [
            (
                f"<b>{_text(row['name'])}</b>",
                _text(row["metal"]),
                _number(row["value"]),
                *(_text(row[name]) for name in ("unit", "valid_from", "source")),
            )
            for row in rows
        ],
    )
    return f"<details><summary>{len(rows)} assumptions</summary>{table}</details>"


def _footer(manifest: Mapping[str, Any]) -> str:
    about = {
        "release": manifest["release_id"],
        "knowledge to": _when(manifest.get("knowledge_ts_max")),
        "computed": _when(manifest.get("computed_ts")),
        "profile": manifest.get("profile"),
        "commit": (manifest.get("git_commit") or "")[:12],
    }
    items = "".join(f"<dt>{name}</dt><dd>{_text(value)}</dd>" for name, value in about.items() if value)
    return f"<footer><dl>{items}</dl><p>Not advice to buy or sell anything.</p></footer>"


def _section(title: str, lead: str, body: str) -> str:
    return f"<section><h2>{title}</h2>{f'<p class=dim>{lead}</p>' if lead else ''}{body}</section>"


def _table(columns: Iterable[str], rows: Iterable[Sequence[str]]) -> str:
    """Rows of cells that are HTML already; a column that ends in # holds numbers, one that ends in ~ is not broken."""
    names = list(columns)
    head = "".join(f"<th{_class(name)}>{name.rstrip('#~')}</th>" for name in names)
    body = "".join(
        "<tr>" + "".join(f"<td{_class(n)}>{cell}</td>" for n, cell in zip(names, row, strict=True)) + "</tr>"
        for row in rows
    )
    return f"<div class=wide><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"


def _class(name: str) -> str:
    return {"#": " class=n", "~": " class=d"}.get(name[-1], "")


def _pill(text: object, kind: str) -> str:
    return f'<span class="pill {kind}">{_text(text)}</span>'


def _text(value: object) -> str:
    return "" if value is None else escape(str(value), quote=True)


def _number(value: Any) -> str:
    if value is None or value != value:
        return ""
    number = float(value)
    if number and abs(number) < 1:
        return f"{number:.3g}"
    return f"{number:,.0f}" if abs(number) >= 1000 or number == round(number) else f"{number:,.1f}"


def _when(value: Any) -> str:
    if value is None:
        return ""
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    return f"{moment:%Y-%m-%d %H:%M} UTC"


_STYLE: Final = """
:root{--page:#f6f6f3;--card:#fff;--ink:#22303f;--dim:#66727f;--line:#e3e5e6;--good:#dcefe2;--goodink:#17613a;
--bad:#f8dcda;--badink:#8d1f1a;--warn:#fbeccb;--warnink:#7a5200;--code:#eef0f1}
@media (prefers-color-scheme:dark){:root{--page:#12161b;--card:#1b2128;--ink:#e4e8ec;--dim:#9aa5b1;--line:#2c343d;
--good:#173a28;--goodink:#8fdcae;--bad:#4a1f1f;--badink:#f3aaa5;--warn:#43351a;--warnink:#f0cd86;--code:#262e37}
.pictures img{filter:invert(.895) hue-rotate(180deg)}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
header,main,footer{max-width:1180px;margin:0 auto;padding:0 20px}
header{padding-top:26px}h1{margin:0;font-size:26px;letter-spacing:-.01em}header p{margin:2px 0 0;color:var(--dim)}
h2{font-size:18px;margin:0 0 2px}h3{font-size:14px;margin:0 0 10px;color:var(--dim);font-weight:600}
code{background:var(--code);padding:1px 5px;border-radius:4px;font-size:.92em}
.banner{margin:0;padding:8px 20px;text-align:center;background:#b8323c;color:#fff;position:sticky;top:0;z-index:2}
section{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:18px 20px;margin:18px 0}
.dim{color:var(--dim);margin:0 0 12px}.hero{display:grid;grid-template-columns:230px 1fr;gap:28px}
.now p{margin:0;color:var(--dim)}.now .big{font-size:64px;line-height:1.1;font-weight:700;color:var(--ink)}
.regime{display:inline-block;margin:10px 0 8px;padding:3px 14px;border-radius:99px;font-weight:700;color:#22303f}
.bar{height:18px;border-radius:9px;background:var(--code);overflow:hidden;display:flex}.bar i{display:block;height:100%}
.legend{list-style:none;display:flex;flex-wrap:wrap;gap:4px 20px;margin:8px 0 12px;padding:0;font-size:14px}
.legend i{display:inline-block;width:10px;height:10px;border-radius:3px;margin-right:6px}
.pictures{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,480px),1fr));gap:16px}
figure{margin:0}.pictures img{width:100%;height:auto;display:block;border:1px solid #e3e5e6;border-radius:8px}
.wide{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:14px}
th{text-align:left;font-weight:600;color:var(--dim);font-size:12px;white-space:nowrap}
th,td{padding:6px 12px 6px 0;border-bottom:1px solid var(--line);vertical-align:top}
tbody tr:last-child td{border-bottom:0}.d{white-space:nowrap}.parts{min-width:0}
@media (min-width:1040px){figure:first-child:nth-last-child(odd){grid-column:1/-1}}
.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
td small{display:block;color:var(--dim);font-size:12.5px;line-height:1.4}
td b{font-weight:600}
.arrow{color:var(--dim);font-size:11px}summary{cursor:pointer;color:var(--dim);margin-bottom:8px}
.pill{display:inline-block;padding:1px 9px;border-radius:99px;background:var(--code);font-size:12px;font-weight:600;
white-space:nowrap}.good{background:var(--good);color:var(--goodink)}.bad{background:var(--bad);color:var(--badink)}
.warn{background:var(--warn);color:var(--warnink)}footer{color:var(--dim);font-size:13px;padding-bottom:40px}
dl{display:flex;flex-wrap:wrap;gap:2px 8px;margin:0 0 6px}dt{font-weight:600}dd{margin:0 14px 0 0}
@media (max-width:720px){header,main,footer{padding-left:12px;padding-right:12px}
section{padding:14px;border-radius:10px}
.hero{grid-template-columns:1fr;gap:14px}.now .big{font-size:52px}}
@media print{.banner{position:static}section{break-inside:avoid}}
"""
