"""The claims of the article against the generated market, as known on its day and since."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from support import Place

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """The demo market from before 2022 to a month after the article."""
    place = Place(tmp_path_factory.mktemp("claims"), "demo", "2026-02-16T20:00:00Z")
    place.run(("2021-06", "2026-02"))
    return place


def verdicts(place: Place, day: str) -> dict[str, str]:
    rows = place.query("select claim_id, status from signals.claim_audit where as_of_date = ?::date", day)
    return dict(rows.itertuples(index=False))


def test_on_the_day_of_the_article(demo: Place) -> None:
    """What is said of the end of December could not be known on 2026-01-13: it is published on 2026-02-10."""
    found = verdicts(demo, "2026-01-13")
    unpublished = {"VISIBLE_STOCK", "VISIBLE_LOWEST_SINCE_2022", "OFF_WARRANT_DRAIN"}
    assert {name for name, status in found.items() if status == "DATA_NOT_YET_PUBLIC"} == unpublished
    assert {name for name, status in found.items() if status == "NOT_TESTABLE"} == {"LOST_1", "LOST_2"}
    supported = {"BACKWARDATION", "CN_EXPORTS_YTD", "CN_CAP", "ALCOA_NEAR_HIGH", "USMCA_REVIEW", "PRICE_NEAR_3200"}
    assert {found[name] for name in supported} == {"SUPPORTED"}


def test_a_month_later_the_stocks_are_public(demo: Place) -> None:
    """The market's levels are the article's: 669,140 t and -56 %."""
    assert verdicts(demo, "2026-02-09")["VISIBLE_STOCK"] == "DATA_NOT_YET_PUBLIC"
    found = demo.query("select * from signals.claim_audit where as_of_date = '2026-02-10'").set_index("claim_id")
    for name, value in (("VISIBLE_STOCK", 669_140), ("OFF_WARRANT_DRAIN", -0.56)):
        assert found.loc[name, "status"] == "SUPPORTED"
        assert found.loc[name, "evidence_value"] == pytest.approx(value, rel=1e-6)
        assert found.loc[name, "evidence_obs_date"] == pd.Timestamp("2025-12-31")
        assert found.loc[name, "evidence_knowledge_ts"] == pd.Timestamp("2026-02-10T09:00:00Z")
    assert found.loc["VISIBLE_LOWEST_SINCE_2022", "status"] == "SUPPORTED"


def test_the_price_of_the_day_is_known_on_the_next(demo: Place) -> None:
    """The free page shows a day on the next business day; the market's level of 13 January is the article's +22.6 %."""
    rows = demo.query("select * from signals.claim_audit where claim_id = 'PRICE_YOY'").set_index("as_of_date")
    assert rows.loc["2026-01-13", "evidence_obs_date"] == pd.Timestamp("2026-01-12")
    assert rows.loc["2026-01-14", "evidence_obs_date"] == pd.Timestamp("2026-01-13")
    assert rows.loc["2026-01-14", "evidence_value"] == pytest.approx(0.226, abs=0.001)
    # The claim speaks of that day: later prices do not change the verdict.
    assert set(rows.loc["2026-01-14":, "evidence_obs_date"]) == {pd.Timestamp("2026-01-13")}
    assert set(rows.loc["2026-01-14":, "status"]) == {"SUPPORTED"}


def test_no_verdict_rests_on_what_was_not_known(demo: Place) -> None:
    late = demo.query("select * from signals.claim_audit where evidence_knowledge_ts > as_of_ts")
    assert len(late) == 0
    no_number = demo.query(
        "select * from signals.claim_audit where status in ('SUPPORTED', 'CONTRADICTED', 'PARTIAL') "
        "and (evidence_value is null or evidence_obs_date is null or evidence_knowledge_ts is null)"
    )
    assert len(no_number) == 0


def test_a_change_of_verdict_is_a_transition(demo: Place) -> None:
    rows = demo.query(
        "select * from signals.signal_transitions where signal_id = 'CLAIM.OFF_WARRANT_DRAIN' order by as_of_ts"
    )
    assert rows[["prev_state", "state"]].to_numpy().tolist() == [["DATA_NOT_YET_PUBLIC", "SUPPORTED"]]
    assert rows["as_of_date"].tolist() == [pd.Timestamp("2026-02-10")]
    earliest = demo.query(
        "select min(as_of_date) as day from signals.signal_transitions where signal_id like 'CLAIM.%'"
    )
    assert earliest["day"][0] > pd.Timestamp("2026-01-13"), "before the claim was made its verdict is no news"


def test_the_command_prints_claim_definition_evidence_and_when(demo: Place) -> None:
    code, out, _ = demo.call("claims", "--as-of", "2026-02-10T18:00:00Z", "--json")
    assert code == 0
    answer = json.loads("\n".join(out))
    assert answer["synthetic"] is True
    [claim] = [claim for claim in answer["claims"] if claim["claim_id"] == "VISIBLE_STOCK"]
    assert claim["explanation"] == "669140.0 t against about 669140.0 (tolerance 6691.4)"
    code, out, _ = demo.call("claims")
    text = "\n".join(out)
    assert code == 0
    assert "SYNTHETIC" in text
    for word in ("VISIBLE_STOCK", "SUPPORTED", "NOT_TESTABLE", "2026-02-10 09:00 UTC"):
        assert word in text
    code, _, errors = demo.call("claims", "--as-of", "2020-01-01")
    assert code == 1
    assert "no claim was audited by then" in errors[0]


def test_every_signal_of_a_watchpoint_says_something(demo: Place) -> None:
    """On the generated market every source speaks, so that no signal may be missing; each has its dictionary entry and
    its contributions."""
    latest = demo.query("select * from signals.signals_latest")
    assert set(latest["quality"]) <= {"OK", "BREAK", "WARMUP"}, latest[["signal_id", "quality"]]
    dictionary = demo.query("select * from signals.signal_dictionary")
    assert set(dictionary["signal_id"]) == set(latest["signal_id"])
    assert dictionary["formula"].str.len().min() > 3
    rests = dictionary["parameters"].fillna("").str.contains(r"other_cash_usd_t = 500\.0 USD/t \(ASSUMPTION\)")
    assert set(dictionary["signal_id"][rests].str.split(".").str[1]) == {"SMELTER", "SUPPLY"}
    assert dictionary["formula"][rests].str.contains("other cash cost is an ASSUMPTION").all()
    parts = demo.query("select distinct signal_id from signals.signal_contributions")
    assert set(parts["signal_id"]) == set(latest["signal_id"])


def test_the_file_is_safe_from_a_second_run(demo: Place, tmp_path: Path) -> None:
    before = demo.published()
    demo.forget_build()
    assert demo.build().failed == []
    assert demo.publish().unchanged
    assert demo.published() == before
