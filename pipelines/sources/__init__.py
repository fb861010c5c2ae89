"""Sources: one module per publisher, with the requests of a month and the parser of its responses.

A source is pure: bytes in, frames out. Network, disk, clock and Dagster do not belong here. `SOURCES` holds every
source that a dataset's feed names. Parsers import heavy libraries only when they parse.
"""

from __future__ import annotations

from importlib import import_module
from typing import Final

from pipelines.datasets import FEEDS
from pipelines.sources.protocol import Source

SOURCES: Final[dict[str, Source]] = {
    name: import_module(f"pipelines.sources.{name}").SOURCE for feed in FEEDS.values() for name in feed.sources
}
