"""Outbox of messages: each one stays on disk until every sink has accepted it, at least once.

A message is stored before its event counts as seen, and removed after its delivery: it may be delivered twice, with the
same key, but it is never lost, and a message that fails does not delay the others.
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

BUDGET_S: Final = 30.0  # of a sensor's tick, which may take a minute


@dataclass
class Delivery:
    """Result of one round of deliveries."""

    sent: int = 0
    waiting: int = 0
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Outbox:
    """A folder with one file a message."""

    folder: Path

    def put(self, message: Message, sinks: Sequence[str]) -> None:
        """Store a message for these sinks; one that is already waiting stays unchanged."""
        path = self.folder / f"{message.key}.json"
        if not path.exists():
            write_json(path, {"at": message.at, "payload": message.payload, "owed": list(sinks), "tries": 0})

    def waiting(self) -> list[tuple[Path, dict[str, Any]]]:
        """Messages by number of tries, then age, so that one that always fails does not delay the others."""
        found = [(path, json.loads(path.read_text())) for path in self.folder.glob("*.json")]
        return sorted(found, key=lambda entry: (entry[1]["tries"], entry[1]["at"], entry[0].name))

    def deliver(self, sinks: Sequence[Sink], clock: Callable[[], float] = time.monotonic) -> Delivery:
        """Send every message to its sinks, within the time budget of a tick.

        A message for a sink that is switched off waits for it. Does nothing while another process delivers.
        """
        result = Delivery()
        if not self.folder.is_dir():
            return result
        try:
            with FileLock(self.folder / ".lock", timeout=0):
                until = clock() + BUDGET_S
                for path, entry in self.waiting():
                    if clock() >= until:
                        break
                    self._send(path, entry, sinks, result)
        except Timeout:
            pass
        result.waiting = len(self.waiting())
        return result

    def _send(self, path: Path, entry: dict[str, Any], sinks: Sequence[Sink], result: Delivery) -> None:
        message = Message(path.stem, entry["at"], entry["payload"])
        owed = list(entry["owed"])
        for sink in sinks:
            if sink.name not in owed:
                continue
            try:
                sink.send(message)
            except DeliveryError as error:
                entry["tries"] += 1
                result.problems.append(f"{sink.name} did not accept {message.key}: {error}")
            else:
                owed.remove(sink.name)
                result.sent += 1
        if owed:
            write_json(path, entry | {"owed": owed})
        else:
            path.unlink()
