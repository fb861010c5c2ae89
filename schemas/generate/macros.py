"""Registries of the schemas as dbt macros: datasets, parameters, metrics, indicators, columns of the wide tables."""

from __future__ import annotations

import json
from typing import Any, Final

from schemas.base import columns_of
from schemas.datasets import DATASETS
from schemas.fields import QUALITIES
from schemas.marts import TightnessDaily
from schemas.metrics import METRICS
from schemas.reference import DAILY_INDICATORS, PARAMETERS
from schemas.signals import wide_columns

V2: Final = "_v2"  # ends the columns of version 2 of the index


def macros_sql() -> str:
    """The text of `dbt/macros/_generated.sql`: one macro without arguments for each registry."""
    registries: dict[str, Any] = {
        "datasets": {
            name: {
                "key": list(spec.key),
                "period": spec.period,
                "entity": ", ".join(spec.overridden),
                "columns": list(columns_of(spec.model)),
            }
            for name, spec in DATASETS.items()
        },
        "parameter_names": list(PARAMETERS),
        "metric_registry": {name: metric._asdict() for name, metric in METRICS.items()},
        "daily_indicators": {name: indicator._asdict() for name, indicator in DAILY_INDICATORS.items()},
        "quality_order": list(QUALITIES),
        "published_indicators": _published("score_"),
        "published_families": [name for name in _published("family_") if not name.endswith(V2)],
        "published_families_v2": [name.removesuffix(V2) for name in _published("family_") if name.endswith(V2)],
        "wide_columns": wide_columns(),
    }
    macros = [
        f"{{% macro {name}() -%}} {{{{ return({json.dumps(value, indent=4)}) }}}} {{%- endmacro %}}\n"
        for name, value in registries.items()
    ]
    return "\n".join(["{# Generated from schemas/ by `make docs`: do not edit. #}", *macros])


def _published(prefix: str) -> list[str]:
    """Indicators or families that have columns of this prefix in `tightness_daily`."""
    return [name.removeprefix(prefix) for name in columns_of(TightnessDaily) if name.startswith(prefix)]
