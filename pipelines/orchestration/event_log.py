"""Dagster's SQLite event log in one file, with batches written in one transaction and events compressed.

A backfill of 17 years reports several thousand partition events. Dagster passes them on in batches, but its SQLite
storage writes each event twice (to a file of the run and to an index of all runs), in transactions of its own, which
takes longer than the work they report. Here each event is stored once, in the index. Files of runs that an earlier
version wrote are still read. Configured in `dagster.yaml`; all else is inherited from Dagster's class.

The only module that imports from `dagster._core`: Dagster has no public API for event log storages (docs/adr).
"""

from __future__ import annotations

import base64
import json
import os
import sqlite3
import threading
import zlib
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import Any

from dagster import AssetKey, AssetMaterialization, DagsterEventType, EventLogEntry, EventLogRecord, EventRecordsFilter
from dagster._core.events import ASSET_CHECK_EVENTS, ASSET_EVENTS
from dagster._core.storage.event_log.polling_event_watcher import SqlPollingEventWatcher
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from dagster._core.storage.event_log.sqlite.sqlite_event_log import INDEX_SHARD_NAME, SqliteEventLogStorage
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from sqlalchemy import Connection, Engine, create_engine, func, select
from sqlalchemy.event import listen
from sqlalchemy.pool import QueuePool

from pipelines.orchestration.event_words import WORDS

BATCH_SIZE = 1000  # for DAGSTER_EVENT_BATCH_SIZE; without it Dagster does not batch
EVENTS = ('{"__class__": "EventLogEntry"', '{"__class__": "EventLogRecord"')  # start of an event as Dagster writes it
COMPRESSED = "zlib1:"  # start of a compressed event
PARTITION, TIME = "<the partition>", -1.0  # in the text of all partitions of an asset
# Events of a step that need not be stored before it ends. Its start and its end are stored at once.
YIELDED = {
    DagsterEventType.STEP_INPUT,
    DagsterEventType.STEP_OUTPUT,
    DagsterEventType.HANDLED_OUTPUT,
    DagsterEventType.ASSET_MATERIALIZATION,
    DagsterEventType.ASSET_CHECK_EVALUATION,
}


class BatchedSqliteEventLog(SqliteEventLogStorage):
    """`SqliteEventLogStorage` with one file for all runs, and one transaction for an event or a batch of them."""

    def __init__(self, base_dir: str, inst_data: Any = None) -> None:
        self._open: dict[str, Connection] = {}
        self._waiting: list[EventLogEntry] = []
        self._present: set[str] = set()
        self._watcher = SqlPollingEventWatcher(self)
        super().__init__(base_dir, inst_data)
        self._db_lock = threading.RLock()  # type: ignore[assignment]  # a transaction contains those inside it

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        return {}

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Mapping[str, Any]) -> BatchedSqliteEventLog:
        """Keep the log where Dagster's own SQLite storage does: history/runs under DAGSTER_HOME."""
        return cls(base_dir=str(Path(os.environ["DAGSTER_HOME"]) / "history" / "runs"), inst_data=inst_data)

    @contextmanager
    def _connect(self, shard: str | None) -> Iterator[Connection]:
        """A transaction on the index, or on the file of a run that has one; part of the one that is open already."""
        if shard is None or not Path(self.path_for_shard(shard)).exists():
            shard = INDEX_SHARD_NAME
        with self._db_lock:
            if self._waiting:
                self._store_waiting()
            if shard in self._open:
                yield self._open[shard]
                return
            engine = _engine(self.conn_string_for_shard(shard))
            if shard not in self._initialized_dbs:
                self._initdb(engine)
                self._initialized_dbs.add(shard)
            with engine.connect() as connection, connection.begin():
                self._open[shard] = connection
                try:
                    yield connection
                finally:
                    del self._open[shard]

    def dispose(self) -> None:
        """Close the connections, which writes SQLite's logs back into the files."""
        self._watcher.close()
        super().dispose()
        for shard in self._initialized_dbs:
            _engine(self.conn_string_for_shard(shard)).dispose()

    # --- what the index has: Dagster looks it up for every event, although it stays

    def has_table(self, table_name: str) -> bool:
        return self._has(f"table {table_name}", lambda: SqliteEventLogStorage.has_table(self, table_name))

    def has_secondary_index(self, name: str) -> bool:
        return self._has(f"index {name}", lambda: SqliteEventLogStorage.has_secondary_index(self, name))

    def _has_asset_key_col_on_connection(self, conn: Connection, column_name: str) -> bool:
        def find() -> bool:
            return SqliteEventLogStorage._has_asset_key_col_on_connection(self, conn, column_name)

        return self._has(f"column {column_name}", find)

    def _has(self, what: str, find: Callable[[], bool]) -> bool:
        if what not in self._present and find():
            self._present.add(what)
        return what in self._present

    # --- writing

    def store_event(self, event: EventLogEntry) -> None:
        """Store an event as `store_event_batch` does."""
        self.store_event_batch([event])

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Store events in one transaction, with those that wait. What a step yields waits for its end or a reader.

        A process that is killed during a step loses these events. Another run repeats the step.
        """
        with self._db_lock:
            self._waiting += events
            if not all(map(_may_wait, events)):
                self._store_waiting()

    def _store_waiting(self) -> None:
        events, self._waiting = self._waiting, []
        for run_id, of_run in groupby(events, key=lambda event: event.run_id):
            with self._connect(run_id) as connection:
                self._store(connection, list(of_run))

    def _store(self, connection: Connection, events: Sequence[EventLogEntry]) -> None:
        events = _without_repetition([_without_copy(event) for event in events])
        connection.execute(SqlEventLogStorageTable.insert(), self._rows(events))
        # Only this transaction writes, so the numbers are consecutive; `returning` costs more than the insert.
        last = connection.execute(select(func.max(SqlEventLogStorageTable.c.id))).scalar_one()
        stored = dict(enumerate(events, last - len(events) + 1))
        of_assets = {number: event for number, event in stored.items() if _is_of_asset(event)}
        latest = {
            (event.get_dagster_event().asset_key, event.dagster_event_type): number
            for number, event in of_assets.items()
        }
        with self.index_connection() as index:
            self._store_asset_event_tags(index, list(of_assets.values()), list(of_assets))
            for number in latest.values():
                self._store_asset_event(index, of_assets[number], number)
            for number, event in stored.items():
                if event.dagster_event_type in ASSET_CHECK_EVENTS:
                    self.store_asset_check_event(event, number)

    def _rows(self, events: Sequence[EventLogEntry]) -> list[dict[str, Any]]:
        """The rows of events. The text of an asset's partitions is made once, and each one's name and time put in."""
        rows: list[dict[str, Any]] = []
        of_all: dict[Hashable, dict[str, Any]] = {}
        insert_time: Callable[[EventLogEntry], Any] = self._event_insert_timestamp
        for event in events:
            made = event.asset_materialization
            if made is None or made.partition is None or made.metadata or made.tags:
                rows.append(self._event_to_row(event))
                continue
            about = event.get_dagster_event()
            alike = (event.run_id, event.step_key, event.user_message, made.asset_key, made.description, about.pid)
            if alike not in of_all:
                of_all[alike] = self._event_to_row(_with(event, made._replace(partition=PARTITION), TIME))
            text = str(of_all[alike]["event"]).replace(f'"{PARTITION}"', json.dumps(made.partition))
            text = text.replace(f'"timestamp": {TIME}', f'"timestamp": {event.timestamp}')
            rows.append(of_all[alike] | {"event": text, "timestamp": insert_time(event), "partition": made.partition})
        return rows

    # --- planned materializations: one event for a range of partitions

    @property
    def supports_partition_subset_in_asset_materialization_planned_events(self) -> bool:
        return True

    def get_latest_asset_partition_materialization_attempts_without_materializations(
        self, asset_key: AssetKey, after_storage_id: int | None = None
    ) -> Mapping[str, tuple[str, int]]:
        """Run and event of the latest plan of each partition that has not been materialised since.

        Dagster's own query finds events of single partitions only.
        """
        attempts = dict(
            super().get_latest_asset_partition_materialization_attempts_without_materializations(
                asset_key, after_storage_id
            )
        )
        planned = self.get_event_records(
            EventRecordsFilter(
                DagsterEventType.ASSET_MATERIALIZATION_PLANNED, asset_key=asset_key, after_cursor=after_storage_id
            ),
            ascending=True,
        )
        made = self.get_latest_storage_id_by_partition(
            asset_key, DagsterEventType.ASSET_MATERIALIZATION, after_cursor=after_storage_id
        )
        for record in planned:
            subset = record.event_log_entry.get_dagster_event().partitions_subset
            for partition in subset.get_partition_keys() if subset else ():
                if made.get(partition, 0) < record.storage_id:
                    attempts[partition] = (record.run_id, record.storage_id)
        return attempts

    # --- reading

    def get_event_records(
        self, event_records_filter: EventRecordsFilter, limit: int | None = None, ascending: bool = False
    ) -> Sequence[EventLogRecord]:
        return SqlEventLogStorage.get_event_records(self, event_records_filter, limit, ascending)

    def watch(self, run_id: str, cursor: str | None, callback: Any) -> None:
        """Call `callback` with the events of a run. Dagster's class watches the file of the run instead."""
        self._watcher.watch_run(run_id, cursor, callback)

    def end_watch(self, run_id: str, handler: Any) -> None:
        self._watcher.unwatch_run(run_id, handler)


def _is_of_asset(event: EventLogEntry) -> bool:
    about = event.dagster_event
    return about is not None and about.event_type in ASSET_EVENTS and about.asset_key is not None


def _may_wait(event: EventLogEntry) -> bool:
    about = event.dagster_event
    return about is not None and about.step_key is not None and about.event_type in YIELDED


def _with(event: EventLogEntry, made: AssetMaterialization, timestamp: float) -> EventLogEntry:
    """An event of a materialization with another one and another time."""
    about = event.get_dagster_event()
    data = about.step_materialization_data._replace(materialization=made)
    return event._replace(dagster_event=about._replace(event_specific_data=data), timestamp=timestamp)


def _without_copy(event: EventLogEntry) -> EventLogEntry:
    """The event; without its metadata where it is the output of an asset, whose materialization has the same."""
    about = event.dagster_event
    if about is None or about.event_type != DagsterEventType.STEP_OUTPUT:
        return event
    data = about.step_output_data._replace(metadata={})
    return event._replace(dagster_event=about._replace(event_specific_data=data))


def _without_repetition(events: Sequence[EventLogEntry]) -> list[EventLogEntry]:
    """The events of a batch. What the partitions of an asset have in common is kept in the last one only.

    Dagster repeats the metadata and tags of a step in the event of each of its partitions.
    """
    last = {(event.run_id, made.asset_key): made for event in events if (made := event.asset_materialization)}
    short = []
    for event in events:
        made = event.asset_materialization
        of_all = last[event.run_id, made.asset_key] if made else None
        if made and of_all and made is not of_all and (made.metadata, made.tags) == (of_all.metadata, of_all.tags):
            event = _with(event, made._replace(metadata={}, tags={}), event.timestamp)
        short.append(event)
    return short


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

    listen(engine, "connect", _prepare)
    listen(engine, "before_cursor_execute", _compress_events, retval=True)
    return engine


def _prepare(connection: sqlite3.Connection, _: object) -> None:
    # With a write-ahead log a power failure can lose the last events, but does not damage the file.
    connection.execute("pragma synchronous = normal")
    connection.text_factory = _text


def _text(stored: bytes) -> str:
    """A text of the database, where it is a compressed event the event."""
    text = stored.decode()
    if not text.startswith(COMPRESSED):
        return text
    unpack = zlib.decompressobj(zdict=WORDS)
    return (unpack.decompress(base64.b64decode(text[len(COMPRESSED) :])) + unpack.flush()).decode()


def _compress_events(_: object, __: object, statement: str, parameters: Any, *___: object) -> tuple[str, Any]:
    """The parameters of a statement with its events compressed, in whatever table they are stored."""
    if isinstance(parameters, list):
        return statement, [tuple(map(_compressed, row)) for row in parameters]
    return statement, tuple(map(_compressed, parameters))


def _compressed(value: object) -> object:
    if not isinstance(value, str) or not value.startswith(EVENTS):
        return value
    pack = zlib.compressobj(zdict=WORDS)
    return COMPRESSED + base64.b64encode(pack.compress(value.encode()) + pack.flush()).decode()
