"""Short forms of `python -m tests.stress.fuzz`, and tests that it finds each kind of fault."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from pipelines.common.settings import PROJECT
from pipelines.sources import SOURCES
from pipelines.sources.base import NoData, Parsed, Payload, Rejected, Request, Scope, SourceError
from tests.stress import fuzz


@pytest.fixture(scope="module")
def good() -> dict[str, list[Payload]]:
    """Good responses of every source; the recorded ones among them where they are beside the project."""
    recordings = PROJECT.parent / "shared" / "real" / "payloads"
    return fuzz.seeds(recordings if recordings.is_dir() else None)


@pytest.mark.parametrize(
    "payloads", [10, pytest.param(40, marks=pytest.mark.slow), pytest.param(300, marks=pytest.mark.exhaustive)]
)
@pytest.mark.parametrize("source", SOURCES)
def test_corrupted_responses_end_in_rows_of_the_schema_or_in_a_declared_error(
    good: dict[str, list[Payload]], source: str, payloads: int
) -> None:
    result = fuzz.fuzz(source, good[source], payloads, seed=payloads)
    assert [f"{case.number}: {problem}" for case, problem in result.faults] == []
    assert sum(result.outcomes.values()) == payloads
    # Not every response is broken: some still have rows, some end in an error.
    assert payloads == 10 or {"rows", "SourceError"} <= set(result.outcomes)


@pytest.mark.slow
def test_a_seed_and_a_number_always_give_the_same_payload(good: dict[str, list[Payload]]) -> None:
    for source, responses in good.items():
        bodies = {n: fuzz.case(source, responses, 1, n).payload.body for n in range(20)}
        assert bodies == {n: fuzz.case(source, responses, 1, n).payload.body for n in range(20)}
        assert len(set(bodies.values())) > 15
        assert sum(body not in {response.body for response in responses} for body in bodies.values()) > 15


def raising(error: Exception) -> Callable[[], Parsed]:
    def parse() -> Parsed:
        raise error

    return parse


def rates(**columns: list[Any]) -> Callable[[], Parsed]:
    day = pd.to_datetime(["2026-01-05"]).astype("datetime64[us]")
    given = {"rate_id": ["SOFR"], "obs_date": day, "rate_pct": [3.6]} | columns
    return lambda: Parsed({"rates": pd.DataFrame(given)})


def waiting() -> Parsed:
    time.sleep(5)
    return Parsed()


REQUEST = Request("nyfed", "x.json", "")
ENDS: dict[str, tuple[Callable[[], Parsed], str]] = {
    "a good row": (rates(), ""),
    "an error of the source": (raising(SourceError(REQUEST, "cut", "all of it")), ""),
    "no data": (raising(NoData("nothing yet")), ""),
    "a row that the schema rejects": (rates(rate_pct=[1e9]), ""),
    "another error": (raising(KeyError("refRates")), "KeyError"),
    "no text": (raising(NoData("")), "an error without a text"),
    "a hang": (waiting, "TimeoutError"),
    "another column": (rates(rate=[1.0]), "has the columns"),
    "another type": (rates(rate_pct=["3.6"]), "has the types"),
    "another dataset": (lambda: Parsed({"fx": pd.DataFrame()}), "does not serve"),
    "no reason": (lambda: Parsed({}, [Rejected("rates", "row 1", "x", "")]), "without where, what or why"),
    "a day twice": (
        lambda: Parsed({"rates": pd.concat([rates()().frames["rates"]] * 2, ignore_index=True)}),
        "has one observation twice",
    ),
}


@pytest.mark.parametrize("end", ENDS)
def test_each_fault_of_a_parser_is_found(
    good: dict[str, list[Payload]], monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    parse, fault = ENDS[end]

    def instead(payload: Payload, scope: Scope) -> Parsed:
        return parse()

    monkeypatch.setattr(SOURCES["nyfed"], "parse", instead)
    monkeypatch.setattr(fuzz, "MAX_PARSE_S", 0.5)
    found = [problem for _, problem in fuzz.fuzz("nyfed", good["nyfed"], 1, seed=1).faults]
    assert len(found) == bool(fault)
    assert fault in "".join(found)
