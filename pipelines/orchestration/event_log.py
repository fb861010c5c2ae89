"""Dagster's SQLite event log, with batches written in one transaction and connections that are kept for a second.

A backfill of 17 years reports several thousand partition events. Dagster passes them on in batches, but its SQLite
storage writes each event in transactions of its own (about 16 ms each), which takes longer than the work they report,
and it makes an engine and a connection for every transaction. Configured in `dagster.yaml`; all else is inherited from
Dagster's class.

The only module that imports from `dagster._core`: Dagster has no public API for event log storages (docs/adr).
"""

from __future__ import annotations

import os
import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from dagster import EventLogEntry
from dagster._core.events import ASSET_EVENTS
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.event import listen
from sqlalchemy.pool import QueuePool

BATCH_SIZE = 1000  # for DAGSTER_EVENT_BATCH_SIZE; without it Dagster does not batch


class BatchedSqliteEventLog(SqliteEventLogStorage):
    """`SqliteEventLogStorage` whose `store_event_batch` is one transaction per database, not several per event."""

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        return {}

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Mapping[str, Any]) -> BatchedSqliteEventLog:
        """Keep the log where Dagster's own SQLite storage does: history/runs under DAGSTER_HOME."""
        return cls(base_dir=str(Path(os.environ["DAGSTER_HOME"]) / "history" / "runs"), inst_data=inst_data)

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        """A transaction on a run's file or the index; one at a time in this process, as in Dagster's class."""
        with self._db_lock:
            engine = _engine(self.conn_string_for_shard(shard))
            if shard not in self._initialized_dbs:
                self._initdb(engine)
                self._initialized_dbs.add(shard)
            with engine.connect() as connection, connection.begin():
                yield connection

    def dispose(self) -> None:
        """Close the connections, which writes SQLite's logs back into the files."""
        super().dispose()
        for shard in self._initialized_dbs:
            _engine(self.conn_string_for_shard(shard)).dispose()

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Store the asset events of each run together, and all other events one by one."""
        by_run: dict[str, list[EventLogEntry]] = defaultdict(list)
        for event in events:
            dagster_event = event.dagster_event
            if dagster_event and dagster_event.event_type in ASSET_EVENTS and dagster_event.asset_key:
                by_run[event.run_id].append(event)
            else:
                self.store_event(event)
        for run_id, asset_events in by_run.items():
            self._store_asset_events(run_id, asset_events)

    def _store_asset_events(self, run_id: str, events: Sequence[EventLogEntry]) -> None:
        rows = [self._event_to_row(event) for event in events]
        with self.run_connection(run_id) as connection:
            connection.execute(SqlEventLogStorageTable.insert(), rows)
        # The index shard serves queries across runs; tags and the latest event of an asset refer to its row ids.
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
    """An engine that keeps a connection for a second at most.

    SQLite writes its log back into the file whenever the last connection closes, which took a third of a small run. A
    connection that stayed open would go on writing into a file that Dagster has removed.
    """
    options = {"timeout": SQLITE_BUSY_TIMEOUT_SECONDS, "check_same_thread": False}
    engine = create_engine(
        address, poolclass=QueuePool, pool_size=1, max_overflow=-1, pool_recycle=1, connect_args=options
    )

    listen(engine, "connect", _without_sync)
    return engine


def _without_sync(connection: sqlite3.Connection, _: object) -> None:
    # With a write-ahead log a power failure can lose the last events, but does not damage the file.
    connection.execute("pragma synchronous = normal")
