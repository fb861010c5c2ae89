"""The publishers that the project can read, by name: those that a dataset's feed names.

Each module ends with its `SOURCE`. Parsers import their heavy libraries only when they parse.
"""

from __future__ import annotations

from importlib import import_module
from typing import Final

from pipelines.datasets import FEEDS
from pipelines.sources.protocol import Source

SOURCES: Final[dict[str, Source]] = {
    name: import_module(f"pipelines.sources.{name}").SOURCE for feed in FEEDS.values() for name in feed.sources
}
