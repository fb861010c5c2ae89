"""Command `python -m schemas`: write the generated files; with `--check`, list those that are out of date."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from schemas.evaluation import EVALUATION
from schemas.generate.dbt import models_yaml, sources_yaml
from schemas.generate.docs import dictionary_md
from schemas.generate.macros import macros_sql
from schemas.generate.superset import dataset_yaml
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
        "docs/dictionary.md": dictionary_md(models | EVALUATION),
        **{
            f"dashboards/superset/datasets/Tightness/{name}.yaml": dataset_yaml(name, mart)
            for name, mart in (models | EVALUATION).items()
        },
    }


def drifted(files: Mapping[str, str], folder: Path) -> list[str]:
    """The files that are missing in the folder or have another text there."""
    return [
        name
        for name, text in files.items()
        if not (folder / name).is_file() or (folder / name).read_text(encoding="utf-8") != text
    ]


def main(arguments: Sequence[str], folder: Path = PROJECT) -> int:
    """Exit code: 0 for files that are written or up to date, 1 when `--check` finds others, 2 for bad arguments."""
    if arguments not in ([], ["--check"]):
        sys.stderr.write("usage: python -m schemas [--check]\n")
        return 2
    files = generated()
    stale = drifted(files, folder)
    for name in stale:
        if arguments:
            sys.stderr.write(f"{name} is out of date: run `make docs` and commit it\n")
        else:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(files[name], encoding="utf-8")
    return 1 if arguments and stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
