"""Backfills through the command line: the plan, any assets, what was revised, and one that is killed."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sandbox import Sandbox

NOW = "2026-01-14T20:00:00Z"
MONTHS = ("--from", "2025-01", "--to", "2025-03")
pytestmark = pytest.mark.slow


def snapshot(folder: Path) -> dict[str, str]:
    """Every file and folder below, with the hash of its bytes."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        for path in sorted(folder.rglob("*"))
    }


def backfill(sandbox: Sandbox, *args: str) -> dict[str, Any]:
    """The JSON of a backfill that succeeds."""
    code, out, err = sandbox.call("backfill", *args, "--json")
    assert code == 0, err
    return dict(json.loads("\n".join(out)))


@pytest.fixture(scope="module")
def prices(tmp_path_factory: pytest.TempPathFactory) -> tuple[Sandbox, dict[str, Any]]:
    """Three months of one dataset, and the output of the command."""
    sandbox = Sandbox(tmp_path_factory.mktemp("prices"), "demo", NOW)
    return sandbox, backfill(sandbox, *MONTHS, "--assets", "prices")


def test_a_plan_on_an_empty_folder_writes_nothing(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path, "demo", NOW)
    sandbox.reference()
    before = snapshot(tmp_path)
    work = backfill(sandbox, *MONTHS, "--plan")
    assert snapshot(tmp_path) == before
    assert work["months"] == ["2025-01", "2025-02", "2025-03"]
    requested = {line["source"]: (line["pending"], line["archived"]) for line in work["requests"]}
    assert requested["westmetall"] == (1, 0), "one page holds the year"
    assert requested["customs"] == (2, 0), "January is pooled with February"
    assert work["partitions"] == 3 * sum(1 for part in work["parts"] if part["partitions"])
    assert work["basis"] == "from default rates: no earlier run" and work["seconds"] > 0


def test_a_plan_after_a_run_counts_its_responses_months_and_times_and_writes_nothing(
    prices: tuple[Sandbox, dict[str, Any]],
) -> None:
    sandbox, _ = prices
    before = snapshot(sandbox.root)
    work = backfill(sandbox, *MONTHS, "--assets", "prices", "--plan")
    assert [(r["pending"], r["archived"]) for r in work["requests"]] == [(0, 1)], "2025 was fetched after its end"
    work = backfill(sandbox, *MONTHS, "--assets", "prices", "--plan", "--refresh")
    assert [(r["pending"], r["archived"]) for r in work["requests"]] == [(1, 0)]
    later = sandbox.at("2026-02-02T20:00:00Z")
    work = backfill(sandbox, *MONTHS, "--assets", "prices,power", "--plan")
    assert work["basis"].startswith("from 1 earlier run, ")
    [lake] = [part for part in work["parts"] if part["step"] == "lake__prices"]
    assert lake["read_before"] == 3
    code, out, _ = later.call("backfill", *MONTHS, "--assets", "prices", "--plan")
    assert code == 0 and any("Nothing was run or written." in line for line in out)
    assert snapshot(sandbox.root) == before


def test_a_dataset_comes_with_its_sources_and_nothing_else(prices: tuple[Sandbox, dict[str, Any]]) -> None:
    sandbox, errors = prices
    assert errors["assets"] == ["raw/drop", "raw/westmetall", "lake/prices"]
    assert errors["partitions"] == {"done": 9, "of": 9}
    [news] = errors["changes"]
    assert (news["dataset"], news["months"], news["revised"], news["first"]) == ("prices", 3, 0, [])
    assert news["new"] == errors["rows_read"] == len(sandbox.open().lake.read("prices")) > 50
    assert not (sandbox.data / "published").exists()


def test_the_same_again_adds_no_vintage(prices: tuple[Sandbox, dict[str, Any]]) -> None:
    sandbox, _ = prices
    before = {name: about for name, about in sandbox.stored().items() if name.endswith(".parquet")}
    for options in [(), ("--refresh",)]:
        errors = backfill(sandbox, *MONTHS, "--assets", "prices", *options)
        assert errors["success"] and errors["rows_read"] == 0
        assert [(news["months"], news["new"], news["revised"]) for news in errors["changes"]] == [(0, 0, 0)]
    assert {name: about for name, about in sandbox.stored().items() if name.endswith(".parquet")} == before


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        ((*MONTHS, "--assets", "prise"), "--assets 'prise' matches no asset: write a dataset (prices, stocks,"),
        ((*MONTHS, "--assets", "lake/nothing*"), "matches no asset"),
        ((*MONTHS, "--assets", " , "), "--assets is empty"),
        (("--from", "2025-13", "--to", "2025-03"), "--from '2025-13' is not a month: write YYYY-MM"),
        (("--from", "2025-03", "--to", "2025-01"), "--from 2025-03 lies after --to 2025-01"),
        (("--from", "1999-01", "--to", "2025-01"), "--from 1999-01 lies outside 2008-01 to 2026-01"),
        (("--from", "2025-03"), "--to"),
    ],
)
def test_bad_usage_is_one_sentence_and_writes_nothing(tmp_path: Path, args: tuple[str, ...], sentence: str) -> None:
    sandbox = Sandbox(tmp_path, "demo", NOW)
    sandbox.reference()
    before = snapshot(tmp_path)
    code, out, err = sandbox.call("backfill", *args)
    assert code == 2 and out == []
    assert sentence in " ".join(err)
    assert snapshot(tmp_path) == before


# --- revised history


def test_revised_history_adds_vintages_and_is_shown_before_and_after(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path, "drop", "2026-01-20T20:00:00Z")
    days = pd.bdate_range("2025-12-01", "2026-01-16").strftime("%Y-%m-%d")
    stocks = pd.DataFrame({"metal": "AL", "obs_date": days, "total_t": 500_000.0})
    sandbox.drop("stocks/own.csv", stocks)
    range_ = ("--from", "2025-12", "--to", "2026-01", "--assets", "stocks")
    first = backfill(sandbox, *range_)
    assert [(n["months"], n["new"], n["revised"]) for n in first["changes"]] == [(2, len(days), 0)]

    revised = stocks["total_t"].mask(stocks["obs_date"].isin(["2025-12-31", "2026-01-05", "2026-01-06"]), 450_000.0)
    sandbox.drop("stocks/own.csv", stocks.assign(total_t=revised))
    later = sandbox.at("2026-01-21T09:30:00Z")
    code, out, err = later.call("backfill", "--from", "2026-01", *range_[2:])  # December is loaded too: it contradicts
    assert code == 0, err
    assert any(
        line.startswith("rewritten history: stocks: drop AL: 3 stored rows of 2025-12 to 2026-01") for line in err
    )
    [line] = [line for line in out if "2025-12-31" in line]
    for text in ("stocks", "AL 2025-12-31", "total_t=500000", "total_t=450000", "2026-01-21T09:30:00Z", "drop"):
        assert text in line
    assert sum("total_t=450000" in line for line in out) == 3
    assert any("publish/release was not selected" in line for line in err)
    assert any(line.startswith("100 %") for line in err), "progress, also where no terminal is"

    again = backfill(later, *range_)
    assert [(n["months"], n["new"], n["revised"]) for n in again["changes"]] == [(0, 0, 0)]
    assert len(later.open().lake.read("stocks")) == len(days) + 3

    # Dagster's metadata has the same changes.
    stored = metadata_of(later, "lake/stocks")
    assert [tables for tables in stored if tables] == [3], "one of the three runs revised anything"


def metadata_of(sandbox: Sandbox, asset: str) -> list[int]:
    """Number of revised observations in each materialisation of 2026-01, newest first."""
    import dagster as dg

    from pipelines.orchestration.assets.lake import changes_of

    home = str(sandbox.root / "dagster")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("DAGSTER_HOME", home)
        instance = dg.DagsterInstance.from_config(home)
        records = instance.fetch_materializations(
            dg.AssetRecordsFilter(asset_key=dg.AssetKey(asset.split("/")), asset_partitions=["2026-01"]), limit=10
        ).records
        found = [
            changes_of(record.asset_materialization.metadata) for record in records if record.asset_materialization
        ]
        instance.dispose()
    return [len(news.first) for news in found if news]


# --- killed


def test_a_killed_backfill_resumes_and_ends_like_a_clean_one(demo_of_months: Sandbox, tmp_path: Path) -> None:
    """Killed once while it loads and once while it holds the writer's slot, for which the third must not wait."""
    months, clean = ("--from", "2025-11", "--to", "2025-12"), demo_of_months
    assert clean.now == NOW
    sandbox = Sandbox(tmp_path / "killed", "demo", NOW)
    sandbox.reference()
    ledgers = sandbox.data / "lake"
    kill(sandbox, lambda: len(list(ledgers.glob("*/_ingested.json"))) >= 1, *months)
    remembered = {path.parent.name: set(json.loads(path.read_text())) for path in ledgers.glob("*/_ingested.json")}
    assert 1 <= len(remembered) < 13
    kill(sandbox, lambda: (sandbox.data / "warehouse" / ".writer.json").exists(), *months)
    assert not (sandbox.data / "published").exists()

    resumed = backfill(sandbox, *months)
    assert resumed["rows_read"] == 0, "every month was finished by the second"
    same = {name for name in clean.stored() if name.startswith("lake/") and name.endswith(".parquet")}
    assert {name for name in sandbox.stored() if name.startswith("lake/") and name.endswith(".parquet")} == same
    assert contents(sandbox) == contents(clean)
    assert "killed" not in " ".join(resumed["problems"])


def kill(sandbox: Sandbox, when: Any, *args: str) -> None:
    """Starts the command and kills its process as soon as `when` holds."""
    command = [sys.executable, "-m", "pipelines.cli.app", "backfill", *args]
    environment = sandbox.environment() | {"PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    process = subprocess.Popen(
        command, env=environment, cwd=sandbox.root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    until = time.monotonic() + 300
    while not when() and process.poll() is None and time.monotonic() < until:
        time.sleep(0.02)
    process.kill()
    assert process.wait() == -signal.SIGKILL, "it ended before it was killed"


def contents(sandbox: Sandbox) -> dict[str, str]:
    """The content hash of every published table; for the signals without the columns of the run that wrote a row."""
    manifest = json.loads((sandbox.data / "published" / "manifest.json").read_text())
    found = {name: about["content_sha256"] for name, about in manifest["tables"].items()}
    for name in ("signals.signals", "signals.signals_latest"):
        rows = sandbox.query(f"select * exclude (run_id, code_version, computed_ts) from {name} order by all")
        found[name] = hashlib.sha256(rows.to_csv().encode()).hexdigest()
    return found


def test_a_living_run_is_not_ended() -> None:
    """Only runs whose process has ended are marked as ended, with a message that names the next step."""
    import dagster as dg
    from filelock import FileLock

    from pipelines.orchestration.instance import IN_PROCESS, running

    with pytest.MonkeyPatch.context() as patched, dg.DagsterInstance.ephemeral() as instance:
        home = Path(instance.root_directory)
        job = dg.GraphDefinition(name="one").to_job()
        runs = {
            name: instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED, tags=IN_PROCESS).run_id
            for name in ("dead", "alive", "ended")
        }
        (home / "living").mkdir()
        for name in ("dead", "ended"):
            (home / "living" / f"{runs[name]}.lock").touch()
        listed = instance.get_runs

        def end_one_meanwhile(*args: Any, **more: Any) -> Sequence[dg.DagsterRun]:
            found = listed(*args, **more)
            instance.report_run_canceled(instance.get_run_by_id(runs["ended"]))  # type: ignore[arg-type]
            return found

        patched.setattr(instance, "get_runs", end_one_meanwhile)
        with FileLock(home / "living" / f"{runs['alive']}.lock"), running(instance, "own"):
            pass
        states = {name: instance.get_run_by_id(run_id).status for name, run_id in runs.items()}  # type: ignore[union-attr]
    of = dg.DagsterRunStatus
    assert states == {"dead": of.FAILURE, "alive": of.STARTED, "ended": of.CANCELED}
