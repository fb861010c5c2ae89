"""Property-based test on generated markets: a later build repeats every row of an earlier one."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import pandas as pd
import pyarrow as pa
import pytest
from compiled import arrow_rows, build, known_at
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from lookahead import leaks
from time_markets import LAST, Market, market, reference

from schemas.datasets import DATASETS

pytestmark = pytest.mark.slow
MOMENTS: Final = 3  # of each market


@st.composite
def markets_and_moments(draw: st.DrawFn) -> tuple[Market, list[pd.Timestamp]]:
    """A small market, and moments in its last weeks: seconds at which something became known, or the ones before."""

    def choose(first: int, last: int) -> int:
        return draw(st.integers(first, last))

    made = market(choose)
    begin = pd.Timestamp(LAST, tz="UTC") - pd.Timedelta("30D")
    releases = sorted({one.known for one in made.values if one.known >= begin} | {begin})
    return made, [releases[choose(0, len(releases) - 1)] - pd.Timedelta(seconds=choose(0, 1)) for _ in range(MOMENTS)]


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, pa.Table]:
    return reference(tmp_path_factory.mktemp("markets"))


@pytest.mark.parametrize("examples", [5, pytest.param(40, marks=pytest.mark.exhaustive)])
def test_a_later_build_repeats_every_earlier_row(tables: dict[str, pa.Table], examples: int) -> None:
    failing: list[tuple[Market, pd.Timestamp]] = []

    # Hypothesis would shrink the numbers of a failing market; a market with fewer rows is more useful and found sooner.
    @settings(
        max_examples=examples,
        phases=[Phase.generate],
        derandomize=True,
        database=None,
        deadline=None,
        report_multiple_bugs=False,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(markets_and_moments())
    def holds(given_market: tuple[Market, list[pd.Timestamp]]) -> None:
        made, moments = given_market
        for moment, found in zip(moments, said_otherwise(tables, made, moments), strict=True):
            if found:
                failing.append((made, moment))
            assert found == {}

    try:
        holds()
    except AssertionError:
        made, moment = failing[0]
        made = smallest(made, lambda less: said_otherwise(tables, less, [moment]) != [{}])
        [found] = said_otherwise(tables, made, [moment])
        report = "\n".join(f"{table}: {row}" for table, rows in found.items() for row in rows)
        pytest.fail(f"as of {moment.isoformat()} and later differ\n{report}\nin the market\n{made}", pytrace=False)


def said_otherwise(
    tables: dict[str, pa.Table], made: Market, moments: list[pd.Timestamp]
) -> list[dict[str, list[str]]]:
    """For each moment, the differences of the build at the end in the rows up to that moment."""
    rows = {name: arrow_rows(name, frame) for name, frame in made.lake().items()}
    with ThreadPoolExecutor(2) as pool:
        later = pool.submit(build, rows, tables, made.end)
        earlier = list(pool.map(lambda moment: build(known_at(rows, moment), tables, moment), moments))
    with later.result() as whole:
        found = [leaks(whole, then, moment) for then, moment in zip(earlier, moments, strict=True)]
    for then in earlier:
        then.close()
    return found


def smallest(made: Market, fails: Callable[[Market], bool], trials: int = 150) -> Market:
    """The market without the rows that the failure does not need: smaller and smaller blocks of rows are removed."""
    values, piece = list(made.values), max(1, len(made.values) // 2)
    while trials > 0:
        start, before = 0, len(values)
        while start < len(values) and trials > 0:
            less = values[:start] + values[start + piece :]
            trials -= 1
            if less and fails(Market(less)):
                values = less
            else:
                start += piece
        if piece == 1 and len(values) == before:
            break
        piece = max(1, piece // 2)
    return Market(values)


def test_a_failing_market_is_reduced_to_few_rows() -> None:
    made = market(random.Random(1).randint)
    needed = [made.values[3], made.values[-2]]
    assert smallest(made, lambda less: all(one in less.values for one in needed)).values == needed


def test_markets_have_all_that_makes_time_difficult() -> None:
    """Otherwise the proof above would show little."""
    found: Counter[str] = Counter()
    for seed in range(10):
        made = market(random.Random(seed).randint)
        for name, rows in made.lake().items():
            key = list(DATASETS[name].key)
            known = rows.groupby(key)["knowledge_ts"]
            day = rows[DATASETS[name].period].dt.tz_localize("UTC")
            feed, drop = (set(map(tuple, rows.loc[rows["source"] == s, key].to_numpy())) for s in ("feed", "drop"))
            found["rows of " + name] += len(rows)
            found["revised"] += int((known.nunique() > 1).sum())
            found["two at one time"] += int(rows.duplicated([*key, "knowledge_ts"]).sum())
            found["early"] += int((rows["knowledge_ts"] < day).sum())
            found["late"] += int((rows["knowledge_ts"] > day + pd.Timedelta("10D")).sum())
            found["feed and drop"] += len(feed & drop)
            found["at the decision"] += int((rows["knowledge_ts"].dt.strftime("%H:%M:%S") == "18:00:00").sum())
    rare = {what: n for what, n in found.items() if n < 10}
    assert rare == {}
