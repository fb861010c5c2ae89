"""What a day costs with more metals and with less history, and what runs leave behind."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.measure import Cost

if TYPE_CHECKING:
    from benchmarks.bench import Bench

SIX = "AL,CU,ZN,NI,PB,SN"


def days_later(bench: Bench, day: Cost, refreshed: Sequence[str], next_day: str) -> Iterator[tuple[str, Cost, str]]:
    """The refresh of one day after the full run of six metals, and after a run since 2023; `day`: of one since 2008.

    `refreshed`: first and last month. Yields what was measured, its cost and a note. Raises `BenchmarkError`.
    """
    months = ["--from", refreshed[0], "--to", refreshed[1]]
    for what, metals, first in [("six metals", SIX, "2008-01"), ("history since 2023", "", "2023-01")]:
        other = replace(bench, root=bench.root / what.replace(" ", "-"), metals=metals)
        other.root.mkdir()
        full, _ = other.tightness_run(f"full run, {what}", "--from", first)
        yield f"full run, {what}", full, ""
        later, _ = other.tightness_run(f"one business day later, {what}", *months, now=next_day)
        ratio = later.cpu_s / day.cpu_s if metals else day.cpu_s / later.cpu_s
        sides = "of one metal's CPU time" if metals else "is that since 2008 of this, in CPU time"
        yield f"one business day later, {what}", later, f"{ratio:.2f} {sides}"


def left_behind(data: Path, instance: Path) -> tuple[int, float]:
    """Number of files of the lake, and size of Dagster's own history in MB (10^6 bytes)."""
    files = [path for path in (data / "lake").rglob("*.parquet") if path.parent.name != "_schema"]
    return len(files), sum(path.stat().st_size for path in instance.rglob("*") if path.is_file()) / 1e6
