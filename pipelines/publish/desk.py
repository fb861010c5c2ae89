"""The desk's page: index and signals of a release in plain words. Pure functions over published rows."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final

from pipelines.warehouse.sql import Row

# Families of the index, with their colour on the page.
FAMILIES: Final = {
    "curve": "#1f6fb2", "inventory": "#c8641b", "stock": "#c8641b", "flow": "#13877b", "physical": "#7a4fa3",
}  # fmt: skip
# Suffix of the columns of `tightness_daily` that hold a version of the index, and its families.
VERSIONS: Final = {
    "1": ("", ("curve", "inventory", "flow")),
    "2": ("_v2", ("curve", "stock", "flow", "physical")),
}
YEARS: Final = (2, 5, 10)
SPARK: Final = 260  # decision days in the small picture
# Groups of signals on the page, by the second part of their name; every other name is in the last one.
GROUPS: Final = {
    "Index": ("TIGHTNESS",),
    "Price and curve": ("PRICE", "CURVE"),
    "Stock": ("INVENTORY", "STOCK"),
    "Flow": ("FLOW",),
    "Supply": ("SUPPLY", "POWER", "SMELTER"),
    "Other": (),
}
# Components of the index without a signal of their own: metric and entity of one that rests on the same observation.
INPUTS: Final[Mapping[str, tuple[str, str]]] = {
    "carry_tightness_median": ("carry_tightness", ""),
    "tom_next_usd_t": ("quoted_spread", "TOM_NEXT"),
    "m3_m15_usd_t": ("quoted_spread", "M3_M15"),
    "live_stock_deviation": ("stock_days", ""),
    "visible_all_deviation": ("visible_all_t", ""),
    "stock_chg_winsorised": ("stock_log_chg", ""),
    "new_cancellations": ("cancelled_ratio", ""),
    "shanghai_stock_days": ("exchange_stock", "SHFE"),
}
# Units of components that are the metric of no signal.
UNITS: Final = {
    "carry_tightness_median": "ratio",
    "tom_next_usd_t": "USD/t",
    "m3_m15_usd_t": "USD/t",
    "stock_chg_winsorised": "ln",
    "new_cancellations": "ratio",
    "premium_us_midwest": "USD/t",
    "premium_eu_duty_unpaid": "USD/t",
    "premium_japan": "USD/t",
    "shanghai_stock_days": "days",
}
_LOW: Final = (("lowest for {visible_low_age_days} days or more", "RECORD MULTI_YEAR_LOW"), ("record low", "RECORD"))
_TIGHT_OR_LOOSE: Final = [
    ("TIGHT from {enter_tight}, left under {exit_tight}", "TIGHT"),
    ("LOOSE up to {enter_loose}, left over {exit_loose}", "LOOSE"),
]
# What a state means, by metric: a condition with its levels, and the states in which it holds.
CONDITIONS: Final[Mapping[str, Sequence[tuple[str, str]]]] = {
    "regime": [("SQUEEZE from {enter_squeeze}, left under {exit_squeeze}", "SQUEEZE"), *_TIGHT_OR_LOOSE],
    "regime_v2": [
        ("SQUEEZE from {enter_squeeze}, left under {exit_squeeze} or without backwardation", "SQUEEZE"),
        *_TIGHT_OR_LOOSE,
    ],
    "level_state_5of5": [
        ("price above {level_up}, {level_k} of {level_m} days", "ABOVE"),
        ("price below {level_down}", "BELOW"),
    ],
    "level_state_3of5": [
        ("price above {level_up}, {level_alt_k} of {level_alt_m} days", "ABOVE"),
        ("price below {level_down}", "BELOW"),
    ],
    "thesis_broken": [("price sustained below {level_down} and no backwardation", "ON")],
    "backwardation_sustained": [("backwardation on {bw_k} of {bw_m} days", "ON")],
    "spread_unwind": [
        ("backwardation on {bw_k} of {bw_m} days", "BACKWARDATION"),
        ("backwardation left", "UNWOUND"),
    ],
    "stock_unwind": [
        ("stock {stock_unwind_ln} or more over {stock_chg_obs} days, {stock_unwind_k} days in a row", "ON"),
    ],
    "visible_low": _LOW,
    "visible_all_low": _LOW,
    "offwarrant_drain": [("{offwarrant_drain} or less on the year", "ON")],
    "exports_drop": [("{exports_drop} or less on the year, {exports_drop_prints} periods in a row", "ON")],
    "export_window": [("exporting semis has not paid, {arb_shut_days} days in a row", "SHUT")],
    "cap_utilisation": [("{cap_binding} of the cap or more", "BINDING BREACH"), ("over {cap_breach}", "BREACH")],
    "power_mean_30d": [("mean of {power_mean_days} days at {power_line_high_usd_mwh} or more", "HIGH")],
    "curtailment_risk": [("power dearer than break-even, {curtailment_days} days in a row", "CURTAILMENT_RISK")],
    "near_high": [("{near_high_ratio} of its highest close of {near_high_obs} or more", "NEAR_HIGH")],
    "idled_event": [("changed by {idled_event_kt} or more within {idled_event_days} days", "IDLED RESTARTED")],
    "days_to_event": [("{event_before_days} days before to {event_after_days} after", "ACTIVE")],
}  # fmt: skip
# Abbreviations in names of signals, components and states, the longer ones first.
_WORDS: Final = {
    " usd t": "", "m3 m15": "3 to 15 months", "tom next": "tom-next", "cash 3m": "cash to 3 months",
    "yoy 3m": "on the year, 3 months", "ytd yoy": "year to date, on the year", "yoy": "on the year",
    "log chg": "change", "chg": "change", "arb": "arbitrage", "30d": "30 days", r"(\d)of(\d)": r"\1 of \2",
    "cn": "China", "us": "US", "eu": "EU", "de lu": "DE-LU", "fr": "FR", "aa": "AA", "shfe": "Shanghai",
    "comex": "COMEX", "usmca": "USMCA", "japan": "Japan", "shanghai": "Shanghai",
}  # fmt: skip
_SIGNED: Final = ("_yoy", "_yoy_3m", "_chg", "_arb", "_spread", "_margin", "_drop", "_drain", "_unwind")
_PARAMETER: Final = re.compile(r"(\w+) = (-?[\d.]+(?:e[+-]?\d+)?) (\S.*?) \((?:FACT|ASSUMPTION)\)")


@dataclass(frozen=True)
class Change:
    """Change of the index since an earlier decision day, in points, and of each component, the largest first."""

    label: str
    since: date
    points: float
    moved: Sequence[tuple[str, float]]


@dataclass(frozen=True)
class Window:
    """Least and greatest index of the last years; `place` of the latest between them, from 0 to 1."""

    years: int
    low: float
    high: float
    place: float


@dataclass(frozen=True)
class Card:
    """One version of a metal's index on its last decision day."""

    metal: str
    version: str
    value: float | None
    day: date
    age: str
    regime: str | None
    status: str | None
    flags: str | None
    coverage: float | None
    changes: Sequence[Change]
    percentile: float | None  # share of all days with a lower index, those with an equal one by half
    first_day: date | None
    windows: Sequence[Window]
    families: Sequence[Row]  # name, colour, weight, points
    components: Sequence[Row]
    spark: str  # path of an SVG image of 260 by 60 units


@dataclass(frozen=True)
class Signal:
    """A signal as a row of the page."""

    row: Row
    name: str
    text: str  # value and unit
    conditions: Sequence[tuple[str, bool]]
    direction: int
    age: str
    is_carried: bool  # no newer observation than the decision day before
    is_missing: bool


def cards(
    latest: Sequence[Row],
    history: Mapping[str, Sequence[Row]],
    parts: Sequence[Row],
    signals: Sequence[Row],
    computed: datetime,
) -> list[Card]:
    """The index of each metal, every version that the release has.

    `latest`: last row of `tightness_daily` by metal. `history`: days and index by metal, in order. `parts`:
    contributions of the last day, the day before and a week before. `computed`: when the release was made.
    """
    found = []
    for row in latest:
        for version, (suffix, families) in VERSIONS.items():
            if f"tightness_index{suffix}" not in row:
                continue
            values = [(one["as_of_date"], one[f"tightness_index{suffix}"]) for one in history.get(row["metal"], ())]
            own = [
                part
                for part in parts
                if part["metal"] == row["metal"] and str(part["signal_version"]).split(".")[0] == version
            ]
            found.append(_card(row, version, suffix, families, values, own, signals, computed))
    return found


def groups(signals: Sequence[Row]) -> dict[str, list[Signal]]:
    """The signals of a metal by group, in the order of GROUPS; those without value and state are marked as missing."""
    found: dict[str, list[Signal]] = {name: [] for name in GROUPS}
    for row in signals:
        found[group(row["signal_id"])].append(signal(row))
    return {name: rows for name, rows in found.items() if rows}


def group(signal_id: str) -> str:
    """The group of GROUPS that a signal is in."""
    own = signal_id.split(".")[1] if "." in signal_id else ""
    return next((title for title, names in GROUPS.items() if own in names), "Other")


def name(signal_id: str) -> str:
    """A signal's name as words, without its metal."""
    return label(signal_id.split(".", 1)[-1])


def signal(row: Row) -> Signal:
    """A row of `signals_latest`, with metric, parameters and `previous_obs_end` of the decision day before."""
    metric = row.get("metric_id") or ""
    observed = row["obs_end_max"]
    return Signal(
        row,
        name(row["signal_id"]),
        shown(row["value"], row["unit"], metric),
        conditions(metric, row.get("parameters"), row["state"]),
        row["direction"] or 0,
        "" if row["staleness_days"] is None else f"{row['staleness_days']} d",
        observed is not None and observed == row.get("previous_obs_end"),
        _none(row["value"]) is None and row["state"] is None,
    )


def conditions(metric: str, parameters: str | None, state: str | None) -> list[tuple[str, bool]]:
    """The conditions behind a state, with the levels in force, and whether each holds; none for an unknown metric."""
    if state is None:
        return []
    levels = {name: _level(float(value), unit) for name, value, unit in _PARAMETER.findall(parameters or "")}
    found = []
    for text, states in CONDITIONS.get(metric, ()):
        names = re.findall(r"\{(\w+)\}", text)
        if all(name in levels for name in names):
            found.append((text.format_map(levels), state in states.split()))
    return found


def shown(value: float | None, unit: str | None, metric: str = "") -> str:
    """A value as a desk writes it: ratios and logarithmic changes in %, tonnes in kt, with the unit."""
    number = _none(value)
    if number is None:
        return ""
    if unit == "yyyymm":
        return f"{number // 100:.0f}-{number % 100:02.0f}"
    sign = "+" if unit == "ln" or metric.endswith(_SIGNED) else ""
    if unit in {"ratio", "ln"}:
        return f"{100 * (math.expm1(number) if unit == 'ln' else number):{sign},.1f} %"
    if unit == "t":
        number, unit = number / 1000, "kt"
    decimals = 0 if abs(number) >= 1000 or number == round(number) else 2 if abs(number) < 10 else 1
    return f"{number:{sign},.{decimals}f} {unit or ''}".strip()


def label(name: str) -> str:
    """A technical name as words, without the unit."""
    words = name.replace("_", " ").replace(".", ": ").lower()
    for short, word in _WORDS.items():
        words = re.sub(rf"\b{short}\b", word, words)
    return words.strip()


def percentile(values: Sequence[float | None]) -> float | None:
    """Share of the values under the last one, equal ones by half; None without a last value."""
    if not values or values[-1] is None:
        return None
    there, last = [value for value in values if value is not None], values[-1]
    return (sum(value < last for value in there) + sum(value == last for value in there) / 2) / len(there)


# --- index ------------------------------------------------------------------------------------------------------------


def _card(
    row: Row,
    version: str,
    suffix: str,
    families: Sequence[str],
    history: Sequence[tuple[date, float | None]],
    parts: Sequence[Row],
    signals: Sequence[Row],
    computed: datetime,
) -> Card:
    values = [_none(value) for _, value in history]
    weights = _weights([part for part in parts if part["as_of_date"] == row["as_of_date"]])
    return Card(
        metal=row["metal"],
        version=version,
        value=_none(row[f"tightness_index{suffix}"]),
        day=row["as_of_date"],
        age=_age(computed - row["as_of_ts"]),
        regime=row[f"regime{suffix}"],
        status=row[f"regime_status{suffix}"],
        flags=row["quality_flags"],
        coverage=_none(row[f"coverage{suffix}"]),
        changes=list(_changes(row["as_of_date"], history, parts)),
        percentile=percentile(values),
        first_day=next((day for day, value in history if value is not None), None),
        windows=list(_windows(row["as_of_date"], history)),
        families=[
            {
                "name": family,
                "colour": FAMILIES[family],
                "weight": _none(row.get(f"weight_{family}{suffix}", weights.get(family))),
                "points": _none(row[f"contrib_{family}{suffix}"]),
            }
            for family in families
        ],
        components=list(_components(row, parts, signals)),
        spark=_spark(values[-SPARK:]),
    )


def _changes(day: date, history: Sequence[tuple[date, float | None]], parts: Sequence[Row]) -> Iterator[Change]:
    """Since the decision day before and since a week before, where both have an index."""
    values = dict(history)
    for name, latest in (("a day", day - timedelta(days=1)), ("a week", day - timedelta(days=7))):
        since = max((other for other in values if other <= latest), default=None)
        if since is None:
            continue
        now, then = _none(values.get(day)), _none(values[since])
        if now is not None and then is not None:
            moved = [(part["component"], _moved(part, since, parts)) for part in parts if part["as_of_date"] == day]
            moved = [(component, points) for component, points in moved if abs(points) >= 0.05]
            yield Change(name, since, now - then, sorted(moved, key=lambda one: -abs(one[1])))


def _moved(part: Row, since: date, parts: Sequence[Row]) -> float:
    """Points by which the contribution of a component has changed; a missing one counts as none."""
    before = next(
        (other for other in parts if (other["component"], other["as_of_date"]) == (part["component"], since)), None
    )
    return (_none(part["contribution"]) or 0.0) - ((_none(before["contribution"]) if before else None) or 0.0)


def _windows(day: date, history: Sequence[tuple[date, float | None]]) -> Iterator[Window]:
    last = history[-1][1] if history else None
    if last is None:
        return
    for years in YEARS:
        begin = day - timedelta(days=round(365.25 * years))
        there = [value for at, value in history if at > begin and value is not None]
        low, high = min(there), max(there)
        yield Window(years, low, high, (last - low) / (high - low) if high > low else 0.5)


def _weights(parts: Sequence[Row]) -> dict[str, float]:
    """Effective weight of each family: its weight over those of all families that have a score."""
    there = {str(part["family"]).lower(): part["weight"] for part in parts if _none(part["score"]) is not None}
    total = sum(there.values())
    return {family: weight / total for family, weight in there.items()} if total else {}


def _components(row: Row, parts: Sequence[Row], signals: Sequence[Row]) -> Iterator[Row]:
    """The components of the last day, each with its effective weight and the signal that has its observation."""
    by_metric = {
        (one.get("metric_id"), one.get("entity") or ""): one for one in signals if one["metal"] == row["metal"]
    }
    units = UNITS | {one.get("metric_id"): one["unit"] for one in signals}
    day = row["as_of_date"]
    previous = max((part["as_of_date"] for part in parts if part["as_of_date"] < day), default=None)
    for part in parts:
        if part["as_of_date"] != day:
            continue
        own = [entry for (metric, _), entry in by_metric.items() if metric == part["component"]]
        source = own[0] if own else by_metric.get(INPUTS.get(part["component"], ("", ""))) or _observation(part)
        score, points = _none(part["score"]), _none(part["contribution"])
        yield {
            "name": label(part["component"]),
            "family": str(part["family"] or "").lower(),
            "text": shown(part["value"], units.get(part["component"]), part["component"]),
            "score": score,
            "weight": points / (100 * score) if score and points is not None else None,
            "points": points,
            "change": None if previous is None else _moved(part, previous, parts),
            "signal": signal(source) if source else None,
        }


def _observation(part: Row) -> Row | None:
    """The observation of a component that no signal rests on, as the row of a signal; None for an unknown one."""
    if not part.get("obs_end"):
        return None
    no_signal = dict.fromkeys(("state", "direction", "parameters", "previous_obs_end"))
    return no_signal | {
        "signal_id": part["component"],
        "value": part["value"],
        "unit": None,
        "obs_end_max": part["obs_end"],
        "knowledge_ts_max": part["knowledge_ts"],
        "staleness_days": (part["as_of_date"] - part["obs_end"]).days,
    }


def _spark(values: Sequence[float | None]) -> str:
    """A line through the values, 0 to 100 from bottom to top, with gaps."""
    path, pen = "", "M"
    for x, value in enumerate(values):
        if value is None:
            pen = "M"
        else:
            path += f"{pen}{x} {60 - 0.6 * value:.1f}"
            pen = "L"
    return path


# --- words ------------------------------------------------------------------------------------------------------------


def _level(value: float, unit: str) -> str:
    """A level without its unit, but for % and kt."""
    if unit in {"ratio", "ln", "t"}:
        return shown(value, unit)
    return f"{value:,.0f}" if value == round(value) else f"{value:,g}"


def _age(span: timedelta) -> str:
    hours = span / timedelta(hours=1)
    return f"{hours:.0f} h" if hours < 48 else f"{hours / 24:.0f} d"


def _none(value: Any) -> float | None:
    """The number, or None where it is missing or not a number."""
    return None if value is None or value != value else float(value)
