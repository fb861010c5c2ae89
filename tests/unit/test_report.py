"""The report: one page that loads no resource, escapes all text, and names its release."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from html.parser import HTMLParser
from typing import Any

import pytest

from pipelines.publish.plots import REGIMES
from pipelines.publish.report import FOLDER, Content, render

EVIL = "<script src=//evil.example/x.js></script><img src=x onerror=alert(1)>\"'&"
DAY, MOMENT = date(2026, 1, 14), datetime(2026, 1, 14, 18, tzinfo=UTC)


class Tags(HTMLParser):
    """Every tag of a page with its attributes, and all its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in {"meta", "img", "input"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def content(text: str = "plain", synthetic: bool = True) -> Content:
    """A release whose every text is `text`."""
    signal = dict.fromkeys(("description", "metric_id", "unit", "state", "quality", "quality_flags"), text)
    signal |= {"signal_id": f"{text}.PRICE.{text}", "metal": text, "parameters": None, "staleness_days": 3}
    claim = dict.fromkeys(("claim_id", "claim_text", "definition", "status", "status_at_claim", "explanation"), text)
    index: dict[str, Any] = dict.fromkeys(("metal", "regime", "regime_status", "quality_flags"), text)
    index |= {"as_of_date": DAY, "as_of_ts": MOMENT, "coverage": 0.8}
    part = dict.fromkeys(("metal", "component", "family"), text) | {"signal_version": "1.0.0", "as_of_date": DAY}
    return Content(
        manifest={
            "release_id": "20260114T200000Z-abcd1234",
            "synthetic": synthetic,
            "knowledge_ts_max": "2026-01-14T18:00:00Z",
            "computed_ts": "2026-01-14T20:00:00Z",
            "profile": text,
            "git_commit": None,
        },
        tables={
            "index": [
                index
                | {"tightness_index": 69.9, "contrib_curve": 37.0, "contrib_inventory": 32.9, "contrib_flow": None}
            ],
            "history": [{"metal": text, "as_of_date": DAY, "tightness_index": 69.9}],
            "parts": [part | dict.fromkeys(("value", "score", "weight", "contribution"), 0.5)],
            "signals": [
                signal
                | {"value": -2007.4, "score": None, "direction": 1, "state_since": DAY, "as_of_date": DAY}
                | {"obs_end_max": DAY, "previous_obs_end": DAY, "knowledge_ts_max": MOMENT},
                signal
                | dict.fromkeys(("value", "score", "direction", "state_since", "obs_end_max", "state"))
                | {"knowledge_ts_max": None, "as_of_date": DAY},
            ],
            "changes": [
                {"as_of_date": DAY, "signal_id": text, "prev_state": text, "state": text, "direction": -1},
            ],
            "events": [
                dict.fromkeys(("title", "event_kind", "state", "source"), text)
                | {"event_date": DAY, "days_to_event": 3, "known_since": DAY},
            ],
            "evaluation": [dict.fromkeys(("signal_id", "bucket", "verdict", "sentence"), text) | {"diff": -3.2}],
            "claims": [claim | {"evidence_obs_date": DAY, "evidence_knowledge_ts": MOMENT}],
        },
        assumptions=[
            {"name": text, "metal": "*", "value": 500.0, "unit": text, "valid_from": DAY, "source": text},
        ],
        charts={text: "<svg/>"},
        followed={text: "<svg/>"},
    )


@pytest.mark.parametrize("text", ["plain", EVIL])
def test_the_page_loads_no_resource(text: str) -> None:
    page = Tags(render(content(text)))
    assert page.open == []
    names = {name for name, _ in page.tags}
    assert names.isdisjoint({"script", "link", "iframe", "object", "embed", "form", "base"})
    for _, attributes in page.tags:
        assert not any(name.startswith("on") for name in attributes)
        assert str(attributes.get("href", "#")).startswith("#")
        assert str(attributes.get("src", "data:")).startswith("data:")
    [policy] = [about["content"] for name, about in page.tags if name == "meta" and "http-equiv" in about]
    assert policy == "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    assert not re.search(r"url\(|@import", render(content(text)))


def test_text_is_escaped() -> None:
    page = render(content(EVIL))
    assert "<script" not in page
    assert "<img src=x" not in page
    assert Tags(page).text.count(EVIL) >= 15


def test_the_report_names_its_release_and_the_knowledge_time() -> None:
    text = Tags(render(content())).text
    assert "20260114T200000Z-abcd1234" in text
    assert "2026-01-14 18:00 UTC" in text
    assert "69.9" in text
    assert "-2,007" in text


def test_only_generated_data_is_marked_synthetic() -> None:
    assert "SYNTHETIC DEMO DATA" in render(content())
    assert "SYNTHETIC" not in render(content(synthetic=False))


def test_equal_content_gives_the_same_page() -> None:
    assert render(content()) == render(content())


def test_an_empty_release_has_a_page() -> None:
    empty = Content(content().manifest, dict.fromkeys(content().tables, ()), (), {}, {})
    assert Tags(render(empty)).open == []


# Text and background of the page's style, by variable; ink is also on every light colour of a regime.
PAIRS = [
    *((text, ground) for text in ("ink", "dim", "tight", "loose", "focus") for ground in ("page", "card")),
    ("goodink", "good"), ("badink", "bad"), ("warnink", "warn"), ("ink", "code"), ("dim", "code"),
]  # fmt: skip


def luminance(colour: str) -> float:
    """Relative luminance of WCAG 2."""
    digits = colour.lstrip("#")
    digits = "".join(2 * digit for digit in digits) if len(digits) == 3 else digits
    parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_text_has_the_contrast_of_wcag_aa_on_light_and_dark_pages() -> None:
    assert contrast("#000", "#fff") == pytest.approx(21)
    style = (FOLDER / "report.css").read_text()
    themes = [dict(re.findall(r"--(\w+):(#\w+)", theme)) for theme in re.findall(r":root\{(.*?)\}", style, re.DOTALL)]
    assert len(themes) == 2
    for theme in themes:
        for text, ground in PAIRS:
            assert contrast(theme[text], theme[ground]) >= 4.5, (text, ground, theme)
    [ink] = re.findall(r"\.regime\{.*?color:(#\w+)", style)
    assert min(contrast(ink, colour) for colour in REGIMES.values()) >= 4.5
    assert contrast("#fff", re.findall(r"\.banner\{.*?background:(#\w+)", style)[0]) >= 4.5
