"""Dagster's SQLite event log, with batches written in one transaction.

A backfill of 17 years is some thousand partition events. Dagster hands them over in batches, but its SQLite storage
writes each in transactions of its own (about 16 ms), which is longer than all the work they report. Configured in
`instance.yaml`; everything but the batch is Dagster's own class.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dagster._config.config_schema import UserConfigSchema
from dagster._core.events import ASSET_EVENTS
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from dagster._serdes import ConfigurableClassData

# What `DAGSTER_EVENT_BATCH_SIZE` should say; Dagster does not batch without it.
BATCH_SIZE = 1000


class BatchedSqliteEventLog(SqliteEventLogStorage):
    """`SqliteEventLogStorage` whose `store_event_batch` is one transaction a database instead of several an event."""

    @classmethod
    def config_type(cls) -> UserConfigSchema:
        return {}

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> BatchedSqliteEventLog:
        """Keeps the log where Dagster's own SQLite storage does: history/runs under DAGSTER_HOME."""
        return cls(base_dir=str(Path(os.environ["DAGSTER_HOME"]) / "history" / "runs"), inst_data=inst_data)

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Stores the asset events of each run together, and anything else among them one by one."""
        together: dict[str, list[EventLogEntry]] = defaultdict(list)
        for event in events:
            dagster_event = event.dagster_event
            if dagster_event and dagster_event.event_type in ASSET_EVENTS and dagster_event.asset_key:
                together[event.run_id].append(event)
            else:
                self.store_event(event)
        for run_id, own in together.items():
            self._store_together(run_id, own)

    def _store_together(self, run_id: str, events: Sequence[EventLogEntry]) -> None:
        rows = [self._event_to_row(event) for event in events]
        with self.run_connection(run_id) as connection:
            connection.execute(SqlEventLogStorageTable.insert(), rows)
        # The index shard serves queries across runs; tags and the latest event of an asset hang on its row ids.
        with self.index_connection() as connection:
            insert = SqlEventLogStorageTable.insert().returning(
                SqlEventLogStorageTable.c.id, sort_by_parameter_order=True
            )
            ids = list(connection.execute(insert, rows).scalars())
            self._store_asset_event_tags(connection, events, ids)
            latest = {
                event.get_dagster_event().asset_key: (event, event_id)
                for event, event_id in zip(events, ids, strict=True)
            }
            for event, event_id in latest.values():
                self._store_asset_event(connection, event, event_id)
