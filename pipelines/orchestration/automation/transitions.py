"""Which changes of a signal are news: those published since a first look, whatever they are called back by later.

The published table says every change that ever was. At its first look the sensor takes note of what is there and tells
nothing of it; afterwards it tells each change as of that day or later once. A history that is filled in afterwards is
no news.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import duckdb

KEPT: Final = timedelta(days=400)  # a change that is older is no news, and its key is forgotten
Row = dict[str, Any]


@dataclass(frozen=True)
class Seen:
    """The sensor's memory: changes as of `since` or later count, and these were told already."""

    since: datetime
    release: str = ""
    keys: frozenset[str] = frozenset()

    def dump(self) -> str:
        """As the cursor has it."""
        return json.dumps({"since": self.since.isoformat(), "release": self.release, "keys": sorted(self.keys)})

    @classmethod
    def load(cls, cursor: str) -> Seen:
        """From the cursor."""
        held = json.loads(cursor)
        return cls(datetime.fromisoformat(held["since"]), held["release"], frozenset(held["keys"]))


def read_transitions(database: Path, since: datetime) -> list[Row]:
    """Published changes as of this moment or later, oldest first, moments in UTC."""
    with duckdb.connect(str(database), read_only=True) as connection:
        connection.execute("set TimeZone = 'UTC'")
        cursor = connection.execute(
            "select * from signals.signal_transitions where as_of_ts >= ? order by as_of_ts, signal_id, transition_id",
            [since],
        )
        names = [column[0] for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def last_as_of(database: Path) -> datetime | None:
    """The moment up to which signals are published; None where there are none."""
    with duckdb.connect(str(database), read_only=True) as connection:
        connection.execute("set TimeZone = 'UTC'")
        [(moment,)] = connection.execute("select max(as_of_ts) from signals.signals_latest").fetchall()
        return moment  # type: ignore[no-any-return]


def first_look(database: Path, now: datetime, since: datetime | None) -> Seen:
    """What counts from now on: changes as of the given moment or later, else of the last published one.

    Of the last published moment only those that are not there yet: they may come with a revision. A user who fills in
    17 years after the first look is not told of them.
    """
    if since is not None:
        return Seen(since)
    last = last_as_of(database) or now
    return Seen(last, keys=frozenset(row["transition_id"] for row in read_transitions(database, last)))


def news(seen: Seen, rows: Sequence[Row], release: str) -> tuple[list[Row], Seen]:
    """The changes to tell, oldest first, and what is seen afterwards. `rows`: those as of `seen.since` or later."""
    told = [row for row in rows if row["as_of_ts"] >= seen.since and row["transition_id"] not in seen.keys]
    newest = max((row["as_of_ts"] for row in rows), default=seen.since)
    since = max(seen.since, newest - KEPT)
    # The table never takes a change back: what is not in it any more belongs to another data folder.
    keys = frozenset(row["transition_id"] for row in rows if row["as_of_ts"] >= since)
    return told, Seen(since, release, keys)
