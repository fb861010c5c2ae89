"""Plots: small SVG images that depend on their rows only, load nothing and are marked when synthetic."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from pipelines.publish.plots import HEIGHT, LEFT, PART, PLOTS, RIGHT, STAMP, WIDTH, Plot, recent, svg, ticks

LIMIT = 60_000
every_plot = pytest.mark.parametrize("plot", [pytest.param(plot, id=plot.table) for plot in PLOTS])


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
    return frame.assign(**{PART: ["DE-LU" if day % 2 else "FR" for day in range(n)]}) if plot.by else frame


def texts(image: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(image).iter("{http://www.w3.org/2000/svg}text")]


def paths(image: str) -> list[tuple[str | None, list[list[tuple[int, int]]]]]:
    """Colour and points of each path, one list for each of its parts."""
    found = []
    for element in ElementTree.fromstring(image).iter("{http://www.w3.org/2000/svg}path"):
        parts = []
        for part in filter(None, element.get("d", "").replace("z", "").split("M")):
            if "v" in part:  # a bar
                continue
            numbers = [int(number) for number in re.findall(r"-?\d+", part.replace("h4", " 4 0"))]
            steps = np.array(numbers).reshape(-1, 2)
            parts.append([(int(x), int(y)) for x, y in steps.cumsum(axis=0)])
        found.append((element.get("stroke") or element.get("fill"), parts))
    return found


@every_plot
def test_a_plot_is_a_small_image_that_differs_when_the_rows_do(plot: Plot) -> None:
    first = svg(plot, rows(plot), "AL", synthetic=False)
    assert ElementTree.fromstring(first).tag == "{http://www.w3.org/2000/svg}svg"
    assert len(first) < LIMIT
    assert first == svg(plot, rows(plot), "AL", synthetic=False)
    other = rows(plot, factor=0.5 if "tightness_index" in plot.columns else 1.0)
    other.iloc[200, 1] = 9 if "tightness_index" in plot.columns else 70.0
    assert first != svg(plot, other, "AL", synthetic=False)


@every_plot
@pytest.mark.parametrize("n", [0, 1, 2])
def test_a_plot_of_few_rows_or_none_is_an_image(plot: Plot, n: int) -> None:
    image = svg(plot, rows(plot, n), "AL", synthetic=True)
    assert f"AL: {plot.title}" in texts(image)
    assert ("no rows yet" in texts(image)) == (n == 0)
    assert "nan" not in image.lower()


@every_plot
def test_a_plot_without_any_value_is_an_image(plot: Plot) -> None:
    empty = rows(plot).assign(**{c: None for c in plot.columns if c not in ("regime", "is_record_low")})
    assert f"AL: {plot.title}" in texts(svg(plot, empty, "AL", synthetic=False))


@every_plot
def test_every_point_is_inside_the_image(plot: Plot) -> None:
    image = svg(plot, rows(plot, 2500), "AL", synthetic=False)
    points = np.array([point for _, parts in paths(image) for part in parts for point in part] or [(LEFT, 0)])
    assert (points[:, 0].min() >= LEFT, points[:, 0].max() <= RIGHT + 4) == (True, True)
    assert (points[:, 1].min() >= 0, points[:, 1].max() <= HEIGHT) == (True, True)
    assert WIDTH > RIGHT


def test_a_line_goes_through_its_values_and_has_a_gap_where_one_is_missing() -> None:
    plot = PLOTS[0]
    days = pd.to_datetime(["2026-01-01", "2026-01-02", "2026-01-03", "2026-01-04", "2026-01-05"])
    values = [0.0, 100.0, None, 50.0, 25.0]
    frame = pd.DataFrame(
        {"as_of_date": days, "tightness_index": values, "tightness_index_v2": np.nan, "regime": "TIGHT"}
    )
    [(_, parts)] = paths(svg(plot, frame, "AL", synthetic=False))
    (one, two), (four, five) = parts
    step = (RIGHT - LEFT) / 4
    assert [x for x, _ in (one, two, four, five)] == [round(LEFT + step * n) for n in (0, 1, 3, 4)]
    height = one[1] - two[1]  # of 0 to 100
    assert (one[1] - four[1], one[1] - five[1]) == (pytest.approx(height / 2, abs=1), pytest.approx(height / 4, abs=1))


def test_the_labels_are_years_and_round_numbers() -> None:
    frame = rows(PLOTS[2], 1700, factor=1000)
    found = texts(svg(PLOTS[2], frame, "AL", synthetic=False))
    assert [text for text in found if re.fullmatch(r"20\d\d", text)] == ["2023", "2024", "2025", "2026"]
    assert [text for text in found if re.fullmatch(r"\d+", text) and len(text) < 4][-6:] == [
        "0", "20", "40", "60", "80", "100",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("low", "high", "labels"),
    [
        (10, 22, ["10.0", "12.5", "15.0", "17.5", "20.0"]),
        (-1.1, 1.1, ["-1.0", "-0.5", "0.0", "0.5", "1.0"]),
        (1, 2.2, ["1.00", "1.25", "1.50", "1.75", "2.00"]),
        (0, 4600, ["0", "1,000", "2,000", "3,000", "4,000"]),
        (4999.94, 5000.06, ["4,999.950", "4,999.975", "5,000.000", "5,000.025", "5,000.050"]),
    ],
)
def test_a_label_has_the_decimals_that_its_value_needs(low: float, high: float, labels: list[str]) -> None:
    found = list(ticks(low, high, 5))
    assert [text for _, text in found] == labels
    assert [value for value, _ in found] == pytest.approx([float(text.replace(",", "")) for text in labels])


def test_an_image_holds_no_script_and_loads_nothing_whatever_the_text() -> None:
    image = svg(PLOTS[0], rows(PLOTS[0]), '<script href="https://x">', synthetic=False)
    assert "<script" not in image
    assert not re.findall(r"\b(href|src|url)\b\s*[=(]", image.replace("&quot;", "").replace("href=https://x", ""))


def test_the_stamp_is_in_generated_pictures_only() -> None:
    assert STAMP not in texts(svg(PLOTS[0], rows(PLOTS[0], 30), "AL", synthetic=False))
    assert texts(svg(PLOTS[0], rows(PLOTS[0], 30), "AL", synthetic=True)).count(STAMP) == 2


def test_the_last_five_years_are_shown() -> None:
    frame = pd.DataFrame({"day": pd.date_range("2010-01-01", "2026-01-14")})
    assert recent(frame, "day")["day"].min() == pd.Timestamp("2021-01-15")
