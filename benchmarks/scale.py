"""`python -m benchmarks.scale`: many rows of power, and many daily runs, in temporary folders.

marts.power_daily from ten years of quarter hours of 45 zones, then of 450: the product's models, a plain DuckDB query
and (of 45 zones) a plain pandas script make the same table from the same lake, each in a process of its own. Then what
the lake has after 250 daily runs. Exit codes: 0 measured; 1 a program failed or a table differs.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Iterator, Sequence

from benchmarks.bench import NOW, Bench, Line, benchmark, cost_table, machine, show, show_progress

ZONES, DAYS = (45, 450), 250
POWER = "-m", "benchmarks.power"
ONLY_POWER = "--select", "+power_daily", "--indirect-selection", "cautious"


def measure(bench: Bench, zones: Sequence[int], days: int, problems: list[str]) -> Iterator[Line]:
    """Every measurement in turn; differences are added to `problems`. Raises `BenchmarkError`."""
    for number in zones:
        yield from _power(bench, number, problems)
    if days:
        cost, found = bench.timed(f"{days} daily runs", "-m", "benchmarks.year", f"{days}")
        note = "{files} lake files, at most {most} of a dataset, with {rows} rows in {mb:.0f} MB".format(**found)
        yield Line(f"fetch and load on {days} business days", cost, note)


def _power(bench: Bench, zones: int, problems: list[str]) -> Iterator[Line]:
    data = bench.root / f"{zones}"
    made, about = bench.timed(f"generate {zones} zones", *POWER, "generate", f"{zones}", data=data)
    rows = f"{about['rows'] / 1e6:.1f} M rows"
    size_mb = sum(path.stat().st_size for path in (data / "lake").rglob("*.parquet")) / 1e6
    yield Line(f"generate {rows}", made, f"{zones} zones, {size_mb:.0f} MB of Parquet")

    product, _ = bench.timed(f"dbt, {rows}", "-m", "benchmarks.models", *ONLY_POWER, data=data)
    one_query = {"sql": "plain DuckDB", "pandas": "plain pandas"}
    others = one_query if zones <= ZONES[0] else {"sql_by_year": "plain DuckDB, year by year"}
    for command, what in others.items():
        database = data / f"{command}.duckdb"
        tables = [str(data / "lake"), str(data / "warehouse" / "reference"), NOW, str(database)]
        cost, _ = bench.timed(f"{what}, {rows}", *POWER, command, *tables, data=data)
        if command.startswith("sql"):
            ratio = f"{product.cpu_s / cost.cpu_s:.2f} of the CPU time of plain DuckDB"
            yield Line(f"power_daily from {rows}: dbt, +power_daily", product, ratio)
        warehouse = data / "warehouse" / "warehouse.duckdb"
        _, found = bench.timed("compare", *POWER, "compare", str(warehouse), str(database), data=data)
        problems += [f"power_daily from {rows}, {what}: {problem}" for problem in found["differences"]]
        equal = "DIFFERS, see below" if found["differences"] else f"{found['rows']} rows equal to dbt's"
        yield Line(f"power_daily from {rows}: {what}", cost, equal)
    shutil.rmtree(data)


def main() -> int:
    """Measure and print; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument("--zones", type=int, nargs="*", default=ZONES, help="numbers of zones, by default 45 and 450")
    parser.add_argument("--days", type=int, default=DAYS, help=f"number of daily runs, by default {DAYS}")
    arguments = parser.parse_args()
    about, lines, problems = machine(), list[Line](), list[str]()
    with benchmark("tightness-scale-", problems) as bench:
        for line in measure(bench, arguments.zones, arguments.days, problems):
            lines.append(line)
            show_progress(line)
    show(problems, cost_table(f"At scale, as of {NOW}. {about}", lines))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
