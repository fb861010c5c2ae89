"""Signal transitions that are new since the last tick: each published change of state is notified once.

The published table is append-only and holds the whole history. The first tick only notes what is published; later
ticks return each change as of that day or later once, even if it is later reversed. History that is filled in
afterwards is not notified.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from pipelines.warehouse.sql import Row, read_rows

RETENTION: Final = timedelta(days=400)  # older changes are not notified, and their keys are dropped from the cursor


@dataclass(frozen=True)
class TransitionCursor:
    """The sensor's state: changes as of `since` or later count; those of `keys` were notified."""

    since: datetime
    release: str = ""
    keys: frozenset[str] = frozenset()

    def dump(self) -> str:
        """The state as the sensor's cursor."""
        return json.dumps({"since": self.since.isoformat(), "release": self.release, "keys": sorted(self.keys)})

    @classmethod
    def load(cls, cursor: str) -> TransitionCursor:
        """The state from the sensor's cursor."""
        state = json.loads(cursor)
        return cls(datetime.fromisoformat(state["since"]), state["release"], frozenset(state["keys"]))


def read_transitions(database: Path, since: datetime) -> list[Row]:
    """Published transitions as of this moment or later, oldest first, moments in UTC."""
    return read_rows(
        database,
        "select * from signals.signal_transitions where as_of_ts >= ? order by as_of_ts, signal_id, transition_id",
        since,
    )


def initial_cursor(database: Path, now: datetime, since: datetime | None) -> TransitionCursor:
    """The state of the first tick: changes count from the given moment, by default from the last published one.

    Of the last published moment only those changes count that are not published yet: a revision may add some. After a
    backfill of 17 years nothing of them is notified.
    """
    if since is not None:
        return TransitionCursor(since)
    [newest] = read_rows(database, "select max(as_of_ts) as as_of_ts from signals.signals_latest")
    last = newest["as_of_ts"] or now
    return TransitionCursor(last, keys=frozenset(row["transition_id"] for row in read_transitions(database, last)))


def new_transitions(cursor: TransitionCursor, rows: Sequence[Row], release: str) -> tuple[list[Row], TransitionCursor]:
    """Transitions to notify, oldest first, and the next state. `rows`: those as of `cursor.since` or later."""
    new = [row for row in rows if row["as_of_ts"] >= cursor.since and row["transition_id"] not in cursor.keys]
    newest = max((row["as_of_ts"] for row in rows), default=cursor.since)
    since = max(cursor.since, newest - RETENTION)
    # The table is append-only: a key that it lacks belongs to another data folder.
    keys = frozenset(row["transition_id"] for row in rows if row["as_of_ts"] >= since)
    return new, TransitionCursor(since, release, keys)
