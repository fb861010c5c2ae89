"""The kind of data in a lake: synthetic or real, never both."""

from __future__ import annotations

from pathlib import Path

from pipelines.common.files import write_atomically
from pipelines.common.settings import Settings, SettingsError


def claim_data_kind(lake: Path, settings: Settings) -> None:
    """Mark a new lake with the kind of the profile's data. Raises `SettingsError` for a lake of the other kind."""
    mark = lake / "KIND"
    kind = "synthetic" if settings.synthetic else "real"
    if not mark.is_file():
        write_atomically(mark, lambda temporary: temporary.write_text(kind + "\n"))
    held = mark.read_text().strip()
    if held != kind:
        raise SettingsError(
            f"TIGHTNESS_PROFILE={settings.profile!r} provides {kind} data, but TIGHTNESS_DATA_DIR holds {held} data: "
            "set another TIGHTNESS_DATA_DIR, or empty this one (make clean)"
        )
