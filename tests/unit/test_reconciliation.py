"""Two publishers of one number: their usual differences pass, and errors of one of them are found."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import numpy as np
import pandas as pd
import pytest
from sandbox import Sandbox
from sourcing import payload

from pipelines.common.calendar import business_days
from pipelines.common.settings import PROJECT
from pipelines.ingestion import reconciliation as reconciliation
from pipelines.ingestion.reconciliation import Limits, compare
from pipelines.orchestration.assets.reconciliation import cross_checks
from pipelines.orchestration.resources import WorkspaceResource
from pipelines.sources import SOURCES
from pipelines.sources.base import Metal, Scope

SCOPE = Scope((Metal("AL", "Aluminium", "Al", "Aluminum", "PALUMUSDM", "(?i)unwrought alumini?um"),), ())
NOW = "2026-11-20T20:00:00Z"


def days(first: str, last: str) -> pd.DatetimeIndex:
    return pd.bdate_range(first, last, unit="us")


def prices(first: str = "2024-01-01", last: str = "2024-03-31", price: float = 2400.0) -> pd.DataFrame:
    return pd.DataFrame({"metal": "AL", "obs_date": days(first, last), "cash_usd_t": price})


def means(benchmark: str = "WORLD_BANK", mean: float = 2400.0, months: int = 3) -> pd.DataFrame:
    ends = pd.date_range("2024-01-31", periods=months, freq="ME")
    return pd.DataFrame({"metal": "AL", "benchmark": benchmark, "period_end": ends, "mean_usd_t": mean})


# --- prices


@pytest.fixture(scope="module")
def recorded(real: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Five recorded years of daily prices, and the recorded Pink Sheet."""
    pages = [real / "payloads" / "westmetall" / f"westmetall_lme_al_{year}.html" for year in range(2020, 2025)]
    source = SOURCES["westmetall"]
    frames = [source.parse(payload("westmetall", p, p.stem[-4:], "AL"), SCOPE).frames["prices"] for p in pages]
    sheet = payload("worldbank", real / "payloads" / "worldbank" / "CMO-Historical-Data-Monthly.xlsx")
    return pd.concat(frames), SOURCES["worldbank"].parse(sheet, SCOPE).frames["benchmark_prices"]


@pytest.mark.slow
def test_five_recorded_years_agree_with_the_world_bank(recorded: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    found = reconciliation.monthly_means(*recorded)
    assert (found.compared, found.beyond_fail) == (60, 0)
    assert found.worst < 1.14, "1.13 % is the worst of 221 months"
    assert found.state in {"ok", "warn"}


def test_one_month_that_is_three_percent_off_fails(recorded: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    daily, bank = recorded
    of_may = daily["obs_date"].dt.strftime("%Y-%m") == "2023-05"
    off = daily.assign(cash_usd_t=daily["cash_usd_t"].where(~of_may, daily["cash_usd_t"] * 1.03))
    found = reconciliation.monthly_means(off, bank)
    assert (found.state, found.beyond_fail, found.where) == ("fail", 1, "AL WORLD_BANK 2023-05")
    assert str(found).startswith("60 compared, the worst ")


def test_each_benchmark_is_compared_and_half_a_month_is_not() -> None:
    both = pd.concat([means(), means("FRED", 2400 * 1.015)])
    found = reconciliation.monthly_means(prices(), both)
    assert (found.compared, found.state, found.beyond_warn) == (6, "warn", 3)
    assert "FRED" in found.where
    half = prices(last="2024-03-12", price=2400).assign(cash_usd_t=lambda rows: rows["cash_usd_t"])
    half.loc[half["obs_date"] >= "2024-03-01", "cash_usd_t"] = 3000
    assert reconciliation.monthly_means(half, means()).state == "ok", "March is not over"


# --- rates, power, stock


def test_a_rate_of_the_same_day() -> None:
    one = pd.DataFrame({"rate_id": "SOFR", "obs_date": days("2024-05-01", "2024-05-10"), "rate_pct": 5.31})
    assert reconciliation.rates(one, one).state == "ok"
    assert reconciliation.rates(one, one.assign(rate_pct=5.32)).state == "warn"
    found = reconciliation.rates(one, one.assign(rate_pct=one["rate_pct"].where(one.index != 2, 0.0531)))
    assert (found.state, found.beyond_fail, found.where) == ("fail", 1, "SOFR 2024-05-03")
    assert found.worst == pytest.approx(525.69)
    assert reconciliation.rates(one, one.assign(rate_id="EFFR")).compared == 0


def test_the_rates_of_the_chain_by_month() -> None:
    """One day at the end of a quarter is usual; a month that is 30 bp apart, or in another unit, is not."""
    sofr = pd.DataFrame({"rate_id": "SOFR", "obs_date": days("2024-05-01", "2024-06-28"), "rate_pct": 5.31})
    effr = sofr.assign(rate_id="EFFR", rate_pct=5.33)
    spike = sofr["rate_pct"].where(sofr["obs_date"] != "2024-06-28", 8.25)
    found = reconciliation.rate_chain(pd.concat([sofr.assign(rate_pct=spike), effr]))
    assert (found.state, found.compared, found.worst) == ("ok", 2, pytest.approx(2))
    later = sofr["obs_date"] >= "2024-06-01"
    for apart, state in ((0.2, "warn"), (0.3, "fail"), (-5.25, "fail")):
        moved = sofr.assign(rate_pct=sofr["rate_pct"].where(~later, 5.33 + apart))
        found = reconciliation.rate_chain(pd.concat([moved, effr]))
        assert (found.state, found.where) == (state, "2024-06")
    assert reconciliation.rate_chain(sofr).compared == 0


@pytest.mark.skipif(not (TABLES := PROJECT.parent / "shared" / "real" / "tables").is_dir(), reason="no real tables")
def test_the_real_rates_agree() -> None:
    frames = []
    for rate in ("sofr", "effr"):
        real = pd.read_csv(TABLES / f"{rate}_daily.csv", parse_dates=["obs_date"])
        real = real.rename(columns={f"{rate}_pct": "rate_pct"}).assign(rate_id=rate.upper())
        open_days = np.is_busday(
            real["obs_date"].to_numpy().astype("datetime64[D]"), busdaycal=business_days("NEW_YORK")
        )
        frames.append(real[open_days])
    found = reconciliation.rate_chain(pd.concat(frames))
    assert (found.state, found.compared) == ("ok", 84), str(found)


def test_an_abridged_curve_has_the_mean_of_the_whole_one() -> None:
    whole = pd.DataFrame(
        {"zone": "DE-LU", "delivery_date": pd.Timestamp("2024-05-01"), "resolution": "PT60M", "n_positions": 24,
         "position": range(1, 25), "price_eur_mwh": [10.0] * 12 + [40.0] * 6 + [-5.0] * 6}
    )  # fmt: skip
    abridged = whole[whole["position"].isin([1, 13, 19])]
    mean = (12 * 10 + 6 * 40 - 6 * 5) / 24
    assert (
        reconciliation.daily_means(abridged)["mean"].tolist()
        == reconciliation.daily_means(whole)["mean"].tolist()
        == [mean]
    )
    assert reconciliation.power(whole, abridged).state == "ok"
    assert reconciliation.power(whole, abridged.assign(price_eur_mwh=abridged["price_eur_mwh"] / 10)).state == "fail"
    assert reconciliation.power(whole, abridged.assign(zone="FR")).compared == 0


def test_stock_may_differ_by_a_lot() -> None:
    one = pd.DataFrame({"metal": "AL", "obs_date": days("2024-05-01", "2024-05-10"), "total_t": 500_000.0})
    for tonnes, state in ((25, "ok"), (500, "ok"), (1_000, "warn"), (30_000, "fail")):
        assert reconciliation.stock(one.assign(total_t=500_000 + tonnes), one).state == state, tonnes
    gone = one.assign(total_t=0.0)
    assert reconciliation.stock(gone, gone).compared == 0, "no share of zero is computed"


def test_nothing_to_compare_is_ok() -> None:
    nothing = pd.DataFrame()
    for found in (
        reconciliation.monthly_means(nothing, means()),
        reconciliation.rates(nothing, nothing),
        reconciliation.power(nothing, nothing),
        reconciliation.stock(nothing, nothing),
        reconciliation.monthly_means(prices("2020-01-01", "2020-02-28"), means()),
    ):
        assert (found.state, str(found)) == ("ok", "nothing to compare")


def test_a_difference_at_the_limit_passes() -> None:
    found = compare(pd.Series([1.0, -2.0, 2.1], index=["a", "b", "c"]), Limits(1, 2, "%"))
    assert (found.beyond_warn, found.beyond_fail, found.where) == (2, 1, "c")


# --- as checks


def check(sandbox: Sandbox, name: str) -> dg.AssetCheckEvaluation:
    [key] = [key for key in cross_checks().check_keys if key.name == name]
    resource = WorkspaceResource(profile=sandbox.profile, data_dir=str(sandbox.data), now=sandbox.now)
    selection = dg.AssetSelection.checks(key)
    run = dg.materialize([cross_checks()], resources={"workspace": resource}, selection=selection)
    [result] = run.get_asset_check_evaluations()
    assert result.asset_check_key == key
    return result


@pytest.mark.slow
def test_the_sources_of_the_demo_market_agree_and_a_corrupted_one_is_found(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path, "demo", NOW)
    sandbox.ingest(("2025-11", "2026-11"), ["prices", "stocks", "rates", "benchmark_prices"])
    for name in ("nyfed_agrees_with_fred", "jin10_agrees_with_westmetall", "daily_prices_agree"):
        result = check(sandbox, name)
        assert result.passed, result.description
        compared = re.match(r"([\d,]+) compared", result.description or "")
        assert compared and int(compared[1]) >= 10, result.description
    nothing = check(sandbox, "energy_charts_agrees_with_entsoe")
    assert (nothing.passed, nothing.description) == (True, "nothing to compare")

    workspace = sandbox.open()
    requests = SOURCES["fred"].requests(pd.Period("2026-11", "M"), workspace.scope)
    [request] = [request for request in requests if request.entity == "SOFR"]
    [last] = workspace.archive.load(request)
    corrupted = re.sub(rb"(2026-11-1\d),([\d.]+)", lambda m: b"%s,%.4f" % (m[1], float(m[2]) / 100), last.body)
    other = payload("fred", corrupted)
    workspace.archive.record(request, [type(last)(request, other.body, datetime(2026, 11, 21, tzinfo=UTC))])
    result = check(sandbox, "nyfed_agrees_with_fred")
    assert (result.passed, result.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert "beyond 5" in (result.description or "")
