"""Documentation agrees with the code: settings, README, licence, changelog, decision records, methodology."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from pipelines.common.settings import Settings

PROJECT = Path(__file__).resolve().parents[2]
ROW = re.compile(r"^\| `([A-Z_]+)` \| (?:`([^`]*)`)? ?\|", re.MULTILINE)
EXAMPLE = re.compile(r"^# ([A-Z_]+)=(.*)$", re.MULTILINE)
# Defaults that depend on the data folder: the documentation shows the resulting path.
DERIVED = {"TIGHTNESS_REFERENCE_DIR": {"data/reference"}, "TIGHTNESS_DROP_DIR": {"data/drop", "<data>/drop"}}


def variables() -> dict[str, set[str]]:
    """Environment variable of each setting, with the ways in which its default may be written."""
    prefix = Settings.model_config["env_prefix"]
    found = {}
    for name, field in Settings.model_fields.items():
        variable = str(field.validation_alias or f"{prefix}{name.upper()}")
        default = "" if field.default is None else str(field.default).removesuffix(".0")
        found[variable] = DERIVED.get(variable, {default})
    return found


@pytest.mark.parametrize(("page", "pattern"), [("docs/configuration.md", ROW), (".env.example", EXAMPLE)])
def test_every_setting_is_documented_with_its_default(page: str, pattern: re.Pattern[str]) -> None:
    documented = dict(pattern.findall((PROJECT / page).read_text()))
    expected = variables()
    assert set(documented) == set(expected)
    assert [name for name, default in documented.items() if default not in expected[name]] == []


def test_the_readme_is_short_and_shows_the_result() -> None:
    readme = (PROJECT / "README.md").read_text()
    assert len(readme.split()) <= 900
    [picture] = re.findall(r"!\[[^]]*SYNTHETIC[^]]*\]\(([^)]+)\)", readme)
    assert (PROJECT / picture).stat().st_size < 150_000


def test_the_licence_file_is_that_of_the_package_metadata() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    lines = [line.strip() for line in (PROJECT / "LICENSE").read_text().splitlines() if line.strip()]
    assert project["license"] == "Apache-2.0"
    assert lines[:2] == ["Apache License", "Version 2.0, January 2004"]
    assert "END OF TERMS AND CONDITIONS" in lines


def test_the_changelog_has_an_entry_for_the_version() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    versions = re.findall(r"^## (\S+)", (PROJECT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert versions[:2] == ["Unreleased", project["version"]]


def test_every_decision_record_is_listed_and_complete() -> None:
    folder = PROJECT / "docs" / "adr"
    listed = re.findall(r"\]\((\d{4}-[^)]+\.md)\)", (folder / "README.md").read_text())
    records = sorted(path.name for path in folder.glob("[0-9]*.md"))
    assert listed == records
    assert [name[:4] for name in records] == [f"{number:04d}" for number in range(1, len(records) + 1)]
    for name in records:
        headings = re.findall(r"^## (.+)$", (folder / name).read_text(), re.MULTILINE)
        assert headings == ["Context", "Decision", "Consequences"], name


def test_the_methodology_has_the_sections_that_code_and_tables_cite() -> None:
    headings = re.findall(r"^## (.+)$", (PROJECT / "docs" / "methodology.md").read_text(), re.MULTILINE)
    anchors = [heading.lower().replace(" ", "-") for heading in headings]
    assert anchors[:-1] == [
        "sources-and-knowledge-times", "prices-and-the-curve", "inventories", "positions", "trade-flows",
        "power-and-smelters", "arbitrage-and-production", "equities-and-events", "ranks-and-scores", "index-and-regime",
        "index-version-2", "levels-and-states", "signals-and-revisions", "quality", "claims", "scarcity", "evaluation",
        "parameters",
    ]  # fmt: skip
