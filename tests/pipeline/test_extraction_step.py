"""The step that fetches all sources: a fault of one does not stop the others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from sandbox import Sandbox

from pipelines.ingestion.extract import FetchReport, fetch
from pipelines.orchestration.assets import raw
from pipelines.orchestration.partitions import monthly, range_tags
from pipelines.orchestration.resources import WorkspaceResource, no_step_progress

pytestmark = pytest.mark.slow

NAMES = ["ecb", "fred", "nyfed"]


@pytest.fixture
def sandbox(tmp_path: Path) -> Sandbox:
    return Sandbox(tmp_path, "demo", "2026-01-14T20:00:00Z")


def extract(sandbox: Sandbox, *names: str) -> dg.ExecuteInProcessResult:
    workspace = sandbox.open()
    resources: dict[str, object] = {
        "workspace": WorkspaceResource(profile=sandbox.profile, data_dir=str(sandbox.data), now=sandbox.now),
        "progress": no_step_progress,
    }
    return dg.materialize(
        [raw.raw_assets(monthly(workspace.settings))],
        resources=resources,
        selection=dg.AssetSelection.assets(*map(raw.raw_key, names)),
        tags=range_tags("2025-12", "2026-01"),
        raise_on_error=False,
    )


def outcome(result: dg.ExecuteInProcessResult) -> tuple[list[str], set[tuple[str, str]]]:
    """The materialised assets, sorted, and the checks that did not pass."""
    made = dict.fromkeys(
        event.asset_key.path[-1] for event in result.get_asset_materialization_events() if event.asset_key
    )
    checks = result.get_asset_check_evaluations()
    return sorted(made), {(check.asset_key.path[-1], check.check_name) for check in checks if not check.passed}


def failing(error: Exception) -> Callable[..., FetchReport]:
    """A `fetch` that raises for one source."""

    def fetching(source: str, *args: Any, **options: Any) -> FetchReport:
        if source == "fred":
            raise error
        return fetch(source, *args, **options)

    return fetching


def test_one_asset_of_the_step_can_be_made_alone(sandbox: Sandbox) -> None:
    assert outcome(extract(sandbox, "ecb")) == (["ecb"], set())
    assert [path.name for path in (sandbox.data / "raw").iterdir() if path.is_dir()] == ["ecb"]


def test_a_bug_in_one_source_fails_its_check_and_stays_known_until_it_is_fetched(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(raw, "fetch", failing(ZeroDivisionError("of this program")))
        result = extract(sandbox, *NAMES)
    assert result.success
    assert outcome(result) == (NAMES, {("fred", "requests_succeeded")})
    [known] = sandbox.open().failures.read()
    assert (known.source, "ZeroDivisionError: of this program" in known.message) == ("fred", True)
    assert outcome(extract(sandbox, "nyfed")) == (["nyfed"], set())
    assert len(sandbox.open().failures.read()) == 1, "another source"
    assert outcome(extract(sandbox, "fred")) == (["fred"], set())
    assert sandbox.open().failures.read() == []


def test_a_folder_that_cannot_be_written_fails_the_step_after_the_other_sources(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(raw, "fetch", failing(OSError("[Errno 13] Permission denied")))
    result = extract(sandbox, *NAMES)
    assert not result.success
    assert outcome(result) == (["ecb", "nyfed"], set())
    [failed] = [event for event in result.all_events if event.is_step_failure]
    assert "Permission denied" in str(failed.step_failure_data.error)
