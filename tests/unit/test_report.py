"""The report: one page that loads no resource, escapes all text, and names its release."""

from __future__ import annotations

import gzip
import json
import re
from base64 import b64decode, b64encode
from datetime import UTC, date, datetime
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from pipelines.publish.charts import Drawn
from pipelines.publish.plots import REGIMES
from pipelines.publish.report import FOLDER, Content, is_current, key, render

EVIL = "<script src=//evil.example/x.js></script><img src=x onerror=alert(1)>\"'&"
VEGA = "window.vegaEmbed = () => 0;"
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
        charts=[
            Drawn(text, text, [(text, "ink")], [(text, text, 1)], {"title": text}, {"t": {"d": [1]}, text: [text]})
        ],
        states={
            "days": {"d": [1]},
            "signals": [{"signal_id": text, "metal": text, "unit": text, "days": {"d": [1]}, "v": [1.0], "s": [text]}],
            "claims": [],
        },
        revisions=(
            [Drawn(text, text, [], [], {}, {text: [text]})],
            [{"title": text, "period": text, "first": 1.0, "value": 2.0, "unit": text, "change": 1.0, "known": MOMENT}],
        ),
        dictionary=[(text, text, text, text)],
        followed={text: "<svg/>"},
    )


def page_of(content: Content) -> str:
    return render(content, VEGA)


@pytest.mark.parametrize("text", ["plain", EVIL])
def test_the_page_loads_no_resource(text: str) -> None:
    page = Tags(page_of(content(text)))
    assert page.open == []
    names = {name for name, _ in page.tags}
    assert names.isdisjoint({"link", "iframe", "object", "embed", "form", "base"})
    for _, attributes in page.tags:
        assert not any(name.startswith("on") for name in attributes)
        assert str(attributes.get("href", "#")).startswith("#")
        assert str(attributes.get("src", "data:")).startswith("data:")
    [policy] = [about["content"] for name, about in page.tags if name == "meta" and "http-equiv" in about]
    assert policy == (
        f"default-src 'none'; script-src {' '.join(hashes(page_of(content(text))))}; style-src 'unsafe-inline'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
    assert not re.search(r"url\(|@import", page_of(content(text)))


def hashes(page: str) -> list[str]:
    """Sources of a policy that allow exactly the scripts of a page, from their bytes in it."""
    scripts = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    assert len(scripts) == 2
    return [f"'sha256-{b64encode(sha256(script.encode()).digest()).decode()}'" for script in scripts]


def test_text_is_escaped() -> None:
    page = page_of(content(EVIL))
    assert page.count("<script") == 3  # Vega, the page's own and the data
    assert "<img src=x" not in page
    assert Tags(page).text.count(EVIL) >= 15


def test_the_data_of_the_scripts_holds_every_text_and_nothing_that_ends_a_script() -> None:
    [packed] = re.findall(r'<script type="application/octet-stream" id=data>(.*?)</script>', page_of(content(EVIL)))
    assert re.fullmatch(r"[\w+/=]+", packed)
    data = json.loads(gzip.decompress(b64decode(packed)))
    assert data["dictionary"] == [[EVIL] * 4]
    assert [chart["columns"][EVIL] for chart in data["charts"]] == [[EVIL], [EVIL]]
    assert data["states"]["signals"][0]["s"] == [EVIL]


def test_the_own_script_sets_text_as_text() -> None:
    script = (FOLDER / "report.js").read_text()
    for forbidden in (
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "Function(",
        "fetch(",
        "http",
    ):
        assert forbidden not in script
    assert "ast: true" in script  # else Vega evaluates code, which the policy forbids


def test_a_page_is_made_again_when_something_that_it_shows_has_changed(tmp_path: Path) -> None:
    shown = content()
    page = tmp_path / "report.html"
    own = key(shown.manifest, shown.assumptions)
    assert not is_current(page, own)
    page.write_text(page_of(shown))
    assert is_current(page, own)
    assert not is_current(page, key(shown.manifest | {"release_id": "other"}, shown.assumptions))
    assert not is_current(page, key(shown.manifest, [row | {"value": 501.0} for row in shown.assumptions]))


def test_the_report_names_its_release_and_the_knowledge_time() -> None:
    text = Tags(page_of(content())).text
    assert "20260114T200000Z-abcd1234" in text
    assert "2026-01-14 18:00 UTC" in text
    assert "69.9" in text
    assert "-2,007" in text


def test_only_generated_data_is_marked_synthetic() -> None:
    assert "SYNTHETIC DEMO DATA" in page_of(content())
    assert "SYNTHETIC" not in page_of(content(synthetic=False))


def test_equal_content_gives_the_same_page() -> None:
    assert page_of(content()) == page_of(content())


def test_an_empty_release_has_a_page() -> None:
    tables = dict.fromkeys(content().tables, ())
    empty = Content(content().manifest, tables, (), (), {"days": {"d": []}, "signals": []}, ((), ()), (), {})
    assert Tags(page_of(empty)).open == []


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
    for theme in themes:  # lines and areas need 3
        for colour in ("blue", "orange", "teal", "violet", "red"):
            assert contrast(theme[colour], theme["card"]) >= 3, (colour, theme)
    assert contrast("#fff", re.findall(r"\.banner\{.*?background:(#\w+)", style)[0]) >= 4.5
