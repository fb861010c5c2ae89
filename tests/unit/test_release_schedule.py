"""Months that are due at a moment: the release calendar around holidays, month ends and daylight saving."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from pipelines.common.calendar import business_days, release_rules, release_times
from pipelines.common.settings import PROJECT
from pipelines.datasets import FEEDS
from pipelines.orchestration.automation.freshness import GRACE, dataset_windows, policy, release_windows
from pipelines.orchestration.automation.release_schedule import (
    PUBLICATIONS,
    SAMPLE,
    build_cron,
    due,
    everything_due,
    no_build_reason,
    publication_cron,
    publication_due,
    releases,
)
from pipelines.reference import ReferenceTables, load_reference


@pytest.fixture(scope="module")
def reference() -> ReferenceTables:
    return load_reference(PROJECT / "data" / "reference")


@pytest.fixture(scope="module")
def rules(reference: ReferenceTables) -> pd.DataFrame:
    return reference["release_calendar"]


def at(local: str, zone: str = "UTC") -> datetime:
    return pd.Timestamp(local, tz=zone).to_pydatetime()


def test_every_dataset_and_source_belongs_to_one_publication() -> None:
    wanted = {(name, source) for name, feed in FEEDS.items() for source in feed.sources or ("drop",)}
    found = [tier for publication in PUBLICATIONS.values() for tier in publication.tiers]
    assert len(found) == len(set(found))
    assert set(found) == wanted


def test_the_sources_of_a_publication_share_a_time_zone(rules: pd.DataFrame) -> None:
    """The schedule of a publication ticks at the latest of its sources' times, in one time zone."""
    for publication in PUBLICATIONS.values():
        zones = {release_rules(dataset, source, rules).iloc[-1].timezone for dataset, source in publication.tiers}
        assert len(zones) == 1, f"{publication.name}: {', '.join(sorted(zones))} need a line of PUBLICATIONS each"


@pytest.mark.slow
def test_ticks_are_read_off_the_release_calendar(rules: pd.DataFrame) -> None:
    found = {name: publication_cron(publication, rules) for name, publication in PUBLICATIONS.items()}
    assert found == found | {
        "lme": ("5 9 * * 1-5", "Europe/London"),
        "lme_off_warrant": ("5 9 10-21 * *", "Europe/London"),
        "rates": ("5 9 * * 1-5", "America/New_York"),
        "ecb": ("5 16 * * 1-5", "Europe/Berlin"),
        "power_auction": ("50 12 * * *", "Europe/Berlin"),
        "china_customs": ("5 11 7-23 * *", "Asia/Shanghai"),
        "un_comtrade": ("5 12 1-10,22-31 * *", "America/New_York"),
        "production": ("5 11 1,13-29 * *", "Asia/Shanghai"),
        "costs": ("5 18 * * 1-5", "Europe/London"),
        "arbitrage": ("5 17 * * 1-5", "Europe/London"),
        "equities": ("20 16 * * 1-5", "America/New_York"),
        "pink_sheet": ("5 16 1-11 * *", "America/New_York"),
        "fred_means": ("5 16 1,13-29 * *", "America/Chicago"),
        "ember": ("5 12 * * *", "Europe/London"),
        "shfe_stock": ("5 16 * * 1-5", "Asia/Shanghai"),
        "lme_locations": ("5 9 * * 1-5", "Europe/London"),
        "cftc": ("35 15 * * 1-5", "America/New_York"),
    }
    assert build_cron() == ("15 18 * * 1-5", "Europe/London")
    later = rules.assign(local_time=rules["local_time"].where(rules["dataset"] != "fx", "23:58"))
    assert publication_cron(PUBLICATIONS["ecb"], later) == ("59 23 * * 1-5", "Europe/Berlin"), "a tick stays on its day"


@pytest.mark.parametrize(
    ("dataset", "source", "moment", "months"),
    [
        # Month ends: the free page shows the last day of January on the first business day of February.
        ("prices", "westmetall", at("2026-02-02 09:05", "Europe/London"), ("2026-01",)),
        ("prices", "westmetall", at("2026-02-03 09:05", "Europe/London"), ("2026-01", "2026-02")),
        ("prices", "westmetall", at("2026-02-06 09:05", "Europe/London"), ("2026-01", "2026-02")),
        ("prices", "westmetall", at("2026-02-09 09:05", "Europe/London"), ("2026-02",)),
        # After Easter: Thursday's figures are released on Tuesday, in another month.
        ("prices", "westmetall", at("2024-04-02 09:05", "Europe/London"), ("2024-03",)),
        # The same wall time on both sides of the change of the clock.
        ("prices", "westmetall", at("2026-03-30 09:05", "Europe/London"), ("2026-03",)),
        ("prices", "westmetall", at("2026-03-30 08:05"), ("2026-03",)),
        ("prices", "westmetall", at("2026-10-26 09:05"), ("2026-10",)),
        ("power", "energy_charts", at("2026-03-29 12:50", "Europe/Berlin"), ("2026-03",)),
        ("power", "energy_charts", at("2026-10-25 12:50", "Europe/Berlin"), ("2026-10",)),
        # The auction of the last day is for the next month, which has no partition yet.
        ("power", "energy_charts", at("2026-01-31 12:50", "Europe/Berlin"), ("2026-01",)),
        ("power", "energy_charts", at("2026-02-01 12:50", "Europe/Berlin"), ("2026-01", "2026-02")),
        # New York has changed its clock, Europe not yet.
        ("rates", "nyfed", at("2026-03-10 12:05"), ("2026-03",)),
        ("fx", "ecb", at("2026-01-30 15:05"), ("2026-01",)),
        # Windows of the monthly figures.
        ("exports", "customs", at("2026-01-07 11:05", "Asia/Shanghai"), ("2025-12",)),
        ("exports", "customs", at("2026-01-21 11:05", "Asia/Shanghai"), ("2025-12",)),
        ("exports", "comtrade", at("2026-02-27 12:05", "America/New_York"), ("2025-12",)),
        ("off_warrant", "drop", at("2026-01-12 09:05", "Europe/London"), ("2025-11",)),
        ("production", "drop", at("2026-01-20 11:05", "Asia/Shanghai"), ("2025-12",)),
        ("benchmark_prices", "worldbank", at("2026-01-02 16:05", "America/New_York"), ("2025-12",)),
        ("benchmark_prices", "fred", at("2026-01-20 16:05", "America/Chicago"), ("2025-12",)),
        ("benchmark_power", "ember", at("2026-01-20 12:05", "Europe/London"), ("2026-01",)),
        ("exchange_stocks", "shfe", at("2026-01-16 16:05", "Asia/Shanghai"), ("2026-01",)),
        ("positions", "cftc", at("2026-05-01 15:35", "America/New_York"), ("2026-04",)),
    ],
)
def test_months_that_are_due(
    rules: pd.DataFrame, dataset: str, source: str, moment: datetime, months: tuple[str, ...]
) -> None:
    found = due(dataset, source, moment, rules)
    assert (found.months, found.reason) == (months, "")


@pytest.mark.parametrize(
    ("dataset", "source", "moment", "reason"),
    [
        ("prices", "westmetall", at("2025-12-25 09:05"), "Thursday 2025-12-25 is no working day in London"),
        ("stocks", "westmetall", at("2026-04-06 09:05"), "Monday 2026-04-06 is no working day in London"),
        ("rates", "nyfed", at("2026-11-26 13:05"), "Thursday 2026-11-26 is no working day in New York"),
        ("fx", "ecb", at("2026-05-01 15:05"), "Friday 2026-05-01 is no working day at the ECB"),
        ("prices", "westmetall", at("2026-01-14 08:59"), "the figures of 2026-01-14 come out at 09:00 Europe/London"),
        # 12:05 UTC is 08:05 in New York's summer, and 07:05 in its winter.
        ("rates", "nyfed", at("2026-01-13 12:05"), "the figures of 2026-01-13 come out at 08:00 America/New_York"),
        ("exports", "customs", at("2026-01-06 03:05"), "no month is due on 2026-01-06; 2025-12 is from 2026-01-07 on"),
        ("exports", "customs", at("2026-01-10 03:05"), "Saturday 2026-01-10 is no working day"),
        ("off_warrant", "drop", at("2026-01-09 09:05"), "no month is due on 2026-01-09; 2025-11 is from 2026-01-12 on"),
    ],
)
def test_reasons_for_no_request(rules: pd.DataFrame, dataset: str, source: str, moment: datetime, reason: str) -> None:
    assert due(dataset, source, moment, rules).reason == reason
    assert due(dataset, source, moment, rules).months == ()


def test_january_has_no_release_of_chinese_customs(reference: ReferenceTables, rules: pd.DataFrame) -> None:
    customs, scope = PUBLICATIONS["china_customs"], reference.scope()
    pooled = publication_due(customs, at("2026-02-10 03:05"), rules, scope)
    assert pooled.reason == "China customs: exports: 2026-01 has no release of its own"
    assert publication_due(customs, at("2026-03-09 03:05"), rules, scope).months == ("2026-02",)


def test_a_rule_holds_from_its_day_on(rules: pd.DataFrame) -> None:
    own = rules[(rules["dataset"] == "fx")]
    changed = pd.concat([rules, own.assign(valid_from=pd.Timestamp("2026-06-01"), local_time="14:00")])
    before, after = at("2026-05-29 14:05", "Europe/Berlin"), at("2026-06-02 14:05", "Europe/Berlin")
    assert due("fx", "ecb", before, changed).reason == "the figures of 2026-05-29 come out at 16:00 Europe/Berlin"
    assert due("fx", "ecb", after, changed).months == ("2026-05", "2026-06")


@pytest.mark.slow
def test_every_release_is_requested_by_the_tick_that_follows_it(rules: pd.DataFrame) -> None:
    """Every release of two years is within the months of the tick that follows it."""
    for dataset, feed in FEEDS.items():
        monthly = feed.spec.cadence == "monthly"
        for source in feed.sources or ("drop",):
            publication = next(p for p in PUBLICATIONS.values() if (dataset, source) in p.tiers)
            _, zone = publication_cron(publication, rules)
            periods = pd.Series(pd.date_range("2024-06-01", "2025-06-30", freq="ME" if monthly else "17D"))
            calendar = rules.loc[rules["dataset"] == dataset, "calendar"].iloc[0]
            days = periods.to_numpy().astype("datetime64[D]")
            sample = periods if monthly else periods[np.is_busday(days, busdaycal=business_days(calendar))]
            for period, known in zip(
                sample, release_times(sample, dataset, source, rules)["knowledge_ts"], strict=True
            ):
                moment = known.tz_convert(zone) + timedelta(minutes=5)
                found = due(dataset, source, moment.to_pydatetime(), rules)
                month = f"{period:%Y-%m}"
                # An auction for the first of a month is held before the month has begun.
                assert month in found.months or month > f"{moment.tz_convert('Europe/London'):%Y-%m}", (dataset, period)


@pytest.mark.slow
def test_everything_due_is_the_current_month_and_late_months(reference: ReferenceTables, rules: pd.DataFrame) -> None:
    scope = reference.scope()
    assert everything_due(at("2026-01-29 18:15"), rules, scope).span == ("2025-11", "2026-01"), "Comtrade's window"
    assert everything_due(at("2026-06-20 18:15"), rules, scope).months == ("2026-06",), "a Saturday"
    summer = everything_due(at("2026-08-17 17:15"), rules, scope)
    assert summer.span == ("2026-06", "2026-08"), "off-warrant and customs"


def test_days_without_a_build() -> None:
    assert no_build_reason(at("2026-01-14 18:15")) == ""
    assert (
        no_build_reason(at("2026-04-03 17:15")) == "Friday 2026-04-03 is no working day in London and has no as-of row"
    )
    assert no_build_reason(at("2026-03-30 17:15")) == "", "summer time has begun"


@pytest.mark.parametrize("dataset", list(FEEDS))
def test_no_dataset_is_late_before_its_next_release_is(rules: pd.DataFrame, dataset: str) -> None:
    """Run once after each release: the deadline lies after the next one, on every holiday of the sample years."""
    feed, late = FEEDS[dataset], policy(dataset_windows(dataset, rules))
    window, warning = late.fail_window.to_timedelta(), late.warn_window.to_timedelta()  # type: ignore[attr-defined]
    known = releases(dataset, feed.sources[0] if feed.sources else "drop", rules)
    assert (known.diff().dropna() <= warning).all()
    assert window - warning == GRACE[feed.spec.cadence]
    assert known.iloc[-1] > pd.Timestamp(SAMPLE[1], tz="UTC") - timedelta(days=1)
    longest = {"daily": timedelta(days=7), "monthly": timedelta(days=75)}
    assert window <= longest[feed.spec.cadence], "a policy that never fails would be useless"


def test_the_publication_is_late_after_a_business_day_without_a_build() -> None:
    window = policy(release_windows()).fail_window.to_timedelta()  # type: ignore[attr-defined]
    assert timedelta(days=5) <= window <= timedelta(days=7)
