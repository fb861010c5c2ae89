"""`python -m benchmarks`: time and memory of runs on this machine, in temporary folders.

Exit codes: 0 measured; 1 a measured program failed, a table differs from the one of `limit/*.sql`, or a second run on
the same input published other rows.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from rich.table import Table

from benchmarks.bench import NOW, PROJECT, Bench, Line, benchmark, cost_table, inherited, machine, show, show_progress
from benchmarks.history import days_later, left_behind
from benchmarks.measure import median, run

NEXT_DAY = "2026-11-23T20:00:00Z"  # the business day after `NOW`
REFRESHED = ("2026-10", "2026-11")
TIMES = 3
IMPORTS = "import dagster, dagster_dbt"
DEFINITIONS = (
    "from pipelines.orchestration.definitions import build_defs; from pipelines.common.settings import load_settings; "
    "build_defs(load_settings()).get_repository_def()"
)
TIGHTNESS = "tightness_daily"
# Cautious: a test that also reads a model that is not selected is left out.
ONLY_TIGHTNESS = ["--select", f"+{TIGHTNESS}", "--indirect-selection", "cautious"]


@dataclass(frozen=True)
class Target:
    """A figure of the product and the most that it may be. Times are CPU times as multiples of the bare imports."""

    what: str
    measured: float
    required: float
    unit: str = "imports"


def measure(bench: Bench, problems: list[str]) -> Iterator[Line | Target]:
    """Every measurement in turn, then the targets; differences are added to `problems`. Raises `BenchmarkError`."""
    # Parse the models where one is newer than the manifest: parsing is not part of the measurement.
    run([sys.executable, "-c", "from pipelines.warehouse.dbt import manifest; manifest()"], inherited(), PROJECT)

    full, first = bench.tightness_run("full run")
    files, history = left_behind(bench.data, bench.instance)
    left = f"{files} lake files, {history:.1f} MB of Dagster's history"
    yield Line("full run, 2008 to now, fresh folders", full, f"{_rows(first)}; {left}")

    again, second = bench.tightness_run("the same again")
    changed = _changed(first, second)
    yield Line(
        "the same again",
        again,
        f"{again.wall_s / full.wall_s:.2f} of the full run; "
        + (f"CHANGED: {', '.join(changed)}" if changed else "no published row changed"),
    )
    if changed:
        problems.append(f"a run on unchanged input published other rows in {', '.join(changed)}")

    models = list(_models(bench, problems))
    yield from models

    months = ["--from", REFRESHED[0], "--to", REFRESHED[1]]
    before = left_behind(bench.data, bench.instance)
    day, third = bench.tightness_run("one business day later", *months, now=NEXT_DAY)
    after = left_behind(bench.data, bench.instance)
    left = f"{after[0] - before[0]} lake files and {after[1] - before[1]:.1f} MB of history more"
    yield Line(f"one business day later, {REFRESHED[0]} to {REFRESHED[1]}", day, f"{_difference(third)}; {left}")
    others = [Line(*line) for line in days_later(bench, day, REFRESHED, NEXT_DAY)]
    yield from others

    bare = median([bench.python(f"imports {n + 1} of {TIMES}", "-c", IMPORTS)[0] for n in range(TIMES)])
    yield Line(f"{IMPORTS} (median of {TIMES})", bare)
    loaded = median([bench.python(f"definitions {n + 1} of {TIMES}", "-c", DEFINITIONS)[0] for n in range(TIMES)])
    yield Line(f"the definitions (median of {TIMES})", loaded)

    six, short = (line.cost.cpu_s for line in others if line.what.startswith("one business day later"))
    for what, cost, most in [
        ("full run since 2008, all assets", full, 11), ("the same again", again, 3),
        ("one business day later", day, 4.5), ("the whole dbt build", models[0].cost, 2.5),
        ("definitions", loaded, 1.3),
    ]:  # fmt: skip
        yield Target(what, cost.cpu_s / bare.cpu_s, most)
    yield Target("one day later, six metals' history against one metal's", six / day.cpu_s, 1.5, "times")
    yield Target("one day later, history since 2008 against since 2023", day.cpu_s / short, 1.2, "times")
    yield Target("peak memory of the full run", full.peak_mb, 700, "MB")
    yield Target("lake files after a full run", files, 150, "files")
    yield Target("Dagster's history after a full run", history, 12, "MB")
    yield Target("Dagster's history of a daily run", after[1] - before[1], 1, "MB")


def _models(bench: Bench, problems: list[str]) -> Iterator[Line]:
    """dbt and the hand-written script on the same lake, in turn, so that other load affects both."""
    dbt, part, limit, nodes = [], [], [], [0, 0]
    for n in range(TIMES):
        turn = f"{n + 1} of {TIMES}"
        every, one = bench.fresh(f"all{n}"), bench.fresh(f"one{n}")
        cost, about = bench.timed(f"dbt, everything, {turn}", "-m", "benchmarks.models", data=every)
        dbt.append(cost)
        nodes[0] = about["nodes"]
        cost, about = bench.timed(f"dbt, +{TIGHTNESS}, {turn}", "-m", "benchmarks.models", *ONLY_TIGHTNESS, data=one)
        part.append(cost)
        nodes[1] = about["nodes"]
        tables = [str(bench.data / "lake"), str(every / "warehouse" / "reference"), NOW]
        made = bench.root / f"limit{n}.duckdb"
        cost, _ = bench.timed(f"limit/*.sql, {turn}", "-m", "benchmarks.limit", *tables, str(made))
        limit.append(cost)

    from benchmarks.limit import differences  # late: see measure.py

    rows, found = differences(every / "warehouse" / "warehouse.duckdb", made)
    problems += found
    best = min(cost.wall_s for cost in limit)
    for what, costs in [
        (f"dbt, {nodes[0]} models and tests", dbt),
        (f"dbt, {nodes[1]} of them: +{TIGHTNESS}", part),
        ("limit/*.sql: every table by hand", limit),
    ]:
        fastest = min(cost.wall_s for cost in costs)
        note = f"best {fastest:.2f} s" + (f", {fastest / best:.1f} of the limit's best" if costs is dbt else "")
        if costs is limit:
            note += "; DIFFERS, see below" if found else f"; {rows} rows equal to dbt's"
        yield Line(f"{what} (median of {TIMES})", median(costs), note)


def _changed(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Published tables whose content differs between the manifests."""
    old, new = (
        {name: table["content_sha256"] for name, table in manifest["tables"].items()} for manifest in (before, after)
    )
    return sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))


def _rows(manifest: dict[str, Any]) -> str:
    return f"{sum(table['rows'] for table in manifest['tables'].values())} rows in {len(manifest['tables'])} tables"


def _difference(manifest: dict[str, Any]) -> str:
    tables = (manifest["difference"] or {}).values()
    return ", ".join(f"{sum(table[kind] for table in tables)} rows {kind}" for kind in ("added", "changed", "removed"))


def main() -> int:
    """Measure and print; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    as_json = parser.parse_args().json
    about, lines, targets, problems = machine(), list[Line](), list[Target](), list[str]()
    with benchmark("tightness-bench-", problems) as bench:
        for line in measure(bench, problems):
            if isinstance(line, Target):
                targets.append(line)
            else:
                lines.append(line)
                show_progress(line)
    if as_json:
        found: dict[str, Any] = {"machine": about, "now": NOW, "problems": problems}
        found |= {"lines": [asdict(line) for line in lines], "targets": [asdict(target) for target in targets]}
        sys.stdout.write(json.dumps(found, indent=1) + "\n")
        show(problems)
    else:
        aims = Table(title="Targets; times are CPU times as multiples of the imports", title_justify="left")
        for name in ("", "measured", "at most", ""):
            aims.add_column(name, justify="right" if name else "left")
        for target in targets:
            missed = "" if target.measured <= target.required else "MISSED"
            aims.add_row(target.what, f"{target.measured:.2f}", f"{target.required:g} {target.unit}", missed)
        show(problems, cost_table(f"Demo market as of {NOW}. {about}", lines), aims)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
