"""`python -m benchmarks.scale`: marts.power_daily from ten years of quarter hours of 45 zones, then of 450.

The product's models, a plain DuckDB query and (of 45 zones) a plain pandas script make the same table from the same
lake, each in a process of its own, in temporary folders. Exit codes: 0 measured; 1 a program failed or a table differs.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.__main__ import NOW, Bench, Line, _machine
from benchmarks.measure import BenchmarkError

ZONES = (45, 450)
POWER = "-m", "benchmarks.power"
ONLY_POWER = "--select", "+power_daily", "--indirect-selection", "cautious"


def measure(bench: Bench, zones: int, problems: list[str]) -> Iterator[Line]:
    """The product against the other programs on a lake of that many zones. Raises `BenchmarkError`."""
    data = bench.root / f"{zones}"
    made, about = bench.timed(f"generate {zones} zones", *POWER, "generate", f"{zones}", data=data)
    rows = f"{about['rows'] / 1e6:.1f} M rows"
    size_mb = sum(path.stat().st_size for path in (data / "lake").rglob("*.parquet")) / 1e6
    yield Line(f"generate {rows}", made, f"{zones} zones, {size_mb:.0f} MB of Parquet")

    product, _ = bench.timed(f"dbt, {rows}", "-m", "benchmarks.models", *ONLY_POWER, data=data)
    others = {"sql": "plain DuckDB"} | ({"pandas": "plain pandas"} if zones == ZONES[0] else {})
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
    parser.add_argument("--zones", type=int, nargs="+", default=ZONES, help="numbers of zones, by default 45 and 450")
    problems = list[str]()
    table = Table(title=f"At scale, as of {NOW}. {_machine()}", title_justify="left")
    for name in ("", "wall s", "CPU s", "peak MB"):
        table.add_column(name, justify="right" if name else "left", no_wrap=bool(name))
    table.add_column("")
    err = Console(stderr=True)
    zones = parser.parse_args().zones
    with tempfile.TemporaryDirectory(prefix="tightness-scale-") as root, err.status("") as status:
        try:
            for number in zones:
                for line in measure(Bench(Path(root).resolve(), status), number, problems):
                    err.print(f"{line.what}: {line.cost.wall_s:.1f} s", highlight=False, markup=False)
                    cost = line.cost
                    table.add_row(
                        line.what, f"{cost.wall_s:.2f}", f"{cost.cpu_s:.2f}", f"{cost.peak_mb:.0f}", line.note
                    )
        except BenchmarkError as error:
            problems.append(str(error))
    Console(width=None if sys.stdout.isatty() else 160).print(table)
    for problem in problems:
        err.print(problem, style="red", markup=False, soft_wrap=True)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
