"""Every relative link of a Markdown page, and every page that code and tables cite, leads to a file and a section."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from urllib.parse import unquote

import pytest

from pipelines.common.settings import PROJECT

PAGES = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "tests/**/*.md", ".github/**/*.md", "data/reference/**/*.md")
    for path in PROJECT.glob(pattern)
)
FOLDERS = ("pipelines", "schemas", "dbt/models", "dbt/macros", "dbt/tests", "data/reference", "tests", "benchmarks")
CITING = sorted(
    path
    for folder in FOLDERS
    for path in (PROJECT / folder).rglob("*")
    if path.suffix in {".py", ".sql", ".yml", ".csv", ".j2", ".html"}
)
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)(?: \"[^\"]*\")?\)|!\[[^\]]*\]\(([^)\s]+)\)")
CITATION = re.compile(r"\bdocs/[\w/.-]+\.md(?:#[\w-]+)?")


@cache
def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings as GitHub makes them: lower case, hyphens for spaces, no punctuation."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    found: set[str] = set(re.findall(r'<a (?:id|name)="([^"]+)"', text))
    for heading in re.findall(r"^#{1,6} +(.+?) *#*$", text, re.MULTILINE):
        shown = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        anchor = re.sub(r"[^\w\- ]", "", shown.lower()).replace(" ", "-")
        found.add(next(name for n in range(1000) if (name := f"{anchor}-{n}" if n else anchor) not in found))
    return found


def problem(target: str, page: Path) -> str:
    """Reason why a link of a page is broken, or an empty text."""
    name, _, section = unquote(target).partition("#")
    file = (page.parent / name).resolve() if name else page
    if not file.exists():
        return f"{target}: no such file"
    if section and file.suffix == ".md" and section not in anchors(file):
        return f"{target}: {file.name} has no section #{section}"
    return ""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(PROJECT).as_posix())
def test_every_link_of_a_page_resolves(page: Path) -> None:
    text = re.sub(r"^```.*?^```|`[^`\n]*`", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    targets = [one or other for one, other in LINK.findall(text)]
    relative = [target for target in targets if not re.match(r"[a-z]+:", target)]
    assert [found for target in relative if (found := problem(target, page))] == []


def test_every_page_that_code_and_tables_cite_is_there() -> None:
    broken = [
        f"{path.relative_to(PROJECT)}: {found}"
        for path in CITING
        for target in CITATION.findall(path.read_text(encoding="utf-8"))
        if (found := problem(f"/{target}".lstrip("/"), PROJECT / "README.md"))
    ]
    assert broken == []


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("page.md", ""),
        ("page.md#two-words-d", ""),
        ("#two-words-d-1", ""),
        ("other.md", "other.md: no such file"),
        ("page.md#three", "page.md#three: page.md has no section #three"),
    ],
)
def test_a_broken_link_is_found(tmp_path: Path, target: str, message: str) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Two words, [`d`](x)\n\n```\n# three\n```\n\n## Two words d\n")
    assert problem(target, page) == message
