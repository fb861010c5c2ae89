"""Attempts that are repeated, by stamina; told to the log, where its own hook would print to a command's output."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import stamina
from stamina.instrumentation import RetryDetails, set_on_retry_hooks

log = logging.getLogger(__name__)


def retrying(**policy: Any) -> Iterator[Any]:
    """`stamina.retry_context`: a context manager for each attempt.

    Only the kind of an error is logged: its text may name an address with a key in it.
    """
    set_on_retry_hooks([_tell])
    return iter(stamina.retry_context(**policy))


def _tell(details: RetryDetails) -> None:
    log.info("%s; attempt %d in %.0f s", type(details.caused_by).__name__, details.retry_num + 1, details.wait_for)
