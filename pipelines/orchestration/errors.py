"""The reason why a step failed, as one sentence."""

from __future__ import annotations


def reason(error: object) -> str:
    """The message of the innermost cause of a step's error, without the exceptions that Dagster wraps around it."""
    while getattr(error, "cause", None) is not None:
        error = error.cause  # type: ignore[attr-defined]
    text = str(getattr(error, "message", error)).strip()
    return text.split(": ", 1)[1] if text.startswith(("dagster.", "pipelines.", "dagster_")) and ": " in text else text
