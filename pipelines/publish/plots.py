"""Charts of the marts: pure functions from a frame to PNG bytes.

Each has its own background, so that it is readable on a light and on a dark page. Drawn with Agg and at most 64
colours: a chart is some tens of kilobytes, small enough for an event log and for the report.
"""

from __future__ import annotations

import hashlib
import logging
from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from pipelines.common.files import write_atomically

if TYPE_CHECKING:
    import duckdb

YEARS: Final = 5
PAPER, INK, FAINT, GRID = "#fcfcfa", "#22303f", "#6a7683", "#e3e6e8"
BLUE, ORANGE, TEAL, RED = "#1f6fb2", "#c8641b", "#13877b", "#b8323c"
# Colours behind the index, by regime.
REGIMES: Final = {
    "LOOSE": "#cfe3f3",
    "NEUTRAL": "#eceef0",
    "TIGHT": "#fbdcb8",
    "SQUEEZE": "#f3b9b5",
    "UNKNOWN": "#fcfcfa",
}
STAMP: Final = "SYNTHETIC DEMO DATA"
SIZE, DPI, COLOURS = (8.0, 4.2), 120, 64


@dataclass(frozen=True)
class Plot:
    """A chart of one table: the columns that it needs and the function that draws it."""

    table: str  # schema.name
    day: str  # column of the x axis
    columns: tuple[str, ...]
    title: str
    draw: Callable[[Any, pd.DataFrame], None]
    by: str | None = None  # one panel for each value of this column


def read(connection: duckdb.DuckDBPyConnection, plot: Plot) -> dict[str, pd.DataFrame]:
    """The rows of a plot by metal, from the warehouse or a published database."""
    columns = ", ".join([*([plot.by] if plot.by else []), plot.day, *plot.columns])
    rows = connection.execute(f"select metal, {columns} from {plot.table} order by all").df()
    return {str(metal): part.drop(columns="metal") for metal, part in rows.groupby("metal")}


def png(plot: Plot, frame: pd.DataFrame, metal: str, *, synthetic: bool) -> bytes:
    """The chart of one metal as PNG: the last five years of the frame. Equal rows give equal bytes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from PIL import Image

    rows = recent(frame, plot.day)
    panels = [(str(name), part) for name, part in rows.groupby(plot.by)] if plot.by else [("", rows)]
    figure = Figure(figsize=SIZE, dpi=DPI, facecolor=PAPER, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    figure.suptitle(f"{metal}: {plot.title}", x=0.02, ha="left", fontsize=13, fontweight="bold", color=INK)
    all_axes = figure.subplots(len(panels) or 1, 1, sharex=True, squeeze=False)[:, 0]
    for axes, (name, part) in zip(all_axes, panels, strict=False):
        _style_axes(axes)
        if part.empty:
            axes.text(0.5, 0.5, "no rows yet", transform=axes.transAxes, ha="center", color=FAINT)
        else:
            plot.draw(axes, part)
            _dates(axes)
        if name:
            axes.set_title(name, loc="right", fontsize=10, color=FAINT)
    if synthetic:
        figure.text(
            0.5, 0.47, STAMP, ha="center", va="center", rotation=18, fontsize=30, color=RED, alpha=0.16, zorder=9
        )
        figure.text(0.985, 0.965, STAMP, ha="right", va="center", fontsize=9, fontweight="bold", color=RED)
    canvas.draw()  # type: ignore[no-untyped-call]
    image = Image.fromarray(_pixels(canvas)).quantize(COLOURS, dither=Image.Dither.NONE)
    out = BytesIO()
    image.save(out, "png", optimize=True)
    return out.getvalue()


def cached_png(folder: Path, plot: Plot, frame: pd.DataFrame, metal: str, *, synthetic: bool) -> bytes:
    """The chart from the folder if the same rows were drawn before; else drawn and stored there."""
    hashes = pd.util.hash_pandas_object(recent(frame, plot.day), index=False).to_numpy().tobytes()
    digest = hashlib.sha256(_code() + repr((plot.table, metal, synthetic)).encode() + hashes).hexdigest()[:16]
    name = f"{plot.table}.{metal}"
    path = folder / f"{name}.{digest}.png"
    if not path.is_file():
        content = png(plot, frame, metal, synthetic=synthetic)
        for old in folder.glob(f"{name}.*.png"):
            old.unlink(missing_ok=True)
        write_atomically(path, lambda temporary: temporary.write_bytes(content))
    return path.read_bytes()


def recent(frame: pd.DataFrame, day: str) -> pd.DataFrame:
    """The rows of the last five years in the frame, by day."""
    if frame.empty:
        return frame
    days = pd.to_datetime(frame[day])
    return frame.assign(**{day: days})[days > days.max() - pd.DateOffset(years=YEARS)].sort_values(day)


@cache
def _code() -> bytes:
    return Path(__file__).read_bytes()


def markdown(image: bytes, text: str) -> str:
    """Markdown with an embedded image."""
    return f"![{text}](data:image/png;base64,{b64encode(image).decode()})"


def _pixels(canvas: Any) -> Any:
    import numpy as np

    return np.asarray(canvas.buffer_rgba())[:, :, :3].copy()


# --- style ------------------------------------------------------------------------------------------------------------


def _style_axes(axes: Any) -> None:
    axes.set_facecolor(PAPER)
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(GRID)
    axes.tick_params(colors=FAINT, labelsize=9, length=0)


def _dates(axes: Any) -> None:
    from matplotlib.dates import AutoDateFormatter, AutoDateLocator

    locator = AutoDateLocator(minticks=3, maxticks=7)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(AutoDateFormatter(locator))  # type: ignore[no-untyped-call]


def _label(axes: Any, text: str, colour: str = FAINT) -> None:
    axes.set_ylabel(text, color=colour, fontsize=9)
    axes.yaxis.set_major_formatter(_number)


def _number(value: float, _: int) -> str:
    return f"{value:,.0f}" if abs(value) >= 10 or value == round(value) else f"{value:,.2g}"


def _right_axis(axes: Any, text: str, colour: str) -> Any:
    """A second y axis on the right."""
    other = axes.twinx()
    _style_axes(other)
    other.grid(visible=False)
    other.set_zorder(axes.get_zorder() - 1)
    axes.patch.set_visible(False)
    other.patch.set_visible(False)
    _label(other, text, colour)
    return other


def _legend(*axes: Any) -> None:
    found = [axis.get_legend_handles_labels() for axis in axes]
    handles, labels = [h for hs, _ in found for h in hs], [name for _, names in found for name in names]
    axes[0].legend(
        handles, labels, loc="lower left", bbox_to_anchor=(0, 1.0), ncols=6, frameon=False, fontsize=9,
        labelcolor=INK, handlelength=1.4, borderaxespad=0.2, columnspacing=1.4,
    )  # fmt: skip


# --- charts -----------------------------------------------------------------------------------------------------------


def _price(axes: Any, rows: pd.DataFrame) -> None:
    days = rows["obs_date"]
    spread = _right_axis(axes, "spread, USD/t", FAINT)
    values = rows["cash_3m_spread_usd_t"].astype(float)
    spread.fill_between(days, values.clip(lower=0), 0, color=ORANGE, alpha=0.45, linewidth=0, label="backwardation")
    spread.fill_between(days, values.clip(upper=0), 0, color=TEAL, alpha=0.45, linewidth=0, label="contango")
    reach = float(values.abs().max() or 1.0)
    spread.set_ylim(-1.15 * reach, 3.2 * reach)  # the spread fills the lower part, under the price
    axes.plot(days, rows["m3_usd_t"].astype(float), color=BLUE, linewidth=1.6, label="three months")
    axes.plot(days, rows["cash_usd_t"].astype(float), color=INK, linewidth=0.9, label="cash")
    low, high = axes.get_ylim()
    axes.set_ylim(low - 0.35 * (high - low), high)
    _label(axes, "price, USD/t")
    _legend(axes, spread)


def _stock(axes: Any, rows: pd.DataFrame) -> None:
    days = rows["as_of_date"]
    total, cancelled = rows["total_t"].astype(float) / 1000, rows["cancelled_t"].astype(float) / 1000
    axes.fill_between(days, total, 0, color=BLUE, alpha=0.22, linewidth=0, label="registered")
    axes.plot(days, total, color=BLUE, linewidth=1.4)
    axes.fill_between(days, cancelled, 0, color=ORANGE, alpha=0.6, linewidth=0, label="of which cancelled")
    axes.set_ylim(bottom=0)
    _label(axes, "stock, kt")
    ratio = _right_axis(axes, "cancelled ratio, %", RED)
    ratio.plot(days, rows["cancelled_ratio"].astype(float) * 100, color=RED, linewidth=0.9, label="cancelled ratio")
    ratio.set_ylim(0, 100)
    ratio.set_zorder(axes.get_zorder() + 1)
    _legend(axes, ratio)


def _index(axes: Any, rows: pd.DataFrame) -> None:
    from matplotlib.patches import Patch

    days, regimes = rows["as_of_date"], rows["regime"].astype(str)
    spells = (regimes != regimes.shift()).cumsum()
    firsts = days.groupby(spells).first()
    ends = [*firsts.iloc[1:], days.iloc[-1]]
    for begin, end, regime in zip(firsts, ends, regimes.groupby(spells).first(), strict=True):
        axes.axvspan(begin, end, color=REGIMES.get(regime, PAPER), linewidth=0)
    axes.plot(days, rows["tightness_index"].astype(float), color=INK, linewidth=1.4)
    axes.set_ylim(0, 100)
    if len(days) > 1:
        axes.set_xlim(days.iloc[0], days.iloc[-1])
    _label(axes, "tightness index, points")
    seen = [name for name in REGIMES if name in set(regimes) and name != "UNKNOWN"]
    axes.legend(
        handles=[Patch(color=REGIMES[name], label=name.lower()) for name in seen], loc="lower left",
        bbox_to_anchor=(0, 1.0), ncols=5, frameon=False, fontsize=9, labelcolor=INK, borderaxespad=0.2,
    )  # fmt: skip


def _power(axes: Any, rows: pd.DataFrame) -> None:
    days = rows["as_of_date"]
    power, limit = rows["power_usd_mwh_30d"].astype(float), rows["breakeven_power_usd_mwh"].astype(float)
    axes.plot(days, limit, color=TEAL, linewidth=1.6, label="break-even power")
    axes.plot(days, power, color=ORANGE, linewidth=1.2, label="day-ahead, 30-day mean")
    axes.fill_between(
        days, power, limit, where=power > limit, color=RED, alpha=0.3, linewidth=0, label="above break-even"
    )
    _label(axes, "USD/MWh")
    if axes.get_subplotspec().is_first_row():
        _legend(axes)


def _visible(axes: Any, rows: pd.DataFrame) -> None:
    days = rows["period_end"]
    registered, shadow = rows["registered_t"].astype(float) / 1000, rows["offwarrant_t"].astype(float) / 1000
    axes.bar(days, registered, width=24, color=BLUE, alpha=0.75, label="registered")
    axes.bar(days, shadow, width=24, bottom=registered, color=ORANGE, alpha=0.75, label="off-warrant")
    low = rows[rows["is_record_low"].fillna(value=False).astype(bool)]
    if not low.empty:
        axes.scatter(
            low["period_end"], low["visible_t"].astype(float) / 1000, color=RED, s=14, zorder=3, label="record low"
        )
    _label(axes, "visible stock at month-end, kt")
    _legend(axes)


PLOTS: Final[Sequence[Plot]] = (
    Plot(
        "marts.tightness_daily",
        "as_of_date",
        ("tightness_index", "regime"),
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
)

# Where the home folder cannot be written, matplotlib warns about its font cache at every start.
logging.getLogger("matplotlib").setLevel(logging.ERROR)
