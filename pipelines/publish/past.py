"""Past states for the report: signals and claims at every decision time, and figures after each publisher's release.

Pure but for the functions that read. Only changes are kept: a value holds until the next one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from pipelines.publish.charts import EPOCH, Drawn, columns_of, frame, packed, packed_days
from pipelines.warehouse.sql import Row, fetch_rows

if TYPE_CHECKING:
    import duckdb

MONTHS: Final = 36  # periods in a picture of revisions
# Monthly figures that publishers revise: title, table, value in the unit, unit, and what tells apart series of a metal.
REVISED: Final = (
    ("exports", "vintages.exports", "exports_kt", "kt", "country"),
    ("output", "vintages.production", "production_kt", "kt", "country"),
    ("off-warrant stock", "vintages.off_warrant", "offwarrant_t / 1000", "kt", "''"),
    ("registered stock at month-end", "vintages.off_warrant", "registered_month_end_t / 1000", "kt", "''"),
)
_CHANGES: Final = """
    select {key}, list(day order by day) as days, list(v order by day) as v, list(s order by day) as s
    from (
        select * from ({rows})
        qualify row_number() over (partition by {key} order by day) = 1
            or (v, s) is distinct from lag((v, s)) over (partition by {key} order by day)
    ) group by all order by all"""
_ROUNDED: Final = (
    "case when unit in ('ratio', 'ln') then round({0}, 4) when unit = 't' then round({0}) else round({0}, 2) end"
)


@dataclass(frozen=True)
class Cell:
    """The figure of a period that held after a release of its publisher."""

    release: date
    period: date
    value: float
    first: float  # the figure of the period's first release
    known: datetime
    is_new: bool  # the release had it, for the first time or revised


def states(connection: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    """Signals and claims: for each the decision days on which value or state changed, with the new ones."""
    signals = f"""
        select signal_id, signal_version, metal, unit, as_of_date - {EPOCH} as day,
            arg_max_null({_ROUNDED.format("value")}, revision_no) as v, arg_max_null(state, revision_no) as s
        from signals.signals group by all"""
    claims = f"""
        select claim_id, metal, unit, as_of_date - {EPOCH} as day, claim_text,
            {_ROUNDED.format("evidence_value")} as v, status as s
        from signals.claim_audit"""
    found: dict[str, Any] = {}
    for name, rows, key in (
        ("signals", signals, "signal_id, signal_version, metal, unit"),
        ("claims", claims, "claim_id, metal, unit, claim_text"),
    ):
        changes = fetch_rows(connection, _CHANGES.format(key=key, rows=rows))
        found[name] = [
            row | {"days": packed_days(row["days"]), "v": packed(row["v"]), "s": packed(row["s"])} for row in changes
        ]
    days = connection.execute(f"select distinct as_of_date - {EPOCH} from marts.tightness_daily order by 1").fetchall()
    return {"days": packed_days([day for (day,) in days]), **found}


def revisions(connection: duckdb.DuckDBPyConnection, *, synthetic: bool) -> tuple[list[Drawn], list[Row]]:
    """A picture for each series of monthly figures, and the largest revisions of them all."""
    there = columns_of(connection)
    drawn: list[Drawn] = []
    largest: list[Row] = []
    for title, table, value, unit, series in REVISED:
        if table not in there:
            continue
        rows = connection.execute(
            f"select metal, {series}, period_end, known_from, {value} as v from {table} where v is not null "
            "order by 1, 2, 4, 3"
        ).fetchall()
        for (metal, name), group in groupby(rows, lambda row: (row[0], row[1])):
            cells = figures_by_release([row[2:] for row in group])
            label = f"{metal}: {title}{f', {name}' if name else ''}"
            if cells:
                drawn.append(_drawn(f"revisions-{len(drawn)}", label, unit, cells, synthetic))
                largest += [_revision(label, unit, cell) for cell in cells if cell.is_new and cell.value != cell.first]
    return drawn, sorted(largest, key=lambda row: -abs(row["change"]))[:12]


def figures_by_release(vintages: Sequence[tuple[date, datetime, float]]) -> list[Cell]:
    """For each release, the figure of every period that was known: period, known from and value, by known from.

    A release is the day on which vintages became known. The periods are the last MONTHS.
    """
    periods = set(sorted({period for period, _, _ in vintages})[-MONTHS:])
    kept = [row for row in vintages if row[0] in periods]
    held: dict[date, tuple[float, float, datetime]] = {}  # latest and first figure, and since when
    cells = []
    for release, group in groupby(kept, lambda row: row[1].date()):
        new = set()
        for period, known, value in group:
            first = held[period][1] if period in held else value
            held[period] = (value, first, known)
            new.add(period)
        cells += [
            Cell(release, period, value, first, known, period in new)
            for period, (value, first, known) in sorted(held.items())
        ]
    return cells


def _drawn(name: str, title: str, unit: str, cells: Sequence[Cell], synthetic: bool) -> Drawn:
    columns: dict[str, list[Any]] = {
        "release": [f"{cell.release}" for cell in cells],
        "period": [f"{cell.period:%Y-%m}" for cell in cells],
        "value": [round(cell.value, 3) for cell in cells],
        "change": [round(100 * _change(cell), 2) for cell in cells],
        "known": [f"{cell.known:%Y-%m-%d %H:%M} UTC" for cell in cells],
        "is_new": [cell.is_new for cell in cells],
    }
    most = max([abs(change) for change in columns["change"]], default=0) or 1
    return Drawn(
        name, title, [], [], heatmap(unit, most, synthetic=synthetic), {k: packed(v) for k, v in columns.items()}
    )


def heatmap(unit: str, most: float, *, synthetic: bool) -> dict[str, Any]:
    """Releases from left to right, periods from top to bottom, coloured by the change against the first figure."""
    x = {"field": "release", "type": "ordinal", "axis": {"title": "release", "labelOverlap": True, "labelAngle": -45}}
    y = {"field": "period", "type": "ordinal", "axis": {"title": None, "labelOverlap": True}}
    scale = {"domain": [-most, 0, most], "range": ["#2b7bba", "#d9dde0", "#d9601a"]}
    return {
        **frame(synthetic),
        "height": {"step": 11},
        "mark": {"type": "rect", "stroke": "--ink"},
        "encoding": {
            "x": x,
            "y": y,
            "color": {
                "field": "change",
                "type": "quantitative",
                "scale": scale,
                "legend": {"title": "% against the first figure", "orient": "bottom", "gradientLength": 160},
            },
            "opacity": {"condition": {"test": "datum.is_new", "value": 1}, "value": 0.45},
            "strokeWidth": {"condition": {"test": "datum.is_new && datum.change !== 0", "value": 1.2}, "value": 0},
            "tooltip": [
                {"field": "period", "title": "period"},
                {"field": "release", "title": "after the release of"},
                {"field": "value", "type": "quantitative", "title": f"figure, {unit}"},
                {"field": "change", "type": "quantitative", "title": "against the first, %"},
                {"field": "known", "title": "known from"},
            ],
        },
    }


def _revision(title: str, unit: str, cell: Cell) -> Row:
    return {
        "title": title, "period": f"{cell.period:%Y-%m}", "first": cell.first, "value": cell.value, "unit": unit,
        "change": _change(cell), "known": cell.known,
    }  # fmt: skip


def _change(cell: Cell) -> float:
    return cell.value / cell.first - 1 if cell.first else 0.0
