"""Plausible levels of columns."""

from __future__ import annotations

import math
from typing import Final, NamedTuple


class Plausible(NamedTuple):
    """Range of a column's level in its unit. The level is the 90th percentile of the absolute values."""

    low: float
    high: float
    moves: float = 30.0  # highest ratio of the levels of two successive periods
    rewritten: bool = False  # past values change by a factor, as closes do after a share split


# By quantity and for every metal: lead at 850 USD/t and tin, nickel and cobalt at a hundred times as much are prices.
# SOFR was 0.01 and 5.4 percent within two years. Where no level is implausible, the previous response decides.
PLAUSIBLE: Final[dict[str, Plausible]] = {
    "cash_usd_t": Plausible(500, 200_000),
    "m3_usd_t": Plausible(500, 200_000),
    "mean_usd_t": Plausible(200, 200_000),
    "total_t": Plausible(0, 20_000_000, 100),
    "cancelled_t": Plausible(0, 20_000_000, math.inf),
    "exports_kt": Plausible(0, 20_000, 100),
    "sofr_pct": Plausible(0, 25, math.inf),
    "rate": Plausible(0.05, 20_000),
    "price_eur_mwh": Plausible(0.5, 5_000),
    "mean_eur_mwh": Plausible(0.5, 5_000),
    "close_usd": Plausible(0, 1_000_000, math.inf, rewritten=True),
}
