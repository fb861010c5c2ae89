"""Messages on their way: kept on disk until every sink has taken them, so that none is lost and none holds up others.

A message is put here before its event counts as seen, and removed after it was taken: it may be told twice, with the
same key, but never not at all.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from filelock import FileLock, Timeout

from pipelines.common.files import write_json
from pipelines.orchestration.automation.notify import DeliveryError, Message, Sink

BUDGET_S: Final = 30.0  # a sensor's tick has a minute


@dataclass
class Delivered:
    """What became of the messages of one round."""

    sent: int = 0
    waiting: int = 0
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Outbox:
    """A folder with one file a message."""

    folder: Path

    def put(self, message: Message, sinks: Sequence[str]) -> None:
        """Keeps a message for these sinks; one that is on its way already stays as it is."""
        path = self.folder / f"{message.key}.json"
        if not path.exists():
            write_json(path, {"at": message.at, "payload": message.payload, "owed": list(sinks), "tries": 0})

    def waiting(self) -> list[tuple[Path, dict[str, Any]]]:
        """What is on its way: what was tried least first, so that one bad message does not hold up the others."""
        found = [(path, json.loads(path.read_text())) for path in self.folder.glob("*.json")]
        return sorted(found, key=lambda entry: (entry[1]["tries"], entry[1]["at"], entry[0].name))

    def deliver(self, sinks: Sequence[Sink], clock: Callable[[], float] = time.monotonic) -> Delivered:
        """Hands every message to the sinks that it is owed to, as far as the time of a tick goes.

        A message for a sink that is not there waits for it to come back. When another process delivers, nothing is
        done here.
        """
        done = Delivered()
        if not self.folder.is_dir():
            return done
        try:
            with FileLock(self.folder / ".lock", timeout=0):
                until = clock() + BUDGET_S
                for path, entry in self.waiting():
                    if clock() >= until:
                        break
                    self._hand_over(path, entry, sinks, done)
        except Timeout:
            pass
        done.waiting = len(self.waiting())
        return done

    def _hand_over(self, path: Path, entry: dict[str, Any], sinks: Sequence[Sink], done: Delivered) -> None:
        message = Message(path.stem, entry["at"], entry["payload"])
        owed = list(entry["owed"])
        for sink in sinks:
            if sink.name not in owed:
                continue
            try:
                sink.send(message)
            except DeliveryError as error:
                entry["tries"] += 1
                done.problems.append(f"{sink.name} has not taken {message.key}: {error}")
            else:
                owed.remove(sink.name)
                done.sent += 1
        if owed:
            write_json(path, entry | {"owed": owed})
        else:
            path.unlink()
