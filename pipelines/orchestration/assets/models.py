"""The dbt models as Dagster assets, built by one dbt call a run, in this process."""

import hashlib
import logging
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import asdict, replace
from datetime import date
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import dagster as dg

from pipelines.common.calendar import calendar_end
from pipelines.common.settings import Settings
from pipelines.common.version import code_version
from pipelines.orchestration.assets.describe import COLUMNS, KNOWN, LINEAGE, OWNER, ROWS, model_tags, moment
from pipelines.orchestration.assets.lake import lake_key
from pipelines.orchestration.assets.reference import reference_key
from pipelines.orchestration.resources import WorkspaceResource
from pipelines.publish.manifest import database_file, packages, read_manifest
from pipelines.warehouse import dbt
from pipelines.warehouse.sql import opened
from schemas.datasets import DATASETS

if TYPE_CHECKING:
    from pipelines.workspace import Workspace

LOG = logging.getLogger(__name__)
POOL = "duckdb_writer"
UNIQUE_ID = "dagster_dbt/unique_id"  # in the metadata of models and tests, where Dagster's own integration puts it
UNDESCRIBED = {"intermediate", "metrics"}  # database schemas whose columns no pandera model describes


def model_assets(after_build: Callable[[Settings], None]) -> dg.AssetsDefinition:
    """Every model and its tests as assets and checks; `after_build` is called under the writer's lock."""
    manifest = dbt.manifest()
    specs, check_specs = _specs(manifest)

    # Not `@dbt_assets`: every process that loads the definitions would import dbt, which takes half as long again.
    @dg.multi_asset(
        name="models",
        specs=specs,
        check_specs=check_specs,
        can_subset=True,
        pool=POOL,
        allow_arbitrary_check_specs=True,
    )
    def models(context: dg.AssetExecutionContext, workspace: WorkspaceResource) -> Iterator[Any]:
        open_workspace = workspace.open()
        every = {spec.key for spec in models.specs}
        chosen = context.selected_asset_keys
        tests = {key.name for key in context.selected_asset_check_keys}
        # With the models above them, whose tables may hold some decision times only. A check may be executed alone.
        names = {f"+{key.path[-1]}" for key in chosen} or tests
        select = [] if chosen == every else selected(names)
        if not any(open_workspace.lake.has_files(name) for name in DATASETS):
            raise dg.Failure(
                f"the lake is empty: profile {open_workspace.settings.profile} has loaded no data, so there is nothing "
                "to build or publish. Drop files, or choose another TIGHTNESS_PROFILE",
                allow_retries=False,
            )
        with open_workspace.writing():
            result = build(open_workspace, context.run.run_id, select, is_check=not chosen, log=context.log)
            tables = table_metadata(open_workspace, manifest)
            for name, charts in draw_plots(open_workspace, context.log).items():
                tables[name] |= charts
            after_build(open_workspace.settings)
            open_workspace.keep_reference()
        yield from _results(context, manifest, result, tables)
        if result.failed:
            raise dg.Failure(
                "; ".join(f"{node.unique_id}: {node.message}" for node in result.failed[:5])
                + ". Nothing is published, the last release stays",
                allow_retries=False,
            )

    return models


def _specs(manifest: Mapping[str, Any]) -> tuple[list[dg.AssetSpec], list[dg.AssetCheckSpec]]:
    """The assets and checks of a manifest, as `dbt_assets` would make them: tables and views, and tests of one each."""
    nodes: Mapping[str, Any] = manifest["nodes"]
    tags = model_tags(manifest)
    models = [unique_id for unique_id, node in nodes.items() if node["resource_type"] == "model"]
    tests = [(child, parent) for parent in models for child in manifest["child_map"][parent] if child in nodes]
    return (
        [_spec(manifest, unique_id, tags[unique_id]) for unique_id in models],
        [
            _check_spec(manifest, test, parent)
            for test, parent in tests
            if nodes[test]["resource_type"] == "test" and nodes[test]["depends_on"]["nodes"] == [parent]
        ],
    )


def _spec(manifest: Mapping[str, Any], unique_id: str, tags: Mapping[str, str]) -> dg.AssetSpec:
    """A model as in SQL (marts/tightness_daily)."""
    node = manifest["nodes"][unique_id]
    columns = [
        dg.TableColumn(name, column["data_type"] or "?", column["description"])
        for name, column in node["columns"].items()
    ]
    return dg.AssetSpec(
        _key(manifest, unique_id),
        deps=[_key(manifest, parent) for parent in dict.fromkeys(_parents(manifest, unique_id))],
        description=node["description"],
        metadata={
            UNIQUE_ID: unique_id,
            "dagster-dbt/materialization_type": node["config"]["materialized"],
            "dagster/table_name": ".".join((node["database"], node["schema"], node["alias"])),
            "dagster/storage_kind": "duckdb",
            **({COLUMNS: dg.TableSchema(columns)} if columns else {}),
        },
        skippable=True,
        group_name=node["schema"],
        code_version=hashlib.sha1(node["raw_code"].encode()).hexdigest(),
        owners=[OWNER],
        tags=tags,
        kinds={"dbt", "duckdb"},
    )


def _check_spec(manifest: Mapping[str, Any], unique_id: str, model: str) -> dg.AssetCheckSpec:
    node = manifest["nodes"][unique_id]
    return dg.AssetCheckSpec(
        node["name"],
        asset=_key(manifest, model),
        description=node["description"],
        metadata={UNIQUE_ID: unique_id},
        blocking=node["config"]["severity"].lower() == "error",
    )


def _key(manifest: Mapping[str, Any], unique_id: str) -> dg.AssetKey:
    """Key of a model or of a dbt source, which is the asset that writes it."""
    if unique_id in manifest["nodes"]:
        node = manifest["nodes"][unique_id]
        return dg.AssetKey([node["schema"], node["name"]])
    source = manifest["sources"][unique_id]
    return lake_key(source["name"]) if source["source_name"] == "lake" else reference_key(source["name"])


def _parents(manifest: Mapping[str, Any], unique_id: str) -> Iterator[str]:
    """The tables and sources that a node reads, also those that it reads through models that are not stored."""
    for parent in manifest["nodes"][unique_id]["depends_on"]["nodes"]:
        if parent in manifest["nodes"] and _is_ephemeral(manifest["nodes"][parent]):
            yield from _parents(manifest, parent)
        else:
            yield parent


def _is_ephemeral(node: Mapping[str, Any]) -> bool:
    return bool(node["config"]["materialized"] == "ephemeral")


def selected(names: Collection[str]) -> list[str]:
    """The arguments of dbt for some models and tests; none for everything.

    A test that also reads other models is left out: their tables may lack the newest decision times.
    """
    return ["--indirect-selection", "cautious", "--select", *sorted(names)] if names else []


def build(
    workspace: "Workspace",
    run_id: str,
    select: list[str],
    first_day: date = dbt.CALENDAR_START,
    is_check: bool = False,
    log: logging.Logger = LOG,
) -> dbt.BuildResult:
    """Build the models as of the workspace's clock, or keep them where their inputs are unchanged.

    Rows of decision times before the first one with other inputs are kept too (docs/adr/0026). The caller holds the
    writer lock. `select`: selection arguments for dbt; none for everything. `first_day`: of the trading calendar.
    `is_check`: only tests are selected, and examine all rows in place of those that the build makes.
    Raises `LakeDamageError`.
    """
    from pipelines.warehouse import build_cache, signal_log
    from pipelines.warehouse.damage import database_damage

    for one in workspace.check_lake():
        log.warning(f"repaired from the archive: {one}")
    now = workspace.build_clock.advance()
    lake = workspace.lake  # every dataset has a schema file there
    paths = workspace.paths
    engine = workspace.settings.engine
    code = [dbt.project_fingerprint(), code_version(), str(packages()), str(workspace.scope), str(first_day), engine]
    this = build_cache.Record(
        code=build_cache.fingerprint(*code),
        as_of=now.isoformat(),
        reference=workspace.reference.sha256,
        files={name: lake.appended(name) for name in DATASETS},
        nodes=[],
        build_id=uuid4().hex,
    )
    last = build_cache.load(paths.build_record)
    current = paths.database
    is_lost = not current.is_file() or database_damage(current)
    if is_lost and (manifest := read_manifest(paths.manifest)):
        current = (
            current.parent / "releases" / manifest["release_id"] / database_file(manifest)
        )  # the publication restores it
    if damage := database_damage(paths.warehouse):
        log.warning(f"the warehouse is damaged and is built again from the lake and the last release: {damage}")
        paths.warehouse.unlink()
        paths.warehouse.with_name(f"{paths.warehouse.name}.wal").unlink(missing_ok=True)
    if last is not None and not build_cache.is_of(last, paths.warehouse):
        last = None
    if (unpublished := signal_log.first_unpublished(paths.warehouse, current, now)) is not None:
        last = build_cache.begin(paths.build_record, last, unpublished, this.build_id)
        build_cache.mark(paths.warehouse, this.build_id)
        signal_log.delete_unpublished(paths.warehouse, current, now)
    if signal_log.is_behind(paths.warehouse, current):
        last = build_cache.begin(paths.build_record, last, build_cache.EVERYTHING, this.build_id)
        signal_log.restore(paths.warehouse, current)
    moment = build_cache.changed_from(last, this, lake, workspace.reference.tables, paths.reference_copies)
    if last is not None and not select and build_cache.is_same(last, this, moment):
        return last.result()
    build_cache.begin(paths.build_record, last, moment, this.build_id)
    build_cache.mark(paths.warehouse, this.build_id)
    signal_log.add_columns(paths.warehouse)
    dbt.write_reference(workspace.reference, paths.reference_copies, calendar_end(now).date(), first_day)
    on_cluster = engine == "spark" and not select  # the tables that a selection reads are in the warehouse
    is_whole = is_check or on_cluster or moment == build_cache.EVERYTHING
    variables = dbt.run_vars(
        warehouse=paths.warehouse,
        lake=lake.root,
        reference=paths.reference_copies,
        as_of=now,
        run_id=run_id,
        code_version=code_version(),
        built_from=None if is_whole else build_cache.first_decision(moment),
    )
    if on_cluster:
        from pipelines.warehouse import spark

        result = spark.build(workspace.settings.spark_remote, variables, paths.spark)
    else:
        result = dbt.build(variables, select)
    if not select and not result.failed:
        build_cache.save(paths.build_record, replace(this, nodes=[asdict(node) for node in result.nodes]))
        for name, files in this.files.items():
            lake.compact(name, files)
    return result


def table_metadata(workspace: "Workspace", manifest: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Metadata of every table in the private warehouse, by schema.table.

    Rows, knowledge time and lineage; columns of intermediate tables, which have no schema of their own.
    """
    from pipelines.warehouse import lineage

    with opened(workspace.paths.warehouse) as connection:
        columns: dict[str, dict[str, str]] = {}
        for schema, table, column, data_type in connection.execute(
            "select schema_name, table_name, column_name, data_type from duckdb_columns() "
            "where not internal order by schema_name, table_name, column_index"
        ).fetchall():
            columns.setdefault(f"{schema}.{table}", {})[column] = data_type
        facts = connection.execute(" union all ".join(map(_facts_query, columns, columns.values()))).fetchall()
    upstream = lineage.warehouse_lineage(manifest, workspace.paths.warehouse, columns)
    known_columns = _known_columns(manifest)
    return {
        name: {
            ROWS: rows,
            **({KNOWN: moment(known)} if known else {}),
            **({COLUMNS: _table_schema(columns[name], known_columns)} if name.split(".")[0] in UNDESCRIBED else {}),
            **(_column_lineage(upstream[name]) if upstream.get(name) else {}),
        }
        for name, rows, known in facts
    }


def draw_plots(workspace: "Workspace", log: logging.Logger) -> dict[str, dict[str, dg.MetadataValue[Any]]]:
    """The plots by table."""
    from pipelines.publish import plots

    found: dict[str, dict[str, dg.MetadataValue[Any]]] = {}
    with opened(workspace.paths.warehouse) as connection:
        for plot in plots.PLOTS:
            try:
                for metal, rows in plots.read(connection, plot).items():
                    image = plots.svg(plot, rows, metal, synthetic=workspace.settings.synthetic)
                    shown = f"![{metal}: {plot.title}]({plots.data_url(image)})"
                    found.setdefault(plot.table, {})[f"plot {metal}"] = dg.MetadataValue.md(shown)
            except Exception as error:  # of any type: a plot must not fail the build
                log.warning(f"no plot of {plot.table}: {error}")
    return found


def _facts_query(name: str, columns: Mapping[str, str]) -> str:
    """Query for the number of rows of a table and the latest knowledge time among them."""
    known = next((column for column in ("knowledge_ts_max", "knowledge_ts", "known_from") if column in columns), None)
    table = ".".join(f'"{part}"' for part in name.split("."))
    return f"select '{name}', count(*), {f'max({known})' if known else 'null::timestamptz'} from {table}"


def _known_columns(manifest: Mapping[str, Any]) -> dict[str, str]:
    """Descriptions of the models' columns; a column with the same name is the same quantity in every table."""
    return {
        name: column["description"]
        for node in manifest["nodes"].values()
        if node["resource_type"] == "model"
        for name, column in node["columns"].items()
    }


def _table_schema(columns: Mapping[str, str], descriptions: Mapping[str, str]) -> dg.TableSchema:
    return dg.TableSchema(
        columns=[
            dg.TableColumn(name, data_type.lower(), description=descriptions.get(name))
            for name, data_type in columns.items()
        ]
    )


def _column_lineage(upstream: Mapping[str, list[list[str]]]) -> dict[str, Any]:
    """Column lineage as metadata, and as a table: the open-source UI does not show the former."""
    rows = [f"| `{to}` | {', '.join(f'`{table}.{source}`' for table, source in upstream[to])} |" for to in upstream]
    return {
        LINEAGE: dg.TableColumnLineage(
            {
                column: [dg.TableColumnDep(dg.AssetKey(table.split(".")), source) for table, source in sources]
                for column, sources in upstream.items()
            }
        ),
        "upstream columns": dg.MetadataValue.md("\n".join(["| column | computed from |", "|---|---|", *rows])),
    }


def _results(
    context: dg.AssetExecutionContext,
    manifest: Mapping[str, Any],
    result: dbt.BuildResult,
    tables: Mapping[str, Mapping[str, Any]],
) -> Iterator[Any]:
    checks = {str(spec.metadata[UNIQUE_ID]): spec.key for spec in context.assets_def.check_specs}
    for node in result.nodes:
        if node.unique_id in checks:
            check = checks[node.unique_id]
            config = manifest["nodes"][node.unique_id]["config"]
            severity = "WARN" if str(config.get("severity", "error")).lower() == "warn" else "ERROR"
            if check in context.selected_asset_check_keys:
                yield dg.AssetCheckResult(
                    asset_key=check.asset_key,
                    check_name=check.name,
                    passed=node.status == "pass",
                    severity=dg.AssetCheckSeverity[severity],
                    description=f"{node.failures:,} failing rows" if node.status != "pass" else "No row fails",
                    metadata={"failing rows": node.failures, **({"message": node.message} if node.message else {})},
                )
        elif node.status == "success":
            properties = manifest["nodes"][node.unique_id]
            name = f"{properties['schema']}.{properties['name']}"
            key = dg.AssetKey(name.split("."))
            if key in context.selected_asset_keys:
                yield dg.MaterializeResult(
                    asset_key=key, metadata={**tables.get(name, {}), "seconds": round(node.seconds, 3)}
                )
