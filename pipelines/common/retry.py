"""`stamina.retry_context` without its hook, which prints where structlog is installed: into what a command prints, and
the text of an error, which may name an address with a key. Who repeats something tells its own log."""

from stamina import retry_context as retrying
from stamina.instrumentation import set_on_retry_hooks

__all__ = ["retrying"]

set_on_retry_hooks([])
