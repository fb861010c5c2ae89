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

LARGEST: Final = 12  # revisions in the table
MONTHS: Final = 36  # periods in a picture of revisions
# Monthly figures that publishers revise: title, table, value in the unit, unit, months of a period, name of a series.
REVISED: Final = (
    ("exports", "vintages.exports", "exports_kt", "kt", "period_months", "country"),
    ("output", "vintages.production", "production_kt", "kt", "period_months", "country"),
    ("off-warrant stock", "vintages.off_warrant", "offwarrant_t / 1000", "kt", "1", "''"),
    ("registered stock at month-end", "vintages.off_warrant", "registered_month_end_t / 1000", "kt", "1", "''"),
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
    months: int
    value: float
    first: float  # the figure of the period's first release
    known: datetime
    is_new: bool  # the release had it, for the first time or revised


@dataclass(frozen=True)
class Revisions:
    """Pictures of the revised series, the largest revisions, and the series without any in the last MONTHS."""

    drawn: Sequence[Drawn]
    largest: Sequence[Row]
    unchanged: Sequence[str]


def states(connection: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    """Signals and claims: for each the decision days on which value or state changed, with the new ones."""
    # A revision replaces the one before it.
    signals = f"""
        select signal_id, signal_version, metal, unit, as_of_date - {EPOCH} as day,
            {_ROUNDED.format("value")} as v, state as s
        from signals.signals anti join (
            select signal_id, signal_version, as_of_date, revision_no - 1 as revision_no
            from signals.signals where revision_no > 1
        ) using (signal_id, signal_version, as_of_date, revision_no)"""
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


def revisions(connection: duckdb.DuckDBPyConnection, *, synthetic: bool) -> Revisions:
    """The revisions of every series of monthly figures."""
    there = columns_of(connection)
    drawn: list[Drawn] = []
    largest: list[Row] = []
    unchanged: list[str] = []
    for title, table, value, unit, months, series in REVISED:
        if table not in there:
            continue
        rows = connection.execute(
            f"select metal, {series}, period_end, {months}, known_from, {value} as v from {table} where v is not null "
            "order by 1, 2, 5, 3, 4"
        ).fetchall()
        for (metal, name), group in groupby(rows, lambda row: (row[0], row[1])):
            cells = figures_by_release([row[2:] for row in group])
            label = f"{metal}: {title}{f', {name}' if name else ''}"
            revised = [_revision(label, unit, cell) for cell in cells if cell.is_new and cell.value != cell.first]
            if revised:
                drawn.append(_drawn(f"revisions-{len(drawn)}", label, unit, cells, synthetic))
                largest += revised
            elif cells:
                unchanged.append(label)
    return Revisions(drawn, sorted(largest, key=lambda row: -abs(row["change"]))[:LARGEST], unchanged)


def figures_by_release(vintages: Sequence[tuple[date, int, datetime, float]]) -> list[Cell]:
    """For each release, the figure of every period that was known.

    `vintages`: period, its months, known from and value, by known from. A release is the day on which vintages became
    known. The periods are the last MONTHS.
    """
    periods = set(sorted({row[:2] for row in vintages})[-MONTHS:])
    kept = [row for row in vintages if row[:2] in periods]
    held: dict[tuple[date, int], tuple[float, float, datetime]] = {}  # latest and first figure, and since when
    cells = []
    for release, group in groupby(kept, lambda row: row[2].date()):
        new = set()
        for period, months, known, value in group:
            key = (period, months)
            held[key] = (value, held[key][1] if key in held else value, known)
            new.add(key)
        cells += [
            Cell(release, *key, value, first, known, key in new) for key, (value, first, known) in sorted(held.items())
        ]
    return cells


def _drawn(name: str, title: str, unit: str, cells: Sequence[Cell], synthetic: bool) -> Drawn:
    columns: dict[str, list[Any]] = {
        "release": [f"{cell.release}" for cell in cells],
        "period": [_period(cell) for cell in cells],
        "value": [round(cell.value, 3) for cell in cells],
        "change": [round(100 * _change(cell), 2) for cell in cells],
        "known": [f"{cell.known:%Y-%m-%d %H:%M} UTC" for cell in cells],
        "is_new": [cell.is_new for cell in cells],
    }
    most = max([abs(change) for change in columns["change"]], default=0) or 1
    return Drawn(
        name,
        title,
        [],
        [],
        heatmap(unit, most, len(set(columns["period"])), synthetic=synthetic),
        {k: packed(v) for k, v in columns.items()},
    )


def heatmap(unit: str, most: float, periods: int, *, synthetic: bool) -> dict[str, Any]:
    """Releases from left to right, periods from top to bottom, coloured by the change against the first figure."""
    x = {"field": "release", "type": "ordinal", "axis": {"title": "release", "labelOverlap": True, "labelAngle": -45}}
    y = {"field": "period", "type": "ordinal", "axis": {"title": None, "labelOverlap": True}}
    scale = {"domain": [-most, 0, most], "range": ["#2b7bba", "#d9dde0", "#d9601a"], "interpolate": "rgb"}
    return {
        **frame(synthetic),
        "height": 11 * periods,
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
        "title": title, "period": _period(cell), "first": cell.first, "value": cell.value, "unit": unit,
        "change": _change(cell), "known": cell.known,
    }  # fmt: skip


def _period(cell: Cell) -> str:
    return f"{cell.period:%Y-%m}" + (f" ({cell.months} months)" if cell.months > 1 else "")


def _change(cell: Cell) -> float:
    return cell.value / cell.first - 1 if cell.first else 0.0
