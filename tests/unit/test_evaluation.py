"""Samples and verdicts of the evaluation: what was known, what followed, and nothing that was known only later."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from evaluation_by_hand import worst
from evaluation_market import HORIZONS, connect, days, evaluated, frames, samples

from benchmarks.evaluation import results
from pipelines.evaluation import evaluate as evaluation
from pipelines.evaluation import tables
from pipelines.evaluation.evaluate import PlanRow, verdict
from pipelines.evaluation.samples import markov
from schemas.evaluation import EVALUATION, OUTCOMES

pytestmark = pytest.mark.slow  # statsmodels and arch take seconds to import
REGISTERED = date(2021, 6, 30)
KEY = list(EVALUATION["eval_signal"].key)


def plan(**changes: object) -> list[PlanRow]:
    """Tests of every kind of signal and outcome, registered before the market ends."""
    signals = {"AL.STATE": "ON", "AL.SCORE": "0.8-1.0", "BENCH.MOM_252": "UP", "BENCH.MARKOV": "TIGHT"}
    return [
        PlanRow(signal, "1.0.0", bucket, outcome, horizon, side, REGISTERED, is_primary=False)._replace(**changes)
        for outcome in OUTCOMES
        for horizon, side in ((5, 1), (21, 0))
        for signal, bucket in signals.items()
    ]


@pytest.fixture(scope="module")
def usual() -> pd.DataFrame:
    """The rows of the plan on the market as it is."""
    return evaluated(frames(), plan())


def rows_of(found: pd.DataFrame, *splits: str) -> pd.DataFrame:
    rows = found[found["split"].isin(splits)].sort_values(KEY, ignore_index=True)
    assert len(rows)
    return rows


# --- samples


def test_outcomes_are_those_of_the_definition() -> None:
    market = frames()
    prices, stocks = market["staging.stg_prices"], market["staging.stg_stocks"]
    f, c, q = prices["m3_usd_t"].to_numpy(), prices["cash_usd_t"].to_numpy(), stocks["total_t"].to_numpy()
    found = samples(market).outcomes.set_index(["entry_lag", "horizon_obs", "as_of_date"])
    for lag in (0, 1):
        for h in HORIZONS:
            for t in (0, 700, len(f) - h - lag - 1):
                e = t + lag
                row = found.loc[(lag, h, days()[t])]
                path = f[e : e + h + 1]
                assert row["fwd_m3_log_return"] == pytest.approx(math.log(f[e + h] / f[e]), abs=1e-12)
                assert row["d_spread"] == pytest.approx((c - f)[e + h] - (c - f)[e], abs=1e-9)
                assert row["d_ln_stock"] == pytest.approx(math.log(q[e + h] / q[e]), abs=1e-12)
                squares = np.diff(np.log(path)) ** 2
                assert row["realised_vol"] == pytest.approx(math.sqrt(252 * squares.mean()), rel=1e-10)
                worst = (np.log(path) - np.log(np.maximum.accumulate(path))).min()
                assert row["max_drawdown"] == pytest.approx(worst, abs=1e-12)


def test_an_incomplete_window_has_no_outcome() -> None:
    market = frames()
    found = samples(market).outcomes
    for h in HORIZONS:
        last = found[(found["horizon_obs"] == h) & (found["entry_lag"] == 1)]["as_of_date"].max()
        assert last == days()[-h - 2]
    gap = 900
    market["staging.stg_prices"].loc[gap, "m3_usd_t"] = np.nan
    found = samples(market).outcomes
    own = found[(found["horizon_obs"] == 21) & (found["entry_lag"] == 1)].set_index("as_of_date")
    over = own.loc[days()[gap - 22] : days()[gap - 1]]
    assert over[["realised_vol", "max_drawdown"]].isna().all().all(), "the window holds the day without a price"
    assert own["fwd_m3_log_return"].loc[[days()[gap - 22], days()[gap - 1]]].isna().all(), "first and last day"
    assert own["fwd_m3_log_return"].loc[days()[gap - 21] : days()[gap - 2]].notna().all()
    assert own["d_ln_stock"].notna().all()


def test_a_price_is_entered_on_the_day_after_the_decision_as_it_was_known_first() -> None:
    """The price of the decision's own day is not entered at, and a later correction changes nothing."""
    market = frames()
    t = 500
    corrected = market["staging.stg_prices"].loc[[t, t + 1]].copy()
    corrected["m3_usd_t"] *= 3
    corrected["known_from"] += pd.Timedelta(days=30)
    before = samples(market).outcomes
    market["staging.stg_prices"] = pd.concat([market["staging.stg_prices"], corrected], ignore_index=True)
    pd.testing.assert_frame_equal(samples(market).outcomes, before)
    market["staging.stg_prices"].loc[t, ["cash_usd_t", "m3_usd_t"]] *= 2
    moved = samples(market).outcomes.set_index(["entry_lag", "horizon_obs", "as_of_date"])["fwd_m3_log_return"]
    same = before.set_index(["entry_lag", "horizon_obs", "as_of_date"])["fwd_m3_log_return"]
    assert moved.loc[(1, 5, days()[t])] == same.loc[(1, 5, days()[t])]
    assert moved.loc[(0, 5, days()[t])] != same.loc[(0, 5, days()[t])]


def test_a_bucket_is_that_of_the_first_revision() -> None:
    market = frames()
    revised = market["signals.signals"].query("signal_id == 'AL.STATE'").assign(revision_no=2, state="OFF")
    before = samples(market).buckets
    market["signals.signals"] = pd.concat([market["signals.signals"], revised], ignore_index=True)
    pd.testing.assert_frame_equal(samples(market).buckets, before)


def test_bins_are_fixed_and_the_upper_end_is_in_the_last_one() -> None:
    market = frames()
    log = market["signals.signals"]
    scores = [0.0, 0.19999, 0.2, 0.4, 0.6, 0.7999, 0.8, 1.0]
    own = log.index[log["signal_id"] == "AL.SCORE"][: len(scores)]
    log.loc[own, "score"] = scores
    index = log.index[log["signal_id"] == "AL.INDEX"][: len(scores)]
    log.loc[index, "value"] = [100 * score for score in scores]
    buckets = samples(market).buckets
    expected = ["0.0-0.2", "0.0-0.2", "0.2-0.4", "0.4-0.6", "0.6-0.8", "0.6-0.8", "0.8-1.0", "0.8-1.0"]
    for signal in ("AL.SCORE", "AL.INDEX"):
        assert buckets[buckets["signal_id"] == signal]["bucket"].tolist()[: len(scores)] == expected
    log.loc[own[1:], "score"] /= 2  # all scores lower: the bins stay where they are
    log.loc[log["signal_id"] == "AL.SCORE", "score"] /= 2
    assert set(samples(market).buckets.query("signal_id == 'AL.SCORE'")["bucket"]) == {"0.0-0.2", "0.2-0.4", "0.4-0.6"}


def test_dates_without_a_value_are_in_no_sample() -> None:
    market = frames()
    log = market["signals.signals"]
    state = log.index[log["signal_id"] == "AL.STATE"]
    log.loc[state[:3], "quality"] = ["MISSING", "WARMUP", "STALE"]
    log.loc[state[3], "state"] = "UNKNOWN"
    found = samples(market).buckets.query("signal_id == 'AL.STATE'")["as_of_date"].tolist()
    assert found == [days()[2], *days()[4:]]


def test_momentum_and_the_spread_are_as_known_at_the_decision() -> None:
    market = frames()
    buckets = samples(market).buckets
    f = market["marts.tightness_daily"]["m3_usd_t"].to_numpy()
    own = buckets[buckets["signal_id"] == "BENCH.MOM_252"]
    assert own["as_of_date"].tolist() == days()[252:].tolist()
    assert own["bucket"].tolist() == np.where(f[252:] > f[:-252], "UP", "DOWN").tolist()
    spread = market["marts.tightness_daily"]["cash_3m_spread_usd_t"]
    own = buckets[buckets["signal_id"] == "BENCH.BACKWARDATION"]
    assert own["bucket"].tolist() == np.where(spread > 0, "ON", "OFF").tolist()


def test_the_random_chain_of_a_date_does_not_depend_on_later_regimes() -> None:
    decisions = frames()["marts.tightness_daily"]
    [whole], [part] = markov(decisions, 1), markov(decisions.iloc[:800], 1)
    assert whole["bucket"].tolist()[:800] == part["bucket"].tolist()
    assert set(whole["bucket"]) == {"TIGHT", "NEUTRAL"}
    chain, regime = ((states != states.shift()).sum() for states in (whole["bucket"], decisions["regime"]))
    assert 0.5 * regime < chain < 2 * regime


# --- splits


def test_later_data_change_no_row_of_a_split_that_has_ended(usual: pd.DataFrame) -> None:
    """Truncation: what arrives after the end of DEV or OOS, in whatever form."""
    market = frames()
    for end, splits in (("2019-01-01", ("DEV",)), ("2021-07-01", ("DEV", "OOS"))):
        moment = pd.Timestamp(end, tz="UTC")
        times = {"staging.stg_prices": "known_from", "staging.stg_stocks": "known_from"}
        cut = {
            name: frame[frame[times.get(name, "as_of_ts")] < moment].reset_index(drop=True)
            for name, frame in market.items()
        }
        pd.testing.assert_frame_equal(rows_of(evaluated(cut, plan()), *splits), rows_of(usual, *splits))


def test_poison_after_the_end_of_a_split_changes_no_row_of_it(usual: pd.DataFrame) -> None:
    market = frames()
    moment = pd.Timestamp("2021-07-01", tz="UTC")
    poison = {}
    for name, frame in market.items():
        time = "known_from" if "known_from" in frame else "as_of_ts"
        late = frame[frame[time] >= moment].copy()
        again = frame[frame[time] < moment].copy()  # a revision of every earlier row
        again[time] = again[time] + pd.Timedelta(days=3_000)
        if name == "signals.signals":
            again = frame[frame[time] < moment].assign(revision_no=2, state="OFF", score=0.01)
        elif name == "marts.tightness_daily":
            again = again.iloc[:0]
        numbers = [column for column in frame.select_dtypes("float") if column != "score"]
        for rows in (late, again):
            rows[numbers] = 1e12
        poison[name] = pd.concat([frame[frame[time] < moment], late, again], ignore_index=True)
    found = evaluated(poison, plan())
    pd.testing.assert_frame_equal(rows_of(found, "DEV", "OOS"), rows_of(usual, "DEV", "OOS"))
    assert not found["diff"].equals(usual["diff"]), "the poison reaches the split that has not ended"


def test_splits_share_no_date_and_no_outcome() -> None:
    found = evaluated(frames(), plan()[:1]).query("entry_lag == 1").set_index("split")["n_all"]
    total = days()
    ends = {"DEV": total < "2019-01-01", "OOS": (total >= "2019-01-01") & (total <= "2021-06-30")}
    for split, inside in ends.items():
        assert found[split] == inside.sum() - 5 - 1, "windows that end in the next split are in none"
    assert found["LIVE"] == (total > "2021-06-30").sum() - 5 - 1
    assert found["ALL"] == len(total) - 5 - 1


def test_observed_dates_are_a_subset_of_their_own() -> None:
    market = frames()
    log = market["signals.signals"]
    own = log.index[(log["signal_id"] == "AL.STATE") & (log["as_of_date"] >= "2020-01-01")]
    log.loc[own, "knowledge_basis"] = "OBSERVED"
    found = evaluated(market, plan()[:1]).query("entry_lag == 1").set_index(["basis_subset", "split"])
    assert found.loc[("OBSERVED", "OOS"), "n_all"] < found.loc[("ALL", "OOS"), "n_all"]
    assert ("OBSERVED", "DEV") not in found.index


def test_every_test_of_the_plan_has_its_rows_and_nothing_else(usual: pd.DataFrame) -> None:
    found = usual
    assert not found.duplicated(KEY).any()
    assert len(found[found["basis_subset"] == "ALL"]) == len(plan()) * 4 * 2
    assert set(found["n_variants"]) == {4}
    assert (found["n_eff"] == found["n"] / found["horizon_obs"]).all()
    assert (found["mde"] / found["hac_se"]).dropna().round(3).eq(2.486).all()


def test_the_figures_are_those_computed_by_hand() -> None:
    """n, episodes, diff, hac_se and placebo_p of twenty rows, by plain numpy from the same tables."""
    market = frames()
    tests = [one for one in plan() if one.signal_id in ("AL.STATE", "AL.SCORE")]
    found = evaluated(market, tests)
    chosen = found[(found["split"] != "LIVE") & (found["basis_subset"] == "ALL")].sample(20, random_state=14)
    with connect(market) as connection:
        assert worst(connection, chosen.to_dict("records")) < 1e-9


# --- verdicts


def row(**changes: object) -> dict[str, object]:
    usual = {"split": "OOS", "n_eff": 50.0, "episodes": 10, "p_adj": 0.05, "diff": 1.0, "side": 1.0}
    return usual | {"is_lag0_only": False} | changes


@pytest.mark.parametrize(
    ("dev", "oos", "expected"),
    [
        ({}, {}, "SUPPORTED"),
        ({}, {"diff": -1.0}, "REVERSED"),
        ({}, {"side": -1.0}, "REVERSED"),
        ({}, {"p_adj": 0.11}, "WEAK"),
        ({"p_adj": 0.5}, {"p_adj": 0.11}, "NO_EVIDENCE"),
        ({"p_adj": 0.5}, {"p_adj": 0.10}, "SUPPORTED"),
        ({}, {"n_eff": 29.9}, "INSUFFICIENT"),
        ({}, {"episodes": 7}, "INSUFFICIENT"),
        ({"p_adj": 0.5}, {"is_lag0_only": True}, "NO_EVIDENCE"),
        ({}, {"side": math.nan}, "NO_EVIDENCE"),
    ],
)
def test_the_verdict_of_a_signal(dev: dict[str, object], oos: dict[str, object], expected: str) -> None:
    before, out = row(split="DEV", **dev), row(**oos)
    assert verdict(out, before, out) == expected
    assert verdict(row(split="ALL"), before, out) == expected
    assert verdict(row(split="LIVE", n_eff=1.0), before, out) == "INSUFFICIENT"


def test_a_row_before_2019_is_weak_at_best() -> None:
    dev, oos = row(split="DEV"), row()
    assert verdict(dev, dev, oos) == "WEAK"
    assert verdict(dev | {"p_adj": 0.5}, dev | {"p_adj": 0.5}, oos) == "NO_EVIDENCE"
    assert verdict(dev | {"is_lag0_only": True}, dev | {"is_lag0_only": True}, oos) == "NO_EVIDENCE"


def test_an_effect_at_the_decision_price_alone_is_no_evidence() -> None:
    """An outcome that follows from the price at the decision, and is gone at the next one."""
    market = frames(7)
    prices, log = market["staging.stg_prices"], market["signals.signals"]
    state = log["signal_id"] == "AL.STATE"
    jump = np.diff(prices["m3_usd_t"].to_numpy(), append=np.nan)
    rng = np.random.default_rng(1)
    log.loc[state, "state"] = np.where((jump > 0) ^ (rng.random(len(jump)) < 0.1), "ON", "OFF")  # tomorrow's change
    tests = [PlanRow("AL.STATE", "1.0.0", "ON", "fwd_m3_log_return", 5, 1, REGISTERED, is_primary=True)]
    found = evaluated(market, tests).query("split == 'OOS'").set_index("entry_lag")
    assert found.loc[0, "p_adj"] <= 0.10 < found.loc[1, "p_adj"]
    assert found["is_lag0_only"].all()
    assert found["verdict"].tolist() == ["NO_EVIDENCE", "NO_EVIDENCE"]


def test_a_side_that_is_not_predicted_is_the_sign_before_2019() -> None:
    found = evaluated(frames(), [test for test in plan() if test.side == 0])
    dev = found[(found["split"] == "DEV")].set_index([name for name in KEY if name != "split"])
    oos = found[(found["split"] == "OOS")].set_index([name for name in KEY if name != "split"])
    spread = oos[oos.index.get_level_values("outcome") == "d_spread"]
    for key, one in spread.iterrows():
        market = samples(frames(), "2021-07-01")
        own = market.buckets[
            (market.buckets["signal_id"] == key[0]) & (market.buckets["as_of_date"] >= "2019-01-01")
        ].merge(market.outcomes[(market.outcomes["entry_lag"] == key[-1]) & (market.outcomes["horizon_obs"] == key[5])])
        outcome = own[own["bucket"] == key[3]]["d_spread"].dropna()
        assert one["hit_rate"] == pytest.approx((np.sign(outcome) == np.sign(dev.loc[key, "diff"])).mean())
        break
    assert found[found["outcome"].isin(evaluation.ONE_SIGN)]["hit_rate"].isna().all()


# --- tables


def test_the_tables_follow_their_schemas_and_are_kept_and_restored(usual: pd.DataFrame, tmp_path: Path) -> None:
    warehouse, release = tmp_path / "warehouse.duckdb", tmp_path / "tightness.duckdb"
    connect(frames(), warehouse).close()
    tables.ensure(warehouse, [])
    with connect({}, warehouse) as connection:
        assert connection.execute("select count(*) from signals.eval_signal").fetchall() == [(0,)]
    tables.write(warehouse, {"eval_signal": usual})
    tables.ensure(warehouse, [])  # no change
    with connect({}, warehouse) as connection:
        rows = connection.execute("select * from signals.eval_signal order by all").df()
        assert connection.execute("select count(*) from signals.eval_signal where isnan(diff)").fetchall() == [(0,)]
        connection.execute(f"attach '{release}' as release")
        connection.execute("create schema release.signals")
        for name in EVALUATION:
            connection.execute(f"create table release.signals.{name} as from signals.{name}")
            connection.execute(f"drop table signals.{name}")
    assert len(rows) == len(usual)
    tables.ensure(warehouse, [tmp_path / "absent.duckdb", release])
    with connect({}, warehouse) as connection:
        again = connection.execute("select * from signals.eval_signal order by all").df()
    pd.testing.assert_frame_equal(again, rows)


def test_an_evaluation_is_repeated_only_where_its_inputs_have_changed(tmp_path: Path) -> None:
    from pipelines.evaluation.run import run

    warehouse, record = tmp_path / "warehouse.duckdb", tmp_path / "evaluation.json"
    connect(frames(), warehouse).close()
    table = pd.DataFrame([test._asdict() for test in plan(is_primary="true")[:1]])
    table["registered_on"] = pd.to_datetime(table["registered_on"])
    assert run(warehouse, record, table, "1")
    assert not run(warehouse, record, table, "1")
    assert run(warehouse, record, table, "2"), "another version of the code"
    with connect({}, warehouse) as connection:
        [summary] = connection.execute("select sentence, verdict from signals.eval_summary").fetchall()
        connection.execute("update staging.stg_prices set m3_usd_t = m3_usd_t + 1 where obs_date = '2020-01-02'")
    assert "over the next 5 trading days the spread changed by" in summary[0]
    assert run(warehouse, record, table, "2"), "another price"


# --- size and power, in short: `python -m benchmarks.evaluation` has the table of the methodology


def test_markets_without_an_effect_and_with_one() -> None:
    """Within three standard errors of 10 % for 30 markets; four planted effects of five are found."""
    null = results(range(30))
    assert np.mean([one.placebo <= 0.10 for one in null]) <= 0.10 + 3 * math.sqrt(0.09 / 30)
    assert np.mean([one.least_adjusted <= 0.10 for one in null]) <= 0.10 + 3 * math.sqrt(0.09 / 30)
    assert np.mean([one.naive <= 0.10 for one in null]) > 0.4, "the usual regression, for comparison"
    assert np.mean([one.verdict == "SUPPORTED" for one in results(range(1_000, 1_010), effect=2.0)]) >= 0.8


def test_the_same_inputs_have_the_same_figures(usual: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(evaluated(frames(), plan()), usual)


def test_a_moment_is_a_day_of_the_plan() -> None:
    assert evaluation.oos_cut(REGISTERED) == datetime(2021, 7, 1, tzinfo=UTC)
