"""Interactive charts of the report: Vega-Lite specifications as plain dictionaries, and their rows packed by column.

Pure but for `read`. Plain dictionaries, because `altair` takes a third of a second to import at each run; a test
validates each of them with it. `report.js` draws them.
"""

from __future__ import annotations

import gzip
import json
import re
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from pipelines.publish.plots import REGIMES, STAMP

if TYPE_CHECKING:
    import duckdb

EPOCH: Final = "date '1970-01-01'"  # days are counted from it


@dataclass(frozen=True)
class Mark:
    """One series: an SQL expression over columns of the table, and how it is drawn."""

    name: str
    sql: str
    label: str
    colour: str = ""  # a variable of the page's style; "" for a value that is only read, not drawn
    kind: str = "line"  # line, area, bar or point
    decimals: int = 1
    opacity: float = 1
    dash: tuple[int, ...] = ()
    base: str | None = None  # another mark, on which this one stands


@dataclass(frozen=True)
class Chart:
    """A chart of one table, for each metal, and each value of `by`."""

    id: str
    title: str
    table: str  # schema.name
    day: str
    axis: str  # unit and quantity of the y axis
    marks: Sequence[Mark]
    known: str = "knowledge_ts_max"
    by: str = ""
    words: tuple[str, ...] = ()  # columns of text that are read with the values
    bands: bool = False  # the regime behind the lines
    domain: tuple[float, float] | None = None
    where: str = "true"


@dataclass(frozen=True)
class Drawn:
    """A chart with its data, by column."""

    id: str
    title: str
    legend: Sequence[tuple[str, str]]  # label and colour
    fields: Sequence[tuple[str, str, int]]  # name, label with unit, decimals
    spec: Mapping[str, Any]
    columns: Mapping[str, Any]


def _families(suffix: str, families: Sequence[tuple[str, str]]) -> tuple[Mark, ...]:
    marks, below = [], None
    for family, colour in families:
        name = f"contrib_{family}{suffix}"
        marks.append(Mark(name, name, family, colour, "area", opacity=0.75, base=below))
        below = name
    return tuple(marks)


CHARTS: Final[Sequence[Chart]] = (
    Chart(
        "index", "tightness index and regime", "marts.tightness_daily", "as_of_date", "index, points",
        (
            Mark("tightness_index", "tightness_index", "index v1", "ink"),
            Mark("tightness_index_v2", "tightness_index_v2", "index v2", "violet"),
        ),
        words=("regime", "regime_v2"), bands=True, domain=(0, 100),
    ),
    Chart(
        "difference", "where the two versions of the index differ", "marts.tightness_daily", "as_of_date",
        "v2 less v1, points",
        (Mark("difference", "tightness_index_v2 - tightness_index", "v2 less v1", "violet", "area", opacity=0.6),),
    ),
    Chart(
        "contributions", "contributions to index v1", "marts.tightness_daily", "as_of_date", "points",
        _families("", (("curve", "blue"), ("inventory", "orange"), ("flow", "teal"))), domain=(0, 100),
    ),
    Chart(
        "contributions-v2", "contributions to index v2", "marts.tightness_daily", "as_of_date", "points",
        _families("_v2", (("curve", "blue"), ("stock", "orange"), ("flow", "teal"), ("physical", "violet"))),
        domain=(0, 100),
    ),
    Chart(
        "price", "price", "marts.price_daily", "obs_date", "price, USD/t",
        (
            Mark("m3", "m3_usd_t", "three months, USD/t", "blue", decimals=0),
            Mark("cash", "cash_usd_t", "cash, USD/t", "ink", decimals=0),
        ),
    ),
    Chart(
        "spread", "cash less three months", "marts.price_daily", "obs_date", "spread, USD/t",
        (Mark("spread", "cash_3m_spread_usd_t", "USD/t, above 0 backwardation", "orange", "area", opacity=0.7),),
    ),
    Chart(
        "stock", "registered stock and cancelled warrants", "marts.inventory_daily", "as_of_date", "stock, kt",
        (
            Mark("total", "total_t / 1000", "registered, kt", "blue", "area", opacity=0.35),
            Mark("cancelled", "cancelled_t / 1000", "of which cancelled, kt", "orange", "area", opacity=0.75),
            Mark("ratio", "cancelled_ratio * 100", "cancelled, %"),
        ),
    ),
    Chart(
        "visible", "visible stock at month-end", "marts.inventory_visible_monthly", "period_end", "stock, kt",
        (
            Mark("registered", "registered_t / 1000", "registered, kt", "blue", "bar"),
            Mark("offwarrant", "offwarrant_t / 1000", "off-warrant, kt", "orange", "bar", base="registered"),
            Mark("visible", "visible_t / 1000", "visible, kt"),
        ),
        known="knowledge_ts", words=("lowest_since",),
    ),
    Chart(
        "power", "power against a smelter's break-even", "marts.smelter_margin_daily", "as_of_date", "USD/MWh",
        (
            Mark("breakeven", "breakeven_power_usd_mwh", "break-even power, USD/MWh", "teal"),
            Mark("power", "power_usd_mwh_30d", "day-ahead, mean of 30 days, USD/MWh", "orange"),
            Mark("margin", "margin_usd_t", "margin, USD/t", decimals=0),
        ),
        by="zone",
    ),
)  # fmt: skip


def read(connection: duckdb.DuckDBPyConnection, *, synthetic: bool, charts: Sequence[Chart] = CHARTS) -> list[Drawn]:
    """The charts of every metal with rows. A mark whose columns the release does not have is left out."""
    columns = columns_of(connection)
    found: list[Drawn] = []
    for chart in charts:
        there = columns.get(chart.table, set())
        marks = [mark for mark in chart.marks if set(re.findall(r"[a-z]\w*", mark.sql)) <= there]
        words = [word for word in chart.words if word in there]
        if any(mark.colour for mark in marks):
            found += _of_metals(connection, chart, marks, words, synthetic)
    return sorted(found, key=lambda drawn: drawn.title.partition(":")[0])


def columns_of(connection: duckdb.DuckDBPyConnection) -> dict[str, set[str]]:
    """The columns of each table of a published database, by schema.table."""
    columns: dict[str, set[str]] = {}
    for table, column in connection.execute(
        "select schema_name || '.' || table_name, column_name from duckdb_columns() "
        "where database_name = current_database() and not internal"
    ).fetchall():
        columns.setdefault(table, set()).add(column)
    return columns


def packed(values: Sequence[Any]) -> Any:
    """A column for JSON: as it is, or as runs of equal values where that is shorter."""
    runs = [(value, len(list(run))) for value, run in groupby(values)]
    if 2 * len(runs) < len(values):
        return {"v": [value for value, _ in runs], "n": [n for _, n in runs]}
    return list(values)


def packed_days(days: Sequence[int]) -> dict[str, Any]:
    """Days as the distance of each from the one before, the first one from 1970-01-01."""
    return {"d": packed([after - before for before, after in zip([0, *days], days, strict=False)])}


def compressed(content: object) -> str:
    """JSON as base64 of gzip: the same text for the same content. It holds no character that ends a script."""
    text = json.dumps(content, separators=(",", ":"), allow_nan=False)
    return b64encode(gzip.compress(text.encode(), compresslevel=4, mtime=0)).decode()


def _of_metals(
    connection: duckdb.DuckDBPyConnection, chart: Chart, marks: Sequence[Mark], words: Sequence[str], synthetic: bool
) -> Iterator[Drawn]:
    by = chart.by or "''"
    values = ", ".join([*words, *(f"round({mark.sql}, {mark.decimals}) as {mark.name}" for mark in marks)])
    rows = connection.execute(
        f"select metal, {by}, {chart.day} - {EPOCH}, epoch({chart.known})::bigint // 60, {values} "
        f"from {chart.table} where {chart.where} order by 1, 2, 3"
    ).fetchall()
    for (metal, part), group in groupby(rows, lambda row: (row[0], row[1])):
        _, _, days, known, *columns = zip(*group, strict=True)
        names = [*words, *(mark.name for mark in marks)]
        data = {name: [None if v != v else v for v in column] for name, column in zip(names, columns, strict=True)}
        if all(value is None for mark in marks if mark.colour for value in data[mark.name]):
            continue
        yield Drawn(
            "-".join(filter(None, (chart.id, metal, part))),
            f"{metal}: {chart.title}{f', {part}' if part else ''}",
            [(mark.label, mark.colour) for mark in marks if mark.colour],
            [*((word, word.replace("_", " "), -1) for word in words), *((m.name, m.label, m.decimals) for m in marks)],
            specification(chart, marks, synthetic=synthetic),
            {"t": packed_days(days), "known": packed(known)} | {name: packed(column) for name, column in data.items()},
        )


def frame(synthetic: bool) -> dict[str, Any]:
    """What every specification begins with: the rows, the width of the page, the stamp of generated data."""
    stamp = {"text": STAMP, "anchor": "end", "color": "--red", "fontSize": 11, "fontWeight": "bold"}
    return {"data": {"name": "rows"}, "width": "container", **({"title": stamp} if synthetic else {})}


def specification(chart: Chart, marks: Sequence[Mark], *, synthetic: bool) -> dict[str, Any]:
    """The chart in Vega-Lite: its rows are the data set `rows`, its regimes `bands`, the day that is read `reading`.

    Colours are variables of the page's style, which `report.js` replaces. A drag or shift and the wheel change the
    extent of the x axis.
    """
    x = {"field": "t", "type": "temporal", "scale": {"type": "utc"}, "axis": {"title": None, "grid": False}}
    scale: dict[str, Any] = {"zero": any(mark.kind != "line" for mark in marks if mark.colour)}
    if chart.domain:
        scale = {"domain": list(chart.domain)}
    y = {"type": "quantitative", "title": chart.axis, "scale": scale}
    layers: list[dict[str, Any]] = []
    if chart.bands:
        colour = {"domain": list(REGIMES), "range": list(REGIMES.values())}
        layers.append(
            {
                "data": {"name": "bands"},
                "mark": {"type": "rect", "opacity": {"expr": "bandOpacity"}},
                "encoding": {
                    "x": x | {"field": "from"},
                    "x2": {"field": "to"},
                    "color": {"field": "regime", "type": "nominal", "scale": colour, "legend": None},
                },
            }
        )
    transform: list[dict[str, str]] = []
    tops: dict[str, str] = {}
    for mark in marks:
        if not mark.colour:
            continue
        encoding: dict[str, Any] = {"x": x, "y": y | {"field": mark.name}}
        if mark.kind in {"area", "bar"}:
            encoding["y2"] = {"datum": 0}
        if mark.base:
            below, tops[mark.name] = tops.get(mark.base, mark.base), f"top_{mark.name}"
            transform.append({"calculate": f"datum['{below}'] + datum['{mark.name}']", "as": tops[mark.name]})
            encoding |= {"y": y | {"field": tops[mark.name]}, "y2": {"field": below}}
        drawn = {"type": mark.kind, "color": f"--{mark.colour}", "opacity": mark.opacity, "clip": True}
        if mark.kind == "line":
            drawn |= {"strokeWidth": 1.6} | ({"strokeDash": list(mark.dash)} if mark.dash else {})
        layers.append({"mark": drawn, "encoding": encoding})
    layers[0]["params"] = [
        {
            "name": "zoom",
            "select": {
                "type": "interval",
                "encodings": ["x"],
                "translate": "[mousedown, window:mouseup] > window:mousemove!",
                "zoom": "wheel![event.shiftKey]",
            },
            "bind": "scales",
        }
    ]
    layers.append(
        {
            "transform": [{"filter": "datum.t === reading"}],
            "mark": {"type": "rule", "color": "--ink", "strokeDash": [3, 3]},
            "encoding": {"x": x},
        }
    )
    return {
        **frame(synthetic),
        "params": [{"name": "reading", "value": None}, {"name": "bandOpacity", "value": 1}],
        "height": 240,
        **({"transform": transform} if transform else {}),
        "layer": layers,
    }
