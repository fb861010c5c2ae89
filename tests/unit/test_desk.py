"""The desk's page: each figure of the index, and signals in plain words with their levels."""

from __future__ import annotations

import csv
import re
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from pipelines.common.settings import PROJECT
from pipelines.publish.desk import CONDITIONS, _components, cards, conditions, groups, label, percentile, shown, signal
from pipelines.warehouse.sql import Row
from schemas.metrics import METRICS

DAY = date(2026, 1, 14)
MOMENT = datetime(2026, 1, 14, 18, tzinfo=UTC)
LEVELS = "level_down = 3000.0 USD/t (ASSUMPTION); level_k = 5.0 observations (ASSUMPTION); " + (
    "level_m = 5.0 observations (ASSUMPTION); level_up = 3200.0 USD/t (ASSUMPTION)"
)


def signal_row(signal_id: str = "AL.CURVE.CARRY_TIGHTNESS", **values: Any) -> Row:
    return {
        "signal_id": signal_id,
        "metal": "AL",
        "metric_id": "carry_tightness",
        "value": 0.5,
        "unit": "ratio",
        "state": None,
        "direction": 1,
        "parameters": None,
        "staleness_days": 3,
        "obs_end_max": DAY,
        "previous_obs_end": DAY - timedelta(days=1),
    } | values


def part(component: str, family: str, day: date, score: float | None, contribution: float | None) -> Row:
    return {
        "metal": "AL", "signal_version": "1.0.0", "as_of_date": day, "component": component, "family": family,
        "value": 0.5, "score": score, "weight": {"CURVE": 0.4, "INVENTORY": 0.4, "FLOW": 0.2}[family],
        "contribution": contribution,
    }  # fmt: skip


def index_row(**values: Any) -> Row:
    return {
        "metal": "AL", "as_of_date": DAY, "as_of_ts": MOMENT, "tightness_index": 60.0, "regime": "NEUTRAL",
        "regime_status": "OK", "quality_flags": "OK", "coverage": 0.6, "contrib_curve": 50.0, "contrib_inventory": None,
        "contrib_flow": 10.0,
    } | values  # fmt: skip


HISTORY = [
    {"as_of_date": day, "tightness_index": index, "tightness_index_v2": 30.0 if day == DAY else None}
    for day, index in (
        (date(2012, 1, 3), 90.0), (date(2015, 1, 5), None), (date(2020, 1, 6), 10.0),
        (date(2026, 1, 7), 58.0), (date(2026, 1, 8), 65.0),
        (date(2026, 1, 12), 70.0), (DAY, 60.0),
    )
]  # fmt: skip
PARTS = [
    part("carry_tightness", "CURVE", DAY, 0.75, 50.0),
    part("exports_yoy_3m", "FLOW", DAY, 0.3, 10.0),
    part("stock_days", "INVENTORY", DAY, None, None),
    part("carry_tightness", "CURVE", date(2026, 1, 12), 0.9, 60.04),
    part("exports_yoy_3m", "FLOW", date(2026, 1, 12), 0.3, 9.96),
    part("carry_tightness", "CURVE", date(2026, 1, 7), 0.7, 58.0),
    part("exports_yoy_3m", "FLOW", date(2026, 1, 7), None, None),
]


def test_the_changes_of_the_index_and_the_components_that_moved_it() -> None:
    [card] = cards([index_row()], {"AL": HISTORY}, PARTS, [], MOMENT + timedelta(hours=2))
    day, week = card.changes
    assert (day.since, day.points) == (date(2026, 1, 12), pytest.approx(-10))
    assert day.moved == [("carry_tightness", pytest.approx(-10.04))]  # 0.04 points of exports are not shown
    assert (week.since, week.points) == (date(2026, 1, 7), pytest.approx(2))
    assert week.moved == [("exports_yoy_3m", pytest.approx(10)), ("carry_tightness", pytest.approx(-8))]
    assert card.age == "2 h"


def test_the_range_of_each_window_and_the_percentile_since_the_first_day() -> None:
    [card] = cards([index_row()], {"AL": HISTORY}, PARTS, [], MOMENT)
    assert [(one.years, one.low, one.high) for one in card.windows] == [(2, 58, 70), (5, 58, 70), (10, 10, 70)]
    assert card.windows[0].place == pytest.approx(2 / 12)
    assert card.percentile == pytest.approx((2 + 0.5) / 6)  # 10 and 58 are lower
    assert card.first_day == date(2012, 1, 3)


def test_weights_are_those_of_families_and_components_that_are_there() -> None:
    [card] = cards([index_row()], {"AL": HISTORY}, PARTS, [signal_row()], MOMENT)
    assert {family["name"]: family["weight"] for family in card.families} == {
        "curve": pytest.approx(2 / 3), "inventory": None, "flow": pytest.approx(1 / 3),
    }  # fmt: skip
    carry, exports, stock = card.components
    assert (carry["weight"], exports["weight"]) == (pytest.approx(2 / 3), pytest.approx(1 / 3))
    assert (stock["weight"], stock["points"]) == (None, None)
    assert (carry["text"], carry["change"]) == ("50.0 %", pytest.approx(-10.04))
    assert carry["signal"].row["obs_end_max"] == DAY
    assert exports["signal"] is None


def test_a_component_without_a_signal_has_the_observation_of_its_input() -> None:
    parts = [part("tom_next_usd_t", "CURVE", DAY, 0.5, 20.0), part("premium_japan", "FLOW", DAY, 0.5, 5.0)]
    spreads = [
        signal_row("AL.CURVE.M3_M15", metric_id="quoted_spread", entity="M3_M15", unit="USD/t", obs_end_max=None),
        signal_row("AL.CURVE.TOM_NEXT", metric_id="quoted_spread", entity="TOM_NEXT", unit="USD/t"),
    ]
    [card] = cards([index_row()], {"AL": HISTORY}, parts, spreads, MOMENT)
    tom_next, premium = card.components
    assert tom_next["signal"].row["signal_id"] == "AL.CURVE.TOM_NEXT"
    assert (tom_next["text"], premium["text"]) == ("0.50 USD/t", "0.50 USD/t")
    assert premium["signal"] is None


def test_both_versions_of_the_index_are_shown_where_a_release_has_them() -> None:
    second = {f"{name}_{family}_v2": 0.25 for name in ("contrib", "weight") for family in ("curve", "stock", "flow")}
    second |= {"contrib_physical_v2": None, "weight_physical_v2": None, "tightness_index_v2": 30.0, "coverage_v2": 0.75}
    row = index_row(**second, regime_v2="LOOSE", regime_status_v2="OK")
    one, two = cards([row], {"AL": HISTORY}, PARTS, [], MOMENT)
    assert (one.version, one.value, two.version, two.value, two.regime) == ("1", 60.0, "2", 30.0, "LOOSE")
    assert [family["name"] for family in two.families] == ["curve", "stock", "flow", "physical"]
    assert two.components == []
    assert two.percentile == 0.5


def test_a_day_without_an_index_has_a_card() -> None:
    history = [*HISTORY[:-1], {"as_of_date": DAY, "tightness_index": None}]
    [card] = cards([index_row(tightness_index=None)], {"AL": history}, [], [], MOMENT + timedelta(days=9))
    assert (card.value, card.changes, card.windows, card.percentile, card.age) == (None, [], [], None, "9 d")


def test_equal_values_count_by_half() -> None:
    assert percentile([1, 1, None, 1, 1]) == 0.5
    assert percentile([]) is percentile([1, None]) is None


@pytest.mark.parametrize(
    ("value", "unit", "metric", "text"),
    [
        (-0.013725, "ratio", "exports_yoy_3m", "-1.4 %"),
        (0.0137, "ratio", "px_yoy", "+1.4 %"),
        (0.757932, "ratio", "carry_tightness", "75.8 %"),
        (0.04013, "ln", "stock_log_chg", "+4.1 %"),
        (693393.0, "t", "visible_t", "693.4 kt"),
        (2975.0, "USD/t", "level_state_5of5", "2,975 USD/t"),
        (-17.5, "USD/t", "cash_3m_spread", "-17.5 USD/t"),
        (17.5, "USD/t", "cash_3m_spread", "+17.5 USD/t"),
        (202607.0, "yyyymm", "event_month", "2026-07"),
        (None, "ratio", "", ""),
        (float("nan"), "t", "", ""),
    ],
)
def test_values_are_written_with_the_units_of_a_desk(value: float | None, unit: str, metric: str, text: str) -> None:
    assert shown(value, unit, metric) == text


def test_a_state_is_shown_by_its_levels() -> None:
    found = conditions("level_state_5of5", LEVELS, "INSIDE")
    assert found == [("price above 3,200, 5 of 5 days", False), ("price below 3,000", False)]
    assert [holds for _, holds in conditions("level_state_5of5", LEVELS, "ABOVE")] == [True, False]
    assert conditions("level_state_5of5", LEVELS, None) == []
    assert conditions("level_state_5of5", None, "ABOVE") == []
    assert conditions("other", LEVELS, "ABOVE") == []
    drain = "offwarrant_drain = -0.3 ratio (ASSUMPTION)"
    assert conditions("offwarrant_drain", drain, "ON") == [("-30.0 % or less on the year", True)]


def test_every_state_has_conditions_whose_levels_are_among_its_parameters() -> None:
    """A signal without them would show its state only."""
    with (PROJECT / "data" / "reference" / "signal_definitions.csv").open(encoding="utf-8") as file:
        states = {row["metric_id"] for row in csv.DictReader(file) if row["kind"] == "STATE"}
    assert states <= CONDITIONS.keys()
    for metric in CONDITIONS.keys() & METRICS.keys():
        levels = {name for text, _ in CONDITIONS[metric] for name in re.findall(r"\{(\w+)\}", text)}
        assert levels <= set(METRICS[metric].parameters), metric


def test_a_value_without_a_newer_observation_is_carried() -> None:
    assert not signal(signal_row()).is_carried
    assert signal(signal_row(previous_obs_end=DAY)).is_carried
    assert not signal(signal_row(previous_obs_end=None)).is_carried
    assert not signal(signal_row(obs_end_max=None, previous_obs_end=None)).is_carried


def test_signals_are_grouped_and_missing_ones_marked() -> None:
    names = ["AL.FLOW.X", "AL.TIGHTNESS.INDEX", "AL.POWER.X", "AL.INVENTORY.X", "AL.NEW.X", "odd", "AL.PRICE.X"]
    found = groups([signal_row(name) for name in names])
    assert list(found) == ["Index", "Price and curve", "Stock", "Flow", "Supply", "Other"]
    assert [one.row["signal_id"] for one in found["Other"]] == ["AL.NEW.X", "odd"]
    [missing] = groups([signal_row("AL.FLOW.X", value=None)])["Flow"]
    assert missing.is_missing
    assert not signal(signal_row(value=None, state="ON")).is_missing


@pytest.mark.parametrize(("name", "words"), [
    ("FLOW.CN_EXPORTS_YOY_3M", "flow: China exports on the year, 3 months"),
    ("PRICE.LEVEL_5OF5", "price: level 5 of 5"),
    ("m3_m15_usd_t", "3 to 15 months"),
    ("premium_us_midwest", "premium US midwest"),
    ("INVENTORY.STOCK_LOG_CHG", "inventory: stock change"),
])  # fmt: skip
def test_names_are_words_without_a_unit(name: str, words: str) -> None:
    assert label(name) == words


def test_a_component_that_no_signal_rests_on_has_its_own_observation() -> None:
    own = part("premium_japan", "FLOW", DAY, 0.5, 10.0)
    own |= {"obs_end": DAY - timedelta(days=2), "knowledge_ts": MOMENT}
    [found] = _components({"metal": "AL", "as_of_date": DAY}, [own], [])
    assert found["signal"].row["obs_end_max"] == DAY - timedelta(days=2)
    assert found["signal"].age == "2 d"
