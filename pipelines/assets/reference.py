"""Reference tables as assets: facts and assumptions, validated before anything is asked or built with them."""

from collections.abc import Iterator

import dagster as dg

from pipelines.assets.resources import WorkspaceResource
from schemas.dbt_yaml import TRADING_CALENDAR
from schemas.reference import REFERENCE

OWNER = "team:data-engineering"
REFERENCE_TABLES = {name: (model.__doc__ or name).strip() for name, model in REFERENCE.items()} | {
    "trading_calendar": TRADING_CALENDAR
}


def reference_key(table: str) -> dg.AssetKey:
    """Key of a reference table."""
    return dg.AssetKey(["reference", table])


@dg.multi_asset(
    name="reference_tables",
    specs=[
        dg.AssetSpec(
            reference_key(name), group_name="raw", owners=[OWNER], kinds={"csv", "pandera"}, description=description
        )
        for name, description in REFERENCE_TABLES.items()
    ],
)
def reference_tables(workspace: WorkspaceResource) -> Iterator[dg.MaterializeResult]:
    """Validates the reference folder. The models' run takes its own copy under the writer's lock."""
    reference = workspace.open().reference
    for name in REFERENCE_TABLES:
        rows = {"dagster/row_count": len(reference[name])} if name in reference.tables else {}
        yield dg.MaterializeResult(asset_key=reference_key(name), metadata=rows)
