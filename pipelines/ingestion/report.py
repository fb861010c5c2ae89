"""The outcome of loading a dataset."""

from __future__ import annotations

from dataclasses import dataclass, field

import pandas as pd

from pipelines.ingestion.failures import Failure
from pipelines.ingestion.repair import Repaired
from pipelines.ingestion.rewrites import Rewrite
from pipelines.lake.store import Written


@dataclass
class IngestReport:
    """Outcome of loading a dataset's months."""

    rows_read: int = 0
    months_unchanged: int = 0
    written: list[Written] = field(default_factory=list)
    rejected: pd.DataFrame = field(default_factory=pd.DataFrame)
    failures: list[Failure] = field(default_factory=list)
    repaired: list[Repaired] = field(default_factory=list)  # files of the lake that were lost or damaged
    rewrites: list[Rewrite] = field(default_factory=list)
    further_months: list[str] = field(default_factory=list)  # YYYY-MM, loaded because stored rows were contradicted
    left_out: dict[str, str] = field(default_factory=dict)  # by drop file: empty rows and columns

    @property
    def new(self) -> int:
        """Number of new observations."""
        return sum(part.new for part in self.written)

    @property
    def is_damaged(self) -> bool:
        """Whether files of the lake cannot be repaired. Then nothing was loaded."""
        return any(one.reason for one in self.repaired)

    @property
    def revised(self) -> int:
        """Number of vintages added to known observations."""
        return sum(part.revised for part in self.written)
