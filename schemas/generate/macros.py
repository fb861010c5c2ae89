"""What dbt's macros must know of the schemas: the datasets, names of the parameters, metrics, the wide table."""

from __future__ import annotations

import json

from schemas.base import columns_of
from schemas.datasets import DATASETS
from schemas.metrics import METRICS
from schemas.reference import PARAMETERS
from schemas.signals import wide_columns


def macros_sql() -> str:
    """The text of `dbt/macros/_generated.sql`."""
    datasets = {
        name: {
            "key": list(spec.key),
            "period": spec.period,
            "entity": ", ".join(spec.series),
            "columns": list(columns_of(spec.model)),
        }
        for name, spec in DATASETS.items()
    }
    return (
        "{# Generated from schemas/ by `make docs`: do not edit. #}\n"
        "{% macro dataset(name) -%} {{ return("
        + json.dumps(datasets, indent=4)
        + "[name]) }} {%- endmacro %}\n\n"
        + "{% macro parameter_names() -%} {{ return("
        + json.dumps(list(PARAMETERS), indent=4)
        + ") }} {%- endmacro %}\n\n"
        + "{% macro metric_registry() -%} {{ return("
        + json.dumps({name: metric._asdict() for name, metric in METRICS.items()}, indent=4)
        + ") }} {%- endmacro %}\n\n"
        + "{% macro wide_columns() -%} {{ return("
        + json.dumps(wide_columns(), indent=4)
        + ") }} {%- endmacro %}\n"
    )
