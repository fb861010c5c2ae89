"""Descriptions of assets in the UI, in the same words for all: columns with units, tags, owner."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import dagster as dg
import pandera.pandas as pa

from pipelines.datasets import FEEDS, Feed
from pipelines.sources import SOURCES
from schemas.base import columns_of
from schemas.fields import LICENCES
from schemas.generate.dbt import data_type

OWNER: Final = "team:data-engineering"
DERIVED: Final = "derived"  # the source of computed data
DROPPED: Final = "BYO"  # the licence class of a user's own files
COLUMNS: Final = "dagster/column_schema"
LINEAGE: Final = "dagster/column_lineage"
ROWS: Final = "dagster/row_count"
KNOWN: Final = "knowledge to"


def table_schema(*models: type[pa.DataFrameModel]) -> dg.TableSchema:
    """The columns of these models in order, each with its unit."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                name=name,
                type=data_type(name, about["dtype"]),
                description=about["description"] + (f" [{about['unit']}]" if about["unit"] else ""),
                constraints=dg.TableColumnConstraints(nullable=about["nullable"]),
            )
            for model in models
            for name, about in columns_of(model).items()
        ]
    )


def tags(source: str, licence: str, frequency: str) -> dict[str, str]:
    """Tags of an asset: the source of its data, their most restrictive licence class, their frequency."""
    return {"source": source, "licence": licence, "frequency": frequency}


def worst(licences: Iterable[str]) -> str:
    """The most restrictive of these classes; the least restrictive one when there are none."""
    return max(licences, key=LICENCES.index, default=LICENCES[0])


def frequency(cadences: Iterable[str]) -> str:
    """The frequency of an asset downstream of these: that of the most frequent one."""
    found = set(cadences)
    return next((cadence for cadence in ("daily", "monthly") if cadence in found), "on-change")


def feed_tags(feed: Feed) -> dict[str, str]:
    """Tags of a dataset, with all its sources."""
    names = [*feed.sources, *(["drop"] if feed.droppable else [])]
    licences = [*(SOURCES[name].LICENCE for name in feed.sources), *([DROPPED] if feed.droppable else [])]
    return tags(".".join(names), worst(licences), feed.spec.cadence)


def source_tags(name: str) -> dict[str, str]:
    """Tags of a source, with the frequency of its most frequent dataset."""
    source = SOURCES[name]
    return tags(name, source.LICENCE, frequency(FEEDS[dataset].spec.cadence for dataset in source.DATASETS))


def reference_tags(table: str) -> dict[str, str]:
    """Tags of a reference table: a committed file, except the calendar, which is computed daily."""
    return tags("reference", "OPEN", "daily" if table == "trading_calendar" else "on-change")


def model_tags(manifest: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Tags of every dbt source and model by unique id; licence and frequency follow from the upstream models."""
    found: dict[str, dict[str, str]] = {
        unique_id: feed_tags(FEEDS[about["name"]]) if about["source_name"] == "lake" else reference_tags(about["name"])
        for unique_id, about in manifest["sources"].items()
    }

    def of(unique_id: str) -> dict[str, str]:
        if unique_id not in found:
            about = manifest["nodes"][unique_id]
            above = [of(parent) for parent in about["depends_on"]["nodes"] if parent != unique_id]
            staged = about["schema"] == "staging"
            found[unique_id] = tags(
                next((parent["source"] for parent in above if staged and parent["source"] != "reference"), DERIVED),
                worst(parent["licence"] for parent in above),
                str(about["config"]["meta"].get("cadence") or frequency(parent["frequency"] for parent in above)),
            )
        return found[unique_id]

    for unique_id, about in manifest["nodes"].items():
        if about["resource_type"] == "model":
            of(unique_id)
    return found


def moment(known: datetime | None) -> str:
    """A moment as text for the UI."""
    return known.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC") if known else "nothing yet"
