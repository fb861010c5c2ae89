"""Lakes of earlier versions: a folder for each month with a file for each capture, and rates without `rate_id`."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.lake.parquet import rows_sha256, write_parquet
from pipelines.lake.record import Entry, file_sha256
from pipelines.lake.store import Lake
from schemas.datasets import DATASETS
from schemas.generate.arrow import arrow_schema


def to_former_layout(lake: Lake, name: str, *, has_record: bool = True) -> list[str]:
    """Write a dataset as earlier versions did; returns its files. Without a record: as before there was one."""
    folder, record, lines = lake.root / name, lake.record(name), []
    files = []
    for entry in record.read().values():
        table = pq.read_table(folder / entry.file)
        for (month, captured), part in parts(table, DATASETS[name].period):
            path = write_parquet(folder / f"month={month}", part.replace_schema_metadata(None), captured)
            about = {"file": path.relative_to(folder).as_posix(), "sha256": file_sha256(path)}
            about |= {"rows_sha256": rows_sha256(part)}
            if entry.load is not None:
                about |= {"load": {key: value for key, value in asdict(entry.load).items() if value}}
            lines.append(json.dumps(about))
            files.append(about["file"])
            (folder / ".locks").mkdir(exist_ok=True)
            (folder / ".locks" / f"{month}.lock").touch()
        (folder / entry.file).unlink()
    record.path.write_text("".join(f"{line}\n" for line in lines))
    (folder / ".lock").unlink(missing_ok=True)
    (folder / "_ingested.lock").touch()
    empty = "_schema/empty.parquet" if has_record else "_schema.parquet"
    (folder / "_schema.parquet").unlink(missing_ok=True)
    (folder / empty).parent.mkdir(exist_ok=True)
    pq.write_table(arrow_schema(name).empty_table(), folder / empty)
    if not has_record:
        record.path.unlink()
    return files


def to_former_columns(lake: Lake, *, has_record: bool = True) -> None:
    """Write the files of rates as the versions before `rate_id` did: those of SOFR, one for one."""
    folder, record = lake.root / "rates", lake.record("rates")
    entries = []
    for entry in record.read().values():
        table = pq.read_table(folder / entry.file, filters=[("rate_id", "=", "SOFR")]).drop_columns(["rate_id"])
        table = table.rename_columns(["sofr_pct" if name == "rate_pct" else name for name in table.column_names])
        (folder / entry.file).unlink()
        path = write_parquet(folder, table.replace_schema_metadata(None), entry.captured)
        own = rows_sha256(table.replace_schema_metadata(None))
        entries.append(Entry(path.name, file_sha256(path), own, entry.load, months=entry.months))
    record.path.unlink()
    if has_record:
        record.append(entries)
    pq.write_table(pq.read_table(path).slice(0, 0), folder / "_schema.parquet")


def parts(table: pa.Table, period: str) -> list[tuple[tuple[str, datetime], pa.Table]]:
    """Rows by month and capture time, as the former `append` wrote them: by capture, oldest first."""
    keys = table.select([period, "ingest_ts"]).to_pandas(date_as_object=False)
    months = keys[period].dt.strftime("%Y-%m")
    found = []
    for (captured, month), index in sorted(keys.groupby(["ingest_ts", months]).indices.items()):
        found.append(((str(month), captured.to_pydatetime().astimezone(UTC)), table.take(pa.array(index))))
    return found


def copy_lake(lake: Lake, root: Path) -> Lake:
    """A copy of a lake and its record."""
    shutil.copytree(lake.root, root / "lake")
    assert lake.records is None
    shutil.copytree(lake.root.with_name("lake_record"), root / "lake_record")
    return Lake(root / "lake")
