"""Response contract of a source: expected shape and calendar, checked by `pipelines.ingestion.inspection`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from pipelines.common.calendar import Calendar
from pipelines.sources.base import Payload


@dataclass(frozen=True)
class ResponseContract:
    """Shape and calendar of a source's responses.

    The limits are wide on purpose: a response is refused when it cannot be what was requested, never because the
    market moved.
    """

    shape: Callable[[Payload], Mapping[str, str]]  # column or field to its type: number, date, text …
    # Required columns as patterns (`*Cash-Settlement`), with their type. Changes of other columns are only reported.
    fields: Mapping[str, str] = field(default_factory=dict)
    calendar: Calendar | Literal["DAYS"] | None = None  # days that have a row; None: no expectation
    since: Mapping[str, str] = field(default_factory=dict)  # first day with data, by the entity of a request
    gap: int = 10  # most calendar days between two rows
    age: int = 5  # most calendar days from the newest row to the capture, or to the end of the requested period
    min_row_share: float = 0.95  # of the calendar's days
    in_parts: bool = False  # recordings hold parts of a response: missing days are only reported
