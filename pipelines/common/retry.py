"""`stamina.retry_context` without logging hooks.

The default hook would write errors to the output of a command, and an error's text may contain a URL with a key.
Callers log their retries themselves.
"""

from stamina import retry_context as retrying
from stamina.instrumentation import set_on_retry_hooks

__all__ = ["retrying"]

set_on_retry_hooks([])
