"""Registry of datasets and their sources, in order of priority.

The first source with rows for a series and month provides them; a file of the user in the drop folder overrides all
sources. A new dataset is a line here, a new source is its name.
"""

from __future__ import annotations

from dataclasses import dataclass

from schemas.base import Spec
from schemas.datasets import DATASETS


@dataclass(frozen=True)
class Feed:
    """A dataset and its sources."""

    name: str
    sources: tuple[str, ...]  # modules of pipelines.sources, highest priority first
    droppable: bool = True

    @property
    def spec(self) -> Spec:
        """The dataset's schema."""
        return DATASETS[self.name]


DROP = "drop"  # source of the rows of a user's file

# Sources whose terms do not allow requests by default; `TIGHTNESS_OPTIONAL_SOURCES` enables them.
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
        Feed("stocks_by_location", ()),
        Feed("premia", ()),
        Feed("positions", ("cftc",)),
    )
}
