"""A build that keeps earlier rows makes what a build of everything makes, bit for bit.

Random sequences of arrivals, changed reference tables, clocks, killed and selected builds go through the product's SQL
and its choice of the first decision time to build. At the end a whole build on the same log of signals must add nothing
to it and make the same tables. Mutants show that each part of the mechanism is needed.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Final

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from compiled import Model, Mutation, apart, build, content, models, needed_for
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from lookahead import differing, key_of
from sandbox import Sandbox
from time_markets import LAST, market, reference

from pipelines.lake.parquet import write_parquet
from pipelines.lake.record import Entry
from pipelines.lake.store import Lake
from pipelines.warehouse import build_cache
from pipelines.warehouse.dbt import arrow_table
from schemas.datasets import DATASETS
from schemas.generate.arrow import arrow_schema
from schemas.reference import CAUSES

pytestmark = pytest.mark.slow
START: Final = pd.Timestamp(LAST, tz="UTC") - pd.Timedelta("18D") + pd.Timedelta("20h")
Tables = dict[str, pd.DataFrame]


@dataclass(frozen=True)
class Step:
    """One run: how far the clock moves, what happens before the build, and what becomes of the build.

    `event`: data, drops (drop files only), nothing, a change of a reference table, or one of the consumption.
    `share` of the data that is due arrives. `outcome`: whole, killed after some models, or a build of one model and
    those above it.
    """

    hours: int
    event: str
    share: float
    outcome: str
    seed: int


EVENTS: Final = ("data", "data", "data", "drops", "nothing", "reference")
OUTCOMES: Final = ("whole", "whole", "whole", "whole", "killed", "selected")
HOURS: Final = (0, 1, 5, 22, 24, 24, 48, 72, 120, 240, -30)


def steps(
    events: Sequence[str] = EVENTS,
    outcomes: Sequence[str] = OUTCOMES,
    hours: Sequence[int] = HOURS,
    shares: Sequence[float] = (1.0, 0.9, 0.5),
    least: int = 1,
) -> st.SearchStrategy[list[Step]]:
    """Plans of up to four runs, at least so many."""
    one = st.builds(
        Step,
        st.sampled_from(hours),
        st.sampled_from(events),
        st.sampled_from(shares),
        st.sampled_from(outcomes),
        st.integers(0, 10**6),
    )
    return st.lists(one, min_size=least, max_size=4)


@dataclass
class Site:
    """A lake, reference tables and a warehouse, as runs leave them.

    `mutate`: of the SQL of partial builds. `models`: those of a whole build, all unless some are given.
    """

    root: Path
    tables: Tables
    pending: pd.DataFrame  # dataset, row, source and knowledge time of everything that will arrive
    rows: Tables
    mutate: Mutation | None = None
    models: Sequence[Model] = ()
    now: pd.Timestamp = START
    con: duckdb.DuckDBPyConnection | None = None
    starts: list[datetime] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.lake = Lake(self.root / "lake")
        self.lake.ensure(DATASETS)
        self.record = self.root / "build.json"

    def arrive(self, chosen: random.Random, share: float, drops_only: bool) -> None:
        """Store what is due and some that is known later, in new files; the rest comes later, with its old times."""
        due = self.pending["known"] <= self.now + pd.Timedelta(hours=chosen.choice([0, 0, 30]))
        come = due & (pd.Series([chosen.random() for _ in due], index=due.index) < share)
        come &= (self.pending["source"] == "drop") | (not drops_only)
        for (name, _), group in self.pending[come].groupby(["dataset", "source"]):
            table = pa.Table.from_pandas(
                self.rows[name].loc[group["row"]], schema=arrow_schema(name), preserve_index=False
            )
            path = write_parquet(self.lake.root / name, table, self.now.to_pydatetime())
            self.lake.record(name).append([Entry(path.name, months=("2026-01",))])
        self.pending = self.pending[~come]

    def build(self, step: Step) -> None:
        """A build as the product makes it, whole or not."""
        this = self.this_build()
        last = build_cache.load(self.record)
        moment = build_cache.changed_from(last, this, self.lake, edited(self.tables), self.root / "copies")
        is_whole = step.outcome == "whole"
        if last is not None and is_whole and build_cache.is_same(last, this, moment):
            return
        build_cache.begin(self.record, last, moment, "")
        write_copies(self.tables, self.root / "copies")
        start = None if moment == build_cache.EVERYTHING else build_cache.first_decision(moment)
        chosen = random.Random(step.seed)
        only = {
            "whole": self.models,
            "killed": models()[: chosen.randint(1, len(models()) - 1)],
            "selected": needed_for(chosen.choice(models()).name),
        }[step.outcome]
        self.starts.append(moment)
        self.con = build(
            self.lake.root, arrow(self.tables), self.now, self.mutate if start else None, only, None, self.con, start
        )
        if is_whole:
            build_cache.save(self.record, this)
        elif chosen.random() < 0.5 and self.has_log():
            self.delete_unpublished()

    def this_build(self) -> build_cache.Record:
        files = {name: self.lake.present(name) for name in DATASETS}
        return build_cache.Record("code", self.now.isoformat(), fingerprint(edited(self.tables)), files, [], "")

    def has_log(self) -> bool:
        assert self.con is not None
        return bool(self.con.execute("select 1 from duckdb_tables() where table_name = 'signals'").fetchall())

    def delete_unpublished(self) -> None:
        """What a later run does with the signals of a build that was killed."""
        assert self.con is not None
        mine = f"from signals.signals where computed_ts = timestamptz '{self.now.isoformat()}'"
        [[first]] = self.con.execute(f"select epoch_us(min(as_of_ts)) {mine}").fetchall()
        if first is not None:
            moment = pd.Timestamp(first, unit="us", tz="UTC").to_pydatetime()
            build_cache.begin(self.record, build_cache.load(self.record), moment, "")
            self.con.execute(f"delete {mine}")

    def differences(self) -> dict[str, list[str]]:
        """Tables in which a whole build, going on with the same log, differs; and repeated rows of the log."""
        assert self.con is not None
        whole = duckdb.connect(config={"threads": 2})
        whole.execute("set TimeZone = 'UTC'; attach ':memory:' as warehouse; use warehouse; create schema signals")
        if self.has_log():
            whole.register("log", self.con.sql("from signals.signals").to_arrow_table())
            whole.execute("create table signals.signals as from log")
        with build(self.lake.root, arrow(self.tables), self.now, only=self.models, within=whole) as made:
            kept = [model.table for model in self.models or models() if keeps_rows(model.name)]
            found = differing(made, self.con, kept)
        if not self.has_log():
            return found
        log = self.con.table("signals.signals")
        content = set(log.columns) - {"revision_no", "revision_reason", "run_id", "computed_ts"}
        same = " and ".join(f"one.{column} is not distinct from next.{column}" for column in sorted(content))
        repeated = self.con.sql(
            "select one.signal_id, one.as_of_ts from signals.signals as one join signals.signals as next "
            f"on one.revision_no + 1 = next.revision_no and {same}"
        ).fetchall()
        return found | ({"repeated": [str(repeated[:3])]} if repeated else {})


def keeps_rows(name: str) -> bool:
    """Whether a table has all decision times after a partial build: every published one, and what they rest on."""
    [model] = [model for model in models() if model.name == name]
    return model.schema in ("marts", "signals") or model.materialized == "by_decision_time"


def edited(tables: Tables) -> Tables:
    """The tables that people edit: the calendar is made."""
    return {name: table for name, table in tables.items() if name != "trading_calendar"}


def arrow(tables: Tables) -> dict[str, pa.Table]:
    return {name: arrow_table(table) for name, table in tables.items()}


def write_copies(tables: Tables, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    for name, table in tables.items():
        pq.write_table(arrow_table(table), folder / f"{name}.parquet")


def fingerprint(tables: Tables) -> str:
    return hashlib.sha256("".join(table.to_csv() for table in tables.values()).encode()).hexdigest()


# --- changes of the reference tables, each from a day on

VALUES: Final = {
    "rank_window": (3.0, 12.0), "rank_min_periods": (2.0, 6.0), "level_up": (3050.0, 3300.0), "bw_k": (2.0, 4.0),
    "arb_shut_days": (3.0, 6.0), "curtailment_days": (3.0, 8.0), "stock_chg_obs": (2.0, 5.0),
    "enter_tight": (55.0, 65.0),
    "regime_confirm": (1.0, 3.0), "regime_max_gap": (1.0, 4.0), "consumption_t_per_year": (6e7, 8e7),
    "near_high_obs": (4.0, 9.0), "power_mean_days": (5.0, 12.0), "yoy_max_staleness_days": (3.0, 9.0),
    "rank_min_periods_v2": (2.0, 6.0), "median_obs": (1.0, 5.0), "season_min_years": (1.0, 2.0),
    "regime_confirm_v2": (1.0, 3.0), "regime_half_life_v2": (1.0, 6.0), "min_coverage_v2": (0.2, 0.5),
    "min_coverage": (0.2, 0.5), "price_reversal": (0.01, 0.2), "rank_months_weekly": (1.0, 2.0),
    "load_out_days": (4.0, 12.0), "stale_days_spread": (2.0, 9.0), "us_freight_usd_t": (40.0, 90.0),
}  # fmt: skip


def changed(tables: Tables, chosen: random.Random, now: pd.Timestamp) -> Tables:
    """The reference tables after an edit: a row is added, changed or removed."""
    day = (now - pd.Timedelta(days=chosen.choice([-3, 0, 1, 4, 9, 20, 60]))).tz_localize(None).normalize()
    name = chosen.choice(
        ["parameters"] * 5
        + ["index_components", "tax_schedule", "smelters", "events", "claims", "signal_definitions", "equities"]
        + ["series_breaks"]
    )
    table = tables[name]
    row = table.sample(1, random_state=chosen.randrange(10**6))
    added = table["valid_from"] > LAST - pd.Timedelta("200D")
    if added.any() and chosen.random() < 0.35:  # an earlier edit is taken back
        return tables | {name: table.drop(table[added].sample(1, random_state=chosen.randrange(10**6)).index)}
    if name == "parameters":
        parameter = chosen.choice(list(VALUES))
        row = table[table["name"] == parameter].tail(1).assign(value=chosen.choice(VALUES[parameter]))
    elif name == "index_components":
        row = table[table["version"] == chosen.choice(sorted(set(table["version"])))]
        row = row[row["valid_from"] == row["valid_from"].max()]
        row = row.assign(max_age_days=chosen.choice([3, 10, 120]), weight=row["weight"].iloc[::-1].to_numpy())
    elif name == "claims":
        row = row.assign(claim_id=f"C{chosen.randrange(10**6)}", threshold=chosen.choice([0.0, 3000.0, 0.1]))
    elif name == "signal_definitions":
        row = row.assign(signal_version=f"{chosen.randint(2, 9)}.{chosen.randrange(10**6)}.0")
    elif name == "smelters":
        review = day + pd.Timedelta(days=chosen.randint(0, 30))
        row = row.assign(idled_kt=float(chosen.randint(1, 200)), cause=chosen.choice(CAUSES), review_by=review)
    elif name == "tax_schedule":
        row = row.assign(rate=chosen.choice([0.05, 0.1]))
    elif name == "events":
        row = row.assign(event_date=day + pd.Timedelta(days=chosen.randint(0, 40)))
    elif name == "series_breaks":
        row = row.assign(break_id=f"B{chosen.randrange(10**6)}", break_date=day)
    key = [column for column in ("name", "metal", "version", "indicator", "event_id", "plant", "tax", "signal_id",
           "ticker") if column in table and name not in ("claims", "series_breaks")]  # fmt: skip
    row = row.assign(valid_from=day.as_unit("us"))
    other = table.merge(row[[*key, "valid_from"]], on=[*key, "valid_from"], how="left", indicator=True)["_merge"]
    kept = table[(other == "left_only").to_numpy()] if key else table
    return tables | {name: pd.concat([kept, row.astype(table.dtypes.to_dict())], ignore_index=True)}


def with_consumption(tables: Tables) -> Tables:
    """The reference tables after an edit that changes days of stock from before the first build on."""
    parameters = tables["parameters"]
    row = parameters[parameters["name"] == "consumption_t_per_year"].tail(1)
    row = row.assign(value=6e7, valid_from=pd.Timestamp("2026-01-13").as_unit("us")).astype(parameters.dtypes.to_dict())
    return tables | {"parameters": pd.concat([parameters, row], ignore_index=True)}


# --- sequences


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Tables:
    """The reference tables, with a claim about days before the first build: its evidence is in kept rows only."""
    made = reference(tmp_path_factory.mktemp("reference"))
    found = {name: table.to_pandas(date_as_object=False) for name, table in made.items()}
    claims = found["claims"]
    past = claims[claims["claim_id"] == "BACKWARDATION"].assign(
        claim_id="BACKWARDATION_THEN", period_from=pd.Timestamp("2026-01-12"), period_to=pd.Timestamp("2026-01-16")
    )
    return found | {"claims": pd.concat([claims, past.astype(claims.dtypes.to_dict())], ignore_index=True)}


def site(root: Path, tables: Tables, number: int, mutate: Mutation | None = None, models: Sequence[Model] = ()) -> Site:
    """A place with what a seeded market had until the first clock, built whole."""
    root.mkdir(parents=True)
    rows = market(random.Random(number).randint, days=20).lake()
    pending = pd.concat(
        [
            pd.DataFrame(
                {"dataset": name, "row": frame.index, "known": frame["knowledge_ts"], "source": frame["source"]}
            )
            for name, frame in rows.items()
        ],
        ignore_index=True,
    )
    return Site(root, tables, pending, rows, mutate, models)


def run(made: Site, plan: Iterable[Step]) -> dict[str, list[str]]:
    """Carry out the steps, the last build whole; what differs from a build of everything."""
    *early, last = [Step(0, "data", 0.7, "whole", 0), *plan]
    for step in [*early, replace(last, outcome="whole")]:
        chosen = random.Random(step.seed)
        made.now += pd.Timedelta(hours=step.hours)
        if step.event in ("data", "drops"):
            made.arrive(chosen, step.share, step.event == "drops")
        elif step.event == "reference":
            made.tables = changed(made.tables, chosen, made.now)
        elif step.event == "consumption":
            made.tables = with_consumption(made.tables)
        made.build(step)
    found = made.differences()
    made.con.close()
    return found


def sequences(
    folder: Path,
    tables: Tables,
    examples: int,
    check: Callable[[Site, list[Step]], None],
    plans: st.SearchStrategy[list[Step]],
    part: int = 0,
    mutate: Mutation | None = None,
    models: Sequence[Model] = (),
) -> None:
    """`check` with so many random sequences, other ones for another `part`."""
    counter = iter(range(10**9))

    @seed(part)
    @settings(
        max_examples=examples,
        phases=[Phase.generate],
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.integers(0, 10**6), plans)
    def each(number: int, plan: list[Step]) -> None:
        check(site(folder / str(next(counter)), tables, number, mutate, models), plan)

    each()


@pytest.mark.parametrize(
    ("part", "examples"), [(0, 3), *(pytest.param(part, 50, marks=pytest.mark.exhaustive) for part in range(1, 7))]
)
def test_a_partial_build_makes_what_a_whole_one_makes(tables: Tables, tmp_path: Path, part: int, examples: int) -> None:
    partial = []

    def check(made: Site, plan: list[Step]) -> None:
        found = run(made, plan)
        assert found == {}, plan
        partial.extend(start > build_cache.EVERYTHING for start in made.starts)

    sequences(tmp_path, tables, examples, check, steps(), part=part)
    assert sum(partial) >= examples, "too few builds keep rows"


def test_a_day_later_dbt_makes_the_new_decision_times_only(demo_of_a_year: Sandbox, tmp_path: Path) -> None:
    later = demo_of_a_year.copy(tmp_path / "partial").at("2026-01-15T20:00:00Z")
    later.ingest(("2025-12", "2026-01"))
    everything = later.copy(tmp_path / "whole")
    everything.forget_build()
    made = []
    for sandbox in (later, everything):
        assert sandbox.build().failed == []
        with duckdb.connect(str(sandbox.open().paths.warehouse), read_only=True) as warehouse:
            warehouse.execute("set TimeZone = 'UTC'")
            days = warehouse.execute("select as_of_date from intermediate.int_as_of_dates order by 1").fetchall()
            tables = [model.table for model in models() if keeps_rows(model.name)]
            made.append((days, {table: content(warehouse, table) for table in tables}))
    (days, kept), (every_day, whole) = made
    assert days == [(date(2026, 1, 15),)]
    assert len(every_day) > 200
    assert [table for table in whole if apart(whole[table], kept[table], key_of(table))] == []


# --- mutants


def forgets(name: str) -> Mutation:
    """A model does not read its kept rows: a fold restarted, a window cut at the first row built."""

    def mutate(model: str, sql: str) -> str:
        other = sql.replace("where as_of_date <", "where false and as_of_date <") if model == name else sql
        assert model != name or other != sql
        return other

    return mutate


def late_watermark(monkeypatch: pytest.MonkeyPatch) -> None:
    right = build_cache.first_decision
    monkeypatch.setattr(build_cache, "first_decision", lambda moment: right(right(moment) + timedelta(microseconds=1)))


def no_drop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drop files are not looked at."""
    right = build_cache._min_known

    def feeds_only(
        connection: duckdb.DuckDBPyConnection, folder: Path, files: Iterable[str], after: datetime, until: datetime
    ) -> datetime | None:
        def is_feed(file: str) -> bool:
            return "drop" not in pq.read_table(folder / file, partitioning=None)["source"].to_pylist()

        return right(connection, folder, filter(is_feed, files), after, until)

    monkeypatch.setattr(build_cache, "_min_known", feeds_only)


def no_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build_cache, "_first_valid", lambda *_: datetime.max.replace(tzinfo=START.tzinfo))


def no_later_knowledge(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that were stored before they were known are not looked for."""
    right = build_cache._min_known
    monkeypatch.setattr(
        build_cache,
        "_min_known",
        lambda connection, folder, files, after, until: (
            right(connection, folder, files, after, until) if after == build_cache.EVERYTHING else None
        ),
    )


def no_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    """A build that is killed leaves no note."""
    right = build_cache.begin
    monkeypatch.setattr(
        build_cache,
        "begin",
        lambda *noted: right(*noted) if noted[2] == build_cache.EVERYTHING else noted[1],
    )


# What must happen for a mutant to differ; for the others any data.
HAPPENS: Final = {
    late_watermark: steps(("data",), ("whole",)),
    no_drop: steps(("drops",), ("whole",)),
    no_reference: steps(("reference",), ("whole",)),
    no_later_knowledge: steps(("data", "nothing"), ("whole",), (0, 1, 3, 5)),
    no_mark: st.integers(0, 10**6).map(
        lambda seed: [Step(1, "consumption", 1.0, "killed", seed), Step(1, "nothing", 1.0, "whole", seed)]
    ),
}
FOLDED: Final = (
    "int_component_scores", "int_regime_daily", "int_index_inputs", "index_history_daily",
    "int_price_states_asof", "arbitrage_daily", "smelter_margin_daily",
    "indicator_ranks_daily", "scarcity_daily", "metrics", "signal_candidates", "claim_audit", "signal_transitions",
)  # fmt: skip


def test_every_model_that_reads_kept_rows_has_a_mutant() -> None:
    kept = "as_of_date < cast(cast('@built_from@'"
    assert {model.name for model in models() if kept in model.partial_sql} == set(FOLDED)


class CaughtError(Exception):
    """A sequence in which the mutant differs from a whole build."""


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    "mutant", [*HAPPENS, *FOLDED],
    ids=lambda mutant: mutant if isinstance(mutant, str) else mutant.__name__,
)  # fmt: skip
def test_a_mutant_is_caught(
    tables: Tables, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mutant: str | Callable[[pytest.MonkeyPatch], None]
) -> None:
    if not isinstance(mutant, str):
        mutant(monkeypatch)

    def check(made: Site, plan: list[Step]) -> None:
        if run(made, plan):
            raise CaughtError

    with pytest.raises(CaughtError):
        if isinstance(mutant, str):
            days = steps(("data",), ("whole",), (24,), (1.0,), 3)
            plans = st.one_of(days, steps(("data",), ("whole",)))
            sequences(tmp_path, tables, 120, check, plans, mutate=forgets(mutant), models=needed_for(mutant))
        else:
            sequences(tmp_path, tables, 120, check, HAPPENS[mutant])
