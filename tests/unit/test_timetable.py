"""The times of schedules and freshness policies: computed once, and again when a table or the code has changed."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from pipelines.common.settings import PROJECT, Settings, load_settings
from pipelines.orchestration.automation import timetable as module
from pipelines.orchestration.automation.timetable import Timetable, store

REFERENCE = PROJECT / "data" / "reference"
FIRST, SECOND = Timetable({"lme": ("5 9 * * 1-5", "Europe/London")}, {"": (1.5, 2.0)}), Timetable({}, {})


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    shutil.copytree(REFERENCE, tmp_path / "reference")
    monkeypatch.setenv("TIGHTNESS_REFERENCE_DIR", str(tmp_path / "reference"))
    module._computed.cache_clear()
    return load_settings(profile="demo", data_dir=tmp_path / "data")


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The release calendars that a timetable was computed from; the first result is FIRST, each later one SECOND."""
    calendars: list[Any] = []

    def compute(rules: Any) -> Timetable:
        calendars.append(rules)
        return FIRST if len(calendars) == 1 else SECOND

    monkeypatch.setattr(module, "compute", compute)
    return calendars


def timetable(settings: Settings) -> Timetable:
    """The timetable of a load that a build follows."""
    found = module.timetable(settings)
    store(settings)
    return found


def stored(settings: Settings) -> Path:
    return settings.data / "warehouse" / "timetable.json"


def test_a_second_load_computes_nothing_and_validates_no_table(
    settings: Settings, computed: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert timetable(settings) == FIRST
    monkeypatch.setattr(module, "_release_calendar", lambda folder: pytest.fail("the tables were read"))
    assert timetable(settings) == FIRST
    assert len(computed) == 1


@pytest.mark.parametrize("changed", ["release_calendar.csv", "metals.csv"])
def test_a_changed_table_is_computed_from(settings: Settings, computed: list[Any], changed: str) -> None:
    timetable(settings)
    with (settings.reference / changed).open("a") as file:
        file.write("\n")
    assert timetable(settings) == SECOND
    assert timetable(settings) == SECOND
    assert len(computed) == 2


def test_changed_code_is_computed_with(
    settings: Settings, computed: list[Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    timetable(settings)
    for package in ("pipelines", "schemas"):
        shutil.copytree(PROJECT / package, tmp_path / "code" / package, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(module, "PROJECT", tmp_path / "code")
    assert timetable(settings) == SECOND
    with (tmp_path / "code" / "pipelines" / "common" / "calendar.py").open("a") as file:
        file.write("\n")
    assert timetable(settings) == SECOND
    assert len(computed) == 3


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"made_from": 1}', None])
def test_a_damaged_file_is_made_again(settings: Settings, computed: list[Any], damage: str | None) -> None:
    timetable(settings)
    made_from = json.loads(stored(settings).read_text())["made_from"]
    text = json.dumps({"made_from": made_from, "crons": {"lme": "5 9"}}) if damage is None else damage
    stored(settings).write_text(text)
    module._computed.cache_clear()  # as in another process
    assert timetable(settings) == SECOND
    assert json.loads(stored(settings).read_text())["made_from"] == made_from


def test_a_folder_that_cannot_be_written_is_no_error(settings: Settings, computed: list[Any]) -> None:
    stored(settings).mkdir(parents=True)
    assert timetable(settings) == FIRST


def test_a_load_alone_writes_nothing(settings: Settings, computed: list[Any]) -> None:
    assert module.timetable(settings) == FIRST
    assert not stored(settings).exists()


def test_an_invalid_calendar_is_replaced_by_that_of_the_project(settings: Settings, computed: list[Any]) -> None:
    (settings.reference / "release_calendar.csv").write_text("nonsense\n")
    assert timetable(settings) == FIRST
    assert len(computed[0]) > 10
