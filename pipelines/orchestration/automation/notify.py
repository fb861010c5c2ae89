"""Notifications: messages about signal transitions and failed runs, and the sinks that send them.

To build a message is pure. A sink raises `DeliveryError` when it could not send one. It may get the same message again,
with the same key, by which a receiver recognizes a repetition.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Final, Protocol
from urllib.parse import quote

from pipelines.common.proxies import check_proxies
from pipelines.common.settings import SettingsError

SYNTHETIC: Final = "SYNTHETIC DEMO DATA: "
ATTEMPTS: Final = 3
MAX_WAIT_S: Final = 4.0
IDEMPOTENCY_KEY: Final = "Idempotency-Key"


@dataclass(frozen=True)
class Message:
    """A notification. `key` is the same at every attempt; messages are delivered in the order of `at` (ISO, UTC)."""

    key: str
    at: str
    payload: dict[str, Any]


class DeliveryError(Exception):
    """A sink did not accept a message: the reason, without the address, which may contain a key."""


class Sink(Protocol):
    """A receiver of messages."""

    name: str

    def send(self, message: Message) -> None: ...


def transition_message(row: Mapping[str, Any], synthetic: bool) -> Message:
    """The message for a row of `signals.signal_transitions`."""
    facts = {name: _json_value(value) for name, value in row.items()}
    value = "no value" if facts["value"] is None else f"{facts['value']:,.4g} {facts['unit']}"
    text = (
        f"{SYNTHETIC if synthetic else ''}{facts['signal_id']}: {facts['prev_state']} to {facts['state']} as of "
        f"{facts['as_of_date']} ({value}, quality {facts['quality']})"
    )
    payload = {"kind": "signal_transition", "synthetic": synthetic, "text": text, **facts}
    return Message(str(facts["transition_id"]), str(facts["as_of_ts"]), payload)


def failure_message(run_id: str, job: str, steps: Sequence[tuple[str, str]], at: datetime, synthetic: bool) -> Message:
    """The message for a failed run: its failed steps, each with the reason."""
    first = f": {steps[0][0]}: {steps[0][1]}" if steps else ""
    more = f" (and {len(steps) - 1} more)" if len(steps) > 1 else ""
    payload = {
        "kind": "run_failed",
        "synthetic": synthetic,
        "text": f"{SYNTHETIC if synthetic else ''}{job} failed{first}{more}; run {run_id}",
        "run_id": run_id,
        "job": job,
        "steps": [{"step": step, "reason": reason} for step, reason in steps],
    }
    return Message(f"run-failed-{run_id}", str(_json_value(at)), payload)


def _json_value(value: object) -> Any:
    """A value for JSON: moments as ISO in UTC, days as ISO, NaN as null."""
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%SZ")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, float) and value != value:
        return None
    return value


@dataclass
class LogSink:
    """Writes the text of a message to a log."""

    logger: logging.Logger
    name: str = "log"

    def send(self, message: Message) -> None:
        self.logger.info(message.payload["text"])


class _RetryableStatusError(Exception):
    """The receiver may accept the same message a little later."""


@dataclass
class WebhookSink:
    """Posts a message as JSON with its key in the header `Idempotency-Key`. Follows no redirects."""

    url: str = field(repr=False)
    token: str = field(default="", repr=False)
    name: str = "webhook"
    first_wait_s: float = 0.5
    timeout_s: float = 5.0  # each: to connect, to get a connection, to write, to read

    def send(self, message: Message) -> None:
        """Send a message; three attempts with growing waits for 408, 429, 5xx and broken connections.

        Raises `DeliveryError`.
        """
        import httpx

        from pipelines.common.retry import retrying

        # At INFO httpx logs every address, which may contain a key.
        logging.getLogger("httpx").setLevel(logging.WARNING)
        retries = retrying(
            on=(_RetryableStatusError, httpx.TransportError),
            attempts=ATTEMPTS,
            wait_initial=self.first_wait_s,
            wait_max=MAX_WAIT_S,
            wait_jitter=self.first_wait_s,
        )
        try:
            check_proxies()
            for attempt in retries:
                with attempt:
                    return self._post(message)
        except (_RetryableStatusError, httpx.HTTPError, httpx.InvalidURL) as error:
            raise DeliveryError(self._redact(f"{type(error).__name__.strip('_')}: {error}")) from None
        except SettingsError as error:
            raise DeliveryError(str(error)) from None

    def _post(self, message: Message) -> None:
        import httpx

        headers = {IDEMPOTENCY_KEY: message.key} | ({"Authorization": f"Bearer {self.token}"} if self.token else {})
        # Only the status counts: the body of the response is not read.
        with (
            httpx.Client(timeout=self.timeout_s, follow_redirects=False) as client,
            client.stream("POST", self.url, json={"key": message.key, **message.payload}, headers=headers) as response,
        ):
            status = response.status_code
        if status in (408, 429) or status >= 500:
            raise _RetryableStatusError(f"status {status}, {ATTEMPTS} times")
        if not 200 <= status < 300:
            raise DeliveryError(f"status {status}")

    def _redact(self, text: str) -> str:
        for secret in filter(None, (self.url, self.token)):
            text = text.replace(secret, "***").replace(quote(secret, safe=""), "***")
        return text
