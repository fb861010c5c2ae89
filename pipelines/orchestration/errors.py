"""Why a step failed, in the sentence that is meant for people."""

from __future__ import annotations


def reason(error: object) -> str:
    """The user's sentence of a step's error: the innermost cause, without Dagster's wrapping."""
    while getattr(error, "cause", None) is not None:
        error = error.cause  # type: ignore[attr-defined]
    text = str(getattr(error, "message", error)).strip()
    return text.split(": ", 1)[1] if text.startswith(("dagster.", "pipelines.", "dagster_")) and ": " in text else text
