"""`make dashboards`: a real Superset with the bundle on a release of the demo, seen in a real Chromium.

Superset's environment is installed once, in `.venv-superset`, by the same target.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.error import URLError
from urllib.parse import parse_qs, urlsplit
from urllib.request import urlopen

import duckdb
import pytest
import yaml
from sandbox import Sandbox

from pipelines.common.settings import PROJECT
from tests.browser import CHROMIUM, Page, chromium

pytestmark = [pytest.mark.exhaustive, pytest.mark.skipif(not CHROMIUM, reason="Chromium is not installed")]

HEIGHT: Final = 7500  # a chart is drawn when it is in view
DRAWN: Final = "document.querySelectorAll('.dashboard-chart').length >= {} && !document.querySelector('.loading')"
# What is shown in place of a chart that failed or has no rows.
FAULTS: Final = "[...document.querySelectorAll('[role=alert], .ant-alert, .ant-empty')].map(part => part.innerText)"
LOG_IN: Final = """(() => {
  for (const [name, value] of Object.entries(%s)) {
    const input = document.querySelector('#' + name)
    Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value').set.call(input, value)
    input.dispatchEvent(new Event('input', {bubbles: true}))
  }
  document.querySelector('button[type=submit]').click()
})()"""


def charts(name: str) -> list[str]:
    """Titles of the charts of a dashboard."""
    position = yaml.safe_load((PROJECT / f"dashboards/superset/dashboards/{name}.yaml").read_text())["position"]
    return [
        part["meta"]["sliceName"] for part in position.values() if isinstance(part, dict) and part["type"] == "CHART"
    ]


def change(database: Path, sql: str) -> None:
    """Replace the published database by a changed copy in one step, as a publication does."""
    copy = database.with_suffix(".new")
    shutil.copyfile(database, copy)
    with duckdb.connect(copy) as con:
        con.execute(sql)
    copy.replace(database)


class Superset:
    """A running `make dashboards`."""

    def __init__(self, data: Path, log: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.data = data
        self.database = data / "published" / "tightness.duckdb"
        with log.open("w") as output:
            self.process = subprocess.Popen(
                ["make", "-s", "dashboards", f"PORT={self.port}"],
                cwd=PROJECT,
                env=os.environ | {"TIGHTNESS_DATA_DIR": str(data)},
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        end = time.monotonic() + 900  # installing it included
        while not self.answers():
            assert self.process.poll() is None, log.read_text()
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.5)

    def answers(self) -> bool:
        try:
            with urlopen(f"http://127.0.0.1:{self.port}/health") as response:
                return bool(response.status == 200)
        except URLError:
            return False

    def open(self, page: Page, path: str) -> None:
        page.events.clear()
        page.open(f"http://127.0.0.1:{self.port}/{path}")

    def log_in(self, page: Page) -> None:
        self.open(page, "login/")
        page.wait("document.querySelector('#password')")
        password = (self.data / "superset/admin_password").read_text()
        page.run(LOG_IN % json.dumps({"username": "admin", "password": password}))
        page.wait("!location.pathname.startsWith('/login')")

    def show(self, page: Page, name: str) -> dict[int, list[int]]:
        """Open a dashboard until all is drawn: the rows of the queries of each chart."""
        self.open(page, f"superset/dashboard/tightness-{name}/")
        page.wait(DRAWN.format(len(charts(name))), 180)
        found: dict[int, list[int]] = {}
        end = time.monotonic() + 60
        while len(found) < len(charts(name)) and time.monotonic() < end:
            time.sleep(1)
            for url, status, body in page.responses("/api/v1/chart/data"):
                asked = parse_qs(urlsplit(url).query)
                if "form_data" not in asked:
                    continue  # the values of a filter
                results: list[dict[str, Any]] = json.loads(body)["result"] if status == 200 else []
                found[json.loads(asked["form_data"][0])["slice_id"]] = [result["rowcount"] for result in results]
        page.wait(DRAWN.format(len(charts(name))), 60)
        return found


@pytest.fixture(scope="module")
def superset(demo_of_years: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Superset]:
    root = tmp_path_factory.mktemp("superset")
    shutil.copytree(demo_of_years.data / "published", root / "data/published")
    server = Superset(root / "data", root / "log")
    try:
        yield server
    finally:
        os.killpg(server.process.pid, signal.SIGINT)
        server.process.wait(30)
        assert not server.answers()


@pytest.fixture(scope="module")
def page(superset: Superset, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with chromium(tmp_path_factory.mktemp("chromium") / "profile", height=HEIGHT) as browser:
        superset.log_in(browser)
        yield browser


@pytest.mark.parametrize("name", ["desk", "data"])
def test_every_chart_of_a_dashboard_is_drawn_with_rows(superset: Superset, page: Page, name: str) -> None:
    rows = superset.show(page, name)
    assert len(rows) == len(charts(name))
    assert all(counts and all(counts) for counts in rows.values()), rows
    assert page.run(FAULTS) == []
    text = page.run("document.body.innerText")
    assert [title for title in charts(name) if title not in text] == []
    assert "SYNTHETIC DEMO DATA" in text
    # Superset's pixel for statistics of its use is refused by superset_config.py.
    assert [error for error in page.errors if "scarf.sh" not in error] == []


def test_the_next_page_shows_the_next_release_without_the_label_of_synthetic_data(
    superset: Superset, page: Page
) -> None:
    change(
        superset.database,
        "comment on table marts.tightness_daily is 'The inputs'; create or replace macro release_id() as 'the next'",
    )
    superset.show(page, "desk")
    text = page.run("document.body.innerText")
    assert "the next" in text
    assert "SYNTHETIC" not in text


def test_a_chart_that_cannot_be_drawn_is_found(superset: Superset, page: Page) -> None:
    change(superset.database, "drop table marts.curve_daily")
    rows = superset.show(page, "desk")
    assert [] in rows.values()
    assert any("curve_daily" in fault for fault in page.run(FAULTS))


def test_nothing_is_started_without_a_publication(tmp_path: Path) -> None:
    done = subprocess.run(
        ["make", "-s", "dashboards"],
        cwd=PROJECT,
        env=os.environ | {"TIGHTNESS_DATA_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2  # make's
    assert (
        f"nothing is published: {tmp_path}/published/tightness.duckdb does not exist. Run `make run` first"
        in done.stderr
    )
    assert list(tmp_path.iterdir()) == []
