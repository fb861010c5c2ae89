"""Dagster's SQLite event log, with batches written in one transaction, and an engine kept for each file.

A backfill of 17 years is some thousand partition events. Dagster hands them over in batches, but its SQLite storage
writes each in transactions of its own (about 16 ms), which is longer than all the work they report. Its thousands of
connections make an engine each. Configured in `dagster.yaml`; everything else is Dagster's own class.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from dagster._config.config_schema import UserConfigSchema
from dagster._core.events import ASSET_EVENTS
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from dagster._serdes import ConfigurableClassData
from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.pool import NullPool

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

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        """A transaction on a run's file or the index, one at a time in this process, as Dagster's own."""
        with self._db_lock:
            engine = _engine(self.conn_string_for_shard(shard))
            if shard not in self._initialized_dbs:
                self._initdb(engine)
                self._initialized_dbs.add(shard)
            with engine.connect() as connection, connection.begin():
                yield connection

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


@lru_cache(maxsize=8)
def _engine(address: str) -> Engine:
    # Without a pool: it holds no connection, so that none is left to a file that Dagster removes.
    return create_engine(address, poolclass=NullPool, connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS})
