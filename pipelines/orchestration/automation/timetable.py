"""Times of schedules and freshness policies, computed from the release calendar once and kept in a file.

Definitions are loaded by every command that runs something and by every process of the UI. To compute these times
(the releases of twelve years for each publication, with their holidays) and to validate the reference tables for them
takes longer than all the rest of the definitions.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.common.files import write_json
from pipelines.common.settings import PROJECT, Settings

if TYPE_CHECKING:
    import pandas as pd

REFERENCE = PROJECT / "data" / "reference"


@dataclass(frozen=True)
class Timetable:
    """Cron line and time zone of each publication; seconds after which each dataset is late, and after which it fails.

    The dataset "" is the release.
    """

    crons: Mapping[str, tuple[str, str]]
    windows: Mapping[str, tuple[float, float]]


def timetable(settings: Settings) -> Timetable:
    """The timetable of the settings' release calendar, of the project's own where that one is invalid.

    The UI must load in that case too: the error appears when a run reads the calendar. Nothing is written.
    """
    made_from = _fingerprint(settings.reference)
    return _stored(settings, made_from) or _computed(settings.reference, made_from)


def store(settings: Settings) -> None:
    """Store the timetable for later loads, unless it is stored: a build does. A reference table or code that changed
    makes it old."""
    made_from = _fingerprint(settings.reference)
    if _stored(settings, made_from) is None:
        with suppress(OSError):  # a file that cannot be written costs the next loads a second each
            write_json(_path(settings), {"made_from": made_from, **asdict(_computed(settings.reference, made_from))})


def _path(settings: Settings) -> Path:
    return settings.data / "warehouse" / "timetable.json"


def _stored(settings: Settings, made_from: str) -> Timetable | None:
    with suppress(OSError, ValueError, TypeError, KeyError):
        stored = json.loads(_path(settings).read_text())
        if stored["made_from"] == made_from:
            return Timetable(
                {name: (cron, zone) for name, (cron, zone) in stored["crons"].items()},
                {name: (late, failed) for name, (late, failed) in stored["windows"].items()},
            )
    return None


@lru_cache(maxsize=1)
def _computed(reference: Path, made_from: str) -> Timetable:
    return compute(_release_calendar(reference))


def compute(rules: pd.DataFrame) -> Timetable:
    """The timetable of a release calendar."""
    from pipelines.datasets import FEEDS
    from pipelines.orchestration.automation.freshness import dataset_windows, release_windows
    from pipelines.orchestration.automation.release_schedule import PUBLICATIONS, publication_cron

    return Timetable(
        {name: publication_cron(publication, rules) for name, publication in PUBLICATIONS.items()},
        {"": release_windows(), **{name: dataset_windows(name, rules) for name in FEEDS}},
    )


def _release_calendar(folder: Path) -> pd.DataFrame:
    from pipelines.reference import ReferenceDataError, load_reference

    try:
        return load_reference(folder)["release_calendar"]
    except ReferenceDataError:
        return load_reference(REFERENCE)["release_calendar"]


def _fingerprint(folder: Path) -> str:
    """Hash of everything that a timetable is computed from: the tables, our code and the library of holidays."""
    digest = hashlib.sha256(version("holidays").encode())
    code = [path for package in ("pipelines", "schemas") for path in (PROJECT / package).rglob("*.py")]
    tables = [*folder.glob("*.csv"), *REFERENCE.glob("*.csv")]
    for path in sorted(code) + sorted(tables):
        digest.update(str(path).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()
