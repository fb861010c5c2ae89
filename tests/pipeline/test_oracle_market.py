"""A whole synthetic market through the product, every row and column against the plain-Python reference.

The reference shares no code with the models, so that an error would have to be made twice.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest
from markets import market, to_drop
from oracle import Oracle, Row, cash_prompt, quality
from sandbox import Sandbox

pytestmark = pytest.mark.slow
NOW = "2026-01-16T00:00:00Z"
TOLERANCE = 1e-9
# A seed that reaches every regime, and days for the shortest window of the rank sensitivity to end in.
MARKET = {"seed": 5, "business_days": 560}
# So that ranks are there early, windows are shorter than the market, and the stock is looked at over a week.
PARAMETERS = {
    "rank_min_periods": 20,
    "rank_min_periods_monthly": 12,
    "rank_window": 120,
    "rank_window_monthly": 24,
    "stock_chg_obs": 5,
    "rank_min_periods_weekly": 10,
    "rank_months_weekly": 9,
    "load_out_days": 12,
    "financing_spread": 0.0125,
    "level_buffer": 1 / 128,
    "price_reversal": 0.01,  # so that prices are suspect on some days
    "relabel_jump": 0.01,
    "relabel_share": 0.1,
    "rank_min_periods_v2": 40,
    "rank_min_periods_monthly_v2": 18,
    "median_obs": 4,
    "season_years": 2,
    "season_min_years": 1,
    "regime_confirm_v2": 3,
    "regime_half_life_v2": 1,
    "min_coverage_v2": 0.6,
    # Near the middle, where the mean of many ranks lies.
    "enter_tight": 52,
    "exit_tight": 48,
    "enter_squeeze": 56,
    "exit_squeeze": 51,
    "enter_loose": 38,
    "exit_loose": 42,
    "max_age_days_rate": 10,  # the market's longest gap of rates is longer
}
RATE_CHAIN = {"EFFR": "2000-07-03", "SOFR": "2025-03-04"}
LEVELS_FROM = "2024-06-03"  # inside the market: before that day there is no state
KEYS = {
    "tightness_daily": ["metal", "as_of_date"],
    "price_daily": ["metal", "obs_date"],
    "positions_weekly": ["metal", "contract", "obs_date"],
    "exchange_stocks_weekly": ["metal", "exchange", "product", "obs_date"],
    "us_parity_daily": ["metal", "as_of_date"],
    "stocks_by_location_daily": ["metal", "as_of_date"],
    "curve_spreads_daily": ["metal", "spread", "as_of_date"],
    "inventory_daily": ["metal", "as_of_date"],
    "exports_monthly": ["metal", "country", "period_end", "vintage_no"],
    "inventory_visible_monthly": ["metal", "period_end"],
    "power_daily": ["zone", "delivery_date"],
    "arbitrage_daily": ["metal", "as_of_date"],
    "smelter_margin_daily": ["metal", "zone", "as_of_date"],
    "supply_monthly": ["metal", "country", "period_end"],
    "equity_daily": ["ticker", "obs_date"],
    "index_history_daily": ["metal", "index_name", "as_of_date"],
    "indicator_ranks_daily": ["metal", "version", "indicator", "as_of_date"],
}
# Where the product may leave out a row that has no value besides its key.
MAY_LACK_EMPTY_ROWS = {"arbitrage_daily", "smelter_margin_daily", "indicator_ranks_daily"}


def reference(sandbox: Sandbox) -> Oracle:
    """The reference on the market of the test, with the sandbox's own parameters and components."""
    folder = sandbox.reference()
    parameters = {
        row["name"]: float(row["value"]) for row in read(folder / "parameters.csv") if row["metal"] in ("*", "AL")
    }
    components = [
        {**row, "sign": int(row["sign"]), "weight": float(row["weight"]), "max_age_days": int(row["max_age_days"])}
        for row in read(folder / "index_components.csv")
    ]
    first, second = ([row for row in components if row["version"] == version] for version in ("1", "2"))
    breaks: list[Row] = [
        {**row, **{name: date.fromisoformat(row[name]) for name in ("valid_from", "break_date")}}
        for row in read(folder / "series_breaks.csv")
    ]
    dated: dict[str, list[tuple[date, float]]] = {}
    for row in read(folder / "parameters.csv"):
        if row["metal"] == "AL":
            dated.setdefault(row["name"], []).append((date.fromisoformat(row["valid_from"]), float(row["value"])))
    dated = {name: sorted(steps) for name, steps in dated.items()}
    chain = [(date.fromisoformat(first), rate) for rate, first in RATE_CHAIN.items()]
    now = datetime.fromisoformat(NOW)
    return Oracle(
        market(**MARKET), parameters, first, now, dated=dated, breaks=breaks, rate_chain=chain, components_v2=second
    )


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Sandbox:
    sandbox = Sandbox(tmp_path_factory.mktemp("market"), "drop", NOW)
    sandbox.set_parameters(**PARAMETERS)
    sandbox.set_rate_chain(**RATE_CHAIN)
    sandbox.add_break("stock_log_chg", "2025-10-06", valid_from="2025-11-06")
    sandbox.begin_parameters(level_up=LEVELS_FROM, level_down=LEVELS_FROM)
    to_drop(market(**MARKET), sandbox)
    sandbox.run_compiled()
    return sandbox


@pytest.mark.parametrize("table", list(KEYS))
def test_every_row_and_column_is_that_of_the_reference(published: Sandbox, table: str) -> None:
    wanted = getattr(reference(published), table)()
    found = published.query(f"select * from marts.{table}").to_dict("records")
    assert len(wanted) > 40, "there is something to compare"
    wrong = differences(wanted, found, KEYS[table], may_lack_empty=table in MAY_LACK_EMPTY_ROWS)
    assert not wrong, f"{len(wrong)} cells of {table} differ:\n" + "\n".join(wrong)


def test_the_tests_of_backwardation_do_not_count_suspect_prices(published: Sandbox) -> None:
    wanted = reference(published).spreads()
    with duckdb.connect(str(published.open().paths.warehouse), read_only=True) as warehouse:
        metrics = warehouse.sql("select metric_id, as_of_date, value from metrics.metrics where entity = ''").df()
    found = metrics.pivot(index="as_of_date", columns="metric_id", values="value").reset_index().to_dict("records")
    assert sum(row["spread_rank"] is not None and row["backwardation_days"] is not None for row in wanted) > 300
    wrong = differences(wanted, found, ["as_of_date"], may_lack_empty=True)
    assert not wrong, f"{len(wrong)} values differ:\n" + "\n".join(wrong)


def test_weeks_are_carried_to_the_decision_times(published: Sandbox) -> None:
    wanted = reference(published).weekly_metrics()
    with duckdb.connect(str(published.open().paths.warehouse), read_only=True) as warehouse:
        metrics = warehouse.sql(
            "select metric_id, as_of_date, value from metrics.metrics where entity in ('191691', 'SHFE')"
        ).df()
    found = metrics.pivot(index="as_of_date", columns="metric_id", values="value").reset_index().to_dict("records")
    assert sum(row["managed_net_percentile"] is not None for row in wanted) > 200
    wrong = differences(wanted, found, ["as_of_date"], may_lack_empty=True)
    assert not wrong, f"{len(wrong)} values differ:\n" + "\n".join(wrong)


def test_the_signals_of_the_index_have_its_coverage_and_flags(published: Sandbox) -> None:
    wanted = {row["as_of_date"].isoformat(): row for row in reference(published).tightness_daily()}
    found = published.query(
        "select signal_id, signal_version, as_of_date, value, state, coverage, quality, quality_flags "
        "from signals.signals where signal_id in ('AL.TIGHTNESS.INDEX', 'AL.TIGHTNESS.REGIME')"
    )
    second = found[found["signal_version"] == "2.0.0"]
    assert len(second) == 2 * len(wanted)
    for row in second.itertuples():
        day = wanted[row.as_of_date.strftime("%Y-%m-%d")]
        state = day["regime_v2"] if row.signal_id.endswith("REGIME") and day["regime_v2"] != "UNKNOWN" else None
        assert row.coverage == pytest.approx(day["coverage_v2"], abs=TOLERANCE), row
        assert same(day["tightness_index_v2"], row.value) and same(state, row.state), row
    found = found[found["signal_version"] == "1.0.0"]
    assert len(found) == 2 * len(wanted)
    seen = set()
    for row in found.itertuples():
        day = wanted[row.as_of_date.strftime("%Y-%m-%d")]
        held = set(day["quality_flags"].split())
        if row.signal_id == "AL.TIGHTNESS.REGIME" and day["regime_status"] == "STALE":
            held = held - {"MISSING"} | {"STALE"}  # the regime is kept
        stale = {"STALE"} if pd.isna(row.value) else set()  # an old observation is a flag of the signal alone
        assert row.coverage == pytest.approx(day["coverage"], abs=TOLERANCE), row
        assert held <= set(row.quality_flags.split()) <= held | stale, (row, day["quality_flags"])
        assert row.quality == quality(row.quality_flags.split())["quality"], row
        seen.add(row.quality_flags)
    assert seen >= {"STALE PARTIAL", "MISSING PARTIAL", "WARMUP PARTIAL", "BREAK PARTIAL", "BREAK", "PARTIAL", "OK"}


def test_third_wednesdays_are_marked(published: Sandbox) -> None:
    found = published.query(
        "select distinct price_obs_date, is_third_wednesday_cash from marts.curve_daily "
        "where price_obs_date is not null"
    )
    prompts = [cash_prompt(day.date()) for day in found["price_obs_date"]]
    wanted = [prompt.weekday() == 2 and 15 <= prompt.day <= 21 for prompt in prompts]
    assert found["is_third_wednesday_cash"].tolist() == wanted
    assert 10 < sum(wanted) < 0.1 * len(wanted)


def test_no_row_of_the_market_is_quarantined(published: Sandbox) -> None:
    assert published.open().quarantine.counts() == {}


def test_the_basis_and_licence_are_those_of_dropped_rows_with_a_time(published: Sandbox) -> None:
    for table in ("tightness_daily", "price_daily", "exports_monthly", "inventory_visible_monthly", "power_daily"):
        found = published.query(f"select distinct knowledge_basis, licence_class from marts.{table}")
        assert found.to_dict("records") == [{"knowledge_basis": "OBSERVED", "licence_class": "BYO"}], table


def test_the_market_contains_every_state_and_edge_case(published: Sandbox) -> None:
    """Every state, every kind of missing value: else the comparison would prove little."""
    rows = reference(published).tightness_daily()
    assert {row["regime"] for row in rows} == {"UNKNOWN", "LOOSE", "NEUTRAL", "TIGHT", "SQUEEZE"}
    assert {row["regime_status"] for row in rows} == {"WARMUP", "OK", "STALE", "UNKNOWN"}
    assert {row["coverage"] for row in rows} >= {0.2, 0.6, 0.8, 1.0}
    rates = {(row["rate_id"], row["is_rate_stale"], row["rate"] is None) for row in rows}
    assert rates == {(rate, *age) for rate in RATE_CHAIN for age in ((False, False), (True, False), (True, True))}
    assert {row["quality_flags"] for row in rows} >= {
        "WARMUP PARTIAL", "MISSING PARTIAL", "BREAK PARTIAL", "BREAK", "PARTIAL", "OK",
    }  # fmt: skip
    assert {row["regime_v2"] for row in rows} == {"UNKNOWN", "LOOSE", "NEUTRAL", "TIGHT", "SQUEEZE"}
    assert {row["regime_status_v2"] for row in rows} == {"WARMUP", "OK", "STALE", "UNKNOWN"}
    assert {row["coverage_v2"] for row in rows} >= {0.25, 0.5, 0.75, 1.0}
    flags = [row["relabelled"] for row in reference(published).inventory_daily()]
    assert min(flags.count(True), flags.count(False), flags.count(None)) > 20
    every = reference(published)
    every.tightness_daily()
    on_suspects = [at in every.suspect_from for at in every.price_days]
    assert 5 < sum(on_suspects) < 0.2 * len(on_suspects), "carries that rest on suspect prices"
    assert sum(row["is_suspect"] for row in every.price_daily()) > 5
    prices = [row for row in reference(published).price_daily() if row["m3_usd_t"] is not None]
    begun = [row["obs_date"] >= date.fromisoformat(LEVELS_FROM) for row in prices]
    assert begun.index(True) > 40
    assert [row["level_state_5of5"] is not None for row in prices] == begun
    assert {row["level_state_5of5"] for row in prices} == {"ABOVE", "INSIDE", "BELOW", None}


def test_the_comparison_can_fail() -> None:
    wanted: list[Row] = [
        {"metal": "AL", "as_of_date": date(2026, 1, day), "coverage": 0.6, "rate": None, "regime": "TIGHT"}
        for day in (13, 14)
    ]
    key = KEYS["tightness_daily"]
    assert differences(wanted, wanted, key) == []
    for column, value in (("coverage", 0.6 + 1e-8), ("coverage", None), ("rate", 0.0), ("regime", "LOOSE")):
        [message] = differences(wanted, [wanted[0], wanted[1] | {column: value}], key)
        assert "2026-01-14" in message and column in message
    assert differences(wanted, wanted[:1], key) == ["AL 2026-01-14: the row is missing"]
    assert differences(wanted[:1], wanted, key) == ["AL 2026-01-14: there should be no row"]
    assert differences(wanted, [{**row, "other": 1} for row in wanted], key) == []
    assert differences(wanted, [{name: row[name] for name in ("metal", "as_of_date")} for row in wanted], key)


# --- comparing


def differences(
    wanted: Sequence[Row], found: Sequence[dict[str, Any]], key: Sequence[str], may_lack_empty: bool = False
) -> list[str]:
    """Every cell of ours that is not found so, with its row and both values; and every row that only one side has.

    Numbers to 1e-9 of the larger one (of 1 where both are smaller), the rest exactly. Columns that only
    `found` has are not compared.
    """
    ours, theirs = by_key(wanted, key), by_key(found, key)
    wrong: list[str] = []
    for at, row in ours.items():
        values = [value for name, value in row.items() if name not in key]
        if at not in theirs:
            if not may_lack_empty or any(value is not None and value != 0 for value in values):
                wrong.append(f"{at}: the row is missing")
            continue
        for name, value in row.items():
            if name not in theirs[at]:
                wrong.append(f"{at} {name}: no such column")
            elif not same(value, theirs[at][name]):
                wrong.append(f"{at} {name}: expected {value!r}, found {theirs[at][name]!r}")
    return wrong + [f"{at}: there should be no row" for at in theirs if at not in ours]


def by_key(rows: Sequence[dict[str, Any]], key: Sequence[str]) -> dict[str, dict[str, Any]]:
    made = {" ".join(plain(row[name]) for name in key): row for row in rows}
    assert len(made) == len(rows), f"two rows have the same {key}"
    return made


def same(want: Any, have: Any) -> bool:
    if want is None or pd.isna(have):
        return want is None and bool(pd.isna(have))
    if isinstance(want, str | date):
        return plain(want) == plain(have)
    return abs(float(want) - float(have)) <= TOLERANCE * max(1.0, abs(float(want)), abs(float(have)))


def plain(value: Any) -> str:
    """A day or a moment as ISO text, whatever type it has."""
    if isinstance(value, datetime) and value.tzinfo:
        return value.strftime("%Y-%m-%dT%H:%M:%SZ")
    return value.strftime("%Y-%m-%d") if isinstance(value, date) else str(value)
