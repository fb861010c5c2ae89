"""The report in a real browser, from the file: charts, keys, past states, tables, and no sideways scroll on a phone."""

from __future__ import annotations

from pathlib import Path

import browser
import pytest
from sandbox import Sandbox

from pipelines.orchestration.assets.publish import write_report

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(browser.CHROMIUM is None, reason="no Chromium on this machine"),
]
KEYS = {"Tab": 9, "Enter": 13, "End": 35, "Home": 36, "ArrowLeft": 37}
MESSAGES = {"Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"}
SIGNALS = "document.querySelectorAll('#all-signals tbody tr:not([hidden])')"


def press(page: browser.Page, *keys: str) -> None:
    for key in keys:
        for kind in ("keyDown", "keyUp"):
            text = {"text": "\r"} if key == "Enter" and kind == "keyDown" else {}
            page.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=KEYS[key], **text)


@pytest.fixture(scope="module")
def report(demo_of_months: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path, _ = write_report(demo_of_months.copy(tmp_path_factory.mktemp("report")).open())
    return path


@pytest.mark.parametrize("width", [1400, 390])
def test_the_page_works_from_the_file_by_keys_without_an_error_or_a_request(
    report: Path, tmp_path: Path, width: int
) -> None:
    assert report.stat().st_size < 4_000_000
    with browser.chromium(tmp_path, width, 850) as page:
        page.open(report.as_uri())
        page.wait("document.querySelector('#asof output').textContent")
        figures = page.run("document.querySelectorAll('figure[data-chart]').length")
        assert figures >= 4
        for at in range(figures):  # each is drawn when it comes into view
            chart = f"document.querySelectorAll('figure[data-chart]')[{at}]"
            page.run(f"{chart}.scrollIntoView()")
            page.wait(f"{chart}.querySelector('canvas')?.width > 100")
        assert page.run("document.documentElement.scrollWidth") <= width

        page.run("document.querySelector('[data-years=\"0\"]').focus()")
        press(page, "Enter", "Tab")
        assert page.run("document.activeElement.matches('figure[data-chart]')")
        assert page.run("document.querySelector('[data-years=\"0\"]').getAttribute('aria-pressed')") == "true"
        reading = "document.activeElement.querySelector('output').textContent"
        page.wait(reading)
        press(page, "End")
        last = page.run(reading)
        press(page, "ArrowLeft")
        assert page.run(reading)[:10] < last[:10]
        assert "known 20" in page.run(reading)

        page.run("document.querySelector('#asof input[type=range]').focus()")
        day = "document.querySelector('#asof output').textContent.slice(0, 10)"
        press(page, "Home")
        assert page.run(day) == page.run("document.querySelector('#asof input[type=date]').min")
        press(page, "End")
        assert page.run(day) == page.run("document.querySelector('#asof input[type=date]').max")
        assert page.run("document.querySelectorAll('[data-past=signals] tr').length") > 20

        first = page.run(f"{SIGNALS}[0].textContent")
        page.run("document.querySelector('#all-signals th button').focus()")
        press(page, "Enter", "Enter")
        assert page.run("document.querySelector('#all-signals th').ariaSort") == "descending"
        assert page.run(f"{SIGNALS}[0].textContent") != first
        page.run("document.querySelector('[data-filters] input').focus()")
        page.call("Input.insertText", text="cancelled")
        assert 0 < page.run(f"{SIGNALS}.length") < 5
        page.run("document.querySelector('#dictionary input').focus()")
        page.call("Input.insertText", text="cancelled ratio")
        assert page.run("document.querySelectorAll('#dictionary li').length") > 2

        assert [event for event in page.events if event["method"] in MESSAGES] == []
        requests = [event["params"] for event in page.events if event["method"] == "Network.requestWillBeSent"]
        assert {one["request"]["url"].partition(":")[0] for one in requests} <= {"data", "file"}
