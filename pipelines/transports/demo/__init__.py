"""The embedded demo market: generated prices, stocks, rates, exports and power in every source's own wire format."""

from __future__ import annotations

from pipelines.transports.demo.defects import KNOWN_DEFECTS, Defect
from pipelines.transports.demo.transport import DemoTransport

__all__ = ["KNOWN_DEFECTS", "Defect", "DemoTransport"]
