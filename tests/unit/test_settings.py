"""Settings: from the environment or .env, each invalid value one clear line, keys never shown."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipelines.common.settings import PROJECT, SettingsError, load_settings

TOKEN = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import os

    for name in [name for name in os.environ if name.startswith(("TIGHTNESS_", "ENTSOE_"))]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def test_the_defaults_are_the_documented_ones() -> None:
    settings = load_settings()
    assert (settings.profile, settings.synthetic) == ("demo", True)
    assert settings.data == PROJECT / "data"
    assert settings.reference == PROJECT / "data" / "reference"
    assert settings.drop == PROJECT / "data" / "drop"
    assert (settings.replay, settings.now, settings.secrets()) == (None, None, {})


def test_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIGHTNESS_DATA_DIR", str(tmp_path / "there"))
    assert load_settings().drop == tmp_path / "there" / "drop", "the drop folder moves with the data"
    monkeypatch.setenv("TIGHTNESS_DROP_DIR", "mine")
    assert load_settings().drop == PROJECT / "mine", "a relative folder is the project's, wherever the run is started"
    monkeypatch.setenv("TIGHTNESS_DROP_DIR", "")
    assert load_settings().drop == tmp_path / "there" / "drop", "empty is not set"


@pytest.mark.parametrize(
    ("written", "moment"),
    [
        ("2026-01-13T18:00:00Z", datetime(2026, 1, 13, 18, tzinfo=UTC)),
        ("2026-01-13T18:00:00", datetime(2026, 1, 13, 18, tzinfo=UTC)),
        ("2026-01-13T19:00:00+01:00", datetime(2026, 1, 13, 18, tzinfo=UTC)),
    ],
)
def test_the_clock_is_in_utc(monkeypatch: pytest.MonkeyPatch, written: str, moment: datetime) -> None:
    monkeypatch.setenv("TIGHTNESS_NOW", written)
    clock = load_settings().clock()
    assert clock == moment
    assert clock.tzinfo is UTC


def test_the_environment_is_read_at_the_call_and_overrides_take_precedence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIGHTNESS_PROFILE", "drop")
    assert load_settings().profile == "drop"
    monkeypatch.setenv("TIGHTNESS_PROFILE", "live")
    assert load_settings().profile == "live"
    assert load_settings(profile="demo").profile == "demo"
    assert load_settings(profile=None).profile == "live", "an omitted option overrides nothing"


def test_a_dotenv_file_is_read_and_the_environment_takes_precedence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text(f"TIGHTNESS_PROFILE=drop\nENTSOE_API_TOKEN={TOKEN}\nOTHER=1\n")
    assert load_settings().profile == "drop"
    assert load_settings().secrets() == {"ENTSOE_API_TOKEN": TOKEN}
    monkeypatch.setenv("TIGHTNESS_PROFILE", "live")
    assert load_settings().profile == "live"


@pytest.mark.parametrize(
    ("name", "value", "accepted"),
    [
        ("TIGHTNESS_PROFILE", "Demo ", "demo, live, replay or drop"),
        ("TIGHTNESS_NOW", "13.01.2026", "an ISO time in UTC such as 2026-01-13T18:00:00Z"),
        ("TIGHTNESS_DROP_MAX_MB", "0", "a whole number of megabytes, at least 1"),
        ("TIGHTNESS_DROP_MAX_MB", "much", "a whole number of megabytes, at least 1"),
        ("TIGHTNESS_LOCK_TIMEOUT_S", "-1", "seconds, 0 or more"),
        *(
            (
                "TIGHTNESS_CONTACT",
                value,
                "one line of plain text without brackets, such as https://example.org/contact or an e-mail address",
            )
            for value in ("a\r\nX-Header: b", "tab\t", " lead", "(x)", "b\u00fcro", "\x7f", "x" * 201)
        ),
        *(
            (
                "TIGHTNESS_ACCEPT",
                value,
                "the first 12 or more hex digits of the SHA-256 of refused responses, separated by commas",
            )
            for value in ("abc", "0123456789a", "0123456789ag", "*", "0123456789ab;0123456789ab", "0" * 65)
        ),
        ("TIGHTNESS_KEEP_RELEASES", "0", "a whole number of releases, at least 1"),
        ("TIGHTNESS_KEEP_RELEASES", "all", "a whole number of releases, at least 1"),
        ("TIGHTNESS_NOTIFY_SINCE", "soon", "an ISO time in UTC such as 2026-01-13T18:00:00Z"),
    ],
)
def test_an_invalid_value_is_one_line_with_name_value_and_accepted_values(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, accepted: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as error:
        load_settings()
    assert str(error.value) == f"{name}={value!r} is not accepted: give {accepted}"


def test_accepted_hashes_may_have_spaces_and_upper_case(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIGHTNESS_ACCEPT", " 0123456789AB, " + "f" * 64 + ",")
    assert load_settings().accepted == ("0123456789ab", "f" * 64)
    monkeypatch.setenv("TIGHTNESS_ACCEPT", "")
    assert load_settings().accepted == ()


def test_a_replay_needs_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIGHTNESS_PROFILE", "replay")
    with pytest.raises(SettingsError, match=r"^TIGHTNESS_REPLAY_DIR='' is not a folder"):
        load_settings()
    monkeypatch.setenv("TIGHTNESS_REPLAY_DIR", "not/there")
    with pytest.raises(SettingsError, match=r"^TIGHTNESS_REPLAY_DIR='not/there' is not a folder"):
        load_settings()
    monkeypatch.setenv("TIGHTNESS_REPLAY_DIR", str(tmp_path))
    assert load_settings().replay == tmp_path


def test_a_missing_reference_folder_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIGHTNESS_REFERENCE_DIR", "not/there")
    with pytest.raises(SettingsError, match=r"^TIGHTNESS_REFERENCE_DIR='not/there' is not a folder"):
        load_settings()


def test_a_key_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENTSOE_API_TOKEN", TOKEN)
    settings = load_settings()
    assert TOKEN not in repr(settings) + str(settings) + settings.model_dump_json()


def test_the_address_of_a_webhook_is_secret_even_when_invalid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIGHTNESS_WEBHOOK_URL", f"https://hooks.example/{TOKEN}")
    monkeypatch.setenv("TIGHTNESS_WEBHOOK_TOKEN", TOKEN)
    settings = load_settings()
    assert settings.webhook_url and settings.webhook_url.get_secret_value() == f"https://hooks.example/{TOKEN}"
    assert TOKEN not in repr(settings) + str(settings) + settings.model_dump_json()
    monkeypatch.setenv("TIGHTNESS_WEBHOOK_URL", TOKEN)
    with pytest.raises(SettingsError) as error:
        load_settings()
    assert str(error.value) == (
        "TIGHTNESS_WEBHOOK_URL is not accepted: give an address that begins with https:// or http://"
    )
    monkeypatch.setenv("TIGHTNESS_WEBHOOK_URL", "")
    assert load_settings().webhook_url is None, "empty is not set"


def test_a_contact_is_an_address_or_a_page(monkeypatch: pytest.MonkeyPatch) -> None:
    for value in ("", "desk@example.org", "https://example.org/contact?a=1", "Metal desk, desk@example.org"):
        monkeypatch.setenv("TIGHTNESS_CONTACT", value)
        assert load_settings().contact == value
