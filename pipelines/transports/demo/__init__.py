"""Demo market: generated prices, stocks, rates, exports and power in the wire format of every source.

`levels` and `market` hold the values, `timetable` the release times, `wire` the formats, `defects`
the intentional errors; `transport` joins them.
"""

from __future__ import annotations

from pipelines.transports.demo.defects import KNOWN_DEFECTS, Defect
from pipelines.transports.demo.transport import DemoTransport

__all__ = ["KNOWN_DEFECTS", "Defect", "DemoTransport"]
