"""The lake after daily runs: `python -m benchmarks.year DAYS`, in the folders of the settings.

On each London business day up to the clock, at the time of the daily refresh, the months that are due are fetched from
the demo market and loaded, as the assets of a run do it, without Dagster, models and publication. Prints its cost and
what the lake has as JSON.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence

import numpy as np
import pandas as pd

from benchmarks.measure import own_cpu_s
from pipelines.common.calendar import business_days, months_between, release_instants
from pipelines.datasets import FEEDS
from pipelines.ingestion.extract import fetch
from pipelines.ingestion.failures import Failure
from pipelines.orchestration.automation.release_schedule import everything_due
from pipelines.workspace import Workspace


def main(days: int) -> int:
    """Load that many days. Exit code 1 when a request or a dataset failed."""
    begin, cpu = time.perf_counter(), own_cpu_s()
    last = np.datetime64(Workspace.open().now.replace(tzinfo=None), "D")
    dates = np.busday_offset(last, np.arange(1 - days, 1), roll="backward", busdaycal=business_days("LONDON"))
    failures = list[Failure]()
    for moment in release_instants(dates, "18:15", "Europe/London", "LONDON"):
        workspace = Workspace.open(now=moment.isoformat())
        due = everything_due(moment, workspace.reference["release_calendar"], workspace.scope)
        failures += load(workspace, months_between(*due.span))
    lake = workspace.lake
    files = {name: len(lake.present(name)) for name in FEEDS}
    found = {
        "files": sum(files.values()),
        "most": max(files.values()),
        "rows": sum(lake.extent(name)[0] for name in FEEDS),
        "mb": sum(path.stat().st_size for path in lake.root.rglob("*.parquet")) / 1e6,
    }
    sys.stderr.write("".join(f"{failure}\n" for failure in failures))
    sys.stdout.write(json.dumps({"wall_s": time.perf_counter() - begin, "cpu_s": own_cpu_s() - cpu} | found) + "\n")
    return 1 if failures else 0


def load(workspace: Workspace, months: Sequence[pd.Period]) -> list[Failure]:
    """Fetch and load these months. Returns what failed."""
    transport, failures = workspace.transport(), list[Failure]()
    assert transport is not None  # the demo has one
    for source in dict.fromkeys(source for feed in FEEDS.values() for source in feed.sources):
        failures += fetch(
            source,
            months,
            workspace.scope,
            transport,
            workspace.archive,
            workspace.now,
            quarantine=workspace.quarantine,
        ).failures
    ingestion = workspace.ingestion()
    for name, feed in FEEDS.items():
        dropped = workspace.dropped(name)[0] if feed.droppable else []
        failures += ingestion.run(name, months, dropped).failures
        workspace.lake.compact(name, workspace.lake.appended(name))  # as a build does it
    return failures


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
