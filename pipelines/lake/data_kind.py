"""The kind of data in a lake: synthetic or real, never both."""

from __future__ import annotations

from pathlib import Path

from pipelines.common.files import write_atomically
from pipelines.common.settings import Settings, SettingsError

KINDS = ("synthetic", "real")


def claim_data_kind(lake: Path, records: Path, settings: Settings) -> None:
    """Mark a new lake, and the records of its files, with the kind of the profile's data: a lost mark is written again.

    Raises `SettingsError` for a lake of the other kind.
    """
    kind = "synthetic" if settings.synthetic else "real"
    marks = (lake / "KIND", records / "KIND")
    held = next((text for text in map(_read, marks) if text in KINDS), kind)
    for mark in marks:
        if _read(mark) not in KINDS:
            write_atomically(mark, lambda temporary: temporary.write_text(held + "\n"))
    if held != kind:
        raise SettingsError(
            f"TIGHTNESS_PROFILE={settings.profile!r} provides {kind} data, but TIGHTNESS_DATA_DIR holds {held} data: "
            "set another TIGHTNESS_DATA_DIR, or empty this one (make clean)"
        )


def _read(mark: Path) -> str:
    try:
        return mark.read_text().strip()
    except (OSError, ValueError):
        return ""
