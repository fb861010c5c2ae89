"""The claims of the article against the generated market, as known on its day and since."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from sandbox import Sandbox

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def demo(demo_of_years: Sandbox) -> Sandbox:
    """The demo market from before 2022 to a month after the article."""
    return demo_of_years


def verdicts(sandbox: Sandbox, day: str) -> dict[str, str]:
    rows = sandbox.query("select claim_id, status from signals.claim_audit where as_of_date = ?::date", day)
    return dict(rows.itertuples(index=False))


def test_verdicts_on_the_day_of_the_article(demo: Sandbox) -> None:
    """The stocks at the end of December are published on 2026-02-10, so they are not known on 2026-01-13."""
    found = verdicts(demo, "2026-01-13")
    unpublished = {"VISIBLE_STOCK", "VISIBLE_LOWEST_SINCE_2022", "OFF_WARRANT_DRAIN"}
    assert {name for name, status in found.items() if status == "DATA_NOT_YET_PUBLIC"} == unpublished
    assert {name for name, status in found.items() if status == "NOT_TESTABLE"} == {
        "LOST_1", "LOST_2", "POWER_BIDS",
    }  # fmt: skip
    supported = {
        "BACKWARDATION", "BACKWARDATION_DAYS", "CN_EXPORTS_YTD", "CN_CAP", "ALCOA_NEAR_HIGH", "USMCA_REVIEW",
        "PRICE_NEAR_3200", "EU_IDLED",
    }  # fmt: skip
    assert {found[name] for name in supported} == {"SUPPORTED"}


def test_a_rank_across_a_break_is_at_most_partial(demo: Sandbox) -> None:
    """The spread is in the highest quarter of five years, most of which lie before the lending rules of June 2025."""
    [row] = demo.query(
        "select * from signals.claim_audit where claim_id = 'BACKWARDATION_SIZE' and as_of_date = '2026-01-13'"
    ).itertuples()
    assert (row.status, row.evidence_value >= 0.75) == ("PARTIAL", True)
    assert row.explanation.endswith("at most PARTIAL: compared across the break of the series on 2025-06-20")


def test_idled_capacity_is_tested_by_cause(demo: Sandbox) -> None:
    """Ziar 175, Slatina 159 and San Ciprian 207 kt by the price of power; Grundartangi 212 kt by a fault."""
    found = demo.query("select * from signals.claim_audit where as_of_date = '2026-01-13'").set_index("claim_id")
    columns = ["evidence_value", "status"]
    assert found.loc["EU_IDLED", columns].tolist() == [753, "SUPPORTED"]
    assert found.loc["EU_IDLED_POWER_PRICE", columns].tolist() == [541, "CONTRADICTED"]


def test_the_power_that_smelters_can_pay_is_their_break_even(demo: Sandbox) -> None:
    [row] = demo.query(
        "select * from signals.claim_audit where claim_id = 'POWER_BREAKEVEN' and as_of_date = '2026-01-13'"
    ).itertuples()
    [smelter] = demo.query(
        "select * from marts.smelter_margin_daily where zone = 'DE-LU' and as_of_date = '2026-01-13'"
    ).itertuples()
    assert row.evidence_value == smelter.breakeven_power_usd_mwh > 100
    assert row.status == "CONTRADICTED"
    assert "other cash cost of 500 USD/t is an ASSUMPTION" in row.definition


def test_the_claim_about_tariffs_is_tested_where_premia_are_there(demo: Sandbox, acceptance_market: Sandbox) -> None:
    """The tariff is 50 % from 2025-06-04 on; without premia there is nothing to test."""
    rows = demo.query(
        "select * from signals.claim_audit join marts.us_parity_daily using (as_of_date) "
        "where claim_id = 'US_PARITY' and as_of_date in ('2025-06-03', '2025-06-04') order by as_of_date"
    )
    assert rows["section_232"].tolist() == [0.25, 0.5]
    for row in rows.itertuples():
        price = row.cash_usd_t + row.midwest_premium_usd_t
        imported = (row.cash_usd_t + row.unpaid_premium_usd_t + 60) * (1 + row.section_232)
        assert row.evidence_value == pytest.approx(price - imported), row
    assert rows["status"].tolist() == ["PARTIAL", "CONTRADICTED"]
    found = acceptance_market.query("select distinct status from signals.claim_audit where claim_id = 'US_PARITY'")
    assert found["status"].tolist() == ["NOT_TESTABLE"]


def test_the_verdict_of_the_day_of_the_claim_stays_beside_the_latest(demo: Sandbox) -> None:
    rows = demo.query("select * from signals.claim_audit")
    before = rows["as_of_date"] < rows["claim_date"]
    assert before.any()
    assert rows.loc[before, ["status_at_claim", "evidence_value_at_claim"]].isna().all(axis=None)
    on_the_day = rows[rows["as_of_date"] == rows["claim_date"]].set_index("claim_id")
    after = rows[~before]
    for column in ("status", "evidence_value"):
        then = after["claim_id"].map(on_the_day[column])
        pd.testing.assert_series_equal(after[f"{column}_at_claim"], then, check_names=False, check_exact=True)
    assert (after["status_at_claim"] != after["status"]).any()


def test_a_month_later_the_stocks_are_public(demo: Sandbox) -> None:
    """The demo market has the figures of the article: 669,140 t and -56 %."""
    assert verdicts(demo, "2026-02-09")["VISIBLE_STOCK"] == "DATA_NOT_YET_PUBLIC"
    found = demo.query("select * from signals.claim_audit where as_of_date = '2026-02-10'").set_index("claim_id")
    for name, value in (("VISIBLE_STOCK", 669_140), ("OFF_WARRANT_DRAIN", -0.56)):
        assert found.loc[name, "status"] == "SUPPORTED"
        assert found.loc[name, "evidence_value"] == pytest.approx(value, rel=1e-6)
        assert found.loc[name, "evidence_obs_date"] == pd.Timestamp("2025-12-31")
        assert found.loc[name, "evidence_knowledge_ts"] == pd.Timestamp("2026-02-10T09:00:00Z")
    # The month as low lies before the off-warrant definition of 2024-02-29, so that the comparison spans its break.
    lowest = found.loc["VISIBLE_LOWEST_SINCE_2022"]
    assert 1096 <= lowest["evidence_value"] <= 1430
    assert lowest["status"] == "PARTIAL"
    assert "break of the series on 2024-02-29" in lowest["explanation"]


def test_the_price_of_the_day_is_known_on_the_next(demo: Sandbox) -> None:
    """The free page shows a day on the next business day; the market's level of 13 January is the article's +22.6 %."""
    rows = demo.query("select * from signals.claim_audit where claim_id = 'PRICE_YOY'").set_index("as_of_date")
    assert rows.loc["2026-01-13", "evidence_obs_date"] == pd.Timestamp("2026-01-12")
    assert rows.loc["2026-01-14", "evidence_obs_date"] == pd.Timestamp("2026-01-13")
    assert rows.loc["2026-01-14", "evidence_value"] == pytest.approx(0.226, abs=0.001)
    # The claim is about that day: later prices do not change the verdict.
    assert set(rows.loc["2026-01-14":, "evidence_obs_date"]) == {pd.Timestamp("2026-01-13")}
    assert set(rows.loc["2026-01-14":, "status"]) == {"SUPPORTED"}


def test_no_verdict_uses_what_was_not_known(demo: Sandbox) -> None:
    late = demo.query("select * from signals.claim_audit where evidence_knowledge_ts > as_of_ts")
    assert len(late) == 0
    no_number = demo.query(
        "select * from signals.claim_audit where status in ('SUPPORTED', 'CONTRADICTED', 'PARTIAL') "
        "and (evidence_value is null or evidence_obs_date is null or evidence_knowledge_ts is null)"
    )
    assert len(no_number) == 0


def test_a_change_of_verdict_is_a_transition(demo: Sandbox) -> None:
    rows = demo.query(
        "select * from signals.signal_transitions where signal_id = 'CLAIM.OFF_WARRANT_DRAIN' order by as_of_ts"
    )
    assert rows[["prev_state", "state"]].to_numpy().tolist() == [["DATA_NOT_YET_PUBLIC", "SUPPORTED"]]
    assert rows["as_of_date"].tolist() == [pd.Timestamp("2026-02-10")]
    changes = demo.query(
        "select as_of_date, claim_date from signals.signal_transitions join "
        "(select distinct 'CLAIM.' || claim_id as signal_id, claim_date from signals.claim_audit) using (signal_id)"
    )
    assert len(changes)
    assert (changes["as_of_date"] > changes["claim_date"]).all(), "before the claim was made its verdict is no news"


def test_the_command_prints_claim_definition_evidence_and_when(demo: Sandbox) -> None:
    code, out, _ = demo.call("claims", "--as-of", "2026-02-10T18:00:00Z", "--json")
    assert code == 0
    response = json.loads("\n".join(out))
    assert response["synthetic"] is True
    [claim] = [claim for claim in response["claims"] if claim["claim_id"] == "VISIBLE_STOCK"]
    assert claim["explanation"] == "669140.0 t against about 669140.0 (tolerance 6691.4)"
    code, out, _ = demo.call("claims")
    text = "\n".join(out)
    assert code == 0
    assert "SYNTHETIC" in text
    for word in ("VISIBLE_STOCK", "SUPPORTED", "NOT_TESTABLE", "2026-02-10 09:00 UTC"):
        assert word in text
    code, _, errors = demo.call("claims", "--as-of", "2020-01-01")
    assert code == 1
    assert "no claim was audited by" in errors[0]


def test_every_signal_of_a_watchpoint_has_a_value(demo: Sandbox) -> None:
    """In the demo market every source has data, so that no signal may be missing; each has its dictionary entry and
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


def test_a_second_build_by_dbt_changes_nothing_that_is_published(demo: Sandbox, tmp_path: Path) -> None:
    """The first was made from compiled SQL: both give the same rows, and the log of signals gets no revision."""
    sandbox = demo.copy(tmp_path)
    before = sandbox.published()
    assert sandbox.build().failed == []
    assert sandbox.publish().unchanged
    assert sandbox.published() == before


# --- synthetic claims: every operator, periods that are revised, a low without a precedent


def claim(
    name: str, metric: str, operator: str, threshold: float, tolerance: float, **more: object
) -> dict[str, object]:
    about = {
        "claim_id": name, "metal": "AL", "claim_text": name, "source_doc": "test", "claim_date": "2026-01-13",
        "metric_id": metric, "entity": "", "definition": "test", "operator": operator, "threshold": threshold,
        "threshold_high": "", "tolerance": tolerance, "max_age_days": "", "period_from": "", "period_to": "",
        "horizon_end": "2026-12-31",
        "valid_from": "2025-06-02", "status": "FACT", "source": "test",
    }  # fmt: skip
    return about | more


SEPTEMBER = {"period_from": "2025-09-01", "period_to": "2025-09-30"}
CLAIMS = [
    claim("VISIBLE_OF_SEPTEMBER", "visible_t", "APPROX", 700_000, 7_000, **SEPTEMBER),
    claim("OF_NEXT_YEAR", "visible_t", "APPROX", 700_000, 7_000, period_from="2027-01-01", period_to="2027-01-31"),
    claim("LOWEST", "visible_low_age", "BETWEEN", 700, 0, threshold_high=1_400),
    claim("PX", "px_yoy", "APPROX", 0.2, 0.001, period_from="2026-01-05", period_to="2026-01-06"),
    claim("LT", "cash_3m_spread", "LT", 5, 0),
    claim("LE", "cash_3m_spread", "LE", 5, 0),
    claim("GT", "cash_3m_spread", "GT", 5, 0),
    claim("GT_NEARLY", "cash_3m_spread", "GT", 5, 1),
    claim("GE", "cash_3m_spread", "GE", 5, 0),
    claim("EQ", "cash_3m_spread", "EQ", 5, 0),
    claim("EQ_NOT", "cash_3m_spread", "EQ", 5.5, 0),
    claim("BETWEEN", "cash_3m_spread", "BETWEEN", 5, 0, threshold_high=6),
    claim("BETWEEN_NEARLY", "cash_3m_spread", "BETWEEN", 6, 1, threshold_high=8),
    claim("APPROX_OTHER_SIDE", "cash_3m_spread", "APPROX", -1, 3),
    claim("RECENT_ENOUGH", "visible_t", "GT", 0, 0, max_age_days=51),
    claim("TOO_OLD", "visible_t", "GT", 0, 0, max_age_days=50),
    claim("TOO_OLD_AND_WRONG", "visible_t", "LT", 0, 0, max_age_days=50),
    claim("DAYS", "backwardation_days", "EQ", 20, 0, claim_date="2025-06-14"),
    claim("RANK", "spread_rank", "EQ", 0.5, 0),
]


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Sandbox:
    sandbox = Sandbox(tmp_path_factory.mktemp("own"), "drop", "2026-01-20T20:00:00Z")
    pd.DataFrame(CLAIMS).to_csv(sandbox.reference() / "claims.csv", index=False)
    days = pd.bdate_range("2025-06-02", "2026-01-20").strftime("%Y-%m-%d")
    prices = pd.DataFrame({"metal": "AL", "obs_date": days, "cash_usd_t": 3005.0, "m3_usd_t": 3000.0})
    # The price of a year before is corrected a week after the claim: 2,500 becomes 2,400.
    base = pd.DataFrame(
        {
            "metal": "AL", "obs_date": "2025-01-06", "cash_usd_t": [2505.0, 2405.0], "m3_usd_t": [2500.0, 2400.0],
            "knowledge_ts": ["2025-01-06T13:25:00Z", "2026-01-16T09:00:00Z"],
        }
    )  # fmt: skip
    sandbox.drop("prices/own.csv", prices)
    sandbox.drop("prices/base.csv", base)
    ends = pd.Series(pd.date_range("2023-01-31", "2025-11-30", freq="ME").strftime("%Y-%m-%d"))
    known = (pd.to_datetime(ends) + pd.Timedelta(days=40)).dt.strftime("%Y-%m-%dT09:00:00Z")
    stock = pd.DataFrame(
        {"metal": "AL", "period_end": ends, "knowledge_ts": known, "registered_month_end_t": 400_000.0}
    )
    stock["offwarrant_t"] = [600_000.0 - 9_000 * n for n in range(len(ends))]  # lower every month
    stock.loc[stock["period_end"] == "2025-09-30", "offwarrant_t"] = 301_000.0
    revised = stock[stock["period_end"] == "2025-09-30"].assign(
        offwarrant_t=133_000.0, knowledge_ts="2026-01-16T09:00:00Z"
    )
    sandbox.drop("off_warrant/own.csv", pd.concat([stock, revised]))
    sandbox.run_compiled(("2023-01", "2026-01"))
    return sandbox


def test_a_revision_of_the_period_reaches_the_claim(own: Sandbox) -> None:
    """September is revised when later months are already public: the claim is still tested against September."""
    rows = own.query("select * from signals.claim_audit where claim_id = 'VISIBLE_OF_SEPTEMBER'").set_index(
        "as_of_date"
    )
    assert rows.loc["2025-10-01", "status"] == "DATA_NOT_YET_PUBLIC"
    assert rows.loc["2026-01-15", ["status", "evidence_value"]].tolist() == ["SUPPORTED", 701_000]
    assert rows.loc["2026-01-16", ["status", "evidence_value"]].tolist() == ["CONTRADICTED", 533_000]
    assert rows.loc["2026-01-15", "evidence_knowledge_ts"] == pd.Timestamp("2025-11-09T09:00:00Z")
    assert rows.loc["2026-01-16", "evidence_knowledge_ts"] == pd.Timestamp("2026-01-16T09:00:00Z")
    assert set(rows.loc["2025-11-10":, "evidence_obs_date"]) == {pd.Timestamp("2025-09-30")}
    changes = own.query("select state from signals.signal_transitions where signal_id = 'CLAIM.VISIBLE_OF_SEPTEMBER'")
    assert changes["state"].tolist() == ["CONTRADICTED"]


def test_a_revised_base_reaches_the_claim(own: Sandbox) -> None:
    rows = own.query("select * from signals.claim_audit where claim_id = 'PX'").set_index("as_of_date")
    assert rows.loc["2026-01-15", "evidence_value"] == pytest.approx(3000 / 2500 - 1)
    assert rows.loc["2026-01-16", "evidence_value"] == pytest.approx(3000 / 2400 - 1)
    assert rows.loc["2026-01-16", "evidence_knowledge_ts"] == pd.Timestamp("2026-01-16T09:00:00Z")


def test_a_claim_made_on_a_weekend_has_the_verdict_of_the_friday_before(own: Sandbox) -> None:
    """By Friday, 2025-06-13, ten days of spreads are known, by the end of the month twenty."""
    rows = own.query("select * from signals.claim_audit where claim_id = 'DAYS'").set_index("as_of_date")
    assert rows.loc[:"2025-06-13", "status_at_claim"].isna().all()
    assert set(rows.loc["2025-06-16":, "status_at_claim"]) == {"NOT_TESTABLE"}
    assert rows["status"][rows["status"] == "SUPPORTED"].index.min() == pd.Timestamp("2025-06-27")


def test_a_low_without_a_precedent_is_not_testable(own: Sandbox) -> None:
    """The latest public month, November, is lower than every earlier one; then the revised September is as low."""
    rows = own.query("select * from signals.claim_audit where claim_id = 'LOWEST'").set_index("as_of_date")
    assert rows.loc["2026-01-15", "status"] == "NOT_TESTABLE"
    assert "has no value now" in rows.loc["2026-01-15", "explanation"]
    assert rows.loc["2026-01-16", ["status", "evidence_value"]].tolist() == ["CONTRADICTED", 61]
    states = own.query(
        "select state from signals.signals where signal_id = 'AL.INVENTORY.VISIBLE_LOW' and as_of_date = '2026-01-15'"
    )
    assert states["state"].tolist() == ["RECORD"]


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("LT", "CONTRADICTED"), ("LE", "SUPPORTED"), ("GT", "CONTRADICTED"), ("GT_NEARLY", "PARTIAL"),
        ("GE", "SUPPORTED"), ("EQ", "SUPPORTED"), ("EQ_NOT", "CONTRADICTED"), ("BETWEEN", "SUPPORTED"),
        ("BETWEEN_NEARLY", "PARTIAL"), ("APPROX_OTHER_SIDE", "CONTRADICTED"), ("OF_NEXT_YEAR", "DATA_NOT_YET_PUBLIC"),
        ("RECENT_ENOUGH", "SUPPORTED"), ("TOO_OLD", "PARTIAL"), ("TOO_OLD_AND_WRONG", "CONTRADICTED"),
        ("DAYS", "SUPPORTED"), ("RANK", "NOT_TESTABLE"),
    ],
)  # fmt: skip
def test_each_operator_compares_as_defined(own: Sandbox, name: str, status: str) -> None:
    """The spread is 5.0 on the last day."""
    [row] = own.query(
        "select * from signals.claim_audit where claim_id = ? order by as_of_ts desc limit 1", name
    ).itertuples()
    assert row.status == status, row.explanation
