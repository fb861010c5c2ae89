"""Settings: from the environment or .env, each invalid value one clear line, keys never shown."""

from __future__ import annotations

import codecs
import importlib.util
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipelines.common import settings as settings_module
from pipelines.common.settings import PROJECT, SettingsError, load_settings
from pipelines.workspace import Workspace

TOKEN = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import os

    for name in [name for name in os.environ if name.startswith(("TIGHTNESS_", "ENTSOE_", "DAGSTER_"))]:
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


def test_the_env_file_is_the_projects() -> None:
    found = importlib.util.find_spec("pipelines.common.settings")
    assert found is not None and found.loader is not None
    fresh = importlib.util.module_from_spec(found)
    found.loader.exec_module(fresh)  # conftest.py replaces the constant of the module that is imported
    assert fresh.ENV_FILE == PROJECT / ".env"


def write_env(path: Path, monkeypatch: pytest.MonkeyPatch, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    monkeypatch.setattr(settings_module, "ENV_FILE", path)
    return path


def test_the_projects_env_file_is_read_from_any_folder_and_the_environment_takes_precedence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_env(tmp_path / "project.env", monkeypatch, f"TIGHTNESS_PROFILE=drop\nENTSOE_API_TOKEN={TOKEN}\nOTHER=1\n")
    foreign = tmp_path / "elsewhere"
    foreign.mkdir()
    (foreign / ".env").write_text("TIGHTNESS_PROFILE=live\nTIGHTNESS_KEEP_RELEASES=2\n")
    monkeypatch.chdir(foreign)
    assert load_settings().profile == "drop"
    assert load_settings().keep_releases == 5, "a foreign .env is not read"
    assert load_settings().secrets() == {"ENTSOE_API_TOKEN": TOKEN}
    monkeypatch.setenv("TIGHTNESS_PROFILE", "live")
    assert load_settings().profile == "live"
    monkeypatch.setenv("TIGHTNESS_PROFILE", "")
    assert load_settings().profile == "demo", "empty stands for the default"


LINES = """\
export TIGHTNESS_PROFILE='drop'  # quoted
# Einstellungen f\u00fcr B\u00fcro
TIGHTNESS_DATA_DIR="/srv/M\u00e4rkte a#b"
"""


@pytest.mark.parametrize(
    "body",
    [
        LINES.encode(),
        LINES.encode("utf-8-sig"),
        LINES.replace("\n", "\r\n").encode(),
        LINES.replace("\n", "\r\n").encode("utf-16"),
        codecs.BOM_UTF16_BE + LINES.encode("utf-16-be"),
        LINES.encode("utf-16-le"),
        LINES.encode("utf-16-be"),
    ],
    ids=["utf-8", "utf-8 bom", "crlf", "utf-16", "utf-16-be", "utf-16-le no bom", "utf-16-be no bom"],
)
def test_an_env_file_is_read_in_the_encodings_of_editors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: bytes
) -> None:
    write_env(tmp_path / ".env", monkeypatch, body)
    settings = load_settings()
    assert (settings.profile, settings.data) == ("drop", Path("/srv/M\u00e4rkte a#b"))


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("A=1\nB=M\u00e4rkte\n".encode("latin-1"), " line 2 is not UTF-8: save it as UTF-8"),
        ("A=\u20ac".encode("cp1252"), " line 1 is not UTF-8: save it as UTF-8"),
        ("A=1".encode("utf-16")[:-1], " line 1 is not UTF-16: save it as UTF-8"),
        (b"A=1\nTIGHTNESS_PROFILE\n", " line 2 is not NAME=value: write it so, or begin the line with #"),
        (b"A=1\n\n- B: 2\n", " line 3 is not NAME=value: write it so, or begin the line with #"),
        (b"A=1\nB=${A}/x\nC=${D_}/x\n", " line 3: ${D_} is not set: set it, or write the value itself"),
        (
            b"TIGHTNESS_PROFIL=drop\n",
            "TIGHTNESS_PROFIL in {} is no setting: the nearest is TIGHTNESS_PROFILE; correct or ",
        ),
    ],
)
def test_an_unusable_env_file_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: bytes, problem: str
) -> None:
    path = write_env(tmp_path / ".env", monkeypatch, body)
    with pytest.raises(SettingsError) as error:
        load_settings()
    expected = problem.format(path) if "{}" in problem else f"{path}{problem}"
    assert str(error.value).startswith(expected) and "\n" not in str(error.value)


def test_a_folder_named_env_is_a_virtual_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").mkdir()
    monkeypatch.setattr(settings_module, "ENV_FILE", tmp_path / ".env")
    assert load_settings().profile == "demo"


def test_a_link_to_nothing_is_not_the_absence_of_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").symlink_to(tmp_path / "unmounted" / ".env")
    monkeypatch.setattr(settings_module, "ENV_FILE", tmp_path / ".env")
    with pytest.raises(SettingsError, match="is a link to nothing: correct or remove the link"):
        load_settings()


def test_an_exported_name_without_a_value_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_env(tmp_path / ".env", monkeypatch, b"export PATH\nTIGHTNESS_PROFILE=drop\n")
    assert load_settings().profile == "drop"


def test_a_mistyped_optional_source_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIGHTNESS_OPTIONAL_SOURCES", " yahoo, shfe,")
    assert Workspace.open().settings.enabled_sources == {"yahoo", "shfe"}
    monkeypatch.setenv("TIGHTNESS_OPTIONAL_SOURCES", "shfe,yaho")
    with pytest.raises(SettingsError) as error:
        Workspace.open()
    problem = "TIGHTNESS_OPTIONAL_SOURCES contains 'yaho', which is no source: give jin10, shfe, yahoo"
    assert str(error.value) == problem


@pytest.mark.parametrize(
    ("mistyped", "nearest"),
    [
        ("TIGHTNESS_ENTSOE_API_TOKEN", "ENTSOE_API_TOKEN"),
        ("TIGHTNESS_DAGSTER_HOME", "DAGSTER_HOME"),
        ("TIGHTNESS_PROFIL", "TIGHTNESS_PROFILE"),
        ("TIGHTNESS_DATADIR", "TIGHTNESS_DATA_DIR"),
        ("TIGHTNESS_DATA_FOLDER", "TIGHTNESS_DATA_DIR"),
        ("TIGHTNESS_X", "TIGHTNESS_"),
        ("TIGTHNESS_REPLAY_DIR", "TIGHTNESS_REPLAY_DIR"),
        ("TIGHTNES_KEEP_RELEASES", "TIGHTNESS_KEEP_RELEASES"),
    ],
)
def test_a_mistyped_name_is_refused_with_the_nearest(
    monkeypatch: pytest.MonkeyPatch, mistyped: str, nearest: str
) -> None:
    monkeypatch.setenv("MY_TIGHTNESS", "another program's")
    load_settings()
    monkeypatch.setenv(mistyped, "secret?")
    with pytest.raises(SettingsError) as error:
        load_settings()
    assert str(error.value).startswith(f"{mistyped} in the environment is no setting: the nearest is {nearest}")
    assert "secret?" not in str(error.value)


# --- folders

FOLDERS = {"TIGHTNESS_DATA_DIR": "data", "TIGHTNESS_DROP_DIR": "drop", "TIGHTNESS_REPLAY_DIR": "replay"}


@pytest.mark.parametrize("variable", FOLDERS)
@pytest.mark.parametrize(
    ("written", "folder"),
    [
        ("~/x", "/home/desk/x"),
        ("~", "/home/desk"),
        ("$HOME/x", "/home/desk/x"),
        ("${HOME}/x", "/home/desk/x"),
        ("/srv/$STAGE/x", "/srv/prod/x"),
        ("/srv/a${STAGE}b", "/srv/aprodb"),
        ("/srv/~x", "/srv/~x"),
        ("./~x", f"{PROJECT}/~x"),
        ("/srv/do$lar", "/srv/do$lar"),
        ("/srv/$lar$", "/srv/$lar$"),
        ('/srv/it\'s "x" [a] {{ b }} 100% #1', '/srv/it\'s "x" [a] {{ b }} 100% #1'),
        ("-dash", f"{PROJECT}/-dash"),
        ("\N{CHART WITH UPWARDS TREND}", f"{PROJECT}/\N{CHART WITH UPWARDS TREND}"),
    ],
)
def test_a_folder_is_expanded_and_absolute(
    monkeypatch: pytest.MonkeyPatch, variable: str, written: str, folder: str
) -> None:
    monkeypatch.setenv("HOME", "/home/desk")
    monkeypatch.setenv("STAGE", "prod")
    monkeypatch.setenv(variable, written)
    assert getattr(load_settings(), FOLDERS[variable]) == Path(folder)


@pytest.mark.parametrize("variable", [*FOLDERS, "TIGHTNESS_REFERENCE_DIR", "DAGSTER_HOME"])
@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ('"/srv/x"', "begins with a quote: write the folder without quotes"),
        ("'/srv/x'", "begins with a quote: write the folder without quotes"),
        (" /srv/x", "begins or ends with a space: remove it"),
        ("/srv/x\r", "begins or ends with a space: remove it"),
        ("/srv/a\nb", "contains a line end or another control character: remove it"),
        ("$NONE_SUCH/x", "contains $NONE_SUCH, which is not set: set it, or write the folder itself"),
        ("/srv/${none_such}x", "contains ${none_such}, which is not set: set it, or write the folder itself"),
        ("/srv/$NONE_SUCH/x", "contains $NONE_SUCH, which is not set: set it, or write the folder itself"),
        ("$EMPTY/x", "contains $EMPTY, which is not set: set it, or write the folder itself"),
        (
            "~no-such-user/x",
            "begins with ~no-such-user, which is no user's home: write ./~no-such-user for such a folder",
        ),
        ("/srv/\udce4", "is not UTF-8: rename the folder"),
        ("/srv/" + "x" * 256, "cannot be a folder (File name too long): name another one"),
    ],
)
def test_an_unusable_folder_is_one_line_and_creates_nothing(
    monkeypatch: pytest.MonkeyPatch, variable: str, written: str, problem: str
) -> None:
    monkeypatch.setenv("EMPTY", "")
    monkeypatch.setenv(variable, written)
    with pytest.raises(SettingsError) as error:
        load_settings()
    assert str(error.value) == f"{variable}={written!r} {problem}"


@pytest.mark.parametrize("variable", [*FOLDERS, "TIGHTNESS_REFERENCE_DIR", "DAGSTER_HOME"])
def test_a_file_or_a_dead_link_where_a_folder_is_expected_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to(tmp_path / "none")
    for written, problem in (
        (tmp_path / "file", f"leads to {tmp_path}/file, which is a file: name a folder"),
        (tmp_path / "file" / "x", f"leads to {tmp_path}/file, which is a file: name a folder"),
        (tmp_path / "link" / "x", f"leads to {tmp_path}/link, a link to nothing: correct the link"),
    ):
        monkeypatch.setenv(variable, str(written))
        with pytest.raises(SettingsError) as error:
            load_settings()
        assert str(error.value) == f"{variable}={str(written)!r} {problem}"


@pytest.mark.parametrize(
    ("variable", "name"), [("TIGHTNESS_DATA_DIR", "a\\b"), ("TIGHTNESS_DATA_DIR", "a?b"), ("DAGSTER_HOME", "a?b")]
)
def test_a_folder_in_which_no_database_can_be_opened_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, name: str
) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / "link").symlink_to(tmp_path / name)
    for folder in (tmp_path / name, tmp_path / "link" / "data"):
        monkeypatch.setenv(variable, str(folder))
        with pytest.raises(SettingsError, match=r"leads to a path with [\\?], in which no database can be opened"):
            load_settings()


@pytest.mark.parametrize("room", ["lake", "raw", "quarantine", "warehouse", "published"])
def test_a_link_to_nothing_in_the_data_folder_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: str
) -> None:
    """A disk that is not mounted: nothing is written in its place."""
    monkeypatch.setenv("TIGHTNESS_DATA_DIR", str(tmp_path))
    (tmp_path / room).symlink_to(tmp_path / "unmounted")
    problem = f"TIGHTNESS_DATA_DIR={str(tmp_path)!r} leads to {tmp_path / room}, a link to nothing: correct the link"
    with pytest.raises(SettingsError) as error:
        load_settings()
    assert str(error.value) == problem


@pytest.mark.parametrize("drop", ["data", ".", "data/lake", "data/raw/x", "link"])
def test_a_drop_folder_is_apart_from_what_the_product_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, drop: str
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "data")
    monkeypatch.setenv("TIGHTNESS_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("TIGHTNESS_DROP_DIR", str(tmp_path / "data" / "own"))
    load_settings()
    monkeypatch.setenv("TIGHTNESS_DROP_DIR", str(tmp_path / drop))
    with pytest.raises(SettingsError, match=r"^TIGHTNESS_DROP_DIR='.*' is not apart from .*: name a folder of its own"):
        load_settings()


def test_the_dagster_home_is_absolute_and_by_default_in_the_data_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert load_settings().instance == PROJECT / "data" / "instance"
    monkeypatch.setenv("TIGHTNESS_DATA_DIR", str(tmp_path / "other"))
    assert load_settings().instance == tmp_path / "other" / "instance", "each data folder has its own"
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DAGSTER_HOME", "~/.tt")
    assert load_settings().instance == tmp_path / ".tt"
    for written, problem in (
        ("", "DAGSTER_HOME='' is not accepted: unset it, or give an absolute folder"),
        ("dagster", "DAGSTER_HOME='dagster' is relative: give an absolute folder"),
    ):
        monkeypatch.setenv("DAGSTER_HOME", written)
        with pytest.raises(SettingsError) as error:
            load_settings()
        assert str(error.value) == problem
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "value", "accepted"),
    [
        ("TIGHTNESS_PROFILE", "Demo ", "demo, live, replay or drop"),
        ("TIGHTNESS_NOW", "13.01.2026", "an ISO time in UTC from 2008 to 2099 such as 2026-01-13T18:00:00Z"),
        *(
            ("TIGHTNESS_NOW", value, "an ISO time in UTC from 2008 to 2099 such as 2026-01-13T18:00:00Z")
            for value in ("2026", "1768327200", "1990-01-01", "9999-12-31")
        ),
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
