"""The product never looks ahead: every published table, at every second at which something became known.

The product's own SQL is built again and again from what was known by a moment

(docs/methodology.md#sources-and-knowledge-times), and compared with the build from everything.
Three mutants that do look ahead show that this can fail.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Final

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from acceptance import TOLERANCE
from compiled import (
    LAKE_READ,
    PUBLISHED,
    Model,
    Mutation,
    again,
    apart,
    arrow_rows,
    build,
    content,
    known_at,
    models,
    needed_for,
    reference_known_at,
    reference_rows,
)
from lookahead import RUN_COLUMNS, Rule, differing, key_of, leaks, published_tables, rule_of, until
from sandbox import Sandbox, differences
from time_markets import market, reference

from pipelines.warehouse.build_cache import first_decision
from schemas.base import columns_of
from schemas.datasets import DATASETS
from schemas.fields import QUALITIES

pytestmark = pytest.mark.slow
SECOND: Final = pd.Timedelta(seconds=1)
WORKERS: Final = 2
Connection = duckdb.DuckDBPyConnection


@dataclass(frozen=True)
class Snapshot:
    """Everything that becomes known until `end`, and the reference tables."""

    rows: dict[str, pa.Table]
    reference: dict[str, pa.Table]
    end: pd.Timestamp

    def at(self, moment: pd.Timestamp, mutate: Mutation | None = None, only: tuple[Model, ...] = ()) -> Connection:
        """The build of a moment, with everything in the lake, later rows too."""
        return build(self.rows, self.reference, moment, mutate, only)

    def then(self, moment: pd.Timestamp, mutate: Mutation | None = None, only: tuple[Model, ...] = ()) -> Connection:
        """The build of a moment from the rows known by then, of the lake and of the reference tables."""
        return build(known_at(self.rows, moment), reference_known_at(self.reference, moment), moment, mutate, only)

    @cached_property
    def whole(self) -> Connection:
        """The build at the end."""
        return self.at(self.end)

    @cached_property
    def releases(self) -> list[pd.Timestamp]:
        """Every second at which something becomes known."""
        moments = pd.concat([table["knowledge_ts"].to_pandas() for table in self.rows.values()])
        return sorted(moments.unique())

    def with_rows(self, change: Callable[[str, pd.DataFrame], pd.DataFrame]) -> Snapshot:
        """The same snapshot with other rows."""
        frames = {name: change(name, table.to_pandas(date_as_object=False)) for name, table in self.rows.items()}
        return replace(self, rows={name: arrow_rows(name, frame) for name, frame in frames.items()})


@pytest.fixture(scope="module")
def fixture(acceptance_market: Sandbox) -> Snapshot:
    workspace = acceptance_market.open()
    rows = {name: arrow_rows(name, workspace.lake.read(name)) for name in DATASETS}
    # The calendar from before the first release on, so that the builds are quick.
    return Snapshot(
        rows, reference_rows(workspace.paths.reference_copies, date(2024, 2, 1)), pd.Timestamp(workspace.now)
    )


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    """A market with every dataset, revisions, gaps, ties, late data and users' files beside the feeds."""
    made = market(random.Random(10).randint, days=30)
    rows = {name: arrow_rows(name, frame) for name, frame in made.lake().items()}
    return Snapshot(rows, reference(tmp_path_factory.mktemp("generated")), made.end)


@pytest.fixture(params=["fixture", "generated"])
def snapshot(request: pytest.FixtureRequest) -> Snapshot:
    return request.getfixturevalue(request.param)


def in_parallel(
    moments: Iterable[pd.Timestamp], check: Callable[[pd.Timestamp], dict[str, list[str]]]
) -> dict[str, dict[str, list[str]]]:
    """Findings of a check by moment, without moments that have none."""
    moments = list(moments)
    with ThreadPoolExecutor(WORKERS) as pool:
        found = zip(moments, pool.map(check, moments), strict=True)
        return {moment.isoformat(): problems for moment, problems in found if problems}


def described(found: dict[str, dict[str, list[str]]]) -> str:
    """Findings as text, one per line."""
    lines = [
        f"{moment} {table}: {row}" for moment, tables in found.items() for table, rows in tables.items() for row in rows
    ]
    return "\n".join([f"{len(found)} moments", *lines[:60]])


def some_moments(snapshot: Snapshot, n: int, seed: int = 7) -> list[pd.Timestamp]:
    """Seeded random seconds of the snapshot's last two months."""
    chosen = random.Random(seed)
    return sorted(snapshot.end - pd.Timedelta(seconds=chosen.randrange(60 * 86_400)) for _ in range(n))


def releases_of_january(snapshot: Snapshot) -> list[pd.Timestamp]:
    """Every second of January 2026 at which something becomes known, and the first one after it."""
    begin, end = pd.Timestamp("2026-01-01", tz="UTC"), pd.Timestamp("2026-02-01", tz="UTC")
    later = [moment for moment in snapshot.releases if moment >= begin]
    return [moment for n, moment in enumerate(later) if n == 0 or later[n - 1] < end]


# --- 1. truncation invariance


def test_every_table_has_a_rule(fixture: Snapshot) -> None:
    """A new table needs a rule for what a later build may change in it: see `lookahead.Rule`."""
    rules = {table: rule_of(table, fixture.whole.table(table).columns) for table in published_tables()}
    assert [table for table, rule in rules.items() if rule is None] == []


def test_every_quality_flag_is_in_the_snapshots(fixture: Snapshot, generated: Snapshot) -> None:
    """So that the comparisons below would find a flag that looks ahead, in the index too."""
    for table in ("signals.signals", "marts.tightness_daily"):
        flags = f"select distinct unnest(string_split(quality_flags, ' ')) from {table}"
        assert {flag for one in (fixture, generated) for (flag,) in one.whole.sql(flags).fetchall()} == {
            *QUALITIES, "OK",
        }, table  # fmt: skip


@pytest.mark.parametrize("every", [4, pytest.param(1, marks=pytest.mark.exhaustive)])
def test_no_release_second_sees_what_is_known_later(fixture: Snapshot, every: int) -> None:
    """No value is used a second before its release, and no published row changes later.

    As of each release and a second before it, the models that read the lake contain nothing released later; all other
    models read the lake through these. A second before every, or every fourth, release the whole product is built too:
    that build has every row published since the one before it.
    """
    readers = [model for model in models() if model.reads_lake]
    doors, tables = needed_for(*(model.name for model in readers)), [model.table for model in readers]
    assert readers

    releases = releases_of_january(fixture)
    assert len(releases) > 40
    whole = set(releases[::every])

    def check(release: pd.Timestamp) -> dict[str, list[str]]:
        before = release - SECOND
        only = () if release in whole else doors
        with fixture.then(before, only=only) as then, fixture.at(before, only=doors) as now:
            found = differing(then, now, tables) | ({} if only else leaks(fixture.whole, then, before))
        with fixture.then(release, only=doors) as then, fixture.at(release, only=doors) as now:
            return found | {f"{table} at the release": rows for table, rows in differing(then, now, tables).items()}

    found = in_parallel(releases, check)
    assert not found, described(found)


@pytest.mark.parametrize(
    ("name", "n"),
    [
        ("fixture", 4),
        ("generated", 3),
        pytest.param("fixture", 20, marks=pytest.mark.exhaustive),
        pytest.param("generated", 10, marks=pytest.mark.exhaustive),
    ],
)
def test_no_random_moment_sees_what_is_known_later(request: pytest.FixtureRequest, name: str, n: int) -> None:
    """Every table, published or not, equals a build made at that moment, and no published row changes later."""
    snapshot: Snapshot = request.getfixturevalue(name)
    every = [model.table for model in models()]

    def check(moment: pd.Timestamp) -> dict[str, list[str]]:
        with snapshot.then(moment) as then, snapshot.at(moment) as now:
            return differing(then, now, every) | leaks(snapshot.whole, then, moment)

    found = in_parallel(some_moments(snapshot, n), check)
    assert not found, described(found)


@pytest.mark.parametrize("name", ["fixture", "generated"])
def test_builds_that_keep_rows_do_not_look_ahead(request: pytest.FixtureRequest, name: str) -> None:
    """Builds one after the other, each from what was known by then: every row, and every entry of the log."""
    snapshot: Snapshot = request.getfixturevalue(name)
    warehouse: Connection | None = None
    last: pd.Timestamp | None = None
    found = {}
    for moment in some_moments(snapshot, 5, seed=11):
        known, start = known_at(snapshot.rows, moment), last and first_decision(last.to_pydatetime())
        warehouse = build(known, snapshot.reference, moment, within=warehouse, built_from=start)
        found |= {moment.isoformat(): leaks(snapshot.whole, warehouse, moment)}
        last = moment
    found = {moment: problems for moment, problems in found.items() if problems}
    assert not found, described(found)


# --- 2. mutants


def lag(model: str, sql: str) -> str:
    """Publication lag ignored: everything is known one day earlier than it was."""
    earlier = "(select * replace (knowledge_ts - interval 1 day as knowledge_ts) from {read})"
    return LAKE_READ.sub(lambda read: earlier.format(read=read[0]), sql)


def rank(model: str, sql: str) -> str:
    """Full-sample percentile: scores and the length of their history look at the whole series."""
    frame = r"rows between cast\(p\.rank_window as integer\) - 1 preceding and current row"
    every = "rows between unbounded preceding and unbounded following"
    return re.sub(frame, every, sql) if model == "int_component_scores" else sql


def vintage(model: str, sql: str) -> str:
    """Latest revision everywhere: each observation has its last value from when it was first known."""

    def last_value(read: re.Match[str]) -> str:
        series = f"partition by {', '.join(DATASETS[read[1]].key)}, source = 'drop'"
        return f"""(
            select * exclude (newness, first_known) replace (first_known as knowledge_ts)
            from (
                select
                    *,
                    row_number() over ({series} order by knowledge_ts desc, vintage_no desc) as newness,
                    min(knowledge_ts) over ({series}) as first_known
                from {read[0]}
            )
            where newness = 1
        )"""

    return LAKE_READ.sub(last_value, sql)


def lake_readers() -> set[str]:
    return {model.name for model in models() if model.reads_lake}


def scored() -> set[str]:
    return {"int_component_scores"}


@pytest.mark.parametrize(
    ("mutant", "changes"),
    [(None, set), (lag, lake_readers), (rank, scored), (vintage, lake_readers)],
    ids=["product", "lag", "rank", "vintage"],
)
def test_mutants_are_caught_on_their_dates(
    fixture: Snapshot, acceptance: Path, mutant: Mutation | None, changes: Callable[[], set[str]]
) -> None:
    """The unchanged product fails on no date."""
    known = json.loads((acceptance / "expected" / "expected.json").read_text())["truncation_invariance"]
    wanted = known["mutants_failing_dates"][mutant.__name__] if mutant else known["correct_pipeline_failing_dates"]
    changed = {model.name for model in models() if mutant and mutant(model.name, model.sql) != model.sql}
    assert changed == changes(), "the mutant does not change the SQL that it means to change"

    days = pd.read_csv(acceptance / "expected" / "B_mart_daily.csv")["as_of_date"]
    decisions = [pd.Timestamp(f"{day}T18:00:00Z") for day in days]  # London and UTC agree in the fixture's months
    only = needed_for("tightness_daily")
    with fixture.at(decisions[-1], mutant, only) as everything:

        def check(decision: pd.Timestamp) -> dict[str, list[str]]:
            row = f"as_of_ts = timestamptz '{decision.isoformat()}'"
            with fixture.then(decision, mutant, only) as then:
                was, is_now = (content(c, "marts.tightness_daily", row) for c in (then, again(everything)))
            assert len(was) == len(is_now) == 1
            return {"row": rows} if (rows := apart(was, is_now)) else {}

        caught = in_parallel(decisions, check)
    assert [moment[:10] for moment in caught] == wanted


# --- 3. poison

POISONED_AT: Final = ["2025-10-25T00:00:00Z", "2026-01-09T18:00:00Z", "2026-01-14T02:59:59Z", "2026-01-17T12:00:00Z"]
# Tables without a number of the lake: only dates of its rows are in them.
NO_NUMBERS: Final = {"marts.event_calendar"}


def poisoned(snapshot: Snapshot, moment: pd.Timestamp) -> Snapshot:
    """The snapshot in which every number known after a moment is absurd."""

    def poison(name: str, rows: pd.DataFrame) -> pd.DataFrame:
        late, spec = rows["knowledge_ts"] > moment, DATASETS[name]
        for column, about in columns_of(spec.model).items():
            if column not in spec.key and (kind := str(about["dtype"]).lower()).startswith(("int", "float")):
                rows.loc[late, column] = absurd(name, column) if kind.startswith("int") else 1e12
        return rows

    return snapshot.with_rows(poison)


def absurd(name: str, column: str) -> int:
    """The largest whole number that a column's rules allow."""
    checks = DATASETS[name].model.to_schema().columns[column].checks
    return min([10**12, *(check.statistics["max_value"] for check in checks if "max_value" in check.statistics)])


@dataclass(frozen=True)
class Poisoning:
    """A moment, and the builds at the end and at the moment, with and without absurd values after the moment."""

    clean: Snapshot
    moment: pd.Timestamp
    at_end: Connection
    at_moment: Connection
    clean_at_moment: Connection


@pytest.fixture(scope="module")
def poisonings(fixture: Snapshot, generated: Snapshot) -> list[Poisoning]:
    moments = [(fixture, pd.Timestamp(moment)) for moment in POISONED_AT]
    moments += [(generated, generated.end - pd.Timedelta(days=days)) for days in (20, 60)]

    def make(snapshot: Snapshot, moment: pd.Timestamp) -> Poisoning:
        other = poisoned(snapshot, moment)
        return Poisoning(snapshot, moment, other.whole, other.at(moment), snapshot.at(moment))

    with ThreadPoolExecutor(WORKERS) as pool:
        return list(pool.map(lambda given: make(*given), moments))


def published_names() -> list[str]:
    """Tables as the models' folders name them: known before anything is compiled."""
    folder = Path(__file__).parents[2] / "dbt" / "models"
    return sorted(f"{schema}.{path.stem}" for schema in PUBLISHED for path in (folder / schema).glob("*.sql"))


def test_every_table_is_poisoned() -> None:
    assert published_names() == sorted(published_tables())


@pytest.mark.parametrize("table", published_names())
def test_poison_is_not_seen_before_its_time(poisonings: list[Poisoning], table: str) -> None:
    rule = rule_of(table, poisonings[0].at_end.table(table).columns)
    seen, rows = False, 0
    for poisoning in poisonings:
        where = poisoning.moment.isoformat()
        clean, foul = (content(c, table) for c in (poisoning.clean_at_moment, poisoning.at_moment))
        assert apart(clean, foul, key_of(table)) == [], where
        clean, foul = (content(c, table, without=RUN_COLUMNS) for c in (poisoning.clean.whole, poisoning.at_end))
        rows += len(clean)
        seen |= apart(clean, foul) != []
        if rule in (Rule.DECIDED, Rule.KNOWN):
            before = until(table, poisoning.at_end.table(table).columns, poisoning.moment)
            [clean, foul] = [
                content(c, table, before, without=RUN_COLUMNS) for c in (poisoning.clean.whole, poisoning.at_end)
            ]
            assert apart(clean, foul, key_of(table)) == [], where
    assert rows, f"{table} is empty in both snapshots: give the generated market data for it"
    assert seen or rule is Rule.FIXED or table in NO_NUMBERS, f"no poison is ever seen in {table}: what is it made of?"


# --- 4. order and duplicates


def shuffled(name: str, rows: pd.DataFrame) -> pd.DataFrame:
    return rows.sample(frac=1, random_state=np.random.RandomState(len(rows)))


def doubled(name: str, rows: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([rows, shuffled(name, rows), rows.iloc[::2]])


@pytest.mark.parametrize("change", [shuffled, doubled])
def test_order_and_duplicates_of_rows_change_nothing(
    snapshot: Snapshot, change: Callable[[str, pd.DataFrame], pd.DataFrame]
) -> None:
    other = snapshot.with_rows(change)
    assert any(not table.equals(snapshot.rows[name]) for name, table in other.rows.items())
    assert differing(snapshot.whole, other.whole, [model.table for model in models()]) == {}


# --- 5. the second of a release


def test_a_release_is_seen_at_its_second(fixture: Snapshot, acceptance: Path) -> None:
    """With the decision time moved to the second of a release, the row uses exactly what was known at that second."""
    wanted = pd.read_csv(acceptance / "expected" / "D_exports_asof.csv")
    wanted = wanted.rename(columns={"latest_period": "exports_period_end", "score_3m": "score_exports_yoy_3m"})
    rows = []
    for moment in pd.to_datetime(wanted["as_of_ts"], utc=True):
        calendar = fixture.reference["trading_calendar"].to_pandas(date_as_object=False)
        day = calendar["calendar_date"] == moment.tz_localize(None).normalize()
        assert day.sum() == 1
        calendar.loc[day, "as_of_ts"] = moment
        calendar.loc[day, "is_business_day"] = True  # one revision is released on a Sunday
        deciding = replace(fixture, reference=fixture.reference | {"trading_calendar": with_dates(calendar)})
        with deciding.at(moment) as built:
            last = "as_of_ts = (select max(as_of_ts) from marts.tightness_daily)"
            rows.append(content(built, "marts.tightness_daily", last).to_pandas(date_as_object=False))
    assert differences(wanted.drop(columns="n_3m"), pd.concat(rows), ["as_of_ts"], TOLERANCE) == []


def with_dates(table: pd.DataFrame) -> pa.Table:
    """Midnights without a zone as dates, as the run writes reference tables."""
    dates = table.select_dtypes("datetime").columns
    return pa.Table.from_pandas(table.assign(**{name: table[name].dt.date for name in dates}), preserve_index=False)
