"""The plain-Python reference against the acceptance fixture: it must reproduce A to I.

The fixture's values are rounded to 6 decimals, so that the tolerance is a little more than 1e-6.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import oracle
import pytest
from acceptance import NAMES, TOLERANCE
from oracle import Market, Oracle, Row

DAYS = ("obs_date", "period_end", "delivery_date", "as_of_date")


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def inputs(acceptance: Path, *names: str) -> list[Row]:
    return [typed(row) for name in names for row in read(acceptance / "inputs" / f"{name}.csv")]


def typed(row: dict[str, str]) -> Row:
    """A drop row with days, numbers and moments for their text."""
    made: Row = {}
    for name, text in row.items():
        if not text:
            made[name] = None
        elif name in DAYS:
            made[name] = date.fromisoformat(text)
        elif name == "knowledge_ts":
            made[name] = datetime.fromisoformat(text)
        elif name in ("metal", "country", "zone", "resolution", "scenario"):
            made[name] = text
        else:
            made[name] = int(text) if text.isdigit() else float(text)
    return made


def at(day: date, hour: int, minute: int, zone: str) -> datetime:
    return datetime.combine(day, time(hour, minute), ZoneInfo(zone)).astimezone(UTC)


@pytest.fixture(scope="module")
def params(acceptance: Path) -> dict[str, Any]:
    return dict(json.loads((acceptance / "expected" / "expected.json").read_text())["params"])


@pytest.fixture(scope="module")
def reference(acceptance: Path, params: dict[str, Any]) -> Oracle:
    prices = inputs(acceptance, "prices_daily", "prices_year_ago")
    for row in prices:  # a row without a time gets that of the release calendar
        row.setdefault("knowledge_ts", at(row["obs_date"], 13, 25, "Europe/London"))
        row.setdefault("cash_usd_t", None)
    power = inputs(acceptance, "power_da_points")
    for row in power:
        row["knowledge_ts"] = at(row["delivery_date"] - timedelta(1), 12, 45, "Europe/Berlin")
    fixings = [date(2025, 10, 24), date(2026, 1, 12)]  # the last ones before each auction
    market: Market = {
        "prices": prices,
        "stocks": inputs(acceptance, "lme_stocks_daily"),
        "rates": [{"rate_id": "SOFR", "rate_pct": row["sofr_pct"], **row} for row in inputs(acceptance, "sofr_daily")],
        "exports": inputs(acceptance, "cn_exports_monthly"),
        "off_warrant": inputs(acceptance, "offwarrant_monthly"),
        "power": power,
        "fx": [
            {
                "pair": "EURUSD",
                "obs_date": day,
                "rate": params["eurusd"],
                "knowledge_ts": at(day, 16, 0, "Europe/Berlin"),
            }
            for day in fixings
        ],
    }
    given = {name: value for name, value in params.items() if isinstance(value, int | float)}
    for name, prefix in (("level", "level"), ("level_alt", "level_alt"), ("bw", "bw")):
        given |= {f"{prefix}_{key}": value for key, value in params[name].items()}
    for name, value in params["regime"].items():
        given[f"regime_{name}" if name in ("confirm", "max_gap") else name] = value
    given |= {"max_age_days_rate": params["max_age_days"]["sofr"], "rank_window_monthly": 60}
    given |= {"stale_days_rate": params["max_age_days"]["sofr"]}
    given |= {"rank_min_periods_monthly": params["rank_min_periods"]}
    given |= {"power_line_high_usd_mwh": 115, "power_line_low_usd_mwh": 40}
    ages = {"CURVE": "price", "INVENTORY": "stock", "FLOW": "exports"}
    components = [
        {
            "family": family,
            "indicator": NAMES.get(name, name),
            "sign": params["signs"][name],
            "weight": params["weights"][family],
            "max_age_days": params["max_age_days"][ages[family]],
            "region": "CN" if family == "FLOW" else "GLOBAL",
        }
        for family, names in params["families"].items()
        for name in names
    ]
    return Oracle(market, given, components, datetime(2026, 2, 12, tzinfo=UTC))


def compare(acceptance: Path, name: str, found: Sequence[Row], key: str) -> None:
    """Compare every cell of an expected file with the computed rows."""
    rows = {text(row[key]): row for row in found}
    wrong = []
    for wanted in read(acceptance / "expected" / f"{name}.csv"):
        row = rows[wanted[key]]
        for column, value in wanted.items():
            have = row[NAMES.get(column, column)]
            if not same(value, have):
                wrong.append(f"{wanted[key]} {column}: expected {value!r}, found {have!r}")
    assert wrong == []


def same(wanted: str, have: object) -> bool:
    if wanted == "" or have is None:
        return wanted == "" and have is None
    if isinstance(have, float | int):
        return abs(float(wanted) - have) <= TOLERANCE
    return wanted == text(have)


def text(value: object) -> str:
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%SZ")
    return str(value)


def test_a_price(reference: Oracle, acceptance: Path) -> None:
    compare(acceptance, "A_price", reference.price_daily(), "obs_date")


def test_b_mart_daily(reference: Oracle, acceptance: Path) -> None:
    compare(acceptance, "B_mart_daily", reference.tightness_daily(), "as_of_date")


def test_c_visible_stock(reference: Oracle, acceptance: Path) -> None:
    compare(acceptance, "C_visible_stock", reference.inventory_visible_monthly(), "period_end")


def test_d_exports_as_of(reference: Oracle, acceptance: Path) -> None:
    found = []
    for wanted in read(acceptance / "expected" / "D_exports_asof.csv"):
        moment = datetime.fromisoformat(wanted["as_of_ts"])
        rows = [row for row in reference.exports_monthly() if row["knowledge_ts"] <= moment]
        row = max(rows, key=lambda row: (row["period_end"], row["knowledge_ts"]))
        found.append(
            row
            | {
                "as_of_ts": moment,
                "latest_period": row["period_end"],
                "score_3m": row["score_exports_yoy_3m"],
                "n_3m": row["n_hist"],
            }
        )
    compare(acceptance, "D_exports_asof", found, "as_of_ts")


def test_d_exports_series(reference: Oracle, acceptance: Path) -> None:
    last = {row["period_end"]: row for row in reference.exports_monthly()}
    compare(acceptance, "D_exports_yoy_series", list(last.values()), "period_end")


def test_e_power_daily(reference: Oracle, acceptance: Path) -> None:
    found = [row | {"resolution": f"PT{row['resolution_min']}M"} for row in reference.power_daily()]
    compare(acceptance, "E_power_daily", found, "delivery_date")


def test_f_smelter(acceptance: Path, params: dict[str, Any]) -> None:
    e, a, other = params["mwh_per_t"], params["alumina_t_per_t"], params["other_cash_usd_t"]
    found = []
    for row in inputs(acceptance, "smelter_scenarios"):
        lme, premium, alumina = row["lme_cash_usd_t"], row["premium_usd_t"], row["alumina_usd_t"]
        power = oracle.power_cost(row["power_usd_mwh"], e)
        cost = oracle.cash_cost(power, alumina, a, other)
        found.append(
            {
                "scenario": row["scenario"],
                "power_cost_usd_t": power,
                "cash_cost_usd_t": cost,
                "margin_usd_t": oracle.margin(lme, premium, cost),
                "breakeven_power_usd_mwh": oracle.breakeven_power(lme, premium, alumina, a, other, e),
                "power_share_of_cost": oracle.ratio(power, cost),
            }
        )
    compare(acceptance, "F_smelter", found, "scenario")


def test_g_arbitrage(acceptance: Path) -> None:
    found = []
    for row in inputs(acceptance, "arb_rows"):
        day, shfe, lme, fx = row["as_of_date"], row["shfe_cny_t"], row["lme_usd_t"], row["usdcny"]
        taxes = [oracle.valid_on(day, schedule) for schedule in (oracle.DUTY, oracle.VAT, oracle.REBATE)]
        assert taxes == [row["import_duty"], row["vat"], row["semis_rebate"]]
        duty, vat, rebate = taxes
        found.append(
            {
                "as_of_date": day,
                "import_arb_cny_t": oracle.import_arb(
                    shfe, lme, row["cif_premium_usd_t"], fx, duty, vat, row["port_cny_t"]
                ),
                "shfe_lme_ratio": oracle.ratio(shfe, lme),
                "semis_export_arb_usd_t": oracle.semis_export_arb(
                    lme, row["dest_premium_usd_t"], row["freight_usd_t"], shfe, vat, rebate, fx
                ),
            }
        )
    compare(acceptance, "G_arb", found, "as_of_date")


def test_h_normalisation(acceptance: Path, params: dict[str, Any]) -> None:
    vector, least = [row["x"] for row in inputs(acceptance, "norm_vector")], params["rank_min_periods"]
    found = []
    for i, x in enumerate(vector, 1):
        window = vector[:i]
        middle, mad = oracle.median_and_mad(window, least)
        rank = oracle.mid_rank(window, least)
        found.append(
            {
                "i": i,
                "x": x,
                "n": sum(value is not None for value in window),
                "midrank": rank,
                "one_minus": oracle.signed(rank, -1),
                "median": middle,
                "mad": mad,
                "robust_z": oracle.robust_z(window, least, params["z_cap"]),
            }
        )
    compare(acceptance, "H_normalisation", found, "i")


def test_i_regime(reference: Oracle, acceptance: Path) -> None:
    rows = inputs(acceptance, "regime_vector")
    states = oracle.regimes([row["index"] for row in rows], reference.p)
    found = [row | {"regime": regime, "status": status} for row, (regime, status) in zip(rows, states, strict=True)]
    compare(acceptance, "I_regime", found, "i")


# --- cases that the fixture lacks


def test_a_regime_is_unknown_after_too_many_observations_without_an_index(reference: Oracle) -> None:
    found = oracle.regimes([None, 90.0, *[None] * 6, 20.0], reference.p)
    assert found[:2] == [("UNKNOWN", "WARMUP"), ("SQUEEZE", "OK")]
    assert found[2:8] == [("SQUEEZE", "STALE")] * 5 + [("UNKNOWN", "UNKNOWN")]
    assert found[8] == ("LOOSE", "OK"), "the first value afterwards needs no confirmation"


def test_a_regime_may_be_confirmed_across_a_day_without_an_index(reference: Oracle) -> None:
    found = oracle.regimes([50.0, 72.0, None, 71.0], reference.p)
    assert [state for state, _ in found] == ["NEUTRAL", "NEUTRAL", "NEUTRAL", "TIGHT"]
    found = oracle.regimes([50.0, 72.0, 69.0, 71.0, 90.0, 71.0], reference.p)
    assert {state for state, _ in found} == {"NEUTRAL"}, "confirmations are consecutive and of the same regime"


@pytest.mark.parametrize(
    ("day", "cash", "three_months"),
    [
        ("2026-01-09", "2026-01-13", "2026-04-09"),
        ("2026-01-05", "2026-01-07", "2026-04-07"),  # Easter Sunday and Monday
        ("2026-01-30", "2026-02-03", "2026-04-30"),
        ("2025-11-28", "2025-12-02", "2026-02-27"),  # a Saturday at the end of its month: the day before
        ("2025-11-30", "2025-12-02", "2026-02-27"),  # no 30 February
        ("2025-12-24", "2025-12-30", "2026-03-24"),  # over Christmas
    ],
)
def test_prompts(day: str, cash: str, three_months: str) -> None:
    trading = date.fromisoformat(day)
    assert oracle.cash_prompt(trading).isoformat() == cash
    assert oracle.three_month_prompt(trading).isoformat() == three_months
    assert oracle.days_cash_to_3m(trading) == (date.fromisoformat(three_months) - date.fromisoformat(cash)).days


def test_days_to_event() -> None:
    assert oracle.days_to_event(date(2026, 7, 1), date(2026, 6, 1)) == 30
    assert oracle.days_to_event(date(2026, 7, 1), date(2026, 7, 11)) == -10


def test_near_high() -> None:
    assert oracle.near_high([10.0, 8.0]) == 0.8
    assert oracle.near_high([10.0, *[4.0] * 251, 2.0]) == 0.5, "the high of 253 observations ago is out"
