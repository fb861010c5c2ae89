"""Every watchpoint (docs/methodology.md#signals-and-revisions) fires on its day and not a day before, in a market made
for it whose days are counted by hand."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import duckdb
import pandas as pd
import pytest
from sandbox import Sandbox

pytestmark = pytest.mark.slow
NOW = "2026-07-20T20:00:00Z"
MONTHS = ("2023-09", "2026-07")
# London business days from Monday 2026-02-02 on; there is no holiday before Good Friday, 2026-04-03.
DAYS = [day.strftime("%Y-%m-%d") for day in pd.bdate_range("2026-02-02", periods=40)]


def path(*steps: tuple[float, int]) -> list[float]:
    """Values that hold for so many days each; the last one to the end."""
    values = [value for value, days in steps for _ in range(days)]
    return values + [steps[-1][0]] * (len(DAYS) - len(values))


SPREAD = path((-5, 6), (5, 3), (-5, 1))
M3 = path((3_100, 12), (2_900, 1))
# Up by the factor that makes a change over two observations just 5 per cent or more.
STOCK = path((100_000, 5), (106_000, 1), (112_000, 1), (119_000, 1), (119_000, 1))
ARB = path((4_000, 3), (40_000, 12), (4_000, 1))  # SHFE price: dear in China, exporting semis does not pay
POWER = path((50, 3), (400, 1))
CLOSE = path((100, 4), (96.9, 1), (97, 1))


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Sandbox:
    sandbox = Sandbox(tmp_path_factory.mktemp("watchpoints"), "drop", NOW)
    put_market(sandbox)
    sandbox.run_compiled(MONTHS)
    return sandbox


def put_market(sandbox: Sandbox) -> None:
    """The reference tables and drop files of the market."""
    sandbox.set_parameters(
        stock_chg_obs=2, stock_unwind_k=3, arb_shut_days=10, curtailment_days=20, near_high_obs=4,
        power_mean_days=4, power_mean_min_days=4,
    )  # fmt: skip
    day = pd.Series(DAYS)
    at_noon = day + "T12:00:00Z"
    prices = {"obs_date": day, "cash_usd_t": pd.Series(M3) + pd.Series(SPREAD), "m3_usd_t": M3}
    sandbox.drop("prices/own.csv", pd.DataFrame({"metal": "AL", **prices}))
    sandbox.drop(
        "stocks/own.csv",
        pd.DataFrame({"metal": "AL", "obs_date": day, "knowledge_ts": at_noon, "total_t": STOCK}),
    )
    sandbox.drop(
        "arbitrage/own.csv",
        pd.DataFrame(
            {
                "metal": "AL", "obs_date": day, "knowledge_ts": at_noon, "shfe_cny_t": ARB, "cif_premium_usd_t": 200,
                "usdcny": 7.0, "dest_premium_usd_t": 300, "freight_usd_t": 90,
            }
        ),
    )  # fmt: skip
    sandbox.drop(
        "costs/own.csv",
        pd.DataFrame(
            {
                "metal": "AL", "obs_date": day, "knowledge_ts": at_noon, "alumina_usd_t": 300.0, "premium_usd_t": 300.0,
            }
        ),
    )  # fmt: skip
    # Power of every calendar day, for four in a row; the level changes on the fourth trading day.
    every = pd.Series(pd.date_range("2026-01-26", DAYS[-1]).strftime("%Y-%m-%d"))
    dear = [400.0 if text >= DAYS[3] else 50.0 for text in every]
    power = {"zone": "DE-LU", "delivery_date": every, "resolution": "PT60M", "n_positions": 24, "position": 1}
    sandbox.drop("power/own.csv", pd.DataFrame({**power, "price_eur_mwh": dear}))
    fixings = pd.bdate_range("2026-01-19", DAYS[-1]).strftime("%Y-%m-%d")
    sandbox.drop("fx/own.csv", pd.DataFrame({"pair": "EURUSD", "obs_date": fixings, "rate": 1.0}))
    sandbox.drop(
        "equities/own.csv",
        pd.DataFrame({"ticker": "AA", "obs_date": day, "knowledge_ts": at_noon, "close_usd": CLOSE}),
    )
    months = pd.Series(pd.date_range("2023-09-30", "2026-01-31", freq="ME"))
    ends = months.dt.strftime("%Y-%m-%d")
    off_warrant = [300_000.0] * (len(ends) - 1) + [210_000.0]  # -30 % on the year, and the lowest of 28 months
    sandbox.drop(
        "off_warrant/own.csv",
        pd.DataFrame(
            {
                "metal": "AL", "period_end": ends, "knowledge_ts": _known(ends, DAYS[7]), "offwarrant_t": off_warrant,
                "registered_month_end_t": 500_000.0,
            }
        ),
    )  # fmt: skip
    exports = [100.0] * (len(ends) - 4) + [94.9] * 4  # three-month change below -5 % from the third of them on
    sandbox.drop(
        "exports/own.csv",
        pd.DataFrame(
            {
                "metal": "AL", "country": "CN", "period_end": ends, "period_months": 1,
                "knowledge_ts": _known(ends, DAYS[8]), "exports_kt": exports,
            }
        ),
    )  # fmt: skip
    at_cap = 45_000 / 365 * 31  # the month's output at a rate of 45 Mt a year
    output = {"2025-10-31": 0.97, "2025-12-31": 0.98, "2026-01-31": 1.001}
    sandbox.drop(
        "production/own.csv",
        pd.DataFrame(
            {
                "metal": "AL", "country": "CN", "period_end": list(output), "period_months": 1,
                "knowledge_ts": [f"{DAYS[n]}T12:00:00Z" for n in (0, 5, 10)],
                "production_kt": [share * at_cap for share in output.values()],
            }
        ),
    )  # fmt: skip
    register = pd.read_csv(sandbox.reference() / "smelters.csv")
    register = register.assign(idled_kt=0.0, cause="", review_by="")
    idled = register.tail(1).assign(plant="Own", capacity_kt=500.0)
    steps = [
        (0.0, "", "2025-01-01"), (49.0, "POWER_PRICE", DAYS[2]), (50.0, "ACCIDENT", DAYS[4]), (0.0, "", DAYS[30]),
    ]  # fmt: skip
    rows = [
        idled.assign(idled_kt=kt, cause=cause, review_by=DAYS[20] if cause else "", valid_from=since)
        for kt, cause, since in steps
    ]
    pd.concat([register, *rows]).to_csv(sandbox.reference() / "smelters.csv", index=False)


def _known(ends: pd.Series, last: str) -> list[str]:
    """Each month known early in the next; the last one at noon of a given day."""
    early = (pd.to_datetime(ends) + pd.Timedelta(days=20)).dt.strftime("%Y-%m-%dT09:00:00Z").tolist()
    return [*early[:-1], f"{last}T12:00:00Z"]


@pytest.fixture(scope="module")
def states(sandbox: Sandbox) -> Callable[[str], list[str | None]]:
    rows = sandbox.query("select signal_id, as_of_date, state, value, quality from signals.signals")
    rows["day"] = rows["as_of_date"].dt.strftime("%Y-%m-%d")

    def of(signal: str) -> list[str | None]:
        own = rows[rows["signal_id"] == f"AL.{signal}"].set_index("day").loc[DAYS]
        return [None if pd.isna(state) else state for state in own["state"]]

    return of


def runs(values: Sequence[str | None]) -> list[tuple[str | None, int]]:
    """Each state with the number of the day on which it begins."""
    return [(value, n) for n, value in enumerate(values) if n == 0 or value != values[n - 1]]


@pytest.mark.parametrize(
    ("signal", "expected"),
    [
        # above 0 on days 6, 7, 8: the third of five; at or below 0 on 9, 10, 11: again the third of five
        ("CURVE.BACKWARDATION", [("OFF", 0), ("ON", 8), ("OFF", 9)]),
        ("CURVE.SPREAD_UNWIND", [("CONTANGO", 0), ("BACKWARDATION", 8), ("UNWOUND", 11)]),
        # 2,900 from day 12 on: sustained 5 of 5 on day 16, 3 of 5 on day 14; the curve is in contango by then
        ("PRICE.LEVEL_5OF5", [("INSIDE", 0), ("BELOW", 16)]),
        ("PRICE.LEVEL_3OF5", [("INSIDE", 0), ("BELOW", 14)]),
        ("PRICE.THESIS_BROKEN", [("OFF", 0), ("ON", 16)]),
        # ln(106/100), ln(112/100), ln(119/106) on days 5, 6, 7, ln(119/112) on day 8; then nothing
        ("INVENTORY.STOCK_UNWIND", [(None, 0), ("OFF", 2), ("ON", 7), ("OFF", 9)]),
        ("INVENTORY.OFF_WARRANT_DRAIN", [("OFF", 0), ("ON", 7)]),
        # 28 months back there is none as low: at least 730 days
        ("INVENTORY.VISIBLE_LOW", [("OFF", 0), ("RECORD", 7)]),
        # the fourth month of low exports is the second with a low three-month change
        ("FLOW.CN_EXPORTS_DROP", [("OFF", 0), ("ON", 8)]),
        # exports do not pay on days 3 to 14: ten of them on day 12
        ("FLOW.CN_EXPORT_WINDOW", [("OPEN", 0), ("SHUT", 12), ("OPEN", 15)]),
        ("SUPPLY.CN_CAP_UTILISATION", [("SLACK", 0), ("BINDING", 5), ("BREACH", 10)]),
        # 49 kt from Wednesday, 4 February on are no event, 50 kt from Friday on are; 30 days after the first step, on
        # 6 March, only 1 kt is new; the restart of day 30 is an event again
        ("SUPPLY.EUROPE_IDLED_EVENT", [("STEADY", 0), ("IDLED", 4), ("STEADY", 24), ("RESTARTED", 30)]),
        # 400 from day 3 (Thursday) on: (3 * 50 + 400) / 4 = 137.5 on the first day already
        ("POWER.DE_LU_MEAN_30D", [("NORMAL", 0), ("HIGH", 3)]),
        # under water from day 3 on: the twentieth day is day 22
        ("SMELTER.DE_LU_CURTAILMENT_RISK", [("NONE", 0), ("CURTAILMENT_RISK", 22)]),
        # four closes make a year here: known on day 3; 96.9 is too low, 97 is near enough; then it is its own high
        ("EQUITY.AA_NEAR_HIGH", [(None, 0), ("NEAR_HIGH", 3), ("BELOW", 4), ("NEAR_HIGH", 5)]),
    ],
)
def test_a_watchpoint_fires_on_its_day(
    states: Callable[[str], list[str | None]], signal: str, expected: list[tuple[str | None, int]]
) -> None:
    assert runs(states(signal)) == expected


def test_the_event_is_active_from_30_days_before_to_10_days_after(sandbox: Sandbox) -> None:
    rows = sandbox.query("select * from marts.event_calendar where event_id = 'USMCA_REVIEW'")
    states = rows.groupby("state")["days_to_event"].agg(["min", "max"])
    # 2026-07-01 less 30 days is Monday 1 June; plus 10 days is a Saturday, so that Friday, 9 days on, is the last.
    assert states.loc["ACTIVE"].tolist() == [-9, 30]
    assert states.loc["AHEAD", "min"] == 33
    assert states.loc["PAST", "max"] == -12
    changes = sandbox.query(
        "select as_of_date, prev_state, state from signals.signal_transitions "
        "where signal_id = 'AL.EVENT.USMCA_REVIEW' order by as_of_date"
    )
    assert changes[["prev_state", "state"]].to_numpy().tolist() == [["AHEAD", "ACTIVE"], ["ACTIVE", "PAST"]]
    assert changes["as_of_date"].tolist() == [pd.Timestamp("2026-06-01"), pd.Timestamp("2026-07-13")]


def test_an_event_is_shown_from_its_announcement_while_it_is_near(sandbox: Sandbox) -> None:
    """A year before to 90 days after, and not before it was known. The first as-of date is 2026-02-02."""
    rows = sandbox.query("select * from marts.event_calendar")
    days = rows.groupby("event_id")["as_of_date"].agg(["min", "max"])
    expected = {
        "GRUNDARTANGI_OUTAGE": None,  # 2025-10-21: more than 90 days ago on the first day
        "CBAM_DEFINITIVE": ("2026-02-02", "2026-04-01"),  # 2026-01-01 and 90 days
        "LME_LENDING_2026": ("2026-02-20", "2026-05-21"),
        "S232_2026": ("2026-04-07", "2026-07-03"),  # known on Good Friday; 2026-04-06 and 90 days is a Sunday
        "USMCA_REVIEW": ("2026-02-02", "2026-07-20"),
        "USMCA_REVIEW_OUTCOME": ("2026-07-01", "2026-07-20"),
        "USMCA_REVIEW_2027": ("2026-07-01", "2026-07-20"),
    }
    for event, near in expected.items():
        found = tuple(days.loc[event].dt.strftime("%Y-%m-%d")) if event in days.index else None
        assert found == near, event
    assert rows["days_to_event"].between(-90, 365).all()
    assert (rows["as_of_date"] >= rows["known_since"]).all()
    state = rows[rows["event_id"] == "USMCA_REVIEW_2027"].set_index("as_of_date").loc["2026-07-01"]
    assert state[["days_to_event", "state", "event_kind"]].tolist() == [365, "AHEAD", "TRADE_RULE"]


def test_the_signal_of_an_event_goes_on_when_it_is_no_longer_near(sandbox: Sandbox, tmp_path: Path) -> None:
    other = Sandbox(tmp_path, "drop", NOW)
    put_market(other)
    other.set_parameters(event_near_before_days=30, event_near_after_days=10)
    other.run_compiled(MONTHS)
    near = other.query("select * from marts.event_calendar where event_id = 'USMCA_REVIEW'")
    assert set(near["state"]) == {"ACTIVE"}
    query = "select as_of_date, value, state from signals.signals where signal_id = 'AL.EVENT.USMCA_REVIEW' order by 1"
    pd.testing.assert_frame_equal(other.query(query), sandbox.query(query))


def test_idled_capacity_is_stale_after_the_review_of_its_row(sandbox: Sandbox) -> None:
    """The row of day 4 is to be reviewed by day 20; the restart of day 30 needs no review."""
    for signal in ("AL.SUPPLY.EUROPE_IDLED", "AL.SUPPLY.EUROPE_IDLED_EVENT"):
        rows = sandbox.query("select as_of_date, quality from signals.signals where signal_id = ?", signal)
        quality = rows.assign(day=rows["as_of_date"].dt.strftime("%Y-%m-%d")).set_index("day")["quality"]
        assert runs([quality[day] for day in DAYS]) == [("OK", 0), ("STALE", 21), ("OK", 30)], signal


def test_idled_capacity_counts_for_its_cause(sandbox: Sandbox) -> None:
    with duckdb.connect(str(sandbox.open().paths.warehouse), read_only=True) as warehouse:
        rows = warehouse.sql("select * from metrics.metrics where metric_id = 'idled_kt'").df()
    rows["day"] = rows["as_of_date"].dt.strftime("%Y-%m-%d")
    by_day = rows.pivot_table(index="day", columns="entity", values="value").loc[DAYS[:31]]
    entities = ["EUROPE", "EUROPE.POWER_PRICE", "EUROPE.ACCIDENT"]
    assert set(by_day) == set(entities)
    expected = {DAYS[1]: [0.0], DAYS[3]: [49.0, 49.0], DAYS[29]: [50.0, 0.0, 50.0], DAYS[30]: [0.0, 0.0, 0.0]}
    for day, values in expected.items():
        assert by_day.loc[day, entities].dropna().tolist() == values, day


def test_state_signals_have_values(sandbox: Sandbox) -> None:
    [row] = sandbox.query(
        "select * from signals.signals where signal_id = 'AL.INVENTORY.STOCK_UNWIND' and as_of_date = ?::date", DAYS[7]
    ).itertuples()
    assert row.value == pytest.approx(math.log(119 / 106))
    assert (row.unit, row.direction, row.is_transition, row.prev_state) == ("ln", -1, True, "OFF")
    assert row.state_since == pd.Timestamp(DAYS[7])


def test_a_rank_or_change_across_a_break_is_flagged(tmp_path: Path) -> None:
    """A break is flagged in every window that spans it, from the day on which it was known."""
    other = Sandbox(tmp_path, "drop", NOW)
    put_market(other)
    other.add_break("px_yoy", DAYS[6], valid_from=DAYS[8])
    days = pd.bdate_range("2025-01-27", periods=45).strftime("%Y-%m-%d")
    other.drop(
        "prices/before.csv", pd.DataFrame({"metal": "AL", "obs_date": days, "cash_usd_t": 2600, "m3_usd_t": 2600})
    )
    other.run_compiled(MONTHS)
    rows = other.query("select as_of_date, quality from signals.signals where signal_id = 'AL.PRICE.YOY'")
    quality = rows.assign(day=rows["as_of_date"].dt.strftime("%Y-%m-%d")).set_index("day")["quality"]
    # The change spans the break from day 6 on, and it is flagged from the day on which the break was known.
    assert [quality[day] for day in DAYS[5:10]] == ["OK", "OK", "OK", "BREAK", "BREAK"]
