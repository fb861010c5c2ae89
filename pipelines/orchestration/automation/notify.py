"""What is told, and to whom: messages about signals and failed runs, and the sinks that take them.

Building a message is pure. A sink is anything with a name that takes one; it raises `DeliveryError` when it could not,
and may be given the same message again: the key stays, so that a receiver can tell.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Final, Protocol
from urllib.parse import quote

SYNTHETIC: Final = "SYNTHETIC DEMO DATA: "
ATTEMPTS: Final = 3
MAX_WAIT_S: Final = 4.0
IDEMPOTENCY_KEY: Final = "Idempotency-Key"


@dataclass(frozen=True)
class Message:
    """One thing to tell. `key` is the same however often it is told; `at` orders messages (ISO, UTC)."""

    key: str
    at: str
    payload: dict[str, Any]


class DeliveryError(Exception):
    """A sink did not take a message. Says why without saying where: an address may hold a key."""


class Sink(Protocol):
    """Somebody who is told."""

    name: str

    def send(self, message: Message) -> None: ...


def transition_message(row: Mapping[str, Any], synthetic: bool) -> Message:
    """A row of `signals.signal_transitions`."""
    facts = {name: _plain(value) for name, value in row.items()}
    value = "no value" if facts["value"] is None else f"{facts['value']:,.4g} {facts['unit']}"
    text = (
        f"{SYNTHETIC if synthetic else ''}{facts['signal_id']}: {facts['prev_state']} to {facts['state']} as of "
        f"{facts['as_of_date']} ({value}, quality {facts['quality']})"
    )
    payload = {"kind": "signal_transition", "synthetic": synthetic, "text": text, **facts}
    return Message(str(facts["transition_id"]), str(facts["as_of_ts"]), payload)


def failure_message(run_id: str, job: str, steps: Sequence[tuple[str, str]], at: datetime, synthetic: bool) -> Message:
    """A run that failed: its steps, each with its reason."""
    first = f": {steps[0][0]}: {steps[0][1]}" if steps else ""
    more = f" (and {len(steps) - 1} more)" if len(steps) > 1 else ""
    payload = {
        "kind": "run_failed",
        "synthetic": synthetic,
        "text": f"{SYNTHETIC if synthetic else ''}{job} failed{first}{more}; run {run_id}",
        "run_id": run_id,
        "job": job,
        "steps": [{"step": step, "reason": said} for step, said in steps],
    }
    return Message(f"run-failed-{run_id}", str(_plain(at)), payload)


def _plain(value: object) -> Any:
    """As JSON has it: moments in ISO and UTC, days in ISO, a number that is none as null."""
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%SZ")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, float) and value != value:
        return None
    return value


@dataclass
class LogSink:
    """Writes the message's sentence to a log."""

    logger: logging.Logger
    name: str = "log"

    def send(self, message: Message) -> None:
        self.logger.info(message.payload["text"])


class _BusyError(Exception):
    """The receiver may take the same message a little later."""


@dataclass
class WebhookSink:
    """Posts the message as JSON with its key in the header `Idempotency-Key`. Follows no redirects."""

    url: str = field(repr=False)
    token: str = field(default="", repr=False)
    name: str = "webhook"
    first_wait_s: float = 0.5
    timeout_s: float = 5.0  # of each of the four waits that a request has

    def send(self, message: Message) -> None:
        """Tries three times where waiting may help (408, 429, 5xx, broken connections), waiting longer each time.

        Raises `DeliveryError`.
        """
        import httpx

        from pipelines.common.retry import retrying

        # At INFO httpx logs every address.
        logging.getLogger("httpx").setLevel(logging.WARNING)
        retries = retrying(
            on=(_BusyError, httpx.TransportError),
            attempts=ATTEMPTS,
            wait_initial=self.first_wait_s,
            wait_max=MAX_WAIT_S,
            wait_jitter=self.first_wait_s,
        )
        try:
            for attempt in retries:
                with attempt:
                    return self._post(message)
        except (_BusyError, httpx.HTTPError, httpx.InvalidURL) as error:
            raise DeliveryError(self._unsaid(f"{type(error).__name__.strip('_')}: {error}")) from None

    def _post(self, message: Message) -> None:
        import httpx

        headers = {IDEMPOTENCY_KEY: message.key} | ({"Authorization": f"Bearer {self.token}"} if self.token else {})
        # The body of the answer is not read: whatever it says, the status decides.
        with (
            httpx.Client(timeout=self.timeout_s, follow_redirects=False) as client,
            client.stream("POST", self.url, json={"key": message.key, **message.payload}, headers=headers) as response,
        ):
            status = response.status_code
        if status in (408, 429) or status >= 500:
            raise _BusyError(f"status {status}, {ATTEMPTS} times")
        if not 200 <= status < 300:
            raise DeliveryError(f"status {status}")

    def _unsaid(self, text: str) -> str:
        for secret in filter(None, (self.url, self.token)):
            text = text.replace(secret, "***").replace(quote(secret, safe=""), "***")
        return text
