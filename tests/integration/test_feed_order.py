"""Priority of sources: the first source with rows for a series and month provides them, and each row names it."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from sandbox import Sandbox

from pipelines.common.calendar import months_between
from pipelines.sources import SOURCES
from pipelines.sources.base import Payload
from pipelines.sources.power_days import bounds
from pipelines.transports.demo import DemoTransport

NOW = "2024-06-20T20:00:00Z"
MONTHS = ("2024-04", "2024-05")


def stored(sandbox: Sandbox, dataset: str) -> pd.DataFrame:
    """Rows in the lake after a run over the recordings."""
    done = sandbox.ingest(MONTHS, [dataset])
    assert done.failures == []
    return sandbox.open().lake.read(dataset)


def by_month(rows: pd.DataFrame, period: str) -> dict[str, set[str]]:
    return {month: set(own["source"]) for month, own in rows.groupby(rows[period].dt.strftime("%Y-%m"))}


def test_fred_provides_the_months_that_the_new_york_fed_lacks(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path, "replay", NOW)
    sandbox.record(
        "fred/SOFR.csv", "observation_date,SOFR\n2024-04-30,5.34\n2024-05-01,5.99\n2024-05-27,.\n2024-05-28,\n"
    )
    rates = [{"effectiveDate": "2024-05-01", "type": "SOFR", "percentRate": 5.31}]
    sandbox.record("nyfed/sofr_2024.json", json.dumps({"refRates": rates}))
    rows = stored(sandbox, "rates")
    assert rows["rate_pct"].tolist() == [5.34, 5.31]
    assert by_month(rows, "obs_date") == {"2024-04": {"fred"}, "2024-05": {"nyfed"}}


def test_a_revised_rate_is_a_new_vintage(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path, "replay", NOW)
    first = {"effectiveDate": "2024-05-01", "type": "SOFR", "percentRate": 5.31, "revisionIndicator": ""}
    sandbox.record("nyfed/sofr_2024.json", json.dumps({"refRates": [first]}))
    assert stored(sandbox, "rates")["rate_pct"].tolist() == [5.31]
    revised = first | {"percentRate": 5.34, "revisionIndicator": "r"}
    sandbox.record("nyfed/sofr_2024.json", json.dumps({"refRates": [revised, first]}))
    rows = stored(sandbox.at("2024-06-21T20:00:00Z"), "rates")
    assert list(zip(rows["vintage_no"], rows["rate_pct"], strict=True)) == [(1, 5.31), (2, 5.34)]
    assert sandbox.open().quarantine.counts() == {}


def test_smard_provides_the_months_that_energy_charts_lacks(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path, "replay", NOW)
    workspace = Sandbox(tmp_path, "demo", NOW).open()
    transport = DemoTransport(workspace.now, workspace.scope)
    (may,) = SOURCES["energy_charts"].requests(pd.Period("2024-05", "M"), workspace.scope)
    sandbox.record(f"energy_charts/{may.name}", transport.fetch(may)[0].body)
    for month in months_between(*MONTHS):
        for request in SOURCES["smard"].requests(month, workspace.scope):
            start = pd.Timestamp(int(request.name.rpartition("_")[2][:-8]), unit="s", tz="Europe/Berlin")
            end = bounds("Europe/Berlin", (start + pd.DateOffset(days=7)).date())[0]
            series = [[second * 1000, 50.0] for second in range(int(start.timestamp()), end, 3600)]
            sandbox.record(f"smard/{request.name}", json.dumps({"series": series}))
    rows = stored(sandbox, "power")
    assert by_month(rows, "delivery_date") == {"2024-04": {"smard"}, "2024-05": {"energy_charts"}}
    assert len(rows) == (30 + 31) * 24, "a week that belongs to both months is stored once"


@pytest.mark.slow
def test_a_month_stays_with_its_source_when_later_responses_lack_it(tmp_path: Path) -> None:
    """The user has accepted responses without the month: of daily captures only the last two are read."""
    at_first, later = {"2024-04-30": 5.3, "2024-05-01": 5.31}, {"2024-04-30": 5.3}
    found = {}
    for kind in ("daily", "whole"):
        sandbox = Sandbox(tmp_path / kind, "demo", "2024-05-03T20:00:00Z")
        for number, rates in enumerate([at_first, later, later | {"2024-04-29": 5.3}]):
            sandbox = sandbox.at(f"2024-05-{3 + number:02d}T20:00:00Z")
            workspace = sandbox.open()
            nyfed = [{"effectiveDate": day, "type": "SOFR", "percentRate": rate} for day, rate in rates.items()]
            fred = "observation_date,SOFR\n" + "".join(f"2024-05-0{n + 1},5.99\n" for n in range(number + 1))
            for source, body in {"nyfed": json.dumps({"refRates": nyfed}), "fred": fred}.items():
                (request, *_) = SOURCES[source].requests(pd.Period("2024-05", "M"), workspace.scope)
                workspace.archive.record(request, [Payload(request, body.encode(), workspace.now)])
            if kind == "whole":
                workspace.lake.ledger("rates").unlink(missing_ok=True)
            assert workspace.ingestion().run("rates", months_between(*MONTHS)).failures == []
        found[kind] = sandbox.open().lake.read("rates")
    assert by_month(found["daily"], "obs_date") == {"2024-04": {"nyfed"}, "2024-05": {"nyfed"}}
    pd.testing.assert_frame_equal(found["daily"], found["whole"])


@pytest.mark.slow
def test_rows_of_two_benchmark_publishers_are_both_stored(tmp_path: Path, real: Path) -> None:
    sandbox = Sandbox(tmp_path, "replay", NOW)
    for name in ("worldbank/CMO-Historical-Data-Monthly.xlsx", "fred/PALUMUSDM.csv"):
        sandbox.record(name, real / "payloads" / name)
    rows = stored(sandbox, "benchmark_prices").sort_values(["period_end", "benchmark"])
    assert rows["benchmark"].tolist() == ["FRED", "WORLD_BANK"] * 2
    assert rows["source"].tolist() == ["fred", "worldbank"] * 2
    means = rows.pivot(index="period_end", columns="benchmark", values="mean_usd_t")
    assert (means["FRED"] / means["WORLD_BANK"] - 1).abs().max() < 0.01


@pytest.mark.slow
def test_ember_and_shanghai_are_stored_in_separate_datasets(tmp_path: Path) -> None:
    demo = Sandbox(tmp_path, "demo", "2026-01-20T20:00:00Z")
    done = demo.ingest(("2025-12", "2026-01"), ["benchmark_power", "exchange_stocks"])
    assert done.failures == []
    lake = demo.open().lake
    power, stocks = lake.read("benchmark_power"), lake.read("exchange_stocks")
    assert sorted(set(power["country"])) == ["DEU", "FRA"]
    assert (len(power), str(power["delivery_date"].max().date())) == (2 * (31 + 13), "2026-01-13")
    stocks = stocks[stocks["product"] == "METAL"]
    weeks = {exchange: own["obs_date"].dt.strftime("%m-%d").tolist() for exchange, own in stocks.groupby("exchange")}
    assert weeks["SHFE"] == ["12-05", "12-12", "12-19", "12-26", "12-31", "01-09", "01-16"]
    assert weeks["COMEX"] == ["12-05", "12-12", "12-19", "12-26", "01-02", "01-09", "01-16"]
    assert set(zip(stocks["exchange"], stocks["source"], strict=True)) == {("SHFE", "shfe"), ("COMEX", "drop")}
