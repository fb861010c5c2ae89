"""Business days, decision times, prompts and release rules, against published calendars and recorded series."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import pytest

from pipelines.common.calendar import (
    business_days,
    early_closes,
    is_london_business_day,
    month_of,
    months_between,
    release_instants,
    release_times,
    to_utc,
    trading_calendar,
)
from pipelines.common.settings import PROJECT
from pipelines.reference import load_reference

RULES = load_reference(PROJECT / "data" / "reference")["release_calendar"]


def known(dataset: str, source: str, *days: str, entity: str = "") -> list[str]:
    ends = pd.Series(pd.to_datetime(list(days)))
    return [moment.isoformat() for moment in release_times(ends, dataset, source, RULES, entity)["knowledge_ts"]]


# --- business days


@pytest.mark.parametrize(
    "day",
    [
        "2020-05-08",  # VE Day, moved from the Monday
        "2022-06-02",  # spring bank holiday, moved
        "2022-06-03",  # Platinum Jubilee
        "2022-09-19",  # the Queen's funeral
        "2023-05-08",  # coronation
        "2021-12-27",  # Christmas on a Saturday
        "2021-12-28",  # Boxing Day on a Sunday
        "2026-04-03",  # Good Friday
        "2026-04-06",  # Easter Monday
        "2026-01-10",  # a Saturday
    ],
)
def test_days_on_which_london_is_closed(day: str) -> None:
    assert not is_london_business_day(np.array([day], dtype="datetime64[D]"))[0]


@pytest.mark.parametrize("day", ["2020-05-04", "2022-05-30", "2026-01-02", "2026-01-19", "2026-11-30"])
def test_days_on_which_london_is_open(day: str) -> None:
    """Among them the usual days of moved holidays, a US holiday and a Scottish one."""
    assert is_london_business_day(np.array([day], dtype="datetime64[D]"))[0]


@pytest.mark.parametrize(
    ("calendar", "table", "more"),
    [
        # The recorded series also has the day of the state funeral and one Saturday.
        ("LONDON", "lme_prices_daily", {"2008-11-08", "2022-09-19"}),
        ("NEW_YORK", "sofr_daily", set()),
    ],
)
def test_the_calendars_are_those_of_the_recorded_series(
    real: Path, calendar: Literal["LONDON", "NEW_YORK"], table: str, more: set[str]
) -> None:
    seen = set(pd.read_csv(real / "tables" / f"{table}.csv")["obs_date"])
    days = np.arange(np.datetime64(min(seen)), np.datetime64(max(seen)) + 1)
    ours = set(days[np.is_busday(days, busdaycal=business_days(calendar))].astype(str))
    assert (ours - seen, seen - ours) == (set(), more)


def test_the_stock_exchange_trades_on_38_days_on_which_bonds_do_not() -> None:
    """Columbus Day and Veterans Day of 2008 to 2027, where they are weekdays."""
    days = np.arange(np.datetime64("2008-01-01"), np.datetime64("2028-01-01"))
    bonds, shares = (np.is_busday(days, busdaycal=business_days(name)) for name in ("NEW_YORK", "NYSE"))
    more = pd.DatetimeIndex(days[shares & ~bonds])
    assert len(more) == 38
    assert {(day.month, day.day_of_week == 0 or day.day in (11, 12)) for day in more} == {(10, True), (11, True)}
    # Storms and days of mourning on which bonds traded.
    assert {"2012-10-29", "2025-01-09"} <= set(days[bonds & ~shares].astype(str))


def test_an_early_close_is_a_trading_day_and_before_the_decision_never() -> None:
    """At the decision time, 18:00 in London, no close of the day is known, an early one neither."""
    early = early_closes("NYSE")
    recent = early[early.index >= "2008-01-01"]
    days = recent.index.to_numpy().astype("datetime64[D]")
    assert np.is_busday(days, busdaycal=business_days("NYSE")).all()
    assert set(recent) == {pd.Timedelta(hours=3)}
    closes = release_instants(days, "16:15", "America/New_York", "NYSE")
    assert (closes > to_utc(days, "18:00", "Europe/London")).all()
    assert early_closes("NEW_YORK").empty


# --- decision times and prompts


def test_decision_times_follow_london_time() -> None:
    calendar = trading_calendar(date(2025, 3, 28), date(2025, 3, 31)).set_index("calendar_date")
    moments = [moment.isoformat() for moment in calendar["as_of_ts"]]
    assert moments[0] == "2025-03-28T18:00:00+00:00"
    assert moments[-1] == "2025-03-31T17:00:00+00:00"  # the clocks went forward on the 30th
    assert calendar["is_business_day"].tolist() == [True, False, False, True]


def test_the_business_day_before_skips_weekends_and_holidays() -> None:
    days = {
        "2024-05-10": "2024-05-09",  # a Friday
        "2024-05-06": "2024-05-03",  # a bank holiday on a Monday
        "2024-05-07": "2024-05-03",
        "2024-05-11": "2024-05-10",  # a Saturday
        "2008-01-02": "2007-12-31",
    }
    for day, before in days.items():
        [row] = trading_calendar(date.fromisoformat(day), date.fromisoformat(day)).itertuples()
        assert str(row.previous_business_day.date()) == before, day


@pytest.mark.parametrize(
    ("trade", "cash", "three", "why"),
    [
        ("2026-01-14", "2026-01-16", "2026-04-14", "the same day of the month, a business day"),
        ("2026-01-15", "2026-01-19", "2026-04-15", "cash over a weekend"),
        ("2026-01-05", "2026-01-07", "2026-04-07", "5 April is a Sunday and the 6th Easter Monday: the day after"),
        ("2025-11-28", "2025-12-02", "2026-02-27", "28 February is a Saturday, the next business day in March: before"),
        ("2025-11-27", "2025-12-01", "2026-02-27", "the last business day of February"),
        ("2024-11-29", "2024-12-03", "2025-02-28", "no 29 February in 2025: the last day"),
        ("2025-12-23", "2025-12-29", "2026-03-23", "cash over Christmas"),
        ("2025-10-17", "2025-10-21", "2026-01-16", "17 January is a Saturday: the Friday before"),
        ("2026-02-17", "2026-02-19", "2026-05-18", "17 May is a Sunday: the Monday after"),
        ("2020-01-10", "2020-01-14", "2020-04-09", "10 April is Good Friday: the Thursday before"),
        ("2020-01-13", "2020-01-15", "2020-04-14", "13 April is Easter Monday: the day after"),
        ("2020-02-25", "2020-02-27", "2020-05-26", "25 May is a bank holiday: the day after"),
        ("2020-09-25", "2020-09-29", "2020-12-24", "25 December is a Friday: the day before"),
        ("2023-01-06", "2023-01-10", "2023-04-06", "6 April is the Thursday before Easter"),
        ("2022-01-14", "2022-01-18", "2022-04-14", "the Thursday before Easter"),
        (
            "2022-01-16",
            "2022-01-18",
            "2022-04-19",
            "16 April is Easter Saturday: Good Friday is no business day, so the Tuesday after",
        ),
        ("2025-01-20", "2025-01-22", "2025-04-22", "20 April is Easter Sunday: the Tuesday after Easter Monday"),
        ("2023-01-09", "2023-01-11", "2023-04-11", "9 April is Easter Sunday: the Tuesday after"),
        ("2025-05-30", "2025-06-03", "2025-08-29", "30 August is a Saturday, the next one in September: before"),
    ],
)
def test_prompts(trade: str, cash: str, three: str, why: str) -> None:
    [row] = trading_calendar(date.fromisoformat(trade), date.fromisoformat(trade)).itertuples()
    assert (str(row.cash_prompt.date()), str(row.m3_prompt.date())) == (cash, three), why
    assert row.days_cash_to_3m == (date.fromisoformat(three) - date.fromisoformat(cash)).days


def test_a_skipped_or_repeated_wall_time_has_one_instant() -> None:
    days = np.array(["2025-03-30", "2025-10-26"], dtype="datetime64[D]")
    assert [moment.isoformat() for moment in to_utc(days, "01:30", "Europe/London")] == [
        "2025-03-30T01:00:00+00:00",  # 01:30 does not exist: the first that does
        "2025-10-26T00:30:00+00:00",  # it occurs twice: the first
    ]


# --- release rules (docs/methodology.md#sources-and-knowledge-times)


@pytest.mark.parametrize(
    ("dataset", "source", "day", "moment"),
    [
        ("prices", "drop", "2026-01-14", "2026-01-14T13:25:00+00:00"),
        ("prices", "drop", "2025-07-14", "2025-07-14T12:25:00+00:00"),
        ("prices", "westmetall", "2026-01-16", "2026-01-19T09:00:00+00:00"),
        ("prices", "westmetall", "2025-12-24", "2025-12-29T09:00:00+00:00"),
        ("stocks", "westmetall", "2026-01-16", "2026-01-19T09:00:00+00:00"),
        ("off_warrant", "drop", "2025-11-28", "2026-01-12T09:00:00+00:00"),  # the 10th is a Saturday
        ("off_warrant", "drop", "2025-03-31", "2025-05-12T08:00:00+00:00"),  # 09:00 in London's summer
        ("off_warrant", "drop", "2025-12-31", "2026-02-10T09:00:00+00:00"),
        ("exports", "customs", "2025-12-31", "2026-01-14T03:00:00+00:00"),
        ("exports", "customs", "2025-02-28", "2025-03-14T03:00:00+00:00"),  # January and February in March
        ("benchmark_prices", "worldbank", "2025-12-31", "2026-01-02T21:00:00+00:00"),  # weekdays: 1 and 2 January
        ("rates", "nyfed", "2026-01-16", "2026-01-20T13:00:00+00:00"),  # Martin Luther King Day between
        ("rates", "nyfed", "2024-03-28", "2024-04-01T12:00:00+00:00"),  # Good Friday between, summer time
        ("power", "energy_charts", "2026-01-14", "2026-01-13T11:45:00+00:00"),
        ("power", "entsoe", "2025-03-31", "2025-03-30T10:45:00+00:00"),  # the auction on the day of the change
        # No SOFR on a Good Friday, also on those on which US bonds trade, nor on Juneteenth.
        ("rates", "drop", "2021-04-01", "2021-04-05T12:00:00+00:00"),
        ("rates", "drop", "2023-04-06", "2023-04-10T12:00:00+00:00"),
        ("rates", "drop", "2024-06-18", "2024-06-20T12:00:00+00:00"),
        ("rates", "drop", "2025-04-17", "2025-04-21T12:00:00+00:00"),
        ("rates", "nyfed", "2025-10-10", "2025-10-14T12:00:00+00:00"),  # Columbus Day between
        # The stock exchange trades on Columbus Day and Veterans Day, on which bonds do not.
        ("equities", "drop", "2025-10-10", "2025-10-10T20:15:00+00:00"),
        ("equities", "drop", "2025-10-13", "2025-10-13T20:15:00+00:00"),
        ("equities", "drop", "2025-11-11", "2025-11-11T21:15:00+00:00"),
        ("equities", "yahoo", "2022-10-10", "2022-10-10T20:15:00+00:00"),
        # It closes at 13:00 on the day after Thanksgiving, on Christmas Eve and before Independence Day.
        ("equities", "drop", "2025-11-28", "2025-11-28T18:15:00+00:00"),
        ("equities", "drop", "2024-12-24", "2024-12-24T18:15:00+00:00"),
        ("equities", "drop", "2024-07-03", "2024-07-03T17:15:00+00:00"),
        ("equities", "drop", "2021-12-31", "2021-12-31T21:15:00+00:00"),  # no holiday: 1 January is a Saturday
        # A price dated to a day without a session is known after the next one.
        ("equities", "drop", "2012-10-29", "2012-10-31T20:15:00+00:00"),  # storm
        ("equities", "drop", "2018-12-05", "2018-12-06T21:15:00+00:00"),  # mourning
        ("equities", "drop", "2025-01-09", "2025-01-10T21:15:00+00:00"),  # mourning
        ("equities", "drop", "2021-04-02", "2021-04-05T20:15:00+00:00"),  # Good Friday
        ("equities", "drop", "2022-06-20", "2022-06-21T20:15:00+00:00"),  # Juneteenth, observed on the Monday
        ("fx", "ecb", "2026-01-14", "2026-01-14T15:00:00+00:00"),
        ("fx", "ecb", "2025-07-14", "2025-07-14T14:00:00+00:00"),
    ],
)
def test_the_knowledge_time_follows_the_release_rule(dataset: str, source: str, day: str, moment: str) -> None:
    assert known(dataset, source, day) == [moment]


@pytest.mark.parametrize(
    ("day", "moment"),
    [
        ("2026-01-16", "2026-01-20T14:00:00+00:00"),  # Martin Luther King Day between
        ("2008-10-30", "2008-10-31T13:00:00+00:00"),  # summer time
        ("2025-03-07", "2025-03-10T13:00:00+00:00"),  # the clocks change between
        ("2011-11-23", "2011-11-25T14:00:00+00:00"),  # Thanksgiving between
    ],
)
def test_effr_is_known_at_nine_in_new_york_an_hour_after_sofr(day: str, moment: str) -> None:
    hour = pd.Timedelta(hours=1)
    for source in ("nyfed", "fred", "drop"):
        assert known("rates", source, day, entity="EFFR") == [moment]
        assert known("rates", source, day, entity="SOFR") == [(pd.Timestamp(moment) - hour).isoformat()]


@pytest.mark.parametrize(
    ("dataset", "file", "column"),
    [
        ("prices", "prices_daily", "obs_date"),
        ("stocks", "lme_stocks_daily", "obs_date"),
        ("rates", "sofr_daily", "obs_date"),
    ],
)
def test_the_rules_give_the_times_of_the_acceptance_fixture(
    acceptance: Path, dataset: str, file: str, column: str
) -> None:
    rows = pd.read_csv(acceptance / "inputs" / f"{file}.csv")
    stated = [moment.isoformat() for moment in pd.to_datetime(rows["knowledge_ts"], utc=True)]
    assert known(dataset, "drop", *rows[column]) == stated


def test_off_warrant_is_known_on_the_day_of_the_fixture_at_nine_in_london(acceptance: Path) -> None:
    """The fixture writes 09:00Z all year; the rule is London time, which in summer is an hour earlier in UTC."""
    rows = pd.read_csv(acceptance / "inputs" / "offwarrant_monthly.csv")
    stated = pd.to_datetime(rows["knowledge_ts"], utc=True)
    ours = pd.to_datetime(pd.Series(known("off_warrant", "drop", *rows["period_end"])), utc=True)
    london = ours.dt.tz_convert("Europe/London")
    assert set(london.dt.strftime("%H:%M")) == {"09:00"}
    assert london.dt.date.tolist() == stated.dt.date.tolist()


def test_the_knowledge_time_of_exports_is_never_too_early(acceptance: Path) -> None:
    """Customs publish on the 7th at the earliest; the assumed day is the latest of their calendar."""
    rows = pd.read_csv(acceptance / "inputs" / "cn_exports_monthly.csv").query("vintage == 1")
    stated = pd.to_datetime(rows["knowledge_ts"], utc=True).reset_index(drop=True)
    assumed = pd.to_datetime(pd.Series(known("exports", "customs", *rows["period_end"])), utc=True)
    assert (assumed >= stated).all()
    assert (assumed - stated).max() <= pd.Timedelta(days=8)


def test_the_knowledge_basis_is_calendar_for_a_fact_and_assumed_for_an_assumption() -> None:
    ends = pd.Series(pd.to_datetime(["2025-12-31"]))
    bases = {name: release_times(ends, name, "x", RULES)["knowledge_basis"][0] for name in ("stocks", "exports")}
    assert bases == {"stocks": "CALENDAR", "exports": "ASSUMED"}


def test_rules_are_versioned_and_a_source_may_have_its_own() -> None:
    row = RULES[RULES["dataset"] == "stocks"].iloc[0]
    rules = pd.DataFrame([row, row, row]).reset_index(drop=True)
    rules.loc[1, ["valid_from", "local_time"]] = [pd.Timestamp("2025-06-01"), "08:00"]
    rules.loc[2, ["data_source", "n"]] = ["slow", 2]
    ends = pd.Series(pd.to_datetime(["2025-01-15", "2025-12-15"]), index=[7, 3])
    at = release_times(ends, "stocks", "any", rules)["knowledge_ts"]
    assert at.index.tolist() == [7, 3]
    assert [moment.strftime("%m-%d %H:%M") for moment in at] == ["01-16 09:00", "12-16 08:00"]
    slow = release_times(ends, "stocks", "slow", rules)["knowledge_ts"]
    assert [moment.strftime("%m-%d %H:%M") for moment in slow] == ["01-17 09:00", "12-17 09:00"]


def test_a_period_without_a_rule_is_an_error_that_names_it() -> None:
    ends = pd.Series(pd.to_datetime(["1989-12-29"]))
    with pytest.raises(KeyError, match=r"no rule for stocks from westmetall on 1989-12-29: add a row"):
        release_times(ends, "stocks", "westmetall", RULES)


# --- months


def test_months() -> None:
    assert [str(month) for month in months_between("2025-11", "2026-02")] == [
        "2025-11",
        "2025-12",
        "2026-01",
        "2026-02",
    ]
    # 23:30 UTC is the next month already in London's summer.
    assert month_of(datetime(2025, 6, 30, 23, 30, tzinfo=UTC)) == "2025-07"
    assert month_of(datetime(2025, 11, 30, 23, 30, tzinfo=UTC)) == "2025-11"
