"""Settings, read from environment variables or the project's `.env` at each call, never at import."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from pipelines.common.env_file import EnvFileError, read_env_file
from pipelines.common.folder_setting import FolderError, check_folder, check_openable, expand_folder
from pipelines.common.paths import DataPaths

PROJECT = Path(__file__).resolve().parents[2]
ENV_FILE = PROJECT / ".env"  # the project's, whatever the working folder is
PREFIX = "TIGHTNESS_"
Profile = Literal["demo", "live", "replay", "drop"]
Engine = Literal["duckdb", "spark"]


class SettingsError(Exception):
    """An unusable setting, described in one line: variable, value and what is accepted."""


class Settings(BaseSettings):
    """Typed settings. Each field is the variable `TIGHTNESS_<NAME>`; relative folders start at the project's root."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="ignore", populate_by_name=True)

    profile: Profile = "demo"
    demo_metals: str = ""
    data_dir: Path = Path("data")
    reference_dir: Path | None = None
    drop_dir: Path | None = None
    replay_dir: Path | None = None
    now: datetime | None = None
    optional_sources: str = ""
    engine: Engine = "duckdb"
    drop_max_mb: int = Field(default=100, ge=1)
    lock_timeout_s: float = Field(default=600.0, ge=0)
    keep_releases: int = Field(default=5, ge=1)
    webhook_url: SecretStr | None = None  # secret: an address may contain a key
    webhook_token: SecretStr | None = None
    notify_since: datetime | None = None
    contact: str = ""
    accept: str = ""
    entsoe_api_token: SecretStr | None = Field(default=None, validation_alias="ENTSOE_API_TOKEN")
    spark_remote: str = Field(default="", validation_alias="SPARK_REMOTE", pattern=r"^(sc://[^\s/]\S*)?$")
    dagster_home: Path | None = Field(default=None, validation_alias="DAGSTER_HOME")

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], init_settings: PydanticBaseSettingsSource, *_: object, **__: object
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only the given values: `load_settings` reads the environment and `.env`."""
        return (init_settings,)

    @field_validator("now", "notify_since", mode="before")
    @classmethod
    def _is_date(cls, value: object) -> object:
        # A year or another number alone would be seconds since 1970.
        if isinstance(value, str) and not re.match(r"\d{4}-\d\d-\d\d", value):
            raise ValueError("no date")
        return value

    @field_validator("now", "notify_since")
    @classmethod
    def _utc(cls, value: datetime | None) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)

    @field_validator("now")
    @classmethod
    def _is_covered(cls, value: datetime | None) -> datetime | None:
        if value is not None and not 2008 <= value.year < 2100:
            raise ValueError("no month of the data")
        return value

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
    def demo(self) -> tuple[str, ...]:
        """Symbols of the metals of the demo market; empty for those of the reference tables, or in another profile."""
        if self.profile != "demo":
            return ()
        return tuple(dict.fromkeys(filter(None, map(str.strip, self.demo_metals.upper().split(",")))))

    @property
    def enabled_sources(self) -> set[str]:
        """Names of the optional sources that are switched on."""
        return set(filter(None, map(str.strip, self.optional_sources.split(","))))

    @property
    def data(self) -> Path:
        """Absolute data folder."""
        return PROJECT / self.data_dir

    @property
    def reference(self) -> Path:
        """Absolute folder of the reference tables; that of the repository unless set."""
        return PROJECT / (self.reference_dir or "data/reference")

    @property
    def drop(self) -> Path:
        """Absolute drop folder; inside the data folder unless set."""
        return PROJECT / self.drop_dir if self.drop_dir else self.data / "drop"

    @property
    def replay(self) -> Path | None:
        """Absolute folder of recorded responses; None unless set."""
        return PROJECT / self.replay_dir if self.replay_dir else None

    @property
    def instance(self) -> Path:
        """Absolute folder of Dagster's own history; inside the data folder unless DAGSTER_HOME is set."""
        return self.dagster_home or self.data / "instance"

    @property
    def synthetic(self) -> bool:
        """Whether the data is generated by the demo market."""
        return self.profile == "demo"

    def clock(self) -> datetime:
        """The current time, or the fixed one (`TIGHTNESS_NOW`), in UTC."""
        return self.now or datetime.now(UTC)

    def secrets(self) -> dict[str, str]:
        """API keys by environment variable; only those that are set."""
        return {"ENTSOE_API_TOKEN": self.entsoe_api_token.get_secret_value()} if self.entsoe_api_token else {}


_ACCEPTED = {
    "profile": "demo, live, replay or drop",
    "engine": "duckdb or spark",
    "spark_remote": "the address of a Spark Connect server, such as sc://127.0.0.1:15002",
    "now": "an ISO time in UTC from 2008 to 2099 such as 2026-01-13T18:00:00Z",
    "notify_since": "an ISO time in UTC such as 2026-01-13T18:00:00Z",
    "webhook_url": "an address that begins with https:// or http://",
    "contact": "one line of plain text without brackets, such as https://example.org/contact or an e-mail address",
    "accept": "the first 12 or more hex digits of the SHA-256 of refused responses, separated by commas",
    "drop_max_mb": "a whole number of megabytes, at least 1",
    "lock_timeout_s": "seconds, 0 or more",
    "keep_releases": "a whole number of releases, at least 1",
}

_SECRET = {"webhook_url", "webhook_token"}  # never shown, even when they are not accepted
_TESTS = f"{PREFIX}TEST_"  # variables of the test suite
_FOLDERS = ("data_dir", "reference_dir", "drop_dir", "replay_dir", "dagster_home")
# SQLite opens no path over 512 bytes; below DAGSTER_HOME the longest is history/runs/<run id>.db-journal.
_LONGEST_INSTANCE = 440


def variable_names() -> dict[str, str]:
    """The environment variable of each setting, by the setting's name."""
    return {name: str(field.validation_alias or PREFIX + name.upper()) for name, field in Settings.model_fields.items()}


def load_settings(**overrides: object) -> Settings:
    """Settings from the environment and `.env`, with overrides; a folder as `Path` is taken as it is.

    The environment takes precedence; an empty variable stands for the default. Raises `SettingsError` with one line for
    the first bad value.
    """
    try:
        variables = read_env_file(ENV_FILE) | dict(os.environ)
    except EnvFileError as error:
        raise SettingsError(str(error)) from None
    names = variable_names()
    _refuse_unknown(variables, set(names.values()))
    given = {name.upper() if name.upper().startswith(PREFIX) else name: value for name, value in variables.items()}
    values: dict[str, object] = {name: given[variable] for name, variable in names.items() if given.get(variable)}
    if given.get("DAGSTER_HOME") == "":
        raise SettingsError("DAGSTER_HOME='' is not accepted: unset it, or give an absolute folder")
    values |= {name: value for name, value in overrides.items() if value is not None}
    written = {name: str(values[name]) for name in _FOLDERS if name in values}
    for name in written:
        if isinstance(values[name], str):
            with _naming(names[name], written[name]):
                values[name] = expand_folder(written[name], variables)
    try:
        settings = Settings(**values)  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors()[0]
        field = str(first["loc"][0])
        field = next((name for name, variable in names.items() if variable == field), field)
        shown = "" if field in _SECRET else f"={first['input']!r}"
        accepted = _ACCEPTED.get(field, first["msg"])
        raise SettingsError(f"{names.get(field, field)}{shown} is not accepted: give {accepted}") from None
    _check_folders(settings, names, written)
    if settings.engine == "spark" and not settings.spark_remote:
        raise SettingsError(
            f"SPARK_REMOTE is not set, which TIGHTNESS_ENGINE=spark needs: give {_ACCEPTED['spark_remote']}"
        )
    return settings


def _check_folders(settings: Settings, names: Mapping[str, str], written: Mapping[str, str]) -> None:
    """Raise `SettingsError` for a folder that cannot be one, or that is needed and is not there."""
    if settings.dagster_home and not settings.dagster_home.is_absolute():
        raise SettingsError(f"DAGSTER_HOME={written['dagster_home']!r} is relative: give an absolute folder")
    with _naming(names["data_dir"], written.get("data_dir", "data")):
        check_openable(settings.instance if settings.dagster_home is None else settings.data, "\\?", _LONGEST_INSTANCE)
    if settings.dagster_home:
        with _naming(names["dagster_home"], written["dagster_home"]):
            check_openable(settings.dagster_home, "?", _LONGEST_INSTANCE)
    rooms = DataPaths(settings.data).rooms
    with _naming(names["data_dir"], written.get("data_dir", "data")):
        for room in rooms:
            check_folder(room)
    folders = (settings.data, settings.reference, settings.drop, settings.replay, settings.dagster_home)
    for name, folder in zip(_FOLDERS, folders, strict=True):
        if name in written and folder:
            with _naming(names[name], written[name]):
                check_folder(folder)
    for room in rooms:
        both = [Path(os.path.realpath(folder)) for folder in (settings.drop, room)]
        if both[0] in (both[1], *both[1].parents) or both[1] in both[0].parents:
            drop = written.get("drop_dir", str(settings.drop))
            raise SettingsError(f"{names['drop_dir']}={drop!r} is not apart from {room}: name a folder of its own")
    # A folder that this user may not look into counts as missing; `Path.is_dir` would raise.
    if settings.profile == "replay" and not (settings.replay and os.path.isdir(settings.replay)):  # noqa: PTH112
        raise SettingsError(
            f"TIGHTNESS_REPLAY_DIR={written.get('replay_dir', '')!r} is not a folder: "
            "give the folder of recorded responses, which the replay profile needs"
        )
    if not os.path.isdir(settings.reference):  # noqa: PTH112
        raise SettingsError(
            f"TIGHTNESS_REFERENCE_DIR={written.get('reference_dir', '')!r} is not a folder: give one with the tables"
        )


@contextmanager
def _naming(variable: str, written: str) -> Iterator[None]:
    """Turn a `FolderError` into a `SettingsError` that names the variable and its value."""
    try:
        yield
    except FolderError as error:
        raise SettingsError(f"{variable}={written!r} {error}") from None


def _refuse_unknown(variables: Mapping[str, str], known: set[str]) -> None:
    """Raise `SettingsError` for a name that is a mistyped setting."""
    ours = tuple(sorted(name for name in known if name.startswith(PREFIX)))
    for name in sorted(set(variables) - known):
        upper = name.upper()
        if upper in known or upper.startswith(_TESTS):
            continue
        nearest = _nearest(upper, ours)
        if (plain := upper.removeprefix(PREFIX)) in known:
            nearest = [plain]
        if nearest:
            where = "in the environment" if name in os.environ else f"in {ENV_FILE}"
            raise SettingsError(f"{name} {where} is no setting: the nearest is {nearest[0]}; correct or remove it")


@cache
def _nearest(name: str, ours: tuple[str, ...]) -> list[str]:
    """The setting that is nearest to a name, if it is near. Each step of a run reads the settings."""
    # Other programs have variables too: without the prefix, only what is nearly a setting's name is a mistake.
    return difflib.get_close_matches(name, ours, n=1, cutoff=0.0 if name.startswith(PREFIX) else 0.9)
