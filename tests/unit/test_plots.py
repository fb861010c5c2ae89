"""Plots: small PNGs that depend on their rows only and are marked when synthetic."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from pipelines.publish.plots import PLOTS, STAMP, Plot, cached_png, png, recent

PNG = b"\x89PNG\r\n\x1a\n"
LIMIT = 60_000


def rows(plot: Plot, n: int = 400, factor: float = 1.0) -> pd.DataFrame:
    """Rows of any plot: numbers that rise, regimes that change, some gaps."""
    made = {plot.day: pd.date_range("2022-01-03", periods=n, freq="D")}
    for at, name in enumerate(plot.columns):
        if name == "regime":
            made[name] = ["LOOSE" if day % 90 < 45 else "SQUEEZE" for day in range(n)]
        elif name == "is_record_low":
            made[name] = [day % 50 == 0 for day in range(n)]
        else:
            made[name] = [None if day == 7 else factor * (day % 60 + at) for day in range(n)]
    frame = pd.DataFrame(made)
    return frame.assign(**{plot.by: ["DE-LU" if day % 2 else "FR" for day in range(n)]}) if plot.by else frame


# All plots share their code: one of them fast, the others in `make test`.
every_plot = pytest.mark.parametrize(
    "plot", [pytest.param(plot, id=plot.table, marks=[pytest.mark.slow] if n else []) for n, plot in enumerate(PLOTS)]
)


@every_plot
def test_a_plot_is_a_small_png_that_differs_when_the_rows_do(plot: Plot) -> None:
    first = png(plot, rows(plot), "AL", synthetic=False)
    assert first.startswith(PNG)
    assert len(first) < LIMIT
    assert first == png(plot, rows(plot), "AL", synthetic=False)
    assert first != png(
        plot, rows(plot, factor=1.5 if "tightness_index" not in plot.columns else 0.5), "AL", synthetic=False
    )
    assert first != png(plot, rows(plot), "AL", synthetic=True)


@every_plot
@pytest.mark.parametrize("n", [0, 1])
def test_a_plot_of_one_row_or_none_is_a_png(plot: Plot, n: int) -> None:
    assert png(plot, rows(plot, n), "AL", synthetic=True).startswith(PNG)


def test_the_stamp_is_written_into_generated_pictures_only(monkeypatch: pytest.MonkeyPatch) -> None:
    from matplotlib.figure import Figure

    texts: list[str] = []
    write = Figure.text
    monkeypatch.setattr(Figure, "text", lambda self, x, y, s, **how: (texts.append(s), write(self, x, y, s, **how))[1])
    png(PLOTS[0], rows(PLOTS[0], 30), "AL", synthetic=False)
    assert STAMP not in texts
    png(PLOTS[0], rows(PLOTS[0], 30), "AL", synthetic=True)
    assert texts.count(STAMP) == 2


def test_the_last_five_years_are_shown() -> None:
    frame = pd.DataFrame({"day": pd.date_range("2010-01-01", "2026-01-14")})
    assert recent(frame, "day")["day"].min() == pd.Timestamp("2021-01-15")


def test_a_plot_of_the_same_rows_is_drawn_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plot = PLOTS[0]
    first = cached_png(tmp_path, plot, rows(plot), "AL", synthetic=True)
    monkeypatch.setattr("pipelines.publish.plots.png", lambda *_, **__: PNG + b"drawn anew")
    assert cached_png(tmp_path, plot, rows(plot), "AL", synthetic=True) == first
    assert cached_png(tmp_path, plot, rows(plot, 300), "AL", synthetic=True) == PNG + b"drawn anew"
    assert len(list(tmp_path.iterdir())) == 1
