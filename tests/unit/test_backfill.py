"""Parts of a backfill: its progress, which responses are complete, and the continuation of a stopped ingestion."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console
from sandbox import Sandbox

from pipelines.cli.backfill import Part, Plan
from pipelines.cli.progress import LINE_EVERY_S, RunProgress
from pipelines.common.calendar import months_between
from pipelines.ingestion.extract import FetchReport, fetch, is_complete, last_releases
from pipelines.ingestion.progress import Progress
from pipelines.lake.store import Lake, Written
from pipelines.sources.base import NoData, Payload, Request, SourceError
from pipelines.transports.archive import Archive
from pipelines.transports.demo import DemoTransport
from pipelines.workspace import Workspace

NOW = "2026-01-14T20:00:00Z"
PAGE = Request("westmetall", "al_2024.html", "https://example.org/?year=2024", "AL", "2024")


@pytest.fixture(scope="module")
def due() -> pd.Timestamp:
    from pipelines.workspace import Workspace

    rules = Workspace.open(profile="demo", now=NOW).reference["release_calendar"]
    releases = last_releases("westmetall", ["2024", "2025-03"], rules)
    assert releases == {
        "2024": pd.Timestamp("2025-01-02T09:00:00Z"),
        "2025-03": pd.Timestamp("2025-04-01T08:00:00Z"),  # 09:00 in London's summer
    }
    return releases["2024"]


PLAN = Plan(
    ["2025-01", "2025-12"],
    [
        Part("raw__ecb", ["raw/ecb"], 12, 0, 10.0),
        Part("lake__fx", ["lake/fx"], 12, 0, 20.0),
        Part("models", ["marts/a", "marts/b"], 0, 0, 10.0),
    ],
    [],
    46.0,
    "",
)


def written(terminal: bool) -> tuple[StringIO, Console]:
    file = StringIO()
    return file, Console(file=file, force_terminal=terminal, width=150)


def test_progress_counts_partitions_rows_and_seconds() -> None:
    now = 100.0
    progress = RunProgress(written(terminal=True)[1], lambda: now)
    assert (progress.partitions, progress.rows, progress.seconds) == (0, 0, 0.0)
    progress.begin(PLAN)
    progress.step("raw__ecb", "started")
    progress.update("raw__ecb", Progress(1, 2, "requests"))
    assert progress.partitions == 6
    progress.step("raw__ecb", "done")
    progress.step("lake__fx", "started")
    progress.update("lake__fx", Progress(6, 12, "months", 500))
    now = 120.0
    assert (progress.partitions, progress.rows, progress.seconds) == (18, 500, 20.0)


def test_a_pipe_gets_a_line_a_step_and_now_and_then_one_of_a_long_step() -> None:
    now = 100.0
    file, console = written(terminal=False)
    with RunProgress(console, lambda: now) as progress:
        progress.begin(PLAN)
        for step, unit in (("raw__ecb", "requests"), ("lake__fx", "months")):
            progress.step(step, "started")
            for done in range(1, 5):
                now += 0.4 * LINE_EVERY_S
                progress.update(step, Progress(done, 4, unit, 100 * done if unit == "months" else 0))
            progress.step(step, "done")
        progress.step("models", "failed")
    assert file.getvalue().splitlines() == [
        "2025-01 to 2025-12: 3 units of work, about 46 s",
        " 19 %  raw/ecb: requests 3 of 4",
        " 25 %  raw/ecb done",
        " 62 %  lake/fx: months 3 of 4, 300 rows",
        " 75 %  lake/fx done, 400 rows",
        "100 %  models failed",
    ]


def test_a_terminal_gets_a_bar_from_the_start_and_a_line_for_what_has_failed() -> None:
    file, console = written(terminal=True)
    with RunProgress(console) as progress:
        assert "starting" in file.getvalue(), "before anything is planned"
        progress.begin(PLAN)
        progress.step("raw__ecb", "failed")
    assert "raw/ecb failed" in file.getvalue()
    assert "3 steps" not in file.getvalue()


# --- which responses are complete


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("answered_at", "whole"),
    # The last day of 2024 shows on 2 January; a week later no more is expected but revisions.
    [("2024-06-01", False), ("2025-01-01", False), ("2025-01-08", False), ("2025-01-10", True)],
)
def test_a_response_is_complete_a_week_after_the_release_of_its_last_value(
    tmp_path: Path, due: pd.Timestamp, answered_at: str, whole: bool
) -> None:
    archive = Archive(tmp_path)
    assert not is_complete(PAGE, archive, due)
    # The bytes may stay the same for long: the time of the last response counts.
    archive.record(PAGE, [Payload(PAGE, b"page", moment("2024-05-01"))], answered_at=moment("2024-05-01"))
    archive.record(PAGE, [Payload(PAGE, b"page", moment(answered_at))], answered_at=moment(answered_at))
    assert is_complete(PAGE, archive, due) is whole


def test_no_response_is_complete_after_a_failure_no_data_another_request_or_damage(
    tmp_path: Path, due: pd.Timestamp
) -> None:
    archive, then = Archive(tmp_path), moment("2026-01-10")

    def response() -> None:
        archive.record(PAGE, [Payload(PAGE, b"page", then)], answered_at=then)
        assert is_complete(PAGE, archive, due)

    response()
    archive.record_error(PAGE, "status 500", then)
    assert not is_complete(PAGE, archive, due)
    response()
    archive.record_no_data(PAGE, then)
    assert not is_complete(PAGE, archive, due)
    response()
    other = Request(PAGE.source, PAGE.name, PAGE.url + "&field=other", PAGE.entity, PAGE.period)
    assert not is_complete(other, archive, due)
    everything = Request("jin10", "lme_stock.json", "https://example.org/all")
    archive.record(everything, [Payload(everything, b"all", then)], answered_at=then)
    assert not is_complete(everything, archive, None), "a response without a period is never complete"
    [page] = tmp_path.glob("westmetall/*/*.html")
    page.write_bytes(b"damaged")
    assert not is_complete(PAGE, archive, due)


class Killed(BaseException):
    """An exception that no handler of failures may catch."""


def test_responses_before_a_crash_are_kept_and_not_requested_again(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path, "demo", NOW)
    workspace, months = sandbox.open(), months_between("2024-01", "2024-12")
    requested: list[str] = []

    class Breaking:
        def __init__(self, after: int) -> None:
            self.after, self.inner = after, workspace.transport()

        def fetch(self, request: Request) -> list[Payload]:
            if len(requested) == self.after:
                raise Killed
            requested.append(request.name)
            assert self.inner is not None
            return self.inner.fetch(request)

    def run(after: int) -> FetchReport:
        return fetch(
            "energy_charts", months, workspace.scope, Breaking(after), workspace.archive, workspace.now,
            skip_if=workspace.is_complete,
        )  # fmt: skip

    with pytest.raises(Killed):
        run(after=5)
    first = list(requested)
    report = run(after=10_000)
    assert report.skipped == 5
    assert len(requested) == 5 + report.requests and set(first).isdisjoint(requested[5:])
    assert run(after=10_000).requests == 0


# --- a stopped ingestion


@pytest.mark.slow
def test_a_stopped_ingestion_keeps_finished_months_and_its_repetition_equals_a_clean_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In chunks of a quarter of the page, which has the months of a year."""
    clean = Sandbox(tmp_path / "clean", "demo", NOW)
    months = ("2023-01", "2023-12")
    [page] = DemoTransport(clean.open().now, clean.open().scope).fetch(Request("westmetall", "", "", "AL", "2023"))
    ingestion, size = Workspace.ingestion, len(page.body) / 4 + 1
    monkeypatch.setattr(Workspace, "ingestion", lambda self: replace(ingestion(self), chunk_bytes=size))
    whole = clean.ingest(months, ["prices"]).read["prices"]
    parquet = {name for name in clean.stored() if name.endswith(".parquet")}

    sandbox = Sandbox(tmp_path / "stopped", "demo", NOW)
    append, calls = Lake.append, []

    def stopping(self: Lake, name: str, frame: pd.DataFrame, **more: object) -> list[Written]:
        written = append(self, name, frame, **more)
        calls.append(len(frame))
        if len(calls) == 3:  # its rows are stored, but the ledger does not have them yet
            raise Killed
        return written

    with monkeypatch.context() as patched:
        patched.setattr(Lake, "append", stopping)
        with pytest.raises(Killed):
            sandbox.ingest(months, ["prices"])
    seen: list[Progress] = []
    workspace = sandbox.open()
    report = workspace.ingestion().run("prices", months_between(*months), [], seen.append)
    assert report.months_unchanged == 6
    assert report.rows_read == whole.rows_read - sum(calls[:2])
    assert [p.done for p in seen] == [6, 9, 12] and seen[-1].rows == report.rows_read
    assert {name for name in sandbox.stored() if name.endswith(".parquet")} == parquet
    pd.testing.assert_frame_equal(workspace.lake.read("prices"), clean.open().lake.read("prices"))


def test_an_unreadable_page_is_reported_once(tmp_path: Path) -> None:
    """Several parts of its months need it, and none of them enters the ledger."""
    sandbox = Sandbox(tmp_path, "replay", NOW)
    sandbox.record("westmetall/westmetall_lme_al_2024.html", "<html>no table</html>")
    failures = sandbox.ingest(("2024-01", "2024-12"), ["prices"]).read["prices"].failures
    assert [failure.request for failure in failures] == ["westmetall_lme_al_2024.html"]
    again = sandbox.ingest(("2024-01", "2024-12"), ["prices"]).read["prices"]
    assert again.failures == failures


def test_an_error_of_one_request_does_not_stop_the_others(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path, "demo", NOW)
    workspace = sandbox.open()

    class Failing:
        def fetch(self, request: Request) -> list[Payload]:
            if request.period == "2024-02":
                raise SourceError(request, "status 500", "status 200")
            raise NoData

    steps: list[Progress] = []
    months = months_between("2024-01", "2024-03")
    report = fetch("customs", months, workspace.scope, Failing(), workspace.archive, workspace.now, watch=steps.append)
    assert [f.months for f in report.failures] == [("2024-02",)]
    assert [(p.done, p.total) for p in steps] == [(1, 2), (2, 2)]
    shutil.rmtree(sandbox.root)
