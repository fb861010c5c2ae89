"""Build the models once, as a run does, in the folders of the settings, and print the cost as JSON.

`python -m benchmarks.models [selection arguments of dbt]`. Imports are not part of the cost.
"""

from __future__ import annotations

import json
import sys
import time

from benchmarks.measure import own_cpu_s
from pipelines.orchestration.assets.models import build
from pipelines.workspace import Workspace


def main(select: list[str]) -> int:
    """Exit code 1 when a model or test failed, each named on standard error."""
    workspace = Workspace.open()
    begin, cpu = time.perf_counter(), own_cpu_s()
    with workspace.writing():
        result = build(workspace, "benchmark", select)
    spent = {"wall_s": time.perf_counter() - begin, "cpu_s": own_cpu_s() - cpu, "nodes": len(result.nodes)}
    for node in result.failed:
        sys.stderr.write(f"{node.unique_id}: {node.message}\n")
    sys.stdout.write(json.dumps(spent) + "\n")
    return 1 if result.failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
