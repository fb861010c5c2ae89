"""Reference tables as assets: facts and assumptions, validated before anything is fetched or built."""

from collections.abc import Iterator

import dagster as dg

from pipelines.orchestration.assets.describe import COLUMNS, OWNER, ROWS, reference_tags, table_schema
from pipelines.orchestration.resources import WorkspaceResource
from schemas.reference import REFERENCE_TABLES


def reference_key(table: str) -> dg.AssetKey:
    """Key of a reference table."""
    return dg.AssetKey(["reference", table])


@dg.multi_asset(
    name="reference_tables",
    specs=[
        dg.AssetSpec(
            reference_key(name),
            group_name="raw",
            owners=[OWNER],
            kinds={"csv", "pandera"} if name != "trading_calendar" else {"python"},
            tags=reference_tags(name),
            description=(model.__doc__ or name).strip(),
            metadata={COLUMNS: table_schema(model)},
        )
        for name, model in REFERENCE_TABLES.items()
    ],
)
def reference_tables(workspace: WorkspaceResource) -> Iterator[dg.MaterializeResult]:
    """Validate the reference folder. The models copy it under the writer lock."""
    reference = workspace.open().reference
    for name in REFERENCE_TABLES:
        rows = {ROWS: len(reference[name])} if name in reference.tables else {}
        yield dg.MaterializeResult(asset_key=reference_key(name), metadata=rows)
