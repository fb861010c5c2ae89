"""Settings, read from environment variables or `.env` at each call, never at import."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

PROJECT = Path(__file__).resolve().parents[2]
Profile = Literal["demo", "live", "replay", "drop"]


class SettingsError(Exception):
    """An unusable setting, described in one line: variable, value and what is accepted."""


class Settings(BaseSettings):
    """Typed settings. Each field is the variable `TIGHTNESS_<NAME>`; relative folders start at the project's root."""

    model_config = SettingsConfigDict(env_prefix="TIGHTNESS_", env_file=".env", extra="ignore", populate_by_name=True)

    profile: Profile = "demo"
    data_dir: Path = Path("data")
    reference_dir: Path | None = None
    drop_dir: Path | None = None
    replay_dir: Path | None = None
    now: datetime | None = None
    optional_sources: str = ""
    drop_max_mb: int = Field(default=100, ge=1)
    lock_timeout_s: float = Field(default=600.0, ge=0)
    keep_releases: int = Field(default=5, ge=1)
    webhook_url: SecretStr | None = None  # secret: an address may contain a key
    webhook_token: SecretStr | None = None
    notify_since: datetime | None = None
    contact: str = ""
    accept: str = ""
    entsoe_api_token: SecretStr | None = Field(default=None, validation_alias="ENTSOE_API_TOKEN")

    @field_validator("now", "notify_since")
    @classmethod
    def _utc(cls, value: datetime | None) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)

    @field_validator(
        "reference_dir", "drop_dir", "replay_dir", "now", "notify_since", "webhook_url", "webhook_token", mode="before"
    )
    @classmethod
    def _empty_is_unset(cls, value: object) -> object:
        return None if value == "" else value

    @field_validator("webhook_url")
    @classmethod
    def _address(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not re.fullmatch(r"https?://[^\s/]\S*", value.get_secret_value()):
            raise ValueError("no address")
        return value

    @field_validator("contact")
    @classmethod
    def _one_line(cls, value: str) -> str:
        # It becomes part of a comment in the User-Agent header: no line end, no bracket that would close the comment.
        if not re.fullmatch(r"[!-~]([ -~]{0,198}[!-~])?|", value) or set(value) & set("()\\"):
            raise ValueError("no contact")
        return value

    @field_validator("accept")
    @classmethod
    def _hashes(cls, value: str) -> str:
        hashes = re.sub(r"\s", "", value).lower()
        if not re.fullmatch(r"([0-9a-f]{12,64}(,|$))*", hashes):
            raise ValueError("no hashes")
        return hashes

    @property
    def accepted(self) -> tuple[str, ...]:
        """Prefixes of the SHA-256 of responses that are accepted although inspection refuses them."""
        return tuple(filter(None, self.accept.split(",")))

    @property
    def data(self) -> Path:
        """Absolute data folder."""
        return self._absolute(self.data_dir)

    @property
    def reference(self) -> Path:
        """Absolute folder of the reference tables; that of the repository unless set."""
        return self._absolute(self.reference_dir or Path("data/reference"))

    @property
    def drop(self) -> Path:
        """Absolute drop folder; inside the data folder unless set."""
        return self._absolute(self.drop_dir) if self.drop_dir else self.data / "drop"

    @property
    def replay(self) -> Path | None:
        """Absolute folder of recorded responses; None unless set."""
        return self._absolute(self.replay_dir) if self.replay_dir else None

    @property
    def synthetic(self) -> bool:
        """Whether the data comes from the generated market."""
        return self.profile == "demo"

    def clock(self) -> datetime:
        """The current time, or the fixed one (`TIGHTNESS_NOW`), in UTC."""
        return self.now or datetime.now(UTC)

    def secrets(self) -> dict[str, str]:
        """API keys by environment variable; only those that are set."""
        return {"ENTSOE_API_TOKEN": self.entsoe_api_token.get_secret_value()} if self.entsoe_api_token else {}

    @staticmethod
    def _absolute(path: Path) -> Path:
        return path if path.is_absolute() else PROJECT / path


_ACCEPTED = {
    "profile": "demo, live, replay or drop",
    "now": "an ISO time in UTC such as 2026-01-13T18:00:00Z",
    "notify_since": "an ISO time in UTC such as 2026-01-13T18:00:00Z",
    "webhook_url": "an address that begins with https:// or http://",
    "contact": "one line of plain text without brackets, such as https://example.org/contact or an e-mail address",
    "accept": "the first 12 or more hex digits of the SHA-256 of refused responses, separated by commas",
    "drop_max_mb": "a whole number of megabytes, at least 1",
    "lock_timeout_s": "seconds, 0 or more",
    "keep_releases": "a whole number of releases, at least 1",
}

_SECRET = {"webhook_url", "webhook_token"}  # never shown, even when they are not accepted


def load_settings(**overrides: object) -> Settings:
    """Settings from the environment, with overrides. Raises `SettingsError` with one line for the first bad value."""
    overrides = {name: value for name, value in overrides.items() if value is not None}
    try:
        settings = Settings(**overrides)  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        variable = "ENTSOE_API_TOKEN" if "entsoe" in name.lower() else f"TIGHTNESS_{name.upper()}"
        accepted = _ACCEPTED.get(name, first["msg"])
        shown = "" if name in _SECRET else f"={first['input']!r}"
        raise SettingsError(f"{variable}{shown} is not accepted: give {accepted}") from None
    if settings.profile == "replay" and (settings.replay is None or not settings.replay.is_dir()):
        raise SettingsError(
            f"TIGHTNESS_REPLAY_DIR={str(settings.replay_dir or '')!r} is not a folder: "
            "give the folder of recorded responses, which the replay profile needs"
        )
    if not settings.reference.is_dir():
        raise SettingsError(
            f"TIGHTNESS_REFERENCE_DIR={str(settings.reference_dir)!r} is not a folder: give one with the tables"
        )
    return settings
