"""Charts of the evaluation, from a published database to SVG: what the index leads and follows, and the scarcity curve.

Pure but for `read`. Drawn in the frame of `plots`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from pipelines.publish.plots import (
    BLUE,
    BOTTOM,
    FAINT,
    GRID,
    HEIGHT,
    INK,
    LABEL,
    LEFT,
    ORANGE,
    RED,
    RIGHT,
    TEAL,
    TOP,
    WIDTH,
    svg_image,
    svg_rect,
    svg_text,
    ticks,
)

if TYPE_CHECKING:
    import duckdb

Floats = npt.NDArray[np.float64]
LAGS: Final = 63
LEVEL: Final = 0.90
LEAST_DAYS: Final = 504
POINTS: Final = 900  # of the scarcity curve that are drawn


def charts(connection: duckdb.DuckDBPyConnection, *, synthetic: bool) -> dict[str, str]:
    """The charts of every metal with enough days, by title."""
    found = {}
    for metal, index, spread in _series(
        connection, "tightness_daily", "tightness_index, cash_3m_spread_usd_t", "tightness_index is not null"
    ):
        title = f"{metal}: tightness index and daily changes of the spread"
        found[title] = lead_lag(index, spread, title, synthetic=synthetic)
    for metal, stock, conv, fitted in _series(
        connection, "scarcity_daily", "ln_stock_days, conv_yield_ann, fitted", "fitted is not null"
    ):
        title = f"{metal}: convenience yield against stock"
        found[title] = scarcity(stock, conv, fitted, title, synthetic=synthetic)
    return found


def _series(connection: duckdb.DuckDBPyConnection, table: str, columns: str, condition: str) -> Iterator[tuple]:  # type: ignore[type-arg]
    names = columns.split(", ")
    rows = connection.execute(
        f"select metal, {columns} from marts.{table} where {condition} order by metal, as_of_date"
    ).fetchnumpy()
    values = [np.ma.filled(np.ma.asarray(rows[name]).astype(float), math.nan) for name in names]
    for metal in dict.fromkeys(rows["metal"].tolist()):
        own = rows["metal"] == metal
        if own.sum() >= LEAST_DAYS:
            yield str(metal), *(value[own] for value in values)


def correlations(level: Floats, series: Floats) -> tuple[Floats, float]:
    """Correlations of a level with the daily changes of a series, LAGS days before it to LAGS after, and the band.

    The band holds the largest of all these correlations in 90 % of circular shifts: it is simultaneous.
    """
    change = np.diff(series, prepend=series[0])
    there = np.isfinite(level) & np.isfinite(change)
    x, y = (values[there] - values[there].mean() for values in (level, change))
    scale = math.sqrt(float((x**2).sum() * (y**2).sum())) or 1.0
    every = np.fft.irfft(np.conj(np.fft.rfft(x)) * np.fft.rfft(y), len(x)) / scale  # at k: x leads y by k days
    around = np.concatenate([every[-LAGS:], every[: LAGS + 1]])
    away = np.abs(np.concatenate([every[LAGS + 1 : -LAGS]]))
    windows = np.lib.stride_tricks.sliding_window_view(away, 2 * LAGS + 1).max(axis=1)
    return around, float(np.quantile(windows, LEVEL))


def lead_lag(level: Floats, series: Floats, title: str, *, synthetic: bool) -> str:
    """Correlations of the index with changes of the spread before and after it, within a simultaneous band."""
    found, band = correlations(level, series)
    most = 1.15 * max(band, float(np.abs(found).max()))
    x, y = _scale(-LAGS, LAGS, LEFT, RIGHT), _scale(-most, most, BOTTOM, TOP)
    below = "trading days from the index to the change: after it on the right"
    drawn = [
        svg_rect(LEFT, y(band), RIGHT - LEFT, y(-band) - y(band), TEAL, 0.18),
        *_axes(x, y, (-LAGS, LAGS), (-most, most)),
        svg_text(WIDTH // 2, BOTTOM + 46, below, FAINT, LABEL, anchor="middle"),
        svg_rect(x(0), TOP, 2, BOTTOM - TOP, FAINT),
    ]
    for lag, value in zip(range(-LAGS, LAGS + 1), found.tolist(), strict=True):
        top, bottom = sorted((y(value), y(0)))
        colour, opacity = (RED, 0.9) if abs(value) > band else (BLUE, 0.6)
        drawn.append(svg_rect(x(lag) - 4, top, 8, max(bottom - top, 2), colour, opacity))
    legend = f"correlation; band: the largest of all {2 * LAGS + 1} in {LEVEL:.0%} of the shifts in time"
    return _image(title, [*drawn, svg_text(LEFT, TOP - 34, legend, INK, LABEL)], synthetic)


def scarcity(stock: Floats, conv: Floats, fitted: Floats, title: str, *, synthetic: bool) -> str:
    """Every decision day, the curve of the last one, and its point."""
    step = max(1, len(stock) // POINTS)
    xs, ys = stock[::step], 100 * conv[::step]
    low, high = float(stock.min()) - 0.05, float(stock.max()) + 0.05
    bottom, top = (float(np.quantile(100 * conv, q)) for q in (0.001, 0.999))
    bottom, top = min(bottom, 100 * float(conv[-1])) - 0.5, max(top, 100 * float(conv[-1])) + 0.5
    x, y = _scale(low, high, LEFT, RIGHT), _scale(bottom, top, BOTTOM, TOP)
    dots = "".join(f"M{x(a)} {y(min(max(b, bottom), top))}h0" for a, b in zip(xs.tolist(), ys.tolist(), strict=True))
    slope, intercept = np.polyfit(stock, 100 * conv, 1)  # the regression of the last day
    ends = [(value, intercept + slope * value) for value in (low, high)]
    line = "L".join(f"{x(a)} {y(min(max(b, bottom), top))}" for a, b in ends)
    days = [value for value in (1, 2, 5, 10, 20, 50, 100) if low <= math.log(value) <= high]
    off = 100 * float(conv[-1] - fitted[-1])
    legend = f"convenience yield, % a year; the last day is {off:+.1f} points off the curve"
    drawn = [
        *_axes(x, y, None, (bottom, top)),
        *(svg_text(x(math.log(value)), BOTTOM + 38, f"{value}", FAINT, LABEL, anchor="middle") for value in days),
        svg_text(WIDTH // 2, BOTTOM + 66, "registered stock in days of consumption", FAINT, LABEL, anchor="middle"),
        f'<path d="{dots}" stroke="{BLUE}" stroke-width="9" stroke-linecap="round" opacity=".28" fill="none"/>',
        f'<path d="M{line}" stroke="{INK}" stroke-width="4" fill="none"/>',
        f'<circle cx="{x(float(stock[-1]))}" cy="{y(100 * float(conv[-1]))}" r="13" fill="{ORANGE}"/>',
        svg_text(LEFT, TOP - 34, legend, INK, LABEL),
    ]
    return _image(title, drawn, synthetic)


def _scale(low: float, high: float, first: int, last: int) -> Callable[[float], int]:
    return lambda value: round(first + (value - low) / (high - low) * (last - first))


def _axes(
    x: Callable[[float], int], y: Callable[[float], int], wide: tuple[float, float] | None, tall: tuple[float, float]
) -> Iterator[str]:
    for value, label in ticks(*tall, 6):
        yield svg_rect(LEFT, y(value), RIGHT - LEFT, 2, GRID)
        yield svg_text(LEFT - 14, y(value) + 8, label, FAINT, LABEL, anchor="end")
    if wide:
        for value, label in ticks(*wide, 6):
            yield svg_text(x(value), BOTTOM + 20, label, FAINT, LABEL, anchor="middle")


def _image(title: str, drawn: list[str], synthetic: bool) -> str:
    return svg_image([svg_text(40, 44, title, INK, 28, weight="bold"), *drawn], synthetic, HEIGHT + 20)
