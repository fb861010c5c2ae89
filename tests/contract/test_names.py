"""Retired names and references do not return. Patterns are written so that this file does not match them."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from pipelines.common.settings import PROJECT

FOLDERS = ("pipelines", "schemas", "dbt", "data/reference", "tests", "benchmarks", "docs", ".github")
SKIPPED = {"target", "logs", "__pycache__"}
SUFFIXES = {".py", ".sql", ".yml", ".yaml", ".md", ".csv", ".toml", ".j2", ".html"}
FILES = sorted(
    path
    for path in [*PROJECT.glob("*"), *(path for folder in FOLDERS for path in (PROJECT / folder).rglob("*"))]
    if path.is_file()
    and (path.suffix in SUFFIXES or path.name == "Makefile")
    and not SKIPPED & set(path.relative_to(PROJECT).parts)
)
PYTHON = [path for path in FILES if path.suffix == ".py"]

# Documents that are not in the repository, and turns of phrase with a plain word.
TEXTS = {
    r"\b(?:DOMAI[N]|CONTRAC[T]|STYL[E]|EVALUATIO[N]|PORTABILIT[Y])\s+(?:sections?\b|§)": "docs/methodology.md",
    r"\b(?:SOURCE[S]|DOMAI[N]|CONTRAC[T]|EVALUATIO[N]|NAMIN[G]|STYL[E]|PORTABILIT[Y])\.md\b": "docs/methodology.md",
    r"\bput(?:s|ting)? asid[e]\b": "quarantine",
    r"\bleft in peac[e]\b": "rate limit",
    r"\bcrosschec[k]s?\b": "reconciliation",
    r"\bspare[sd]\b": "skipped",
}
# Python names, wherever they stand.
NAMES = {
    "tol[d]": "reported, message",
    "sai[d]": "reported, message",
    "spare[d]": "skipped",
    "spare[s]": "skipped",
    "Sparin[g]": "skip_if",
    "unwatche[d]": "no_progress",
    "needed_b[y]": "months",
    "neighbou[r]": "previous_period",
    "put_asid[e]": "quarantine",
    "first_believe[d]": "by_priority",
    "believe[d]": "preferred",
    "out_b[y]": "published_by",
    "at_onc[e]": "max_concurrent",
    "pause_[s]": "backoff_s",
    "known_b[y]": "not_known_after",
    "ReferenceErro[r]": "",
    "_notice[d]": "revision_time",
    "_state[d]": "declared_time",
    "_sai[d]": "already_known",
    "_see[n]": "parse_response",
    "MAN[Y]": "MAX_ROW_SHARE",
    "FE[W]": "MIN_ROW_SHARE",
    "SOM[E]": "ROW_TOLERANCE",
}
# Functions and classes; as the name of a variable or a parameter some of these words are plain.
DEFINITIONS = {
    "_Examine[r]": "ResponseValidator",
    "sif[t]": "triage",
    "loo[k]": "inspect",
    "examin[e]": "inspect",
    "gri[d]": "table_cells",
    "kin[d]": "infer_type",
    "Pac[e]": "RateLimiter",
    "Contrac[t]": "ResponseContract",
    "Answe[r]": "ParsedResponse",
    "Liste[d]": "IndexedSource",
    "locat[e]": "resolve_url",
    "Mete[r]": "a progress callback",
    "follo[w]": "update",
    "new[s]": "summary",
    "recal[l]": "load",
    "remembe[r]": "save",
    "forge[t]": "invalidate",
    "Watc[h]": "ProgressCallback",
    "Plac[e]": "Sandbox",
    "Folder[s]": "Sandbox",
    "Worl[d]": "Sandbox, Snapshot",
    "on[e]": "fetch_one",
    "plac[e]": "qualified_name",
    "litera[l]": "sql_literal",
    "question[s]": "plan_requests",
}
MODULES = {
    "askin[g]": "extract",
    "readin[g]": "parsing",
    "deliver[y]": "power_days",
    "examin[e]": "inspection",
    "pac[e]": "rate_limit",
    "change[s]": "change_summary",
    "unchange[d]": "build_cache",
    "publication[s]": "release_schedule",
    "printin[g]": "console",
    "crosschec[k]s": "reconciliation",
}


def advice(name: str, retired: dict[str, str]) -> str | None:
    """Replacement of a retired name, or None for any other name."""
    return next((instead for pattern, instead in retired.items() if re.fullmatch(pattern, name)), None)


def where(path: Path, line: int) -> str:
    return f"{path.relative_to(PROJECT)}:{line}"


@pytest.mark.parametrize("pattern", TEXTS)
def test_a_retired_reference_or_phrase_occurs_nowhere(pattern: str) -> None:
    found = [
        where(path, number)
        for path in FILES
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if re.search(pattern, line)
    ]
    assert found == [], f"write {TEXTS[pattern]}"


@cache
def nodes(path: Path) -> list[tuple[str, int, bool]]:
    """Every name in a Python file, its line, and whether a function or class of that name is defined there."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                found.append((node.name, node.lineno, True))
            case ast.Name():
                found.append((node.id, node.lineno, False))
            case ast.Attribute():
                found.append((node.attr, node.end_lineno or node.lineno, False))
            case ast.arg() | ast.keyword():
                found.append((node.arg or "", node.lineno, False))
            case ast.alias():
                found.append((node.asname or node.name, node.lineno, False))
    return found


@pytest.mark.parametrize(("retired", "is_definition"), [(NAMES, False), (DEFINITIONS, True)])
def test_no_retired_name_is_in_use(retired: dict[str, str], is_definition: bool) -> None:
    pattern = re.compile("|".join(retired))
    found = [
        f"{where(path, line)} {name}: write {advice(name, retired)}"
        for path in PYTHON
        for name, line, is_defined in nodes(path)
        if pattern.fullmatch(name) and (is_defined or not is_definition)
    ]
    assert found == []


def test_no_module_has_a_retired_name() -> None:
    modules = [path for path in PYTHON if path.relative_to(PROJECT).parts[0] == "pipelines"]
    assert [str(path.relative_to(PROJECT)) for path in modules if advice(path.stem, MODULES)] == []


def test_generic_dbt_tests_have_the_usual_names() -> None:
    found = [
        where(path, number)
        for path in FILES
        if path.suffix == ".yml"
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if re.search(r"^\s*- (?:metal_tightness\.)?(?:hold[s]|known_b[y])\b", line)
    ]
    assert found == []


def test_no_test_imports_a_fixture_of_another_module() -> None:
    found = [
        where(path, number)
        for path in PYTHON
        if path.relative_to(PROJECT).parts[0] == "tests"
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if re.search(r"noq[a]: F(?:401|811)|^from (?:tests\.\w+\.)?tes[t]_\w+ import", line)
    ]
    assert found == []
