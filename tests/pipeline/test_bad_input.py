"""Bad usage, bad files, bad responses: each is reported with its reason; everything else is stored and published."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from sandbox import Sandbox

NOW = "2026-01-20T20:00:00Z"
MONTHS = ("2025-12", "2026-01")
DAYS = ["2026-01-12", "2026-01-13", "2026-01-14", "2026-01-15", "2026-01-16"]

PRICES = pd.DataFrame(
    {"metal": "AL", "obs_date": DAYS, "cash_usd_t": [3150.0, 3162, 3171, 3158, 3149], "m3_usd_t": 3160}
)
STOCKS = pd.DataFrame({"metal": "AL", "obs_date": DAYS, "total_t": 500_000, "cancelled_t": 60_000})
RATES = pd.DataFrame({"obs_date": DAYS, "sofr_pct": 3.65})


@pytest.fixture
def sandbox(tmp_path: Path) -> Sandbox:
    """A drop folder with good prices, stocks and rates."""
    sandbox = Sandbox(tmp_path, "drop", NOW)
    sandbox.drop("prices/good.csv", PRICES)
    sandbox.drop("stocks/good.csv", STOCKS)
    sandbox.drop("rates/good.csv", RATES)
    return sandbox


# --- bad usage: one line, exit code 2


@pytest.mark.parametrize(
    ("arguments", "environment", "expected"),
    [
        (["run", "--profile", "dmeo"], {}, "TIGHTNESS_PROFILE='dmeo' is not accepted: give demo, live, replay or drop"),
        (["run"], {"TIGHTNESS_PROFILE": "dmeo"}, "TIGHTNESS_PROFILE='dmeo' is not accepted"),
        (["run"], {"TIGHTNESS_NOW": "yesterday"}, "TIGHTNESS_NOW='yesterday' is not accepted: give an ISO time in UTC"),
        (["run", "--from", "2026-13"], {}, "--from '2026-13' is not a month: write YYYY-MM"),
        (["run", "--from", "2026-01-05"], {}, "--from '2026-01-05' is not a month: write YYYY-MM"),
        (["run", "--from", "2026-01", "--to", "2025-12"], {}, "--from 2026-01 lies after --to 2025-12"),
        (["run", "--to", "2026-02"], {}, "--to 2026-02 lies outside 2008-01 to 2026-01"),
        (["run", "--metal", "XX"], {}, "metal 'XX' is not in metals.csv; known: "),
        (["run", "--profile", "replay"], {}, "TIGHTNESS_REPLAY_DIR='' is not a folder"),
        (["signals", "--as-of", "soon"], {}, "--as-of 'soon' is not an ISO time"),
    ],
)
def test_bad_usage_is_one_line_and_exit_code_2(
    tmp_path: Path, arguments: list[str], environment: dict[str, str], expected: str
) -> None:
    exit_code, printed, [line] = Sandbox(tmp_path, "drop", NOW).call(*arguments, **environment)
    assert (exit_code, printed) == (2, [])
    assert expected in line


@pytest.mark.slow
def test_a_process_of_its_own_ends_the_same_way(tmp_path: Path) -> None:
    done = Sandbox(tmp_path, "drop", NOW).tightness("run", TIGHTNESS_NOW="yesterday")
    assert (done.returncode, done.stdout) == (2, "")
    accepted = "an ISO time in UTC from 2008 to 2099 such as 2026-01-13T18:00:00Z"
    assert done.stderr == f"TIGHTNESS_NOW='yesterday' is not accepted: give {accepted}\n"


@pytest.mark.slow
def test_generated_and_real_data_are_not_mixed_in_one_folder(sandbox: Sandbox) -> None:
    Sandbox(sandbox.root, "demo", NOW).ingest(MONTHS, ["prices"])
    before = sandbox.stored()
    exit_code, _, [line] = sandbox.call("run", "--from", MONTHS[0])
    assert exit_code == 2
    assert "TIGHTNESS_PROFILE='drop' provides real data, but TIGHTNESS_DATA_DIR holds synthetic data" in line
    assert sandbox.stored() == before


def test_bad_reference_tables_stop_everything_before_it_starts(sandbox: Sandbox) -> None:
    sandbox.set_max_age(stock_days=-1)
    exit_code, _, [line] = sandbox.call("run")
    assert exit_code == 2
    assert line.startswith("index_components.csv line 4: max_age_days '-1' breaks the rule")
    assert not sandbox.data.exists()


# --- bad files: refused whole, with file, line, column, value and rule


def linked_from_outside(sandbox: Sandbox) -> None:
    secret = sandbox.root / "outside.csv"
    RATES.to_csv(secret, index=False)
    (sandbox.root / "drop" / "rates" / "linked.csv").symlink_to(secret)


def huge(sandbox: Sandbox) -> None:
    path = sandbox.drop("power/huge.csv", "zone")
    os.truncate(path, 200 * 1024**2)  # sparse: it takes no room


BAD_FILES: dict[str, tuple[str, Callable[[Sandbox], object], list[str]]] = {
    "wrong column": (
        "rates",
        lambda sandbox: sandbox.drop("rates/wrong_column.csv", RATES.rename(columns={"sofr_pct": "sofr"})),
        ["rates/wrong_column.csv, line 1: 'sofr' is no column of rates", "[rate_id], obs_date, rate_pct (or sofr_pct)"],
    ),
    "date that cannot be read": (
        "fx",
        lambda sandbox: sandbox.drop(
            "fx/date.csv", "pair,obs_date,rate\nEURUSD,2026-01-12,1.16\nEURUSD,13.01.2026,1.17\n"
        ),
        [
            "fx/date.csv, line 3, column obs_date: '13.01.2026' must be a day as YYYY-MM-DD",
            "the whole file is rejected",
        ],
    ),
    "date that does not exist": (
        "fx",
        lambda sandbox: sandbox.drop("fx/date.csv", "pair,obs_date,rate\nEURUSD,2026-02-30,1.16\n"),
        ["fx/date.csv, line 2, column obs_date: '2026-02-30'"],
    ),
    "decimal comma": (
        "costs",
        lambda sandbox: sandbox.drop("costs/comma.csv", 'metal,obs_date,alumina_usd_t\nAL,2026-01-12,"310,5"\n'),
        ["costs/comma.csv, line 2, column alumina_usd_t: '310,5' must be a number with . for decimals"],
    ),
    "Latin-1": (
        "exports",
        lambda sandbox: sandbox.drop(
            "exports/latin1.csv", "metal,country,period_end,period_months,exports_kt,é\n".encode("latin-1")
        ),
        ["exports/latin1.csv, line 1: '0xE9' at byte 50 is not UTF-8"],
    ),
    "empty": (
        "power",
        lambda sandbox: sandbox.drop("power/empty.csv", ""),
        ["power/empty.csv is empty; expected a header"],
    ),
    "200 MB": ("power", huge, ["power/huge.csv has 200 MB, more than 100 MB", "TIGHTNESS_DROP_MAX_MB"]),
    "link out of the folder": (
        "rates",
        linked_from_outside,
        ["rates/linked.csv is a link that leaves the drop folder and is not followed"],
    ),
    "spreadsheet": (
        "prices",
        lambda sandbox: sandbox.drop("prices/book.xlsx", b"PK\x03\x04"),
        ["prices/book.xlsx is of an unknown type; accepted are *.csv and *.parquet"],
    ),
}


@pytest.mark.parametrize("fault", BAD_FILES)
def test_a_bad_file_is_refused_with_its_reason_and_the_good_ones_land(sandbox: Sandbox, fault: str) -> None:
    dataset, put, expected = BAD_FILES[fault]
    put(sandbox)
    done = sandbox.ingest(MONTHS, dict.fromkeys(["prices", "stocks", "rates", dataset]))
    [failure] = done.failures
    for text in expected:
        assert text in failure.message
    assert str(sandbox.root) not in failure.message, "a message holds no path of the machine"
    lake = sandbox.open().lake
    kept = {name: len(lake.read(name)) for name in ("prices", "stocks", "rates", dataset)}
    assert kept == {dataset: 0} | {"prices": 5, "stocks": 5, "rates": 5}


# --- bad rows: quarantined with their reason, the others are stored


@pytest.mark.parametrize(
    ("row", "where", "reason", "kept"),
    [
        ("AL,2026-01-09,-500,", "line 3", "total_t=-500.0 breaks >= 0", 6),
        ("AL,2026-01-09,,", "line 3", "total_t=null breaks not null", 6),
        ("AL,2026-01-09,100,200", "line 3", "cancelled_t is more than total_t", 6),
        ("AL,2008-01-01,1e9,", "line 3", "total_t=1000000000.0 breaks <= 50000000", 6),
        ("AL,2007-12-31,100,", "line 3", "lies outside the months that are kept, 2008-01 to 2026-01", 6),
        ("AL,2026-02-02,100,", "line 3", "lies outside the months that are kept, 2008-01 to 2026-01", 6),
    ],
)
def test_a_bad_row_is_quarantined_with_its_reason(
    sandbox: Sandbox, row: str, where: str, reason: str, kept: int
) -> None:
    sandbox.drop("stocks/more.csv", f"metal,obs_date,total_t,cancelled_t\nAL,2026-01-08,498000,61000\n{row}\n")
    done = sandbox.ingest(("2008-01", "2026-01"), ["stocks"])
    assert done.failures == []
    [quarantined] = sandbox.open().quarantine.read("stocks").itertuples()
    assert (quarantined.source, quarantined.period, quarantined.where) == ("drop", "stocks/more.csv", where)
    assert reason in quarantined.reason
    assert len(sandbox.open().lake.read("stocks")) == kept


def test_two_rows_of_one_key_that_differ_are_both_quarantined(sandbox: Sandbox) -> None:
    sandbox.drop(
        "stocks/more.csv", "metal,obs_date,total_t\nAL,2026-01-08,498000\nAL,2026-01-08,499000\nAL,2026-01-09,500000\n"
    )
    assert sandbox.ingest(MONTHS, ["stocks"]).failures == []
    quarantined = sandbox.open().quarantine.read("stocks")
    assert sorted(quarantined["where"]) == ["line 2", "line 3"]
    assert quarantined["reason"].str.contains("unique key: rows with the same key have different values").all()
    stored = sandbox.open().lake.read("stocks")
    assert len(stored) == 6 and "2026-01-08" not in stored["obs_date"].astype(str).tolist()


# --- bad responses: the error names the source, the request and what was expected


def laughs() -> bytes:
    """An entity bomb: a kilobyte that would unfold to gigabytes."""
    entities = "".join(f'<!ENTITY e{n} "{"".join([f"&e{n - 1};"] * 10)}">' for n in range(1, 10))
    return f'<?xml version="1.0"?><!DOCTYPE d [<!ENTITY e0 "lol">{entities}]><d>&e9;</d>'.encode()


@pytest.fixture
def recorded(tmp_path: Path) -> Sandbox:
    """Recordings of which four cannot be used and one can."""
    sandbox = Sandbox(tmp_path, "replay", NOW)
    wall = "<html><head><title>Just a moment...</title></head><body>Checking your browser</body></html>"
    sandbox.record("westmetall/westmetall_lme_al_2026.html", wall)
    sandbox.record("nyfed/sofr_2026.json", '{"refRates": [{"effectiveDate": "2026-01-12", "type": "SOFR", "perc')
    sandbox.record("entsoe/A44_FR_2026-01.xml", laughs())
    sandbox.record("worldbank/CMO-Historical-Data-Monthly.xlsx", wall)
    header = "CURRENCY,CURRENCY_DENOM,TIME_PERIOD,OBS_VALUE"
    sandbox.record("ecb/EXR_2026.csv", f"{header}\nUSD,EUR,2026-01-12,1.16\nUSD,EUR,2026-01-13,1.17\n")
    return sandbox


BAD_ANSWERS = {
    "prices": ("westmetall", "westmetall_lme_al_2026.html", ["no price table in the page", "Cash-Settlement"]),
    "rates": ("nyfed", "sofr_2026.json", ["JSON", "expected JSON with refRates[]"]),
    "power": ("entsoe", "A44_FR_2026-01.xml", ["expected a Publication_MarketDocument"]),
    "benchmark_prices": ("worldbank", "CMO-Historical-Data-Monthly.xlsx", ["expected a workbook with the sheet"]),
}


def test_a_bad_response_names_source_request_and_expectation_and_stores_nothing(recorded: Sandbox) -> None:
    done = recorded.ingest(MONTHS)
    by_dataset = {name: report.failures for name, report in done.read.items()}
    for dataset, (source, request, expected) in BAD_ANSWERS.items():
        [failure] = by_dataset[dataset]
        assert (failure.source, failure.request) == (source, request)
        assert failure.message.startswith(f"{source} {request}: ")
        for text in expected:
            assert text in failure.message, failure.message
        assert len(failure.message) < 500, "a response's body does not belong into an error"
        assert recorded.open().lake.read(dataset).empty
    assert recorded.open().lake.read("fx")["rate"].tolist() == [1.16, 1.17]
    refused = {name: [f.request for f in report.failures] for name, report in done.fetched.items() if report.failures}
    assert refused == {source: [request] for source, request, _ in BAD_ANSWERS.values()}
    assert recorded.open().quarantine.payloads() == dict.fromkeys(refused, 1)


# --- corrected input


def test_a_corrected_file_is_stored(sandbox: Sandbox) -> None:
    sandbox.drop("fx/ecb.csv", "pair,obs_date,rate\nEURUSD,13.01.2026,1.16\n")
    assert len(sandbox.ingest(MONTHS, ["fx"]).failures) == 1
    sandbox.drop("fx/ecb.csv", "pair,obs_date,rate\nEURUSD,2026-01-13,1.16\n")
    assert sandbox.ingest(MONTHS, ["fx"]).failures == []
    assert sandbox.open().lake.read("fx")["rate"].tolist() == [1.16]


def test_a_good_response_after_a_bad_one_ends_the_failure(recorded: Sandbox) -> None:
    assert len(recorded.ingest(MONTHS, ["rates"]).read["rates"].failures) == 1
    good = '{"refRates": [{"effectiveDate": "2026-01-12", "type": "SOFR", "percentRate": 3.65}]}'
    recorded.record("nyfed/sofr_2026.json", good)
    later = recorded.at("2026-01-21T20:00:00Z").ingest(MONTHS, ["rates"])
    assert recorded.open().lake.read("rates")["rate_pct"].tolist() == [3.65]
    assert later.failures == []


# --- whole runs


@pytest.mark.slow
def test_a_run_publishes_what_is_good_and_fails_naming_the_rest(recorded: Sandbox) -> None:
    """Every kind of fault at once, but as many as the error names."""
    sandbox = recorded
    sandbox.drop("prices/good.csv", PRICES)
    sandbox.drop("stocks/good.csv", STOCKS)
    sandbox.drop("stocks/negative.csv", "metal,obs_date,total_t\nAL,2026-01-09,-1\nAL,2026-01-08,498000\n")
    files = ["wrong column", "date that does not exist", "Latin-1", "empty", "200 MB", "link out of the folder"]
    for _, put, _ in (BAD_FILES[fault] for fault in files):
        put(sandbox)
    code, _, lines = sandbox.call("run", "--from", MONTHS[0])
    errors = "\n".join(lines)
    assert code == 1, errors
    assert "Traceback" not in errors
    assert "in quarantine: stocks 1 row(s); `tightness doctor` shows the last reason of each dataset" in lines
    for _, _, expected in (BAD_FILES[fault] for fault in files):
        assert expected[0] in errors
    for source, request, expected in BAD_ANSWERS.values():
        assert f"{source} {request} (" in errors
        assert f"2026-01): {source} {request}: " in errors
        assert expected[-1] in errors

    assert sandbox.query("select cash_usd_t from marts.price_daily order by obs_date").squeeze().tolist() == [
        *PRICES["cash_usd_t"]
    ]
    stocks = sandbox.query("select distinct total_t from marts.inventory_daily where total_t is not null order by 1")
    assert stocks["total_t"].tolist() == [498_000, 500_000]


@pytest.mark.slow
def test_a_run_without_any_data_fails_with_a_message(tmp_path: Path) -> None:
    code, _, lines = Sandbox(tmp_path, "drop", NOW).call("run", "--from", MONTHS[0])
    errors = "\n".join(lines)
    assert code == 1, errors
    assert "no data" in errors.lower()
    assert "Traceback" not in errors
