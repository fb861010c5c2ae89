"""`python -m benchmarks.scale`: many rows of power, and many daily runs, in temporary folders.

marts.power_daily from ten years of quarter hours of 45 zones, then of 450: the product's models, a plain DuckDB query
and (of 45 zones) a plain pandas script make the same table from the same lake, each in a process of its own. Then what
the lake has after 250 daily runs. Exit codes: 0 measured; 1 a program failed or a table differs.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.__main__ import NOW, Bench, Line, _machine
from benchmarks.measure import BenchmarkError

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
    others = {"sql": "plain DuckDB"} | ({"pandas": "plain pandas"} if zones <= ZONES[0] else {})
    for command, what in others.items():
        database = data / f"{command}.duckdb"
        tables = [str(data / "lake"), str(data / "warehouse" / "reference"), NOW, str(database)]
        cost, _ = bench.timed(f"{what}, {rows}", *POWER, command, *tables, data=data)
        if command == "sql":
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
    problems = list[str]()
    table = Table(title=f"At scale, as of {NOW}. {_machine()}", title_justify="left")
    for name in ("", "wall s", "CPU s", "peak MB"):
        table.add_column(name, justify="right" if name else "left", no_wrap=bool(name))
    table.add_column("")
    err = Console(stderr=True)
    with tempfile.TemporaryDirectory(prefix="tightness-scale-") as root, err.status("") as status:
        try:
            for line in measure(Bench(Path(root).resolve(), status), arguments.zones, arguments.days, problems):
                err.print(f"{line.what}: {line.cost.wall_s:.1f} s", highlight=False, markup=False)
                numbers = f"{line.cost.wall_s:.2f}", f"{line.cost.cpu_s:.2f}", f"{line.cost.peak_mb:.0f}"
                table.add_row(line.what, *numbers, line.note)
        except BenchmarkError as error:
            problems.append(str(error))
    Console(width=None if sys.stdout.isatty() else 160).print(table)
    for problem in problems:
        err.print(problem, style="red", markup=False, soft_wrap=True)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
