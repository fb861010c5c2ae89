"""The clock of a data folder: the time of builds and releases never goes back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from pipelines.common.files import write_atomically
from pipelines.common.paths import DataPaths
from pipelines.publish.manifest import read_manifest

# Runs may overlap: the run that began first may build last, with a clock that is a little older.
OVERLAP = timedelta(hours=1)


class ClockError(Exception):
    """A clock before the last build, described in one line."""


@dataclass(frozen=True)
class BuildClock:
    """The clock of a run (`now`, UTC), checked against the last build and release of its data folder."""

    paths: DataPaths
    now: datetime

    @property
    def last_built(self) -> datetime | None:
        """Latest time of any build or release here; None before the first."""
        mark, manifest = self.paths.last_build, read_manifest(self.paths.manifest)
        recorded = [mark.read_text().strip()] if mark.is_file() else []
        recorded += [manifest["computed_ts"]] if manifest else []
        return max(map(datetime.fromisoformat, recorded), default=None)

    def check(self) -> None:
        """Raise `ClockError` for a clock that was set back: what it captures would have a knowledge time before it was
        known, and a publication would withdraw published rows."""
        last = self.last_built
        if last is not None and self.now < last - OVERLAP:
            raise ClockError(
                f"the clock is at {self.now:%Y-%m-%dT%H:%M:%SZ}, before the last build at {last:%Y-%m-%dT%H:%M:%SZ}: "
                "nothing is fetched or written, the last release stays. Correct the clock (TIGHTNESS_NOW); for a past "
                "moment use `tightness signals --as-of`, or another TIGHTNESS_DATA_DIR"
            )

    def advance(self) -> datetime:
        """Record and return the time of a build or publication, never before the last one.

        The caller holds the writer's lock. Raises `ClockError` like `check`.
        """
        self.check()
        moment = max(self.now, self.last_built or self.now)
        write_atomically(self.paths.last_build, lambda temporary: temporary.write_text(moment.isoformat() + "\n"))
        return moment
