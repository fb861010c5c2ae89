"""Rewritten history: rows outside the asked months that a response contradicts are loaded as vintages and named."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sandbox import Ingested, Sandbox

from pipelines.ingestion import rewrites
from pipelines.lake.store import Lake, Written

FIRST, LATER, LAST = "2026-05-29T22:00:00Z", "2026-06-30T22:00:00Z", "2026-07-01T22:00:00Z"
APRIL_MAY, MAY, JUNE = ("2026-04", "2026-05"), ("2026-05", "2026-05"), ("2026-06", "2026-06")


def moment(text: str) -> pd.Timestamp:
    return pd.Timestamp(text)


def days(first: str, last: str) -> list[str]:
    return [f"{day:%Y-%m-%d}" for day in pd.bdate_range(first, last) if day != pd.Timestamp("2026-05-25")]


def price(day: str) -> float:
    """A price of about 40 that differs from day to day."""
    return 40 + int(day[-2:]) % 7 / 4


def chart(closes: Mapping[str, float]) -> str:
    """A year of closes in the form of Yahoo."""
    about = {"currency": "USD", "symbol": "AA", "exchangeTimezoneName": "America/New_York", "dataGranularity": "1d"}
    opens = [int(dt.datetime.fromisoformat(f"{day}T14:30:00+00:00").timestamp()) for day in closes]
    indicators = {"quote": [{"close": list(closes.values())}]}
    return json.dumps({"chart": {"result": [{"meta": about, "timestamp": opens, "indicators": indicators}]}})


def record_closes(sandbox: Sandbox, closes: Mapping[str, float]) -> None:
    for year in {day[:4] for day in closes}:
        own = {day: close for day, close in closes.items() if day.startswith(year)}
        sandbox.record(f"yahoo/v8_chart_AA_1d_{year}.json", chart(own))


def factor(closes: Iterable[str], by: float, until: str = "2100") -> dict[str, float]:
    return {day: price(day) * (by if day < until else 1) for day in closes}


def closes_of(sandbox: Sandbox, as_of: str | None = None) -> dict[str, float]:
    rows = sandbox.open().lake.read("equities", as_of=moment(as_of or sandbox.now).to_pydatetime())
    return {f"{day:%Y-%m-%d}": close for day, close in zip(rows["obs_date"], rows["close_usd"], strict=True)}


def messages(done: Ingested, dataset: str) -> list[str]:
    return [str(one) for one in done.read[dataset].rewrites]


@pytest.fixture
def sandbox(tmp_path: Path) -> Sandbox:
    """A sandbox in which the closes of April and May are stored, from a response with the year until then."""
    sandbox = Sandbox(tmp_path, "replay", FIRST)
    record_closes(sandbox, factor(days("2026-01-05", "2026-05-28"), 1))
    assert sandbox.ingest(APRIL_MAY, ["equities"]).failures == []
    return sandbox


# --- shares


@pytest.mark.parametrize(
    ("by", "name"),
    [
        (0.5, "2:1 split"),
        pytest.param(2 / 3, "3:2 split", marks=pytest.mark.exhaustive),
        pytest.param(10.0, "1:10 reverse split", marks=pytest.mark.exhaustive),
    ],
)
def test_a_split_is_loaded_for_the_stored_months_that_were_not_asked(sandbox: Sandbox, by: float, name: str) -> None:
    before, later = closes_of(sandbox), sandbox.at(LATER)
    record_closes(later, rewritten := factor(days("2026-01-05", "2026-06-30"), by))
    done = later.ingest(JUNE, ["equities"])
    assert done.failures == []
    assert closes_of(later) == pytest.approx(
        {day: round(close, 4) for day, close in rewritten.items() if day >= "2026-04"}
    ), "rows of months that were never loaded are not added"
    assert messages(done, "equities") == [
        f"yahoo AA: 41 stored rows of 2026-04 to 2026-05 rewritten by the publisher, close_usd by the factor {by:.6g} "
        f"(looks like a {name}), stored as new vintages"
    ]
    assert done.read["equities"].further_months == ["2026-04", "2026-05"]
    # What was known before the capture stays as it was.
    assert closes_of(later, "2026-06-30T21:59:59Z") == before
    rows = later.open().lake.read("equities")
    added = rows[rows["vintage_no"] == 2]
    assert set(added["knowledge_ts"]) == {moment(LATER)}
    assert set(added["knowledge_basis"]) == {"OBSERVED"}
    # The days of June were on the old basis when they were new: their values are known since the capture.
    assert set(rows[rows["obs_date"] >= "2026-06"]["knowledge_ts"]) == {moment(LATER)}


@pytest.mark.slow
def test_the_same_response_again_and_the_months_themselves_add_nothing(sandbox: Sandbox) -> None:
    later = sandbox.at(LATER)
    record_closes(later, factor(days("2026-01-05", "2026-06-30"), 0.5))
    later.ingest(JUNE, ["equities"])
    stored = later.open().lake.read("equities")
    for months in (JUNE, APRIL_MAY, ("2026-04", "2026-06")):
        again = later.at(LAST).ingest(months, ["equities"])
        assert (messages(again, "equities"), again.read["equities"].written, again.failures) == ([], [], [])
    assert later.open().lake.read("equities").equals(stored)


@pytest.mark.slow
def test_a_clean_load_of_the_archive_gives_the_same_vintages(sandbox: Sandbox, tmp_path: Path) -> None:
    later = sandbox.at(LATER)
    record_closes(later, factor(days("2026-01-05", "2026-06-30"), 0.5))
    later.ingest(JUNE, ["equities"])
    clean = later.copy(tmp_path / "clean")
    for path in sorted((clean.data / "lake" / "equities").rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    clean.ingest(("2026-04", "2026-06"), ["equities"])
    pd.testing.assert_frame_equal(clean.open().lake.read("equities"), later.open().lake.read("equities"))


@pytest.mark.exhaustive
def test_an_unchanged_past_adds_nothing_outside_the_asked_months(sandbox: Sandbox) -> None:
    later = sandbox.at(LATER)
    record_closes(later, factor(days("2026-01-05", "2026-06-30"), 1))
    done = later.ingest(JUNE, ["equities"])
    assert {part.month for part in done.read["equities"].written} == {"2026-06"}
    assert (messages(done, "equities"), done.failures) == ([], [])
    assert "2026-05-28" in closes_of(later)
    rows = later.open().lake.read("equities")
    assert set(rows["vintage_no"]) == {1}
    assert set(rows["knowledge_basis"]) == {"CALENDAR"}


@pytest.mark.slow
def test_a_corrected_day_is_a_revision_and_no_split(sandbox: Sandbox) -> None:
    later = sandbox.at(LATER)
    record_closes(later, factor(days("2026-01-05", "2026-06-30"), 1) | {"2026-05-12": 43.21})
    done = later.ingest(JUNE, ["equities"])
    assert messages(done, "equities") == [
        "yahoo AA: 1 stored row of 2026-05 revised by the publisher, stored as new vintages"
    ]
    assert done.failures == []
    assert closes_of(later)["2026-05-12"] == 43.21
    assert closes_of(later, FIRST)["2026-05-12"] == price("2026-05-12")


@pytest.mark.slow
def test_the_year_before_is_fetched_again_and_rewritten_too(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path, "replay", "2026-01-30T22:00:00Z")
    both = days("2025-11-03", "2025-12-23") + days("2026-01-05", "2026-01-30")
    record_closes(sandbox, factor(both, 1))
    sandbox.ingest(("2025-11", "2026-01"), ["equities"])
    later = sandbox.at("2026-02-27T22:00:00Z")
    record_closes(later, factor(both + days("2026-02-02", "2026-02-27"), 0.5))
    done = later.ingest(("2026-02", "2026-02"), ["equities"])
    assert done.fetched["yahoo"].payloads == 2, "2026, and 2025 again"
    assert done.failures == []
    assert done.read["equities"].further_months == ["2025-11", "2025-12", "2026-01"]
    assert max(closes_of(later).values()) < 21
    assert done.fetched["yahoo"].failures == []


@pytest.mark.exhaustive
def test_the_year_before_is_fetched_again_when_a_new_year_has_no_stored_row(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path, "replay", "2025-12-23T22:00:00Z")
    record_closes(sandbox, factor(days("2025-11-03", "2025-12-23"), 1))
    sandbox.ingest(("2025-11", "2025-12"), ["equities"])
    later = sandbox.at("2026-02-27T22:00:00Z")
    record_closes(later, factor(days("2025-11-03", "2025-12-30") + days("2026-01-05", "2026-02-27"), 0.5))
    done = later.ingest(("2026-02", "2026-02"), ["equities"])
    assert done.failures == []
    assert max(closes_of(later).values()) < 21
    assert "(looks like a 2:1 split)" in messages(done, "equities")[0]


@pytest.mark.slow
def test_a_year_that_stays_on_the_old_basis_is_a_failure_that_names_its_months(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path, "replay", "2026-01-30T22:00:00Z")
    old, new = days("2025-11-03", "2025-12-23"), days("2026-01-05", "2026-01-30")
    record_closes(sandbox, factor(old + new, 1))
    sandbox.ingest(("2025-11", "2026-01"), ["equities"])
    later = sandbox.at("2026-02-27T22:00:00Z")
    record_closes(later, factor(new + days("2026-02-02", "2026-02-27"), 0.5))  # the recording of 2025 stays
    [failure] = later.ingest(("2026-02", "2026-02"), ["equities"]).failures
    assert failure.months == ("2025-11", "2025-12")
    assert (failure.source, failure.request) == ("yahoo", "equities AA")
    assert failure.message.endswith(
        "but 2025-11 to 2025-12 of the series are on the old basis: fetch these months again with "
        "`tightness backfill --from 2025-11 --to 2025-12 --refresh`"
    )
    # The publisher rewrites the other year too: nothing is left to fetch.
    last = later.at("2026-03-02T22:00:00Z")
    record_closes(last, factor(old, 0.5))
    assert last.ingest(("2025-11", "2025-12"), ["equities"]).failures == []
    assert max(closes_of(last).values()) < 21


@pytest.mark.slow
def test_a_publisher_that_rewrites_a_part_of_the_past_is_a_failure(sandbox: Sandbox) -> None:
    later = sandbox.at(LATER)
    partly = factor(days("2026-01-05", "2026-06-30"), 0.5) | factor(days("2026-01-05", "2026-04-15"), 1)
    record_closes(later, partly)
    [failure] = later.ingest(JUNE, ["equities"]).failures
    assert failure.months == ("2026-04",)
    assert "2:1 split" in failure.message


@pytest.mark.exhaustive
def test_a_day_that_is_missing_in_the_rewritten_response_is_a_failure(sandbox: Sandbox) -> None:
    later = sandbox.at(LATER)
    record_closes(
        later,
        {day: close for day, close in factor(days("2026-01-05", "2026-06-30"), 0.5).items() if day != "2026-05-12"},
    )
    [failure] = later.ingest(JUNE, ["equities"]).failures
    assert failure.months == ("2026-05",)


@pytest.mark.exhaustive
@pytest.mark.parametrize("by", [1.0, 0.5])
def test_a_users_own_months_on_the_old_basis_are_a_failure(sandbox: Sandbox, by: float) -> None:
    """Drop rows replace those of the publisher, which the split has rewritten."""
    own = [f"AA,{day},{price(day) * by}" for day in days("2026-04-01", "2026-04-30")]
    sandbox.drop("equities/own.csv", "\n".join(["ticker,obs_date,close_usd", *own]))
    assert sandbox.ingest(APRIL_MAY, ["equities"]).failures == []
    later = sandbox.at(LATER)
    record_closes(later, factor(days("2026-01-05", "2026-06-30"), 0.5))
    failures = later.ingest(JUNE, ["equities"]).failures
    assert len(failures) == (by == 1.0), "closes that are right already are none"
    for failure in failures:
        assert failure.months == ("2026-04",)
        assert failure.message.endswith(
            "but 2026-04 of the series are on the old basis: put rows of 2026-04 on the new basis into the drop folder"
        )


@pytest.mark.slow
def test_a_corrected_part_that_joins_its_neighbours_is_no_failure(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path, "replay", FIRST)
    wrong = factor(days("2026-04-01", "2026-05-28"), 1) | factor(days("2026-05-01", "2026-05-15"), 0.01)
    record_closes(sandbox, wrong)
    sandbox.ingest(APRIL_MAY, ["equities"])
    later = sandbox.at(LATER)
    record_closes(later, factor(days("2026-04-01", "2026-06-30"), 1))
    done = later.ingest(JUNE, ["equities"])
    assert done.failures == []
    assert "close_usd by the factor 100 " in messages(done, "equities")[0]
    assert closes_of(later)["2026-05-12"] == price("2026-05-12")


@pytest.mark.slow
def test_an_older_capture_that_is_loaded_again_does_not_come_back(sandbox: Sandbox) -> None:
    later = sandbox.at(LATER)
    record_closes(later, factor(days("2026-01-05", "2026-06-30"), 0.5))
    later.ingest(JUNE, ["equities"])
    stored = later.open().lake.read("equities")
    (later.data / "lake" / "equities" / "_ingested.json").unlink()  # everything is read again, oldest capture first
    for months in (MAY, JUNE):
        written = later.at(LAST).ingest(months, ["equities"]).read["equities"].written
        assert [part.path for part in written if part.path] == []
    assert later.open().lake.read("equities").equals(stored)


@pytest.mark.slow
def test_a_crash_before_the_other_months_are_loaded_loses_nothing(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = sandbox.at(LATER)
    record_closes(later, factor(days("2026-01-05", "2026-06-30"), 0.5))
    append = Lake.append

    def killed(self: Lake, name: str, rows: pd.DataFrame, **more: Any) -> list[Written]:
        if (rows["obs_date"] < "2026-06").any():
            raise KeyboardInterrupt
        return append(self, name, rows, **more)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Lake, "append", killed)
        later.ingest(JUNE, ["equities"])
    assert max(closes_of(later).values()) > 40
    done = later.at(LAST).ingest(JUNE, ["equities"])
    assert max(closes_of(later.at(LAST)).values()) < 21
    assert "2:1 split" in messages(done, "equities")[0]


@pytest.mark.slow
def test_the_check_of_as_of_reads_can_fail(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mutant that dates rewritten rows by the calendar changes what was known before the capture."""
    from pipelines.lake import vintages

    monkeypatch.setattr(vintages, "_revision_time", lambda before, vintage, *_: vintage.knowledge + 1)
    before, later = closes_of(sandbox), sandbox.at(LATER)
    record_closes(later, factor(days("2026-01-05", "2026-06-30"), 0.5))
    later.ingest(JUNE, ["equities"])
    assert closes_of(later, "2026-06-30T21:59:59Z") != before


@pytest.mark.parametrize(
    ("column", "ratio", "name"),
    [
        ("close_usd", 0.5, "2:1 split"),
        ("close_usd", 0.501, "2:1 split"),
        ("close_usd", 1 / 3, "3:1 split"),
        ("close_usd", 2 / 3, "3:2 split"),
        ("close_usd", 0.8, "5:4 split"),
        ("close_usd", 0.05, "20:1 split"),
        ("close_usd", 10.0, "1:10 reverse split"),
        ("close_usd", 25.0, "1:25 reverse split"),
        ("close_usd", 0.973, ""),
        ("close_usd", 1.0, ""),
        ("mean_usd_t", 0.5, ""),
    ],
)
def test_usual_splits_have_a_name(column: str, ratio: float, name: str) -> None:
    assert rewrites._split(column, ratio) == name


# --- other publishers, with files of a year and of a whole history


def sofr(values: Mapping[str, float]) -> str:
    entries = [{"effectiveDate": day, "type": "SOFR", "percentRate": value} for day, value in values.items()]
    return json.dumps({"refRates": entries})


@pytest.mark.slow
def test_a_revised_year_file_of_rates_is_loaded_for_its_stored_months(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path, "replay", FIRST)
    first = {day: 4.3 + int(day[-2:]) / 1000 for day in days("2026-04-01", "2026-05-28")}
    sandbox.record("nyfed/sofr_2026.json", sofr(first))
    sandbox.ingest(APRIL_MAY, ["rates"])
    later = sandbox.at(LATER)
    june = dict.fromkeys(days("2026-06-01", "2026-06-29"), 4.4)
    sandbox.record("nyfed/sofr_2026.json", sofr(first | {"2026-05-12": 4.5, "2026-04-14": 4.6} | june))
    done = later.ingest(JUNE, ["rates"])
    assert done.failures == []
    assert messages(done, "rates") == [
        "nyfed SOFR: 2 stored rows of 2026-04 to 2026-05 revised by the publisher, stored as new vintages"
    ]
    rows = later.open().lake.read("rates")
    changed = rows[rows["vintage_no"] == 2]
    assert changed["rate_pct"].tolist() == [4.6, 4.5]
    assert set(changed["knowledge_ts"]) == {moment(LATER)}
    assert (rows[rows["obs_date"] >= "2026-06"]["knowledge_basis"] != "OBSERVED").all(), "a revision moves no new row"


def means(values: Mapping[str, float]) -> str:
    return "observation_date,PALUMUSDM\n" + "".join(f"{month}-01,{value}\n" for month, value in values.items())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("by", "shown"),
    [
        (0.93, "mean_usd_t by the factor 0.93 (looks like a new base or unit)"),
        pytest.param(None, "revised", marks=pytest.mark.exhaustive),
    ],
)
def test_a_new_base_of_a_whole_history_is_loaded_for_every_stored_month(
    tmp_path: Path, by: float | None, shown: str
) -> None:
    sandbox = Sandbox(tmp_path, "replay", FIRST)
    months = [str(month) for month in pd.period_range("2024-01", "2026-04", freq="M")]
    first = {month: 2000 + 13 * number for number, month in enumerate(months)}
    sandbox.record("fred/PALUMUSDM.csv", means(first))
    assert sandbox.ingest(("2024-01", "2026-04"), ["benchmark_prices"]).failures == []
    later = sandbox.at(LATER)
    changed = (
        {m: v * by for m, v in first.items()} if by else first | {"2026-02": 2100, "2026-03": 2400, "2026-04": 2300}
    )
    later.record("fred/PALUMUSDM.csv", means(changed | {"2026-05": 2500 * (by or 1)}))
    done = later.ingest(MAY, ["benchmark_prices"])
    assert done.failures == []
    assert shown in messages(done, "benchmark_prices")[0]
    rows = later.open().lake.read("benchmark_prices", as_of=moment(LATER).to_pydatetime())
    assert rows["mean_usd_t"].tolist() == pytest.approx([*changed.values(), 2500 * (by or 1)])
    revised = done.read["benchmark_prices"].revised
    assert revised == (len(months) if by else 3)


@pytest.mark.exhaustive
def test_another_source_of_the_same_series_contradicts_nothing(tmp_path: Path) -> None:
    """SOFR of the second source differs from the stored rows of the first one."""
    sandbox = Sandbox(tmp_path, "replay", FIRST)
    may = dict.fromkeys(days("2026-05-01", "2026-05-27"), 4.31)
    sandbox.record("nyfed/sofr_2026.json", sofr(may))
    sandbox.ingest(MAY, ["rates"])
    later = sandbox.at(LATER)
    other = "observation_date,SOFR\n" + "".join(f"{day},9.99\n" for day in days("2026-04-01", "2026-06-29"))
    later.record("fred/SOFR.csv", other)
    done = later.ingest(JUNE, ["rates"])
    assert messages(done, "rates") == []
    rows = later.open().lake.read("rates")
    assert set(rows[rows["obs_date"] < "2026-06"]["rate_pct"]) == {4.31}


@pytest.mark.slow
def test_a_drop_file_that_is_corrected_in_other_months_is_loaded_for_them(tmp_path: Path) -> None:
    """A currency redenomination: the whole file is a thousandth."""
    sandbox = Sandbox(tmp_path, "drop", FIRST)

    def file(by: float, last: str) -> pd.DataFrame:
        own = days("2026-04-01", last)
        return pd.DataFrame({"pair": "XYZUSD", "obs_date": own, "rate": [price(day) * by for day in own]})

    sandbox.drop("fx/own.csv", file(1, "2026-05-28"))
    assert sandbox.ingest(APRIL_MAY, ["fx"]).failures == []
    later = sandbox.at(LATER)
    later.drop("fx/own.csv", file(0.001, "2026-06-30"))
    done = later.ingest(JUNE, ["fx"])
    assert done.failures == []
    assert "drop XYZUSD: 41 stored rows" in messages(done, "fx")[0]
    assert "by the factor 0.001 (looks like a new base or unit)" in messages(done, "fx")[0]
    rows = later.open().lake.read("fx", as_of=moment(LATER).to_pydatetime())
    assert rows["rate"].max() < 0.05


def stocks(changed: Mapping[str, float]) -> pd.DataFrame:
    own = days("2026-04-01", "2026-05-28")
    values = {day: 500_000 + 100.0 * int(day[-2:]) for day in own} | changed
    return pd.DataFrame({"metal": "AL", "obs_date": own, "total_t": values.values()})


@pytest.mark.slow
@pytest.mark.parametrize(
    "changed",
    [
        {"2026-05-11": 450_990.0, "2026-05-12": 451_080.0, "2026-05-13": 451_170.0},  # 0.9 times each
        dict.fromkeys(["2026-05-11", "2026-05-12", "2026-05-13"], 450_000.0),
    ],
)
def test_corrected_days_beside_others_that_the_publisher_repeats_are_no_failure(
    tmp_path: Path, changed: dict[str, float]
) -> None:
    sandbox = Sandbox(tmp_path, "drop", FIRST)
    sandbox.drop("stocks/own.csv", stocks({}))
    sandbox.ingest(APRIL_MAY, ["stocks"])
    later = sandbox.at(LATER)
    later.drop("stocks/own.csv", stocks(changed))
    done = later.ingest(JUNE, ["stocks"])
    assert done.failures == []
    assert done.read["stocks"].revised == 3


# --- the handed case


@pytest.mark.slow
def test_the_reported_split(tmp_path: Path, cases: Path) -> None:
    case = cases / "split_rewrites_history"
    sandbox = Sandbox(tmp_path, "replay", FIRST)
    sandbox.record("yahoo/v8_chart_AA_1d_2026.json", case / "before_v8_chart_AA_1d_2026.json")
    sandbox.ingest(APRIL_MAY, ["equities"])
    later = sandbox.at(LATER)
    later.record("yahoo/v8_chart_AA_1d_2026.json", case / "after_v8_chart_AA_1d_2026.json")
    done = later.ingest(JUNE, ["equities"])
    assert done.failures == []
    assert "looks like a 2:1 split" in messages(done, "equities")[0]
    assert closes_of(later, FIRST)["2026-05-27"] == closes_of(later, "2026-06-30T21:59:59Z")["2026-05-27"] == 40.6
    closes = closes_of(later)
    assert (closes["2026-05-27"], closes["2026-06-30"]) == (20.3, 20.3)
    assert 0.97 < closes["2026-06-30"] / max(closes.values()) <= 1.0


@pytest.mark.slow
def test_rewritten_history_that_is_lost_is_repaired_to_the_byte(sandbox: Sandbox) -> None:
    later = sandbox.at(LATER)
    record_closes(later, factor(days("2026-01-05", "2026-06-30"), 0.5))
    later.ingest(JUNE, ["equities"])
    folder = later.data / "lake" / "equities"
    stored = {path: path.read_bytes() for path in sorted(folder.glob("[0-9]*.parquet"))}
    assert len(stored) == 3, "April and May; June; April and May again"
    for lost in [*([path] for path in stored), list(stored)]:
        for path in lost:
            path.unlink()
        assert len(later.open().check_lake()) == len(lost)
        assert {path: path.read_bytes() for path in sorted(folder.glob("[0-9]*.parquet"))} == stored
