"""The registry: which sources feed a dataset, in the order in which they are believed. Adding a dataset is a line
here, adding a source is its name.

Of several sources the first that has rows for a series and month gives them. A user's drop file stands before all.
"""

from __future__ import annotations

from dataclasses import dataclass

from schemas.base import Spec
from schemas.datasets import DATASETS


@dataclass(frozen=True)
class Feed:
    """One dataset and what feeds it."""

    name: str
    sources: tuple[str, ...]  # modules of pipelines.sources, first believed first
    droppable: bool = True

    @property
    def spec(self) -> Spec:
        """The dataset's schema."""
        return DATASETS[self.name]


DROP = "drop"  # what rows of a user's own file have as their source

# Their terms do not allow us to ask by default; `TIGHTNESS_OPTIONAL_SOURCES` names those that a user may.
OPTIONAL_SOURCES = frozenset({"jin10", "yahoo", "shfe"})

FEEDS: dict[str, Feed] = {
    feed.name: feed
    for feed in (
        Feed("prices", ("westmetall",)),
        Feed("stocks", ("jin10", "westmetall")),
        Feed("spreads", ("westmetall",)),
        Feed("off_warrant", ()),
        Feed("exports", ("customs", "comtrade")),
        Feed("rates", ("nyfed", "fred")),
        Feed("fx", ("ecb",)),
        Feed("power", ("energy_charts", "smard", "entsoe")),
        Feed("costs", ()),
        Feed("production", ()),
        Feed("arbitrage", ()),
        Feed("equities", ("yahoo",)),
        Feed("benchmark_prices", ("worldbank", "fred"), droppable=False),
        Feed("benchmark_power", ("ember",), droppable=False),
        Feed("exchange_stocks", ("shfe",)),
    )
}
