"""Runs that follow each other: the same twice changes nothing, new data only adds, a failed build is not published."""

from __future__ import annotations

import json
import shutil
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest
from sandbox import Sandbox

from pipelines.publish.release_tables import PublicationError
from schemas.base import columns_of
from schemas.signals import Signals

NOW = "2026-01-14T20:00:00Z"
MONTHS = ("2024-10", "2026-01")
DATASETS = ("prices", "stocks", "spreads", "off_warrant", "exports", "rates", "fx", "power", "benchmark_prices")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def demo(demo_of_a_year: Sandbox) -> Sandbox:
    return demo_of_a_year


def hashes(manifest: dict[str, Any]) -> dict[str, str]:
    return {name: about["content_sha256"] for name, about in manifest["tables"].items()}


def test_the_same_run_again_writes_no_file_and_publishes_nothing(demo: Sandbox, tmp_path: Path) -> None:
    sandbox = demo.copy(tmp_path)
    before, published = sandbox.stored(), sandbox.published()
    assert any(name.endswith(".parquet") for name in before)
    again = sandbox.ingest(MONTHS)
    assert {name: (report.new, report.revised) for name, report in again.read.items() if report.written} == {}
    sandbox.build()
    assert sandbox.publish().unchanged
    assert sandbox.stored().keys() == before.keys()
    parquet = [name for name in before if name.endswith(".parquet")]
    assert {name: sandbox.stored()[name] for name in parquet} == {name: before[name] for name in parquet}
    assert sandbox.published() == published


def test_models_built_anew_on_the_same_input_are_the_same(demo: Sandbox, tmp_path: Path) -> None:
    """The build cache is cleared, so that every model runs again."""
    sandbox = demo.copy(tmp_path)
    before = sandbox.publish()
    assert before.unchanged
    sandbox.forget_build()
    built = sandbox.open().paths.warehouse.stat().st_mtime_ns
    assert sandbox.build().failed == []
    assert sandbox.open().paths.warehouse.stat().st_mtime_ns > built
    after = sandbox.publish()
    assert after.unchanged
    assert hashes(after.manifest) == hashes(before.manifest)


def test_a_warehouse_made_anew_publishes_the_same_rows(demo: Sandbox, tmp_path: Path) -> None:
    """The warehouse is rebuilt from the lake alone; the log of signals, also rebuilt, has the same rows."""
    sandbox = demo.copy(tmp_path)
    before = hashes(sandbox.publish().manifest)
    shutil.rmtree(sandbox.data / "warehouse")
    assert sandbox.build().failed == []
    assert hashes(sandbox.publish().manifest) == before


@pytest.mark.parametrize("month", ["2025-02", "2026-01"])
def test_a_month_alone_gives_the_rows_that_a_long_run_gives(demo: Sandbox, tmp_path: Path, month: str) -> None:
    alone = Sandbox(tmp_path, "demo", NOW)
    assert alone.ingest((month, month)).failures == []
    for name in DATASETS:
        wanted = demo.open().lake.read(name, (month, month))
        pd.testing.assert_frame_equal(alone.open().lake.read(name, (month, month)), wanted)
    assert len(alone.open().lake.read("prices")) > 5
    assert set(alone.open().lake.read("prices")["obs_date"].dt.strftime("%Y-%m")) == {month}


def test_a_later_clock_adds_what_became_known_and_changes_nothing(demo: Sandbox, tmp_path: Path) -> None:
    sandbox = demo.copy(tmp_path)
    before = sandbox.stored()
    later = sandbox.at("2026-01-15T20:00:00Z")
    release = later.run(MONTHS)
    parquet = {name: about for name, about in before.items() if name.endswith(".parquet")}
    assert parquet.items() <= later.stored().items()

    difference = release.manifest["difference"]
    # By grain: one decision time later, every daily mart has one row more, and every signal.
    n_signals = later.query("select count(distinct (signal_id, signal_version)) as n from signals.signals")["n"][0]
    added = {name: (about["added"], about["removed"], about["changed"]) for name, about in difference.items()}
    assert added["marts.tightness_daily"] == (1, 0, 0)
    assert added["marts.curve_daily"] == (1, 0, 0)
    assert added["marts.inventory_daily"] == (1, 0, 0)
    assert added["signals.signals"] == (n_signals, 0, 0)
    days = later.query("select max(as_of_date) as day from marts.tightness_daily")["day"][0]
    assert days == pd.Timestamp("2026-01-15")

    lake = later.open().lake
    for name in DATASETS:
        rows = lake.read(name)
        news = rows[rows["ingest_ts"] > pd.Timestamp(NOW)]
        assert (news["knowledge_ts"] > pd.Timestamp(NOW)).all(), f"{name}: a new row was known before"


def test_an_hour_later_nothing_is_different(demo: Sandbox, tmp_path: Path) -> None:
    """Between two decision times a later clock adds nothing, with a cached or a new build."""
    sandbox = demo.copy(tmp_path).at("2026-01-14T20:30:00Z")
    sandbox.forget_build()
    assert sandbox.build().failed == []
    assert hashes(sandbox.publish().manifest) == hashes(demo.publish().manifest)


# --- revisions


@pytest.fixture
def own(drop_market: Sandbox, tmp_path: Path) -> Sandbox:
    """A month of a user's prices and stocks, published."""
    return drop_market.copy(tmp_path)


@pytest.fixture(scope="module")
def revised(drop_market: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Sandbox:
    """The same with another figure for the latest stock, an hour after the first publication. Read only."""
    own = drop_market.copy(tmp_path_factory.mktemp("revised"))
    stocks = own.root / "drop" / "stocks" / "own.csv"
    own.drop("stocks/own.csv", stocks.read_text().replace("AL,2026-01-19,500000.0\n", ""))
    own.drop("stocks/revised.csv", "metal,obs_date,knowledge_ts,total_t\nAL,2026-01-19,2026-01-20T09:00:00Z,450000\n")
    later = own.at("2026-01-20T21:00:00Z")
    later.run_compiled(("2026-01", "2026-01"))
    return later


LOG = """
    select as_of_date, revision_no, revision_reason, value, params_hash, run_id, computed_ts
    from signals.signals where signal_id = 'AL.INVENTORY.STOCK_DAYS' order by as_of_date, revision_no
"""


def test_a_revision_is_added_to_the_log_with_its_reason_and_leaves_the_earlier_row(own: Sandbox) -> None:
    first = own.query(LOG)
    assert set(first["revision_no"]) == {1}
    revised = "metal,obs_date,knowledge_ts,total_t\nAL,2026-01-13,2026-01-14T09:00:00Z,450000\n"
    own.drop(
        "stocks/own.csv", (own.root / "drop" / "stocks" / "own.csv").read_text().replace("AL,2026-01-13,500000.0\n", "")
    )
    own.drop("stocks/revised.csv", revised)
    later = own.at("2026-01-20T21:00:00Z")
    release = later.run(("2026-01", "2026-01"))

    log = later.query(LOG)
    pd.testing.assert_frame_equal(log[log["revision_no"] == 1].reset_index(drop=True), first)
    second = log[log["revision_no"] > 1]
    assert second[["revision_no", "revision_reason"]].drop_duplicates().to_numpy().tolist() == [[2, "an input changed"]]
    # Known at 09:00 on the 14th, it is the latest stock of that day only.
    assert second["as_of_date"].dt.strftime("%Y-%m-%d").tolist() == ["2026-01-14"]
    assert second["value"].tolist() == pytest.approx([450_000 / (74_650_000 / 365)])
    about = release.manifest["difference"]["signals.signals"]
    assert (about["removed"], about["changed"]) == (0, 0)


def test_a_parameter_that_changed_is_the_reason(own: Sandbox) -> None:
    own.set_parameters(consumption_t_per_year=37_325_000)
    own.run_compiled(("2026-01", "2026-01"))
    log = own.query(LOG)
    second = log[log["revision_no"] == 2]
    assert set(second["revision_reason"]) == {"a parameter changed"}
    known = log[(log["revision_no"] == 1) & log["value"].notna()]
    assert second.dropna(subset="value")["value"].tolist() == pytest.approx((known["value"] * 2).tolist())


def test_a_parameter_with_a_later_valid_from_changes_results_from_then_on_only(own: Sandbox) -> None:
    """Only signals that use the parameter change: no other signal gets a revision or another hash."""
    everything = "select signal_id, as_of_date, revision_no, value, params_hash from signals.signals order by all"
    before = own.query(everything)
    path = own.reference() / "parameters.csv"
    rows = pd.read_csv(path, dtype=str, keep_default_na=False)
    new = rows[rows["name"] == "consumption_t_per_year"].tail(1).assign(value="37325000", valid_from="2026-01-14")
    pd.concat([rows, new]).to_csv(path, index=False)
    own.run_compiled(("2026-01", "2026-01"))
    after = own.query(everything)
    pd.testing.assert_frame_equal(after[after["revision_no"] == 1].reset_index(drop=True), before)
    revised = after[after["revision_no"] > 1]
    assert set(revised["signal_id"]) == {
        "AL.INVENTORY.STOCK_DAYS", "AL.TIGHTNESS.INDEX", "AL.TIGHTNESS.REGIME",
    }  # fmt: skip
    assert revised["as_of_date"].min() == pd.Timestamp("2026-01-14")
    both = revised.merge(before, on=["signal_id", "as_of_date"], suffixes=("", "_was"))
    days = both[both["signal_id"] == "AL.INVENTORY.STOCK_DAYS"]
    assert days["value"].tolist() == pytest.approx((days["value_was"] * 2).tolist())
    assert (both["params_hash"] != both["params_hash_was"]).all()
    [entry] = own.query(
        "select parameters, params_hash from signals.signal_dictionary where signal_id = 'AL.INVENTORY.STOCK_DAYS'"
    ).itertuples()
    assert "consumption_t_per_year = 37325000.0 t/yr (ASSUMPTION)" in entry.parameters
    assert entry.params_hash == days["params_hash"].iloc[-1]


def test_weights_with_a_later_valid_from_change_the_index_from_then_on_only(tmp_path: Path) -> None:
    query = "select as_of_date, tightness_index, contrib_inventory, coverage from marts.tightness_daily order by 1"
    first, second = (Sandbox(tmp_path / name, "drop", "2026-01-20T20:00:00Z") for name in ("first", "second"))
    for sandbox in (first, second):
        sandbox.drop_month()
        sandbox.set_parameters(rank_min_periods=3, min_coverage=0.3)
    path = second.reference() / "index_components.csv"
    rows = pd.read_csv(path, dtype=str, keep_default_na=False)
    weights = rows["family"].map({"CURVE": "0.3", "INVENTORY": "0.6", "FLOW": "0.1"})
    later = rows.assign(weight=weights, valid_from="2026-01-15")[rows["version"] == "1"]
    pd.concat([rows, later]).to_csv(path, index=False)
    for sandbox in (first, second):
        sandbox.run_compiled(("2026-01", "2026-01"))
    before, after = first.query(query), second.query(query)
    assert before["tightness_index"].notna().any()
    same = after["as_of_date"] < pd.Timestamp("2026-01-15")
    pd.testing.assert_frame_equal(after[same], before[same])
    assert set(before["coverage"][~same]) == {0.4}
    assert set(after["coverage"][~same]) == {0.6}, "only inventory is there, with its new weight"


def asof(sandbox: Sandbox, moment: str) -> tuple[str, float]:
    [row] = sandbox.query(
        "select as_of_date, value from signals.signals_asof(?::timestamptz) "
        "where signal_id = 'AL.INVENTORY.STOCK_DAYS'",
        moment,
    ).itertuples()
    return f"{row.as_of_date:%Y-%m-%d}", row.value


def test_signals_asof_an_old_moment_is_what_was_published_then(drop_market: Sandbox, revised: Sandbox) -> None:
    days = 74_650_000 / 365
    assert asof(drop_market, "2026-01-20T20:30:00Z") == ("2026-01-20", pytest.approx(500_000 / days))
    later = revised
    assert asof(later, "2026-01-20T21:30:00Z") == ("2026-01-20", pytest.approx(450_000 / days))
    # A moment between the two publications: the result is the row of the first one, also later.
    assert asof(later, "2026-01-20T20:30:00Z") == ("2026-01-20", pytest.approx(500_000 / days))
    # Before the first publication: what it contains for that day.
    assert asof(later, "2026-01-20T18:00:00Z") == ("2026-01-20", pytest.approx(500_000 / days))
    assert asof(later, "2026-01-20T17:59:59Z") == ("2026-01-19", pytest.approx(500_000 / days))
    code, out, _ = later.call("signals", "--as-of", "2026-01-20T20:30:00Z", "--json")
    assert code == 0
    [shown] = [s for s in json.loads("\n".join(out))["signals"] if s["signal_id"] == "AL.INVENTORY.STOCK_DAYS"]
    assert shown["value"] == pytest.approx(500_000 / days)


@pytest.mark.parametrize("warehouse", ["lost", "of an older day"])
def test_another_warehouse_does_not_lose_the_log(
    drop_market: Sandbox, revised: Sandbox, tmp_path: Path, warehouse: str
) -> None:
    later = revised.copy(tmp_path)
    before = later.query("select * from signals.signals order by all")
    assert before["revision_no"].max() == 2
    if warehouse == "lost":
        shutil.rmtree(later.data / "warehouse")
    else:
        shutil.copy(drop_market.open().paths.warehouse, later.open().paths.warehouse)
    assert later.run(("2026-01", "2026-01")).unchanged
    pd.testing.assert_frame_equal(later.query("select * from signals.signals order by all"), before)


def test_a_log_from_before_the_quality_flags_gets_them(revised: Sandbox, tmp_path: Path) -> None:
    """Rows of an earlier version have their quality as the only flag; a row that differs now gets a revision."""
    later = revised.copy(tmp_path).at("2026-01-20T22:00:00Z")
    index = (
        "signal_id = 'AL.TIGHTNESS.INDEX' and signal_version = '1.0.0' "
        "and as_of_date = (select max(as_of_date) from signals.signals)"
    )
    everything = "select * exclude (quality_flags) from signals.signals order by all"
    before = later.query(everything)
    assert later.query(f"select distinct quality_flags from signals.signals where {index}")[
        "quality_flags"
    ].tolist() == ["WARMUP PARTIAL"]
    for database in (later.open().paths.warehouse, later.database):
        with duckdb.connect(str(database)) as con:
            con.execute("alter table signals.signals drop column quality_flags")
            con.execute("update signals.signals set code_version = '0.2.0'")
    later.run(("2026-01", "2026-01"))
    log = later.query("select * from signals.signals")
    assert list(log) == list(columns_of(Signals)), "in the order of the schema"
    again = later.query(everything.replace("order by", "where computed_ts < ? order by"), log["computed_ts"].max())
    pd.testing.assert_frame_equal(again.drop(columns="code_version"), before.drop(columns="code_version"))
    revisions = later.query(
        f"select revision_reason, quality_flags, revision_no from signals.signals where {index} order by revision_no"
    )
    assert revisions["quality_flags"].tolist()[-2:] == ["WARMUP", "WARMUP PARTIAL"]
    assert revisions["revision_reason"].tolist()[-1] == "a rule changed"
    last = log.sort_values("revision_no").drop_duplicates(["signal_id", "as_of_ts"], keep="last")
    assert (last["quality"] == last["quality_flags"].str.split().str[0]).all()


def test_a_transition_is_published_once_and_keeps_its_key(own: Sandbox) -> None:
    """Cash above three months from the 13th on: backwardation is sustained from the 15th."""

    def prices(above: bool) -> pd.DataFrame:
        days = pd.bdate_range("2026-01-02", "2026-01-20").strftime("%Y-%m-%d")
        cash = [3170.0 if above and day >= "2026-01-13" else 3150.0 for day in days]
        return pd.DataFrame({"metal": "AL", "obs_date": days, "cash_usd_t": cash, "m3_usd_t": 3160})

    query = """
        select transition_id, as_of_date, prev_state, state, revision_no from signals.signal_transitions
        where signal_id = 'AL.CURVE.BACKWARDATION' order by as_of_date, revision_no
    """
    assert len(own.query(query)) == 0
    own.drop("prices/own.csv", prices(True))
    above = own.at("2026-01-20T21:00:00Z")
    above.run_compiled(("2026-01", "2026-01"))
    assert len(above.query(query)) == 0, "the prices changed after the decision times of these days"

    fresh = Sandbox(own.root / "fresh", "drop", "2026-01-20T21:00:00Z")
    fresh.drop("prices/own.csv", prices(True))
    fresh.run_compiled(("2026-01", "2026-01"))
    first = fresh.query(query)
    assert first[["prev_state", "state"]].to_numpy().tolist() == [["OFF", "ON"]]
    assert first["as_of_date"].tolist() == [pd.Timestamp("2026-01-15")]
    fresh.run_compiled(("2026-01", "2026-01"))
    pd.testing.assert_frame_equal(fresh.query(query), first)
    shutil.rmtree(fresh.data)
    fresh.run_compiled(("2026-01", "2026-01"))
    assert fresh.query(query)["transition_id"].tolist() == first["transition_id"].tolist(), (
        "the same market, the same key"
    )


# --- what must not be published


def doubled(sandbox: Sandbox, row: str) -> None:
    """Store a row of the log twice, as a bug or a manual edit of the warehouse could: the oldest or the newest one."""
    order = "asc" if row == "oldest" else "desc"
    with duckdb.connect(str(sandbox.open().paths.warehouse)) as connection:
        connection.execute(f"insert into signals.signals from signals.signals order by as_of_ts {order} limit 1")


def test_a_failing_test_on_the_marts_withholds_the_publication(own: Sandbox) -> None:
    released = own.published()
    doubled(own, "newest")
    own.drop("stocks/late.csv", "metal,obs_date,knowledge_ts,total_t\nAL,2026-01-13,2026-01-14T09:00:00Z,400000\n")

    code, _, lines = own.at("2026-01-22T20:00:00Z").call("run", "--from", "2026-01")
    errors = "\n".join(lines)
    assert code == 1, errors
    assert "signals_follows_schema" in errors
    assert "rule: one row for each signal_id, signal_version, metal, region, as_of_ts, revision_no" in errors
    assert "failing_rows: 1, example: signal_id " in errors
    assert "Nothing is published, the last release stays" in errors
    assert "Traceback" not in errors
    assert own.published() == released
    assert 400_000 not in own.query("select total_t from marts.inventory_daily")["total_t"].tolist()


def test_a_repeated_row_that_a_build_keeps_is_not_published(own: Sandbox) -> None:
    """A build tests the rows that it makes; a test alone and the publication examine all."""
    doubled(own, "oldest")
    later = own.at("2026-01-21T20:00:00Z")
    assert later.build().failed == []
    with pytest.raises(PublicationError, match=r"signals.signals has 2 rows with .*: its key must identify one row"):
        later.publish()
    [failed] = later.check("signals_follows_schema").failed
    assert "one row for each signal_id" in failed.message


def test_a_model_alone_needs_no_other_table_of_the_day(own: Sandbox) -> None:
    later = own.at("2026-01-21T20:00:00Z")
    assert later.build(["+tightness_daily"]).failed == []
    with duckdb.connect(str(later.open().paths.warehouse), read_only=True) as warehouse:
        newest = warehouse.execute("select max(as_of_date) from marts.tightness_daily").fetchone()
    assert newest == (date(2026, 1, 21),)
    later.run(("2026-01", "2026-01"))
    assert later.query("select max(as_of_date) as day from signals.signals_wide_daily")["day"][0] == pd.Timestamp(
        "2026-01-21"
    )
