"""The evaluation of the signals as assets: after the marts, once a week, apart from the daily refresh."""

from collections.abc import Iterator
from typing import Final

import dagster as dg

from pipelines.common.version import code_version
from pipelines.ingestion.progress import Progress
from pipelines.orchestration.assets.describe import COLUMNS, DERIVED, OWNER, ROWS, table_schema, tags
from pipelines.orchestration.assets.models import POOL
from pipelines.orchestration.assets.reference import reference_key
from pipelines.orchestration.resources import StepProgress, WorkspaceResource
from pipelines.warehouse.sql import read_rows
from schemas.evaluation import EVALUATION

GROUP: Final = "evaluation"
INPUTS: Final = ("staging/stg_prices", "staging/stg_stocks", "marts/tightness_daily", "signals/signals")


@dg.multi_asset(
    name="evaluation",
    specs=[
        dg.AssetSpec(
            [mart.schema, name],
            deps=[dg.AssetKey(table.split("/")) for table in INPUTS] + [reference_key("evaluation_plan")],
            group_name=GROUP,
            owners=[OWNER],
            kinds={"python", "duckdb"},
            tags=tags(DERIVED, "RESTRICTED", mart.cadence),
            description=f"{mart.title}. One row for each {', '.join(mart.key)}.",
            metadata={COLUMNS: table_schema(mart.model)},
        )
        for name, mart in EVALUATION.items()
    ],
    check_specs=[
        dg.AssetCheckSpec(
            f"{name}_follows_schema",
            asset=[mart.schema, name],
            description="The key identifies one row, and every value follows the rules of its schema.",
        )
        for name, mart in EVALUATION.items()
    ],
    pool=POOL,
)
def evaluation(
    context: dg.AssetExecutionContext, workspace: WorkspaceResource, progress: dg.ResourceParam[StepProgress]
) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
    """Evaluate the plan, unless nothing that it rests on has changed since the last evaluation."""
    from pipelines.evaluation.run import run

    opened = workspace.open()
    step = context.op_handle.name

    def report(done: int, total: int) -> None:
        progress(step, Progress(done, total, "families of tests"))

    if not opened.paths.warehouse.is_file():
        raise dg.Failure("nothing is built yet: run `tightness run` first", allow_retries=False)
    with opened.writing():
        made = run(
            opened.paths.warehouse, opened.paths.evaluation, opened.reference["evaluation_plan"], code_version(), report
        )
    for name, mart in EVALUATION.items():
        [row] = read_rows(opened.paths.warehouse, f"select count(*) as n from {mart.schema}.{name}")
        yield dg.MaterializeResult(asset_key=[mart.schema, name], metadata={ROWS: row["n"], "unchanged": not made})
        # Rows that break their schema are never written: the step fails with the first of them.
        yield dg.AssetCheckResult(asset_key=[mart.schema, name], check_name=f"{name}_follows_schema", passed=True)
