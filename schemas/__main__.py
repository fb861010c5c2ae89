"""`python -m schemas` writes what is generated from the schemas; with `--check` it only says what has drifted."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from schemas.generate.dbt import dictionary_md, models_yaml, sources_yaml
from schemas.generate.macros import macros_sql
from schemas.marts import MARTS
from schemas.signals import SIGNALS

PROJECT = Path(__file__).resolve().parents[1]


def generated() -> dict[str, str]:
    """Text of every generated file, by its path in the project."""
    models = MARTS | SIGNALS
    return {
        "dbt/macros/_generated.sql": macros_sql(),
        "dbt/models/_generated_sources.yml": sources_yaml(),
        "dbt/models/_generated_models.yml": models_yaml(models),
        "docs/dictionary.md": dictionary_md(models),
    }


def drifted(files: Mapping[str, str], folder: Path) -> list[str]:
    """Which of these files are missing in the folder or say something else."""
    return [
        name
        for name, text in files.items()
        if not (folder / name).is_file() or (folder / name).read_text(encoding="utf-8") != text
    ]


def main(arguments: Sequence[str], folder: Path = PROJECT) -> int:
    """Exit code 0 when all is up to date or written, 1 when `--check` finds drift, 2 for a bad argument."""
    if arguments not in ([], ["--check"]):
        sys.stderr.write("usage: python -m schemas [--check]\n")
        return 2
    files = generated()
    stale = drifted(files, folder)
    for name in stale:
        if arguments:
            sys.stderr.write(f"{name} is not what schemas/ says: run `make docs` and commit it\n")
        else:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(files[name], encoding="utf-8")
    return 1 if arguments and stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
