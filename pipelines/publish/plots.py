"""Charts of the marts: pure functions from a frame to an SVG image.

Each has its own background, so that it is readable on a light and on a dark page. An image holds no script and loads
nothing; with whole units and relative coordinates it is some tens of kilobytes, small enough for an event log and for
the report. Written directly: a plotting library takes a second of a daily run, the images a few hundredths.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    import duckdb

YEARS: Final = 5
PART: Final = "part"  # column with the name of a panel
PAPER, INK, FAINT, GRID = "#fcfcfa", "#22303f", "#6a7683", "#e3e6e8"
BLUE, ORANGE, TEAL, RED, VIOLET = "#1f6fb2", "#c8641b", "#13877b", "#b8323c", "#7a4fa3"
# Colours behind the index, by regime.
REGIMES: Final = {
    "LOOSE": "#cfe3f3",
    "NEUTRAL": "#eceef0",
    "TIGHT": "#fbdcb8",
    "SQUEEZE": "#f3b9b5",
    "UNKNOWN": "#fcfcfa",
}
STAMP: Final = "SYNTHETIC DEMO DATA"
# Units of the image: two for each pixel of its usual size.
WIDTH, HEIGHT = 1920, 1008
LEFT, RIGHT, TOP, BOTTOM, BETWEEN = 150, 1810, 140, 950, 50
LABEL, BARS = 22, 0.75  # size of text, opacity


@dataclass(frozen=True)
class Plot:
    """A chart of one table: the columns that it needs and the function that draws it."""

    table: str  # schema.name
    day: str  # column of the x axis
    columns: tuple[str, ...]
    title: str
    draw: Callable[[_Panel, pd.DataFrame], None]
    by: str | None = None  # one panel for each value of this SQL expression


def read(connection: duckdb.DuckDBPyConnection, plot: Plot) -> dict[str, pd.DataFrame]:
    """The rows of a plot by metal, of the last five years, from the warehouse or a published database."""
    columns = ", ".join([*([f"{plot.by} as {PART}"] if plot.by else []), plot.day, *plot.columns])
    rows = connection.execute(
        f"select metal, {columns} from {plot.table} "
        f"where {plot.day} > (select max({plot.day}) - interval {YEARS} year from {plot.table}) order by all"
    ).df()
    return {str(metal): part.drop(columns="metal") for metal, part in rows.groupby("metal")}


def svg(plot: Plot, frame: pd.DataFrame, metal: str, *, synthetic: bool, years: int = YEARS) -> str:
    """The chart of one metal: the last years of the frame. Equal rows give an equal image."""
    rows = recent(frame, plot.day, years)
    parts = [(str(name), part) for name, part in rows.groupby(PART)] if plot.by else [("", rows)]
    parts = parts or [("", rows)]
    height = (BOTTOM - TOP - BETWEEN * (len(parts) - 1)) // len(parts)
    drawn = [svg_text(40, 44, f"{metal}: {plot.title}", INK, 28, weight="bold")]
    days = _ordinals(rows[plot.day]) if len(rows) else np.array([])
    for at, (name, part) in enumerate(parts):
        top = TOP + at * (height + BETWEEN)
        if part.empty:
            drawn.append(svg_text(WIDTH // 2, top + height // 2, "no rows yet", FAINT, LABEL, anchor="middle"))
            continue
        panel = _Panel(_ordinals(part[plot.day]), int(days.min()), int(days.max()), top, top + height)
        plot.draw(panel, part)
        drawn += panel.drawn(with_legend=at == 0, with_dates=at == len(parts) - 1)
        if name:
            drawn.append(svg_text(RIGHT, top - 12, name, FAINT, LABEL, anchor="end"))
    return svg_image(drawn, synthetic)


def svg_image(drawn: Sequence[str], synthetic: bool, height: int = HEIGHT) -> str:
    """An image of SVG elements, as text; shown at half of `height` and of the width. Synthetic data is stamped."""
    stamp = []
    if synthetic:
        turned = f'transform="rotate(-18 {WIDTH // 2} {HEIGHT // 2})" opacity=".16"'
        stamp = [
            svg_text(WIDTH // 2, HEIGHT // 2, STAMP, RED, 76, anchor="middle", more=turned),
            svg_text(WIDTH - 30, 40, STAMP, RED, LABEL, anchor="end", weight="bold"),
        ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH // 2}" '
        f'height="{height // 2}" font-family="DejaVu Sans,Verdana,Helvetica,Arial,sans-serif">'
        f'<rect width="{WIDTH}" height="{height}" fill="{PAPER}"/>{"".join([*drawn, *stamp])}</svg>'
    )


def recent(frame: pd.DataFrame, day: str, years: int = YEARS) -> pd.DataFrame:
    """The rows of the last years in the frame, by day."""
    if frame.empty:
        return frame
    days = pd.to_datetime(frame[day])
    return frame.assign(**{day: days})[days > days.max() - pd.DateOffset(years=years)].sort_values(day)


def data_url(image: str) -> str:
    """The image as an address that holds it."""
    return f"data:image/svg+xml;base64,{b64encode(image.encode()).decode()}"


# --- drawing ----------------------------------------------------------------------------------------------------------

_Values = np.ndarray


@dataclass(frozen=True)
class _Scale:
    """A y axis: values at the bottom and the top of a panel."""

    low: float
    high: float
    label: str
    colour: str = FAINT
    is_right: bool = False


@dataclass
class _Panel:
    """One pair of axes. `days` are ordinals; `first` and `last` of the whole chart; `top`, `bottom` in units."""

    days: _Values
    first: int
    last: int
    top: int
    bottom: int
    scales: list[_Scale] = field(default_factory=list)
    shapes: list[str] = field(default_factory=list)
    legend: list[tuple[str, str, float]] = field(default_factory=list)  # text, colour, opacity; 0 for a line

    def scale(self, label: str, low: float, high: float, colour: str = FAINT, *, right: bool = False) -> _Scale:
        """Add a y axis with these limits."""
        if not (np.isfinite(low) and np.isfinite(high)):
            low, high = 0.0, 1.0
        self.scales.append(_Scale(low, high if high > low else low + 1.0, label, colour, right))
        return self.scales[-1]

    def band(self, begin: int, end: int, colour: str) -> None:
        """The background from one day to another."""
        left, right = self._x(np.array([begin, end]))
        self.shapes.append(svg_rect(left, self.top, right - left, self.bottom - self.top, colour))

    def line(self, scale: _Scale, values: _Values, colour: str, width: int, label: str = "") -> None:
        """A line, with gaps where a value is missing."""
        points = [self._points(scale, self.days[part], values[part]) for part in _runs(np.isfinite(values))]
        if not points:
            return
        path = "".join(f"M{xs[0]} {ys[0]}{_steps(xs, ys)}" for xs, ys in points)
        self.shapes.append(f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="{width}"/>')
        self._name(label, colour, 0)

    def area(self, scale: _Scale, upper: _Values, lower: _Values, colour: str, opacity: float, label: str) -> None:
        """The area between two series, where both have a value."""
        path = ""
        for part in _runs(np.isfinite(upper) & np.isfinite(lower)):
            xs, above = self._points(scale, self.days[part], upper[part])
            _, below = self._points(scale, self.days[part], lower[part])
            xs, ys = np.concatenate([xs, xs[::-1]]), np.concatenate([above, below[::-1]])
            path += f"M{xs[0]} {ys[0]}{_steps(xs, ys)}z"
        self.shapes.append(f'<path d="{path}" fill="{colour}" opacity="{opacity:g}"/>')
        self._name(label, colour, opacity)

    def bars(self, scale: _Scale, values: _Values, base: _Values, colour: str, label: str) -> None:
        """A bar for each day, from `base` up, as wide as the shortest distance of two days."""
        width = max(4, int(0.8 * np.diff(self._x(self.days)).min(initial=60)))
        path = ""
        for day, value, below in zip(self.days, values, base, strict=True):
            if np.isfinite(value) and np.isfinite(below):
                [x], [low, high] = self._x(np.array([day])), self._y(scale, np.array([below, below + value]))
                path += f"M{x - width // 2} {high}h{width}v{low - high}h{-width}z"
        self.shapes.append(f'<path d="{path}" fill="{colour}" opacity="{BARS}"/>')
        self._name(label, colour, BARS)

    def dots(self, scale: _Scale, values: _Values, colour: str, label: str) -> None:
        """A dot at each value that is there."""
        xs, ys = self._points(scale, self.days, np.where(np.isfinite(values), values, scale.low))
        found = [f'<circle cx="{x}" cy="{y}" r="6"/>' for x, y, v in zip(xs, ys, values, strict=True) if np.isfinite(v)]
        if found:
            self.shapes.append(f'<g fill="{colour}">{"".join(found)}</g>')
            self._name(label, colour, 1)

    def drawn(self, *, with_legend: bool, with_dates: bool) -> Iterator[str]:
        """The panel as SVG: grid and labels, then the shapes, then dates and legend."""
        for scale in self.scales:
            yield from self._axis(scale)
        yield from self.shapes
        yield svg_rect(LEFT, self.bottom, RIGHT - LEFT, 2, GRID)
        if with_dates:
            for day, text in _dates(self.first, self.last):
                yield svg_text(int(self._x(np.array([day]))[0]), self.bottom + 38, text, FAINT, LABEL, anchor="middle")
        if with_legend:
            x = LEFT
            for text, colour, opacity in self.legend:
                yield (
                    svg_rect(x, TOP - 52, 36, 18, colour, opacity) if opacity else svg_rect(x, TOP - 45, 36, 4, colour)
                )
                yield svg_text(x + 50, TOP - 34, text, INK, LABEL)
                x += 90 + 14 * len(text)

    def _axis(self, scale: _Scale) -> Iterator[str]:
        x, anchor = (RIGHT + 14, "start") if scale.is_right else (LEFT - 14, "end")
        for value, text in ticks(scale.low, scale.high, 4 if self.bottom - self.top < 500 else 6):
            y = int(self._y(scale, np.array([value]))[0])
            if not scale.is_right:
                yield svg_rect(LEFT, y, RIGHT - LEFT, 2, GRID)
            yield svg_text(x, y + 8, text, FAINT, LABEL, anchor=anchor)
        x, y = WIDTH - 20 if scale.is_right else 34, (self.top + self.bottom) // 2
        turned = f'transform="rotate(-90 {x} {y})"'
        yield svg_text(x, y, scale.label, scale.colour, LABEL, anchor="middle", more=turned)

    def _points(self, scale: _Scale, days: _Values, values: _Values) -> tuple[_Values, _Values]:
        return self._x(days), self._y(scale, values)

    def _x(self, days: _Values) -> _Values:
        share = (days - self.first) / max(self.last - self.first, 1)
        return np.rint(LEFT + share * (RIGHT - LEFT)).astype(int)

    def _y(self, scale: _Scale, values: _Values) -> _Values:
        share = np.clip((values - scale.low) / (scale.high - scale.low), 0, 1)
        return np.rint(self.bottom - share * (self.bottom - self.top)).astype(int)

    def _name(self, text: str, colour: str, opacity: float) -> None:
        if text:
            self.legend.append((text, colour, opacity))


def _steps(xs: _Values, ys: _Values) -> str:
    """Path commands from the first point through the others; a point alone is a short line."""
    if len(xs) == 1:
        return "h4"
    moves = zip(np.diff(xs).tolist(), np.diff(ys).tolist(), strict=True)
    return "l" + " ".join(f"{dx} {dy}" for dx, dy in moves)


def _runs(present: _Values) -> Iterator[slice]:
    """Slices of consecutive values that are present."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], present, [False]]).astype(int)))
    for begin, end in edges.reshape(-1, 2).tolist():
        yield slice(begin, end)


def ticks(low: float, high: float, most: int) -> Iterator[tuple[float, str]]:
    """Round values between two limits, at most so many and one, with labels that have the decimals of a step."""
    rough = (high - low) / most
    power = 10.0 ** np.floor(np.log10(rough))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough)
    decimals = len(f"{step:.9f}".rstrip("0").partition(".")[2])
    for n in range(int(np.ceil(low / step - 1e-9)), int(np.floor(high / step + 1e-9)) + 1):
        yield float(n * step), f"{n * step:,.{decimals}f}"


def _dates(first: int, last: int) -> Iterator[tuple[int, str]]:
    """Days for the labels of the x axis: years, months or single days."""
    begin, end, span = pd.Timestamp(first, unit="D"), pd.Timestamp(last, unit="D"), last - first
    if span > 3 * 365:
        marks, text = pd.date_range(begin, end, freq="YS"), "%Y"
    elif span > 60:
        marks, text = pd.date_range(begin, end, freq=f"{1 + span // 200}MS"), "%Y-%m"
    else:
        marks, text = pd.date_range(begin, end, freq=f"{1 + span // 6}D"), "%Y-%m-%d"
    for mark in marks:
        yield _ordinal(mark), mark.strftime(text)


def _ordinals(days: pd.Series) -> _Values:
    return pd.to_datetime(days).to_numpy().astype("datetime64[D]").astype(int)


def _ordinal(moment: pd.Timestamp) -> int:
    return int(moment.to_datetime64().astype("datetime64[D]").astype(int))


def svg_text(
    x: int, y: int, text: str, colour: str, size: int, anchor: str = "start", weight: str = "normal", more: str = ""
) -> str:
    style = f'fill="{colour}" font-size="{size}" font-weight="{weight}" text-anchor="{anchor}"'
    return f'<text x="{x}" y="{y}" {style} {more}>{escape(text)}</text>'


def svg_rect(x: int, y: int, width: int, height: int, colour: str, opacity: float = 1) -> str:
    return f'<rect x="{x}" y="{y}" width="{width}" height="{height}" fill="{colour}" opacity="{opacity:g}"/>'


# --- charts -----------------------------------------------------------------------------------------------------------


def _floats(rows: pd.DataFrame, column: str, factor: float = 1.0) -> _Values:
    return rows[column].to_numpy(dtype=float, na_value=np.nan) * factor


def _extent(*series: _Values) -> tuple[float, float]:
    """Least and greatest of all values; 0 and 1 without any."""
    values = np.concatenate(series)
    values = values[np.isfinite(values)]
    return (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)


def _padded(low: float, high: float, below: float = 0.05, above: float = 0.05) -> tuple[float, float]:
    width = (high - low) or abs(high) or 1.0
    return low - below * width, high + above * width


def _price(panel: _Panel, rows: pd.DataFrame) -> None:
    spread, nothing = _floats(rows, "cash_3m_spread_usd_t"), np.zeros(len(rows))
    three_months, cash = _floats(rows, "m3_usd_t"), _floats(rows, "cash_usd_t")
    price = panel.scale("price, USD/t", *_padded(*_extent(three_months, cash), below=0.4))
    reach = max(map(abs, _extent(spread))) or 1.0
    right = panel.scale("spread, USD/t", -1.15 * reach, 3.2 * reach, right=True)  # in the lower part, under the price
    panel.area(right, np.where(spread > 0, spread, np.nan), nothing, ORANGE, 0.45, "backwardation")
    panel.area(right, np.where(spread < 0, spread, np.nan), nothing, TEAL, 0.45, "contango")
    panel.line(price, three_months, BLUE, 5, "three months")
    panel.line(price, cash, INK, 2, "cash")


def _stock(panel: _Panel, rows: pd.DataFrame) -> None:
    total, cancelled = _floats(rows, "total_t", 0.001), _floats(rows, "cancelled_t", 0.001)
    ratio, nothing = _floats(rows, "cancelled_ratio", 100), np.zeros(len(rows))
    stock = panel.scale("stock, kt", 0, 1.05 * _extent(total, cancelled)[1])
    percent = panel.scale("cancelled ratio, %", 0, 100, RED, right=True)
    panel.area(stock, total, nothing, BLUE, 0.22, "registered")
    panel.line(stock, total, BLUE, 3)
    panel.area(stock, cancelled, nothing, ORANGE, 0.6, "of which cancelled")
    panel.line(percent, ratio, RED, 2, "cancelled ratio")


def _index(panel: _Panel, rows: pd.DataFrame) -> None:
    regimes = rows["regime"].astype(str).reset_index(drop=True)
    starts = regimes.index[regimes != regimes.shift()]
    points = panel.scale("tightness index, points", 0, 100)
    for begin, end in zip(starts, [*starts[1:], len(regimes) - 1], strict=True):
        panel.band(panel.days[begin], panel.days[end], REGIMES.get(regimes[begin], PAPER))
    panel.line(points, _floats(rows, "tightness_index"), INK, 3)
    panel.line(points, _floats(rows, "tightness_index_v2"), VIOLET, 3, "index v2")
    found = set(regimes)
    panel.legend += [(name.lower(), REGIMES[name], 1) for name in REGIMES if name in found and name != "UNKNOWN"]


def _power(panel: _Panel, rows: pd.DataFrame) -> None:
    power, limit = _floats(rows, "power_usd_mwh_30d"), _floats(rows, "breakeven_power_usd_mwh")
    scale = panel.scale("USD/MWh", *_padded(*_extent(power, limit)))
    panel.area(scale, np.where(power > limit, power, np.nan), limit, RED, 0.3, "above break-even")
    panel.line(scale, limit, TEAL, 4, "break-even power")
    panel.line(scale, power, ORANGE, 3, "day-ahead, 30-day mean")


def _visible(panel: _Panel, rows: pd.DataFrame) -> None:
    registered, shadow = _floats(rows, "registered_t", 0.001), _floats(rows, "offwarrant_t", 0.001)
    visible = _floats(rows, "visible_t", 0.001)
    is_low = rows["is_record_low"].fillna(value=False).astype(bool).to_numpy()
    most = _extent(registered, registered + shadow, visible)[1]
    scale = panel.scale("visible stock at month-end, kt", 0, 1.05 * most)
    panel.bars(scale, registered, np.zeros(len(rows)), BLUE, "registered")
    panel.bars(scale, shadow, registered, ORANGE, "off-warrant")
    panel.dots(scale, np.where(is_low, visible, np.nan), RED, "record low")


def _tenor(panel: _Panel, rows: pd.DataFrame) -> None:
    spread, nothing = _floats(rows, "usd_t"), np.zeros(len(rows))
    reach = 1.1 * max(map(abs, _extent(spread))) or 1.0
    scale = panel.scale("USD/t", -reach, reach)
    panel.area(scale, np.where(spread > 0, spread, np.nan), nothing, ORANGE, 0.6, "backwardation")
    panel.area(scale, np.where(spread < 0, spread, np.nan), nothing, TEAL, 0.6, "contango")


def _exchange(panel: _Panel, rows: pd.DataFrame) -> None:
    total, on_warrant = _floats(rows, "total_t", 0.001), _floats(rows, "on_warrant_t", 0.001)
    scale = panel.scale("stock, kt", 0, 1.05 * _extent(total, on_warrant)[1])
    panel.area(scale, total, np.zeros(len(rows)), BLUE, 0.3, "total")
    panel.line(scale, on_warrant, ORANGE, 3, "on warrant")


def _positions(panel: _Panel, rows: pd.DataFrame) -> None:
    net, nothing = _floats(rows, "managed_net", 0.001), np.zeros(len(rows))
    reach = 1.1 * max(map(abs, _extent(net))) or 1.0
    scale = panel.scale("thousand lots", -reach, reach)
    panel.area(scale, np.where(net > 0, net, np.nan), nothing, BLUE, 0.6, "net long")
    panel.area(scale, np.where(net < 0, net, np.nan), nothing, RED, 0.6, "net short")


def _parity(panel: _Panel, rows: pd.DataFrame) -> None:
    price, replacement = _floats(rows, "us_price_usd_t"), _floats(rows, "replacement_usd_t")
    scale = panel.scale("USD/t", *_padded(*_extent(price, replacement)))
    panel.area(scale, np.where(price > replacement, price, np.nan), replacement, ORANGE, 0.4, "above import parity")
    panel.line(scale, replacement, TEAL, 3, "cost of importing")
    panel.line(scale, price, INK, 3, "US price")


def _places(panel: _Panel, rows: pd.DataFrame) -> None:
    share, queue = _floats(rows, "largest_share", 100), _floats(rows, "queue_days")
    percent = panel.scale("share of the largest place, %", 0, 1.05 * _extent(share)[1])
    days = panel.scale("queue, days", 0, 1.05 * _extent(queue)[1], RED, right=True)
    panel.area(percent, share, np.zeros(len(rows)), BLUE, 0.3, "largest place")
    panel.line(days, queue, RED, 3, "queue")


PLOTS: Final[Sequence[Plot]] = (
    Plot(
        "marts.tightness_daily",
        "as_of_date",
        ("tightness_index", "tightness_index_v2", "regime"),
        "tightness index and regime",
        _index,
    ),
    Plot(
        "marts.price_daily",
        "obs_date",
        ("cash_usd_t", "m3_usd_t", "cash_3m_spread_usd_t"),
        "price and spread (cash less three months)",
        _price,
    ),
    Plot(
        "marts.inventory_daily",
        "as_of_date",
        ("total_t", "cancelled_t", "cancelled_ratio"),
        "registered stock and cancelled warrants",
        _stock,
    ),
    Plot(
        "marts.inventory_visible_monthly",
        "period_end",
        ("registered_t", "offwarrant_t", "visible_t", "is_record_low"),
        "visible stock",
        _visible,
    ),
    Plot(
        "marts.smelter_margin_daily",
        "as_of_date",
        ("power_usd_mwh_30d", "breakeven_power_usd_mwh"),
        "power against a smelter's break-even",
        _power,
        by="zone",
    ),
    Plot("marts.curve_spreads_daily", "as_of_date", ("usd_t",), "quoted spreads by tenor", _tenor, by="spread"),
    Plot(
        "marts.exchange_stocks_weekly",
        "obs_date",
        ("total_t", "on_warrant_t"),
        "stock of other exchanges",
        _exchange,
        by="exchange || ' ' || product",
    ),
    Plot(
        "marts.positions_weekly",
        "obs_date",
        ("managed_net",),
        "net positions of money managers",
        _positions,
        by="contract",
    ),
    Plot(
        "marts.us_parity_daily",
        "as_of_date",
        ("us_price_usd_t", "replacement_usd_t"),
        "price in the United States against import parity",
        _parity,
    ),
    Plot(
        "marts.stocks_by_location_daily",
        "as_of_date",
        ("largest_share", "queue_days"),
        "concentration of the registered stock, and the longest queue",
        _places,
    ),
)
