"""dbt in this process: one call a run, with the project as it was parsed and compiled at set-up.

A separate dbt command would spend most of its time starting, and to render the same SQL in each run takes as long as to
execute it.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, Literal

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.common.calendar import trading_calendar
from pipelines.common.files import write_atomically
from pipelines.common.settings import PROJECT
from pipelines.reference import ReferenceTables
from pipelines.warehouse.sql import plain_path

DBT_PROJECT = PROJECT / "dbt"
# Apart from target/, where dbt's own commands write: a manifest of theirs may name another database.
MANIFEST = DBT_PROJECT / "target" / "pipelines" / "manifest.json"
DOCS = MANIFEST.with_name("dbt_docs.html")  # dbt's own documentation on one page, made at set-up
WAREHOUSE = "warehouse.duckdb"  # the stem is the database of all relations in the manifest
RUN_VARS: Final = ("lake", "reference", "as_of", "run_id", "code_version", "built_from")  # in the SQL of the models
WHOLE: Final = "-infinity"  # `built_from` of a build of every decision time
ADAPTER_MACROS: Final = {"create_schema", "list_schemas", "list_relations_without_caching"}  # which dbt calls by name
COMPILED_FROM: Final = "compiled_from"  # in the metadata of a manifest: the hash of what it was made from
Target = Literal["duckdb", "spark"]  # of dbt/profiles.yml
NOT_BUILT: Final = ("--exclude-resource-type", "unit_test", "--exclude-resource-type", "exposure")
# dbt keeps adapters, connections and flags in globals of the process: calls from two threads would interfere.
_ONE_CALL = threading.Lock()
# First day of the trading calendar: before every observation that a metal may have.
CALENDAR_START: Final = date(1990, 1, 1)


class DbtError(Exception):
    """dbt itself could not run: its error."""


@dataclass(frozen=True)
class NodeResult:
    """Result of one model or test."""

    unique_id: str
    status: str  # success, pass, warn, fail, error, skipped
    message: str
    failures: int
    seconds: float


@dataclass
class BuildResult:
    """All nodes of a dbt call, in the order they finished."""

    nodes: list[NodeResult] = field(default_factory=list)

    @property
    def failed(self) -> list[NodeResult]:
        """Nodes that failed or errored."""
        return [node for node in self.nodes if node.status in {"fail", "error", "runtime error"}]


def write_reference(reference: ReferenceTables, folder: Path, last_day: date, first_day: date = CALENDAR_START) -> None:
    """Reference tables and the trading calendar as Parquet for dbt; each file is replaced in one step.

    A later `first_day` makes a build quicker and changes no row that is decided from then on.
    """
    folder.mkdir(parents=True, exist_ok=True)
    calendar = trading_calendar(first_day, last_day)
    for name, table in {**reference.tables, "trading_calendar": calendar}.items():
        temporary = folder / f".{name}.tmp"
        pq.write_table(arrow_table(table), temporary)
        temporary.replace(folder / f"{name}.parquet")


def arrow_table(table: pd.DataFrame) -> pa.Table:
    """A reference table as stored; timestamps without a zone are dates, which pandas lacks and dbt's contracts need."""
    dates = table.select_dtypes("datetime").columns
    return pa.Table.from_pandas(table.assign(**{name: table[name].dt.date for name in dates}), preserve_index=False)


def run_vars(
    *,
    warehouse: Path,
    lake: Path,
    reference: Path,
    as_of: datetime,
    run_id: str,
    code_version: str,
    built_from: datetime | None = None,
) -> dict[str, str]:
    """The variables of a run, by their names in `dbt_project.yml`. `built_from`: None for every decision time."""
    return {
        "warehouse": str(plain_path(warehouse.parent) / warehouse.name),
        "lake": str(plain_path(lake)),
        "reference": str(plain_path(reference)),
        "as_of": as_of.isoformat(),
        "run_id": run_id,
        "code_version": code_version,
        "built_from": built_from.isoformat() if built_from else WHOLE,
    }


def parse() -> Path:
    """Parse and compile the project, at set-up. Returns the path of its manifest.

    Each file is replaced in one step: another process reads the old or the new one.
    """
    MANIFEST.parent.mkdir(parents=True, exist_ok=True)
    sources = _sources()  # before dbt reads them: a file that changes meanwhile makes the result stale
    with tempfile.TemporaryDirectory(prefix=".parse", dir=MANIFEST.parent) as temporary:
        result = _invoke(["parse", "--target-path", temporary], {"warehouse": WAREHOUSE}, None)
        if not result.success:
            raise DbtError(f"dbt cannot parse the project: {result.exception}")
        parsed = json.loads((Path(temporary) / MANIFEST.name).read_text())
        parsed["metadata"]["env"] = {COMPILED_FROM: sources}
        made = {
            _compiled_manifest(False): _executable(parsed, compile_project(parsed, is_partial=False)),
            _compiled_manifest(True): _executable(parsed, compile_project(parsed, is_partial=True)),
            MANIFEST: parsed,
        }
        for path, content in made.items():
            (Path(temporary) / path.name).write_text(json.dumps(content))
            (Path(temporary) / path.name).replace(path)
    return MANIFEST


def document() -> Path:
    """Write dbt's documentation of the project as one page, at set-up. Needs no data. Returns its path."""
    with tempfile.TemporaryDirectory(prefix=".docs", dir=MANIFEST.parent) as temporary:
        result = _invoke(["docs", "generate", "--static", "--target-path", temporary], {}, None)
        if not result.success:
            raise DbtError(f"dbt cannot document the project: {result.exception}")
        page = (Path(temporary) / "static_index.html").read_text(encoding="utf-8")
    # It is published: no path of this machine.
    text = page.replace(temporary, ".").replace(str(PROJECT), ".")
    write_atomically(DOCS, lambda file: file.write_text(text, encoding="utf-8"))
    return DOCS


def _compiled_manifest(is_partial: bool) -> Path:
    """The manifest of builds of every decision time, or of those from `built_from` on."""
    return MANIFEST.with_name("partial.json" if is_partial else "whole.json")


def compile_project(parsed: Mapping[str, Any] | None, is_partial: bool, on: Target = "duckdb") -> list[Any]:
    """The nodes of the project with their SQL; it has `@name@` in place of each variable of a run.

    parsed: a manifest of this target; without one the project is parsed.
    """
    variables = {name: f"@{name}@" for name in RUN_VARS if is_partial or name != "built_from"}
    with tempfile.TemporaryDirectory() as folder:
        options = ["--target", on, "--target-path", folder]
        options += ["--exclude", "resource_type:unit_test", "--no-populate-cache"]
        options += ["--no-introspect"] if on == "spark" else []  # needs no cluster
        result = _invoke(["compile", *options], variables | {"warehouse": f"{folder}/{WAREHOUSE}"}, parsed)
    if not result.success:
        raise DbtError(f"dbt cannot compile the project: {result.exception}")
    return [entry.node for entry in result.result]


def _executable(parsed: Mapping[str, Any], compiled: Sequence[Any]) -> dict[str, Any]:
    """A manifest of compiled nodes, for builds: of the macros it has those that execute a node."""
    # An ephemeral model is in the SQL of those that read it.
    nodes = {node.unique_id: parsed["nodes"][node.unique_id] | {"raw_code": node.compiled_code} for node in compiled}
    for one in nodes.values():
        one["depends_on"] = {"nodes": [name for name in one["depends_on"]["nodes"] if name in nodes]}
        if "test_metadata" in one:
            one["test_metadata"] = one["test_metadata"] | {"kwargs": {}}  # they are in the SQL
    macros: dict[str, Any] = {}
    names = {f"materialization_{node['config']['materialized']}" for node in nodes.values()}
    found = [
        name
        for name, macro in parsed["macros"].items()
        if macro["name"] in ADAPTER_MACROS or macro["name"].rpartition("_")[0] in names
    ]
    while found:
        name = found.pop()
        macros[name] = parsed["macros"][name]
        found += [above for above in macros[name]["depends_on"]["macros"] if above not in macros]
    unused = ("sources", "exposures", "unit_tests", "docs", "disabled", "parent_map", "child_map", "group_map")
    return {**parsed, **{name: {} for name in unused}, "nodes": nodes, "macros": macros}


def build(variables: Mapping[str, str], args: Sequence[str] = (), on: Target = "duckdb") -> BuildResult:
    """`dbt build` with these variables (`run_vars`); on DuckDB of the project as it was compiled at set-up.

    Raises `DbtError` when dbt itself could not run; failed models and tests are in the result.
    """
    # Compiled SQL is written beside the warehouse, so that runs in different data folders do not interfere. The JSON
    # artifacts of a build have no reader, and a killed process would leave half of one.
    target = ["--target", on, "--target-path", str(_target(Path(variables["warehouse"]), on))]
    options = [*target, "--no-write-json", *args]
    if on == "duckdb":
        compiled = _made_at_setup(_compiled_manifest(variables["built_from"] != WHOLE), variables)
        result = _invoke(["build", *options], variables, compiled)
    else:
        result = _invoke(["build", *NOT_BUILT, *options], variables, None)
    if result.exception is not None:
        raise DbtError(str(result.exception))
    return BuildResult(
        [
            NodeResult(
                unique_id=entry.node.unique_id,
                status=str(entry.status),
                message=(on == "duckdb" and _failing_rows(variables["warehouse"], entry)) or entry.message or "",
                failures=int(entry.failures or 0),
                seconds=float(entry.execution_time),
            )
            for entry in result.result
        ]
    )


def _failing_rows(warehouse: str, entry: Any, limit: int = 3) -> str | None:
    """The first rows that a data test finds; None for a model, and for a test that passed or could not run."""
    if str(entry.status) not in {"fail", "warn"}:
        return None
    import duckdb

    with duckdb.connect(warehouse, read_only=True) as connection:
        connection.execute("set TimeZone = 'UTC'")
        found = connection.execute(f"select * from ({entry.node.compiled_code}) limit {limit + 1}")
        names = [column[0] for column in found.description or []]
        rows = [
            ", ".join(f"{name}: {value}" for name, value in zip(names, row, strict=True)) for row in found.fetchall()
        ]
    return "; ".join(rows[:limit]) + ("; and more" if len(rows) > limit else "")


def compiled_models(variables: Mapping[str, str] | None = None) -> dict[str, str]:
    """The SQL of each model by name, for DuckDB; `@name@` stands for a variable of a run that is not given."""
    nodes = _made_at_setup(_compiled_manifest(False), variables)["nodes"].values()
    return {node["name"]: node["raw_code"] for node in nodes if node["resource_type"] == "model"}


def _target(warehouse: Path, on: Target = "duckdb") -> Path:
    return warehouse.with_name("dbt" if on == "duckdb" else f"dbt_{on}")


def project_fingerprint() -> str:
    """Hash of the models, macros and tests."""
    digest = hashlib.sha256()
    for path in sorted(_project_files()):
        digest.update(path.relative_to(DBT_PROJECT).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _sources() -> str:
    """Hash of what the files of set-up are made from: the project, this file, dbt."""
    versions = f"{version('dbt-core')} {version('dbt-duckdb')}"
    return hashlib.sha256(project_fingerprint().encode() + versions.encode() + Path(__file__).read_bytes()).hexdigest()


def _project_files() -> list[Path]:
    folders = [DBT_PROJECT / name for name in ("models", "macros", "tests")]
    files = [path for folder in folders for path in folder.rglob("*.*") if path.is_file()]
    return [DBT_PROJECT / "dbt_project.yml", DBT_PROJECT / "profiles.yml", *files]


def manifest() -> dict[str, Any]:
    """The parsed project, from the file that was written at set-up; parsed again when a file of it has changed."""
    return _made_at_setup(MANIFEST)


def _made_at_setup(path: Path, variables: Mapping[str, str] | None = None) -> dict[str, Any]:
    """One of the files of set-up, with the variables of a run in its SQL. Made again when its sources have changed."""

    def read() -> dict[str, Any] | None:
        text = path.read_text() if path.is_file() else "null"
        for name, value in (variables or {}).items():
            text = text.replace(f"@{name}@", json.dumps(value)[1:-1])
        found: dict[str, Any] | None = json.loads(text)
        return found if found and found["metadata"]["env"].get(COMPILED_FROM) == sources else None

    sources = _sources()
    if (found := read()) is None:
        parse()
        found = read()
    if found is None:
        raise DbtError(f"{DBT_PROJECT}: a file changed while dbt compiled the project; run again")
    return found


def _invoke(command: list[str], variables: Mapping[str, str], parsed: Mapping[str, Any] | None) -> Any:
    from dbt.adapters.factory import reset_adapters
    from dbt.cli.main import dbtRunner
    from dbt.contracts.graph.manifest import Manifest

    folders = [
        "--project-dir",
        str(DBT_PROJECT),
        "--profiles-dir",
        str(DBT_PROJECT),
        "--log-level",
        "none",
        "--log-level-file",
        "none",
    ]
    given = Manifest.from_dict(dict(parsed)) if parsed else None
    with _ONE_CALL:
        try:
            return dbtRunner(manifest=given).invoke([*command, *folders, "--vars", json.dumps(dict(variables))])
        finally:
            _close_connections()
            reset_adapters()  # type: ignore[no-untyped-call]


def _close_connections() -> None:
    """Close the warehouse: otherwise dbt-duckdb keeps its connection open in the process."""
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager

    DuckDBConnectionManager.close_all_connections()  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    parse()
    document()
