"""The published vintages and the as-of macros: the lake as of a moment, and marts built with the clock at it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb
import pytest
from sandbox import Sandbox

from pipelines.common.calendar import trading_calendar
from pipelines.datasets import DROP
from pipelines.warehouse import dbt
from pipelines.warehouse.asof import BY_VINTAGE, LATEST_STATE
from schemas.datasets import DATASETS

DAYS = trading_calendar(date(2007, 1, 1), date(2026, 2, 1))
MARTS = (*BY_VINTAGE, *LATEST_STATE)


@pytest.fixture(scope="module")
def demo(demo_of_a_year: Sandbox) -> Iterator[duckdb.DuckDBPyConnection]:
    """The release of a year of the demo market."""
    with duckdb.connect(str(demo_of_a_year.database), read_only=True) as con:
        con.execute("set TimeZone = 'UTC'")
        yield con


def moments(con: duckdb.DuckDBPyConnection, dataset: str, n: int, seed: int) -> list[datetime]:
    """Random moments: any, those at which a vintage became known, and a microsecond before one."""
    chance = random.Random(f"{dataset}{seed}")
    times = [
        row[0].astimezone(UTC)
        for row in con.execute(f"select distinct known_from from vintages.{dataset} order by 1").fetchall()
    ]
    if not times:
        return [datetime(2026, 1, 1, tzinfo=UTC)] * n
    span = (times[-1] - times[0]).total_seconds() + 86400
    found = []
    for k in range(n):
        any_time = times[0] + timedelta(seconds=chance.uniform(-3600, span))
        found.append([any_time, chance.choice(times), chance.choice(times) - timedelta(microseconds=1)][k % 3])
    return found


def lake_and_vintages_agree(sandbox: Sandbox, con: duckdb.DuckDBPyConnection, n: int) -> int:
    """Compare every dataset at `n` moments. Returns the number of rows that were compared."""
    lake, compared = sandbox.open().lake, 0
    for name in DATASETS:
        types = {row[0]: row[1] for row in con.execute(f"describe vintages.{name}").fetchall()}
        columns = {column: kind for column, kind in types.items() if column not in ("known_to", "vintage_no")}
        ours, plain = ", ".join(columns), "known_from <= $1 and $1 < known_to"
        theirs = ", ".join(
            f"cast({'knowledge_ts' if column == 'known_from' else column} as {kind}) as {column}"
            for column, kind in columns.items()
        )
        for moment in moments(con, name, n, 1):
            then = lake.read(name, as_of=moment)
            then["is_suspect"] = then["is_suspect"].eq(True)
            if name == "stocks":  # publishers' rows have the day of the report, vintages the day of the close
                before = then["obs_date"].map(DAYS.set_index("calendar_date")["previous_business_day"])
                then["obs_date"] = then["obs_date"].where(then["source"] == DROP, before)
            con.register("lake_then", then)
            macro = f"select {ours} from vintages.{name}_asof('{moment.isoformat()}')"
            for one, other in (("macro", "lake"), ("lake", "macro")):
                parts = {"macro": macro, "lake": f"select {theirs} from lake_then"}
                differing = con.execute(f"{parts[one]} except all {parts[other]} limit 3").fetchall()
                assert differing == [], f"{name} as of {moment}: only in {one}"
            rows = con.execute(f"select count(*) from vintages.{name} where {plain}", [moment]).fetchall()
            assert rows == [(len(then),)], f"{name} as of {moment} in plain SQL"
            compared += len(then)
    return compared


@pytest.mark.slow
@pytest.mark.parametrize("n", [3, pytest.param(200, marks=pytest.mark.exhaustive)])
def test_vintages_of_a_moment_are_the_lake_as_of_it(
    demo_of_a_year: Sandbox, demo: duckdb.DuckDBPyConnection, n: int
) -> None:
    assert lake_and_vintages_agree(demo_of_a_year, demo, n) > 1000


@pytest.mark.slow
def test_a_dropped_month_overrides_from_the_time_it_was_known(drop_market: Sandbox) -> None:
    with duckdb.connect(str(drop_market.database), read_only=True) as con:
        con.execute("set TimeZone = 'UTC'")
        assert lake_and_vintages_agree(drop_market, con, 6) > 0


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.exhaustive) for seed in range(2, 8))])
def test_a_mart_as_of_a_moment_is_the_mart_built_then(
    demo_of_a_year: Sandbox, demo: duckdb.DuckDBPyConnection, tmp_path: Path, seed: int
) -> None:
    moment = moments(demo, ("prices", "exports", "power")[seed % 3], seed + 3, seed)[-1]
    paths = demo_of_a_year.open().paths
    built = dbt.build(
        dbt.run_vars(
            warehouse=tmp_path / "warehouse.duckdb", lake=paths.lake, reference=paths.reference_copies, as_of=moment,
            run_id="then", code_version="then",
        ),
        ["--select", *(f"+{mart}" for mart in MARTS), "--exclude-resource-type", "test"],
    )  # fmt: skip
    assert not built.failed
    demo.execute(f"attach '{tmp_path / 'warehouse.duckdb'}' as built (read_only)")
    rows = 0
    for mart in MARTS:
        macro = f"from marts.{mart}_asof('{moment.isoformat()}')"
        for one, other in ((macro, f"from built.marts.{mart}"), (f"from built.marts.{mart}", macro)):
            assert demo.execute(f"{one} except all {other} limit 3").fetchall() == [], f"{mart} as of {moment}"
        [(count,)] = demo.execute(f"select count(*) {macro}").fetchall()
        rows += count
    demo.execute("detach built")
    assert rows > 10


@pytest.mark.slow
def test_the_macros_of_an_attached_file_work_after_use(demo_of_a_year: Sandbox) -> None:
    with duckdb.connect() as con:
        con.execute(f"attach '{demo_of_a_year.database}' as t (read_only)")
        con.execute("use t")
        for name in (
            *(f"vintages.{name}" for name in DATASETS),
            *(f"marts.{name}" for name in MARTS),
            "signals.signals",
        ):
            con.execute(f"from {name}_asof(now())").fetchall()
